"""A run's figures by name, for a notebook: `figure(run, "map")`."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.report import accuracy, likelihood, paradigm_map, training
from ontogeny.report.gather import RunMaterial, entropy, gather, verdicts_of
from ontogeny.report.ngram_figures import FIGURES
from ontogeny.store import RunFolder


def figure(
    run: RunFolder, name: str = "map", *, suite: str | None = None, paradigm: str | None = None, **options: Any
) -> alt.Chart:
    """A figure of a run: map, overall, likelihoods, training, or one paradigm's likelihood or trajectory.

    Of the n-gram evidence: ladder, distance, rungs, bigrams, foretold, reliance, ngrams, matched.

    `suite`: the run's first, if left out.  `options` go to the figure's own function (width, height ...).
    Raises OntogenyError for unknown names and for what the run does not have.
    """
    material = gather(run)
    if name == "training":
        return training.training_curves(material.losses, material.dev, entropy(material), material.spans, **options)
    suite = _chosen("suite", suite, material.suites)
    curves = material.curves.filter(pl.col("suite") == suite)
    if name == "map":
        return paradigm_map.accuracy_map(curves, verdicts_of(material, suite), material.spans, **options)
    if name == "overall":
        return accuracy.overall_accuracy(curves, material.spans, **options)
    if name == "likelihoods":
        return likelihood.likelihoods(curves, **options)
    if name in FIGURES:
        return FIGURES[name](material, suite, **options)
    if name not in ("likelihood", "trajectory"):
        known = ["map", "overall", "likelihoods", "training", "likelihood", "trajectory", *FIGURES]
        raise OntogenyError(f"no figure is called {name!r}; {nearest(name, known)}")
    if paradigm is None:
        raise OntogenyError(f"the figure {name!r} is of one paradigm: say which, as in paradigm={curves['paradigm'][0]!r}")
    return _of_paradigm(material, name, suite, _chosen("paradigm", paradigm, curves["paradigm"].unique().to_list()), options)


def _of_paradigm(material: RunMaterial, name: str, suite: str, paradigm: str, options: dict[str, Any]) -> alt.Chart:
    curve = material.curves.filter(suite=suite, paradigm=paradigm)
    if name == "likelihood":
        return likelihood.likelihood(curve, material.spans, **options)
    judged = verdicts_of(material, suite)
    his = [] if judged is None else judged.filter(paradigm=paradigm)["hi"].to_list()
    return accuracy.trajectory(curve, material.spans, (1 - his[0], his[0]) if his else None, **options)


def _chosen(what: str, name: str | None, known: list[str]) -> str:
    if not known:
        raise OntogenyError("nothing has been scored and judged in this run yet: there is nothing to draw")
    if name is not None and name not in known:
        raise OntogenyError(f"no {what} is called {name!r}; {nearest(name, sorted(known))}")
    return known[0] if name is None else name
