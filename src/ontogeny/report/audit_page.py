"""The page of an audit: which paradigms of a suite are meaningful guides for a model trained on a given text, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from ontogeny.disk import atomic
from ontogeny.pages.templates import look, templates
from ontogeny.pages.words import count, enumerated
from ontogeny.report.provenance import flattened

VERDICTS = {  # the class of each, and what it means
    "meaningful guide": (
        "v-learned",
        "No shortcut solves it: what a model gets right here says something about the grammar that it is named for.",
    ),
    "guide with care": ("v-late-wrong", "It says something, but the reasons beside it have to be kept in mind."),
    "poor guide": ("v-entrenched", "What a model gets right here has another explanation, or cannot be told."),
}
LEVELS = ("word", "token")
SHORTCUTS = {  # the mark on the page, and how the audit names its columns
    "unigram": ("order-1", ("{}_unigram", "{}_1")),
    "bigram": ("order-2", ("{}_bigram", "{}_2")),
    "5-gram": ("order-5", ("{}_5gram", "{}_5")),
    "length": ("length", ("{}_length", "length_{}s")),
}
NUMBERS = {  # further columns, if the audit has them: heading, what it means, column
    "pairs": ("pairs", "Pairs of the paradigm; those with identical sentences are left out", "pairs"),
    "unseen": ("unseen words", "Share of pairs with at least one word that the training text never has", "pairs_with_unseen"),
    "contrasts": (
        "contrasts",
        "Effective number of distinct critical contrasts: at most so many independent observations",
        "effective_contrasts",
    ),
    "templates": ("templates", "Effective number of distinct sentence templates", "effective_templates"),
}
SHARES = ("unseen",)


def write(path: Path, table: pl.DataFrame, facts: Mapping[str, Any]) -> Path:
    """Writes the page of an audit, whole or not at all, and returns its path.

    `table`: paradigm and verdict, and whatever else the audit measured; a column that is not there is not shown.
    `facts`: what was audited (suite, corpus or text ...), shown as they are.
    """
    with atomic(path) as temporary:
        temporary.write_text(render(table, facts), encoding="utf-8")
    return path


def render(table: pl.DataFrame, facts: Mapping[str, Any]) -> str:
    """The page as HTML."""
    shortcuts = {name: column for name in SHORTCUTS if (column := column_of(table, name)) is not None}
    numbers = {name: NUMBERS[name][:2] for name in NUMBERS if NUMBERS[name][2] in table.columns}
    return (
        templates(Path(__file__).parent)
        .get_template("audit.html.jinja")
        .render(
            title=facts.get("suite") or "suite",
            headline=headline(table, facts),
            best=shortcut_sentence(table, shortcuts),
            verdicts=[(name, mark, number, text) for name, (mark, text), number in _counts(table)],
            marks={name: SHORTCUTS[name][0] for name in shortcuts},
            levels=sorted({level for column in shortcuts.values() for level in LEVELS if level in column}, reverse=True),
            human="human" in table.columns and table["human"].is_not_null().any(),
            numbers=numbers,
            rows=[_row(row, shortcuts, list(numbers)) for row in _sorted(table).to_dicts()],
            facts=flattened(facts),
            **look(),
        )
    )


def headline(table: pl.DataFrame, facts: Mapping[str, Any]) -> str:
    """How many paradigms are what kind of guide."""
    whose = f"{facts['suite']}'s " if facts.get("suite") else ""
    against = facts.get("corpus", facts.get("text"))
    text = f" for a model that learns from {against}" if isinstance(against, str) else ""
    said = []
    for name, _, number in _counts(table):
        one, many = {
            "meaningful guide": ("is a meaningful guide", "are meaningful guides"),
            "guide with care": ("is to be used with care", "are to be used with care"),
            "poor guide": ("is a poor guide", "are poor guides"),
        }.get(name, (f"is {name}", f"are {name}"))
        said.append(f"{number or 'none'} {one if number == 1 else many}")
    return f"Of {whose}{count(len(table), 'paradigm')}, {enumerated(said)}{text}."


def shortcut_sentence(table: pl.DataFrame, shortcuts: Mapping[str, str]) -> str:
    """The mean accuracy of each shortcut over paradigms."""
    said = []
    for name, column in shortcuts.items():
        mean = float(table.select(pl.col(column).mean()).item())
        who = "counting which sentence is shorter" if name == "length" else f"a {name} model"
        said.append(f"{who} gets {100 * mean:.0f} %")
    return f"On the average of the paradigms, {enumerated(said)} right." if said else ""


def column_of(table: pl.DataFrame, shortcut: str) -> str | None:
    """The column of a shortcut's accuracy: over words if it is there, else over tokens, else None."""
    names = [name.format(level) for level in LEVELS for name in SHORTCUTS[shortcut][1]]
    return next((name for name in names if name in table.columns and table[name].is_not_null().any()), None)


def _counts(table: pl.DataFrame) -> list[tuple[str, tuple[str, str], int]]:
    """Each verdict, its class and meaning, and how many paradigms have it; verdicts unknown here come last."""
    numbers = dict(table["verdict"].value_counts().sort("verdict").iter_rows())
    known = [(name, look, numbers.pop(name, 0)) for name, look in VERDICTS.items()]
    return known + [(name, ("", ""), number) for name, number in numbers.items()]


def _sorted(table: pl.DataFrame) -> pl.DataFrame:
    place = pl.col("verdict").replace_strict(
        {name: i for i, name in enumerate(VERDICTS)}, default=len(VERDICTS), return_dtype=pl.Int64
    )
    return table.sort(place, *(name for name in ("field", "phenomenon") if name in table.columns), "paradigm")


def _row(row: Mapping[str, Any], shortcuts: Mapping[str, str], numbers: list[str]) -> dict[str, Any]:
    accuracies = {name: row[column] for name, column in shortcuts.items() if row[column] is not None}
    best = row.get("best_accuracy")
    return {
        "paradigm": row["paradigm"],
        "phenomenon": str(row.get("phenomenon") or "").replace("_", " "),
        "verdict": row["verdict"],
        "mark": VERDICTS.get(row["verdict"], ("", ""))[0],
        "place": list(VERDICTS).index(row["verdict"]) if row["verdict"] in VERDICTS else len(VERDICTS),
        "dots": [(name, SHORTCUTS[name][0], round(100 * value, 1)) for name, value in accuracies.items()],
        "human": None if row.get("human") is None else round(100 * row["human"], 1),
        "best": best if best is not None else max(accuracies.values(), default=None),
        "best_name": row.get("best_shortcut") or "",
        "numbers": [_number(name, row[NUMBERS[name][2]]) for name in numbers],
        "reasons": list(row.get("reasons") or ()),
        "notes": list(row.get("notes") or ()),
    }


def _number(name: str, value: float | None) -> tuple[str, str, float | None]:
    """Heading, what is written, and what is sorted by."""
    if value is None:
        return NUMBERS[name][0], "", None
    if name in SHARES:
        return NUMBERS[name][0], f"{100 * value:.0f} %", value
    return NUMBERS[name][0], f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}", value
