"""The figures of the n-gram evidence by name, from what was found in a run's folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair as alt
import polars as pl

from ontogeny.pages.axes import beside
from ontogeny.records import OntogenyError
from ontogeny.report import foretelling
from ontogeny.report.gather import RunMaterial, verdicts_of
from ontogeny.report.ladder import at_token_level, distance, ladder, rung_map
from ontogeny.report.ngram_accuracy import ngram_accuracy
from ontogeny.report.reliance import reliance

COUNTS = [name for name, _ in foretelling.CORNERS.values()]


def evidence_of(material: RunMaterial, suite: str, name: str) -> pl.DataFrame | None:
    """One table of the evidence, its rows of one suite; None where it has none."""
    found = material.evidence.get(name)
    if found is None:
        return None
    part = found.filter(suite=suite) if "suite" in found.columns else found
    return None if part.is_empty() else part


def needed(material: RunMaterial, suite: str, name: str) -> pl.DataFrame:
    """The same.  Raises OntogenyError that says how it is made."""
    found = evidence_of(material, suite, name)
    if found is None:
        raise OntogenyError(f"this run has no table of {name} for {suite}; `ontogeny evidence RUN` makes it")
    return found


def outcomes(material: RunMaterial, suite: str) -> pl.DataFrame | None:
    """What the figure of bigrams against outcomes draws; None where nothing tells the bigram model's accuracy."""
    accuracies = foretelling.bigram_accuracies(
        evidence_of(material, suite, "margins"), evidence_of(material, suite, "ngram_curves")
    )
    if accuracies is None:
        return None
    found = foretelling.outcomes_of(accuracies, _curves(material, suite), verdicts_of(material, suite))
    return None if found.is_empty() else found


def two_by_two(material: RunMaterial, suite: str) -> dict[str, Any] | None:
    """The row of `tables` about bigrams among all paradigms, if there is one."""
    tables = evidence_of(material, suite, "tables")
    rows = [] if tables is None else at_token_level(tables).filter(order=2, among="all").to_dicts()
    return rows[0] if rows else None


def counts_of(material: RunMaterial, suite: str, drawn: pl.DataFrame) -> dict[str, int]:
    """Paradigms in the four corners: those of `tables`, or counted from what is drawn."""
    row = two_by_two(material, suite)
    return foretelling.corners(drawn) if row is None else {name: int(row[name]) for name in COUNTS}


def _curves(material: RunMaterial, suite: str) -> pl.DataFrame:
    return material.curves.filter(pl.col("suite") == suite)


def _ladder(material: RunMaterial, suite: str, **options: Any) -> alt.HConcatChart:
    return ladder(needed(material, suite, "ladder"), evidence_of(material, suite, "divergence"), material.spans, **options)


def _distance(material: RunMaterial, suite: str, **options: Any) -> alt.Chart:
    return distance(needed(material, suite, "divergence"), material.spans, **{"legend": True, **options})


def _rungs(material: RunMaterial, suite: str, **options: Any) -> alt.Chart:
    rungs = evidence_of(material, suite, "rungs")
    judged = verdicts_of(material, suite)
    return rung_map(needed(material, suite, "ladder"), rungs, _curves(material, suite), judged, material.spans, **options)


def _bigrams(material: RunMaterial, suite: str, **options: Any) -> alt.Chart:
    drawn = outcomes(material, suite)
    if drawn is None:
        needed(material, suite, "margins")
        raise OntogenyError(f"the tables of margins and of curves have no paradigm of {suite} in common")
    return foretelling.bigrams(drawn, counts_of(material, suite, drawn), **options)


def _foretold(material: RunMaterial, suite: str, **options: Any) -> alt.HConcatChart:
    frame = needed(material, suite, "foretold")
    asked = frame.drop_nulls("auc")["question"].to_list()
    there = [question for question in foretelling.QUESTIONS if question in asked]
    if not there:
        raise OntogenyError(f"nothing could be foretold of {suite}: see the table foretold for how many paradigms end wrong")
    return beside(*(foretelling.foretold(frame, q, **options).properties(title=foretelling.QUESTIONS[q]) for q in there))


def _reliance(material: RunMaterial, suite: str, **options: Any) -> alt.HConcatChart:
    return reliance(needed(material, suite, "reliance"), material.spans, **options)


def _ngrams(material: RunMaterial, suite: str, **options: Any) -> alt.Chart:
    return ngram_accuracy(needed(material, suite, "ngram_curves"), _curves(material, suite), material.spans, **options)


def _matched(material: RunMaterial, suite: str, **options: Any) -> alt.Chart:
    return foretelling.matched(needed(material, suite, "matched"), **options)


FIGURES: dict[str, Callable[..., Any]] = {
    "ladder": _ladder,
    "distance": _distance,
    "rungs": _rungs,
    "bigrams": _bigrams,
    "foretold": _foretold,
    "reliance": _reliance,
    "ngrams": _ngrams,
    "matched": _matched,
}


def there(material: RunMaterial, suite: str) -> list[str]:
    """Names of the figures that this run can have."""
    foretold = evidence_of(material, suite, "foretold")
    unasked = foretold is None or foretold["auc"].is_null().all()
    rows = evidence_of(material, suite, "ladder")
    unfollowed = rows is None or rows.filter(pl.col("paradigm") != "")["r"].is_null().all()  # too few pairs for any correlation
    tables = {"ladder": "ladder", "distance": "divergence", "rungs": "ladder", "ngrams": "ngram_curves"}
    return [
        name
        for name in FIGURES
        if not ((name == "foretold" and unasked) or (name == "rungs" and unfollowed))
        and (outcomes(material, suite) if name == "bigrams" else evidence_of(material, suite, tables.get(name, name))) is not None
    ]
