"""A whole run from text to report: all that is promised is there, and nothing is done twice."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import altair as alt
import polars as pl
import pytest
import tiny

import ontogeny as og
from ontogeny import disk, judging, store
from ontogeny import recipe as recipes
from ontogeny.laboratory import Run
from ontogeny.records import OntogenyError
from ontogeny.results import Results
from ontogeny.store import RunFolder

SUITE = "micro-english"


def stamps(folder, *parts):
    """What changes when a file is written again, for files whose path has all of `parts`."""
    files = [p for p in folder.rglob("*") if p.is_file() and all(part in p.as_posix() for part in parts)]
    assert files
    return {p.relative_to(folder).as_posix(): (p.stat().st_mtime_ns, p.stat().st_ino) for p in files}


def begin(folder, *settings, display=None):
    return Run.begin(tiny.recipe(*settings), folder.parent, display or tiny.Heard())


def test_a_run_holds_all_that_is_promised(finished_run):
    run = RunFolder(finished_run)
    assert run.seeds() == [0, 1]
    for seed in run.seeds():
        assert [c.step for c in run.checkpoints(seed)] == run.scored(seed, SUITE) == tiny.TRAINED
        for step in tiny.TRAINED:
            assert store.fault(run.checkpoint(seed, step)) is None
            assert (run.checkpoint(seed, step) / "config.json").exists()
        losses = disk.read_table(run.losses(seed))
        assert losses["step"].to_list() == list(range(1, 25))
        assert losses["tokens"].to_list() == [64 * step for step in range(1, 25)]
        last = run.checkpoints(seed)[-1]
        assert (last.tokens, last.words) == (64 * 24, pytest.approx(losses["words"][-1]))
    for file in (run.recipe, run.verdicts, run.curves, run.sensitivity, run.report, run.pairs(SUITE), run.tokens / "train.bin"):
        assert file.stat().st_size > 0
    assert list(finished_run.rglob("*.tmp")) == []
    assert set(Results(run).dev_losses()) == {(seed, step) for seed in (0, 1) for step in tiny.TRAINED}


def test_its_lineage_says_how_it_was_made(finished_run):
    lineage = RunFolder(finished_run).lineage()
    assert lineage["kind"] == "trained"
    assert {"ontogeny", "torch", "transformers", "python"} <= set(lineage["versions"])
    assert lineage["engine"] == {"device": "cpu", "threads": 1, "precision": "float32", "compile": False}
    assert (lineage["training"]["steps"], lineage["training"]["checkpoints"]) == (24, 7)
    assert lineage["tokens"]["train"]["words"] == 2002  # the last scene is told to its end
    assert lineage["suites"][SUITE]["pairs"] == 10 * lineage["suites"][SUITE]["paradigms"]
    assert lineage["warnings"] == []


def test_its_recipe_is_the_one_it_was_given(finished_run):
    assert recipes.load(finished_run / "recipe.yaml") == tiny.recipe()


def test_its_frames_are_to_be_had(finished_run):
    here = og.open(finished_run)
    scores = here.scores().collect()
    paradigms = scores["paradigm"].n_unique()
    assert len(scores) == 2 * len(tiny.TRAINED) * paradigms * 10
    assert len(here.curves()) == 2 * len(tiny.TRAINED) * paradigms
    assert len(here.verdicts()) == paradigms
    assert len(here.losses()) == len(here.losses(1)) == 24
    assert isinstance(here.figure("map"), alt.TopLevelMixin)
    assert here.report.exists()
    with pytest.raises(OntogenyError, match="has no scores on blimp; run: ontogeny score"):
        here.scores("blimp")


def test_accuracy_is_that_of_the_scores(finished_run):
    here = Run(finished_run)
    margin = pl.col("logp_good") - pl.col("logp_bad")
    won = pl.when(margin.abs() <= 1e-5).then(0.5).otherwise((margin > 0).cast(pl.Float64))
    keys = ["paradigm", "seed", "step"]
    by_hand = here.scores().group_by(keys).agg(accuracy=won.mean(), margin=margin.mean()).sort(keys).collect()
    ours = here.curves().sort(keys)
    assert ours["accuracy"].to_list() == pytest.approx(by_hand["accuracy"].to_list())
    assert ours["margin"].to_list() == pytest.approx(by_hand["margin"].to_list())


def test_the_same_command_again_does_nothing(own_run):
    before = stamps(own_run, "seed-") | stamps(own_run, "token")
    here = begin(own_run)
    here.train()
    here.score()
    assert stamps(own_run, "seed-") | stamps(own_run, "token") == before
    assert here.display.warnings == []


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("training.learning_rate=0.5", r"training\.learning_rate was 0\.01, now 0\.5"),
        ("model.options.dropout=0", r"model\.options\.dropout was 0\.1, now 0"),
        ("corpus.words=3000", r"corpus\.words was 2000, now 3000"),
        ("tokenizer.kind=character", "tokenizer.kind was 'word', now 'character'"),
        ("bos=false", "bos was True, now False"),
        ("dev=", "dev was"),
    ],
)
def test_another_training_in_the_same_folder_is_refused_by_name(own_run, setting, said):
    before = stamps(own_run)
    with pytest.raises(OntogenyError, match=rf"was trained with another recipe: .*{said}.*Use --set name="):
        begin(own_run, setting)
    assert stamps(own_run) == before


def test_what_does_not_change_the_training_may_change(own_run):
    begin(own_run, "training.save_minutes=1", "verdicts.early=0.2", "scoring.batch_tokens=64", "training.dev_tokens=64")
    assert Run(own_run).recipe.verdicts.early == 0.2


def test_other_pairs_are_scored_anew_and_their_checkpoints_are_kept(own_run):
    weights = stamps(own_run, "checkpoints/")
    scores = stamps(own_run, "scores/")
    here = begin(own_run, "scoring.pairs_per_paradigm=4")
    here.score()
    assert stamps(own_run, "checkpoints/") == weights
    after = stamps(own_run, "scores/")
    assert set(after) == set(scores)
    assert not set(after.values()) & set(scores.values())
    frame = here.scores().collect()
    assert set(frame.group_by("seed", "step", "paradigm").len()["len"]) == {4}
    here.judge()
    assert set(here.curves()["n"]) == {4}


def test_a_further_seed_is_added_and_the_others_stay(own_run):
    before = stamps(own_run, "seed-")
    begin(own_run, "seeds=[0, 1, 5]").train()
    assert {path: stamp for path, stamp in stamps(own_run, "seed-").items() if "seed-5" not in path} == before
    run = RunFolder(own_run)
    assert run.scored(5, SUITE) == tiny.TRAINED
    losses = [tuple(disk.read_table(run.losses(seed))["loss"]) for seed in (0, 1, 5)]
    assert len(set(losses)) == 3


def test_seeds_side_by_side_have_the_same_losses_and_scores(finished_run, tmp_path):
    here = Run.begin(tiny.recipe("checkpoints.steps=[16]"), tmp_path)
    here.train(jobs=2)
    ours, theirs = here.folder, RunFolder(finished_run)
    for seed in (0, 1):
        assert here.losses(seed).drop("seconds").equals(disk.read_table(theirs.losses(seed)).drop("seconds"))
        for step in (0, 16, 24):
            assert store.weights_hash(ours.checkpoint(seed, step)) == store.weights_hash(theirs.checkpoint(seed, step))
            one, other = (disk.read_table(run.scores(seed, SUITE, step)) for run in (ours, theirs))
            assert one["logp_good"].to_list() == pytest.approx(other["logp_good"].to_list(), abs=1e-5)


def cut(folder, step):
    file = folder / "seed-0" / "checkpoints" / store.step_name(step) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    return file


def test_a_checkpoint_that_was_cut_is_named_and_its_scores_are_kept(own_run):
    file = cut(own_run, 8)
    before = stamps(own_run, "scores/")
    here = begin(own_run)
    here.score()
    assert stamps(own_run, "scores/") == before
    assert len(here.display.warnings) == 1
    assert str(file) in here.display.warnings[0]
    assert "what was read of it is kept, --again 8 would read it anew" in here.display.warnings[0]


def test_a_checkpoint_that_was_cut_is_not_scored_and_all_others_are(own_run):
    file = cut(own_run, 8)
    shutil.rmtree(own_run / "seed-0" / "scores")
    here = begin(own_run)
    with pytest.raises(OntogenyError, match=r"bytes instead of .* it is not read") as caught:
        here.score()
    assert str(file) in str(caught.value)
    assert RunFolder(own_run).scored(0, SUITE) == [step for step in tiny.TRAINED if step != 8]
    assert RunFolder(own_run).lineage()["warnings"] == str(caught.value).splitlines()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_checkpoint_with_a_changed_byte_is_not_scored(own_run, name):
    file = tiny.flip(RunFolder(own_run).checkpoint(0, 8) / name)
    shutil.rmtree(own_run / "seed-0" / "scores")
    shutil.rmtree(own_run / "seed-0" / "readings")
    with pytest.raises(OntogenyError, match=rf"{file} is not what was written: bytes of it have changed; (.* )?it is not read"):
        begin(own_run).score()
    assert RunFolder(own_run).scored(0, SUITE) == [step for step in tiny.TRAINED if step != 8]
    read = [step for step in tiny.TRAINED if RunFolder(own_run).reading("loss", 0, step).exists()]
    assert read == [step for step in tiny.TRAINED if step != 8]


def test_a_tokenizer_with_a_changed_byte_is_not_trained_with(own_run):
    file = RunFolder(own_run).tokenizer / "tokenizer.json"
    file.write_text(file.read_text().replace("dog", "dig"))
    with pytest.raises(OntogenyError, match=rf"{file} is not what was written: .*; delete .*/tokenizer and it is made again"):
        begin(own_run, "seeds=[0, 1, 2]").train()
    shutil.rmtree(file.parent)
    begin(own_run, "seeds=[0, 1, 2]").train()


@pytest.mark.parametrize("name", ["train.bin", "train.idx", "dev.bin"])
def test_tokens_with_a_changed_byte_are_not_trained_on(own_run, name):
    file = tiny.flip(RunFolder(own_run).tokens / name)
    with pytest.raises(OntogenyError, match=rf"{file} is not what was written: .*; delete it and it is made again"):
        begin(own_run, "seeds=[0, 1, 2]").train()
    file.unlink()
    begin(own_run, "seeds=[0, 1, 2]").train()
    assert store.file_hash(file) == RunFolder(own_run).lineage()["tokens"][name.split(".")[0]]["hashes"][name]


def test_scores_on_other_pairs_are_not_judged_with_the_new_ones(own_run):
    cut(own_run, 8)
    here = begin(own_run, "scoring.pairs_per_paradigm=4")
    with pytest.raises(OntogenyError, match="it is not read"):
        here.score()
    with pytest.raises(OntogenyError, match=r"step-00000008\.parquet was scored on other pairs"):
        here.judge()


def test_scores_that_were_cut_are_named(own_run):
    file = RunFolder(own_run).scores(1, SUITE, 2)
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(OntogenyError, match=r"scores/micro-english/step-00000002\.parquet cannot be read .* delete it"):
        begin(own_run).score()
    file.unlink()
    begin(own_run).score()
    assert disk.table_metadata(file)["step"] == "2"


def test_a_checkpoint_is_scored_again_when_asked(own_run):
    before = stamps(own_run, "scores/")
    begin(own_run).score(again=[8])
    after = stamps(own_run, "scores/")
    assert {path for path in before if before[path] != after[path]} == {
        f"seed-{seed}/scores/{SUITE}/step-00000008.parquet" for seed in (0, 1)
    }
    with pytest.raises(OntogenyError, match=r"has no checkpoint at step 9; it has \[0, 1, 2, 8, 16, 20, 24\]"):
        begin(own_run).score(again=[9])
    with pytest.raises(OntogenyError, match="has no checkpoint at step 9; it has"):
        begin(own_run).read(again=[9])


def test_a_run_killed_before_its_lineage_was_written_can_begin_again(own_run):
    (own_run / "lineage.json").unlink()
    shutil.rmtree(own_run / "seed-0")
    shutil.rmtree(own_run / "seed-1")
    assert begin(own_run).folder.lineage()["kind"] == "trained"


def test_a_disk_that_is_too_small_is_said_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "free_space", lambda path: 1000)
    with pytest.raises(OntogenyError, match=r"the disk is full: writing .* needed"):
        Run.begin(tiny.recipe(), tmp_path).train()
    assert RunFolder(tmp_path / "tiny").seeds() == []


def test_a_run_that_is_not_there_is_said(finished_run):
    with pytest.raises(OntogenyError, match=r"is not a run's folder .*runs in .*: tiny"):
        og.open(finished_run.parent / "tniy")


@pytest.mark.parametrize("held", [1, 10**9])
def test_verdicts_do_not_depend_on_how_many_scores_are_held_at_once(own_run, monkeypatch, held):
    """And every table of scores is read once, in as many parts as that makes."""
    here = Run(own_run)
    kept, read = here.verdicts(), []
    monkeypatch.setattr(judging, "HELD", held)
    monkeypatch.setattr(judging, "SPOOLED", held)
    monkeypatch.setattr(store, "read_tables", lambda places, was=store.read_tables: read.append(list(places)) or was(places))
    assert here.judge().equals(kept)
    every = [(seed, step) for seed in here.folder.seeds() for step in here.folder.scored(seed, "micro-english")]
    assert read == ([[moment] for moment in every] if held == 1 else [every])


def test_nothing_to_judge_is_said(tmp_path):
    here = Run.begin(tiny.recipe(), tmp_path)
    with pytest.raises(OntogenyError, match="has no scores to judge; run: ontogeny score"):
        here.judge()


def test_verdicts_are_the_same_twice(own_run):
    here = Run(own_run)
    kept = here.verdicts()
    assert here.judge().equals(kept)
    assert json.loads((own_run / "lineage.json").read_text())["timeline"]["steps"] == tiny.TRAINED


def test_what_lies_at_the_top_of_a_run_is_known(finished_run):
    """Left-overs are looked for there and nowhere else, and a folder with other things in it is no run's."""
    assert {p.name for p in finished_run.iterdir() if not store.PARTS.fullmatch(p.name)} == {".lock", ".lineage.lock"}


