"""Surprisals of any sentences, a row a token: what scoring finds, for whoever has sentences and no suite."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
import torch

from ontogeny.ngrams.kneser_ney import KneserNey, OfOrder
from ontogeny.records import OntogenyError
from ontogeny.scoring import causal, masked
from ontogeny.scoring.ngram import Walked
from ontogeny.scoring.reading import frame, open_model
from ontogeny.scoring.readout import Progress
from ontogeny.scoring.sentences import Encoded, Floats, Sentences, gather, spaced, tokenise
from ontogeny.tokens.pretrained import open_tokenizer
from ontogeny.tokens.spans import Span, spans, words
from ontogeny.tokens.token_store import backward
from ontogeny.tokens.unknown import unknown_id
from ontogeny.training.engine import find_device

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SCHEMA: dict[str, Any] = {
    "sentence": pl.Int64,  # its place in the list, from 0
    "token": pl.Int64,  # its place in the sentence, from 0
    "text": pl.String,  # the characters that it stands for
    "id": pl.Int64,
    "start": pl.Int64,  # of those characters in the sentence
    "end": pl.Int64,
    "word": pl.Int64,  # between white space, from 0: the one that it belongs to
    "word_text": pl.String,
    "surprisal": pl.Float64,  # nats; null where nothing predicts it
    "bits": pl.Float64,
    "unknown": pl.Boolean,  # the tokenizer cannot say what stands there
}


class Opened(NamedTuple):
    """A model as sentences are put to it."""

    tokenizer: PreTrainedTokenizerBase
    first: int | None  # the token before every sentence
    room: int  # the most tokens before a sentence's last
    logps: Callable[[Sentences], Floats]


def surprisals(
    model: Any,
    sentences: Sequence[str],
    *,
    contexts: Sequence[str | None] | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    bos: bool = True,
    leading_space: bool = False,
    metric: str = "within-word",
    device: str | None = None,
    batch_tokens: int = 2048,
    progress: Progress = lambda sentences: None,
) -> pl.DataFrame:
    """-log p of every token of every sentence, exactly, in the columns of `SCHEMA`.

    `model` is a folder that `from_pretrained` opens; or a causal or masked language model, with its `tokenizer`; or an n-gram model
    (`KneserNey`, whose highest order is taken, or one `of_order`) with its own.  Sentences begin after BOS, unless `bos` is False.
    A context stands between the two, is conditioned on and has no rows.  `leading_space` puts a space before each sentence; after a
    context there is one in any case.  Of a masked model the surprisals are those of the pseudo-log-likelihood, by `metric`
    within-word or original.  `device`: cpu, cuda, auto ...; left out, a loaded model stays where it is.

    Raises OntogenyError, which names the sentence, for one that is no text, empty, longer than the model's context (none is ever
    cut) or wholly unknown to the tokenizer; and for a model that cannot be opened or has no tokenizer.
    """
    texts = _texts(sentences, contexts)
    with _opened(model, tokenizer, bos, metric, device, batch_tokens, progress) as opened:
        unknown = unknown_id(opened.tokenizer, opened.first)
        rows = tokenise(texts, opened.tokenizer, opened.first, leading_space)
        names = [f"sentences[{number}] ({text!r})" for number, (_, text) in enumerate(texts)]
        for name, row in zip(names, rows, strict=True):
            _check(name, row, opened.room, unknown)
        distinct, which = gather(rows, names.__getitem__)
        values = _by_sentence(distinct, -opened.logps(distinct))
    step = -1 if backward(opened.tokenizer) else 1  # the order of the text
    given = [spaced(*both, leading_space)[1] for both in texts]
    lines = [
        line
        for number, (row, at, places) in enumerate(zip(rows, which, _places(opened.tokenizer, given, rows), strict=True))
        for line in _lines(number, row.text, row.ids[row.before :][::step], values[at][::step], places, opened.tokenizer, unknown)
    ]
    return pl.DataFrame(lines, schema=SCHEMA, orient="row")


# --- what is asked ------------------------------------------------------------------------------------------------


def _texts(sentences: Sequence[str], contexts: Sequence[str | None] | None) -> list[tuple[str, str]]:
    """Context and sentence of each."""
    for name, given in (("sentences", sentences), ("contexts", contexts)):
        if isinstance(given, str):
            raise OntogenyError(f"{name} is one text, and a list of them is wanted: [{given[:40]!r}]")
    before = [None] * len(sentences) if contexts is None else list(contexts)
    if len(before) != len(sentences) or not sentences:
        raise OntogenyError(f"{len(sentences)} sentences and {len(before)} contexts: as many are wanted, and one at least")
    return [
        ("" if context is None else _text(f"contexts[{number}]", context), _text(f"sentences[{number}]", sentence, needed=True))
        for number, (sentence, context) in enumerate(zip(sentences, before, strict=True))
    ]


def _text(name: str, value: Any, needed: bool = False) -> str:
    if not isinstance(value, str):
        raise OntogenyError(f"{name} is {value!r}, {type(value).__name__} and no text")
    if needed and not value.strip():
        raise OntogenyError(f"{name} is empty ({value!r}): there is no token to be surprised at; leave it out")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise OntogenyError(f"{name} holds half a surrogate pair, which is no character")
    return value


def _check(name: str, row: Encoded, room: int, unknown: int | None) -> None:
    own = row.ids[row.before :]
    if not own:
        raise OntogenyError(f"{name} has no token: the tokenizer leaves out all that is in it")
    if set(own) == {unknown}:
        raise OntogenyError(f"{name} is wholly unknown to the tokenizer: its surprisal would be that of the unknown token")
    if len(row.ids) > room + 1:  # the last is predicted and no input
        raise OntogenyError(
            f"{name} is {len(row.ids):,} tokens long with what stands before it, and the model takes {room + 1:,}; "
            "sentences are not cut here: shorten it, or its context"
        )


@contextmanager
def _opened(
    model: Any, tokenizer: Any, bos: bool, metric: str, device: str | None, batch_tokens: int, progress: Progress
) -> Iterator[Opened]:
    """The model, opened if it is a folder, at rest while it is asked."""
    if isinstance(model, str | Path):
        opened = open_model(Path(model)).to(find_device(device or "auto"))
        tokenizer, model, device = tokenizer or open_tokenizer(model), opened, None
    if tokenizer is None:
        raise OntogenyError(f"a {type(model).__name__} that is loaded needs the tokenizer it was made with: tokenizer=...")
    if isinstance(model, KneserNey | OfOrder):
        yield _of_ngrams(model if isinstance(model, OfOrder) else model.of_order(model.order), tokenizer)
        return
    if not isinstance(model, torch.nn.Module):
        raise OntogenyError(f"{type(model).__name__} is no model: a folder is wanted, or a language model with its tokenizer")
    model = model.to(find_device(device)) if device else model
    where, trains = next((weight.device for weight in model.parameters()), torch.device("cpu")), model.training
    first, room = frame(model, tokenizer, bos, None)

    def logps(asked: Sentences) -> Floats:
        if masked.is_masked(model):
            return masked.read(model, asked, tokenizer, where, bos, batch_tokens, progress, metric)[0]
        return causal.read_by(causal.choose_way(model, asked, where), asked, where, batch_tokens, progress)[0]

    model.eval()
    try:
        yield Opened(tokenizer, first, room, logps)
    finally:
        model.train(trains)


def _of_ngrams(model: OfOrder, tokenizer: PreTrainedTokenizerBase) -> Opened:
    index = model.model.index

    def logps(asked: Sentences) -> Floats:
        walked = Walked(index, asked)
        return np.concatenate(walked.tokens_of(walked.logps(model.model, model.order)))

    return Opened(tokenizer, index.bos, 2**31, logps)


# --- the table ----------------------------------------------------------------------------------------------------


def _by_sentence(sentences: Sentences, found: Floats) -> list[list[float | None]]:
    """The numbers of each sentence's own tokens; None for a first one that nothing predicts."""
    unasked = (sentences.given - [row.before for row in sentences.rows]).tolist()
    parts = np.split(found, sentences.starts[1:])
    return [[None] * skip + part.tolist() for skip, part in zip(unasked, parts, strict=True)]


