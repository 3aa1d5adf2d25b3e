"""Folders of no run: a table each, and what is there already stays."""

import shutil
from pathlib import Path

import pytest
import tiny

from ontogeny import disk
from ontogeny.readers import score_folders
from ontogeny.readers.folders import names_of
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder


@pytest.fixture
def table(finished_run, tmp_path):
    pairs = disk.read_table(RunFolder(finished_run).pairs("micro-english"))
    pairs.select("paradigm", "pair", "good", "bad").write_csv(tmp_path / "own.csv")
    return tmp_path / "own.csv"


def test_each_has_a_table_and_only_what_is_missing_is_scored(finished_run, table, tmp_path):
    run = RunFolder(finished_run)
    folders = [Path(shutil.copytree(run.checkpoint(0, step), tmp_path / f"step-{step}")) for step in (0, 8, 24)]
    out = tmp_path / "scores"
    lines = score_folders(folders[:2], "table", table, out, device="cpu")
    assert [line.split(":")[0] for line in lines] == [str(out / "step-0.parquet"), str(out / "step-8.parquet")]
    stamp = (out / "step-0.parquet").stat().st_ino
    shutil.copy(folders[2] / "model.safetensors", folders[1])  # other weights under the same name
    lines = score_folders(folders, "table", table, out, device="cpu")
    assert lines[0] == f"{out / 'step-0.parquet'}: there already"
    assert (out / "step-0.parquet").stat().st_ino == stamp
    for name in ("step-8", "step-24"):
        found = disk.read_table(out / f"{name}.parquet")
        theirs = disk.read_table(run.scores(0, "micro-english", 24))
        assert found["logp_bad"].to_list() == pytest.approx(theirs["logp_bad"].to_list(), abs=1e-4)
    assert "there already" not in score_folders(folders[:1], "table", table, out, bos=False, device="cpu")[0]


def test_one_that_cannot_be_opened_is_named_and_the_others_are_scored(finished_run, table, tmp_path):
    good = RunFolder(finished_run).checkpoint(0, 8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(OntogenyError, match=r"empty holds no weights"):
        score_folders([tmp_path / "empty", good], "table", table, tmp_path / "out", device="cpu", display=tiny.Heard())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["step-00000008.parquet"]


def test_a_run_s_checkpoint_that_was_changed_since_is_said(finished_run, table, tmp_path):
    folder = shutil.copytree(RunFolder(finished_run).checkpoint(0, 8), tmp_path / "model")
    file, heard = tiny.flip(folder / "model.safetensors"), tiny.Heard()
    score_folders([folder], "table", table, tmp_path / "out", device="cpu", display=heard)
    assert heard.warnings == [f"! {folder}: {file} is not what was written: bytes of it have changed"]


def test_names_tell_folders_apart():
    assert names_of([Path("/a/one"), Path("/a/two")]) == ["one", "two"]
    assert names_of([Path("/a/x/one"), Path("/b/x/one")]) == ["a-x-one", "b-x-one"]
    assert names_of([Path("/one")]) == ["one"]
    with pytest.raises(OntogenyError, match="/a/one is listed twice"):
        names_of([Path("/a/one"), Path("/a/one")])


def test_tables_of_two_folders_never_share_a_name():
    paths = [Path("/s/a-b/c"), Path("/s/a/b-c"), Path("/s/q/c"), Path("/s/q/b-c"), Path("/s/A-b/c")]
    assert len({name.casefold() for name in names_of(paths)}) == len(paths)
    assert all("/" not in name and len(name) < 130 for name in names_of([Path("/a/" + "x" * 250), Path("/a/[1] b\n")]))
