"""A run's folder, interpreted once: its clock, windows, counted seeds, losses, verdicts, and what instruments read.

Judging, report, comparison, studies and the n-gram evidence ask here and look at nothing else of a run's tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from ontogeny import recipe as recipes
from ontogeny import registry, yaml_text
from ontogeny.disk import collected, file_name, read_table, table_metadata
from ontogeny.display import SHOWN
from ontogeny.evidence.apart import apart
from ontogeny.evidence.over import NUMBERS, OVER, WholeRun
from ontogeny.instruments.dev_loss import DevLoss
from ontogeny.instruments.instrument import Instrument
from ontogeny.instruments.tables import InstrumentTables, names, tables_of
from ontogeny.pages.panel import Clock, Panel
from ontogeny.pages.words import count, enumerated
from ontogeny.recipe import Observation, Thresholds
from ontogeny.records import OntogenyError
from ontogeny.scoring import settled
from ontogeny.store import RunFolder, fault, score_key
from ontogeny.trajectories import Timeline
from ontogeny.trajectories.curves import seeds_alike
from ontogeny.trajectories.timeline import boundaries

CURVES = {"suite": pl.String, "paradigm": pl.String, "seed": pl.Int64, "step": pl.Int64, "accuracy": pl.Float64}
SAY_HOW_SURE = ("standing", "covers")  # columns of verdicts that earlier versions did not write
PART = {"margins": pl.col("order") == 2}  # of tables with a row a pair and model, what is looked at again


class Results:
    """One run.  What it lacks is None or empty; curves that are there and broken are an OntogenyError that names the file.

    What else is broken is left out, so that the rest can be shown, and stands in `broken`.
    """

    def __init__(self, folder: RunFolder):
        self.folder = folder
        self._frames: dict[str, pl.DataFrame | None] = {}
        self._broken: dict[str, str] = {}
        self._tables: dict[str, InstrumentTables | None] = {}
        self._rows: dict[str, pl.DataFrame] = {}

    @property
    def broken(self) -> Mapping[str, str]:
        """What was looked at and could not be read, by name, with what is wrong."""
        return self._broken if self.tables is not None else {}

    @contextmanager
    def leaving_out(self, name: str) -> Iterator[None]:
        """Whatever goes wrong in the block leaves `name` out: what is said of it stands in `broken`."""
        try:
            yield
        except Exception as error:  # tables may hold anything, and instruments of somebody else's raise anything
            said = str(error) if isinstance(error, OntogenyError) else f"{type(error).__name__}: {error}"
            self._broken[name] = f"{name} is left out: {said}"

    def part(self, name: str, make: Callable[[], Any], instead: Any = ()) -> Any:
        """What `make` returns; where it fails, `instead`, and what went wrong stands in `broken`."""
        with self.leaving_out(name):
            return make()
        return instead

    @property
    def name(self) -> str:
        """The run's."""
        return self.folder.name

    # --- how it was made ------------------------------------------------------------------------------------------

    @cached_property
    def lineage(self) -> Mapping[str, Any]:
        """Versions, hardware, counts, choices."""
        return self.folder.lineage()

    def section(self, *keys: str) -> Any:
        """An entry of the lineage, or None."""
        value: Any = self.lineage
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    @cached_property
    def recipe(self) -> str | None:
        """The recipe as it was run, as text."""
        return recipes.text_of(self.folder.recipe) if self.folder.recipe.exists() else None

    @cached_property
    def _plain(self) -> Mapping[str, Any]:
        return yaml_text.values(self.recipe, str(self.folder.recipe)) if self.recipe else {}

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The same as plain values, read without checking them: a recipe of another version is still worth a page."""
        try:
            return self._plain
        except OntogenyError:
            return {}

    @property
    def thresholds(self) -> Thresholds:
        """What counts as learned, entrenched ...  Raises OntogenyError for what is no recipe, and for thresholds that are none."""
        try:
            return Thresholds.model_validate(self._plain.get("verdicts") or {})
        except ValidationError as error:
            raise OntogenyError(f"{self.folder.recipe}: the verdicts cannot be read: {str(error).splitlines()[0]}") from None

    # --- what was scored and judged -------------------------------------------------------------------------------

    @cached_property
    def curves(self) -> pl.DataFrame:
        """A row a suite, paradigm, checkpoint and seed; none where nothing has been scored."""
        return read_table(self.folder.curves) if self.folder.curves.exists() else pl.DataFrame(schema=CURVES)

    @cached_property
    def suites(self) -> list[str]:
        """In the order of the curves."""
        found: list[str] = self.curves["suite"].unique(maintain_order=True).to_list()
        return found

    @cached_property
    def verdicts(self) -> pl.DataFrame | None:
        """A row a suite and paradigm."""
        found = read_table(self.folder.verdicts) if self.folder.verdicts.exists() else None
        if found is None or found.is_empty():
            return None
        return found.with_columns(pl.lit(None, pl.String).alias(name) for name in SAY_HOW_SURE if name not in found.columns)

    def moments(self) -> list[tuple[int, int]]:
        """Seeds and steps of the checkpoints that curves know."""
        return [
            (int(seed), int(step)) for seed, step in self.curves.select("seed", "step").unique().sort("seed", "step").iter_rows()
        ]

    def counted(self, suite: str | None = None) -> pl.DataFrame:
        """The curves of the seeds that verdicts are over, of one suite or of all."""
        own = self.curves if suite is None else self.curves.filter(pl.col("suite") == suite)
        return pl.concat([own.clear(), *(_of_seeds_alike(part) for _, part in own.group_by("suite", maintain_order=True))])

    def checkpoints(self, suite: str) -> int:
        """How many checkpoints were read on a suite."""
        return self.curves.filter(pl.col("suite") == suite)["step"].n_unique()

    # --- its clock ------------------------------------------------------------------------------------------------

    @cached_property
    def dev(self) -> pl.DataFrame | None:
        """seed, step, loss: nats a token of held-out text, at each checkpoint."""
        tables = self._tables_of(DevLoss.NAME)
        found = None if tables is None else self._every(tables).select("seed", "step", loss="dev").sort("seed", "step")
        for seed, step in () if found is None else found.filter(pl.col("loss").is_null()).select("seed", "step").iter_rows():
            raise OntogenyError(
                f"{self.folder.reading(DevLoss.NAME, seed, step)} has no loss in it; ontogeny read {self.folder.path} --with loss "
                f"--again {step} reads it anew"
            )
        return None if found is None or found.is_empty() else found

    def dev_losses(self) -> dict[tuple[int, int], float]:
        """The same by seed and step."""
        return {} if self.dev is None else {(seed, step): loss for seed, step, loss in self.dev.iter_rows()}

    @property
    def entropy(self) -> float | None:
        """Unigram entropy of the training text in nats a token, where it is known."""
        value = self.section("tokens", "train", "unigram_entropy")
        return float(value) if value is not None else None

    def timeline(self, curves: pl.DataFrame) -> Timeline:
        """The clock of some curves.  *Untrained* ends where every seed's dev loss is below the unigram entropy of the text."""
        training = self.section("training") or {}
        steps = tuple(sorted(curves["step"].unique().to_list()))
        last = curves.filter(pl.col("step") == steps[-1]).row(0, named=True)
        per_step = {name: last[name] / steps[-1] if last.get(name) and steps[-1] else None for name in ("tokens", "words")}
        return Timeline(
            steps=steps,
            total=max(training.get("steps") or 0, steps[-1], 1),
            warmup=training.get("warmup"),
            trained_from=self._trained_from(steps, set(curves["seed"].unique())),
            tokens_per_step=per_step["tokens"],
            words_per_step=per_step["words"],
        )

    def _trained_from(self, steps: tuple[int, ...], seeds: set[int]) -> int | None:
        losses = {key: value for key, value in self.dev_losses().items() if key[0] in seeds}
        if (entropy := self.entropy) is None or not losses:
            return None
        for step in steps:
            if all(losses.get((seed, step), entropy) < entropy for seed in seeds):
                return step
        return steps[-1] + 1  # none is trained yet

    @cached_property
    def clock(self) -> Clock:
        """What figures over training share.  Its windows are missing where the thresholds do not fit the training."""
        if self.curves.is_empty():
            there = (self.frame("losses"), self.frame("dev"))
            last = max((int(frame["step"].max()) for frame in there if frame is not None), default=0)  # type: ignore[arg-type]
            return Clock(last=last, entropy=self.entropy)
        time = self.timeline(self.counted())
        spans, _ = self._spans
        return Clock(
            last=time.steps[-1],
            spans=spans,
            total=time.total,
            trained=float(time.trained_from or 0),
            entropy=self.entropy,
            tokens_per_step=time.tokens_per_step,
            words_per_step=time.words_per_step,
        )

    @cached_property
    def _spans(self) -> tuple[pl.DataFrame | None, list[str]]:
        time = self.timeline(self.counted())
        if "training" not in self.lineage and len(time.steps) < 2:
            return None, []
        try:
            return spans(time, self.thresholds), []
        except OntogenyError as error:
            return None, [f"The windows of training are not marked: {str(error).splitlines()[0]}."]

    # --- what instruments read ------------------------------------------------------------------------------------

    @cached_property
    def tables(self) -> dict[str, InstrumentTables]:
        """What each instrument read, lazily, by its name."""
        return {name: tables for name in self._readers if (tables := self._tables_of(name)) is not None}

    @cached_property
    def _readers(self) -> list[str]:
        return names(self.folder)

    def _tables_of(self, name: str) -> InstrumentTables | None:
        """What one instrument read, or None; no other's files are opened for it."""
        if name not in self._tables:
            self._tables[name] = None
            with self.leaving_out(name):
                self._tables[name] = tables_of(self.folder, name) if name in self._readers else None
        return self._tables[name]

    def fault(self, name: str) -> str | None:
        """What is wrong with an instrument's tables, if anything is; no other's files are opened for it."""
        self._tables_of(name)
        return self._broken.get(name)

    def table(self, name: str) -> pl.LazyFrame:
        """What an instrument read: seed, step and its columns.  Raises OntogenyError that says how it is made."""
        return self._read_by(name).frame

    def _read_by(self, name: str) -> InstrumentTables:
        tables = self._tables_of(name)
        if name in self._broken:
            raise OntogenyError(f"{self.folder.path}: {self._broken[name]}")
        if tables is None:
            known = list(dict.fromkeys([*self._readers, *registry.names("instrument")]))
            hint = "" if name in known else f" ({registry.nearest(name, known)})"
            raise OntogenyError(f"{name} has not read {self.folder.path}; ontogeny read {self.folder.path} --with {name}{hint}")
        return tables

    def _every(self, tables: InstrumentTables) -> pl.DataFrame:
        """All rows, which many a figure is made of; the files, of which there may be many thousands, are read once."""
        if tables.name not in self._rows:
            self._rows[tables.name] = collected(tables.frame)
        return self._rows[tables.name]

    def why_empty(self, name: str) -> str | None:
        """Why an instrument's frame has no rows: it is broken, does not apply or found nothing; None where it has read nothing."""
        if (tables := self._tables_of(name)) is None or self.fault(name):
            return self.fault(name)
        return tables.reason or f"{name} has read this run and found nothing in it"

    def folds(self, name: str) -> dict[str, pl.DataFrame]:
        """What an instrument, or `OVER` of all of them, says of all checkpoints together, a table each by name; nothing of nothing.

        Raises OntogenyError as `table` does, and where the instrument can make nothing of these checkpoints.
        """
        if name in OVER:
            return OVER[name].folds(self._over(name), self.whole)
        tables = self._read_by(name)
        frame = self._every(tables)
        try:
            return {} if frame.is_empty() else tables.instrument.fold(frame, self.clock)
        except OntogenyError:
            raise
        except Exception as error:  # of somebody else's instrument
            read = count(frame.select("seed", "step").n_unique(), "checkpoint")
            raise OntogenyError(
                f"the instrument {name} could not fold its tables of {read} ({type(error).__name__}: {error})"
            ) from error

    @cached_property
    def numbers(self) -> pl.DataFrame:
        """What instruments read as one number a checkpoint, or a paradigm and checkpoint (NUMBERS); reading: INSTRUMENT NAME."""
        found = [pl.DataFrame(schema=NUMBERS)]
        for one in self.instruments():
            with self.leaving_out(f"what {one.name} says of the run"):
                for name, frame in one.numbers(self._every(self._read_by(one.name))).items():
                    own = [pl.col(key) if key in frame.columns else pl.lit("").alias(key) for key in ("suite", "paradigm")]
                    label = pl.lit(f"{one.name} {name}").alias("reading")
                    found.append(frame.select(label, *own, "seed", "step", "value").cast(NUMBERS))  # type: ignore[arg-type]
        return pl.concat(found).drop_nulls("value").drop_nans("value")

    @property
    def whole(self) -> WholeRun:
        """What is said of the run at once is made of this."""
        weights = self._every(self.tables["weights"]) if "weights" in self.tables else None
        rates = None if self.losses is None else self.losses.select("seed", "step", "learning_rate")
        return WholeRun(self.numbers, self.counted(), self.verdicts, self.dev, weights, rates)

    def _over(self, name: str) -> pl.DataFrame:
        """A table of `OVER`.  Raises OntogenyError that says what it needs where there is nothing to make it of."""
        if (found := self.frame(name)) is None:
            raise OntogenyError(f"{self.folder.path}: {self.broken.get(name) or f'{name} needs {OVER[name].needs}'}")
        return found

    def outcome(self, said: str) -> pl.DataFrame:
        """An instrument's column as an outcome: seed, step, value, and paradigm (suite) where it is of paradigms.

        `said`: INSTRUMENT.COLUMN, or a column of `OVER`, and @INDEX=VALUE for each index but suite and paradigm, as in
        rules.accuracy@length=8.
        Raises OntogenyError for what there is not, and for an index that is left open.
        """
        place, *chosen = said.split("@")
        name, _, column = place.partition(".")
        if name in OVER:
            frame, declared = self._over(name).lazy(), OVER[name].columns
        else:
            tables = self._read_by(name)
            frame, declared = tables.frame, tables.instrument.columns
        values = [known for known, one in declared.items() if not one.index]
        if column not in values:
            raise OntogenyError(f"{said}: {name} has no column {column!r}; {registry.nearest(column, values)}")
        for choice in chosen:
            index, _, value = choice.partition("=")
            if index not in declared or not declared[index].index:
                raise OntogenyError(
                    f"{said}: {name} has no index {index!r}; it has {', '.join(set(declared) - set(values)) or 'none'}"
                )
            frame = frame.filter(pl.col(index).cast(pl.String) == value).drop(index)
        left = [index for index in frame.collect_schema().names() if index in declared and declared[index].index]
        if open_ := [index for index in left if index not in ("suite", "paradigm")]:
            raise OntogenyError(f"{said}: {name} reads {column} for each {open_[0]}; say which, as in {said}@{open_[0]}=...")
        kept = collected(frame.select("seed", "step", *left, value=pl.col(column).cast(pl.Float64)).drop_nulls("value"))
        kept = kept.filter(pl.col("paradigm") != "") if "paradigm" in left else kept  # empty: all of them together
        if kept.is_empty():
            raise OntogenyError(f"{self.folder.path}: {said} has no values")
        return kept

    def outcomes(self) -> list[str]:
        """The outcomes that need no index to be told: INSTRUMENT.COLUMN; the dev loss, which has a name of its own, is left out."""
        return [
            f"{one.name}.{name}"
            for one in self.instruments()
            if one.name != DevLoss.NAME and not {n for n, column in one.columns.items() if column.index} - {"suite", "paradigm"}
            for name, column in one.columns.items()
            if not column.index and column.dtype.is_numeric()
        ]

    def instruments(self) -> list[Instrument]:
        """The instruments that read this run, with their settings; what is wrong with others stands in `broken`."""
        found: list[Instrument] = []
        for tables in self.tables.values():
            with self.leaving_out(tables.name):
                found.append(tables.instrument)
        return found

    def unread(self) -> list[Instrument]:
        """The instruments that the recipe lists and that have read nothing; what is wrong with others stands in `broken`."""
        found: list[Instrument] = []
        for part in recipes.listed(self.settings):
            with self.leaving_out(str(part.get("kind") if isinstance(part, Mapping) else part)):
                found.append(recipes.instrument(part))
        return [one for one in found if one.name not in self._readers]

    # --- frames by name, for figures ------------------------------------------------------------------------------

    def frame(self, name: str) -> pl.DataFrame | None:
        """A frame by the name that panels know it by: curves, verdicts, losses, health, dev, apart, a table of the n-gram evidence,
        an instrument's table or one of `OVER`, or one of its folds as INSTRUMENT.FOLD; None where there is none."""
        if name not in self._frames:
            self._frames[name] = None
            with self.leaving_out(name):
                self._frames[name] = self._found(name)
        return self._frames[name]

    def _found(self, name: str) -> pl.DataFrame | None:
        if name in ("curves", "verdicts", "losses", "health", "dev"):
            found: pl.DataFrame | None = getattr(self, name)
            return None if found is None or found.is_empty() else found
        if name in OVER or name == "apart":
            found = OVER[name].table(self.whole) if name in OVER else self._apart()
            return None if found is None or found.is_empty() else found
        if (tables := self._tables_of(name)) is not None:
            return self._every(tables)
        instrument, _, fold = name.partition(".")
        there = self.frame(instrument) if instrument in OVER else self._tables_of(instrument) if fold else None
        if fold and there is not None:
            return self.folds(instrument).get(fold)
        path = self.folder.evidence(name)
        return read_table(path).filter(PART.get(name, True)) if path.exists() else None

    def _apart(self) -> pl.DataFrame | None:
        of_paradigms = self.numbers.filter(pl.col("paradigm") != "")
        return None if self.verdicts is None else apart(of_paradigms, self.verdicts)

    def frames(self, panel: Panel, suite: str | None = None, paradigm: str | None = None) -> dict[str, pl.DataFrame]:
        """What a panel needs and takes, as far as it is there, cut to one suite and, if it is of paradigms, to one paradigm."""
        found = {name: self.frame(name) for name in (*panel.needs, *panel.takes)}
        cut = {"suite": suite, "paradigm": paradigm if panel.per == "paradigm" else None}
        kept = {}
        for name, frame in found.items():
            for column, value in cut.items():
                if frame is not None and value is not None and column in frame.columns:
                    frame = frame.filter(pl.col(column) == value)
            if frame is not None and not frame.is_empty():
                kept[name] = frame
        return kept

    @cached_property
    def losses(self) -> pl.DataFrame | None:
        """Training loss, rate, gradient norm, tokens, words and seconds of every step and seed."""
        return self._of_seeds(self.folder.losses)

    @cached_property
    def health(self) -> pl.DataFrame | None:
        """How the optimiser did, of every tensor and of all together (tensor empty), where it was recorded."""
        return self._of_seeds(self.folder.health)

    def _of_seeds(self, path_of: Callable[[int], Path]) -> pl.DataFrame | None:
        there = [(seed, path_of(seed)) for seed in self.folder.seeds()]
        frames = [read_table(path).with_columns(seed=pl.lit(seed, pl.Int64)) for seed, path in there if path.exists()]
        kept = [frame for frame in frames if len(frame)]
        return pl.concat(kept, how="diagonal_relaxed") if kept else None

    def pairs(self, suite: str) -> pl.DataFrame | None:
        """A suite's pairs as they were scored."""
        path = self.folder.pairs(suite)
        return read_table(path) if path.exists() else None

    def explained(self, suite: str) -> dict[str, tuple[str, str]]:
        """Of paradigms that have a page on why they are so, its name, and what it says in short where that was kept."""
        kept = read_table(self.folder.explained).filter(suite=suite) if self.folder.explained.exists() else None
        pages = {name: (file_name(name), "") for name in self.curves.filter(suite=suite)["paradigm"].unique()}
        there = {name: found for name, found in pages.items() if self.folder.why(found[0]).exists()}
        return there | ({} if kept is None else {row["paradigm"]: (row["page"], row["says"]) for row in kept.to_dicts()})

    # --- what has to be said --------------------------------------------------------------------------------------

    def notes(self) -> list[str]:
        """What the run warned about, checkpoints that were changed after they were written, and what is not there yet."""
        parts: dict[str, Callable[[], list[str]]] = {
            "what the run warned about": self._warned,
            "what is wrong with checkpoints": self._faults,
            "what is not there yet": self._gaps,
            "the windows of training": lambda: [] if self.curves.is_empty() else self._spans[1],
            "what instruments have not read": self._readings_left_out,
        }
        said = [text for name, make in parts.items() for text in self.part(name, make)]
        return [*said, *(f"{text}." for text in self.broken.values())]

    def _warned(self) -> list[str]:
        return [text for key in ("notes", "warnings") for text in _strings(self.lineage.get(key))]

    def _faults(self) -> list[str]:
        places = [] if self.folder.adopted() else [self.folder.checkpoint(*one) for one in self.sealed()]
        found = [f"A checkpoint is broken: {wrong}." for place in places if (wrong := fault(place))]
        return [*found[:SHOWN], f"So are {len(found) - SHOWN:,} more."] if len(found) > SHOWN else found

    def sealed(self) -> list[tuple[int, int]]:
        """Seed and step of the checkpoints whose files are looked at for faults: all."""
        return [(seed, step) for seed in self.folder.seeds() for step in self.folder.steps(seed)]

    def _gaps(self) -> list[str]:
        """What is not there yet."""
        if self.curves.is_empty():
            return []
        notes, time = [], self.timeline(self.counted())
        if time.trained_from is not None and time.trained_from > time.steps[-1]:
            notes.append(
                "The model counts as untrained at every checkpoint: its dev loss never fell below the unigram entropy "
                "of the training text. Let it train for longer."
            )
        if (last := time.steps[-1]) < time.total:
            notes.append(f"Training has not been read to its end: the last checkpoint is step {last:,} of {time.total:,}.")
        if self.frame("verdicts") is None:
            alone = self.curves["step"].n_unique() == 1
            why = "one checkpoint is no trajectory" if alone else "they are made once every seed has been read"
            notes.append(f"There are no verdicts: {why}.")
        elif self.verdicts is not None and not self.verdicts["covers"].count():
            notes.append(
                "The verdicts are of an earlier version, which did not say how firm each is and made intervals too narrow: "
                f"ontogeny verdicts {self.folder.path} judges them anew."
            )
        for (suite,), part in self.curves.group_by("suite", maintain_order=True):
            steps, every = part.group_by("seed").agg(pl.col("step").n_unique()).sort("seed"), part["step"].n_unique()
            short = [f"seed {seed} has {number}" for seed, number in steps.iter_rows() if number < every]
            if short:
                said = f"{suite}: of {count(every, 'checkpoint')}, {enumerated(short)}"
                notes.append(f"{said}. Means are over the seeds that are there.")
        return notes

    def _readings_left_out(self) -> list[str]:
        """Tables that do not belong to the others, and instruments that do not apply, have not read or cannot be shown."""
        notes = [f"{tables.reason}." for tables in self.tables.values() if tables.reason]
        for one in self.unread() if not self.curves.is_empty() else ():
            notes.append(f"{one.name}, which the recipe lists, has not read this run: ontogeny read {self.folder.path}.")
        for name, tables in self.tables.items():
            if tables.others:
                notes.append(
                    f"{name} read {count(len(tables.others), 'checkpoint')} with other settings, or of other text, than the rest, "
                    f"and they are left out: ontogeny read {self.folder.path} --with {name} reads them anew."
                )
        self.instruments()
        return notes


