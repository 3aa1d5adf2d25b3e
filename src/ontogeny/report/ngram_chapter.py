"""The page's chapter on n-grams: what they foretold, for one suite.  A part whose table is missing is left out and named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from ontogeny.pages.words import enumerated
from ontogeny.report import ngram_sentences as say
from ontogeny.results import Results

TABLES = {  # what each table shows; the chapter names those that are missing
    "foretold": "what foretells the end",
    "contests": "which foretells better",
    "tables": "the odds ratios",
    "ladder": "the ladder",
    "rungs": "the rungs that paradigms leave",
    "distance": "the distance of predictions",
    "reliance": "reliance on bigrams",
    "matched": "matched pairs",
    "ngram_curves": "the n-gram models' own learning",
}


def of_suite(results: Results, suite: str, name: str) -> pl.DataFrame | None:
    """A frame's rows of one suite; None where it has none."""
    found = results.frame(name)
    if found is None or "suite" not in found.columns:
        return found
    part = found.filter(pl.col("suite") == suite)
    return None if part.is_empty() else part


def ngram_chapter(results: Results, suite: str, panels: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The template's variables; `there` is False where the run has no table of the evidence for this suite."""
    tables = {name: of_suite(results, suite, name) for name in (*TABLES, "margins")}
    if all(table is None for name, table in tables.items() if name != "distance"):  # that is of no suite
        return {"there": False}
    answer: list[tuple[str, str]] = []
    with results.leaving_out("foretold"):
        answer = say.answer(tables["foretold"], tables["contests"])
    missing = [said for name, said in TABLES.items() if tables[name] is None and not _does_not_apply(results, name)]
    return {
        "there": True,
        "missing": enumerated(missing),
        "answer": answer,
        "panels": panels,
    }


def _does_not_apply(results: Results, name: str) -> bool:
    return name in results.tables and bool(results.tables[name].reason)
