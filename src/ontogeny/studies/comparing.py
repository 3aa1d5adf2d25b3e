"""What the arms of a study should share and do not: tokenizer, first weights, engine, pairs, checkpoints, versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from ontogeny.disk import content_key, table_metadata
from ontogeny.results import Results
from ontogeny.store import RunFolder, file_hash, weights_hash
from ontogeny.trajectories import Timeline

LIBRARIES = ("python", "torch", "transformers", "tokenizers", "ontogeny")


@dataclass(frozen=True, slots=True)
class Gap:
    """What a study does not have yet."""

    arm: str
    seed: int | None  # None: the whole arm
    why: str


@dataclass(frozen=True, eq=False)
class ReadArm:
    """One arm as its run's folder has it."""

    arm: str
    results: Results
    curves: pl.DataFrame  # of the study's paradigms, and of the seeds that were read to their end
    seeds: tuple[int, ...]
    gaps: tuple[Gap, ...]

    @property
    def run(self) -> RunFolder:
        """Its folder."""
        return self.results.folder

    @cached_property
    def timeline(self) -> Timeline:
        """The clock of its training."""
        return self.results.timeline(self.curves)


def differences(arms: Sequence[ReadArm], reference: str) -> list[str]:
    """A sentence for each thing that an arm does not share with the reference, or, where that is not there, with the first arm."""
    if not arms:
        return []
    base = next((arm for arm in arms if arm.arm == reference), arms[0])
    others = [arm for arm in arms if arm.arm != base.arm]
    notes = []
    for what, of in (
        ("another tokenizer", lambda arm: tokenizer(arm.run)),
        ("another engine (device, threads, precision, compilation)", lambda arm: arm.results.section("engine")),
        ("other pairs", lambda arm: {suite: table_metadata(arm.run.pairs(suite)).get("key") for suite in arm.run.suites()}),
        ("other checkpoints", lambda arm: arm.timeline.steps),
        ("other versions of libraries", lambda arm: [arm.results.section("versions", name) for name in LIBRARIES]),
    ):
        expected = of(base)
        if other := [repr(arm.arm) for arm in others if of(arm) != expected]:
            who = f"Arm {other[0]} has" if len(other) == 1 else f"Arms {', '.join(other)} have"
            notes.append(f"{who} {what} than {base.arm!r}.")
    return notes + _first_weights(base, others)


def tokenizer(run: RunFolder) -> str | None:
    """A hash of the tokenizer's files; None where it is not there.  `key.json` is about the text, which may differ."""
    files = sorted(path for path in run.tokenizer.glob("*") if path.is_file() and path.name != "key.json")
    return content_key([(path.name, file_hash(path)) for path in files]) if files else None


def first_weights(arm: ReadArm) -> dict[int, str | None]:
    """By seed, the hash of its weights at step 0, from what was read off them or else from the checkpoint; None where unknown."""
    suites, found = arm.curves["suite"].unique(maintain_order=True).to_list(), {}
    for seed in arm.seeds:
        scores = [path for suite in suites if (path := arm.run.scores(seed, suite, 0)).exists()]
        read = next((weights for path in scores if (weights := table_metadata(path).get("weights"))), None)
        there = read is None and arm.run.has_checkpoint(seed, 0)
        found[seed] = weights_hash(arm.run.checkpoint(seed, 0)) if there else read
    return found


def _first_weights(base: ReadArm, others: Sequence[ReadArm]) -> list[str]:
    expected, notes, unknown = first_weights(base), [], []
    for arm in others:
        pairs = {seed: (own, expected[seed]) for seed, own in first_weights(arm).items() if seed in expected}
        if other := [seed for seed, (own, wanted) in pairs.items() if None not in (own, wanted) and own != wanted]:
            said = f"Arm {arm.arm!r} does not begin from the weights of {base.arm!r} ({_seeds(other)})"
            notes.append(f"{said}: they are not paired in initialisation.")
        if open_ := [seed for seed, both in pairs.items() if None in both]:
            unknown.append(f"{arm.arm!r} ({_seeds(open_)})")
    return notes + ([f"Whether they begin from the same weights is not known of {', '.join(unknown)}."] if unknown else [])


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