def _places(tokenizer: PreTrainedTokenizerBase, given: list[str], rows: list[Encoded]) -> list[list[Span] | None]:
    """The characters of each sentence that its tokens stand for, counted without what was put before them; None: not to be had."""
    if not tokenizer.is_fast:
        name = type(tokenizer).__name__
        warnings.warn(f"{name} does not say where its tokens stand: start, end, word and word_text are empty", stacklevel=3)
        return [None] * len(rows)
    leads = [len(text) - len(row.text) for text, row in zip(given, rows, strict=True)]
    return [
        [(max(0, start - lead), max(0, end - lead)) for start, end in found]
        for lead, found in zip(leads, spans(tokenizer, given), strict=True)
    ]


def _lines(
    number: int,
    text: str,
    ids: Sequence[int],
    values: list[float | None],
    places: list[Span] | None,
    tokenizer: PreTrainedTokenizerBase,
    unknown: int | None,
) -> Iterator[tuple[Any, ...]]:
    """The rows of a sentence."""
    if places is None:
        where: list[tuple[Any, ...]] = [(name, None, None, None, None) for name in tokenizer.convert_ids_to_tokens(list(ids))]
    else:
        of, split = words(text, places), text.split()
        where = [(text[start:end], start, end, word, split[word]) for (start, end), word in zip(places, of, strict=True)]
    for token, (ident, value, (covered, start, end, word, name)) in enumerate(zip(ids, values, where, strict=True)):
        bits = None if value is None else value / math.log(2)
        yield number, token, covered, ident, start, end, word, name, value, bits, ident == unknown
