"""The chapter "inside": made of made-up readings whose truth is known; left out with a line where there is nothing to say."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tiny
from synthetic_run import make_run

from ontogeny.disk import write_table
from ontogeny.instruments.knowledge import Knowledge
from ontogeny.pages.panel import chart
from ontogeny.records import OntogenyError
from ontogeny.report import figure, inside
from ontogeny.report.page import render
from ontogeny.results import Results

STEPS = (0, 8, 64, 330, 660, 1650, 3300, 4950, 5610, 6270, 6600)


def run_of(tmp_path: Path, seeds: int = 8, count: int = 24, read: bool = True):
    """A run whose paradigms that end wrong are not known by its states, and all others are."""
    run = make_run(tmp_path / "synthetic", count=count, seeds=seeds, steps=STEPS)
    verdicts = Results(run).verdicts
    generator = np.random.default_rng(0)
    for seed in range(seeds if read else 0):
        for step in STEPS:
            tiny.keep_reading(run, "weights", seed, step, **_weights(step, generator))
            rows = [
                (suite, name, *_known(verdict, step, generator))
                for suite, name, verdict in verdicts.select("suite", "paradigm", "verdict").iter_rows()
            ]
            columns = Knowledge().columns
            frame = pl.DataFrame(rows, schema={name: column.dtype for name, column in columns.items()}, orient="row")
            facts = {"key": "key", "settings": Knowledge().model_dump_json(), "weights": "", "not": ""}
            write_table(run.reading("knowledge", seed, step), frame, facts)
    return run


def _known(verdict, step, generator):
    know = 0.5 + 0.4 * (verdict == "learned") * (step > 600) + generator.normal(0, 0.03)
    return know, know - 0.1, 0.5, 0.5, 0.5, 0.5, 0.0, 20, 50


def _weights(step, generator):
    from ontogeny.instruments.weights import Weights

    return {name: float(step > 1000) + generator.normal(0, 0.05) for name in Weights().columns}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One that no test changes."""
    return run_of(tmp_path_factory.mktemp("whole"))


def test_the_chapter_says_what_sets_stuck_paradigms_apart_and_after_how_many_tests(run):
    results = Results(run)
    frames = {"apart": results.frame("apart")}
    said = inside._apart_says(frames, results.clock)
    assert "knowledge known is lower (by 0.4" in said and "(Holm)" in said and "known, not said" not in said.split("Undecided")[0]
    table = inside._apart_table(frames)
    assert table.heads[0] == "reading" and len(table.rows) == 3
    page = render(results)
    assert ">Inside</h3>" in page and "knowledge known is lower" in page and "phases of training" in page and not results.broken


@pytest.mark.parametrize(
    ("rows", "says"), [(6, "Of none is it decided"), (81, "among 81 comparisons .633 (Holm); it takes 12 seeds, or fewer readings")]
)
def test_where_an_order_that_all_seeds_share_would_decide_nothing_that_is_said(rows, says):
    one = {"reading": "r", "event": "onset", "seeds": 8, "p_order": 0.6, "verdict": "undecided"}
    assert says in inside._order_says({"precedence.decided": pl.DataFrame([one] * rows)}, None)


def test_without_readings_or_stuck_paradigms_a_line_says_so(tmp_path):
    page = render(Results(run_of(tmp_path / "a", read=False)))
    assert "No instrument has read the paradigms of this run" in page
    run = run_of(tmp_path / "b", seeds=2)
    verdicts = Results(run).verdicts
    write_table(run.verdicts, verdicts.with_columns(verdict=pl.lit("learned")))
    assert "0 paradigms ended wrong, and fewer than 3 are not compared" in render(Results(run))


@pytest.mark.parametrize("name", [panel.name for panel in inside.PANELS])
def test_every_figure_of_the_chapter_is_drawn(run, name):
    results = Results(run)
    panel = next(one for one in inside.PANELS if one.name == name)
    frames = results.frames(panel, "blimp")
    assert panel.there(frames) and panel.says(frames, results.clock)
    assert chart(panel, frames, results.clock).to_dict(validate=False) and figure(run, name)


def test_a_study_or_a_notebook_asks_for_what_is_over_all_seeds(run):
    results = Results(run)
    assert results.outcome("phases.phase")["value"].to_list() == [float(1 + (step > 1000)) for step in STEPS] * 8
    assert set(results.outcome("seeds.accuracy").columns) >= {"seed", "step", "value"}
    lead = results.outcome("precedence.lead@reading=knowledge known@event=onset")
    assert lead["value"].is_between(-10, 10).all() and lead.columns == ["seed", "step", "suite", "paradigm", "value"]
    assert set(results.folds("seeds")) == {"places"} and results.folds("phases")["begins"]["seeds"].to_list() == [8, 8]
    with pytest.raises(OntogenyError, match=r"reads lead for each (reading|event); say which"):
        results.outcome("precedence.lead")


def test_what_has_nothing_to_be_made_of_says_what_it_needs(tmp_path):
    with pytest.raises(OntogenyError, match="phases needs the instrument weights"):
        Results(run_of(tmp_path, read=False)).outcome("phases.phase")
