"""A suite of one's own: one table of minimal pairs, in jsonl, CSV, TSV or parquet."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ontogeny import files
from ontogeny.files import characters
from ontogeny.recipe import Kind
from ontogeny.records import OntogenyError, Pair
from ontogeny.registry import nearest
from ontogeny.store import content_key, file_hash, missing, no_file
from ontogeny.suites.jsonl import checked, sentence

# our name: the names it may have in a table, ours first and then BLiMP's
COLUMNS = {
    "paradigm": ("paradigm", "UID"),
    "good": ("good", "sentence_good"),
    "bad": ("bad", "sentence_bad"),
    "pair": ("pair", "pairID", "pair_id"),
    "phenomenon": ("phenomenon", "linguistics_term"),
    "field": ("field",),
    "one_prefix": ("one_prefix", "one_prefix_method"),
    "two_prefix": ("two_prefix", "two_prefix_method"),
    "human": ("human",),
}
REQUIRED = ("paradigm", "good", "bad")
TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "": False}


class Table(Kind):
    """Minimal pairs from one table with the columns paradigm, good and bad.

    Optional: pair (an id, unique in its paradigm; else the row's number), phenomenon, field, one_prefix and two_prefix
    (true or false); context (what stands before both, conditioned on and not scored); bad_2, bad_3 ... (further wrong
    options; in jsonl and parquet also one list `options` in place of good and bad, the first right); human (a graded
    judgement: of the sentence `good` where there is no bad, else how far good is preferred to bad).  BLiMP's own names
    (sentence_good, UID ...) serve too, and other columns are left alone.  CSV and TSV begin with a line of names, and a
    field in double quotes may hold line breaks (which are read as \\n).  Spaces about names are none of theirs; sentences
    keep their own, which is said, but for a space after every comma where the line of names has them too.
    """

    kind: Literal["table"] = "table"
    path: Path
    """A .jsonl, .csv, .tsv or .parquet file."""
    label: str | None = Field(None, pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")
    """The suite's name; left out: the file's, without its extension."""

    @property
    def name(self) -> str:
        """The label, or the file's name with "-" for what is neither letter nor digit."""
        return self.label or re.sub(r"[^\w.-]+", "-", self.path.stem)

    def pairs(self) -> Iterator[Pair]:
        """Every pair, in the table's order.

        Raises OntogenyError, with file and line (row for parquet), for a file that is missing or of another kind, a
        column that is missing or there twice, an empty sentence, an id that comes twice, and a table without a pair.
        """
        file = self._file()
        seen: dict[tuple[str, str], str] = {}
        for number, (place, row) in enumerate(READERS[file.suffix.lower()](file), 1):
            pair = _pair(row, number, place)
            key = (pair.paradigm, pair.pair)
            if key in seen:
                raise OntogenyError(f"{place}: pair {pair.pair!r} of {pair.paradigm} was already at {seen[key]}")
            seen[key] = place
            yield pair
        if not seen:
            raise OntogenyError(f"{file}: holds no pair; a row for each is expected, with {', '.join(REQUIRED)}")

    def human(self) -> dict[str, float]:
        """Published human agreement by paradigm; here none."""
        return {}

    def fingerprint(self) -> str:
        """A hash of the file.  Raises OntogenyError if it is missing or of another kind."""
        file = self._file()
        return content_key("table", file.suffix.lower(), file_hash(file))

    def _file(self) -> Path:
        file = self.path.expanduser()
        if not file.exists():
            raise missing(file, f"suite {self.kind}")
        if not file.is_file() and not file.is_dir():
            raise no_file(file)
        if file.is_dir() or file.suffix.lower() not in READERS:
            raise OntogenyError(f"suite table: {file} is not a table; one file of these is wanted: {', '.join(READERS)}")
        return file


def _pair(row: dict[str, Any], number: int, place: str) -> Pair:
    human = _number(row, _column("human", row, place), place)
    good, bad, *more = _options(row, place, graded=human is not None)
    if twice := [text for n, text in enumerate(more) if text in (bad, *more[:n])]:
        raise OntogenyError(f"{place}: {twice[0]!r} is a wrong option twice; by chance each is chosen as often, so say it once")
    name = {ours: _column(ours, row, place) for ours in COLUMNS if ours not in ("good", "bad")}
    return Pair(
        paradigm=_text(row, name["paradigm"], place),
        pair=str(number) if name["pair"] is None else _text(row, name["pair"], place),
        good=good,
        bad=bad,
        phenomenon=_text(row, name["phenomenon"], place, needed=False),
        field=_text(row, name["field"], place, needed=False),
        one_prefix=_truth(row, name["one_prefix"], place),
        two_prefix=_truth(row, name["two_prefix"], place),
        context=checked(row["context"], "context", place) if row.get("context") else "",
        more=tuple(more),
        human=human,
    )


def _options(row: dict[str, Any], place: str, graded: bool) -> list[str]:
    """The right option and the wrong ones; "" for the wrong one of a graded sentence alone."""
    listed = row.get("options")
    if isinstance(listed, list) and not any(name in row for ours in ("good", "bad") for name in COLUMNS[ours]):
        if len(listed) < 2:
            raise OntogenyError(f"{place}: 'options' has {len(listed)}; two or more are expected, the right one first")
        return [checked(text, f"options[{n}]", place) for n, text in enumerate(listed)]
    bad = next((name for name in COLUMNS["bad"] if row.get(name)), None)
    if bad is None and graded:
        return [sentence(row, _column("good", row, place) or "good", place), ""]
    texts = [sentence(row, _column(ours, row, place) or ours, place) for ours in ("good", "bad")]
    further = sorted((int(name[4:]), name) for name in row if re.fullmatch(r"bad_([2-9]|[1-9][0-9]+)", name) and row[name])
    return texts + [checked(row[name], name, place) for _, name in further]


def _number(row: dict[str, Any], column: str | None, place: str) -> float | None:
    found = None if column is None else row[column]
    if found is None or found == "":
        return None
    try:
        number = float(found) if not isinstance(found, bool) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise OntogenyError(f"{place}: {column!r} is {found!r}; a number is expected, such as a mean rating")
    return number


def _column(ours: str, row: dict[str, Any], place: str) -> str | None:
    present = [name for name in COLUMNS[ours] if name in row]
    if len(present) > 1:
        raise OntogenyError(f"{place}: both {present[0]!r} and {present[1]!r} are there; only one may be")
    if not present and ours in REQUIRED:
        raise OntogenyError(f"{place}: no column {ours!r} (or {COLUMNS[ours][1]!r}); {nearest(ours, list(row))}")
    return present[0] if present else None


def _text(row: dict[str, Any], column: str | None, place: str, needed: bool = True) -> str:
    found = None if column is None else row[column]
    if not isinstance(found, str | int | None):
        raise OntogenyError(f"{place}: {column!r} is {type(found).__name__}, not text")
    text = "" if found is None else str(found)
    if needed and not text.strip():
        raise OntogenyError(f"{place}: {column!r} is empty; every pair needs one")
    return characters(text.strip(), column or "", place)


def _truth(row: dict[str, Any], column: str | None, place: str) -> bool:
    found = None if column is None else row[column]
    word = "" if found is None else str(found).strip().lower()
    if word not in TRUTH:
        raise OntogenyError(f"{place}: {column!r} is {found!r}; true or false is expected")
    return TRUTH[word]


# --- readers: (where it stands, column to value) -------------------------------------------------------------------

Rows = Iterator[tuple[str, dict[str, Any]]]


def _jsonl(file: Path) -> Rows:
    for line, row in files.objects(file):
        yield f"{file}:{line}", row


def _csv(file: Path) -> Rows:
    yield from _separated(file, ",")


def _tsv(file: Path) -> Rows:
    yield from _separated(file, "\t")


def _separated(file: Path, separator: str) -> Rows:
    names: list[str] = []
    for line, fields in files.separated(file, separator):
        if names:
            yield f"{file}:{line}", dict(zip(names, fields, strict=True))
        else:
            names = _header(fields, f"{file}:{line}")


def _header(fields: list[str], place: str) -> list[str]:
    names = [field.strip() for field in fields]
    if not any(known in names for columns in COLUMNS.values() for known in columns):
        raise OntogenyError(
            f"{place}: none of these is a column that is read: {', '.join(names)}; the first line names the columns"
        )
    for name in names:
        if names.count(name) > 1:
            raise OntogenyError(f"{place}: two columns are called {name!r}; only one may be")
    return names


def _parquet(file: Path) -> Rows:
    for number, row in files.parquet(file):
        yield f"{file}: row {number}", row


READERS: dict[str, Callable[[Path], Rows]] = {".jsonl": _jsonl, ".csv": _csv, ".tsv": _tsv, ".parquet": _parquet}
