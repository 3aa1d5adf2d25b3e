"""Bigram reliance: how much of the network's margins the margins of bigrams, of single words and of length account for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Any, ClassVar, Literal

import altair as alt
import numpy as np
import polars as pl

from ontogeny.instruments.instrument import Column, Instrument
from ontogeny.instruments.ngram_margins import NOISE, NgramMargins, margins_of, ngram_margins
from ontogeny.instruments.subject import Subject
from ontogeny.pages.axes import Width, filled, last_step, need, rows, seeded, shading, span_rows, step_axis, table, tips
from ontogeny.pages.orders import peaks
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel
from ontogeny.scoring.options import decided, need_right
from ontogeny.trajectories.timeline import Floats, Ints

PREDICTORS = ("b", "u", "length")
RUNGS_OF_PREDICTORS = (("token", 2), ("token", 1))  # b and u
FEWEST_PAIRS = 5  # of one regression: three slopes and an intercept fit four pairs whatever they are
COLLINEAR = 1e-9  # share of the largest eigenvalue below which a direction of the predictors is taken for none

SUBSETS = np.array([[1, 1, 1], *np.eye(3), *(1 - np.eye(3))])  # all predictors; each alone; each left out


class Reliance(Instrument):
    """Regresses the network's margins of a checkpoint on the bigram margin, the unigram margin and length, over pairs."""

    needs: ClassVar[tuple[str, ...]] = ("scores", "ngrams")
    reads: ClassVar[tuple[str, ...]] = ("causal", "masked")

    kind: Literal["reliance"] = "reliance"

    @property
    def columns(self) -> Mapping[str, Column]:
        """Those of `reliance_at`, and the suite."""
        index = {"suite": "the suite", "paradigm": "its paradigm; empty: all pairs together", "predictor": "b, u or length"}
        share = (0.0, 1.0)
        return {name: Column(says=says, dtype=pl.String, index=True) for name, says in index.items()} | {
            "beta": Column(says="weight of the predictor", unit="standard deviations of the margin per one of the predictor"),
            "slope": Column(says="weight of the predictor", unit="nats a nat, or nats a token"),
            "r2": Column(says="share of the margins' variance that all three account for", span=share),
            "r2_alone": Column(says="what this one accounts for by itself", span=share),
            "r2_unique": Column(says="what all three account for and the other two do not", span=share),
            "n": Column(says="pairs", dtype=pl.Int64),
        }

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises OntogenyError where not all pairs have scores."""
        frames = []
        for suite in subject.context.suites:
            known = [pair.paradigm for pair in decided(subject.pairs(suite.name))]
            if not known:  # graded items: an n-gram margin is of a right answer
                continue
            scores = subject.scores(suite.name).filter(pl.col("paradigm").is_in(set(known)))
            margins = subject.context.once((self.kind, suite.key, len(scores)), partial(_margins, subject, suite.name, scores))
            frames.append(reliance_at(scores, margins).select(pl.lit(suite.name).alias("suite"), pl.all()))
        if not frames:
            need_right([pair for suite in subject.context.suites for pair in suite.pairs], "reliance on bigrams")
        return pl.concat(frames)

    def panels(self) -> tuple[Panel, ...]:
        """Weights, and the share accounted for."""
        return (
            Panel(
                name="reliance",
                title="reliance on bigrams",
                needs=("reliance",),
                draw=reliance,
                says=says,
                key=lambda frames: (("order-2", "bigram margin"), ("order-1", "unigram margin"), ("dotted", "length")),
                there=lambda frames: not frames["reliance"].filter(paradigm="").is_empty(),
                per="suite",
                chapter="n-grams",
                page={"legend": False},
                command="evidence RUN",
            ),
        )


def _margins(subject: Subject, suite: str, scores: pl.DataFrame) -> NgramMargins:
    """Of bigrams and unigrams over the pairs that have scores; others are longer than the model's context."""
    known = set(scores.select("paradigm", "pair").iter_rows())
    pairs = [pair for pair in subject.pairs(suite) if (pair.paradigm, pair.pair) in known]
    return ngram_margins(margins_of(subject.context.ngrams("token", 2), suite, pairs, (1, 2)), RUNGS_OF_PREDICTORS)


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


# --- its figure ---------------------------------------------------------------------------------------------------

WEIGHTS = {"u": 1, "b": 2}  # the order of the n-gram model that a predictor is the margin of; length has none


def reliance(frames: Frames, clock: Clock, *, paradigm: str = "", legend: bool = True, **options: Any) -> Drawn:
    """Weights of the bigram margin, the unigram margin and length in the network's margins over training, and R2 beside.

    `paradigm`: empty for all pairs together.
    """
    frame = frames["reliance"]
    return {
        "weight in the network's margins": weights(frame, clock.spans, paradigm=paradigm, legend=legend, **options),
        "share of the differences accounted for (R²)": accounted(frame, clock.spans, paradigm=paradigm, **options),
    }


def weights(
    frame: pl.DataFrame,
    spans: pl.DataFrame | None = None,
    *,
    paradigm: str = "",
    width: Width = 380,
    height: int = 190,
    last: int | None = None,
    legend: bool = False,
) -> alt.Chart:
    """Standardised weights over training: bigram margin thick, unigram margin, and length dotted."""
    need(frame, ("step", "paradigm", "predictor", "beta"), "the figure of reliance")
    drawn = seeded(frame.filter(paradigm=paradigm)).select("seed", "step", "predictor", pl.col("beta").round(4))
    need(drawn, (), f"the figure of reliance of {paradigm or 'all pairs'}")
    last = last_step(drawn) if last is None else last
    order = pl.col("predictor").replace_strict(WEIGHTS, default=None, return_dtype=pl.Int64)
    drawn = drawn.with_columns(order=order).sort("predictor", "seed", "step")
    return filled(_weights(last, width, height, legend), {"weights": rows(drawn), "spans": span_rows(spans, last)})


