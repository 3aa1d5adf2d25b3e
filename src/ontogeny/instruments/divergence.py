"""Divergence: how far the predictions of seeds are from one another at the same step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch.nn import functional as F

from ontogeny.instruments.instrument import Column, Instrument, schema
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel
from ontogeny.records import OntogenyError
from ontogeny.trajectories.timeline import Floats


class Divergence(Instrument):
    """E KL(p_s || p_s') over held-out text, for each seed s' that stands before s in the run, so that every two are read once."""

    uses: ClassVar[tuple[str, ...]] = ("text",)

    kind: Literal["divergence"] = "divergence"
    tokens: int = Field(2048, ge=64)
    """Tokens of held-out text, as many in all rows together."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By the other seed."""
        return {
            "other": Column(says="a seed that stands before this one; of the first, itself", dtype=pl.Int64, index=True),
            "kl": Column(says="KL(this seed || the other), mean over tokens of held-out text", unit="nats a token"),
        }

    def read(self, subject: Subject) -> pl.DataFrame:
        """A run's first seed is held against itself.  Raises OntogenyError where another has no checkpoint of the step yet."""
        rows = subject.sample(self.tokens)
        own = predictions(subject, rows)
        others = [seed for seed in subject.context.folder.seeds() if seed < subject.seed]
        found = [(other, kl(own, predictions(subject.of_seed(other), rows))) for other in others] or [(subject.seed, 0.0)]
        return pl.DataFrame(found, schema=schema(self), orient="row")

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Of each seed, the mean over the others that it is held against."""
        return {"from other seeds": _of_others(table).group_by("seed", "step", maintain_order=True).agg(value=pl.col("kl").mean())}

    def fold(self, table: pl.DataFrame, clock: Clock) -> dict[str, pl.DataFrame]:
        """`course`: mean, least and largest divergence of two seeds at each step."""
        every = pl.col("kl")
        course = (
            _of_others(table).group_by("step").agg(kl=every.mean(), least=every.min(), largest=every.max(), pairs=every.count())
        )
        return {"course": course.sort("step")}

    def panels(self) -> tuple[Panel, ...]:
        """Its course."""
        return (
            Panel(
                name="divergence.course",
                title="how far two seeds' predictions are from one another",
                needs=("divergence",),
                draw=_draw,
                says=_says,
                there=lambda frames: frames["divergence"]["kl"].count() > 0,
                shape="small",
                command="read RUN --with divergence",
            ),
        )


def _of_others(table: pl.DataFrame) -> pl.DataFrame:
    return table.filter(pl.col("other") != pl.col("seed"))


@torch.inference_mode()
def predictions(subject: Subject, rows: NDArray[np.int64]) -> Floats:
    """Log-probabilities of the next token at each place, (places, vocabulary).  Raises OntogenyError for one that is no number."""
    parts = [
        F.log_softmax(subject.model(input_ids=ids[:, :-1]).logits.float(), -1).flatten(0, 1).cpu().numpy()
        for _, ids in subject.padded(rows.tolist())
    ]
    found = np.concatenate(parts)
    if np.isnan(found).any():
        raise OntogenyError(f"seed {subject.seed} predicts what is no number at step {subject.checkpoint.step:,}")
    return found


def kl(p: Floats, q: Floats) -> float:
    """Mean over places of KL(p || q) in nats, of log-probabilities."""
    return float((np.exp(p) * (p - q)).sum(-1, dtype=np.float64).mean())


def _draw(frames: Frames, clock: Clock, **options: object) -> Drawn:
    others = _of_others(frames["divergence"])
    shown = frames["divergence"] if others.is_empty() else others
    values = shown.group_by("seed", "step", maintain_order=True).agg(value=pl.col("kl").mean())
    return curves.reading(values, clock.spans, last=clock.last, **options)  # type: ignore[arg-type]


def _says(frames: Frames, clock: Clock) -> str:
    """Where it is largest, and where it ends."""
    course = _of_others(frames["divergence"]).group_by("step").agg(pl.col("kl").mean()).sort("step")
    if course.is_empty():
        return "This run has one seed, and none to hold it against."
    most, last = course.sort("kl").row(-1, named=True), course.row(-1, named=True)
    return (
        f"Two seeds are farthest apart at step {most['step']:,} ({most['kl']:.3f} nats a token) and {last['kl']:.3f} apart at the "
        "end, mean over pairs of seeds."
    )
