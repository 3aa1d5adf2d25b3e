"""A folder of runs to explore: a finished one, one with hostile names and sentences, and a broken one."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from ontogeny.disk import read_table, table_metadata, write_table

NASTY = "<img src=x onerror=alert(1)>"
PARADIGM = "../<b>up</b>"
SENTENCE = "<script>alert(2)</script> the dogs & \x1bturn"


@pytest.fixture(scope="session")
def folder(finished_run, tmp_path_factory) -> Path:
    """Nothing may change it."""
    root = tmp_path_factory.mktemp("explored")
    for name in ("tiny", NASTY, "broken"):
        shutil.copytree(finished_run, root / name)
    _poisoned(root / NASTY)
    (root / "broken" / "curves.parquet").write_bytes(b"PAR1 and no more")
    (root / "broken" / "verdicts.parquet").write_bytes(b"")
    (root / "notes").mkdir()
    return root


def _poisoned(run: Path) -> None:
    """The first paradigm gets a name that climbs, and its first pair a sentence that is a script."""
    first = read_table(run / "verdicts.parquet")["paradigm"][0]
    for table in (*run.glob("*.parquet"), *run.glob("suites/*.parquet"), *run.glob("seed-*/scores/*/*.parquet")):
        frame, about = read_table(table), table_metadata(table)
        frame = frame.with_columns(pl.col("paradigm").replace(first, PARADIGM))
        if "good" in frame.columns:
            frame = frame.with_columns(
                good=pl.when((pl.col("paradigm") == PARADIGM) & (pl.col("pair") == pl.col("pair").first().over("paradigm")))
                .then(pl.lit(SENTENCE))
                .otherwise("good")
            )
        write_table(table, frame, about)
