"""The audit of a suite: what its paradigms can show about a model trained on a given text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from ontogeny.evidence.flaws import FLAWS, LEVELS, MODELS, VERDICTS, judged, spoken
from ontogeny.evidence.guides import Guides
from ontogeny.evidence.variety import measured_variety
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.scoring.options import CHANCE
from ontogeny.trajectories.curves import check_doubled, need

TIE = 1e-9  # nats: margins of count models tie exactly; this is the rounding of a sum of a dozen logarithms


def audit(
    pairs: pl.DataFrame,
    identical: Mapping[str, int],
    margins: pl.DataFrame,
    counts: Mapping[str, int],
    human: Mapping[str, float],
    thresholds: Guides | None = None,
    chance: Mapping[str, float] | None = None,
) -> pl.DataFrame:
    """One row a paradigm, sorted by name: verdict, reasons, notes, flaws and every measurement behind them.

    `pairs` has paradigm, pair, good, bad and contrast, one row a pair; those with identical sentences are left out, and
    `identical` counts them by paradigm; phenomenon and field are kept where they are there.  `margins` has a row for each
    pair, level ("word", "token" or both) and order (1 and 2 at least) of the n-gram models: suite, paradigm, pair, level, order,
    margin (nats), length_good, length_bad.  `counts` has each word's occurrences in the training text, words as
    `variety.WORD` cuts them; `human` the published agreement, 0 to 1, of the paradigms that have one; `chance` what a guesser
    gets of each paradigm, a column of the table where it is not one half for all.

    Columns: suite, paradigm, phenomenon, field, verdict, reasons, notes and flaws (lists of strings); pairs, identical, human;
    for each LEVEL: LEVEL_unigram ... LEVEL_5gram (accuracy, a tie is one half), LEVEL_length (the shorter sentence wins),
    LEVEL_unequal (share of pairs), LEVEL_bigram_equal_length (null without such pairs); best_shortcut and best_accuracy (of all
    of these; no name where none beats a coin); then what `variety.measured_variety` finds.

    Raises OntogenyError for missing columns, no pairs, identical or doubled pairs, margins that do not fit the pairs,
    several suites, paradigms that no pair has, numbers out of range, and a training text without words.
    """
    thresholds = thresholds or Guides()
    _check_pairs(pairs)
    _check_known(identical, human, pairs["paradigm"].unique().sort().to_list())
    suite = _check_margins(margins, pairs)
    if not any(counts.values()):
        raise OntogenyError("the training text has no words: their counts are empty")
    measured = (
        _sizes(pairs, identical, human)
        .join(shortcuts(margins, chance), on="paradigm")
        .join(measured_variety(pairs, counts, thresholds), on="paradigm")
        .sort("paradigm")
        .select(pl.lit(suite).alias("suite"), pl.all())
    )
    return judged(measured, thresholds)


def summary(audit: pl.DataFrame) -> pl.DataFrame:
    """How many paradigms got each verdict and have each flaw.

    Columns: suite, kind ("verdict" or "flaw"), name, paradigms, share.  Every verdict and every flaw is there, also
    with none; a paradigm has one verdict and any number of flaws.
    """
    verdicts = audit.group_by("suite", name="verdict").len("paradigms")
    flaws = audit.select("suite", name="flaws").explode("name", empty_as_null=False).group_by("suite", "name").len("paradigms")
    wanted = [("verdict", name) for name in VERDICTS] + [("flaw", name) for name in FLAWS]
    every = (
        audit.group_by("suite", maintain_order=True)
        .len("all")
        .join(pl.DataFrame(wanted, ["kind", "name"], orient="row"), how="cross")
    )
    return (
        every.join(pl.concat([verdicts, flaws]), on=["suite", "name"], how="left", maintain_order="left")
        .with_columns(pl.col("paradigms").fill_null(0).cast(pl.Int64))
        .select("suite", "kind", "name", "paradigms", share=pl.col("paradigms") / pl.col("all"))
    )


def shortcuts(margins: pl.DataFrame, chance: Mapping[str, float] | None = None) -> pl.DataFrame:
    """Accuracy of n-gram models and of counting, by paradigm; columns as `audit` says, sorted by paradigm."""
    by_level = [_ngrams(margins, level).join(_lengths(margins, level), on="paradigm") for level in _levels(margins)]
    table = by_level[0]
    for other in by_level[1:]:
        table = table.join(other, on="paradigm")
    if chance and any(value != CHANCE for value in chance.values()):
        table = table.with_columns(chance=pl.col("paradigm").replace_strict(dict(chance), return_dtype=pl.Float64))
    return _best(table).sort("paradigm")


def _ngrams(margins: pl.DataFrame, level: str) -> pl.DataFrame:
    """paradigm, then the accuracy of each order at this level."""
    of_level = margins.filter(level=level)
    accuracy = of_level.group_by("paradigm", "order").agg(_half_at_ties(pl.col("margin")).mean().alias("accuracy"))
    names = pl.col("order").replace_strict({order: f"{level}_{name}" for order, name in MODELS.items()}, return_dtype=pl.String)
    columns = [f"{level}_{name}" for order, name in MODELS.items() if order in of_level["order"]]
    return (
        accuracy.with_columns(names.alias("model")).pivot("model", index="paradigm", values="accuracy").select("paradigm", *columns)
    )


def _lengths(margins: pl.DataFrame, level: str) -> pl.DataFrame:
    """paradigm, what counting gets right, the share of pairs of unequal length, a bigram model's accuracy at equal length."""
    longer = pl.col("length_bad").cast(pl.Int64) - pl.col("length_good").cast(pl.Int64)
    bigram = _half_at_ties(pl.col("margin"))
    return (
        margins.filter(level=level, order=2)
        .group_by("paradigm")
        .agg(
            _half_at_ties(longer).mean().alias(f"{level}_length"),
            (longer != 0).mean().alias(f"{level}_unequal"),
            bigram.filter(longer == 0).mean().alias(f"{level}_bigram_equal_length"),
        )
    )


