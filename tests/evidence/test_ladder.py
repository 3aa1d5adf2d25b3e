"""The ladder of n-grams: correlations with known answers, which rung a run stands on, and when it leaves."""

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from ontogeny.evidence.ladder import Ladder, ladder, rungs
from ontogeny.instruments.ngram_margins import ngram_margins
from ontogeny.records import OntogenyError

KEY = ["paradigm", "pair"]
ORDERS = (1, 2, 3)


def pairs_of(sizes, generator):
    """Pairs with random margins of orders 1 to 3 in columns 1, 2 and 3, in no order."""
    paradigm = np.repeat([f"p{i}" for i in range(len(sizes))], sizes).tolist()
    keys = pl.DataFrame({"paradigm": paradigm, "pair": [str(i) for i in range(len(paradigm))]})
    columns = [pl.Series(str(order), generator.normal(0, 2, len(paradigm))) for order in ORDERS]
    return keys.with_columns(columns).sample(fraction=1, shuffle=True, seed=1)


def margins_of(pairs, levels=("token",)):
    long = pairs.unpivot(on=[str(order) for order in ORDERS], index=KEY, variable_name="order", value_name="margin")
    long = long.select(pl.lit("toy").alias("suite"), *KEY, pl.col("order").cast(pl.Int64), "margin")
    return pl.concat(long.with_columns(level=pl.lit(level)) for level in levels)


def scores_of(pairs, margin):
    same = [pl.lit(5, pl.Int32).alias(name) for name in ("tokens_good", "tokens_bad")]
    return pairs.select(*KEY, (margin - 40).alias("logp_good"), pl.lit(-40.0).alias("logp_bad"), *same).reverse()


def at(pairs, margin, levels=("token",)):
    return Ladder(ngram_margins(margins_of(pairs, levels))).at(scores_of(pairs, margin))


def figures(frame, paradigm, by, order):
    row = (pl.col("paradigm") == paradigm) & (pl.col("by") == by) & (pl.col("order") == order)
    return frame.row(by_predicate=row, named=True)


def test_a_network_that_is_the_bigram_model_correlates_with_it_fully():
    pairs = pairs_of([30, 20, 40, 10], np.random.default_rng(0))
    got = at(pairs, 3 * pl.col("2") + 7, levels=("token", "word")).filter(pl.col("order") == 2)
    assert got.select("paradigm", "by", "level", "n").rows() == [
        (paradigm, by, level, n)
        for paradigm, by, n in [
            *[("", by, n) for by, n in (("pairs", 100), ("within", 100), ("paradigms", 4))],
            *[(f"p{i}", "pairs", n) for i, n in enumerate((30, 20, 40, 10))],
        ]
        for level in ("token", "word")
    ]
    assert got["r"].to_list() == pytest.approx([1] * 14)
    assert got["rho"].to_list() == pytest.approx([1] * 14)


def test_within_and_between_paradigms_are_two_things():
    generator = np.random.default_rng(0)
    shift = 50 * pl.col("paradigm").str.slice(1).cast(pl.Float64)
    pairs = pairs_of([100] * 5, generator).with_columns(pl.col("2") + shift)
    got = at(pairs, shift - (pl.col("2") - shift))  # against it pair by pair, with it paradigm by paradigm
    assert figures(got, "", "within", 2)["r"] == pytest.approx(-1)
    assert figures(got, "", "paradigms", 2)["r"] > 0.99
    assert figures(got, "", "paradigms", 2)["rho"] == 1
    assert figures(got, "", "pairs", 2)["r"] > 0.95


def by_scipy(table):
    """r and rho of columns 3 and m, ties as close as the ladder takes them."""
    return pearsonr(table["3"], table["m"]).statistic, spearmanr(table["3"].round(9), table["m"].round(9)).statistic


def test_ranks_see_order_alone_and_share_at_ties():
    pairs = pairs_of([6], np.random.default_rng(0)).with_columns(pl.Series("2", [1.0, 2, 3, 4, 5, 6]))
    got = figures(at(pairs, pl.col("2").exp()), "p0", "pairs", 2)
    assert got["rho"] == pytest.approx(1) and got["r"] < 0.95
    tied = pl.when(pl.col("2") > 3).then(1.0).otherwise(0.0) + 1e-12 * pl.col("2")  # noise is a tie
    expected = spearmanr([1, 2, 3, 4, 5, 6], [0, 0, 0, 1, 1, 1]).statistic
    assert figures(at(pairs, tied), "p0", "pairs", 2)["rho"] == pytest.approx(expected)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(6, 30), min_size=4, max_size=6), st.integers(0, 10**6), st.sampled_from([0, 1, 8]))
