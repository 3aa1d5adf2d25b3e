"""What is read off a run's checkpoints: scores on every suite, the dev loss, and whatever instruments the recipe names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontogeny import disk, store, yaml_text
from ontogeny import recipe as recipes
from ontogeny.display import Display
from ontogeny.foreign import Opening
from ontogeny.instruments import Instrument, ReadingContext, Subject, tables
from ontogeny.instruments.dev_loss import DevLoss
from ontogeny.recipe import Observation, Recipe
from ontogeny.records import Checkpoint, OntogenyError
from ontogeny.store import RunFolder
from ontogeny.work.piece import Piece

if TYPE_CHECKING:
    from ontogeny.scoring.reading import CheckpointReader, OpenedCheckpoint, SuitePairs
    from ontogeny.tokens.prepare import TokenisedText


def recipe_of(folder: RunFolder) -> Observation:
    """The recipe of a run as it was run."""
    kind = Recipe if folder.lineage().get("kind", "trained") == "trained" else Observation
    found: Observation = recipes.build(
        kind, yaml_text.values(recipes.text_of(folder.recipe), str(folder.recipe)), str(folder.recipe)
    )
    return found


class InstrumentsFailed(OntogenyError):
    """A checkpoint has scores on all its suites, but not all instruments could read it."""


class Readings:
    """Reads one run's checkpoints, and of each only what is missing."""

    def __init__(
        self, folder: RunFolder, recipe: Observation, display: Display, text: Callable[[], TokenisedText], device: str | None = None
    ):
        self.folder = folder
        self.recipe = recipe
        self.display = display
        self.device = device or recipe.scoring.device  # by name
        self._text = text  # of our own training
        self._said: set[str] = set()  # why an instrument does not apply, said once

    @classmethod
    def of(cls, path: Path, display: Display, device: str | None = None) -> Readings:
        """Of the run in a folder."""
        from ontogeny.tokens.prepare import prepare

        folder = RunFolder.existing(path)
        recipe = recipe_of(folder)

        return cls(folder, recipe, display, lambda: prepare(folder, recipe), device)

    @cached_property
    def asked(self) -> list[SuitePairs]:
        """The suites, read."""
        from ontogeny.scoring.reading import ask, keep_pairs

        found = [ask(suite, self.recipe.scoring.pairs_per_paradigm) for suite in self.recipe.suites]
        for asked in found:
            keep_pairs(self.folder, asked)
            self.folder.note(suites={asked.name: self.folder.lineage().get("suites", {}).get(asked.name, {}) | asked.facts()})
            for line in asked.told:
                self.display.say(f"{asked.name}: {line}")
        return found

    @cached_property
    def reader(self) -> CheckpointReader:
        """Scores checkpoints."""
        from ontogeny.scoring.reading import CheckpointReader
        from ontogeny.training.engine import find_device, keep_memory

        keep_memory()
        context = self.recipe.training.context if isinstance(self.recipe, Recipe) else None
        return CheckpointReader(self.folder, self.recipe, self.asked, find_device(self.device), context, self.display.warn)

    @cached_property
    def instruments(self) -> list[Instrument]:
        """What else is read, each after those that it needs: the dev loss of our own training, and the recipe's instruments."""
        every = [*tables.own_instruments(self.recipe), *self.recipe.instruments]
        known = {one.name: one for one in every}
        return sorted(every, key=lambda one: _depth(one.name, known))

    @cached_property
    def context(self) -> ReadingContext:
        """What instruments may ask of the run."""
        return ReadingContext(
            self.folder, self.recipe, self.reader.device, lambda: self.asked, self._text, lambda: self.instruments, self.display
        )

    def check(self, instruments: Sequence[Instrument] | None = None) -> None:
        """Raises OntogenyError for an instrument that needs what the run does not have, before anything is read."""
        for instrument in self.instruments if instruments is None else instruments:
            instrument.key(self.context)

    def waits(
        self, seed: int, checkpoint: Checkpoint, again: bool = False, instruments: Sequence[Instrument] | None = None
    ) -> bool:
        """True if something of a checkpoint has not been read (with `instruments`: with these), or a table of it is broken."""
        try:
            suites = self.reader.missing(seed, checkpoint) if instruments is None else []
            return again or bool(suites or self.unread(seed, checkpoint, instruments=instruments))
        except OntogenyError:
            return True  # reading it says what is wrong

    def read(self, seed: int, checkpoint: Checkpoint, again: bool = False) -> None:
        """Reads what is missing of a checkpoint, with `again` all.

        Raises OntogenyError that names it if it is damaged, and the instruments that failed once the others have read.
        """
        suites, instruments = self.reader.missing(seed, checkpoint, again), self.unread(seed, checkpoint, again)
        wrong = None if self.folder.adopted() else store.fault(checkpoint.folder)
        if not suites and not instruments:
            if wrong:
                self.display.warn(f"{wrong}; what was read of it is kept, --again {checkpoint.step} would read it anew")
            return
        if wrong:
            raise OntogenyError(f"{wrong}; it is not read")
        opened, unscored = self._opened(checkpoint), ""
        try:
            if suites:
                self.reader.read(seed, checkpoint, opened, suites, lambda title, n: self.display.bar(title, n, "sentences"))
        except OntogenyError as error:
            unscored = str(error)
        unread = self.read_with(seed, checkpoint, instruments, opened)
        if unscored or unread:
            raise (OntogenyError if unscored else InstrumentsFailed)("\n".join(filter(None, dict.fromkeys([unscored, *unread]))))

    def read_live(self, seed: int, checkpoint: Checkpoint) -> None:
        """As `read`, while training goes on: what an instrument could not read is a warning, and is tried again after training."""
        try:
            self.read(seed, checkpoint)
        except InstrumentsFailed as trouble:
            self.display.warn(str(trouble))

    def read_with(
        self, seed: int, checkpoint: Checkpoint, instruments: Sequence[Instrument], opened: OpenedCheckpoint | None = None
    ) -> list[str]:
        """Reads a checkpoint with these instruments, and returns what went wrong: one that fails takes nothing from the others."""
        subject, troubles = Subject(self.context, seed, checkpoint, opened or self._opened(checkpoint)), []
        for instrument in instruments:
            try:
                self._check_needs(instrument, seed, checkpoint)
                self._say_once(tables.write(instrument, subject))
            except OntogenyError as error:
                troubles.append(str(error) if str(checkpoint.folder) in str(error) else f"{checkpoint.folder}: {error}")
            except Exception as error:  # an instrument of somebody else's may raise anything
                troubles.append(f"{checkpoint.folder}: the instrument {instrument.name} failed ({type(error).__name__}: {error})")
        return troubles

    def unread(
        self, seed: int, checkpoint: Checkpoint, again: bool = False, instruments: Sequence[Instrument] | None = None
    ) -> list[Instrument]:
        """Instruments that have not read a checkpoint with their settings, on this text and these weights; with `again`, all.

        Between the steps of `instruments.at` the dev loss alone reads.
        """
        asked = self.instruments if instruments is None else instruments
        if not again and not self._due(seed, checkpoint):
            asked = [one for one in asked if one.name == DevLoss.NAME]
        return [one for one in asked if again or not tables.is_there(self.folder, one, self._key(one), seed, checkpoint)]

    def _due(self, seed: int, checkpoint: Checkpoint) -> bool:
        return self.recipe.instruments.at is None or checkpoint.step in self.context.once(
            ("at", seed), lambda: self._scheduled(seed)
        )

    def _scheduled(self, seed: int) -> Collection[int]:
        """Of the checkpoints that a seed has, or while it is trained will have, those that instruments read."""
        from ontogeny.training.session import finished, training_plan

        kept = [one.step for one in self.folder.checkpoints(seed)]
        if isinstance(self.recipe, Recipe):
            plan = training_plan(self.folder, self.recipe, self._text())
            if not finished(self.folder, seed, plan):
                return tables.due(self.folder, self.recipe, seed, plan.checkpoints, plan.words_per_step)
        return tables.due(self.folder, self.recipe, seed, kept)

    def copy(self, seed: int, checkpoint: Checkpoint, instruments: Sequence[Instrument] | None = None) -> None:
        """Gives a checkpoint the tables of one that is the same in every byte, each with `same as` in its metadata.

        Scores are a function of what is read alone; instruments may compare with the seed's first checkpoint, so theirs come only
        from the same seed.
        """
        for other, twin in self._twins(seed, checkpoint):
            same, moment = f"seed {other}, step {twin.step}", {"step": str(checkpoint.step), "seed": str(seed)}
            lacking, lacked = (self.reader.missing(*unit) for unit in ((seed, checkpoint), (other, twin)))
            for asked in [one for one in lacking if one not in lacked] if instruments is None else []:
                path = self.folder.scores(other, asked.name, twin.step)
                _copy_table(path, self.folder.scores(seed, asked.name, checkpoint.step), moment | {"same as": same})
            unread, left = (self.unread(*unit, instruments=instruments) for unit in ((seed, checkpoint), (other, twin)))
            for name in [one.name for one in unread if one not in left] if other == seed else []:
                path = self.folder.reading(name, seed, twin.step)
                _copy_table(path, self.folder.reading(name, seed, checkpoint.step), {"same as": same})

    def _twins(self, seed: int, checkpoint: Checkpoint) -> Iterator[tuple[int, Checkpoint]]:
        """Other checkpoints that are the same in every byte, those of its own seed first."""
        content = checkpoint.revision and checkpoint.revision.content
        for other in sorted(self.folder.seeds(), key=lambda other: other != seed):
            for twin in self.folder.checkpoints(other):
                if twin.revision and twin.revision.content == content and (other, twin.step) != (seed, checkpoint.step):
                    yield other, twin

    def _check_needs(self, instrument: Instrument, seed: int, checkpoint: Checkpoint) -> None:
        """Raises OntogenyError where an instrument that this one needs has left no table of today's settings."""
        for other in (one for one in self.instruments if one.name in instrument.needs):
            if not tables.is_there(self.folder, other, self._key(other), seed, checkpoint):
                raise OntogenyError(
                    f"the instrument {instrument.name} needs {other.name}, which has not read this checkpoint as it is now; run: "
                    f"ontogeny read {self.folder.path} --with {other.name}"
                )

    def _opened(self, checkpoint: Checkpoint) -> OpenedCheckpoint:
        from ontogeny.scoring.reading import OpenedCheckpoint

        how = self.recipe.scoring
        named = self.folder.tokenizer if how.tokenizer else None
        opening = Opening(how.dtype, how.device_map, bool(how.trust_remote_code and checkpoint.revision))
        say = lambda text: self._say_once(f"checkpoints: {text}")  # noqa: E731
        return OpenedCheckpoint(checkpoint.folder, self.reader.device, say, named, opening)

    def _key(self, instrument: Instrument) -> str:
        found: str = self.context.once(("key", instrument), lambda: instrument.key(self.context))
        return found

    def _say_once(self, reason: str) -> None:
        if reason and reason not in self._said:
            self._said.add(reason)
            self.display.say(reason)


