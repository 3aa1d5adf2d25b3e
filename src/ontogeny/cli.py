"""The command line: each command is one typed function, and does nothing that Python callers cannot."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ontogeny.display import visible
from ontogeny.records import OntogenyError
from ontogeny.registry import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ontogeny.laboratory import Run
    from ontogeny.studies.plan import Study
    from ontogeny.work.piece import Piece

INTERRUPTED = 130  # exit status after Ctrl-C

app = typer.Typer(
    help="A laboratory for how language models grow up, and where they get stuck.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _version(asked: bool) -> None:
    from importlib.metadata import version

    if asked:
        print(f"ontogeny {version('ontogeny')}")
        raise typer.Exit


@app.callback()
def _whole(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """A laboratory for how language models grow up, and where they get stuck."""


suites = typer.Typer(help="Suites of minimal pairs.", no_args_is_help=True)
app.add_typer(suites, name="suites")

study = typer.Typer(help="Studies: change the evidence, run it again, and say what caused what.", no_args_is_help=True)
app.add_typer(study, name="study")

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Write over a file that is there, whoever made it.")]
Settings = Annotated[list[str], typer.Option("--set", metavar="NAME=VALUE", help="Lay a value over the recipe: training.batch=64.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs, in place of a table.")]
Root = Annotated[Path, typer.Option("--runs", help="Folder that holds the runs.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        help="Processes at a time. Left out: seeds train one after the other, each with all cores; studies' trainings and the "
        "reading of checkpoints take as many as pay.",
        min=1,
    ),
]
TokenizerOf = Annotated[
    str | None,
    typer.Option("--tokenizer", metavar="FOLDER", help="Whose tokenizer to read with, where a model has none."),
]
Good = Annotated[str | None, typer.Option("--good", help="Of --suite table: the column of the right sentence.")]
Bad = Annotated[str | None, typer.Option("--bad", help="Of --suite table: the column of the wrong sentence.")]
ParadigmColumn = Annotated[str | None, typer.Option("--paradigm", help="Of --suite table: the column of the paradigm.")]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns", help="Of --suite table without a line of names: those of its columns in order, good,bad or bad,good."
    ),
]
On = Annotated[
    str | None,
    typer.Option("--on", metavar="ENGINE", help=f"Who does the work: {', '.join(names('engine'))}; left out: as the recipe says."),
]
AsPieces = Annotated[
    bool, typer.Option("--pieces", help="Print the commands that do it, a line each, in place of doing it; # parts what waits.")
]
StudyPath = Annotated[Path, typer.Argument(metavar="STUDY", help="A study's file, or the folder or name of one that was run.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, such as runs/quickstart.")]


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="A recipe: a file, or the name of one that comes with ontogeny, as quickstart.")],
    settings: Settings = [],  # noqa: B006 - typer copies it
    root: Root = Path("runs"),
    jobs: Jobs = None,
    on: On = None,
    pieces: AsPieces = False,
) -> None:
    """Text to verdicts: tokens, training, scores at every checkpoint, verdicts, report.  Goes on where it was left.

    A recipe with a `grid` is one run for each combination of its values, `--jobs` of them at a time.  Under torchrun
    (`torchrun --nproc_per_node 2 -m ontogeny run RECIPE`) all its processes train one model together.
    """
    from ontogeny import recipe as recipes

    recipe = _recipe_file(recipe)
    if _has_grid(recipe):
        return _run_grid(recipe, settings, root, jobs or 1, on, pieces)
    here = _begin(recipe, settings, root)
    engine = recipes.engine(here.recipe.engine, on)
    if pieces:
        return _print_pieces(here.pieces())
    if engine.kind != "local":
        here.fill_on(engine)
        here.display.verdicts(here.verdicts())
        return print(f"report: {here.report}")
    here.train(jobs or 1)
    here.score()
    _conclude(here)


@app.command()
def piece(
    run: RunPath,
    what: Annotated[str, typer.Argument(metavar="WHAT", help=f"One of {', '.join(names('piece'))}.")],
    inputs: Annotated[list[str] | None, typer.Argument(metavar="NAME=VALUE...", help="Which part of it, as seed=0.")] = None,
) -> None:
    """Do one piece of work, as `run --pieces` and `study pieces` print them; goes on where it was left, and is done once."""
    from ontogeny import yaml_text
    from ontogeny.display import Display
    from ontogeny.work.piece import perform

    told: dict[str, Any] = {}
    for one in inputs or ():
        yaml_text.override(told, one)
    answer = perform({"what": what, "run": str(run.absolute()), "inputs": told}, Display())
    if answer["trouble"]:
        raise OntogenyError(answer["trouble"])
    if answer["done"]:
        print(answer["done"])


@app.command()
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The recipe to write, such as my.yaml.")],
    corpus: Annotated[Path, typer.Option(help="The training text: a file, or a folder of files.")],
    model: Annotated[
        Path | None, typer.Option(help="A model's folder, to take its shape and tokenizer; it is trained anew.")
    ] = None,
    suite: Annotated[list[str], typer.Option(help="blimp, babylm-supplement ...; may be said again.")] = [],  # noqa: B006
    suite_path: Annotated[list[Path], typer.Option(help="Where files are: of each --suite that needs them.")] = [],  # noqa: B006
) -> None:
    """Write a recipe to begin with, each field with a word on it: a text, a model, and what is read."""
    from ontogeny.commands.beginning import new as write
    from ontogeny.readers.folders import suite_parts

    written = write(file, corpus, model, suite_parts(suite, suite_path) if suite else ())
    print(f"{written}: ontogeny run {shlex.quote(str(written))}")


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe, or the folder of a run to go on with.")],
    settings: Settings = [],  # noqa: B006
    root: Root = Path("runs"),
    jobs: Jobs = None,
) -> None:
    """Train only: every seed to its last checkpoint."""
    from ontogeny.display import Display
    from ontogeny.laboratory import Run

    if recipe.is_dir() and settings:
        raise OntogenyError(f"a run's settings stand in its recipe: {recipe / 'recipe.yaml'}; --set is for a recipe")
    here = Run(recipe, Display()) if recipe.is_dir() else _begin(recipe, settings, root)
    here.train(jobs or 1)


@app.command()
def score(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="A run's folder, or some that from_pretrained opens.")],
    suite: Annotated[list[str], typer.Option(help="For folders of no run: blimp, table ...; may be said again.")] = [],  # noqa: B006
    suite_path: Annotated[list[Path], typer.Option(help="Where files are: of each --suite that needs them.")] = [],  # noqa: B006
    out: Annotated[
        Path | None,
        typer.Option(help="The parquet file to write [scores.parquet]; of several folders or suites, their folder [scores]."),
    ] = None,
    again: Annotated[list[int], typer.Option(help="For a run: score the checkpoint at this step once more.")] = [],  # noqa: B006
    bos: Annotated[bool, typer.Option(help="Begin each sentence with BOS.")] = True,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; auto takes a GPU where there is one.")] = "auto",
    tokenizer: TokenizerOf = None,
    jobs: Jobs = None,
    on: On = None,
    overwrite: Overwrite = False,
    good: Good = None,
    bad: Bad = None,
    paradigm: ParadigmColumn = None,
    columns: Columns = None,
) -> None:
    """Score every checkpoint of a run that has no scores yet, or folders that `from_pretrained` opens.

    Of many, only what is missing: a command that was stopped goes on.  A single folder is scored each time.
    """
    from ontogeny import recipe as recipes
    from ontogeny.disk import check_output
    from ontogeny.display import Display
    from ontogeny.laboratory import Run
    from ontogeny.readers import score_folders, score_one
    from ontogeny.readers.folders import each_suite, suite_named, with_columns

    suite = with_columns(suite, good=good, bad=bad, paradigm=paradigm, columns=columns)
    folder, single = folders[0], len(folders) == 1
    if single and (folder / "lineage.json").exists():
        if suite or suite_path or out or overwrite or not bos or device != "auto" or tokenizer:
            raise OntogenyError(
                "--suite, --suite-path, --out, --overwrite, --no-bos, --device and --tokenizer are for a single folder; a run has "
                "them in its recipe"
            )
        here = Run(folder, Display())
        return here.score(again, jobs, recipes.engine(here.recipe.engine, on))
    if run := next((folder for folder in folders if (folder / "lineage.json").exists()), None):
        raise OntogenyError(f"{run} is a run; its checkpoints are scored by a command of its own: ontogeny score {run}")
    if not suite:
        raise OntogenyError(f"{folder} is no run's folder; to score it as a single model say --suite, for example --suite blimp")
    if again or (single and (jobs or on)):
        raise OntogenyError(
            "--again is for a run, --jobs and --on for a run or several folders; a single folder is scored each time"
        )
    todo = each_suite(suite, suite_path, out, "scores", ".parquet" if single else "")
    for one, path, place in todo:  # all are looked at before the first is scored
        if single:
            check_output(place, overwrite, [".parquet"])
        suite_named(one, path)
    for one, path, place in todo:
        if single:
            print(score_one(folder, one, path, place, bos, device, Display(), overwrite, tokenizer))
        else:
            engine = recipes.engine(None, on)
            score_folders(folders, one, path, place, bos, device, Display(), jobs, overwrite, tokenizer, print, engine)


@app.command()
def read(
    run: RunPath,
    instruments: Annotated[
        list[str], typer.Option("--with", metavar="NAME", help=f"An instrument: {', '.join(names('instrument'))}; left out: all.")
    ] = [],  # noqa: B006
    settings: Annotated[list[str], typer.Option("--set", metavar="NAME=VALUE", help="Of the one instrument: its settings.")] = [],  # noqa: B006
    again: Annotated[list[int], typer.Option(help="Read the checkpoint at this step once more.")] = [],  # noqa: B006
    jobs: Jobs = None,
    on: On = None,
) -> None:
    """Read every checkpoint of a run with instruments that have not read it yet, and nothing else; joins the report.

    Left out, the instruments are those of the recipe and those that have read this run before.
    """
    from ontogeny import recipe as recipes
    from ontogeny import yaml_text
    from ontogeny.display import Display
    from ontogeny.laboratory import Run

    if settings and len(instruments) != 1:
        raise OntogenyError("--set is for one instrument: name it with --with")
    asked: list[str | dict[str, Any]] = [*instruments]
    if settings:
        raw: dict[str, Any] = {"kind": instruments[0]}
        for setting in settings:
            yaml_text.override(raw, setting)
        asked = [raw]
    here = Run(run, Display())
    here.read(asked, again, jobs, recipes.engine(here.recipe.engine, on))
    print(f"report: {here.write_report()}")


@app.command()
def surprisals(
    folder: Annotated[Path, typer.Argument(help="A model's folder, which from_pretrained opens.")],
    text: Annotated[Path, typer.Option(help="A file with a sentence a line.", exists=True, dir_okay=False)],
    contexts: Annotated[
        Path | None, typer.Option(help="What stands before each, a line each; blank for nothing.", exists=True, dir_okay=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="The table to write: .parquet or .csv.")] = Path("surprisals.parquet"),
    bos: Annotated[bool, typer.Option(help="Begin each sentence with BOS.")] = True,
    leading_space: Annotated[bool, typer.Option("--leading-space", help="Put a space before each sentence.")] = False,
    metric: Annotated[str, typer.Option(help="For a masked model: within-word or original.")] = "within-word",
    tokenizer: TokenizerOf = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; auto takes a GPU where there is one.")] = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Write the surprisal of every token of every sentence of a file, with its characters and its word."""
    from ontogeny.disk import TABLES, check_output, export_table
    from ontogeny.display import Display
    from ontogeny.files import lines
    from ontogeny.scoring.surprisals import surprisals as of
    from ontogeny.tokens.pretrained import open_tokenizer

    check_output(out, overwrite, TABLES)
    sentences = [line for _, line in lines(text)]
    before = [line for _, line in lines(contexts)] if contexts else None
    with Display().bar(f"{folder}", len(sentences), "sentences") as progress:
        found = of(
            folder,
            sentences,
            contexts=before,
            tokenizer=open_tokenizer(tokenizer) if tokenizer else None,
            bos=bos,
            leading_space=leading_space,
            metric=metric,
            device=device,
            progress=progress,
        )
    export_table(out, found)
    print(f"{out}: {len(found):,} tokens of {len(sentences):,} sentences, {found['surprisal'].sum():,.1f} nats")


