"""What the arms of a study should share and do not: tokenizer, first weights, engine, pairs, checkpoints, versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import polars as pl

from ontogeny.store import RunFolder, content_key, file_hash, table_metadata, weights_hash

LIBRARIES = ("python", "torch", "transformers", "tokenizers", "ontogeny")


class ComparableArm(Protocol):
    """An arm that has been read."""

    @property
    def arm(self) -> str:
        """Its name."""

    @property
    def run(self) -> RunFolder:
        """Its run."""

    @property
    def lineage(self) -> Mapping[str, Any]:
        """How it was made."""

    @property
    def curves(self) -> pl.DataFrame:
        """Of the seeds that were read to their end."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those seeds."""

    def steps(self) -> tuple[int, ...]:
        """Of the checkpoints."""


def differences(arms: Sequence[ComparableArm], reference: str) -> list[str]:
    """A sentence for each thing that an arm does not share with the reference, or, where that is not there, with the first arm."""
    if not arms:
        return []
    base = next((arm for arm in arms if arm.arm == reference), arms[0])
    others = [arm for arm in arms if arm.arm != base.arm]
    notes = []
    for what, of in (
        ("another tokenizer", lambda arm: tokenizer(arm.run)),
        ("another engine (device, threads, precision, compilation)", lambda arm: arm.lineage.get("engine")),
        ("other pairs", lambda arm: pairs(arm.run)),
        ("other checkpoints", lambda arm: arm.steps()),
        ("other versions of libraries", versions),
    ):
        expected = of(base)
        if other := [arm.arm for arm in others if of(arm) != expected]:
            notes.append(f"{_arms(other)} {what} than {base.arm!r}.")
    return notes + _first_weights(base, others)


def _arms(names: Sequence[str]) -> str:
    said = ", ".join(repr(name) for name in names)
    return f"Arm {said} has" if len(names) == 1 else f"Arms {said} have"


def tokenizer(run: RunFolder) -> str | None:
    """A hash of the tokenizer's files; None where it is not there."""
    files = sorted(path for path in run.tokenizer.glob("*") if path.is_file())
    return content_key([(path.name, file_hash(path)) for path in files]) if files else None


def pairs(run: RunFolder) -> dict[str, str | None]:
    """The key of each suite's pairs."""
    return {suite: table_metadata(run.pairs(suite)).get("key") for suite in run.suites()}


def versions(arm: ComparableArm) -> dict[str, Any]:
    """Versions of the libraries that can change a number."""
    found = arm.lineage.get("versions") or {}
    return {name: found.get(name) for name in LIBRARIES}


def first_weights(run: RunFolder, seed: int, suites: Iterable[str]) -> str | None:
    """The hash of a seed's weights at step 0, from what was read off them or else from the checkpoint; None where unknown."""
    for suite in suites:
        if (scores := run.scores(seed, suite, 0)).exists() and (found := table_metadata(scores).get("weights")):
            return found
    return weights_hash(run.checkpoint(seed, 0)) if run.has_checkpoint(seed, 0) else None


def _first_weights(base: ComparableArm, others: Sequence[ComparableArm]) -> list[str]:
    suites = base.curves["suite"].unique(maintain_order=True).to_list()
    expected = {seed: first_weights(base.run, seed, suites) for seed in base.seeds}
    differ: dict[str, list[int]] = {}
    unknown: dict[str, list[int]] = {}
    for arm in others:
        for seed in arm.seeds:
            found, wanted = first_weights(arm.run, seed, suites), expected.get(seed)
            if seed in expected and (found is None or wanted is None):
                unknown.setdefault(arm.arm, []).append(seed)
            elif seed in expected and found != wanted:
                differ.setdefault(arm.arm, []).append(seed)
    notes = [
        f"Arm {arm!r} does not begin from the weights of {base.arm!r} ({_seeds(seeds)}): they are not paired in initialisation."
        for arm, seeds in differ.items()
    ]
    said = [f"{arm!r} ({_seeds(seeds)})" for arm, seeds in unknown.items()]
    return notes + ([f"Whether they begin from the same weights is not known of {', '.join(said)}."] if said else [])


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
