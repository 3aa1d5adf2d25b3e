"""From the run folders of a study's arms to the frames that its analysis and its page take."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from ontogeny.instruments.tables import unread
from ontogeny.records import OntogenyError
from ontogeny.results import Results, spans
from ontogeny.scoring.options import CHANCE
from ontogeny.store import RunFolder, read_json, read_table, scan_table, write_json, write_table
from ontogeny.studies.comparing import differences
from ontogeny.studies.outcomes import outcomes_of
from ontogeny.studies.plan import Arm, Study
from ontogeny.trajectories import Timeline
from ontogeny.trajectories.timeline import Windows, boundaries, windows

SAMPLE = 8  # changes of an edit that the page shows


@dataclass(frozen=True, slots=True)
class Gap:
    """What a study does not have yet."""

    arm: str
    seed: int | None  # None: the whole arm
    why: str


SCHEMAS: dict[str, dict[str, Any]] = {
    "curves": {
        "arm": pl.String,
        "seed": pl.Int64,
        "suite": pl.String,
        "paradigm": pl.String,
        "step": pl.Int64,
        "tokens": pl.Int64,
        "words": pl.Float64,
        "accuracy": pl.Float64,
        "margin": pl.Float64,
    },
    "outcomes": {
        "arm": pl.String,
        "seed": pl.Int64,
        "paradigm": pl.String,
        "pair": pl.String,
        "contrast": pl.String,
        "early_margin": pl.Float64,
        "early_accuracy": pl.Float64,
        "late_margin": pl.Float64,
        "late_accuracy": pl.Float64,
    },
    "verdicts": {"arm": pl.String, "seed": pl.Int64, "paradigm": pl.String, "verdict": pl.String},
    "evidence": {
        "arm": pl.String,
        "paradigm": pl.String,
        "start": pl.Float64,
        "until": pl.Float64,
        "bigram_margin": pl.Float64,
        "edited": pl.Boolean,
    },
    "readings": {
        "arm": pl.String,
        "measure": pl.String,
        "seed": pl.Int64,
        "paradigm": pl.String,
        "step": pl.Int64,
        "value": pl.Float64,
    },
    "losses": {"arm": pl.String, "seed": pl.Int64, "step": pl.Int64, "dev_loss": pl.Float64},
    "edits": {"arm": pl.String, "number": pl.Int64, "kind": pl.String, "facts": pl.String, "promises": pl.String},
    "samples": {"arm": pl.String, "number": pl.Int64, "kind": pl.String, "of": pl.Int64, "change": pl.String},
    "spans": {"arm": pl.String, "window": pl.String, "start": pl.Float64, "end": pl.Float64},
    "costs": {
        "arm": pl.String,
        "seed": pl.Int64,
        "steps": pl.Int64,
        "tokens": pl.Int64,
        "words": pl.Float64,
        "seconds": pl.Float64,
    },
}


@dataclass(frozen=True, slots=True, eq=False)
class StudyFrames:
    """The frames of a study (columns: `SCHEMAS`), of the seeds that were read to their end, and what is not there."""

    arms: pl.DataFrame  # arm, slug, order, priority, changes, factor.NAME, reference
    curves: pl.DataFrame
    outcomes: pl.DataFrame  # a row a pair: means over the early and the late window
    verdicts: pl.DataFrame  # seed null: over all seeds of the arm
    evidence: pl.DataFrame  # `edited`: an edit of the text holds in that period
    readings: pl.DataFrame  # of instruments that predictions ask about
    losses: pl.DataFrame
    edits: pl.DataFrame
    samples: pl.DataFrame  # a few of what each edit changed, as JSON, `of` so many
    spans: pl.DataFrame  # windows of training, in steps
    costs: pl.DataFrame  # training of each seed; seconds of its steps, without reading and saving
    gaps: tuple[Gap, ...] = ()
    notes: tuple[str, ...] = ()  # what arms do not share that they should, and what was left out
    lineages: Mapping[str, Any] = field(default_factory=dict)  # of each arm, as its run has it

    def seeds(self, arm: str) -> list[int]:
        """Seeds of an arm that were read to their end."""
        return self.curves.filter(arm=arm)["seed"].unique().sort().to_list()


FRAMES = ("arms", *SCHEMAS)


@dataclass(frozen=True, eq=False)
class ReadArm:
    """One arm as its run's folder has it."""

    arm: str
    run: RunFolder
    lineage: Mapping[str, Any]
    settings: Mapping[str, Any]  # the recipe as it was run, read without checking it
    curves: pl.DataFrame  # of the study's paradigms, and of the seeds that were read to their end
    seeds: tuple[int, ...]
    gaps: tuple[Gap, ...]
    total: int  # steps of the training

    @cached_property
    def results(self) -> Results:
        """The run's folder, interpreted."""
        return Results(self.run)

    def steps(self) -> tuple[int, ...]:
        """Of the checkpoints."""
        return tuple(sorted(self.curves["step"].unique().to_list()))

    def timeline(self) -> Timeline:
        """The clock of its training."""
        return replace(self.results.timeline(self.curves), total=self.total)