@app.command("open")
def open_(
    source: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="A folder or table of checkpoints, or OWNER/NAME on the hub, perhaps @PATTERN."),
    ],
    suite: Annotated[list[str], typer.Option(help="blimp, babylm-supplement, table ...; may be said again.")] = ["blimp"],  # noqa: B006
    suite_path: Annotated[list[Path], typer.Option(help="Where files are: of each --suite that needs them.")] = [],  # noqa: B006
    name: Annotated[str | None, typer.Option(help="The run's name; left out: the folder's or repository's.")] = None,
    names: Annotated[
        list[str],
        typer.Option("--names", "--pattern", help="Which names, where there are several kinds: step, or a pattern: 'iter_{step}'."),
    ] = [],  # noqa: B006
    tokenizer: TokenizerOf = None,
    corpus: Annotated[
        str | None, typer.Option(help="The text they were trained on: a folder or file, or a kind of corpus.")
    ] = None,
    dev: Annotated[str | None, typer.Option(help="With it: held-out text, which they were not trained on.")] = None,
    infinigram: Annotated[Path | None, typer.Option(help="In place of --corpus: a local infini-gram index of that text.")] = None,
    revisions: Annotated[list[str], typer.Option(help="Of the hub: which branches, such as 'step*'.")] = [],  # noqa: B006
    every: Annotated[int, typer.Option(help="Of the hub: every n-th revision, with the first and the last.", min=1)] = 1,
    seeds: Annotated[list[str], typer.Option(help="Of the hub: repositories of other seeds, 'OWNER/NAME-seed{1..9}'.")] = [],  # noqa: B006
    keep: Annotated[bool, typer.Option("--keep", help="Of the hub: keep what was read, in the hub's cache.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Of the hub: show the table of revisions, and do nothing.")] = False,
    dtype: Annotated[str | None, typer.Option(help="What weights are opened in: float32, bfloat16 or float16.")] = None,
    device_map: Annotated[str | None, typer.Option(help="auto: spread a model over all GPUs.")] = None,
    trust_remote_code: Annotated[
        str | None, typer.Option(metavar="REVISION", help="Of the hub: one commit, which you have read, whose own code may be run.")
    ] = None,
    settings: Settings = [],  # noqa: B006
    root: Root = Path("runs"),
    jobs: Jobs = None,
    on: On = None,
    good: Good = None,
    bad: Bad = None,
    paradigm: ParadigmColumn = None,
    columns: Columns = None,
) -> None:
    """Make a run around checkpoints that somebody else trained, then score, judge and report it.

    Revisions of the hub come one after another while they are read, and what was read goes.  With the text that they were trained
    on, the page has the n-gram evidence too, and `why`, `audit --run` and every instrument work as for a training of ours.
    """
    from ontogeny import recipe as recipes
    from ontogeny.commands.adoption import FromHub, adopt, preview
    from ontogeny.display import Display
    from ontogeny.readers.folders import suite_parts, with_columns
    from ontogeny.sources.revisions import RevisionChoice

    suite = with_columns(suite, good=good, bad=bad, paradigm=paradigm, columns=columns)
    hub = FromHub(RevisionChoice((), tuple(revisions), every, tuple(seeds)), keep, trust_remote_code)
    if dry_run:
        preview(source, names, name, root, Display(), hub, suite_parts(suite, suite_path), settings)
        return
    told = {"scoring.dtype": dtype, "scoring.device_map": device_map}
    settings = [*(f"{key}={value}" for key, value in told.items() if value), *settings]
    here = adopt(source, suite, suite_path, name, settings, root, Display(), names, tokenizer, hub, corpus, dev, infinigram)
    here.score(jobs=jobs, engine=recipes.engine(here.recipe.engine, on))
    _conclude(here, evidence=here.recipe.corpus is not None)


