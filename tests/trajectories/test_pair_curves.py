import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontogeny.records import OntogenyError
from ontogeny.trajectories import curve, overall
from ontogeny.trajectories.curves import grid, matrices


def scores(rows):
    columns = ["paradigm", "pair", "logp_good", "logp_bad", "tokens_good", "tokens_bad"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def curves(accuracy, seeds=(0, 1), steps=(0, 10)):
    rows = [("s", seed, step, name, 10, value) for name, value in accuracy.items() for seed in seeds for step in steps]
    return pl.DataFrame(rows, schema=["suite", "seed", "step", "paradigm", "n", "accuracy"], orient="row")


def test_a_curve_worked_by_hand():
    got = curve(
        scores(
            [
                ("a", "1", -10.0, -12.0, 5, 5),  # right by 2
                ("a", "2", -12.0, -10.0, 4, 2),  # wrong in sum, right per token (-3 against -5), longer
                ("a", "3", -9.0, -9.000005, 3, 4),  # a tie in sum; per token -3 against -2.25: wrong; shorter
                ("a", "4", -8.0, -8.00002, 3, 3),  # right by 2e-5: no tie
                ("b", "1", -1.0, -1.0, 1, 1),
            ]
        )
    ).rows(named=True)
    assert [row["paradigm"] for row in got] == ["a", "b"]
    a, b = got
    assert (a["n"], a["accuracy"], a["ties"]) == (4, 2.5 / 4, 1)
    assert a["margin"] == pytest.approx((2 - 2 + 5e-6 + 2e-5) / 4, abs=1e-12)
    assert (a["logp_good"], a["logp_bad"]) == (-39 / 4, pytest.approx(-39.000025 / 4))
    assert a["accuracy_per_token"] == 3 / 4
    assert a["accuracy_length"] == (0.5 + 0 + 1 + 0.5) / 4
    assert (b["accuracy"], b["ties"], b["accuracy_per_token"], b["accuracy_length"]) == (0.5, 1, 0.5, 0.5)


def test_ties_can_be_given_to_the_good_sentence_as_harnesses_do():
    margins = [2.0, 0.0, 5e-6, -5e-6, -3.0]
    table = scores([("p", str(i), margin, 0.0, 2, 2) for i, margin in enumerate(margins)])
    half, good = (curve(table, tie_counts=worth).row(0, named=True) for worth in (0.5, 1.0))
    assert (half["accuracy"], good["accuracy"]) == (pytest.approx(2.5 / 5), pytest.approx(4 / 5))
    assert good["accuracy_per_token"] == pytest.approx(4 / 5)
    assert good["accuracy"] == pytest.approx(half["accuracy"] + half["ties"] / (2 * half["n"]))
    assert good["accuracy_length"] == 0.5  # lengths say nothing here, whatever a tie counts


number = st.floats(-50, -1, allow_nan=False)


@given(st.lists(st.tuples(number, number, st.integers(1, 9)), min_size=1, max_size=20), st.randoms())
def test_equal_lengths_make_per_token_the_sum_and_row_order_does_not_matter(pairs, random):
    rows = [("a", str(i), good, bad, tokens, tokens) for i, (good, bad, tokens) in enumerate(pairs)]
    got = curve(scores(rows))
    assert got["accuracy_per_token"][0] == got["accuracy"][0] and got["accuracy_length"][0] == 0.5
    random.shuffle(rows)
    again = curve(scores(rows))
    assert again["accuracy"][0] == got["accuracy"][0] and again["margin"][0] == pytest.approx(got["margin"][0], abs=1e-9)


@given(st.lists(st.tuples(number, number, st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=20))
def test_exchanging_good_and_bad_mirrors_every_accuracy(pairs):
    there = curve(scores([("a", str(i), g, b, m, n) for i, (g, b, m, n) in enumerate(pairs)]))
    back = curve(scores([("a", str(i), b, g, n, m) for i, (g, b, m, n) in enumerate(pairs)]))
    for name in ("accuracy", "accuracy_per_token", "accuracy_length"):
        assert there[name][0] + back[name][0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows"),
        ([("a", "1", -1.0, -2.0, 1, 1)] * 2, "2 rows for paradigm a, pair 1"),
        ([("a", "1", float("nan"), -2.0, 1, 1)], "paradigm a, pair 1: a score is no number"),
        ([("a", "1", -1.0, None, 1, 1)], "paradigm a, pair 1: a score is no number"),
        ([("a", "1", -1.0, -2.0, 0, 1)], "a sentence has no tokens"),
    ],
)
def test_scores_that_cannot_be_a_curve(rows, message):
    with pytest.raises(OntogenyError, match=message):
        curve(scores(rows))


def test_a_missing_column_is_named_with_the_nearest():
    with pytest.raises(OntogenyError, match="no column 'logp_bad'; did you mean 'logp_bda'"):
        curve(scores([("a", "1", -1.0, -2.0, 1, 1)]).rename({"logp_bad": "logp_bda"}))


def test_the_overall_accuracy_over_paradigms_and_over_phenomena():
    table = curves({"a": 1.0, "b": 0.5, "c": 0.6})
    got = overall(table, {"a": "x", "b": "x", "c": "y"})
    assert got.columns == ["seed", "step", "accuracy", "accuracy_phenomena"] and len(got) == 4
    assert got["accuracy"].to_list() == pytest.approx([0.7] * 4)
    assert got["accuracy_phenomena"].to_list() == pytest.approx([(0.75 + 0.6) / 2] * 4)
    assert overall(table)["accuracy_phenomena"].null_count() == 4
    with pytest.raises(OntogenyError, match="paradigm c"):
        overall(table, {"a": "x", "b": "x"})


def test_matrices_are_seeds_by_steps_whatever_the_row_order():
    table = curves({"a": 0.1, "b": 0.2}).with_columns(accuracy=pl.col("seed") * 0.1 + pl.col("step") * 0.01)
    got = matrices(table.sample(fraction=1, shuffle=True, seed=3))
    assert got["b"].tolist() == [[0.0, 0.1], [0.1, pytest.approx(0.2)]]


def test_tables_that_are_no_grid():
    table = curves({"a": 0.1, "b": 0.2})
    with pytest.raises(OntogenyError, match="no rows"):
        grid(table.clear())
    with pytest.raises(OntogenyError, match="2 rows for paradigm b, seed 1, step 10"):
        grid(pl.concat([table, table.tail(1)]))
    with pytest.raises(OntogenyError, match="seed 1 has no step 10, which seed 0 has"):
        grid(table.filter((pl.col("seed") == 0) | (pl.col("step") == 0)))
    with pytest.raises(OntogenyError, match="paradigm b lacks some of the 2 seeds x 2 steps"):
        grid(table.head(7))
    with pytest.raises(OntogenyError, match="one suite at a time: the curves hold s, t"):
        grid(pl.concat([table, table.with_columns(suite=pl.lit("t"))]))
    with pytest.raises(OntogenyError, match=r"61.0 of a, seed 0, step 0 .*percent"):
        grid(table.with_columns(accuracy=pl.lit(61.0)))
    with pytest.raises(OntogenyError, match="different numbers of pairs"):
        grid(table.with_columns(n=pl.col("step") + 1))