def gather(folder: Path, study: Study) -> StudyFrames:
    """Reads a study's arms from `folder/arms/SLUG`, each a run's folder.

    Arms that have no curves yet and seeds that were not read to their end are left out of every frame and named in `gaps`.  The
    early and the late window of an arm are the reference's where its checkpoints are the same, so that no comparison is between
    different moments of training; else its own.  Raises OntogenyError for broken files.
    """
    read = [_read(folder, arm, study) for arm in study.arms]
    there = [found for found in read if found.seeds]
    notes = [*_paradigm_notes(there, study), *_other_seeds(there, study), *differences(there, study.reference)]
    frames: dict[str, list[pl.DataFrame]] = {name: [_empty(name)] for name in SCHEMAS}
    reference = next((found for found in there if found.arm == study.reference), None)
    for found in there:
        view, spans, said = _view(found, reference)
        notes += said
        for name, frame in {**_frames(found, view, study), "spans": spans}.items():
            frames[name].append(_typed(name, frame.with_columns(arm=pl.lit(found.arm))))
    whole = {name: pl.concat(parts) for name, parts in frames.items()}
    lineages = {found.arm: dict(found.lineage) for found in there}
    gaps = tuple(gap for found in read for gap in found.gaps)
    return StudyFrames(arms=arms_of(study), **whole, gaps=gaps, notes=tuple(dict.fromkeys(notes)), lineages=lineages)


def arms_of(study: Study) -> pl.DataFrame:
    """One row an arm, with a column `factor.NAME` for each factor: numbers where all its levels are numbers, else text."""
    names = list(dict.fromkeys(name for arm in study.arms for name in arm.factors))
    rows = [
        {
            "arm": arm.name,
            "slug": arm.slug,
            "order": order,
            "priority": arm.priority,
            "changes": arm.changes,
            "reference": arm.name == study.reference,
        }
        for order, arm in enumerate(study.arms)
    ]
    schema = {"arm": pl.String, "slug": pl.String, "order": pl.Int64, "priority": pl.Int64, "changes": pl.String}
    frame = pl.DataFrame(rows, schema={**schema, "reference": pl.Boolean})
    return frame.with_columns(_levels(name, [arm.factors.get(name) for arm in study.arms]) for name in names)


def _levels(name: str, values: Sequence[Any]) -> pl.Series:
    known = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return pl.Series(f"factor.{name}", values, pl.Float64)
    said = [None if value is None else value if isinstance(value, str) else json.dumps(value) for value in values]
    return pl.Series(f"factor.{name}", said, pl.String)


# --- one arm ------------------------------------------------------------------------------------------------------


