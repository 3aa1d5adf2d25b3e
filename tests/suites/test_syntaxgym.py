"""SyntaxGym: formulas are read back as they were written, and items are right by margins as SyntaxGym has them by truth."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontogeny.records import OntogenyError
from ontogeny.scoring.options import chance
from ontogeny.suites.formulas import Operation, RegionReference, comparisons, holds, parse
from ontogeny.suites.syntaxgym import SyntaxGym

REGIONS = [RegionReference(number, condition) for number in ("1", "2", "*") for condition in ("match", "mis-match_2")]
sums = st.recursive(st.sampled_from(REGIONS), lambda inner: st.builds(Operation, st.sampled_from("+-"), inner, inner), max_leaves=4)
compared = st.builds(Operation, st.sampled_from("<>="), sums, sums | st.just(0.0))
formulas = st.recursive(compared, lambda inner: st.builds(Operation, st.sampled_from("&|"), inner, inner), max_leaves=4)


@given(formulas)
def test_a_formula_is_read_back_as_it_was_written(formula):
    assert parse(str(formula)) == formula


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("(1;%a%)-(2;%a%)-(3;%a%)<0", "(((1;%a%) - (2;%a%)) - (3;%a%)) < 0"),
        ("(1;%a%) < (1;%b%) & (2;%a%) > (2;%b%)", "((1;%a%) < (1;%b%)) & ((2;%a%) > (2;%b%))"),
        ("[(1;%a%)", None),
        ("((1;%a%) < (1;%b%)", None),
        ("(1;%a%) <", None),
        ("(1;%a%) (1;%b%)", None),
    ],
)
def test_signs_bind_as_syntaxgym_has_them(text, same):
    if same is None:
        with pytest.raises(OntogenyError, match="formula "):
            parse(text)
    else:
        assert parse(text) == parse(same)


@given(formulas, st.lists(st.floats(0, 20), min_size=6, max_size=6))
def test_comparisons_hold_where_the_formula_does(formula, values):
    surprisals = dict(zip(REGIONS, values, strict=True))
    try:
        found = comparisons(formula)
    except OntogenyError as error:
        assert any(sign in str(formula) for sign in "=|"), error
        return
    left = [sum(times * surprisals[region] for region, times in one.items()) for one in found]
    if all(abs(value) > 1e-9 for value in left):
        assert all(value < 0 for value in left) == holds(formula, surprisals)


def suite(tmp_path, *formulas, conditions=None):
    conditions = conditions or {"match": ["The cats", "run", "."], "mismatch": ["The cat", "run", ""]}
    file = tmp_path / "number.json"
    regions = {
        name: [{"region_number": number, "content": text} for number, text in enumerate(texts, 1)]
        for name, texts in conditions.items()
    }
    item = {"item_number": 3, "conditions": [{"condition_name": name, "regions": own} for name, own in regions.items()]}
    predictions = [{"type": "formula", "formula": formula} for formula in formulas]
    meta = {"name": "number_simple", "metric": "sum"}
    file.write_text(json.dumps({"meta": meta, "region_meta": {}, "predictions": predictions, "items": [item]}, indent=1))
    return SyntaxGym(path=tmp_path), file


def test_a_region_is_an_option_after_what_stands_before_it(tmp_path):
    found, _ = suite(tmp_path, "(2;%mismatch%) > (2;%match%)", "(*;%mismatch%) > (1;%match%) + (2;%match%)")
    (pair,) = found.pairs()
    assert (pair.paradigm, pair.pair) == ("number_simple", "3")
    assert pair.asked == (("The cats", "run"), ("The cat", "run"), ("", "The cats"), ("", "The cat run"))
    assert pair.predictions == ((1, -1, 0, 0), (1, 0, 1, -1))


def test_chance_is_what_independent_sums_give():
    from dataclasses import replace

    from ontogeny.records import Pair

    pair = Pair("p", "1", "a", "b", more=("c", "d"))
    draw, many = random.Random(0), 20_000
    for predictions in (
        ((1, -1, 0, 0),),
        ((1, -1, 0, 0), (1, 0, -1, 0)),
        ((1, -1, 0, 0), (1, 0, -1, 0), (1, 0, 0, -1)),
        ((1, -1, -1, 1), (1, -1, 0, 0)),
    ):
        hits = 0
        for _ in range(many):
            values = [draw.gauss(0, 1) for _ in range(4)]
            hits += all(sum(a * b for a, b in zip(row, values, strict=True)) > 0 for row in predictions)
        assert chance(replace(pair, predictions=predictions)) == pytest.approx(hits / many, abs=0.015)


@pytest.mark.parametrize(
    ("formula", "told"),
    [
        ("(4;%match%) < (2;%mismatch%)", r"item 3: \(4;%match%\) is of no region here; condition 'match' has 1, 2, 3"),
        ("(2;%mach%) < (2;%mismatch%)", r"item 3: \(2;%mach%\) is of no condition here; did you mean 'match'"),
        ("(3;%mismatch%) < (2;%match%)", "item 3: a formula compares a region that is empty there"),
        ("(2;%match%) = (2;%mismatch%)", "prediction 1: .* items are right by margins"),
        ("(2;%match%) < 3", "prediction 1: 3 is compared with surprisals; only 0 can be"),
        ("(2;%match%) + (2;%match%)", "prediction 1: .* compares nothing"),
        ("(2;%match%) <", "prediction 1: formula .* ends where a region"),
    ],
)
def test_what_is_wrong_with_a_formula_is_told_with_its_place(tmp_path, formula, told):
    found, file = suite(tmp_path, formula)
    with pytest.raises(OntogenyError, match=f"{file}: {told}"):
        list(found.pairs())


def test_a_file_that_is_no_suite_is_named(tmp_path):
    (tmp_path / "x.json").write_text("{")
    (tmp_path / "README").write_text("")
    with pytest.raises(OntogenyError, match=r"x\.json: not valid JSON .* one JSON object is expected"):
        list(SyntaxGym(path=tmp_path).pairs())
    assert SyntaxGym(path=tmp_path).left_out() == [f"left out of {tmp_path}, no .json: README"]
