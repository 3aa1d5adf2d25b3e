"""The page's chapter on n-grams: what they foretold, for one suite.  A part whose table is missing is left out and named."""

from __future__ import annotations

from typing import Any

import polars as pl

from ontogeny.pages.axes import known, last_step
from ontogeny.pages.embed import Charts
from ontogeny.pages.words import enumerated
from ontogeny.report import foretelling
from ontogeny.report import ngram_sentences as say
from ontogeny.report.gather import RunMaterial, verdicts_of
from ontogeny.report.ladder import NAMES, PANELS, agreement, distance, rung_map, whole
from ontogeny.report.ngram_accuracy import ngram_accuracy
from ontogeny.report.ngram_figures import counts_of, evidence_of, outcomes, two_by_two
from ontogeny.report.reliance import accounted, weights

TABLES = {  # what each table shows; the chapter names those that are missing
    "foretold": "what foretells the end",
    "contests": "which foretells better",
    "tables": "the odds ratios",
    "ladder": "the ladder",
    "rungs": "the rungs that paradigms leave",
    "divergence": "the distance of predictions",
    "reliance": "reliance on bigrams",
    "matched": "matched pairs",
    "ngram_curves": "the n-gram models' own learning",
}


def ngram_chapter(material: RunMaterial, suite: str, charts: Charts) -> dict[str, Any]:
    """The template's variables; `there` is False where the run has no table of the evidence for this suite."""
    tables = {name: evidence_of(material, suite, name) for name in (*TABLES, "margins")}
    if all(table is None for name, table in tables.items() if name != "divergence"):
        return {"there": False}
    missing = [said for name, said in TABLES.items() if tables[name] is None]
    return {
        "there": True,
        "missing": enumerated(missing),
        "answer": say.answer(tables["foretold"], tables["contests"]),
        "foretold": _foretold(tables["foretold"], tables["contests"], charts),
        "bigrams": _bigrams(material, suite, charts),
        "ladder": _ladder(material, tables["ladder"], tables["divergence"], charts),
        "rungs": _rungs(material, suite, tables["ladder"], tables["rungs"], charts),
        "reliance": _reliance(material, tables["reliance"], charts),
        "ngrams": _ngrams(material, suite, tables["ngram_curves"], charts),
        "matched": _matched(tables["matched"], charts),
    }


def _foretold(foretold: pl.DataFrame | None, contests: pl.DataFrame | None, charts: Charts) -> dict[str, Any] | None:
    if foretold is None or foretold["auc"].is_null().all():
        return None
    panels = []
    for question, title in foretelling.QUESTIONS.items():
        if question in foretold.drop_nulls("auc")["question"].to_list():
            wide, narrow = (
                charts.add(foretelling.foretold(foretold, question, width="container", narrow=slim)) for slim in (False, True)
            )
            panels.append({"title": title, "chart": wide, "narrow": narrow, "label": f"foretold {question}"})
    return {"panels": panels, "contests": _contests(contests), "first": _first(contests), "caption": say.foretold_says(foretold)}


def _first(contests: pl.DataFrame | None) -> str | None:
    """The one predictor that all others are held against, if there is only one."""
    names = set() if contests is None else set(contests["first"])
    return foretelling.PREDICTORS.get(*names, *names) if len(names) == 1 else None


def _contests(contests: pl.DataFrame | None) -> list[dict[str, str]]:
    rows = [] if contests is None else say.out_of_fold(contests).to_dicts()
    return [
        {
            "question": row["question"],
            "first": foretelling.PREDICTORS.get(row["first"], row["first"]),
            "second": foretelling.PREDICTORS.get(row["second"], row["second"]),
            "difference": _signed(row["difference"]),
            "interval": "" if row["low"] is None else f"{_signed(row['low'])} to {_signed(row['high'])}",
            "verdict": row["verdict"],
        }
        for row in rows
    ]


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}".replace("-", "−")


