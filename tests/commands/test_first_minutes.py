"""What somebody meets first: a recipe to begin with, recipes by name, suites, JSON, and every command in Python too."""

import json
import os
import shutil

import polars as pl
import pytest
import tiny
import typer
from typer.testing import CliRunner

import ontogeny as og
from ontogeny import disk
from ontogeny import recipe as recipes
from ontogeny.cli import app
from ontogeny.commands import suite_files
from ontogeny.commands.beginning import new
from ontogeny.commands.overview import described, listed
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder


def call(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.stdout


@pytest.fixture
def text(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("the dog runs .\nthe dogs run .\n" * 400)
    return file


# --- a recipe to begin with ---------------------------------------------------------------------------------------


def test_a_new_recipe_runs(text, tmp_path):
    file = new(tmp_path / "my first.yaml", text)
    settings = [
        *("tokenizer.vocab_size=270", "training.context=16", "training.steps=4", "training.threads=1", "training.device=cpu")
    ]
    settings += ["suites.micro-english.pairs_per_paradigm=2", "verdicts.swaps=2", "scoring.device=cpu", "training.compile=off"]
    recipe = recipes.load(file, settings)
    assert recipe.name == "my-first"
    run = og.Run.begin(recipe, tmp_path / "runs")
    run.train()
    assert run.folder.steps(0) == [0, 1, 2, 3, 4]


def test_a_model_gives_its_shape_and_tokenizer(text, finished_run, tmp_path):
    theirs = RunFolder(finished_run).checkpoint(0, 24)
    recipe = recipes.load(new(tmp_path / "like.yaml", text, theirs, [{"kind": "micro-english"}]))
    assert recipe.tokenizer.name == str(theirs)
    tokenizer = recipe.tokenizer.make(())
    built = recipe.model.build(len(tokenizer), 16, tokenizer.bos_token_id, None).config
    for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "ffn_dim", "model_type"):
        assert getattr(built, name) == disk.read_json(theirs / "config.json")[name]


def test_what_a_recipe_cannot_be_made_of_is_said(text, tmp_path):
    (tmp_path / "there.yaml").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "t5").mkdir()
    (tmp_path / "t5" / "config.json").write_text('{"model_type": "t5"}')
    for arguments, said in (
        ((tmp_path / "there.yaml", text), "is there already"),
        ((tmp_path / "new.txt", text), "a recipe's file ends in .yaml"),
        ((tmp_path / "new.yaml", tmp_path / "text"), "did you mean 'text.txt'"),
        ((tmp_path / "new.yaml", tmp_path / "empty"), "empty"),
        ((tmp_path / "new.yaml", text, None, [{"kind": "blimp", "path": str(tmp_path / "nowhere")}]), "nowhere does not exist"),
        ((tmp_path / "new.yaml", text, None, [{"kind": "blimp"}]), "the suite blimp is a folder or file of yours"),
        ((tmp_path / "new.yaml", text, tmp_path), "holds no config.json"),
        ((tmp_path / "new.yaml", text, tmp_path / "t5"), "is of the kind 't5'; trained here are opt"),
    ):
        with pytest.raises(OntogenyError, match=said):
            new(*arguments)
    assert not (tmp_path / "new.yaml").exists()


def test_recipes_that_come_with_it_are_known_by_name_wherever_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert recipes.load("quickstart") == recipes.load("recipes/quickstart.yaml")
    assert recipes.load("quickstart").name == "quickstart"
    (tmp_path / "quickstart.yaml").write_text(tiny.RECIPE)
    assert recipes.load("quickstart.yaml").name == "tiny"  # one that is here comes first
    with pytest.raises(OntogenyError, match="did you mean 'quickstart'"):
        recipes.load("quickstrat")


# --- suites -------------------------------------------------------------------------------------------------------


def test_suites_are_listed_and_shown():
    listed = call("suites", "list")
    assert "blimp" in listed and "comes with ontogeny" in listed
    assert "adjunct_island" in call("suites", "show", "micro-english")


