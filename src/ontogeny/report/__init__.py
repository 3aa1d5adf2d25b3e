"""Figures and the page, made from a run's store alone."""

from ontogeny.report import figures
from ontogeny.report.page import write_report

__all__ = ["figures", "write_report"]
