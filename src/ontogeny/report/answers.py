"""What a run's n-gram evidence says, for the terminal."""

from __future__ import annotations

import polars as pl

from ontogeny.disk import read_table
from ontogeny.report.ngram_sentences import answer
from ontogeny.store import RunFolder


def answers(run: RunFolder) -> str:
    """One paragraph a suite and question, in plain words; empty for a run without evidence."""
    foretold, contests = (
        read_table(run.evidence(name)) if run.evidence(name).exists() else None for name in ("foretold", "contests")
    )
    if foretold is None:
        return ""
    paragraphs = []
    for suite in foretold["suite"].unique(maintain_order=True):
        own = [frame if frame is None else frame.filter(pl.col("suite") == suite) for frame in (foretold, contests)]
        paragraphs += [f"{suite}: {short} {rest}".strip() for short, rest in answer(*own)]
    return "\n".join(paragraphs)
