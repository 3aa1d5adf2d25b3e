"""From the run folders of a study's arms to the frames that its analysis and its page take."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from ontogeny.disk import access, read_json, read_table, write_json, write_table
from ontogeny.instruments.tables import unread
from ontogeny.records import OntogenyError
from ontogeny.results import Results, spans
from ontogeny.scoring.options import CHANCE
from ontogeny.store import RunFolder
from ontogeny.studies.alarms import alarms_of
from ontogeny.studies.comparing import Gap, ReadArm, differences
from ontogeny.studies.outcomes import outcomes_of
from ontogeny.studies.plan import Arm, Study
from ontogeny.trajectories.timeline import Windows, boundaries, windows

SAMPLE = 8  # changes of an edit that the page shows

TYPES: dict[str, Any] = {
    **dict.fromkeys(("seed", "step", "steps", "tokens", "number", "of", "order", "priority"), pl.Int64),
    **dict.fromkeys(("words", "accuracy", "margin", "value", "dev_loss", "seconds", "start", "until", "end"), pl.Float64),
    **dict.fromkeys(("early_margin", "early_accuracy", "late_margin", "late_accuracy", "bigram_margin"), pl.Float64),
    **dict.fromkeys(("edited", "reference", "held", "raised", "wrong"), pl.Boolean),
}  # of the frames' columns; all others are text
SCHEMAS: dict[str, dict[str, Any]] = {
    name: {column: TYPES.get(column, pl.String) for column in columns.split()}
    for name, columns in {
        "curves": "arm seed suite paradigm step tokens words accuracy margin",
        "outcomes": "arm seed paradigm pair contrast held early_margin early_accuracy late_margin late_accuracy",
        "verdicts": "arm seed paradigm verdict",
        "evidence": "arm paradigm start until bigram_margin edited",
        "readings": "arm measure seed paradigm step value",
        "losses": "arm seed step dev_loss",
        "edits": "arm number kind facts promises",
        "samples": "arm number kind of change",
        "spans": "arm window start end",
        "costs": "arm seed steps tokens words seconds",
        "alarms": "arm seed paradigm raised wrong",
    }.items()
}
FRAMES = ("arms", *SCHEMAS)


@dataclass(frozen=True, slots=True, eq=False)
class StudyFrames:
    """The frames of a study (columns: `SCHEMAS`), of the seeds that were read to their end, and what is not there."""

    arms: pl.DataFrame  # arm, slug, order, priority, changes, factor.NAME, reference
    curves: pl.DataFrame
    outcomes: pl.DataFrame  # a row a pair: means over the early and the late window
    verdicts: pl.DataFrame  # seed null: over all seeds of the arm
    evidence: pl.DataFrame  # of periods of training, as shares of it; `edited`: an edit of the text holds in that period
    readings: pl.DataFrame  # of instruments that predictions ask about; paradigm null: of none
    losses: pl.DataFrame
    edits: pl.DataFrame
    samples: pl.DataFrame  # a few of what each edit changed, as JSON, `of` so many
    spans: pl.DataFrame  # windows of training, in steps
    costs: pl.DataFrame  # training of each seed; seconds of its steps, without reading and saving
    alarms: pl.DataFrame  # of closed loops: whether one was raised, and whether the reference's seed ends wrong
    gaps: tuple[Gap, ...] = ()
    notes: tuple[str, ...] = ()  # what arms do not share that they should, and what was left out
    lineages: Mapping[str, Any] = field(default_factory=dict)  # of each arm, as its run has it

    def seeds(self, arm: str) -> list[int]:
        """Seeds of an arm that were read to their end."""
        return self.curves.filter(arm=arm)["seed"].unique().sort().to_list()


def gather(folder: Path, study: Study) -> StudyFrames:
    """Reads a study's arms from `folder/arms/SLUG`, each a run's folder.

    Arms that have no curves yet and seeds that were not read to their end are left out of every frame and named in `gaps`.  The
    early and the late window of an arm are the reference's where its checkpoints are the same, so that no comparison is between
    different moments of training; else its own.  Raises OntogenyError for broken files.
    """
    read = [_read(folder, arm, study) for arm in study.arms]
    there = [found for found in read if found.seeds]
    notes = [*_paradigm_notes(there, study), *_other_seeds(there, study), *differences(there, study.file.reference)]
    frames: dict[str, list[pl.DataFrame]] = {name: [pl.DataFrame(schema=schema)] for name, schema in SCHEMAS.items()}
    reference = next((found for found in there if found.arm == study.file.reference), None)
    for found in there:
        view, rows, said = _view(found, reference)
        notes += said
        for name, frame in {**_frames(found, view, study), "spans": rows, "alarms": alarms_of(found, reference)}.items():
            if frame is not None:
                frames[name].append(_typed(name, frame.with_columns(arm=pl.lit(found.arm))))
    whole = {name: pl.concat(parts) for name, parts in frames.items()}
    lineages = {found.arm: dict(found.results.lineage) for found in there}
    gaps = tuple(gap for found in read for gap in found.gaps)
    return StudyFrames(arms=arms_of(study), **whole, gaps=gaps, notes=tuple(dict.fromkeys(notes)), lineages=lineages)


def arms_of(study: Study) -> pl.DataFrame:
    """One row an arm, with a column `factor.NAME` for each factor: numbers where all its levels are numbers, else text."""
    own = study.arms
    rows = [(arm.name, arm.slug, i, arm.priority, arm.changes, arm.name == study.file.reference) for i, arm in enumerate(own)]
    columns = ("arm", "slug", "order", "priority", "changes", "reference")
    frame = pl.DataFrame(rows, {name: TYPES.get(name, pl.String) for name in columns}, orient="row")
    names = dict.fromkeys(name for arm in own for name in arm.factors)
    return frame.with_columns(_levels(name, [arm.factors.get(name) for arm in own]) for name in names)


def _levels(name: str, values: Sequence[Any]) -> pl.Series:
    known = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return pl.Series(f"factor.{name}", values, pl.Float64)
    said = [None if value is None else value if isinstance(value, str) else json.dumps(value) for value in values]
    return pl.Series(f"factor.{name}", said, pl.String)


# --- one arm ------------------------------------------------------------------------------------------------------


def _read(folder: Path, arm: Arm, study: Study) -> ReadArm:
    results = Results(RunFolder(folder / "arms" / arm.slug))
    curves = _curves(results, study)
    gaps = _gaps(arm, results, curves, study)
    seeds = tuple(s for s in study.file.seeds if s in set(curves["seed"]) and s not in {gap.seed for gap in gaps})
    return ReadArm(arm.name, results, curves.filter(pl.col("seed").is_in(seeds)), seeds, gaps)


def _curves(results: Results, study: Study) -> pl.DataFrame:
    """The curves of the study's paradigms; a paradigm that several suites have is taken from the first of them."""
    table = results.curves
    every = study.file.controls is None or any(one.paradigms == "exam" for one in study.file.predictions.values())
    wanted = table["paradigm"].unique().to_list() if every else _asked_about(study)
    if others := _of_more_options(table):
        if named := [name for name in _asked_about(study) if name in others]:
            said = f"{named[0]} has items of more than two options, and a study's effects are of two"
            raise OntogenyError(f"{results.folder.path}: {said}")
        table = table.filter(~pl.col("paradigm").is_in(others))
    first = table.group_by("paradigm", maintain_order=True).agg(pl.col("suite").first())
    kept = table.join(first, on=["paradigm", "suite"]).filter(pl.col("paradigm").is_in(wanted))
    return _typed("curves", kept).drop("arm").sort("paradigm", "seed", "step")


