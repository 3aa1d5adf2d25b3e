"""Tokenizers of our own: byte-level BPE and unigram, words and characters, trained on the corpus itself; and bare bytes.

All are built with the `tokenizers` library and saved as a Hugging Face tokenizer.  Ids 0 to 3 are OPT's: <s>, <pad>, </s>, <unk>;
`</s>` is both BOS and EOS, as in OPT.

Bytes, BPE and unigram cut text into words alike, and write every byte, spaces too, as one letter of the alphabet of Radford et al.
(2019): a word carries the space before it, the first word of a document or sentence none, and decoding gives the text back.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from ontogeny.recipe import CorpusPart, Kind
from ontogeny.records import Corpus, Document, OntogenyError
from ontogeny.tokens.token_store import short_enough

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
LEAST = len(SPECIAL) + 256  # tokens with which any text can be written
LONGEST = 1000  # characters; trainers of pieces take time with the square of a word's length: 20 s for 100,000, an hour for 1M


class Made(Kind):
    """A tokenizer that is made here, for models that read forward or backward."""

    direction: Literal["forward", "backward"] = "forward"
    """backward: the model reads each text from its end; sentences are scored the same way.  N-grams over words stay forward."""

    @model_serializer(mode="wrap")
    def _said(self, said: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Forward and no text of its own go without saying, so that keys of runs from before there were such fields hold."""
        return {
            name: value for name, value in said(self).items() if (name, value) not in (("direction", "forward"), ("text", None))
        }


class Trained(Made):
    """A tokenizer that is trained on the corpus."""

    vocab_size: int = Field(8192, gt=len(SPECIAL))
    """Largest number of tokens, special ones included."""

    exact: bool = False
    """Whether a corpus that gives fewer tokens than `vocab_size` is an error."""

    text: CorpusPart | None = None
    """The corpus it is trained on; left out: the recipe's.  Named, it gives recipes with different texts one tokenizer."""

    longest: ClassVar[int | None] = None  # characters of a word that is learned from whole; longer ones are cut, None: none is

    @abstractmethod
    def pieces(self) -> tuple[Any, Any]:
        """An untrained `tokenizers.Tokenizer` and its trainer."""

    def settle(self, tokenizer: Any) -> None:
        """Called on the trained `tokenizers.Tokenizer`: what its training left to chance is decided here, in place."""

    def contents(self) -> list[str]:
        """The fingerprint of a text of its own."""
        return [cast(Corpus, self.text).fingerprint()] if self.text else []

    def make(self, documents: Iterable[Document]) -> PreTrainedTokenizerFast:
        """Trains on the documents, streamed.  Raises OntogenyError if `exact` and the corpus gives fewer tokens than asked for."""
        tokenizer, trainer = self.pieces()
        own = cast(Corpus, self.text).documents() if self.text else documents
        tokenizer.train_from_iterator(_texts(own, self.longest), trainer)
        self.settle(tokenizer)
        size = tokenizer.get_vocab_size()
        if self.exact and size < self.vocab_size:
            raise OntogenyError(
                f"tokenizer.vocab_size is {self.vocab_size:,}, but the corpus gives only {size:,} tokens; set it to {size} or less"
            )
        return wrap(tokenizer, self.direction)


class BPE(Trained):
    """Byte-level byte-pair encoding: any text can be written, nothing is unknown (Radford et al. 2019)."""

    kind: Literal["bpe"] = "bpe"
    vocab_size: int = Field(8192, ge=LEAST)
    """Number of tokens: 4 special ones, 256 bytes, the rest merges."""
    exact: bool = True
    """Whether a corpus that gives fewer tokens than `vocab_size` is an error."""
    longest: ClassVar[int | None] = LONGEST

    def pieces(self) -> tuple[Any, Any]:
        """Bytes, merged within words; a word carries the space before it."""
        from tokenizers import models, trainers

        return over_bytes(models.BPE()), trainers.BpeTrainer(
            vocab_size=self.vocab_size, special_tokens=SPECIAL, initial_alphabet=letters(), show_progress=False
        )


