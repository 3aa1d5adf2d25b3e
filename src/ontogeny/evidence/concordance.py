"""Lines of the training text in which an n-gram occurs: keyword in context, with the file and line that they stand in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ontogeny.ngrams.index import Index
from ontogeny.tokens.token_store import TokenStore

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

START = "⟨start⟩"
WIDTH = 12  # tokens of context on either side
LINES = {
    "what": pl.String,
    "exact": pl.Boolean,
    "total": pl.Int64,
    "left": pl.String,
    "key": pl.String,
    "right": pl.String,
    "source": pl.String,
    "line": pl.Int64,
}


class Concordance:
    """A token stream that can be asked for the lines behind an n-gram."""

    def __init__(self, index: Index, text: TokenStore, tokenizer: PreTrainedTokenizerBase, width: int = WIDTH):
        self.index = index
        self.text = text
        self.tokenizer = tokenizer
        self.width = width
        self._apart = tokenizer.backend_tokenizer.decoder is None  # a word tokenizer: what stands between words is not kept

    def behind(self, ngram: Sequence[int], lines: int, seed: int = 0) -> pl.DataFrame:
        """Lines in which the n-gram occurs, drawn at random if there are more than `lines`; columns as in `LINES`.

        Where it occurs less often than that, what comes before its last token fills up, then its last token alone: these rows say
        so (`what` is what they show, `exact` is false).
        """
        frames: list[pl.DataFrame] = []
        for shown, exact in ((ngram, True), (ngram[:-1], False), (ngram[-1:], False)):
            wanted = lines - sum(map(len, frames))
            if wanted > 0 and shown and (exact or len(ngram) > 1):  # a single token has no part
                frames.append(self._occurrences(tuple(shown), exact, wanted, seed))
        return pl.concat(frames)

    def _occurrences(self, ngram: tuple[int, ...], exact: bool, lines: int, seed: int) -> pl.DataFrame:
        places = self.index.occurrences(ngram, lines, seed).tolist()
        what, total = self.shown(ngram), self.index.count(ngram)
        rows = [(what, exact, total, *self._line(place, len(ngram))) for place in places]
        return pl.DataFrame(rows, schema=LINES, orient="row")

    def _line(self, place: int, length: int) -> tuple[str, str, str, str, int]:
        """left, key, right, source, line of the occurrence that begins at a stream position."""
        documents, ids = self.text.documents, self.text.ids
        row = int(np.searchsorted(documents["start"], place, side="right")) - 1
        begin = int(documents["start"][row]) + (self.index.bos is not None)
        end = int(documents["start"][row + 1]) if row + 1 < len(documents) else len(ids)
        first, after = max(place, begin), min(place + length, end)
        left = self._text(ids[max(begin, first - self.width) : first])
        right = self._text(ids[after : min(end, after + self.width)])
        source = self.text.facts["sources"][int(documents["source"][row])]
        return left, self._text(ids[first:after]).strip(), right, source, int(documents["line"][row])

    def _text(self, ids: Iterable[int]) -> str:
        if self._apart:
            return " ".join(self.tokenizer.convert_ids_to_tokens([int(i) for i in ids]))
        return str(self.tokenizer.decode([int(i) for i in ids], skip_special_tokens=False))

    def shown(self, ids: Sequence[int]) -> str:
        """Tokens as people read them: words by spaces, the parts of one word joined by a dot, the start of a document by name."""
        text = ""
        for i in ids:
            piece = START if int(i) == self.index.bos else self._text([i])
            if not text or self._apart or piece.startswith(" ") or text == START:
                text = f"{text} {piece.strip() or '␣'}".strip()
            else:
                text = f"{text}·{piece}"
        return text
