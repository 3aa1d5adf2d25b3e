"""The margins of n-gram models over the pairs of a suite, beside a network's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ontogeny.ngrams.counted import Counted
from ontogeny.records import OntogenyError, Pair
from ontogeny.scoring import ngram_pairs
from ontogeny.scoring import plan as plans
from ontogeny.scoring.options import wrong_sides
from ontogeny.trajectories.curves import check_doubled, margin, need
from ontogeny.trajectories.timeline import Floats, Ints

KEY = ["paradigm", "pair"]
NOISE = 1e-9  # nats or tokens: what varies by less than this, or than this share of its size, is constant


@dataclass(frozen=True, slots=True, eq=False)
class NgramMargins:
    """The margins of n-gram models over the pairs of one suite, one row a model; pairs are sorted by paradigm."""

    suite: str
    keys: pl.DataFrame  # paradigm, pair: one row a pair
    rungs: tuple[tuple[str, int], ...]  # level and order of each row of `values`
    values: Floats  # (rungs, pairs), nats
    starts: Ints  # (paradigms,): where each paradigm begins

    @property
    def paradigms(self) -> list[str]:
        """Their names, sorted."""
        return self.keys["paradigm"].gather(self.starts).to_list()

    def beside(self, scores: pl.DataFrame) -> tuple[Floats, Floats]:
        """The network's margins (nats) and length differences (tokens, positive favours the good sentence), (pairs,) each.

        `scores`: paradigm, pair, logp_good, logp_bad, tokens_good, tokens_bad.  Raises OntogenyError for missing columns,
        scores that are no number, doubled pairs, and pairs that only one of the two tables has.
        """
        need(scores, [*KEY, "logp_good", "logp_bad", "tokens_good", "tokens_bad"], "the scores")
        length = pl.col("tokens_bad").cast(pl.Float64) - pl.col("tokens_good").cast(pl.Float64)
        ours = scores.select(*KEY, margin=margin(wrong_sides(scores.columns)), length=length)
        joined = self.keys.join(ours, on=KEY, how="left", maintain_order="left", coalesce=True)
        if len(joined) != len(self.keys) or len(scores) != len(self.keys) or not _finite(joined["margin"], joined["length"]):
            _complain(ours, self.keys)
        return joined["margin"].to_numpy(), joined["length"].to_numpy()


def ngram_margins(margins: pl.DataFrame, rungs: Sequence[tuple[str, int]] | None = None) -> NgramMargins:
    """The table of n-gram margins (suite, paradigm, pair, level, order, margin) of one suite, as rows of one array.

    `rungs` are the models wanted as (level, order); left out, all that the table has.  Raises OntogenyError for missing
    columns, several suites, no rows, a model that is not there, margins that are no number, and models that differ in their pairs.
    """
    need(margins, ["suite", *KEY, "level", "order", "margin"], "the n-gram margins")
    if margins["suite"].n_unique() != 1:
        held = ", ".join(sorted(map(str, margins["suite"].unique()))) or "no rows"
        raise OntogenyError(f"one suite at a time: the n-gram margins hold {held}")
    there = sorted(margins.select("level", "order").unique().rows())
    wanted = there if rungs is None else list(rungs)
    if absent := [rung for rung in wanted if rung not in there]:
        raise OntogenyError(f"the n-gram margins have no {_named(absent[0])}; they have {', '.join(map(_named, there))}")
    tables = [margins.filter(pl.col("level") == level, pl.col("order") == order).select(*KEY, "margin") for level, order in wanted]
    keys = tables[0].select(KEY).sort(KEY)
    values = np.stack([_column(keys, table, _named(rung)) for rung, table in zip(wanted, tables, strict=True)])
    paradigm = keys["paradigm"].to_numpy()
    starts = np.flatnonzero(np.r_[True, paradigm[1:] != paradigm[:-1]])
    return NgramMargins(str(margins["suite"][0]), keys, tuple(wanted), values, starts)


def sentences_of(counted: Counted, pairs: list[Pair]) -> ngram_pairs.WalkedPairs:
    """The sentences of pairs in a level's tokens."""
    return ngram_pairs.WalkedPairs(counted.index, plans.make(pairs, counted.tokenizer, counted.index.bos, 2**31))


def margins_of(counted: Counted, suite: str, pairs: list[Pair], orders: Iterable[int]) -> pl.DataFrame:
    """The table of n-gram margins of a suite's pairs at one level: suite, level and those of `scoring.ngram_pairs.margins`."""
    found = ngram_pairs.margins(counted.model, sentences_of(counted, pairs), orders)
    return found.select(pl.lit(suite).alias("suite"), pl.lit(counted.level).alias("level"), pl.all())


def _column(keys: pl.DataFrame, table: pl.DataFrame, name: str) -> Floats:
    """The margins of one model (pairs,), in the order of `keys`."""
    check_doubled(table, KEY)
    joined = keys.join(table, on=KEY, how="left", maintain_order="left", coalesce=True)
    if len(table) != len(keys) or not _finite(joined["margin"]):
        lone = pl.concat([keys.join(table.drop_nulls(), on=KEY, how="anti"), table.join(keys, on=KEY, how="anti").select(KEY)])
        where = lone.sort(KEY) if len(lone) else joined.filter(~pl.col("margin").is_finite()).select(KEY)
        raise OntogenyError(
            f"{_pair(where)}: the margin of the {name} model is missing or no number, or other models lack the pair"
        )
    return joined["margin"].cast(pl.Float64).to_numpy()


def _finite(*columns: pl.Series) -> bool:
    return all(column.null_count() == 0 and bool(column.is_finite().all()) for column in columns)


def _complain(ours: pl.DataFrame, keys: pl.DataFrame) -> None:
    """Raises the error that says in what scores and n-gram margins do not belong together."""
    check_doubled(ours, KEY)
    for have, lack, who, whom in ((keys, ours, "n-gram margins", "scores"), (ours, keys, "scores", "n-gram margins")):
        lone = have.join(lack, on=KEY, how="anti").sort(KEY)
        if len(lone):
            raise OntogenyError(
                f"{len(lone):,} pairs have {who} and no {whom}, the first of them {_pair(lone)}: make both of one suite, all of it "
                "(scoring.until: all)"
            )
    wrong = ours.filter(~(pl.col("margin").is_finite() & pl.col("length").is_finite()).fill_null(False)).sort(KEY)
    raise OntogenyError(f"{_pair(wrong)}: a score is no number, or a sentence has no token count")


def _pair(keys: pl.DataFrame) -> str:
    return f"{keys['paradigm'][0]}, pair {keys['pair'][0]}"


def _named(rung: tuple[str, int]) -> str:
    return f"{rung[0]} {rung[1]}-gram"