def test_blimp_comes_from_the_hub_in_its_own_form(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    made = tmp_path / "made"
    tiny.blimp(made)
    place = tmp_path / "snapshot"
    for file in made.glob("*.jsonl"):
        (place / file.stem).mkdir(parents=True)
        rows = pl.read_ndjson(file).with_columns(pair_id=pl.col("pairID").cast(pl.Int64)).drop("pairID")
        rows.write_parquet(place / file.stem / "train-00000-of-00001.parquet")
    monkeypatch.setattr(hub, "snapshot_download", lambda repo, **how: str(place))
    found = suite_files.get("blimp", tmp_path / "blimp", tiny.Heard())
    assert suite_files.paradigms("blimp", found) == suite_files.paradigms("blimp", made)


def test_a_suite_that_cannot_be_fetched_is_had_by_hand(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")

    def offline(*_, **__):
        raise hub.errors.OfflineModeIsEnabled("offline")

    monkeypatch.setattr(hub, "snapshot_download", offline)
    with pytest.raises(OntogenyError, match=r"by hand: git clone https://github.com/alexwarstadt/blimp"):
        suite_files.get("blimp", tmp_path / "blimp", tiny.Heard())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OntogenyError, match="the suite blimp is a folder or file of yours: name it with --suite-path"):
        suite_files.paradigms("blimp", None)
    for name, said in (("zorro", "git clone"), ("micro-english", "nothing to fetch"), ("blmp", "did you mean 'blimp'")):
        with pytest.raises(OntogenyError, match=said):
            suite_files.get(name, tmp_path / name, tiny.Heard())


def test_checkpoints_are_opened_on_several_suites(finished_run, tmp_path):
    (tmp_path / "pairs.csv").write_text("paradigm,good,bad\nours,The girl sees herself.,The girl sees himself.\n")
    checkpoints = RunFolder(finished_run).seed(0) / "checkpoints"
    few = ["suites.0.pairs_per_paradigm=2", "scoring.device=cpu"]
    run = og.adopt(checkpoints, ["micro-english", "table"], [None, tmp_path / "pairs.csv"], "two", few, tmp_path)
    assert [suite.name for suite in run.recipe.suites] == ["micro-english", "pairs"]
    own = [tmp_path / "pairs.csv"]  # of the one that has files
    assert og.adopt(checkpoints, ["micro-english", "table"], own, "three", few, tmp_path).recipe.suites == run.recipe.suites
    with pytest.raises(OntogenyError, match="2 suites and 1 path: say --suite-path once for each"):
        og.adopt(checkpoints, ["zorro", "table"], own, "four", few, tmp_path)


# --- other programs, and Python -----------------------------------------------------------------------------------


def test_json_says_what_the_tables_say(finished_run):
    run = og.open(finished_run)
    verdicts = json.loads(call("show", finished_run, "--json"))["verdicts"]
    assert [row["verdict"] for row in verdicts] == run.verdicts()["verdict"].to_list()
    assert json.loads(call("list", "--runs", finished_run.parent, "--json")) == json.loads(json.dumps(listed(finished_run.parent)))
    assert described(run.folder)["seeds"][0] == {"seed": 0, "checkpoints": 7, "scored": {"micro-english": 7}}


def test_thresholds_are_tried_and_the_run_stays_as_it_is(own_run, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in own_run.rglob("*") if path.is_file()}
    tried = json.loads(call("verdicts", own_run, "--set", "verdicts.hi=0.99", "--out", tmp_path / "tried.parquet", "--json"))
    assert {row["hi"] for row in tried} == {0.99}
    assert disk.read_table(tmp_path / "tried.parquet")["verdict"].to_list() == [row["verdict"] for row in tried]
    call("verdicts", own_run, "--set", "verdicts.hi=0.99", "--out", tmp_path / "tried.csv")
    assert pl.read_csv(tmp_path / "tried.csv")["verdict"].to_list() == [row["verdict"] for row in tried]
    assert {path: path.stat().st_mtime_ns for path in own_run.rglob("*") if path.is_file()} == before


def test_what_lists_runs_opens_no_file_of_a_checkpoint(own_run, monkeypatch):
    opened, real = [], disk.read_json
    monkeypatch.setattr(disk, "read_json", lambda path: opened.append(path) or real(path))
    call("list", "--runs", own_run.parent), call("show", own_run)
    assert [path for path in opened if "checkpoints" in str(path)] == []


def test_a_runs_size_is_that_of_its_files(own_run):
    whole = sum(path.stat().st_size for path in own_run.rglob("*") if path.is_file())
    assert described(RunFolder(own_run))["bytes"] == pytest.approx(whole, rel=0.02)  # one checkpoint stands for all


def test_python_has_what_the_command_line_has(tmp_path):
    assert call("--version").startswith("ontogeny ")
    there = {"open": "adopt", "verdicts": "judge", "study": "studies", "surprisals": "surprisals"}
    stages = {
        "train",
        "read",
        "report",
        "ngrams",
        "evidence",
        "why",
        "list",
        "show",
        "suites",
        "explore",
        "piece",
    }  # of a Run, or words for people
    for command in set(typer.main.get_command(app).commands) - stages:
        assert getattr(og, there.get(command, command)) is not None
    assert set(og.__all__) <= set(dir(og)) | set(og._HOMES)
    assert shutil.which("sh") is None or os.name != "posix" or "--show-completion" in call("--help")
