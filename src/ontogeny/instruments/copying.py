"""Copying: what a text that comes twice gains the second time, and what its beginning gives to its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch.nn import functional as F

from ontogeny.instruments.instrument import Column, Instrument
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.panel import Panel
from ontogeny.records import OntogenyError
from ontogeny.trajectories.timeline import Floats


class Copying(Instrument):
    """The loss of random tokens that come twice, first time and second, and of held-out text early and late in a row."""

    uses: ClassVar[tuple[str, ...]] = ("text",)

    kind: Literal["copying"] = "copying"
    rows: int = Field(64, ge=1)
    """Random texts that come twice."""
    tokens: int = Field(62, ge=2)
    """Most tokens of one before it is repeated; fewer where the model's context is too short."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """One row."""
        return {
            "gain": Column(says="copy gain: mean loss of random tokens less their loss the second time", unit="nats a token"),
            "in_context": Column(
                says="loss of held-out text at 10 to 20 % of a row less its loss in the last fifth", unit="nats a token"
            ),
            "first": Column(says="loss of the random tokens the first time", unit="nats a token"),
            "second": Column(says="loss of the same tokens the second time", unit="nats a token"),
        }

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises OntogenyError where the loss is no number."""
        twice = subject.repeated(self.rows, self.tokens)
        by_place = losses(subject, twice).mean(0)  # (tokens - 1,): of each but the first
        n = len(by_place) // 2
        first, second = by_place[-2 * n : -n].mean(), by_place[-n:].mean()
        text = losses(subject, subject.sample()).mean(0)
        early, late = (
            text[len(text) // 10 : max(len(text) // 5, len(text) // 10 + 1)].mean(),
            text[-max(len(text) // 5, 1) :].mean(),
        )
        return pl.DataFrame({"gain": [first - second], "in_context": [early - late], "first": [first], "second": [second]})

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """What is gained by copying, and by context."""
        return {name: table.select("seed", "step", value=name) for name in ("gain", "in_context")}

    def panels(self) -> tuple[Panel, ...]:
        """Copy gain and in-context learning."""
        return curves.panels(self.name, self.columns, most=2)


@torch.inference_mode()
def losses(subject: Subject, rows: NDArray[np.int64]) -> Floats:
    """-log p of each token but the first of each row, nats.  Raises OntogenyError that names a row with one that is no number."""
    found = []
    for part, ids in subject.padded(rows.tolist()):
        logits = subject.model(input_ids=ids[:, :-1]).logits.float()
        own = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none").double().cpu().numpy()
        if len(wrong := np.flatnonzero(~np.isfinite(own).all(1))):
            raise OntogenyError(f"the loss of row {part.start + wrong[0]} is no finite number; the model's weights may be broken")
        found.append(own)
    return np.concatenate(found)
