"""What is on disk is whole or not there, keyed by its content, and has one writer."""

import errno
import json
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import tiny
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from ontogeny import disk, store
from ontogeny.instruments.tables import tables_of
from ontogeny.records import Checkpoint, OntogenyError, Pair
from ontogeny.store import RunFolder


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


# --- names of files

ANY = st.text(st.characters(), max_size=400) | st.sampled_from(
    ["..", "", "/etc/x", "../../up", "a\0b", "\ud800", "NUL", "aux.x", "x."]
)


@given(ANY)
def test_anybodys_name_makes_a_file_name_that_every_file_system_takes(name):
    found = disk.file_name(name)
    assert Path(found).name == found and not found.startswith(".") and not found.endswith((".", " "))
    assert all(character.isalnum() or character in "._~-" or found.encode() for character in found)
    assert not set(found) & set('/\\:*?"<>|') and found.isprintable()
    assert len(f".{found}.parquet.1234567.tmp".encode()) <= 255
    assert found.split(".")[0].lower() not in {"con", "prn", "aux", "nul", "com1", "lpt1"}


@given(ANY, ANY)
def test_two_names_never_make_one_file_name(one, other):
    first, second = disk.file_name(one), disk.file_name(other)
    assert (first == second) == (one == other)
    if one.casefold() != other.casefold():
        assert first.casefold() != second.casefold()


def test_plain_names_stay_as_they_are_and_others_stay_readable():
    for name in ("wh_vs_that_with_gap", "principle_A_case_1", "step-00000128", "1.5", "x" * 120):
        assert disk.file_name(name) == name
    assert disk.file_name("word order").startswith("word-order~")
    assert disk.file_name("שלום עולם").startswith("שלום-עולם~")
    assert disk.file_name("a b") != disk.file_name("a-b") != disk.file_name(disk.file_name("a b"))
    assert disk.file_name("Wh", ["Wh"]).casefold() != disk.file_name("wh", ["wh"]).casefold()


def test_a_suite_of_any_name_lies_within_its_run(tmp_path):
    run, names = RunFolder(tmp_path / "run"), ["../../up", "a/b", "blimp", "x" * 300]
    for name in names:
        disk.write_table(run.pairs(name), pl.DataFrame({"paradigm": ["p"]}), {"suite": name})
        disk.write_table(run.scores(0, name, 1), pl.DataFrame({"paradigm": ["p"]}))
        assert run.tokenised(name, "k").parent == tmp_path / "run" / "suites" / "tokens"
    assert run.suites() == sorted(names) and [run.scored(0, name) for name in names] == [[1]] * 4
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    assert run.pairs("blimp").name == "blimp.parquet"  # as it always was


def test_a_file_name_that_is_not_utf8_can_be_noted(tmp_path):
    disk.write_json(tmp_path / "facts.json", {"source": "caf\udce9.txt", "other": "é"})
    assert disk.read_json(tmp_path / "facts.json") == {"source": "caf\udce9.txt", "other": "é"}


def test_what_has_a_files_name_and_is_none_has_no_hash(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OntogenyError, match="pipe is a named pipe and no file"):
        store.file_hash(tmp_path / "pipe")
    with pytest.raises(OntogenyError, match="is a folder and no file"):
        store.file_hash(tmp_path)


# --- atomic writes


