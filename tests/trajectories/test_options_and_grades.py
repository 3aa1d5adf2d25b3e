"""Accuracy, band, states and verdicts against the chance of n options, on paper; and correlations with graded judgements."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, spearmanr
from scipy.stats import t as student

from ontogeny.recipe import Thresholds
from ontogeny.records import OntogenyError
from ontogeny.trajectories import correlations, curve, judge, null, sensitivity, timeline_of
from ontogeny.trajectories.bands import band, edge_at, enough_pairs, states, upper_edge

SIDES = ("good", "bad", "bad_2", "bad_3")


def scores(*rows, tokens=None):
    """Log-probabilities of the options of each item of paradigm p; None for none."""
    most = max(map(len, rows))
    padded = [[*row, *[None] * (most - len(row))] for row in rows]
    lengths = tokens or [[None if value is None else 2 for value in row] for row in padded]
    columns = {"paradigm": ["p"] * len(rows), "pair": [str(i) for i in range(len(rows))]}
    columns |= {f"logp_{SIDES[i]}": pl.Series([row[i] for row in padded], dtype=pl.Float64) for i in range(most)}
    columns |= {f"tokens_{SIDES[i]}": pl.Series([row[i] for row in lengths], dtype=pl.Int32) for i in range(most)}
    return pl.DataFrame(columns)


def accuracy(*rows, **how):
    return curve(scores(*rows), **how)["accuracy"][0]


def test_the_right_option_wins_alone_or_shares_what_it_ties_for():
    assert accuracy((-1.0, -2.0, -3.0)) == 1
    assert accuracy((-1.0, -2.0, -0.5)) == 0
    assert accuracy((-1.0, -2.0, -1.0)) == 1 / 2
    assert accuracy((-1.0, -1.0, -1.0)) == pytest.approx(1 / 3)
    assert accuracy((-1.0, -1.0, -1.0, -1.0)) == 1 / 4
    assert accuracy((-1.0, -1.0, -1.0, -0.5)) == 0  # shares the second place
    assert accuracy((-1.0, -1.0 + 5e-6, -3.0)) == 1 / 2  # within a tie
    assert accuracy((-1.0, -1.0)) == 1 / 2
    assert accuracy((-1.0, -2.0, -3.0), (-1.0, -0.5), (-1.0, -1.0)) == 1 / 2  # items of two and of three


def test_what_a_tie_counts_is_that_of_two_and_shared_alike():
    assert accuracy((-1.0, -1.0), tie_counts=0.3) == pytest.approx(0.3)
    for counts, three in ((0.0, 0.0), (1.0, 1.0), (0.5, 1 / 3), (0.25, 0.25 / (0.25 + 2 * 0.75))):
        assert accuracy((-1.0, -1.0, -1.0), tie_counts=counts) == pytest.approx(three)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from([-3.0, -2.0, -1.0])] * 2), min_size=1, max_size=8), st.sampled_from([0.5, 0.3, 1.0]))
def test_pairs_keep_their_numbers_beside_items_of_more_options(pairs, counts):
    alone = curve(scores(*pairs), tie_counts=counts)
    beside = scores(*pairs, (-1.0, -2.0, -3.0)).with_columns(paradigm=pl.Series([*["p"] * len(pairs), "q"]))
    found = curve(beside, tie_counts=counts).filter(paradigm="p")
    assert found.select(alone.columns).equals(alone)
    by_hand = np.mean([counts if good == bad else float(good > bad) for good, bad in pairs])
    assert alone["accuracy"][0] == pytest.approx(by_hand)


def test_margin_ties_and_the_likeliest_wrong_option():
    found = curve(scores((-1.0, -3.0, -2.0), (-1.0, -0.5, -4.0), (-1.0, -1.0, None))).row(0, named=True)
    assert found["margin"] == pytest.approx((1 - 0.5 + 0) / 3)
    assert found["logp_bad"] == pytest.approx((-2 - 0.5 - 1) / 3)
    assert found["ties"] == 1


def test_per_token_and_by_length():
    """Per token -1, -1.5, -.5 of item 0, all alike of item 1; item 1 is shortest alone, the others as short as one other."""
    lengths = [[2, 2, 4], [1, 2, 3], [2, 2, 3]]
    found = curve(scores((-2.0, -3.0, -2.0), (-1.0, -2.0, -3.0), (-2.0, -2.0, -9.0), tokens=lengths)).row(0, named=True)
    assert found["accuracy_per_token"] == pytest.approx((0 + 1 / 3 + 1 / 2) / 3)
    assert found["accuracy_length"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)


def test_scores_that_are_no_number_are_named_and_options_that_are_not_there_are_none():
    for row in ((-1.0, -2.0, float("nan")), (-1.0, None, -2.0), (None, -1.0, -2.0)):
        with pytest.raises(OntogenyError, match=r"paradigm p, pair 0: a score is no number"):
            curve(scores(row))


# --- band and states


@pytest.mark.parametrize(("n", "chance"), [(1000, 0.2), (50, 1 / 3), (1000, 0.5)])
def test_the_band_is_the_binomials_around_its_chance(n, chance):
    z = norm.isf(0.05 / 67 / 2)
    assert band(n, 67, chance=chance) == pytest.approx(chance + z * math.sqrt(chance * (1 - chance) / n))
    assert upper_edge(n, 67, Thresholds(), chance) == band(n, 67, chance=chance)


def test_a_recipes_edge_lies_as_many_standard_errors_above_another_chance():
    assert edge_at(0.6, 0.5) == 0.6
    assert edge_at(0.6, 0.2) == pytest.approx(0.2 + 0.1 * 0.4 / 0.5)
    assert upper_edge(1000, 67, Thresholds(hi=0.6), 0.2) == pytest.approx(0.28)
    for hi in (0.531, 0.553, 0.6, 0.9, band(3, 67)):
        assert edge_at(hi, 0.5) == hi  # to the last digit


def test_states_lie_on_either_side_of_chance():
    found = states(np.array([0.1, 0.12, 0.2, 0.28, 0.3, 0.5]), edge_at(0.6, 0.2), 0.2)
    assert found.tolist() == [-1, -1, 0, 1, 1, 1]
    values = np.linspace(0, 1, 101)
    assert (states(values, 0.6) == states(values, 0.6, 0.5)).all()


def test_few_items_of_many_options_tell_more():
    assert enough_pairs(4, 1, Thresholds(), 0.2)
    assert not enough_pairs(4, 1, Thresholds(), 0.5)
    assert not enough_pairs(1, 1, Thresholds(), 0.2)


# --- verdicts


STEPS = (0, 10, 20, 50, 100, 200, 400, 600, 800, 850, 900, 950, 1000)


def curves(values, chance=0.2, n=200):
    rows = [("p", seed, step, n, value) for seed in (0, 1) for step, value in zip(STEPS, values, strict=True)]
    frame = pl.DataFrame(rows, schema=["paradigm", "seed", "step", "n", "accuracy"], orient="row")
    return frame if chance is None else frame.with_columns(chance=pl.lit(chance))


def judged(values, **how):
    frame = curves(values, **how)
    return judge(frame, timeline_of(frame), Thresholds(resamples=20)).row(0, named=True)


def test_verdicts_are_against_the_chance_of_the_options():
    flat, high, low = [0.2] * 13, [0.2] * 3 + [0.6] * 10, [0.02] * 13
    assert judged(flat)["verdict"] == "never separated"
    assert judged(flat, chance=None)["verdict"] == "entrenched"  # of two options it would be
    assert judged(high)["verdict"] == "learned"
    assert judged(low)["verdict"] == "entrenched"
    row = judged([0.2] * 3 + [0.45] * 10)
    assert row["verdict"] == "learned"  # of two options: nothing
    assert row["separation"] == pytest.approx(0.25)
    assert row["chance"] == 0.2
    assert row["hi"] == pytest.approx(band(200, 1, chance=0.2))
    assert row["p"] == pytest.approx(2 * norm.sf(0.25 / (0.2 * 0.8 / 200) ** 0.5))  # two seeds alike: 200 coins


def test_halfway_is_between_chance_and_the_best():
    rising = [0.2, 0.2, 0.2, 0.3, 0.4, 0.5, *[0.6] * 7]
    assert judged(rising)["aoa_halfway"] == pytest.approx(100, rel=0.2)


def test_pairs_without_a_chance_have_no_such_column():
    assert "chance" not in judged([0.6] * 13, chance=None)


def test_other_thresholds_are_scaled_alike():
    frame = curves([0.2] * 3 + [0.27] * 10)  # edges .225, .242, .28
    found = sensitivity(frame, timeline_of(frame), Thresholds(resamples=20))
    late = {hi: set(part["verdict"].drop_nulls()) for (hi,), part in found.filter(scoring="sum").group_by("hi")}
    assert late[0.531] == late[0.553] == {"learned"}
    assert "learned" not in late[0.6]


def pairs_of(values):
    """One right option of three at so many of ten items."""
    rows = []
    for seed in (0, 1):
        for step, right in zip(STEPS, values, strict=True):
            rows += [
                {"seed": seed, "step": step, "pair": str(i), "contrast": str(i), "logp_good": -1.0, "tokens_good": 1,
                 "logp_bad": -2.0, "tokens_bad": 1, "logp_bad_2": -3.0 if i < right else -0.5, "tokens_bad_2": 1}
                for i in range(10)
            ]  # fmt: skip
    return lambda paradigm: pl.DataFrame(rows)


def test_pairs_of_more_options_agree_with_their_curve_and_have_no_null():
    values = [3] * 4 + [9] * 9
    frame = curves([value / 10 for value in values], chance=1 / 3, n=10)
    row = judge(frame, timeline_of(frame), Thresholds(resamples=20), pairs_of(values)).row(0, named=True)
    assert row["late_mean"] == pytest.approx(0.9)
    assert row["p"] == pytest.approx(2 * student.sf((0.9 - 1 / 3) / (2 / 9 / 9) ** 0.5, 9))  # ten items, of which one differs
    with pytest.raises(OntogenyError, match="the null exchanges the two sentences of a pair, and items of p have more options"):
        null(frame, timeline_of(frame), Thresholds(swaps=2), pairs_of(values))


# --- graded items


def graded(values, bad=None, tokens=4):
    n = len(values)
    frame = scores(*(zip(values, bad, strict=True) if bad is not None else [(value, None) for value in values]))
    lengths = {
        "tokens_good": pl.Series([tokens] * n, dtype=pl.Int32),
        "tokens_bad": pl.Series([None if bad is None else 2] * n, dtype=pl.Int32),
    }
    return frame.with_columns(**lengths)


def human(values):
    return pl.DataFrame({"paradigm": ["p"] * len(values), "pair": [str(i) for i in range(len(values))], "human": values})


def test_a_sentence_goes_with_its_score_and_a_pair_with_its_margin():
    judged = [0.1, 0.5, 0.2, 0.9, 0.4]
    alone = [-9.0, -3.0, -7.0, -1.0, -5.0]
    row = correlations(graded(alone), human(judged)).row(0, named=True)
    assert (row["paradigm"], row["n"]) == ("p", 5)
    assert (row["rho"], row["low"], row["high"]) == pytest.approx((1, 1, 1))
    assert correlations(graded(alone), human([-value for value in judged]))["rho"][0] == pytest.approx(-1)
    bad = [value - 10 * grade for value, grade in zip([-1.0, -8.0, -3.0, -2.0, -5.0], judged, strict=True)]
    assert correlations(graded([-1.0, -8.0, -3.0, -2.0, -5.0], bad), human(judged))["rho"][0] == pytest.approx(1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-9, -1), st.integers(0, 5)), min_size=4, max_size=30))
def test_rho_is_scipys_and_its_interval_bonetts_and_wrights(rows):
    values, judged = [float(score) for score, _ in rows], [float(grade) for _, grade in rows]
    row = correlations(graded(values), human(judged)).row(0, named=True)
    if len(set(values)) == 1 or len(set(judged)) == 1:
        assert row["rho"] is row["low"] is row["high"] is None
        return
    rho = spearmanr(values, judged).statistic
    assert row["rho"] == pytest.approx(rho)
    if abs(rho) < 1 - 1e-9:
        half = norm.isf(0.025) * math.sqrt((1 + rho**2 / 2) / (len(rows) - 3))
        assert (row["low"], row["high"]) == pytest.approx((math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half)))


def test_per_token_means_and_few_items():
    long = scores((-8.0, None), (-6.0, None), (-5.0, None), (-4.0, None)).with_columns(
        tokens_good=pl.Series([8, 3, 2, 1]), tokens_bad=pl.lit(None, pl.Int32)
    )
    row = correlations(long, human([1.0, 2.0, 3.0, 4.0])).row(0, named=True)
    assert (row["rho"], row["rho_per_token"]) == pytest.approx((1, -1))
    assert correlations(long.head(3), human([1.0, 2.0, 3.0]))["rho"].to_list() == [None]


def test_only_items_with_a_grade_count():
    both = pl.concat([graded([-1.0, -2.0, -3.0, -4.0]), scores(*[(-1.0, -2.0)] * 4).with_columns(paradigm=pl.lit("q"))])
    found = correlations(both, human([4.0, 3.0, 2.0, 1.0]))
    assert found.select("paradigm", "n", "rho").rows() == [("p", 4, pytest.approx(1))]