def _of_more_options(curves: pl.DataFrame) -> list[str]:
    """Paradigms of which a guesser does not get one half."""
    if "chance" not in curves.columns:
        return []
    found: list[str] = curves.filter(pl.col("chance") != CHANCE)["paradigm"].unique().sort().to_list()
    return found


def _asked_about(study: Study) -> list[str]:
    """Paradigms that the study names: as such, as controls, or in a prediction."""
    listed = [p.paradigms for p in study.file.predictions.values() if not isinstance(p.paradigms, str)]
    return list(dict.fromkeys([*study.file.paradigms, *(study.file.controls or ()), *(name for names in listed for name in names)]))


def _gaps(arm: Arm, results: Results, curves: pl.DataFrame, study: Study) -> tuple[Gap, ...]:
    run, read = results.folder, {seed: set(steps) for seed, steps in curves.group_by("seed").agg("step").iter_rows()}
    if not results.lineage:
        return (Gap(arm.name, None, "not started"),)
    if not read:
        begun = any(run.checkpoints(seed) for seed in run.seeds())
        return (Gap(arm.name, None, "trained in part, and not judged yet" if begun else "begun, and not trained yet"),)
    every, found = set().union(*read.values()), []
    total = int(results.section("training", "steps") or max(every))
    for seed in study.file.seeds:
        if seed not in read:
            found.append(Gap(arm.name, seed, "not read yet"))
        elif max(read[seed]) < total:
            found.append(Gap(arm.name, seed, f"read to step {max(read[seed]):,} of {total:,}"))
        elif short := sorted(every - read[seed]):
            found.append(Gap(arm.name, seed, f"not read at step {_steps(short)}, as other seeds were"))
        elif gone := unread(run, arm.recipe, seed, sorted(read[seed])):
            name, steps = next(iter(gone.items()))
            found.append(Gap(arm.name, seed, f"not read with {name} at step {_steps(steps)}"))
    return tuple(found)


