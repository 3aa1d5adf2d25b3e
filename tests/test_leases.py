"""Claims among many machines on one disk: held while their holder lives, free once it has died, whatever anybody's clock says."""

import os
import subprocess
import sys
from threading import Event, Thread

import pytest

from ontogeny import disk, leases, store
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder


@pytest.fixture
def quick(monkeypatch):
    """A claim that stands still is free at once, and nobody waits long."""
    monkeypatch.setattr(leases, "PATIENCE", 0.05)
    monkeypatch.setattr(leases, "BEAT", 0.005)
    monkeypatch.setattr(leases, "LOOK", 0.005)


def left_by(path, host, process, beat=3):
    """A claim as a process of some machine left it when it died."""
    path.write_text(f'{{"host": "{host}", "name": "{host}", "process": {process}, "beat": {beat}}}')


@pytest.fixture
def another_host(monkeypatch):
    """This process takes claims, and gives files names, as another machine would."""

    def become(name):
        monkeypatch.setattr(leases, "host", lambda: leases._host(name, ""))

    return become


def test_a_claim_is_held_by_one_and_given_up(tmp_path):
    path = tmp_path / "claim"
    with leases.lease(path):
        with pytest.raises(leases.Held, match=f"process {os.getpid()} of"), leases.lease(path, wait=False):
            pass
        assert path.exists()
    assert not path.exists()


