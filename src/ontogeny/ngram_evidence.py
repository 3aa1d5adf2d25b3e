"""From a run's text and scores to its tables of n-gram evidence: margins, the ladder, and what foretold what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import polars as pl

from ontogeny import disk, ngrams, store
from ontogeny.disk import collected
from ontogeny.display import Display
from ontogeny.evidence.concordance import Concordance
from ontogeny.evidence.foretell import cases, contests, foretell, two_by_two
from ontogeny.evidence.ladder import ladder, rungs
from ontogeny.evidence.matched import MATCHED, matched
from ontogeny.evidence.why import Explanation, Known, explain, pairs_of
from ontogeny.instruments.ngram_margins import margins_of, sentences_of
from ontogeny.ngrams.counted import Counted, TextCounts
from ontogeny.ngrams.growth import counts_among
from ontogeny.ngrams.kneser_ney import Floats
from ontogeny.recipe import Observation, Recipe
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.results import Results, score_keys
from ontogeny.scoring import settled
from ontogeny.scoring.options import decided, need_right
from ontogeny.scoring.reading import SuitePairs
from ontogeny.store import RunFolder
from ontogeny.tokens.prepare import TokenisedText
from ontogeny.tokens.rows import rows_of
from ontogeny.training.order import first_seen
from ontogeny.trajectories.timeline import windows

VERSIONS = {  # of how a table is made: counted up with it, so that a run's table of an earlier way is made again
    "cases": 2,
    "foretold": 2,
    "predictions": 2,
    "contests": 2,
    "rungs": 2,
}
GROWTH = 3  # highest order whose own learning curve is drawn: each order doubles the time, and the bigram is the question


class Evidence:
    """One run's n-gram evidence.  Each table is made if it is missing or was made of something else."""

    def __init__(self, folder: RunFolder, recipe: Observation, text: TokenisedText, asked: Sequence[SuitePairs], display: Display):
        self.folder = folder
        self.recipe = recipe
        self.text = text
        self.asked = asked
        self.display = display

    @cached_property
    def counts(self) -> TextCounts:
        """The n-grams of the run's training text."""
        return TextCounts(self.folder, self.recipe, self.text, self.display)

    @property
    def results(self) -> Results:
        """What is in the run's folder now."""
        return Results(self.folder)

    @cached_property
    def decided(self) -> list[SuitePairs]:
        """The suites with the paradigms whose items have a right answer: an n-gram margin is of one."""
        found = [replace(asked, pairs=decided(asked.pairs)) for asked in self.asked]
        return [asked for asked in found if asked.pairs]

    @cached_property
    def _paradigms(self) -> pl.DataFrame:
        names = {(asked.name, pair.paradigm) for asked in self.decided for pair in asked.pairs}
        return pl.DataFrame(sorted(names), schema={"suite": pl.String, "paradigm": pl.String}, orient="row")

    # --- tables ---------------------------------------------------------------------------------------------------

    def examine(self, order: int = ngrams.ORDER) -> None:
        """Makes every table of the evidence that is missing or stale; raises OntogenyError if nothing has been judged yet."""
        every = [pair for asked in self.asked for pair in asked.pairs]
        if not self.decided:
            need_right(every, "n-gram evidence")
        if not self.folder.curves.exists():
            raise OntogenyError(f"{self.folder.path} has no curves yet; run: ontogeny verdicts {self.folder.path}")
        if others := sorted({pair.paradigm for pair in every} - set(self._paradigms["paradigm"])):
            self.display.say(f"n-gram evidence is of right answers, and leaves out: {', '.join(others)}")
        judged = set(disk.read_table(self.folder.curves)["suite"])
        if waiting := [asked.name for asked in self.decided if asked.name not in judged]:
            raise OntogenyError(
                f"{self.folder.path} has no curves on {', '.join(waiting)} yet; run: ontogeny score {self.folder.path}, then "
                f"ontogeny verdicts {self.folder.path}"
            )
        for asked in self.decided:
            for line in asked.without_words().values():
                self.display.warn(line)
            settled.need_all(self.folder, asked.name, "n-gram evidence")
        counted = self.counts.levels(order)
        scored = [self._scored(asked) for asked in self.decided]
        key = disk.content_key(self.text.train.facts["key"], order, [(asked.key, len(asked.pairs)) for asked in scored])
        margins = self._table("margins", key, lambda: self._margins(counted, order, scored))
        read = disk.content_key(key, [(seed, step, self._weights(seed, step)) for seed, step in self.results.moments()])
        with_seeds = disk.content_key(key, self.results.moments())
        self._optional("ngram_curves", with_seeds, lambda: self._ngram_curves(counted["token"], order, scored))
        found = self._optional("ladder", read, lambda: self._each(margins, ladder, "ladder"))
        if found is not None:
            self._optional("rungs", read, lambda: rungs(found, self.results.clock.trained, contrasts=self._contrasts()))
        self._foretold(margins, disk.content_key(read, self.recipe.verdicts, store.file_hash(self.folder.curves)))

    def _foretold(self, margins: pl.DataFrame, key: str) -> None:
        curves = self._judged()
        found = self._table("cases", key, lambda: cases(curves, self.results.timeline(curves), self.recipe.verdicts, margins))
        both: dict[str, tuple[pl.DataFrame, pl.DataFrame]] = {}

        def answer(which: int) -> pl.DataFrame:
            if not both:
                with self.display.bar("what foretold the verdicts", 1, "answers") as advance:
                    both["found"] = foretell(found)
                    advance(1)
            return both["found"][which]

        self._optional("foretold", key, lambda: answer(0))
        self._optional("predictions", key, lambda: answer(1))
        self._optional("contests", key, lambda: contests(found))
        self._optional("tables", key, lambda: two_by_two(found, margins))
        self._optional("matched", key, lambda: self._matched(curves, margins))

    def _optional(self, name: str, key: str, make: Callable[[], pl.DataFrame]) -> pl.DataFrame | None:
        """As `_table`, where others can do without: what cannot be made is left out, said, and none of before stays."""
        try:
            return self._table(name, key, make)
        except Exception as error:  # whatever it is, the other tables and the page are worth having
            self.folder.evidence(name).unlink(missing_ok=True)
            said = str(error) if isinstance(error, OntogenyError) else f"{type(error).__name__}: {error}"
            self.display.warn(f"the table {name} is left out: {said}")
            return None

    def _table(self, name: str, key: str, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        path, version = self.folder.evidence(name), VERSIONS.get(name)
        key = disk.content_key(key, version) if version else key
        if not (path.exists() and disk.table_metadata(path).get("key") == key):
            disk.write_table(path, make(), {"key": key})
        return disk.read_table(path)

    def _scored(self, asked: SuitePairs) -> SuitePairs:
        """A suite with the pairs that the network was scored on; others are longer than its context.

        Raises OntogenyError where there are no scores, and for scores on other pairs than the run's.
        """
        scored = (
            self.folder.scores(seed, asked.name, step)
            for seed in self.folder.seeds()
            for step in self.folder.scored(seed, asked.name)
        )
        if (path := next(scored, None)) is None:
            raise OntogenyError(f"{self.folder.path} has no scores on {asked.name} yet; run: ontogeny score {self.folder.path}")
        if disk.table_metadata(path).get("key") not in score_keys(self.folder, asked.name, self.recipe):
            raise OntogenyError(
                f"{path} was scored on other pairs than the recipe has now; run: ontogeny score {self.folder.path}, then "
                f"ontogeny verdicts {self.folder.path}"
            )
        known = set(disk.read_table(path).select("paradigm", "pair").iter_rows())
        pairs = [pair for pair in asked.pairs if (pair.paradigm, pair.pair) in known]
        if out := len(asked.pairs) - len(pairs):
            self.display.say(f"{asked.name}: {out:,} pairs are longer than the model's context, have no scores and are left out")
        return replace(asked, pairs=pairs)

    def _margins(self, counted: dict[str, Counted], order: int, scored: Sequence[SuitePairs]) -> pl.DataFrame:
        frames = []
        for level, own in counted.items():
            for asked in scored:
                with self.display.bar(f"{asked.name} under n-grams of {level}s", order, "orders") as advance:
                    frames.append(margins_of(own, asked.name, asked.pairs, range(1, order + 1)))
                    advance(order)
        return pl.concat(frames)

    def _ngram_curves(self, own: Counted, order: int, scored: Sequence[SuitePairs]) -> pl.DataFrame:
        """The n-gram models' own learning curves: at each checkpoint, of the text that its seed's training has seen."""
        order = min(order, GROWTH)
        suites = [(asked, sentences_of(own, asked.pairs)) for asked in scored]
        frames = []
        moments = self.results.moments()
        with self.display.bar("n-gram models along training", len(moments), "checkpoints") as advance:
            for seed, step in moments:
                model = ngrams.KneserNey(own.index, counts_among(own.index, self._seen(seed, step), order))
                for asked, sentences in suites:
                    for n in range(1, order + 1):
                        margins = sentences.margins(sentences.logps(model, n), n)
                        clock = {"seed": pl.lit(seed, pl.Int64), "step": pl.lit(step, pl.Int64), "order": pl.lit(n, pl.Int64)}
                        frames.append(_curve(margins, asked).with_columns(**clock))
                advance(1)
        return pl.concat(frames).select("suite", "seed", "step", "level", "order", "paradigm", "phenomenon", "accuracy", "margin")

    def _seen(self, seed: int, step: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which tokens of the stream training has predicted after `step` steps.  Raises OntogenyError where nobody knows that."""
        if not isinstance(self.recipe, Recipe):
            raise OntogenyError("what somebody else's training had read of its text at a checkpoint is not known")
        training, text = self.recipe.training, self.text.train
        rows = rows_of(text, training.unit, training.context)
        steps = first_seen(seed, training.batch, len(rows), training.order == "shuffled")
        return rows.predicted(steps <= step)

    def _each(self, margins: pl.DataFrame, make: Callable[..., pl.DataFrame], title: str) -> pl.DataFrame:
        """A table over all checkpoints of every suite, one checkpoint's scores in memory at a time."""
        frames = []
        for name in (asked.name for asked in self.decided):
            moments = [(seed, step) for seed in self.folder.seeds() for step in self.folder.scored(seed, name)]
            with self.display.bar(f"{title} on {name}", len(moments), "checkpoints") as advance:
                frames.append(make(self._scores(name, moments, advance), margins.filter(pl.col("suite") == name)))
        return pl.concat(frames)

    def _scores(
        self, suite: str, moments: Sequence[tuple[int, int]], advance: Callable[[int], None]
    ) -> Iterator[tuple[int, int, pl.DataFrame]]:
        for seed, step in moments:
            scores = disk.read_table(self.folder.scores(seed, suite, step))
            yield seed, step, scores.join(self._paradigms.filter(suite=suite), on="paradigm", how="semi", maintain_order="left")
            advance(1)

    def _matched(self, judged: pl.DataFrame, margins: pl.DataFrame) -> pl.DataFrame:
        frames = [pl.DataFrame(schema=MATCHED)]
        for asked in self.decided:
            curves = judged.filter(pl.col("suite") == asked.name)
            view = windows(self.results.timeline(curves), self.recipe.verdicts)
            late = view.steps[view.late].tolist()
            if not late:  # not read that far, or untrained to its end
                continue
            wanted = pl.col("step").is_in(late) & pl.col("seed").is_in(curves["seed"].unique().to_list())
            wanted &= pl.col("paradigm").is_in(curves["paradigm"].unique().to_list())
            scores = collected(cast(pl.LazyFrame, self.folder.scan_scores(asked.name)).filter(wanted))
            frames.append(matched(scores, margins.filter(suite=asked.name), self._contrasts().filter(suite=asked.name)))
        return pl.concat(frames)

    def _contrasts(self) -> pl.DataFrame:
        """suite, paradigm, pair and its critical contrast."""
        tables = [disk.read_table(self.folder.pairs(asked.name)).with_columns(suite=pl.lit(asked.name)) for asked in self.decided]
        return pl.concat([table.select("suite", "paradigm", "pair", "contrast") for table in tables])

    # --- facts ----------------------------------------------------------------------------------------------------

    def _judged(self) -> pl.DataFrame:
        """Curves of the seeds that verdicts are over."""
        results = self.results
        kept = results.counted().join(self._paradigms, on=["suite", "paradigm"], how="semi", maintain_order="left")
        own = results.curves.join(self._paradigms, on=["suite", "paradigm"], how="semi")
        gone = own.join(kept, on=["suite", "seed"], how="anti")
        for suite, seed in gone.select("suite", "seed").unique().sort("suite", "seed").iter_rows():
            self.display.warn(f"{suite}: seed {seed} has been read at other checkpoints; what ends wrong is told without it")
        return kept

    def _weights(self, seed: int, step: int) -> list[str]:
        paths = [self.folder.scores(seed, asked.name, step) for asked in self.decided]
        return [disk.table_metadata(path).get("weights", "") for path in paths if path.exists()]

    # --- explaining -----------------------------------------------------------------------------------------------

    def explain(
        self, paradigm: str, pair: str | None, level: str, order: int, suite: str | None = None, most: int = 8, lines: int = 5
    ) -> Explanation:
        """Why the n-gram model of one level and order decides a paradigm, or one pair, as it does.

        An order above what was counted is counted now.  Raises OntogenyError for an unknown paradigm, pair, suite or level.
        """
        names = [asked.name for asked in self.asked]
        if suite is not None and suite not in names:
            raise OntogenyError(f"this run has no suite {suite!r}; {nearest(suite, names)}")
        chosen = [asked for asked in self.asked if suite in (None, asked.name)]
        holds = [asked for asked in chosen if any(p.paradigm == paradigm for p in asked.pairs)]
        asked = holds[0] if holds else chosen[0]
        pairs = pairs_of([p for a in ([asked] if holds else chosen) for p in a.pairs], paradigm, pair)
        counted = self.counts.levels(max(order, 2), [level])[level]
        caution = replace(asked, pairs=pairs).without_words().get("without_words", "") if level == "word" else ""
        concordance = Concordance(counted.index, counted.text, counted.tokenizer)
        known = self._known(asked.name, paradigm, asked.human)
        options: dict[str, Any] = {"level": level, "known": known, "most": most, "lines": lines, "caution": caution}
        return explain(asked.name, pairs, counted.model, order, concordance, **options)

    def _known(self, suite: str, paradigm: str, human: dict[str, float]) -> Known:
        if not (self.folder.verdicts.exists() and self.folder.curves.exists()):
            return Known(human=human.get(paradigm))
        curves = disk.read_table(self.folder.curves).filter(suite=suite, paradigm=paradigm)
        if curves.is_empty():  # this suite joined the run later
            return Known(human=human.get(paradigm))
        verdict = disk.read_table(self.folder.verdicts).filter(suite=suite, paradigm=paradigm)["verdict"].to_list()
        view = windows(self.results.timeline(curves), self.recipe.verdicts)
        means = dict(curves.group_by("step").agg(pl.col("accuracy").mean()).iter_rows())

        def over(weights: Any) -> float | None:
            total = sum(weights)
            found = sum(w * means[step] for step, w in zip(view.steps.tolist(), weights, strict=True) if w)
            return float(found / total) if total else None

        return Known(verdict[0] if verdict else None, over(view.late_weights), over(view.early_weights), human.get(paradigm))


def _curve(margins: Floats, asked: SuitePairs) -> pl.DataFrame:
    """Accuracy and mean margin of each paradigm; ties of count models are exact."""
    about = {"paradigm": [pair.paradigm for pair in asked.pairs], "phenomenon": [pair.phenomenon for pair in asked.pairs]}
    right = (pl.col("margin") > 0).cast(pl.Float64) + 0.5 * (pl.col("margin") == 0)
    found = pl.DataFrame(about | {"margin": margins}).group_by("paradigm", "phenomenon", maintain_order=True)
    means = found.agg(accuracy=right.mean(), margin=pl.col("margin").mean())
    return means.with_columns(suite=pl.lit(asked.name), level=pl.lit("token"))
