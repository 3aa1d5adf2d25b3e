"""An instrument of somebody else's package, one file and an entry point, is everywhere where ours are."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

import ontogeny
from ontogeny import disk, registry
from ontogeny.comparison.page import compare
from ontogeny.laboratory import Run
from ontogeny.pages.axes import taken_apart
from ontogeny.records import OntogenyError
from ontogeny.report import write_report
from ontogeny.studies import commands, study_file
from ontogeny.studies.gathering import gather

MODULE = '''
"""A pulse of one number, and what each of 6 x 8 heads does."""

from typing import Literal

import polars as pl

from ontogeny.instruments import Column, Instrument
from ontogeny.pages.panel import Panel


class Pulse(Instrument):
    kind: Literal["pulse"] = "pulse"
    times: float = 1.0

    @property
    def columns(self):
        return {"beats": Column(says="how often it beats", unit="beats a step")}

    def read(self, subject):
        assert subject.model.config.hidden_size == 16
        return pl.DataFrame({"beats": [self.times * (subject.checkpoint.step + 10.0 * subject.seed)]})


class Heads(Instrument):
    kind: Literal["gazes"] = "gazes"

    @property
    def columns(self):
        return {
            "layer": Column(says="the layer", dtype=pl.Int64, index=True),
            "head": Column(says="the head", dtype=pl.Int64, index=True),
            "attention": Column(says="attention to the token before", span=(0.0, 1.0)),
        }

    def read(self, subject):
        rows = [(layer, head, (layer + head) / 12) for layer in range(6) for head in range(8)]
        return pl.DataFrame(rows, schema=["layer", "head", "attention"], orient="row")


class Silent(Pulse):
    kind: Literal["silent"] = "silent"

    def read(self, subject):
        return pl.DataFrame(schema={"beats": pl.Float64})


class Usurper(Pulse):
    kind: Literal["usurper"] = "usurper"

    @property
    def name(self):
        return "loss"


class Cartographer(Pulse):
    kind: Literal["cartographer"] = "cartographer"

    def panels(self):
        return (Panel(name="map", needs=("cartographer",), draw=None),)
'''
ENTRY_POINTS = """
[ontogeny.instrument]
pulse = somebodys_pulse:Pulse
gazes = somebodys_pulse:Heads
silent = somebodys_pulse:Silent
usurper = somebodys_pulse:Usurper
cartographer = somebodys_pulse:Cartographer
gone = nobodys_pulse:Pulse
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package of somebody else's on the path, as pip leaves it."""
    place = tmp_path / "site"
    about = place / "somebodys_pulse-1.0.dist-info"
    about.mkdir(parents=True)
    (place / "somebodys_pulse.py").write_text(MODULE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys-pulse\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(place))
    yield place
    sys.modules.pop("somebodys_pulse", None)


@pytest.fixture
def run(installed, own_run):
    return Run(own_run, tiny.Heard())


def charts_of(page):
    return json.loads(re.search(r'<script type="application/json" id="charts">(.*?)</script>', page, re.DOTALL)[1])["charts"]


def test_it_is_on_the_page_and_among_the_figures(run):
    before = charts_of(write_report(run.folder).read_text(encoding="utf-8"))
    run.read(["pulse", {"kind": "gazes"}], jobs=1)
    page = write_report(run.folder).read_text(encoding="utf-8")
    assert '<section id="readings">' in page and "29.000 beats a step at the end" in page  # 24 and 34
    assert "At the last checkpoint from 0.000 to 1.000." in page
    assert len(charts_of(page)) == len(before) + 2  # a card, and one map in place of 48
    written = {path.name for path in (run.folder.report.parent / "figures").iterdir()}
    assert {"pulse.beats.svg", "gazes.attention.svg"} <= written
    curve = taken_apart(run.figure("pulse.beats"))[1]["readings"]
    assert {(row["seed"], row["step"]): row["value"] for row in curve} == {(s, t): t + 10 * s for s in (0, 1) for t in tiny.TRAINED}
    cells = taken_apart(run.figure("gazes.attention"))[1]["readings"]
    assert len(cells) == 48 * len(tiny.TRAINED)
    assert {(row["of"], row["step"]): row["value"] for row in cells}["layer 2, head 4", 24] == 0.5
    assert run.reading("gazes").collect().columns == ["seed", "step", "layer", "head", "attention"]
    with pytest.raises(OntogenyError, match=r"no figure is called 'pulse\.beat'; did you mean 'pulse\.beats'"):
        run.figure("pulse.beat")