@app.command()
def verdicts(
    source: Annotated[Path, typer.Argument(help="A run's folder, or a table of accuracies (paradigm, step, seed, accuracy).")],
    settings: Settings = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="Where to write the verdicts as parquet; of a run with --set.")] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Judge every paradigm: learned, entrenched, forgotten, recovered late ...

    Of a run, `--set verdicts.early=0.2` tries a threshold and changes nothing in the run.
    """
    from ontogeny.disk import check_output
    from ontogeny.display import Display
    from ontogeny.judging import judge_table
    from ontogeny.laboratory import Run

    display = Display()
    if not source.is_dir():
        found = judge_table(source, settings, out, display, overwrite)
    elif settings:
        if out:
            check_output(out, overwrite, [".parquet", ".csv"])
        found = Run(source, display).try_verdicts(settings, out)
    elif out:
        raise OntogenyError(f"--out is for a table, or with --set; a run's verdicts are in {source / 'verdicts.parquet'}")
    else:
        found = Run(source, display).judge()
    _print_json(found) if as_json else display.verdicts(found)


@app.command()
def report(run: RunPath) -> None:
    """Write the page and its figures."""
    from ontogeny.display import Display
    from ontogeny.laboratory import Run

    print(Run(run, Display()).write_report())


@app.command()
def ngrams(
    run: RunPath,
    order: Annotated[int, typer.Option(help="The longest n-grams.", min=2)] = 5,
    arpa: Annotated[Path | None, typer.Option(help="Also write the Kneser-Ney model of that order as an ARPA file.")] = None,
    level: Annotated[str, typer.Option(help="For --arpa: word or token.")] = "word",
    overwrite: Overwrite = False,
) -> None:
    """Count the n-grams of the text that a run trains on, over the model's own tokens and over words."""
    from ontogeny.disk import check_output
    from ontogeny.display import Display
    from ontogeny.laboratory import Run

    if arpa:
        check_output(arpa, overwrite)
    here = Run(run, Display())
    here.display.counts(here.count(order))
    if arpa:
        here.export(arpa, level, order)
        print(f"{order}-gram model of {level}s: {arpa}")


