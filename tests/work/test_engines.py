"""Engines by name, the command lines of pieces, and a study that three engines do alike."""

import os
import sys

import polars as pl
import pytest
import tiny
from typer.testing import CliRunner

from ontogeny import disk, registry, store
from ontogeny import recipe as recipes
from ontogeny.cli import app
from ontogeny.laboratory import Run
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder
from ontogeny.work.piece import TOLD, Piece, do, perform

SUITE = "micro-english"


def call(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


# --- who does it


def test_an_engine_is_chosen_by_the_command_the_recipe_and_the_sites_file(tmp_path, monkeypatch):
    monkeypatch.setenv("ONTOGENY_ENGINES", str(tmp_path / "engines.yaml"))
    assert recipes.engine().kind == "local"
    (tmp_path / "engines.yaml").write_text("slurm: {account: mine, partition: short, minutes: 10}\n")
    asked = tiny.recipe("engine={kind: slurm, partition: gpu}").engine
    assert recipes.engine(asked).model_dump(exclude_unset=True) == {
        "kind": "slurm",
        "account": "mine",
        "partition": "gpu",
        "minutes": 10,
    }
    assert recipes.engine(asked, "ray").kind == "ray" and recipes.engine(None, "slurm").partition == "short"
    with pytest.raises(OntogenyError, match=r"^no engine is called 'slrum'; did you mean 'slurm'\?"):
        recipes.engine(asked, "slrum")
    with pytest.raises(OntogenyError, match="partitions"):
        tiny.recipe("engine={kind: slurm, partitions: gpu}")


@pytest.mark.parametrize(("engine", "library"), [("slurm", "submitit"), ("ray", "ray")])
def test_an_engine_whose_library_is_not_installed_says_how_to_have_it(engine, library, monkeypatch, own_run):
    monkeypatch.setitem(sys.modules, library, None)
    with (
        pytest.raises(OntogenyError, match=rf"pip install 'ontogeny\[{engine}\]'"),
        recipes.engine(None, engine).opened([], tiny.Heard()) as submit,
    ):
        do([Piece("judge", str(own_run))], submit, tiny.Heard(), "pieces")


@pytest.mark.parametrize("says", ["Could not detect", ".*invalid partition"])
def test_a_cluster_that_refuses_says_so_and_the_run_is_as_it_was(own_run, tmp_path, monkeypatch, says):
    pytest.importorskip("submitit", reason="submitit is not installed")
    if "partition" in says:
        for name in ("srun", "sbatch"):
            (tmp_path / name).write_text("#!/bin/sh\necho sbatch: error: invalid partition specified: nowhere >&2\nexit 1\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    before = sorted(own_run.rglob("*"))
    with (
        pytest.raises(OntogenyError, match=f"SLURM refuses these jobs: {says}"),
        recipes.engine(None, "slurm").opened([], tiny.Heard()) as submit,
    ):
        do([Piece("judge", str(own_run))], submit, tiny.Heard(), "pieces")
    assert sorted(own_run.rglob("*")) == before


# --- command lines


def test_a_run_is_its_pieces_command_lines(tmp_path, finished_run):
    (tmp_path / "tiny.yaml").write_text(tiny.RECIPE)
    lines = call("run", tmp_path / "tiny.yaml", "--runs", tmp_path, "--pieces", "--set", "seeds=[1]").splitlines()
    run = tmp_path / "tiny"
    assert [line.removeprefix(f"ontogeny piece {run} ") for line in lines if line != "# then"] == [
        "prepare",
        "train seed=1 read=true",
        "judge",
        "report",
    ]
    assert lines[1] == lines[3] == "# then"
    train = next(line for line in lines if " train " in line).split()[1:]
    call(*train)  # makes what it stands on first
    ours, theirs = RunFolder(run), RunFolder(finished_run)
    assert store.weights_hash(ours.checkpoint(1, 24)) == store.weights_hash(theirs.checkpoint(1, 24))
    assert disk.read_table(ours.scores(1, SUITE, 24)).equals(disk.read_table(theirs.scores(1, SUITE, 24)))
    assert [p.name for p in (run / "lineage").iterdir()] == ["train-seed-1.json"]
    stamp = ours.losses(1).stat().st_mtime_ns
    call(*train)
    assert ours.losses(1).stat().st_mtime_ns == stamp  # done once
    call("piece", run, "judge")
    assert set(Run(run).verdicts()["paradigm"]) == set(Run(finished_run).verdicts()["paradigm"])


def test_what_a_piece_cannot_do_is_said_by_machine_version_and_name(own_run, tmp_path):
    message = Piece("judge", str(own_run)).message()
    assert perform(message | {"version": "0.0"})["trouble"].endswith("and this work comes from ontogeny 0.0: take one")
    assert "sees no folder" in perform(message | {"run": str(tmp_path / "nowhere")})["trouble"]
    assert perform(message | {"what": "juge"})["trouble"] == "no piece is called 'juge'; did you mean 'judge'?"
    trouble = perform(Piece("read", str(own_run), {"seed": 0, "step": 5}).message())["trouble"]
    assert trouble.endswith("seed 0 has no checkpoint at step 5; it has [0, 1, 2, 8, 16, 20, 24]")
    for what, inputs, says in (
        ("train", {"seed": 7}, f"seed 7 is none of {own_run}'s: its recipe has 0, 1"),
        ("train", {}, "the piece train needs seed=..."),
        ("train", {"seed": "abc"}, "the piece train: seed is 'abc'; int is expected"),
        ("judge", {"seed": 0}, "the piece judge takes no 'seed'; it takes nothing"),
        ("read", {"seed": 0}, "the piece read needs step=..."),
    ):
        assert says in perform(Piece(what, str(own_run), inputs).message())["trouble"]
    assert set(registry.TABLES["piece"]) == set(TOLD)  # every piece of ours has its inputs checked


# --- three engines


@pytest.fixture(scope="module")
def two_nodes():
    """A Ray cluster of two nodes on this machine."""
    ray = pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, namespace="ontogeny", log_to_driver=False, logging_level="error")
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def read_again(run, engine):
    """Has two checkpoints of a run read by an engine, and what their tables say."""
    folder = RunFolder(run)
    for step in (1, 8):
        folder.scores(0, SUITE, step).unlink()
    pieces = [Piece("read", str(run), {"seed": 0, "step": step}) for step in (1, 8)]
    heard = tiny.Heard()
    with engine.opened([(1, None)], heard) as submit, folder.writing():
        found = do([*pieces, Piece("judge", str(run), after=tuple(pieces))], submit, heard, "pieces")
    assert {answer["trouble"] for answer in found.values()} == {None}
    return pl.concat([disk.read_table(folder.scores(0, SUITE, step)) for step in (1, 8)])


def test_submitits_own_executor_reads_what_we_read(own_run, finished_run):
    pytest.importorskip("submitit", reason="submitit is not installed")
    theirs = RunFolder(finished_run)
    found = read_again(own_run, recipes.engine(tiny.recipe("engine={kind: slurm, executor: local, at_once: 2}").engine))
    assert found.equals(pl.concat([disk.read_table(theirs.scores(0, SUITE, step)) for step in (1, 8)]))
    assert not list((own_run / "jobs").glob("*.json"))


def test_two_nodes_of_ray_read_what_we_read(own_run, finished_run, two_nodes):
    theirs = RunFolder(finished_run)
    found = read_again(own_run, recipes.engine(None, "ray"))
    assert found.equals(pl.concat([disk.read_table(theirs.scores(0, SUITE, step)) for step in (1, 8)]))
