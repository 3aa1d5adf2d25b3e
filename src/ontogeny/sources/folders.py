"""Checkpoints in a folder: their names tell when they were written.  What is not taken is listed, with the reason."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ontogeny.records import OntogenyError
from ontogeny.sources.clock import Candidate
from ontogeny.sources.names import CheckpointName, parse, understand

NO_FOLDER = "no folder"
NO_MODEL = "without config.json"
CLOSED = "which may not be read"
NO_MOMENT = "whose name tells no moment of training"
BARE = "whose name is a bare number, beside other names"
NOT_ASKED = "of other names than asked for"
OTHER_SEED = "whose name tells another seed than its folder"
BESIDE = "beside the checkpoints"
EMPTY = "of a seed, without a checkpoint"
ALONE = "alone"  # the family of a single model whose name tells nothing


@dataclass(frozen=True, slots=True)
class NotTaken:
    """What lies among checkpoints, or is named like one, and was not taken."""

    label: str  # seed-1/final
    reason: str

    def __str__(self) -> str:
        return f"{self.label} ({self.reason})"


@dataclass(frozen=True, slots=True)
class _Entry:
    path: Path
    seed: int | None  # that its folder is for


def look(source: Path, wanted: Sequence[str] = ()) -> tuple[list[Candidate], list[NotTaken]]:
    """Checkpoints in a folder, or in folders of seeds in it; where there are none, the folder itself if it is a model's.

    Raises OntogenyError if two folders are for one seed.
    """
    seeds = _seeds(source)
    entries = [_Entry(path, seed) for seed, folder in seeds.items() for path in _inside(folder)]
    if not (told := _told(entries, wanted)):
        entries += [_Entry(path, None) for path in _inside(source)]
        told = _told(entries, wanted)
    reasons = {entry.path: _reason(entry, told, wanted) for entry in entries}
    taken = [_candidate(source, entry, told[entry.path.name]) for entry in entries if not reasons[entry.path]]
    if alone := [] if taken else _alone(source, wanted):
        taken = alone
    else:
        with_some = {candidate.seed for candidate in taken}
        reasons |= {folder: EMPTY for seed, folder in seeds.items() if seed not in with_some}
        looked = {entry.path.parent for entry in entries} | reasons.keys()
        reasons = {path: BESIDE for folder in (source, *seeds.values()) for path in _beside(folder, looked)} | reasons
    return taken, [NotTaken(_label(source, path), reason) for path, reason in sorted(reasons.items()) if reason]


def _seeds(source: Path) -> dict[int, Path]:
    """Folders whose names tell a seed and no moment: seed-1, pythia-14m-seed1."""
    found: dict[int, Path] = {}
    for folder in (path for path in sorted(source.iterdir()) if path.is_dir()):
        told = parse(folder.name)
        if told is None or told.clock or told.seed is None:
            continue
        if told.seed in found:
            raise OntogenyError(f"{found[told.seed]} and {folder} are both for seed {told.seed}; open one, or a table")
        found[told.seed] = folder
    return found


def _inside(folder: Path) -> Iterator[Path]:
    """Every folder where checkpoints lie, and files that are named like one."""
    inner = folder / "checkpoints"
    yield from (path for path in (inner if inner.is_dir() else folder).iterdir() if path.is_dir() or _is_named(path))


def _beside(folder: Path, looked: Collection[Path]) -> Iterator[Path]:
    """What was not looked at and may be a checkpoint, or hold some; also the folder itself, if it is a model's."""
    yield from [folder] if _is_model(folder) else []
    yield from (path for path in folder.iterdir() if path not in looked and (_is_named(path) or _holds_model(path)))


def _told(entries: Sequence[_Entry], wanted: Sequence[str]) -> dict[str, CheckpointName]:
    return understand([entry.path.name for entry in entries if _is_model(entry.path)], wanted)


def _reason(entry: _Entry, told: Mapping[str, CheckpointName], wanted: Sequence[str]) -> str:
    """Why it is not taken; empty if it is."""
    name = entry.path.name
    if not _is_model(entry.path):
        return NO_FOLDER if not entry.path.is_dir() else NO_MODEL if _may_look(entry.path) else CLOSED
    if name in told:
        return OTHER_SEED if None not in (entry.seed, told[name].seed) and entry.seed != told[name].seed else ""
    known = parse(name)
    if known is None or not known.clock:
        return NO_MOMENT
    return NOT_ASKED if wanted else BARE


def _candidate(source: Path, entry: _Entry, told: CheckpointName) -> Candidate:
    seed = told.seed if entry.seed is None else entry.seed
    return Candidate(_label(source, entry.path), entry.path.resolve(), told, seed or 0)


def _alone(source: Path, wanted: Sequence[str]) -> list[Candidate]:
    """A single model, if it is one; where its name tells no moment and none is asked for, at step 1."""
    told = understand([source.name], wanted).get(source.name) or (None if wanted else CheckpointName(ALONE, step=1))
    return [Candidate(source.name, source.resolve(), told, told.seed or 0)] if told and _is_model(source) else []


def _is_model(path: Path) -> bool:
    return _may_look(path) and (path / "config.json").exists()


def _holds_model(path: Path) -> bool:
    return _is_model(path) or (path.is_dir() and _may_look(path) and any(map(_is_model, path.iterdir())))


def _may_look(path: Path) -> bool:
    return os.access(path, os.R_OK | os.X_OK)


def _is_named(path: Path) -> bool:
    """Named like a checkpoint, whatever it is: step1000.zip too; a bare number is no such name."""
    told = parse(path.name) or parse(path.name.split(".")[0])
    return told is not None and told.clock is not None and told.family != "number"


def _label(source: Path, path: Path) -> str:
    return str(path.relative_to(source)) if path != source else f"{source.name} itself"
