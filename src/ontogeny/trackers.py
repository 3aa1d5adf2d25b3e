"""Where else a training's numbers go: wandb, mlflow, tensorboard ..., through the classes that accelerate has of them.

Of every checkpoint that has been read on a suite: accuracy, paradigms that are wrong, those entrenched so far, each phenomenon's
accuracy, and the dev loss where a run has one.  What is read late comes under its own step.  All of it is taken from the run's
folder, so that a tracker hears the same whoever read the checkpoints and whenever.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from ontogeny import foreign
from ontogeny.disk import file_name
from ontogeny.display import Display
from ontogeny.judging import curves_of
from ontogeny.recipe import Observation, Thresholds
from ontogeny.records import OntogenyError, Suite
from ontogeny.registry import nearest
from ontogeny.results import Results
from ontogeny.scoring.options import CHANCE
from ontogeny.store import RunFolder
from ontogeny.trajectories import Timeline
from ontogeny.trajectories.bands import states, upper_edge
from ontogeny.trajectories.timeline import windows
from ontogeny.trajectories.verdicts import window_state

PROJECT = "ontogeny"  # that a run belongs to, where a tracker has projects or experiments
STEP = "ontogeny/step"  # the axis in wandb, whose own steps may only grow

Values = dict[str, float]


def check(names: Sequence[str]) -> None:
    """Raises OntogenyError for a tracker that accelerate does not know, or whose package is not installed."""
    for name in names:
        known = _classes()
        if name not in known:
            raise OntogenyError(f"no tracker is called {name!r}; {nearest(name, list(known))}")
        packages = ("tensorboard", "tensorboardX") if name == "tensorboard" else (name,)
        if not any(package in sys.modules or find_spec(package) for package in packages):
            raise OntogenyError(f"the tracker {name} is not installed: pip install {name}; or take it out of trackers")


def _classes() -> Mapping[str, Any]:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    return cast(Mapping[str, Any], LOGGER_TYPE_TO_CLASS)


class Trackers:
    """The trackers of a run's training, begun when this is made; they hear of the seeds that it trains.

    Raises OntogenyError as `check` does, and for one that does not begin.
    """

    def __init__(self, folder: RunFolder, recipe: Observation, seeds: Sequence[int], display: Display):
        self.folder = folder
        self.recipe = recipe
        self.seeds = seeds
        self.display = display
        self._told: set[tuple[str, int, int]] = set()  # suite, seed and step
        check(recipe.trackers)
        self._open = {name: self._begin(name) for name in recipe.trackers}

    def _begin(self, name: str) -> Any:
        options = {
            "wandb": lambda: {"name": self.folder.name},
            "mlflow": lambda: {"run_name": self.folder.name},
            "tensorboard": lambda: {"logging_dir": str(self.folder.path / "trackers")},
        }
        from accelerate import PartialState

        PartialState()  # which its trackers ask whether this process is the first
        try:
            tracker = _classes()[name]("tensorboard" if name == "tensorboard" else PROJECT, **options.get(name, dict)())
            if not _joined(name, tracker):
                tracker.start()
                tracker.store_init_configuration(_flat(self.recipe.model_dump(mode="json")))
            if name == "wandb":
                tracker.tracker.define_metric("ontogeny/*", step_metric=STEP)
        except (Exception, SystemExit) as error:  # whatever a library raises, which may want a network or a key
            raise OntogenyError(f"the tracker {name} does not begin: {foreign.cause(error)}; or take it out of trackers") from error
        return tracker

    def tell(self) -> None:
        """Tells what has been read since, each checkpoint under its own step."""
        if not self._open:
            return
        for step, values in self._news():
            for name in list(self._open):
                with self._letting_go(name):
                    own = values | {STEP: step} if name == "wandb" else values
                    self._open[name].log(own, **({} if name == "wandb" else {"step": step}))

    def finish(self, page: Path) -> None:
        """Tells what is left, hands over the page where a tracker takes files, and ends those that began here."""
        self.tell()
        for name, tracker in list(self._open.items()):
            with self._letting_go(name):
                if name in PAGE and page.exists():
                    PAGE[name](tracker, page, self.folder.name)
                if not getattr(tracker, "joined", False):
                    tracker.finish()
        self._open = {}

    @contextmanager
    def _letting_go(self, name: str) -> Iterator[None]:
        """A tracker that fails is let go, and training goes on."""
        try:
            yield
        except Exception as error:
            self._open.pop(name, None)
            self.display.warn(f"the tracker {name} failed and is told nothing more ({foreign.cause(error)}); the run has it all")

    def _news(self) -> Iterator[tuple[int, Values]]:
        suites = [cast(Suite, part).name for part in self.recipe.suites]
        for suite in suites:
            new = {(suite, seed, step) for seed in self.seeds for step in self.folder.scored(seed, suite)} - self._told
            if not new:
                continue
            curves = curves_of(self.folder, suite, self.recipe)
            for seed in sorted({seed for _, seed, _ in new}):
                inside = [file_name(suite)] * (len(suites) > 1) + [f"seed-{seed}"] * (len(self.seeds) > 1)
                prefix = "/".join(["ontogeny", *inside, ""])
                for step in sorted(step for _, one, step in new if one == seed):
                    found = numbers(self.folder, curves.filter(pl.col("seed") == seed), step, self.recipe.verdicts)
                    yield step, {prefix + name: value for name, value in found.items()}
            self._told |= new


def numbers(folder: RunFolder, curves: pl.DataFrame, step: int, thresholds: Thresholds) -> Values:
    """What is told of one checkpoint.  `curves`: one suite's and seed's, with the checkpoints before it."""
    now = curves.filter(pl.col("step") == step)
    if now.is_empty():
        return {}
    results = Results(folder)
    found = {"accuracy": float(now["accuracy"].mean())}  # type: ignore[arg-type]
    found |= entrenched_so_far(curves.filter(pl.col("step") <= step), results.timeline(curves), thresholds)
    phenomena = now.filter(pl.col("phenomenon") != "").group_by("phenomenon").agg(pl.col("accuracy").mean()).sort("phenomenon")
    found |= {f"phenomena/{phenomenon}": mean for phenomenon, mean in phenomena.iter_rows()}
    loss = results.dev_losses().get((now["seed"][0], step))
    return found | ({} if loss is None else {"dev_loss": loss})


def entrenched_so_far(curves: pl.DataFrame, time: Timeline, thresholds: Thresholds) -> Values:
    """At the last step of one seed's curves, how many paradigms are wrong (state -1), and how many are entrenched so far.

    Those are wrong in the early window, as verdicts have it, and at every checkpoint since; not told before that window has ended.
    """
    steps = sorted(curves["step"].unique().to_list())
    so_far = windows(Timeline(tuple(steps), time.total, time.warmup, time.trained_from), thresholds)
    count, wrong, entrenched = curves["paradigm"].n_unique(), 0.0, 0.0
    for own in curves.sort("step").partition_by("paradigm"):
        chance = float(own["chance"][0]) if "chance" in own.columns else CHANCE
        found = states(own["accuracy"].to_numpy(), upper_edge(int(own["n"][0]), count, thresholds, chance), chance)
        early = window_state(found, so_far.early, so_far.early_weights, thresholds.cover) == -1
        wrong += found[-1] == -1
        entrenched += bool(early and np.all(found[np.flatnonzero(so_far.early)[-1] :] == -1))
    known = so_far.early.sum() >= thresholds.min_early and not so_far.early[-1]
    return {"wrong": wrong} | ({"entrenched_so_far": entrenched} if known else {})


def _joined(name: str, tracker: Any) -> bool:
    """Goes along with a run that somebody's trainer has begun already, which is theirs to end; True if there is one."""
    module: Any = sys.modules.get(name)
    place = {"wandb": "run", "mlflow": "active_run"}.get(name)
    if module is None or place is None:
        return False
    run = module.run if name == "wandb" else module.active_run()
    if run is not None:
        setattr(tracker, place, run)
        tracker.joined = True
    return run is not None


def _wandb_page(tracker: Any, page: Path, run: str) -> None:
    import wandb

    artifact = wandb.Artifact(f"{run}-report".replace("~", "-"), type="report")
    artifact.add_file(str(page))
    tracker.tracker.log_artifact(artifact)


def _mlflow_page(tracker: Any, page: Path, run: str) -> None:
    tracker.log_artifact(str(page), "report")


PAGE: dict[str, Callable[[Any, Path, str], None]] = {"wandb": _wandb_page, "mlflow": _mlflow_page}


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Settings under dotted names, as trackers take them."""
    if isinstance(settings, Mapping):
        inner = [_flat(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in settings.items()]
        return {name: value for part in inner for name, value in part.items()}
    return {prefix: settings if isinstance(settings, str | int | float) else str(settings)}