# --- folders of other people --------------------------------------------------------------------------------------


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    "theirs",
    [
        {"notes/.cache.tmp/a": "1", ".draft.4194305.tmp": "2"},
        {"recipe.yaml": "name: mine"},
        {".lock": "", "recipe.yaml": "name: mine"},
        {"recipe.yaml": recipes.dump(tiny.recipe()), "notes.txt": "1"},
        {"lineage.json": '{"kind": "table", "parents": []}'},
        {"lineage.json": "[]"},
        {"registered.json": "{}", "study.yaml": "name: tiny"},
        {"tokens/train.json": "1"},
        {"report/.x.4194305.tmp": "1"},
        {"config.json": "{}", "model.safetensors": "1"},
    ],
)
def test_nothing_begins_in_a_folder_of_somebody_elses(tmp_path, theirs):
    for name, text in theirs.items():
        (tmp_path / "tiny" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tiny" / name).write_text(text)
    (tmp_path / "tiny-2").mkdir()
    before = contents(tmp_path)
    with pytest.raises(
        OntogenyError, match=r"not made by ontogeny .* Choose another name, such as --set name=tiny-3|lineage\.json"
    ):
        Run.begin(tiny.recipe(), tmp_path)
    assert contents(tmp_path) == before


def test_nothing_begins_in_the_place_of_a_file_or_a_lost_link(tmp_path):
    (tmp_path / "tiny").write_text("mine")
    with pytest.raises(OntogenyError, match=r"tiny cannot be written \(not a directory\)"):
        Run.begin(tiny.recipe(), tmp_path)
    assert (tmp_path / "tiny").read_text() == "mine"
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OntogenyError, match=r"lost cannot be written \(file exists\)"):
        Run.begin(tiny.recipe("name=lost"), tmp_path)


