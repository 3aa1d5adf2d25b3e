from itertools import permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.evidence.matched import MATCHED, assign, matched, sign_flip
from ontogeny.records import OntogenyError


def world(b, u, right, contrast=None, length=None, paradigm="p", readings=((0, 1),)):
    """Scores, margins and contrasts of one paradigm; `right` has each pair's network margin."""
    n = len(b)
    length = [0] * n if length is None else length
    contrast = [f"c{index}" for index in range(n)] if contrast is None else contrast
    scores = pl.DataFrame(
        [(paradigm, str(i), float(right[i]), 0.0, seed, step) for i in range(n) for seed, step in readings],
        schema=["paradigm", "pair", "logp_good", "logp_bad", "seed", "step"],
        orient="row",
    )
    margins = pl.DataFrame(
        [
            ("s", paradigm, str(i), "token", order, float(value[i]), 8 + length[i], 8)
            for i in range(n)
            for order, value in ((1, u), (2, b))
        ],
        schema=["suite", "paradigm", "pair", "level", "order", "margin", "length_good", "length_bad"],
        orient="row",
    )
    contrasts = pl.DataFrame({"paradigm": paradigm, "pair": [str(i) for i in range(n)], "contrast": contrast})
    return scores, margins, contrasts


def together(*worlds):
    return tuple(pl.concat(tables) for tables in zip(*worlds, strict=True))


def row(frame, paradigm="p"):
    return frame.row(by_predicate=pl.col("paradigm") == paradigm, named=True)


B = [1.0] * 20 + [-1.0] * 20
U = [*range(20), *range(20)]


def test_a_difference_of_one_half_and_its_exact_p():
    """Pairs favoured by bigrams all right, half of the others: 10 of 20 matches differ, all one way."""
    right = [1.0] * 20 + [1.0, -1.0] * 10
    got = matched(*world(B, U, right))
    assert dict(got.schema) == MATCHED and got["paradigm"].to_list() == ["p", ""] and set(got["suite"]) == {"s"}
    own = row(got)
    assert (own["pairs"], own["difference"], own["margin_difference"], own["u_difference"]) == (20, 0.5, 1.0, 0.0)
    assert (own["favoured"], own["disfavoured"], own["clusters"]) == (20, 20, 20)
    assert own["p"] == pytest.approx(2 / 2**10, abs=0.001) and own["p_adjusted"] == own["p"]
    assert own["low"] == pytest.approx(0.28, abs=0.06) and own["high"] == pytest.approx(0.72, abs=0.06)
    pooled = row(got, "")
    assert (pooled["pairs"], pooled["difference"], pooled["clusters"]) == (20, 0.5, 1)
    assert (pooled["p"], pooled["low"], pooled["p_adjusted"]) == (1.0, None, None)  # one paradigm says nothing of all


def test_no_difference_is_none():
    own = row(matched(*world(B, U, [1.0, -1.0] * 20)))
    assert (own["difference"], own["p"], own["margin_difference"], own["difference_adjusted"]) == (0.0, 1.0, 0.0, 0.0)


def test_what_u_explains_is_not_put_down_to_b():
    """The network follows u alone, and b goes with u: raw accuracies differ much, matched ones do not."""
    u = np.concatenate([np.linspace(-1, 3, 60), np.linspace(-3, 1, 60)])
    scores, margins, contrasts = world([1.0] * 60 + [-1.0] * 60, u, u)
    raw = scores.with_columns(right=pl.col("logp_good") > 0)["right"].to_numpy()
    assert raw[:60].mean() - raw[60:].mean() == pytest.approx(0.5)
    own = row(matched(scores, margins, contrasts))
    assert own["pairs"] == 35 and abs(own["difference"]) < 0.2
    assert 0 < own["u_difference"] < 0.31  # what the caliper lets through
    assert abs(own["difference_adjusted"]) < 0.07 < own["difference"]


def test_lengths_are_matched_to_the_token_and_u_within_the_caliper():
    assert row(matched(*world(B, U, [1.0] * 40, length=[0] * 20 + [1] * 20)))["pairs"] == 0
    apart = [*range(20), *(value + 1000 for value in range(20))]
    got = row(matched(*world(B, apart, [1.0] * 40)))
    assert (got["pairs"], got["difference"], got["favoured"]) == (0, None, 20)
    alike = row(matched(*world(B, [0.0] * 40, [1.0] * 40)))  # u does not vary: everything is within the caliper
    assert alike["pairs"] == 20


def test_ties_count_one_half_and_readings_are_averaged():
    scores, margins, contrasts = world(B, U, [1.0] * 20 + [0.0] * 20, readings=((0, 1), (0, 2), (1, 1), (1, 2)))
    assert row(matched(scores, margins, contrasts))["difference"] == 0.5
    one_wrong = scores.with_columns(
        logp_good=pl.when((pl.col("logp_good") > 0) & (pl.col("seed") == 1) & (pl.col("step") == 2))
        .then(-1.0)
        .otherwise("logp_good")
    )
    assert row(matched(one_wrong, margins, contrasts))["difference"] == pytest.approx(0.25)


def test_pairs_that_bigrams_do_not_favour_either_way_are_left_out():
    own = row(matched(*world([1.0] * 15 + [0.0] * 5 + [-1.0] * 20, U, [1.0] * 40)))
    assert (own["favoured"], own["disfavoured"], own["pairs"]) == (15, 20, 15)


