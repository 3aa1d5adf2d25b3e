"""Likeness: how alike the states of each layer are to those that the training ends in, and to those of other seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from ontogeny.disk import content_key
from ontogeny.instruments.context import ReadingContext
from ontogeny.instruments.instrument import Column, Instrument, schema
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel
from ontogeny.trajectories.timeline import Floats

LAST = "last checkpoint"
SETTLED = 0.9  # of CKA with the last checkpoint
STILL = 1e-12  # variance, relative to the mean square, below which states do not vary
TO_END, TO_SEEDS = pl.col("other") == LAST, pl.col("other") != LAST


class Likeness(Instrument):
    """Linear CKA of the states of held-out text, layer by layer, with the seed's last checkpoint and with the seeds before it."""

    uses: ClassVar[tuple[str, ...]] = ("text",)

    kind: Literal["likeness"] = "likeness"
    points: int = Field(1000, ge=20)
    """Tokens whose states are compared."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By layer and by what it is compared with."""
        return {
            "layer": Column(says="the layer, 0: embeddings", dtype=pl.Int64, index=True),
            "other": Column(says="last checkpoint, of the same seed; or seed N, at the same step", dtype=pl.String, index=True),
            "cka": Column(says="linear CKA, debiased: 0 of states that have nothing in common", span=(-1.0, 1.0)),
            "plain": Column(says="the same without that, as it is mostly given; never 0, as there are finitely many tokens"),
        }

    def key(self, context: ReadingContext) -> str:
        """Changes with where trainings end."""
        return content_key(super().key(context), [context.ends(seed) for seed in context.folder.seeds()])

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises DoesNotApply for a model that gives no hidden states, OntogenyError where what it is held against is not there."""
        rows, own = [], self._states(subject)
        earlier = [seed for seed in subject.context.folder.seeds() if seed < subject.seed]
        last = subject.context.once((self, "last", subject.seed), lambda: list(self._states(subject.last())))
        others = {LAST: last} | {f"seed {seed}": self._states(subject.of_seed(seed)) for seed in earlier}
        mine = list(own)
        for name, other in others.items():
            both = enumerate(zip(mine, other, strict=True))
            rows += [(number, name, debiased_cka(x, y), plain_cka(x, y)) for number, (x, y) in both]
        return pl.DataFrame(rows, schema=schema(self), orient="row")

    def _states(self, subject: Subject) -> Iterator[Floats]:
        """Of the sampled tokens, layer by layer, BOS left out."""
        begin, layers = int(subject.first is not None), subject.sampled_states
        which = np.random.default_rng(0).permutation(layers[0][:, begin:, 0].size)[: self.points]
        yield from (layer[:, begin:].reshape(-1, layer.shape[-1])[which].astype(np.float64) for layer in layers)

    def fold(self, table: pl.DataFrame, clock: Clock) -> dict[str, pl.DataFrame]:
        """`settled`: of each seed and layer, the step from which on its CKA with the last checkpoint stays .9 or more."""
        end = table.filter(TO_END).sort("step").with_columns(near=pl.col("cka") >= SETTLED)
        lasting = pl.col("near").reverse().cum_min().reverse()
        steps = end.group_by("seed", "layer").agg(step=pl.col("step").filter(lasting).min())
        return {"settled": steps.sort("seed", "layer")}

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Of the last layer, its likeness to the end, and to other seeds."""
        last = table.filter(pl.col("layer") == pl.col("layer").max()).group_by("seed", "step", "other", maintain_order=True)
        means = last.agg(value=pl.col("cka").mean())
        said = {"likeness to the end": TO_END, "likeness of seeds": TO_SEEDS}
        return {
            name: means.filter(which).group_by("seed", "step", maintain_order=True).agg(pl.col("value").mean())
            for name, which in said.items()
        }

    def panels(self) -> tuple[Panel, ...]:
        """Likeness to the end, by layer."""
        return (
            Panel(
                name="likeness.end",
                title="likeness of each layer's states to those of the last checkpoint",
                needs=("likeness",),
                draw=_drawn,
                says=_says,
                there=lambda frames: frames["likeness"].filter(TO_END)["cka"].count() > 0,
                command="read RUN --with likeness",
            ),
        )


def debiased_cka(x: Floats, y: Floats) -> float | None:
    """Linear CKA of states of the same points (points, width), with unbiased HSIC (Song et al. 2012); None: constant."""
    one, other = (_gram(states) for states in (x, y))
    for gram in (one, other):
        np.fill_diagonal(gram, 0)
    scale = _hsic(one, one) * _hsic(other, other)
    return float(np.clip(_hsic(one, other) / np.sqrt(scale), -1, 1)) if scale > 0 else None


def plain_cka(x: Floats, y: Floats) -> float | None:
    """|Y'X|^2 / (|X'X| |Y'Y|) in Frobenius norms, of centred states (Kornblith et al. 2019); None: constant."""
    one, other = (_gram(states) for states in (x, y))
    scale = np.linalg.norm(one) * np.linalg.norm(other)
    return float(np.clip((one * other).sum() / scale, 0, 1)) if scale > 0 else None


def _gram(states: Floats) -> Floats:
    """Products of centred states with one another, over their sum of squares."""
    centred = states - states.mean(0)
    if float((centred**2).mean()) <= STILL * float((states**2).mean()):
        return np.zeros((len(states), len(states)))
    return np.asarray(centred @ centred.T / float((centred**2).sum()), dtype=np.float64)


def _hsic(k: Floats, m: Floats) -> float:
    """Of Gram matrices without their diagonals; times a number that cancels."""
    n = len(k)
    total = (k * m).sum() + k.sum() * m.sum() / (n - 1) / (n - 2) - 2 * (k.sum(0) @ m.sum(0)) / (n - 2)
    return float(total)


def _drawn(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    frame = frames["likeness"].filter(TO_END)
    return curves.draw("likeness", "cka", Column(says="", span=(0.0, 1.0)), ["layer"], {"likeness": frame}, clock, **options)


def _says(frames: Frames, clock: Clock) -> str:
    """When each layer settles, and how alike seeds end."""
    settled = Likeness().fold(frames["likeness"], clock)["settled"].group_by("layer").agg(pl.col("step").max()).sort("layer")
    when = "; ".join(f"layer {layer} from step {step:,} on" for layer, step in settled.drop_nulls().iter_rows())
    said = f"Linear CKA with the last checkpoint stays {SETTLED} or more in every seed: {when}."
    others = frames["likeness"].filter(TO_SEEDS)
    last = others.filter(pl.col("step") == pl.col("step").max()).group_by("layer").agg(pl.col("cka").mean()).sort("layer")
    if last.is_empty():
        return said
    return f"{said} Of two seeds it is {', '.join(f'{value:.2f}' for value in last['cka'])} at the end, layer by layer from 0."
