"""Checkpoints in a table that somebody wrote: folder, or repository and revision, and step; seed, tokens and words where known."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ontogeny.files import separated
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.sources.clock import Candidate
from ontogeny.sources.names import CLOCKS, CheckpointName, number, parse

SEPARATORS = {".csv": ",", ".tsv": "\t"}
NEEDED = ("folder", "step")
COLUMNS = (*NEEDED, "seed", "tokens", "words")
OF_HUB = ("repo", "revision", "seed", "step", "tokens", "words")


def read(source: Path) -> tuple[list[Candidate], list[str]]:
    """A candidate for each row, and the columns that were not read.

    In a table with a column `repo` a candidate's folder is REPO@REVISION, and a step need not be written where the revision's name
    tells it.  Names of columns may have capitals and spaces about them.  Raises OntogenyError with file and line for whatever is
    not as it should be.
    """
    rows = _rows(source)
    written = next(rows, (1, []))[1]
    of_hub = "repo" in [name.lower() for name in written]
    columns = _columns(source, written, OF_HUB[:1] if of_hub else NEEDED, OF_HUB if of_hub else COLUMNS)
    make = _of_hub if of_hub else _candidate
    found = [make(source, line, dict(zip(columns, fields, strict=True))) for line, fields in rows]
    if not found:
        raise OntogenyError(f"{source} has no rows")
    _listed_once(source, found)
    _one_clock(source, found)
    return found, [name for name in columns if name not in (OF_HUB if of_hub else COLUMNS)]


def is_of_hub(candidate: Candidate) -> bool:
    """True for a candidate that is a revision of a repository."""
    return not candidate.folder.is_absolute()


def _rows(source: Path) -> Iterator[tuple[int, list[str]]]:
    """1-based line and fields of each row that is not blank, spaces about them taken off; the first are the columns' names."""
    separator = SEPARATORS.get(source.suffix.lower())
    if separator is None:
        raise OntogenyError(f"{source}: a table of checkpoints is .csv or .tsv with columns {', '.join(COLUMNS)}")
    for line, fields in separated(source, separator):
        yield line, [field.strip() for field in fields]


def _columns(source: Path, written: list[str], required: Sequence[str], known: Sequence[str]) -> list[str]:
    """Our names of the columns; one that is nearly one of them is taken for a slip."""
    names = [name.lower() if name.lower() in known else name for name in written]
    if not names:
        raise OntogenyError(f"{source} cannot be read as a table (it is empty); its first line names the columns: folder,step")
    for needed in required:
        if needed not in names:
            raise OntogenyError(f"{source} has no column {needed!r}; {nearest(needed, names)}")
    for name in names:
        if names.count(name) > 1:
            raise OntogenyError(f"{source}:1: two columns are called {name!r}; only one may be")
        if name not in known and (meant := get_close_matches(name.lower(), known, n=1, cutoff=0.75)):
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


def _of_hub(source: Path, line: int, row: dict[str, str]) -> Candidate:
    place, repo, revision = f"{source}:{line}", row["repo"], row.get("revision") or "main"
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise OntogenyError(f"{place}: repo is {repo!r}, expected OWNER/NAME")
    told = parse(revision) or parse(repo.split("/")[1]) or CheckpointName("table")
    told = replace(told, family="table", anew=told.anew and not row.get("step"))
    for name in ("step", "seed", "tokens", "words"):
        if row.get(name):
            number: Any = (_count if name == "words" else _whole)(place, name, row[name])
            told = replace(told, **{name: number})
    if told.clock is None:
        raise OntogenyError(f"{place}: {revision} tells no moment of training; write its step, tokens or words")
    return Candidate(revision, Path(f"{repo}@{revision}"), told, told.seed or 0, line)


def _one_clock(source: Path, found: list[Candidate]) -> None:
    """Steps are never mixed with words."""
    for one in found:
        if one.told.clock != found[0].told.clock:
            raise OntogenyError(
                f"{source}:{one.line}: a run has one clock, and this row is told in {CLOCKS[one.told.clock or 'step']}, line "
                f"{found[0].line} in {CLOCKS[found[0].told.clock or 'step']}; write the steps of all"
            )


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
