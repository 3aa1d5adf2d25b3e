"""Reading checkpoints while training goes on: by another process, or in turn where the machine has no room for both."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from ontogeny.readers.pool import PAYS_AFTER, read_all, reading
from ontogeny.readers.readings import Readings
from ontogeny.recipe import Recipe
from ontogeny.records import Checkpoint
from ontogeny.work.local import Crew
from ontogeny.work.piece import Piece, heard

CORES = 4  # from so many on, training leaves a quarter of them to the reader

Read = Callable[[int, Checkpoint], None]


@dataclass(frozen=True, slots=True)
class ReadingMode:
    """How checkpoints are read while training goes on."""

    way: str = "in turn"  # beside, in turn, after
    threads: int = 0  # of the process beside training
    device: str = "cpu"  # its own
    at_once: bool = False  # it starts with training; else when a first checkpoint was read in turn and took long

    @property
    def spared(self) -> int:
        """Cores that training leaves to it."""
        return self.threads if self.way == "beside" and self.device == "cpu" else 0

    def lineage(self) -> dict[str, Any]:
        """Plain values for the lineage; `from_lineage` takes them back."""
        return {"planned": asdict(self)}

    @classmethod
    def from_lineage(cls, entry: dict[str, Any]) -> ReadingMode:
        """The way that was planned when training was made ready; in turn where nothing was."""
        return cls(**entry.get("planned", {}))


def plan(recipe: Recipe, share: int = 1) -> ReadingMode:
    """How a recipe's checkpoints are read, with `share` trainings side by side on this machine.

    Beside training with a GPU, or where each training has at least four cores, of which the reader gets a quarter.
    """
    from ontogeny.training.engine import find_device

    how = recipe.scoring
    if not how.live:
        return ReadingMode("after")
    cores, device = (os.cpu_count() or 1) // share, find_device(recipe.training.device)
    if how.beside == "off" or (how.beside == "auto" and device.type != "cuda" and cores < CORES):
        return ReadingMode("in turn")
    return mode_beside(how.device, str(device), cores, how.beside == "on")


def mode_beside(asked: str, training: str, cores: int, at_once: bool = True) -> ReadingMode:
    """By a process with a quarter of `cores`, on the device that is asked for, but rather on one that does not train."""
    return ReadingMode("beside", max(1, cores // CORES), _device(asked, training), at_once)


def _device(asked: str, training: str) -> str:
    """Where the reader reads: as the recipe says, but rather on a GPU that does not train."""
    from ontogeny.training.engine import find_device

    found = find_device(asked)
    if asked == "auto" and found.type == "cuda" and training == "cuda":
        import torch

        return f"cuda:{torch.cuda.device_count() - 1}"
    return str(found)


@contextmanager
def live(readings: Readings, way: ReadingMode, seeds: Sequence[int], coming: int) -> Iterator[Read]:
    """Yields what is to be called with each of the `coming` checkpoints that appear; at its end all those of `seeds` are read."""
    if way.way != "beside":
        readings.folder.note(reading={"way": way.way})
        yield readings.read_live if way.way == "in turn" else lambda seed, checkpoint: None
        return
    with readings.display.bar("read beside training", coming, "checkpoints") as advance:
        beside = Beside(readings, way, coming, advance)
        try:
            yield beside.read
        except BaseException:
            beside.stop()
            raise
        beside.finish()
    readings.folder.note(reading={"way": "beside" if beside.crew else "in turn"})
    read_all(readings, seeds=seeds)


class Beside:
    """The process beside training, and what waits for it."""

    def __init__(self, readings: Readings, way: ReadingMode, coming: int, advance: Callable[..., None]):
        self.readings = readings
        self.way = way
        self.coming = coming
        self.advance = advance
        self._hear = heard(readings.display, advance)
        self.crew: Crew | None = None
        self._ended = False  # the process has, or nobody waits for what it reads
        if way.at_once:
            self._start()

    def read(self, seed: int, checkpoint: Checkpoint) -> None:
        """Hands a checkpoint over; where no process reads yet, reads it and starts one if there is enough to come."""
        if self.crew:
            return None if self._ended else self.crew.hand(reading(self.readings.folder.path, seed, checkpoint.step), self._hear)
        missing, started = self.readings.waits(seed, checkpoint), time.monotonic()
        self.readings.read_live(seed, checkpoint)
        self.advance(1)
        self.coming -= 1
        if missing and self.coming * (time.monotonic() - started) > PAYS_AFTER:
            self._start()

    def finish(self) -> None:
        """Training has ended: waits for the checkpoint that is being read, and no longer.  All cores can read the others."""
        self._ended = True
        if self.crew:
            self.crew.end()

    def stop(self) -> None:
        """Ends the process at once."""
        self._ended = True
        if self.crew:
            self.crew.stop()

    def _start(self) -> None:
        self.crew = Crew([(self.way.threads, self.way.device)], self._told)

    def _told(self, piece: Piece, answer: Any) -> None:
        if isinstance(answer, BaseException):
            raise answer
        self.advance(1)
        if self._ended or not answer["trouble"]:
            return
        self._ended = "died" in answer
        if self._ended:
            answer["trouble"] = (
                f"the process that reads checkpoints beside training ended at step {piece.inputs['step']} ({answer['died']}); "
                f"training goes on; what is missing is read at its end, or by: ontogeny score {self.readings.folder.path}"
            )
        self.readings.display.warn(answer["trouble"])