def test_every_figure_is_scipys(sizes, seed, decimals):
    generator = np.random.default_rng(seed)
    pairs = pairs_of(sizes, generator).with_columns(pl.col("1", "2", "3").round(decimals))
    pairs = pairs.with_columns(m=pl.col("2") + pl.Series(generator.normal(0, 1, len(pairs))).round(decimals))
    assume(pairs.group_by("paradigm").agg(pl.col("3", "m").n_unique() > 1).select(pl.col("3", "m").all()).row(0) == (True, True))
    got = at(pairs, pl.col("m"))
    within = []
    for (paradigm,), own in pairs.group_by("paradigm"):
        row = figures(got, paradigm, "pairs", 3)
        within.append(by_scipy(own))
        assert (row["r"], row["rho"]) == pytest.approx(within[-1], abs=1e-7)
    assert (figures(got, "", "within", 3)["r"], figures(got, "", "within", 3)["rho"]) == pytest.approx(
        np.mean(within, axis=0), abs=1e-7
    )
    means = pairs.group_by("paradigm").agg(pl.col("3", "m").mean())
    for by, table in (("pairs", pairs), ("paradigms", means)):
        row = figures(got, "", by, 3)
        assert (row["r"], row["rho"]) == pytest.approx(by_scipy(table), abs=1e-7)


def test_what_does_not_vary_and_few_points_have_no_correlation_and_count_for_nothing():
    flat = pl.when(pl.col("paradigm") == "p0").then(0.1).otherwise("2")
    pairs = pairs_of([20, 20, 3], np.random.default_rng(0)).with_columns(flat.alias("2"))
    got = at(pairs, pl.col("2"))
    assert figures(got, "p0", "pairs", 2)["r"] is None and figures(got, "p0", "pairs", 2)["rho"] is None
    assert figures(got, "p2", "pairs", 2)["r"] is None and figures(got, "p2", "pairs", 2)["n"] == 3
    assert figures(got, "", "within", 2)["r"] == pytest.approx(1) and figures(got, "", "within", 2)["n"] == 20
    assert figures(got, "", "paradigms", 2)["r"] is None and figures(got, "", "paradigms", 2)["n"] == 3
    assert at(pairs, pl.lit(0.0))["r"].null_count() == len(got)


def test_along_training():
    pairs = pairs_of([20], np.random.default_rng(0))
    tables = ((seed, step, scores_of(pairs, pl.col(str(step)))) for seed in (0, 1) for step in (1, 2))
    got = ladder(tables, margins_of(pairs))
    assert got.columns == ["suite", "seed", "step", "paradigm", "by", "level", "order", "r", "rho", "n"]
    assert got.schema["seed"] == got.schema["order"] == got.schema["n"] == pl.Int64
    own = got.filter(pl.col("paradigm") == "p0", pl.col("step") == pl.col("order"))
    assert own.select("suite", "seed", "step").rows() == [("toy", 0, 1), ("toy", 0, 2), ("toy", 1, 1), ("toy", 1, 2)]
    assert own["r"].to_list() == pytest.approx([1] * 4)
    with pytest.raises(OntogenyError, match="nothing to hold the n-grams against"):
        ladder([], margins_of(pairs))


def a_ladder(curves, n=100, steps=(0, 10, 20, 30, 40), paradigm="p0", seed=0, level="token"):
    """A ladder of one paradigm from its r by order."""
    rows = [
        ("toy", seed, step, name, by, level, order, r, r, n)
        for name, by in ((paradigm, "pairs"), ("", "within"), ("", "pairs"))
        for order, values in curves.items()
        for step, r in zip(steps, values, strict=True)
    ]
    names = ["suite", "seed", "step", "paradigm", "by", "level", "order", "r", "rho", "n"]
    return pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)


def rung(curves, trained_from=10, **given):
    row = rungs(a_ladder(curves, **given), trained_from).filter(pl.col("paradigm") == "p0").row(0, named=True)
    return tuple(row[name] for name in ("closest_order", "closest_step", "peak_r", "end_r", "left_step"))