def _best(table: pl.DataFrame) -> pl.DataFrame:
    """With the shortcut that gets most right, of equals the first column; without a name where none beats a guesser."""
    labels = {f"{level}_{name}": f"{level} {spoken(name)}" for level in LEVELS for name in (*MODELS.values(), "length")}
    there = [column for column in table.columns if column in labels]
    best = pl.max_horizontal(there)
    found = pl.coalesce(pl.when(pl.col(column) == best).then(pl.lit(labels[column])) for column in there)
    return table.with_columns(
        pl.when(best > (pl.col("chance") if "chance" in table.columns else CHANCE)).then(found).alias("best_shortcut"),
        best.alias("best_accuracy"),
    )


def _half_at_ties(difference: pl.Expr) -> pl.Expr:
    return pl.when(difference > TIE).then(1.0).when(difference < -TIE).then(0.0).otherwise(0.5)


def _sizes(pairs: pl.DataFrame, identical: Mapping[str, int], human: Mapping[str, float]) -> pl.DataFrame:
    labels = [name for name in ("phenomenon", "field") if name in pairs.columns]
    sizes = pairs.group_by("paradigm").agg(pl.col(labels).first(), pl.len().cast(pl.Int64).alias("pairs"))
    return sizes.with_columns(
        pl.col("paradigm").replace_strict(dict(identical), default=0, return_dtype=pl.Int64).alias("identical"),
        pl.col("paradigm").replace_strict(dict(human), default=None, return_dtype=pl.Float64).alias("human"),
    )


def _levels(margins: pl.DataFrame) -> list[str]:
    return [level for level in LEVELS if level in margins["level"]]


# --- what can be wrong with what is handed in ---------------------------------------------------------------------


def _check_pairs(pairs: pl.DataFrame) -> None:
    need(pairs, ("paradigm", "pair", "good", "bad", "contrast"), "the pairs")
    if pairs.is_empty():
        raise OntogenyError("there are no pairs to audit")
    check_doubled(pairs, ["paradigm", "pair"])
    same = pairs.filter(pl.col("good") == pl.col("bad"))
    if len(same):
        raise OntogenyError(f"{_named(same)} has two identical sentences: leave such pairs out, and count them in `identical`")