def test_runs_are_compared_by_it(run, tmp_path):
    run.read(["pulse"], jobs=1)
    other = tmp_path / "runs" / "tiny-other"
    shutil.copytree(run.folder.path, other)
    Run(other).read([{"kind": "pulse", "times": 2.0}], jobs=1)
    found, page = compare([run.folder.path, other], tmp_path / "page")
    assert found.outcomes == ("pulse.beats",)
    last = found.curves.filter(step=24, seed=1).select("pulse.beats").to_series().to_list()
    assert sorted(last) == [34.0, 68.0]
    assert "pulse.beats" in page.read_text(encoding="utf-8")


def test_a_recipe_lists_it_and_other_settings_are_read_anew(run):
    recipe = tiny.recipe("instruments=[{kind: pulse, times: 3}]")
    again = Run.begin(recipe, run.folder.path.parent)
    again.score()
    assert again.reading("pulse").filter(seed=0, step=8).collect()["beats"].to_list() == [24.0]
    with pytest.raises(OntogenyError, match=r"no instrument is called 'puls'; did you mean 'pulse'\?"):
        tiny.recipe("instruments=[puls]")
    with pytest.raises(OntogenyError, match=r"instruments.*tims.*times"):
        tiny.recipe("instruments=[{kind: pulse, tims: 3}]")


STUDY = """
name: beating
question: Does the dose change the pulse?
recipe: tiny.yaml
settings: [training.steps=4, "checkpoints.steps=[2]", "instruments=[pulse, gazes]"]
seeds: [0, 1]
paradigms: [transitive]
reference: untouched
arms:
  - name: untouched
  - {name: twice, settings: ["instruments=[{kind: pulse, times: 2}, gazes]"]}
predictions:
  P1:
    says: Twice as fast.
    measure: pulse.beats
    of: difference
    arms: [twice]
    supported: {above: 3}
    refuted: {below: 0}
  P2:
    says: Heads stay.
    measure: gazes.attention@layer=2@head=4
    of: equivalence
    arms: [twice]
    supported: {within: 0.1}
    refuted: {outside: 0.1}
"""


def test_a_study_asks_for_it(installed, tmp_path, monkeypatch, in_this_process):
    monkeypatch.setattr("ontogeny.studies.figures.write_figures", lambda own, folder: None)
    (tmp_path / "tiny.yaml").write_text(tiny.RECIPE)
    (tmp_path / "beating.yaml").write_text(STUDY)
    study = study_file.load(tmp_path / "beating.yaml")
    assert study.readings == ("pulse.beats", "gazes.attention@layer=2@head=4")
    commands.run(study, tmp_path / "runs", 1, tiny.Heard())
    folder = tmp_path / "runs" / "beating"
    found = gather(folder, study)
    assert found.gaps == ()
    last = found.readings.filter(step=4).sort("measure", "arm", "seed")
    assert last.filter(measure="pulse.beats")["value"].to_list() == [8.0, 28.0, 4.0, 14.0]  # twice, then untouched
    assert set(last.filter(measure="gazes.attention@layer=2@head=4")["value"]) == {0.5}
    claims = {row["prediction"]: row for row in disk.read_table(folder / "analysis" / "claims.parquet").iter_rows(named=True)}
    assert set(claims) == {"P1", "P2"}
    assert "pulse.beats" in (folder / "report" / "index.html").read_text(encoding="utf-8")


