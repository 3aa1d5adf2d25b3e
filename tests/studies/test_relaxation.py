"""How a difference dies away: known curves give their own numbers back, and an independent fitter agrees."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from ontogeny.estimators.means import estimate
from ontogeny.studies.relaxation import Relaxation, fit, plateaus

MOMENTS = np.array([0.0, 10, 20, 40, 80, 120, 180, 240, 300])


@pytest.mark.parametrize(("plateau", "start", "time"), [(0.0, -3.0, 30.0), (-0.5, -3.0, 12.0), (0.4, 2.0, 60.0)])
def test_a_curve_gives_its_own_numbers_back(plateau, start, time):
    found = fit(MOMENTS, Relaxation(plateau, start, time, True).at(MOMENTS))
    assert (found.plateau, found.start, found.time) == pytest.approx((plateau, start, time), rel=1e-3, abs=1e-4)
    assert found.reached


def test_an_independent_fitter_finds_the_same_in_noise():
    noise = np.random.default_rng(0)
    for _ in range(5):
        values = Relaxation(-0.3, -2.5, 35, True).at(MOMENTS) + noise.normal(0, 0.1, len(MOMENTS))
        found = fit(MOMENTS, values)
        theirs, _ = optimize.curve_fit(lambda t, a, b, time: a + (b - a) * np.exp(-t / time), MOMENTS, values, (0, values[0], 30))
        assert (found.plateau, found.start, found.time) == pytest.approx(tuple(theirs), rel=5e-3)


def test_what_was_not_followed_long_enough_is_said():
    assert not fit(MOMENTS, Relaxation(0, -3, 150, True).at(MOMENTS)).reached


def test_too_few_moments_are_refused():
    with pytest.raises(ValueError, match="3 moments cannot tell how well it fits"):
        fit(MOMENTS[:3], MOMENTS[:3])


def test_seeds_share_a_time_and_each_has_a_plateau_of_its_own():
    levels = np.array([-0.4, -0.2, 0.0, 0.2])
    values = np.stack([Relaxation(level, level - 3, 30, True).at(MOMENTS) for level in levels])
    comparison, whole = plateaus((3, 5, 7, 9), MOMENTS, values)
    assert comparison.by_seed() == pytest.approx(levels, abs=1e-3)  # all alike but for the level: a jackknife of a mean
    assert (whole.plateau, whole.time) == pytest.approx((-0.1, 30), abs=0.02)
    (found,) = estimate([comparison], 100, np.random.default_rng(0))
    assert found.seeds == (3, 5, 7, 9)
    assert found.error == pytest.approx(levels.std(ddof=1) / 2, rel=0.1)


def test_intervals_of_the_plateau_hold_it_as_often_as_they_say():
    drawn, inside = np.random.default_rng(1), 0
    for _ in range(200):
        levels = drawn.normal(-0.3, 0.3, 8)
        values = np.stack([Relaxation(level, -3, 30, True).at(MOMENTS) for level in levels]) + drawn.normal(
            0, 0.2, (8, len(MOMENTS))
        )
        (found,) = estimate([plateaus(range(8), MOMENTS, values)[0]], 100, drawn)
        low, high = found.interval(0.95)
        inside += low < -0.3 < high
    assert inside / 200 >= 0.91  # .93 less a standard error and a half of 200 coins
