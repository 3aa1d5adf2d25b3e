"""Running a study: every arm with every seed, as many at a time as the machine allows, from wherever it was left."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from ontogeny.display import QUIET, Display
from ontogeny.instruments.tables import unread
from ontogeny.laboratory import Run
from ontogeny.recipe import dump
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder
from ontogeny.studies.design import check_made
from ontogeny.studies.plan import Arm, Study
from ontogeny.work.local import workers


@dataclass(frozen=True, slots=True)
class Piece:
    """One training: an arm with a seed."""

    arm: Arm
    seed: int


def run_arms(study: Study, folder: Path, display: Display = QUIET, jobs: int | None = None) -> None:
    """Trains and reads what is missing of a study in `folder`, `jobs` trainings at a time (None: one a core, or one on a GPU).

    Each arm's text is made before its first training.  Trainings go by priority, and within it seed by seed, so that what there
    is at any moment can be compared within seeds.  Raises OntogenyError that names every arm and seed that failed, after all
    others have ended, and for a design that `check_made` refuses, before anything is trained.
    """
    jobs = jobs or at_once()
    arms = sorted(study.arms, key=lambda arm: arm.priority)
    paths = {arm.name: path_of(folder, arm) for arm in arms}
    for arm in arms:
        RunFolder(paths[arm.name]).claim(dump(arm.recipe))
    with ExitStack() as held:
        for path in (folder, *paths.values()):  # nobody else writes here meanwhile
            held.enter_context(RunFolder(path).writing())
        pool = held.enter_context(_workers(jobs))
        begin(arms, folder)
        _in_turn(pool, display, "arms made ready", {name: partial(make_ready, path, jobs) for name, path in paths.items()})
        check_made(study, folder)
        todo = missing(study, folder)
        work = {f"{one.arm.name}, seed {one.seed}": partial(train_and_read, paths[one.arm.name], one.seed, jobs) for one in todo}
        _in_turn(pool, display, "arms x seeds", work, len(arms) * len(study.file.seeds) - len(todo))
        _in_turn(pool, display, "arms judged", {name: partial(judge, path) for name, path in paths.items()})


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


def missing(study: Study, folder: Path) -> list[Piece]:
    """What has not been trained and read to its end, in the order in which it will be."""
    pieces = [Piece(arm, seed) for arm in study.arms for seed in study.file.seeds if not whole(path_of(folder, arm), arm, seed)]
    order = {arm.name: place for place, arm in enumerate(study.arms)}
    return sorted(pieces, key=lambda piece: (piece.arm.priority, study.file.seeds.index(piece.seed), order[piece.arm.name]))


def whole(path: Path, arm: Arm, seed: int) -> bool:
    """True if a seed was trained to its end and every suite and instrument has read it at every checkpoint."""
    folder = RunFolder(path)
    steps = folder.lineage().get("training", {}).get("steps")
    read = [checkpoint.step for checkpoint in folder.checkpoints(seed)]
    if steps is None or steps not in read:
        return False
    scored = all(set(read) <= set(folder.scored(seed, suite.name)) for suite in arm.recipe.suites)  # type: ignore[attr-defined]
    return scored and not unread(folder, arm.recipe, seed, read)


# --- what a worker does -------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def opened(path: Path) -> Run:
    """An arm's run.  A worker keeps those it has opened: their suites are read and tokenised once, not once a seed."""
    return Run(path)


def make_ready(path: Path, jobs: int) -> None:
    """Text, edited streams and bigram margins of one arm: what its seeds share."""
    here = opened(path)
    here.prepare(jobs)
    here.stream_margins()


def train_and_read(path: Path, seed: int, jobs: int) -> None:
    """Trains one seed of one arm to its end and reads every checkpoint."""
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // jobs))
    here = opened(path)
    if not here.folder.has_checkpoint(seed, here.training_plan().steps):
        here.train_seed(seed)
    if troubles := here.score_seed(seed):
        raise OntogenyError("\n".join(troubles))


def judge(path: Path) -> None:
    """Verdicts of one arm; the run's folder is held by whoever runs the study."""
    from ontogeny.judging import judge_run

    here = opened(path)
    judge_run(here.folder, here.recipe, here.display)


# --- taking turns -------------------------------------------------------------------------------------------------


@contextmanager
def _workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that stay, so that each imports torch once; on an error or Ctrl-C what has not begun is not begun."""
    pool = workers(jobs)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    pool.shutdown()


def _in_turn(
    pool: ProcessPoolExecutor, display: Display, title: str, work: Mapping[str, Callable[[], None]], done: int = 0
) -> None:
    """Does all the work.  Raises OntogenyError that names each piece that failed, after the others have ended."""
    running = {pool.submit(piece): name for name, piece in work.items()}
    failed = []
    with display.bar(title, done + len(work), "", done) as advance:
        for future in as_completed(running):
            error = future.exception()
            if error is not None:
                told = str(error) if isinstance(error, OntogenyError) else f"{type(error).__name__}: {error}"
                failed.append(f"{running[future]}: {told}")
                display.warn(failed[-1])
            advance(1, running[future])
    if failed:
        raise OntogenyError("\n".join(failed))
