"""One training that is watched: its run's folder, its snapshots and who reads them, from its first step to its page."""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import distributed as dist

from ontogeny import disk, foreign, store
from ontogeny.display import Display
from ontogeny.laboratory import Run
from ontogeny.readers.beside import Beside, mode_beside
from ontogeny.recipe import Observation, Schedule
from ontogeny.records import Checkpoint, OntogenyError, Suite
from ontogeny.store import RunFolder
from ontogeny.trackers import Trackers
from ontogeny.training import parallel, schedule
from ontogeny.training.session import save_model
from ontogeny.training.state import COLUMNS

ELSEWHERE = "save whole models yourself as training goes (step-1000, step-2000 ...), and read their folder: ontogeny open FOLDER"


@dataclass(frozen=True)
class Watched:
    """What is known of a training before its first step."""

    recipe: Observation
    root: Path
    seed: int
    start: int  # the step that it begins or goes on at
    steps: int | None  # its last
    at: Schedule
    read: str  # beside, in turn, after
    words_per_step: float | None
    facts: Mapping[str, Any] = field(default_factory=dict)  # of its trainer, for the lineage


class Watching:
    """Watches one training in the process that writes.  Raises OntogenyError for what cannot be watched, before the first step."""

    def __init__(self, watched: Watched, model: Any, tokenizer: Any, display: Display):
        self.watched = watched
        self.display = display
        self.model, self.tokenizer = whole(model), tokenizer
        check(self.model, tokenizer)
        self._due = set(schedule.checkpoint_steps(watched.at, last(watched), watched.words_per_step or float("inf")))
        self._rows: list[tuple[Any, ...]] = []  # of a step each: its number, and what is known of COLUMNS
        self._seconds = 0.0  # that training has waited
        self._began = time.monotonic()
        self._held = ExitStack()
        self._over = False
        self.step = watched.start  # done so far
        self._tokens: int | None = None
        with self._watching(), ExitStack() as held:
            for suite in watched.recipe.suites:
                next(iter(cast(Suite, suite).pairs()), None)  # a suite that is not there is heard of now
            self.folder = RunFolder(watched.root / watched.recipe.name)
            self._check_same()
            self.run = Run.begin(watched.recipe, watched.root, display, kind="watched")
            held.enter_context(self.folder.writing())
            fresh = self._go_on()
            self._note()
            self.run.readings.check()
            self.trackers = Trackers(self.folder, watched.recipe, [watched.seed], display)
            self._beside = self._reader() if watched.read == "beside" else None
            held.push(lambda kind, *_: self._beside.stop() if kind and self._beside else None)
            if fresh or watched.start in self._due:
                self._snapshot(watched.start)
                self._read(watched.start)
            self._held = held.pop_all()

    def _reader(self) -> Beside:
        mode = mode_beside(self.watched.recipe.scoring.device, _device(self.model), os.cpu_count() or 1)
        return Beside(self.run.readings, mode, len(self._due), lambda n, note="": None)

    # --- while it trains ------------------------------------------------------------------------------------------

    def __call__(self, step: int, tokens: int | None = None, **measured: Any) -> None:
        """After optimiser step `step`, with what was measured of it: a snapshot, if it is time for one.

        What goes wrong with it is said, and training goes on.
        """
        if step <= self.step or self._over:
            return
        self.step, self._tokens = step, tokens
        self.measure(step, tokens, **measured)
        if step in self._due:
            with self._watching(), self._said():
                self._snapshot(step)
                self._read(step)

    def measure(self, step: int, tokens: int | None = None, **measured: Any) -> None:
        """What was measured of a step: loss, learning_rate, gradient_norm."""
        if measured:
            known = [value.detach() if isinstance(value, torch.Tensor) else value for value in map(measured.get, COLUMNS[:3])]
            self._rows.append((step, *known, tokens, self._words(step), None))

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Training stands still, and finds everything as it left it."""
        started = time.monotonic()
        with undisturbed(self.model):
            yield
        self._seconds += time.monotonic() - started

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except OntogenyError as error:
            self.display.warn(f"{error}; training goes on" if not self._over else str(error))
            missed = self.folder.lineage().get("watched", {}).get("missed", [])
            self.folder.note(watched={"missed": [*missed, str(error)]})

    def _snapshot(self, step: int) -> None:
        self._write_losses()
        if self.folder.has_checkpoint(self.watched.seed, step):
            return
        try:
            self.folder.write_checkpoint(self.watched.seed, step, self._save, tokens=self._tokens, words=self._words(step))
        except OntogenyError:
            raise
        except Exception as error:  # of anybody's save_pretrained
            place = self.folder.checkpoint(self.watched.seed, step)
            raise OntogenyError(f"{place} could not be written ({foreign.cause(error)})") from error

    def _save(self, place: Path) -> None:
        save_model(self.model, self.tokenizer, place)

    def _read(self, step: int) -> None:
        """Has the snapshot read, in the way that was asked for, and hands on what has been read of those before."""
        place = self.folder.checkpoint(self.watched.seed, step)
        if self._beside is not None:
            self._beside.read(self.watched.seed, Checkpoint(step, place))
        elif self.watched.read == "in turn":
            self.run.readings.read_live(self.watched.seed, Checkpoint(step, place))
        self.trackers.tell()

    def _words(self, step: int) -> float | None:
        return None if self.watched.words_per_step is None else step * self.watched.words_per_step

    # --- its beginning and its end --------------------------------------------------------------------------------

    def _check_same(self) -> None:
        """Raises OntogenyError, before anything is changed, where the run's folder has the snapshots of another training."""
        seed, start, there = self.watched.seed, self.watched.start, self._there()
        known = self.folder.lineage()
        if known.get("kind") != "watched":
            return  # new, or refused as what it is
        parameters = known.get("training", {}).get("parameters", self._parameters)
        mend = "give it another name, or delete that folder"
        if parameters != self._parameters:
            raise OntogenyError(
                f"{self.folder.path} has the snapshots of another training: its model has {parameters:,} parameters, and this one "
                f"{self._parameters:,}; {mend}"
            )
        if (start in there and self._weights() != _sealed(self.folder, seed, start)) or (there and there[-1] > start == 0):
            raise OntogenyError(
                f"{self.folder.seed(seed)} has the snapshots of another training ({len(there)}, the last at step {there[-1]:,}), "
                f"and this one begins at step {start:,}; {mend}"
            )

    def _go_on(self) -> bool:
        """Goes on with what this training has left; True if there is nothing."""
        seed, start, there = self.watched.seed, self.watched.start, self._there()
        if not there and start:
            self.display.warn(f"the training is watched from step {start:,} on; what it was before is not known")
        if gone := self.folder.forget_after(seed, start):
            self.display.warn(f"the training goes on from step {start:,}: its snapshots at steps {gone} are made anew")
        if self.folder.losses(seed).exists():
            kept = disk.read_table(self.folder.losses(seed))
            self._rows = kept.filter(kept["step"] <= start).select("step", *COLUMNS).rows()
        return not there

    def _there(self) -> list[int]:
        return [checkpoint.step for checkpoint in self.folder.checkpoints(self.watched.seed)]

    def _weights(self) -> str:
        """The hash that a snapshot would have now."""
        with tempfile.TemporaryDirectory() as place:
            self._save(Path(place))
            return store.weights_hash(Path(place))

    @property
    def _parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    def _note(self) -> None:
        about = dict(self.watched.facts)
        warmup = {"warmup": about.pop("warmup")} if "warmup" in about else {}
        at = self.watched.at.model_dump(mode="json", exclude_defaults=True)
        self.folder.note(
            training={"parameters": self._parameters, "steps": last(self.watched), "checkpoints": len(self._due), **warmup},
            watched={"model": type(self.model).__name__},
            reading={"way": self.watched.read},
        )
        self._note_own(at=at, **about)

    def _note_own(self, **facts: Any) -> None:
        """Keeps what is true of this seed's training alone: its trainer's arguments, what it waited."""
        seeds, own = self.folder.lineage().get("watched", {}).get("seeds", {}), str(self.watched.seed)
        self.folder.note(watched={"seeds": {**seeds, own: {**seeds.get(own, {}), **facts}}})

    def finish(self) -> None:
        """Training has ended: the last snapshot; then what is left to read, the verdicts and the page.

        Where other processes train along they are not kept waiting, and it is said which command does the rest.
        """
        if self._over:
            return
        self._over, trained = True, time.monotonic() - self._began
        with self._watching(), self._said():
            self._snapshot(self.step)
        self.folder.note(training={"steps": self.step, "checkpoints": len(self.folder.checkpoints(self.watched.seed))})
        waited, alone = self._seconds, parallel.here().size == 1
        share = f"{waited / max(trained, 1e-9):.1%}"
        self._note_own(seconds=round(trained, 1), waited=round(waited, 1))
        self.display.say(
            f"{self.folder.path}: watched to step {self.step:,} ({self.watched.read}); training waited {waited:.1f} s of "
            f"{trained:.1f} s for it ({share})"
        )
        self._end_reading(alone)
        with undisturbed(self.model):
            with self._said():
                if alone:
                    self._conclude()
                else:
                    self.display.say(f"to read what is left and write the page: {self._rest()}")
            self.trackers.finish(self.folder.report)

    def _end_reading(self, patiently: bool) -> None:
        if self._beside is not None:
            (self._beside.finish if patiently else self._beside.stop)()
        self._held.close()

    def _conclude(self) -> None:
        try:
            self.run.score()
            self.run.judge()
            self.display.say(f"report: {self.run.write_report()}")
        except OntogenyError as error:
            raise OntogenyError(f"{error}\nwhat is written is kept; once that is mended: {self._rest()}") from error

    def _rest(self) -> str:
        path = self.folder.path
        return f"ontogeny score {path} && ontogeny verdicts {path} && ontogeny report {path}"

    def stop(self) -> None:
        """Training was broken off: what is there stays, and nothing more is read."""
        if self._over:
            return
        self._over = True
        if self._beside is not None:
            self._beside.stop()
        self._write_losses()
        self._held.close()
        self.trackers.finish(self.folder.report)

    def _write_losses(self) -> None:
        """What the trainer has said of its steps, as our own training writes it."""
        import polars as pl

        if self._rows:
            self._rows = [tuple(None if value is None else float(value) for value in row) for row in self._rows]
            schema = {"step": pl.Int64} | dict.fromkeys(COLUMNS, pl.Float64) | {"tokens": pl.Int64}
            columns = dict(zip(schema, zip(*self._rows, strict=True), strict=True))
            frame = pl.DataFrame({name: pl.Series(name, columns[name], pl.Float64).cast(kind) for name, kind in schema.items()})
            disk.write_table(self.folder.losses(self.watched.seed), frame)


