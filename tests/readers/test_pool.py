"""Many checkpoints read by several processes: the same tables, each once, and no more processes than pay."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import tiny
import torch

from ontogeny import disk, store
from ontogeny.laboratory import Run
from ontogeny.readers import pool
from ontogeny.records import OntogenyError
from ontogeny.results import Results
from ontogeny.store import RunFolder
from ontogeny.work import local, process
from ontogeny.work.piece import Piece, perform

SUITE = "micro-english"
STAND_IN = (sys.executable, str(Path(__file__).parents[1] / "work" / "stand_in.py"))


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(process, "COMMAND", STAND_IN)


def test_processes_side_by_side_write_the_tables_of_one(own_run, finished_run):
    for seed, step in [(0, 1), (0, 2), (0, 8), (1, 0), (1, 24)]:
        RunFolder(own_run).scores(seed, SUITE, step).unlink()
        RunFolder(own_run).reading("loss", seed, step).unlink()
    display = tiny.Heard()
    Run(own_run, display).score(jobs=2)
    ours, theirs = RunFolder(own_run), RunFolder(finished_run)
    for seed in (0, 1):
        assert ours.scored(seed, SUITE) == tiny.TRAINED
        for step in tiny.TRAINED:
            one, other = (run.scores(seed, SUITE, step) for run in (ours, theirs))
            assert disk.read_table(one).equals(disk.read_table(other))
            assert disk.table_metadata(one) == disk.table_metadata(other)
    assert Results(ours).dev_losses() == Results(theirs).dev_losses() and len(Results(ours).dev_losses()) == 14
    (reading,) = (line for line in display.said if line.startswith("reading 4 checkpoints with 2 processes of "))
    assert "of memory each" in reading
    assert [line for line in display.warnings if " tokens " not in line] == []


def questions(*steps):
    return [Piece("read", "here", {"seed": 0, "step": step}) for step in steps]


def test_each_question_is_answered_once_and_in_order(stand_in):
    display = tiny.Heard()
    found = pool.with_others(questions(*range(10)), display, [(1, "cpu"), (2, "cuda:3")])
    assert [answer["done"].split(" with ")[0] for answer in found] == [f"read {step}" for step in range(10)]
    assert {answer["done"].split(" with ")[1] for answer in found} <= {"['1', 'cpu']", "['2', 'cuda:3']"}
    assert sorted(text for text in display.said if text.startswith("said")) == [f"said at {step}" for step in range(10)]


def test_one_that_dies_loses_its_own_question_alone(stand_in):
    found = pool.with_others(questions(1, 13, 2, 3), tiny.Heard(), [(1, "cpu"), (1, "cpu")])
    assert [answer["trouble"] is None for answer in found] == [True, False, True, True]
    assert found[1]["trouble"].startswith("here, read, seed 0, step 13: the process that did it ended 3 times (killed by signal 9")
    assert "the same command does the rest" in found[1]["trouble"]


def test_where_the_only_process_dies_another_does_the_rest(stand_in):
    found = pool.with_others(questions(13, 1), tiny.Heard(), [(1, "cpu")])
    assert "killed" in found[0]["trouble"]
    assert found[1] == {"done": "read 1 with ['1', 'cpu']", "trouble": None}


def test_stopping_ends_all_processes(stand_in, monkeypatch):
    workers = []

    class Kept(local.Worker):
        def __init__(self, *place):
            super().__init__(*place)
            workers.append(self)

    class Stopping(tiny.Heard):
        def say(self, text, style=None):
            if text.startswith("said"):
                raise KeyboardInterrupt

    monkeypatch.setattr(local, "Worker", Kept)
    with pytest.raises(KeyboardInterrupt):
        pool.with_others(questions(1, 2, 3), Stopping(), [(1, "cpu"), (1, "cpu")])
    assert [worker._process.poll() is not None for worker in workers] == [True, True]


def test_a_trouble_is_said_and_all_others_are_read(own_run, stand_in):
    for step in (1, 2, 8):
        RunFolder(own_run).scores(0, SUITE, step).unlink()
    file = own_run / "seed-0" / "checkpoints" / store.step_name(1) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    display = tiny.Heard()
    with pytest.raises(OntogenyError, match="it is not read"):
        Run(own_run, display).score(jobs=2)  # the first is read here, the others by stand-ins
    assert len(display.warnings) == 1
    assert str(file) in display.warnings[0]
    assert {"said at 2", "said at 8"} <= set(display.said)


def test_what_goes_wrong_at_every_checkpoint_is_said_once():
    found = pool.together(
        ["a/step-0: t.csv:3: no number\na/step-0: cut", "a/step-1: t.csv:3: no number", "it ended", "a/step-2: cut short"]
    )
    assert found == ["a/step-0 and 1 more: t.csv:3: no number", "a/step-0: cut", "it ended", "a/step-2: cut short"]


def test_a_short_rest_is_read_here(own_run, monkeypatch):
    monkeypatch.setattr(pool, "with_others", None)  # would raise
    for step in (1, 2, 8):
        RunFolder(own_run).scores(0, SUITE, step).unlink()
    Run(own_run).score()
    assert RunFolder(own_run).scored(0, SUITE) == tiny.TRAINED


@pytest.mark.parametrize(
    ("left", "seconds", "room", "jobs"),
    [
        (29, 1.0, 64, 1),  # 29 seconds: no process is worth its start
        (31, 1.0, 64, 8),  # one a core
        (2, 60.0, 64, 8),
        (29, 60.0, 3, 3),  # as many as memory has room for
        (29, 60.0, 0, 1),
    ],
)
def test_as_many_processes_as_pay(monkeypatch, left, seconds, room, jobs):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr("ontogeny.training.engine.peak_memory", lambda device: 2**30)
    monkeypatch.setattr(pool, "free_memory", lambda: room * 2**30 + 5)
    assert pool.how_many("cpu", left, seconds) == jobs


def test_cores_are_shared(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert pool.places("cpu", 3) == [(2, "cpu")] * 3
    assert pool.places("cpu", 20)[0] == (1, "cpu")


def test_one_process_a_gpu(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert pool.how_many("auto", 100, 1.0) == 4
    assert pool.how_many("cuda:2", 100, 1.0) == 1
    assert pool.places("auto", 4) == [(2, f"cuda:{i}") for i in range(4)]
    assert pool.places("cuda:2", 2) == [(4, "cuda:2"), (4, "cuda:2")]


def test_free_memory_is_some_of_the_machines():
    assert 0 < pool.free_memory() <= 2**62


def test_another_engine_gets_all_that_is_not_read_and_nothing_is_read_here(own_run, monkeypatch):
    class Elsewhere:
        kind = "elsewhere"

        @contextmanager
        def opened(self, places, display):
            yield lambda pieces, hear: iter([(piece, perform(piece.message())) for piece in pieces])

    kept = {step: disk.read_table(RunFolder(own_run).scores(0, SUITE, step)) for step in (1, 2)}
    for step in kept:
        RunFolder(own_run).scores(0, SUITE, step).unlink()
    monkeypatch.setattr(pool, "read", None)  # would raise
    Run(own_run).score(engine=Elsewhere())
    assert all(disk.read_table(RunFolder(own_run).scores(0, SUITE, step)).equals(table) for step, table in kept.items())
