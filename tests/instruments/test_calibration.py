"""Calibration of margins whose probabilities are known."""

import numpy as np
import pytest
import tiny
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from ontogeny.instruments.calibration import calibrated, frequency, frequency_gap, slope
from ontogeny.scoring import plan as plans


def drawn(n=20_000, size=2.0, sharper=1.0, seed=0):
    """Margins that are right as often as their size says, and then `sharper` times as large."""
    rng = np.random.default_rng(seed)
    sure = np.abs(rng.normal(size=n)) * size
    return np.where(rng.random(n) < 1 / (1 + np.exp(-sure)), sure, -sure) * sharper


def test_margins_that_are_as_large_as_they_are_sure_have_slope_one():
    accuracy, confidence, _, s, _ = calibrated(drawn())
    assert s == pytest.approx(1, abs=0.05) and accuracy == pytest.approx(confidence, abs=0.01)
    assert slope(drawn(sharper=4)) == pytest.approx(slope(drawn()) / 4)
    assert slope(-drawn()) == pytest.approx(-slope(drawn()))


def test_slope_and_brier_are_those_of_others():
    m = drawn(n=500, sharper=3)
    theirs = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10)
    theirs.fit(np.r_[m, -m][:, None], [1] * 500 + [0] * 500)
    p = 1 / (1 + np.exp(-m))
    _, _, brier, s, wrong = calibrated(m)
    assert s == pytest.approx(theirs.coef_[0, 0], rel=1e-4)
    assert brier == pytest.approx(brier_score_loss(np.ones(500), p, pos_label=1))
    assert wrong == pytest.approx(-m[m < 0].mean())


def test_wrong_for_sure_is_confident_and_has_no_slope():
    accuracy, confidence, brier, s, wrong = calibrated(np.full(10, -50.0))
    assert (accuracy, s, wrong) == (0, None, 50) and (confidence, brier) == pytest.approx((1, 1))
    assert calibrated(np.zeros(4))[:4] == (0.5, 0.5, 0.25, None)


def test_frequent_pairs_that_are_right_have_a_gap():
    assert frequency_gap(np.array([1.0, 1, -1, -1]), np.array([-1.0, -2, -5, -6])) == 1
    assert frequency_gap(np.ones(4), np.full(4, -2.0)) is None
    pairs = [("a b", "a c"), ("b b", "b c")]
    tokenizer = tiny.words("a b c")
    plan = plans.make(tiny.pairs(*pairs), tokenizer, None, 8)
    often = np.zeros(len(tokenizer))
    often[tokenizer.convert_tokens_to_ids("b")] = -1
    assert frequency(plan, often).tolist() == [-0.25, -0.75]
