"""Accuracy tables that somebody else made: paradigm, step, seed and accuracy, and no pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from ontogeny.records import OntogenyError
from ontogeny.store import read_csv, scan_table
from ontogeny.trajectories.curves import MEASURES, check_accuracies, check_doubled, grid, need

READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": read_csv,
    ".tsv": lambda path: read_csv(path, separator="\t"),
    ".parquet": lambda path: scan_table(path).collect(),
}
KEPT = ("suite", "field", "phenomenon")


def read_accuracy_table(path: Path | str, n: int = 1000) -> pl.DataFrame:
    """A table of curves (suite, seed, step and `curve`'s columns) from a csv, tsv or parquet file.

    The file has columns paradigm, step, seed and accuracy, or `score` with `metric` "acc" (rows of other metrics are no
    accuracies and are left out).  Accuracies are shares, 0 to 1.  The pairs of a paradigm come from a column `n`, else
    from the argument.  Columns suite, field and phenomenon are kept (suite is else the file's name); what the file does
    not say, such as margins, is null.  Raises OntogenyError for an unreadable or unknown kind of file, missing columns,
    doubled rows, accuracies outside 0 to 1, and seeds that differ in their checkpoints.
    """
    path = Path(path)
    frame = _with_accuracy(_read(path), path)
    need(frame, ("paradigm", "step", "seed", "accuracy"), f"the rows of {path.name}")
    if "n" not in frame.columns:
        frame = frame.with_columns(n=pl.lit(n, pl.Int64))
    if "suite" not in frame.columns:
        frame = frame.with_columns(suite=pl.lit(path.stem))
    frame = _typed(frame, path)
    check_accuracies(frame)
    check_doubled(frame, ["paradigm", "seed", "step"])
    grid(frame)
    absent = [pl.lit(None, pl.Float64).alias(name) for name in MEASURES if name not in frame.columns]
    columns = ["suite", "seed", "step", "paradigm", "n", *MEASURES, *(k for k in KEPT[1:] if k in frame.columns)]
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


def _read(path: Path) -> pl.DataFrame:
    if path.suffix not in READERS:
        raise OntogenyError(f"{path.name}: accuracy tables are {', '.join(READERS)} files")
    if not path.is_file():
        raise OntogenyError(f"there is no file {path}")
    try:
        frame = READERS[path.suffix](path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise OntogenyError(f"{path.name} cannot be read: {str(error).splitlines()[0]}") from error
    if frame.is_empty():
        raise OntogenyError(f"{path.name} has no rows")
    return frame


def _with_accuracy(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    if "accuracy" in frame.columns or "score" not in frame.columns:
        return frame
    if "metric" not in frame.columns:
        raise OntogenyError(f"{path.name} has scores but no column 'metric' that says which are accuracies ('acc')")
    kept = frame.filter(pl.col("metric") == "acc").rename({"score": "accuracy"})
    if kept.is_empty():
        raise OntogenyError(
            f"{path.name} has no rows whose metric is 'acc'; metrics: {', '.join(sorted(frame['metric'].unique()))}"
        )
    return kept


def _typed(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Whole numbers for seed, step and n, floats for accuracy; raises OntogenyError for a column that is not."""
    for name, kind in {"seed": pl.Int64, "step": pl.Int64, "n": pl.Int64, "accuracy": pl.Float64}.items():
        try:
            numbers = frame[name].cast(pl.Float64)
        except pl.exceptions.PolarsError as error:
            raise OntogenyError(f"{path.name}: column {name!r} is not all numbers") from error
        if numbers.null_count():
            raise OntogenyError(f"{path.name}: column {name!r} is empty in {numbers.null_count()} rows")
        if kind == pl.Int64 and not (numbers == numbers.round()).all():
            raise OntogenyError(f"{path.name}: column {name!r} has numbers that are not whole")
        frame = frame.with_columns(numbers.cast(kind))
    return frame
