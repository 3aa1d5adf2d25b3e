"""Checkpoints in a table that somebody wrote: folder and step; seed, tokens and words where they are known."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from ontogeny.files import separated
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.sources.clock import Candidate
from ontogeny.sources.names import CheckpointName, number

SEPARATORS = {".csv": ",", ".tsv": "\t"}
NEEDED = ("folder", "step")
COLUMNS = (*NEEDED, "seed", "tokens", "words")


def read(source: Path) -> tuple[list[Candidate], list[str]]:
    """A candidate for each row, and the columns that were not read.

    Names of columns may have capitals and spaces about them.  Raises OntogenyError with file and line for whatever is not as it
    should be.
    """
    rows = _rows(source)
    columns = _columns(source, next(rows, (1, []))[1])
    found = [_candidate(source, line, dict(zip(columns, fields, strict=True))) for line, fields in rows]
    if not found:
        raise OntogenyError(f"{source} has no rows")
    _listed_once(source, found)
    return found, [name for name in columns if name not in COLUMNS]


def _rows(source: Path) -> Iterator[tuple[int, list[str]]]:
    """1-based line and fields of each row that is not blank, spaces about them taken off; the first are the columns' names."""
    separator = SEPARATORS.get(source.suffix.lower())
    if separator is None:
        raise OntogenyError(f"{source}: a table of checkpoints is .csv or .tsv with columns {', '.join(COLUMNS)}")
    for line, fields in separated(source, separator):
        yield line, [field.strip() for field in fields]


def _columns(source: Path, written: list[str]) -> list[str]:
    """Our names of the columns; one that is nearly one of them is taken for a slip."""
    names = [name.lower() if name.lower() in COLUMNS else name for name in written]
    if not names:
        raise OntogenyError(f"{source} cannot be read as a table (it is empty); its first line names the columns: folder,step")
    for needed in NEEDED:
        if needed not in names:
            raise OntogenyError(f"{source} has no column {needed!r}; {nearest(needed, names)}")
    for name in names:
        if names.count(name) > 1:
            raise OntogenyError(f"{source}:1: two columns are called {name!r}; only one may be")
        if name not in COLUMNS and (meant := get_close_matches(name.lower(), COLUMNS, n=1, cutoff=0.75)):
            raise OntogenyError(f"{source}:1: no column is called {name!r}; did you mean {meant[0]!r}?")
    return names


def _candidate(source: Path, line: int, row: dict[str, str]) -> Candidate:
    place = f"{source}:{line}"
    told = CheckpointName(
        "table",
        step=_whole(place, "step", row["step"]),
        seed=_whole(place, "seed", row.get("seed", "0")),
        tokens=_whole(place, "tokens", row["tokens"]) if row.get("tokens") else None,
        words=_count(place, "words", row["words"]) if row.get("words") else None,
    )
    return Candidate(row["folder"], _folder(source, place, row["folder"]), told, told.seed or 0, line)


def _folder(source: Path, place: str, written: str) -> Path:
    if not written:
        raise OntogenyError(f"{place}: folder is empty, expected a model's folder")
    try:
        folder = (source.parent / Path(written).expanduser()).resolve()
        there = folder.is_dir()
    except (OSError, RuntimeError, ValueError):  # nobody's home, a name too long, a null byte
        folder, there = source.parent / written, False
    if not there:
        raise OntogenyError(f"{place}: no folder {folder}")
    if not (folder / "config.json").exists():
        raise OntogenyError(f"{place}: {folder} is not a model's folder: it has no config.json")
    return folder


def _whole(place: str, column: str, text: str) -> int:
    if re.fullmatch(r"[0-9]{1,18}", text):
        return int(text)
    raise _wrong(place, column, text, "a whole number")


def _count(place: str, column: str, text: str) -> float:
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?", text.lower()) and math.isfinite(float(text)):
        return float(text)
    raise _wrong(place, column, text, "a number")


def _wrong(place: str, column: str, text: str, expected: str) -> OntogenyError:
    """What a field holds, and what to write in its place where that is plain."""
    shown = text if re.fullmatch(r"[-+]?[0-9.]+", text) else repr(text) if text else "empty"
    meant = ""
    if (plain := number(text.rstrip("."))) is not None:
        meant = f": {plain}"
    elif text.lower() in ("nan", "na", "n/a", "null", "none", "-") and column in ("tokens", "words"):
        meant = "; leave it empty where it is not known"
    return OntogenyError(f"{place}: {column} is {shown}, expected {expected}{meant}")


def _listed_once(source: Path, found: list[Candidate]) -> None:
    lines: dict[tuple[int, Path], Candidate] = {}
    for candidate in found:
        other = lines.setdefault((candidate.seed, candidate.folder), candidate)
        if other.told.step != candidate.told.step:
            raise OntogenyError(
                f"{source}:{candidate.line}: {candidate.folder} is listed at step {candidate.told.step}, and on line {other.line} "
                f"at step {other.told.step}; a checkpoint has one"
            )