# --- the model ----------------------------------------------------------------------------------------------------


def whole(model: Any) -> Any:
    """The model itself, out of what distributes or compiles it, or holds it as a part (a LightningModule).

    Raises OntogenyError for a model whose weights are spread over processes, or that from_pretrained could not open again.
    """
    from accelerate.utils import extract_model_from_parallel

    if not isinstance(model, torch.nn.Module):
        got = "" if model is None else f" ({model!r} is none)"
        raise OntogenyError(f"og.Watch does not know the model{got}: og.Watch(..., model=model, tokenizer=tokenizer)")
    sharded = [type(part).__name__ for part in model.modules() if type(part).__name__ == "FullyShardedDataParallel"]
    sharded += ["DTensor" for parameter in model.parameters() if type(parameter.data).__name__ == "DTensor"]
    sharded += ["DeepSpeed's ZeRO-3" for parameter in model.parameters() if hasattr(parameter, "ds_id")]  # its is_zero_param
    if sharded:
        raise OntogenyError(
            f"the model's weights are spread over processes ({sharded[0]}), and none has all of them for a snapshot; {ELSEWHERE}"
        )
    inner = extract_model_from_parallel(model, keep_torch_compile=False)
    found = next((part for part in inner.modules() if _can_be_saved(part)), None)
    if found is None:
        raise OntogenyError(
            f"{type(inner).__name__} has no save_pretrained and from_pretrained, and so no snapshot could be opened again; make it "
            "a PreTrainedModel of transformers, or give the part of it that is one: og.Watch(..., model=...)"
        )
    if getattr(found, "peft_config", None):
        raise OntogenyError(f"{type(found).__name__} is an adapter, and its snapshots would lack the model under it; {ELSEWHERE}")
    return found