class Unigram(Trained):
    """A unigram language model over pieces of words, over bytes: any text can be written, nothing is unknown.

    Of all ways to cut a word into pieces the likeliest is taken; the pieces are those whose loss would cost the corpus's likelihood
    most (Kudo 2018, section 3.2).
    """

    kind: Literal["unigram"] = "unigram"
    vocab_size: int = Field(8192, ge=LEAST)
    """Number of tokens: 4 special ones, 256 bytes, the rest pieces of words."""
    exact: bool = True
    """Whether a corpus that gives fewer tokens than `vocab_size` is an error."""
    longest: ClassVar[int | None] = LONGEST

    def pieces(self) -> tuple[Any, Any]:
        """Bytes and runs of them within words; a word carries the space before it, as in BPE."""
        from tokenizers import models, trainers

        return over_bytes(models.Unigram()), trainers.UnigramTrainer(
            vocab_size=self.vocab_size,
            special_tokens=SPECIAL,
            unk_token="<unk>",
            initial_alphabet=letters(),
            show_progress=False,
        )

    def settle(self, tokenizer: Any) -> None:
        """Pieces in the order of their log-probability, then of the alphabet, so that the same text always gives the same ids.

        The trainer sums in the order of a randomly seeded hash table, so the last digits of the log-probabilities, and with them
        the order of pieces that are as likely, are others each time.  Bytes that the corpus lacks get the smallest log-probability
        plus 0, .0001, .0002 ... in that random order; here all get the smallest.
        """
        from tokenizers import models

        found = dict(json.loads(tokenizer.to_str())["model"]["vocab"][len(SPECIAL) :])
        if None in found.values():  # no likelihood without a word
            raise OntogenyError("the corpus has no text for a unigram tokenizer to learn from")
        least = min(found.values())
        unseen = {piece for piece, score in found.items() if len(piece) == 1 and score < least + 1e-4 * LEAST}
        settled = [(piece, round(least if piece in unseen else score, 6)) for piece, score in found.items()]
        special = [(token, 0.0) for token in SPECIAL]
        ranked = sorted(settled, key=lambda pair: (-pair[1], pair[0]))
        tokenizer.model = models.Unigram([*special, *ranked], unk_id=SPECIAL.index("<unk>"), byte_fallback=False)


class Byte(Made):
    """The 256 bytes of UTF-8: nothing is learned from the corpus, nothing is unknown; ids 4 to 259 are bytes 0 to 255."""

    kind: Literal["byte"] = "byte"

    def make(self, documents: Iterable[Document]) -> PreTrainedTokenizerFast:
        """The tokenizer; the documents are not read."""
        from tokenizers import models

        vocabulary = {token: number for number, token in enumerate([*SPECIAL, *letters()])}
        tokenizer = over_bytes(models.BPE(vocab=vocabulary, merges=[]))
        tokenizer.add_special_tokens(SPECIAL)
        return wrap(tokenizer, self.direction)


class WordTokenizer(Trained):
    """Words and punctuation marks; the rarest beyond `vocab_size` become <unk>, which is counted and said."""

    kind: Literal["word"] = "word"
    min_frequency: int = Field(1, ge=1)
    """Words seen less often become <unk>."""

    def pieces(self) -> tuple[Any, Any]:
        """One token for each run of letters and digits, or of punctuation."""
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        return tokenizer, trainers.WordLevelTrainer(
            vocab_size=self.vocab_size, min_frequency=self.min_frequency, special_tokens=SPECIAL, show_progress=False
        )


class Character(Trained):
    """Single Unicode characters, spaces included."""

    kind: Literal["character"] = "character"
    vocab_size: int = Field(1024, gt=len(SPECIAL))
    """Largest number of characters, special tokens included; rarer ones become <unk>."""

    def pieces(self) -> tuple[Any, Any]:
        """One token for each character."""
        from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        tokenizer.decoder = decoders.Fuse()
        return tokenizer, trainers.WordLevelTrainer(vocab_size=self.vocab_size, special_tokens=SPECIAL, show_progress=False)


def letters() -> list[str]:
    """The letter that stands for each byte, 0 to 255: itself where it can be seen, else U+0100 and on (Radford et al. 2019)."""
    seen = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}  # Latin-1 without controls, spaces and the soft hyphen
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in seen else next(others)) for byte in range(256)]


def over_bytes(model: Any) -> Any:
    """A `tokenizers.Tokenizer` whose model sees the bytes of one word at a time, written as `letters`."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers

    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def wrap(tokenizer: Any, direction: str = "forward") -> PreTrainedTokenizerFast:
    """A `tokenizers.Tokenizer` as a Hugging Face tokenizer with OPT's special tokens.

    That it is backward is kept in `init_kwargs`, which are saved and opened with it; `token_store.encode` acts on it.
    """
    from transformers import PreTrainedTokenizerFast

    said = {"direction": direction} if direction == "backward" else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="</s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
        **said,
    )


def _texts(documents: Iterable[Document], longest: int | None, batch: int = 1000) -> Iterator[list[str]]:
    """Texts in batches: the trainer crosses from Rust to Python once a batch.  Words beyond `longest` characters are cut."""
    texts: list[str] = []
    for document in documents:
        text = short_enough(document)
        texts += [text] if longest is None or len(text) <= longest else _cut(text, longest)
        if len(texts) >= batch:
            yield texts
            texts = []
    if texts:
        yield texts


def _cut(text: str, longest: int) -> list[str]:
    """A text, parted where a word, or a run of spaces, has had so many characters."""
    ends = [found.end() for found in re.finditer(rf"\S{{{longest}}}|\s{{{longest}}}", text)]
    return [text[start:end] for start, end in pairwise([0, *ends, len(text)]) if start < end]
