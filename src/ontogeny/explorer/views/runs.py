"""All runs of a folder, and one of them: its map with a link in every cell, its verdicts, what instruments read."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from ontogeny.display import visible
from ontogeny.explorer.addresses import Asked, View
from ontogeny.explorer.errands import Errand, outcome
from ontogeny.pages.theme import SHADES
from ontogeny.pages.words import human
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder

if TYPE_CHECKING:
    from ontogeny.explorer.seen import Seen

SLIDERS = {  # the thresholds that can be tried: least, most, step, what it is
    "early": (0.02, 0.5, 0.01, "the early window ends at this share of training"),
    "late": (0.05, 0.5, 0.01, "the last share of training is late"),
    "cover": (0.5, 1.0, 0.05, "a state must cover this share of a window"),
    "hi": (0.51, 0.75, 0.005, "right from this accuracy on"),
    "drop": (0.02, 0.4, 0.01, "forgotten: this far below its best"),
    "equivalence": (0.01, 0.2, 0.01, "never separated: this near to chance"),
}


def runs(asked: Asked) -> View:
    """Every run of the folder."""
    rows = asked.shelf.rows()
    for row in rows:
        row["link"] = asked.link("run", row["title"])
    studies = [(path.name, asked.link("study", path.name)) for path in asked.shelf.studies().values()]
    judged = [row["title"] for row in rows if row.get("verdicts")]
    return View(
        title=asked.shelf.root.resolve().name,
        template="runs.html.jinja",
        values={"rows": rows, "studies": studies, "all": asked.link("compare", judged) if len(judged) > 1 else ""},
        run="*",
    )


def trail_of(asked: Asked, run: RunFolder, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """The way from all runs to a view of one."""
    title = asked.shelf.title(run.path)
    return (("runs", asked.link("runs")), (title, asked.link("run", title)), *more)


def waiting(title: str, trail: tuple[tuple[str, str], ...], errand: Errand) -> View:
    """What is shown until something is made."""
    return View(title, "waiting.html.jinja", trail=trail, waits=errand)


# --- one run ------------------------------------------------------------------------------------------------------


def run(asked: Asked) -> View:
    """One run."""
    folder = asked.shelf.run(asked.names["run"])
    seen = asked.shelf.seen(folder)
    title = asked.shelf.title(folder.path)
    return View(
        title=title,
        template="run.html.jinja",
        values={
            "at_work": folder.at_work(),
            "notes": asked.shelf.known("notes", folder, lambda _: seen.notes()),
            "suites": [_suite(asked, seen, title, suite) for suite in seen.suites],
            "row": asked.shelf.row(folder),
            "figures": asked.link("figures", title),
            "checkpoints": _checkpoints(asked, seen, title),
        },
        trail=trail_of(asked, folder)[:1],
        run=asked.names["run"],
    )


def _suite(asked: Asked, seen: Seen, title: str, suite: str) -> dict[str, Any]:
    import polars as pl

    from ontogeny.report import sections

    verdicts = sections.verdicts_of(seen, suite)
    curves = seen.curves.filter(pl.col("suite") == suite)

    def parts(_: RunFolder) -> dict[str, Any]:
        rows = [] if verdicts is None else [sections.verdict_row(row, suite, seen) for row in verdicts.to_dicts()]
        return {
            "sentences": seen.part(f"the summary of {suite}", lambda: sections.sentences(seen, suite), [f"{suite}."]),
            "numbers": seen.part(f"the numbers of {suite}", lambda: sections.key_numbers(seen, curves, verdicts)),
            "rows": rows,
        }

    known = asked.shelf.known(f"parts of {suite}", seen.folder, parts)
    judged = {} if verdicts is None else dict(verdicts.select("paradigm", "verdict").iter_rows())
    tried, failed = _tried(asked, seen, suite)
    for row in known["rows"]:
        row["link"] = asked.link("paradigm", title, suite, row["paradigm"])
        row["tried"] = tried.get(row["paradigm"])
    return {
        "name": suite,
        **known,
        "counts": sections.verdict_counts(verdicts),
        "map": heat(asked, seen, title, suite, judged | tried, judged),
        "sliders": _sliders(asked, seen) if judged and len(seen.every_step) > 1 else [],
        "changed": [(name, judged.get(name), now) for name, now in tried.items() if judged.get(name) != now],
        "tried": bool(tried),
        "failed": failed,
        "cut": len(seen.every_step),
    }


def heat(
    asked: Asked, seen: Seen, title: str, suite: str, verdicts: Mapping[str, str], before: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The map as a table: steps, and by phenomenon the paradigms with a cell a step."""
    cells = asked.shelf.known(f"cells of {suite}", seen.folder, lambda _: seen.cells(suite))
    steps = cells["step"].unique().sort().to_list()
    trained = seen.clock.trained
    groups: dict[str, list[dict[str, Any]]] = {}
    for (phenomenon, paradigm), part in groupby(cells.iter_rows(), itemgetter(0, 1)):
        there = {step: (seed, accuracy) for *_, step, seed, accuracy in part}

        def cell(step: int, there: Any = there, name: str = paradigm, shown: str = escape(visible(paradigm))) -> str:
            seed, accuracy = there.get(step, (None, None))
            if accuracy is None:
                return "<td></td>"
            address = asked.link("pairs", title, suite, name, seed, step)
            tag, to = ("a", f' href="{escape(address)}" tabindex="-1"') if address else ("span", "")
            pale = " untrained" if step < trained else ""
            said = f"{shown}, step {step:,}: {accuracy:.3f}"
            return f'<td class="h{round(accuracy * SHADES)}{pale}"><{tag}{to} title="{said}"></{tag}></td>'

        row = {
            "paradigm": paradigm,
            "link": asked.link("paradigm", title, suite, paradigm),
            "verdict": verdicts.get(paradigm),
            "changed": before is not None and before.get(paradigm) != verdicts.get(paradigm),
            "cells": Markup("".join(map(cell, steps))),  # thousands: a template takes ten times as long
        }
        groups.setdefault(phenomenon.replace("_", " "), []).append(row)
    return {"steps": [(step, human(step), step < trained) for step in steps], "groups": groups, "of": len(seen.every_step)}