def _can_be_saved(part: Any) -> bool:
    return hasattr(part, "save_pretrained") and hasattr(type(part), "from_pretrained")


def check(model: Any, tokenizer: Any) -> None:
    """Raises OntogenyError for a model without a tokenizer, or with one of another model."""
    if tokenizer is None or not hasattr(tokenizer, "save_pretrained"):
        raise OntogenyError(
            "og.Watch has no tokenizer to read sentences with: Trainer(..., processing_class=tokenizer), or og.Watch(..., "
            "tokenizer=tokenizer)"
        )
    foreign.check_tokens(model, [list(tokenizer.get_vocab().values())])


def _device(model: Any) -> str:
    return str(next(model.parameters()).device.type)


def _sealed(folder: RunFolder, seed: int, step: int) -> str | None:
    return store.sealed_weights(folder.checkpoint(seed, step))


def last(watched: Watched) -> int:
    """The last step.  Raises OntogenyError where a schedule needs it and it is not known."""
    if watched.at.kind == "words" and watched.words_per_step is None:
        raise OntogenyError('og.Watch(at="words") needs to know how many words a step sees: og.Watch(..., words_per_step=...)')
    if watched.steps is not None:
        return max(watched.steps, watched.start, 1)
    if watched.at.kind == "steps":
        return max(*watched.at.steps, watched.start, 1)
    raise OntogenyError(f"og.Watch(at={watched.at.kind!r}) needs to know how many steps the training has: og.Watch(..., steps=...)")


def first() -> bool:
    """True in a process that trains alone, and in the first of those that train together, which alone writes."""
    joined = dist.is_available() and dist.is_initialized()
    return (dist.get_rank() if joined else int(os.environ.get("RANK") or 0)) == 0


@contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """Inside it nothing is differentiated; after it every module's mode and every generator of random numbers are as before."""
    modes = [(part, part.training) for part in model.modules()]
    drawn, numbers, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    try:
        with torch.no_grad(), torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            yield
    finally:
        for part, training in modes:
            part.training = training
        random.setstate(drawn)
        np.random.set_state(numbers)
        torch.set_rng_state(cpu)
        if gpus:
            torch.cuda.set_rng_state_all(gpus)
