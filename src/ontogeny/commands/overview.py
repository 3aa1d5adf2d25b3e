"""Runs in words: the lines of `ontogeny list` and `ontogeny show`."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from ontogeny.disk import access, human_size, read_table
from ontogeny.display import count, some
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder

LOOKED_AT = 1000  # files of a folder whose sizes are asked for; looking at each of 100,000 takes most of a second


def runs_in(root: Path) -> str:
    """A line for each run in a folder: name, checkpoints, what has been done.  Raises OntogenyError if the folder is not there."""
    lines = {path.name: line for path in _inside(root) if (line := _line(path)) is not None}
    width = max(map(len, lines), default=0)
    return "\n".join(f"{name:{width}}  {line}" for name, line in lines.items()) or f"no runs in {root}"


def _inside(root: Path) -> list[Path]:
    if not root.is_dir():
        raise OntogenyError(
            f"no folder {root}; name another with --runs, or make a first run: ontogeny run recipes/quickstart.yaml"
        )
    with access(root, "read"):
        return sorted(root.iterdir())


def _line(path: Path) -> str | None:
    """How far a run has come, or why that cannot be said, so that one broken run hides no other; None for what is no run."""
    try:
        with access(path, "read"):
            there = (path / "lineage.json").exists()
        return _progress(RunFolder(path)) if there else None
    except Exception as error:  # whatever the files of one run hold
        said = str(error) if isinstance(error, OntogenyError) else f"{type(error).__name__}: {error}"
        return f"broken: {' '.join(said.split())}"


def describe(folder: RunFolder) -> str:
    """A run in a few lines."""
    lineage = folder.lineage()
    training, text = lineage.get("training", {}), lineage.get("tokens", {}).get("train", {})
    lines = [f"{folder.path}, {lineage.get('kind', 'trained')}, begun {lineage.get('created', 'at an unknown time')}"]
    if training:
        warmup = f", {training['warmup']:,} of them warm-up" if training.get("warmup") is not None else ""
        lines.append(f"{training['parameters'] / 1e6:.1f}M parameters, {training['steps']:,} steps{warmup}")
    if text:
        lines.append(f"{text['words']:,} words, {text['tokens']:,} tokens, unigram entropy {text['unigram_entropy']:.3f} nats")
    lines += lineage.get("corpus", [])
    if opened := lineage.get("opened"):
        lines.append(f"around the checkpoints of {opened['from']}")
        lines += [f"! {note}" for note in opened.get("notes", [])]
        lines += [f"! not taken: {some(left)}"] if (left := opened.get("not_understood")) else []
    lines.append(_progress(folder))
    lines += [f"! {warning}" for warning in lineage.get("warnings", [])]
    if folder.report.exists():
        lines.append(f"report: {folder.report}")
    return "\n".join(lines)


def described(folder: RunFolder) -> dict[str, Any]:
    """The same as values, for other programs, with the verdicts as a list of rows."""
    lineage = folder.lineage()
    kept = {name: lineage.get(name) for name in ("kind", "created", "training", "tokens", "opened", "warnings")}
    verdicts = read_table(folder.verdicts).to_dicts() if folder.verdicts.exists() else None
    report = str(folder.report) if folder.report.exists() else None
    return {"name": folder.name, "path": str(folder.path), **kept, **standing(folder), "report": report, "verdicts": verdicts}


def listed(root: Path) -> list[dict[str, Any]]:
    """How far each run in a folder has come, as values; of a broken run what is wrong."""
    found = []
    for path in _inside(root):
        try:
            if (path / "lineage.json").exists():
                found.append({"name": path.name, "path": str(path), **standing(RunFolder(path))})
        except Exception as error:  # whatever the files of one run hold
            found.append({"name": path.name, "path": str(path), "broken": str(error)})
    return found


def standing(folder: RunFolder) -> dict[str, Any]:
    """How far a run has come: of each seed its checkpoints and what has been scored of them, and its bytes.

    No file of a checkpoint is opened.
    """
    planned, suites = folder.lineage().get("training", {}).get("checkpoints"), folder.suites()
    seeds = [
        {
            "seed": seed,
            "checkpoints": len(folder.steps(seed)),
            "scored": {suite: len(folder.scored(seed, suite)) for suite in suites},
        }
        for seed in folder.seeds()
    ]
    return {"seeds": seeds, "planned": planned, "judged": folder.verdicts.exists(), "bytes": _size(folder.path)}


def _progress(folder: RunFolder) -> str:
    now, parts = standing(folder), []
    for one in now["seeds"]:
        of = f" of {now['planned']}" if now["planned"] and now["planned"] != one["checkpoints"] else ""
        read = ", ".join(f"{suite} {n}" for suite, n in one["scored"].items()) or "nothing"
        there = count(one["checkpoints"], "checkpoint") if not of else f"{one['checkpoints']:,}{of} checkpoints"
        parts.append(f"seed {one['seed']}: {there}, scored {read}")
    done = "judged" if now["judged"] else "not judged"
    return "; ".join([*parts, done, human_size(now["bytes"])]) if parts else "nothing trained yet"


def _size(folder: Path | str) -> int:
    """Bytes of all files below a folder; those of a run in progress that vanish meanwhile count nothing.

    Of the checkpoints of a seed one is looked at, for all: they are as large as one another.  Of a folder of thousands of tables,
    one for each checkpoint, one in so many is.
    """
    files: list[os.DirEntry[str]] = []
    inner: list[os.DirEntry[str]] = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            (inner if entry.is_dir(follow_symlinks=False) else files).append(entry)
    each = 1 + len(files) // LOOKED_AT
    total = sum(map(_bytes, files[::each])) * len(files) // max(1, len(files[::each]))
    if inner and Path(folder).name == "checkpoints":
        return total + len(inner) * _size(inner[-1].path)
    return total + sum(_size(entry.path) for entry in inner)


def _bytes(file: os.DirEntry[str]) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def plain(value: Any) -> Any:
    """What JSON has no word for, as what it has: tables as lists of rows, NaN as null."""
    if isinstance(value, pl.DataFrame):
        return plain(value.to_dicts())
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
