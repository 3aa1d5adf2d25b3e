"""One paradigm of a run: its curves, its verdict in words, what instruments read of it, its audit; and why it is so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from ontogeny.disk import read_table
from ontogeny.explorer.addresses import Asked, View
from ontogeny.explorer.errands import Errand, outcome
from ontogeny.explorer.seen import COLUMNS, Seen, evenly
from ontogeny.explorer.views.pairs import names_of
from ontogeny.explorer.views.runs import trail_of, waiting
from ontogeny.instruments.instrument import Instrument
from ontogeny.pages import curves
from ontogeny.pages.embed import Charts
from ontogeny.pages.panel import shown
from ontogeny.pages.words import MEANINGS
from ontogeny.report import sections
from ontogeny.report.examples import examples
from ontogeny.store import RunFolder

BESIDE = {"half": True, "shape": "panel", "says": ""}  # two in a row, without words
OF_PAIRS = ("pair", "order", "item")  # columns of tables with rows finer than paradigms, which curves do not draw


def paradigm(asked: Asked) -> View:
    """One paradigm."""
    run = asked.shelf.run(asked.names["run"])
    title, seen = asked.shelf.title(run.path), asked.shelf.seen(run)
    suite, name, table = names_of(asked, run)
    verdicts = sections.verdicts_of(seen, suite)
    judged = [] if verdicts is None else verdicts.filter(paradigm=name).to_dicts()
    row = sections.verdict_row(judged[0], suite, seen) if judged else None
    order = list(sections.order_of(seen.curves.filter(suite=suite)))
    place = order.index(name) if name in order else None
    charts = Charts()
    by_step = seen.curves.filter(suite=suite, paradigm=name).sort("step").group_by("step", maintain_order=True)
    steps = [
        (seed, [(step, asked.link("pairs", title, suite, name, seed, step)) for step in evenly(there, COLUMNS)])
        for seed, there in asked.shelf.scored(run, suite).items()
    ]
    return View(
        title=name,
        template="paradigm.html.jinja",
        values={
            "name": name,
            "suite": suite,
            "row": row,
            "judged": judged[0] if judged else {},
            "meaning": MEANINGS.get(row["verdict"], "") if row else "",
            "panels": list(_panels(seen, suite, name, charts)),
            "examples": examples(table.select("pair", "good", "bad").collect()),
            "steps": steps,
            "accuracies": [(step, dict(part.select("seed", "accuracy").iter_rows())) for (step,), part in by_step],
            "why": asked.link("why", title, suite, name),
            "before": _beside(asked, title, suite, order, place, -1),
            "after": _beside(asked, title, suite, order, place, 1),
            "audit": asked.shelf.known(f"audit of {suite}", run, lambda _: audited(asked, suite)).get(name),
            "audits": f"ontogeny audit {suite} --run {run.path} --out {asked.shelf.root / f'audit-{suite}'}",
        },
        trail=trail_of(asked, run),
        charts=charts,
        run=asked.names["run"],
    )


def _beside(asked: Asked, title: str, suite: str, order: list[str], place: int | None, way: int) -> tuple[str, str] | None:
    if place is None or not 0 <= place + way < len(order):
        return None
    return order[place + way], asked.link("paradigm", title, suite, order[place + way])


def _panels(seen: Seen, suite: str, name: str, charts: Charts) -> Iterator[dict[str, Any]]:
    """The figures of paradigms, two beside one another; the ladder, cut to this one; and what instruments read of it."""
    panels = seen.panels
    for panel in panels:
        if panel.per == "paradigm" and (one := shown(panel, seen.frames(panel, suite, name), seen.clock, charts, name)):
            yield one | BESIDE
    for panel in panels:
        frames = seen.frames(panel, suite) if panel.name == "ladder" else {}
        if "ladder" in frames:  # the figures of the ladder draw the rows of no paradigm
            own = frames["ladder"].filter(pl.col("paradigm") == name, pl.col("by") == "pairs").with_columns(paradigm=pl.lit(""))
            one = None if own.is_empty() else shown(panel, {"ladder": own}, seen.clock, charts, name)
            if one:
                title = "correlation of its pairs' margins with those of n-gram models"
                yield one | BESIDE | {"charts": [one["charts"][0] | {"title": ""}], "title": title}
    for instrument in seen.instruments():
        yield from _read_of(seen, instrument, suite, name, charts)


def _read_of(seen: Seen, instrument: Instrument, suite: str, name: str, charts: Charts) -> Iterator[dict[str, Any]]:
    """An instrument's columns over training, of this paradigm alone; none that stays the same."""
    if "paradigm" not in instrument.columns or any(name in instrument.columns for name in OF_PAIRS):
        return
    with seen.leaving_out(f"{instrument.name} of {name}"):
        cut = {key: value for key, value in {"suite": suite, "paradigm": name}.items() if key in instrument.columns}
        table = seen.looked_at(instrument.name).filter(**cut).drop(*cut)
        columns = {
            key: column
            for key, column in instrument.columns.items()
            if key not in cut and (column.index or (column.dtype.is_numeric() and table[key].n_unique() > 1))
        }
        if table.is_empty():
            return
        for panel in curves.panels(instrument.name, columns):
            if one := shown(panel, {instrument.name: table}, seen.clock, charts, name):
                yield one | BESIDE | {"title": f"{instrument.name}: {one['title']}"}


def audited(asked: Asked, suite: str) -> dict[str, Mapping[str, Any]]:
    """What an audit of the suite that lies in the folder says of each paradigm."""
    for path in sorted(asked.shelf.root.glob("audit*/audit.parquet")) + sorted(asked.shelf.root.glob("audit*/*/audit.parquet")):
        found = read_table(path)
        if {"suite", "paradigm", "verdict", "reasons"} <= set(found.columns) and suite in found["suite"]:
            return {row["paradigm"]: row for row in found.filter(suite=suite).to_dicts()}
    return {}


# --- why ----------------------------------------------------------------------------------------------------------


def why(asked: Asked) -> View:
    """The transitions that decide a paradigm, and the lines of text behind them; made when it is asked for."""
    from ontogeny.report import why_page

    run = asked.shelf.run(asked.names["run"])
    title = asked.shelf.title(run.path)
    suite, name, _ = names_of(asked, run)
    trail = trail_of(asked, run, (name, asked.link("paradigm", title, suite, name)))
    if not run.ngrams("word").exists():
        said = f"The n-grams of this run's text have not been counted: ontogeny evidence {run.path} counts them."
        return View(f"why {name}", "lost.html.jinja", {"said": said}, trail)
    errand = asked.shelf.errands.ask(
        ("why", str(run.path), suite, name),
        f"looking why of {name}",
        lambda errand: _explained(asked, run, suite, name, errand),
        asked.wait,
    )
    if not errand.future.done():
        return waiting(f"why {name}", trail, errand)
    explanation = outcome(errand)
    return View(f"why {name}", trail=trail, page=lambda frame: why_page.render(explanation, frame))


def _explained(asked: Asked, run: RunFolder, suite: str, name: str, errand: Errand) -> Any:
    from ontogeny.opened import OpenedRun
    from ontogeny.records import OntogenyError

    evidence = asked.shelf.known("n-grams", run, lambda run: OpenedRun(run.path, errand).ngram_evidence)
    if not evidence.counts.before("word", 2):  # to count would be to write into the run
        raise OntogenyError(f"the n-grams of words are not counted, or of another text: ontogeny ngrams {run.path} counts them")
    with errand.bar("the text's lines"):
        return evidence.explain(name, None, "word", 2, suite)
