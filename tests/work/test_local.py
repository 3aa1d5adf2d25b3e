"""Work in processes of this machine: each piece once, after those it stands on, by processes that stay."""

import sys
from pathlib import Path

import pytest
import tiny

from ontogeny.records import OntogenyError
from ontogeny.work import process
from ontogeny.work.local import Local
from ontogeny.work.piece import Piece, do, do_all, waves

STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")))


def piece(step, *after):
    return Piece("read", "here", {"step": step}, after, f"piece {step}")


def test_pieces_come_after_those_they_stand_on_and_processes_stay(monkeypatch):
    monkeypatch.setattr(process, "COMMAND", STAND_IN)
    first, second, done = piece(1), piece(2), []
    last = piece(3, first, second)
    heard = tiny.Heard()
    with Local().opened([(1, None), (2, "cpu")], heard) as submit:
        found = do([last, first, second], submit, heard, "pieces", done=lambda: done.append(1))
    assert list(found)[-1] == last and len(done) == 3
    assert {answer["done"].split(" with ")[1] for answer in found.values()} <= {"['1']", "['2', 'cpu']"}
    assert [set(wave) for wave in waves([last, first, second])] == [{first, second}, {last}]


def test_what_needs_a_piece_that_failed_is_not_begun_and_all_others_are(monkeypatch):
    monkeypatch.setattr(process, "COMMAND", STAND_IN)
    bad, good = piece(14), piece(1)
    with Local().opened([(1, None)], tiny.Heard()) as submit, pytest.raises(OntogenyError) as caught:
        do_all([bad, good, piece(2, bad), piece(3, good)], submit, tiny.Heard(), "pieces")
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["piece 14", "piece 2"]
    assert "TypeError: not a model" in lines[0] and lines[1].endswith("as it needs what failed: piece 14")
