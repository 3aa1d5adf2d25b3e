"""The embeddings are forgotten when they should be, and nothing else ever is."""

from itertools import pairwise

import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny import recipe as recipes
from ontogeny.interventions.forgetting import ActiveForgetting, resets
from ontogeny.interventions.kinds import Window
from ontogeny.interventions.reset import begun as initial
from ontogeny.records import OntogenyError

EMBEDDINGS = "model.decoder.embed_tokens.weight"


def window(start=0.0, until=1.0):
    return Window(start=start, until=until)


@pytest.mark.parametrize(
    ("every", "when", "steps", "at"),
    [
        (5, window(), 20, (5, 10, 15)),  # not at 0, where nothing is known yet, nor at 20, where training is over
        (0.25, window(), 20, (5, 10, 15)),
        (0.1, window(), 30, (3, 6, 9, 12, 15, 18, 21, 24, 27)),
        (0.3, window(), 10, (3, 6, 9)),
        (5, window(until=0.5), 20, (5,)),  # at 10 it is over
        (4, window(0.5), 20, (14, 18)),
        (3, window(0.07, 0.5), 100, tuple(range(10, 50, 3))),
        (1, window(), 4, (1, 2, 3)),
        (20, window(), 20, ()),
    ],
)
def test_embeddings_are_reset_at_these_steps(every, when, steps, at):
    assert resets(every, when, steps) == at


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 50) | st.floats(0.01, 0.99), st.floats(0, 0.9), st.floats(0.01, 1), st.integers(1, 300))
def test_resets_lie_within_their_window_and_as_far_apart_as_asked(every, start, length, steps):
    until = min(1.0, start + length)
    found = resets(every, window(start, until), steps)
    assert all(start <= step / steps < until for step in found)
    apart = every if every >= 1 else every * steps
    assert all(abs(later - earlier - apart) <= 1 for earlier, later in pairwise(found)) or apart < 1
    assert found or (until - start) * steps < apart + 2


@pytest.mark.parametrize("tied", [True, False])
def test_embeddings_begin_anew_each_time_with_other_values_and_all_else_stays(short, begun, tied):
    ground = short(ActiveForgetting(every=2), options={"tie_word_embeddings": tied})
    state, treated = begun(ground, 1)
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.add_(1)
    before = {name: p.detach().clone() for name, p in state.model.named_parameters()}
    seen = []
    for step in range(6):
        treated.before(state, step, 6)
        now = dict(state.model.named_parameters())
        assert {name for name in now if not torch.equal(now[name], before[name])} == ({EMBEDDINGS} if step >= 2 else set())
        seen.append(now[EMBEDDINGS].detach().clone())
    assert torch.equal(seen[2], initial(ground, 1, 2).get_input_embeddings().weight)
    assert torch.equal(seen[2], seen[3])
    assert not torch.equal(seen[2], seen[4])
    assert (state.model.get_output_embeddings().weight is state.model.get_input_embeddings().weight) == tied


def test_forgetting_that_has_stopped_is_temporary(short, trained):
    ended = trained(short(ActiveForgetting(every=2, when=window(until=0.5)), steps=8))
    counted = {name: int(ended.state.optimiser.state[p]["step"]) for name, p in ended.state.model.named_parameters()}
    assert counted.pop(EMBEDDINGS) == 6  # since the reset at 2; at 4 half of training is over
    assert set(counted.values()) == {8}


def test_until_the_first_reset_training_is_as_it_would_be(short, trained):
    plain, treated = trained(short()), trained(short(ActiveForgetting(every=3)))
    assert treated.losses[:3] == plain.losses[:3]
    assert torch.equal(treated.kept[3][EMBEDDINGS], plain.kept[3][EMBEDDINGS])  # the checkpoint at the moment: before it
    assert treated.losses[3] != plain.losses[3]


def test_the_optimiser_may_remember(short, trained):
    ended = trained(short(ActiveForgetting(every=2, moments=False)))
    assert {int(ended.state.optimiser.state[p]["step"]) for p in ended.state.model.parameters()} == {6}


def test_going_on_after_a_kill_changes_nothing(short, goes_on):
    goes_on(short(ActiveForgetting(every=2)), (0, 1, 2, 3, 5), seed=1)


def test_forgetting_that_never_happens_is_refused(short):
    with pytest.raises(OntogenyError, match="every is 3, but it holds from step 2 to 5; make every smaller"):
        ActiveForgetting(every=3, when=window(0.3, 0.8)).change(short(), 0)


def test_a_recipe_has_it_and_is_read_back():
    recipe = tiny.recipe("interventions=[{kind: active-forgetting, every: 0.1, when: {until: 0.5}}]")
    assert recipe.interventions == (ActiveForgetting(every=0.1, when=window(until=0.5)),)
    assert recipes.parse(recipes.dump(recipe)) == recipe
    with pytest.raises(OntogenyError, match="steps are a whole number"):
        tiny.recipe("interventions=[{kind: active-forgetting, every: 2.5}]")


def test_a_distance_of_less_than_a_step_is_one_step():
    assert resets(1e-300, window(until=0.5), 20) == tuple(range(1, 10))
