"""`og.Watch`: one line in a training of anybody's.

Trainer(..., callbacks=[og.Watch(suite="blimp", suite_path="blimp/data", name="mine")])     # transformers or Lightning

with og.Watch(..., model=model, tokenizer=tokenizer, steps=1000) as watch:                  # a loop of one's own
    for step, batch in enumerate(batches, start=1):
        ...
        watch(step, loss=loss)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, get_args

from transformers import TrainerCallback

from ontogeny import recipe as recipes
from ontogeny import trackers as tracking
from ontogeny import yaml_text
from ontogeny.display import Display
from ontogeny.laboratory import Run
from ontogeny.readers.folders import suite_part
from ontogeny.recipe import Observation, Schedule
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.training.state import COLUMNS
from ontogeny.watch import lightning
from ontogeny.watch.watching import Watched, Watching, first, whole

Reading = Literal["beside", "in turn", "after"]
# of a Trainer's arguments, those that decide what comes out
ARGUMENTS = (
    *("per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "max_steps", "learning_rate"),
    *("lr_scheduler_type", "optim", "weight_decay", "adam_beta1", "adam_beta2", "max_grad_norm", "bf16", "fp16", "seed"),
)


class Watch(TrainerCallback):  # type: ignore[misc] # transformers has no types
    """Watches a training: snapshots at steps 0, 1, 2, 4 ... in a run's folder, which are read, judged and shown as any run's.

    `suite`: a suite's name, its settings as a recipe has them, or several of either; `suite_path`: where its files are.
    `name`: the run's folder under `root`.  `at`: default, words, steps, shares of training, or a recipe's checkpoints.
    `read`: by another process beside the training, in turn with it, or after it.  `settings`: as `--set` takes them, such as
    scoring.pairs_per_paradigm=100.  `seed` names the seed's folder (left out: the trainer's, or 0).  A loop of one's own gives
    `model`, `tokenizer`, `steps` (how many there are) and, if it goes on, `start`.

    Of several processes that train together the first alone writes.  Raises OntogenyError before the first step for whatever
    cannot be watched; what goes wrong later is said, and training goes on.
    """

    def __new__(cls, *arguments: Any, **options: Any) -> Watch:
        """Of a class that Lightning takes too, where that is imported already."""
        made: Watch = super().__new__(lightning.taken_by_lightning(cls))
        return made

    def __init__(
        self,
        suite: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] = "blimp",
        name: str = "watched",
        at: str | Sequence[int | float] | Mapping[str, Any] | Schedule = "default",
        read: Reading = "beside",
        *,
        suite_path: Path | str | None = None,
        settings: Sequence[str] = (),
        trackers: Sequence[str] = (),
        root: Path | str = "runs",
        seed: int | None = None,
        model: Any = None,
        tokenizer: Any = None,
        steps: int | None = None,
        start: int = 0,
        words_per_step: float | None = None,
        display: Display | None = None,
    ):
        if read not in get_args(Reading):
            raise OntogenyError(f"og.Watch(read={read!r}): {nearest(str(read), list(get_args(Reading)))}")
        for what, number in {"seed": seed, "steps": steps, "start": start}.items():
            if number is not None and (not isinstance(number, Integral) or number < 0):
                raise OntogenyError(f"og.Watch({what}={number!r}): a whole number, 0 or more")
        if words_per_step is not None and not (isinstance(words_per_step, Real) and words_per_step > 0):
            raise OntogenyError(f"og.Watch(words_per_step={words_per_step!r}): a number of words, more than 0")
        self.recipe = _recipe(suite, suite_path, name, trackers, settings)
        self.at, self.read, self.root, self.seed = _schedule(at), read, Path(root), seed
        self.model, self.tokenizer = model, tokenizer
        self.steps, self.start, self.words_per_step = steps, start, words_per_step
        self.display = display or Display(plain=True)
        self._watching: Watching | None = None
        tracking.check(self.recipe.trackers)

    @property
    def run(self) -> Run:
        """The run that is watched, or was.  Raises OntogenyError before the first step, and in a process that is not the first."""
        if not first():
            raise OntogenyError("this process is not the first of those that train together, which alone has the run")
        if self._watching is None:
            raise OntogenyError("nothing has been watched yet: the run begins with the training")
        return self._watching.run

    # --- a loop of one's own ------------------------------------------------------------------------------------------

    def __enter__(self) -> Watch:
        self(self.start)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.finish()
        elif self._watching is not None:
            self._watching.stop()

    def __call__(self, step: int, tokens: int | None = None, **measured: Any) -> None:
        """After optimiser step `step`; 0 before the first.  `measured`: loss, learning_rate, gradient_norm; `tokens`: so far.

        Raises OntogenyError for a step or a measure that is no number, or a measure of another name.
        """
        _check(step, measured)
        if self._watching is not None:
            self._watching(step, tokens, **measured)
        elif first():
            self._begin(step, self.model, self.tokenizer, self.steps, self.seed or 0, {"trainer": "a loop of its own"})
        else:
            whole(self.model)  # what the first refuses, all do

    def finish(self) -> None:
        """Reads what is left, judges, and writes the page; `with` does it at its end, and trainers do."""
        if self._watching is not None:
            self._watching.finish()

    def _begin(self, step: int, model: Any, tokenizer: Any, steps: int | None, seed: int, facts: Mapping[str, Any]) -> None:
        if self._watching is not None:
            self._watching.stop()  # a training before that was broken off
        watched = Watched(self.recipe, self.root, seed, step, steps, self.at, self.read, self.words_per_step, facts)
        self._watching = Watching(watched, model, tokenizer, self.display)

    # --- the Trainer of transformers ----------------------------------------------------------------------------------

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, processing_class: Any = None, **_: Any
    ) -> None:
        """Step 0, or the one that is gone on from."""
        if not first():
            whole(self.model or model)
            return
        tokenizer = self.tokenizer or getattr(processing_class, "tokenizer", processing_class)
        facts = {"trainer": "Trainer", "warmup": args.get_warmup_steps(state.max_steps)}
        facts |= {name: getattr(args, name) for name in ARGUMENTS if hasattr(args, name)}
        seed = args.seed if self.seed is None else self.seed
        self._begin(state.global_step, self.model or model, tokenizer, state.max_steps, seed, facts)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """An optimiser step is done."""
        if self._watching is not None:
            self._watching(state.global_step, state.num_input_tokens_seen or None)

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        """The means of loss, rate and norm since the line before."""
        if self._watching is not None and logs and "loss" in logs:
            names = {"loss": "loss", "learning_rate": "learning_rate", "grad_norm": "gradient_norm"}
            measured = {ours: logs[theirs] for theirs, ours in names.items() if theirs in logs}
            self._watching.measure(state.global_step, state.num_input_tokens_seen or None, **measured)

    # --- both trainers ------------------------------------------------------------------------------------------------

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """The last step is done."""
        self.finish()

    # --- Lightning ----------------------------------------------------------------------------------------------------

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Step 0, or the one that is gone on from."""
        if not first():
            whole(self.model or module)
            return
        total = trainer.estimated_stepping_batches
        steps = int(total) if total not in (-1, float("inf")) else self.steps
        tokenizer = self.tokenizer or getattr(module, "tokenizer", None)
        self._begin(trainer.global_step, self.model or module, tokenizer, steps, self.seed or 0, {"trainer": "Lightning"})

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any, **__: Any) -> None:
        """A micro-batch is done, and perhaps a step with it: its number grows once for each."""
        if self._watching is not None and trainer.global_step > self._watching.step:
            loss = trainer.callback_metrics.get("train_loss")
            self._watching(trainer.global_step, **({} if loss is None else {"loss": loss}))

    def on_exception(self, trainer: Any, module: Any, error: BaseException) -> None:
        """Training was broken off."""
        if self._watching is not None:
            self._watching.stop()


