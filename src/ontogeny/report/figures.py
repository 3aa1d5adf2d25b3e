"""Every figure, one function each from frames to an Altair chart, and `save` for PNG, SVG, HTML and JSON."""

from ontogeny.report.accuracy import overall_accuracy, trajectory
from ontogeny.report.axes import save, themed
from ontogeny.report.likelihood import likelihood, likelihoods
from ontogeny.report.paradigm_map import accuracy_map
from ontogeny.report.training import loss_curve, rate_curve, training_curves

__all__ = [
    "accuracy_map",
    "likelihood",
    "likelihoods",
    "loss_curve",
    "overall_accuracy",
    "rate_curve",
    "save",
    "themed",
    "training_curves",
    "trajectory",
]
