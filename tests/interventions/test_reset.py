"""What is reset, to what, and when; all else goes on as it was."""

from typing import Literal

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny import recipe as recipes
from ontogeny.interventions import Objective
from ontogeny.interventions import reset as resets
from ontogeny.interventions.reset import Reset, step_at, step_of
from ontogeny.records import OntogenyError

EMBEDDINGS, BODY = "model.decoder.embed_tokens.weight", "model.decoder.layers"


@pytest.fixture
def context(short):
    """Of a training of six steps."""
    return short


def changed(one, other):
    """Names of the weights that differ."""
    return {name for name in one if not torch.equal(one[name], other[name])}


def weights(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


# --- moments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "steps", "step"),
    [(0, 10, 0), (0.5, 10, 5), (0.5, 5, 3), (0.07, 100, 7), (0.29, 100, 29), (0.3, 10, 3), (0.31, 10, 4), (1.0, 10, 10)],
)
def test_a_share_is_the_first_step_that_has_got_so_far(share, steps, step):
    assert step_at(share, steps) == step


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1), st.integers(1, 10_000))
def test_no_step_before_it_has_got_so_far(share, steps):
    step = step_at(share, steps)
    assert step / steps >= share
    assert step == 0 or (step - 1) / steps < share


def test_a_whole_number_is_steps():
    assert [step_of(amount, 24) for amount in (1, 7, 0.25)] == [1, 7, 6]


# --- new values ---------------------------------------------------------------------------------------------------


def test_first_values_are_those_that_training_began_with(context, begun):
    ground = context()
    for seed in (0, 3):
        state, _ = begun(ground, seed)
        assert not changed(weights(resets.begun(ground, seed)), weights(state.model))


def test_fresh_values_are_a_function_of_seed_and_step_and_leave_the_generator_alone(context):
    ground = context()
    before = torch.get_rng_state()
    drawn = {key: weights(resets.begun(ground, *key))[EMBEDDINGS] for key in [(0, None), (0, 4), (0, 5), (1, 4)]}
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(123)
    assert all(torch.equal(weights(resets.begun(ground, *key))[EMBEDDINGS], value) for key, value in drawn.items())
    values = list(drawn.values())
    assert not any(torch.equal(values[i], values[j]) for i in range(4) for j in range(i))


def test_fresh_values_have_the_models_initial_distribution(context):
    ground = context(options={"init_std": 0.5, "hidden_size": 64, "word_embed_proj_dim": 64})
    drawn = weights(resets.begun(ground, 0, 4))
    pad = ground.tokenizer.pad_token_id
    assert not drawn[EMBEDDINGS][pad].any()  # OPT's padding begins at zero, and so it does again
    others = drawn[EMBEDDINGS][[row for row in range(len(drawn[EMBEDDINGS])) if row != pad]]
    assert float(others.std()) == pytest.approx(0.5, rel=0.1)  # 700 draws: a standard error of .013
    assert not drawn[f"{BODY}.0.fc1.bias"].any()
    assert (drawn["model.decoder.final_layer_norm.weight"] == 1).all()


class Wider(Objective):
    """A network with a layer more, drawn after the others."""

    kind: Literal["wider"] = "wider"

    def model(self, network, context):
        network.more = torch.nn.Linear(2, 2)
        return network


def test_what_an_objective_builds_around_the_network_begins_anew_with_it(context, begun):
    ground = context(Wider(), Reset(at=2, names=("more",), values="first"), Reset(at=4, names=("more",)))
    state, treated = begun(ground, 3)
    first = weights(state.model)
    assert not changed(weights(resets.begun(ground, 3)), first)
    with torch.no_grad():
        state.model.more.weight.fill_(7)
    treated.before(state, 2, 6)
    assert not changed(first, weights(state.model))
    treated.before(state, 4, 6)
    assert changed(first, weights(state.model)) == {"more.weight", "more.bias"}


# --- which parameters ---------------------------------------------------------------------------------------------


def test_the_last_layers_are_those_at_the_end_of_the_stack(context):
    ground = context()
    model = resets.begun(ground, 0)
    every = {name for name, _ in model.named_parameters()}
    for last in (1, 2, 3):
        expected = {name for name in every if name.startswith(tuple(f"{BODY}.{n}." for n in range(3 - last, 3)))}
        assert Reset(at=1, last_layers=last).parameters(model) == expected
    with pytest.raises(OntogenyError, match="asks for the last 4 layers, but the model has 3"):
        Reset(at=1, last_layers=4).change(ground, 0)


def test_a_head_of_its_own_is_reset_alone_and_a_tied_one_with_the_embeddings(context):
    for tied, names in [(True, {EMBEDDINGS}), (False, {"lm_head.weight"})]:
        said = []
        ground = context(options={"tie_word_embeddings": tied}, warn=said.append, seeds=[4, 5])
        assert Reset(at=1, head=True).parameters(resets.begun(ground, 4)) == names
        for seed in (4, 5):
            Reset(at=1, head=True).change(ground, seed)
        assert [f"so that {EMBEDDINGS} begins anew" in text for text in said] == [True] * tied  # once, not for each seed


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        (EMBEDDINGS, {EMBEDDINGS}),
        ("lm_head", {EMBEDDINGS}),  # tied: the same numbers
        ("*.1.fc?.bias", {f"{BODY}.1.fc1.bias", f"{BODY}.1.fc2.bias"}),
        (f"{BODY}.0.fc1", {f"{BODY}.0.fc1.weight", f"{BODY}.0.fc1.bias"}),
        ("model.decoder.final_layer_norm", {f"model.decoder.final_layer_norm.{part}" for part in ("weight", "bias")}),
    ],
)
def test_names_are_of_parameters_or_modules(context, pattern, names):
    assert Reset(at=1, names=(pattern,)).parameters(resets.begun(context(), 0)) == names


