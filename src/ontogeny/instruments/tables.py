"""The tables that instruments leave in a run's folder: one an instrument and checkpoint, each with what it was read with.

    seed-0/readings/INSTRUMENT/step-00000128.parquet      metadata: key, settings, weights, and `not` where it does not apply

A table is written whole or not at all, so new settings or weights leave no old rows behind.  A curve is made of tables of one key.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import polars as pl

from ontogeny import disk, registry, store
from ontogeny.instruments.dev_loss import DevLoss
from ontogeny.instruments.instrument import Instrument
from ontogeny.instruments.subject import Subject
from ontogeny.recipe import Observation
from ontogeny.records import Checkpoint, OntogenyError
from ontogeny.store import RunFolder, step_of
from ontogeny.training.schedule import nearest

MOVED = "moved"  # the key of a table of the version before, which kept no key of each instrument
NO_LENGTH = -1  # of rules: the index of the row of what has no length


def write(instrument: Instrument, subject: Subject) -> str:
    """Reads one checkpoint and keeps the table.  Returns why the instrument does not apply, if it does not."""
    key = instrument.key(subject.context)
    table, reason = instrument.table_of(subject)
    path = subject.context.folder.reading(instrument.name, subject.seed, subject.checkpoint.step)
    disk.write_table(path, table, {"key": key, "settings": _settings(instrument), "weights": subject.weights, "not": reason})
    return reason


def is_there(folder: RunFolder, instrument: Instrument, key: str, seed: int, checkpoint: Checkpoint) -> bool:
    """True if an instrument has read a checkpoint, with these settings and these weights."""
    path = folder.reading(instrument.name, seed, checkpoint.step)
    if not path.exists():
        return False
    facts, sealed = disk.table_metadata(path), store.sealed_weights(checkpoint.folder)
    same = facts.get("settings") == _settings(instrument) if facts.get("key") == MOVED else facts.get("key") == key
    return same and (sealed is None or facts.get("weights") == sealed)


def unread(folder: RunFolder, recipe: Observation, seed: int, steps: Sequence[int]) -> dict[str, list[int]]:
    """By instrument of a recipe, the steps at which it should have left a table with its settings and has none.

    `steps`: of all checkpoints of the seed.
    """
    found: dict[str, list[int]] = {}
    for instrument in (*own_instruments(recipe), *recipe.instruments):
        asked = steps if instrument.name == DevLoss.NAME else due(folder, recipe, seed, steps)
        paths = {step: folder.reading(instrument.name, seed, step) for step in asked}
        settings = _settings(instrument)
        gone = [s for s, path in paths.items() if not path.exists() or disk.table_metadata(path).get("settings") != settings]
        found |= {instrument.name: gone} if gone else {}
    return found


def due(
    folder: RunFolder, recipe: Observation, seed: int, kept: Sequence[int], words_per_step: float | None = None
) -> Collection[int]:
    """Of the checkpoints that are `kept`, those that `instruments.at` asks for; its dev loss is read at all.

    `words_per_step`: left out, what the seed's last checkpoint says.
    """
    if (at := recipe.instruments.at) is None or not kept:
        return kept
    if words_per_step is None:
        last = folder.checkpoints(seed)[-1]
        words_per_step = (last.words or 0) / max(1, last.step)
    return nearest(at, kept, words_per_step, "instruments.at")


def _settings(instrument: Instrument) -> str:
    return json.dumps(instrument.model_dump(mode="json"), sort_keys=True)


@dataclass(frozen=True, slots=True)
class InstrumentTables:
    """What one instrument read of a run's checkpoints."""

    name: str
    frame: pl.LazyFrame  # seed, step and the instrument's columns
    settings: dict[str, Any]  # that all of it was read with
    moments: tuple[tuple[int, int], ...]  # seed and step of each table
    others: tuple[tuple[int, int], ...]  # of tables read with other settings or of other text, which are left out
    reason: str  # why it does not apply to these models, if it does not

    @property
    def instrument(self) -> Instrument:
        """The instrument with those settings.  Raises OntogenyError where it is not installed, or is of another version."""
        try:
            found: Instrument = registry.load("instrument", str(self.settings.get("kind"))).model_validate(self.settings)
        except ValueError as error:  # pydantic's
            raise OntogenyError(
                f"the instrument {self.name} does not take the settings that its tables were read with "
                f"({str(error).splitlines()[0]}); ontogeny read RUN --with {self.name} reads it anew"
            ) from None
        return found


def names(folder: RunFolder) -> list[str]:
    """Instruments that have tables in a run's folder, in order."""
    found = {path.name for seed in folder.seeds() for path in _inside(folder.readings(seed)) if path.is_dir()}
    return sorted(found | {name for seed in folder.seeds() for path in _old(folder, seed) for name in _old_names(path)})


