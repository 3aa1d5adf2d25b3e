"""What `ontogeny study` does: begin a file, check it, run it, report it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import polars as pl

from ontogeny import disk
from ontogeny.display import QUIET, Display
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder
from ontogeny.studies import design, guards, power, registration, running, study_file
from ontogeny.studies.analysis import Analysed, analyse
from ontogeny.studies.cost import Cost, cost
from ontogeny.studies.gathering import arms_of, gather
from ontogeny.studies.measures import Measures
from ontogeny.studies.page import write_study_report
from ontogeny.studies.plan import NAME, Study

WRITTEN = "study.yaml"  # in a study's folder: what was run, every default written out


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a study has found so far."""

    analysed: Analysed
    power: pl.DataFrame
    page: Path


def new(name: str, recipe: str, out: Path | None = None) -> Path:
    """Writes a study file to begin with.  Raises OntogenyError rather than write over one."""
    if not re.fullmatch(NAME, name):
        raise OntogenyError(f"a study's name has letters, digits, '.', '_' and '-' only, and begins with no sign, unlike {name!r}")
    path = out or Path(f"{name}.yaml")
    if path.exists():
        raise OntogenyError(f"{path} is there already; give the study another name, or say --out")
    text = (files("ontogeny.studies") / "template.yaml").read_text(encoding="utf-8")
    with disk.atomic(path) as temporary:
        temporary.write_text(text.format(name=name, recipe=recipe, file=path), encoding="utf-8")
    return path


def open_study(source: Path, settings: tuple[str, ...] = (), root: Path = Path("runs")) -> Study:
    """A study from its file, from the folder that a run of it made, or from that folder's name under `root`.

    Raises OntogenyError for settings laid over a folder: what ran is written there.
    """
    for folder in (source, root / source):
        if (folder / WRITTEN).exists():
            if settings:
                raise OntogenyError(f"{folder} holds what was run; --set is for a study's file")
            return study_file.load(folder / WRITTEN)
    return study_file.load(source, settings)


def root_of(source: Path, root: Path) -> Path:
    """The folder in which a study's own is: the one around it where it was named itself, else `root`."""
    return source.parent if (source / WRITTEN).exists() else root


@dataclass(frozen=True, slots=True, eq=False)
class StudyForecast:
    """What can be said of a study before it is run, or goes on."""

    arms: pl.DataFrame  # as `arms_of` has them, and trained: seeds that are there
    power: pl.DataFrame
    cost: Cost | None  # None: nothing is missing
    unsaid: list[str]  # changes since it was registered
    doubts: list[str]  # what keeps it from deciding whatever comes out


def check(
    study: Study, root: Path, earlier: Sequence[Path] = (), jobs: int | None = None, display: Display = QUIET
) -> StudyForecast:
    """Power by simulation, and cost by a short trial.  `earlier`: runs, or studies, that say how much seeds vary.

    Raises OntogenyError for arms that cannot be told apart once their texts are made, and for tokenizers that differ unsaid.
    """
    guards.check(study)
    guards.check_fresh(study, root)
    folder = root / study.file.name
    design.check_made(study)
    todo = running.missing(study, folder)
    trained = [len(study.file.seeds) - sum(piece.arm.name == arm.name for piece in todo) for arm in study.arms]
    return StudyForecast(
        arms_of(study).with_columns(trained=pl.Series(trained)),
        power_of(study, folder, earlier),
        cost(study, todo, jobs or running.at_once(), display) if todo else None,
        registration.unsaid(folder, study) if (folder / registration.FILE).exists() else [],
        design.doubts(study, [run for path in (*earlier, folder) for run in _as_the_reference(path, study)]),
    )


def power_of(study: Study, folder: Path, earlier: Sequence[Path] = ()) -> pl.DataFrame:
    """The study's chances.  Seeds vary as in `earlier` runs, else as in its own reference arm, else as published."""
    runs = [RunFolder(path) for given in earlier for path in _runs_in(given)]
    sd = power.seed_sd(runs, study.file.paradigms) if runs else _own_sd(study, folder)
    found = guards.seen(study, folder, gather(folder, study)) if (folder / WRITTEN).exists() else None
    margins = {name: Measures(study, found).bigram_margin(name) for name in study.file.paradigms} if found is not None else None
    controls = len(study.controls_among(found.curves["paradigm"].unique().to_list())) if found is not None else None
    return power.power(study, sd, margins, controls=controls)


def _own_sd(study: Study, folder: Path) -> dict[str, float] | None:
    """How much the reference arm's own seeds vary; None while there are too few of them, or of checkpoints."""
    own = RunFolder(running.path_of(folder, study.arm(study.file.reference)))
    if not own.curves.exists():
        return None
    try:
        return power.seed_sd([own], study.file.paradigms)
    except OntogenyError:
        return None


def _as_the_reference(given: Path, study: Study) -> list[RunFolder]:
    """A run, or of a study the arm that is called as the reference is."""
    arm = running.path_of(given, study.arm(study.file.reference))
    return [RunFolder(path) for path in (arm, given) if (path / "lineage.json").exists()]


def _runs_in(given: Path) -> list[Path]:
    """A run, or the arms of a study."""
    return sorted(given.glob("arms/*")) if (given / WRITTEN).exists() else [given]


def register(study: Study, root: Path, display: Display = QUIET) -> Path:
    """Writes what a study says, with hash and date, into its folder, which it returns."""
    guards.check(study)
    guards.check_fresh(study, root)
    folder = root / study.file.name
    said = registration.register(folder, study)
    with disk.atomic(folder / WRITTEN) as temporary:
        temporary.write_text(study_file.dump(study), encoding="utf-8")
    for line in said.says():
        display.say(line)
    return folder


def run(study: Study, root: Path, jobs: int | None = None, display: Display = QUIET, on: str | None = None) -> Result:
    """Trains what is missing, reads it, decides the predictions and writes the page; says first what it will cost.

    The predictions are registered, with hash and date, before the first training.
    """
    folder = register(study, root, display)
    for line in design.doubts(study, _as_the_reference(folder, study)):
        display.warn(line)
    if todo := running.missing(study, folder):
        display.say(f"{study.file.name}: {cost(study, todo, jobs or running.at_once(), display)}")
    running.run_arms(study, folder, display, jobs, guards.check_texts, on)
    return _decide(study, folder)


def report(study: Study, root: Path, display: Display = QUIET) -> Result:
    """Decides what can be decided of a study as it stands, and writes tables and page."""
    running.judge_arms(study, root / study.file.name, display)
    return _decide(study, root / study.file.name)


def _decide(study: Study, folder: Path) -> Result:
    gathered = guards.seen(study, folder, gather(folder, study))
    found = analyse(study, gathered)
    chances = power_of(study, folder)
    for name, table in (found.tables() | {"power": chances}).items():
        disk.write_table(folder / "analysis" / f"{name}.parquet", table)
    said = registration.read(folder)
    page = write_study_report(
        folder,
        study,
        gathered,
        found.claims,
        found.effects,
        said,
        found.divided,
        chances,
        guards.told(study, folder, Measures(study, gathered)),
    )
    return Result(found, chances, page)
