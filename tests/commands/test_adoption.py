"""A run around checkpoints that somebody else trained: read as our own are, or refused with a reason."""

import shutil

import pytest
import tiny

from ontogeny import disk
from ontogeny.commands import adoption
from ontogeny.commands.overview import describe
from ontogeny.display import QUIET
from ontogeny.laboratory import Run
from ontogeny.readers.folders import suite_part
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder

SUITE = "micro-english"


def test_a_suite_that_is_not_known_is_named():
    with pytest.raises(OntogenyError, match=r"no suite is called 'blmp'; did you mean 'blimp'\?"):
        suite_part("blmp", None)


@pytest.fixture(scope="module")
def theirs(finished_run, tmp_path_factory):
    """The checkpoints of one seed under names of another trainer, without anything of ours beside the model."""
    root = tmp_path_factory.mktemp("theirs") / "tiny opt"
    for step in tiny.TRAINED:
        shutil.copytree(RunFolder(finished_run).checkpoint(1, step), root / f"checkpoint-{step}")
        for ours in ("DONE", "ontogeny.json"):
            (root / f"checkpoint-{step}" / ours).unlink()
    return root


def adopt(source, root, *settings, name=None, display=QUIET, names=()):
    few = ("suites.0.pairs_per_paradigm=10", "verdicts.resamples=20", "verdicts.swaps=20", "scoring.device=cpu")
    return adoption.adopt(source, SUITE, None, name, (*few, *settings), root, display, names)


def test_checkpoints_without_a_tokenizer_are_read_with_one_that_is_named_and_kept(finished_run, theirs, tmp_path):
    bare = tmp_path / "bare"
    for step in tiny.TRAINED[:2]:
        shutil.copytree(
            theirs / f"checkpoint-{step}", bare / f"checkpoint-{step}", ignore=shutil.ignore_patterns("*token*", "special*")
        )
    named = shutil.copytree(RunFolder(finished_run).tokenizer, tmp_path / "named", ignore=shutil.ignore_patterns("key.json"))
    settings = ("suites.0.pairs_per_paradigm=10", "scoring.device=cpu")
    with pytest.raises(OntogenyError, match="checkpoint-0 holds no tokenizer"):
        adoption.adopt(bare, SUITE, None, "without", settings, tmp_path, QUIET).score()
    with pytest.raises(OntogenyError, match="bare holds no tokenizer"):
        adoption.adopt(bare, SUITE, None, "none", settings, tmp_path, QUIET, tokenizer=str(bare))
    assert not (tmp_path / "none").exists()
    here = adoption.adopt(bare, SUITE, None, "with", settings, tmp_path, QUIET, tokenizer=str(named))
    shutil.rmtree(named)  # a run has a copy
    here.score()
    own = RunFolder(finished_run)
    one, other = here.folder.scores(0, SUITE, 1), own.scores(1, SUITE, 1)
    assert disk.read_table(one).equals(disk.read_table(other))
    assert disk.table_metadata(one)["key"] != disk.table_metadata(other)["key"]
    before = one.stat().st_mtime_ns
    Run(here.folder.path).score()
    assert one.stat().st_mtime_ns == before  # nothing is missing


def test_an_adopted_run_has_the_scores_of_our_own(finished_run, theirs, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in theirs.rglob("*")}
    here = adopt(theirs, tmp_path)
    here.score()
    own = RunFolder(finished_run)
    assert here.folder.name == "tiny-opt"
    assert here.folder.seeds() == [0]
    assert here.folder.scored(0, SUITE) == tiny.TRAINED
    for step in tiny.TRAINED:
        one, other = here.folder.scores(0, SUITE, step), own.scores(1, SUITE, step)
        assert disk.read_table(one).equals(disk.read_table(other))
        assert disk.table_metadata(one)["weights"] == disk.table_metadata(other)["weights"]
    verdicts = here.judge()
    assert set(verdicts["paradigm"]) == set(disk.read_table(own.verdicts)["paradigm"])
    assert {p: p.stat().st_mtime_ns for p in theirs.rglob("*")} == before  # somebody else's folder is only read
    assert Run(here.folder.path).recipe == here.recipe
    assert here.folder.lineage()["opened"] == {
        "from": str(theirs),
        "checkpoints": 7,
        "names": ["checkpoint"],
        "clock": "step",
        "notes": [],
        "not_understood": [],
    }
    with pytest.raises(OntogenyError, match="there is nothing to train"):
        Run(here.folder.path).train()


