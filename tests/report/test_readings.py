"""Readings on the page: each number that an instrument read, on an axis that fits it, with chance beside it where it is known."""

import json
from pathlib import Path

import polars as pl
import pytest
from synthetic_run import STEPS, make_run

from ontogeny.records import OntogenyError, Reading
from ontogeny.report.gather import gather
from ontogeny.report.page import render
from ontogeny.report.readings import is_share, reading

VALUES = pl.DataFrame(
    {"instrument": "rules", "key": "ood_rule1", "seed": [0, 0, 1, 1], "step": [0, 8, 0, 8], "value": [0.1, 0.7, 0.3, 0.9]}
)


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
    assert is_share(VALUES) and axis(reading(VALUES)) == [[0, 1]]
    nats = VALUES.with_columns(value=pl.col("value") * 4)
    assert not is_share(nats) and axis(reading(nats)) == []


def test_chance_is_drawn_where_it_is_known() -> None:
    assert reading(VALUES, chance=0.154).datasets["chance"] == [{"value": 0.154, "name": "chance"}]
    assert reading(VALUES).datasets["chance"] == []


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(OntogenyError, match="no rows"):
        reading(VALUES.clear())


def test_the_page_shows_every_reading_but_the_dev_loss_once_more(tmp_path: Path) -> None:
    run = make_run(tmp_path / "synthetic", count=2)
    assert "Readings" not in render(gather(run))
    for seed in (0, 1):
        for step, value in ((0, 0.1), (STEPS[-1], 0.2 + seed / 10)):
            found = [Reading("rules", "ood_rule1", value), Reading("rules", "test_loss", 3 * value)]
            run.write_readings(seed, step, found, "weights")
    run.recipe.write_text("instruments: [{kind: rules, language: L3}]\n", encoding="utf-8")
    material = gather(run)
    assert material.readings is not None and set(material.readings["key"]) == {"ood_rule1", "test_loss"}
    assert material.chances["rules", "ood_rule1"] == pytest.approx(0.154, abs=1e-4)
    page = render(material)
    assert "0.250 at the end, chance 0.154" in page  # the mean of .2 and .3
    assert "0.750 at the end<" in page
    assert json.dumps("ood_rule1").strip('"') in page and "#readings" in page


def test_instruments_of_another_version_leave_the_page_without_chance(tmp_path: Path) -> None:
    run = make_run(tmp_path / "synthetic", count=2)
    run.recipe.write_text("instruments: [{kind: not-there}, {kind: rules, language: L9}]\n", encoding="utf-8")
    assert gather(run).chances == {}