def _read(folder: Path, arm: Arm, study: Study) -> ReadArm:
    run = RunFolder(folder / "arms" / arm.slug)
    lineage = run.lineage()
    curves = _curves(run, study)
    total = int((lineage.get("training") or {}).get("steps") or curves["step"].max() or 0)  # type: ignore[arg-type]
    read = {seed: set(steps) for seed, steps in curves.group_by("seed").agg("step").iter_rows()}
    gaps = _gaps(arm, run, lineage, read, study, total)
    seeds = tuple(seed for seed in study.seeds if seed in read and seed not in {gap.seed for gap in gaps})
    kept = curves.filter(pl.col("seed").is_in(seeds))
    return ReadArm(arm.name, run, lineage, Results(run).settings, kept, seeds, gaps, total)


def _curves(run: RunFolder, study: Study) -> pl.DataFrame:
    """The curves of the study's paradigms; a paradigm that several suites have is taken from the first of them."""
    if not run.curves.exists():
        return _empty("curves").drop("arm")
    table = read_table(run.curves)
    wanted = _asked_about(study) if study.controls is not None else table["paradigm"].unique().to_list()
    if others := _of_more_options(table):
        if named := [name for name in _asked_about(study) if name in others]:
            raise OntogenyError(f"{run.path}: {named[0]} has items of more than two options, and a study's effects are of two")
        table = table.filter(~pl.col("paradigm").is_in(others))
    first = table.group_by("paradigm", maintain_order=True).agg(pl.col("suite").first())
    kept = table.join(first, on=["paradigm", "suite"]).filter(pl.col("paradigm").is_in(wanted))
    known = [name for name in SCHEMAS["curves"] if name in table.columns]
    return kept.select(known).sort("paradigm", "seed", "step")


def _of_more_options(curves: pl.DataFrame) -> list[str]:
    """Paradigms of which a guesser does not get one half."""
    if "chance" not in curves.columns:
        return []
    found: list[str] = curves.filter(pl.col("chance") != CHANCE)["paradigm"].unique().sort().to_list()
    return found


def _asked_about(study: Study) -> list[str]:
    """Paradigms that the study names: as such, as controls, or in a prediction."""
    listed = [p.paradigms for p in study.predictions.values() if not isinstance(p.paradigms, str)]
    return list(dict.fromkeys([*study.paradigms, *(study.controls or ()), *(name for names in listed for name in names)]))


def _gaps(
    arm: Arm, run: RunFolder, lineage: Mapping[str, Any], read: Mapping[int, set[int]], study: Study, total: int
) -> tuple[Gap, ...]:
    """`read`: the steps that each seed was read at."""
    if not lineage:
        return (Gap(arm.name, None, "not started"),)
    if not read:
        begun = any(run.checkpoints(seed) for seed in run.seeds())
        return (Gap(arm.name, None, "trained in part, and not judged yet" if begun else "begun, and not trained yet"),)
    every, found = set().union(*read.values()), []
    for seed in study.seeds:
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


def _frames(found: ReadArm, view: Windows | None, study: Study) -> dict[str, pl.DataFrame]:
    """Every frame of one arm but its spans, each without the column `arm`."""
    parts = [] if view is None else outcomes_of(found.run, _suites(found.curves), found.seeds, view, found.results.thresholds)
    return {
        "curves": found.curves,
        "outcomes": pl.concat([_empty("outcomes").drop("arm"), *parts]),
        "verdicts": _verdicts(found),
        "evidence": _evidence(found),
        "losses": _losses(found),
        "readings": _readings(found, study),
        "costs": _costs(found),
        **_edits(found),
    }


def _suites(curves: pl.DataFrame) -> dict[str, list[str]]:
    """Paradigms by suite."""
    rows = curves.group_by("suite", maintain_order=True).agg(pl.col("paradigm").unique(maintain_order=True)).iter_rows()
    return {suite: list(paradigms) for suite, paradigms in rows}