def test_what_is_asked_for_in_several_ways_is_reset_together(context):
    part = Reset(at=1, head=True, last_layers=1, names=("model.decoder.final_layer_norm.bias",))
    found = part.parameters(resets.begun(context(), 0))
    assert found >= {EMBEDDINGS, "model.decoder.final_layer_norm.bias", f"{BODY}.2.fc1.weight"}
    assert not any(name.startswith((f"{BODY}.0", f"{BODY}.1")) for name in found)


def test_a_name_that_fits_nothing_is_said_before_training(context):
    with pytest.raises(OntogenyError, match=r"fits 'model.decoder.layer.0'; did you mean 'model.decoder.layers.0'\?"):
        Reset(at=1, names=(EMBEDDINGS, "model.decoder.layer.0")).change(context(), 0)


# --- in the course of training ------------------------------------------------------------------------------------


def test_at_its_moment_it_alone_begins_anew(context, begun):
    part = Reset(at=0.5, last_layers=1)
    state, treated = begun(context(part), 1)
    before = weights(state.model)
    treated.before(state, 2, 6)
    assert not changed(before, weights(state.model))
    treated.before(state, 3, 6)
    now = weights(state.model)
    # zeros and ones of biases and norms begin as they began: only what is drawn differs from the first values
    assert changed(before, now) == {name for name in now if name.startswith(f"{BODY}.2.") and now[name].ndim == 2}
    fresh = weights(resets.begun(context(part), 1, 3))
    assert all(torch.equal(now[name], fresh[name]) for name in now if name.startswith(f"{BODY}.2."))


def test_a_checkpoint_at_the_moment_holds_the_weights_of_before(context, trained):
    plain, treated = trained(context()), trained(context(Reset(at=3, last_layers=1)))
    for step in range(7):
        assert bool(changed(plain.kept[step], treated.kept[step])) == (step > 3)
    assert treated.losses[:3] == plain.losses[:3]
    assert treated.losses[3] != plain.losses[3]


def test_one_may_go_back_to_the_first_values(context, begun):
    state, treated = begun(context(Reset(at=2, names=(f"{BODY}.0",), values="first")), 3)
    first = weights(state.model)
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.add_(1)
    treated.before(state, 2, 6)
    assert changed(first, weights(state.model)) == {name for name in first if not name.startswith(f"{BODY}.0.")}


@pytest.mark.parametrize("moments", [True, False])
def test_the_optimiser_forgets_what_was_reset_and_nothing_else(context, trained, moments):
    ended = trained(context(Reset(at=4, names=(EMBEDDINGS,), moments=moments)))
    counted = {name: int(ended.state.optimiser.state[p]["step"]) for name, p in ended.state.model.named_parameters()}
    assert counted.pop(EMBEDDINGS) == (2 if moments else 6)
    assert set(counted.values()) == {6}


def test_the_moments_after_it_are_those_of_the_gradients_since(context, begun):
    """One step after a reset AdamW's first moment is a tenth of that step's gradient, and the weight has moved by the rate."""
    state, treated = begun(context(Reset(at=1, names=(EMBEDDINGS,))))
    weight = dict(state.model.named_parameters())[EMBEDDINGS]

    def step(gradient):
        weight.grad = torch.full_like(weight, gradient)
        state.optimiser_step(0.01)
        state.optimiser.step()

    step(5.0)
    treated.before(state, 1, 6)
    anew = weight.detach().clone()
    step(1.0)
    assert torch.allclose(state.optimiser.state[weight]["exp_avg"], torch.tensor(0.1))
    assert torch.allclose(weight, anew * (1 - 0.01 * 0.1) - 0.01, atol=1e-6)  # weight decay .1, then the step


def test_going_on_after_a_kill_changes_nothing(context, goes_on):
    goes_on(context(Reset(at=3, head=True, last_layers=1)), (0, 2, 3, 4, 6), seed=1)


# --- recipes ------------------------------------------------------------------------------------------------------


def test_a_recipe_has_it_and_is_read_back():
    recipe = tiny.recipe("interventions=[{kind: reset, at: 0.5, last_layers: 1}]")
    assert recipe.interventions == (Reset(at=0.5, last_layers=1),)
    assert recipes.parse(recipes.dump(recipe)) == recipe


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("at: 3", "set head, last_layers or names"),
        ("at: 1.5, head: true", "steps are a whole number"),
        ("at: 0, head: true", "greater than 0"),
        ("at: 3, head: true, when: {from: 0.5}", "leave `when` out"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields, said):
    with pytest.raises(OntogenyError, match=said):
        tiny.recipe(f"interventions=[{{kind: reset, {fields}}}]")


def test_a_moment_past_the_end_is_refused(context):
    with pytest.raises(OntogenyError, match="reset at step 6, but training ends at step 6"):
        Reset(at=6, head=True).change(context(), 0)


def test_steps_are_those_of_the_run(context):
    ground = context(steps=None, training={"epochs": 2})
    assert resets.total_steps(ground) == int(np.floor(2 * ((len(ground.text) - 1) // 8) / 4))
