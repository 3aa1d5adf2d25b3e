"""Checkpoints and learning rates, worked out on paper."""

import math
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from ontogeny.recipe import Schedule, Training
from ontogeny.records import OntogenyError
from ontogeny.training.schedule import checkpoint_steps, learning_rate, multiples, total_steps, warmup_steps


def test_the_default_schedule_of_6600_steps():
    powers = [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert checkpoint_steps(Schedule(), 6600, 4096) == [0, *powers, *range(330, 6601, 330)]


def test_the_default_schedule_with_tenths():
    assert checkpoint_steps(Schedule(share=0.1), 100, 1) == [0, 1, 2, 4, 8, *range(10, 101, 10)]
    assert checkpoint_steps(Schedule(share=0.3), 100, 1) == [0, 1, 2, 4, 8, 16, 30, 60, 90, 100]
    assert checkpoint_steps(Schedule(share=1), 10, 1) == [0, 1, 2, 4, 8, 10]


def test_the_words_schedule_is_babylms():
    """4,096 tokens a step at .8 words a token over 30M words: the nearest step to each mark, 9,155 steps in all."""
    words_per_step = 4096 * 0.8
    steps = round(30e6 / words_per_step)
    marks = [*range(1, 10), 10, 20, 30]
    assert checkpoint_steps(Schedule(kind="words"), steps, words_per_step) == [
        0,
        *(round(mark * 1e6 / words_per_step) for mark in marks),
    ]


def test_the_words_schedule_goes_to_a_billion():
    found = checkpoint_steps(Schedule(kind="words"), 2000, 1e6)
    assert found == [0, *range(1, 10), *range(10, 100, 10), *range(100, 1001, 100), 2000]
    assert checkpoint_steps(Schedule(kind="words"), 3, 1e9) == [0, 1, 3]  # many marks, one step


def test_listed_steps_are_kept_with_the_first_and_the_last():
    assert checkpoint_steps(Schedule(kind="steps", steps=(7, 3, 3)), 10, 1) == [0, 3, 7, 10]
    assert checkpoint_steps(Schedule(kind="steps"), 10, 1) == [0, 10]


@pytest.mark.parametrize("step", [11, -1])
def test_a_step_outside_of_training_is_refused(step):
    with pytest.raises(OntogenyError, match=f"checkpoints.steps has {step}, but training ends at step 10"):
        checkpoint_steps(Schedule(kind="steps", steps=(3, step)), 10, 1)


@given(st.integers(1, 10**6), st.floats(0.001, 1), st.floats(1, 1e6), st.sampled_from(["default", "words"]))
def test_the_first_and_the_last_step_are_always_kept_and_steps_go_up(steps, share, words, kind):
    found = checkpoint_steps(Schedule(kind=kind, share=share), steps, words)
    assert found[0] == 0
    assert found[-1] == steps
    assert all(a < b for a, b in pairwise(found))


def test_steps_of_a_training():
    assert total_steps(Training(batch=10, epochs=2), 105) == 21
    assert total_steps(Training(batch=10, epochs=2.5), 101) == 25
    assert total_steps(Training(batch=10, steps=7), 1) == 7
    with pytest.raises(OntogenyError, match="9 blocks of 128 tokens, fewer than one batch of 10"):
        total_steps(Training(batch=10), 9)


@pytest.mark.parametrize(
    ("warmup", "steps", "expected"), [(0.05, 6600, 330), (0, 100, 0), (1, 100, 1), (5000, 100, 5000), (0.001, 100, 0)]
)
def test_warm_up_is_a_share_below_one_and_else_steps(warmup, steps, expected):
    assert warmup_steps(Training(warmup=warmup), steps) == expected


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_warm_up_goes_up_evenly_and_reaches_the_peak_at_its_last_step(schedule):
    training = Training(learning_rate=0.5, warmup=10, schedule=schedule)
    rates = [learning_rate(training, step, 100) for step in range(11)]
    assert rates[:10] == pytest.approx([0.05 * k for k in range(1, 11)])
    assert rates[10] == pytest.approx(0.5)


def test_constant_stays_linear_and_cosine_go_to_their_end():
    def rate(schedule, step, final_share=0.0):
        training = Training(learning_rate=1.0, warmup=20, schedule=schedule, final_share=final_share)
        return learning_rate(training, step, 120)

    assert [rate("constant", step, 0.1) for step in (20, 70, 119)] == [1, 1, 1]
    assert [rate("linear", step) for step in (20, 45, 70, 119)] == pytest.approx([1, 0.75, 0.5, 0.01])
    assert [rate("linear", step, 0.1) for step in (20, 70, 120)] == pytest.approx([1, 0.55, 0.1])
    assert [rate("cosine", step) for step in (20, 70, 120)] == pytest.approx([1, 0.5, 0])
    assert rate("cosine", 45) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert [rate("cosine", step, 0.1) for step in (20, 70, 120)] == pytest.approx([1, 0.55, 0.1])


def test_the_inverse_root_falls_from_the_peak_at_the_last_step_of_warm_up():
    training = Training(learning_rate=1.0, warmup=16, schedule="inverse-sqrt")
    assert [learning_rate(training, step - 1, 999) for step in (8, 16, 64, 144)] == pytest.approx([0.5, 1, 0.5, 1 / 3])
    assert learning_rate(Training(learning_rate=1.0, warmup=0, schedule="inverse-sqrt"), 3, 99) == 0.5


def test_without_warm_up_training_begins_at_the_peak():
    assert learning_rate(Training(learning_rate=1.0, warmup=0), 0, 10) == 1
    assert learning_rate(Training(learning_rate=1.0, warmup=10), 9, 10) == 1  # nothing but warm-up


def test_shares_are_the_same_part_of_any_training() -> None:
    asked = Schedule(kind="shares", shares=(0.1, 0.5))
    assert checkpoint_steps(asked, 816, 1) == [0, 82, 408, 816]
    assert checkpoint_steps(asked, 2669, 1) == [0, 267, 1334, 2669]


@pytest.mark.parametrize("wrong", [{"kind": "shares"}, {"shares": (0.5,)}, {"kind": "shares", "shares": (0.0,)}])
def test_shares_without_their_kind_or_beyond_training_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="shares"):
        Schedule.model_validate(wrong)


@pytest.mark.parametrize("share", [1e-300, 5e-324, 0.01, 0.125])
def test_a_share_of_less_than_a_step_is_one_step(share):
    assert checkpoint_steps(Schedule(share=share), 8, 1) == list(range(9))


@given(st.floats(1e-3, 1), st.integers(1, 400))
@example(0.07, 50)
def test_multiples_are_those_of_the_share(share, steps):
    exact = [k * share * steps for k in range(1, int(1 / share) + 1)]
    nearest = [{round(one - 1e-9), round(one + 1e-9)} for one in exact]  # of a half, such as 11 x .07 x 50, both
    found = {*multiples(share * steps, steps), 0, steps}
    assert all(one & found for one in nearest) and found <= {0, steps}.union(*nearest)


def test_what_never_ends_is_refused():
    with pytest.raises(OntogenyError, match=r"checkpoints.share is 1e-09: 90,000,000 checkpoints, more than 100,000"):
        checkpoint_steps(Schedule(share=1e-9), 90_000_000, 1)
    with pytest.raises(OntogenyError, match=r"training.epochs is 1e\+300: .* steps, more than 99,999,999"):
        total_steps(Training(epochs=1e300), 100)
    with pytest.raises(ValidationError):
        Training(steps=10**15)
