"""A study from its file to its page: what is missing is run, once; a seed that was lost is made again; what fails is named."""

import json
import os
import shutil

import polars as pl
import pytest
import tiny
from typer.testing import CliRunner

from ontogeny import disk, store
from ontogeny.cli import app
from ontogeny.laboratory import Run
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder
from ontogeny.studies import commands, running, study_file
from ontogeny.studies.cost import Cost, duration

STUDY = """
name: little
question: Does a longer warm-up change anything?
recipe: tiny.yaml
settings: [training.steps=6, "checkpoints.steps=[2, 4]"]
seeds: [0, 1]
paradigms: [transitive]
reference: untouched
arms:
  - name: untouched
  - {name: dropped, interventions: [{kind: filter, patterns: ["(?i)\\\\bthe dog\\\\b"]}]}
  - {name: "warm-up {share}", for: {share: [0.5]}, settings: ["training.warmup={share}"], priority: 2}
predictions:
  P1:
    says: A longer warm-up changes nothing.
    measure: late_accuracy
    of: equivalence
    arms: ["warm-up *"]
    supported: {within: 0.5}
    refuted: {outside: 0.5}
expected: {late_accuracy: 0.2}
"""


@pytest.fixture(scope="module", autouse=True)
def without_pictures():
    """They take most of a tiny study's time; test_study_page draws them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ontogeny.studies.figures.write_figures", lambda own, folder: None)
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "tiny.yaml").write_text(
        tiny.RECIPE.replace("pairs_per_paradigm: 10", "pairs_per_paradigm: 10, paradigms: [transitive, passive_1]")
    )
    (folder / "little.yaml").write_text(STUDY)
    return folder


@pytest.fixture(scope="module")
def study(place):
    return study_file.load(place / "little.yaml")


@pytest.fixture(scope="module")
def done(place, study):
    heard = tiny.Heard()
    return commands.run(study, place / "runs", 1, heard), heard


def written(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet") if "seed-" in str(path)}


def test_every_arm_has_every_seed_and_predictions_are_decided(place, study, done):
    result, heard = done
    assert running.missing(study, place / "runs" / "little") == []
    whole = result.analysed.claims.filter(pl.col("paradigm").is_null())
    assert whole["prediction"].to_list() == ["P1"]
    assert result.page.exists()
    assert any(line.startswith("Registered on ") for line in heard.said)
    assert any("trainings of about" in line and "of disk" in line for line in heard.said)


def test_arms_share_first_weights_and_tokenizer(place, study, done):
    folders = [RunFolder(running.path_of(place / "runs" / "little", arm)) for arm in study.arms]
    for seed in (0, 1):
        assert len({store.weights_hash(folder.checkpoint(seed, 0)) for folder in folders}) == 1
    assert len({(folder.tokenizer / "tokenizer.json").read_bytes() for folder in folders}) == 1


def test_the_bigram_margin_of_each_arm_is_measured(place, study, done):
    margins = {
        arm.name: disk.read_table(RunFolder(running.path_of(place / "runs" / "little", arm)).stream_margins) for arm in study.arms
    }
    assert margins["untouched"].equals(margins["warm-up 0.5"])
    assert not margins["untouched"]["bigram_margin"].equals(margins["dropped"]["bigram_margin"])


def test_a_second_run_trains_nothing(place, study, done, in_this_process):
    before = written(place / "runs" / "little")
    commands.run(study, place / "runs", 1)
    assert written(place / "runs" / "little") == before


def test_what_lies_at_the_top_of_a_study_is_known(place, done):
    strange = {p.name for p in (place / "runs" / "little").iterdir() if not store.PARTS.fullmatch(p.name)}
    assert strange == {".lock", "arms"}


def test_no_arm_is_made_in_a_folder_of_somebody_elses(study, tmp_path):
    theirs = tmp_path / "little" / "arms" / "dropped" / "report" / ".a.4194305.tmp"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    with pytest.raises(OntogenyError, match=r"dropped is there already and was not made by ontogeny"):
        running.run_arms(study, tmp_path / "little", jobs=1)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [theirs]


def test_what_is_missing_is_ordered_by_priority_and_seed(place, study, tmp_path):
    order = [(one.arm.name, one.seed) for one in running.missing(study, tmp_path)]
    assert order == [("untouched", 0), ("dropped", 0), ("untouched", 1), ("dropped", 1), ("warm-up 0.5", 0), ("warm-up 0.5", 1)]


def test_a_seed_that_was_lost_is_the_only_one_made_again(place, study, done, in_this_process):
    folder = RunFolder(running.path_of(place / "runs" / "little", study.arm("dropped")))
    lost = folder.scores(1, "micro-english", 4)
    table = disk.read_table(lost)
    lost.unlink()
    assert [(one.arm.name, one.seed) for one in running.missing(study, place / "runs" / "little")] == [("dropped", 1)]
    before = written(place / "runs" / "little")
    running.run_arms(study, place / "runs" / "little", jobs=1)
    after = written(place / "runs" / "little")
    assert disk.read_table(lost).equals(table)
    assert {path for path in after if after[path] != before.get(path)} == {lost}


def test_an_arm_is_judged_anew_by_what_is_in_its_files_not_by_when(place, study, done, tmp_path, monkeypatch):
    root = shutil.copytree(place / "runs", tmp_path / "runs")
    judged = []
    monkeypatch.setattr(Run, "judge", lambda run: judged.append(run.folder.name))
    for path in (root / "little").rglob("*.parquet"):
        os.utime(path, (2e9, 2e9) if "seed-" in str(path) else (1e9, 1e9))  # a clock that was set back, or files that were copied
    running.judge_arms(study, root / "little")
    assert judged == []
    arm = RunFolder(running.path_of(root / "little", study.arm("dropped")))
    scores = arm.scores(1, "micro-english", 4)
    facts, table = disk.table_metadata(scores), disk.read_table(scores)
    disk.write_table(scores, table.with_columns(logp_good=pl.col("logp_bad"), logp_bad=pl.col("logp_good")), facts)
    os.utime(scores, (1, 1))
    running.judge_arms(study, root / "little")
    assert judged == ["dropped"]


def test_a_report_of_part_of_a_study_says_what_is_not_there(place, study, tmp_path):
    first = study.arm("untouched")
    running.begin([first], tmp_path / "little")
    from ontogeny.studies import registration

    registration.register(tmp_path / "little", study)
    result = commands.report(study, tmp_path)
    assert "no seeds yet" in result.analysed.claims["note"][0]
    result.page.unlink()
    asked = ["study", "report", str(place / "little.yaml"), "--runs", str(tmp_path), "--json"]
    told = json.loads(CliRunner().invoke(app, asked, catch_exceptions=False).stdout)
    assert told["report"] == str(result.page) and result.page.exists()
    assert told["claims"][0]["note"] == result.analysed.claims["note"][0]


def test_an_arm_that_cannot_be_made_is_named_before_any_training(place, tmp_path, in_this_process):
    (tmp_path / "tiny.yaml").write_text((place / "tiny.yaml").read_text())
    nothing = STUDY.replace("(?i)\\\\bthe dog\\\\b", "no such words")
    study = study_file.parse(nothing, "little.yaml", tmp_path)
    with pytest.raises(OntogenyError, match=r"dropped: .*no such words"):
        running.run_arms(study, tmp_path / "runs" / "little", jobs=1)
    assert not list((tmp_path / "runs").rglob("checkpoints"))


def test_what_was_run_opens_again_by_folder_and_by_name(place, study, done):
    for source in (place / "runs" / "little", place / "little.yaml"):
        assert [arm.name for arm in commands.open_study(source, (), place / "runs").arms] == [arm.name for arm in study.arms]
    from pathlib import Path

    assert commands.open_study(Path("little"), (), place / "runs").file.name == "little"
    roots = [commands.root_of(source, Path("elsewhere")) for source in (place / "runs" / "little", place / "little.yaml")]
    assert roots == [place / "runs", Path("elsewhere")]
    with pytest.raises(OntogenyError, match="--set is for a study's file"):
        commands.open_study(place / "runs" / "little", ("training.steps=3",))


def test_a_new_study_is_a_study_and_is_not_written_over(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text((place / "tiny.yaml").read_text())
    result = CliRunner().invoke(app, ["study", "new", "mine"])
    assert result.exit_code == 0, result.output
    assert study_file.load(tmp_path / "mine.yaml").file.reference == "untouched"
    again = CliRunner().invoke(app, ["study", "new", "mine"])
    assert isinstance(again.exception, OntogenyError)


def test_costs_are_told_for_people():
    told = str(Cost(200, 3800.0, 2_660_000_000, 2, (19.0, 19.4)))
    assert told.startswith("200 trainings of about 19 s: 32 min with 2 at a time")
    assert [duration(s) for s in (40, 120, 12600)] == ["40 s", "2 min", "3.5 h"]
