"""Heads: where each one looks in a text of random tokens that comes twice."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from ontogeny.instruments.instrument import Column, Instrument, schema
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel
from ontogeny.trajectories.timeline import Floats

SHOWN = {"prefix": "what followed the token the last time", "previous": "the token before", "sink": "the first token"}


class Heads(Instrument):
    """Mean attention of each head to the places that tell heads apart, over the second copy of BOS + x + x."""

    uses: ClassVar[tuple[str, ...]] = ("text",)

    kind: Literal["heads"] = "heads"
    rows: int = Field(64, ge=1)
    """Random texts that come twice."""
    tokens: int = Field(62, ge=2)
    """Most tokens of one before it is repeated; fewer where the model's context is too short."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By layer and head."""
        says = {
            "prefix": "prefix matching: attention to the token after the same token's first time, t - n + 1",
            "duplicate": "attention to the same token's first time, t - n",
            "previous": "attention to the token before, t - 1",
            "sink": "attention to the first token of all",
        }
        index = {name: Column(says=f"the {name}, from 1", dtype=pl.Int64, index=True) for name in ("layer", "head")}
        return index | {name: Column(says=said, span=(0.0, 1.0)) for name, said in says.items()}

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises DoesNotApply for a model that gives no attention weights."""
        rows = subject.repeated(self.rows, self.tokens)
        n = (rows.shape[1] - (subject.first is not None)) // 2
        found = np.mean([places(attention, n) for attention in subject.attending(rows.tolist())], axis=0)  # (4, layers, heads)
        layer, head = np.indices(found.shape[1:]) + 1
        columns = [layer.ravel(), head.ravel(), *np.clip(found, 0, 1).reshape(len(found), -1)]
        return pl.DataFrame(dict(zip(schema(self), columns, strict=True)))

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Of the head that does it most: prefix matching, and looking at the token before."""
        most = table.group_by("seed", "step", maintain_order=True).agg(pl.col(SHOWN).max())
        return {name: most.select("seed", "step", value=name) for name in ("prefix", "previous")}

    def panels(self) -> tuple[Panel, ...]:
        """A map of heads for what they are looked at for most."""
        return tuple(
            Panel(
                name=f"heads.{name}",
                title=f"attention of each head to {what}, in a text of random tokens that comes twice",
                needs=("heads",),
                draw=partial(_map, name),
                says=partial(_says, name, what),
                shape="map",
                command="read RUN --with heads",
            )
            for name, what in SHOWN.items()
        )


def places(attention: NDArray[np.float32], n: int) -> Floats:
    """Mean attention (prefix, duplicate, previous, sink) of the last n tokens; attention: (layers, heads, tokens, tokens)."""
    size = attention.shape[-1]
    at = np.arange(size - n, size)
    seen = [attention[:, :, at, to].mean(-1, dtype=np.float64) for to in (at - n + 1, at - n, at - 1, np.zeros_like(at))]
    return np.stack(seen)


def _map(name: str, frames: Frames, clock: Clock, **options: Any) -> Drawn:
    frame = frames["heads"].sort("layer", "head", "step", "seed")
    values = frame.with_columns(of=pl.format("layer {} head {}", "layer", "head"), value=name)
    return curves.index_map(values, name, Heads().columns[name], **options)


def _says(name: str, what: str, frames: Frames, clock: Clock) -> str:
    last = frames["heads"].filter(pl.col("step") == pl.col("step").max())
    top = last.group_by("layer", "head").agg(pl.col(name).mean()).sort(name, "layer", "head", descending=[True, False, False])
    head = top.row(0, named=True)
    return (
        f"At the last checkpoint head {head['head']} of layer {head['layer']} looks most at {what}: {head[name]:.2f} of its "
        "attention, mean over seeds. Where a head looks does not say what it does with it."
    )
