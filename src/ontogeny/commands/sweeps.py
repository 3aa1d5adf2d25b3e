"""Running every recipe of a grid, several at a time, and the tables that speak of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ontogeny import disk, grids, yaml_text
from ontogeny import recipe as recipes
from ontogeny.display import QUIET, Display
from ontogeny.instruments import Instrument
from ontogeny.laboratory import Run
from ontogeny.recipe import Recipe
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder
from ontogeny.work.local import shares
from ontogeny.work.piece import Piece, do_all

if TYPE_CHECKING:
    from ontogeny.pages.panel import Tabulated


def recipes_of(path: Path, settings: Sequence[str] = ()) -> list[Recipe]:
    """The recipes of a file: one, or one for each combination of its grid.  Raises OntogenyError as `recipe.load` does."""
    raws = grids.expand(yaml_text.values(recipes.text_of(path), str(path), settings), str(path))
    return [recipes.build(Recipe, raw, str(path)) for raw in raws]


def begin(todo: Sequence[Recipe], root: Path) -> list[Path]:
    """Makes each run's folder, or opens it.  A run that was trained otherwise is refused before any is trained."""
    for recipe in todo:
        Run.begin(recipe, root)
    return [root / recipe.name for recipe in todo]


def pieces(runs: Sequence[Path], jobs: int = 1) -> list[Piece]:
    """The pieces of work that these runs are, `jobs` at a time on a machine."""
    return [Piece("run", str(path.absolute()), {"share": jobs} if jobs > 1 else {}, label=path.name) for path in runs]


def run_all(todo: Sequence[Recipe], root: Path, jobs: int = 1, display: Display = QUIET, on: str | None = None) -> list[Path]:
    """Runs each recipe to its report, `jobs` at a time, each with its share of the cores; does only what is missing.

    `on`: by which engine; left out: by that of the first recipe.
    """
    paths = begin(todo, root)
    there = [path for path in paths if RunFolder(path).report.exists()]  # these cost little, and say nothing of the time left
    missing = [path for path in paths if path not in there]
    with recipes.engine(todo[0].engine if todo else None, on).opened(shares(jobs), display) as submit:
        for title, some, before in (("runs", missing, len(there)), ("runs that were there", there, 0)):
            if some:
                do_all(pieces(some, jobs), submit, display, title, unit="runs", begun=before)
    return paths


def compare_all(runs: Sequence[Path], root: Path, display: Display = QUIET) -> Path | None:
    """Writes the page that compares the runs of a grid; its path, or None, with the reason said, where they do not compare."""
    from ontogeny.comparison.page import compare, where

    if len(runs) < 2:
        return None
    try:
        return compare(runs, where(runs, root), warn=display.warn)[1]
    except OntogenyError as error:
        display.warn(f"no page compares these runs: {error}")
        return None


def check_tables(todo: Sequence[Recipe], root: Path, stem: str) -> None:
    """Raises OntogenyError, before anything is trained, if a file of somebody else's lies where a table would be written."""
    speak = {one.name for recipe in todo for one in recipe.instruments if type(one).across is not Instrument.across}
    for name in sorted(speak):
        for out in (root / f"{stem}.parquet", root / f"{stem}-{name}.parquet"):
            disk.check_output(out, mend="move it away")


def tables_across(todo: Sequence[Recipe], root: Path, stem: str) -> dict[Path, Tabulated]:
    """The tables of instruments that speak of several runs at once, written beside the runs; by path, what a terminal shows."""
    every = {one.name: one for recipe in todo for one in recipe.instruments}
    found: dict[Path, Tabulated] = {}
    for name, instrument in every.items():
        runs = [RunFolder(root / recipe.name) for recipe in todo if name in {one.name for one in recipe.instruments}]
        if (across := instrument.across(runs)) is not None:
            table, shown = across
            out = root / (f"{stem}.parquet" if not found else f"{stem}-{name}.parquet")
            disk.write_table(out, table)
            found[out] = shown
    return found
