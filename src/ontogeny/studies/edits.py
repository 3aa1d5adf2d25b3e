"""What each arm's edits changed, as the page tells it: facts, promises, a construction's hits and misses, examples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ontogeny.report.provenance import flattened
from ontogeny.studies.gathering import StudyFrames

LISTS = ("hits", "misses")  # examples of a construction, wherever in the facts they stand
MOST = 12  # of them that are shown
FIELDS = 6  # of a change that are shown
LONGEST = 160  # characters of a field
SAID = ("source", "line")  # where a change is, told after what it is


def of_study(gathered: StudyFrames, order: Sequence[str]) -> list[dict[str, Any]]:
    """An entry for each edit of each arm, in the order of the arms."""
    place = {arm: i for i, arm in enumerate(order)}
    rows = sorted(gathered.edits.to_dicts(), key=lambda row: (place.get(row["arm"], len(place)), row["number"]))
    return [_entry(row, gathered.samples.filter(arm=row["arm"], number=row["number"])) for row in rows]


def _entry(row: Mapping[str, Any], samples: pl.DataFrame) -> dict[str, Any]:
    facts = json.loads(row["facts"])
    settings = facts.pop("settings", {})
    examples = found_lists(facts)
    return {
        "arm": row["arm"],
        "kind": row["kind"],
        "settings": flattened(settings),
        "facts": flattened(without_lists(facts)),
        "promises": [(str(one["promise"]), bool(one["kept"])) for one in json.loads(row["promises"])],
        "examples": [{"title": name, "lines": lines[:MOST], "of": len(lines)} for name, lines in examples],
        "sample": table_of(samples["change"].to_list()),
        "of": samples["of"][0] if len(samples) else 0,
    }


def found_lists(facts: Any, prefix: str = "") -> list[tuple[str, list[str]]]:
    """Every list of a construction's hits and misses inside the facts, with the name of what it is of."""
    found: list[tuple[str, list[str]]] = []
    for key, value in facts.items() if isinstance(facts, Mapping) else ():
        if key in LISTS and isinstance(value, list):
            found.append((f"{prefix}{key}".strip(), [_line(item) for item in value]))
        elif isinstance(value, Mapping):
            found += found_lists(value, f"{prefix}{str(key).replace('_', ' ')} ")
    return found


def without_lists(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts without those lists."""
    return {
        key: without_lists(value) if isinstance(value, Mapping) else value
        for key, value in facts.items()
        if not (key in LISTS and isinstance(value, list))
    }


def _line(item: Any) -> str:
    if isinstance(item, Mapping):
        text = item.get("text") or item.get("sentence")
        return _cut(text if text is not None else ", ".join(f"{key} {value}" for key, value in item.items()))
    return _cut(" ".join(map(str, item)) if isinstance(item, list) else item)


def table_of(lines: Sequence[str]) -> dict[str, Any]:
    """Changes, one JSON object a line, as a table: columns and rows."""
    objects = [json.loads(line) for line in lines]
    if not all(isinstance(one, dict) for one in objects):
        return {"columns": ["change"], "rows": [[_cut(one)] for one in objects]}
    names = list(dict.fromkeys(name for one in objects for name in one))
    shown = [name for name in names if name not in SAID][: FIELDS - 1] + [name for name in SAID if name in names]
    return {"columns": shown, "rows": [[_cut(one.get(name)) for name in shown] for one in objects]}


def _cut(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