@app.command()
def evidence(run: RunPath, order: Annotated[int, typer.Option(help="The longest n-grams.", min=2)] = 5) -> None:
    """Say what the n-grams of its text foretold of a run: margins, imitation, verdicts; joins the report."""
    from ontogeny.display import Display
    from ontogeny.laboratory import Run
    from ontogeny.report import answers

    here = Run(run, Display())
    here.examine(order)
    report = here.write_report()
    print(answers(here.folder))
    _say_where(here, report)


@app.command()
def why(
    run: RunPath,
    paradigm: Annotated[str, typer.Argument(metavar="PARADIGM", help="Such as wh_vs_that_with_gap.")],
    pair: Annotated[str | None, typer.Option(help="One pair of it, by its id.")] = None,
    level: Annotated[str, typer.Option(help="word, or token: the model's own.")] = "word",
    order: Annotated[int, typer.Option(help="2 for bigrams; what is not counted yet is counted first.", min=1)] = 2,
    suite: Annotated[str | None, typer.Option(help="Where several suites have the paradigm.")] = None,
    most: Annotated[int, typer.Option(help="Transitions shown.", min=1)] = 8,
    lines: Annotated[int, typer.Option(help="Lines of the text behind each.", min=1)] = 5,
) -> None:
    """Explain a paradigm: the transitions that decide it under an n-gram model, and the lines of the text behind them."""
    from ontogeny.display import Display
    from ontogeny.laboratory import Run
    from ontogeny.report import why_terminal, write_why

    here = Run(run, Display())
    found = here.why(paradigm, pair, level, order, suite, most=most, lines=lines)
    here.display.show(why_terminal(found))
    print(f"page: {write_why(here.why_page(found, pair), found)}")


