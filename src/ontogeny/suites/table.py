"""A suite of one's own: tables of minimal pairs, in jsonl, CSV, TSV or parquet, or as two files side by side."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ontogeny import files
from ontogeny.disk import content_key, missing, no_file
from ontogeny.display import some
from ontogeny.files import characters
from ontogeny.recipe import Kind
from ontogeny.records import OntogenyError, Pair
from ontogeny.registry import nearest
from ontogeny.store import file_hash
from ontogeny.suites.jsonl import checked, sentence, value

Row = dict[str, Any]
Rows = Iterator[tuple[str, Row]]
Check = Callable[[list[str], str], None]  # of a line of names, and where it stands

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
    """Minimal pairs from tables with the columns paradigm, good and bad: a file, a folder of files, or two files side by side.

    Optional: pair (an id, unique in its paradigm; else the row's number), phenomenon, field, one_prefix and two_prefix
    (true or false); context (what stands before both, conditioned on and not scored); bad_2, bad_3 ... (further wrong
    options; in jsonl and parquet also one list `options` in place of good and bad, the first right); human (a graded
    judgement: of the sentence `good` where there is no bad, else how far good is preferred to bad).  BLiMP's own names
    (sentence_good, UID ...) serve too, and other columns are left alone.  CSV and TSV begin with a line of names, unless
    `columns` says them, and a field in double quotes may hold line breaks (which are read as \\n).  Spaces about names are
    none of theirs; sentences keep their own, which is said, but for a space after every comma where the line of names has
    them too.  Side by side are NAME.good and NAME.bad, a sentence a line; and NAME.text and NAME.gold, sentences and, for each,
    where its target word is (from 0), that word, a wrong one, and perhaps how many attractors there are (Gulordava et al. 2018).
    """

    kind: Literal["table"] = "table"
    path: Path
    """A .jsonl, .csv, .tsv, .tab or .parquet file, one of two side by side, or a folder of such; what else is in there is named."""
    label: str | None = Field(None, pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")
    """The suite's name; left out: the file's, without its extension."""
    good: str | None = None
    """The column of the right sentence, where it has another name."""
    bad: str | None = None
    """The column of the wrong sentence, where it has another name."""
    paradigm: str | None = None
    """The column of the paradigm, where it has another name.  In a folder, or with columns named here, a file may be one."""
    columns: tuple[str, ...] = ()
    """The names of all columns in order, of CSV and TSV that have no line of names: [good, bad], [bad, good] ..."""

    @model_validator(mode="after")
    def _are_several(self) -> Self:
        for what, names in {"good, bad and paradigm": (self.good, self.bad, self.paradigm), "columns": self.columns}.items():
            if twice := next((name for name in names if name and names.count(name) > 1), None):
                raise ValueError(f"{what}: {twice!r} is named twice, and a column is one of them alone")
        return self

    @property
    def name(self) -> str:
        """The label, or the file's name with "-" for what is neither letter nor digit."""
        return self.label or re.sub(r"[^\w.-]+", "-", self.path.stem)

    def pairs(self) -> Iterator[Pair]:
        """Every pair, in the tables' order.

        Raises OntogenyError, with file and line (row for parquet), for a file that is missing or of another kind, a
        column that is missing or there twice, an empty sentence, an id that comes twice, and a table without a pair.
        """
        files, seen = self.files(), dict[tuple[str, str], str]()
        for file in files:
            for number, (place, row) in enumerate(self._rows(file), 1):
                says = any(name in row for name in COLUMNS["paradigm"])
                name = f"{file.stem}-{number}" if says and len(files) > 1 else str(number)
                own = {} if says or not self._lenient else {"paradigm": file.stem}
                yield once(_pair(row | own, name, place), place, seen)
        if not seen:
            named = str(files[0]) if len(files) == 1 else str(self.path)
            raise OntogenyError(f"{named}: holds no pair; a row for each is expected, with {', '.join(REQUIRED)}")

    def human(self) -> dict[str, float]:
        """Published human agreement by paradigm; here none."""
        return {}

    def fingerprint(self) -> str:
        """A hash of the files.  Raises OntogenyError if one is missing or of another kind."""
        named = [self.good, self.bad, self.paradigm, list(self.columns)] if self._renamed else []
        files = self.files()
        hashes = [store_hash for file in files for store_hash in (file.suffix.lower(), *map(file_hash, _side_by_side(file)))]
        return content_key("table", *hashes, *named)

    def left_out(self) -> list[str]:
        """Files of its folder that are no tables."""
        folder = self.path.expanduser()
        if not folder.is_dir():
            return []
        read = {part for file in self.files() for part in _side_by_side(file)}
        strange = sorted(file.name for file in folder.iterdir() if file.is_file() and file not in read)
        return [f"left out of {folder}, no tables: {some(strange)}"] if strange else []

    def files(self) -> list[Path]:
        """The tables.  Raises OntogenyError where there is none."""
        path = self.path.expanduser()
        if not path.exists():
            raise missing(path, f"suite {self.kind}")
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.is_file() and file.suffix.lower() in READERS)
        else:
            found = [path] if path.suffix.lower() in READERS else [f for f in _side_by_side(path) if f.suffix in BESIDE]
        if not path.is_file() and not path.is_dir():
            raise no_file(path)
        if not found:
            what = "holds no table" if path.is_dir() else "is not a table"
            raise OntogenyError(f"suite table: {path} {what}; files of these are read: {', '.join(READERS)}")
        return found

    @property
    def _renamed(self) -> bool:
        return bool(self.good or self.bad or self.paradigm or self.columns)

    @property
    def _lenient(self) -> bool:
        """Whether a file may be a paradigm; one table with its own names says them."""
        return self._renamed or self.path.expanduser().is_dir() or self.path.suffix in {*BESIDE, *BESIDE.values()}

    def _rows(self, file: Path) -> Rows:
        named = {name: ours for ours in ("good", "bad", "paradigm") if (name := getattr(self, ours))}
        for place, row in rows_of(file, self.columns, self._check_names):
            if absent := next((name for name in named if name not in row), None):
                raise OntogenyError(f"{place}: no column {absent!r}; {nearest(absent, list(row))}")
            given = {ours: row[name] for name, ours in named.items()}
            yield place, {name: one for name, one in row.items() if _ours(name) not in given} | given if given else row

    def _check_names(self, names: list[str], place: str) -> None:
        """Raises OntogenyError for a line of names of which none is read."""
        if not any(_ours(name) or name in (self.good, self.bad, self.paradigm) for name in names):
            raise OntogenyError(
                f"{place}: none of these is a column that is read: {', '.join(names)}; the first line names the columns, or "
                "`columns` does, as in --columns good,bad"
            )


