"""Ridge logistic regression with one group left out at a time, the area under the ROC curve, and calibration.

All of it weighted: a bootstrap resample is a vector of counts, and all folds of a resample are fitted in one batch, so that
every resample can be fitted anew.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from ontogeny.trajectories.timeline import Bools, Floats, Ints

STRENGTH = 1.0  # C of the ridge: the sum of log losses is multiplied by it, as in scikit-learn
ITERATIONS = 50


def fit(predictors: Floats, outcome: Bools, weights: Floats, strength: float = STRENGTH) -> Floats:
    """(fits, 1 + k): intercepts and slopes of one ridge logistic regression for each row of weights.

    `predictors` is (fits, n, k), `outcome` (n,), `weights` (fits, n). Minimises `|slopes|^2 / 2 + strength x sum of
    weighted log losses`; the intercept is free.  Newton's method.  NaN where it does not converge, as with classes
    that an unpenalised fit separates.
    """
    design = np.concatenate([np.ones((*predictors.shape[:2], 1)), predictors], axis=2)
    ridge = np.diag(np.r_[0.0, np.full(predictors.shape[2], 1 / strength)])
    coefficients = np.zeros((len(weights), design.shape[2]))
    change = np.full(len(weights), np.inf)
    for _ in range(ITERATIONS):
        p = expit(np.matmul(design, coefficients[:, :, None])[:, :, 0])
        gradient = np.matmul((weights * (p - outcome))[:, None, :], design)[:, 0] + coefficients @ ridge
        curvature = np.matmul((design * (weights * p * (1 - p))[:, :, None]).transpose(0, 2, 1), design) + ridge
        step = _solve(curvature, gradient)
        coefficients = coefficients - step
        change = np.abs(step).max(axis=1)
        if not (change > 1e-8).any():
            break
    coefficients[~(change <= 1e-8)] = np.nan
    return coefficients


def out_of_fold(predictors: Floats, outcome: Bools, groups: Ints, weights: Floats | None = None) -> tuple[Floats, Floats]:
    """(n,) score and (n,) probability of each row from a fit to the other groups; NaN where its weight is 0.

    `predictors` is (n, k), standardised inside each fold; `groups` (n,) numbers the groups. The two classes weigh the
    same in every fold, and the score is the log-odds of that fit.  With the classes as common as they are, a fold's
    intercept is lowest where the group left out is mostly positive, and predictors that say nothing then come out far
    below one half when folds are pooled.  The probability adds the log-odds of the fold's own base rate (King & Zeng
    2001, prior correction).  A fold with one class only knows the base rate: its score is 0.  Raises ValueError with
    fewer than two groups.
    """
    weights = np.ones(len(outcome)) if weights is None else weights
    left_out = np.unique(groups[weights > 0])
    if len(left_out) < 2:
        raise ValueError("leaving one group out needs two groups")
    training = (groups != left_out[:, None]) * weights  # (folds, n)
    positive, negative = training @ outcome, training @ ~outcome
    both = (positive > 0) & (negative > 0)
    shares = (positive + negative) / 2 / np.where(outcome[:, None], positive, negative).clip(1e-300)  # (n, folds)
    scaled = standardised(predictors, training)
    coefficients = fit(scaled[both], outcome, (training * shares.T)[both])
    log_odds = np.zeros(training.shape)
    log_odds[both] = coefficients[:, :1] + np.matmul(scaled[both], coefficients[:, 1:, None])[:, :, 0]
    fold = np.searchsorted(left_out, groups).clip(max=len(left_out) - 1)
    score = np.where(weights > 0, log_odds[fold, np.arange(len(outcome))], np.nan).round(9)  # rounding error is no ranking
    base = (positive + 0.5) / (positive + negative + 1)
    return score, expit(score + logit(base)[fold])


def standardised(predictors: Floats, weights: Floats) -> Floats:
    """(fits, n, k): `predictors` (n, k) with mean 0 and deviation 1 under each row of `weights` (fits, n); a constant
    becomes 0."""
    shares = weights / weights.sum(axis=1, keepdims=True)
    centred = predictors - (shares @ predictors)[:, None, :]
    deviation = np.sqrt(np.einsum("fn,fnk->fk", shares, centred**2))
    scale = np.abs(predictors).max(axis=0, initial=0.0)
    varies = deviation > 1e-9 * scale
    return np.asarray(np.where(varies, 1 / np.where(varies, deviation, 1), 0)[:, None, :] * centred)


def roc_auc(score: Floats, outcome: Bools, weights: Floats | None = None) -> float:
    """Area under the ROC curve: how often a positive row scores above a negative one, ties one half (Hanley & McNeil
    1982).

    Rows of weight 0 do not count; NaN without both classes.
    """
    weights = np.ones(len(score)) if weights is None else weights
    kept = weights > 0
    _, level = np.unique(score[kept], return_inverse=True)
    positive = np.bincount(level, weights[kept] * outcome[kept])
    negative = np.bincount(level, weights[kept] * ~outcome[kept])
    area = positive @ (np.cumsum(negative) - negative / 2)
    product = positive.sum() * negative.sum()
    return float(area / product) if product > 0 else float("nan")


def calibration(probability: Floats, outcome: Bools) -> tuple[float | None, float | None]:
    """Intercept and slope of the outcome's log-odds on the predicted ones (Cox 1958): 0 and 1 if the probabilities are
    true.

    None where predictions separate the classes, do not vary, or there is one class: then there is no such line.
    """
    predicted = logit(probability)
    if len(np.unique(predicted)) < 2 or _separated(predicted, outcome):
        return None, None
    centre, deviation = predicted.mean(), predicted.std()
    scaled: NDArray[np.float64] = ((predicted - centre) / deviation)[None, :, None]
    intercept, slope = fit(scaled, outcome, np.ones((1, len(outcome))), strength=np.inf)[0]
    if np.isnan(slope):
        return None, None
    return float(intercept - slope * centre / deviation), float(slope / deviation)


def _separated(score: Floats, outcome: Bools) -> bool:
    if outcome.all() or not outcome.any():
        return True
    wrong, right = score[outcome], score[~outcome]
    return bool(wrong.min() >= right.max() or right.min() >= wrong.max())


def _solve(curvature: Floats, gradient: Floats) -> Floats:
    try:
        return np.asarray(np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0])
    except np.linalg.LinAlgError:  # one of the fits has run off to where its curve is flat
        return np.asarray(np.matmul(np.linalg.pinv(np.nan_to_num(curvature)), gradient[:, :, None])[:, :, 0])
