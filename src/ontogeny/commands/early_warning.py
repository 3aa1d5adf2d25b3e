"""Early warning for a run in progress, as a command asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ontogeny.early_warning import warned
from ontogeny.laboratory import Run


def warn_of(run: Run, sources: Sequence[Path], step: int | None = None, alpha: float = 0.1) -> pl.DataFrame:
    """Which paradigms of a run look, at a checkpoint (None: the newest), as those do that stay wrong (`evidence.warning.warn`).

    `sources` are finished runs' folders or tables of accuracies; that one is of another kind is said.  Raises OntogenyError for a
    run without scores, a run that is its own calibration, and as `warn` and `calibrate` do.
    """
    return warned(run.folder, run.recipe, sources, step, alpha, run.display.say)
