"""Runs beside one another: what differs between them, what each came to, and where their verdicts agree, on one page."""
