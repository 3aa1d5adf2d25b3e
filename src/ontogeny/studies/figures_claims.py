"""The figure of a prediction: its estimates with their intervals, over what would support and what would refute it."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import polars as pl

from ontogeny.pages.axes import WIDTH, Width, dashed, filled, need, rows, table
from ontogeny.studies.plan import Region

Zone = tuple[str, float, float]  # supported or refuted, from, to; infinite where it has no end


def zones(supported: Region, refuted: Region) -> list[Zone]:
    """The stretches in which a whole interval supports or refutes a prediction."""
    return [(name, *ends) for name, region in (("supported", supported), ("refuted", refuted)) for ends in region.stretches]


def intervals(
    claims: pl.DataFrame, marked: list[Zone], unit: str | None, *, width: Width = WIDTH, narrow: bool = False
) -> alt.Chart:
    """A prediction's estimates with their intervals, one line each, over the zones in which it is supported or refuted.

    `claims`: name, estimate, low, high, verdict.  An interval that has no end on a side is drawn to the figure's edge.  `narrow`
    puts names above their lines, for a phone.  Raises OntogenyError for missing columns or no rows.
    """
    need(claims, ("name", "estimate", "low", "high", "verdict"), "the figure of intervals")
    low, high = _domain(claims, marked)
    scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    x = alt.X("estimate:Q", scale=scale, title=unit, axis=alt.Axis(tickCount=4 if narrow else 6, grid=False, format="~r"))
    names = None if narrow else alt.Axis(labelLimit=190, grid=False)
    y = alt.Y("name:N", sort=None, scale=alt.Scale(domain=claims["name"].to_list()), title=None, axis=names)
    base = table("claims")
    tooltip = [alt.Tooltip("name:N"), *(alt.Tooltip(f"{c}:Q", format="+.4~g") for c in ("estimate", "low", "high")), "verdict:N"]
    above = base.mark_text(align="left", dx=2, dy=-12, fontSize=10).encode(x=alt.XValue(0), y=y, text="name:N")
    layers = [
        _shades(scale),
        *([dashed(0).encode(x=alt.X("at:Q", scale=scale))] if low < 0 < high else []),
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", scale=scale, title=unit), x2=alt.X2("high:Q"), y=y),
        base.mark_point(size=60, filled=True, opacity=1).encode(x=x, y=y, tooltip=tooltip),
        *([above] if narrow else []),
    ]
    bounded = [{"zone": name, "from": max(a, low), "to": min(b, high)} for name, a, b in marked if min(b, high) > max(a, low)]
    ends = [pl.col(c).fill_null(e).clip(low, high) for c, e in (("low", low), ("high", high))]
    drawing = alt.layer(*layers).properties(width=width, height=max((38 if narrow else 26) * len(claims), 34))
    return filled(drawing, {"claims": rows(claims.select("name", "estimate", "verdict", *ends)), "zones": bounded})


def _shades(scale: alt.Scale) -> Any:
    """The zones behind the intervals."""
    symbols = {"symbolType": "square", "symbolOpacity": 0.35, "symbolStrokeWidth": 0}
    legend = alt.Legend(title="a whole interval here:", titleOrient="left", orient="top", **symbols)
    hue = alt.Color("zone:N", scale=alt.Scale(domain=["supported", "refuted"], range="ordinal"), legend=legend)
    told = [alt.Tooltip("zone:N", title="a whole interval here is")]
    return table("zones").mark_rect(opacity=0.16).encode(x=alt.X("from:Q", scale=scale), x2="to:Q", color=hue, tooltip=told)


def _domain(claims: pl.DataFrame, marked: list[Zone]) -> tuple[float, float]:
    ends = [end for _, *zone in marked for end in zone if math.isfinite(end)]
    seen = [v for c in ("estimate", "low", "high") for v in claims[c].drop_nulls().drop_nans().to_list() if math.isfinite(v)]
    low, high = min([*ends, *seen, 0.0]), max([*ends, *seen, 0.0])
    room = 0.12 * (high - low) or 0.01
    return low - room, high + room