MEASURES = COLUMNS[:3]


def _check(step: Any, measured: Mapping[str, Any]) -> None:
    if not isinstance(step, Integral):
        raise OntogenyError(f"watch({step!r}): a step is a whole number, of optimiser steps done")
    for name, value in measured.items():
        if name not in MEASURES:
            raise OntogenyError(f"watch({step}, {name}=...) is not known; {nearest(name, [*MEASURES, 'tokens'])}")
        if not isinstance(value, Real) and getattr(value, "ndim", None) != 0:
            raise OntogenyError(f"watch({step}, {name}={value!r}): one number")


def _recipe(
    suite: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]],
    path: Path | str | None,
    name: str,
    trackers: Sequence[str],
    settings: Sequence[str],
) -> Observation:
    """What is read, as a run around anybody's checkpoints has it."""
    parts = [suite] if isinstance(suite, str | Mapping) else list(suite)
    if path is not None and (len(parts) > 1 or not isinstance(parts[0], str)):
        raise OntogenyError('og.Watch(suite_path=...) is for one suite by its name; for others: {"kind": "blimp", "path": ...}')
    folder = None if path is None else Path(path)
    suites = [suite_part(part, folder) if isinstance(part, str) else dict(part) for part in parts]
    raw: dict[str, Any] = {"name": name, "suites": suites, "trackers": _several(trackers)}
    for setting in _several(settings):
        yaml_text.override(raw, setting)
    found: Observation = recipes.build(Observation, raw, "og.Watch")
    return found


def _several(said: Sequence[str]) -> list[str]:
    return [said] if isinstance(said, str) else list(said)


def _schedule(at: str | Sequence[int | float] | Mapping[str, Any] | Schedule) -> Schedule:
    if isinstance(at, Schedule):
        return at
    if isinstance(at, str | Mapping):
        raw = {"kind": at} if isinstance(at, str) else dict(at)
    elif not isinstance(at, Iterable):
        raise OntogenyError(f"og.Watch(at={at!r}): default, words, a list of steps or of shares, or a mapping as in a recipe")
    else:
        kind = "shares" if any(isinstance(one, float) for one in at) else "steps"
        raw = {"kind": kind, kind: list(at)}
    found: Schedule = recipes.build(Schedule, raw, "og.Watch(at=...)")
    return found
