"""Figures and the pages, made from a run's store alone."""

from ontogeny.report import figures
from ontogeny.report.answers import answers
from ontogeny.report.audit_page import write as write_audit
from ontogeny.report.named import figure
from ontogeny.report.page import write_report
from ontogeny.report.why_page import write as write_why
from ontogeny.report.why_terminal import why_terminal

__all__ = ["answers", "figure", "figures", "why_terminal", "write_audit", "write_report", "write_why"]
