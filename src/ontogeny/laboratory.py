"""Recipe to report on one screen: what happens when, and who reads each checkpoint."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ontogeny import recipe as recipes
from ontogeny import registry, store
from ontogeny.display import Display
from ontogeny.readers import ReadingMode, Readings, live, plan, read_all, recipe_of
from ontogeny.readers.folders import suite_part as suite_part
from ontogeny.recipe import Observation, Recipe
from ontogeny.records import Checkpoint, OntogenyError, Pair, Suite
from ontogeny.store import RunFolder

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

    from ontogeny.evidence.why import Explanation
    from ontogeny.interventions import InterventionContext, Stream
    from ontogeny.ngram_evidence import Evidence
    from ontogeny.scoring.reading import SuitePairs
    from ontogeny.tokens.prepare import TokenisedText
    from ontogeny.training.parallel import Ranks
    from ontogeny.training.session import TrainingPlan
    from ontogeny.training.treatment import Treatment

QUIET = Display(quiet=True)
DECIDES = ("corpus", "dev", "held_out", "tokenizer", "model", "training", "interventions", "bos")  # fields that change a training
PACKAGES = (
    "ontogeny",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "polars",
    "numpy",
    "scipy",
    "ruptures",
    "altair",
)


def run(recipe: Recipe | Path | str, root: Path | str = "runs", display: Display = QUIET, jobs: int = 1) -> Run:
    """The main job: text to verdicts.  Does only what is missing, so that a killed run goes on where it was."""
    recipe = recipe if isinstance(recipe, Recipe) else recipes.load(recipe)
    here = Run.begin(recipe, root, display)
    here.train(jobs)  # scores each checkpoint as it appears, unless scoring.live is off
    here.score()
    here.judge()
    here.write_report()
    return here


class Run:
    """A run's folder and the stages that fill it.  Each stage can be called alone and does only what is missing."""

    def __init__(self, path: Path | str, display: Display = QUIET):
        """Opens an existing run.  Raises OntogenyError if there is none at `path`."""
        self.folder = RunFolder.existing(path)
        self.display = display
        self.recipe: Observation = recipe_of(self.folder)

    @classmethod
    def begin(cls, recipe: Observation, root: Path | str = "runs", display: Display = QUIET, locked: bool = False) -> Run:
        """A run's folder with this recipe, new or as it was left.  `locked`: the caller holds the run's one writer's place.

        Raises OntogenyError if a run is there that was trained in another way.
        """
        folder = RunFolder(Path(root) / recipe.name)
        with nullcontext() if locked else folder.writing():
            if folder.lineage():  # a kill may have left a recipe alone
                _same_training(cls(folder.path).recipe, recipe, folder)
            with store.atomic(folder.recipe) as temporary:
                temporary.write_text(recipes.dump(recipe), encoding="utf-8")
            folder.note(
                kind="trained" if isinstance(recipe, Recipe) else "opened",
                created=folder.lineage().get("created") or datetime.now(UTC).isoformat(timespec="seconds"),
                command=" ".join(["ontogeny", *sys.argv[1:]]) if Path(sys.argv[0]).name == "ontogeny" else "Python",
                versions={name: found for name in PACKAGES if (found := _version(name))} | {"python": platform.python_version()},
                hardware=_hardware(),
            )
        return cls(folder.path, display)

    # --- the stages -----------------------------------------------------------------------------------------------

    def train(self, jobs: int = 1, share: int | None = None) -> None:
        """Trains every seed to its end, from wherever it was left, and reads each checkpoint as it appears.

        With `jobs` above 1, so many seeds side by side, each in a process of its own with its share of the cores: small models gain
        more from that than from many threads.  `share`: trainings that share this machine, if other runs are among them.
        """
        from ontogeny.training.session import finished

        recipe, share = self._own(), share or jobs
        with self.folder.writing():
            self.prepare(share)
            self._warn_of_passed(self.training_plan(share))
            todo = [seed for seed in recipe.seeds if not finished(self.folder, seed, self.training_plan(share))]
            if jobs > 1 and len(todo) > 1:
                side_by_side(_train_seed, [(self.folder.path, seed, self.display.quiet) for seed in todo], jobs)
            else:
                self.train_seeds(todo)

    def prepare(self, jobs: int = 1) -> None:
        """Makes what all seeds share, before they train side by side: text, edited streams, the engine; says what is to come.

        Raises OntogenyError if the processes that torchrun started cannot share a batch.
        """
        from ontogeny.training import parallel

        ranks = parallel.here()
        ranks.check(self._own())
        self.folder.note(reading=plan(self._own(), jobs * ranks.beside).lineage())
        fresh = "engine" not in self.folder.lineage()
        self._announce(self.training_plan(jobs), jobs)
        treatment = self.treatment(self._own().seeds[0])
        if fresh and ranks.size == 1:
            self._try_ways(treatment)

    def train_seed(self, seed: int) -> None:
        """Trains one seed; whoever calls this holds the run's one writer's place."""
        self.train_seeds([seed])

    def train_seeds(self, seeds: Sequence[int]) -> None:
        """Trains seeds one after the other, and reads their checkpoints in the way that was planned when they were made ready."""
        way, coming = self._reading_mode, sum(len(self._to_come(seed)) for seed in seeds)
        with live(self.readings, way, seeds, coming) as read:
            for seed in seeds:
                self._train_seed(seed, read)

    def _train_seed(self, seed: int, read: Callable[[int, Checkpoint], None]) -> None:
        from ontogeny.training import parallel
        from ontogeny.training.engine import peak_memory
        from ontogeny.training.session import train_seed

        recipe, plan, treatment = self._own(), self.training_plan(), self.treatment(seed)
        newest = self.folder.newest_state(seed)
        before = store.step_of(newest) if newest else 0
        parallel.here().tell((str(self.folder.path.absolute()), seed))
        with self.display.bar(f"training, seed {seed}", plan.steps, "steps", before) as advance:

            def watch(step: int, loss: float) -> None:
                nonlocal before
                advance(step - before, f"loss {loss:.3f}")
                before = step

            for checkpoint in train_seed(self.folder, recipe, self.text, treatment, plan, seed, watch):
                read(seed, checkpoint)
        self.folder.note(peak_memory={str(seed): peak_memory(plan.engine.device)})
        if gone := self._to_come(seed):
            self.display.warn(
                f"seed {seed} has no checkpoint at steps {gone}, which its training had passed already: they were deleted, or the "
                "schedule is a new one; to make them, train under another name"
            )

    def _to_come(self, seed: int) -> list[int]:
        return [step for step in self.training_plan().checkpoints if not self.folder.has_checkpoint(seed, step)]

    def score(self, again: Sequence[int] = (), jobs: int | None = None) -> None:
        """Reads every checkpoint that has not been read, those at the steps in `again` once more.

        `jobs` processes share the work; None: as many as pay.  Raises OntogenyError that names the checkpoints that could not be
        read, after reading all others.
        """
        with self.folder.writing():
            known = {checkpoint.step for seed in self.folder.seeds() for checkpoint in self.folder.checkpoints(seed)}
            if unknown := sorted(set(again) - known):
                raise OntogenyError(f"{self.folder.path} has no checkpoint at step {unknown[0]}; it has {sorted(known)}")
            troubles = read_all(self.readings, again, jobs)
            self.folder.note(warnings=troubles)
        if troubles:
            raise OntogenyError("\n".join(troubles))

    def score_seed(self, seed: int, again: Sequence[int] = ()) -> list[str]:
        """Reads one seed's checkpoints in this process and returns what went wrong; whoever calls this holds the writer's place."""
        return read_all(self.readings, again, 1, [seed])

    def judge(self) -> pl.DataFrame:
        """Trajectories and verdicts of every suite, over all seeds; written to the run's folder and returned."""
        from ontogeny.judging import judge_run

        with self.folder.writing():
            return judge_run(self.folder, self.recipe, self.display)

    def write_report(self) -> Path:
        """The page and its figures.  Returns the page's path."""
        from ontogeny.report import write_report

        with self.folder.writing():
            return write_report(self.folder)

    # --- the n-gram evidence --------------------------------------------------------------------------------------

    def count(self, order: int = 5) -> dict[str, Any]:
        """Counts the n-grams of the training text, over the model's tokens and over words; opens what was counted before."""
        with self.folder.writing():
            return dict(self.ngram_evidence.count(order))

    def examine(self, order: int = 5) -> None:
        """Makes the tables of n-gram evidence that are missing: margins, the ladder, what foretold the verdicts ..."""
        with self.folder.writing():
            self.ngram_evidence.examine(order)

    def evidence(self, name: str) -> pl.DataFrame:
        """A table of the n-gram evidence: margins, ladder, reliance, divergence, foretold ...

        Raises OntogenyError that names the tables there are.
        """
        path = self.folder.evidence(name)
        if not path.exists():
            there = sorted(table.stem for table in path.parent.glob("*.parquet"))
            hint = registry.nearest(name, there) if there else f"run: ontogeny evidence {self.folder.path}"
            raise OntogenyError(f"{self.folder.path} has no table of evidence called {name!r}; {hint}")
        return store.read_table(path)

    def why(
        self, paradigm: str, pair: str | None = None, level: str = "word", order: int = 2, suite: str | None = None, **options: int
    ) -> Explanation:
        """Which transitions decide a paradigm, or one of its pairs, under an n-gram model, and the lines of text behind them."""
        own = self.ngram_evidence
        with nullcontext() if own.counted_before(level, max(order, 2)) else self.folder.writing():
            return own.explain(paradigm, pair, level, order, suite, **options)

    def export(self, path: Path, level: str = "word", order: int = 5) -> None:
        """Writes the Kneser-Ney model of one level and order as an ARPA file, which KenLM and others read."""
        from ontogeny.ngrams import arpa

        with nullcontext() if self.ngram_evidence.counted_before(level, order) else self.folder.writing():
            counted = self.ngram_evidence.count(order, [level])[level]
        names = counted.tokenizer.convert_ids_to_tokens(list(range(len(counted.tokenizer))))
        with self.display.bar(f"{path}", 1, "models") as advance:
            arpa.write(path, counted.model, order, names, counted.tokenizer.unk_token_id)
            advance(1)

    @cached_property
    def ngram_evidence(self) -> Evidence:
        """What makes and opens the n-gram evidence of this run.  Raises OntogenyError where its training text is not known."""
        from ontogeny.ngram_evidence import Evidence

        if not isinstance(self.recipe, Recipe):
            raise OntogenyError(
                f"{self.folder.path} is a run around somebody else's checkpoints: the text they were trained on is not known, and "
                "n-grams are counted in it; to audit a suite against any text: ontogeny audit SUITE --corpus FOLDER"
            )
        return Evidence(self.folder, self._own(), self.text, self.asked, self.display)

    # --- what the stages stand on ---------------------------------------------------------------------------------

    @cached_property
    def text(self) -> TokenisedText:
        """Tokenizer and token stores."""
        from ontogeny.tokens.prepare import prepare

        return prepare(self.folder, self._own(), lambda title: self.display.bar(title, None, "documents"))

    @cached_property
    def intervention_context(self) -> InterventionContext:
        """What the recipe's interventions stand on: text, tokenizer, n-grams and pairs."""
        from ontogeny.interventions import InterventionContext

        def every_pair() -> list[Pair]:
            return [pair for asked in self.asked for pair in asked.pairs]

        text = self.text
        return InterventionContext(self.folder, self._own(), text.tokenizer, text.train, text.train, every_pair, self.display.warn)

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
        key = store.content_key([stream.text.facts["key"] for stream in self.streams], [asked.key for asked in self.asked])
        if not path.exists() or store.table_metadata(path).get("key") != key:
            store.write_table(path, bigram_margins(self.intervention_context, self.streams), {"key": key})
        return store.read_table(path)

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

    def _announce(self, plan: TrainingPlan, jobs: int) -> None:
        from ontogeny.training import parallel

        recipe, text, ranks = self._own(), self.text, parallel.here()
        need = plan.disk(len(recipe.seeds))
        known = self.folder.lineage().get("training")
        self.folder.note(
            engine=plan.engine.lineage(),
            training={
                "parameters": plan.parameters,
                "steps": plan.steps,
                "warmup": plan.warmup,
                "checkpoints": len(plan.checkpoints),
                "processes": ranks.size,
            },
        )
        engine, each = plan.engine, f" for each of {jobs} seeds at a time" if jobs > 1 else ""
        each += f", shared by {ranks.size} processes" if ranks.size > 1 else ""
        self.display.say(
            f"{recipe.name}: {plan.parameters / 1e6:.1f}M parameters, {text.train.facts['words']:,} words in "
            f"{len(text.train):,} tokens, {plan.steps:,} steps of {recipe.training.batch * recipe.training.context:,} tokens, "
            f"seeds {list(recipe.seeds)}\n"
            f"{len(plan.checkpoints)} checkpoints a seed, {store.human_size(need)} of disk for all seeds "
            f"({store.human_size(store.free_space(self.folder.path))} free)\n"
            f"{engine.device}, {engine.threads} threads{each}, {engine.precision}, {'' if engine.compile else 'not '}compiled"
        )
        if text.train.facts["unknown"]:
            self.display.say(f"{text.train.facts['unknown']:,} tokens of the training text are unknown to the tokenizer (<unk>)")
        if known is None and need > store.free_space(self.folder.path):
            raise store.disk_full(self.folder.path, need)

    def _try_ways(self, treatment: Treatment) -> None:
        """Which engine is fastest, by a short trial where that pays; kept in the lineage."""
        from ontogeny.training import session, trial

        recipe, plan = self._own(), self.training_plan()
        begin = partial(session.build, recipe, self.text)
        found = trial.choose(begin, treatment, recipe.training, plan.engine, plan.parameters, plan.steps)
        self.folder.note(engine=found.engine.lineage(), trial=found.facts())
        if found.tried:
            self.display.say(str(found))

    def _warn_of_passed(self, plan: TrainingPlan) -> None:
        """Says which checkpoints a changed schedule asks for too late: training has gone past them."""
        for seed in self.folder.seeds():
            newest = self.folder.newest_state(seed)
            at = store.step_of(newest) if newest else 0
            passed = [step for step in plan.checkpoints if step < at and not self.folder.has_checkpoint(seed, step)]
            if passed:
                self.display.warn(f"seed {seed} is at step {at:,}: the checkpoints at {passed} can no longer be made")

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
        return store.read_table(self.folder.curves)

    def verdicts(self) -> pl.DataFrame:
        """One row a paradigm: its verdict and the evidence."""
        return store.read_table(self.folder.verdicts)

    def losses(self, seed: int | None = None) -> pl.DataFrame:
        """Training loss, learning rate, gradient norm, tokens and words at every step."""
        return store.read_table(self.folder.losses(self.folder.seeds()[0] if seed is None else seed))

    def figure(self, name: str = "map", **options: Any) -> alt.Chart:
        """A figure of the report by name, for a notebook."""
        from ontogeny.report import figure

        return figure(self.folder, name, **options)

    @property
    def report(self) -> Path:
        """Path of the page."""
        return self.folder.report

    def _suite(self) -> str:
        return cast(Suite, self.recipe.suites[0]).name


