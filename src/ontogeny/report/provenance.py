"""How a run was made, as the page tells it: tables of the lineage, and the commands that make it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

TITLES = {
    "training": "Training",
    "tokens": "Text",
    "suites": "Pairs",
    "hardware": "Hardware",
    "versions": "Versions",
    "timeline": "Timeline",
}
APART = ("command", "notes", "warnings", "nulls")  # said elsewhere on the page
INSIDE = ("human", "identical_in", "key")  # of a section: long, or said elsewhere
MOST = 12  # parts of a list that are written out
LONGEST = 400  # characters of a value


def tables(lineage: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A title and rows of (name, value) for each section of the lineage; what is no section comes last, under Other."""
    found = [
        {"title": TITLES.get(key, key.replace("_", " ").capitalize()), "rows": flattened(lineage[key])}
        for key in (*TITLES, *sorted(set(lineage) - set(TITLES) - set(APART)))
        if isinstance(lineage.get(key), Mapping) and lineage[key]
    ]
    plain = {k: v for k, v in lineage.items() if k not in APART and not isinstance(v, Mapping)}
    return [*found, {"title": "Other", "rows": flattened(plain)}] if plain else found


def flattened(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Rows of a nested table, in its own order: ("train, words", "19,800,000")."""
    rows: list[tuple[str, str]] = []
    for key, value in table.items():
        if key in INSIDE:
            continue
        name = f"{prefix}{str(key).replace('_', ' ')}"
        rows += flattened(value, f"{name}, ") if isinstance(value, Mapping) else [(name, _said(value))]
    return rows


def _said(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "not known"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, list | tuple):
        shown = ", ".join(map(_said, value[:MOST]))
        return shown if len(value) <= MOST else f"{shown} … ({len(value)} in all)"
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text):,} characters; all of it is in lineage.json)"


def commands(lineage: Mapping[str, Any]) -> list[str]:
    """What to type to make the run again, as it was typed."""
    said = lineage.get("command")
    if isinstance(said, list):
        return [shlex.join(map(str, said))]
    return [str(said)] if said else []
