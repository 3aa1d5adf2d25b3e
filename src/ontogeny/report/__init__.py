"""Figures and the page, made from a run's store alone."""

from ontogeny.report import figures
from ontogeny.report.named import figure
from ontogeny.report.page import write_report

__all__ = ["figure", "figures", "write_report"]