@pytest.mark.parametrize("failure", [ValueError("no"), KeyboardInterrupt(), OSError(errno.EACCES, "no")])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, failure):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(type(failure)), disk.atomic(target) as temporary:
        temporary.write_text("half")
        assert target.read_text() == "old"
        raise failure
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_write_that_fails_leaves_the_old_folder_and_nothing_else(tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    (target / "a").write_text("old")
    with pytest.raises(ValueError, match="no"), disk.atomic(target) as temporary:
        temporary.mkdir()
        (temporary / "b").write_text("half")
        raise ValueError("no")
    assert names(tmp_path) == ["folder"]
    assert names(target) == ["a"]


def test_a_write_that_succeeds_replaces_files_and_folders_and_leaves_nothing_else(tmp_path):
    for text in ("old", "new"):
        with disk.atomic(tmp_path / "deep" / "file") as temporary:
            temporary.write_text(text)
        with disk.atomic(tmp_path / "deep" / "folder") as temporary:
            temporary.mkdir()
            (temporary / text).touch()
    assert (tmp_path / "deep" / "file").read_text() == "new"
    assert names(tmp_path / "deep") == ["file", "folder"]
    assert names(tmp_path / "deep" / "folder") == ["new"]


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),  # safetensors' words
        pl.exceptions.ComputeError("underlying IO error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_said_with_sizes(tmp_path, failure):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(OntogenyError, match=r"the disk is full: writing .*file \([\d.]+ \w?B free\); make room"):  # noqa: SIM117
        with disk.atomic(target) as temporary:
            temporary.write_text("half")
            raise failure
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_table_whose_stream_breaks_is_a_full_disk_where_hardly_anything_is_free(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise pl.exceptions.ComputeError("parquet: File out of specification: Invalid thrift: transport error")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", broken)
    for free, said in ((2**12, (OntogenyError, "the disk is full")), (2**30, (pl.exceptions.ComputeError, "transport error"))):
        monkeypatch.setattr(disk, "free_space", lambda path, free=free: free)
        with pytest.raises(said[0], match=said[1]):
            disk.write_table(tmp_path / "table.parquet", pl.DataFrame({"a": [1]}))


def test_a_full_disk_while_a_table_is_written(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(OntogenyError, match="the disk is full"):
        disk.write_table(tmp_path / "table.parquet", pl.DataFrame({"a": [1]}))
    assert names(tmp_path) == []


def test_the_error_for_a_full_disk_says_what_is_needed(tmp_path):
    assert "1.5 GB needed" in str(disk.disk_full(tmp_path / "not" / "there", 1_500_000_000))


@pytest.mark.parametrize(
    ("size", "said"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (123_456_789, "123 MB"), (2e9, "2 GB"), (5e12, "5.0 TB")]
)
def test_sizes_as_people_say_them(size, said):
    assert disk.human_size(size) == said


def test_a_folder_that_is_not_ours_is_not_replaced(tmp_path):
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    (theirs / "a").write_text("mine")
    for target in (ours, ours, theirs):
        refused = pytest.raises(OntogenyError, match=r"theirs is there already and was not made by ontogeny \(no key\.json in it\)")
        with refused if target == theirs else nullcontext(), disk.atomic(target, mark="key.json") as temporary:
            temporary.mkdir()
            (temporary / "key.json").touch()
    assert (theirs / "a").read_text() == "mine"
    assert names(tmp_path) == ["ours", "theirs"]


def test_a_file_in_the_place_of_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "index").write_text("mine")
    with pytest.raises(OntogenyError, match=r"index cannot be written \(not a directory\)"):  # noqa: SIM117
        with disk.atomic(tmp_path / "index") as temporary:
            temporary.mkdir()
    assert (tmp_path / "index").read_text() == "mine"
    assert names(tmp_path) == ["index"]


def test_of_a_link_to_a_folder_the_link_is_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a").touch()
    (tmp_path / "folder").symlink_to(tmp_path / "elsewhere")
    with disk.atomic(tmp_path / "folder") as temporary:
        temporary.mkdir()
    assert names(tmp_path / "elsewhere") == ["a"]
    assert not (tmp_path / "folder").is_symlink()


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EACCES, "Permission denied"), OSError(errno.EROFS, "Read-only file system")]
)
def test_a_place_that_cannot_be_written_to_is_said_before_the_work(tmp_path, error, monkeypatch):
    tiny.refuse_writing(monkeypatch, tmp_path / "there", error)
    said = f"cannot be written ({error.strerror.lower()}); have the permissions there changed"
    for target in (tmp_path / "there" / "file", tmp_path / "there" / "new" / "file"):
        with pytest.raises(OntogenyError) as caught, disk.atomic(target):
            pytest.fail("work that cannot be kept")
        assert f"{target} {said}" in str(caught.value)


# --- content keys


