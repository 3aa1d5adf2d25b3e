import polars as pl

from ontogeny.recipe import Thresholds
from ontogeny.trajectories import intervals


def test_intervals_hold_the_accuracy_and_do_not_depend_on_other_paradigms():
    rows = [(p, s, t, 100, 0.4 + 0.1 * s) for p in ("a", "b") for s in (0, 1) for t in (0, 10, 20)]
    table = pl.DataFrame(rows, schema=["paradigm", "seed", "step", "n", "accuracy"], orient="row")
    got = intervals(table, Thresholds(resamples=200))
    assert got.columns == ["paradigm", "step", "accuracy", "low", "high", "margin", "margin_low", "margin_high", "covers"]
    assert (got["low"] < got["accuracy"]).all() and (got["accuracy"] < got["high"]).all() and len(got) == 6
    alone = intervals(table.filter(pl.col("paradigm") == "b"), Thresholds(resamples=200))
    assert alone.equals(got.filter(pl.col("paradigm") == "b"))
