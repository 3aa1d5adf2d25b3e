"""The page: one HTML file that holds its own scripts and data and asks the network for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from ontogeny.pages.axes import known, save
from ontogeny.pages.embed import Charts, drawn
from ontogeny.pages.templates import anchor, look, templates
from ontogeny.report import accuracy, likelihood, ngram_figures, paradigm_map, training
from ontogeny.report.gather import RunMaterial, entropy, gather, verdicts_of
from ontogeny.report.headline import MEANINGS, first_sentence
from ontogeny.report.provenance import commands, tables
from ontogeny.report.readings import reading_cards
from ontogeny.report.sections import suite_section
from ontogeny.store import RunFolder, atomic

__all__ = ["first_sentence", "render", "write_figures", "write_report"]


def write_report(run: RunFolder) -> Path:
    """Writes a run's page, and its figures beside it, from what the run's folder holds.  Returns the page's path.

    Works for runs that are unfinished or lack parts: the page says what is missing.
    Raises OntogenyError for broken files.
    """
    material = gather(run)
    page = render(material)
    write_figures(material, run.report.parent / "figures")
    with atomic(run.report) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return run.report


def render(material: RunMaterial) -> str:
    """The page as HTML; the same material gives the same page."""
    charts = Charts()
    suites = [suite_section(material, suite, charts) for suite in material.suites]
    return (
        templates(Path(__file__).parent)
        .get_template("page.html.jinja")
        .render(
            title=material.name,
            notes=material.notes,
            suites=suites,
            training=_training(material, charts),
            instruments=reading_cards(material.readings, material.spans, material.chances, charts),
            made=tables(material.lineage),
            recipe=material.recipe,
            commands=commands(material),
            meanings={name: (anchor("verdict", name), meaning) for name, meaning in MEANINGS.items()},
            **look(),
            **drawn(charts),
        )
    )


def write_figures(material: RunMaterial, folder: Path) -> list[Path]:
    """map.svg, map.png, likelihoods.svg, overall.svg and those of the n-grams for each suite (`-SUITE` from the second
    on), and training.svg.
    """
    written = []
    for place, suite in enumerate(material.suites):
        curves = material.curves.filter(pl.col("suite") == suite)
        suffix = f"-{suite}" if place else ""
        drawn = paradigm_map.accuracy_map(curves, verdicts_of(material, suite), material.spans)
        written += [save(drawn, folder / f"map{suffix}.{ending}", scale=1.5) for ending in ("svg", "png")]
        overall = accuracy.overall_accuracy(curves, material.spans)
        written.append(save(overall, folder / f"overall{suffix}.svg"))
        if known(curves, "logp_good", "logp_bad"):
            written.append(save(likelihood.likelihoods(curves), folder / f"likelihoods{suffix}.svg"))
        for name in ngram_figures.there(material, suite):
            written.append(save(ngram_figures.FIGURES[name](material, suite), folder / f"{name}{suffix}.svg"))
    if material.losses is not None or material.dev is not None:
        drawn = training.training_curves(material.losses, material.dev, entropy(material), material.spans)
        written.append(save(drawn, folder / "training.svg"))
    return written


def _training(material: RunMaterial, charts: Charts) -> dict[str, Any] | None:
    losses, dev, spans = material.losses, material.dev, material.spans
    if losses is None and dev is None:
        return None
    rate = losses is not None and known(losses, "learning_rate")
    return {
        "loss": charts.add(training.loss_curve(losses, dev, entropy(material), spans, width="container")),
        "rate": charts.add(training.rate_curve(losses, spans, width="container")) if rate and losses is not None else None,
        "entropy": entropy(material),
    }
