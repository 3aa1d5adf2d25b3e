"""From a recipe's corpus to a tokenizer and token stores in the run's folder, each made once for its content key."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ontogeny import disk, store
from ontogeny.recipe import Observation, Recipe
from ontogeny.records import Corpus, Document, OntogenyError
from ontogeny.store import RunFolder
from ontogeny.tokens import token_store
from ontogeny.tokens.pretrained import Pretrained, open_tokenizer
from ontogeny.tokens.token_store import TokenStore
from ontogeny.tokens.trained import Trained

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

UNKNOWN = (  # of somebody else's text: without dev, both
    "corpus: the order in which they read it is not known, so nothing is said of what had been read at a checkpoint",
    "corpus: its held-out part was in their training too; a text that was not: --dev FOLDER",
)
Bar = Callable[[str], AbstractContextManager[token_store.Progress]]  # what shows how far a stage with this title is


@dataclass(frozen=True, slots=True)
class TokenisedText:
    """What a run trains on, or somebody else's checkpoints were trained on, as tokens."""

    tokenizer: PreTrainedTokenizerBase
    train: TokenStore
    dev: TokenStore
    told: tuple[str, ...] = ()  # of what the corpora read, and of what lies beside it unread

    @property
    def first(self) -> int | None:
        """The token that begins a document, None where the recipe leaves BOS out."""
        return self.train.facts["bos"]  # type: ignore[no-any-return]


def silent(title: str) -> AbstractContextManager[token_store.Progress]:
    """A progress bar that nobody sees."""
    return nullcontext(lambda documents: None)


def prepare(folder: RunFolder, recipe: Observation, bar: Bar = silent) -> TokenisedText:
    """Tokenizer and token stores of a recipe, made or opened.  Raises OntogenyError if corpus or tokenizer cannot be had."""
    train, dev = splits(recipe)
    corpus, held_out = cast(Corpus, recipe.corpus), cast(Corpus, recipe.dev)
    fingerprints = [corpus.fingerprint(), held_out.fingerprint() if held_out else recipe.held_out]
    if isinstance(recipe, Recipe):
        inside = recipe.tokenizer.contents() if isinstance(recipe.tokenizer, Pretrained | Trained) else []
        key = disk.content_key(*fingerprints, recipe.tokenizer, recipe.bos, *inside)
        tokenizer = _tokenizer(folder, recipe, key, train, bar)
    else:  # theirs, which was kept when their checkpoints were opened
        key = disk.content_key(*fingerprints, disk.read_json(folder.tokenizer / "key.json")["key"], recipe.bos)
        tokenizer = open_tokenizer(folder.tokenizer)

    def write(name: str, documents: Callable[[], Iterable[Document]]) -> TokenStore:
        def make() -> TokenStore:
            with bar(f"tokens of the {name} text") as progress:
                return token_store.write(folder.tokens, name, documents(), tokenizer, bos=recipe.bos, key=key, progress=progress)

        return token_store.open_or_write(folder.tokens, name, key, make)

    told = tuple(dict.fromkeys(line for part in (corpus, held_out) for line in told_by(part)))
    told += () if isinstance(recipe, Recipe) else UNKNOWN[: 1 if held_out else 2]
    text = TokenisedText(tokenizer, write("train", train), write("dev", dev), told)
    facts = {name: {k: v for k, v in s.facts.items() if k != "sources"} for name, s in [("train", text.train), ("dev", text.dev)]}
    folder.note(tokens=facts, corpus=list(told))
    return text


def told_by(corpus: Corpus | None) -> list[str]:
    """What a corpus has to say of what it reads and what lies beside that; nothing where it does not know."""
    told: Callable[[], list[str]] = getattr(corpus, "told", list)
    return told()


def splits(recipe: Observation) -> tuple[Callable[[], Iterator[Document]], Callable[[], Iterator[Document]]]:
    """The training and the held-out documents: two corpora, or one that is parted by a hash of each document's number.

    Somebody else's model was trained on the whole of one.  Raises OntogenyError where its text is not known.
    """
    if recipe.corpus is None:
        raise OntogenyError(
            f"{recipe.name} is a run around somebody else's checkpoints: the text they were trained on is not known; "
            "where you have it: ontogeny open CHECKPOINTS --corpus FOLDER"
        )
    corpus = cast(Corpus, recipe.corpus)
    if recipe.dev is not None:
        return corpus.documents, cast(Corpus, recipe.dev).documents

    def side(held_out: bool) -> Iterator[Document]:
        for i, document in enumerate(corpus.documents()):
            if (zlib.crc32(i.to_bytes(8, "little")) < recipe.held_out * 2**32) == held_out:
                yield document

    return (lambda: side(False)) if isinstance(recipe, Recipe) else corpus.documents, (lambda: side(True))


def _tokenizer(
    folder: RunFolder, recipe: Recipe, key: str, documents: Callable[[], Iterable[Document]], bar: Bar
) -> PreTrainedTokenizerBase:
    part: Any = recipe.tokenizer

    def make() -> PreTrainedTokenizerBase:
        with bar("tokenizer") as progress:
            tokenizer: PreTrainedTokenizerBase = part.make(counted(documents(), progress))
        if not len(tokenizer):
            raise OntogenyError("the tokenizer has no tokens")
        return tokenizer

    return open_or_make(folder.tokenizer, key, make)


def open_or_make(folder: Path, key: str, make: Callable[[], PreTrainedTokenizerBase]) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder if it is there with this content key, else what `make` gives, which is kept there."""
    marker = folder / "key.json"
    if not (marker.exists() and disk.read_json(marker)["key"] == key):
        made = make()
        with disk.atomic(folder, mark=marker.name) as temporary:
            made.save_pretrained(temporary)
            disk.write_json(temporary / marker.name, {"key": key, "hashes": store.hashes_of(temporary)})
    return open_tokenizer(folder)


def check(folder: RunFolder, text: TokenisedText) -> None:
    """Raises OntogenyError if a file of the tokenizer or the tokens was changed since it was written; reads them whole."""
    known = disk.read_json(folder.tokenizer / "key.json")
    if told := store.altered(folder.tokenizer, known.get("hashes", {})):
        raise OntogenyError(f"{told}; delete {folder.tokenizer} and it is made again")
    text.train.checked()
    text.dev.checked()


def counted(documents: Iterable[Document], progress: token_store.Progress) -> Iterator[Document]:
    """The documents, each told to `progress` once it has been used."""
    for document in documents:
        yield document
        progress(1)