def _check_known(identical: Mapping[str, int], human: Mapping[str, float], paradigms: list[str]) -> None:
    for what, table in (("identical pairs are counted", identical), ("human agreement is given", human)):
        if unknown := sorted(set(table) - set(paradigms)):
            raise OntogenyError(f"{what} for {unknown[0]!r}, which has no pairs in this suite; {nearest(unknown[0], paradigms)}")
    for paradigm, number in identical.items():
        if number < 0:
            raise OntogenyError(f"{number} identical pairs of {paradigm}: a number cannot be negative")
    for paradigm, share in human.items():
        if not 0 <= share <= 1:
            hint = " (is this percent?)" if 1 < share <= 100 else ""
            raise OntogenyError(f"human agreement {share} of {paradigm} is not from 0 to 1{hint}")


def _check_margins(margins: pl.DataFrame, pairs: pl.DataFrame) -> str:
    """The suite's name, once every level and order is known to have one margin for each pair."""
    need(margins, ("suite", "paradigm", "pair", "level", "order", "margin", "length_good", "length_bad"), "the margins")
    if margins.is_empty():
        raise OntogenyError("the margins have no rows")
    suite = _one_suite(margins, pairs)
    _check_models(margins)
    check_doubled(margins, ["paradigm", "pair", "level", "order"])
    wrong = margins.filter(
        ~(pl.col("margin").is_finite() & (pl.col("length_good") >= 0) & (pl.col("length_bad") >= 0)).fill_null(False)
    )
    if len(wrong):
        raise OntogenyError(f"{_named(wrong)}: a margin is no number, or a length is missing")
    for (level, order), rows in margins.group_by("level", "order", maintain_order=True):
        _check_same_pairs(rows, pairs, f"order {order} at {level} level")
    return suite


def _one_suite(margins: pl.DataFrame, pairs: pl.DataFrame) -> str:
    suites = set(margins["suite"]) | (set(pairs["suite"]) if "suite" in pairs.columns else set())
    if len(suites) > 1:
        raise OntogenyError(f"one suite at a time: the pairs and margins hold {', '.join(sorted(map(str, suites)))}")
    return str(suites.pop())


def _check_models(margins: pl.DataFrame) -> None:
    models = set(margins.select("level", "order").iter_rows())
    for level, order in sorted(models, key=str):
        if level not in LEVELS or order not in MODELS:
            raise OntogenyError(
                f"the margins are of level {level!r}, order {order}: levels are word and token, orders 1 to {max(MODELS)}"
            )
    for level in sorted({level for level, _ in models}):
        if absent := [order for order in (1, 2) if (level, order) not in models]:
            raise OntogenyError(
                f"the margins lack the {MODELS[absent[0]]} model at {level} level: an audit asks orders 1 and 2 at least"
            )


def _check_same_pairs(margins: pl.DataFrame, pairs: pl.DataFrame, what: str) -> None:
    key = ["paradigm", "pair"]
    lacking, extra = pairs.join(margins, on=key, how="anti"), margins.join(pairs, on=key, how="anti")
    if absent := sorted(set(pairs["paradigm"]) - set(margins["paradigm"])):
        raise OntogenyError(f"the margins of {what} lack the paradigm {_first(absent)}: score the whole suite with every model")
    if len(lacking):
        raise OntogenyError(f"the margins of {what} lack {len(lacking)} of {len(pairs)} pairs, first {_named(lacking)}")
    if len(extra):
        raise OntogenyError(f"the margins of {what} have {len(extra)} pairs that the suite has not, first {_named(extra)}")


def _named(rows: pl.DataFrame) -> str:
    return f"paradigm {rows['paradigm'][0]}, pair {rows['pair'][0]}"


def _first(names: Iterable[str], most: int = 3) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
