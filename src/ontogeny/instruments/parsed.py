"""A treebank's sentences as one model's tokens: in which tokens each word stands, and its states there."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ontogeny import store
from ontogeny.corpora.treebank import ParsedSentence, TaggedWord, files, sentences
from ontogeny.instruments.instrument import DoesNotApply
from ontogeny.records import OntogenyError
from ontogeny.tokens.spans import Span, spans
from ontogeny.tokens.token_store import backward, encode

if TYPE_CHECKING:
    from ontogeny.instruments.subject import Subject


def given(instrument: str, treebank: Path | None) -> Path:
    """The treebank that an instrument was set to read.  Raises OntogenyError that says how to, where it was not."""
    if treebank is None:
        raise OntogenyError(
            f"the instrument {instrument} reads a treebank and was given none: ontogeny read RUN --with {instrument} "
            "--set treebank=FILE, or a FOLDER of files, in CoNLL-U (.conllu, as Universal Dependencies has them at "
            "universaldependencies.org) and in the language of the model"
        )
    return treebank


def hashes(instrument: str, treebank: Path | None) -> list[str]:
    """Of a treebank's files.  Raises OntogenyError as `given` and `files` do."""
    return [store.file_hash(file) for file in files(given(instrument, treebank), f"{instrument}.treebank")]


@dataclass(frozen=True, slots=True, eq=False)
class ParsedText:
    """Sentences in an order that has nothing to do with the treebank's, so that whatever comes first is like what comes later."""

    sentences: list[ParsedSentence]
    tokens: list[list[int]]  # of each, after BOS where there is one
    places: list[NDArray[np.int64]]  # of each (words, 2): the first and the last token that a word stands in

    @property
    def words(self) -> list[TaggedWord]:
        """Of all sentences."""
        return [word for sentence in self.sentences for word in sentence.words]


def parsed_text(subject: Subject, treebank: Path, option: str, words: int) -> ParsedText:
    """A treebank's sentences, in an order drawn at random, up to so many words; without those that the model's context is too
    short for.

    Raises DoesNotApply for a model that reads from a text's end, and OntogenyError for a treebank of which nothing can be read.
    """
    if backward(subject.tokenizer):
        raise DoesNotApply("its model reads a text from its end, and a word's state is taken after the word")
    every = subject.context.once(("treebank", treebank), lambda: list(sentences(treebank, option)))
    order = np.random.default_rng(0).permutation(len(every))
    before = np.cumsum([0, *(len(every[number].words) for number in order)])[:-1]
    space = " " if subject.context.recipe.scoring.leading_space else ""
    chosen = [every[number] for number in order[before < words]]
    texts = [space + sentence.text for sentence in chosen]
    read = zip(chosen, encode(subject.tokenizer, texts, subject.first, special=True), spans(subject.tokenizer, texts), strict=True)
    placed = [
        (sentence, ids, _places(sentence, of, len(space), len(ids) - len(of)))
        for sentence, ids, of in read
        if len(ids) <= subject.limit
    ]
    if not placed:
        raise OntogenyError(f"{option}: {treebank} has no sentence of {subject.limit} tokens or fewer, which the model takes")
    return ParsedText(*map(list, zip(*placed, strict=True)))


def _places(sentence: ParsedSentence, of: Sequence[Span], shift: int, front: int) -> NDArray[np.int64]:
    """First and last token of each word.  A word that no token stands for has those of the token before it."""
    ends = [end for _, end in of]
    found = []
    for word in sentence.words:
        first, last = bisect_right(ends, word.start + shift), bisect_left(ends, word.end + shift)
        found.append((min(first, len(of) - 1), min(last, len(of) - 1)))
    return np.array(found, dtype=np.int64) + front


@torch.inference_mode()
def word_states(subject: Subject, text: ParsedText, most: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The states of the words' last tokens (words, width), layer by layer: at most so many, embeddings (0) and the last among them.

    Raises DoesNotApply for a model that gives none, and OntogenyError that names layer and sentence where one is no finite number.
    """
    order = sorted(range(len(text.tokens)), key=lambda number: len(text.tokens[number]))
    found: list[Any] = [None] * len(order)
    layers: list[int] = []
    for part, ids in subject.padded([text.tokens[number] for number in order]):
        states = subject.hidden(ids)
        layers = np.unique(np.linspace(0, len(states) - 1, min(most, len(states))).round().astype(int)).tolist()
        for row, number in enumerate(order[part]):
            ends = torch.from_numpy(text.places[number][:, 1]).to(ids.device)
            found[number] = torch.stack([states[layer][row, ends] for layer in layers]).float().cpu().numpy()
            if len(wrong := np.flatnonzero(~np.isfinite(found[number]).all(axis=(1, 2)))):
                sentence = text.sentences[number]
                raise OntogenyError(
                    f"a state of layer {layers[wrong[0]]} is no finite number, in the sentence at {sentence.place} "
                    f"({sentence.text[:40]!r}); the model's weights may be broken"
                )
    yield from zip(layers, np.concatenate(found, axis=1), strict=True)
