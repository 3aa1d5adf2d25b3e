"""Every figure, one function each from frames to an Altair chart, and `save` for PNG, SVG, HTML and JSON."""

from ontogeny.pages.axes import save, themed
from ontogeny.report.accuracy import overall_accuracy, trajectory
from ontogeny.report.foretelling import bigrams, foretold, matched
from ontogeny.report.ladder import agreement, distance, ladder, rung_map
from ontogeny.report.likelihood import likelihood, likelihoods
from ontogeny.report.ngram_accuracy import ngram_accuracy
from ontogeny.report.paradigm_map import accuracy_map
from ontogeny.report.readings import reading
from ontogeny.report.reliance import reliance
from ontogeny.report.training import loss_curve, rate_curve, training_curves

__all__ = [
    "accuracy_map",
    "agreement",
    "bigrams",
    "distance",
    "foretold",
    "ladder",
    "likelihood",
    "likelihoods",
    "loss_curve",
    "matched",
    "ngram_accuracy",
    "overall_accuracy",
    "rate_curve",
    "reading",
    "reliance",
    "rung_map",
    "save",
    "themed",
    "training_curves",
    "trajectory",
]
