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
from scipy.optimize import brentq
from scipy.spatial import cKDTree

from ontogeny.instruments.instrument import Column, DoesNotApply, Instrument, schema
from ontogeny.instruments.likeness import STILL, debiased_cka
from ontogeny.instruments.parts import head_weights
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel
from ontogeny.records import OntogenyError
from ontogeny.tokens.token_store import encode
from ontogeny.trajectories.timeline import Floats

STATES = "states of layer "
NEAR = 4  # neighbours, and twice as many, whose distances the dimension of sentences' ends is taken from
SINGULAR = 1e-8  # of the largest singular value: those below it are of float32's rounding
SHOWN = {
    "rank": "effective rank of the states of each layer",
    "cosine": "how alike the states of two random tokens are",
    "cka": "likeness of each layer's states to those of the first checkpoint",
}
NO_STATES = (None,) * 6  # the columns that weights do not have


class Geometry(Instrument):
    """Spectra of weight matrices, of what heads write and look for, and of the states of held-out text layer by layer."""

    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("pairs",)
    uses: ClassVar[tuple[str, ...]] = ("text",)

    kind: Literal["geometry"] = "geometry"
    points: int = Field(1000, ge=20)
    """Tokens whose states are compared with one another, and sentences whose ends are."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By weight matrix, and by layer of states."""
        share = (0.0, 1.0)
        return {
            "part": Column(
                says="a weight matrix, the product OV or QK of a head's, or the states of a layer; 0: embeddings",
                dtype=pl.String,
                index=True,
            ),
            "rank": Column(says="effective rank: e to the entropy of the singular values, over the most it can be", span=share),
            "condition": Column(says="largest singular value of a matrix over its smallest that is not 0"),
            "cosine": Column(says="mean cosine of the states of two random tokens", span=(-1.0, 1.0)),
            "top": Column(says="share of the states' variance on their first principal component", span=share),
            "frequency": Column(says="absolute correlation of that component with the token's log frequency", span=share),
            "dimension": Column(says="intrinsic dimension of the states (TwoNN)"),
            "ends": Column(says="intrinsic dimension of the states at the ends of the suites' right sentences (GRIDE, 4 and 8)"),
            "cka": Column(says="linear CKA (debiased) with the same layer at the first checkpoint", span=(-1.0, 1.0)),
        }

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises DoesNotApply for a model that gives no hidden states, and OntogenyError for states that are no number."""
        states = list(self._of_states(subject))  # first, as they say by name what is no number
        every = [*of_weights(subject.model), *of_heads(subject.model), *states]
        return pl.DataFrame(every, schema=schema(self), orient="row")

    def _of_states(self, subject: Subject) -> Iterator[tuple[Any, ...]]:
        rows, layers = subject.sample(), subject.sampled_states
        first = subject.context.once(("first states", subject.seed, len(layers)), lambda: subject.reference().sampled_states)
        begin = int(subject.first is not None)  # BOS is in every row
        tokens = rows[:, begin:].ravel()
        which = np.random.default_rng(0).permutation(len(tokens))[: self.points]
        frequency = np.log(frequencies(subject)[tokens[which]])
        ends = final_states(subject, self.points)
        for number, (layer, before) in enumerate(zip(layers, first, strict=True)):
            states, untrained = (one[:, begin:].reshape(len(tokens), -1)[which].astype(np.float64) for one in (layer, before))
            end = None if ends is None else dimension(ends[number], NEAR)
            yield f"{STATES}{number}", *of_states(states, frequency), end, debiased_cka(states, untrained)

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Of the states of the last layer: effective rank, likeness of tokens, and likeness to the first checkpoint."""
        states = table.filter(pl.col("part").str.starts_with(STATES))
        last = last_layer(states)
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
            yield name, *of_spectrum(singular_values(weight.detach().double())), *NO_STATES


def of_heads(model: Any) -> Iterator[tuple[Any, ...]]:
    """The same of what each head makes of a token that it looks at (OV), and of what it looks for (QK), as products of its weights.

    Their ranks are over the head's width, the most they can be.  Nothing for a model whose heads are not known.
    """
    try:
        every = list(head_weights(model))
    except DoesNotApply:
        return
    for name, query, key, value, out in every:
        for product, (tall, wide) in (("OV", (out, value)), ("QK", (query.T, key))):
            inner = torch.linalg.qr(tall.double())[1] @ torch.linalg.qr(wide.T.double())[1].T  # with the product's own values
            yield f"{name} {product}", *of_spectrum(singular_values(inner)), *NO_STATES


