"""Statistics of the weights, of which phases of training are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontogeny.instruments.instrument import Column, Instrument
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.panel import Panel
from ontogeny.records import OntogenyError


class Weights(Instrument):
    """Norms, moments and singular values of a model's weights, means over its matrices: the statistics of Hu et al. (2023)."""

    kind: Literal["weights"] = "weights"

    @property
    def columns(self) -> Mapping[str, Column]:
        """One row."""
        return {
            "l1": Column(says="mean over matrices of the L1 norm"),
            "l2": Column(says="mean over matrices of the L2 norm"),
            "l1_l2": Column(says="mean over matrices of L1 over L2"),
            "mean": Column(says="mean of all weights in matrices"),
            "median": Column(says="their median"),
            "variance": Column(says="their variance"),
            "bias_mean": Column(says="mean of all biases and norms' scales"),
            "bias_median": Column(says="their median"),
            "bias_variance": Column(says="their variance"),
            "trace": Column(says="mean over matrices of the sum of the squared singular values"),
            "spectral": Column(says="mean over matrices of the largest singular value"),
            "trace_spectral": Column(says="mean over matrices of that sum over the square of the largest"),
            "singular_mean": Column(says="mean over matrices of the mean singular value"),
            "singular_variance": Column(says="mean over matrices of the variance of the singular values"),
        }

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises OntogenyError that names a weight that is no finite number."""
        own = {name: one.detach().double().cpu().numpy() for name, one in subject.model.named_parameters()}
        if wrong := next((name for name, one in own.items() if not np.isfinite(one).all()), None):
            raise OntogenyError(f"{wrong} holds a weight that is no finite number; the checkpoint may be broken")
        matrices = [one for one in own.values() if one.ndim == 2 and min(one.shape) > 1]
        rest = np.concatenate([one.ravel() for one in own.values() if one.ndim == 1] or [np.zeros(1)])
        return pl.DataFrame(_statistics(matrices, rest), orient="row")

    def panels(self) -> tuple[Panel, ...]:
        """Three of them; phases say what they come to."""
        return curves.panels(self.name, self.columns, most=3)


def _statistics(matrices: list[NDArray[np.float64]], rest: NDArray[np.float64]) -> dict[str, list[Any]]:
    every = np.concatenate([one.ravel() for one in matrices])
    singular = [np.linalg.svd(one, compute_uv=False) for one in matrices]
    norms = np.array([(np.abs(one).sum(), np.linalg.norm(one)) for one in matrices])
    of_each = {
        "l1": norms[:, 0],
        "l2": norms[:, 1],
        "l1_l2": norms[:, 0] / np.maximum(norms[:, 1], 1e-12),
        "trace": np.array([(s**2).sum() for s in singular]),
        "spectral": np.array([s[0] for s in singular]),
        "trace_spectral": np.array([(s**2).sum() / max(s[0] ** 2, 1e-12) for s in singular]),
        "singular_mean": np.array([s.mean() for s in singular]),
        "singular_variance": np.array([s.var() for s in singular]),
    }
    moments = {"mean": every.mean(), "median": np.median(every), "variance": every.var()}
    moments |= {"bias_mean": rest.mean(), "bias_median": np.median(rest), "bias_variance": rest.var()}
    return {name: [float(value.mean())] for name, value in of_each.items()} | {k: [float(v)] for k, v in moments.items()}
