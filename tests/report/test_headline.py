"""The sentences at the top of the page, by cases."""

from dataclasses import replace

import pytest

from ontogeny.pages.theme import VERDICT_COLOURS
from ontogeny.pages.words import MEANINGS, count, enumerated, human, listed, percent
from ontogeny.report.headline import Facts, first_sentence, second_sentence, third_sentence
from ontogeny.trajectories import VERDICTS

FACTS = Facts(suite="blimp", checkpoints=30, step=6600, seeds=2, total=6600, words=19.8e6)
HALF = Facts(suite="blimp", checkpoints=12, step=512, total=6600)


def verdicts(**numbers: int) -> list[tuple[str, str]]:
    return [
        (
            f"{verdict[:2]}{i}",
            verdict.replace("_", " ").replace("late wrong", "late-wrong").replace("u shaped", "u-shaped"),
        )
        for verdict, number in numbers.items()
        for i in range(number)
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            verdicts(entrenched=6, learned=31, undecided=30),
            "Of blimp's 67 paradigms, 31 were learned and 6 are entrenched.",
        ),
        (
            verdicts(entrenched=1, learned=1),
            "Of blimp's 2 paradigms, 1 was learned and 1 is entrenched.",
        ),
        (
            verdicts(entrenched=2, forgotten=1),
            "Of blimp's 3 paradigms, none was learned and 2 are entrenched.",
        ),
        (verdicts(learned=3, escaped=1), "Of blimp's 4 paradigms, 3 were learned and none is entrenched."),
        (verdicts(escaped=4), "Of blimp's 4 paradigms, none was learned and none is entrenched."),
        (verdicts(learned=3), "All 3 paradigms of blimp were learned, and none is entrenched."),
        (verdicts(learned=1), "blimp's only paradigm, le0, was learned."),
        (
            verdicts(entrenched=1),
            "blimp's only paradigm, en0, is entrenched, wrong early in training and wrong at the end.",
        ),
        (
            verdicts(unobserved=67),
            "Of blimp's 67 paradigms, none could be observed well enough for a verdict; "
            "they were read at 30 checkpoints, from the first to the last of 6,600 steps (19.8M words).",
        ),
        (
            verdicts(undecided=2),
            "Of blimp's 2 paradigms, none could be decided; "
            "they were read at 30 checkpoints, from the first to the last of 6,600 steps (19.8M words).",
        ),
    ],
)
def test_first_sentence(given: list[tuple[str, str]], expected: str) -> None:
    assert first_sentence(given, FACTS) == expected


def test_without_verdicts_it_says_how_far_training_was_read() -> None:
    assert first_sentence([], HALF, paradigms=67) == (
        "There are no verdicts yet: blimp's 67 paradigms were read at 12 checkpoints, up to step 512 of 6,600, 7 % of training."
    )


def test_one_checkpoint_of_one_paradigm() -> None:
    facts = Facts(suite="mine", checkpoints=1, step=143_000, total=143_000, accuracy=0.75)
    assert first_sentence([], facts, paradigms=1) == (
        "There are no verdicts: mine's 1 paradigm was read at 1 checkpoint, the one at step 143,000; mean accuracy there is 0.750."
    )


def test_the_rest_agrees_in_number() -> None:
    given = verdicts(learned=2, forgotten=1, undecided=3, late_recovery=1)
    assert second_sentence(given) == "Of the rest, 1 recovered late, 1 was forgotten and 3 are undecided."
    assert second_sentence(verdicts(learned=2, forgotten=1)) == "Of the rest, 1 was forgotten."


def test_the_entrenched_are_named_after_the_headline() -> None:
    given = verdicts(learned=1, entrenched=5)
    assert second_sentence(given) == "Wrong early in training and wrong at the end: en0, en1, en2 and 2 more."


@pytest.mark.parametrize("given", [[], verdicts(learned=3), verdicts(forgotten=1), verdicts(learned=2)])
def test_no_rest_no_sentence(given: list[tuple[str, str]]) -> None:
    assert second_sentence(given) == ""


def test_what_was_trained() -> None:
    facts = Facts("blimp", 30, 6600, 2, 6600, 19.8e6, "the OPT model", 1_450_000, "micro-english")
    assert third_sentence(facts) == (
        "This is the OPT model with 1.45M parameters trained on micro-english (2 seeds), read at 30 checkpoints, "
        "from the first to the last of 6,600 steps (19.8M words)."
    )
    assert third_sentence(Facts("x", 3, 20)) == "This is a model, read at 3 checkpoints, the last at step 20."


def test_every_verdict_has_a_meaning_a_colour_and_words() -> None:
    assert set(VERDICTS) == set(MEANINGS) == set(VERDICT_COLOURS)
    for verdict in VERDICTS:
        assert "paradigm" in first_sentence([("a", verdict)], FACTS)


def test_numbers_as_people_say_them() -> None:
    assert [human(n) for n in (20, 1500, 1_450_000, 3e9)] == ["20", "1.5k", "1.45M", "3B"]
    assert [percent(s) for s in (0, 0.001, 0.079, 0.999, 1)] == ["0 %", "less than 1 %", "7 %", "99 %", "100 %"]
    assert [count(1, "seed"), count(0, "seed"), count(1000, "pair")] == ["1 seed", "0 seeds", "1,000 pairs"]
    assert enumerated([]) == ""
    assert listed(["a", "b", "c", "d"]) == "a, b, c and d"
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_what_seeds_do_not_bear_out_is_said() -> None:
    given = verdicts(entrenched=3, learned=2, forgotten=1, undecided=1)
    firm = frozenset({"en0", "en1", "le0", "le1", "un0"})
    assert first_sentence(given, replace(FACTS, firm=firm)) == (
        "Of blimp's 7 paradigms, 2 were learned and 3 are entrenched (2 of them firm)."
    )
    assert second_sentence(given, firm) == (
        "Wrong early in training and wrong at the end: en0, en1 and en2. "
        "Of the rest, 1 was forgotten in the mean of the seeds and 1 is undecided."
    )
    assert first_sentence(verdicts(entrenched=1), replace(FACTS, firm=frozenset())).endswith(
        "wrong at the end in the mean of the seeds."
    )
    assert "none of them firm" in first_sentence(verdicts(learned=3), replace(FACTS, firm=frozenset()))
