"""One clock a run: checkpoints of each seed in order, by steps that stand for the same thing everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path

from ontogeny.display import some
from ontogeny.records import Checkpoint, OntogenyError
from ontogeny.sources.names import CLOCKS, CheckpointName


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model's folder that tells when in training it was written."""

    label: str  # its name
    folder: Path
    told: CheckpointName
    seed: int = 0
    line: int = 0  # of the table that lists it; 0 outside tables

    def __str__(self) -> str:
        return f"{self.folder} (line {self.line})" if self.line else str(self.folder)


def several_clocks(candidates: Sequence[Candidate], wanted: Sequence[str] = ()) -> str:
    """What each family of names has, and how to choose, if there are several; of those wanted, if they differ in their clock.

    Empty where there is one clock.
    """
    families: dict[str, list[Candidate]] = {}
    for candidate in sorted(candidates, key=lambda c: (c.seed, c.told.at)):
        families.setdefault(candidate.told.family, []).append(candidate)
    clocks = {family: own[0].told.clock or "" for family, own in families.items()}
    if len(families) == 1 or (wanted and len(set(clocks.values())) == 1):
        return ""
    lines = [f"  {name}: {len(own)} by {CLOCKS[clocks[name]]}: {some([c.label for c in own])}" for name, own in families.items()]
    alike = [family for family in families if list(clocks.values()).count(clocks[family]) > 1]
    both = f" (--names {' --names '.join(alike[:2])} if they are of one training)" if alike else ""
    return (
        f"has checkpoints under {len(families)} kinds of names, and a run has one clock:\n" + "\n".join(lines) + "\n"
        f"say which to take: --names {next(iter(families))}{both}; or give each kind a folder of its own, or list folders and "
        "steps in a table"
    )


def in_order(source: Path, candidates: Iterable[Candidate]) -> dict[int, list[Checkpoint]]:
    """Checkpoints by seed, in order of their clock.

    Raises OntogenyError that names two checkpoints at one step, or whose steps, tokens and words do not grow together.
    """
    seeds: dict[int, list[Checkpoint]] = {}
    for seed, group in groupby(sorted(candidates, key=lambda c: (c.seed, c.told.at)), key=lambda c: c.seed):
        own = list(group)
        for before, after in pairwise(own):
            if before.told.at == after.told.at:
                raise OntogenyError(f"{_where(source, after)}two checkpoints at step {after.told.at}: {before} and {after}")
        for count in ("tokens", "words"):
            _grow_together(source, [c for c in own if getattr(c.told, count) is not None], count)
        seeds[seed] = [_checkpoint(candidate) for candidate in own]
    return seeds


def end_to_end(source: Path, candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[str]]:
    """Stages that count anew, each behind the last checkpoint of the one before; and what was done, in words.

    Raises OntogenyError for a stage with several ingredients, which are branches of a tree and no trajectory.
    """
    placed, notes = [], []
    for seed, group in groupby(sorted(candidates, key=lambda c: (c.seed, c.told.stage or 1)), key=lambda c: c.seed):
        steps = tokens = 0  # at the end of the stage before
        for stage, part in groupby(group, key=lambda c: c.told.stage or 1):
            own = list(part)
            _one_ingredient(source, own, stage)
            if steps and own[0].told.anew:
                own = [replace(c, told=_later(c.told, steps, tokens)) for c in own]
                notes.append(f"stage {stage} of seed {seed} counts anew and is put behind the checkpoint at step {steps:,}")
            placed += own
            steps = max(c.told.step or 0 for c in own)
            tokens = max(c.told.tokens or 0 for c in own)
    return placed, notes


def _one_ingredient(source: Path, own: list[Candidate], stage: int) -> None:
    branches = {c.told.ingredient: c.label for c in own}
    if len(branches) > 1:
        raise OntogenyError(
            f"{source}: stage {stage} has {len(branches)} ingredients, which are branches of a tree and no trajectory: "
            f"{some(list(branches.values()))}; take one: --names 'stage{{stage}}-(ingredient1-)?step{{step}}-tokens{{tokens}}'"
        )


def _later(told: CheckpointName, steps: int, tokens: int) -> CheckpointName:
    return replace(told, step=(told.step or 0) + steps, tokens=None if told.tokens is None else told.tokens + tokens)


def _grow_together(source: Path, own: list[Candidate], count: str) -> None:
    """Names round: two checkpoints may tell the same number of tokens."""
    for before, after in pairwise(own):
        fewer, more = getattr(before.told, count), getattr(after.told, count)
        if more < fewer:
            raise OntogenyError(
                f"{_where(source, after)}steps and {count} must grow together: {before} is at step {before.told.at:,} and "
                f"{fewer:,} {count}, {after} at step {after.told.at:,} and {more:,}"
            )


def _checkpoint(candidate: Candidate) -> Checkpoint:
    told = candidate.told
    return Checkpoint(told.at, candidate.folder, told.tokens, None if told.words is None else float(told.words))


def _where(source: Path, candidate: Candidate) -> str:
    return f"{source}:{candidate.line}: " if candidate.line else ""
