"""What comes first: known from how the synthetic runs are made."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from ontogeny.estimators.significance import rank_correlation, sign_test
from ontogeny.evidence.over import PRECEDENCE
from ontogeny.evidence.precedence import decided, events, leads, onset

STEPS = np.array([0, *2.0 ** np.arange(0, 12), 2300, 2400])
SEEDS = range(8)


def test_an_onset_lasts_beyond_halfway_from_the_first_value_to_the_late_mean():
    steps = np.array([0, 10, 20, 30, 40, 45, 50], dtype=float)
    assert onset(steps, np.array([0, 6, 0, 6, 10, 10, 10.0])) == 30
    assert onset(steps, np.array([5, 5, 5, 3, 1, 1, 1.0])) == 40
    assert onset(steps, np.array([0, 10, 10, 10, 10, 10, 10.0])) == 10
    assert onset(steps, np.array([0, 1, 0, 1, 0, 1, 0.0])) is None  # moves less than it wavers


def test_events_of_a_curve():
    steps = np.array([0, 1, 2, 4, 8.0])
    assert events(steps, np.array([0.5, 0.5, 0.9, 0.9, 0.9]), 0.6) == {"onset": 2, "escape": None, "recovery": None}
    assert events(steps, np.array([0.1, 0.1, 0.5, 0.9, 0.9]), 0.6) == {"onset": None, "escape": 2, "recovery": 4}
    assert events(steps, np.array([0.1, 0.1, 0.9, 0.1, 0.1]), 0.6) == {"onset": None, "escape": None, "recovery": None}


def test_a_sign_test_and_a_rank_correlation_known_by_hand():
    assert sign_test(np.array([1, 2, 3, 0, 1.0])) == pytest.approx(2 / 16)
    x = np.array([[1, 2, 3, 4.0]])
    rho, p = rank_correlation(x, x**2, np.random.default_rng(0))
    assert rho == pytest.approx(1) and p == pytest.approx(2 / 24)  # this order and its reverse, of 4!
    assert rank_correlation(x, np.ones((1, 4)), np.random.default_rng(0))[1] == 1


def runs(shift, seeds=SEEDS, shuffled=False):
    """A reading that turns at a step drawn for each seed, and six paradigms that turn `shift` doublings later."""
    generator = np.random.default_rng(1)
    turns = {seed: 3 + seed % 4 for seed in seeds}
    others = dict(zip(seeds, generator.permutation(list(turns.values())), strict=True)) if shuffled else turns
    numbers = [("flow", "", "", s, int(t), float(t >= 2.0 ** turns[s])) for s in seeds for t in STEPS]
    curves = [
        ("toy", f"p{k}", s, int(t), 0.9 if t >= 2.0 ** (others[s] + shift) else 0.5) for k in range(6) for s in seeds for t in STEPS
    ]
    return (
        pl.DataFrame(numbers, schema=["reading", "suite", "paradigm", "seed", "step", "value"], orient="row"),
        pl.DataFrame(curves, schema=["suite", "paradigm", "seed", "step", "accuracy"], orient="row"),
    )


@pytest.mark.parametrize(("shift", "verdict"), [(2, "leads"), (-2, "follows"), (0, "undecided")])
def test_a_reading_that_leads_by_construction_is_found_and_by_how_much(shift, verdict):
    row = decided(leads(*runs(shift), {"toy": 0.6})).row(0, named=True)
    assert (row["event"], row["paradigms"], row["seeds"], row["verdict"]) == ("onset", 6, 8, verdict)
    assert row["lead"] == pytest.approx(shift) and row["rho"] == pytest.approx(1)


def test_a_reading_that_comes_first_but_in_no_order_of_the_seeds_is_undecided():
    row = decided(leads(*runs(4, shuffled=True), {"toy": 0.6})).row(0, named=True)
    assert row["first"] == 8 and row["p_order"] < 0.05 and row["verdict"] == "undecided"


def test_fewer_than_eight_seeds_decide_nothing():
    row = decided(leads(*runs(2, seeds=range(7)), {"toy": 0.6})).row(0, named=True)
    assert row["first"] == 7 and row["p_order"] is None and row["verdict"] == "undecided"


def test_a_suite_without_an_edge_has_no_events():
    numbers, curves = runs(2)
    both = pl.concat([curves, curves.with_columns(suite=pl.lit("written"))])
    verdicts = pl.DataFrame({"suite": ["toy", "written"], "hi": [0.6, None]})
    found = PRECEDENCE.table(SimpleNamespace(numbers=numbers, curves=both, verdicts=verdicts))
    assert found["suite"].unique().to_list() == ["toy"]
