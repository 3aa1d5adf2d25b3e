"""Accuracy tables that somebody else made: paradigm, step, seed and accuracy, and no pairs."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from ontogeny.disk import access, read_csv, read_table
from ontogeny.files import check_lines, check_parquet
from ontogeny.records import OntogenyError
from ontogeny.suites.zorro import PHENOMENON
from ontogeny.trajectories.curves import MEASURES, check_accuracies, check_doubled, grid, need, seeds_alike

TEXTS = ("paradigm", "suite", "field", "phenomenon", "metric")
COUNTS = {"seed": 0, "step": 0, "n": 1}  # whole numbers, and the least that each can be
KNOWN = (*TEXTS, *COUNTS, *MEASURES, "score")
LARGEST = 2**53  # beyond it floats, as which tables may hold them, do not tell whole numbers apart
CLOSE = 0.8  # likeness of a column's name to a known one from which it is taken for a slip

READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": lambda path: read_csv(path, texts=TEXTS),
    ".tsv": lambda path: read_csv(path, "\t", TEXTS),
    ".parquet": read_table,
}
BLIMP, ZORRO = 1000, 2000  # pairs of a paradigm
KEPT = ("field", "phenomenon")


def read_accuracy_table(path: Path | str, n: int | None = None, say: Callable[[str], None] = lambda text: None) -> pl.DataFrame:
    """A table of curves (suite, seed, step and `curve`'s columns) from a csv, tsv or parquet file.

    The file has columns paradigm, step, seed and accuracy, or `score` with `metric` "acc" (rows of other metrics are no
    accuracies and are left out).  Accuracies are shares, 0 to 1.  The pairs of a paradigm come from a column `n`, else
    from the argument, else they are 2,000 for Zorro's paradigms and 1,000, BLiMP's, for all others.  Columns suite, field
    and phenomenon are kept (suite is else the file's name); what the file does not say, such as margins, is null.  `say`
    is told which columns are not read, how many pairs are taken for granted, and which seeds are left out, as in a run:
    those that do not have the checkpoints of the one that has most.  Raises OntogenyError for an unreadable or unknown
    kind of file, missing columns, columns whose names are close to those of missing ones, values that are none, doubled
    rows, accuracies outside 0 to 1, and paradigms that lack some checkpoints.
    """
    path = Path(path)
    frame = _with_accuracy(_read(path), path)
    need(frame, ("paradigm", "step", "seed", "accuracy"), f"the rows of {path.name}")
    _check_names(frame, path, say)
    if "n" not in frame.columns:
        if n is None:
            n = ZORRO if all(name.endswith(tuple(PHENOMENON)) for name in _texts(frame["paradigm"], path)) else BLIMP
            say(f"{path.name} has no column 'n': each paradigm is taken to have {n:,} pairs")
        frame = frame.with_columns(n=pl.lit(n, pl.Int64))
    if "suite" not in frame.columns or frame["suite"].dtype == pl.Null:
        frame = frame.with_columns(suite=pl.lit(path.stem))
    frame = _typed(frame, path)
    if len(suites := frame["suite"].unique().sort()) > 1:
        raise OntogenyError(f"{path.name} holds several suites: {', '.join(suites)}; one suite at a time: keep the rows of one")
    try:
        check_accuracies(frame)
        check_doubled(frame, ["paradigm", "seed", "step"])
        frame = _seeds_alike(frame, say)
        grid(frame)
    except OntogenyError as error:
        raise OntogenyError(f"{path.name}: {error}") from None
    absent = [pl.lit(None, pl.Float64).alias(name) for name in MEASURES if name not in frame.columns]
    columns = ["suite", "seed", "step", "paradigm", "n", *MEASURES, *(k for k in KEPT if k in frame.columns)]
    return frame.with_columns(absent).select(columns).sort("seed", "step", "paradigm")


def without_common_prefix(curves: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """The curves with what all paradigms begin with, up to an underscore (`blimp_`), taken off, and what that was.

    An empty string and the same curves where nothing is common, or there is only one paradigm.
    """
    names = curves["paradigm"].unique().sort().to_list()
    words = names[0].split("_")[:-1] if len(names) > 1 else []
    shared = ("_".join(words[:length]) + "_" for length in range(len(words), 0, -1))
    prefix = next((head for head in shared if all(name.startswith(head) for name in names)), "")
    return curves.with_columns(pl.col("paradigm").str.strip_prefix(prefix)), prefix


def _seeds_alike(frame: pl.DataFrame, say: Callable[[str], None]) -> pl.DataFrame:
    read = {seed: own["step"].unique().sort().to_list() for (seed,), own in frame.group_by("seed", maintain_order=True)}
    alike = sorted(seeds_alike(read))
    if others := sorted(read.keys() - alike):
        say(f"seeds {others} have other checkpoints than seeds {alike} and are left out")
    return frame.filter(pl.col("seed").is_in(alike))


def _read(path: Path) -> pl.DataFrame:
    kind = path.suffix.lower()
    if kind not in READERS:
        raise OntogenyError(f"{path.name}: accuracy tables are {', '.join(READERS)} files")
    with access(path, "read"):
        if not path.is_file():
            raise OntogenyError(f"there is no file {path}")
    (check_parquet if kind == ".parquet" else check_lines)(path)
    try:
        frame = READERS[kind](path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise OntogenyError(f"{path.name} cannot be read: {str(error).splitlines()[0]}") from error
    if frame.is_empty():
        raise OntogenyError(f"{path.name} has no rows")
    return frame


def _with_accuracy(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    if "accuracy" in frame.columns or "score" not in frame.columns:
        return frame
    if "metric" not in frame.columns:
        raise OntogenyError(f"{path.name} has scores but no column 'metric' that says which are accuracies ('acc')")
    metrics = _texts(frame["metric"], path)
    kept = frame.filter(metrics == "acc").rename({"score": "accuracy"})
    if kept.is_empty():
        raise OntogenyError(
            f"{path.name} has no rows whose metric is 'acc'; metrics: {', '.join(sorted(set(metrics.drop_nulls())))}"
        )
    return kept


def _check_names(frame: pl.DataFrame, path: Path, say: Callable[[str], None]) -> None:
    """Raises OntogenyError for a column that may be a known one misspelt; says which others are not read."""
    others = [name for name in frame.columns if name not in KNOWN]
    for name in others:
        plain = name.strip().casefold().partition("_duplicated_")[0]  # polars' name for a column that is there twice
        missing = [known for known in KNOWN if known not in frame.columns]
        if likely := [plain] if plain in KNOWN else get_close_matches(plain, missing, n=1, cutoff=CLOSE):
            raise OntogenyError(f"{path.name} has a column {name!r}, which is none that is read; did you mean {likely[0]!r}?")
    if others:
        say(f"{path.name}: columns that are not read: {', '.join(others)}")


def _typed(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Texts, whole numbers for seed, step and n, floats for what is measured; raises OntogenyError for a value that is none."""
    texts = [_texts(frame[name], path) for name in TEXTS if name in frame.columns]
    counts = [_whole(_numbers(frame[name], path), path) for name in COUNTS]
    return frame.with_columns(*texts, *counts, *(_numbers(frame[name], path) for name in MEASURES if name in frame.columns))


def _texts(column: pl.Series, path: Path) -> pl.Series:
    """Names may be written as numbers, truth values or categories."""
    where = f"{path.name}: column {column.name!r}"
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        raise OntogenyError(f"{where} is not all text ({column.dtype})")
    texts = column.cast(pl.String)
    empty = (texts.fill_null("").str.strip_chars() == "").arg_true()
    if column.name in ("paradigm", "suite") and len(empty):
        raise OntogenyError(f"{where} is empty in {len(empty)} rows, the first of them row {empty[0] + 1}")
    return texts


def _numbers(column: pl.Series, path: Path) -> pl.Series:
    where = f"{path.name}: column {column.name!r}"
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Null)):
        raise OntogenyError(f"{where} is not all numbers ({column.dtype})")
    numbers = column.cast(pl.Float64, strict=False)
    if len(wrong := (numbers.is_null() & column.is_not_null()).arg_true()):
        raise OntogenyError(f"{where} is not all numbers: {column[int(wrong[0])]!r} in row {wrong[0] + 1}")
    if column.name not in MEASURES and numbers.null_count():
        empty = numbers.is_null().arg_true()
        raise OntogenyError(f"{where} is empty in {len(empty)} rows, the first of them row {empty[0] + 1}")
    return numbers if column.name == "accuracy" or column.name in COUNTS else numbers.fill_nan(None)


def _whole(numbers: pl.Series, path: Path) -> pl.Series:
    where, least = f"{path.name}: column {numbers.name!r}", COUNTS[numbers.name]
    if len(wrong := (~(numbers.is_finite() & (numbers == numbers.round()))).arg_true()):
        found = f"{numbers[int(wrong[0])]:.16g} in row {wrong[0] + 1}"
        raise OntogenyError(f"{where} has numbers that are not whole: {found}")
    if len(wrong := (~numbers.is_between(least, LARGEST)).arg_true()):
        raise OntogenyError(f"{where} has {numbers[int(wrong[0])]:.16g} in row {wrong[0] + 1}; it is {least} to {LARGEST:,}")
    return numbers.cast(pl.Int64)
