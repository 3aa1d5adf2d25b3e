"""Recipe to report on one screen: what happens when, and who reads each checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontogeny import disk, store, yaml_text
from ontogeny import recipe as recipes
from ontogeny.display import QUIET, Display
from ontogeny.machine import hardware, versions
from ontogeny.opened import OpenedRun
from ontogeny.readers import live, plan, read_all
from ontogeny.recipe import Observation, Recipe
from ontogeny.records import Checkpoint, OntogenyError
from ontogeny.store import RunFolder
from ontogeny.work.local import HERE, shares
from ontogeny.work.piece import Piece, WorkEngine, do_all

if TYPE_CHECKING:
    import polars as pl

    from ontogeny.evidence.why import Explanation
    from ontogeny.trackers import Trackers
    from ontogeny.training.parallel import Ranks


def run(recipe: Recipe | Path | str, root: Path | str = "runs", display: Display = QUIET, jobs: int = 1) -> Run:
    """The main job: text to verdicts.  Does only what is missing, so that a killed run goes on where it was."""
    recipe = recipe if isinstance(recipe, Recipe) else recipes.load(recipe)
    here = Run.begin(recipe, root, display)
    here.fill(jobs)
    return here


class Run(OpenedRun):
    """A run's folder and the stages that fill it.  Each stage can be called alone and does only what is missing."""

    tracked: Trackers | None = None  # where the numbers of a training go that this process has begun

    @classmethod
    def begin(
        cls, recipe: Observation, root: Path | str = "runs", display: Display = QUIET, locked: bool = False, kind: str = ""
    ) -> Run:
        """A run's folder with this recipe, new or as it was left.  `locked`: the caller holds the run's one writer's place.

        `kind`: who trains it; left out: this program, or somebody did before.

        Raises OntogenyError if a run is there that was trained in another way, or anything that is no run.
        """
        folder, text = RunFolder(Path(root) / recipe.name), recipes.dump(recipe)
        folder.claim(text)
        kind = kind or ("trained" if isinstance(recipe, Recipe) else "opened")
        with nullcontext() if locked else folder.writing():
            if folder.lineage():  # a kill may have left a recipe alone
                from ontogeny.training.setting_out import same_training

                same_training(cls(folder.path).recipe, recipe, folder, kind)
                cls(folder.path, display).move_readings()
            with disk.atomic(folder.recipe) as temporary:
                temporary.write_text(text, encoding="utf-8")
            folder.note(
                kind=kind,
                created=folder.lineage().get("created") or datetime.now(UTC).isoformat(timespec="seconds"),
                command=" ".join(["ontogeny", *sys.argv[1:]]) if Path(sys.argv[0]).name == "ontogeny" else "Python",
                versions=versions(),
                hardware=hardware(),
            )
        return cls(folder.path, display)

    # --- its work in pieces ---------------------------------------------------------------------------------------

    def pieces(self) -> list[Piece]:
        """All that is to be done of this run, each with what has to be there before."""
        path, seeds = str(self.folder.path.absolute()), self._own().seeds
        ready = Piece("prepare", path)
        trained = tuple(Piece("train", path, {"seed": seed, "read": True}, (ready,), f"seed {seed}") for seed in seeds)
        judged = Piece("judge", path, after=trained)
        return [ready, *trained, judged, Piece("report", path, after=(judged,))]

    def fill_on(self, engine: WorkEngine, jobs: int = 1) -> None:
        """As `fill`, by an engine, which may be other machines."""
        with self.folder.writing(), engine.opened(shares(jobs), self.display) as submit:
            do_all(self.pieces(), submit, self.display, self.folder.name, unit="pieces", lines=self.display)

    # --- the stages -----------------------------------------------------------------------------------------------

    def fill(self, jobs: int = 1, share: int | None = None) -> None:
        """All stages, one after the other."""
        self.train(jobs, share)  # scores each checkpoint as it appears, unless scoring.live is off
        self.score()
        self.judge()
        self.write_report()

    def train(self, jobs: int = 1, share: int | None = None) -> None:
        """Trains every seed to its end, from wherever it was left, and reads each checkpoint as it appears.

        With `jobs` above 1, so many seeds side by side, each in a process of its own with its share of the cores: small models gain
        more from that than from many threads.  `share`: trainings that share this machine, if other runs are among them.
        """
        from ontogeny import trackers
        from ontogeny.training.session import finished
        from ontogeny.training.setting_out import warn_of_passed

        recipe, share = self._own(), share or jobs
        trackers.check(recipe.trackers)
        with self.folder.writing():
            self.prepare(share)
            warn_of_passed(self.folder, self.training_plan(share), self.display)
            todo = [seed for seed in recipe.seeds if not finished(self.folder, seed, self.training_plan(share))]
            if todo:
                self.track(recipe.seeds)
            if jobs > 1 and len(todo) > 1:
                pieces = [Piece("train", str(self.folder.path.absolute()), {"seed": seed}, label=f"seed {seed}") for seed in todo]
                with HERE.opened(shares(jobs), self.display) as submit:
                    do_all(pieces, submit, self.display, "seeds", unit="seeds", lines=self.display, done=self.tell)
            else:
                self.train_seeds(todo)

    def prepare(self, jobs: int = 1, margins: bool = False) -> None:
        """Makes what all seeds share, before they train side by side: text, edited streams, the engine; says what is to come.

        `margins`: and the bigram margins of those streams.
        Raises OntogenyError if the processes that torchrun started cannot share a batch.
        """
        with self.folder.claimed("prepare", self.display.say):
            self._prepare(jobs)
            if margins:
                self.stream_margins()

    def _prepare(self, jobs: int) -> None:
        from ontogeny.tokens.prepare import check
        from ontogeny.training import parallel
        from ontogeny.training.session import try_out
        from ontogeny.training.setting_out import announce, try_ways

        ranks = parallel.here()
        ranks.check(self._own())
        if "training" not in self.folder.lineage():
            try_out(self._own())
        check(self.folder, self.text)
        self.folder.note(reading=plan(self._own(), jobs * ranks.beside).lineage())
        fresh = "engine" not in self.folder.lineage()
        announce(self.folder, self._own(), self.text, self.training_plan(jobs), jobs, self.display)
        treatment = self.treatment(self._own().seeds[0])
        for stream in self.streams:
            stream.text.checked()
        if fresh and ranks.size == 1:
            try_ways(self.folder, self._own(), self.text, self.training_plan(), treatment, self.display)

    def train_seed(self, seed: int, read: bool = False) -> None:
        """Trains one seed, if it is not, and with `read` reads what is left of it; whoever calls this holds the writer's place."""
        if "engine" not in self.folder.lineage():
            self.prepare()
        if not self.folder.has_checkpoint(seed, self.training_plan().steps):
            self.train_seeds([seed])
        if read and (troubles := self.score_seed(seed)):
            raise OntogenyError("\n".join(troubles))

    def train_seeds(self, seeds: Sequence[int]) -> None:
        """Trains seeds one after the other, and reads their checkpoints in the way that was planned when they were made ready."""
        way, coming = self._reading_mode, sum(len(self._to_come(seed)) for seed in seeds)
        with live(self.readings, way, seeds, coming) as read:
            for seed in seeds:
                with self.folder.claimed(f"train-{seed}", self.display.say):
                    self._train_seed(seed, read)

    def _train_seed(self, seed: int, read: Callable[[int, Checkpoint], None]) -> None:
        from ontogeny.training import parallel
        from ontogeny.training.engine import peak_memory
        from ontogeny.training.session import train_seed

        recipe, plan, treatment = self._own(), self.training_plan(), self.treatment(seed)
        newest = self.folder.newest_state(seed)
        before = store.step_of(newest) if newest else 0
        parallel.here().tell((str(self.folder.path.absolute()), seed))
        if before and self._reading_mode.way == "in turn":  # a kill may have come between a checkpoint and its reading
            for checkpoint in self.folder.checkpoints(seed):
                read(seed, checkpoint)
        with self.display.bar(f"training, seed {seed}", plan.steps, "steps", before) as advance:

            def watch(step: int, loss: float) -> None:
                nonlocal before
                advance(step - before, f"loss {loss:.3f}")
                before = step

            for checkpoint in train_seed(self.folder, recipe, self.text, treatment, plan, seed, watch):
                read(seed, checkpoint)
                self.tell()
        self.folder.note(peak_memory={str(seed): peak_memory(plan.engine.device)})
        if gone := self._to_come(seed):
            self.display.warn(
                f"seed {seed} has no checkpoint at steps {gone}, which its training had passed already: they were deleted, or the "
                "schedule is a new one; to make them, train under another name"
            )

    def score(self, again: Sequence[int] = (), jobs: int | None = None, engine: WorkEngine = HERE) -> None:
        """Reads every checkpoint that has not been read, those at the steps in `again` once more.

        `jobs` processes share the work; None: as many as pay.  `engine`: whose.  Raises OntogenyError that names the checkpoints
        that could not be read, after reading all others.
        """
        with self.folder.writing():
            self._check_steps(again)
            self.move_readings()
            self.readings.check()
            if self.recipe.trackers and self.folder.adopted() and self._is_new():
                self.track(self.folder.seeds())
            troubles = read_all(self.readings, again, jobs, engine=engine)
            self.tell()
            self.folder.note(warnings=troubles)
        if troubles:
            raise OntogenyError("\n".join(troubles))

    def _check_steps(self, steps: Sequence[int]) -> None:
        known = {checkpoint.step for seed in self.folder.seeds() for checkpoint in self.folder.checkpoints(seed)}
        if unknown := sorted(set(steps) - known):
            raise OntogenyError(f"{self.folder.path} has no checkpoint at step {unknown[0]}; it has {sorted(known)}")

    def _is_new(self) -> bool:
        """True where a checkpoint has no scores on some suite yet."""
        folder, suites = self.folder, [asked.name for asked in self.asked]
        return any(set(folder.steps(seed)) - set(folder.scored(seed, suite)) for seed in folder.seeds() for suite in suites)

    def read(
        self,
        instruments: Sequence[str | dict[str, Any]] = (),
        again: Sequence[int] = (),
        jobs: int | None = None,
        engine: WorkEngine = HERE,
    ) -> None:
        """Reads with instruments at every checkpoint that lacks them, and those at the steps in `again` once more.

        Each is a kind, or settings with a kind; one that the recipe lists is read as it is there.  None named: all that the recipe
        lists, and those that have read this run before.  Raises OntogenyError as `score` does.
        """
        with self.folder.writing():
            self._check_steps(again)
            self.move_readings()
            chosen = [self._instrument(one) for one in instruments or self._known()]
            self.readings.check(chosen)
            troubles = read_all(self.readings, again, jobs, instruments=chosen, engine=engine)
            before = [line for text in self.folder.lineage().get("warnings", []) for line in text.splitlines()]
            now = [f"the instrument {one.name} " for one in chosen]
            known = [line for line in before if not any(name in line for name in now)]  # of what is not read now: they still hold
            self.folder.note(warnings=list(dict.fromkeys([*known, *troubles])))
        if troubles:
            raise OntogenyError("\n".join(troubles))

    def score_seed(self, seed: int, again: Sequence[int] = ()) -> list[str]:
        """Reads one seed's checkpoints in this process and returns what went wrong; whoever calls this holds the writer's place."""
        return read_all(self.readings, again, 1, [seed])

    def judge(self) -> pl.DataFrame:
        """Trajectories and verdicts of every suite, over all seeds; written to the run's folder and returned."""
        from ontogeny.judging import judge_run

        with self.folder.writing():
            self.move_readings()
            return judge_run(self.folder, self.recipe, self.display)

    def try_verdicts(self, settings: Sequence[str], out: Path | None = None) -> pl.DataFrame:
        """The verdicts under other thresholds (verdicts.early=0.2), also as a table at `out`; nothing in the run changes."""
        from ontogeny.judging import judge_run

        raw: dict[str, Any] = {"verdicts": self.recipe.verdicts.model_dump(mode="json")}
        for setting in settings:
            if not setting.startswith("verdicts."):
                raise OntogenyError(f"--set {setting}: of a run that is there thresholds can be tried, such as verdicts.early=0.2")
            yaml_text.override(raw, setting)
        thresholds = recipes.build(type(self.recipe.verdicts), raw["verdicts"], "--set")
        found = judge_run(self.folder, self.recipe.model_copy(update={"verdicts": thresholds}), self.display, keep=False)
        if out:
            disk.export_table(out, found)
        return found

    def write_report(self) -> Path:
        """The page and its figures.  Returns the page's path."""
        from ontogeny.report import write_report

        with self.folder.writing():
            page = write_report(self.folder)
            if self.tracked is not None:
                self.tracked.finish(page)
            return page

    def track(self, seeds: Sequence[int]) -> None:
        """Begins the trackers that the recipe names, which hear from now on what is read of these seeds."""
        from ontogeny.trackers import Trackers

        if self.recipe.trackers:
            self.tracked = Trackers(self.folder, self.recipe, seeds, self.display)

    def tell(self) -> None:
        """Tells the trackers, if this training has any, what has been read since."""
        if self.tracked is not None:
            self.tracked.tell()

    # --- the n-gram evidence --------------------------------------------------------------------------------------

    def count(self, order: int = 5) -> dict[str, Any]:
        """Counts the n-grams of the training text, over the model's tokens and over words; opens what was counted before."""
        from ontogeny.ngrams.counted import LEVELS

        with self._counting(order, LEVELS):
            return dict(self.ngram_evidence.counts.levels(order))

    def examine(self, order: int = 5) -> None:
        """Makes what is missing of the n-gram evidence: margins, the ladder, reliance, distance, what foretold the verdicts ..."""
        from ontogeny.instruments import WITH_EVIDENCE
        from ontogeny.ngrams import ORDER

        with self.folder.writing():
            self.ngram_evidence.examine(order)
        lower = {"distance": {"kind": "distance", "order": order}} if order < ORDER else {}
        self.read([lower.get(name, name) for name in WITH_EVIDENCE])
        self.explain_entrenched()

    def explain_entrenched(self) -> None:
        """A page on why each entrenched paradigm is so, and what it says in short for the run's page; what is there stays."""
        import polars as pl

        from ontogeny.report import why_words, write_why

        verdicts = self.verdicts() if self.folder.verdicts.exists() else pl.DataFrame()
        stuck = verdicts.filter(pl.col("verdict") == "entrenched").select("suite", "paradigm").rows() if len(verdicts) else []
        key = disk.content_key(stuck, self.text.train.facts["key"], [asked.key for asked in self.asked])
        path, rows = self.folder.explained, []
        if path.exists() and disk.table_metadata(path).get("key") == key:
            return
        with self.display.bar("why paradigms are entrenched", len(stuck), "paradigms") as advance:
            for suite, paradigm in stuck:
                found = self.why(paradigm, suite=suite)
                page = write_why(self.why_page(found), found)
                rows.append((suite, paradigm, page.stem, f"{why_words.headline(found)} {why_words.strongest(found)}".strip()))
                advance(1)
        schema = dict.fromkeys(("suite", "paradigm", "page", "says"), pl.String)
        disk.write_table(path, pl.DataFrame(rows, schema, orient="row"), {"key": key})

    def why(
        self, paradigm: str, pair: str | None = None, level: str = "word", order: int = 2, suite: str | None = None, **options: int
    ) -> Explanation:
        """Which transitions decide a paradigm, or one of its pairs, under an n-gram model, and the lines of text behind them."""
        with self._counting(max(order, 2), [level]):
            return self.ngram_evidence.explain(paradigm, pair, level, order, suite, **options)

    def why_page(self, explanation: Explanation, pair: str | None = None) -> Path:
        """Where the page of an explanation is, or would be: one place for each paradigm, pair, level and order."""
        from ontogeny.report.why_page import name_of

        return self.folder.why(name_of(explanation, pair, ((asked.name, one) for asked in self.asked for one in asked.pairs)))

    def export(self, path: Path, level: str = "word", order: int = 5) -> None:
        """Writes the Kneser-Ney model of one level and order as an ARPA file, which KenLM and others read."""
        with self._counting(order, [level]):
            self.ngram_evidence.counts.levels(order, [level])[level].export(path, order, self.display)

    def _counting(self, order: int, levels: Sequence[str]) -> AbstractContextManager[None]:
        """The one writer's place, but for what has been counted before or cannot be: to read, none is needed."""
        if self.recipe.corpus is not None and not all((self.folder.ngrams(level) / "index").exists() for level in levels):
            return self.folder.writing()
        before = all(self.ngram_evidence.counts.before(level, order) for level in levels)
        return nullcontext() if before else self.folder.writing()


