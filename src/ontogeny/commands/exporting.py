"""A run's tables as files for other programs: tidy, each with its rows named, and a codebook of what every column means."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from ontogeny import disk
from ontogeny.codebook import meaning
from ontogeny.display import QUIET, Display
from ontogeny.laboratory import Run
from ontogeny.pages.words import count
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest

CODEBOOK = {"table": pl.String, "column": pl.String, "type": pl.String, "unit": pl.String, "meaning": pl.String}
R_TYPES = {"String": "character", "Boolean": "logical", "Int": "integer", "UInt": "integer", "Float": "double"}
OPTIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("csv", "json", "r"), ()),
    "babylm": ("seed", "name", "data", "track"),
    "hub": ("seed", "name", "private"),
}
TO = tuple(OPTIONS)


def export(run: Run, to: str, out: Path | None = None, display: Display = QUIET, **options: Any) -> str:
    """Writes a run for others, and says where: `to` csv, json, r, babylm or hub, with the options that the command line has.

    Raises OntogenyError with the nearest for what nothing is exported to, for options of another kind, and as each does.
    """
    if to not in TO:
        raise OntogenyError(f"--to {to}: runs are exported to {', '.join(TO)}; {nearest(to, list(TO))}")
    given = {name: value for name, value in options.items() if value not in (None, False)}
    if wrong := [name for name in given if name not in OPTIONS[to]]:
        takes = ", ".join(f"--{name}" for name in OPTIONS[to]) or "--out alone"
        raise OntogenyError(f"--{wrong[0]} is nothing that an export to {to} takes; it takes {takes}")
    if to == "babylm":
        return _to_babylm(run, out or Path("results"), display, given)
    if to == "hub":
        return _to_hub(run, display, given)
    return str(export_tables(run, to, out or Path(f"export-{run.folder.name}"), display))


def _to_babylm(run: Run, out: Path, display: Display, options: Mapping[str, Any]) -> str:
    from ontogeny.commands.babylm import Submission

    made = Submission(run, **options)
    written = made.write(out)
    for what, why in made.left_out.items():
        display.warn(f"left out: {what}: {why}")
    return str(written)


def _to_hub(run: Run, display: Display, options: Mapping[str, Any]) -> str:
    from ontogeny.commands.pushing import push

    if "name" not in options:
        raise OntogenyError("an export to hub goes to a repository: --name OWNER/NAME")
    return push(run, options["name"], display, options.get("seed"), options.get("private", False))


def tables(run: Run) -> Iterator[tuple[str, pl.DataFrame, dict[str, tuple[str, str]]]]:
    """Name, rows and what instruments say of their columns, of every table of a run that is there."""
    folder, results = run.folder, run.results
    for path in (folder.verdicts, folder.curves, folder.sensitivity, folder.correlations):
        if path.exists():
            yield path.stem, disk.read_table(path), {}
    if results.losses is not None:
        yield "losses", results.losses, {}
    for suite in folder.suites():
        yield f"pairs-{suite}", disk.read_table(folder.pairs(suite)), {}
        if (scores := folder.scan_scores(suite)) is not None:
            yield f"scores-{suite}", disk.collected(scores), {}
    for name, read in results.tables.items():
        said = {column: (one.says, one.unit) for column, one in read.instrument.columns.items()}
        yield f"reading-{name}", disk.collected(read.frame), said
    for path in sorted(folder.evidence("margins").parent.glob("*.parquet")):
        yield f"evidence-{path.stem}", disk.read_table(path), {}


def codebook(name: str, frame: pl.DataFrame, said: dict[str, tuple[str, str]]) -> pl.DataFrame:
    """A row a column of one table: its type, unit and meaning."""
    table = name.removeprefix("evidence-")
    rows = [
        (name, column, str(kind), *reversed(said.get(column) or meaning(table, column))) for column, kind in frame.schema.items()
    ]
    return pl.DataFrame(rows, schema=CODEBOOK, orient="row")


def export_tables(run: Run, to: str, out: Path, display: Display) -> Path:
    """Writes every table of a run as csv, json or r (csv with a script that reads them) into a folder, with `codebook`.

    Raises OntogenyError for a folder that is there and was not made by this.
    """
    disk.claim(out, MARK[to], "Name another folder with --out")
    if not (out / MARK[to]).exists():  # first, so that what stops in the middle is known for ours
        _write_text(out / MARK[to], "")
    book, written = pl.DataFrame(schema=CODEBOOK), {}
    for name, frame, said in tables(run):
        file = disk.file_name(name)
        written[file] = frame.schema
        _write(out / f"{file}{ENDING[to]}", frame)
        book.extend(codebook(file, frame, said).with_columns(table=pl.lit(file)))
    if to == "r":
        _write_text(out / MARK["r"], _script(written))
    _write(out / f"codebook{ENDING[to]}", book)
    display.say(f"{out}: {count(len(written), 'table')} and their codebook")
    return out


MARK = {"csv": "codebook.csv", "json": "codebook.json", "r": "load.R"}
ENDING = {"csv": ".csv", "json": ".json", "r": ".csv"}


def _write(path: Path, frame: pl.DataFrame) -> None:
    """A table by the name's end."""
    if path.suffix == ".json":
        _write_text(path, json.dumps(frame.to_dicts(), ensure_ascii=False, indent=0) + "\n")
    else:
        disk.export_table(path, frame)


def _write_text(path: Path, text: str) -> None:
    with disk.atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _script(written: dict[str, pl.Schema]) -> str:
    """R that reads every table with the type of each of its columns, into a list `ontogeny`."""
    lines = ["# read with: source('load.R', chdir = TRUE); then ontogeny$verdicts, ontogeny$codebook ...", "ontogeny <- list("]
    how = "check.names = FALSE, na.strings = '', fileEncoding = 'UTF-8'"
    schemas = {**written, "codebook": pl.Schema(CODEBOOK)}
    for name, schema in schemas.items():
        kinds = ", ".join(f"`{column}` = '{_r_type(kind)}'" for column, kind in schema.items())
        lines.append(f"  `{name}` = read.csv('{name}.csv', {how}, colClasses = c({kinds})),")
    return "\n".join([*lines[:-1], lines[-1].removesuffix(","), ")", ""])


def _r_type(kind: Any) -> str:
    """R's whole numbers have 32 bits: 64 of them are read as double, which is exact to 2^53."""
    if str(kind) in ("Int64", "UInt64", "UInt32"):
        return "double"
    return next((r for ours, r in R_TYPES.items() if str(kind).startswith(ours)), "character")
