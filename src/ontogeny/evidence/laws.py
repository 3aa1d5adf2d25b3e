"""Laws of finished runs: whether a late gain is data or annealing, accuracy against loss, and what paradigms move together."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from scipy.optimize import least_squares, minimize
from scipy.special import expit

from ontogeny.scoring.options import CHANCE
from ontogeny.trajectories.timeline import Floats

MEMORY = 0.999  # of the momentum that a fall of the learning rate leaves (Tissue et al. 2024)
DELTA = 1e-3  # of Huber's loss, on differences of log loss
FEWEST = 8  # checkpoints after warm-up, below which no law is fitted
LATE = 0.2  # the last share of the steps, whose gain is divided
MOVES = 0.1  # accuracy that a fitted curve has to move by over a run's losses, to have a threshold
FITS = 0.5  # R² of such a curve, below which it has none
COMPONENTS = 3
LAWS: dict[str, Any] = {
    **dict.fromkeys(("seed", "step"), pl.Int64),
    **dict.fromkeys(("floor", "scale", "power", "drop"), pl.Float64),
    **dict.fromkeys(("annealed", "late", "late_data", "late_annealed"), pl.Float64),
    **dict.fromkeys(("error", "without"), pl.Float64),
    "checkpoints": pl.Int64,
}
COURSE: dict[str, Any] = {
    **dict.fromkeys(("seed", "step"), pl.Int64),
    **dict.fromkeys(("loss", "law", "unannealed"), pl.Float64),
}
EMERGENCE: dict[str, Any] = {
    **dict.fromkeys(("suite", "paradigm"), pl.String),
    **dict.fromkeys(("threshold", "rate", "best", "r2"), pl.Float64),
    "checkpoints": pl.Int64,
}
PARTS: dict[str, Any] = {
    "suite": pl.String,
    "component": pl.Int64,
    "share": pl.Float64,
    "paradigm": pl.String,
    "loading": pl.Float64,
}


class Law(NamedTuple):
    """L = floor + scale S1^-power - drop S2 (Tissue et al. 2024), nats a token."""

    floor: float
    scale: float
    power: float
    drop: float
    error: float  # root mean square of the residuals of log loss

    def at(self, s1: Floats, s2: Floats) -> Floats:
        """The loss where so much was learned and so much annealed."""
        return np.asarray(self.floor + self.scale * s1**-self.power - self.drop * s2)


def progress(rates: Floats) -> tuple[Floats, Floats]:
    """S1, the sum of learning rates, and S2, the annealing, after each step; warm-up counts as if at its peak.

    m_i = .999 m_{i-1} + eta_{i-1} - eta_i, and S2 is the sum of the m.
    """
    peak = int(np.argmax(rates))
    counted = np.where(np.arange(len(rates)) < peak, rates[peak], rates)
    fallen, m = np.append(0.0, -np.diff(counted)), 0.0
    annealing = np.empty(len(rates))
    for i, fall in enumerate(fallen):
        annealing[i] = m = MEMORY * m + fall
    return np.cumsum(counted), np.cumsum(annealing)


def fitted(loss: Floats, s1: Floats, s2: Floats, annealing: bool = True) -> Law:
    """By Huber's loss of log residuals, L-BFGS-B from a grid of beginnings; without `annealing`, drop is 0."""
    end = float(loss.min())
    unit = float(s2.max()) or 1.0

    def unpacked(how: Floats) -> Law:
        return Law(float(np.exp(how[0])), float(np.exp(how[1])), float(how[2]), float(how[3]) / unit, 0.0)

    def cost(how: Floats) -> float:
        away = np.abs(np.log(np.maximum(unpacked(how).at(s1, s2), 1e-9)) - np.log(loss))
        return 1e3 * float(np.where(away <= DELTA, away**2 / 2, DELTA * (away - DELTA / 2)).mean() / DELTA)

    bounds = [(None, None), (None, None), (0.01, 3.0), (0.0, None if annealing else 0.0)]
    grid = product((0.5, 0.8, 0.95), (0.2, 0.5, 1.0), (0.0, 0.1) if annealing else (0.0,))
    begins = [
        np.array([np.log(share * end), np.log(max(loss[0] - share * end, 1e-3)) + power * np.log(s1[0]), power, drop])
        for share, power, drop in grid
    ]
    best = min((minimize(cost, begin, method="L-BFGS-B", bounds=bounds) for begin in begins), key=lambda found: found.fun)
    law = unpacked(best.x)
    return law._replace(error=float(np.sqrt(np.mean((np.log(law.at(s1, s2)) - np.log(loss)) ** 2))))


def laws(dev: pl.DataFrame | None, rates: pl.DataFrame | None) -> pl.DataFrame:
    """A row a seed (LAWS): the law, and what of the gain over the last fifth of the steps is data and what annealing.

    `dev`: seed, step, loss.  `rates`: seed, step, learning_rate.  Seeds with fewer than FEWEST checkpoints after warm-up have none.
    """
    rows = []
    for seed, steps, loss, s1, s2 in _measured(dev, rates):
        law, without = fitted(loss, s1, s2), fitted(loss, s1, s2, annealing=False)
        at = int(np.searchsorted(steps, (1 - LATE) * steps[-1]))
        data = float(law.scale * (s1[at] ** -law.power - s1[-1] ** -law.power))
        annealed = float(law.drop * (s2[-1] - s2[at]))
        row = (
            seed,
            steps[-1],
            *law[:4],
            law.drop * s2[-1],
            loss[at] - loss[-1],
            data,
            annealed,
            law.error,
            without.error,
            len(loss),
        )
        rows.append(row)
    return pl.DataFrame(rows, LAWS, orient="row")


