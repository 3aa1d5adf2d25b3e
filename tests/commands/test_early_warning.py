"""Early warning on a run's folder, calibrated on a table of accuracies and on another run's folder."""

import re
import shutil

import numpy as np
import polars as pl
import pytest
import tiny

from ontogeny import disk
from ontogeny.commands.early_warning import warn_of
from ontogeny.display import Display
from ontogeny.early_warning import Alarms, calibrated, finished, stands
from ontogeny.laboratory import Run
from ontogeny.records import OntogenyError

SUITE, QUIET = "micro-english", Display(quiet=True)
LEVELS = [0.1, 0.2, 0.3, *(0.6 + 0.02 * i for i in range(19))]  # three end wrong, nineteen fine


@pytest.fixture
def table(tmp_path):
    steps = [0, *range(10, 101, 10)]
    rows = [f"blimp_p{i:02},{step},0,{0.5 if not step else level}\n" for i, level in enumerate(LEVELS) for step in steps]
    file = tmp_path / "accuracies.csv"
    file.write_text("paradigm,step,seed,accuracy\n" + "".join(rows))
    return file


@pytest.fixture
def run(own_run):
    return Run(trained(own_run), QUIET)


def trained(folder):
    """The run as if it had learned from its first step on: its dev loss is below the entropy of its text."""
    lineage = disk.read_json(folder / "lineage.json")
    lineage["tokens"]["train"]["unigram_entropy"] = 99.0
    disk.write_json(folder / "lineage.json", lineage)
    return folder


@pytest.fixture
def done(finished_run, tmp_path):
    """Another run's folder that has ended, with curves of enough pairs: one paradigm in five wrong from its first step on."""
    folder = tmp_path / "done"
    shutil.copytree(finished_run, folder)
    curves = disk.read_table(folder / "curves.parquet")
    wrong = pl.col("paradigm").rank("dense") % 5 == 0
    accuracy = pl.when(wrong).then(0.2).otherwise(0.9 - pl.col("paradigm").rank("dense") / 100)
    disk.write_table(folder / "curves.parquet", curves.with_columns(n=pl.lit(1000, curves.schema["n"]), accuracy=accuracy))
    recipe = (folder / "recipe.yaml").read_text()
    assert "min_late: 3" in recipe
    (folder / "recipe.yaml").write_text(recipe.replace("min_late: 3", "min_late: 2"))
    return trained(folder)


def test_a_run_is_warned_of_by_a_table(run, table):
    found = warn_of(run, [table])
    assert set(found["step"]) == {24}
    assert set(found.select("seed", "paradigm").iter_rows()) == set(run.curves().select("seed", "paradigm").iter_rows())
    accuracy = {
        (seed, name): value
        for seed, name, step, value in run.curves().select("seed", "paradigm", "step", "accuracy").iter_rows()
        if step == 24
    }
    assert all(row["accuracy"] == accuracy[row["seed"], row["paradigm"]] for row in found.iter_rows(named=True))
    assert found["runs"].unique().to_list() == [1]
    assert found["alarm"].to_list() == (found["p"] <= 0.1).to_list()


def test_a_run_is_warned_of_by_another_run_and_a_table_at_an_earlier_step(run, done, table):
    found = warn_of(run, [done, table], step=8, alpha=0.2)
    assert (found["step"].unique().to_list(), found["runs"].unique().to_list()) == ([8], [2])
    assert found["share"].unique().to_list() == [pytest.approx(8 / 24)]
    assert found["alarm"].to_list() == (found["p"] <= 0.2).to_list()


def test_what_it_calibrates_on(done, table):
    name, curves, clock, thresholds = finished(done)
    assert (name, set(curves["suite"]), clock.steps[-1], clock.total) == ("done", {SUITE}, 24, 24)
    assert thresholds == Run(done).recipe.verdicts
    name, curves, clock, _ = finished(table)
    assert (name, clock.total, curves["paradigm"].min()) == ("accuracies", 100, "p00")


def test_a_run_without_verdicts_is_warned_of(run, table):
    """It is in progress: nothing has been judged yet."""
    for name in ("curves", "verdicts", "sensitivity"):
        (run.folder.path / f"{name}.parquet").unlink()
    shutil.rmtree(run.folder.path / "seed-1")
    for step in (20, 24):
        run.folder.scores(0, SUITE, step).unlink()
    found = warn_of(run, [table])
    assert (set(found["seed"]), set(found["step"])) == ({0}, {16})
    assert found["share"].unique().to_list() == [pytest.approx(16 / 24)]


