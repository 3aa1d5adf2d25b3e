"""How the arms of a study are told apart: doses by a scale of colours, others by hues, timings by panel, the reference in ink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from ontogeny.pages.theme import COLOURS, colours_apart, dashes_apart

NEAREST = 0.15  # of the colour scale: how far the smallest dose stands from its middle, which is the colour of the paper
OTHERS = "other arms"
APART = "apart"  # what arms without a dose are coloured by


@dataclass(frozen=True, slots=True)
class ArmStyle:
    """Where an arm is drawn, and in which colour."""

    arm: str
    label: str  # in the legend
    panel: str  # the levels of its factors other than the dose; OTHERS where it has no dose
    colour: float  # place on the panel's colour scale, 0 to 1


@dataclass(frozen=True, slots=True)
class ArmStyles:
    """How a study's arms are drawn.  The reference has no style: it is drawn in ink in every panel."""

    reference: str
    dose: str | None  # the factor that colours stand for
    given: str  # the other factors, which make the panels
    panels: tuple[str, ...]  # in the order of the arms
    arms: tuple[ArmStyle, ...]
    ranges: tuple[str, ...]  # each panel's range of the theme, or APART where arms have no order

    def of(self, panel: str) -> list[ArmStyle]:
        """The arms of one panel."""
        return [style for style in self.arms if style.panel == panel]

    def title(self, panel: str) -> str:
        """What stands above a panel: timing: early."""
        return panel if panel in (OTHERS, "") else f"{self.given}: {panel}"


def arm_styles(arms: pl.DataFrame) -> ArmStyles:
    """From the frame of arms: a column `factor.NAME` with several numbers is the dose, other factors make the panels."""
    dose = dose_factor(arms)
    own = arms.filter(~pl.col("reference")).sort("order").to_dicts()
    dosed = [row for row in own if dose is not None and row[f"factor.{dose}"] is not None]
    others = [name for name in factors(arms) if name != dose and any(row[f"factor.{name}"] is not None for row in dosed)]
    doses = [float(row[f"factor.{dose}"]) for row in dosed]
    found = [
        ArmStyle(row["arm"], f"{value:g}", _panel(row, others), place(value, doses))
        for row, value in zip(dosed, doses, strict=True)
    ]
    rest = [row["arm"] for row in own if row["arm"] not in {style.arm for style in found}]
    found += [ArmStyle(arm, arm, OTHERS if dosed else "", i / max(len(rest) - 1, 1)) for i, arm in enumerate(rest)]
    panels = tuple(dict.fromkeys(style.panel for style in found))
    diverging = min(doses, default=0) < 0 < max(doses, default=0)
    of_doses = {style.panel for style in found[: len(dosed)]}
    ranges = tuple(APART if panel not in of_doses else "diverging" if diverging else "ramp" for panel in panels)
    reference = arms.filter("reference")["arm"].to_list()
    return ArmStyles(reference[0] if reference else "", dose, ", ".join(others), panels, tuple(found), ranges)


def factors(arms: pl.DataFrame) -> list[str]:
    """Names of the study's factors."""
    return [name.removeprefix("factor.") for name in arms.columns if name.startswith("factor.")]


def dose_factor(arms: pl.DataFrame) -> str | None:
    """The factor called dose, or else the first whose levels are several numbers; None where there is none."""
    numbers = [name for name in factors(arms) if arms[f"factor.{name}"].dtype == pl.Float64]
    several = [name for name in numbers if arms[f"factor.{name}"].drop_nulls().n_unique() > 1]
    return "dose" if "dose" in several else next(iter(several), None)


def place(value: float, values: Sequence[float]) -> float:
    """A dose's place on the colour scale: below one half where it is negative, above where positive, the further the larger."""
    most = max(abs(v) for v in values) or 1.0
    if min(values) < 0 < max(values):
        share = abs(value) / most
        return 0.5 if not value else 0.5 + (1 if value > 0 else -1) * (NEAREST + (0.5 - NEAREST) * share)
    low, high = min(values), max(values)
    return (value - low) / (high - low) if high > low else 1.0


def _panel(row: dict[str, Any], others: Sequence[str]) -> str:
    known = [row[f"factor.{name}"] for name in others if row[f"factor.{name}"] is not None]
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in known)


def looks(shown: Sequence[ArmStyle], scheme: str, title: str | None) -> dict[str, Any]:
    """How arms look by their column `colour`: their colour named in a legend, and dashes if there are more than hues."""
    labels = {round(style.colour, 4): style.label for style in shown}  # arms of one dose have one place
    names = " : ".join(f"abs(datum.value - {place}) < 1e-6 ? {_quoted(label)}" for place, label in labels.items())
    legend = alt.Legend(
        type="symbol",
        values=list(labels),
        labelExpr=f"{names} : ''",
        title=title,
        orient="top",
        columns=4,
        symbolType="stroke",
        symbolStrokeWidth=2.5,
        symbolOpacity=1,
        labelLimit=160,
    )
    if scheme != APART:
        ends = [0, 0.5, 1] if scheme == "diverging" else [0, 1]
        return {"color": alt.Color("colour:Q", scale=alt.Scale(domain=ends, range=scheme), legend=legend)}
    hues, dashes = (alt.Scale(domain=list(labels), range=own(len(labels))) for own in (colours_apart, dashes_apart))
    colour = {"color": alt.Color("colour:N", scale=hues, legend=legend)}
    return colour | ({} if len(labels) <= len(COLOURS) else {"strokeDash": alt.StrokeDash("colour:N", scale=dashes, legend=legend)})


def _quoted(text: str) -> str:
    """A text as a Vega expression has it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
