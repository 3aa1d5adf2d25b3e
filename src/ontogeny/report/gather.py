"""Everything the page says, read from a run's folder once.  What a run lacks is None or empty, never an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ontogeny.pages.words import count, enumerated
from ontogeny.recipe import InstrumentPart, Thresholds
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder, fault, read_table
from ontogeny.trajectories import Timeline
from ontogeny.trajectories.timeline import boundaries


@dataclass(frozen=True, slots=True)
class RunMaterial:
    """What was found in a run's folder."""

    name: str
    curves: pl.DataFrame  # no rows where nothing has been scored yet
    verdicts: pl.DataFrame | None
    pairs: Mapping[str, pl.DataFrame]  # by suite
    losses: pl.DataFrame | None  # with a column seed
    dev: pl.DataFrame | None  # seed, step, loss
    readings: pl.DataFrame | None  # of other instruments: instrument, key, seed, step, value
    lineage: Mapping[str, Any]
    recipe: str | None
    settings: Mapping[str, Any]  # the recipe, read without checking it
    timeline: Timeline | None
    spans: pl.DataFrame | None  # window, start, end
    notes: tuple[str, ...]
    evidence: Mapping[str, pl.DataFrame] = field(default_factory=dict)  # tables of the n-gram evidence by name
    chances: Mapping[tuple[str, str], float] = field(default_factory=dict)  # of readings, by instrument and key, where known

    @property
    def suites(self) -> list[str]:
        """In the order of the curves."""
        return self.curves["suite"].unique(maintain_order=True).to_list()

    def section(self, *keys: str) -> Any:
        """An entry of the lineage, or None."""
        return entry(self.lineage, *keys)


EVIDENCE = (
    "ladder",
    "rungs",
    "divergence",
    "reliance",
    "foretold",
    "contests",
    "tables",
    "matched",
    "ngram_curves",
    "margins",
)
EMPTY = pl.DataFrame(schema={"suite": pl.String, "paradigm": pl.String, "seed": pl.Int64, "step": pl.Int64, "accuracy": pl.Float64})


def gather(run: RunFolder) -> RunMaterial:
    """Reads a run.  Raises OntogenyError only for files that are there and broken."""
    curves = read_table(run.curves) if run.curves.exists() else EMPTY
    verdicts = read_table(run.verdicts) if run.verdicts.exists() else None
    verdicts = None if verdicts is None or verdicts.is_empty() else verdicts
    lineage, recipe = run.lineage(), _text(run.recipe)
    settings = _settings(recipe)
    timeline = _timeline(curves, lineage)
    spans, trouble = _spans(timeline, settings, adopted="training" not in lineage)
    suites = curves["suite"].unique().to_list()
    return RunMaterial(
        name=run.name,
        curves=curves,
        verdicts=verdicts,
        pairs={suite: read_table(run.pairs(suite)) for suite in suites if run.pairs(suite).exists()},
        losses=_losses(run),
        dev=_dev(run),
        readings=_readings(run),
        lineage=lineage,
        recipe=recipe,
        settings=settings,
        timeline=timeline,
        spans=spans,
        notes=(*_notes(run, lineage), *_gaps(curves, verdicts, timeline), *trouble),
        evidence=_evidence(run),
        chances=_chances(settings),
    )


def entry(table: Mapping[str, Any], *keys: str) -> Any:
    """A nested entry, or None where any key is missing."""
    value: Any = table
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def verdicts_of(material: RunMaterial, suite: str) -> pl.DataFrame | None:
    """The verdicts of one suite, or None where there are none."""
    if material.verdicts is None:
        return None
    part = material.verdicts.filter(suite=suite) if "suite" in material.verdicts.columns else material.verdicts
    return None if part.is_empty() else part


def entropy(material: RunMaterial) -> float | None:
    """Unigram entropy of the training text in nats per token, where it is known."""
    value = material.section("tokens", "train", "unigram_entropy")
    return float(value) if value is not None else None


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _settings(recipe: str | None) -> Mapping[str, Any]:
    try:
        found = YAML(typ="safe").load(recipe) if recipe else None
    except YAMLError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _timeline(curves: pl.DataFrame, lineage: Mapping[str, Any]) -> Timeline | None:
    steps = tuple(sorted(curves["step"].unique().to_list()))
    total = entry(lineage, "timeline", "total") or entry(lineage, "training", "steps") or (steps[-1] if steps else 0)
    if not steps or max(total, steps[-1]) <= 0:
        return None
    known = {key: entry(lineage, "timeline", key) for key in ("trained_from", "tokens_per_step", "words_per_step")}
    warmup = entry(lineage, "timeline", "warmup") or entry(lineage, "training", "warmup")
    return Timeline(steps=steps, total=max(int(total), steps[-1]), warmup=warmup, **known)


