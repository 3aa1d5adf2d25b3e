"""What README and docs show is run here: their commands and Python as they stand, in a folder whose recipes are tiny.

`world` holds what the pages speak of: recipes/, data/, checkpoints/, accuracies.csv.  Its recipes are the project's own with
sizes shrunk by `--set`, so that a command runs unchanged in a second.
"""

import contextlib
import copy
import importlib
import io
import re
import shlex
import shutil
import sys
import textwrap
import tomllib
from pathlib import Path

import polars as pl
import pytest
import tiny
import typer
from hub_server import Hub
from ruamel.yaml import YAML
from typer.testing import CliRunner

import ontogeny as og
from ontogeny import recipe as recipes
from ontogeny import registry
from ontogeny.cli import app
from ontogeny.corpora.micro_english import MicroEnglish
from ontogeny.trajectories import VERDICTS
from ontogeny.trajectories.judging import SCHEMA

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TINY = [
    "model.options={num_hidden_layers: 1, hidden_size: 64, word_embed_proj_dim: 64, ffn_dim: 64, num_attention_heads: 1}",
    *("training.context=32", "training.batch=4", "training.steps=20", "training.dev_tokens=256", "training.threads=1"),
    *("training.compile=off", "training.precision=float32", "training.device=cpu", "scoring.device=cpu"),
    *("verdicts.resamples=20", "verdicts.swaps=5", "checkpoints={kind: steps, steps: [1, 2, 17, 18]}"),
]
SIZES = {
    "quickstart.yaml": ["corpus.words=3000", "dev.words=400", "suites.micro-english.pairs_per_paradigm=6"],
    "babylm-small.yaml": ["seeds=[0]", "tokenizer.vocab_size=300", "suites.blimp.paradigms=[wh_island, causative]"],
}
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page, language):
    """(line, text) of the fenced blocks in a language."""
    text = page.read_text(encoding="utf-8")
    return [(text[: m.start()].count("\n") + 1, m[2]) for m in FENCE.finditer(text) if m[1] == language]


def named(text):
    """A block that is a file says so in its first line: # chat.py"""
    match = re.match(r"# (\S+\.\w+)\n", text)
    return match and match[1]