@app.command()
def audit(
    suites: Annotated[list[str], typer.Argument(metavar="SUITE...", help="blimp, babylm-supplement, zorro, table ...")],
    corpus: Annotated[str | None, typer.Option(help="The training text: a folder or file of text, or a kind of corpus.")] = None,
    run: Annotated[Path | None, typer.Option(help="In place of --corpus: a run's text, in words and in its tokens.")] = None,
    suite_path: Annotated[list[Path], typer.Option(help="Where files are: of each suite that needs them.")] = [],  # noqa: B006
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the table, the page and the counts [audit-SUITE]; of several suites, the folder of theirs."),
    ] = None,
    settings: Annotated[list[str], typer.Option("--set", metavar="NAME=VALUE", help="A threshold: solved=0.95.")] = [],  # noqa: B006
    good: Good = None,
    bad: Bad = None,
    paradigm: ParadigmColumn = None,
    columns: Columns = None,
) -> None:
    """Say which paradigms of a suite are meaningful guides to a model trained on a text, and why not."""
    from ontogeny.commands.auditing import audit_suite
    from ontogeny.display import Display
    from ontogeny.readers.folders import each_suite, plain_name, with_columns
    from ontogeny.report import write_audit

    display, suites = Display(), with_columns(suites, good=good, bad=bad, paradigm=paradigm, columns=columns)
    named = f"audit-{plain_name(suites[0])}" if len(suites) == 1 else "audit"
    for suite, path, folder in each_suite(suites, suite_path, out, named):
        found = audit_suite(suite, path, corpus, run, folder, settings, display)
        display.audit(found.table)
        print(f"table: {folder / 'audit.parquet'}\npage: {write_audit(folder / 'index.html', found.table, found.facts)}")


@app.command()
def warn(
    run: RunPath,
    calibration: Annotated[list[Path], typer.Option("--from", help="Finished runs, or tables of accuracies, to calibrate on.")],
    step: Annotated[int | None, typer.Option(help="At this checkpoint; left out: the newest.")] = None,
    alpha: Annotated[float, typer.Option(help="Largest share of false alarms among paradigms that end well.")] = 0.1,
    as_json: AsJson = False,
) -> None:
    """Early warning: which paradigms of a run in progress look as those that stay wrong did in finished runs."""
    from ontogeny.commands.early_warning import warn_of
    from ontogeny.display import Display
    from ontogeny.laboratory import Run

    display = Display()
    found = warn_of(Run(run, display), calibration, step, alpha)
    _print_json(found) if as_json else display.warnings(found, alpha)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN ...", help="Two or more runs' folders.")],
    suite: Annotated[str | None, typer.Option(help="The suite to compare on; left out: the first that all were judged on.")] = None,
    yardstick: Annotated[
        list[Path], typer.Option(help="A run with several seeds, not compared: how far do seeds of one run agree?")
    ] = [],  # noqa: B006
    title: Annotated[str | None, typer.Option(help="The page's title; left out: what the runs' names have in common.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the page and its tables [default: comparison-NAME].")] = None,
    outcome: Annotated[
        list[str], typer.Option(help="What an instrument read, as rules.ood_rule1; left out: all that all runs have.")
    ] = [],  # noqa: B006
) -> None:
    """Compare runs on one page: what differs, loss in bits per word, accuracy, verdicts, and where they end wrong."""
    from ontogeny.comparison.page import compare, overview
    from ontogeny.display import Display

    display = Display()
    gathered, page = compare(runs, out, suite, title, yardstick, display.warn, outcome)
    display.table(*overview(gathered))
    print(f"page: {page}")


@app.command()
def explore(
    folder: Annotated[Path, typer.Argument(help="A folder of runs, or one run.")] = Path("runs"),
    written: Annotated[
        Path | None, typer.Option("--export", metavar="DIR", help="Write every view as a file, for any static host, and end.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Also for other machines, at this address, with a token.")] = None,
    port: Annotated[int, typer.Option(help="Where that is in use, the next that is free.", min=1, max=65535)] = 8642,
) -> None:
    """Look into a folder of runs in a browser, live: from a cell of the map to its pairs, from a paradigm to the reason why."""
    from ontogeny.explorer.server import serve

    if written is None:
        return serve(folder, host, port)
    from ontogeny.display import Display
    from ontogeny.explorer.export import export as write

    print(f"explorer: {write(folder, written, Display())}")


