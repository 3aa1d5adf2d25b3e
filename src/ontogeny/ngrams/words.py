"""The training text as a stream of words, beside the model's own tokens: the level at which n-grams are published and read.

Words are runs of letters and digits, or of punctuation, as they are written (capitals count); every word that occurs has an id.
They stand as they are written, forward, also where the model's own tokens are backward.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ontogeny.records import Document
from ontogeny.tokens import token_store
from ontogeny.tokens.prepare import Bar, counted, open_or_make, silent
from ontogeny.tokens.token_store import TokenStore
from ontogeny.tokens.trained import WordTokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ASKED = 1000  # sentences that tell whether a script has words
UNSPACED = {  # letters of scripts that are written without spaces, and how many a word has at most on average where it is cut
    re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"): 3,  # kana, Han
    re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1980-\u19ff]"): 8,  # Thai, Lao, Tibetan, Burmese, Khmer, Tai Lue
}
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


def without_words(sentences: Sequence[str]) -> str:
    """What to say where word-level numbers mean nothing: "words" that are sentences, or clauses of a script without spaces.

    Empty where sentences have words.
    """
    from tokenizers import pre_tokenizers

    cut = pre_tokenizers.Whitespace()
    asked = sentences[:: max(1, len(sentences) // ASKED)]
    words = [word for text in asked for word, _ in cut.pre_tokenize_str(text) if word[0].isalnum()]
    if not words or (len(words) >= 1.5 * len(asked) and not any(_uncut(words, *script) for script in UNSPACED.items())):
        return ""
    mean = f"{sum(map(len, words)) / len(words):.1f} characters each, {len(words) / len(asked):.1f} to a sentence"
    return f"its words are not told by spaces ({mean}): numbers of words, as under bigrams of words, mean nothing here; tokens' do"


def _uncut(words: Sequence[str], letter: re.Pattern[str], most: int) -> bool:
    """True if most of the text is of a script without spaces, in runs too long to be its words."""
    own = [word for word in words if letter.search(word)]
    return 2 * sum(map(len, own)) > sum(map(len, words)) and sum(map(len, own)) > most * len(own)