def test_what_is_not_taken_and_what_stands_for_steps_is_said_and_kept(theirs, tmp_path):
    some, heard = tmp_path / "some", tiny.Heard()
    for step, name in {0: "chck_1M", 8: "chck_5M", 16: "best", 24: "checkpoint-24"}.items():
        shutil.copytree(theirs / f"checkpoint-{step}", some / name)
    with pytest.raises(OntogenyError, match="2 kinds of names, and a run has one clock"):
        adopt(some, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    here = adopt(some, tmp_path / "runs", names=["chck"], display=heard)
    assert [(c.step, c.words) for c in here.folder.checkpoints(0)] == [(1_000_000, 1e6), (5_000_000, 5e6)]
    assert heard.warnings == [
        "! names of checkpoints tell no optimiser steps; in place of steps stand words seen",
        "! not taken, whose name tells no moment of training: best",
        "! not taken, of other names than asked for: checkpoint-24",
    ]
    left = ["best (whose name tells no moment of training)", "checkpoint-24 (of other names than asked for)"]
    assert here.folder.lineage()["opened"]["not_understood"] == left
    assert f"! not taken: {', '.join(left)}" in describe(here.folder)
    (some / "best").rename(tmp_path / "best")
    assert adopt(some, tmp_path / "runs", names=["chck"]).folder.lineage()["opened"]["not_understood"] == left[1:]


def test_further_checkpoints_may_come_but_none_may_be_another(theirs, tmp_path):
    few = tmp_path / "few"
    for step in (0, 8):
        shutil.copytree(theirs / f"checkpoint-{step}", few / f"checkpoint-{step}")
    adopt(few, tmp_path / "runs", name="mine").score()
    shutil.copytree(theirs / "checkpoint-16", few / "checkpoint-16")
    here = adopt(few, tmp_path / "runs", name="mine")
    assert [c.step for c in here.folder.checkpoints(0)] == [0, 8, 16]
    before = here.folder.recipe.read_text()
    with pytest.raises(OntogenyError, match=r"a run around other checkpoints: step 0 of seed 0 was .*few.*use --name"):
        adopt(theirs, tmp_path / "runs", "verdicts.early=0.3", name="mine")
    assert here.folder.recipe.read_text() == before
    shutil.rmtree(few / "checkpoint-8")
    with pytest.raises(OntogenyError, match=r"step 8 of seed 0 was .*, now nothing"):
        adopt(few, tmp_path / "runs", name="mine")


def test_a_checkpoint_that_cannot_be_opened_is_named_and_the_others_are_read(theirs, tmp_path):
    some = tmp_path / "some"
    for step in (0, 8):
        shutil.copytree(theirs / f"checkpoint-{step}", some / f"checkpoint-{step}")
    (some / "checkpoint-8" / "model.safetensors").unlink()
    here = adopt(some, tmp_path / "runs")
    with pytest.raises(OntogenyError, match=r"checkpoint-8 holds no weights: expected model\.safetensors"):
        here.score()
    assert here.folder.scored(0, SUITE) == [0]


def test_a_run_that_trains_is_not_overwritten_by_one_around_checkpoints(own_run, theirs):
    with pytest.raises(OntogenyError, match="holds a run of another kind; use another name"):
        adopt(theirs, own_run.parent, name="tiny")


def test_a_run_is_never_begun_in_the_folder_of_what_is_opened(finished_run, tmp_path):
    theirs = shutil.copytree(RunFolder(finished_run).checkpoint(1, 24), tmp_path / "theirs")
    (theirs / ".keep.4194305.tmp").touch()
    before = sorted(p.name for p in theirs.iterdir())
    with pytest.raises(OntogenyError, match=r"theirs is there already .* such as --set name=theirs-2"):
        adoption.adopt(theirs, SUITE, None, None, [], tmp_path, QUIET)
    assert sorted(p.name for p in theirs.iterdir()) == before


@pytest.mark.parametrize("name", ["שלום", ".hidden model", "-x", "a\nb"])
def test_a_folder_of_any_name_makes_a_run(finished_run, tmp_path, name):
    shutil.copytree(RunFolder(finished_run).checkpoint(1, tiny.TRAINED[-1]), tmp_path / name)
    here = adopt(tmp_path / name, tmp_path / "runs")
    assert here.folder.path.parent == tmp_path / "runs" and Run(here.folder.path).folder.checkpoints(0)
