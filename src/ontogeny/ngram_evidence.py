"""From a run's text and scores to its tables of n-gram evidence: counts, margins, imitation, and what foretold what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl

from ontogeny import ngrams, store
from ontogeny.display import Display
from ontogeny.evidence.concordance import Concordance
from ontogeny.evidence.foretell import cases, contests, foretell, two_by_two
from ontogeny.evidence.imitation import reliance
from ontogeny.evidence.ladder import closest, ladder, rungs
from ontogeny.evidence.matched import MATCHED, matched
from ontogeny.evidence.why import Explanation, Known, explain, pairs_of
from ontogeny.judging import timeline
from ontogeny.ngrams.growth import counts_among
from ontogeny.ngrams.kneser_ney import Floats
from ontogeny.ngrams.words import word_stream
from ontogeny.recipe import Recipe
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.scoring import ngram, settled
from ontogeny.scoring import plan as plans
from ontogeny.store import RunFolder
from ontogeny.tokens.prepare import TokenisedText, splits
from ontogeny.tokens.rows import rows_of
from ontogeny.tokens.token_store import TokenStore
from ontogeny.training.order import first_seen

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ontogeny.scoring.reading import SuitePairs

LEVELS = ("token", "word")
GROWTH = 3  # highest order whose own learning curve is drawn: each order doubles the time, and the bigram is the question
BLOCKS, CONTEXTS = 256, 2000  # of held-out text, for the divergences


@dataclass(frozen=True)
class Counted:
    """The training text at one level, counted."""

    level: str
    index: ngrams.Index
    text: TokenStore
    tokenizer: PreTrainedTokenizerBase

    @cached_property
    def model(self) -> ngrams.KneserNey:
        """Kneser-Ney models of all orders over the whole text."""
        return ngrams.KneserNey(self.index)

    def sentences(self, asked: SuitePairs) -> ngram.Sentences:
        """A suite's sentences in this level's tokens."""
        return ngram.Sentences(self.index, plans.make(asked.pairs, self.tokenizer, self.index.bos, 2**31))


class Evidence:
    """One run's n-gram evidence.  Each table is made if it is missing or was made of something else."""

    def __init__(self, folder: RunFolder, recipe: Recipe, text: TokenisedText, asked: Sequence[SuitePairs], display: Display):
        self.folder = folder
        self.recipe = recipe
        self.text = text
        self.asked = asked
        self.display = display

    # --- counting -------------------------------------------------------------------------------------------------

    def count(self, order: int = ngrams.ORDER, levels: Sequence[str] = LEVELS) -> dict[str, Counted]:
        """The n-gram index of each level, made or opened.  Raises OntogenyError for a level that there is none of."""
        for level in levels:
            if level not in LEVELS:
                raise OntogenyError(f"n-grams are counted over tokens or words, not {level!r}; {nearest(level, list(LEVELS))}")
        return {level: self._counted(level, order) for level in levels}

    def counted_before(self, level: str, order: int) -> bool:
        """True if nothing would be made by counting this level to this order."""
        return ngrams.is_whole(self.folder.ngrams(level) / "index", self.text.train.facts["key"], order)

    def _counted(self, level: str, order: int) -> Counted:
        folder, key = self.folder.ngrams(level) / "index", self.text.train.facts["key"]
        tokenizer, text = (self.text.tokenizer, self.text.train) if level == "token" else self._words(key)
        if len(tokenizer) != text.facts["vocabulary"]:
            raise OntogenyError(
                f"the tokenizer in {self.folder.tokenizer} has {len(tokenizer):,} tokens, the token stream was made with one of "
                f"{text.facts['vocabulary']:,}: they do not belong together"
            )
        if self.counted_before(level, order):
            return Counted(level, ngrams.Index(folder, text.ids, key), text, tokenizer)
        with self.display.bar(f"n-grams of {level}s, n = 1 to {order}", len(text), "positions") as progress:
            index = ngrams.build(folder, text.ids, len(tokenizer), text.facts["bos"], key, order=order, progress=progress)
        self.folder.note(ngrams={level: index.facts | {"bytes": index.size}})
        return Counted(level, index, text, tokenizer)

    def _words(self, key: str) -> tuple[PreTrainedTokenizerBase, TokenStore]:
        documents = splits(self.recipe)[0]
        return word_stream(self.folder.ngrams("word"), documents, key, lambda title: self.display.bar(title, None, "documents"))

    # --- tables ---------------------------------------------------------------------------------------------------

    def examine(self, order: int = ngrams.ORDER) -> None:
        """Makes every table of the evidence that is missing or stale; raises OntogenyError if nothing has been judged yet."""
        if not self.folder.curves.exists():
            raise OntogenyError(f"{self.folder.path} has no curves yet; run: ontogeny verdicts {self.folder.path}")
        judged = set(store.read_table(self.folder.curves)["suite"])
        if waiting := [asked.name for asked in self.asked if asked.name not in judged]:
            raise OntogenyError(
                f"{self.folder.path} has no curves on {', '.join(waiting)} yet; run: ontogeny score {self.folder.path}, then "
                f"ontogeny verdicts {self.folder.path}"
            )
        for asked in self.asked:
            settled.need_all(self.folder, asked.name, "n-gram evidence")
        counted = self.count(order)
        scored = [self._scored(asked) for asked in self.asked]
        key = store.content_key(self.text.train.facts["key"], order, [(asked.key, len(asked.pairs)) for asked in scored])
        margins = self._table("margins", key, lambda: self._margins(counted, order, scored))
        read = store.content_key(key, [(seed, step, self._weights(seed, step)) for seed, step in self._moments()])
        with_seeds = store.content_key(key, self._moments())
        self._table("ngram_curves", with_seeds, lambda: self._ngram_curves(counted["token"], order, scored))
        self._table("reliance", read, lambda: self._each(margins, reliance, "bigram reliance"))
        found = self._table("ladder", read, lambda: self._each(margins, ladder, "ladder"))
        self._table("rungs", read, lambda: rungs(found, self._trained_from()))
        self._distances(counted["token"], order, read)
        self._foretold(margins, store.content_key(read, self.recipe.verdicts, store.file_hash(self.folder.curves)))

    def _distances(self, own: Counted, order: int, key: str) -> None:
        """N-gram distance, which needs the network's distribution of the next token: a masked model has none."""
        from ontogeny.scoring.causal import named_masked
        from ontogeny.scoring.reading import class_named

        if named_masked(name := class_named(self.folder.checkpoint(*self._moments()[0]))):
            self.display.say(
                f"{name} is a masked language model and predicts no next token, so its distance to n-gram models is not defined: "
                "there are no tables divergence and closest"
            )
            return
        distances = self._table("divergence", key, lambda: self._divergence(own, order))
        self._table("closest", key, lambda: closest(distances))

    def _foretold(self, margins: pl.DataFrame, key: str) -> None:
        curves = self._judged()
        found = self._table("cases", key, lambda: cases(curves, timeline(self.folder, curves), self.recipe.verdicts, margins))
        both: dict[str, tuple[pl.DataFrame, pl.DataFrame]] = {}

        def answer(which: int) -> pl.DataFrame:
            if not both:
                with self.display.bar("what foretold the verdicts", 1, "answers") as advance:
                    both["found"] = foretell(found)
                    advance(1)
            return both["found"][which]

        self._table("foretold", key, lambda: answer(0))
        self._table("predictions", key, lambda: answer(1))
        self._table("contests", key, lambda: contests(found))
        self._table("tables", key, lambda: two_by_two(found, margins))
        self._table("matched", key, lambda: self._matched(curves, margins))

    def _table(self, name: str, key: str, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        path = self.folder.evidence(name)
        if not (path.exists() and store.table_metadata(path).get("key") == key):
            store.write_table(path, make(), {"key": key})
        return store.read_table(path)

    def _scored(self, asked: SuitePairs) -> SuitePairs:
        """A suite with the pairs that the network was scored on; others are longer than its context.

        Raises OntogenyError for scores on other pairs than the run's.
        """
        seed, step = next((seed, step) for seed in self.folder.seeds() for step in self.folder.scored(seed, asked.name))
        path = self.folder.scores(seed, asked.name, step)
        how = self.recipe.scoring
        key = store.score_key(asked.key, self.recipe.bos, how.leading_space, how.precision, how.masked)
        if store.table_metadata(path).get("key") != key:
            raise OntogenyError(
                f"{path} was scored on other pairs than the recipe has now; run: ontogeny score {self.folder.path}, then "
                f"ontogeny verdicts {self.folder.path}"
            )
        known = set(store.read_table(path).select("paradigm", "pair").iter_rows())
        pairs = [pair for pair in asked.pairs if (pair.paradigm, pair.pair) in known]
        if out := len(asked.pairs) - len(pairs):
            self.display.say(f"{asked.name}: {out:,} pairs are longer than the model's context, have no scores and are left out")
        return replace(asked, pairs=pairs)

    def _margins(self, counted: dict[str, Counted], order: int, scored: Sequence[SuitePairs]) -> pl.DataFrame:
        frames = []
        for level, own in counted.items():
            for asked in scored:
                with self.display.bar(f"{asked.name} under n-grams of {level}s", order, "orders") as advance:
                    found = ngram.margins(own.model, own.sentences(asked), range(1, order + 1))
                    advance(order)
                frames.append(found.select(pl.lit(asked.name).alias("suite"), pl.lit(level).alias("level"), pl.all()))
        return pl.concat(frames)

    def _ngram_curves(self, own: Counted, order: int, scored: Sequence[SuitePairs]) -> pl.DataFrame:
        """The n-gram models' own learning curves: at each checkpoint, of the text that its seed's training has seen."""
        order = min(order, GROWTH)
        suites = [(asked, own.sentences(asked)) for asked in scored]
        frames = []
        moments = self._moments()
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
        """Which tokens of the stream training has predicted after `step` steps."""
        training, text = self.recipe.training, self.text.train
        rows = rows_of(text, training.unit, training.context)
        steps = first_seen(seed, training.batch, len(rows), training.order == "shuffled")
        return rows.predicted(steps <= step)

    def _each(self, margins: pl.DataFrame, make: Callable[..., pl.DataFrame], title: str) -> pl.DataFrame:
        """A table over all checkpoints of every suite, one checkpoint's scores in memory at a time."""
        frames = []
        for name in (asked.name for asked in self.asked):
            moments = [(seed, step) for seed in self.folder.seeds() for step in self.folder.scored(seed, name)]
            with self.display.bar(f"{title} on {name}", len(moments), "checkpoints") as advance:
                frames.append(make(self._scores(name, moments, advance), margins.filter(pl.col("suite") == name)))
        return pl.concat(frames)

    def _scores(
        self, suite: str, moments: Sequence[tuple[int, int]], advance: Callable[[int], None]
    ) -> Iterator[tuple[int, int, pl.DataFrame]]:
        for seed, step in moments:
            yield seed, step, store.read_table(self.folder.scores(seed, suite, step))
            advance(1)

    def _divergence(self, own: Counted, order: int) -> pl.DataFrame:
        from ontogeny.evidence.divergence import Distributions, divergence, held_out
        from ontogeny.scoring.reading import open_model
        from ontogeny.training.engine import find_device, keep_memory

        keep_memory()
        contexts = held_out(self.text.dev, self.recipe.training.context, BLOCKS, 0, CONTEXTS)
        models = {n: own.model.of_order(n) for n in range(1, order + 1)}
        device = find_device(self.recipe.scoring.device)
        moments = self._moments()
        with self.display.bar("distance to the n-gram models", len(moments), "checkpoints") as advance:

            def checkpoints() -> Iterator[tuple[int, int, Any]]:
                for seed, step in moments:
                    yield seed, step, open_model(self.folder.checkpoint(seed, step)).to(device)
                    advance(1)

            return divergence(checkpoints(), Distributions(models, contexts), device)

    def _matched(self, judged: pl.DataFrame, margins: pl.DataFrame) -> pl.DataFrame:
        from ontogeny.trajectories.timeline import windows

        frames = [pl.DataFrame(schema=MATCHED)]
        for asked in self.asked:
            curves = judged.filter(pl.col("suite") == asked.name)
            view = windows(timeline(self.folder, curves), self.recipe.verdicts)
            late = view.steps[view.late].tolist()
            if not late:  # not read that far, or untrained to its end
                continue
            wanted = pl.col("step").is_in(late) & pl.col("seed").is_in(curves["seed"].unique().to_list())
            scores = cast(pl.LazyFrame, self.folder.scan_scores(asked.name)).filter(wanted).collect()
            contrasts = store.read_table(self.folder.pairs(asked.name)).select("paradigm", "pair", "contrast")
            frames.append(matched(scores, margins.filter(pl.col("suite") == asked.name), contrasts))
        return pl.concat(frames)

    # --- facts ----------------------------------------------------------------------------------------------------

    def _moments(self) -> list[tuple[int, int]]:
        """Seeds and steps of the checkpoints that curves know."""
        known = store.read_table(self.folder.curves).select("seed", "step").unique().sort("seed", "step")
        return [(int(seed), int(step)) for seed, step in known.iter_rows()]

    def _judged(self) -> pl.DataFrame:
        """Curves of the seeds that have been read at as many checkpoints as the one read furthest, as verdicts are over."""
        curves = store.read_table(self.folder.curves).with_columns(read=pl.col("step").n_unique().over("suite", "seed"))
        behind = pl.col("read") < pl.col("read").max().over("suite")
        for suite, seed in curves.filter(behind).select("suite", "seed").unique().sort("suite", "seed").iter_rows():
            self.display.warn(f"{suite}: seed {seed} has been read at fewer checkpoints; what ends wrong is told without it")
        return curves.filter(~behind).drop("read")

    def _weights(self, seed: int, step: int) -> list[str]:
        paths = [self.folder.scores(seed, asked.name, step) for asked in self.asked]
        return [store.table_metadata(path).get("weights", "") for path in paths if path.exists()]

    def _trained_from(self) -> int:
        curves = store.read_table(self.folder.curves)
        return timeline(self.folder, curves).trained_from or 0

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
        counted = self.count(max(order, 2), [level])[level]
        concordance = Concordance(counted.index, counted.text, counted.tokenizer)
        known = self._known(asked.name, paradigm, asked.human)
        return explain(asked.name, pairs, counted.model, order, concordance, level=level, known=known, most=most, lines=lines)

    def _known(self, suite: str, paradigm: str, human: dict[str, float]) -> Known:
        if not (self.folder.verdicts.exists() and self.folder.curves.exists()):
            return Known(human=human.get(paradigm))
        from ontogeny.trajectories.timeline import windows

        curves = store.read_table(self.folder.curves).filter(suite=suite, paradigm=paradigm)
        if curves.is_empty():  # this suite joined the run later
            return Known(human=human.get(paradigm))
        verdict = store.read_table(self.folder.verdicts).filter(suite=suite, paradigm=paradigm)["verdict"].to_list()
        view = windows(timeline(self.folder, curves), self.recipe.verdicts)
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
