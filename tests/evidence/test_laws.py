"""Laws fitted to losses and accuracies that were made by them."""

import math

import numpy as np
import polars as pl
import pytest
from scipy.special import expit
from sklearn.decomposition import PCA

from ontogeny.evidence.laws import FEWEST, components, course, emergence, fitted, laws, progress, risen

STEPS = 2_000
TRUE = {"floor": 2.6, "scale": 0.9, "power": 0.6, "drop": 0.3}


def schedule(kind, warmup=100):
    done = np.clip((np.arange(STEPS) - warmup) / (STEPS - warmup), 0, 1)
    shape = np.ones(STEPS) if kind == "constant" else (1 + np.cos(math.pi * done)) / 2
    return 2e-3 * np.minimum((np.arange(STEPS) + 1) / warmup, 1) * shape


def made(kind, noise=0.002, seed=0, every=20):
    """Losses of a run under the true law."""
    s1, s2 = (sums[150::every] for sums in progress(schedule(kind)))
    loss = TRUE["floor"] + TRUE["scale"] * s1 ** -TRUE["power"] - TRUE["drop"] * s2
    return loss * np.exp(np.random.default_rng(seed).normal(size=len(loss)) * noise), s1, s2


def test_warm_up_counts_as_its_peak_and_annealing_is_summed_as_on_paper():
    s1, s2 = progress(np.array([1.0, 2.0, 2.0, 1.0, 1.0]))
    assert s1.tolist() == [2, 4, 6, 7, 8]
    assert s2 == pytest.approx([0, 0, 0, 1, 1.999])


def test_one_noisy_cosine_gives_back_its_law():
    law = fitted(*made("cosine"))
    assert law.scale == pytest.approx(TRUE["scale"], rel=0.06) and law.error == pytest.approx(0.002, rel=0.3)


def test_a_cosine_and_a_constant_rate_together_give_it_back_more_closely():
    both = [np.concatenate(own) for own in zip(made("cosine"), made("constant", seed=1), strict=True)]
    law = fitted(*both)
    assert law.scale == pytest.approx(TRUE["scale"], rel=0.02) and law.drop == pytest.approx(TRUE["drop"], rel=0.05)


def frames(kind, seeds=(0,)):
    rates, dev = [], []
    for seed in seeds:
        eta = schedule(kind)
        s1, s2 = progress(eta)
        loss = TRUE["floor"] + TRUE["scale"] * s1 ** -TRUE["power"] - TRUE["drop"] * s2
        rates.append(pl.DataFrame({"seed": seed, "step": np.arange(1, STEPS + 1), "learning_rate": eta}))
        at = np.arange(100, STEPS + 1, 100)
        dev.append(pl.DataFrame({"seed": seed, "step": at, "loss": loss[at - 1]}))
    return pl.concat(dev), pl.concat(rates)


def test_a_late_gain_is_divided_into_data_and_annealing():
    table = laws(*frames("cosine", (0, 1)))
    assert len(table) == 2 and table["step"].to_list() == [STEPS, STEPS]
    row = table.row(0, named=True)
    assert row["late_data"] + row["late_annealed"] == pytest.approx(row["late"], abs=2e-3)
    assert row["late_annealed"] > 2 * row["late_data"] and row["without"] > 5 * row["error"]
    flat = laws(*frames("constant")).row(0, named=True)
    assert flat["late_annealed"] == pytest.approx(0, abs=1e-9) and flat["late_data"] == pytest.approx(flat["late"], abs=1e-3)
    found = course(*frames("cosine"))
    assert (found["unannealed"] >= found["law"] - 1e-9).all() and found["law"].to_numpy() == pytest.approx(
        found["loss"].to_numpy(), abs=3e-3
    )


def test_few_checkpoints_have_no_law():
    dev, rates = frames("cosine")
    assert laws(dev.head(FEWEST - 1), rates).is_empty() and laws(None, rates).is_empty() and course(dev, None).is_empty()


def test_the_loss_at_which_a_paradigm_rises_is_found_and_what_stays_has_none():
    loss = np.linspace(6, 3, 25)
    up = 0.5 + 0.4 * expit(4 * (4.2 - loss))
    threshold, rate, best, r2 = risen(loss, up)
    assert (threshold, rate, best) == pytest.approx((4.2, 4, 0.9), rel=0.02) and r2 > 0.999
    threshold, _, best, _ = risen(loss, 0.5 - 0.45 * expit(4 * (5 - loss)))
    assert threshold == pytest.approx(5, abs=0.05) and best == pytest.approx(0.05, abs=0.02)  # it falls
    assert risen(loss, np.full(25, 0.5))[0] is None
    rows = [("s", name, 0, step, value) for name, curve in (("up", up), ("flat", 0 * up + 0.5)) for step, value in enumerate(curve)]
    curves = pl.DataFrame(rows, ["suite", "paradigm", "seed", "step", "accuracy"], orient="row")
    dev = pl.DataFrame({"seed": 0, "step": range(25), "loss": loss})
    table = emergence(curves, dev)
    assert table["paradigm"].to_list() == ["up", "flat"] and table["threshold"].is_null().to_list() == [False, True]
    assert emergence(curves, None).is_empty()
    of_five = curves.with_columns(accuracy=pl.Series([*(0.2 + 0.7 * expit(4 * (4.2 - loss))), *np.full(25, 0.2)]), chance=0.2)
    found = emergence(of_five, dev).filter(paradigm="up").row(0, named=True)
    assert (found["threshold"], found["best"]) == pytest.approx((4.2, 0.9), rel=0.02) and found["r2"] > 0.999


def test_components_are_those_of_another_library():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(12, 1)) @ rng.normal(size=(1, 5)) + 0.1 * rng.normal(size=(12, 5))
    rows = [("s", run, f"p{k}", values[run, k]) for run in range(12) for k in range(5)]
    found = components(pl.DataFrame(rows, ["suite", "run", "paradigm", "accuracy"], orient="row"), ("run",))
    theirs = PCA(3).fit(values)
    assert found.group_by("component").agg(pl.col("share").first()).sort("component")["share"].to_numpy() == pytest.approx(
        theirs.explained_variance_ratio_
    )
    first = found.filter(component=1)["loading"].to_numpy()
    assert abs(first @ theirs.components_[0]) == pytest.approx(1) and first.sum() >= 0
