"""Runs in words: the lines of `ontogeny list` and `ontogeny show`."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ontogeny.display import some
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder, access, human_size


def runs_in(root: Path) -> str:
    """A line for each run in a folder: name, checkpoints, what has been done.  Raises OntogenyError if the folder is not there."""
    if not root.is_dir():
        raise OntogenyError(
            f"no folder {root}; name another with --runs, or make a first run: ontogeny run recipes/quickstart.yaml"
        )
    with access(root, "read"):
        inside = sorted(root.iterdir())
    lines = {path.name: line for path in inside if (line := _line(path)) is not None}
    width = max(map(len, lines), default=0)
    return "\n".join(f"{name:{width}}  {line}" for name, line in lines.items()) or f"no runs in {root}"


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


def _progress(folder: RunFolder) -> str:
    parts = []
    planned = folder.lineage().get("training", {}).get("checkpoints")
    for seed in folder.seeds():
        checkpoints = folder.checkpoints(seed)
        scored = {suite: len(folder.scored(seed, suite)) for suite in folder.suites()}
        of = f" of {planned}" if planned and planned != len(checkpoints) else ""
        read = ", ".join(f"{suite} {n}" for suite, n in scored.items()) or "nothing"
        parts.append(f"seed {seed}: {len(checkpoints)}{of} checkpoints, scored {read}")
    size = _size(folder.path)
    done = "judged" if folder.verdicts.exists() else "not judged"
    return "; ".join([*parts, done, human_size(size)]) if parts else "nothing trained yet"


def _size(folder: Path) -> int:
    """Bytes of all files below a folder; those of a run in progress that vanish meanwhile count nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(place, name).stat().st_size
    return total
