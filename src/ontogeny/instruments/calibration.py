"""Calibration: whether margins are as large as pairs are sure to be right, and whether frequent tokens make them right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from ontogeny.instruments.instrument import Column, Instrument, schema
from ontogeny.instruments.reach import TIE, by_paradigm, right
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.curves import means_by_verdict
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel, Tabulated
from ontogeny.scoring.plan import Plan
from ontogeny.trajectories.timeline import Floats

STEPS = 50  # of Newton's method in one dimension
FAR = 30.0  # nats: beyond it a sigmoid is 0 or 1
BY_VERDICT = ("verdict", ">paradigms", ">accuracy", ">confidence", ">Brier")


class MarginCalibration(Instrument):
    """The margin m of each pair read as a probability sigmoid(m) that the good sentence is good."""

    needs: ClassVar[tuple[str, ...]] = ("pairs",)
    uses: ClassVar[tuple[str, ...]] = ("text",)

    kind: Literal["calibration"] = "calibration"
    pairs: int = Field(50, ge=4)
    """Pairs of each paradigm."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By suite and paradigm."""
        index = {"suite": "the suite", "paradigm": "its paradigm; empty: all pairs together"}
        return {name: Column(says=says, dtype=pl.String, index=True) for name, says in index.items()} | {
            "accuracy": Column(says="share of pairs whose good sentence is preferred", span=(0.0, 1.0), chance=0.5),
            "confidence": Column(says="mean probability of the sentence that is preferred", span=(0.5, 1.0)),
            "brier": Column(says="mean of (1 - probability of the good sentence)²", span=(0.0, 1.0), chance=0.25),
            "slope": Column(says="slope s by which sigmoid(s m) tells best which sentence is good; 1: calibrated"),
            "wrong": Column(says="mean size of the margins of wrong pairs", unit="nats"),
            "frequency_gap": Column(
                says="accuracy of the half of pairs whose tokens are more frequent, less that of the other half", span=(-1.0, 1.0)
            ),
            "n": Column(says="pairs", dtype=pl.Int64),
        }

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises OntogenyError if a log-probability is no finite number."""
        unigram = subject.unigram() if subject.context.knows_text else None
        rows = []
        for suite in subject.suites_of_two():
            plan, margins = subject.plan(suite, self.pairs), subject.margins(suite, self.pairs)
            often = None if unigram is None else frequency(plan, unigram)
            for paradigm, which in by_paradigm(plan).items():
                gap = None if often is None else frequency_gap(margins[which], often[which])
                rows.append((suite, paradigm, *calibrated(margins[which]), gap, len(which)))
        return pl.DataFrame(rows, schema=schema(self), orient="row")

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Without accuracy and Brier's score, which say what verdicts say."""
        return {name: one for name, one in super().numbers(table).items() if name not in ("accuracy", "brier")}

    def panels(self) -> tuple[Panel, ...]:
        """Confidence beside accuracy."""
        return (
            Panel(
                name="calibration.all",
                title="how sure a model is of the sentence that it prefers, and how often it is right",
                needs=("calibration",),
                takes=("verdicts",),
                draw=_lines,
                says=_says,
                table=by_verdict,
                per="suite",
                command="read RUN --with calibration",
            ),
        )


def calibrated(margins: Floats) -> tuple[float | None, ...]:
    """accuracy, confidence, Brier score, slope and size of wrong margins, of margins in nats."""
    p = 1 / (1 + np.exp(-np.clip(margins, -FAR, FAR)))
    wrong = margins[margins < -TIE]
    confidence, brier = float(np.maximum(p, 1 - p).mean()), float(((1 - p) ** 2).mean())
    return right(margins), confidence, brier, slope(margins), float(-wrong.mean()) if len(wrong) else None


def slope(margins: Floats) -> float | None:
    """s that maximises the sum of log sigmoid(s m); None where all pairs are on one side, so that none does."""
    if not (margins.min() < -TIE and margins.max() > TIE):
        return None
    scaled, s = margins / margins.std(), 0.0
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(np.clip(s * scaled, -FAR, FAR)))  # that it is wrong
        s += float(np.clip((p * scaled).sum() / (p * (1 - p) * scaled**2).sum(), -1, 1))
    return s / float(margins.std())


def frequency(plan: Plan, unigram: Floats) -> Floats:
    """Mean log frequency of the tokens of each pair, both sentences, (pairs,)."""
    means = np.array([unigram[list(ids)].mean() for ids in plan.sentences])
    return np.asarray((means[plan.good] + means[plan.bad]) / 2)


def frequency_gap(margins: Floats, often: Floats) -> float | None:
    """None where all pairs are as frequent."""
    frequent = often > np.median(often)
    return right(margins[frequent]) - right(margins[~frequent]) if frequent.any() else None


# --- its figure ---------------------------------------------------------------------------------------------------


def _lines(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    every = (
        frames["calibration"].filter(paradigm="").unpivot(["accuracy", "confidence"], index=["seed", "step"], variable_name="of")
    )
    column = Column(says="", span=(0.0, 1.0), chance=0.5)
    return curves.lines(every.sort("of", "step", "seed"), "share of pairs", column, clock, **options)


def _ends(frames: Frames) -> pl.DataFrame:
    last = frames["calibration"].filter(pl.col("step") == pl.col("step").max())
    return last.group_by("paradigm", maintain_order=True).agg(pl.exclude("suite", "seed", "step").mean())


def _says(frames: Frames, clock: Clock) -> str:
    """Both at the end, and the slope."""
    every = _ends(frames).row(by_predicate=pl.col("paradigm") == "", named=True)
    said = (
        f"At the last checkpoint the sentence that the model prefers has a probability of {every['confidence']:.2f} on average, "
        f"taken from the margin of log-probabilities, and is the good one in a share of {every['accuracy']:.2f}."
    )
    if every["slope"] is not None:
        said += f" Margins times {every['slope']:.2f} would tell best which sentence is good; 1 would be calibrated."
    return f"{said} A paradigm that is wrong for sure has a high confidence and a low accuracy."


def by_verdict(frames: Frames) -> Tabulated | None:
    """Means at the last checkpoint, by verdict."""
    ends = _ends(frames).filter(pl.col("paradigm") != "")
    return means_by_verdict(ends.select("paradigm", "accuracy", "confidence", "brier"), frames, BY_VERDICT)