def follow(ranks: Ranks) -> None:
    """What every process but the first does under torchrun: it trains what the first one trains, and writes nothing."""
    from ontogeny.training.session import train_seed

    while order := ranks.told():
        path, seed = order
        here = Run(path)
        for _ in train_seed(here.folder, here._own(), here.text, here.treatment(seed), here.training_plan(), seed):
            pass


def side_by_side(
    function: Callable[..., Any], work: list[tuple[Any, ...]], jobs: int, done: Callable[[], None] = lambda: None
) -> list[Any]:
    """What `function` returns for each piece of work, each in a process of its own, `jobs` at a time; `done` is called after each.

    Raises the first error, after the others have ended; and OntogenyError under torchrun, whose processes train one seed together.
    """
    from ontogeny.training import parallel

    if parallel.here().size > 1:
        raise OntogenyError("torchrun's processes train one seed after the other together: leave --jobs and grids out")
    from concurrent.futures import ThreadPoolExecutor, as_completed

    with ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(_apart, function, *piece) for piece in work]
        try:
            for _ in as_completed(running):
                done()
        except BaseException:  # Ctrl-C: what runs ends, as it hears of it too, and nothing else begins
            pool.shutdown(cancel_futures=True)
            raise
        errors = [error for future in running if (error := future.exception())]
    if errors:
        raise errors[0]
    return [future.result() for future in running]


