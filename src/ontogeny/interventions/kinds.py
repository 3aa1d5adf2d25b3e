"""The four kinds of intervention: on the documents, on the token stream, on the objective, on the weights in their course."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator

from ontogeny.recipe import Kind, Part
from ontogeny.records import Document, Edited, Removed

if TYPE_CHECKING:
    import polars as pl

    from ontogeny.interventions.context import InterventionContext
    from ontogeny.tokens.token_store import TokenStore
    from ontogeny.training.treatment import Change, Loss


class Window(Part):
    """A stretch of training, as shares of its optimiser steps."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    start: float = Field(0.0, ge=0, lt=1, alias="from")
    """Where it begins."""
    until: float = Field(1.0, gt=0, le=1)
    """Where it ends."""

    @model_validator(mode="after")
    def _goes_forward(self) -> Window:
        if self.start >= self.until:
            raise ValueError(f"is from {self.start:g} until {self.until:g}, which is nothing; from must be below until")
        return self

    def covers(self, start: float, until: float) -> bool:
        """True if the stretch from `start` to `until` lies inside."""
        return self.start <= start and until <= self.until


class Intervention(Kind):
    """Something that is changed of a training, and when."""

    when: Window = Window()
    """Shares of training between which it holds; a corpus edit is read inside them, and the untouched text outside."""


class CorpusEdit(Intervention):
    """A change of the training text, with promises about what it leaves as it was; a broken one stops the run."""

    keeps: ClassVar[tuple[str, ...]] = ()
    """Out of: documents, lengths, unigrams, bigrams, order, construction (promises.py says what each means)."""

    def contents(self) -> list[str]:
        """Hashes of what decides the edit besides its settings, such as a file's bytes."""
        return []

    def protected(self, text: TokenStore, context: InterventionContext) -> NDArray[np.bool_]:
        """Documents [documents] that belong to the construction it promises to leave alone; none unless a kind says which."""
        return np.zeros(len(text.documents), dtype=bool)


class TextEdit(CorpusEdit):
    """A change of documents: each is handed on, edited, or removed with a reason."""

    def apply(self, documents: Iterator[Document], context: InterventionContext) -> Iterator[Document | Edited | Removed]:
        """What becomes of the documents, in the order in which they are to be read."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, eq=False)
class StreamEdited:
    """What an edit of the token stream gives."""

    ids: NDArray[Any]  # the new stream; as long as the old one unless `rows` says where documents begin now
    changes: pl.DataFrame  # what was changed, for people
    facts: dict[str, Any]  # plain values for the report
    rows: NDArray[Any] | None = None  # new table of documents (token_store.ROW)


class StreamEdit(CorpusEdit):
    """A change of single tokens of the stream."""

    def edit(self, context: InterventionContext) -> StreamEdited:
        """The stream `context.text`, changed."""
        raise NotImplementedError


class Objective(Intervention):
    """Another objective than the next token's mean negative log-probability, or a model built around the network."""

    context_only: ClassVar[bool] = False
    """Whether what is changed depends on the context and not on what follows, so that the text's own probabilities stay the best
    that a model can say.  A tilt, which moves them, is none; a test of its optimum holds each kind to what it says."""

    draws: ClassVar[bool] = False
    """Whether something is drawn for each batch, which several processes with a part of it each would do otherwise than one."""

    alone: ClassVar[bool] = False
    """Whether its loss is of whole rows, so that no other objective can follow it or go before it."""

    def loss(self, context: InterventionContext) -> Loss:
        """What is minimised, in nats summed over a batch's targets."""
        from ontogeny.training.treatment import batch_loss

        return batch_loss

    def model(self, network: Any, context: InterventionContext) -> Any:
        """The module that is trained, given the freshly initialised network."""
        return network


def around(network: Any, parts: Iterable[Any], context: InterventionContext) -> Any:
    """The module that is trained: the freshly initialised network with what each objective among `parts` builds around it."""
    for part in parts:
        if isinstance(part, Objective):
            network = part.model(network, context)
    return network


class Course(Intervention):
    """Something done to the weights or the learning rate in the course of training."""

    def change(self, context: InterventionContext, seed: int) -> Change:
        """What is done, for one seed's training."""
        raise NotImplementedError