def _steps(steps: Sequence[int]) -> str:
    return ", ".join(f"{step:,}" for step in steps)


def _frames(found: ReadArm, view: Windows | None, study: Study) -> dict[str, pl.DataFrame | None]:
    """Every frame of one arm but its spans; None where there is nothing of it."""
    by_suite = found.curves.group_by("suite", maintain_order=True).agg(pl.col("paradigm").unique(maintain_order=True))
    suites: dict[str, list[str]] = dict(by_suite.iter_rows())
    of_seeds = pl.col("seed").is_in(found.seeds)
    outcomes = [] if view is None else outcomes_of(found.run, suites, found.seeds, view, found.results.thresholds)
    readings = [found.results.outcome(name).filter(of_seeds).with_columns(measure=pl.lit(name)) for name in study.readings]
    dev, losses = found.results.dev, found.results.losses
    sums = (pl.col("step").max().alias("steps"), pl.col("tokens", "words").max(), pl.col("seconds").sum())
    return {
        "curves": found.curves,
        "outcomes": pl.concat(outcomes) if outcomes else None,
        "verdicts": _verdicts(found, suites),
        "evidence": _evidence(found),
        "losses": None if dev is None else dev.filter(of_seeds).rename({"loss": "dev_loss"}),
        "readings": pl.concat(readings, how="diagonal") if readings else None,
        "costs": None if losses is None else losses.filter(of_seeds).group_by("seed", maintain_order=True).agg(*sums),
        **_edits(found),
    }


def _verdicts(found: ReadArm, suites: Mapping[str, Sequence[str]]) -> pl.DataFrame | None:
    """The run's verdicts over all its seeds (seed null) and of each seed that was read to its end, as if it were alone."""
    if found.results.verdicts is None:
        return None
    rows: list[tuple[int | None, str, str]] = []
    for suite, paradigms in suites.items():
        seeds = found.results.counted(suite)["seed"].unique().sort().to_list()
        judged = found.results.verdicts.filter(pl.col("suite") == suite, pl.col("paradigm").is_in(paradigms))
        for row in judged.iter_rows(named=True):
            rows.append((None, row["paradigm"], row["verdict"]))
            own = row.get("seed_verdicts") or ([row["verdict"]] if len(seeds) == 1 else [])
            if len(own) == len(seeds):
                rows += [(seed, row["paradigm"], name) for seed, name in zip(seeds, own, strict=True) if seed in found.seeds]
    return pl.DataFrame(rows, {name: TYPES.get(name, pl.String) for name in ("seed", "paradigm", "verdict")}, orient="row")


def _evidence(found: ReadArm) -> pl.DataFrame | None:
    """The bigram margin of each paradigm in each period of training, and whether an edit of the text holds in it."""
    if not found.run.stream_margins.exists():
        return None
    held = [(stream["from"], stream["until"]) for stream in _facts(found.run).get("streams", ()) if stream["edits"]]
    inside = [(pl.col("start") < until) & (pl.col("until") > start) for start, until in held]
    frame = read_table(found.run.stream_margins).filter(pl.col("paradigm").is_in(found.curves["paradigm"].unique().to_list()))
    return frame.with_columns(edited=pl.any_horizontal(pl.lit(False), *inside))


def _edits(found: ReadArm) -> dict[str, pl.DataFrame]:
    """What each intervention says of itself, and a few of the things that it changed; numbers count from 1, as the recipe does."""
    told: dict[int, list[Mapping[str, Any]]] = {}  # several where an edit followed other edits in another stretch of training
    for entry in _facts(found.run).get("edits", ()):
        told.setdefault(entry["number"], []).append(entry)
    edits, samples = [], []
    for number, part in enumerate(found.results.settings.get("interventions") or (), start=1):
        settings = part if isinstance(part, Mapping) else {"kind": part}
        kind = str(settings["kind"])
        for entry in told.get(number, [{}]):
            facts = {"settings": {k: v for k, v in settings.items() if k != "kind"}, **(entry.get("facts") or {})}
            row = {"number": number, "kind": kind}
            edits.append(row | {"facts": json.dumps(facts), "promises": json.dumps(entry.get("promises") or [])})
            path = found.run.interventions.parent / entry["file"] if "file" in entry else found.run.changes(number, kind)
            if path.exists():
                lines, of = _spread(path)
                samples += [row | {"of": of, "change": line} for line in lines]
    return {"edits": pl.DataFrame(edits, SCHEMAS["edits"]), "samples": pl.DataFrame(samples, SCHEMAS["samples"])}


def _facts(run: RunFolder) -> Mapping[str, Any]:
    found = read_json(run.interventions) if run.interventions.exists() else {}
    return found if isinstance(found, Mapping) else {}