def commands(page):
    """Every command of the bash blocks, as words."""
    lines = [line for _, text in blocks(page, "bash") for line in text.replace("\\\n", " ").splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def runnable(page):
    """Every runnable block of a page, as pytest parameters."""
    return [pytest.param(text, id=f"{page.name}:{line}") for line, text in blocks(page, "python") if not named(text)]


@pytest.fixture(scope="module", autouse=True)
def without_pages():
    """The page and its pictures take most of a tiny run's time; tests/report and the runs of other tests write them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ontogeny.report.page.write_figures", lambda results, folder: [])
        patch.setattr("ontogeny.report.page.render", lambda results: results.name)
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory, without_pages):
    folder = tmp_path_factory.mktemp("world")
    for name, sizes in SIZES.items():
        small = recipes.load(ROOT / "recipes" / name, [*sizes, *TINY])
        (folder / "recipes").mkdir(exist_ok=True)
        (folder / "recipes" / name).write_text(recipes.dump(small), encoding="utf-8")
    _write(folder / "data" / "babylm" / "train_10M" / "speech.train", 3000)
    _write(folder / "data" / "babylm" / "dev" / "speech.txt", 400)
    tiny.blimp(folder / "data" / "blimp" / "data")
    _accuracies(folder / "accuracies.csv")
    (folder / "sentences.txt").write_text("The dog runs.\nThe dogs run.\n", encoding="utf-8")
    og.run(folder / "recipes" / "quickstart.yaml", folder / "runs")
    for step in (0, 2, 18, 20):
        shutil.copytree(
            folder / f"runs/quickstart/seed-0/checkpoints/step-{step:08d}", folder / "checkpoints" / f"checkpoint-{step}"
        )
    return folder


@pytest.fixture(scope="module")
def hub(world):
    """Has the checkpoints of the pages, under the names of those that they speak of."""
    with Hub() as found:
        for seed in ("", "-seed1", "-seed2"):
            for step, was in {0: 0, 1: 0, 2: 2, 18: 18, 20: 20}.items():
                files = (world / "checkpoints" / f"checkpoint-{was}").iterdir()
                theirs = {path.name: path for path in files if path.name not in ("DONE", "ontogeny.json")}
                found.push(f"EleutherAI/pythia-14m{seed}", theirs, f"step{step}")
        yield found


@pytest.fixture
def here(world, hub, monkeypatch):
    monkeypatch.chdir(world)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    return world


def _write(file, words):
    file.parent.mkdir(parents=True)
    file.write_text("".join(f"{document.text}\n" for document in MicroEnglish(words=words).documents()), encoding="utf-8")


def _accuracies(file):
    rows = [(name, step, seed) for name in ("right", "wrong") for step in range(0, 1001, 50) for seed in (0, 1)]
    frame = pl.DataFrame(rows, schema=["paradigm", "step", "seed"], orient="row")
    frame.with_columns(accuracy=pl.when(pl.col("paradigm") == "right").then(0.9).otherwise(0.1)).write_csv(file)


# --- commands -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_shown_run(page, here):
    for words in commands(page):
        assert words[0] == "ontogeny", f"{page.name}: {words} is run by no test"
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, f"{page.name}: {shlex.join(words)}\n{result.output}\n{result.exception!r}"


def options():
    """Command: its options, `--no-` forms included."""
    found = {}
    for name, command in typer.main.get_command(app).commands.items():
        params = [p for one in (command, *getattr(command, "commands", {}).values()) for p in one.params]
        found[name] = {flag for p in params for flag in (*p.opts, *p.secondary_opts) if flag.startswith("-")} | {"--help"}
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_named_is_there(page):
    text, known = page.read_text(encoding="utf-8").replace("\\\n", " "), options()
    places = [*re.findall(r"`(ontogeny [^`\n]*)`", text), *re.findall(r"^    (ontogeny .*)$", FENCE.sub("", text), re.MULTILINE)]
    for place in [*places, *(shlex.join(words) for words in commands(page))]:
        words = shlex.split(place, comments=True)
        if words[0] != "ontogeny" or len(words) < 2 or words[1].startswith("-"):
            continue
        assert words[1] in known, f"{page.name}: no command in {place!r}"
        strange = {word.split("=")[0] for word in words if word.startswith("--")} - known[words[1]]
        assert not strange, f"{page.name}: {place!r} has no {strange}"
    everywhere = set().union(*known.values())
    assert set(re.findall(r"`(--[a-z-]+)", text)) <= everywhere


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_has_the_targets_named(page):
    """What they do CI runs."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^    )make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE)) <= targets


# --- Python -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", runnable(ROOT / "README.md"))
def test_the_readmes_python_runs(text, here):
    exec(compile(text, "README.md", "exec"), {})


@pytest.mark.parametrize("text", [block for page in PAGES for block in runnable(page) if '"docs/' in block.values[0]])
def test_figures_can_be_had_from_the_tables_beside_their_page(text, monkeypatch):
    monkeypatch.chdir(ROOT)
    exec(compile(text, "docs", "exec"), {})


def test_the_tutorial_runs_from_top_to_bottom(here):
    """Where output is shown under a block, that is what it prints: the same on any machine, at any size."""
    space, shown = {}, 0
    page = ROOT / "docs" / "tutorial.md"
    for line, text in blocks(page, "python"):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile("\n" * line + text, str(page), "exec"), space)
        if output := under(page, text):
            assert printed.getvalue() == output
            shown += 1
    assert shown


def under(page, block):
    """The indented lines under a block."""
    after = page.read_text(encoding="utf-8").split(f"{block}```\n\n", 1)[1]
    return textwrap.dedent(re.match(r"(?:    .*\n)*", after)[0])


