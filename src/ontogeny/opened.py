"""A run that is there: what its folder holds, and what its stages stand on, each made when it is first asked for."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ontogeny import disk, registry
from ontogeny import recipe as recipes
from ontogeny.display import QUIET, Display
from ontogeny.readers import ReadingMode, Readings, recipe_of
from ontogeny.recipe import Observation, Recipe
from ontogeny.records import OntogenyError, Pair, Suite
from ontogeny.store import RunFolder

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

    from ontogeny.instruments import Instrument
    from ontogeny.interventions import InterventionContext, Stream
    from ontogeny.ngram_evidence import Evidence
    from ontogeny.results import Results
    from ontogeny.scoring.reading import SuitePairs
    from ontogeny.tokens.prepare import TokenisedText
    from ontogeny.training.session import TrainingPlan
    from ontogeny.training.treatment import Treatment


class OpenedRun:
    """One run, as it is."""

    def __init__(self, path: Path | str, display: Display = QUIET):
        """Opens an existing run.  Raises OntogenyError if there is none at `path`."""
        self.folder = RunFolder.existing(path)
        self.display = display
        self.recipe: Observation = recipe_of(self.folder)

    # --- frames and figures ---------------------------------------------------------------------------------------

    def scores(self, suite: str | None = None) -> pl.LazyFrame:
        """Every pair that was read at every checkpoint and seed, lazily: paradigm, pair, logp_good, logp_bad ..., seed, step."""
        found = self.folder.scan_scores(suite or self._suite())
        if found is None:
            raise OntogenyError(
                f"{self.folder.path} has no scores on {suite or self._suite()}; run: ontogeny score {self.folder.path}"
            )
        return found

    def curves(self) -> pl.DataFrame:
        """Accuracy and mean margins of every paradigm at every checkpoint and seed."""
        return disk.read_table(self.folder.curves)

    def verdicts(self) -> pl.DataFrame:
        """One row a paradigm: its verdict and the evidence."""
        return disk.read_table(self.folder.verdicts)

    @property
    def results(self) -> Results:
        """What the run's folder holds, interpreted: clock, windows, losses, verdicts, what instruments read."""
        from ontogeny.results import Results

        return Results(self.folder)

    def reading(self, instrument: str) -> pl.LazyFrame:
        """What an instrument read of every checkpoint, lazily: seed, step and its columns.

        Raises OntogenyError that says how it is made if it has read nothing.
        """
        return self.results.table(instrument)

    def fold(self, instrument: str) -> dict[str, pl.DataFrame]:
        """What an instrument says of all checkpoints together: ages, onsets, speeds, a table each by name.

        Raises OntogenyError as `reading` does, and for a fold that these checkpoints are too few for.
        """
        return self.results.folds(instrument)

    def correlations(self) -> pl.DataFrame:
        """Of every paradigm that people have graded: the correlation of scores with their judgements, by checkpoint and seed."""
        if not self.folder.correlations.exists():
            raise OntogenyError(f"{self.folder.path} has no correlations: none of its suites has items with a graded judgement")
        return disk.read_table(self.folder.correlations)

    def losses(self, seed: int | None = None) -> pl.DataFrame:
        """Training loss, learning rate, gradient norm, tokens and words at every step."""
        return disk.read_table(self.folder.losses(self.folder.seeds()[0] if seed is None else seed))

    def figure(self, name: str = "map", **options: Any) -> alt.Chart:
        """A figure of the report by name, for a notebook."""
        from ontogeny.report import figure

        return figure(self.folder, name, **options)

    @property
    def report(self) -> Path:
        """Path of the page."""
        return self.folder.report

    def evidence(self, name: str) -> pl.DataFrame:
        """A table of the n-gram evidence: margins, ladder, foretold ...  What instruments read is in `reading`.

        Raises OntogenyError that names the tables there are.
        """
        path = self.folder.evidence(name)
        if not path.exists():
            there = sorted(table.stem for table in path.parent.glob("*.parquet"))
            hint = registry.nearest(name, there) if there else f"run: ontogeny evidence {self.folder.path}"
            raise OntogenyError(f"{self.folder.path} has no table of evidence called {name!r}; {hint}")
        return disk.read_table(path)

    def _suite(self) -> str:
        return cast(Suite, self.recipe.suites[0]).name

    # --- what the stages stand on ---------------------------------------------------------------------------------

    @cached_property
    def text(self) -> TokenisedText:
        """Tokenizer and token stores.  Raises OntogenyError where nobody knows the text."""
        from ontogeny.tokens.prepare import prepare

        return prepare(self.folder, self.recipe, lambda title: self.display.bar(title, None, "documents"))

    @cached_property
    def intervention_context(self) -> InterventionContext:
        """What the recipe's interventions stand on: text, tokenizer, n-grams and pairs."""
        from ontogeny.interventions import InterventionContext

        def every_pair() -> list[Pair]:
            return [pair for asked in self.asked for pair in asked.pairs]

        def listen(seed: int, finished: Any, at: Any, paradigms: Any, alpha: float) -> Any:
            from ontogeny.early_warning import Alarms

            return Alarms(self.folder, self._own(), seed, finished, at, paradigms, alpha, self.display.warn).standing

        text, warn = self.text, self.display.warn
        return InterventionContext(self.folder, self._own(), text.tokenizer, text.train, text.train, every_pair, warn, listen)

    @cached_property
    def streams(self) -> tuple[Stream, ...]:
        """The token streams that training reads, one after the other; the untouched one where no intervention changes the text."""
        from ontogeny.interventions import streams
        from ontogeny.tokens.prepare import splits

        return streams(self.intervention_context, splits(self._own())[0], lambda title: self.display.bar(title, None, "documents"))

    def treatment(self, seed: int) -> Treatment:
        """What one seed's training reads, what it minimises, and what is done to its weights."""
        from ontogeny.interventions import treatment

        return treatment(self.intervention_context, self.streams, seed)

    def stream_margins(self) -> pl.DataFrame:
        """Mean bigram margin (nats) of every paradigm in each stream that training reads; made once."""
        from ontogeny.interventions import bigram_margins

        path = self.folder.stream_margins
        key = disk.content_key([stream.text.facts["key"] for stream in self.streams], [asked.key for asked in self.asked])
        if not path.exists() or disk.table_metadata(path).get("key") != key:
            disk.write_table(path, bigram_margins(self.intervention_context, self.streams), {"key": key})
        return disk.read_table(path)

    def training_plan(self, jobs: int = 1) -> TrainingPlan:
        """What the training is, or will be, with `jobs` seeds side by side; a run that began keeps the engine it began with."""
        from ontogeny.training.session import training_plan

        return training_plan(self.folder, self._own(), self.text, jobs, self._reading_mode.spared)

    @cached_property
    def readings(self) -> Readings:
        """Reads checkpoints."""
        return Readings(self.folder, self.recipe, self.display, lambda: self.text)

    @property
    def asked(self) -> list[SuitePairs]:
        """The suites, read."""
        return self.readings.asked

    @property
    def _reading_mode(self) -> ReadingMode:
        return ReadingMode.from_lineage(self.folder.lineage().get("reading", {}))

    def _own(self) -> Recipe:
        if not isinstance(self.recipe, Recipe):
            raise OntogenyError(f"{self.folder.path} is a run around somebody else's checkpoints: there is nothing to train")
        return self.recipe

    @cached_property
    def ngram_evidence(self) -> Evidence:
        """What makes and opens the n-gram evidence of this run.  Raises OntogenyError where its training text is not known."""
        from ontogeny.ngram_evidence import Evidence

        if self.recipe.corpus is None:
            raise OntogenyError(
                f"{self.folder.path} is a run around somebody else's checkpoints: the text they were trained on is not known, and "
                "n-grams are counted in it; where you have it: ontogeny open CHECKPOINTS --corpus FOLDER; to audit a suite against "
                "any text: ontogeny audit SUITE --corpus FOLDER"
            )
        return Evidence(self.folder, self.recipe, self.text, self.asked, self.display)

    def _to_come(self, seed: int) -> list[int]:
        return [step for step in self.training_plan().checkpoints if not self.folder.has_checkpoint(seed, step)]

    def _known(self) -> list[dict[str, Any]]:
        listed = {one.name: one.model_dump(mode="json") for one in self.readings.instruments}
        return list(({name: tables.settings for name, tables in self.results.tables.items()} | listed).values())

    def _instrument(self, asked: str | dict[str, Any]) -> Instrument:
        found: Instrument = recipes.instrument(asked)
        listed = {one.name: one for one in self.readings.instruments}
        return listed.get(found.name, found) if isinstance(asked, str) or set(asked) == {"kind"} else found

    def move_readings(self) -> None:
        """Gives what a version before has read today's form, once.  Whoever calls this holds the run's one writer's place."""
        from ontogeny.instruments.tables import move

        for said in move(self.folder, self.recipe):
            self.display.warn(said)