def test_a_claim_that_a_full_disk_has_no_room_for_is_none(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(os, "pwrite", full)
        with leases.lease(tmp_path / "claim"):
            pass
    assert not (tmp_path / "claim").exists()
    with leases.lease(tmp_path / "claim", wait=False):  # at once
        pass


def test_who_waits_gets_it_when_it_is_free(tmp_path, quick, another_host):
    path, free, order, said = tmp_path / "claim", Event(), [], []

    def first():
        with leases.lease(path):
            free.wait(60)
            order.append("first")

    thread = Thread(target=first)
    with leases.lease(path):
        thread.start()
        order.append("this")
    said = []
    free.set()
    thread.join()
    with leases.lease(path, said=said.append):
        order.append("last")
    assert order == ["this", "first", "last"]


def test_a_claim_of_a_process_of_this_machine_that_has_ended_is_free_at_once(tmp_path):
    left_by(tmp_path / "claim", leases.host(), 2**22 + 1)
    with leases.lease(tmp_path / "claim", wait=False):
        pass


@pytest.mark.parametrize("clock", [0.0, 2e9])
def test_a_claim_that_a_lost_machine_left_is_free_when_it_stands_still_whatever_its_date(tmp_path, quick, clock):
    path, said = tmp_path / "claim", []
    left_by(path, "node-7", 12)
    os.utime(path, (clock, clock))
    with leases.lease(path, said=said.append):
        assert leases._holder(path.read_bytes())["process"] == os.getpid()
    assert "waiting for process 12 of node-7" in said[0]


def test_one_that_gives_signs_of_life_is_not_taken_by_another_machine(tmp_path, quick, another_host, monkeypatch):
    monkeypatch.setattr(leases, "PATIENCE", 60.0)
    path = tmp_path / "claim"
    another_host("node-1")
    with leases.lease(path):
        another_host("node-2")
        with pytest.raises(leases.Held, match=f"process {os.getpid()}"), leases.lease(path, wait=False):
            pass
        assert path.exists()
    assert not path.exists()


def test_who_stood_still_and_lost_a_claim_does_not_take_it_back(tmp_path, monkeypatch):
    path = tmp_path / "claim"
    monkeypatch.setattr(leases, "BEAT", 1e6)
    with leases.lease(path):
        leases._put_aside(path, path.read_bytes())
        left_by(path, "node-2", 7)
        taken = path.read_bytes()
    assert path.read_bytes() == taken  # neither signed nor deleted by who had it before


def test_one_that_moved_while_it_was_taken_is_given_back(tmp_path):
    path = tmp_path / "claim"
    left_by(path, "node-2", 7, beat=4)
    leases._put_aside(path, b"as it was a moment ago")
    assert leases._holder(path.read_bytes())["beat"] == 4
    assert [p.name for p in tmp_path.iterdir()] == ["claim"]


KILLED = """
import os, signal, sys
from pathlib import Path
from ontogeny import disk, leases, store

step, at = int(sys.argv[2]), 0

def or_die(function):
    def call(*arguments, **options):
        global at
        at += 1
        if at == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return call

for name in ("open", "rename", "replace", "unlink", "mkdir", "fsync", "write"):
    setattr(os, name, or_die(getattr(os, name)))
run = store.RunFolder(Path(sys.argv[1]))
with run.writing(), store.part("train-seed-1"):
    run.note(peak_memory={"1": 5})
    with run.claimed("train-1"), disk.atomic(run.seed(1) / "losses.parquet") as temporary:
        temporary.write_text("whole")
print(at)
"""


def test_a_writer_that_is_killed_at_any_step_leaves_a_run_that_goes_on(tmp_path):
    def writes(name, step):
        run = tmp_path / name
        RunFolder(run).note(kind="trained", peak_memory={"0": 4})
        return run, subprocess.run([sys.executable, "-c", KILLED, run, str(step)], capture_output=True, text=True, check=False)

    steps = int(writes("whole", 0)[1].stdout)
    for step in range(1, steps + 1):
        run, ended = writes(f"at-{step}", step)
        assert ended.returncode < 0, ended.stderr
        folder = RunFolder(run)
        losses = folder.seed(1) / "losses.parquet"
        assert not losses.exists() or losses.read_text() == "whole"
        with folder.writing(), folder.claimed("train-1"):
            disk.write_json(folder.seed(1) / "next.json", {})
        assert folder.lineage()["peak_memory"] in ({"0": 4}, {"0": 4, "1": 5})
        assert not [p for p in run.rglob("*") if p.name.endswith((".tmp", ".claim")) or p.name == ".writer"], step


# --- what it is for: one writer a file


def test_names_of_two_machines_processes_and_writes_differ(tmp_path, another_host):
    names = []
    for host in ("node-1", "node-2"):
        another_host(host)
        names += [disk._temporary("losses.parquet") for _ in range(2)]
    assert len(set(names)) == 4
    assert {disk.TEMPORARY.fullmatch(name)["target"] for name in names} == {"losses.parquet"}
    assert {disk.TEMPORARY.fullmatch(name)["host"] for name in names} == {leases._host("node-1", ""), leases._host("node-2", "")}


@pytest.mark.parametrize(("age", "left"), [(0, True), (-600, True), (disk.OLD + 600, False)])
def test_what_another_machine_left_half_written_goes_when_it_is_old_by_the_disks_clock(tmp_path, another_host, age, left):
    another_host("node-1")
    half = tmp_path / "seed-0" / disk._temporary("losses.parquet")
    half.parent.mkdir()
    half.touch()
    now = half.stat().st_mtime
    os.utime(half, (now - age, now - age))  # minutes ahead of the disk are no age
    another_host("node-2")
    with RunFolder(tmp_path).writing():
        pass
    assert half.exists() == left


def test_a_run_that_another_machine_writes_is_refused_and_one_that_it_has_lost_is_not(tmp_path, quick, another_host, monkeypatch):
    run = RunFolder(tmp_path / "run")
    another_host("node-1")
    run.path.mkdir()
    with leases.lease(run.path / ".writer"), monkeypatch.context() as patient:
        patient.setattr(leases, "PATIENCE", 60.0)
        another_host("node-2")
        with pytest.raises(OntogenyError, match=r"another process \(process \d+ of .*\) is writing to"), run.writing():
            pass
    left_by(run.path / ".writer", "node-1", 5)
    with run.writing():
        pass


def test_each_piece_notes_in_a_part_of_its_own_and_who_holds_the_place_adds_them(tmp_path):
    run = RunFolder(tmp_path)
    run.note(kind="trained", peak_memory={"0": 1})
    for seed in (1, 2):
        with store.part(f"train-seed-{seed}"):
            run.note(peak_memory={str(seed): seed})
            run.note(peak_memory={str(seed): seed + 10}, warnings=[f"seed {seed}"])
    assert sorted(p.name for p in (tmp_path / "lineage").iterdir()) == ["train-seed-1.json", "train-seed-2.json"]
    seen = run.lineage()
    assert seen["peak_memory"] == {"0": 1, "1": 11, "2": 12}
    with run.writing():
        pass
    assert run.lineage() == seen and not (tmp_path / "lineage").exists()
    assert disk.read_json(tmp_path / "lineage.json") == seen