def _bigrams(material: RunMaterial, suite: str, charts: Charts) -> dict[str, Any] | None:
    drawn = outcomes(material, suite)
    if drawn is None:
        return None
    counts = counts_of(material, suite, drawn)
    wide, narrow = (charts.add(foretelling.bigrams(drawn, counts, width="container", narrow=slim)) for slim in (False, True))
    return {"chart": wide, "narrow": narrow, "caption": say.bigrams_say(counts, two_by_two(material, suite))}


def _ladder(
    material: RunMaterial, ladder: pl.DataFrame | None, divergence: pl.DataFrame | None, charts: Charts
) -> dict[str, Any] | None:
    panels, said = [], []
    last = last_step(ladder, divergence)
    if ladder is not None:
        for by, title in PANELS.items():
            if len(whole(ladder, by)):
                drawn = agreement(ladder, by, material.spans, width="container", last=last)
                panels.append({"title": f"correlation {title}", "chart": charts.add(drawn), "label": f"ladder {by}"})
        said.append(say.ladder_says(ladder, material.spans))
    if divergence is not None:
        drawn = distance(divergence, material.spans, width="container", last=last)
        panels.append({"title": "distance of the predictions", "chart": charts.add(drawn), "label": "distance"})
        said.append(say.distance_says(divergence, material.spans))
    orders = _orders(*(table for table in (ladder, divergence) if table is not None))
    return {"panels": panels, "orders": orders, "caption": " ".join(said).strip()} if panels else None


def _orders(*tables: pl.DataFrame) -> list[int]:
    """The orders of n-gram models that have a colour and are drawn from any of the tables."""
    return sorted({int(order) for table in tables for order in table["order"].unique()} & set(NAMES))


def _rungs(
    material: RunMaterial, suite: str, ladder: pl.DataFrame | None, rungs: pl.DataFrame | None, charts: Charts
) -> dict[str, Any] | None:
    if ladder is None or ladder.filter(pl.col("paradigm") != "", pl.col("r").is_not_null()).is_empty():
        return None
    curves, verdicts = material.curves.filter(pl.col("suite") == suite), verdicts_of(material, suite)
    wide, narrow = (
        charts.add(rung_map(ladder, rungs, curves, verdicts, material.spans, width="container", narrow=slim))
        for slim in (False, True)
    )
    phenomena = curves["phenomenon"].n_unique() if known(curves, "phenomenon") else 0
    lines = ladder.filter(pl.col("paradigm") != "")["paradigm"].n_unique() + phenomena
    return {
        "chart": wide,
        "narrow": narrow,
        "height": 110 + 15 * lines,
        "caption": say.rungs_say(ladder, rungs),
        "left": rungs is not None,
    }


def _reliance(material: RunMaterial, reliance: pl.DataFrame | None, charts: Charts) -> dict[str, Any] | None:
    if reliance is None or reliance.filter(paradigm="").is_empty():
        return None
    drawn = weights(reliance, material.spans, width="container"), accounted(reliance, material.spans, width="container")
    titles = ("weight in the network's margins", "share of the differences accounted for")
    labels = ("reliance", "reliance share")
    panels = [
        {"title": title, "chart": charts.add(chart), "label": label}
        for title, chart, label in zip(titles, drawn, labels, strict=True)
    ]
    return {"panels": panels, "caption": say.reliance_says(reliance, material.spans)}


def _ngrams(material: RunMaterial, suite: str, ngram_curves: pl.DataFrame | None, charts: Charts) -> dict[str, Any] | None:
    if ngram_curves is None:
        return None
    curves = material.curves.filter(pl.col("suite") == suite)
    drawn = ngram_accuracy(ngram_curves, curves, material.spans, width="container", legend=False)
    return {"chart": charts.add(drawn), "orders": _orders(ngram_curves), "caption": say.ngrams_say(ngram_curves, curves)}


def _matched(matched: pl.DataFrame | None, charts: Charts) -> dict[str, Any] | None:
    if matched is None or matched.drop_nulls("difference").is_empty():
        return None
    wide, narrow = (charts.add(foretelling.matched(matched, width="container", narrow=slim)) for slim in (False, True))
    lines = len(matched.drop_nulls("difference"))
    return {"chart": wide, "narrow": narrow, "height": 60 + 15 * lines, "caption": say.matched_says(matched)}