def test_a_run_begins_in_an_empty_folder_and_through_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "tiny").symlink_to(tmp_path / "disk")
    Run.begin(tiny.recipe(), tmp_path)
    assert disk.read_json(tmp_path / "disk" / "lineage.json")["kind"] == "trained"


KILLED_AT = """
import os, signal, sys
from ontogeny import laboratory
from ontogeny.recipe import load

laboratory.hardware = dict  # or each child would load torch
recipe, root, left = load(sys.argv[1]), sys.argv[2], -1

def die(event, arguments):
    global left
    writes = event in ("open", "os.mkdir", "os.rename", "os.remove") and root in str(arguments[0])
    left -= writes or event == "fcntl.flock"
    if not left:
        left = -1  # the kill is an event too
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(die)
for moment in range(1, 100):
    if not (child := os.fork()):
        left = moment
        laboratory.Run.begin(recipe, f"{root}/{moment}")
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        print(moment)
        break
"""


def test_a_run_killed_in_its_first_moments_can_begin_again(tmp_path):
    """At each file that is opened, renamed or deleted, and at each lock, from the first to the last."""
    (tmp_path / "recipe.yaml").write_text(recipes.dump(tiny.recipe()))
    command = [sys.executable, "-c", KILLED_AT, str(tmp_path / "recipe.yaml"), str(tmp_path / "runs")]
    moments = int(subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout)
    left = [sorted(p.name for p in folder.iterdir()) for folder in (tmp_path / "runs").glob("*/tiny")]
    assert moments > 10 and {"recipe.yaml" in names for names in left} == {"lineage.json" in names for names in left} == {
        True,
        False,
    }
    for moment in range(1, moments):
        assert Run.begin(tiny.recipe(), tmp_path / "runs" / str(moment)).folder.lineage()["kind"] == "trained"
    assert list((tmp_path / "runs").rglob("*.tmp")) == []


