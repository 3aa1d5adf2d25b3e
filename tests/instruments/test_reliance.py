"""Bigram reliance: regressions with known answers, against numpy's least squares, and what cannot be told apart."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.instruments import reliance as room
from ontogeny.instruments.instrument import checked
from ontogeny.instruments.ngram_margins import ngram_margins
from ontogeny.instruments.reliance import RUNGS_OF_PREDICTORS, Reliance, reliance_at
from ontogeny.records import OntogenyError, Pair

KEY = ["paradigm", "pair"]


def world(sizes, generator, suite="toy"):
    """Pairs of paradigms p0, p1 ... with random b, u and token counts, in no order."""
    paradigm = np.repeat([f"p{i}" for i in range(len(sizes))], sizes)
    n = len(paradigm)
    return pl.DataFrame(
        {
            "suite": [suite] * n,
            "paradigm": paradigm.tolist(),
            "pair": [str(i) for i in range(n)],
            "b": generator.normal(1, 2, n),
            "u": generator.normal(-1, 3, n),
            "tokens_good": generator.integers(5, 9, n).astype(np.int32),
            "tokens_bad": generator.integers(5, 9, n).astype(np.int32),
        }
    ).sample(fraction=1, shuffle=True, seed=1)


def margins_of(pairs):
    """The table of n-gram margins with rows b and u, and one that nobody asks for."""
    levels = (("token", 2, "b"), ("token", 1, "u"), ("word", 2, "u"))
    parts = [
        pairs.select(
            "suite", *KEY, pl.lit(level).alias("level"), pl.lit(order, pl.Int64).alias("order"), pl.col(name).alias("margin")
        )
        for level, order, name in levels
    ]
    return pl.concat(parts)


def scores_of(pairs, margin):
    """Scores whose margin is the expression given."""
    both = ["tokens_good", "tokens_bad"]
    return pairs.select(*KEY, (margin + pl.lit(-40.0)).alias("logp_good"), pl.lit(-40.0).alias("logp_bad"), *both).reverse()


def at(pairs, margin):
    return reliance_at(scores_of(pairs, margin), ngram_margins(margins_of(pairs), RUNGS_OF_PREDICTORS))


def figures(frame, paradigm, predictor):
    return frame.row(by_predicate=(pl.col("paradigm") == paradigm) & (pl.col("predictor") == predictor), named=True)


LENGTH = pl.col("tokens_bad").cast(pl.Float64) - pl.col("tokens_good")


def test_slopes_without_noise_are_found_in_every_paradigm_and_pooled():
    pairs = world([40, 60], np.random.default_rng(0))
    got = at(pairs, 2 * pl.col("b") - pl.col("u") + 0.5 * LENGTH)
    assert got["paradigm"].to_list() == ["", "", "", "p0", "p0", "p0", "p1", "p1", "p1"]
    assert got["predictor"].to_list() == ["b", "u", "length"] * 3
    assert got["slope"].to_list() == pytest.approx([2, -1, 0.5] * 3)
    assert got["r2"].to_list() == pytest.approx([1] * 9)
    assert got["n"].to_list() == [100] * 3 + [40] * 3 + [60] * 3


def test_a_margin_of_b_alone_is_all_its_own():
    pairs = world([5000], np.random.default_rng(0))
    got = at(pairs, pl.col("b"))
    b, u = figures(got, "p0", "b"), figures(got, "p0", "u")
    assert (b["beta"], b["r2_alone"]) == pytest.approx((1, 1))
    assert b["r2_unique"] == pytest.approx(1, abs=0.01)  # b and u are independent but for chance
    assert (u["beta"], u["r2_unique"]) == pytest.approx((0, 0), abs=1e-9)
    assert u["r2_alone"] < 0.01


def test_standardised_betas_are_slopes_in_standard_deviations():
    pairs = world([300], np.random.default_rng(0)).with_columns(pl.Series("noise", np.random.default_rng(1).normal(0, 4, 300)))
    got = at(pairs, 2 * pl.col("b") - pl.col("u") + pl.col("noise"))
    spread = pairs.select(m=(2 * pl.col("b") - pl.col("u") + pl.col("noise")).std(), b=pl.col("b").std()).row(0, named=True)
    b = figures(got, "p0", "b")
    assert b["slope"] == pytest.approx(2, abs=0.4)
    assert b["beta"] == pytest.approx(b["slope"] * spread["b"] / spread["m"])


def by_least_squares(columns, margin):
    """R2 of ordinary least squares with an intercept, and its slopes."""
    design = np.column_stack([np.ones(len(margin)), *columns])
    slopes = np.linalg.lstsq(design, margin, rcond=None)[0]
    return 1 - ((margin - design @ slopes) ** 2).sum() / ((margin - margin.mean()) ** 2).sum(), slopes[1:]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(8, 40), min_size=1, max_size=4), st.integers(0, 10**6), st.floats(-3, 3), st.floats(-1, 1))
def test_every_figure_is_that_of_least_squares(sizes, seed, slope, shared):
    generator = np.random.default_rng(seed)
    pairs = world(sizes, generator).with_columns(u=pl.col("u") + shared * pl.col("b"))
    pairs = pairs.with_columns(m=slope * pl.col("b") - pl.col("u") + 5 * pl.col("paradigm").str.slice(1).cast(pl.Float64))
    pairs = pairs.with_columns(m=pl.col("m") + pl.Series(generator.normal(0, 1, len(pairs))), length=LENGTH)
    got = at(pairs, pl.col("m"))
    for paradigm in got["paradigm"].unique():
        own = pairs if paradigm == "" else pairs.filter(pl.col("paradigm") == paradigm)
        columns, margin = own.select("b", "u", "length").to_numpy().T, own["m"].to_numpy()
        r2, slopes = by_least_squares(columns, margin)
        for i, predictor in enumerate(("b", "u", "length")):
            row = figures(got, paradigm, predictor)
            assert (row["r2"], row["slope"]) == pytest.approx((r2, slopes[i]), abs=1e-7)
            assert row["beta"] == pytest.approx(slopes[i] * columns[i].std() / margin.std(), abs=1e-7)
            assert row["r2_alone"] == pytest.approx(by_least_squares(columns[i : i + 1], margin)[0], abs=1e-7)
            assert row["r2_unique"] == pytest.approx(r2 - by_least_squares(np.delete(columns, i, 0), margin)[0], abs=1e-7)


def test_a_predictor_that_does_not_vary_is_left_out_where_it_does_not():
    pairs = world([30, 30], np.random.default_rng(0))
    pairs = pairs.with_columns(tokens_bad=pl.when(pl.col("paradigm") == "p0").then("tokens_good").otherwise("tokens_bad") + 1)
    got = at(pairs, 2 * pl.col("b") - pl.col("u") + 0.1 * LENGTH)
    length = figures(got, "p0", "length")
    assert (length["beta"], length["slope"], length["r2_alone"], length["r2_unique"]) == (None, None, 0, 0)
    assert figures(got, "p0", "b")["slope"] == pytest.approx(2)
    assert [figures(got, paradigm, "length")["slope"] for paradigm in ("p1", "")] == pytest.approx([0.1, 0.1])


def test_a_constant_that_is_no_round_number_does_not_vary_either():
    pairs = world([30], np.random.default_rng(0)).with_columns(u=pl.lit(0.1))
    assert figures(at(pairs, pl.col("b")), "p0", "u")["beta"] is None


def test_predictors_that_cannot_be_told_apart_have_no_coefficient():
    pairs = world([30], np.random.default_rng(0)).with_columns(u=3 * pl.col("b") - 1)
    got = at(pairs, 2 * pl.col("b") + 0.5 * LENGTH)
    for predictor in ("b", "u"):
        row = figures(got, "p0", predictor)
        assert (row["beta"], row["slope"], row["r2_unique"]) == (None, None, 0)
        assert row["r2"] == pytest.approx(1)
    assert figures(got, "p0", "length")["slope"] == pytest.approx(0.5)
    assert figures(got, "p0", "b")["r2_alone"] == pytest.approx(figures(got, "p0", "u")["r2_alone"])


def test_within_a_paradigm_its_mean_is_no_matter_and_pooled_it_is():
    generator = np.random.default_rng(0)
    shift = 20 * pl.col("paradigm").str.slice(1).cast(pl.Float64)  # paradigms differ in b and in the margin by as much
    pairs = world([500, 500], generator).with_columns(b=pl.col("b") + shift)
    noise = pl.Series(generator.normal(0, 2, 1000))
    got = at(pairs.with_columns(noise=noise), shift + pl.col("noise"))
    assert figures(got, "p0", "b")["r2"] < 0.03
    assert figures(got, "", "b")["r2"] > 0.9


def test_a_margin_that_does_not_vary_and_too_few_pairs_have_no_figures():
    pairs = world([4, 30], np.random.default_rng(0))
    flat = at(pairs, pl.lit(0.3))
    assert flat.select("beta", "slope", "r2", "r2_alone", "r2_unique").null_count().row(0) == (9,) * 5
    got = at(pairs, pl.col("b"))
    assert figures(got, "p0", "b")["r2"] is None and figures(got, "p0", "b")["n"] == 4
    assert figures(got, "p1", "b")["r2"] == pytest.approx(1)


def test_along_training_every_checkpoint_has_its_rows(monkeypatch):
    pairs = world([20], np.random.default_rng(0))
    monkeypatch.setattr(room, "_margins", lambda *asked: ngram_margins(margins_of(pairs), RUNGS_OF_PREDICTORS))
    context = SimpleNamespace(suites=[SimpleNamespace(name="toy", key="k")], once=lambda key, make: make())
    found = []
    for seed, step in ((0, 1), (0, 2), (1, 1), (1, 2)):
        scores = scores_of(pairs, step * pl.col("b") + seed * pl.col("u"))
        known = [Pair(paradigm, pair, "a", "b") for paradigm, pair in scores.select("paradigm", "pair").iter_rows()]
        subject = SimpleNamespace(context=context, scores={"toy": scores}.get, pairs={"toy": known}.get)
        found.append(checked(Reliance(), Reliance().read(subject)))
    assert found[0].columns == ["suite", "paradigm", "predictor", "beta", "slope", "r2", "r2_alone", "r2_unique", "n"]
    assert {got.schema["n"] for got in found} == {pl.Int64} and {name for got in found for name in got["suite"]} == {"toy"}
    b = [got.filter(pl.col("predictor") == "b", pl.col("paradigm") == "p0")["slope"].to_list() for got in found]
    assert b == [pytest.approx([slope]) for slope in (1, 2, 1, 2)]


def test_what_does_not_belong_together_is_refused():
    pairs = world([20, 20], np.random.default_rng(0)).sort("pair")
    scores = scores_of(pairs, pl.col("b"))
    first = scores.sort(KEY).select(KEY).row(0)
    ngrams = ngram_margins(margins_of(pairs), RUNGS_OF_PREDICTORS)
    refused = [
        (scores.sort(KEY)[1:], f"1 pairs have n-gram margins and no scores, the first of them {first[0]}, pair {first[1]}:"),
        (pl.concat([scores, scores.head(1)]), "2 rows for paradigm"),
        (pl.concat([scores, scores.head(1).with_columns(pair=pl.lit("new"))]), r"1 pairs have scores and no n-gram .* pair new:"),
        (scores.with_columns(logp_good=pl.lit(float("nan"))), "p0, pair 0: a score is no number"),
        (scores.with_columns(tokens_bad=pl.lit(None, pl.Int32)), "p0, pair 0: a score is no number, or a sentence has no token"),
        (scores.rename({"logp_good": "logp_god"}), "the scores have no column 'logp_good'; .*logp_god"),
    ]
    for wrong, message in refused:
        with pytest.raises(OntogenyError, match=message):
            reliance_at(wrong, ngrams)


def test_n_gram_margins_that_cannot_be_used_are_refused():
    pairs = world([20], np.random.default_rng(0))
    margins = margins_of(pairs)
    bigrams = pl.col("order") == 2
    broken = pl.when(pl.col("pair") == "3", bigrams).then(float("nan")).otherwise("margin")
    refused = [
        (
            pl.concat([margins, margins_of(world([3], np.random.default_rng(0), "other"))]),
            "one suite at a time: .* hold other, toy",
        ),
        (margins.clear(), "one suite at a time: the n-gram margins hold no rows"),
        (margins.filter(~bigrams), "no token 2-gram; they have token 1-gram"),
        (margins.filter(~bigrams | (pl.col("pair") != "3")), "p0, pair 3: the margin of the token 1-gram model is missing"),
        (margins.filter(bigrams | (pl.col("pair") != "3")), "p0, pair 3: the margin of the token 1-gram model is missing"),
        (margins.with_columns(margin=broken), "p0, pair 3: the margin of the token 2-gram model is missing or no number"),
        (pl.concat([margins, margins.head(1)]), "2 rows for paradigm p0"),
        (margins.drop("level"), "the n-gram margins have no column 'level'"),
    ]
    for wrong, message in refused:
        with pytest.raises(OntogenyError, match=message):
            ngram_margins(wrong, RUNGS_OF_PREDICTORS)