def test_the_rung_is_the_highest_r_of_the_trained_checkpoints_and_is_left_for_good():
    # 100 pairs: the interval around .6 reaches down to .457
    assert rung({1: [0.9, 0.3, 0.2, 0.1, 0.0], 2: [0, 0.3, 0.6, 0.4, 0.3]}) == (2, 20, 0.6, 0.3, 30)
    assert rung({1: [0.9, 0.3, 0.2, 0.1, 0.0]}, trained_from=0) == (1, 0, 0.9, 0.0, 10)
    assert rung({2: [0, 0.3, 0.6, 0.4, 0.5]}) == (2, 20, 0.6, 0.5, None)  # back at the end
    assert rung({2: [0, 0.6, 0.5, 0.4, 0.4]}) == (2, 10, 0.6, 0.4, 30)  # inside in between
    assert rung({2: [0, 0.6, 0.4, 0.5, 0.4]}) == (2, 10, 0.6, 0.4, None)  # the last one alone says nothing
    assert rung({2: [0, 0.3, 0.4, 0.5, 0.6]}) == (2, 40, 0.6, 0.6, None)  # the last one
    assert rung({2: [0, 0.3, 0.6, 0.45, None]}) == (2, 20, 0.6, None, 30)  # an undefined r is below
    assert rung({2: [0, 0.3, 0.6, 0.46, 0.46]}) == (2, 20, 0.6, 0.46, None)


def test_of_equal_rungs_the_lower_and_earlier_one():
    assert rung({2: [0, 0.1, 0.6, 0.6, 0.6], 1: [0, 0.1, 0.1, 0.6, 0.6]})[:2] == (1, 30)


def test_a_rung_that_chance_explains_is_none():
    # .25 over 100 pairs: p = .012, which four looks correct to .05, and eight to .10
    assert rung({2: [0, 0.1, 0.26, 0.1, 0.0]})[:2] == (2, 20)
    assert rung({2: [0, 0.1, 0.26, 0.1, 0.0], 1: [0, 0.1, 0.1, 0.1, 0.0]}) == (None,) * 5
    assert rung({2: [0.9, None, None, None, None]}) == (None,) * 5
    assert rung({2: [0.9] * 5}, trained_from=41) == (None,) * 5


def test_a_perfect_imitation_is_left_as_soon_as_it_is_not_perfect():
    assert rung({2: [0, 1.0, 1.0, 0.9, 0.9]}) == (2, 10, 1.0, 0.9, 30)


def test_the_whole_suite_is_followed_within_paradigms_and_its_error_is_of_all_its_pairs():
    many = [a_ladder({2: [0, 0.3, 0.6, 0.5, 0.5]}, paradigm=f"p{i}") for i in range(20)]
    whole = [frame.filter(pl.col("paradigm") == "") for frame in many[:1]]
    frame = pl.concat([*[f.filter(pl.col("paradigm") != "") for f in many], *whole])
    frame = frame.with_columns(n=pl.when(pl.col("paradigm") == "").then(2000).otherwise("n"))
    frame = frame.with_columns(r=pl.when(paradigm="", by="pairs").then(0.99).otherwise("r"))  # not what is followed
    got = rungs(frame, 10)
    assert got["paradigm"].to_list() == ["", *sorted(f"p{i}" for i in range(20))]
    assert got.columns == ["suite", "seed", "paradigm", "closest_order", "closest_step", "peak_r", "end_r", "left_step"]
    assert got.row(0) == ("toy", 0, "", 2, 20, 0.6, 0.5, 30)
    assert got["left_step"][1] is None  # .5 is inside the interval of 100 pairs


def test_pairs_that_share_a_contrast_count_once():
    """100 pairs of five contrasts, four as large, say as much as five: 1 / .2."""
    frame = a_ladder({2: [0, 0.3, 0.6, 0.4, 0.3]})
    alone = pl.DataFrame({"suite": "toy", "paradigm": "p0", "pair": range(100), "contrast": range(100)})
    shared = alone.with_columns(contrast=pl.col("contrast") // 20)
    assert rungs(frame, 10, contrasts=alone).equals(rungs(frame.with_columns(n=100), 10))
    assert rungs(frame, 10, contrasts=shared)["closest_order"].null_count() == 2
    uneven = alone.with_columns(contrast=pl.col("contrast").clip(0, 30))  # 30 of one, one of 70
    few = a_ladder({2: [0, 0.3, 0.97, 0.4, 0.3]})
    assert rungs(few, 10, contrasts=uneven)["closest_order"].null_count() == 2  # 10,000 / 4,930 = 2


def test_seeds_and_levels_go_apart():
    words = a_ladder({1: [0, 0.9, 0.9, 0.9, 0.9]}, level="word")
    frame = pl.concat([a_ladder({2: [0, 0.6, 0.1, 0, 0]}), a_ladder({3: [0, 0.1, 0.6, 0, 0]}, seed=1), words])
    got = rungs(frame, 10).filter(pl.col("paradigm") == "p0")
    assert got.select("seed", "closest_order", "closest_step").rows() == [(0, 2, 10), (1, 3, 20)]
    assert rungs(frame, 10, level="word")["closest_order"].to_list() == [1, 1]
    with pytest.raises(OntogenyError, match="no level 'tokens'; did you mean 'token'"):
        rungs(frame, 10, level="tokens")
