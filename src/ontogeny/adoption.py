"""A run around checkpoints that somebody else trained: found by their folders' names, or listed in a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ontogeny import recipe as recipes
from ontogeny import registry
from ontogeny.display import Display
from ontogeny.laboratory import Run
from ontogeny.readers.folders import suite_part
from ontogeny.recipe import Observation
from ontogeny.records import Checkpoint, OntogenyError
from ontogeny.store import RunFolder, read_csv

# What the folders of well-known trainers look like.  The clock says what the number counts.
NAMES: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r"checkpoint-(\d+)"), "steps"),  # transformers' Trainer
    (re.compile(r"(?:global_?)?step[-_]?(\d+)"), "steps"),  # Pythia, ours
    (re.compile(r"chck_(\d+)([KMB])"), "words"),  # BabyLM 2025: words seen
]
UNIT = {"K": 1_000, "M": 1_000_000, "B": 1_000_000_000}
TABLES = {".csv": ",", ".tsv": "\t"}


def adopt(
    source: Path,
    suite: str,
    suite_path: Path | None,
    name: str | None,
    settings: Sequence[str],
    root: Path,
    display: Display,
) -> Run:
    """A run's folder around the checkpoints at `source`.

    Where only words are known (chck_10M), the words stand in for the steps.  Raises OntogenyError if nothing is found there, if two
    checkpoints of a seed have one step, or if one cannot be opened.
    """
    found = find(source)
    raw: dict[str, Any] = {"name": name or _safe(source), "suites": [suite_part(suite, suite_path)]}
    for setting in settings:
        recipes.override(raw, setting)
    here = Run.begin(recipes.build(Observation, raw, f"opening {source}"), root, display)
    with here.folder.writing():
        _same_checkpoints(here.folder, found)
        for seed, checkpoints in found.items():
            here.folder.adopt(seed, checkpoints)
        here.folder.note(opened={"from": str(source), "checkpoints": sum(map(len, found.values()))})
    seeds = f", seeds {sorted(found)}" if len(found) > 1 else ""
    display.say(f"{here.folder.path}: {sum(map(len, found.values()))} checkpoints of {source}{seeds}")
    return here


def _same_checkpoints(folder: RunFolder, found: dict[int, list[Checkpoint]]) -> None:
    """A run's scores belong to its checkpoints: more may come, none may be another or go."""
    for seed in folder.seeds():
        new = {checkpoint.step: checkpoint.folder for checkpoint in found.get(seed, [])}
        for old in folder.checkpoints(seed):
            if new.get(old.step) != old.folder:
                raise OntogenyError(
                    f"{folder.path} is a run around other checkpoints: step {old.step} of seed {seed} was {old.folder}, "
                    f"now {new.get(old.step, 'nothing')}; use --name for a run of its own"
                )


def find(source: Path) -> dict[int, list[Checkpoint]]:
    """Checkpoints by seed, in order of steps: from a table, a folder of folders, or a single model's folder."""
    if not source.exists():
        raise OntogenyError(f"{source} does not exist")
    rows = list(_from_table(source) if source.is_file() else _from_folder(source))
    if not rows:
        if source.is_file():
            raise OntogenyError(f"{source} has no rows")
        inside = ", ".join(sorted(p.name for p in source.iterdir())[:8]) or "nothing"
        raise OntogenyError(
            f"no checkpoints in {source}: expected folders with a config.json called checkpoint-500, step1000 or chck_10M "
            f"(or inside seed-0, seed-1 ...), or a table of folder, step, words; it holds {inside}"
        )
    seeds: dict[int, list[Checkpoint]] = {}
    for seed, checkpoint in sorted(rows, key=lambda row: (row[0], row[1].step)):
        known = seeds.setdefault(seed, [])
        if known and known[-1].step == checkpoint.step:
            raise OntogenyError(f"two checkpoints at step {checkpoint.step}: {known[-1].folder} and {checkpoint.folder}")
        if not (checkpoint.folder / "config.json").exists():
            raise OntogenyError(f"{checkpoint.folder} is not a model's folder: it has no config.json")
        known.append(checkpoint)
    return seeds


def _from_folder(source: Path) -> Iterator[tuple[int, Checkpoint]]:
    """Folders of checkpoints inside; where there is none, the folder itself if it is a model's."""
    if inside := list(_inside(source)):
        yield from inside
    elif (source / "config.json").exists():
        step, words = _step(source.name)
        yield 0, Checkpoint(1 if step is None else step, source.resolve(), None, words)


def _inside(source: Path) -> Iterator[tuple[int, Checkpoint]]:
    seeds = [p for p in source.iterdir() if re.fullmatch(r"seed[-_]?\d+", p.name) and p.is_dir()]
    for place in seeds or [source]:
        seed = int(re.sub(r"\D", "", place.name)) if seeds else 0
        inner = place / "checkpoints" if (place / "checkpoints").is_dir() else place
        for folder in inner.iterdir():
            step, words = _step(folder.name)
            if step is not None and (folder / "config.json").exists():
                yield seed, Checkpoint(step, folder.resolve(), None, words)


def _step(name: str) -> tuple[int | None, float | None]:
    """Step and words that a folder's name tells."""
    for pattern, clock in NAMES:
        if match := pattern.fullmatch(name):
            number = int(match[1]) * (UNIT[match[2]] if clock == "words" else 1)
            return number, float(number) if clock == "words" else None
    return None, None


def _from_table(source: Path) -> Iterator[tuple[int, Checkpoint]]:
    if source.suffix not in TABLES:
        raise OntogenyError(f"{source}: a table of checkpoints is .csv or .tsv with columns folder, step, words (seed)")
    try:
        table = read_csv(source, TABLES[source.suffix])
    except pl.exceptions.PolarsError as error:
        raise OntogenyError(f"{source} cannot be read as a table ({str(error).splitlines()[0]})") from error
    for needed in ("folder", "step"):
        if needed not in table.columns:
            raise OntogenyError(f"{source} has no column {needed!r}; {registry.nearest(needed, table.columns)}")
    for line, row in enumerate(table.iter_rows(named=True), 2):
        folder = (source.parent / Path(str(row["folder"])).expanduser()).resolve()
        if not isinstance(row["step"], int) or row["step"] < 0:
            raise OntogenyError(f"{source}:{line}: step is {row['step']!r}, expected a whole number")
        if not folder.is_dir():
            raise OntogenyError(f"{source}:{line}: no folder {folder}")
        yield int(row.get("seed") or 0), Checkpoint(row["step"], folder, row.get("tokens"), row.get("words"))


def _safe(source: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", source.resolve().stem if source.is_file() else source.resolve().name)