def course(dev: pl.DataFrame | None, rates: pl.DataFrame | None) -> pl.DataFrame:
    """The loss, the law's, and the law's had nothing been annealed, at each checkpoint after warm-up (COURSE)."""
    rows = []
    for seed, steps, loss, s1, s2 in _measured(dev, rates):
        law = fitted(loss, s1, s2)
        own = zip(steps, loss, law.at(s1, s2), law.at(s1, np.zeros_like(s2)), strict=True)
        rows += [(seed, int(step), *map(float, values)) for step, *values in own]
    return pl.DataFrame(rows, COURSE, orient="row")


def _measured(dev: pl.DataFrame | None, rates: pl.DataFrame | None) -> list[tuple[int, Floats, Floats, Floats, Floats]]:
    """Seed, steps, loss, S1 and S2 of the checkpoints after warm-up."""
    if dev is None or rates is None:
        return []
    found = []
    for (seed,), own in dev.sort("step").group_by("seed", maintain_order=True):
        every = rates.filter(seed=seed).sort("step")["learning_rate"].to_numpy()
        steps, loss = own.select("step", "loss").to_numpy().T
        kept = (steps > np.argmax(every)) & (steps <= len(every)) if len(every) else np.zeros(len(steps), dtype=bool)
        if kept.sum() >= FEWEST:
            s1, s2 = (sums[steps[kept].astype(int) - 1] for sums in progress(every))
            found.append((int(seed), steps[kept], loss[kept], s1, s2))  # type: ignore[call-overload]
    return found


# --- accuracy against loss ----------------------------------------------------------------------------------------


def emergence(curves: pl.DataFrame, dev: pl.DataFrame | None) -> pl.DataFrame:
    """The loss at which each paradigm's accuracy is halfway from chance to its best, over checkpoints and seeds (EMERGENCE).

    accuracy = chance + (best - chance) sigmoid(rate (threshold - loss)); no threshold where that moves by less than MOVES over the
    losses that were seen, fits worse than FITS, or is halfway outside them.  `curves`: suite, paradigm, seed, step, accuracy
    and, where that is not .5, chance; of one run or of several.
    """
    if dev is None:
        return pl.DataFrame(schema=EMERGENCE)
    joined = curves.join(dev, on=[name for name in ("run", "seed", "step") if name in curves.columns and name in dev.columns])
    rows = []
    for (suite, paradigm), own in joined.group_by("suite", "paradigm", maintain_order=True):
        loss, accuracy = own.select("loss", "accuracy").cast(pl.Float64).to_numpy().T
        if len(loss) >= FEWEST:
            chance = float(own["chance"][0]) if "chance" in own.columns else CHANCE
            rows.append((suite, paradigm, *risen(loss, accuracy, chance), len(loss)))
    return pl.DataFrame(rows, EMERGENCE, orient="row").sort("suite", "threshold", descending=[False, True], nulls_last=True)


def risen(loss: Floats, accuracy: Floats, chance: float = CHANCE) -> tuple[float | None, float | None, float, float]:
    """threshold, rate (a nat), best, and R²."""

    def curve(how: Floats) -> Floats:
        return np.asarray(chance + (how[2] - chance) * expit(np.exp(how[1]) * (how[0] - loss)))

    last = float(accuracy[np.argsort(loss)[: max(2, len(loss) // 5)]].mean())
    begins = [np.array([np.quantile(loss, q), np.log(2.0), np.clip(last, 0.01, 0.99)]) for q in (0.2, 0.5, 0.8)]
    bounds = ([loss.min() - 1, -3.0, 0.0], [loss.max() + 1, 5.0, 1.0])
    best = min(
        (least_squares(lambda how: curve(how) - accuracy, begin, bounds=bounds) for begin in begins), key=lambda one: one.cost
    )
    threshold, rate, top = best.x
    spread = float(((accuracy - accuracy.mean()) ** 2).sum())
    r2 = 1 - 2 * float(best.cost) / spread if spread > 0 else 0.0
    there = np.ptp(curve(best.x)) >= MOVES and r2 >= FITS and loss.min() <= threshold <= loss.max()
    return (float(threshold), float(np.exp(rate)), float(top), r2) if there else (None, None, float(top), r2)


# --- what moves together ------------------------------------------------------------------------------------------


def components(accuracy: pl.DataFrame, of: tuple[str, ...]) -> pl.DataFrame:
    """Principal components of paradigms' accuracies, centred, not scaled (PARTS): the share of the variance, and each loading.

    A row of the matrix is what the columns `of` tell apart, such as runs, or seeds and steps.  The sign is such that loadings
    sum to 0 or more; of all-alike rows there is none.
    """
    rows: list[tuple[Any, ...]] = []
    for (suite,), own in accuracy.group_by("suite", maintain_order=True):
        wide = own.pivot(on="paradigm", index=list(of), values="accuracy", aggregate_function="mean").drop(list(of))
        wide = wide.drop_nulls()
        values = wide.cast(pl.Float64).to_numpy()
        if len(values) < 3:
            continue
        _, s, parts = np.linalg.svd(values - values.mean(0), full_matrices=False)
        shares = s**2 / max(float((s**2).sum()), 1e-300)
        for number in range(min(COMPONENTS, int((s > 1e-9).sum()))):
            sign = -1.0 if parts[number].sum() < 0 else 1.0
            rows += [
                (suite, number + 1, shares[number], name, sign * x) for name, x in zip(wide.columns, parts[number], strict=True)
            ]
    return pl.DataFrame(rows, PARTS, orient="row")
