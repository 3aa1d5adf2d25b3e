"""The training text as a stream of words, beside the model's own tokens: the level at which n-grams are published and read.

Words are runs of letters and digits, or of punctuation, as they are written (capitals count); every word that occurs has an id.
They stand as they are written, forward, also where the model's own tokens are backward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ontogeny import store
from ontogeny.records import Document
from ontogeny.tokens import token_store
from ontogeny.tokens.prepare import Bar, counted, silent
from ontogeny.tokens.pretrained import open_tokenizer
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
    stream, marker = folder / "stream", folder / "tokenizer" / "key.json"
    if not (marker.exists() and store.read_json(marker)["key"] == key):
        with bar("words of the training text") as progress:
            tokenizer = WordTokenizer(vocab_size=EVERY).make(counted(documents(), progress))
        with store.atomic(marker.parent, mark=marker.name) as temporary:
            tokenizer.save_pretrained(temporary)
            store.write_json(temporary / "key.json", {"key": key})
    opened = open_tokenizer(marker.parent)

    def write() -> TokenStore:
        with bar("word stream of the training text") as progress:
            return token_store.write(stream, "train", documents(), opened, bos=True, key=key, progress=progress)

    return opened, token_store.open_or_write(stream, "train", key, write)
