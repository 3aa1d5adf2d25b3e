"""Where checkpoints come from that somebody else trained: a folder of folders, revisions on the hub, or a table that lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ontogeny.display import some
from ontogeny.records import Checkpoint, OntogenyError
from ontogeny.sources import folders, table
from ontogeny.sources.clock import end_to_end, in_order, several_clocks
from ontogeny.sources.folders import NotTaken
from ontogeny.sources.hub import Listing
from ontogeny.sources.names import CLOCKS
from ontogeny.sources.revisions import RevisionChoice, Revisions, arrange, is_address, look


@dataclass(frozen=True, slots=True)
class Found:
    """Checkpoints by seed in order of steps, and what else there was."""

    seeds: dict[int, list[Checkpoint]]
    names: list[str]  # families of names: step, chck ...; or table
    clock: str  # what stands for the steps: step, words, tokens, ordinal
    not_taken: list[NotTaken] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    revisions: Revisions | None = None  # of the hub

    @property
    def count(self) -> int:
        """Checkpoints of all seeds."""
        return sum(map(len, self.seeds.values()))

    def lineage(self) -> dict[str, Any]:
        """What the run keeps of it."""
        told = {"names": self.names, "clock": self.clock, "notes": self.notes}
        return {"checkpoints": self.count, **told, "not_understood": [str(one) for one in self.not_taken]}

    def warnings(self) -> list[str]:
        """What a person should hear: what was made of the names, and everything that was not taken."""
        return [*self.notes, *_by_reason(self.not_taken)]


def find(source: Path, wanted: Sequence[str] = (), choice: RevisionChoice | None = None, listing: Listing | None = None) -> Found:
    """Checkpoints of a table, of a folder of folders, of a single model's folder, or of a repository on the hub.

    `wanted`: families of names to take (step, chck ...), or patterns such as iter_{step}; empty: those of one family.  `choice`:
    of revisions on the hub, of which `listing` knows what was said before.  Raises OntogenyError if nothing is found, if names tell
    more than one clock, or if checkpoints have no order.
    """
    choice = replace(choice or RevisionChoice(), names=tuple(wanted))
    try:
        if source.is_file():
            return _in_table(source, choice, listing or Listing())
        if source.exists():
            return _in_folder(source, wanted)
    except OSError as error:
        raise OntogenyError(f"{error.filename or source} cannot be read ({error.strerror or error})") from error
    if not is_address(str(source)):
        raise OntogenyError(f"{source} does not exist")
    return _of_hub(look([str(source)], choice, listing or Listing()))


def _of_hub(found: Revisions) -> Found:
    return Found(found.seeds, found.families, found.clock, found.not_taken, found.notes, found)


def _in_table(source: Path, choice: RevisionChoice, listing: Listing) -> Found:
    if choice.names:
        raise OntogenyError(f"--names is for names of folders; {source} is a table, which says its steps itself")
    candidates, unread = table.read(source)
    notes = [f"columns of {source.name} that are not read: {some(unread)}"] if unread else []
    if table.is_of_hub(candidates[0]):
        if len({str(one.folder).partition("@")[0] for one in candidates}) > 1:
            candidates = [replace(one, label=str(one.folder)) for one in candidates]
        refs = {str(one.folder): listing.commit(*str(one.folder).split("@", 1)) for one in candidates}
        found = _of_hub(arrange(str(source), candidates, refs, [], choice, listing))
        return replace(found, notes=[*notes, *found.notes])
    return Found(in_order(source, candidates), ["table"], "step", notes=notes)


def _in_folder(source: Path, wanted: Sequence[str]) -> Found:
    candidates, not_taken = folders.look(source.resolve(), wanted)
    if not candidates:
        raise OntogenyError("\n".join([_nothing(source, wanted), *_by_reason(not_taken)]))
    if trouble := several_clocks(candidates, wanted):
        raise OntogenyError("\n".join([f"{source} {trouble}", *_by_reason(not_taken)]))
    families, clock = list(dict.fromkeys(c.told.family for c in candidates)), candidates[0].told.clock or "step"
    placed, notes = end_to_end(source, candidates)
    if clock != "step":
        notes = [f"names of checkpoints tell no optimiser steps; in place of steps stand {CLOCKS[clock]}", *notes]
    if families == [folders.ALONE]:
        notes = [f"the name of {source} tells no moment of training; it stands at step 1"]
    return Found(in_order(source, placed), families, clock, not_taken, notes)


def _nothing(source: Path, wanted: Sequence[str]) -> str:
    called = " or ".join(wanted) or "checkpoint-500, step1000 or chck_10M"
    inside = some(sorted(path.name for path in source.iterdir())) or "nothing"
    return (
        f"no checkpoints in {source}: expected folders with a config.json called {called} (or inside seed-0, seed-1 ...; for other "
        f"names: --names 'iter_{{step}}'), or a table of folder, step, words; it holds {inside}"
    )


def _by_reason(not_taken: Sequence[NotTaken]) -> list[str]:
    labels: dict[str, list[str]] = {}
    for one in not_taken:
        labels.setdefault(one.reason, []).append(one.label)
    return [f"not taken, {reason}: {some(own)}" for reason, own in labels.items()]
