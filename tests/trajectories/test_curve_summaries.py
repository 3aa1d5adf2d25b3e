import math

import numpy as np
import pytest
from scipy.interpolate import make_smoothing_spline

from ontogeny.trajectories.summaries import (
    acquired_halfway,
    acquired_lasting,
    breakthrough,
    change_points,
    forgetting,
    smoothed,
    variability,
)

DOUBLINGS = 2 ** np.arange(0, 15)


def logistic(steps, middle, steepness=6.0):
    return 0.5 + 0.4 / (1 + np.exp(-steepness * (np.log10(steps) - np.log10(middle))))


@pytest.mark.parametrize("middle", [64, 200, 1000])
def test_age_of_acquisition_of_a_logistic_curve_is_its_middle(middle):
    dense = np.unique(np.geomspace(1, 100_000, 60).astype(int))
    assert acquired_halfway(dense, logistic(dense, middle), 0.55) == pytest.approx(middle, rel=0.02)


def test_age_of_acquisition_holds_for_thousands_of_checkpoints_and_for_noise():
    steps = np.arange(1, 10_001) * 10
    noisy = logistic(steps, 1000) + np.random.default_rng(0).normal(0, 0.01, len(steps))
    assert acquired_halfway(steps, noisy, 0.55) == pytest.approx(1000, rel=0.05)


def test_age_of_acquisition_of_few_checkpoints_joins_them_by_lines():
    # halfway from .5 to .9 is .7: halfway between 10 and 1,000 in log step
    assert acquired_halfway(np.array([0, 10, 1000]), np.array([0.9, 0.5, 0.9]), 0.55) == pytest.approx(100)
    assert acquired_halfway(np.array([10, 1000]), np.array([0.5, 0.54]), 0.55) is None
    assert acquired_halfway(np.array([10, 1000]), np.array([0.8, 0.8]), 0.55) == 10  # no later than
    assert acquired_halfway(np.array([], dtype=int), np.array([]), 0.55) is None


def test_the_penalty_is_the_one_that_generalised_cross_validation_likes_best():
    x = np.log10(np.unique(np.geomspace(1, 4071, 29).astype(int)))
    y = 0.5 + 0.4 / (1 + np.exp(-4 * (x - 2))) + 0.03 * np.random.default_rng(3).normal(size=len(x))

    def hat(penalty):
        return np.array([make_smoothing_spline(x, unit, lam=penalty)(x) for unit in np.eye(len(x))]).T

    def score(a):
        return len(x) * ((y - a @ y) ** 2).sum() / np.trace(np.eye(len(x)) - a) ** 2

    hats = [hat(penalty) for penalty in np.geomspace(1e-5, 1e2, 60)]
    best = min(hats, key=score)
    ours = smoothed(x, y)(x)
    assert np.abs(ours - best @ y).max() < 2e-3
    assert ((y - ours) ** 2).sum() > 0 and score(best) <= score(hat(1.0))


def test_checkpoints_that_lie_close_together_can_be_smoothed():
    steps = np.arange(1_000_000, 1_000_256)  # scipy's own search: "ill-posed"
    accuracy = 0.4 + 0.5 * (np.arange(256) >= 128) + 0.01 * np.sin(np.arange(256))
    assert acquired_halfway(steps, accuracy, 0.55) == pytest.approx(1_000_127.5, abs=2)
    gaps = np.array([1, 2, 4, 8, 100_000, 100_001, 100_002, 200_000])
    assert acquired_halfway(gaps, np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.51, 0.5, 0.9]), 0.55) > 100_002


def test_the_first_checkpoint_that_lasts():
    steps = np.arange(1, 9)
    accuracy = np.array([0.5, 0.6, 0.5, 0.6, 0.6, 0.6, 0.5, 0.6])
    assert acquired_lasting(steps, accuracy, 0.6, 3) == 4
    assert acquired_lasting(steps, accuracy, 0.6, 1) == 2
    assert acquired_lasting(steps, accuracy, 0.6, 4) is None
    assert acquired_lasting(steps[:2], accuracy[:2], 0.6, 3) is None


def test_variability_and_forgetting():
    assert variability(np.array([0.5, 0.6, 0.7])) == pytest.approx(0.1)
    assert variability(np.array([0.5])) is None
    assert forgetting(np.array([0.5, 0.9, 0.7])) == pytest.approx(0.2)
    assert forgetting(np.array([0.5, 0.9])) == 0


def test_a_breakthrough_is_where_a_flat_curve_begins_to_climb():
    accuracy = 0.5 + 0.05 * np.clip(np.log2(DOUBLINGS) - 6, 0, None)
    assert breakthrough(DOUBLINGS, accuracy) == pytest.approx(64)
    assert breakthrough(DOUBLINGS, accuracy, least=0.049) == pytest.approx(64)
    assert breakthrough(DOUBLINGS, accuracy, least=0.051) is None
    assert breakthrough(DOUBLINGS, 1 - accuracy) is None  # only turns downward
    assert breakthrough(np.array([0, 1, 2]), np.array([0.5, 0.5, 0.9])) is None


def test_noise_between_close_checkpoints_is_no_breakthrough():
    steps = np.r_[DOUBLINGS, 2**14 + np.arange(1, 9)]
    accuracy = 0.5 + 0.05 * np.clip(np.log2(steps) - 6, 0, None)
    accuracy[-8:] += np.array([0.01, -0.01] * 4)
    assert breakthrough(steps, accuracy) == pytest.approx(64, rel=0.01)


def test_change_points_of_a_step_function():
    steps, accuracy = np.arange(10) * 100, np.repeat([0.5, 0.8, 0.6], [4, 3, 3])
    got = change_points(steps, accuracy, 1000, np.tile(accuracy, (5, 1)))
    assert [(c.step, c.low, c.high) for c in got] == [(400, 400, 400), (700, 700, 700)]
    assert [c.shift for c in got] == pytest.approx([0.3, -0.2])
    assert change_points(steps, accuracy, 1000)[0].low is None
    assert change_points(steps, np.full(10, 0.7), 1000) == []
    assert change_points(steps[:3], accuracy[3:6], 1000) == []


def test_a_change_counts_when_it_is_worth_its_penalty():
    # five and five: the sum of squares falls by 2.5 shift^2, and a change costs 2 x .25 / n x log(10)
    smallest = math.sqrt(2 * 0.25 / 1000 * math.log(10) / 2.5)
    for factor, found in ((0.99, 0), (1.01, 1)):
        assert len(change_points(np.arange(10), np.repeat([0.5, 0.5 + factor * smallest], 5), 1000)) == found


def test_the_interval_of_a_change_is_of_its_places_in_the_resamples():
    steps = np.arange(10)
    early, late = np.repeat([0.5, 0.8], [3, 7]), np.repeat([0.5, 0.8], [6, 4])
    got = change_points(steps, np.repeat([0.5, 0.8], 5), 1000, np.array([early] * 10 + [late] * 10))
    assert [(c.step, c.low, c.high) for c in got] == [(5, 3, 6)]


def test_change_points_of_thousands_of_checkpoints():
    steps = np.arange(5000)
    (got,) = change_points(steps, np.where(steps < 700, 0.5, 0.8), 1000)
    assert got.step == pytest.approx(700, rel=0.05) and got.shift == pytest.approx(0.3)
