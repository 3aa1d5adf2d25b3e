"""The page: one HTML file that holds its own scripts and data and asks the network for nothing."""

from __future__ import annotations

from pathlib import Path

from ontogeny.disk import atomic, file_name
from ontogeny.pages.axes import save
from ontogeny.pages.embed import Charts, drawn
from ontogeny.pages.panel import chart, lacks, shown
from ontogeny.pages.templates import anchor, look, templates
from ontogeny.pages.words import MEANINGS
from ontogeny.report.panels import panels_of
from ontogeny.report.provenance import commands, tables
from ontogeny.report.sections import suite_section
from ontogeny.results import Results
from ontogeny.store import RunFolder

SCALE = 1.5  # resolution of PNG files


def write_report(run: RunFolder) -> Path:
    """Writes a run's page, and its figures beside it, from what the run's folder holds.  Returns the page's path.

    Works for runs that are unfinished, lack parts or have broken ones: the page says what is missing, and why.
    Raises OntogenyError for broken curves.
    """
    results = Results(run)
    page = render(results)
    write_figures(results, run.report.parent / "figures")
    with atomic(run.report) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return run.report


def render(results: Results) -> str:
    """The page as HTML; the same run gives the same page."""
    charts, panels = Charts(), panels_of(results)
    suites = [suite_section(results, suite, panels, charts) for suite in results.suites]
    of_run = {
        chapter: [
            one
            for panel in panels
            if panel.chapter == chapter
            if (one := shown(panel, results.frames(panel), results.clock, charts))
        ]
        for chapter in ("training", "readings")
    }
    made = results.part("how it was made", lambda: tables(results.lineage))
    typed = results.part("the commands", lambda: commands(results.lineage))
    recipe = results.part("the recipe", lambda: results.recipe, None)
    instruments: dict[str, list[object]] = {}
    for one in of_run["readings"]:
        instruments.setdefault(one["name"].split(".")[0], []).append(one)
    return (
        templates(Path(__file__).parent)
        .get_template("page.html.jinja")
        .render(
            title=results.name,
            notes=results.notes(),
            suites=suites,
            marks={suite["name"]: {row["paradigm"]: f"#{row['anchor']}" for row in suite["rows"]} for suite in suites},
            training=of_run["training"],
            instruments=instruments,
            made=made,
            recipe=recipe,
            commands=typed,
            meanings={name: (anchor("verdict", name), meaning) for name, meaning in MEANINGS.items()},
            **look(),
            **drawn(charts),
        )
    )


def write_figures(results: Results, folder: Path) -> list[Path]:
    """Each figure that there is as NAME.svg (`-SUITE` from the second suite on), the map as a PNG too.

    What cannot be drawn is left out: the page says why.
    """
    written = []
    for panel in panels_of(results):
        for place, suite in enumerate(results.suites if panel.per == "suite" else [None]):
            frames = results.frames(panel, suite)
            if not panel.files or lacks(panel, frames) is not None:
                continue
            try:
                if not panel.there(frames):
                    continue
                one = chart(panel, frames, results.clock)
            except Exception:  # the page says what it is
                continue
            name = file_name(f"{panel.name}-{suite}" if place else panel.name)
            written += [save(one, folder / f"{name}.{ending}", scale=SCALE) for ending in panel.files]
    return written