def spans(time: Timeline, thresholds: Thresholds) -> pl.DataFrame:
    """The windows of training as rows: window, start, end (steps).  Raises OntogenyError as `boundaries` does."""
    start, early, late = boundaries(time, thresholds)
    rows = [("untrained", 0.0, start), ("early", min(start, early), early), ("late", max(start, late), float(time.total))]
    rows += [("warm-up", 0.0, float(time.warmup))] if time.warmup else []
    kept = [row for row in rows if row[2] > row[1]]
    return pl.DataFrame(kept, schema={"window": pl.String, "start": pl.Float64, "end": pl.Float64}, orient="row")


def _of_seeds_alike(curves: pl.DataFrame) -> pl.DataFrame:
    if "seed" not in curves.columns:
        return curves
    steps = dict(curves.group_by("seed").agg(pl.col("step").unique().sort()).sort("seed").iter_rows())
    return curves.filter(pl.col("seed").is_in(seeds_alike(steps)))


def score_keys(folder: RunFolder, suite: str, recipe: Observation) -> set[str]:
    """The keys of the tables of scores that answer what a recipe asks: all of a suite's pairs, or until settled."""
    pairs = table_metadata(folder.pairs(suite)).get("key", "")
    key = score_key(pairs, recipe.bos, *folder.scored_how(recipe.scoring))
    return {key, settled.key(key, recipe)} if recipe.scoring.until == "settled" else {key}


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        return [f"{key}: {text}" for key, text in value.items()]
    return [value] if isinstance(value, str) else [str(text) for text in value or ()]
