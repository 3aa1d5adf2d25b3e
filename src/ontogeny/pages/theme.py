"""How every figure looks: the colours of verdicts, of good and bad sentences and of accuracy, and the typography.

Blue is the right side and orange the wrong one wherever accuracy or a sentence's side is drawn; the two stay apart for
every common kind of colour blindness, and whatever a colour says is also written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"

# verdict: (on a light page, on a dark page); each at least 4.5:1 against its page
VERDICT_COLOURS: dict[str, tuple[str, str]] = {
    "entrenched": ("#b23c0c", "#ff9566"),
    "forgotten": ("#a3306a", "#f08cc0"),
    "late-wrong": ("#875700", "#e3b34f"),
    "late recovery": ("#1d7480", "#6cc4d2"),
    "u-shaped": ("#6a51a3", "#bba9e8"),
    "learned": ("#1b5ca5", "#7fb4f2"),
    "escaped": ("#55721a", "#b3cf6b"),
    "never separated": ("#59606a", "#a9b0ba"),
    "undecided": ("#6b7078", "#9aa1aa"),
    "unobserved": ("#6b7078", "#9aa1aa"),
}


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours that differ between a light and a dark page."""

    paper: str
    ink: str
    quiet: str  # secondary text
    line: str  # axes and grids
    good: str
    bad: str
    diverging: tuple[str, ...]  # accuracy 0, ..., .5, ..., 1
    orders: tuple[str, ...]  # n-gram models of order 1 to 5; the higher, the further from the paper
    verdicts: tuple[str, ...]  # in the order of VERDICT_COLOURS


LIGHT = Palette(
    paper="#ffffff",
    ink="#1c2127",
    quiet="#59606a",
    line="#d9dce1",
    good="#1b5ca5",
    bad="#c8500f",
    diverging=("#8f3206", "#d06a2c", "#efbf96", "#f4f2ee", "#a8c6e4", "#4684c4", "#10457c"),
    orders=("#6f9e1f", "#168f6f", "#1c7396", "#43509f", "#4a1672"),
    verdicts=tuple(light for light, _ in VERDICT_COLOURS.values()),
)
DARK = Palette(
    paper="#14171b",
    ink="#e7e9ec",
    quiet="#a5acb5",
    line="#343a42",
    good="#7fb4f2",
    bad="#ff9566",
    diverging=("#ffab78", "#d56f33", "#7a4224", "#2e333a", "#274a73", "#4585cb", "#a5d0ff"),
    orders=("#8d7fd6", "#4f97dc", "#35b8b3", "#84d273", "#ece75f"),
    verdicts=tuple(dark for _, dark in VERDICT_COLOURS.values()),
)


# Runs, and arms without a dose, which have no order.  At least 3:1 against white paper and against the dark page; one list for
# both, as figures in files have no dark side.
COLOURS = ("#2f7ed8", "#c8601a", "#2e9a56", "#b0549f", "#8a7a14", "#1d93a3", "#d1495b", "#7d6bd0", "#7c828b", "#5e9410")
DASHES = ((1, 0), (6, 3), (2, 2), (8, 2, 2, 2))  # for more of them than colours


def colours_apart(count: int) -> list[str]:
    """A colour each; they begin anew after the last."""
    return [COLOURS[place % len(COLOURS)] for place in range(count)]


def dashes_apart(count: int) -> list[list[int]]:
    """A dash each: another one whenever the colours begin anew."""
    return [list(DASHES[place // len(COLOURS) % len(DASHES)]) for place in range(count)]


SHADES = 20  # steps from accuracy 0 to 1, where a table is coloured


def shades_of(palette: Palette) -> list[str]:
    """The diverging colours of a palette in SHADES + 1 steps."""
    stops = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in palette.diverging]
    found = []
    for shade in range(SHADES + 1):
        place = shade / SHADES * (len(stops) - 1)
        low = min(int(place), len(stops) - 2)
        mixed = [round(a + (b - a) * (place - low)) for a, b in zip(stops[low], stops[low + 1], strict=True)]
        found.append("#" + "".join(f"{part:02x}" for part in mixed))
    return found


def config(palette: Palette = LIGHT) -> dict[str, Any]:
    """Vega-Lite's config for one palette.  Charts name ranges (category, ordinal, diverging, ramp), never colours."""
    return {
        "background": "transparent",
        "font": FONT,
        "view": {"stroke": None},
        "range": {
            "category": list(palette.verdicts),
            "ordinal": [palette.good, palette.bad],
            "diverging": list(palette.diverging),
            "ramp": list(palette.orders),
            "heatmap": [palette.line, palette.good],
        },
        "axis": {
            "domainColor": palette.line,
            "gridColor": palette.line,
            "gridOpacity": 0.6,
            "tickColor": palette.line,
            "tickSize": 4,
            "labelColor": palette.quiet,
            "labelFontSize": 11,
            "titleColor": palette.quiet,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "titlePadding": 6,
        },
        "axisLeft": {"minExtent": 34},
        "legend": {
            "labelColor": palette.quiet,
            "labelLimit": 260,
            "titleColor": palette.quiet,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
        },
        "title": {
            "color": palette.ink,
            "subtitleColor": palette.quiet,
            "fontSize": 13,
            "fontWeight": 600,
            "subtitleFontSize": 11,
            "anchor": "start",
            "offset": 8,
        },
        "header": {"labelColor": palette.ink, "labelFontSize": 11, "labelFontWeight": 600, "titleColor": palette.quiet},
        "text": {"color": palette.quiet, "fontSize": 11},
        "rule": {"color": palette.quiet},
        "line": {"color": palette.ink, "strokeWidth": 1.8},
        "area": {"color": palette.quiet},
        "rect": {"color": palette.quiet},
        "point": {"color": palette.ink},
        "tick": {"color": palette.quiet},
    }