def _verdicts(found: ReadArm) -> pl.DataFrame:
    """The run's verdicts over all its seeds (seed null) and of each seed that was read to its end, as if it were alone."""
    if not found.run.verdicts.exists():
        return _empty("verdicts").drop("arm")
    table = read_table(found.run.verdicts)
    rows: list[tuple[int | None, str, str]] = []
    of_suite = {suite: set(paradigms) for suite, paradigms in _suites(found.curves).items()}
    for row in table.iter_rows(named=True):
        if row["paradigm"] not in of_suite.get(row["suite"], ()):
            continue
        rows.append((None, row["paradigm"], row["verdict"]))
        seeds = found.results.counted(row["suite"])["seed"].unique().sort().to_list()
        own = row.get("seed_verdicts") or ([row["verdict"]] if len(seeds) == 1 else [])
        rows += [(s, row["paradigm"], v) for s, v in zip(seeds, own, strict=False) if s in found.seeds and len(own) == len(seeds)]
    return pl.DataFrame(rows, schema={"seed": pl.Int64, "paradigm": pl.String, "verdict": pl.String}, orient="row")


def _evidence(found: ReadArm) -> pl.DataFrame:
    """The bigram margin of each paradigm in each period of training, and whether an edit of the text holds in it."""
    path = found.run.stream_margins
    if not path.exists():
        return _empty("evidence").drop("arm")
    held = [(stream["from"], stream["until"]) for stream in _facts(found.run).get("streams", ()) if stream["edits"]]
    inside = [(pl.col("start") < until) & (pl.col("until") > start) for start, until in held]
    edited = pl.any_horizontal(inside) if inside else pl.lit(False)
    frame = read_table(path).filter(pl.col("paradigm").is_in(found.curves["paradigm"].unique().to_list()))
    return frame.with_columns(edited=edited)


def _losses(found: ReadArm) -> pl.DataFrame:
    dev = found.results.dev
    if dev is None:
        return _empty("losses").drop("arm")
    return dev.filter(pl.col("seed").is_in(found.seeds)).rename({"loss": "dev_loss"})


def _readings(found: ReadArm, study: Study) -> pl.DataFrame:
    """What instruments read, of the outcomes that predictions ask for."""
    frames = [_empty("readings").drop("arm")]
    for measure in study.readings:
        own = found.results.outcome(measure).filter(pl.col("seed").is_in(found.seeds))
        frames.append(_typed("readings", own.with_columns(measure=pl.lit(measure))).drop("arm"))
    return pl.concat(frames)


def _costs(found: ReadArm) -> pl.DataFrame:
    rows = []
    for seed in found.seeds:
        if found.run.losses(seed).exists():
            own = scan_table(found.run.losses(seed))
            sums = own.select(pl.col("step").max(), pl.col("tokens", "words").max(), pl.col("seconds").sum()).collect()
            rows.append((seed, *sums.row(0)))
    names = ("seed", "steps", "tokens", "words", "seconds")
    return pl.DataFrame(rows, schema={name: SCHEMAS["costs"][name] for name in names}, orient="row")


def _edits(found: ReadArm) -> dict[str, pl.DataFrame]:
    """What each intervention says of itself, and a few of the things that it changed; numbers count from 1, as the recipe does."""
    told: dict[int, list[Mapping[str, Any]]] = {}  # several where an edit followed other edits in another stretch of training
    for entry in _facts(found.run).get("edits", ()):
        told.setdefault(entry["number"], []).append(entry)
    edits, samples = [], []
    for number, part in enumerate(found.settings.get("interventions") or (), start=1):
        settings = part if isinstance(part, Mapping) else {"kind": part}
        kind = str(settings["kind"])
        for entry in told.get(number, [{}]):
            facts = {"settings": {k: v for k, v in settings.items() if k != "kind"}, **(entry.get("facts") or {})}
            edits.append((number, kind, json.dumps(facts), json.dumps(entry.get("promises") or [])))
            path = found.run.interventions.parent / entry["file"] if "file" in entry else found.run.changes(number, kind)
            if path.exists():
                lines, of = _spread(path)
                samples += [(number, kind, of, line) for line in lines]
    return {
        "edits": pl.DataFrame(edits, schema=_without_arm("edits"), orient="row"),
        "samples": pl.DataFrame(samples, schema=_without_arm("samples"), orient="row"),
    }


