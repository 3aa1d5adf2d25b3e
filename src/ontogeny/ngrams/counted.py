"""The n-grams of a run's training text, over the model's tokens and over words: counted once, and opened ever after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ontogeny.display import Display
from ontogeny.ngrams import arpa
from ontogeny.ngrams.index import ORDER, Index, build, is_whole
from ontogeny.ngrams.kneser_ney import KneserNey
from ontogeny.ngrams.words import word_stream
from ontogeny.recipe import Observation
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.store import RunFolder
from ontogeny.tokens.prepare import TokenisedText, splits
from ontogeny.tokens.token_store import TokenStore

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LEVELS = ("token", "word")


@dataclass(frozen=True)
class Counted:
    """The training text at one level, counted."""

    level: str
    index: Index
    text: TokenStore
    tokenizer: PreTrainedTokenizerBase

    @cached_property
    def model(self) -> KneserNey:
        """Kneser-Ney models of all orders over the whole text."""
        return KneserNey(self.index)

    def export(self, path: Path, order: int, display: Display) -> None:
        """Writes the model of one order as an ARPA file, which KenLM and others read."""
        names = self.tokenizer.convert_ids_to_tokens(list(range(len(self.tokenizer))))
        with display.bar(f"{path}", 1, "models") as advance:
            arpa.write(path, self.model, order, names, self.tokenizer.unk_token_id)
            advance(1)


class TextCounts:
    """Makes and opens the counts of one run's training text, or of the text of somebody else's checkpoints."""

    def __init__(self, folder: RunFolder, recipe: Observation, text: TokenisedText, display: Display):
        self.folder = folder
        self.recipe = recipe
        self.text = text
        self.display = display
        self._opened: dict[tuple[str, int], Counted] = {}

    def levels(self, order: int = ORDER, levels: Sequence[str] = LEVELS) -> dict[str, Counted]:
        """The n-gram index of each level, made or opened.  Raises OntogenyError for a level that there is none of."""
        for level in levels:
            if level not in LEVELS:
                raise OntogenyError(f"n-grams are counted over tokens or words, not {level!r}; {nearest(level, list(LEVELS))}")
        return {level: self.level(level, order) for level in levels}

    def before(self, level: str, order: int) -> bool:
        """True if nothing would be made by counting this level to this order."""
        return is_whole(self.folder.ngrams(level) / "index", self.text.train.facts["key"], order)

    def level(self, level: str, order: int = ORDER) -> Counted:
        """One level, made or opened once.  Raises OntogenyError where tokenizer and token stream do not belong together."""
        if (level, order) not in self._opened:
            self._opened[level, order] = self._level(level, order)
        return self._opened[level, order]

    def _level(self, level: str, order: int) -> Counted:
        folder, key = self.folder.ngrams(level) / "index", self.text.train.facts["key"]
        tokenizer, text = (self.text.tokenizer, self.text.train) if level == "token" else self._words(key)
        if len(tokenizer) != text.facts["vocabulary"]:
            raise OntogenyError(
                f"the tokenizer in {self.folder.tokenizer} has {len(tokenizer):,} tokens, the token stream was made with one of "
                f"{text.facts['vocabulary']:,}: they do not belong together"
            )
        if self.before(level, order):
            return Counted(level, Index(folder, text.ids, key), text, tokenizer)
        with self.display.bar(f"n-grams of {level}s, n = 1 to {order}", len(text), "positions") as progress:
            index = build(folder, text.checked().ids, len(tokenizer), text.facts["bos"], key, order=order, progress=progress)
        self.folder.note(ngrams={level: index.facts | {"bytes": index.size}})
        return Counted(level, index, text, tokenizer)

    def _words(self, key: str) -> tuple[PreTrainedTokenizerBase, TokenStore]:
        documents = splits(self.recipe)[0]
        return word_stream(self.folder.ngrams("word"), documents, key, lambda title: self.display.bar(title, None, "documents"))