def once(pair: Pair, place: str, seen: dict[tuple[str, str], str]) -> Pair:
    """The pair, noted where it stands.  Raises OntogenyError for one that was there, or has a wrong option twice."""
    wrong = pair.asked[1:] if pair.more and not pair.predictions else ()
    if twice := [text for n, (context, text) in enumerate(wrong) if (context, text) in wrong[:n]]:
        raise OntogenyError(f"{place}: {twice[0]!r} is a wrong option twice; by chance each is chosen as often, so say it once")
    key = (pair.paradigm, pair.pair)
    if key in seen:
        raise OntogenyError(f"{place}: pair {pair.pair!r} of {pair.paradigm} was already at {seen[key]}")
    seen[key] = place
    return pair


def _pair(row: Row, number: str, place: str) -> Pair:
    column = _column("human", row, place)
    human = None if column is None or row[column] in (None, "") else number_in(row, column, place)
    good, bad, *more = _options(row, place, graded=human is not None)
    name = {ours: _column(ours, row, place) for ours in COLUMNS if ours not in ("good", "bad")}
    return Pair(
        paradigm=_text(row, name["paradigm"], place),
        pair=number if name["pair"] is None else _text(row, name["pair"], place),
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


def _options(row: Row, place: str, graded: bool) -> list[str]:
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
    more = [name for name in row if name.startswith("bad_")]  # as the expression is slow, and there may be a million rows
    further = sorted((int(name[4:]), name) for name in more if re.fullmatch(r"bad_([2-9]|[1-9][0-9]+)", name) and row[name])
    return texts + [checked(row[name], name, place) for _, name in further]


def number_in(row: Row, column: str, place: str) -> float:
    """The number in a column.  Raises OntogenyError that names the place if there is none."""
    found = value(row, column, place)
    try:
        number = float(found) if not isinstance(found, bool) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise OntogenyError(f"{place}: {column!r} is {found!r}; a number is expected, such as a mean rating")
    return number


def _column(ours: str, row: Row, place: str) -> str | None:
    present = _present(ours, tuple(row))
    if len(present) > 1:
        raise OntogenyError(f"{place}: both {present[0]!r} and {present[1]!r} are there; only one may be")
    if not present and ours in REQUIRED:
        raise OntogenyError(f"{place}: no column {ours!r} (or {COLUMNS[ours][1]!r}); {nearest(ours, list(row))}")
    return present[0] if present else None


@lru_cache(256)
def _present(ours: str, names: tuple[str, ...]) -> list[str]:
    return [name for name in COLUMNS[ours] if name in names]


def _text(row: Row, column: str | None, place: str, needed: bool = True) -> str:
    found = None if column is None else row[column]
    if not isinstance(found, str | int | None):
        raise OntogenyError(f"{place}: {column!r} is {type(found).__name__}, not text")
    text = "" if found is None else str(found)
    if needed and not text.strip():
        raise OntogenyError(f"{place}: {column!r} is empty; every pair needs one")
    return characters(text.strip(), column or "", place)


def _truth(row: Row, column: str | None, place: str) -> bool:
    found = None if column is None else row[column]
    word = "" if found is None else str(found).strip().lower()
    if word not in TRUTH:
        raise OntogenyError(f"{place}: {column!r} is {found!r}; true or false is expected")
    return TRUTH[word]


# --- readers: (where it stands, column to value) -------------------------------------------------------------------


def rows_of(file: Path, columns: tuple[str, ...] = (), check: Check = lambda names, place: None) -> Rows:
    """The rows of a table; `columns` names them where a CSV or TSV file has no line of names, which is what is checked.

    Raises OntogenyError for a folder, and for a file of another kind.
    """
    if file.is_dir() or file.suffix.lower() not in READERS:
        raise OntogenyError(f"{file} is not a table; files of these are read: {', '.join(READERS)}")
    return READERS[file.suffix.lower()](file, columns, check)


def _jsonl(file: Path, columns: tuple[str, ...], check: Check) -> Rows:
    for line, row in files.objects(file):
        yield f"{file}:{line}", row


def _separated(separator: str, file: Path, columns: tuple[str, ...], check: Check) -> Rows:
    names = list(columns)
    for line, fields in files.separated(file, separator):
        if names and len(fields) != len(names):
            raise OntogenyError(f"{file}:{line}: {len(fields)} fields, and {len(names)} columns are named: {', '.join(names)}")
        if names:
            yield f"{file}:{line}", dict(zip(names, fields, strict=True))
        else:
            names = _header(fields, f"{file}:{line}", check)


def _header(fields: list[str], place: str, check: Check) -> list[str]:
    names = [field.strip() for field in fields]
    check(names, place)
    for name in names:
        if names.count(name) > 1:
            raise OntogenyError(f"{place}: two columns are called {name!r}; only one may be")
    return names


def _ours(name: str) -> str | None:
    """What we call a column that may have several names."""
    return next((ours for ours, names in COLUMNS.items() if name in names), None)


def _parquet(file: Path, columns: tuple[str, ...], check: Check) -> Rows:
    for number, row in files.parquet(file):
        yield f"{file}: row {number}", row


def _beside(file: Path, columns: tuple[str, ...], check: Check) -> Rows:
    """Two files side by side, line by line."""
    one, other = _side_by_side(file)
    many = {part: sum(1 for _ in files.lines(part)) for part in (one, other)}
    if many[one] != many[other]:
        raise OntogenyError(f"{one} has {many[one]:,} lines and {other.name} {many[other]:,}; they belong together line by line")
    for (line, left), (_, right) in zip(files.lines(one), files.lines(other), strict=True):
        place = f"{other}:{line}"
        yield place, {"good": left, "bad": right} if file.suffix == ".good" else _target(left.split(" "), right.split("\t"), place)


def _target(words: list[str], fields: list[str], place: str) -> Row:
    """A line of .text and one of .gold: the target word and a wrong one after what stands before them."""
    if len(fields) < 3 or not fields[0].strip().isdecimal():
        raise OntogenyError(
            f"{place}: {len(fields)} fields; where the target is (from 0), it and a wrong form are expected, with tabs"
        )
    at, right, wrong, *attractors = (field.strip() for field in fields)
    if int(at) >= len(words):
        raise OntogenyError(f"{place}: the target is word {at}, and the sentence has {len(words)} (counted from 0)")
    told = {"paradigm": f"{Path(place).stem}_attractors_{attractors[0]}"} if attractors else {}
    return told | {"context": " ".join(words[: int(at)]), "good": right, "bad": wrong}


BESIDE = {".good": ".bad", ".text": ".gold"}


def _side_by_side(file: Path) -> list[Path]:
    """A table's files: itself, and what stands beside it."""
    both = next((both for both in BESIDE.items() if file.suffix in both), None)
    return [file.with_suffix(suffix) for suffix in both] if both else [file]


READERS: dict[str, Callable[[Path, tuple[str, ...], Check], Rows]] = {
    ".jsonl": _jsonl,
    ".csv": partial(_separated, ","),
    ".tsv": partial(_separated, "\t"),
    ".tab": partial(_separated, "\t"),
    ".parquet": _parquet,
    **dict.fromkeys(BESIDE, _beside),
}
