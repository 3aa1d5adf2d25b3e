"""Running a study: every arm with every seed, as many at a time as the machine allows, from wherever it was left."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ontogeny import recipe as recipes
from ontogeny.display import QUIET, Display
from ontogeny.instruments.tables import unread
from ontogeny.laboratory import Run
from ontogeny.recipe import dump
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder
from ontogeny.studies.design import check_made
from ontogeny.studies.plan import Arm, Study
from ontogeny.work.local import shares
from ontogeny.work.piece import Piece, do_all


@dataclass(frozen=True, slots=True)
class ArmSeed:
    """An arm with a seed."""

    arm: Arm
    seed: int


def run_arms(
    study: Study,
    folder: Path,
    display: Display = QUIET,
    jobs: int | None = None,
    look: Callable[[Study, Path], None] = check_made,
    on: str | None = None,
) -> None:
    """Trains and reads what is missing of a study in `folder`, `jobs` trainings at a time (None: one a core, or one on a GPU).

    Each arm's text is made before its first training.  Trainings go by priority, and within it seed by seed, so that what there
    is at any moment can be compared within seeds.  `on`: by which engine; left out: by the recipe's.  Raises OntogenyError that
    names every arm and seed that failed, after all others have ended, and for a design that `check_made` refuses, or `look`,
    before anything is trained.
    """
    jobs = jobs or at_once()
    paths = [path_of(folder, arm) for arm in study.arms]
    for arm, path in zip(study.arms, paths, strict=True):
        RunFolder(path).claim(dump(arm.recipe))
    with ExitStack() as held:
        for path in (folder, *paths):  # nobody else writes here meanwhile
            held.enter_context(RunFolder(path).writing())
        engine = recipes.engine(study.base.engine, on)
        submit = held.enter_context(engine.opened(shares(jobs), display))
        begin(study.arms, folder)
        ready, trained, judged = pieces(study, folder, jobs)
        do_all(ready, submit, display, "arms made ready")
        check_made(study, folder)
        look(study, folder)
        do_all(trained, submit, display, "arms x seeds", begun=len(study.arms) * len(study.file.seeds) - len(trained))
        do_all(judged, submit, display, "arms judged")


def pieces(study: Study, folder: Path, jobs: int = 1) -> tuple[list[Piece], list[Piece], list[Piece]]:
    """What is to be done for a study, `jobs` at a time on a machine: arms made ready, trainings that are missing, arms judged."""
    arms = {arm.name: (arm, str(path_of(folder, arm).absolute())) for arm in sorted(study.arms, key=lambda arm: arm.priority)}
    ready = {name: Piece("prepare", path, {"jobs": jobs, "margins": True}, label=name) for name, (_, path) in arms.items()}
    trained: dict[str, list[Piece]] = {name: [] for name in arms}
    found = []
    for one in missing(study, folder):
        name = one.arm.name
        inputs = {"seed": one.seed, "read": True}
        found.append(Piece("train", arms[name][1], inputs, (ready[name],), f"{name}, seed {one.seed}"))
        trained[name].append(found[-1])
    judged = [Piece("judge", path, {}, (ready[name], *trained[name]), name) for name, (_, path) in arms.items()]
    return list(ready.values()), found, judged


def judge_arms(study: Study, folder: Path, display: Display = QUIET) -> None:
    """Verdicts of every arm, over the seeds that were read as far as its furthest; says which arms another process holds."""
    with display.bar("arms judged", len(study.arms)) as advance:
        for arm in study.arms:
            own = RunFolder(path_of(folder, arm))
            try:
                if _has_news(own, arm):
                    Run(own.path).judge()
            except OntogenyError as error:
                display.warn(f"{arm.name} stays as it was judged last: {error}")
            advance(1)


def _has_news(run: RunFolder, arm: Arm) -> bool:
    """True if an arm has scores that its verdicts, if there are any, were not made of."""
    from ontogeny.judging import judged

    names = [suite.name for suite in arm.recipe.suites]  # type: ignore[attr-defined]
    scored = any(run.scored(seed, name) for seed in run.seeds() for name in names)
    return scored and not judged(run, Run(run.path).recipe)


def path_of(folder: Path, arm: Arm) -> Path:
    """An arm's run folder."""
    return folder / "arms" / arm.slug


def at_once() -> int:
    """Trainings that this machine does side by side: one a core, or one where there is a GPU."""
    import torch

    return 1 if torch.cuda.is_available() else os.cpu_count() or 1


def begin(arms: Sequence[Arm], folder: Path) -> None:
    """Makes each arm's run folder, or opens it.  Raises OntogenyError, before anything is trained, for one trained otherwise."""
    for arm in arms:
        Run.begin(arm.recipe, folder / "arms", locked=True)


def missing(study: Study, folder: Path) -> list[ArmSeed]:
    """What has not been trained and read to its end, in the order in which it will be."""
    found = [ArmSeed(arm, seed) for arm in study.arms for seed in study.file.seeds if not whole(path_of(folder, arm), arm, seed)]
    order = {arm.name: place for place, arm in enumerate(study.arms)}
    return sorted(found, key=lambda one: (one.arm.priority, study.file.seeds.index(one.seed), order[one.arm.name]))


def whole(path: Path, arm: Arm, seed: int) -> bool:
    """True if a seed was trained to its end and every suite and instrument has read it at every checkpoint."""
    folder = RunFolder(path)
    steps = folder.lineage().get("training", {}).get("steps")
    read = [checkpoint.step for checkpoint in folder.checkpoints(seed)]
    if steps is None or steps not in read:
        return False
    scored = all(set(read) <= set(folder.scored(seed, suite.name)) for suite in arm.recipe.suites)  # type: ignore[attr-defined]
    return scored and not unread(folder, arm.recipe, seed, read)
