"""The command line: each command is one typed function, and does nothing that Python callers cannot."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ontogeny.records import OntogenyError

if TYPE_CHECKING:
    from ontogeny.laboratory import Run

INTERRUPTED = 130  # exit status after Ctrl-C

app = typer.Typer(
    help="A laboratory for how language models grow up, and where they get stuck.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

Settings = Annotated[list[str], typer.Option("--set", metavar="NAME=VALUE", help="Lay a value over the recipe: training.batch=64.")]
Root = Annotated[Path, typer.Option("--runs", help="Folder that holds the runs.")]
Jobs = Annotated[int, typer.Option(help="Seeds trained side by side, each with its share of the cores.", min=1)]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, such as runs/quickstart.")]


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="A recipe, such as recipes/quickstart.yaml.")],
    settings: Settings = [],  # noqa: B006 - typer copies it
    root: Root = Path("runs"),
    jobs: Jobs = 1,
) -> None:
    """Text to verdicts: tokens, training, scores at every checkpoint, verdicts, report.  Goes on where it was left."""
    here = _begin(recipe, settings, root)
    here.train(jobs)
    here.score(jobs=jobs)
    _conclude(here)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe, or the folder of a run to go on with.")],
    settings: Settings = [],  # noqa: B006
    root: Root = Path("runs"),
    jobs: Jobs = 1,
) -> None:
    """Train only: every seed to its last checkpoint."""
    from ontogeny.display import Display
    from ontogeny.laboratory import Run

    if recipe.is_dir() and settings:
        raise OntogenyError(f"a run's settings stand in its recipe: {recipe / 'recipe.yaml'}; --set is for a recipe")
    here = Run(recipe, Display()) if recipe.is_dir() else _begin(recipe, settings, root)
    here.train(jobs)


@app.command()
def score(
    folder: Annotated[Path, typer.Argument(help="A run's folder, or one that from_pretrained opens.")],
    suite: Annotated[str | None, typer.Option(help="For a single folder: blimp, babylm-supplement, table ...")] = None,
    suite_path: Annotated[Path | None, typer.Option(help="Where the suite's files are.")] = None,
    out: Annotated[Path | None, typer.Option(help="For a single folder: the parquet file to write.")] = None,
    again: Annotated[list[int], typer.Option(help="For a run: score the checkpoint at this step once more.")] = [],  # noqa: B006
    bos: Annotated[bool, typer.Option(help="Begin each sentence with BOS.")] = True,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; auto takes a GPU where there is one.")] = "auto",
    jobs: Jobs = 1,
) -> None:
    """Score every checkpoint of a run that has no scores yet, or one folder that `from_pretrained` opens."""
    from ontogeny.display import Display
    from ontogeny.laboratory import Run, score_one

    if (folder / "lineage.json").exists():
        if suite or suite_path or out or not bos or device != "auto":
            raise OntogenyError(
                "--suite, --suite-path, --out, --no-bos and --device are for a single folder; a run has them in its recipe"
            )
        Run(folder, Display()).score(again, jobs)
    elif suite is None:
        raise OntogenyError(f"{folder} is no run's folder; to score it as a single model say --suite, for example --suite blimp")
    else:
        if again or jobs > 1:
            raise OntogenyError("--again and --jobs are for a run; a single folder is scored each time")
        print(score_one(folder, suite, suite_path, out or Path("scores.parquet"), bos, device, Display()))


@app.command("open")
def open_(
    folder: Annotated[Path, typer.Argument(help="Folder of checkpoints, or a table with columns folder, step, words (seed).")],
    suite: Annotated[str, typer.Option(help="blimp, babylm-supplement, table ...")] = "blimp",
    suite_path: Annotated[Path | None, typer.Option(help="Where the suite's files are.")] = None,
    name: Annotated[str | None, typer.Option(help="The run's name; left out: the folder's.")] = None,
    settings: Settings = [],  # noqa: B006
    root: Root = Path("runs"),
    jobs: Jobs = 1,
) -> None:
    """Make a run around checkpoints that somebody else trained, then score, judge and report it."""
    from ontogeny.adoption import adopt
    from ontogeny.display import Display

    here = adopt(folder, suite, suite_path, name, settings, root, Display())
    here.score(jobs=jobs)
    _conclude(here)


@app.command()
def verdicts(
    source: Annotated[Path, typer.Argument(help="A run's folder, or a table of accuracies (paradigm, step, seed, accuracy).")],
    settings: Settings = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(help="For a table: where to write the verdicts as parquet.")] = None,
) -> None:
    """Judge every paradigm: learned, entrenched, forgotten, recovered late ..."""
    from ontogeny.display import Display
    from ontogeny.judging import judge_table
    from ontogeny.laboratory import Run

    display = Display()
    if source.is_dir():
        if out:
            raise OntogenyError(f"--out is for a table; a run's verdicts are in {source / 'verdicts.parquet'}")
        if settings:
            raise OntogenyError(f"a run's thresholds stand in its recipe: edit verdicts in {source / 'recipe.yaml'}")
        display.verdicts(Run(source, display).judge())
    else:
        display.verdicts(judge_table(source, settings, out, display))


@app.command()
def report(run: RunPath) -> None:
    """Write the page and its figures."""
    from ontogeny.display import Display
    from ontogeny.laboratory import Run

    print(Run(run, Display()).write_report())


@app.command("list")
def list_(root: Root = Path("runs")) -> None:
    """List the runs in a folder."""
    from ontogeny.overview import runs_in

    print(runs_in(root))


@app.command()
def show(run: RunPath) -> None:
    """Show one run: what it is, how far it has come, its verdicts."""
    from ontogeny.display import Display
    from ontogeny.overview import describe
    from ontogeny.store import RunFolder, read_table

    folder = RunFolder.existing(run)
    print(describe(folder))
    if folder.verdicts.exists():
        Display().verdicts(read_table(folder.verdicts))


def _begin(recipe: Path, settings: list[str], root: Path) -> Run:
    from ontogeny import recipe as recipes
    from ontogeny.display import Display
    from ontogeny.laboratory import Run

    return Run.begin(recipes.load(recipe, settings), root, Display())


def _conclude(here: Run) -> None:
    here.display.verdicts(here.judge())
    print(f"report: {here.write_report()}")


def main() -> None:
    """Entry point: errors meant for people are printed plainly; Ctrl-C leaves a run that goes on later."""
    try:
        app()
    except OntogenyError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as end:  # typer turns Ctrl-C into an exit
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise
        print("stopped; the same command goes on from the last saved state", file=sys.stderr)
        sys.exit(INTERRUPTED)