def _spans(timeline: Timeline | None, settings: Mapping[str, Any], *, adopted: bool) -> tuple[pl.DataFrame | None, list[str]]:
    if timeline is None or (adopted and len(timeline.steps) < 2):
        return None, []
    try:
        start, early, late = boundaries(timeline, Thresholds.model_validate(settings.get("verdicts") or {}))
    except (OntogenyError, ValidationError) as error:
        return None, [f"The windows of training are not marked: {str(error).splitlines()[0]}."]
    rows = [("untrained", 0.0, start), ("early", min(start, early), early), ("late", max(start, late), float(timeline.total))]
    rows += [("warm-up", 0.0, float(timeline.warmup))] if timeline.warmup else []
    kept = [row for row in rows if row[2] > row[1]]
    return pl.DataFrame(kept, schema={"window": pl.String, "start": pl.Float64, "end": pl.Float64}, orient="row"), []


def _evidence(run: RunFolder) -> dict[str, pl.DataFrame]:
    """The tables that there are; of the margins, which are a row a pair and order, only the bigram model's."""
    found = {name: read_table(run.evidence(name)) for name in EVIDENCE if run.evidence(name).exists()}
    return {name: table.filter(order=2) if name == "margins" else table for name, table in found.items()}


def _losses(run: RunFolder) -> pl.DataFrame | None:
    found = [(seed, read_table(run.losses(seed))) for seed in run.seeds() if run.losses(seed).exists()]
    frames = [frame.with_columns(seed=pl.lit(seed, pl.Int64)) for seed, frame in found if len(frame)]
    return pl.concat(frames, how="diagonal_relaxed") if frames else None


def _dev(run: RunFolder) -> pl.DataFrame | None:
    rows = [(seed, step, loss) for (seed, step), loss in sorted(run.reading("loss", "dev").items())]
    schema = {"seed": pl.Int64, "step": pl.Int64, "loss": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row") if rows else None


def _readings(run: RunFolder) -> pl.DataFrame | None:
    """What instruments read, but for the dev loss, which has its place beside the training's."""
    found = run.all_readings()
    kept = found.filter((pl.col("instrument") != "loss") | (pl.col("key") != "dev"))
    return None if kept.is_empty() else kept


def _chances(settings: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """What a guesser would get, of instruments that know it."""
    found: dict[tuple[str, str], float] = {}
    for one in settings.get("instruments") or ():
        try:
            part: Any = TypeAdapter(InstrumentPart).validate_python(one)
        except (OntogenyError, ValidationError):  # of another version; the page shows the readings alone
            continue
        if hasattr(part, "chances"):
            found |= {(part.name, key): value for key, value in part.chances().items()}
    return found


def _notes(run: RunFolder, lineage: Mapping[str, Any]) -> list[str]:
    """What the run itself warned about, and checkpoints that were changed after they were written."""
    said = [value for key in ("notes", "warnings") for value in _strings(lineage.get(key))]
    if run.adopted():
        return said
    faults = [fault(checkpoint.folder) for seed in run.seeds() for checkpoint in run.checkpoints(seed)]
    return said + [f"A checkpoint is broken: {found}." for found in faults if found]


def _strings(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{key}: {text}" for key, text in value.items()]
    return [str(value)] if isinstance(value, str) else [str(text) for text in value or ()]


def _gaps(curves: pl.DataFrame, verdicts: pl.DataFrame | None, timeline: Timeline | None) -> list[str]:
    """What is not there yet."""
    if curves.is_empty():
        return []
    notes = []
    if timeline is not None and timeline.trained_from is not None and timeline.trained_from > timeline.steps[-1]:
        notes.append(
            "The model counts as untrained at every checkpoint: its dev loss never fell below the unigram entropy "
            "of the training text. Let it train for longer."
        )
    if timeline is not None and (last := timeline.steps[-1]) < timeline.total:
        notes.append(f"Training has not been read to its end: the last checkpoint is step {last:,} of {timeline.total:,}.")
    if verdicts is None:
        alone = curves["step"].n_unique() == 1
        why = "one checkpoint is no trajectory" if alone else "they are made once every seed has been read"
        notes.append(f"There are no verdicts: {why}.")
    for (suite,), part in curves.group_by("suite", maintain_order=True):
        steps, every = part.group_by("seed").agg(pl.col("step").n_unique()).sort("seed"), part["step"].n_unique()
        short = [f"seed {seed} has {number}" for seed, number in steps.iter_rows() if number < every]
        if short:
            said = f"{suite}: of {count(every, 'checkpoint')}, {enumerated(short)}"
            notes.append(f"{said}. Means are over the seeds that are there.")
    return notes
