"""From a run's scores to its tables of curves and verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import polars as pl

from ontogeny import disk, store, yaml_text
from ontogeny import recipe as recipes
from ontogeny.display import QUIET, Display
from ontogeny.instruments.dev_loss import DevLoss
from ontogeny.recipe import Observation, Thresholds
from ontogeny.records import OntogenyError, Suite
from ontogeny.results import CURVES, Results, score_keys
from ontogeny.scoring import settled
from ontogeny.scoring.options import CHANCE, chances, wrong_sides
from ontogeny.store import RunFolder
from ontogeny.trajectories import (
    correlations,
    curve,
    judge,
    judge_whole,
    read_accuracy_table,
    timeline_of,
    without_common_prefix,
)
from ontogeny.trajectories.curves import seeds_alike
from ontogeny.trajectories.evidence import tallied
from ontogeny.trajectories.judging import SCHEMA

HELD = 250_000  # rows of scores in memory at once, about 80 bytes each, and what is made of them two times as many
SPOOLED = 2**26  # bytes of scores, by paradigm and packed, that are kept in memory


def judge_run(folder: RunFolder, recipe: Observation, display: Display, keep: bool = True) -> pl.DataFrame:
    """Judges every suite over all seeds that have been read as far as the furthest; writes curves, verdicts and sensitivity.

    Not to `keep`: nothing in the run's folder changes, so that other thresholds can be tried.  Paradigms whose items people have
    graded get correlations and no verdict.  Raises OntogenyError if nothing has been scored.
    """
    curves, verdicts, variants, graded = [], [], [], []
    for suite in (cast(Suite, part).name for part in recipe.suites):
        seeds = _seeds_alike(folder, suite, display)
        if not seeds:
            continue
        graded += _graded(folder, suite, recipe, display)
        with ScoredPairs(folder, suite, seeds) as pairs_of:
            found = pairs_of.curves(recipe)
            if found.is_empty():
                continue
            own = found if seeds == folder.seeds() else found.filter(pl.col("seed").is_in(seeds))
            time, none = _results(folder).timeline(own), _no_null(own)
            with display.bar(f"verdicts on {suite}", own["paradigm"].n_unique(), "paradigms") as advance:
                swap = keep and bool(recipe.verdicts.swaps) and not none
                table, tried, swapped = judge_whole(own, time, recipe.verdicts, pairs_of, swap)
                advance(len(table))
        variants.append(tried.with_columns(suite=pl.lit(suite)))
        human = folder.lineage().get("suites", {}).get(suite, {}).get("human", {})
        verdicts.append(table.with_columns(human=pl.col("paradigm").replace_strict(human, default=None, return_dtype=pl.Float64)))
        curves.append(found)
        if keep:
            facts = {"nulls": {suite: asdict(swapped) if swapped else {"none": none}}} if recipe.verdicts.swaps else {}
            folder.note(timeline=asdict(time) | {"steps": list(time.steps)}, **facts)
        _say_settled(own, suite, display)
    if not verdicts and not graded:
        raise OntogenyError(f"{folder.path} has no scores to judge; run: ontogeny score {folder.path}")
    if keep:
        _write(folder.correlations, graded)
        _write(folder.curves, curves)
        _write(folder.sensitivity, variants)
        _write(folder.verdicts, verdicts, {"made_of": made_of(folder, recipe)})
    return _together(verdicts) if verdicts else pl.DataFrame(schema={"suite": pl.String, **SCHEMA, "human": pl.Float64})


def _write(path: Path, frames: Sequence[pl.DataFrame], about: dict[str, str] | None = None) -> None:
    """The suites' frames as one table; none of them: no table, also not one of before."""
    if frames:
        disk.write_table(path, _together(frames), about)
    else:
        path.unlink(missing_ok=True)