@app.command()
def export(
    run: RunPath,
    to: Annotated[str, typer.Option(help="csv, json, r, babylm or hub.")],
    out: Annotated[Path | None, typer.Option(help="The folder to write [export-RUN; of babylm: results].")] = None,
    seed: Annotated[int | None, typer.Option(help="Of babylm and hub: whose checkpoints; left out: the first.")] = None,
    name: Annotated[str | None, typer.Option(help="Of babylm: the model's name; of hub: the repository, OWNER/NAME.")] = None,
    data: Annotated[Path | None, typer.Option(help="Of babylm: its evaluation_data; left out: where the suites lie.")] = None,
    track: Annotated[str | None, typer.Option(help="Of babylm: strict-small or strict; left out: by the words seen.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Of hub: a repository that only you see.")] = False,
) -> None:
    """Write a run for others: tidy tables with a codebook, a submission to BabyLM, or revisions of a repository on the hub."""
    from ontogeny.commands.exporting import export as write
    from ontogeny.display import Display
    from ontogeny.laboratory import Run

    display = Display()
    print(write(Run(run, display), to, out, display, seed=seed, name=name, data=data, track=track, private=private))


@suites.command("list")
def suites_list() -> None:
    """List the suites of minimal pairs, and how each is had."""
    from ontogeny.commands.suite_files import about
    from ontogeny.display import Display

    Display().table(("suite", "what it is", "how it is had"), about())


@suites.command("show")
def suites_show(
    name: Annotated[str, typer.Argument(metavar="SUITE", help="blimp, micro-english, table ...")],
    suite_path: Annotated[Path | None, typer.Option(help="Where the suite's files are.")] = None,
    good: Good = None,
    bad: Bad = None,
    paradigm: ParadigmColumn = None,
    columns: Columns = None,
) -> None:
    """Show what a suite has: its paradigms, with the pairs of each, and what is left out."""
    from ontogeny.commands.suite_files import paradigms
    from ontogeny.display import Display
    from ontogeny.readers.folders import with_columns

    (name,) = with_columns([name], good=good, bad=bad, paradigm=paradigm, columns=columns)
    Display().table(("phenomenon", "paradigm", ">pairs"), [(a, b, f"{n:,}") for a, b, n in paradigms(name, suite_path, Display())])


@suites.command("get")
def suites_get(
    name: Annotated[str, typer.Argument(metavar="SUITE", help="blimp, ewok, comps ...: those that `suites list` says so of.")],
    out: Annotated[Path | None, typer.Option(help="The folder to write [data/SUITE].")] = None,
) -> None:
    """Bring a suite's files from the hub, or say how they are had by hand."""
    from ontogeny.commands.suite_files import get
    from ontogeny.display import Display

    print(f"{get(name, out, Display())}: use it with --suite {name} --suite-path, or as the suite's path in a recipe")


@suites.command("make")
def make_suite(
    like: Annotated[str, typer.Argument(help="What to make: blimp-like.")],
    vocabulary: Annotated[Path | None, typer.Option(metavar="RUN", help="Only words that this run's text has.")] = None,
    at_least: Annotated[int, typer.Option(help="With --vocabulary: at least this often.", min=1)] = 5,
    pairs: Annotated[int, typer.Option(help="Pairs of each paradigm.", min=1)] = 200,
    paradigm: Annotated[list[str], typer.Option(help="A paradigm wanted; left out: all.")] = [],  # noqa: B006
    lean: Annotated[str | None, typer.Option(help="With --vocabulary: its bigrams are neutral, helpful or misleading.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every choice of rule and word.")] = 1,
    out: Annotated[Path, typer.Option(help="The table to write, .jsonl.")] = Path("blimp-like.jsonl"),
    overwrite: Overwrite = False,
) -> None:
    """Make minimal pairs of BLiMP's paradigms from micro-English's grammar, as a table for the suite `table`."""
    from ontogeny.commands.made_suites import make
    from ontogeny.disk import check_output
    from ontogeny.display import Display
    from ontogeny.registry import nearest

    if like != "blimp-like":
        raise OntogenyError(f"no pairs are called {like!r}; {nearest(like, ['blimp-like'])}")
    check_output(out, overwrite, [".jsonl"])
    count, missing = make(out, pairs, paradigm or None, seed, vocabulary, at_least, lean, Display())
    print(f"{count} pairs: {out}")
    for reason in missing:
        print(f"left out: {reason}")