@cache
def _weights(last: int, width: Width, height: int, legend: bool) -> alt.Chart:
    base, x = table("weights"), step_axis(last)
    axis = alt.Axis(title="weight, in standard deviations", tickCount=5, format=".1f")
    y, mean = alt.Y("beta:Q", axis=axis), alt.Y("mean(beta):Q", axis=axis)
    shown = (
        alt.Legend(title=None, orient="top", labelExpr="datum.value == 2 ? 'bigram margin' : 'unigram margin'") if legend else None
    )
    colour = alt.Color("order:O", scale=alt.Scale(domain=[1, 2], range="ramp"), legend=shown)
    grams, length = base.transform_filter("isValid(datum.order)"), base.transform_filter("!isValid(datum.order)")
    layers = [
        *shading(last),
        _zero(),
        grams.mark_line(strokeWidth=0.7, opacity=0.35).encode(x=x, y=y, color=colour, detail="seed:N"),
        length.mark_line(strokeWidth=1.4, strokeDash=[2, 3]).encode(x=x, y=mean),
        grams.transform_filter("datum.order == 1").mark_line(strokeWidth=1.6).encode(x=x, y=mean, color=colour),
        grams.transform_filter("datum.order == 2").mark_line(strokeWidth=2.8).encode(x=x, y=mean, color=colour),
        base.mark_point(size=50, opacity=0).encode(
            x=x, y=mean, detail="predictor:N", tooltip=tips("predictor", "step", "mean(beta)")
        ),
    ]
    return alt.layer(*layers).properties(width=width, height=height)


def accounted(
    frame: pl.DataFrame,
    spans: pl.DataFrame | None = None,
    *,
    paradigm: str = "",
    width: Width = 380,
    height: int = 190,
    last: int | None = None,
) -> alt.Chart:
    """R2 of all three together over training; where there is `r2_unique`, the bigram margin's own part, thick."""
    need(frame, ("step", "paradigm", "predictor", "r2"), "the figure of reliance")
    kept = seeded(frame.filter(paradigm=paradigm))
    need(kept, (), f"the figure of reliance of {paradigm or 'all pairs'}")
    last = last_step(kept) if last is None else last
    parts = [kept.group_by("seed", "step").agg(pl.col("r2").first()).with_columns(part=pl.lit("all three"))]
    if "r2_unique" in kept.columns:
        own = kept.filter(predictor="b").select("seed", "step", pl.col("r2_unique").alias("r2"))
        parts.append(own.with_columns(part=pl.lit("only bigrams"), r2=pl.col("r2").cast(pl.Float64)))
    drawn = pl.concat(parts).with_columns(pl.col("r2").round(4)).sort("part", "seed", "step")
    return filled(_accounted(last, width, height), {"parts": rows(drawn), "spans": span_rows(spans, last)})


@cache
def _accounted(last: int, width: Width, height: int) -> alt.Chart:
    base, x = table("parts"), step_axis(last)
    axis = alt.Axis(title="share of the differences accounted for, R²", tickCount=5, format=".1f")
    y, mean = alt.Y("r2:Q", axis=axis, scale=alt.Scale(domainMin=0)), alt.Y("mean(r2):Q", axis=axis, scale=alt.Scale(domainMin=0))
    colour = alt.Color("order:O", scale=alt.Scale(domain=[1, 2], range="ramp"), legend=None)
    both, own = base.transform_filter("datum.part == 'all three'"), base.transform_filter("datum.part != 'all three'")
    layers = [
        *shading(last),
        base.mark_line(strokeWidth=0.7, opacity=0.35).encode(x=x, y=y, detail=["seed:N", "part:N"]),
        both.mark_line(strokeWidth=1.8).encode(x=x, y=mean),
        own.transform_calculate(order="2").mark_line(strokeWidth=2.8).encode(x=x, y=mean, color=colour),
        base.mark_point(size=50, opacity=0).encode(x=x, y=mean, detail="part:N", tooltip=tips("part", "step", "mean(r2)")),
    ]
    return alt.layer(*layers).properties(width=width, height=height)


def _zero() -> Any:
    base = alt.Chart(alt.InlineData(values=[{"beta": 0}]))
    return base.mark_rule(strokeWidth=0.8, strokeDash=[4, 3]).encode(y="beta:Q")


def says(frames: Frames, clock: Clock) -> str:
    """When the bigram margin weighs most, what it weighs at the end, and how much is accounted for."""
    pooled = frames["reliance"].filter(paradigm="", predictor="b").drop_nulls(["beta", "r2"])
    if pooled.is_empty():
        return ""
    means = {row["step"]: row for row in pooled.group_by("step").agg(pl.col("beta", "r2").mean()).to_dicts()}
    top = means[peaks(pooled.with_columns(order=pl.lit(2)), clock.spans, "beta")["step"][0]]
    end = means[max(means)]
    weight = (
        f"The bigram margin weighs most at step {top['step']:,}, {top['beta']:.2f}: of two pairs one standard deviation apart in "
        f"it, alike in the rest, the network's margins are {top['beta']:.2f} of a standard deviation apart."
    )
    late = f" At the last checkpoint it weighs {end['beta']:.2f}."
    return (
        f"Reliance: the network's margins over all pairs, explained by the bigram margin, the unigram margin and length at once. "
        f"{weight}{late if end['step'] != top['step'] else ''} Bigrams, unigrams and length together account for "
        f"{100 * top['r2']:.0f} % of the differences between pairs there, and for {100 * end['r2']:.0f} % at the end. "
        "On the right, the plain line is all three together, the coloured one what only bigrams explain."
    )
