"""What a study's page says: pure functions, known answers, and never more than the numbers show."""

import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_study import SHAM, UNTOUCHED, WARM, WHOLE, arm, study_of

from ontogeny.studies import sentences
from ontogeny.studies.arm_styles import APART, NEAREST, OTHERS, ArmStyle, arm_styles, dose_factor, looks, place
from ontogeny.studies.figures_claims import zones
from ontogeny.studies.gathering import arms_of
from ontogeny.studies.plan import Prediction, Region

SLOPE = Prediction(
    says="It rises.",
    measure="late_accuracy",
    of="slope",
    over="bigram_margin",
    supported={"above": 0},  # type: ignore[arg-type]
    refuted={"within": 0.02},  # type: ignore[arg-type]
)


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ({}, "Nothing was predicted: the figures below describe, and decide nothing."),
        ({"P1": ""}, "None of the 1 prediction can be decided yet: the arms that they are about are not there."),
        ({"P1": "refuted"}, "The prediction P1 is refuted."),
        (
            {"P1": "supported", "P2": "refuted", "P3": "refuted", "P4": ""},
            "Of 4 predictions, 1 is supported (P1), 2 are refuted (P2 and P3) and none is undecided. "
            "1 prediction waits for arms that are not there.",
        ),
    ],
)
def test_answer(verdicts: dict[str, str], said: str) -> None:
    assert sentences.answer(verdicts) == said


def test_estimates() -> None:
    row = {"estimate": 0.3514, "low": 0.1971, "high": 0.5049, "seeds": 6, "p": 0.03125, "p_corrected": 0.0625}
    assert sentences.estimate(row, 0.95) == "+0.35 (95 % interval +0.20 to +0.50; 6 seeds; p = .031, corrected = .062)"
    assert sentences.estimate(row | {"p": 0.0001, "p_corrected": 0.0001}, 0.9).endswith("6 seeds; p < .001)")
    alone = {"estimate": -0.25, "low": None, "high": None, "seeds": 1, "p": None, "note": "one seed: no interval"}
    assert sentences.estimate(alone, 0.95) == "−0.25 (1 seed)"
    assert sentences.estimate({"estimate": None, "note": "no seeds yet"}, 0.95) == "no seeds yet"


@pytest.mark.parametrize(
    ("of", "against", "said"),
    [
        ("difference", None, "late margin (nats), minus the reference's"),
        ("difference", "sham", "late margin (nats), minus that of 'sham'"),
        ("relaxation", "sham", "late margin (nats), minus that of 'sham', in the end"),
        ("change", "sham", "share of seeds whose verdict is not that of 'sham'"),
    ],
)
def test_what_is_measured_names_the_arm_that_it_is_held_against(of: Any, against: str | None, said: str) -> None:
    asked = SLOPE.model_copy(update={"measure": "late_margin", "of": of, "over": None, "against": against})
    assert sentences.measured(asked) == said


@given(st.floats(-900, 900), st.floats(1e-4, 50))
def test_an_interval_is_told_to_two_digits_of_its_width(low: float, width: float) -> None:
    decimals = sentences.digits(low, low + width)
    if decimals is not None:
        assert 10 <= round(width * 10**decimals, 6) <= 1000 or decimals == 0
        ends = [float(end.replace("−", "-")) for end in sentences.interval(low, low + width).split(" to ")]
        assert ends == pytest.approx([low, low + width], abs=0.5 * 10**-decimals * 1.001 + 1e-9)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_signed_number_has_its_sign(value: float) -> None:
    said = sentences.signed(value)
    assert said[0] == ("−" if value < 0 else "+" if value > 0 else "0")


def test_stakes_name_what_would_have_decided_otherwise() -> None:
    assert sentences.stakes(SLOPE, "supported") == "It would have been refuted by a whole interval within ±0.02."
    assert sentences.stakes(SLOPE, "refuted") == "It would have been supported by a whole interval above 0."
    undecided = "A whole interval above 0 would support it; one within ±0.02 would refute it."
    assert sentences.stakes(SLOPE, "undecided") == undecided == sentences.stakes(SLOPE, "")
    assert sentences.region(Region(outside=0.03)) == "beyond ±0.03 on one side"
    assert sentences.region(Region(below=-0.1)) == "below −0.1"


@given(st.floats(-1, 1), st.floats(0, 1))
def test_an_interval_that_decides_is_never_called_undecided(low: float, width: float) -> None:
    row = {"verdict": "undecided", "low": low, "high": low + width}
    said = sentences.lies(row, SLOPE)
    decides = SLOPE.supported.holds(low, low + width) or SLOPE.refuted.holds(low, low + width)
    assert bool(said) is not decides
    assert sentences.lies(row | {"verdict": "supported"}, SLOPE) == ""


def test_missing_tells_each_reason_once() -> None:
    gaps = [("a", None, "not started"), ("b", 3, "not read yet"), ("c", None, "not started")]
    assert sentences.missing(gaps) == ["Not started: a; c.", "Not read yet: b, seed 3."]
    assert sentences.missing([("b", 3, "not read yet"), ("b", 5, "not read yet")]) == ["Not read yet: b, seeds 3 and 5."]


