"""Copying: what a text or a list of words that comes twice gains the second time, and what a text's beginning gives to its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch.nn import functional as F

from ontogeny.corpora.treebank import sentences
from ontogeny.instruments.instrument import Column, Instrument
from ontogeny.instruments.parsed import hashes
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.panel import Panel
from ontogeny.records import OntogenyError
from ontogeny.trajectories.timeline import Floats, Ints

SECOND = ("repeat", "permute", "novel")  # what the second list is: the same, in another order, of other words
SIZES = (3, 5, 10)  # words in a list
LISTS = 24  # of each kind
BRIDGE = 16  # tokens of held-out text between two lists
COMMON, POOL = 50, 500  # words left out as the most frequent, and how many of the next lists are drawn from


class Copying(Instrument):
    """The loss of random tokens that come twice, first time and second; of a second list of words beside a first one; and of
    held-out text early and late in a row."""

    version: ClassVar[int] = 2
    uses: ClassVar[tuple[str, ...]] = ("text",)

    kind: Literal["copying"] = "copying"
    rows: int = Field(64, ge=1)
    """Random texts that come twice."""
    tokens: int = Field(62, ge=2)
    """Most tokens of one before it is repeated; fewer where the model's context is too short."""
    treebank: Path | None = None
    """In CoNLL-U: lists are of its nouns; left out, of frequent words of the text, which are not all nouns."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """One row."""
        return {
            "gain": Column(says="copy gain: mean loss of random tokens less their loss the second time", unit="nats a token"),
            "in_context": Column(
                says="loss of held-out text at 10 to 20 % of a row less its loss in the last fifth", unit="nats a token"
            ),
            "first": Column(says="loss of the random tokens the first time", unit="nats a token"),
            "second": Column(says="loss of the same tokens the second time", unit="nats a token"),
        } | {
            f"{kind}_{n}": Column(says=f"loss of a second list of {n} words ({kind}) over that of the first, median over lists")
            for kind in SECOND
            for n in SIZES
        }

    def contents(self) -> list[str]:
        """The treebank's, where there is one."""
        return hashes(self.name, self.treebank) if self.treebank else []

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises OntogenyError where the loss is no number."""
        twice = subject.repeated(self.rows, self.tokens)
        by_place = losses(subject, twice).mean(0)  # (tokens - 1,): of each but the first
        n = len(by_place) // 2
        first, second = by_place[-2 * n : -n].mean(), by_place[-n:].mean()
        text = losses(subject, subject.sample()).mean(0)
        early, late = (
            text[len(text) // 10 : max(len(text) // 5, len(text) // 10 + 1)].mean(),
            text[-max(len(text) // 5, 1) :].mean(),
        )
        said = {"gain": first - second, "in_context": early - late, "first": first, "second": second}
        return pl.DataFrame([said | list_ratios(subject, self.treebank)], infer_schema_length=None)

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """What is gained by copying, and by context."""
        return {name: table.select("seed", "step", value=name) for name in ("gain", "in_context")}

    def panels(self) -> tuple[Panel, ...]:
        """Copy gain and in-context learning."""
        return curves.panels(self.name, self.columns, most=2)


def list_ratios(subject: Subject, treebank: Path | None) -> dict[str, float | None]:
    """By kind and size; None where the model's context is too short, or there are too few words.  The first words do not count."""
    words, comma = subject.once(("list words", treebank), partial(list_words, subject, treebank))
    begin = int(subject.first is not None)
    between = subject.sample()[:, begin : begin + BRIDGE]
    bridges = between[np.arange(LISTS) % len(between)]
    found: dict[str, float | None] = {f"{kind}_{n}": None for kind in SECOND for n in SIZES}
    for n in SIZES:
        if len(words) < 2 * n:
            continue
        lists, one, other = word_lists(words, comma, bridges, n)
        rows = np.pad(lists, ((0, 0), (0, 0), (begin, 0)), constant_values=subject.first or 0)
        if rows.shape[-1] > subject.limit:
            continue
        loss = losses(subject, rows.reshape(-1, rows.shape[-1])).reshape(len(SECOND), LISTS, -1)
        first, second = (loss[..., begin + places[1:] - 1].mean(-1) for places in (one, other))
        found |= {f"{kind}_{n}": float(ratio) for kind, ratio in zip(SECOND, np.median(second / first, axis=1), strict=True)}
    return found


def list_words(subject: Subject, treebank: Path | None) -> tuple[Ints, int | None]:
    """Tokens that are whole words, the most frequent first, and the comma, None where the tokenizer has none of one token."""

    def whole(word: str) -> int | None:
        for text in (" " + word, word):
            ids = subject.tokenizer(text, add_special_tokens=False)["input_ids"]
            if len(ids) == 1 and ids[0] not in subject.tokenizer.all_special_ids and subject.tokenizer.decode(ids).strip() == word:
                return int(ids[0])
        return None

    if treebank:
        every = (word for sentence in sentences(treebank, "copying.treebank") for word in sentence.words)
        often = [form for form, _ in Counter(word.form.lower() for word in every if word.upos == "NOUN").most_common()]
    else:
        ranked = np.argsort(-np.bincount(subject.stream()), kind="stable")
        texts = (subject.tokenizer.decode([token]).strip() for token in ranked[COMMON : COMMON + 4 * POOL].tolist())
        often = [text for text in texts if len(text) > 1 and text.isalpha()]
    found = dict.fromkeys(token for word in often if (token := whole(word)) is not None)
    return np.array(list(found)[:POOL], dtype=np.int64), whole(",")


def word_lists(words: Ints, comma: int | None, bridges: Ints, n: int) -> tuple[Ints, Ints, Ints]:
    """Texts (kinds of SECOND, lists, tokens) of n words, a bridge and n words, with commas; the places of both lists' words."""
    random = np.random.default_rng(n)
    drawn = np.stack([random.choice(words, 2 * n, replace=False) for _ in bridges])
    first, places = drawn[:, :n], np.arange(n)
    moved = places
    while (moved == places).any():
        moved = random.permutation(n)

    def spelt(own: Ints) -> Ints:
        return own if comma is None else np.insert(own, places[1:], comma, axis=1)

    texts = [np.hstack([spelt(first), bridges, spelt(own)]) for own in (first, first[:, moved], drawn[:, n:])]
    one = places if comma is None else 2 * places
    return np.stack(texts), one, one + one[-1] + 1 + bridges.shape[1]


@torch.inference_mode()
def losses(subject: Subject, rows: NDArray[np.int64]) -> Floats:
    """-log p of each token but the first of each row, nats.  Raises OntogenyError that names a row with one that is no number."""
    found = []
    for part, ids in subject.padded(rows.tolist()):
        logits = subject.model(input_ids=ids[:, :-1]).logits.float()
        own = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none").double().cpu().numpy()
        if len(wrong := np.flatnonzero(~np.isfinite(own).all(1))):
            raise OntogenyError(f"the loss of row {part.start + wrong[0]} is no finite number; the model's weights may be broken")
        found.append(own)
    return np.concatenate(found)