@app.command()
def ensemble(run: RunPath, as_json: AsJson = False) -> None:
    """Say what a run's seeds prefer together, from the scores that are there, and which stuck paradigms that frees."""
    from ontogeny.commands.ensembles import ensembles, told

    found = ensembles(run)
    if as_json:
        return _print_json({"ensembles": found})
    for row in found.filter(found["stuck"] | (found["highest"] - found["lowest"] > 0.2)).sort("alone").to_dicts():
        ends = "{alone:.2f} alone ({lowest:.2f} to {highest:.2f}), {logs:.2f} by logs, {probabilities:.2f} by probabilities"
        print(f"{row['paradigm']}: {ends.format(**row)} ({row['low']:.2f} to {row['high']:.2f})")
    print("\n".join(told(found)))


@app.command()
def unstick(
    run: RunPath,
    sources: Annotated[list[Path], typer.Option("--from", help="Finished runs to warn by, for one in progress.")] = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Propose what a study here supported for a run's stuck paradigms, with effect and cost, and say what was never shown."""
    from dataclasses import asdict

    from ontogeny.commands.unsticking import unstick
    from ontogeny.display import Display

    found = unstick(run, tuple(sources), Display())
    _print_json(asdict(found)) if as_json else print("\n".join(found.says()))


@study.command("new")
def study_new(
    name: Annotated[str, typer.Argument(help="The study's name.")],
    recipe: Annotated[str, typer.Option(help="The recipe that arms change: a path beside the study's file.")] = "recipe.yaml",
    out: Annotated[Path | None, typer.Option(help="The file to write [default: NAME.yaml].")] = None,
) -> None:
    """Write a study file to begin with: question, arms, predictions and what would refute them."""
    from ontogeny.studies.commands import new

    path = new(name, recipe, out)
    print(f"{path}: edit it, then run: ontogeny study check {path}")


@study.command("check")
def study_check(
    file: StudyPath,
    settings: Settings = [],  # noqa: B006
    earlier: Annotated[list[Path], typer.Option("--from", help="Earlier runs or studies that say how much seeds vary.")] = [],  # noqa: B006
    root: Root = Path("runs"),
    jobs: Jobs = None,
) -> None:
    """Say what a study can decide (power, by simulation), and what it will cost in time and disk.  Trains nothing."""
    from ontogeny.display import Display
    from ontogeny.studies.commands import check

    display, (own, root) = Display(), _study(file, root, settings)
    found = check(own, root, earlier, jobs, display)
    display.arms(found.arms)
    display.power(found.power)
    for line in found.unsaid:
        display.warn(f"changed since it was registered: {line}")
    for line in found.doubts:
        display.warn(line)
    print(found.cost or "nothing is missing")


@study.command("run")
def study_run(
    file: StudyPath,
    settings: Settings = [],  # noqa: B006
    root: Root = Path("runs"),
    jobs: Jobs = None,
    on: On = None,
) -> None:
    """Train and read every arm with every seed that is missing, then decide the predictions.  Goes on where it was left."""
    from ontogeny.display import Display
    from ontogeny.studies.commands import run

    display = Display()
    found = run(*_study(file, root, settings), jobs, display, on)
    display.claims(found.analysed.claims)
    print(f"report: {found.page}")


@study.command("pieces")
def study_pieces(file: StudyPath, settings: Settings = [], root: Root = Path("runs")) -> None:  # noqa: B006
    """Register a study, begin its arms, and print the commands that do what is missing, a line each; # parts what waits."""
    from ontogeny.studies.commands import register
    from ontogeny.studies.running import begin, pieces

    own, root = _study(file, root, settings)
    begin(own.arms, folder := register(own, root))
    _print_pieces([piece for some in pieces(own, folder) for piece in some])
    print(f"# then\n{shlex.join(['ontogeny', 'study', 'report', own.file.name, '--runs', str(root.absolute())])}")


@study.command("open")
def study_open(file: StudyPath, root: Root = Path("runs")) -> None:
    """Open the exam of a study with guards, once, when every training is there; then report shows it."""
    from ontogeny.studies.guards import open_exam

    own, root = _study(file, root)
    found = open_exam(own, root / own.file.name)
    print(f"opened on {found['date']} (hash {found['hash']}); now run: ontogeny study report {file}")


@study.command("report")
def study_report(file: StudyPath, root: Root = Path("runs"), as_json: AsJson = False) -> None:
    """Decide what can be decided of a study as it stands, and write its page."""
    from ontogeny.display import Display
    from ontogeny.studies.commands import report

    display = Display()
    found = report(*_study(file, root), display)
    if as_json:
        return _print_json({"claims": found.analysed.claims, "report": str(found.page)})
    display.claims(found.analysed.claims)
    print(f"report: {found.page}")


def _study(file: Path, root: Path, settings: Sequence[str] = ()) -> tuple[Study, Path]:
    """The study that is meant, and the folder that has its folder."""
    from ontogeny.studies.commands import open_study, root_of

    return open_study(file, tuple(settings), root), root_of(file, root)


@app.command("list")
def list_(root: Root = Path("runs"), as_json: AsJson = False) -> None:
    """List the runs in a folder."""
    from ontogeny.commands.overview import listed, runs_in

    _print_json(listed(root)) if as_json else print(runs_in(root))


@app.command()
def show(run: RunPath, as_json: AsJson = False) -> None:
    """Show one run: what it is, how far it has come, its verdicts."""
    from ontogeny.commands.overview import describe, described
    from ontogeny.disk import read_table
    from ontogeny.display import Display
    from ontogeny.store import RunFolder

    folder = RunFolder.existing(run)
    if as_json:
        return _print_json(described(folder))
    print(describe(folder))
    if folder.verdicts.exists():
        Display().verdicts(read_table(folder.verdicts))


def _print_json(value: Any) -> None:
    """What a command found, as JSON on standard output: a table as a list of rows, what is no number as null."""
    import json

    from ontogeny.commands.overview import plain

    print(json.dumps(plain(value), ensure_ascii=False, default=str))


def _begin(recipe: Path, settings: list[str], root: Path) -> Run:
    from ontogeny import recipe as recipes
    from ontogeny.display import Display
    from ontogeny.laboratory import Run

    return Run.begin(recipes.load(recipe, settings), root, Display())


def _recipe_file(recipe: Path) -> Path:
    from ontogeny import recipe as recipes

    return recipes.recipe_file(recipe)


def _has_grid(recipe: Path) -> bool:
    from ontogeny import recipe as recipes
    from ontogeny import yaml_text

    return recipe.is_file() and "grid" in yaml_text.values(recipes.text_of(recipe), str(recipe))


def _print_pieces(pieces: Sequence[Piece]) -> None:
    from ontogeny.work.piece import waves

    print("\n# then\n".join("\n".join(one.command for one in wave) for wave in waves(pieces)))


def _run_grid(recipe: Path, settings: list[str], root: Path, jobs: int, on: str | None, as_pieces: bool) -> None:
    from ontogeny.commands.sweeps import begin, check_tables, compare_all, pieces, recipes_of, run_all, tables_across
    from ontogeny.display import Display

    display, todo = Display(), recipes_of(recipe, settings)
    check_tables(todo, root, recipe.stem)
    if as_pieces:
        return _print_pieces(pieces(begin(todo, root)))
    runs = run_all(todo, root, jobs, display, on)
    for path in runs:
        print(f"report: {path / 'report' / 'index.html'}")
    for out, shown in tables_across(todo, root, recipe.stem).items():
        display.table(shown.heads, shown.rows)
        print(f"table: {out}")
    if page := compare_all(runs, root, display):
        print(f"comparison: {page}")


def _conclude(here: Run, evidence: bool = False) -> None:
    here.display.verdicts(here.judge())
    if evidence:
        here.examine()
    _say_where(here, here.write_report())


def _say_where(here: Run, report: Path) -> None:
    unfound = Path(sys.argv[0]).name == "ontogeny" and shutil.which("ontogeny") is None  # .venv/bin/ontogeny, as `make` calls it
    called = shlex.quote(sys.argv[0]) if unfound else "ontogeny"
    print(f"report: {report}\nto look into it: {called} explore {shlex.quote(str(here.folder.path.parent))}")


TRAINS = ("run", "train")  # the commands whose processes train one model together


def _is_one_of_many() -> bool:
    """True in a process that torchrun or the like has started beside others.

    Raises OntogenyError if the command has nothing to share: each process would do all of it, into the same files.
    """
    named = all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"))
    if not named or int(os.environ["WORLD_SIZE"]) == 1:
        return False
    if sys.argv[1:2] not in [[name] for name in TRAINS]:
        asked = " ".join(sys.argv[1:2]) or "no command"
        raise OntogenyError(
            f"{asked}: torchrun's processes train one model together, which {' and '.join(TRAINS)} do; start this command by "
            "itself (score and study start processes of their own, --jobs of them)"
        )
    return True


def _with_others() -> None:
    """The first process does what the command line says; the others train with it."""
    from ontogeny.laboratory import follow
    from ontogeny.training.parallel import together

    with together() as ranks:
        if ranks.rank:
            follow(ranks)
        else:
            app()


def main() -> None:
    """Entry point: errors meant for people are printed plainly; Ctrl-C leaves a run that goes on later."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console that has no sign for a character shows ? in its place
    try:
        _with_others() if _is_one_of_many() else app()
    except OntogenyError as error:
        print(f"error: {visible(str(error))}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as end:  # typer turns Ctrl-C into an exit
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise
        print("stopped; the same command goes on from the last saved state", file=sys.stderr)
        sys.exit(INTERRUPTED)
