"""What is read off a run's checkpoints: scores on every suite, the dev loss, and whatever instruments the recipe names."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontogeny import recipe as recipes
from ontogeny import store
from ontogeny.display import Display
from ontogeny.readers.process import Message
from ontogeny.recipe import Observation, Recipe
from ontogeny.records import Checkpoint, OntogenyError
from ontogeny.store import RunFolder

if TYPE_CHECKING:
    from ontogeny.scoring.reading import CheckpointReader, SuitePairs
    from ontogeny.tokens.prepare import TokenisedText


def recipe_of(folder: RunFolder) -> Observation:
    """The recipe of a run as it was run."""
    kind = Recipe if folder.lineage().get("kind", "trained") == "trained" else Observation
    found: Observation = recipes.build(
        kind, recipes.plain(folder.recipe.read_text(encoding="utf-8"), str(folder.recipe)), str(folder.recipe)
    )
    return found


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

    @classmethod
    def of(cls, path: Path, display: Display, device: str | None = None) -> Readings:
        """Of the run in a folder."""
        from ontogeny.tokens.prepare import prepare

        folder = RunFolder.existing(path)
        recipe = recipe_of(folder)

        def text() -> TokenisedText:
            assert isinstance(recipe, Recipe)
            return prepare(folder, recipe)

        return cls(folder, recipe, display, text, device)

    @cached_property
    def asked(self) -> list[SuitePairs]:
        """The suites, read."""
        from ontogeny.scoring.reading import ask, keep_pairs

        found = [ask(suite, self.recipe.scoring.pairs_per_paradigm) for suite in self.recipe.suites]
        for asked in found:
            keep_pairs(self.folder, asked)
            self.folder.note(suites={asked.name: self.folder.lineage().get("suites", {}).get(asked.name, {}) | asked.facts()})
            if asked.identical:
                where = sorted({pair.paradigm for pair in asked.identical})
                self.display.say(
                    f"{asked.name}: {len(asked.identical)} pairs with identical sentences are left out ({', '.join(where)})"
                )
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
    def instruments(self) -> list[Any]:
        """What else is read: the dev loss of our own training, and the recipe's instruments."""
        from ontogeny.instruments.dev_loss import DevLoss

        own = [DevLoss(self.recipe, self._text().dev)] if isinstance(self.recipe, Recipe) else []
        return [*own, *self.recipe.instruments]

    def waits(self, seed: int, checkpoint: Checkpoint, again: bool = False) -> bool:
        """True if something of a checkpoint has not been read, or a table of it is broken."""
        try:
            return bool(self.reader.missing(seed, checkpoint, again) or self._unread(seed, checkpoint))
        except OntogenyError:
            return True  # reading it says what is wrong

    def read(self, seed: int, checkpoint: Checkpoint, again: bool = False) -> None:
        """Reads what is missing of a checkpoint, with `again` all.  Raises OntogenyError that names it if it is damaged."""
        missing = self.reader.missing(seed, checkpoint, again)
        if not missing and (wrong := store.fault(checkpoint.folder) if not self.folder.adopted() else None):
            self.display.warn(f"{wrong}; its scores are kept, --again {checkpoint.step} would make them anew")
        if missing:
            self.reader.read(seed, checkpoint, missing, lambda title, n: self.display.bar(title, n, "sentences"))
        if todo := self._unread(seed, checkpoint):
            self._read_instruments(seed, checkpoint, todo)

    def _unread(self, seed: int, checkpoint: Checkpoint) -> list[Any]:
        """Instruments that have not read a checkpoint with the recipe's settings."""
        known = {row["instrument"] for row in self.folder.read_off(seed, checkpoint.step)}
        same = self.folder.readings_key(seed, checkpoint.step) == self._key
        return [part for part in self.instruments if part.name not in known or not (same or part not in self.recipe.instruments)]

    @property
    def _key(self) -> str:
        return store.content_key(self.recipe.instruments) if self.recipe.instruments else ""

    def _read_instruments(self, seed: int, checkpoint: Checkpoint, todo: list[Any]) -> None:
        from ontogeny.instruments import Context
        from ontogeny.scoring.reading import context_of, open_model
        from ontogeny.tokens.pretrained import open_tokenizer
        from ontogeny.tokens.token_store import bos_id

        model = open_model(checkpoint.folder).to(self.reader.device)
        tokenizer = open_tokenizer(checkpoint.folder)
        first = bos_id(tokenizer) if self.recipe.bos else None
        context = Context(tokenizer, first, self.reader.device, context_of(model, self.reader.context))
        found = [reading for instrument in todo for reading in instrument.read(model, context)]
        self.folder.write_readings(seed, checkpoint.step, found, store.weights_hash(checkpoint.folder), self._key)


def read_run(question: Message, display: Display, device: str | None) -> None:
    """What another process does that is asked to read a checkpoint of a run."""
    readings = _opened(question["run"], device)
    readings.display = display
    checkpoints = {checkpoint.step: checkpoint for checkpoint in readings.folder.checkpoints(question["seed"])}
    readings.read(question["seed"], checkpoints[question["step"]], question["again"])


@lru_cache(maxsize=1)
def _opened(path: str, device: str | None) -> Readings:
    """A run, its suites and their tokens read once."""
    return Readings.of(Path(path), Display(quiet=True), device)