def test_the_help_lists_it(installed):
    source = Path(ontogeny.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(source)]), "COLUMNS": "300", "TERM": "dumb"}
    asked = [sys.executable, "-m", "ontogeny", "read", "--help"]
    said = subprocess.run(asked, capture_output=True, text=True, timeout=300, check=True, env=environment).stdout
    assert re.search(r"An instrument: loss, rules, .*pulse.*; left out", " ".join(said.split()))
    ours, known = list(registry.TABLES["instrument"]), registry.names("instrument")
    assert known[: len(ours)] == ours and "pulse" in known[len(ours) :]


def test_none_passes_for_another(installed, tmp_path, monkeypatch):
    with pytest.raises(OntogenyError, match="usurper calls itself 'loss', which is the name of another instrument"):
        tiny.recipe("instruments=[usurper]")
    with pytest.raises(OntogenyError, match=r"'gone' does not load from nobodys_pulse:Pulse .*No module named"):
        tiny.recipe("instruments=[gone]")
    about = tmp_path / "second" / "second-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: second\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[ontogeny.instrument]\npulse = seconds_pulse:Pulse\nreach = seconds_pulse:Reach\n")
    monkeypatch.syspath_prepend(str(about.parent))
    with pytest.raises(
        OntogenyError, match="two packages have the instrument 'pulse': seconds_pulse:Pulse and somebodys_pulse:Pulse"
    ):
        tiny.recipe("instruments=[pulse]")
    with pytest.raises(OntogenyError, match="the instrument 'reach' is ontogeny's own and seconds_pulse:Reach has its name"):
        tiny.recipe("instruments=[reach]")
    assert registry.names("instrument").count("pulse") == 1


def test_its_figure_takes_no_other_figures_place(run):
    run.read(["cartographer"], jobs=1)
    assert run.figure("map") is not None
    assert "cartographer is left out: its figure &#39;map&#39; has the name of another" in run.write_report().read_text(
        encoding="utf-8"
    )


def test_a_figure_without_rows_says_why(run):
    run.read(["silent"], jobs=1)
    with pytest.raises(OntogenyError, match="silent has read this run and found nothing in it"):
        run.figure("silent.beats")
    Run.begin(tiny.recipe("instruments=[pulse]"), run.folder.path.parent)
    with pytest.raises(OntogenyError, match=r"no table pulse.*ontogeny read RUN --with pulse makes it"):
        run.figure("pulse.beats")
    with pytest.raises(OntogenyError, match=r"gazes has not read .*/tiny; ontogeny read .*/tiny --with gazes$"):
        run.reading("gazes")
    with pytest.raises(OntogenyError, match=r"puls has not read .*/tiny --with puls \(did you mean 'pulse'\?\)$"):
        run.reading("puls")


def test_one_number_opens_one_instruments_tables(run, monkeypatch):
    run.read(["pulse", "gazes"], jobs=1)
    asked, known = [], disk.table_metadata
    monkeypatch.setattr(disk, "table_metadata", lambda path: asked.append(path.parent.name) or known(path))
    assert len(run.reading("pulse").collect()) == 2 * len(tiny.TRAINED)
    assert set(asked) == {"pulse"}


def test_a_warning_goes_with_what_it_was_about(run, monkeypatch):
    def failing(self, subject):
        raise ValueError("a weak heart")

    pulse = registry.load("instrument", "pulse")
    with monkeypatch.context() as patched:
        patched.setattr(pulse, "read", failing)
        with pytest.raises(OntogenyError, match="a weak heart"):
            run.read(["pulse"], jobs=1)
    assert run.folder.lineage()["warnings"]
    run.read(["pulse"], jobs=1)
    assert run.folder.lineage()["warnings"] == []


@pytest.mark.parametrize("measure", ["gazes.attention", "gazes.attention@layer=2", "gazes.attention@layer=2@head=4@word=1"])
def test_a_study_that_leaves_an_index_open_is_refused_before_it_trains(installed, tmp_path, measure):
    (tmp_path / "tiny.yaml").write_text(tiny.RECIPE)
    (tmp_path / "beating.yaml").write_text(STUDY.replace("gazes.attention@layer=2@head=4", measure))
    with pytest.raises(OntogenyError, match=r"gazes reads attention by @layer=\.\.\., @head=\.\.\."):
        study_file.load(tmp_path / "beating.yaml")
