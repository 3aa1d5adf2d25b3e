"""From the scores of pairs to one accuracy a paradigm and checkpoint, and to the mean over a suite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.scoring.options import wrong_sides
from ontogeny.trajectories.timeline import Floats, Timeline

MEASURES = ("accuracy", "margin", "logp_good", "logp_bad", "ties", "accuracy_per_token", "accuracy_length")


def curve(scores: pl.DataFrame, tie: float = 1e-5, tie_counts: float = 0.5) -> pl.DataFrame:
    """One checkpoint's row for each paradigm, sorted by paradigm; of several, which `seed` and `step` tell apart, each one's rows.

    `scores` has one row a pair: paradigm, pair, logp_good, logp_bad (sums, nats), tokens_good, tokens_bad; and of items
    with more options logp_bad_2, tokens_bad_2 ..., null where there is none.  Returns
    paradigm, n, accuracy (a margin of at most `tie` nats counts `tie_counts`), margin (mean, nats), logp_good and
    logp_bad (means, nats; of several wrong ones the likeliest), ties (pairs), accuracy_per_token (from per-token means),
    accuracy_length (the sentence of fewer tokens wins, equal is one half). Raises OntogenyError for missing columns, no
    rows, scores that are no number, sentences without tokens and pairs scored twice.
    """
    need(scores, ("paradigm", "pair", "logp_good", "logp_bad", "tokens_good", "tokens_bad"), "the scores")
    by = [name for name in ("seed", "step") if name in scores.columns]
    _check_scores(scores, [*by, "paradigm", "pair"])
    wrong = wrong_sides(scores.columns)
    measured = {
        "accuracy": outcome(tie, tie_counts, wrong),
        "margin": margin(wrong),
        "logp_good": pl.col("logp_good"),
        "logp_bad": _best(wrong),
        "ties": margin(wrong).abs() <= tie,
        "accuracy_per_token": outcome_per_token(tie, tie_counts, wrong),
        "accuracy_length": outcome_length(wrong),
    }
    rows = scores.lazy().select(*by, "paradigm", **measured).collect()  # before they are grouped: half the time
    each = (pl.col(name).sum() if name == "ties" else pl.col(name).mean() for name in measured)
    return rows.group_by(*by, "paradigm", maintain_order=True).agg(pl.len().alias("n"), *each).sort(*by, "paradigm")


TWO = ("bad",)  # the wrong options of a pair


def margin(wrong: Sequence[str] = TWO) -> pl.Expr:
    """LL(good) - LL(bad) in nats; of several wrong options the likeliest."""
    return pl.col("logp_good").cast(pl.Float64) - _best(wrong).cast(pl.Float64)


def _best(wrong: Sequence[str]) -> pl.Expr:
    return pl.max_horizontal([f"logp_{side}" for side in wrong])


def outcome(tie: float, tie_counts: float = 0.5, wrong: Sequence[str] = TWO) -> pl.Expr:
    """1 where the good sentence wins by more than `tie` nats, 0 where it loses by more, `tie_counts` between.

    Of more options: 0 where any is better, and those that are best together share equally, 1 / k where `tie_counts` is one half.
    """
    good = pl.col("logp_good").cast(pl.Float64)
    return _decided([good - pl.col(f"logp_{side}").cast(pl.Float64) for side in wrong], tie, tie_counts)


def outcome_per_token(tie: float, tie_counts: float = 0.5, wrong: Sequence[str] = TWO) -> pl.Expr:
    """As `outcome` from per-token means.

    A tie is `tie` over the longer length, so that equal lengths give `outcome` again.
    """
    return _decided([_per_token(side) for side in wrong], tie, tie_counts)


def _per_token(side: str) -> pl.Expr:
    """The difference of per-token means, times the longer length."""
    good, bad, ours, theirs = (pl.col(f"{what}_{which}") for what in ("tokens", "logp") for which in ("good", side))
    ours, theirs = ours.cast(pl.Float64), theirs.cast(pl.Float64)
    equal = pl.when(good == bad).then((ours - theirs) / good).otherwise(ours / good - theirs / bad)
    return equal * pl.max_horizontal(good, bad)


def outcome_length(wrong: Sequence[str] = TWO) -> pl.Expr:
    """1 where the good sentence has fewer tokens, 0 where it has more, 1/2 where as many: what length alone
    decides."""
    good = pl.col("tokens_good").cast(pl.Int64)
    return _decided([pl.col(f"tokens_{side}").cast(pl.Int64) - good for side in wrong], 0, 0.5)


def _decided(differences: Sequence[pl.Expr], tie: float, tie_counts: float) -> pl.Expr:
    """From what the right option is better by than each wrong one.  A wrong one that ties weighs (1 - tie_counts) / tie_counts."""
    least = pl.min_horizontal(differences)
    tied = pl.sum_horizontal([difference.abs() <= tie for difference in differences])
    shared = tie_counts / (tie_counts + tied * (1 - tie_counts))
    return pl.when(least > tie).then(1.0).when(least < -tie).then(0.0).otherwise(shared)


def overall(curves: pl.DataFrame, phenomena: Mapping[str, str] | None = None) -> pl.DataFrame:
    """A suite's accuracy at each seed and step.

    Columns: seed, step, accuracy (mean of paradigms), accuracy_phenomena (mean of the phenomena's means).

    `phenomena` maps paradigm to phenomenon; left out: the frame's own `phenomenon` column, else accuracy_phenomena is
    null. Raises OntogenyError for a paradigm without a phenomenon, no rows, or seeds that differ in their
    checkpoints.
    """
    grid(curves)
    if phenomena is not None:
        missing = sorted(set(curves["paradigm"]) - set(phenomena))
        if missing:
            raise OntogenyError(f"no phenomenon is known for paradigm {', '.join(missing)}")
        curves = curves.with_columns(phenomenon=pl.col("paradigm").replace_strict(dict(phenomena), return_dtype=pl.String))
    mean = curves.group_by("seed", "step").agg(pl.col("accuracy").mean())
    if "phenomenon" not in curves.columns:
        return mean.with_columns(accuracy_phenomena=pl.lit(None, pl.Float64)).sort("seed", "step")
    of_phenomena = (
        curves.group_by("seed", "step", "phenomenon")
        .agg(pl.col("accuracy").mean())
        .group_by("seed", "step")
        .agg(pl.col("accuracy").mean().alias("accuracy_phenomena"))
    )
    return mean.join(of_phenomena, on=["seed", "step"]).sort("seed", "step")


def timeline_of(curves: pl.DataFrame, total: int | None = None) -> Timeline:
    """What a bare table of curves says about time: its steps, the last of them the end unless `total` is given."""
    need(curves, ("step",), "the curves")
    steps = tuple(sorted(curves["step"].unique().to_list()))
    if not steps:
        raise OntogenyError("the curves have no rows")
    return Timeline(steps=steps, total=steps[-1] if total is None else total)


def grid(curves: pl.DataFrame) -> tuple[list[int], list[int], list[str]]:
    """Seeds, steps and paradigms of a table of curves, each sorted, once every combination is known to be there once.

    Raises OntogenyError for missing columns, several suites, no rows, accuracies outside 0 to 1, doubled and missing
    rows.
    """
    need(curves, ("seed", "step", "paradigm", "n", "accuracy"), "the curves")
    if curves.is_empty():
        raise OntogenyError("the curves have no rows")
    if "suite" in curves.columns and curves["suite"].n_unique() > 1:
        raise OntogenyError(f"one suite at a time: the curves hold {', '.join(sorted(map(str, curves['suite'].unique())))}")
    check_accuracies(curves)
    check_doubled(curves, ["paradigm", "seed", "step"])
    return _checked_grid(curves)


def seeds_alike(steps: Mapping[int, Sequence[int]]) -> list[int]:
    """Seeds that have been read at the same checkpoints as the one read furthest; verdicts are over these."""
    furthest = max(steps.values(), key=len, default=[])
    return [seed for seed, own in steps.items() if own and own == furthest]


def matrices(curves: pl.DataFrame, column: str = "accuracy") -> dict[str, Floats]:
    """`column` of each paradigm as an array of seeds x steps, both ascending.  Raises as `grid` does."""
    return arrays(curves, [column], *grid(curves))[column]


def arrays(
    curves: pl.DataFrame, columns: Sequence[str], seeds: list[int], steps: list[int], paradigms: list[str]
) -> dict[str, dict[str, Floats]]:
    """The same of several columns, each by its name, of curves whose `grid` is known."""
    table = curves.select("paradigm", "seed", "step", pl.col(columns).cast(pl.Float64)).sort("paradigm", "seed", "step")
    shape = (len(paradigms), len(seeds), len(steps))
    return {name: dict(zip(paradigms, table[name].to_numpy().reshape(shape), strict=True)) for name in columns}


def need(frame: pl.DataFrame, columns: Iterable[str], what: str) -> None:
    """Raises OntogenyError naming the first column that `frame` lacks, and the nearest that it has."""
    for column in columns:
        if column not in frame.columns:
            raise OntogenyError(f"{what} have no column {column!r}; {nearest(column, frame.columns)}")


def check_accuracies(frame: pl.DataFrame) -> None:
    """Raises OntogenyError for the first accuracy that is null, not a number or outside 0 to 1."""
    wrong = frame.filter(pl.col("accuracy").is_null() | ~pl.col("accuracy").is_between(0, 1))
    if len(wrong):
        row = wrong.row(0, named=True)
        hint = " (are these percent?)" if (frame["accuracy"].max() or 0) > 1 else ""  # type: ignore[operator]
        raise OntogenyError(
            f"accuracy {row['accuracy']} of {row['paradigm']}, seed {row['seed']}, step {row['step']} is not from 0 to 1{hint}"
        )


def check_doubled(frame: pl.DataFrame, key: Sequence[str]) -> None:
    """Raises OntogenyError for the first combination of `key` that has several rows."""
    if frame.select(key).hash_rows().n_unique() == len(frame):  # all differ for sure; in a seventh of the time
        return
    doubled = frame.group_by(key).len().filter(pl.col("len") > 1).sort(key)
    if len(doubled):
        row = doubled.row(0, named=True)
        raise OntogenyError(f"{row.pop('len')} rows for {', '.join(f'{name} {value}' for name, value in row.items())}")


def _check_scores(scores: pl.DataFrame, key: Sequence[str]) -> None:
    if scores.is_empty():
        raise OntogenyError("the scores have no rows")
    check_doubled(scores, key)
    first, *further = wrong_sides(scores.columns)
    fine = [_finite("good").fill_null(False), _finite(first).fill_null(False), *(_finite(side).fill_null(True) for side in further)]
    wrong = scores.filter(~pl.all_horizontal(fine))
    if len(wrong):
        row = wrong.row(0, named=True)
        raise OntogenyError(f"{', '.join(f'{k} {row[k]}' for k in key)}: a score is no number, or a sentence has no tokens")


def _finite(side: str) -> pl.Expr:
    return pl.col(f"logp_{side}").is_finite() & (pl.col(f"tokens_{side}") > 0)


def _checked_grid(curves: pl.DataFrame) -> tuple[list[int], list[int], list[str]]:
    seeds, steps, paradigms = (curves[name].unique().sort().to_list() for name in ("seed", "step", "paradigm"))
    by_seed = {seed: set(group["step"]) for (seed,), group in curves.select("seed", "step").group_by("seed")}
    for seed in seeds:
        if absent := sorted(set(steps) - by_seed[seed]):
            have = [other for other in seeds if absent[0] in by_seed[other]]
            raise OntogenyError(
                f"seeds differ in their checkpoints: seed {seed} has no step {', '.join(map(str, absent[:5]))}"
                f"{' ...' if len(absent) > 5 else ''}, which seed {have[0]} has"
            )
    if len(curves) != len(seeds) * len(steps) * len(paradigms):
        counts = curves.group_by("paradigm").len().filter(pl.col("len") < len(seeds) * len(steps)).sort("paradigm")
        raise OntogenyError(f"paradigm {counts['paradigm'][0]} lacks some of the {len(seeds)} seeds x {len(steps)} steps")
    sizes = curves.group_by("paradigm").agg(pl.col("n").n_unique()).filter(pl.col("n") > 1).sort("paradigm")
    if len(sizes):
        raise OntogenyError(f"paradigm {sizes['paradigm'][0]} has different numbers of pairs at different checkpoints")
    return seeds, steps, paradigms
