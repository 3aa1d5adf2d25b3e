"""Tidy tables and their codebook: what is written is what the run holds, and every column is explained."""

import csv
import json
import shutil
import subprocess

import polars as pl
import pytest
import tiny

from ontogeny import disk
from ontogeny.commands import exporting
from ontogeny.commands.exporting import export, tables
from ontogeny.laboratory import Run
from ontogeny.records import OntogenyError


@pytest.fixture(scope="module")
def run(finished_run, tmp_path_factory):
    """A run with everything that a table can hold."""
    found = Run(shutil.copytree(finished_run, tmp_path_factory.mktemp("runs") / "tiny"), tiny.Heard())
    found.examine()
    return found


def test_every_column_of_every_table_is_explained(run, tmp_path):
    export(run, "csv", tmp_path / "out")
    book = pl.read_csv(tmp_path / "out" / "codebook.csv")
    assert book.filter(pl.col("meaning").is_null() | (pl.col("meaning") == "")).rows() == []
    there = {path.stem for path in (tmp_path / "out").glob("*.csv")} - {"codebook"}
    assert (
        set(book["table"]) == there >= {"verdicts", "curves", "losses", "reading-loss", "evidence-margins", "scores-micro-english"}
    )
    for name, frame, _ in tables(run):
        with (tmp_path / "out" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            names, *rows = csv.reader(file)
        assert len(rows) == len(frame)
        assert names == frame.columns == book.filter(table=name)["column"].to_list()


def test_values_come_back_as_they_were(run, tmp_path):
    export(run, "csv", tmp_path / "csv")
    assert pl.read_csv(tmp_path / "csv" / "curves.csv")["accuracy"].to_list() == run.curves()["accuracy"].to_list()
    states = [json.loads(text) for text in pl.read_csv(tmp_path / "csv" / "verdicts.csv")["states"]]
    assert states == run.verdicts()["states"].to_list()
    export(run, "json", tmp_path / "json")
    assert json.loads((tmp_path / "json" / "verdicts.json").read_text()) == json.loads(json.dumps(run.verdicts().to_dicts()))


def test_r_has_a_script_with_the_type_of_every_column(run, tmp_path):
    export(run, "r", tmp_path / "r")
    script = (tmp_path / "r" / "load.R").read_text()
    assert "`paradigm` = 'character'" in script and "`accuracy` = 'double'" in script and "`seed` = 'double'" in script
    assert script.count("read.csv(") == len(list((tmp_path / "r").glob("*.csv")))
    if shutil.which("Rscript"):
        read = f"source('load.R'); stopifnot(nrow(ontogeny$verdicts) == {len(run.verdicts())})"
        subprocess.run(["Rscript", "-e", read], cwd=tmp_path / "r", check=True)


def test_again_into_its_own_folder_but_into_no_other(run, tmp_path):
    export(run, "csv", tmp_path / "out")
    export(run, "csv", tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(OntogenyError, match="was not made by ontogeny"):
        export(run, "csv", tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("to", ["csv", "json", "r"])
def test_what_stopped_in_the_middle_goes_on(run, tmp_path, monkeypatch, to):
    def full(path, frame):
        raise OntogenyError("the disk is full")

    with monkeypatch.context() as patch, pytest.raises(OntogenyError, match="full"):
        patch.setattr(exporting, "_write", full)
        export(run, to, tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 1
    export(run, to, tmp_path / "out")


def test_variants_that_could_not_be_judged_are_rows_without_a_verdict(run, tmp_path):
    sensitivity = disk.read_table(run.folder.sensitivity).with_columns(verdict=pl.lit(None, pl.String))
    disk.write_table(run.folder.sensitivity, sensitivity)
    export(run, "csv", tmp_path / "out")
    assert pl.read_csv(tmp_path / "out" / "sensitivity.csv")["verdict"].null_count() == len(sensitivity)
