"""The pages of a run, made from its folder alone."""

from ontogeny.report.answers import answers
from ontogeny.report.audit_page import write as write_audit
from ontogeny.report.page import write_report
from ontogeny.report.panels import figure
from ontogeny.report.why_page import write as write_why
from ontogeny.report.why_terminal import why_terminal

__all__ = ["answers", "figure", "why_terminal", "write_audit", "write_report", "write_why"]