def test_a_training_hears_what_warn_says_of_its_own_seed(run, done):
    heard = []
    names = run.curves()["paradigm"].unique().sort().to_list()
    alarms = Alarms(run.folder, run.recipe, 0, [done], [1 / 3], names, 0.2, heard.append)
    said = warn_of(run, [done], step=8, alpha=0.2).filter("alarm", seed=0)["paradigm"].to_list()
    assert sorted(alarms.standing(8, 24)) == sorted(said) != []
    assert alarms.standing(4, 24) == []  # before the moment
    assert sorted(Alarms(run.folder, run.recipe, 0, [done], [1 / 3], said[:1], 0.2, heard.append).standing(8, 24)) == said[:1]
    assert not heard
    with pytest.raises(OntogenyError, match="has no scores on micro-english at step 9"):
        alarms.standing(9, 24)
    with pytest.raises(OntogenyError, match="no finished run has a paradigm 'wh' with pairs enough to warn by"):
        Alarms(run.folder, run.recipe, 0, [done], [0.5], ["wh"], 0.2, heard.append)
    with pytest.raises(OntogenyError, match=r"an alarm at alpha 0\.01 needs"):
        Alarms(run.folder, run.recipe, 0, [done], [0.5], names, 0.01, heard.append)


def test_an_alarm_ends_after_two_checkpoints_in_a_row_that_are_not_below_chance():
    after = np.array([False, True, True, True, True])
    assert stands(np.array([0, -1, 0, -1, 1]), after) and stands(np.array([1, 1, -1, -1, 0]), after)
    assert not stands(np.array([-1, -1, 0, 1, -1]), after)


def test_a_run_of_another_kind_is_said(run, done):
    said = []
    calibrated(run.folder, run.recipe, [done], said.append)
    assert not said
    text = (done / "recipe.yaml").read_text()
    assert "learning_rate: 0.005" in text or "learning_rate" in text
    (done / "recipe.yaml").write_text(re.sub(r"learning_rate: \S+", "learning_rate: 0.123", text, count=1))
    calibrated(run.folder, run.recipe, [done], said.append)
    assert len(said) == 1 and "is of another kind" in said[0] and "training.learning_rate was 0.123, now" in said[0]


def test_a_run_cannot_be_its_own_calibration(run, table):
    for source in (run.folder.path, run.folder.path / ".." / run.folder.path.name):
        with pytest.raises(OntogenyError, match="cannot be calibrated on itself"):
            warn_of(run, [table, source])


def test_a_calibration_that_has_not_ended_is_refused(run, done):
    curves = disk.read_table(done / "curves.parquet")
    disk.write_table(done / "curves.parquet", curves.filter(pl.col("step") <= 16))
    with pytest.raises(OntogenyError, match=r"done has been read to step 16 of 24 only: it cannot calibrate yet"):
        warn_of(run, [done])
    (done / "curves.parquet").unlink()
    with pytest.raises(OntogenyError, match="done has no curves to calibrate on; run: ontogeny verdicts"):
        warn_of(run, [done])


def test_what_is_not_there_is_named(run, table, tmp_path):
    with pytest.raises(OntogenyError, match=r"there is no file .*none\.csv"):
        warn_of(run, [tmp_path / "none.csv"])
    with pytest.raises(OntogenyError, match="is not a run's folder"):
        warn_of(run, [tmp_path])
    with pytest.raises(OntogenyError, match="step 7 has not been read; the nearest that has is 8"):
        warn_of(run, [table], step=7)
    with pytest.raises(OntogenyError, match="nothing to warn by"):
        warn_of(run, [])


def test_a_run_without_scores_or_that_has_learned_nothing_is_told(finished_run, table, tmp_path):
    empty = Run.begin(tiny.recipe("name=empty"), tmp_path)
    with pytest.raises(OntogenyError, match="has no scores on micro-english yet; run: ontogeny score"):
        warn_of(empty, [table])
    with pytest.raises(OntogenyError, match="at step 24 the model is untrained"):
        warn_of(Run(finished_run), [table])
