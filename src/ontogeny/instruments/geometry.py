"""Geometry: how many directions weights and states use, how alike states are, and how far they are from untrained ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.spatial import cKDTree

from ontogeny.instruments.instrument import Column, Instrument, schema
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel
from ontogeny.trajectories.timeline import Floats

STATES = "states of layer "
CONSTANT = 1e-12  # variance, relative to the mean square, below which states do not vary
SINGULAR = 1e-8  # of the largest singular value: those below it are of float32's rounding
SHOWN = {
    "rank": "effective rank of the states of each layer",
    "cosine": "how alike the states of two random tokens are",
    "cka": "likeness of each layer's states to those of the first checkpoint",
}


class Geometry(Instrument):
    """Spectra of the weight matrices, and of the states of held-out text layer by layer."""

    uses: ClassVar[tuple[str, ...]] = ("text",)

    kind: Literal["geometry"] = "geometry"
    points: int = Field(1000, ge=20)
    """Tokens whose states are compared with one another."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By weight matrix, and by layer of states."""
        share = (0.0, 1.0)
        return {
            "part": Column(says="a weight matrix, or the states of a layer; 0: embeddings", dtype=pl.String, index=True),
            "rank": Column(says="effective rank: e to the entropy of the singular values, over the most it can be", span=share),
            "condition": Column(says="largest singular value of a matrix over its smallest that is not 0"),
            "cosine": Column(says="mean cosine of the states of two random tokens", span=(-1.0, 1.0)),
            "top": Column(says="share of the states' variance on their first principal component", span=share),
            "frequency": Column(says="absolute correlation of that component with the token's log frequency", span=share),
            "dimension": Column(says="intrinsic dimension of the states (TwoNN)"),
            "cka": Column(says="linear CKA (debiased) with the same layer at the first checkpoint", span=(-1.0, 1.0)),
        }

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises DoesNotApply for a model that gives no hidden states, and OntogenyError for states that are no number."""
        return pl.DataFrame([*of_weights(subject.model), *self._of_states(subject)], schema=schema(self), orient="row")

    def _of_states(self, subject: Subject) -> Iterator[tuple[Any, ...]]:
        rows, layers = subject.sample(), subject.sampled_states
        first = subject.context.once(("first states", subject.seed, len(layers)), lambda: subject.reference().sampled_states)
        begin = int(subject.first is not None)  # BOS is in every row
        tokens = rows[:, begin:].ravel()
        which = np.random.default_rng(0).permutation(len(tokens))[: self.points]
        frequency = np.log(frequencies(subject)[tokens[which]])
        for number, (layer, before) in enumerate(zip(layers, first, strict=True)):
            states, untrained = (one[:, begin:].reshape(len(tokens), -1)[which].astype(np.float64) for one in (layer, before))
            cka = debiased_cka(states, untrained)
            yield f"{STATES}{number}", *of_states(states, frequency), cka

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Of the states of the last layer: effective rank, likeness of tokens, and likeness to the first checkpoint."""
        states = table.filter(pl.col("part").str.starts_with(STATES))
        last = states.filter(pl.col("part") == states["part"].max())
        said = {"effective rank": "rank", "anisotropy": "cosine", "likeness to the beginning": "cka"}
        return {name: last.select("seed", "step", value=column) for name, column in said.items()}

    def panels(self) -> tuple[Panel, ...]:
        """Effective rank, likeness of tokens, and likeness to the first checkpoint, by layer."""
        return tuple(
            Panel(
                name=f"geometry.{name}",
                title=title,
                needs=("geometry",),
                draw=partial(_drawn, name, self.columns[name]),
                says=partial(_says, name, title),
                there=partial(_there, name),
                command="read RUN --with geometry",
            )
            for name, title in SHOWN.items()
        )


def of_weights(model: Any) -> Iterator[tuple[Any, ...]]:
    """Name, effective rank and condition of each matrix among a model's weights, and nothing of states."""
    for name, weight in model.named_parameters():
        if weight.ndim == 2 and min(weight.shape) > 1:
            spectrum = singular_values(weight.detach().double())
            positive = spectrum[spectrum > SINGULAR * spectrum[0]]
            condition = float(spectrum[0] / positive[-1]) if len(positive) else None
            yield name, effective_rank(spectrum), condition, *[None] * 5


