"""The training text as a stream of words, beside the model's own tokens: the level at which n-grams are published and read.

Words are runs of letters and digits, or of punctuation, as they are written (capitals count); every word that occurs has an id.
They stand as they are written, forward, also where the model's own tokens are backward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ontogeny.records import Document
from ontogeny.tokens import token_store
from ontogeny.tokens.prepare import Bar, counted, open_or_make, silent
from ontogeny.tokens.token_store import TokenStore
from ontogeny.tokens.trained import WordTokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

EVERY = 2**31  # more words than any text has


def word_stream(
    folder: Path, documents: Callable[[], Iterable[Document]], key: str, bar: Bar = silent
) -> tuple[PreTrainedTokenizerBase, TokenStore]:
    """The word tokenizer and the stream `BOS document BOS document ...` in `folder`, made if what is there has another key.

    Raises OntogenyError for an empty text.
    """
    stream = folder / "stream"

    def make() -> PreTrainedTokenizerBase:
        with bar("words of the training text") as progress:
            return WordTokenizer(vocab_size=EVERY).make(counted(documents(), progress))

    opened = open_or_make(folder / "tokenizer", key, make)

    def write() -> TokenStore:
        with bar("word stream of the training text") as progress:
            return token_store.write(stream, "train", documents(), opened, bos=True, key=key, progress=progress)

    return opened, token_store.open_or_write(stream, "train", key, write)
