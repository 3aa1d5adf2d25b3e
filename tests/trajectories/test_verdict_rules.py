import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.recipe import Thresholds
from ontogeny.trajectories import VERDICTS, Timeline
from ontogeny.trajectories.timeline import windows
from ontogeny.trajectories.verdicts import StateRun, best_of_three, history, runs, verdict, window_state

LIMITS = Thresholds(early=0.25, late=0.25, untrained=0.0)
EIGHT = windows(Timeline(tuple(range(10, 90, 10)), 80), LIMITS)  # two early, three late, all trained
ACCURACY = {1: 0.8, 0: 0.5, -1: 0.2}
SEQUENCES = list(product((-1, 0, 1), repeat=8))


def given_verdict(sequence, equivalent=False, accuracy=None, view=EIGHT, limits=LIMITS, **more):
    values = np.array([ACCURACY[s] for s in sequence] if accuracy is None else accuracy)
    return verdict(history(np.array(sequence, dtype=np.int8), values, view, limits, equivalent=equivalent, **more))


def by_the_book(sequence, equivalent):
    """The ten verdicts once more, on a string; a state covers these windows only if it fills them."""
    word = "".join({1: "+", 0: "0", -1: "-"}[s] for s in sequence)
    early_wrong, late_wrong, late_right = word[:2] == "--", word[5:] == "---", word[5:] == "+++"
    values = [ACCURACY[s] for s in sequence]
    late_mean = values[5] / 4 + values[6] / 2 + values[7] / 4
    fell = late_mean <= max(sum(values[i : i + 3]) / 3 for i in range(6)) - 0.10 + 1e-9
    if early_wrong and late_wrong and "++" not in word:
        return "entrenched"
    if "++" in word and (late_wrong or (not late_right and fell)):
        return "forgotten"
    if late_wrong:
        return "late-wrong"
    if late_right and (early_wrong or re.search(r"^(?:(?!\+\+).)*--", word)):
        return "late recovery"
    if late_right and re.search(r"\+\+.*--", word):
        return "u-shaped"
    if late_right:
        return "learned"
    if early_wrong or "--" in word:
        return "escaped"
    return "never separated" if equivalent and "++" not in word else "undecided"


def test_the_windows_of_this_test():
    assert EIGHT.early_weights[:2].tolist() == [0.75, 0.25]
    assert EIGHT.late_weights[5:].tolist() == [0.25, 0.5, 0.25]


def test_every_sequence_of_eight_states_has_exactly_the_verdict_of_the_book():
    assert len(SEQUENCES) == 6561
    reached = set()
    for sequence, equivalent in product(SEQUENCES, (False, True)):
        name = given_verdict(sequence, equivalent)
        assert name == by_the_book(sequence, equivalent), sequence
        reached.add(name)
    assert reached == set(VERDICTS) - {"unobserved"}


def test_too_few_checkpoints_or_pairs_are_unobserved_whatever_was_seen():
    learned = (1,) * 8
    assert given_verdict(learned) == "learned"
    assert given_verdict(learned, enough=False) == "unobserved"
    assert given_verdict(learned, limits=LIMITS.model_copy(update={"min_early": 3})) == "unobserved"
    assert given_verdict(learned, limits=LIMITS.model_copy(update={"min_late": 4})) == "unobserved"


LATE_WRONG, LATE_RIGHT = {"entrenched", "forgotten", "late-wrong"}, {"late recovery", "u-shaped", "learned"}


@given(st.lists(st.sampled_from((-1, 0, 1)), min_size=8, max_size=8), st.booleans())
def test_mirroring_states_mirrors_late_right_and_late_wrong(sequence, equivalent):
    name = given_verdict(sequence, equivalent)
    mirrored = given_verdict([-s for s in sequence], equivalent)
    if name in LATE_RIGHT:
        assert mirrored in LATE_WRONG
    if name == "entrenched":
        assert mirrored == "learned"
    if name == "u-shaped":
        assert mirrored == "forgotten"
    if name == "never separated":
        assert mirrored == "never separated"
    if name == "escaped":
        assert mirrored in {"escaped", "forgotten", "undecided", "never separated"}


@settings(max_examples=50)
@given(st.integers(1, 50), st.lists(st.sampled_from((-1, 0, 1)), min_size=8, max_size=8))
def test_the_unit_of_time_does_not_matter(scale, sequence):
    longer = windows(Timeline(tuple(10 * scale * i for i in range(1, 9)), 80 * scale), LIMITS)
    assert given_verdict(sequence, view=longer) == given_verdict(sequence)


def test_untrained_checkpoints_take_no_part():
    view = windows(Timeline((0, 1, 2, *range(10, 90, 10)), 80), LIMITS.model_copy(update={"untrained": 0.05}))
    for sequence in SEQUENCES[::37]:
        for before in ((1, 1, 1), (-1, -1, -1)):
            assert given_verdict(before + sequence, view=view) == given_verdict(sequence)


def test_late_forgetting_needs_the_drop():
    risen = [0.5, 0.5, 0.65, 0.65, 0.65, 0.54, 0.54, 0.54]
    sequence = [0, 0, 1, 1, 1, 0, 0, 0]
    assert given_verdict(sequence, accuracy=risen) == "forgotten"  # .65 - .54 >= .10
    risen[5:] = [0.55] * 3
    assert given_verdict(sequence, accuracy=risen) == "forgotten"  # exactly .10
    risen[5:] = [0.551] * 3
    assert given_verdict(sequence, accuracy=risen) == "undecided"


def test_a_run_spans_the_steps_from_its_first_checkpoint_to_its_last():
    # of 1,000 steps a run needs 25: 100-120 has 20 though its checkpoints stand for far more; 100-125 has just enough
    for last, want in ((120, ()), (125, (StateRun(-1, 1, 2),))):
        view = windows(Timeline((50, 100, last, 500, 1000), 1000), Thresholds())
        assert runs(np.array([0, -1, -1, 0, 1], dtype=np.int8), view, Thresholds()) == want


def test_one_checkpoint_is_no_run_however_much_it_stands_for():
    view = windows(Timeline((100, 500, 1000), 1000), Thresholds())
    assert runs(np.array([0, 1, 0], dtype=np.int8), view, Thresholds()) == ()


def test_a_run_at_plus_one_between_ends_entrenchment_even_within_the_late_window():
    steps = (*range(50, 801, 50), 810, 820, 830, 840, 850, 1000)
    limits = Thresholds(untrained=0.0, run_length=2)
    view = windows(Timeline(steps, 1000), limits)
    sequence = np.full(len(steps), -1)
    assert given_verdict(sequence, view=view, limits=limits) == "entrenched"
    sequence[16:20] = 1  # steps 810 to 840: 3 % of training, 17.5 % of the late window
    assert given_verdict(sequence, view=view, limits=limits) == "forgotten"


@pytest.mark.parametrize(("cover", "state"), [(0.75, 0), (0.25, 1)])
def test_a_window_state_must_cover_and_hold_at_the_end(cover, state):
    sequence = np.array([-1, 1, 0, 0, 0, 0, 0, 0], dtype=np.int8)
    assert window_state(sequence, EIGHT.early, EIGHT.early_weights, cover) == state


def test_the_best_mean_of_three():
    assert best_of_three(np.array([0, 0.9, 0, 0.3, 0.6, 0.6, 0, 0]), EIGHT) == pytest.approx(0.5)