def test_few_matches_are_counted_and_not_estimated():
    few = world(B[:9] + B[20:29], U[:9] + U[20:29], [1.0] * 18, paradigm="few")
    got = matched(*together(few, world(B, U, [1.0] * 20 + [-1.0] * 20)))
    own = row(got, "few")
    assert own["pairs"] == 9 and own["difference"] is own["p"] is own["low"] is own["p_adjusted"] is None
    assert row(got)["p_adjusted"] == row(got)["p"]  # adjusted for the one test that was made
    assert row(got, "")["pairs"] == 29 and row(got, "")["difference"] == pytest.approx(20 / 29)


def test_many_pairs_of_few_contrasts_are_few_observations():
    """200 matches that all agree, of 4 contrasts a side: four flips cannot reach p < .05, and no interval is drawn."""
    contrast = [f"good{i % 4}" for i in range(200)] + [f"bad{i % 4}" for i in range(200)]
    own = row(matched(*world([1.0] * 200 + [-1.0] * 200, [0.0] * 400, [1.0] * 200 + [-1.0] * 200, contrast)))
    assert (own["pairs"], own["difference"], own["clusters"], own["p"], own["low"]) == (200, 1.0, 4, 0.125, None)


def test_the_side_with_fewer_contrasts_is_turned():
    contrast = [f"good{i % 8}" for i in range(200)] + [f"bad{i}" for i in range(200)]
    own = row(matched(*world([1.0] * 200 + [-1.0] * 200, [0.0] * 400, [1.0] * 200 + [-1.0] * 200, contrast)))
    assert (own["clusters"], own["p"]) == (8, 2 / 2**8) and own["low"] == own["high"] == 1.0


def test_where_contrasts_alone_matter_the_false_alarms_are_as_stated():
    """Network and bigrams each follow the contrast, independently: a test over pairs would find a third of these."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        contrast = rng.integers(0, 14, 120)
        b, right = rng.normal(size=14)[contrast], rng.normal(size=14)[contrast] + 0.5 * rng.normal(size=120)
        own = row(matched(*world(b, rng.normal(size=120), right, [f"c{c}" for c in contrast])))
        found += [] if own["p"] is None else [own["p"] <= 0.05]
    assert len(found) > 40 and np.mean(found) <= 0.1


@given(
    st.lists(st.integers(0, 20), max_size=5),
    st.lists(st.integers(0, 20), min_size=1, max_size=5),
    st.sampled_from([0.0, 2.0, 50.0]),
)
@settings(max_examples=100, deadline=None)
def test_the_matching_is_the_best_there_is(first, second, caliper):
    first, second = np.array(first, dtype=float), np.array(second, dtype=float)
    rows, columns = assign(first, second, caliper)
    distance = np.abs(first[rows] - second[columns])
    assert len(set(rows)) == len(rows) == len(columns) == len(set(columns)) and (distance <= caliper).all()
    short, long = sorted((first, second), key=len)
    tries = []
    for order in permutations(range(len(long)), len(short)):
        within = np.abs(short - long[list(order)])
        within = within[within <= caliper]
        tries.append((-len(within), within.sum()))
    assert (-len(rows), distance.sum()) == pytest.approx(min(tries))


def test_sign_flips_are_exact_for_few_and_drawn_for_many():
    rng = np.random.default_rng(0)
    assert sign_flip(np.ones(6), rng) == 2 / 64
    assert sign_flip(np.array([1.0, -1.0]), rng) == 1.0
    assert sign_flip(np.zeros(3), rng) == 1.0
    assert sign_flip(np.ones(40), rng) == 1e-4
    x = rng.normal(size=12)
    assert sign_flip(np.r_[x, 0.0], rng) == pytest.approx(sign_flip(x, rng), abs=0.02)


def test_the_same_seed_gives_the_same_table_and_no_paradigm_hangs_on_the_others():
    rng = np.random.default_rng(1)
    one = world(rng.normal(size=80), rng.normal(size=80), rng.normal(size=80))
    two = world(rng.normal(size=80), rng.normal(size=80), rng.normal(size=80), paradigm="q")
    assert matched(*one).equals(matched(*one))
    alone, beside = row(matched(*one)), row(matched(*together(one, two)))
    assert {k: v for k, v in alone.items() if k != "p_adjusted"} == {k: v for k, v in beside.items() if k != "p_adjusted"}
    assert row(matched(*one, seed=1))["p"] != alone["p"]


def test_errors_name_the_pair():
    scores, margins, contrasts = world(B, U, [1.0] * 40, readings=((0, 1), (1, 1)))
    with pytest.raises(OntogenyError, match="pair 39 of p has been scored but has no n-gram margins"):
        matched(scores, margins.filter(pl.col("pair") != "39"), contrasts)
    with pytest.raises(OntogenyError, match="no contrast"):
        matched(scores, margins, contrasts.head(3))
    with pytest.raises(OntogenyError, match="pair 0 of p is scored at 1 of 2 seeds and checkpoints"):
        matched(scores.tail(len(scores) - 1), margins, contrasts)
    with pytest.raises(OntogenyError, match="one suite at a time: the n-gram margins hold s, t"):
        matched(scores, pl.concat([margins, margins.with_columns(suite=pl.lit("t"))]), contrasts)
    with pytest.raises(OntogenyError, match="2 rows for paradigm p, pair 0"):
        matched(scores, margins, pl.concat([contrasts, contrasts.head(1)]))
    with pytest.raises(OntogenyError, match="no rows"):
        matched(scores.clear(), margins, contrasts)
    with pytest.raises(OntogenyError, match="no column 'logp_good'"):
        matched(scores.drop("logp_good"), margins, contrasts)
