"""Suites of minimal pairs made for a text: from the words that it has, and, if asked, by the side its bigrams take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ontogeny.display import Display
from ontogeny.laboratory import Run
from ontogeny.ngrams.counted import Counted
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.suites.micro_english import SIDES, Scorer, leaning, made, seen, write
from ontogeny.tokens.token_store import encode


def make(
    out: Path,
    pairs: int,
    names: Sequence[str] | None = None,
    seed: int = 1,
    vocabulary: Path | None = None,
    at_least: int = 5,
    lean: str | None = None,
    display: Display | None = None,
) -> tuple[int, list[str]]:
    """Writes `pairs` pairs of each of BLiMP's paradigms as a table, grown from micro-English's grammar.

    `vocabulary` is a run whose text must have each word `at_least` times; `lean` (neutral, helpful, misleading) is the side that
    the word bigrams of that text take.  Returns how many pairs there are, and why paradigms are missing, a line each.
    Raises OntogenyError for an unknown side, a side without a run, and a run without a text.
    """
    if lean is not None and lean not in SIDES:
        raise OntogenyError(f"bigrams do not lean {lean!r}; {nearest(lean, list(SIDES))}")
    if lean is not None and vocabulary is None:
        raise OntogenyError("--lean asks the bigrams of a text: say which with --vocabulary RUN")
    run = Run(vocabulary, display or Display(quiet=True)) if vocabulary else None
    corpus: Any = getattr(run.recipe, "corpus", None) if run else None
    if run and corpus is None:
        raise OntogenyError(f"{vocabulary} has no text of its own; --vocabulary is for a run that was trained here")
    known = seen(corpus.documents(), at_least) if run else None
    missing: dict[str, str] = {}
    if run and lean is not None:
        scorer = bigrams(run.count()["word"])
        found = leaning(pairs, scorer, lean, names, seed, known, missing)  # type: ignore[arg-type]  # checked above
    else:
        found = made(pairs, names, seed, known, missing)
    return write(found, out), list(missing.values())


def bigrams(counted: Counted, order: int = 2) -> Scorer:
    """log p of sentences (nats, conditioned on BOS, without the end) under a text's own n-gram model."""

    def scorer(sentences: list[str]) -> list[float]:
        ids = encode(counted.tokenizer, sentences, counted.index.bos)
        logps = np.log(counted.model.probabilities(counted.index.walk(ids), order))
        ends = np.cumsum([len(sentence) for sentence in ids])
        return [float(logps[end - len(sentence) + 1 : end].sum()) for end, sentence in zip(ends, ids, strict=True)]

    return scorer
