"""What foretells which paradigms end wrong: n-gram margins against baselines, one phenomenon left out at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl
from scipy.stats import fisher_exact
from scipy.stats.contingency import odds_ratio

from ontogeny.estimators.means import share_of_draws
from ontogeny.estimators.resampling import expanded
from ontogeny.estimators.significance import adjusted
from ontogeny.evidence.logistic import calibration, out_of_fold, roc_auc
from ontogeny.recipe import Thresholds
from ontogeny.records import OntogenyError
from ontogeny.scoring.options import CHANCE
from ontogeny.trajectories.cases import Case
from ontogeny.trajectories.cases import cases as paradigms_of
from ontogeny.trajectories.curves import grid, matrices, need
from ontogeny.trajectories.timeline import Bools, Floats, Ints, Timeline, Windows, windows
from ontogeny.trajectories.verdicts import weighted_mean, window_state

MARGINS = ("suite", "paradigm", "pair", "level", "order", "margin", "length_good", "length_bad")
CASES: dict[str, Any] = {
    "suite": pl.String,
    "seed": pl.Int64,
    "paradigm": pl.String,
    "phenomenon": pl.String,
    "early_wrong": pl.Boolean,
    "ends_wrong": pl.Boolean,
    "early_accuracy": pl.Float64,
    "early_margin": pl.Float64,
    "b": pl.Float64,
    "u": pl.Float64,
    "length": pl.Float64,
    "b_accuracy": pl.Float64,
    "u_accuracy": pl.Float64,
    "length_accuracy": pl.Float64,
    "b_word": pl.Float64,
    "chance": pl.Float64,
}
QUESTIONS = {"stays wrong": pl.col("early_wrong"), "ends wrong": pl.lit(True)}  # among whom; the outcome is ends_wrong
PREDICTORS = {
    "b": ("b",),
    "u": ("u",),
    "length": ("length",),
    "early margin": ("early_margin",),
    "b + u + length": ("b", "u", "length"),
    "all": ("b", "u", "length", "early_margin"),
}
BASELINES = ("u", "length", "early margin")
FEWEST = 8  # paradigms in either class; with fewer the answer is undecided
CONFIDENCE = 0.95
FORETOLD: dict[str, Any] = {
    "suite": pl.String,
    "question": pl.String,
    "predictors": pl.String,
    "auc": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "positives": pl.Int64,
    "negatives": pl.Int64,
    "undecided": pl.Boolean,
    "brier": pl.Float64,
    "calibration_intercept": pl.Float64,
    "calibration_slope": pl.Float64,
    "auc_raw": pl.Float64,
    "raw_low": pl.Float64,
    "raw_high": pl.Float64,
    "resamples": pl.Int64,
}
PREDICTIONS: dict[str, Any] = {
    "suite": pl.String,
    "question": pl.String,
    "predictors": pl.String,
    "paradigm": pl.String,
    "phenomenon": pl.String,
    "seed": pl.Int64,
    "probability": pl.Float64,
    "outcome": pl.Boolean,
    "score": pl.Float64,
}
CONTESTS: dict[str, Any] = {
    "suite": pl.String,
    "question": pl.String,
    "measure": pl.String,
    "first": pl.String,
    "second": pl.String,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "verdict": pl.String,
}
TABLES: dict[str, Any] = {
    "suite": pl.String,
    "among": pl.String,
    "order": pl.Int64,
    "level": pl.String,
    "wrong_and_wrong": pl.Int64,
    "wrong_and_right": pl.Int64,
    "right_and_wrong": pl.Int64,
    "right_and_right": pl.Int64,
    "odds_ratio": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "p_adjusted": pl.Float64,
}


def cases(curves: pl.DataFrame, timeline: Timeline, thresholds: Thresholds, margins: pl.DataFrame) -> pl.DataFrame:
    """One row a suite, seed and paradigm: how it began, how it ended, and what n-grams say about it (columns: CASES).

    `early_wrong` and `ends_wrong`: the seed's own state over the early and the late window is -1; null where the
    checkpoints or pairs are too few for a verdict.  early_accuracy and early_margin (nats, the network's) are means over
    the early window; early_margin is null where the curves know no margins.  From `margins`: b and u, mean token-level
    margins of order 2 and 1 (nats); length, the mean of length_bad - length_good (tokens), so that positive favours the
    good sentence if shorter wins; b_accuracy, u_accuracy and length_accuracy, the shares of pairs that each gets right,
    a tie one half; b_word, the mean word-level margin of order 2, null where there is none; chance, what a guesser gets.
    Raises OntogenyError for missing columns, curves that are no complete grid or not the timeline's, and paradigms without margins.
    """
    need(curves, ("suite", "paradigm", "seed", "step", "n", "accuracy"), "the curves")
    need(margins, MARGINS, "the n-gram margins")
    about = [name for name in ("phenomenon",) if name in curves.columns]
    tables = []
    for (suite,), own in curves.sort("suite").group_by("suite", maintain_order=True):
        phenomena = own.select("paradigm", *about).unique("paradigm")
        ended = _ended(own.with_columns(suite=pl.lit(suite)), timeline, thresholds).join(phenomena, on="paradigm")
        ngrams = _ngram_means(margins.filter(pl.col("suite") == suite))
        _need_margins(ended, ngrams, str(suite))
        tables.append(ended.join(ngrams, on="paradigm").with_columns(suite=pl.lit(suite)))
    rows = pl.concat(tables)
    absent = [pl.lit(None).alias(name) for name in CASES if name not in rows.columns]
    return (
        rows.with_columns(absent).select(pl.col(name).cast(kind) for name, kind in CASES.items()).sort("suite", "paradigm", "seed")
    )


def foretell(cases: pl.DataFrame, resamples: int = 1000, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """How well early facts tell which paradigms end wrong: (foretold, predictions), one suite and question at a time.

    `cases` as from `cases`.  Questions: "stays wrong", among those early wrong, and "ends wrong", among all.  For each
    set of PREDICTORS a ridge logistic regression (C = 1, standardised inside the fold) is fitted with one phenomenon
    left out; the left-out rows of all folds are pooled.  A row is a paradigm of a seed.

    foretold: auc of the pooled scores (of fits in which both classes weigh the same, see `out_of_fold`) with its
    interval (`share_of_draws`) over resamples of phenomena and seeds, drawn together, each resample fitted anew; brier,
    calibration_intercept and calibration_slope of the pooled probabilities; auc_raw with raw_low and raw_high, of a
    single predictor itself, more negative meaning wrong: no fold can turn its sign.  positives and negatives count
    paradigms, positive where more than half of the seeds asked about end wrong; with fewer than FEWEST of either,
    `undecided`.  `resamples` counts those with both classes, which alone make the interval; it is null where they are
    fewer than half.  auc is null where there is one class, fewer than two phenomena or a predictor unknown.

    predictions: probability and score (log-odds with the classes alike) of each row, and its outcome.
    """
    foretold, predictions = [], []
    for question in _questions(cases, seed):
        for label, columns in PREDICTORS.items():
            row, predicted = _foretold(question, label, columns, resamples)
            foretold.append(row)
            predictions.append(predicted)
    return pl.DataFrame(foretold, FORETOLD, orient="row"), pl.concat([pl.DataFrame(schema=PREDICTIONS), *predictions])


def contests(cases: pl.DataFrame, resamples: int = 1000, seed: int = 0) -> pl.DataFrame:
    """AUC of b minus that of each baseline, both from the same resamples (columns: CONTESTS).

    `measure`: "out of fold" compares `auc`, "raw" compares `auc_raw` of `foretell`.  Verdict: "better" or "worse" where
    the interval leaves 0 out, else "undecided", as it is with fewer than FEWEST paradigms in either class.
    """
    rows = []
    for question in _questions(cases, seed):
        for measure, areas in (("out of fold", _areas), ("raw", _raw_areas)):
            known = {label: areas(question, PREDICTORS[label], resamples) for label in ("b", *BASELINES)}
            for second in BASELINES:
                named = {"measure": measure, "first": "b", "second": second}
                rows.append(question.name() | named | _contest(known["b"], known[second], question))
    return pl.DataFrame(rows, CONTESTS, orient="row")


def two_by_two(cases: pl.DataFrame, margins: pl.DataFrame) -> pl.DataFrame:
    """Paradigms that an n-gram model gets wrong against paradigms that end wrong, for each order and level (TABLES).

    One count a paradigm: the n-gram model is wrong where its accuracy over pairs (a tie one half) is below chance; the
    network where more than half of the seeds end wrong.  `among`: "all", or "early wrong" where more than half of the
    seeds are.  odds_ratio is the conditional maximum likelihood estimate with its exact interval (Cornfield 1956), 0 or
    infinite where a cell is empty and null where a row or column is; p is Fisher's exact test, two-sided, p_adjusted
    after Benjamini & Hochberg over all rows of a suite.  Raises OntogenyError for missing columns and paradigms without
    margins.
    """
    need(margins, MARGINS, "the n-gram margins")
    tables = [pl.DataFrame(schema=TABLES)]
    for (suite,), own in cases.sort("suite").group_by("suite", maintain_order=True):
        accuracy = (
            margins.filter(pl.col("suite") == suite)
            .group_by("paradigm", "level", "order")
            .agg(accuracy=_right(pl.col("margin")).mean())
        )
        _need_margins(own, accuracy, str(suite))
        chances = own.select("paradigm", chance=pl.col("chance") if "chance" in own.columns else CHANCE).unique()
        wrong = accuracy.join(chances, on="paradigm").with_columns(wrong=pl.col("accuracy") < pl.col("chance"))
        counted = wrong.join(_majority(own), on="paradigm")
        rows = [{"suite": suite} | row for row in _tables(counted)]
        if rows:
            p = adjusted(np.array([row["p"] for row in rows]))
            tables.append(pl.DataFrame(rows, {k: v for k, v in TABLES.items() if k != "p_adjusted"}).with_columns(p_adjusted=p))
    return pl.concat(tables)


# ---- how a paradigm began and ended, and its n-gram margins


def _ended(curves: pl.DataFrame, timeline: Timeline, thresholds: Thresholds) -> pl.DataFrame:
    view, (seeds, _, _) = windows(timeline, thresholds), grid(curves)
    margin = {} if "margin" not in curves.columns or curves["margin"].null_count() else matrices(curves, "margin")
    rows = [
        row
        for case in paradigms_of(curves, timeline, thresholds)
        for row in _of_seeds(case, seeds, view, thresholds, margin.get(case.paradigm))
    ]
    return pl.DataFrame(rows, {name: CASES[name] for name in rows[0]})


def _of_seeds(case: Case, seeds: list[int], view: Windows, thresholds: Thresholds, margin: Floats | None) -> list[dict[str, Any]]:
    """Each seed's states over the windows, as `history` would find them for it alone."""
    observed = case.enough and view.early.sum() >= thresholds.min_early and view.late.sum() >= thresholds.min_late
    rows: list[dict[str, Any]] = []
    for index, (seed, accuracy) in enumerate(zip(seeds, case.accuracy["sum"], strict=True)):
        sequence = case.states(accuracy)
        early = window_state(sequence, view.early, view.early_weights, thresholds.cover) == -1
        late = window_state(sequence, view.late, view.late_weights, thresholds.cover) == -1
        rows.append(
            {
                "seed": seed,
                "paradigm": case.paradigm,
                "early_wrong": early if observed else None,
                "ends_wrong": late if observed else None,
                "early_accuracy": weighted_mean(accuracy, view.early_weights),
                "chance": case.chance,
                "early_margin": None if margin is None else weighted_mean(margin[index], view.early_weights),
            }
        )
    return rows


def _ngram_means(margins: pl.DataFrame) -> pl.DataFrame:
    """paradigm, b, u, length, b_word and accuracies."""
    tokens, words = margins.filter(pl.col("level") == "token"), margins.filter(pl.col("level") == "word")
    difference = pl.col("length_bad").cast(pl.Int64) - pl.col("length_good").cast(pl.Int64)
    bigram = _of_order(tokens, 2, b=pl.col("margin"), b_accuracy=_right(pl.col("margin")))
    unigram = _of_order(tokens, 1, u=pl.col("margin"), u_accuracy=_right(pl.col("margin")))
    length = _of_order(tokens, 2, length=difference, length_accuracy=_right(difference))
    word = _of_order(words, 2, b_word=pl.col("margin"))
    return bigram.join(unigram, on="paradigm").join(length, on="paradigm").join(word, on="paradigm", how="left")


def _of_order(margins: pl.DataFrame, order: int, **columns: pl.Expr) -> pl.DataFrame:
    means = {name: expression.mean() for name, expression in columns.items()}
    return margins.filter(pl.col("order") == order).group_by("paradigm").agg(**means)


def _right(margin: pl.Expr) -> pl.Expr:
    """1 above 0, 0 below, one half at it: the ties of count models are exact."""
    return (margin.sign() + 1) / 2


def _need_margins(cases: pl.DataFrame, ngrams: pl.DataFrame, suite: str) -> None:
    if missing := sorted(set(cases["paradigm"]) - set(ngrams["paradigm"])):
        raise OntogenyError(
            f"{suite}: {len(missing)} paradigms have no n-gram margins of orders 1 and 2 over tokens, the first {missing[0]!r}; "
            "measure the margins on the suite that was scored"
        )


# ---- one question, its areas and their resamples


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """The rows that a question is about, and how they are resampled."""

    suite: str
    question: str
    rows: pl.DataFrame
    outcome: Bools  # (n,): ends wrong
    phenomenon: Ints  # (n,)
    seed_index: Ints  # (n,)
    seed: int
    positives: int  # paradigms
    negatives: int

    def name(self) -> dict[str, str]:
        """The columns that say which question this is."""
        return {"suite": self.suite, "question": self.question}

    def values(self, columns: tuple[str, ...]) -> Floats | None:
        """(n, k); None where a predictor is not known."""
        chosen = self.rows.select(columns)
        return None if sum(chosen.null_count().row(0)) else chosen.to_numpy().astype(np.float64)

    def few(self) -> bool:
        """Too few paradigms in a class to decide anything."""
        return min(self.positives, self.negatives) < FEWEST

    def answerable(self) -> bool:
        """Both classes are there, and a phenomenon can be left out."""
        return bool(self.outcome.any() and not self.outcome.all() and len(np.unique(self.phenomenon)) > 1)

    def area(self, score: Floats, drawn: Sequence[float]) -> Area:
        """That of the scores, with those of the resamples."""
        return Area(roc_auc(score, self.outcome), np.array(drawn, dtype=np.float64), len(np.unique(self.phenomenon)))

    def weights(self, resamples: int) -> Floats:
        """(resamples, n): how often each row is in a resample of phenomena x seeds.

        The draws hang on the suite and the question, not on the predictors: differences are paired.
        """
        generator = np.random.default_rng([self.seed, crc32(f"{self.suite} {self.question}".encode())])
        drawn = [_drawn(int(index.max()) + 1, resamples, generator)[:, index] for index in (self.phenomenon, self.seed_index)]
        return np.asarray(drawn[0] * drawn[1])


def _drawn(size: int, resamples: int, generator: np.random.Generator) -> Floats:
    """(resamples, size): how often each of `size` things is drawn when as many are drawn with replacement."""
    return generator.multinomial(size, np.full(size, 1 / size), resamples).astype(np.float64)


def _questions(cases: pl.DataFrame, seed: int) -> list[Question]:
    need(cases, CASES, "the cases")
    suites = cases["suite"].unique().sort().to_list()
    return [_question(cases.filter(pl.col("suite") == suite), suite, name, seed) for suite, name in product(suites, QUESTIONS)]


def _question(cases: pl.DataFrame, suite: str, name: str, seed: int) -> Question:
    observed = cases.filter(pl.col("ends_wrong").is_not_null())
    asked = observed.filter(QUESTIONS[name])
    majority = asked.group_by("paradigm").agg(_mostly("ends_wrong"))["ends_wrong"]
    codes = asked.select(pl.col("phenomenon").fill_null("").rank("dense"), pl.col("seed").rank("dense"))
    return Question(
        suite=suite,
        question=name,
        rows=asked,
        outcome=asked["ends_wrong"].to_numpy().astype(np.bool_),
        phenomenon=codes["phenomenon"].to_numpy().astype(np.int64) - 1,
        seed_index=codes["seed"].to_numpy().astype(np.int64) - 1,
        seed=seed,
        positives=int(majority.sum()),
        negatives=int((~majority).sum()),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """An area under the curve, and the same in every resample (NaN where it has one class)."""

    area: float
    drawn: Floats
    units: int  # phenomena

    def interval(self) -> tuple[int, float | None, float | None]:
        """Resamples with both classes, and the ends of the interval; None where they are fewer than half."""
        kept, share = int((~np.isnan(self.drawn)).sum()), share_of_draws(self.area, self.drawn, self.units)
        if share is None:
            return kept, None, None
        low, high = share.interval(CONFIDENCE)
        return kept, float(low), float(high)


def _areas(question: Question, columns: tuple[str, ...], resamples: int) -> Area | None:
    values = question.values(columns)
    if values is None or not question.answerable():
        return None
    score, _ = out_of_fold(values, question.outcome, question.phenomenon)
    drawn = [_refitted(values, question, weights) for weights in question.weights(resamples)]
    return question.area(score, drawn)


def _refitted(values: Floats, question: Question, weights: Floats) -> float:
    """The area in one resample; NaN where it has one class or one phenomenon."""
    kept = weights > 0
    outcome, groups = question.outcome[kept], question.phenomenon[kept]
    if not outcome.any() or outcome.all() or len(np.unique(groups)) < 2:
        return float("nan")
    score, _ = out_of_fold(values[kept], outcome, groups, weights[kept])
    return roc_auc(score, outcome, weights[kept])


def _raw_areas(question: Question, columns: tuple[str, ...], resamples: int) -> Area | None:
    values = question.values(columns)
    if values is None or len(columns) > 1 or not question.outcome.any() or question.outcome.all():
        return None
    drawn = [roc_auc(-values[:, 0], question.outcome, weights) for weights in question.weights(resamples)]
    return question.area(-values[:, 0], drawn)


def _foretold(question: Question, label: str, columns: tuple[str, ...], resamples: int) -> tuple[dict[str, Any], pl.DataFrame]:
    row: dict[str, Any] = dict.fromkeys(FORETOLD) | question.name() | {"predictors": label}
    row |= {"positives": question.positives, "negatives": question.negatives, "undecided": question.few()}
    if raw := _raw_areas(question, columns, resamples):
        row["auc_raw"], (row["resamples"], row["raw_low"], row["raw_high"]) = raw.area, raw.interval()
    area = _areas(question, columns, resamples)
    if area is None:
        return row | {"undecided": True}, pl.DataFrame(schema=PREDICTIONS)
    row["auc"], (row["resamples"], row["low"], row["high"]) = area.area, area.interval()
    values = question.values(columns)
    assert values is not None
    score, probability = out_of_fold(values, question.outcome, question.phenomenon)
    row["brier"] = float(((probability - question.outcome) ** 2).mean())
    row["calibration_intercept"], row["calibration_slope"] = calibration(probability, question.outcome)
    predicted = question.rows.with_columns(
        question=pl.lit(question.question),
        predictors=pl.lit(label),
        probability=pl.Series(probability),
        score=pl.Series(score),
        outcome=pl.col("ends_wrong"),
    )
    return row, predicted.select(pl.col(name).cast(kind) for name, kind in PREDICTIONS.items())


def _contest(first: Area | None, second: Area | None, question: Question) -> dict[str, Any]:
    if first is None or second is None:
        return {"difference": None, "low": None, "high": None, "verdict": "undecided"}
    low, high = expanded(first.drawn - second.drawn, first.units, CONFIDENCE)
    decided = low is not None and high is not None and not question.few() and not low <= 0 <= high
    verdict = ("better" if low is not None and low > 0 else "worse") if decided else "undecided"
    return {"difference": first.area - second.area, "low": low, "high": high, "verdict": verdict}


# ---- the tables


def _majority(cases: pl.DataFrame) -> pl.DataFrame:
    """paradigm, early_wrong, ends_wrong: true of more than half of the observed seeds."""
    observed = cases.filter(pl.col("ends_wrong").is_not_null())
    return observed.group_by("paradigm").agg(_mostly("early_wrong"), _mostly("ends_wrong"))


def _mostly(column: str) -> pl.Expr:
    return pl.col(column).mean() > 0.5


def _tables(counted: pl.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for among, asked in (("all", counted), ("early wrong", counted.filter("early_wrong"))):
        for level, order in counted.select("level", "order").unique().sort("level", "order").iter_rows():
            own = asked.filter((pl.col("level") == level) & (pl.col("order") == order))
            wrong, ends = own["wrong"].to_numpy().astype(bool), own["ends_wrong"].to_numpy().astype(bool)
            cells = [(wrong & ends).sum(), (wrong & ~ends).sum(), (~wrong & ends).sum(), (~wrong & ~ends).sum()]
            rows.append({"among": among, "order": order, "level": level} | _exact([int(cell) for cell in cells]))
    return rows


def _exact(cells: list[int]) -> dict[str, Any]:
    named = dict(zip(("wrong_and_wrong", "wrong_and_right", "right_and_wrong", "right_and_right"), cells, strict=True))
    table = np.array(cells).reshape(2, 2)
    if not table.any(axis=0).all() or not table.any(axis=1).all():  # a row or column is empty: any ratio fits
        return named | {"odds_ratio": None, "low": None, "high": None, "p": 1.0}
    found = odds_ratio(table, kind="conditional")
    interval = found.confidence_interval(CONFIDENCE)
    numbers = {"odds_ratio": float(found.statistic), "low": float(interval.low), "high": float(interval.high)}
    assert not any(math.isnan(value) for value in numbers.values())
    return named | numbers | {"p": float(fisher_exact(table).pvalue)}
