import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from ontogeny.recipe import Thresholds
from ontogeny.records import OntogenyError
from ontogeny.trajectories import null, timeline_of
from ontogeny.trajectories.nulls import Null, swapped_curves

STEPS = list(range(0, 101, 5))


def always_right(pairs, paradigms=1):
    """Curves and pairs of a model that is right on every pair at every step."""
    names = [f"p{i}" for i in range(paradigms)]
    rows = [(name, 0, step, pairs, 1.0) for name in names for step in STEPS]
    curves = pl.DataFrame(rows, schema=["paradigm", "seed", "step", "n", "accuracy"], orient="row")
    return curves, lambda name: scored(pairs)


def scored(pairs):
    rows = [(0, step, f"{i:03}", f"{i:03}", -1.0, -2.0, 3, 3) for step in STEPS for i in range(pairs)]
    columns = ["seed", "step", "pair", "contrast", "logp_good", "logp_bad", "tokens_good", "tokens_bad"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def test_a_swap_is_fixed_over_checkpoints_and_turns_x_into_1_minus_x():
    outcomes = np.array([[1.0, 0.5, 0.0], [0.75, 1.0, 0.25]])
    got = {tuple(np.round(row, 9)) for row in swapped_curves(outcomes, 300, np.random.default_rng(0))}
    want = set()
    for code in range(8):
        swap = [(code >> i) & 1 for i in range(3)]
        want.add(tuple(np.round([np.mean([1 - x if s else x for x, s in zip(row, swap, strict=True)]) for row in outcomes], 9)))
    assert got == want


def test_false_alarms_are_as_frequent_as_the_binomial_says():
    # a model right on all 60 pairs gives, swapped, a constant curve of Binomial(60, 1/2) / 60
    curves, pairs_of = always_right(60)
    limits = Thresholds(hi=0.6, swaps=2000, untrained=0.0)
    got = null(curves, timeline_of(curves), limits, pairs_of)
    tail = binom.cdf(24, 60, 0.5)  # .4 or less; as likely as .6 or more
    spread = 4 * (tail * (1 - tail) / 2000) ** 0.5
    assert got.learned / 2000 == pytest.approx(tail, abs=spread) and got.entrenched / 2000 == pytest.approx(tail, abs=spread)
    assert got.either == got.learned + got.entrenched and got.share == got.either / 2000 and not got.holds


def test_the_default_band_keeps_the_share_below_its_limit_over_many_paradigms():
    curves, pairs_of = always_right(100, paradigms=20)
    got = null(curves, timeline_of(curves), Thresholds(), pairs_of)
    assert got.swaps == 200 and got.limit >= got.share and got.holds


def test_swaps_do_not_depend_on_which_other_paradigms_there_are():
    limits = Thresholds(hi=0.6, swaps=100, untrained=0.0)
    one, pairs_of = always_right(60)
    two, _ = always_right(60, paradigms=2)
    alone, both = (null(curves, timeline_of(curves), limits, pairs_of) for curves in (one, two))
    assert both.either >= alone.either and both.learned <= both.either


def test_whether_the_limit_holds():
    assert Null(200, 0, 0, 0, 0.0, 0.0149).holds and not Null(200, 9, 9, 18, 0.09, 0.13).holds


def test_no_swaps_are_no_null():
    curves, pairs_of = always_right(5)
    with pytest.raises(OntogenyError, match=r"verdicts\.swaps is 0"):
        null(curves, timeline_of(curves), Thresholds(swaps=0), pairs_of)