def of_spectrum(spectrum: Floats) -> tuple[float | None, float | None]:
    """Effective rank and condition."""
    positive = spectrum[spectrum > SINGULAR * spectrum[0]]
    return effective_rank(spectrum), float(spectrum[0] / positive[-1]) if len(positive) else None


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
    if variance <= STILL * float((states**2).mean()):
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
    """Intrinsic dimension by the ratio of the distances to the two nearest others (Facco et al. 2017), maximum likelihood."""
    return dimension(points, 1)


def dimension(points: Floats, near: int) -> float | None:
    """The same by the distances to the `near`-th other and to the one twice as far in order (GRIDE, Denti et al. 2022): d that
    maximises the sum of log d + (near - 1) log(mu^d - 1) - (2 near - 1) d log mu over the ratios mu.

    Points that coincide count once; None where there are fewer than 20, or than ten times as many as neighbours.
    """
    scale = float(points.std()) or 1.0
    distinct = np.unique(np.round(points / scale, 5), axis=0)  # nearer than that is float32's rounding
    if len(distinct) < max(20, 20 * near):
        return None
    distance, _ = cKDTree(distinct).query(distinct, k=2 * near + 1)
    ratio = np.log(distance[:, 2 * near] / distance[:, near])
    ratio = np.maximum(ratio, 1e-9)  # equal distances: mu^d - 1 is not to be 0

    def rising(d: float) -> float:
        return float(len(ratio) / d + (near - 1) * (ratio / -np.expm1(-d * ratio)).sum() - (2 * near - 1) * ratio.sum())

    low, high = 1e-3, 1e4
    return float(brentq(rising, low, high)) if rising(low) > 0 > rising(high) else None


@torch.inference_mode()
def final_states(subject: Subject, most: int) -> list[NDArray[np.float64]] | None:
    """The states of the last tokens of so many right sentences of the suites, spread evenly, layer by layer (sentences, width).

    None where there are none.  Raises OntogenyError that names layer and sentence where one is no finite number.
    """
    texts = list(dict.fromkeys(pair.good for suite in subject.context.suites for pair in suite.pairs))
    texts = [texts[at] for at in np.unique(np.linspace(0, len(texts) - 1, most).astype(int))] if texts else []
    read = zip(texts, encode(subject.tokenizer, texts, subject.first), strict=True)
    rows = sorted(((text, ids) for text, ids in read if 0 < len(ids) <= subject.limit), key=lambda row: len(row[1]))
    if not rows:
        return None
    parts = []
    for part, ids in subject.padded([ids for _, ids in rows]):
        last = torch.tensor([len(own) - 1 for _, own in rows[part]], device=ids.device)
        parts.append(torch.stack([layer[torch.arange(len(last)), last] for layer in subject.hidden(ids)]).double().cpu().numpy())
    every = np.concatenate(parts, axis=1)
    if len(wrong := np.argwhere(~np.isfinite(every).all(axis=2))):
        layer, row = wrong[0]
        raise OntogenyError(f"a state of layer {layer} is no finite number, at the end of {rows[row][0]!r}; weights may be broken")
    return list(every)


def frequencies(subject: Subject) -> NDArray[np.float64]:
    """How often each token is in the training text, or in the sampled one where that is not known; one is added."""
    if subject.context.knows_text:
        return np.asarray(np.exp(subject.unigram()), dtype=np.float64)
    return np.asarray(np.bincount(subject.sample().ravel()) + 1.0, dtype=np.float64)


def last_layer(states: pl.DataFrame) -> pl.DataFrame:
    """The rows of the highest layer of states."""
    layer = pl.col("part").str.strip_prefix(STATES).cast(pl.Int64)
    return states.filter(layer == layer.max())


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
    last = last_layer(layers).group_by("step").agg(pl.col(name).mean()).sort("step")
    began, ends = last.row(0, named=True), last.row(-1, named=True)
    return f"{title.capitalize()}: of the last layer {began[name]:.3f} at step {began['step']:,} and {ends[name]:.3f} at the end."
