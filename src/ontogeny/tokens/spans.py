"""Where each token of a text stands in it, in characters, and which of its words each belongs to."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ontogeny.records import OntogenyError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Span = tuple[int, int]  # the first character, and the first one after the last
MARKERS = "▁Ġ"  # what tokenizers write for the space before a word (SentencePiece, and byte-level BPE)


def spans(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[Span]]:
    """The characters that each token of each text stands for, in the text's order, special tokens not among them.

    The space before a word is in the token that has it.  Each token of a character that several write has it whole, and a marker
    that the tokenizer puts before a text by itself has none.  Raises OntogenyError for a tokenizer that does not say.
    """
    if not tokenizer.is_fast:
        raise OntogenyError(f"{type(tokenizer).__name__} is a slow tokenizer, which does not say where in a text its tokens stand")
    with _bare(tokenizer.backend_tokenizer) as backend:
        coded = backend.encode_batch(list(texts), add_special_tokens=False)
    return [_own(one.tokens, one.offsets) for one in coded]


def _own(tokens: list[str], offsets: list[Span]) -> list[Span]:
    """Offsets without the character that the library gives to an invented marker: it is the next token's too."""
    after = [start for start, _ in offsets[1:]] + [offsets[-1][1]] if offsets else []
    return [
        (start, start if following < end and not token.strip(MARKERS) else end)
        for token, (start, end), following in zip(tokens, offsets, after, strict=True)
    ]


@contextmanager
def _bare(backend: Any) -> Iterator[Any]:
    """Without what takes spaces off the offsets, cuts texts or fills them up; with special tokens where a text has them."""
    processor, cut, filled = backend.post_processor, backend.truncation, backend.padding
    backend.post_processor, backend.encode_special_tokens = None, False
    backend.no_truncation()
    backend.no_padding()
    try:
        yield backend
    finally:
        backend.post_processor = processor
        if cut is not None:
            backend.enable_truncation(**cut)
        if filled is not None:
            backend.enable_padding(**filled)


def words(text: str, of: Sequence[Span]) -> list[int]:
    """The number of the word of a text, between white space, that each span belongs to.

    White space belongs to the word after it, and at the end to the last; a span over several words to the one that it begins.

    >>> words("the dog ", [(0, 3), (3, 7), (7, 8)])
    [0, 1, 1]
    """
    ends = [found.end() for found in re.finditer(r"\S+", text)]
    begins = [start + len(text[start:end]) - len(text[start:end].lstrip()) for start, end in of]
    return [min(bisect_right(ends, at), len(ends) - 1) for at in begins]
