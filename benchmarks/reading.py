"""The known marks of reading times under n-grams of words: partial R² of ten million words like BabyLM's.

    python -m benchmarks reading reading_data.csv data/babylm/train_10M

Marks: eye .11, .17, .47 and self-paced .25, .71, .94 of 1-, 2- and 3-grams.  How they were made is not known; words in small
letters, contractions as one word, runs of punctuation as tokens that are not counted, and interpolated Witten-Bell come within
.015 of all six.  The instrument's n-grams are of words as they are written, with Kneser-Ney, and give others.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np

from ontogeny.corpora.text import Text
from ontogeny.instruments.reading import ORDERS, ReadWords, explained, read_table
from ontogeny.ngrams.index import build
from ontogeny.ngrams.witten_bell import WittenBell

TOKEN = re.compile(r"\w+(?:'\w+)?|[^\w\s]+")
BEGIN, UNKNOWN = 0, 1


def options(parser: argparse.ArgumentParser) -> None:
    """Which table, and which text."""
    parser.add_argument("table", type=Path, help="words that people read, as BabyLM's reading_data.csv")
    parser.add_argument("text", type=Path, help="a folder of text")


def run(asked: argparse.Namespace) -> None:
    """Prints a line an order."""
    words, vocabulary = read_table(asked.table), {"": BEGIN, "<unk>": UNKNOWN}
    ids = [i for document in Text(path=asked.text).documents() for i in begun(document.text, vocabulary)]
    with TemporaryDirectory() as folder:
        index = build(Path(folder) / "index", np.array(ids), len(vocabulary), BEGIN, order=max(ORDERS))
        counts: Any = SimpleNamespace(
            vocabulary=len(vocabulary), bos=BEGIN, followers=lambda h: dict(zip(*map(list, index.followers(h)), strict=True))
        )
        for order in ORDERS:
            own = np.array(list(surprisals(words, vocabulary, WittenBell(counts, order))))
            found = {name: explained(words, name, times, own, 0).r2 for name, times in words.measures.items()}
            print(f"{order}-grams  " + "  ".join(f"{name} {r2:.3f}" for name, r2 in found.items()), flush=True)


def begun(text: str, vocabulary: dict[str, int]) -> list[int]:
    """A document's tokens, after its beginning; new ones join the vocabulary."""
    return [BEGIN, *(vocabulary.setdefault(token, len(vocabulary)) for token in TOKEN.findall(text.lower()))]


def surprisals(words: ReadWords, vocabulary: dict[str, int], model: WittenBell) -> Iterator[float]:
    """Nats of every word of every sentence, without the punctuation at its end."""
    for text in words.sentences:
        history = [BEGIN]
        for word in text.split():
            own = [vocabulary.get(token, UNKNOWN) for token in TOKEN.findall(word.lower())]
            yield -model.logp(history, own[0])
            history += own