def _copy_table(source: Path, target: Path, facts: Mapping[str, str]) -> None:
    disk.write_table(target, disk.read_table(source), disk.table_metadata(source) | dict(facts))


def _depth(name: str, known: Mapping[str, Instrument], above: tuple[str, ...] = ()) -> int:
    """How many instruments stand on one another below this one.  Raises OntogenyError for those that need themselves."""
    if name in above:
        raise OntogenyError(f"instruments need one another in a circle: {' needs '.join((*above, name))}")
    return 1 + max((_depth(need, known, (*above, name)) for need in known[name].needs if need in known), default=0)


def read(readings: Readings, seed: int, checkpoint: Checkpoint, asked: Mapping[str, Any]) -> None:
    """Reads of a checkpoint what a piece's inputs ask for.  Raises OntogenyError as `Readings.read` does."""
    again = asked.get("again", False)
    if (chosen := asked.get("with")) is None:
        return readings.read(seed, checkpoint, again)
    instruments = [recipes.instrument(settings) for settings in chosen]
    todo = readings.unread(seed, checkpoint, again, instruments)
    if troubles := readings.read_with(seed, checkpoint, todo):
        raise OntogenyError("\n".join(troubles))


def read_piece(piece: Piece, display: Display) -> None:
    """Reads a checkpoint of a run: `seed`, `step`, and perhaps `again`, `with` (instruments alone), `device`."""
    readings = _opened_run(piece.run, piece.inputs.get("device"))
    readings.display = display
    seed, step = piece.inputs["seed"], piece.inputs["step"]
    checkpoints = {checkpoint.step: checkpoint for checkpoint in readings.folder.checkpoints(seed)}
    if step not in checkpoints:
        raise OntogenyError(f"{piece.run}: seed {seed} has no checkpoint at step {step}; it has {sorted(checkpoints)}")
    with store.part(piece.name):
        read(readings, seed, checkpoints[step], piece.inputs)


@lru_cache(maxsize=1)
def _opened_run(path: str, device: str | None) -> Readings:
    """A run, its suites and their tokens read once."""
    return Readings.of(Path(path), Display(quiet=True), device)
