"""Phases and seeds: known from how the series are made."""

import numpy as np
import polars as pl
import pytest

from ontogeny.estimators.bimodality import dip, dip_p
from ontogeny.estimators.hidden_markov import chosen, fitted
from ontogeny.evidence.phases import moves, phases
from ontogeny.evidence.seeds import places, seeds
from ontogeny.records import OntogenyError

LEVELS = np.array([[0, 0, 0], [3, 0, 1], [3, 4, -1.0]])  # of three phases


def series(many, steps=24, swap=()):
    """Seeds that go through three phases, cut a little differently in each; those in `swap` never reach the third."""
    generator = np.random.default_rng(0)
    rows = []
    for seed in range(many):
        first, second = 6 + seed % 3, 14 + seed % 2
        for step in range(steps):
            phase = int(step >= first) + int(step >= second and seed not in swap)
            rows.append((seed, step, *(LEVELS[phase] + generator.normal(0, 0.2, 3))))
    return pl.DataFrame(rows, schema=["seed", "step", "a", "b", "c"], orient="row")


def test_three_phases_are_found_in_all_seeds_and_where_they_begin():
    found = phases(series(6, swap=(5,)))
    assert set(found["how"]) == {"hidden Markov map"} and found["phase"].unique().sort().to_list() == [1, 2, 3]
    begins = {(seed, phase): step for seed, phase, step in found.group_by("seed", "phase").agg(pl.col("step").min()).iter_rows()}
    assert [begins[seed, 2] for seed in range(6)] == [6, 7, 8, 6, 7, 8]
    assert [begins[seed, 3] for seed in range(5)] == [14, 15, 14, 15, 14] and (5, 3) not in begins
    assert moves(found)["seeds"].to_list() == [6, 6, 5]


def test_few_seeds_have_change_points_of_their_own():
    found = phases(series(2))
    assert set(found["how"]) == {"change points"}
    firsts = found.group_by("seed", "phase").agg(pl.col("step").min()).sort("seed", "phase")["step"].to_list()
    assert firsts == [0, 6, 14, 0, 7, 15]


def test_noise_has_one_phase_and_what_never_varies_has_none():
    generator = np.random.default_rng(1)
    assert chosen(generator.normal(size=(6, 24, 3)), 4).means.shape == (1, 3)
    flat = series(6).with_columns(pl.lit(1.0).alias(name) for name in "abc")
    assert phases(flat).is_empty()


def test_more_states_fit_no_worse_and_a_broken_number_is_named():
    seen = np.stack([own.drop("seed", "step").to_numpy() for _, own in series(6).group_by("seed", maintain_order=True)])
    assert fitted(seen, 3).loglik > fitted(seen, 2).loglik > fitted(seen, 1).loglik
    with pytest.raises(OntogenyError, match="b of seed 1 at step 3"):
        phases(series(2).with_columns(b=pl.when((pl.col("seed") == 1) & (pl.col("step") == 3)).then(float("nan")).otherwise("b")))


def test_the_dip_of_samples_known_by_hand():
    assert dip(np.arange(8.0)) == pytest.approx(1 / 16)  # uniform: as near to one mode as steps allow
    assert dip(np.array([0, 0, 0, 0, 1, 1, 1, 1.0])) == pytest.approx(0.25)  # two points of equal weight
    assert dip(np.array([0, 0, 0, 2.0])) == pytest.approx(0.125) and dip(np.zeros(5)) == pytest.approx(0.1)
    assert dip_p(np.array([0, 0.01, 0.02, 0.03, 1, 1.01, 1.02, 1.03])) < 0.01 < 0.5 < dip_p(np.arange(8.0))


def curve(rows):
    return pl.DataFrame(rows, schema=["suite", "paradigm", "seed", "step", "accuracy"], orient="row")


def test_a_paradigm_in_which_seeds_end_in_two_places_and_a_seed_that_lies_apart():
    rows = []
    for seed in range(8):
        rows += [("toy", "split", seed, step, 0.1 + 0.8 * (seed % 2) + 0.01 * seed) for step in (0, 9, 10)]
        rows += [("toy", "whole", seed, step, 0.9 + 0.01 * seed) for step in (0, 9, 10)]
    found = {row["paradigm"]: row for row in places(curve(rows)).to_dicts()}
    assert found["split"]["p_adjusted"] < 0.05 < found["whole"]["p_adjusted"]
    dev = pl.DataFrame({"seed": range(8), "step": 10, "loss": [2.0, 2.01, 2.02, 2.03, 2.04, 2.05, 2.06, 9.0]})
    table = seeds(curve(rows), dev)
    assert table["outlier"].to_list() == [0.0] * 7 + [1.0] and table["step"].to_list() == [10] * 8
    few = curve([row for row in rows if row[2] < 3])
    assert places(few)["dip"].null_count() == 2 and seeds(few, None)["accuracy_z"].null_count() == 3