def follow(ranks: Ranks) -> None:
    """What every process but the first does under torchrun: it trains what the first one trains, and writes nothing."""
    from ontogeny.training.session import train_seed

    while order := ranks.told():
        path, seed = order
        here = Run(path)
        for _ in train_seed(here.folder, here._own(), here.text, here.treatment(seed), here.training_plan(), seed):
            pass


# What a piece of work calls of its run, with its inputs; all but `run` under the writer's place of who had it done.
STAGES = {"prepare": "prepare", "train": "train_seed", "judge": "judge", "report": "write_report", "run": "fill"}


def perform_stage(piece: Piece, display: Display) -> None:
    """Does a stage of a run that is a piece of work."""
    here = _opened(piece.run)
    here.display = here.readings.display = display
    if piece.what == "train" and (seed := piece.inputs["seed"]) not in (seeds := here._own().seeds):
        raise OntogenyError(f"seed {seed} is none of {piece.run}'s: its recipe has {', '.join(map(str, seeds))}")
    with nullcontext() if piece.what == "run" else store.part(piece.name):
        getattr(here, STAGES[piece.what])(**{name: value for name, value in piece.inputs.items() if name != "device"})


@lru_cache(maxsize=32)
def _opened(path: str) -> Run:
    """A run.  A process keeps those it has opened: their suites are read and tokenised once, not once a seed."""
    return Run(path)
