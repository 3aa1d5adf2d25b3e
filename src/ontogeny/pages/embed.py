"""Charts inside the page: each specification and each table once, as JSON that a script tag can hold."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from importlib.metadata import version as installed
from typing import Any

import vl_convert

from ontogeny.disk import atomic, caches, content_key
from ontogeny.pages.axes import DRAWING, VEGA_LITE, Rows, Tables, legible, taken_apart
from ontogeny.pages.theme import DARK, LIGHT, config
from ontogeny.records import OntogenyError

APART = "_ontogeny_apart"  # attribute of a drawing: what `taken_apart` made of it


class Charts:
    """Collects charts.  67 paradigms share one specification and differ in their data, which is kept by column."""

    def __init__(self) -> None:
        self._specs: dict[str, Any] = {}
        self._tables: dict[str, Any] = {}
        self._charts: dict[str, Any] = {}

    def add(self, chart: Any) -> str:
        """Keeps a chart, and returns the name that the page draws it by."""
        drawing = chart.__dict__.get(DRAWING)  # a chart that `filled` made
        spec, own = taken_apart(chart) if drawing is None else apart(drawing)
        tables = own if drawing is None else {**own, **legible(chart.datasets)}
        used = {table: self._keep(self._tables, "t", columns(rows)) for table, rows in tables.items()}
        name = f"c{len(self._charts)}"
        self._charts[name] = [self._keep(self._specs, "s", spec), used]
        return name

    def json(self) -> str:
        """All of it, safe inside a script tag."""
        return script_safe({"specs": self._specs, "tables": self._tables, "charts": self._charts})

    @staticmethod
    def _keep(shelf: dict[str, Any], prefix: str, value: Any) -> str:
        key = prefix + content_key(value)
        shelf.setdefault(key, value)
        return key


def apart(drawing: Any) -> tuple[dict[str, Any], Tables]:
    """`taken_apart`, made once for each drawing, which remembers it; many pages share those that are cached."""
    found: tuple[dict[str, Any], Tables] = drawing.__dict__.get(APART) or taken_apart(drawing)
    drawing.__dict__[APART] = found
    return found


def columns(rows: Rows) -> dict[str, Any]:
    """A table by column; a column of one value is kept as that value, beside the number of rows."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    table: dict[str, Any] = {"n": len(rows), "columns": {}, "same": {}}
    for name in names:
        values = [row.get(name) for row in rows]
        if all(value == values[0] for value in values):
            table["same"][name] = values[0]
        else:
            table["columns"][name] = values
    return table


def script_safe(value: Any) -> str:
    """Compact JSON without any character that could end a script tag or open a comment."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True, allow_nan=False)
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def drawn(charts: Charts) -> dict[str, Any]:
    """What a page needs to draw its charts: once they are all added, their JSON, both themes and the script."""
    return {
        "charts": charts.json(),
        "configs": themes(),
        "bundle": bundle(),
    }


def themes() -> str:
    """Vega's config of both palettes, as JSON."""
    return script_safe({"light": config(LIGHT), "dark": config(DARK)})


@cache
def bundle() -> str:
    """Vega, Vega-Lite and vega-embed as one script.

    To bundle them takes as long as all else on a page, so one of each version is kept with the user's caches, where that can be.
    """
    kept = caches() / f"vega-{VEGA_LITE}-{installed('vl-convert-python')}.js"
    with suppress(OSError, ValueError):
        return kept.read_text(encoding="utf-8")
    made = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE))
    with suppress(OntogenyError), atomic(kept) as temporary:
        temporary.write_text(made, encoding="utf-8")
    return made