def _apart(function: Callable[..., Any], *piece: Any) -> Any:
    """In a new process, so that memory and torch's state are those of one piece of work."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *piece).result()


def _train_seed(path: Path, seed: int, quiet: bool) -> None:
    Run(path, Display(quiet, plain=True)).train_seed(seed)


def _same_training(old: Observation, new: Observation, folder: RunFolder) -> None:
    """A run's folder keeps to one training; suites, thresholds and further seeds may change."""
    if type(old) is not type(new):
        raise OntogenyError(f"{folder.path} holds a run of another kind; use another name")
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    fixed = [
        name for name in ("corpus", "dev", "held_out", "tokenizer", "model", "training", "interventions", "bos") if name in before
    ]
    if folder.seeds() and (differ := [d for name in fixed for d in _differences(name, before[name], after[name])]):
        raise OntogenyError(
            f"{folder.path} was trained with another recipe: {'; '.join(differ)}. "
            "Use --set name=..., or delete the folder to start again"
        )


def _differences(name: str, old: Any, new: Any) -> list[str]:
    free = ("save_minutes", "dev_tokens", "device", "threads", "trial")
    if name.removeprefix("training.") in free or old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        return [d for key in {**old, **new} for d in _differences(f"{name}.{key}", old.get(key), new.get(key))]
    return [f"{name} was {old!r}, now {new!r}"]


def _hardware() -> dict[str, Any]:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"processor": _processor(), "cores": os.cpu_count(), "gpus": gpus, "system": platform.platform()}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
