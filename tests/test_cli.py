"""The command line: errors for people, help at once, and each command on a tiny run."""

import json
import shutil
import subprocess
import sys

import polars as pl
import pytest
import tiny
from filelock import FileLock
from typer.testing import CliRunner

from ontogeny import cli, store
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder

COMMANDS = ("run", "train", "score", "open", "verdicts", "report", "list", "show")
FEW = ("--set", "suites.0.pairs_per_paradigm=10", "--set", "verdicts.resamples=20", "--set", "verdicts.swaps=20")


def call(*arguments):
    """What a command prints on standard output; an OntogenyError comes through, as `main` gets it."""
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments], catch_exceptions=False, standalone_mode=True)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments):
    with pytest.raises(OntogenyError) as caught:
        call(*arguments)
    return str(caught.value)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    said = CliRunner().invoke(cli.app, [command, "--help"])
    assert said.exit_code == 0
    assert "Usage" in said.output


def test_help_names_every_command_and_loads_nothing_that_is_slow():
    program = """
import sys
from ontogeny.cli import main
sys.argv[1:] = ["--help"]
try:
    main()
except SystemExit as end:
    assert not end.code
slow = {"torch", "transformers", "polars", "numpy", "scipy", "altair", "pydantic", "tokenizers"} & set(sys.modules)
print("LOADED", sorted(slow))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "nowhere.yaml"], "error: no recipe at nowhere.yaml"),
        (["run", "."], "error: . cannot be read as a recipe"),
        (["show", "nowhere"], "error: nowhere is not a run's folder"),
        (["list", "--runs", "nowhere"], "error: no folder nowhere"),
        (["verdicts", "nowhere.csv"], "error: there is no file nowhere.csv"),
        (["open", "nowhere"], "error: nowhere does not exist"),
        (["score", "nowhere"], "error: nowhere is no run's folder; to score it as a single model say --suite"),
        (["score", "nowhere", "--suite", "blmp"], "error: no suite is called 'blmp'; did you mean 'blimp'?"),
    ],
)
def test_errors_are_for_people(monkeypatch, capsys, tmp_path, arguments, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ontogeny", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out, err = capsys.readouterr()
    assert end.value.code == 1
    assert err.startswith(said)
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), SystemExit(130)])  # Python's, and what typer makes of it
def test_stopping_says_how_to_go_on(ending, monkeypatch, capsys):
    def stop(*_):
        raise ending

    monkeypatch.setattr(cli, "app", stop)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 130
    assert "the same command goes on from the last saved state" in capsys.readouterr().err


def test_list_and_show(finished_run, tmp_path):
    assert call("list", "--runs", tmp_path) == f"no runs in {tmp_path}\n"
    listed = call("list", "--runs", finished_run.parent)
    assert listed.startswith("tiny  seed 0: 7 checkpoints, scored micro-english 7; seed 1: 7 checkpoints")
    assert "; judged; " in listed
    shown = call("show", finished_run)
    assert "24 steps, 1 of them warm-up" in shown
    assert "2,000 words" in shown
    for paradigm in store.read_table(RunFolder(finished_run).verdicts)["paradigm"]:
        assert paradigm[:20] in shown


def test_show_says_what_went_wrong(own_run):
    RunFolder(own_run).note(warnings=["a checkpoint was cut"])
    assert "! a checkpoint was cut" in call("show", own_run)


def test_a_second_writer_is_refused(own_run):
    with FileLock(own_run / ".lock"):
        for arguments in (["score", own_run], ["train", own_run], ["verdicts", own_run], ["report", own_run]):
            assert "another process is writing to" in refused(*arguments)


def test_a_run_in_its_folder_goes_on_and_is_judged(own_run):
    shutil.rmtree(own_run / "seed-0" / "scores")
    call("train", own_run)
    call("score", own_run)
    assert RunFolder(own_run).scored(0, "micro-english") == tiny.TRAINED
    assert "paradigm" in call("verdicts", own_run)
    assert "--set is for a recipe" in refused("train", own_run, "--set", "training.batch=2")
    assert "thresholds stand in its recipe" in refused("verdicts", own_run, "--set", "verdicts.hi=0.6")
    for option in (["--suite", "blimp"], ["--out", "scores.parquet"], ["--no-bos"], ["--device", "cpu"]):
        assert "are for a single folder; a run has them in its recipe" in refused("score", own_run, *option)
    assert "--out is for a table" in refused("verdicts", own_run, "--out", "verdicts.parquet")
    assert "has no checkpoint at step 7" in refused("score", own_run, "--again", "7")


def test_a_table_of_accuracies_is_judged(tmp_path):
    steps = [0, 5, 10, 20, 40, 60, 80, 90, 100]
    good = [(f"blimp_good_{i}", step, 0.5 if step < 5 else 0.9) for i in range(3) for step in steps]
    bad = [("blimp_bad", step, 0.5 if step < 5 else 0.1) for step in steps]
    table = tmp_path / "accuracies.csv"
    table.write_text("paradigm,step,seed,accuracy\n" + "".join(f"{p},{s},0,{a}\n" for p, s, a in good + bad))
    out = tmp_path / "verdicts.parquet"
    said = call("verdicts", table, "--out", out)
    found = dict(pl.read_parquet(out).select("paradigm", "verdict").iter_rows())
    assert found == {"good_0": "learned", "good_1": "learned", "good_2": "learned", "bad": "entrenched"}
    assert all(f"{paradigm} " in said for paradigm in found)
    assert "verdicts.NAME and total_steps only" in refused("verdicts", table, "--set", "training.batch=3")


def test_a_single_folder_is_scored(finished_run, tmp_path):
    folder, out = RunFolder(finished_run).checkpoint(0, 24), tmp_path / "scores.parquet"
    pairs = store.read_table(RunFolder(finished_run).pairs("micro-english"))
    table = tmp_path / "own.csv"
    pairs.select("paradigm", "pair", "good", "bad").write_csv(table)
    said = call("score", folder, "--suite", "table", "--suite-path", table, "--out", out, "--device", "cpu")
    assert said.startswith(f"{out}: {len(pairs)} pairs, mean of {pairs['paradigm'].n_unique()} paradigms 0.")
    ours = store.read_table(RunFolder(finished_run).scores(0, "micro-english", 24))
    frame = store.read_table(out)
    assert frame["logp_good"].to_list() == pytest.approx(ours["logp_good"].to_list(), abs=1e-4)
    found = store.table_metadata(out)
    assert found["weights"] == store.file_hash(folder / "model.safetensors")
    assert found["folder"] == str(folder)


def test_checkpoints_of_somebody_else_are_opened_scored_judged_and_reported(finished_run, tmp_path):
    theirs = tmp_path / "theirs"
    for step in (0, 8, 24):
        shutil.copytree(RunFolder(finished_run).checkpoint(0, step), theirs / f"step{step}")
    said = call("open", theirs, "--suite", "micro-english", "--runs", tmp_path / "runs", "--name", "them", *FEW)
    run = RunFolder(tmp_path / "runs" / "them")
    assert run.scored(0, "micro-english") == [0, 8, 24]
    assert f"report: {run.report}" in said
    assert run.report.stat().st_size > 10_000
    assert json.loads((run.path / "lineage.json").read_text())["kind"] == "opened"
    assert f"around the checkpoints of {theirs}" in call("show", run.path)