def _together(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Some suites may say what chance is, where it is not one half."""
    found = pl.concat(frames, how="diagonal")
    return found.with_columns(pl.col("chance").fill_null(CHANCE)) if "chance" in found.columns else found


def _results(folder: RunFolder) -> Results:
    """A run, interpreted.  Raises OntogenyError where the dev loss cannot be read, which decides where *untrained* ends."""
    results = Results(folder)
    if said := results.fault(DevLoss.NAME):
        raise OntogenyError(said)
    return results


def made_of(folder: RunFolder, recipe: Observation) -> str:
    """The content key of what verdicts are made of: scores, pairs, clock and thresholds; and of their columns."""
    files = []
    for suite in (cast(Suite, part).name for part in recipe.suites):
        files.append(folder.pairs(suite))
        files += [folder.scores(seed, suite, step) for seed in folder.seeds() for step in folder.scored(seed, suite)]
    files += [folder.reading(DevLoss.NAME, seed, step) for seed in folder.seeds() for step in folder.steps(seed)]
    hashes = [
        (file.as_posix().removeprefix(f"{folder.path.as_posix()}/"), store.file_hash(file)) for file in files if file.exists()
    ]
    return disk.content_key(hashes, folder.lineage().get("training"), recipe.verdicts, list(SCHEMA))


def judged(folder: RunFolder, recipe: Observation) -> bool:
    """True if the verdicts that are there were made of what is there now."""
    return folder.verdicts.exists() and disk.table_metadata(folder.verdicts).get("made_of") == made_of(folder, recipe)


def _no_null(curves: pl.DataFrame) -> str:
    """Why a suite has no null, if it has none: a swap of pairs that were not read would have read others."""
    if "chance" in curves.columns and (curves["chance"] != CHANCE).any():
        return "the null exchanges the two sentences of a pair, and some of these items are no pairs of sentences"
    unread = (curves["read"] < curves["n"]).any()
    return "the null needs all pairs at every checkpoint, and these were read until settled" if unread else ""


def _say_settled(curves: pl.DataFrame, suite: str, display: Display) -> None:
    read, pairs = int(curves["read"].sum()), int(curves["n"].sum())
    if read < pairs:
        display.say(
            f"{suite}: read until settled, {read / pairs:.0%} of all pairs over the checkpoints; accuracies before the last are "
            "estimates, and there is no null"
        )


def curves_of(folder: RunFolder, suite: str, recipe: Observation, moments: Sequence[tuple[int, int]] | None = None) -> pl.DataFrame:
    """A row a paradigm, checkpoint and seed, each checkpoint's table read by itself; no row for paradigms that people have graded.

    Of these `moments` (seed and step), or of every one that was scored.

    `n` counts the pairs that there are, `read` those that the row was computed from: fewer where they were read until settled.
    `chance` is there where that is not one half for all.

    Raises OntogenyError if a table holds scores of other pairs than the run's, or made otherwise.
    """
    with ScoredPairs(folder, suite) as scored:
        return scored.curves(recipe, moments)


Facts = dict[tuple[int, int], dict[str, str]]  # by seed and step, what a table says of itself
CLOCK = {"suite": pl.String, "seed": pl.Int64, "step": pl.Int64, "tokens": pl.Int64, "words": pl.Float64}
SIZES = {"paradigm": pl.String, "seed": pl.Int64, "step": pl.Int64, "all": pl.UInt32}


def _sizes(facts: Facts) -> pl.DataFrame:
    """The pairs that there are, where a table was read until settled."""
    known = [
        (paradigm, seed, step, n) for (seed, step), said in facts.items() for paradigm, n in (settled.sizes(said) or {}).items()
    ]
    return pl.DataFrame(known, SIZES, orient="row")


def _ungraded(pairs: pl.DataFrame) -> pl.DataFrame:
    return pairs.filter(pl.col("human").is_null()) if "human" in pairs.columns else pairs


def _about(pairs: pl.DataFrame) -> pl.DataFrame:
    """Phenomenon and field of each paradigm; and chance, where it is not one half for all."""
    about = pairs.select("paradigm", "phenomenon", "field").unique("paradigm")
    if not {"more", "predictions", "written"} & set(pairs.columns):
        return about
    from ontogeny.scoring.reading import kept_pairs  # with torch, which judging has no other use for

    chance = pl.col("paradigm").replace_strict(chances(kept_pairs(pairs)), return_dtype=pl.Float64)
    return about.with_columns(chance=chance) if about.select((chance != CHANCE).any()).item() else about


def _scored(
    folder: RunFolder, suite: str, recipe: Observation, pairs: int, moments: Sequence[tuple[int, int]] | None = None
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, Facts]]:
    """Scores of as many checkpoints at once as may be held, with seed and step: when those were, the scores, what tables say of it.

    `pairs`: that each has at most.
    """
    keys = score_keys(folder, suite, recipe)
    when = {(seed, c.step): (c.tokens, c.words) for seed in folder.seeds() for c in folder.checkpoints(seed)}
    scored = [(seed, step) for seed in folder.seeds() for step in folder.scored(seed, suite)]
    every = scored if moments is None else moments
    most = max(1, HELD // max(1, pairs))
    for at in range(0, len(every), most):
        places = {(seed, step): folder.scores(seed, suite, step) for seed, step in every[at : at + most]}
        facts = {moment: disk.table_metadata(path) for moment, path in places.items()}
        if other := next((path for moment, path in places.items() if facts[moment].get("key") not in keys), None):
            raise OntogenyError(
                f"{other} was scored on other pairs, or otherwise, than the recipe has now; run: ontogeny score {folder.path}"
            )
        clocks = [(suite, *moment, *when.get(moment, (None, None))) for moment in places]
        yield pl.DataFrame(clocks, CLOCK, orient="row"), store.read_tables(places), facts


def _graded(folder: RunFolder, suite: str, recipe: Observation, display: Display) -> list[pl.DataFrame]:
    """The correlations of a suite's graded paradigms, if it has any, which the run's page and the terminal are told of."""
    pairs = disk.read_table(folder.pairs(suite))
    if "human" not in pairs.columns:
        return []
    human = pairs.drop_nulls("human").select("paradigm", "pair", "human")
    rows = [
        correlations(own, human).join(clocks.filter(seed=seed, step=step), how="cross")
        for clocks, scores, _ in _scored(folder, suite, recipe, len(pairs))
        for (seed, step), own in scores.group_by("seed", "step", maintain_order=True)
    ]
    found = pl.concat(rows).sort("paradigm", "seed", "step")
    last = found.filter(pl.col("step") == pl.col("step").max()).group_by("paradigm", maintain_order=True).agg(pl.col("rho").mean())
    said = ", ".join(f"{name} {rho:.2f}" if rho is not None else f"{name} none" for name, rho in last.iter_rows())
    display.say(f"{suite}: correlation with people's judgements at the last checkpoint, mean over seeds: {said}")
    graded = f"{len(last)} graded paradigms have a correlation with people's judgements (correlations.parquet) and no verdict"
    folder.note(notes={suite: f"{graded}; at the last checkpoint: {said}."})
    return [found]


def _seeds_alike(folder: RunFolder, suite: str, display: Display) -> list[int]:
    """Seeds that have been read at the same checkpoints as the one read furthest; the others are named and left for later."""
    read = {seed: folder.scored(seed, suite) for seed in folder.seeds()}
    alike = seeds_alike(read)
    if others := [seed for seed, steps in read.items() if steps and seed not in alike]:
        display.warn(
            f"{suite}: seeds {others} have been read at other checkpoints than seeds {alike} and wait; verdicts are over {alike}"
        )
    return alike


class ScoredPairs:
    """All scores of a suite, a paradigm at a time.

    A table of scores has every paradigm of one checkpoint; curves and verdicts want one paradigm at every checkpoint.  So that each
    table is read once, scores are laid down by paradigm.
    """

    def __init__(self, folder: RunFolder, suite: str, seeds: Sequence[int] | None = None):
        """`seeds`: whose pairs are asked for, if not all."""
        self.folder, self.suite, self.seeds = folder, suite, seeds
        self.pairs = disk.read_table(folder.pairs(suite))
        self.scores = disk.LaidDown(SPOOLED)

    def __enter__(self) -> ScoredPairs:
        return self

    def __exit__(self, *error: object) -> None:
        self.scores.__exit__(*error)

    def curves(self, recipe: Observation, moments: Sequence[tuple[int, int]] | None = None) -> pl.DataFrame:
        """As `curves_of`; what was read is kept."""
        graded, clocks, sizes = set(self.pairs["paradigm"]) - set(_ungraded(self.pairs)["paradigm"]), [], []
        for when, scores, facts in _scored(self.folder, self.suite, recipe, len(self.pairs), moments):
            self.keep(scores.filter(~pl.col("paradigm").is_in(list(graded))) if graded else scores)
            clocks.append(when)
            sizes.append(_sizes(facts))
        if not self.scores.names:
            return pl.DataFrame(schema=CURVES)
        clock, every, about = pl.concat(clocks), pl.concat(sizes), _about(_ungraded(self.pairs))
        found = []
        for name in self.scores.names:
            own = curve(self.scores.table(name), recipe.verdicts.tie, recipe.verdicts.tie_counts).with_columns(read=pl.col("n"))
            own = own.join(clock, on=["seed", "step"], maintain_order="left")
            if len(known := every.filter(paradigm=name)):
                own = own.join(known, on=["paradigm", "seed", "step"], how="left", maintain_order="left")
                own = own.with_columns(n=pl.coalesce("all", "n")).drop("all")
            found.append(own.join(about, on="paradigm", how="left", maintain_order="left"))
        return pl.concat(found, rechunk=True).set_sorted("paradigm")  # known to be sorted, groups are summed in one order

    def keep(self, scores: pl.DataFrame) -> None:
        """Scores of some checkpoints, with seed and step."""
        sides = ("good", *wrong_sides(scores.columns))
        columns = ("seed", "step", "paradigm", "pair", *(f"{what}_{side}" for what in ("logp", "tokens") for side in sides))
        for (name,), part in scores.select(columns).partition_by("paradigm", as_dict=True).items():
            self.scores.add(str(name), part)

    def __call__(self, paradigm: str) -> pl.DataFrame:
        """As `PairsOf`, with the contrast that clusters pairs; where a pair was not read at a checkpoint, a row without scores."""
        found, contrasts = self.scores.table(paradigm), self.pairs.filter(paradigm=paradigm).select("pair", "contrast")
        own = found if self.seeds is None else found.filter(pl.col("seed").is_in(self.seeds))
        return _every_pair(own.join(contrasts, on="pair", how="left", maintain_order="left"))


def _every_pair(found: pl.DataFrame) -> pl.DataFrame:
    if len(found) == math.prod(found[name].n_unique() for name in ("seed", "step", "pair")):
        return found
    every = found.select("seed", "step").unique().join(found.select("pair", "contrast").unique(), how="cross")
    return every.join(found.drop("contrast"), on=["seed", "step", "pair"], how="left").select(found.columns)


def _whole_number(raw: dict[str, Any], name: str) -> int | None:
    value = raw.pop(name, None)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise OntogenyError(f"--set {name}={value}: it is a whole number")
    return value


def judge_table(
    source: Path, settings: Sequence[str] = (), out: Path | None = None, display: Display = QUIET, overwrite: bool = False
) -> pl.DataFrame:
    """Verdicts of a plain table of accuracies (paradigm, step, seed, accuracy); `out`: a parquet file to write them to.

    Settings are a recipe's: verdicts.early=0.05; total_steps=N where training went on after the last row, and n=N, the pairs
    of a paradigm, where the table does not say.
    """
    if out is not None:
        disk.check_output(out, overwrite, [".parquet"])
    raw: dict[str, Any] = {"verdicts": {}}
    for setting in settings:
        yaml_text.override(raw, setting)
    total, n = (_whole_number(raw, name) for name in ("total_steps", "n"))
    if unknown := [name for name in raw if name != "verdicts"]:
        raise OntogenyError(f"--set {unknown[0]}: a table takes verdicts.NAME and total_steps only, and n")
    thresholds = recipes.build(Thresholds, raw["verdicts"], "--set verdicts")
    curves, prefix = without_common_prefix(read_accuracy_table(source, n, display.warn))
    if prefix:
        display.say(f"{source}: all paradigms begin with {prefix!r}, which is left out")
    time = timeline_of(curves, total)
    table = judge(curves, time, thresholds).with_columns(suite=pl.lit(source.stem), human=pl.lit(None, pl.Float64))
    display.say(
        f"{len(table)} paradigms, {len(time.steps)} checkpoints to step {time.total:,}, {curves['seed'].n_unique()} seeds: "
        + tallied(table)
    )
    if out is not None:
        disk.write_table(out, table)
        display.say(f"verdicts: {out}")
    return table