def singular_values(matrix: torch.Tensor) -> Floats:
    """In descending order, by the eigenvalues of the smaller of its two products with itself."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    found = torch.linalg.eigvalsh(tall.T @ tall).clamp(min=0).sqrt().flip(0).cpu().numpy()
    return np.asarray(found, dtype=np.float64)


def effective_rank(spectrum: Floats) -> float | None:
    """exp of the entropy of p = s / sum s, over how many there are (Roy & Vetterli 2007); None where all are 0."""
    if not spectrum.sum() > 0:
        return None
    p = spectrum / spectrum.sum()
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()) / len(spectrum))


def of_states(states: Floats, frequency: Floats) -> tuple[float | None, ...]:
    """rank, condition (None), cosine, top, frequency, dimension of (points, width); all None of a layer that is constant."""
    centred = states - states.mean(0)
    variance = float((centred**2).mean())
    if variance <= CONSTANT * float((states**2).mean()):
        return (None,) * 6
    spectrum = np.linalg.svd(centred, compute_uv=False)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    unit = states / np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-12)
    mean = unit.sum(0)
    n = len(states)
    cosine = float((mean @ mean - (unit**2).sum()) / (n * (n - 1)))  # of all pairs of two
    top = float(spectrum[0] ** 2 / (spectrum**2).sum())
    along = centred @ vectors[:, -1]
    r = float(abs(np.corrcoef(along, frequency)[0, 1])) if frequency.std() > 0 else None
    return effective_rank(spectrum), None, cosine, top, r, two_nn(states)


def two_nn(points: Floats) -> float | None:
    """Intrinsic dimension by the ratio of the distances to the two nearest others (Facco et al. 2017), maximum likelihood.

    Points that coincide count once; None where fewer than 20 are left.
    """
    scale = float(points.std()) or 1.0
    distinct = np.unique(np.round(points / scale, 5), axis=0)  # nearer than that is float32's rounding
    if len(distinct) < 20:
        return None
    distance, _ = cKDTree(distinct).query(distinct, k=3)
    ratio = np.log(distance[:, 2] / distance[:, 1])
    return float((len(distinct) - 1) / ratio.sum()) if ratio.sum() > 0 else None


def debiased_cka(x: Floats, y: Floats) -> float | None:
    """Linear CKA of states of the same points (points, width), with unbiased HSIC (Song et al. 2012); None: constant."""
    one, other = (_gram(states) for states in (x, y))
    scale = _hsic(one, one) * _hsic(other, other)
    return float(np.clip(_hsic(one, other) / np.sqrt(scale), -1, 1)) if scale > 0 else None


def _gram(states: Floats) -> Floats:
    centred = states - states.mean(0)
    if float((centred**2).mean()) <= CONSTANT * float((states**2).mean()):
        return np.zeros((len(states), len(states)))
    gram = centred @ centred.T / float((centred**2).sum())
    np.fill_diagonal(gram, 0)
    return np.asarray(gram, dtype=np.float64)


def _hsic(k: Floats, m: Floats) -> float:
    """Of Gram matrices without their diagonals; times a number that cancels."""
    n = len(k)
    total = (k * m).sum() + k.sum() * m.sum() / (n - 1) / (n - 2) - 2 * (k.sum(0) @ m.sum(0)) / (n - 2)
    return float(total)


def frequencies(subject: Subject) -> NDArray[np.float64]:
    """How often each token is in the training text, or in the sampled one where that is not known; one is added."""
    if subject.context.knows_text:
        return np.asarray(np.exp(subject.unigram()), dtype=np.float64)
    return np.asarray(np.bincount(subject.sample().ravel()) + 1.0, dtype=np.float64)


def _states(frames: Frames, name: str) -> pl.DataFrame:
    return frames["geometry"].filter(pl.col("part").str.starts_with(STATES)).drop_nulls(name).sort("part", "step", "seed")


def _there(name: str, frames: Frames) -> bool:
    return not _states(frames, name).is_empty()


def _drawn(name: str, column: Column, frames: Frames, clock: Clock, **options: Any) -> Drawn:
    layers = _states(frames, name).with_columns(layer=pl.col("part").str.strip_prefix(STATES).cast(pl.Int64))
    return curves.draw("geometry", name, column, ["layer"], {"geometry": layers}, clock, **options)


def _says(name: str, title: str, frames: Frames, clock: Clock) -> str:
    """The last layer at the first checkpoint and at the last one."""
    layers = _states(frames, name)
    last = layers.filter(pl.col("part") == layers["part"].max()).group_by("step").agg(pl.col(name).mean()).sort("step")
    began, ends = last.row(0, named=True), last.row(-1, named=True)
    return f"{title.capitalize()}: of the last layer {began[name]:.3f} at step {began['step']:,} and {ends[name]:.3f} at the end."