def _facts(run: RunFolder) -> Mapping[str, Any]:
    found = read_json(run.interventions) if run.interventions.exists() else {}
    return found if isinstance(found, Mapping) else {}


def _spread(path: Path) -> tuple[list[str], int]:
    """A few lines of a file, evenly from its first to its last, and how many it has."""
    with path.open(encoding="utf-8") as file:
        number = sum(1 for _ in file)
    wanted = {round(i * (number - 1) / max(SAMPLE - 1, 1)) for i in range(SAMPLE)} if number else set()
    with path.open(encoding="utf-8") as file:
        lines = [line.strip() for at, line in enumerate(islice(file, max(wanted, default=-1) + 1)) if at in wanted]
    return lines, number


# --- windows ------------------------------------------------------------------------------------------------------


def _view(found: ReadArm, reference: ReadArm | None) -> tuple[Windows | None, pl.DataFrame, list[str]]:
    """The windows of an arm, as rows too, and what has to be said about them."""
    shared = reference if reference is not None and (reference.steps(), reference.total) == (found.steps(), found.total) else None
    timeline, thresholds = (shared or found).timeline(), (shared or found).results.thresholds
    notes = [] if shared else [f"Arm {found.arm!r} has other checkpoints than the reference: its windows of training are its own."]
    if reference is None:
        notes = [f"The reference is not there: arm {found.arm!r} is read in the windows of its own training."]
    try:
        view, rows = windows(timeline, thresholds), spans(timeline, thresholds)
    except OntogenyError as error:
        return None, _empty("spans"), [*notes, f"Arm {found.arm!r} has no windows of training: {error}."]
    own, start = found.timeline().trained_from, boundaries(timeline, thresholds)[0]
    if shared and own is not None and own > start:
        last = found.steps()[-1]
        until = "to its end" if own > last else f"until step {own:,}"
        notes.append(f"Arm {found.arm!r} counts as untrained {until}; its early window is the reference's, from step {start:,.0f}.")
    return (
        view,
        rows.filter(pl.col("window") != "warm-up").with_columns(arm=pl.lit(found.arm)).select(SCHEMAS["spans"].keys()),
        notes,
    )


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
    if others := sorted({name for read in there for name in _of_more_options(read_table(read.run.curves))}):
        notes.append(f"Left out, as effects are on pairs of two sentences and these have more options: {', '.join(others)}.")
    suites = pl.concat([read_table(read.run.curves).select("paradigm", "suite").unique() for read in there]).unique()
    many = suites.filter(pl.col("paradigm").is_in(list(found))).group_by("paradigm").agg(pl.col("suite").sort())
    for paradigm, names in many.filter(pl.col("suite").list.len() > 1).sort("paradigm").iter_rows():
        notes.append(f"{paradigm} is in several suites ({', '.join(names)}): the first of each run counts.")
    return notes


def _other_seeds(there: Iterable[ReadArm], study: Study) -> list[str]:
    notes = []
    for read in there:
        if extra := [seed for seed in read.run.seeds() if seed not in study.seeds]:
            notes.append(f"Arm {read.arm!r} has seeds that are not of the study and are left out: {', '.join(map(str, extra))}.")
    return notes


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


def _empty(name: str) -> pl.DataFrame:
    return pl.DataFrame(schema=SCHEMAS[name])


def _without_arm(name: str) -> dict[str, Any]:
    return {column: kind for column, kind in SCHEMAS[name].items() if column != "arm"}


def _typed(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the columns of its schema in their order; those that it lacks are null."""
    kinds = SCHEMAS[name]
    return frame.select((pl.col(c) if c in frame.columns else pl.lit(None).alias(c)).cast(kind) for c, kind in kinds.items())
