"""What a row of a batch is: a block of the stream, wherever documents end, or one document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ontogeny.records import OntogenyError
from ontogeny.tokens.token_store import TokenStore

NOT_COUNTED = -100  # stands where a row has no token; torch's cross_entropy leaves such targets out

Ints = NDArray[np.int64]


class Rows(Protocol):
    """A token stream cut into rows."""

    def __len__(self) -> int: ...

    def take(self, indices: Ints) -> Ints:
        """Rows [len(indices), context + 1]: inputs and, one later, their targets; NOT_COUNTED where a row has ended."""
        ...

    def words(self, indices: Ints) -> float:
        """Whitespace words in these rows."""
        ...

    def predicted(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which tokens of the stream are targets in the chosen rows [len(self)]; True by token [len(stream)]."""
        ...

    def cut(self) -> int:
        """Rows that had to be cut at the context."""
        ...


def rows_of(text: TokenStore, unit: str, context: int) -> Rows:
    """The rows of a stream, by the name that a recipe's `training.unit` gives them."""
    return UNITS[unit](text, context)


def some_rows(text: TokenStore, unit: str, context: int) -> Rows:
    """The same, of a text that has one.  Raises OntogenyError that says how many tokens it has and how many a row takes."""
    rows = rows_of(text, unit, context)
    if not len(rows):
        raise OntogenyError(
            f"the text in {text.path} has {len(text):,} tokens, and a block of {context:,} takes {context + 1:,}, its last target "
            "among them; make training.context smaller, or the text longer"
        )
    return rows


class Blocks:
    """Rows of `context` predictions, one after the other; a rest of the stream shorter than that is not trained on."""

    def __init__(self, text: TokenStore, context: int):
        self.text = text
        self.context = context

    def __len__(self) -> int:
        return self.text.blocks(self.context)

    def take(self, indices: Ints) -> Ints:
        """As Rows has it; a block is always full."""
        return self.text.block(indices, self.context)

    def words(self, indices: Ints) -> float:
        """As Rows has it; a document cut by a block's end counts by its share of tokens."""
        return self.text.words_in(indices, self.context)

    def predicted(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """As Rows has it."""
        seen = np.zeros(len(self.text), dtype=bool)
        seen[1 : len(rows) * self.context + 1] = np.repeat(rows, self.context)  # a block's targets lie one later
        return seen

    def cut(self) -> int:
        """None: blocks are not cut."""
        return 0


class Documents:
    """One document a row, to its end mark, the BOS that the next one begins with; cut where it is longer than the context.

    Raises OntogenyError if the stream has no BOS, as nothing would say that a document has ended.
    """

    def __init__(self, text: TokenStore, context: int):
        if text.facts["bos"] is None:
            raise OntogenyError("training.unit: document needs an end mark, which is the next BOS; set bos: true in the recipe")
        self.text = text
        self.context = context
        self.starts = np.asarray(text.documents["start"], dtype=np.int64)
        self.lengths = np.diff(self.starts, append=len(text))  # tokens, BOS among them

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, indices: Ints) -> Ints:
        """As Rows has it."""
        rows = np.full((len(indices), self.context + 1), NOT_COUNTED, dtype=np.int64)
        for row, start, length in zip(rows, self.starts[indices], self.lengths[indices], strict=True):
            own = self.text.ids[start : start + min(length + 1, self.context + 1)]
            row[: len(own)] = own
            if len(own) == length and length <= self.context:  # the stream's last document: no BOS follows
                row[length] = self.text.facts["bos"]
        return rows

    def words(self, indices: Ints) -> float:
        """As Rows has it; a document that was cut counts by its share of tokens."""
        ends = self.starts[indices] + np.minimum(self.lengths[indices], self.context + 1)
        return float((self.text.words_at(ends) - self.text.words_at(self.starts[indices])).sum())

    def predicted(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """As Rows has it; the mark that closes the stream's last document is no token of the stream."""
        most = np.minimum(self.lengths, self.context)
        change = np.zeros(len(self.text) + 2, dtype=np.int64)  # +1 where targets begin, -1 after they end
        np.add.at(change, self.starts[rows] + 1, 1)
        np.add.at(change, np.minimum(self.starts[rows] + most[rows] + 1, len(self.text) + 1), -1)
        return np.cumsum(change)[: len(self.text)] > 0

    def cut(self) -> int:
        """As Rows has it: documents whose end the model never sees."""
        return int((self.lengths > self.context).sum())


UNITS: dict[str, Callable[[TokenStore, int], Rows]] = {"block": Blocks, "document": Documents}


def targets(rows: Any) -> int:
    """Predictions in a batch [rows, context + 1] that count."""
    return int((rows[:, 1:] != NOT_COUNTED).sum())