def test_a_content_key_changes_with_any_part():
    pair = Pair("p", "0", "a b", "b a")
    parts = [("a", 1, [pair], tiny.recipe())]
    parts += [("b", *parts[0][1:]), ("a", 2, *parts[0][2:]), ("a", 1, [], parts[0][3]), ("a", 1, [pair, pair], parts[0][3])]
    parts += [("a", 1, [replace(pair, bad="a  b")], parts[0][3]), ("a", 1, [pair], tiny.recipe("training.clip=0.5"))]
    keys = [disk.content_key(*p) for p in parts]
    assert len(set(keys)) == len(keys)
    assert keys[0] == disk.content_key("a", 1, [replace(pair)], tiny.recipe())
    assert disk.content_key({"a": 1, "b": 2}) == disk.content_key({"b": 2, "a": 1})


def test_a_file_hash_is_of_its_bytes(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert store.file_hash(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(OntogenyError, match="does not exist"):
        store.file_hash(tmp_path / "g")


# --- JSON and tables


def test_json_that_is_broken_or_missing_is_named(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1,\n}')
    with pytest.raises(OntogenyError, match=r"a\.json:2: not valid JSON"):
        disk.read_json(tmp_path / "a.json")
    with pytest.raises(OntogenyError, match=r"b\.json does not exist"):
        disk.read_json(tmp_path / "b.json")


def test_a_table_keeps_its_metadata(tmp_path):
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    disk.write_table(tmp_path / "t.parquet", frame, {"weights": "é", "key": "2"})
    assert disk.read_table(tmp_path / "t.parquet").equals(frame)
    assert disk.table_metadata(tmp_path / "t.parquet") == {"weights": "é", "key": "2"}


def test_a_table_that_is_cut_or_missing_is_named(tmp_path):
    file = tmp_path / "t.parquet"
    disk.write_table(file, pl.DataFrame({"a": [1, 2]}))
    file.write_bytes(file.read_bytes()[:-20])
    for read in (disk.read_table, disk.table_metadata):
        with pytest.raises(OntogenyError, match=r"t\.parquet cannot be read as parquet"):
            read(file)
    with pytest.raises(OntogenyError, match="does not exist"):
        disk.read_table(tmp_path / "u.parquet")


TAKEN_FOR_PATTERNS = ["runs[1]", "r?ns", "r*", "{a,b}", "a=1", "~", "s3:"]


@pytest.mark.parametrize("place", TAKEN_FOR_PATTERNS)
def test_a_table_is_the_one_of_just_that_name(tmp_path, monkeypatch, place):
    """As polars has it, `runs[1]` is runs1, `r*` is everything, `~` is somebody's home, and `s3:` is far away."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "runs1"))
    for folder in ("runs1", "rins", "a", place):
        for name in ("t.parquet", "t[1].parquet", "t1.parquet"):
            frame = pl.DataFrame({"where": [f"{folder}/{name}"]})
            disk.write_table(Path(folder) / name, frame, {"where": f"{folder}/{name}"})
            frame.write_csv((Path(folder) / name).with_suffix(".csv").absolute())
    for name in ("t.parquet", "t[1].parquet"):
        path, where = Path(place) / name, [f"{place}/{name}"]
        assert (tmp_path / path).is_file()
        frames = [disk.read_table(path), disk.scan_table(path).collect(), disk.read_csv(path.with_suffix(".csv"))]
        assert [frame.to_dict(as_series=False) for frame in frames] == [{"where": where}] * 3
        assert [disk.table_metadata(path)["where"]] == where


@pytest.mark.parametrize("place", TAKEN_FOR_PATTERNS)
def test_a_runs_scores_are_its_own_whatever_its_folder_is_called(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    for folder in ("runs1", "rins", "a", place):
        run = RunFolder(Path(folder) / "tiny")
        disk.write_table(run.scores(0, "s", 1), pl.DataFrame({"where": [folder]}))
    assert run.scan_scores("s").collect()["where"].to_list() == [place]


def test_a_table_that_is_there_is_kept_as_it_is(tmp_path):
    file, frame = tmp_path / "t.parquet", pl.DataFrame({"a": [1, 2], "b": ["x", None], "c": [None, None]})
    disk.keep_table(file, frame, {"key": "1"})
    kept = file.stat().st_ino
    disk.keep_table(file, frame, {"key": "1"})
    assert file.stat().st_ino == kept
    for other, key in ((frame, "2"), (frame.head(1), "2")):
        disk.keep_table(file, other, {"key": key})
        assert disk.read_table(file).equals(other)
        assert disk.table_metadata(file) == {"key": key}
    file.write_bytes(b"PAR1")
    disk.keep_table(file, frame, {"key": "1"})
    assert disk.read_table(file).equals(frame)


# --- checkpoints


def write(run: RunFolder, seed: int, step: int, **facts) -> Path:
    run.write_checkpoint(seed, step, lambda place: (place / "model.safetensors").write_bytes(b"weights"), **facts)
    return run.checkpoint(seed, step)


def test_a_sealed_checkpoint_has_no_fault(tmp_path):
    folder = write(RunFolder(tmp_path), 0, 5)
    assert store.fault(folder) is None
    done = json.loads((folder / "DONE").read_text())
    assert done["weights"] == store.file_hash(folder / "model.safetensors")
    assert done["sizes"]["model.safetensors"] == 7


def test_a_checkpoint_that_was_cut_or_lost_files_is_faulty(tmp_path):
    run = RunFolder(tmp_path)
    cut, gone, open_ = (write(run, 0, step) for step in (1, 2, 3))
    (cut / "model.safetensors").write_bytes(b"wei")
    (gone / "model.safetensors").unlink()
    (open_ / "DONE").unlink()
    assert f"{cut / 'model.safetensors'} has 3 bytes instead of 7" in store.fault(cut)
    assert store.fault(gone) == f"{gone / 'model.safetensors'} is missing"
    assert "has no DONE marker" in store.fault(open_)
    assert [c.step for c in run.checkpoints(0)] == [1, 2]
    assert not run.has_checkpoint(0, 3)


def test_a_checkpoint_with_a_changed_byte_is_not_sound(tmp_path):
    run = RunFolder(tmp_path)

    def save(place):
        for name in ("model-1.safetensors", "model-2.safetensors", "config.json"):
            (place / name).write_bytes(name.encode())

    for step, name in enumerate(("model-1.safetensors", "model-2.safetensors", "config.json", "ontogeny.json")):
        run.write_checkpoint(0, step, save)
        folder = run.checkpoint(0, step)
        assert store.sound(folder) == store.weights_hash(folder)
        file = tiny.flip(folder / name)
        with pytest.raises(OntogenyError, match=rf"{name} is not what was written: bytes of it have changed; .* not read"):
            store.sound(folder)
        assert (store.fault(folder) is None) == file.name.startswith("model")  # weights are hashed when they are opened


def test_a_checkpoint_of_an_older_version_is_known_by_its_weights_alone(tmp_path):
    folder = write(RunFolder(tmp_path), 0, 5)
    done = json.loads((folder / "DONE").read_text())
    del done["hashes"]
    (folder / "DONE").write_text(json.dumps(done))
    tiny.flip(folder / "ontogeny.json")
    assert store.sound(folder) == done["weights"]
    tiny.flip(folder / "model.safetensors")
    with pytest.raises(OntogenyError, match=r"model\.safetensors is not what was written"):
        store.sound(folder)


def test_a_done_that_is_not_ours_says_nothing(tmp_path):
    folder = write(RunFolder(tmp_path), 0, 5)
    for other in (b"", b"\xff", b"[]", b'{"weights": 5, "sizes": {}}'):
        (folder / "DONE").write_bytes(other)
        assert store.changed(folder, "any") is None
        assert "DONE cannot be read" in store.fault(folder)


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path):
    run = RunFolder(tmp_path)

    def fail(place):
        (place / "model.safetensors").write_bytes(b"wei")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OntogenyError, match="the disk is full"):
        run.write_checkpoint(0, 1, fail)
    assert names(tmp_path / "seed-0" / "checkpoints") == []


def test_the_hash_of_shards_is_of_them_all(tmp_path):
    with pytest.raises(OntogenyError, match="holds no weights"):
        store.weights_hash(tmp_path)
    (tmp_path / "model-00001.safetensors").write_bytes(b"a")
    one = store.weights_hash(tmp_path)
    assert one == store.file_hash(tmp_path / "model-00001.safetensors")
    (tmp_path / "model-00002.safetensors").write_bytes(b"b")
    two = store.weights_hash(tmp_path)
    (tmp_path / "model-00002.safetensors").write_bytes(b"c")
    assert len({one, two, store.weights_hash(tmp_path)}) == 3


def test_checkpoints_scores_and_states_are_in_the_order_of_their_steps(tmp_path):
    run = RunFolder(tmp_path)
    steps = [1000, 9, 0, 10, 2, 123_456]
    for step in steps:
        write(run, 3, step, tokens=step * 10, words=step / 2)
        disk.write_table(run.scores(3, "s", step), pl.DataFrame({"a": [step]}))
        run.state(3, step).parent.mkdir(exist_ok=True)
        run.state(3, step).touch()
    assert run.checkpoints(3) == [Checkpoint(s, run.checkpoint(3, s), s * 10, s / 2) for s in sorted(steps)]
    assert run.scored(3, "s") == sorted(steps)
    assert run.newest_state(3) == run.state(3, 123_456)
    run.keep_only_state(3, 123_456)
    assert names(tmp_path / "seed-3" / "state") == ["step-00123456.safetensors"]
    for name in ("notes.txt", "step-mine.safetensors"):
        (tmp_path / "seed-3" / "state" / name).touch()
    run.keep_only_state(3, 7)
    assert names(tmp_path / "seed-3" / "state") == ["notes.txt", "step-mine.safetensors"]
    scores = run.scan_scores("s").collect()
    assert scores["a"].to_list() == scores["step"].to_list() == sorted(steps)
    assert set(scores["seed"]) == {3}


def test_seeds_are_in_order_and_nothing_else_is_a_seed(tmp_path):
    for name in ("seed-10", "seed-9", "seed-x", "seed-", "seeds"):
        (tmp_path / name).mkdir()
    assert RunFolder(tmp_path).seeds() == [9, 10]


def test_adopted_checkpoints_are_given_back(tmp_path):
    run = RunFolder(tmp_path)
    theirs = [Checkpoint(1_000_000_000, Path("/models/a"), None, 1e9), Checkpoint(5, Path("/models/b"), 7, None, 2.5)]
    assert not run.adopted()
    run.adopt(2, theirs)
    assert run.adopted()
    assert run.checkpoints(2) == theirs


# --- lineage and readings


def test_notes_are_merged_one_level_deep(tmp_path):
    run = RunFolder(tmp_path)
    assert run.lineage() == {}
    run.note(a={"x": {"deep": 1}, "y": 2}, b=[1])
    run.note(a={"x": {"other": 3}, "z": 4}, b=[2], c="ü")
    assert run.lineage() == {"a": {"x": {"other": 3}, "y": 2, "z": 4}, "b": [2], "c": "ü"}


def test_what_is_known_is_not_noted_again(tmp_path):
    run = RunFolder(tmp_path)
    known = {"a": {"x": (1, 2), "y": Path("p")}, "b": [float("nan")]}
    run.note(**known)
    written = (tmp_path / "lineage.json").stat().st_ino
    run.note(**known)
    run.note(a={"y": Path("p")})
    assert (tmp_path / "lineage.json").stat().st_ino == written
    run.note(a={"y": "q"})
    assert run.lineage()["a"] == {"x": [1, 2], "y": "q"}


@pytest.mark.parametrize(
    "broken", [b"", b"{", b"null", b"[1]", b"\xff\xfe", b'{"training": 5}', b'{"suites": null}', b"[" * 10**5, None]
)
def test_a_broken_lineage_is_named(tmp_path, broken):
    path = tmp_path / "lineage.json"
    path.mkdir() if broken is None else path.write_bytes(broken)
    with pytest.raises(OntogenyError, match=r"lineage\.json"):
        RunFolder.existing(tmp_path).lineage()


def test_readings_of_one_instrument_are_replaced_and_others_are_not(tmp_path):
    run = RunFolder(tmp_path)
    rules = {"kind": "rules", "language": "L3"}
    tiny.keep_reading(run, rules, 0, 4, "w1", test_loss=1.0, ood_rule1=0.5)
    tiny.keep_reading(run, "loss", 0, 4, "w1", dev=3.0)
    tiny.keep_reading(run, "loss", 0, 4, "w2", dev=2.0)
    tiny.keep_reading(run, "loss", 1, 4, "w3", dev=5.0)
    assert tables_of(run, "loss").frame.collect().rows() == [(0, 4, 2.0), (1, 4, 5.0)]
    assert tables_of(run, "rules").frame.select("seed", "step", "test_loss").collect().rows() == [(0, 4, 1.0)]
    tiny.keep_reading(run, rules, 0, 4, "w2", test_loss=2.0)
    assert tables_of(run, "rules").frame.select("test_loss", "ood_rule1").collect().rows() == [(2.0, None)]
    assert [disk.table_metadata(run.reading(name, 0, 4))["weights"] for name in ("loss", "rules")] == ["w2", "w2"]


def test_a_folder_that_is_no_run_is_said_with_the_runs_beside_it(tmp_path):
    RunFolder(tmp_path / "one").note(kind="trained")
    with pytest.raises(OntogenyError, match=r"two is not a run's folder .*runs in .*: one"):
        RunFolder.existing(tmp_path / "two")
    with pytest.raises(OntogenyError, match="is not a run's folder"):
        RunFolder.existing(tmp_path / "one" / "two")


# --- one writer


def test_a_second_writer_is_refused_at_once(tmp_path):
    run = RunFolder(tmp_path / "run")
    (tmp_path / "run").mkdir()
    refused = pytest.raises(OntogenyError, match="another process is writing to")
    with FileLock(tmp_path / "run" / ".lock"), refused, run.writing():
        pass
    with run.writing(), pytest.raises(OntogenyError, match="another process is writing to"), RunFolder(run.path).writing():
        pass
    with run.writing():  # free again
        pass


def test_the_place_is_given_up_when_a_writer_fails(tmp_path):
    run = RunFolder(tmp_path)
    with pytest.raises(ValueError, match="no"), run.writing():
        raise ValueError("no")
    with run.writing():
        pass


ENDED = 2**22 + 1  # no process has so high a number


def test_a_writer_clears_away_what_a_killed_process_left_half_written(tmp_path):
    (tmp_path / "seed-0" / "checkpoints" / f".step-00000001.{ENDED}.tmp" / "inside").mkdir(parents=True)
    (tmp_path / f".lineage.json.{ENDED}.tmp").touch()
    (tmp_path / "seed-0" / "losses.parquet").touch()
    with RunFolder(tmp_path).writing():
        pass
    assert [p.name for p in tmp_path.rglob("*") if p.is_file() and p.name != ".lock"] == ["losses.parquet"]
    assert names(tmp_path / "seed-0" / "checkpoints") == []


def test_only_what_an_ended_process_of_ours_left_is_cleared_away(tmp_path):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    theirs = [
        "run/.draft.tmp",
        f"run/.draft.{ENDED}.tmp",  # at the top, and of no file that a run has
        f"run/notes/.lineage.json.{ENDED}.tmp",  # where this program does not write
        "run/report/.draft.tmp",
        f"run/seed-0/.losses.parquet.{os.getpid()}.tmp",  # being written
        f"run/seed-0/.losses.parquet.{os.getppid()}.tmp/inside",
        f"elsewhere/.a.json.{ENDED}.tmp",
    ]
    ours = [
        f"run/.lineage.json.{ENDED}.tmp",
        f"run/.tokenizer.{ENDED}.tmp/tokenizer.json",
        f"run/.tokenizer.old.{ENDED}.tmp/tokenizer.json",
        f"run/seed-0/.losses.parquet.{ENDED}.tmp",
        f"run/seed-0/scores/suite/.step-00000001.parquet.{ENDED}.tmp",
        f"run/report/why/.a.html.{ENDED}.tmp",
    ]
    for name in theirs + ours:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (run / "evidence").symlink_to(elsewhere)
    (run / "seed-0" / "state").symlink_to(elsewhere)
    (run / "report" / f".link.{ENDED}.tmp").symlink_to(elsewhere)
    with RunFolder(run).writing():
        pass
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()) == sorted([*theirs, "run/.lock"])
    assert not (run / "report" / f".link.{ENDED}.tmp").is_symlink()


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "run")
    run.note(kind="trained")
    tiny.refuse_writing(monkeypatch, run.path)
    for wanted in (run, RunFolder(run.path / "new")):
        with pytest.raises(OntogenyError, match=r"run(/new)? cannot be written \(permission denied\)"), wanted.writing():
            pass
    with pytest.raises(OntogenyError, match="cannot be written"):
        run.note(kind="opened")
    run.note(kind="trained")
    assert RunFolder.existing(run.path).lineage() == {"kind": "trained"}


@pytest.mark.parametrize(
    ("name", "break_it", "said"),
    [
        (
            "curves.parquet",
            lambda f: f.drop("accuracy"),
            "the column accuracy is missing; delete it and it is made again by: ontogeny verdicts ",
        ),
        ("verdicts.parquet", lambda f: f.with_columns(verdict=1), "verdict is of another kind .*ontogeny verdicts "),
        ("seed-0/losses.parquet", lambda f: f.with_columns(loss=pl.lit("x")), "loss is of another kind .*ontogeny train "),
        ("suites/micro-english.parquet", lambda f: f.with_columns(pair=pl.lit(None, pl.String)), "a row has no pair; .*score "),
        ("seed-0/scores/micro-english/step-00000008.parquet", lambda f: f.drop("logp_bad"), "logp_bad is missing; .*score "),
    ],
)
def test_a_table_of_a_run_holds_what_its_place_says(own_run, name, break_it, said):
    file = own_run / name
    break_it(disk.read_table(file)).write_parquet(file)
    with pytest.raises(OntogenyError, match=f"{name}: .*{said}{own_run}"):
        disk.read_table(file)
    disk.remove(file)
    file.mkdir()
    with pytest.raises(OntogenyError, match=f"{name} cannot be read as parquet"):
        disk.read_table(file)


FACTS = {"key": "a", "dtype": "<u2", "tokens": 1, "documents": 1, "words": 1.0, "unknown": 0}


@pytest.mark.parametrize(
    ("name", "found", "said"),
    [
        ("tokens/train.json", None, "all of it is None: .*ontogeny train "),
        ("tokens/train.json", {"key": "a", "dtype": "x", "tokens": 1, "documents": 1, "words": 1}, "dtype is 'x': .*train "),
        ("tokens/train.json", FACTS | {"unknown": "x"}, "unknown is 'x': .*train "),
        ("tokens/train.json", FACTS | {"left_out": -1}, "left_out is -1: .*train "),
        ("tokenizer/key.json", [], "all of it is .*train "),
        ("tokenizer/key.json", {"key": "a", "hashes": None}, "hashes is None: .*train "),
        ("seed-0/checkpoints/step-00000008/ontogeny.json", {"step": "8"}, "step is '8': .*put back a copy"),
        ("seed-0/checkpoints.json", [{"step": 1, "folder": 2}], "0.folder is 2: .*put back a copy"),
    ],
)
def test_json_of_a_run_holds_what_its_place_says(own_run, name, found, said):
    (own_run / name).write_text(json.dumps(found))
    with pytest.raises(OntogenyError, match=f"{name}: {said}"):
        disk.read_json(own_run / name)


def test_a_table_that_is_broken_inside_is_named_when_what_was_made_of_several_is_read(tmp_path):
    paths = [tmp_path / f"a[{number}].parquet" for number in range(3)]
    for path in paths:
        disk.write_table(path, pl.DataFrame({"a": [1.5, 2.5, 3.5] * 50}))
    whole = disk.scan_tables({(0, step): path for step, path in enumerate(paths)}).select("step", "a").filter(pl.col("a") > 2)
    assert disk.collected(whole)["step"].to_list() == [0] * 100 + [1] * 100 + [2] * 100
    content = paths[1].read_bytes()
    paths[1].write_bytes(content[:4] + b"\xff" * 20 + content[24:])
    with pytest.raises(OntogenyError, match=r"a\[1\]\.parquet cannot be read as parquet"):
        disk.collected(whole)
