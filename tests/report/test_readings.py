"""Readings on the page: each number that an instrument read, on an axis that fits it, with chance beside it where it is known."""

import json
from html import unescape
from pathlib import Path

import polars as pl
import pytest
import tiny
from synthetic_run import STEPS, make_run

from ontogeny.disk import read_table, table_metadata, write_table
from ontogeny.instruments.rules import Rules
from ontogeny.pages.curves import reading, share
from ontogeny.records import OntogenyError
from ontogeny.report.page import render
from ontogeny.results import Results

VALUES = pl.DataFrame({"seed": [0, 0, 1, 1], "step": [0, 8, 0, 8], "value": [0.1, 0.7, 0.3, 0.9]})


def axis(chart: object) -> list[object]:
    """The domains of the y axis that a figure names, once each."""
    found: list[object] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            scale = value.get("y", {}).get("scale") if isinstance(value.get("y"), dict) else None
            if isinstance(scale, dict) and scale.get("domain") not in (None, *found):
                found.append(scale["domain"])
            value = list(value.values())
        if isinstance(value, list):
            for part in value:
                walk(part)

    walk(chart.to_dict(validate=False))  # type: ignore[attr-defined]
    return found


def test_a_share_ends_at_one_and_other_numbers_do_not() -> None:
    assert share(VALUES) == (0, 1) and axis(reading(VALUES)) == [[0, 1]]
    nats = VALUES.with_columns(value=pl.col("value") * 4)
    assert share(nats) is None and axis(reading(nats)) == []


def test_chance_is_drawn_where_it_is_known() -> None:
    assert reading(VALUES, chance=0.154).datasets["chance"] == [{"value": 0.154, "name": "chance"}]
    assert reading(VALUES).datasets["chance"] == []


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(OntogenyError, match="no rows"):
        reading(VALUES.clear())


def test_the_page_shows_every_reading_but_the_dev_loss_once_more(tmp_path: Path) -> None:
    run = make_run(tmp_path / "synthetic", count=2)
    assert "Readings" not in render(Results(run))
    rules = Rules(language="L3")
    for seed in (0, 1):
        for step, value in ((0, 0.1), (STEPS[-1], 0.2 + seed / 10)):
            tiny.keep_reading(run, rules, seed, step, ood_rule1=value, test_loss=3 * value)
    results = Results(run)
    known = {column.name for column in results.frame("rules").drop("seed", "step") if column.null_count() < len(column)}
    assert known == {"ood_rule1", "test_loss"}
    assert results.tables["rules"].instrument.columns["ood_rule1"].chance == pytest.approx(0.154, abs=1e-4)
    page = render(results)
    assert "0.250 at the end, chance 0.154" in page  # the mean of .2 and .3
    assert "0.750 nats a symbol at the end<" in page
    assert json.dumps("ood_rule1").strip('"') in page and "#readings" in page


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "not-there"}, "no instrument is called 'not-there'"),
        ({"kind": "rules", "language": "L9"}, "does not take the settings that its tables were read with"),
    ],
)
def test_instruments_of_another_version_leave_the_page_without_their_figures(tmp_path: Path, settings, said) -> None:
    run = make_run(tmp_path / "synthetic", count=2)
    tiny.keep_reading(run, Rules(language="L3"), 0, STEPS[-1], test_loss=0.3)
    path = run.reading("rules", 0, STEPS[-1])
    write_table(path, read_table(path), {**table_metadata(path), "settings": json.dumps(settings)})
    results = Results(run)
    assert said in " ".join(results.notes())
    page = unescape(render(results))
    assert said in page and "test_loss" not in page and "Accuracy of each paradigm" in page
