"""Questions and answers of a process that does pieces of work, and what is said when it dies."""

import sys
from pathlib import Path

import pytest
import tiny

from ontogeny import disk
from ontogeny.store import RunFolder
from ontogeny.work.piece import perform
from ontogeny.work.process import Ended, Told, Worker

STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")))


def test_questions_are_answered_in_turn():
    worker, heard = Worker(3, "cuda:1", STAND_IN), []
    for step in (1, 2):
        assert worker.ask({"inputs": {"step": step}}, heard.append) == {
            "done": f"read {step} with ['3', 'cuda:1']",
            "trouble": None,
        }
    assert worker.answered == 2
    assert heard[:2] == [{"note": "step 1: 50%"}, {"say": "said at 1", "style": None}]
    worker.end()


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (13, "^killed by signal 9; memory may have been short$"),
        (14, "^TypeError: not a model$"),
        (15, "^exit status 1: no room left$"),
    ],
)
def test_a_process_that_dies_says_why(step, why):
    worker = Worker(1, command=STAND_IN)
    worker.ask({"inputs": {"step": 1}})
    with pytest.raises(Ended, match=why):
        worker.ask({"inputs": {"step": step}})
    with pytest.raises(Ended):
        worker.ask({"inputs": {"step": 1}})
    worker.close()


def test_one_that_is_stopped_answers_no_more():
    worker = Worker(1, command=STAND_IN)
    worker.stop()
    with pytest.raises(Ended):
        worker.ask({"inputs": {"step": 1}})
    worker.close()


ONE_AT_WORK = """
import os, sys, threading

from ontogeny.registry import TABLES
from ontogeny.work.process import Worker, serve

def wait(piece, display):
    display.say(str(os.getpid()))
    threading.Event().wait()

if sys.argv[1:]:
    TABLES["piece"]["wait"] = "__main__:wait"
    serve()
else:
    asked = {"what": "wait", "run": ".", "inputs": {}}
    Worker(1, command=(sys.executable, __file__)).ask(asked, lambda message: print(message["say"], flush=True))
"""


def test_one_at_work_ends_when_who_asks_it_is_killed(tmp_path):
    script = tmp_path / "one_at_work.py"
    script.write_text(ONE_AT_WORK)
    assert tiny.ends_with_its_parent(sys.executable, str(script))


def test_a_run_is_read_as_it_asks(own_run):
    run, said = RunFolder(own_run), []
    path = run.scores(1, "micro-english", 8)
    kept = disk.read_table(path)
    path.unlink()
    asked = {"what": "read", "run": str(own_run), "inputs": {"seed": 1, "step": 8}}
    assert perform(asked, Told(said.append)) == {"done": "", "trouble": None}
    assert disk.read_table(path).equals(kept)
    heard, notes = [m for m in said if "say" in m], [m for m in said if "say" not in m]
    assert ["tokens unknown" in m["say"] or "the same tokens" in m["say"] for m in heard] == [True, True]
    assert [set(message) for message in notes] == [{"note"}] * len(notes)
    assert notes[0]["note"].startswith("micro-english at step 8: ")


def test_what_a_person_can_mend_is_a_trouble(own_run):
    run = RunFolder(own_run)
    file = run.checkpoint(0, 8) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    run.scores(0, "micro-english", 8).unlink()
    asked = {"what": "read", "run": str(own_run), "inputs": {"seed": 0, "step": 8}}
    assert "it is not read" in perform(asked, tiny.Heard())["trouble"]
