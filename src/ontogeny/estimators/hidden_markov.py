"""A hidden Markov model with diagonal Gaussians: fitted by EM (Rabiner 1989), its number of states chosen by BIC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from ontogeny.estimators.resampling import Floats, Ints

ROUNDS = 100  # of EM
GAIN = 1e-4  # of the log-likelihood, below which it ends
STARTS = 4
LEAST = 1e-2  # variance of a state, where that of all is 1


@dataclass(frozen=True, slots=True, eq=False)
class HiddenMarkov:
    """K states; what is seen of them are `means` and `variances` (K, d)."""

    begin: Floats  # (K,) log-probabilities of the first state
    move: Floats  # (K, K), from row to column
    means: Floats
    variances: Floats
    loglik: float

    def parameters(self) -> int:
        """Numbers that were fitted."""
        k, d = map(int, self.means.shape)
        return k - 1 + k * (k - 1) + 2 * k * d

    def states(self, seen: Floats) -> Ints:
        """The most likely states of one sequence (T, d), by Viterbi's algorithm."""
        out = self._emitted(seen[None])[0]
        best, back = self.begin + out[0], []
        for row in out[1:]:
            ways = best[:, None] + self.move
            back.append(ways.argmax(0))
            best = ways.max(0) + row
        found = [int(best.argmax())]
        for step in reversed(back):
            found.append(int(step[found[-1]]))
        return np.array(found[::-1])

    def _emitted(self, seen: Floats) -> Floats:
        """(sequences, T, K) log-densities."""
        away = (seen[:, :, None, :] - self.means) ** 2 / self.variances
        return np.asarray(-0.5 * (away + np.log(2 * np.pi * self.variances)).sum(-1))


def chosen(seen: Floats, most: int) -> HiddenMarkov:
    """The model of 1 to `most` states whose BIC is least.  `seen`: (sequences, T, d)."""
    points = seen.shape[0] * seen.shape[1]
    models = [fitted(seen, k) for k in range(1, most + 1)]
    return min(models, key=lambda one: -2 * one.loglik + one.parameters() * np.log(points))


def fitted(seen: Floats, k: int) -> HiddenMarkov:
    """The best of a few fits of k states: of one that begins with k equal stretches of time, and of others with random cuts."""
    generator = np.random.default_rng(k)
    n = seen.shape[1]
    cuts = [np.arange(n) * k // n]
    if 1 < k < n:
        drawn = [np.sort(generator.choice(np.arange(1, n), k - 1, replace=False)) for _ in range(STARTS - 1)]
        cuts += [np.searchsorted(cut, np.arange(n), side="right") for cut in drawn]
    return max((_em(seen, np.eye(k)[labels]) for labels in cuts), key=lambda one: one.loglik)


def _em(seen: Floats, first: Floats) -> HiddenMarkov:
    """From states over time `first` (T, K)."""
    own = np.broadcast_to(first, (len(seen), *first.shape))
    k = first.shape[1]
    pairs = np.einsum("stk,stl->kl", own[:, :-1], own[:, 1:])
    before = -np.inf
    for _ in range(ROUNDS):
        model = _maximised(seen, own, pairs, k)
        own, pairs, loglik = _expected(model, seen)
        if loglik - before < GAIN:
            break
        before = loglik
    return HiddenMarkov(model.begin, model.move, model.means, model.variances, loglik)


def _maximised(seen: Floats, own: Floats, pairs: Floats, k: int) -> HiddenMarkov:
    weight = own.sum((0, 1))[:, None] + 1e-9
    means = np.einsum("stk,std->kd", own, seen) / weight
    square = np.einsum("stk,stkd->kd", own, (seen[:, :, None, :] - means) ** 2) / weight
    begin, move = own[:, 0].mean(0) + 1e-6, pairs + 1e-6
    with np.errstate(divide="ignore"):
        return HiddenMarkov(
            np.log(begin / begin.sum()), np.log(move / move.sum(1, keepdims=True)), means, np.maximum(square, LEAST), -np.inf
        )


def _expected(model: HiddenMarkov, seen: Floats) -> tuple[Floats, Floats, float]:
    """How likely each state is at each time (sequences, T, K), how often each follows each, and the log-likelihood of it all."""
    out = model._emitted(seen)
    forward = np.empty_like(out)
    forward[:, 0] = model.begin + out[:, 0]
    for t in range(1, out.shape[1]):
        forward[:, t] = logsumexp(forward[:, t - 1, :, None] + model.move, axis=1) + out[:, t]
    backward = np.zeros_like(out)
    for t in range(out.shape[1] - 2, -1, -1):
        backward[:, t] = logsumexp(model.move + (out[:, t + 1] + backward[:, t + 1])[:, None, :], axis=2)
    whole = logsumexp(forward[:, -1], axis=1)
    own = np.exp(forward + backward - whole[:, None, None])
    between = forward[:, :-1, :, None] + model.move + (out[:, 1:] + backward[:, 1:])[:, :, None, :] - whole[:, None, None, None]
    return own, np.exp(between).sum((0, 1)), float(whole.sum())