def tables_of(folder: RunFolder, name: str) -> InstrumentTables | None:
    """One instrument's tables, lazily; None if it has read nothing.

    They are of one key, that of most checkpoints (of equals, of the last one); the others are named, not mixed in.
    """
    there = {(seed, step_of(path)): path for seed in folder.seeds() for path in _inside(folder.readings(seed) / name)}
    if not there:
        return _as_before(folder, name)
    facts = {moment: disk.table_metadata(path) for moment, path in sorted(there.items())}
    keys = _keys(facts)
    counts = Counter(keys.values())
    most = max(reversed(keys.values()), key=lambda key: counts[key])
    mine = [moment for moment, key in keys.items() if key == most]
    frame = disk.scan_tables({moment: there[moment] for moment in mine}).select("seed", "step", pl.exclude("seed", "step"))
    said = next((fact["not"] for fact in facts.values() if fact.get("not")), "")
    settings = json.loads(facts[mine[-1]].get("settings", "{}"))
    return InstrumentTables(name, frame, settings, tuple(mine), tuple(moment for moment, key in keys.items() if key != most), said)


def _keys(facts: Mapping[tuple[int, int], Mapping[str, str]]) -> dict[tuple[int, int], str]:
    """The key of each table; one that was moved counts as what was read since with the same settings, as in `is_there`."""
    since = {fact.get("settings"): fact.get("key", "") for fact in facts.values() if fact.get("key") != MOVED}
    return {
        moment: since.get(fact.get("settings"), MOVED) if fact.get("key") == MOVED else fact.get("key", "")
        for moment, fact in facts.items()
    }


def _inside(folder: Path) -> list[Path]:
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted((path for path in found if not path.name.startswith(".")), key=attrgetter("name"))


# --- runs of the version before -----------------------------------------------------------------------------------
# There, all instruments of a checkpoint had one table in common: instrument, key, value.


def _old(folder: RunFolder, seed: int) -> list[Path]:
    return [path for path in _inside(folder.readings(seed)) if path.is_file() and path.suffix == ".parquet"]


def _old_names(path: Path) -> list[str]:
    found: list[str] = disk.read_table(path)["instrument"].unique().to_list()
    return found


def _old_rows(folder: RunFolder) -> Iterator[tuple[str, int, int, pl.DataFrame, dict[str, str]]]:
    """Instrument, seed, step, its table in today's form and its metadata."""
    for seed in folder.seeds():
        for path in _old(folder, seed):
            for (name,), part in disk.read_table(path).group_by("instrument", maintain_order=True):
                yield str(name), seed, step_of(path), _widened(part), disk.table_metadata(path)


def _widened(part: pl.DataFrame) -> pl.DataFrame:
    """`key` as columns; what follows a slash in it is a number of symbols, the index `length`."""
    wide: dict[int, dict[str, float]] = {}
    for key, value in part.select("key", "value").iter_rows():
        name, _, length = key.partition("/")
        wide.setdefault(int(length) if length.isdecimal() else NO_LENGTH, {})[name] = value
    rows = [({"length": length} if len(wide) > 1 else {}) | values for length, values in wide.items()]
    return pl.DataFrame(rows, infer_schema_length=None)


def _as_before(folder: RunFolder, name: str) -> InstrumentTables | None:
    found = [
        (seed, step, frame.select(pl.lit(seed, pl.Int64).alias("seed"), pl.lit(step, pl.Int64).alias("step"), pl.all()))
        for own, seed, step, frame, _ in _old_rows(folder)
        if own == name
    ]
    if not found:
        return None
    moments = tuple((seed, step) for seed, step, _ in found)
    return InstrumentTables(name, pl.concat([f for *_, f in found], how="diagonal_relaxed").lazy(), {"kind": name}, moments, (), "")


def move(folder: RunFolder, recipe: Observation) -> list[str]:
    """Gives tables of the version before today's form, once; returns what could not be moved and how it is read anew.

    They were read with the settings that the run's recipe has, as far as that version could tell.  Whoever calls this holds the
    run's one writer's place, and calls it before the recipe changes.
    """
    known = {one.name: one for one in (*own_instruments(recipe), *recipe.instruments)}
    lost: dict[str, str] = {}
    for name, seed, step, frame, facts in list(_old_rows(folder)):
        if (instrument := known.get(name)) is None:
            lost[name] = (
                f"readings of {name} are of a version before and this run's recipe has no such instrument: left as they are"
            )
        elif not (path := folder.reading(name, seed, step)).exists():
            metadata = {"key": MOVED, "settings": _settings(instrument), "weights": facts.get("weights", ""), "not": ""}
            disk.write_table(path, _in_full(instrument, frame), metadata)
    for seed in folder.seeds():
        for path in _old(folder, seed):
            if not set(_old_names(path)) - set(known):
                path.unlink(missing_ok=True)
    return list(lost.values())


def _in_full(instrument: Instrument, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None).alias(name)).cast(column.dtype)
        for name, column in instrument.columns.items()
    )


def own_instruments(recipe: Observation) -> list[Instrument]:
    """What is read off every checkpoint whether a recipe names it or not: the dev loss where the text is known."""
    listed = {one.name for one in recipe.instruments}
    return [DevLoss.of(recipe)] if recipe.corpus is not None and DevLoss.NAME not in listed else []
