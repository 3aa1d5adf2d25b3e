"""A run around checkpoints that somebody else trained: found by their folders' names, or listed in a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ontogeny import recipe as recipes
from ontogeny import sources
from ontogeny.display import Display
from ontogeny.laboratory import Run
from ontogeny.readers.folders import suite_part
from ontogeny.recipe import Observation
from ontogeny.records import Checkpoint, OntogenyError
from ontogeny.store import RunFolder, file_name
from ontogeny.tokens.prepare import open_or_make
from ontogeny.tokens.pretrained import Pretrained, open_tokenizer


def adopt(
    source: Path,
    suite: str,
    suite_path: Path | None,
    name: str | None,
    settings: Sequence[str],
    root: Path,
    display: Display,
    names: Sequence[str] = (),
    tokenizer: str | None = None,
) -> Run:
    """A run's folder around the checkpoints at `source`; `names`: which of them, as `sources.find` takes them.

    `tokenizer`: a folder, or a name on the hub, of the tokenizer of checkpoints that have none; kept in the run's folder.

    Where only words are known (chck_10M), the words stand in for the steps.  What was not taken is said and kept in the lineage.
    Raises OntogenyError if nothing is found there, or more than one clock, or if two checkpoints of a seed have one step.
    """
    found = sources.find(source, names)
    raw: dict[str, Any] = {"name": name or _name_of(source), "suites": [suite_part(suite, suite_path)]}
    if tokenizer:
        raw["scoring"] = {"tokenizer": tokenizer}
    for setting in settings:
        recipes.override(raw, setting)
    recipe = recipes.build(Observation, raw, f"opening {source}")
    if (before := RunFolder(root / recipe.name)).adopted():
        _same_checkpoints(before, found.seeds)  # before its recipe is written
    named = recipe.scoring.tokenizer
    opened = open_tokenizer(named) if named else None
    here = Run.begin(recipe, root, display)
    with here.folder.writing():
        if named and opened is not None:
            open_or_make(here.folder.tokenizer, Pretrained(name=named).key(), lambda: opened)
        for seed, checkpoints in found.seeds.items():
            here.folder.adopt(seed, checkpoints)
        here.folder.note(opened={"from": str(source), **found.lineage()})
    seeds = f", seeds {sorted(found.seeds)}" if len(found.seeds) > 1 else ""
    display.say(f"{here.folder.path}: {found.count} checkpoints of {source}{seeds}")
    for line in found.warnings():
        display.warn(line)
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


def _name_of(source: Path) -> str:
    """A run's name: the source's with `-` for signs; one that has other letters, or begins with a sign, as `file_name` has it."""
    own = source.resolve().stem if source.is_file() else source.resolve().name
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", own)
    return plain if own.isascii() and plain[:1].isalnum() else file_name(own, own)
