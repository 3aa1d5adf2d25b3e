"""Reading beside training: the tables of reading in turn, training that does not wait, and a reader that may die."""

import os
import sys
from pathlib import Path
from queue import SimpleQueue

import pytest
import tiny
import torch

from ontogeny import disk
from ontogeny.laboratory import Run
from ontogeny.readers import ReadingMode, beside, live, plan
from ontogeny.readers.beside import Beside
from ontogeny.recipe import Recipe
from ontogeny.results import Results
from ontogeny.store import RunFolder
from ontogeny.work import local, process

SUITE = "micro-english"
STAND_IN = (sys.executable, str(Path(__file__).parents[1] / "work" / "stand_in.py"))
UNREAD = [0, 1, 2]
AT_ONCE = ReadingMode("beside", 1, "cpu", at_once=True)


def silent(n, note=""):
    pass


@pytest.fixture
def unread(own_run):
    """A run of which three checkpoints of the second seed have not been read, as someone hears of it."""
    run = RunFolder(own_run)
    for step in UNREAD:
        run.scores(1, SUITE, step).unlink()
        run.reading("loss", 1, step).unlink()
    return Run(own_run, tiny.Heard())


def rest(own):
    """Waits until all that was handed over is answered."""
    own.crew._waiting.put(None)
    for thread in own.crew._threads:
        thread.join()


def tables(folder):
    run = RunFolder(folder)
    scores = {step: disk.read_table(run.scores(1, SUITE, step)) for step in run.scored(1, SUITE)}
    return scores, Results(run).dev_losses()


def same(ours, theirs):
    return ours[1] == theirs[1] and ours[0].keys() == theirs[0].keys() and all(ours[0][k].equals(theirs[0][k]) for k in ours[0])


def test_another_process_writes_the_tables_of_this_one(unread, finished_run):
    own = Beside(unread.readings, AT_ONCE, 7, silent)
    for checkpoint in unread.folder.checkpoints(1)[:3]:
        own.read(1, checkpoint)
    rest(own)  # as long as it takes, which training would not
    assert own.crew.workers[0].answered == len(UNREAD)
    own.stop()
    assert same(tables(unread.folder.path), tables(finished_run))
    assert [line for line in unread.display.warnings if " tokens " not in line] == []


def test_what_was_not_read_beside_training_is_read_at_its_end(unread, finished_run, monkeypatch):
    monkeypatch.setattr(process, "COMMAND", STAND_IN)  # reads nothing
    with live(unread.readings, AT_ONCE, [1], 7) as read:
        for checkpoint in unread.folder.checkpoints(1)[:3]:
            read(1, checkpoint)
    assert same(tables(unread.folder.path), tables(finished_run))
    assert unread.folder.lineage()["reading"]["way"] == "beside"


def test_a_reader_that_dies_is_reported_and_training_goes_on(unread, monkeypatch):
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", "import sys; sys.exit('no room left')"))
    own, (first, second, *_) = Beside(unread.readings, AT_ONCE, 7, silent), unread.folder.checkpoints(1)
    own.read(1, first)
    rest(own)
    own.read(1, second)
    own.finish()
    (warning,) = unread.display.warnings
    assert "the process that reads checkpoints beside training ended at step 0 (exit status 1: no room left)" in warning
    assert f"ontogeny score {unread.folder.path}" in warning


def test_training_that_is_stopped_stops_its_reader(unread, monkeypatch):
    begun = SimpleQueue()

    class Kept(local.Worker):
        def __init__(self, *place):
            super().__init__(*place)
            begun.put(self)

    monkeypatch.setattr(process, "COMMAND", STAND_IN)
    monkeypatch.setattr(local, "Worker", Kept)
    with pytest.raises(KeyboardInterrupt), live(unread.readings, AT_ONCE, [1], 7) as read:
        read(1, unread.folder.checkpoints(1)[0])
        worker = begun.get(timeout=60)
        raise KeyboardInterrupt
    assert worker._process.poll() is not None
    assert unread.display.warnings == []


@pytest.mark.parametrize(("pays_after", "starts"), [(1e9, False), (0.0, True)])
def test_a_process_is_started_where_enough_is_left_to_read(unread, monkeypatch, pays_after, starts):
    monkeypatch.setattr(process, "COMMAND", STAND_IN)
    monkeypatch.setattr(beside, "PAYS_AFTER", pays_after)
    own, (first, second, *_) = Beside(unread.readings, ReadingMode("beside", 1, "cpu"), 7, silent), unread.folder.checkpoints(1)
    own.read(1, first)
    assert unread.folder.scores(1, SUITE, 0).exists()  # here, and in turn
    assert (own.crew is not None) == starts
    own.read(1, second)
    assert unread.folder.scores(1, SUITE, 1).exists() != starts  # a stand-in reads nothing
    own.finish()


def test_after_training_nothing_is_read_meanwhile(unread):
    with live(unread.readings, ReadingMode("after"), [1], 7) as read:
        read(1, unread.folder.checkpoints(1)[0])
    assert not unread.folder.scores(1, SUITE, 0).exists()
    assert unread.folder.lineage()["reading"]["way"] == "after"


def test_a_run_reads_beside_its_training_if_it_is_told_to(tmp_path, finished_run, monkeypatch):
    monkeypatch.setattr(process, "COMMAND", STAND_IN)
    here = Run.begin(tiny.recipe("scoring.beside=on", "checkpoints.steps=[16]"), tmp_path, tiny.Heard())
    here.train()
    theirs = RunFolder(finished_run)
    for seed in (0, 1):
        assert here.folder.scored(seed, SUITE) == [0, 16, 24]
        for step in (0, 16, 24):
            one, other = (disk.read_table(run.scores(seed, SUITE, step)) for run in (here.folder, theirs))
            assert one["logp_good"].to_list() == pytest.approx(other["logp_good"].to_list(), abs=1e-5)
    assert here.folder.lineage()["reading"]["planned"]["at_once"]


# --- when it is done


@pytest.mark.parametrize(
    ("settings", "cores", "share", "way", "threads"),
    [
        ((), 2, 1, "in turn", 0),
        ((), 4, 1, "beside", 1),
        ((), 16, 1, "beside", 4),
        ((), 16, 8, "in turn", 0),
        ((), 16, 2, "beside", 2),
        (("scoring.beside=off",), 16, 1, "in turn", 0),
        (("scoring.beside=on",), 2, 1, "beside", 1),
        (("scoring.live=false", "scoring.beside=on"), 16, 1, "after", 0),
    ],
)
def test_who_reads_is_a_matter_of_cores(monkeypatch, settings, cores, share, way, threads):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    found = plan(tiny.recipe(*settings), share)
    assert (found.way, found.threads, found.spared) == (way, threads, threads)
    assert ReadingMode.from_lineage(found.lineage()) == found


def test_with_a_gpu_it_is_done_beside_training_and_no_core_is_spared(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    automatic = ("training.device=auto", "scoring.device=auto")
    assert plan(tiny.recipe(*automatic)) == ReadingMode("beside", 1, "cuda:2")  # one that does not train
    assert plan(tiny.recipe("training.device=auto")) == ReadingMode("beside", 1, "cpu")
    assert plan(tiny.recipe(*automatic)).spared == 0


def test_training_leaves_cores_to_the_reader(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    recipe: Recipe = tiny.recipe("training.threads=")
    here = Run.begin(recipe, tmp_path)
    assert here.training_plan().engine.threads == 8
    here.prepare()
    assert here.folder.lineage()["engine"]["threads"] == here.training_plan().engine.threads == 6
    assert here.folder.lineage()["reading"]["planned"]["threads"] == 2