def test_a_run_is_judged_by_its_own_scores_whatever_its_folder_is_called(finished_run, tmp_path):
    for place in ("runs1", "runs[1]", "runs*"):
        shutil.copytree(finished_run, tmp_path / place / "tiny")
    other = RunFolder(tmp_path / "runs1" / "tiny")
    for seed, step in [(seed, step) for seed in (0, 1) for step in tiny.TRAINED]:
        path = other.scores(seed, SUITE, step)
        scores = disk.read_table(path).with_columns(logp_good=pl.lit(0.0), logp_bad=pl.lit(-1.0))
        disk.write_table(path, scores, disk.table_metadata(path))
    Run(other.path).judge()
    assert set(Run(other.path).curves()["accuracy"]) == {1.0}
    right = Run(finished_run).verdicts()
    for place in ("runs[1]", "runs*"):
        here = Run(tmp_path / place / "tiny")
        assert here.judge().equals(right) and here.verdicts().equals(right)
        assert here.scores().collect().equals(Run(finished_run).scores().collect())


def test_what_only_reads_a_run_writes_nothing_in_it(own_run, monkeypatch):
    Run(own_run).count(2)
    before = stamps(own_run)
    tiny.refuse_writing(monkeypatch, own_run)
    here = Run(own_run)
    assert here.count(2).keys() == {"token", "word"}
    assert here.why(here.verdicts()["paradigm"][0]).paradigm == here.verdicts()["paradigm"][0]
    for write in (here.judge, here.write_report, here.score, here.train, lambda: here.count(3), lambda: begin(own_run)):
        with pytest.raises(OntogenyError, match="cannot be written"):
            write()
    assert stamps(own_run) == before


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("model.options.num_attention_heads=3", "model.options cannot be built"),
        ("training.device=meta", "device 'meta' computes nothing on this machine"),
        ("scoring.device=cuda:99", "this machine has"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_text_is_read(tmp_path, setting, said):
    run = Run.begin(tiny.recipe(setting), tmp_path)
    with pytest.raises(OntogenyError, match=said):
        run.train()
    assert not run.folder.tokens.exists() and not run.folder.tokenizer.exists()


def test_a_training_that_goes_on_reads_first_what_a_kill_left_unread(own_run, monkeypatch):
    """What hears of checkpoints while training goes on, such as a closed loop, finds them read."""
    run, read = Run(own_run), []
    monkeypatch.setattr("ontogeny.training.session.train_seed", lambda *asked: iter(()))
    monkeypatch.setattr(type(run.folder), "newest_state", lambda self, seed: Path("step-00000008"))
    run._train_seed(0, lambda seed, checkpoint: read.append((seed, checkpoint.step)))
    assert read == [(0, step) for step in run.folder.steps(0)]