def test_the_additions_work_as_shown_and_are_found_by_their_entry_points(here, tmp_path, monkeypatch):
    """One run with the page's own corpus, tokenizer, architecture and suites."""
    page = ROOT / "docs" / "add-your-own.md"
    files = {named(text): text for language in ("python", "toml") for _, text in blocks(page, language) if named(text)}
    assert set(files) == {"pyproject.toml", "chat.py", "wordpiece.py", "bloom.py", "attractors.py", "one_name.py", "spread.py"}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    project = tomllib.loads(files["pyproject.toml"])
    assert {f"{name}.py" for name in project["tool"]["setuptools"]["py-modules"]} == set(files) - {"pyproject.toml"}
    _install(project["project"], tmp_path, monkeypatch)

    (here / "data" / "childes").mkdir(exist_ok=True)
    said = MicroEnglish(words=3000).documents()
    (here / "data" / "childes" / "a.cha").write_text("@Begin\n*CHI:\tno .\n" + "".join(f"*MOT:\t{d.text}\n" for d in said))
    (here / "pairs.csv").write_text("paradigm,good,bad\nanaphor,The girl sees herself.,The girl sees himself.\n")

    raw = YAML().load((here / "recipes" / "quickstart.yaml").read_text())
    for _, text in blocks(page, "yaml"):
        raw |= YAML().load(text)
    done = og.run(recipes.build(og.Recipe, raw | {"name": "ours"}, "README.md"), here / "runs")
    assert set(done.verdicts()["suite"]) == {"attractors", "pairs"}
    assert set(done.verdicts()["paradigm"]) == {"attractors_0", "attractors_1", "attractors_2", "anaphor"}
    assert "Max" in done.folder.changes(1, "one-name").read_text(encoding="utf-8")
    nats = done.reading("spread").collect()["nats"]
    assert nats.min() > 0 and nats.max() < 10 and done.figure("spread.nats")
    assert done.fold("distance")["closest"].height


def test_the_corpus_of_the_readme_takes_lines_that_go_on_and_leaves_times(tmp_path):
    text = next(text for _, text in blocks(ROOT / "docs" / "add-your-own.md", "python") if named(text) == "chat.py")
    exec(text, found := {"__name__": "chat"})
    (tmp_path / "a.cha").write_text(
        "@Begin\n*MOT:\tput the red\n\tblock on\n\ttop . \x1510_200\x15\n%mor:\tv|put\n\tn|x\n*CHI:\tno .\n\tno !\n*FAT:\tyes .\n"
    )
    found["Chat"].model_rebuild(_types_namespace=found)
    documents = [(document.text, document.line) for document in found["Chat"](path=tmp_path).documents()]
    assert documents == [("put the red block on top .", 2), ("yes .", 9)]


def test_a_kind_can_join_for_one_process(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "add-your-own.md").read_text(encoding="utf-8")
    (tmp_path / "chat.py").write_text("class Chat:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "chat", raising=False)
    monkeypatch.setattr(registry, "TABLES", copy.deepcopy(registry.TABLES))
    exec(re.search(r"`(ontogeny\.registry\.TABLES.*?)`", text)[1], {"ontogeny": og})
    assert registry.load("corpus", "chat").__name__ == "Chat"


def _install(project, folder, monkeypatch):
    """What `pip install -e .` leaves: the modules on the path, and the entry points beside them."""
    facts = folder / f"{project['name']}-{project['version']}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in names.items()) for group, names in project["entry-points"].items()]
    (facts / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()


# --- what is named is there ---------------------------------------------------------------------------------------


def links():
    """Every page with every local target that it links to."""
    found = [(page, target) for page in PAGES for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))]
    return [pytest.param(page, target, id=f"{page.name}:{target}") for page, target in found if "://" not in target]


@pytest.mark.parametrize(("page", "target"), links())
def test_links_lead_somewhere(page, target):
    name, _, anchor = target.partition("#")
    file = page.parent / name if name else page
    assert file.exists(), f"{page.name} names {target}, which is not there"
    if anchor:
        heads = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_named_in_code_are_there(page):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:src|docs|tests|recipes)/[\w./-]+|[a-z_]+(?:/[a-z_]+)*\.py)`", text):
        assert (ROOT / name).exists() or (ROOT / "src" / "ontogeny" / name).exists(), f"{page.name} names {name}"


def test_the_definitions_name_every_column_and_verdict():
    text = (ROOT / "docs" / "definitions.md").read_text(encoding="utf-8")
    assert [name for name in SCHEMA if f"`{name}`" not in text] == []
    assert re.findall(r"^\d+\. \*\*(.+?)\*\*", text, re.MULTILINE) == list(VERDICTS)
