"""Bigram reliance: how much of the network's margins the margins of bigrams, of single words and of length account for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ontogeny.records import OntogenyError
from ontogeny.trajectories.curves import check_doubled, margin, need
from ontogeny.trajectories.timeline import Floats, Ints

Tables = Iterable[tuple[int, int, pl.DataFrame]]  # seed, step, the scores of that checkpoint's pairs
KEY = ["paradigm", "pair"]
PREDICTORS = ("b", "u", "length")
RUNGS_OF_PREDICTORS = (("token", 2), ("token", 1))  # b and u
FEWEST_PAIRS = 5  # of one regression: three slopes and an intercept fit four pairs whatever they are
NOISE = 1e-9  # nats or tokens: what varies by less than this, or than this share of its size, is constant
COLLINEAR = 1e-9  # share of the largest eigenvalue below which a direction of the predictors is taken for none

SUBSETS = np.array([[1, 1, 1], *np.eye(3), *(1 - np.eye(3))])  # all predictors; each alone; each left out


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
        ours = scores.select(*KEY, margin=margin(), length=length)
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


def reliance(tables: Tables, margins: pl.DataFrame) -> pl.DataFrame:
    """Bigram reliance along training: the rows of `reliance_at` for each (seed, step, scores), one table in memory at a time.

    Columns: suite, seed, step and those of `reliance_at`.  `margins` is the table of n-gram margins of the same suite.
    Raises OntogenyError as `ngram_margins` and `NgramMargins.beside` do, and where there are no tables.
    """
    ngrams = ngram_margins(margins, RUNGS_OF_PREDICTORS)
    return along(tables, ngrams.suite, lambda scores: reliance_at(scores, ngrams))


def reliance_at(scores: pl.DataFrame, ngrams: NgramMargins) -> pl.DataFrame:
    """One checkpoint: ordinary least squares of the network's margin on b, u and length, over pairs.

    `ngrams` has the rows b (bigram) and u (unigram), as `ngram_margins(margins, RUNGS_OF_PREDICTORS)` gives them; length is
    tokens_bad - tokens_good, so that all three are positive where they favour the good sentence.

    Columns: paradigm ("" = all pairs pooled, first), predictor (b, u, length), beta (standard deviations of the margin per
    standard deviation of the predictor), slope (nats per nat, or nats per token), r2 (of all three), r2_alone (of this one),
    r2_unique (what r2 loses without this one), n (pairs).

    Each regression has its intercept, so a paradigm's R2 is about pairs of that paradigm and its mean is taken out; the
    pooled R2 keeps the differences between paradigms, and is large where a predictor only tells paradigms apart.  R2 is
    not adjusted: three predictors of pure noise give 3 / (n - 1) on average.

    A predictor that does not vary in a paradigm, or only together with the others, has null beta and slope there and
    r2_unique 0.  Where the network's margin does not vary, or pairs are fewer than 5, all figures are null.
    """
    if ngrams.rungs != RUNGS_OF_PREDICTORS:
        raise ValueError(f"reliance regresses on the rungs {RUNGS_OF_PREDICTORS}, not on {ngrams.rungs}")
    own, length = ngrams.beside(scores)
    columns = np.stack([*ngrams.values, length, own])  # (4, pairs): the predictors, then what they predict
    pooled, within = (_moments(columns, starts) for starts in (np.zeros(1, dtype=np.int64), ngrams.starts))
    n, mean, covariance = (np.concatenate(both) for both in zip(pooled, within, strict=True))
    return _frame(["", *ngrams.paradigms], n, _fits(n, mean, covariance))


def along(tables: Tables, suite: str, look: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
    """What `look` makes of each checkpoint's scores, with suite, seed and step in front.

    Raises OntogenyError if there are no tables.
    """
    frames = [
        look(scores).select(pl.lit(suite).alias("suite"), _whole(seed).alias("seed"), _whole(step).alias("step"), pl.all())
        for seed, step, scores in tables
    ]
    if not frames:
        raise OntogenyError(f"no checkpoint's scores of {suite} were given: there is nothing to hold the n-grams against")
    return pl.concat(frames)


def _moments(columns: Floats, starts: Ints) -> tuple[Ints, Floats, Floats]:
    """Of each paradigm: pairs (paradigms,), means (paradigms, k) and covariances (paradigms, k, k) of k columns."""
    n = np.diff(np.r_[starts, columns.shape[1]])
    mean = np.add.reduceat(columns, starts, axis=1) / n
    centred = columns - np.repeat(mean, n, axis=1)
    products = np.add.reduceat(centred[:, None] * centred[None], starts, axis=2) / n
    return n, mean.T, np.moveaxis(products, 2, 0)


def _fits(n: Ints, mean: Floats, covariance: Floats) -> dict[str, Floats]:
    """Every regression of the last column on the others at once, from moments; (regressions, predictors) each, nan for none.

    All subsets of predictors are solved by the pseudo-inverse of their correlations: R2 is the same for every solution, and a
    coefficient is kept only where all solutions agree on it.
    """
    sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    scale = np.where(sd > NOISE * np.maximum(1, np.hypot(mean, sd)), sd, np.inf)  # what is constant correlates with nothing
    correlation = covariance / scale[:, :, None] / scale[:, None, :]
    among, ours = correlation[:, :-1, :-1], correlation[:, :-1, -1]
    inverse = np.linalg.pinv(among[:, None] * (SUBSETS[:, :, None] * SUBSETS[:, None, :]), rcond=COLLINEAR, hermitian=True)
    r2 = np.clip(np.einsum("gi,gsij,gj->gs", ours, inverse, ours), 0, 1)
    told_apart = np.einsum("gij,gji->gi", inverse[:, 0], among) > 1 - 1e-6
    beta = np.where(told_apart, np.einsum("gij,gj->gi", inverse[:, 0], ours), np.nan)
    k = ours.shape[1]
    whole = np.repeat(r2[:, :1], k, axis=1)
    unique = np.where(told_apart, np.maximum(whole - r2[:, 1 + k :], 0), 0.0)
    fits = {
        "beta": beta,
        "slope": beta * sd[:, -1:] / scale[:, :-1],
        "r2": whole,
        "r2_alone": r2[:, 1 : 1 + k],
        "r2_unique": unique,
    }
    undefined = (np.isinf(scale[:, -1]) | (n < FEWEST_PAIRS))[:, None]
    return {name: np.where(undefined, np.nan, values) for name, values in fits.items()}


def _frame(paradigms: list[str], n: Ints, fits: dict[str, Floats]) -> pl.DataFrame:
    k = len(PREDICTORS)
    columns = {
        "paradigm": np.repeat(paradigms, k).tolist(),
        "predictor": list(PREDICTORS) * len(paradigms),
        **{name: values.ravel() for name, values in fits.items()},
        "n": np.repeat(n, k),
    }
    return pl.DataFrame(columns).with_columns(pl.col(*fits).fill_nan(None))


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


def _whole(number: int) -> pl.Expr:
    return pl.lit(number, pl.Int64)


def _pair(keys: pl.DataFrame) -> str:
    return f"{keys['paradigm'][0]}, pair {keys['pair'][0]}"


def _named(rung: tuple[str, int]) -> str:
    return f"{rung[0]} {rung[1]}-gram"