def _spread(path: Path) -> tuple[list[str], int]:
    """A few lines of a file, evenly from its first to its last, and how many it has."""
    with access(path, "read"), path.open(encoding="utf-8") as file:
        number = sum(1 for _ in file)
    wanted = {round(i * (number - 1) / max(SAMPLE - 1, 1)) for i in range(SAMPLE)} if number else set()
    with access(path, "read"), path.open(encoding="utf-8") as file:
        lines = [line.strip() for at, line in enumerate(islice(file, max(wanted, default=-1) + 1)) if at in wanted]
    return lines, number


# --- windows ------------------------------------------------------------------------------------------------------


def _view(found: ReadArm, reference: ReadArm | None) -> tuple[Windows | None, pl.DataFrame | None, list[str]]:
    """The windows of an arm, as rows too, and what has to be said about them."""
    own, shared = found.timeline, None if reference is None else reference.timeline
    if reference is None or shared is None:
        notes = [f"The reference is not there: arm {found.arm!r} is read in the windows of its own training."]
    elif (shared.steps, shared.total) != (own.steps, own.total):
        notes = [f"Arm {found.arm!r} has other checkpoints than the reference: its windows of training are its own."]
        reference = None
    else:
        notes = []
    timeline, thresholds = (reference or found).timeline, (reference or found).results.thresholds
    try:
        view, rows = windows(timeline, thresholds), spans(timeline, thresholds)
    except OntogenyError as error:
        return None, None, [*notes, f"Arm {found.arm!r} has no windows of training: {error}."]
    start = boundaries(timeline, thresholds)[0]
    if reference and own.trained_from is not None and own.trained_from > start:
        until = "to its end" if own.trained_from > own.steps[-1] else f"until step {own.trained_from:,}"
        notes.append(f"Arm {found.arm!r} counts as untrained {until}; its early window is the reference's, from step {start:,.0f}.")
    return view, rows.filter(pl.col("window") != "warm-up"), notes


# --- notes --------------------------------------------------------------------------------------------------------


def _paradigm_notes(there: Sequence[ReadArm], study: Study) -> list[str]:
    """Named paradigms that no arm has, paradigms that several suites have, and those of which nothing can be said here."""
    if not there:
        return []
    found = {paradigm for read in there for paradigm in read.curves["paradigm"].unique()}
    tables = [read_table(read.run.correlations) for read in there if read.run.correlations.exists()]
    why = {name: "has graded items, which have correlations and no verdict" for table in tables for name in table["paradigm"]}
    lacking = [name for name in _asked_about(study) if name not in found]
    notes = [f"{name} {why.get(name, 'is in no suite that was read')}." for name in lacking]
    if others := sorted({name for read in there for name in _of_more_options(read.results.curves)}):
        notes.append(f"Left out, as effects are on pairs of two sentences and these have more options: {', '.join(others)}.")
    suites = pl.concat([read.results.curves.select("paradigm", "suite").unique() for read in there]).unique()
    many = suites.filter(pl.col("paradigm").is_in(list(found))).group_by("paradigm").agg(pl.col("suite").sort())
    for paradigm, names in many.filter(pl.col("suite").list.len() > 1).sort("paradigm").iter_rows():
        notes.append(f"{paradigm} is in several suites ({', '.join(names)}): the first of each run counts.")
    return notes


def _other_seeds(there: Sequence[ReadArm], study: Study) -> list[str]:
    others = {read.arm: [str(seed) for seed in read.run.seeds() if seed not in study.file.seeds] for read in there}
    said = "has seeds that are not of the study and are left out"
    return [f"Arm {arm!r} {said}: {', '.join(seeds)}." for arm, seeds in others.items() if seeds]


# --- keeping ------------------------------------------------------------------------------------------------------


def keep(gathered: StudyFrames, folder: Path) -> None:
    """Writes every frame to `folder` (FRAME.parquet) and the rest to gathered.json, so that figures need not gather again."""
    for name in FRAMES:
        write_table(folder / f"{name}.parquet", getattr(gathered, name))
    rest = {"gaps": [asdict(gap) for gap in gathered.gaps], "notes": gathered.notes, "lineages": gathered.lineages}
    write_json(folder / "gathered.json", rest)


def kept(folder: Path) -> StudyFrames:
    """What `keep` wrote.  Raises OntogenyError if it is not there."""
    rest = read_json(folder / "gathered.json")
    frames = {name: read_table(folder / f"{name}.parquet") for name in FRAMES}
    gaps = tuple(Gap(**gap) for gap in rest["gaps"])
    return StudyFrames(**frames, gaps=gaps, notes=tuple(rest["notes"]), lineages=rest["lineages"])


def _typed(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the columns of its schema in their order; those that it lacks are null."""
    kinds = SCHEMAS[name]
    return frame.select((pl.col(c) if c in frame.columns else pl.lit(None).alias(c)).cast(kind) for c, kind in kinds.items())