def test_how_much_is_there() -> None:
    assert sentences.there({"a": [0, 1], "b": [0, 1]}, 2) == "All of it is there: 2 arms with 2 seeds each."
    assert sentences.there({"a": [0, 1], "b": [1]}, 2) == "Of 2 arms with 2 seeds each, 1 arm is whole and 3 of 4 runs are there."


def test_controls() -> None:
    changes = pl.DataFrame({"arm": ["a", "a", "b"], "paradigm": ["p", "q", "p"], "change": [0.01, -0.04, 0.01], "seeds": [8, 8, 7]})
    said = sentences.controls_sentence(changes, 0.03)
    assert said.startswith("Over 2 control paradigms and 2 arms, late accuracy is 0.020 from the reference on average")
    assert "the furthest is q in 'a' (−0.040, 8 seeds)." in said
    assert "Of the 3 means, one lies 0.03 or more away" in said
    assert "none lies 0.05" in sentences.controls_sentence(changes, 0.05)
    assert "away" not in sentences.controls_sentence(changes, None)
    assert sentences.controls_sentence(changes.clear(), None) == ""


def test_disagreement_counts_combinations_with_several_seeds() -> None:
    rows: list[tuple[Any, ...]] = [
        ("a", 0, "p", "learned"),
        ("a", 1, "p", "escaped"),
        ("b", 0, "p", "learned"),
        ("b", 1, "p", "learned"),
    ]
    rows += [("c", 0, "p", "learned"), ("a", None, "p", "learned")]
    frame = pl.DataFrame(rows, schema=["arm", "seed", "paradigm", "verdict"], orient="row")
    assert "in 1 of 2 combinations" in sentences.disagreement(frame)
    assert sentences.disagreement(frame.filter(arm="c")) == ""


def test_zones_are_where_regions_hold() -> None:
    found = zones(Region(above=0.1), Region(outside=0.3))
    assert found == [("supported", 0.1, math.inf), ("refuted", -math.inf, -0.3), ("refuted", 0.3, math.inf)]
    assert zones(Region(below=0.2), Region(within=0.05)) == [("supported", -math.inf, 0.2), ("refuted", -0.05, 0.05)]


# --- how arms are told apart --------------------------------------------------------------------------------------


def test_doses_are_colours_and_timings_panels() -> None:
    found = arm_styles(arms_of(study_of(WHOLE, ())))
    assert (found.reference, found.dose, found.given) == ("untouched", "dose", "timing")
    assert found.panels == ("all", "early", "late", OTHERS)
    assert found.ranges == ("diverging", "diverging", "diverging", APART)
    assert [(style.label, style.arm) for style in found.of("early")] == [(f"{d:g}", f"early {d:g}") for d in (-1.0, -0.5, 0.5, 1.0)]
    assert [style.colour for style in found.of(OTHERS)] == [0, 1]
    assert found.title("early") == "timing: early" and found.title(OTHERS) == OTHERS


def test_arms_without_a_dose_share_one_panel() -> None:
    found = arm_styles(arms_of(study_of((UNTOUCHED, SHAM, WARM), ())))
    assert found.dose is None and found.panels == ("",) and [style.arm for style in found.arms] == ["sham", "warm-up x 2"]
    assert arm_styles(arms_of(study_of((UNTOUCHED, arm("all", 1.0)), ()))).dose is None  # one dose is no scale


@pytest.mark.parametrize("many", [7, 11])
def test_arms_without_a_dose_look_each_their_own_way(many: int) -> None:
    shown = [ArmStyle(f"arm {i}", f"arm {i}", "", i / (many - 1)) for i in range(many)]
    scales = [look.to_dict()["scale"] for look in looks(shown, APART, "arm").values()]
    assert len(set(zip(*(map(str, scale["range"]) for scale in scales), strict=True))) == many
    assert all(scale["domain"] == [round(style.colour, 4) for style in shown] for scale in scales)


def test_a_dose_may_have_another_name() -> None:
    frame = pl.DataFrame({"arm": ["r", "x", "y"], "factor.size": [1.0, 2.0, 3.0], "factor.word": ["a", "b", "a"]})
    assert dose_factor(frame) == "size"
    assert dose_factor(frame.with_columns(pl.lit(1.0).alias("factor.dose"))) == "size"


@given(st.lists(st.floats(-3, 3).filter(lambda v: abs(v) > 1e-3), min_size=2, max_size=6))
def test_signed_doses_keep_off_the_colour_of_the_paper(doses: list[float]) -> None:
    values = [*doses, -1.0, 1.0]
    for value in values:
        at = place(value, values)
        assert 0 <= at <= 1 and abs(at - 0.5) >= NEAREST - 1e-9 and (at > 0.5) == (value > 0)
    assert place(0.0, values) == 0.5
