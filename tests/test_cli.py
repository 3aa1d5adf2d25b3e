"""The command line: errors for people, help at once, and each command on a tiny run."""

import io
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import tiny
from filelock import FileLock
from typer.testing import CliRunner

from ontogeny import cli, disk, store
from ontogeny.laboratory import Run
from ontogeny.readers.folders import suite_parts
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder

COMMANDS = (
    "run",
    "train",
    "score",
    "open",
    "verdicts",
    "report",
    "ngrams",
    "evidence",
    "why",
    "audit",
    "warn",
    "list",
    "show",
    "compare",
)
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


def test_an_account_without_a_home_gets_figures():
    program = """
import os, pathlib
home = pathlib.Path.home
def nobody(cls):
    if not os.environ.get("HOME"):
        raise RuntimeError("Could not determine home directory.")
    return home()
pathlib.Path.home = classmethod(nobody)
del os.environ["HOME"]
import ontogeny
from ontogeny.pages import curves
print("HOME", os.environ["HOME"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.splitlines()[-1] == "HOME /nonexistent"


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
        (["ngrams", "nowhere"], "error: nowhere is not a run's folder"),
        (["evidence", "nowhere"], "error: nowhere is not a run's folder"),
        (["why", "nowhere", "transitive"], "error: nowhere is not a run's folder"),
        (["audit", "blimp"], "error: an audit is against a training text: say --corpus FOLDER, or --run RUN"),
        (["audit", "micro-english", "--corpus", "micro-englsh"], "error: --corpus micro-englsh: neither a folder"),
        (["audit", "blimp", "--run", "nowhere"], "error: nowhere is not a run's folder"),
        (["warn", "nowhere", "--from", "nowhere.csv"], "error: nowhere is not a run's folder"),
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
    assert "2,002 words" in shown  # the last scene is told to its end
    for paradigm in disk.read_table(RunFolder(finished_run).verdicts)["paradigm"]:
        assert paradigm[:20] in shown


def test_a_broken_run_hides_no_other(own_run):
    root, whole = own_run.parent, ("a", "d")
    for name in ("a", "b", "c", "d", "e"):
        shutil.copytree(own_run, root / name)
    (root / "b" / "lineage.json").write_text('{"kind": ')
    (root / "c" / "lineage.json").write_text('{"training": {"checkpoints": 3}, "tokens": 4}')
    (root / "e" / "seed-0" / "checkpoints" / "step-00000008" / "ontogeny.json").unlink()
    lines = {line.split()[0]: line for line in call("list", "--runs", root).splitlines()}
    assert lines.keys() == {"a", "b", "c", "d", "e", "tiny"}
    assert all("seed 0: 7 checkpoints" in lines[name] for name in whole)
    for name, said in (
        ("b", "lineage.json:1: not valid JSON"),
        ("c", "tokens should be names"),
        ("e", "ontogeny.json does not exist"),
    ):
        assert "broken: " in lines[name] and said in lines[name]
    assert "b/lineage.json:1: not valid JSON" in refused("show", root / "b")


def test_files_that_vanish_beside_a_listing_are_no_matter(own_run, monkeypatch):
    """A run in progress removes its old states while its size is taken."""
    walk = os.walk

    def vanishing(top, **options):
        for place, inner, names in walk(top, **options):
            yield place, [*inner, ".step-00000001.7.tmp"], [*names, "step-00000001.safetensors"]

    listed = call("list", "--runs", own_run.parent)
    monkeypatch.setattr(os, "walk", vanishing)
    assert call("list", "--runs", own_run.parent) == listed


def test_in_a_folder_that_is_read_only_what_reads_works_and_what_writes_says_so(own_run, monkeypatch, tmp_path):
    call("ngrams", own_run)
    tiny.refuse_writing(monkeypatch, own_run.parent)
    paradigm = disk.read_table(RunFolder(own_run).verdicts)["paradigm"][0]
    assert "tiny  seed 0" in call("list", "--runs", own_run.parent)
    assert paradigm[:20] in call("show", own_run)
    assert "word" in call("ngrams", own_run)
    assert "page: " in call("audit", "micro-english", "--run", own_run, "--out", tmp_path / "audit")
    theirs = own_run / "seed-0" / "checkpoints"
    (tmp_path / "acc.csv").write_text("paradigm,step,seed,accuracy\np,0,0,.5\np,1,0,.5\n")
    (tmp_path / "tiny.yaml").write_text(tiny.RECIPE)
    for command in (
        *((command, own_run) for command in ("verdicts", "report", "evidence", "score", "train")),
        ("why", own_run, paradigm),
        ("run", tmp_path / "tiny.yaml", "--runs", own_run.parent),
        ("run", tmp_path / "tiny.yaml", "--runs", own_run.parent, "--set", "name=new"),
        ("open", theirs, "--suite", "micro-english", "--runs", own_run.parent, "--name", "new"),
        ("verdicts", tmp_path / "acc.csv", "--out", own_run / "out.parquet"),
    ):
        assert "cannot be written (permission denied)" in refused(*command), command


def test_show_says_what_went_wrong(own_run):
    RunFolder(own_run).note(warnings=["a checkpoint was cut"])
    assert "! a checkpoint was cut" in call("show", own_run)


def test_a_second_writer_is_refused(own_run):
    with FileLock(own_run / ".lock"):
        for command in ("score", "train", "verdicts", "report", "ngrams", "evidence"):
            assert "another process is writing to" in refused(command, own_run)


def test_a_run_in_its_folder_goes_on_and_is_judged(own_run):
    shutil.rmtree(own_run / "seed-0" / "scores")
    call("train", own_run)
    call("score", own_run)
    assert RunFolder(own_run).scored(0, "micro-english") == tiny.TRAINED
    assert "paradigm" in call("verdicts", own_run)
    assert "--set is for a recipe" in refused("train", own_run, "--set", "training.batch=2")
    assert "thresholds can be tried" in refused("verdicts", own_run, "--set", "training.batch=6")
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
    pairs = disk.read_table(RunFolder(finished_run).pairs("micro-english"))
    table = tmp_path / "own.csv"
    pairs.select("paradigm", "pair", "good", "bad").write_csv(table)
    said = call("score", folder, "--suite", "table", "--suite-path", table, "--out", out, "--device", "cpu")
    assert said.startswith(f"{out}: {len(pairs)} pairs, mean of {pairs['paradigm'].n_unique()} paradigms 0.")
    ours = disk.read_table(RunFolder(finished_run).scores(0, "micro-english", 24))
    frame = disk.read_table(out)
    assert frame["logp_good"].to_list() == pytest.approx(ours["logp_good"].to_list(), abs=1e-4)
    found = disk.table_metadata(out)
    assert found["weights"] == store.file_hash(folder / "model.safetensors")
    assert found["folder"] == str(folder)


def test_several_suites_are_scored_and_audited_with_a_place_each(finished_run, tmp_path):
    folder, table = RunFolder(finished_run).checkpoint(0, 24), tmp_path / "own.csv"
    table.write_text("paradigm,good,bad\np,the king sees him,the king see him\n", encoding="utf-8")
    both = ("--suite", "table", "--suite-path", table, "--suite", "zorro")
    assert "2 suites and 1 path: say --suite-path once for each suite that has its files" in refused("score", folder, *both)
    generated = suite_parts(["micro-english", "table"], [table])  # whose path is whose, where one alone has files
    assert generated == [{"kind": "micro-english"}, {"kind": "table", "path": str(table)}]
    assert "suite table is named twice" in refused("score", folder, *both[:4], *both[:4])
    assert "the suite table is a folder or file of yours" in refused("score", folder, "--suite", "table", "--suite", "blimp")
    blimp = tiny.blimp(tmp_path / "blimp")
    two = ("--suite", "table", "--suite-path", table, "--suite", "blimp", "--suite-path", blimp)
    said = call("score", folder, *two, "--out", tmp_path / "scores", "--device", "cpu")
    assert [disk.read_table(tmp_path / "scores" / f"{name}.parquet").height for name in ("table", "blimp")] == [1, 134]
    assert "1 pair, mean of 1 paradigm" in said and "134 pairs, mean of 67 paradigms" in said
    paths = ("--suite-path", table, "--suite-path", blimp)
    (tmp_path / "text.txt").write_text("the king sees him\nThe dog runs.\n" * 50, encoding="utf-8")
    said = call("audit", "table", "blimp", *paths, "--corpus", tmp_path / "text.txt", "--out", tmp_path / "audits")
    assert all((tmp_path / "audits" / name / "index.html").exists() for name in ("table", "blimp")) and said.count("page: ") == 2


@pytest.mark.parametrize(
    ("command", "option", "name"),
    [
        (("score", "no-model", "--suite", "blimp"), "--out", "own.parquet"),
        (("surprisals", "no-model", "--text", "own.csv"), "--out", "own.csv"),
        (("verdicts", "own.csv"), "--out", "own.parquet"),
        (("ngrams", "no-run"), "--arpa", "own.arpa"),
        (("suites", "make", "blimp-like"), "--out", "own.jsonl"),
    ],
)
def test_where_a_table_goes_is_looked_at_before_anything_else(monkeypatch, tmp_path, command, option, name):
    monkeypatch.chdir(tmp_path)
    Path("own.csv").write_text("a,b\n")
    Path(name).write_text("a,b\n")
    assert f"{name} is there already, and nothing in it says that ontogeny made it" in refused(*command, option, name)
    assert Path(name).read_text() == "a,b\n"
    Path("folder").mkdir()
    assert "folder is a folder; name a file in it, such as folder/table" in refused(*command, option, "folder")
    if not name.endswith("arpa"):
        assert "x.txt: it is written as ." in refused(*command, option, "x.txt")
    if command[0] != "suites":
        assert "there already" not in refused(*command, option, name, "--overwrite")


def test_a_table_of_our_own_is_written_over(tmp_path):
    table, out = tmp_path / "accuracies.csv", tmp_path / "verdicts.parquet"
    table.write_text("paradigm,step,seed,accuracy\n" + "".join(f"a,{step},0,0.9\n" for step in range(9)))
    call("verdicts", table, "--out", out)
    call("verdicts", table, "--out", out)


def test_a_grid_leaves_a_table_of_somebody_elses_alone(monkeypatch, tmp_path):
    grid = tmp_path / "own.yaml"
    grid.write_text(tiny.RECIPE + "instruments: [{kind: rules, language: L3}]\ngrid: {s: {set: [training.batch], to: [2, 4]}}\n")
    theirs = tmp_path / "runs" / "own.parquet"
    theirs.parent.mkdir()
    theirs.write_text("theirs")
    assert "own.parquet is there already" in refused("run", grid, "--runs", theirs.parent)
    assert [file.name for file in theirs.parent.iterdir()] == ["own.parquet"]


def test_several_folders_are_scored_into_a_table_each(finished_run, tmp_path):
    folders = [RunFolder(finished_run).checkpoint(0, step) for step in (0, 24)]
    out = tmp_path / "scores"
    said = call("score", *folders, "--suite", "micro-english", "--out", out, "--device", "cpu")
    assert [line.split(":")[0] for line in said.splitlines()] == [str(out / f"{folder.name}.parquet") for folder in folders]
    again = call("score", *folders, "--suite", "micro-english", "--out", out, "--device", "cpu")
    assert [line.split(": ")[1] for line in again.splitlines()] == ["there already"] * 2
    assert "--again is for a run, --jobs and --on for a run or several folders" in refused(
        "score", *folders, "--suite", "blimp", "--again", "1"
    )
    assert "--jobs and --on for a run or several folders" in refused("score", folders[0], "--suite", "blimp", "--jobs", "2")
    assert f"{finished_run} is a run; its checkpoints are scored by" in refused("score", folders[0], finished_run)


@pytest.mark.parametrize(
    ("command", "size", "one_of_many"),
    [("run", "2", True), ("train", "2", True), ("score", "1", False), ("run", "1", False), ("run", None, False)],
)
def test_commands_that_train_join_what_torchrun_has_started(monkeypatch, command, size, one_of_many):
    for name, value in {"RANK": "0", "MASTER_ADDR": "localhost", "WORLD_SIZE": size}.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", ["ontogeny", command, "recipe.yaml"])
    assert cli._is_one_of_many() == one_of_many


@pytest.mark.parametrize("command", ["score", "study", "list"])
def test_a_command_that_has_nothing_to_share_is_refused_under_torchrun(monkeypatch, capsys, command):
    for name, value in {"RANK": "1", "MASTER_ADDR": "localhost", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["ontogeny", command, "something"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    assert f"error: {command}: torchrun's processes train one model together, which run and train do" in capsys.readouterr().err


def test_checkpoints_of_somebody_else_are_opened_scored_judged_and_reported(finished_run, tmp_path):
    theirs = tmp_path / "theirs"
    for step in (0, 8, 24):
        shutil.copytree(RunFolder(finished_run).checkpoint(0, step), theirs / f"step{step}")
    shutil.copytree(RunFolder(finished_run).checkpoint(0, 16), theirs / "chck_1M")
    command = ("open", theirs, "--suite", "micro-english", "--runs", tmp_path / "runs", "--name", "them", *FEW)
    assert "2 kinds of names, and a run has one clock" in refused(*command)
    said = call(*command, "--names", "step")
    run = RunFolder(tmp_path / "runs" / "them")
    assert run.scored(0, "micro-english") == [0, 8, 24]
    assert f"report: {run.report}" in said
    assert run.report.stat().st_size > 10_000
    assert json.loads((run.path / "lineage.json").read_text())["kind"] == "opened"
    shown = call("show", run.path)
    assert f"around the checkpoints of {theirs}" in shown
    assert "! not taken: chck_1M (of other names than asked for)" in shown


def test_ngrams_are_counted_and_written_for_others(own_run, tmp_path):
    file = tmp_path / "model.arpa"
    said = call("ngrams", own_run, "--order", "3", "--arpa", file, "--level", "token")
    facts = disk.read_json(RunFolder(own_run).ngrams("token") / "index" / "index.json")
    assert facts["order"] == 3
    for number in (facts["tokens"], *facts["distinct"]):
        assert f" {number:,}" in said
    assert f"3-gram model of tokens: {file}" in said
    lines = file.read_text().splitlines()
    assert lines[:4] == [
        "\\data\\",
        f"ngram 1={facts['distinct'][0] + 2}",
        *(f"ngram {n}={facts['distinct'][n - 1]}" for n in (2, 3)),
    ]
    import kenlm

    run = Run(own_run)
    row = disk.read_table(run.folder.pairs("micro-english")).row(0, named=True)
    tokens, theirs = " ".join(run.text.tokenizer.tokenize(row["good"])), kenlm.Model(str(file))
    ours = explained(run, row["paradigm"], row["pair"], level="token", order=3).filter(side="good")["logp"].sum()
    assert theirs.score(tokens, bos=True, eos=False) * math.log(10) == pytest.approx(ours, abs=1e-4)
    assert "not 'tokn'; did you mean 'token'" in refused("ngrams", own_run, "--order", "3", "--arpa", f"{file}2", "--level", "tokn")


def explained(run, paradigm, pair, **options):
    return run.why(paradigm, pair, **options).sentences


def test_evidence_joins_the_report(own_run):
    before = RunFolder(own_run).report.read_text()
    said = call("evidence", own_run, "--order", "2")
    assert "micro-english: Undecided: 0 paradigms end wrong and 0 do not." in said
    assert said.splitlines()[-2:] == [
        f"report: {RunFolder(own_run).report}",
        f"to look into it: ontogeny explore {Path(own_run).parent}",
    ]
    assert "bigram" in RunFolder(own_run).report.read_text()
    assert RunFolder(own_run).report.read_text() != before


def test_why_explains_a_paradigm_and_a_pair(own_run):
    page = own_run / "report" / "why" / "transitive.html"
    said = call("why", own_run, "transitive", "--most", "2", "--lines", "1")
    assert said.splitlines()[-1] == f"page: {page}"
    found = Run(own_run).why("transitive", most=2)
    for text in (said, page.read_text()):
        assert found.deciding["good"][0].split()[-1] in text
    assert len(found.deciding) == 2
    one = call("why", own_run, "transitive", "--pair", found.example.pair, "--level", "token", "--order", "1")
    assert one.splitlines()[-1] == f"page: {page.with_stem(f'transitive-{found.example.pair}-token-1')}"
    assert "did you mean 'transitive'" in refused("why", own_run, "transitiv")
    assert "transitive has no pair 'x'" in refused("why", own_run, "transitive", "--pair", "x")


def test_every_paradigm_can_be_explained(finished_run, own_run):
    """Also where no transition decides: a paradigm whose sentences differ in nothing that a unigram model sees."""
    run = Run(own_run)
    some = [name for name in run.verdicts()["paradigm"] if run.why(name, order=1).deciding.is_empty()]
    assert some
    for name in some:
        assert f"page: {own_run / 'report' / 'why' / name}-word-1.html" in call("why", own_run, name, "--order", "1")


def test_a_suite_is_audited_against_a_text_and_against_a_run(own_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "one.txt").write_text("the dog runs\nthe dog runs\ndogs see the cat\n")
    (tmp_path / "own.csv").write_text("paradigm,good,bad\nmine,the dog runs,the dog run\nmine,dogs see the cat,dogs sees the cat\n")
    said = call("audit", "table", "--corpus", "text", "--suite-path", "own.csv")
    assert "mine  " in said
    assert "poor guide" in said
    assert said.splitlines()[-2:] == ["table: audit-table/audit.parquet", "page: audit-table/index.html"]
    assert "poor guide" in (tmp_path / "audit-table" / "index.html").read_text()
    assert "did you mean 'solved'" in refused("audit", "table", "--corpus", "text", "--suite-path", "own.csv", "--set", "solvd=1")
    said = call("audit", "micro-english", "--run", own_run, "--out", "here", "--set", "solved=0.99")
    table = pl.read_parquet(tmp_path / "here" / "audit.parquet")
    assert set(table["paradigm"]) == set(disk.read_table(RunFolder(own_run).verdicts)["paradigm"])
    assert all(name[:20] in said for name in table["paradigm"])


def test_a_run_in_progress_is_warned_of(own_run, tmp_path):
    lineage = disk.read_json(own_run / "lineage.json")
    lineage["tokens"]["train"]["unigram_entropy"] = 99.0  # as if it had learned from the first step on
    disk.write_json(own_run / "lineage.json", lineage)
    levels = [0.1, 0.2, 0.3, *(0.6 + 0.02 * i for i in range(19))]
    rows = [f"p{i},{step},0,{level}\n" for i, level in enumerate(levels) for step in range(0, 101, 10)]
    (tmp_path / "done.csv").write_text("paradigm,step,seed,accuracy\n" + "".join(rows))
    said = call("warn", own_run, "--from", tmp_path / "done.csv", "--step", "16")
    assert said.split("\n", 1)[0].split() == ["paradigm", "seed", "accuracy", "p", "as", "bad", "and", "ended", "wrong"]
    told = json.loads(call("warn", own_run, "--from", tmp_path / "done.csv", "--step", "16", "--json"))
    assert {row["step"] for row in told} == {16} and sum(row["alarm"] for row in told) == len(said.splitlines()) - 1
    assert "step 7 has not been read" in refused("warn", own_run, "--from", tmp_path / "done.csv", "--step", "7")
    assert "cannot be calibrated on itself" in refused("warn", own_run, "--from", own_run)


def test_a_console_that_has_no_sign_for_a_character_shows_another(monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", console)
    monkeypatch.setattr(cli, "app", lambda: print("שלום “q” half \ud800"))
    cli.main()
    console.flush()
    assert console.buffer.getvalue().decode("cp1252").strip() == "???? “q” half ?"


def test_an_error_with_a_control_character_gives_the_terminal_no_command(monkeypatch, capsys):
    def fail():
        raise OntogenyError("no \x1b[31mred\nsecond line")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == "error: no ␛[31mred\nsecond line\n"