def _checkpoints(asked: Asked, seen: Seen, title: str) -> list[tuple[int, list[tuple[int, str]]]]:
    """Each seed's checkpoints with their addresses, as many as the map has columns."""
    from ontogeny.explorer.seen import COLUMNS, evenly

    steps = asked.shelf.known("steps", seen.folder, lambda run: {seed: run.steps(seed) for seed in run.seeds()})
    return [
        (seed, [(step, asked.link("checkpoint", title, seed, step)) for step in evenly(own, COLUMNS)])
        for seed, own in steps.items()
    ]


# --- thresholds that are tried ------------------------------------------------------------------------------------


def _sliders(asked: Asked, seen: Seen) -> list[dict[str, Any]]:
    own = seen.part("the thresholds", lambda: seen.thresholds, None)
    if own is None or not asked.live:
        return []
    values = own.model_dump()
    if values["hi"] is None and seen.verdicts is not None and seen.verdicts["hi"].count():
        values["hi"] = round(float(seen.verdicts["hi"].drop_nulls()[0]), 3)  # what it came to
    return [
        {"name": name, "least": least, "most": most, "step": step, "says": says, "own": values[name]}
        | {"value": asked.query.get(name, values[name])}
        for name, (least, most, step, says) in SLIDERS.items()
        if isinstance(values[name], int | float)
    ]


def _tried(asked: Asked, seen: Seen, suite: str) -> tuple[dict[str, str], str]:
    """The verdicts under the thresholds that the address has, and what is wrong with these."""
    from pydantic import ValidationError

    given = {slider["name"]: slider["value"] for slider in _sliders(asked, seen) if str(slider["value"]) != str(slider["own"])}
    if not given:
        return {}, ""
    try:
        thresholds = type(seen.thresholds).model_validate(seen.thresholds.model_dump() | {k: float(v) for k, v in given.items()})
        return seen.tried(suite, thresholds), ""
    except ValidationError as error:
        return {}, f"These thresholds cannot be tried: {error.errors()[0]['msg'].lower()}."
    except (OntogenyError, ValueError) as error:
        return {}, f"These thresholds cannot be tried: {error}."


# --- figures ------------------------------------------------------------------------------------------------------


def figures(asked: Asked) -> View:
    """What instruments read, the n-grams, the training: the panels of the page, drawn when they are asked for."""
    folder = asked.shelf.run(asked.names["run"])
    title = asked.shelf.title(folder.path)
    key = ("figures", str(folder.path), asked.shelf.news(folder))
    errand = asked.shelf.errands.ask(key, f"drawing the figures of {title}", lambda _: _drawn(asked.shelf.seen(folder)), asked.wait)
    trail = trail_of(asked, folder)
    if not errand.future.done():
        return waiting("figures", trail, errand)
    charts, chapters = outcome(errand)
    judged = asked.shelf.seen(folder).curves.select("suite", "paradigm").unique().sort("suite", "paradigm").iter_rows()
    marks: dict[str, dict[str, str]] = {}
    for suite, name in judged:
        marks.setdefault(suite, {})[name] = asked.link("paradigm", title, suite, name)
    values = {"chapters": chapters, "marks": marks}
    return View("figures", "figures.html.jinja", values, trail, charts, run=asked.names["run"])


def _drawn(seen: Seen) -> tuple[Any, list[tuple[str, str | None, list[Any]]]]:
    from ontogeny.pages.embed import Charts
    from ontogeny.pages.panel import shown

    charts = Charts()
    chapters: dict[tuple[str, str | None], list[Any]] = {}
    for panel in seen.panels:
        if panel.per == "paradigm" or panel.name == "map" or not panel.chapter:
            continue
        for suite in seen.suites if panel.per == "suite" else [None]:
            one = shown(panel, seen.frames(panel, suite), seen.clock, charts, suite or "")
            if one:
                chapters.setdefault((panel.chapter, suite), []).append(one)
    return charts, [(*where, panels) for where, panels in chapters.items()]
