"""From a run's scores to its tables of curves and verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import polars as pl

from ontogeny import disk, store
from ontogeny import recipe as recipes
from ontogeny.display import QUIET, Display
from ontogeny.instruments.dev_loss import DevLoss
from ontogeny.recipe import Observation, Thresholds
from ontogeny.records import OntogenyError, Suite
from ontogeny.results import Results, score_keys
from ontogeny.scoring import settled
from ontogeny.scoring.options import CHANCE, chances, wrong_sides
from ontogeny.scoring.reading import kept_pairs
from ontogeny.store import RunFolder
from ontogeny.trajectories import (
    Timeline,
    correlations,
    curve,
    judge,
    null,
    read_accuracy_table,
    sensitivity,
    timeline_of,
    without_common_prefix,
)
from ontogeny.trajectories.cases import PairsOf
from ontogeny.trajectories.curves import seeds_alike
from ontogeny.trajectories.evidence import tallied
from ontogeny.trajectories.judging import SCHEMA

HELD = 4_000_000  # rows of scores in memory at once, about 80 bytes each


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
        found = curves_of(folder, suite, recipe)
        if found.is_empty():
            continue
        time = _results(folder).timeline(found.filter(pl.col("seed").is_in(seeds)))
        pairs_of = ScoredPairs(folder, suite, seeds)
        own = found.filter(pl.col("seed").is_in(seeds))
        with display.bar(f"verdicts on {suite}", own["paradigm"].n_unique(), "paradigms") as advance:
            table = judge(own, time, recipe.verdicts, pairs_of)
            advance(len(table))
        variants.append(sensitivity(own, time, recipe.verdicts, pairs_of).with_columns(suite=pl.lit(suite)))
        human = folder.lineage().get("suites", {}).get(suite, {}).get("human", {})
        verdicts.append(table.with_columns(human=pl.col("paradigm").replace_strict(human, default=None, return_dtype=pl.Float64)))
        curves.append(found)
        if keep:
            facts = {"nulls": {suite: _null(own, time, recipe.verdicts, pairs_of)}} if recipe.verdicts.swaps else {}
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
    if said := results.broken.get(DevLoss.NAME):
        raise OntogenyError(said)
    return results


def made_of(folder: RunFolder, recipe: Observation) -> str:
    """The content key of what verdicts are made of: scores, pairs, clock and thresholds; and of their columns."""
    files = []
    for suite in (cast(Suite, part).name for part in recipe.suites):
        files.append(folder.pairs(suite))
        files += [folder.scores(seed, suite, step) for seed in folder.seeds() for step in folder.scored(seed, suite)]
    files += [folder.reading(DevLoss.NAME, seed, c.step) for seed in folder.seeds() for c in folder.checkpoints(seed)]
    hashes = [(str(file.relative_to(folder.path)), store.file_hash(file)) for file in files if file.exists()]
    return disk.content_key(hashes, folder.lineage().get("training"), recipe.verdicts, list(SCHEMA))


def judged(folder: RunFolder, recipe: Observation) -> bool:
    """True if the verdicts that are there were made of what is there now."""
    return folder.verdicts.exists() and disk.table_metadata(folder.verdicts).get("made_of") == made_of(folder, recipe)


def _null(curves: pl.DataFrame, time: Timeline, thresholds: Thresholds, pairs_of: PairsOf) -> dict[str, Any]:
    """The null of a suite for the lineage, or why it has none: a swap of pairs that were not read would have read others."""
    if "chance" in curves.columns and (curves["chance"] != CHANCE).any():
        return {"none": "the null exchanges the two sentences of a pair, and some of these items are no pairs of sentences"}
    if (curves["read"] < curves["n"]).any():
        return {"none": "the null needs all pairs at every checkpoint, and these were read until settled"}
    return asdict(null(curves, time, thresholds, pairs_of))


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
    pairs, rows = disk.read_table(folder.pairs(suite)), []
    graded = set(pairs["paradigm"]) - set(_ungraded(pairs)["paradigm"])
    for clocks, every, facts in _scored(folder, suite, recipe, len(pairs), moments):
        scores = every.filter(~pl.col("paradigm").is_in(list(graded))) if graded else every
        if scores.is_empty():
            return scores.clear()
        own = curve(scores, recipe.verdicts.tie, recipe.verdicts.tie_counts).with_columns(read=pl.col("n"))
        rows.append(_of_all(own.join(clocks, on=["seed", "step"]), facts))
    about = _about(_ungraded(pairs))
    return pl.concat(rows).join(about, on="paradigm", how="left").sort("paradigm", "seed", "step")


Facts = dict[tuple[int, int], dict[str, str]]  # by seed and step, what a table says of itself
CLOCK = {"suite": pl.String, "seed": pl.Int64, "step": pl.Int64, "tokens": pl.Int64, "words": pl.Float64}


def _of_all(curves: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """With `n` as the pairs that there are, where a table was read until settled."""
    known = [
        (paradigm, seed, step, n) for (seed, step), said in facts.items() for paradigm, n in (settled.sizes(said) or {}).items()
    ]
    if not known:
        return curves
    sizes = pl.DataFrame(known, {"paradigm": pl.String, "seed": pl.Int64, "step": pl.Int64, "all": pl.UInt32}, orient="row")
    found = curves.join(sizes, on=["paradigm", "seed", "step"], how="left")
    return found.with_columns(n=pl.coalesce("all", "n")).drop("all")


def _ungraded(pairs: pl.DataFrame) -> pl.DataFrame:
    return pairs.filter(pl.col("human").is_null()) if "human" in pairs.columns else pairs


def _about(pairs: pl.DataFrame) -> pl.DataFrame:
    """Phenomenon and field of each paradigm; and chance, where it is not one half for all."""
    about = pairs.select("paradigm", "phenomenon", "field").unique("paradigm")
    if not {"more", "predictions", "written"} & set(pairs.columns):
        return about
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
    most = max(1, HELD // 2 // max(1, pairs))  # what is made of them takes as much again
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
    """All scores of one paradigm with the contrast that clusters its pairs; at these `steps` or at every one.

    Whoever judges asks for one paradigm after the other, alphabetically; every table of scores is read once for as many of them as
    may be held.  A pair that was not read at a checkpoint has a row without scores there.
    """

    def __init__(self, folder: RunFolder, suite: str, seeds: list[int], steps: list[int] | None = None):
        at = {seed: folder.scored(seed, suite) if steps is None else steps for seed in seeds}
        places = {(seed, step): folder.scores(seed, suite, step) for seed in seeds for step in at[seed]}
        self.scores, self.tables = disk.scan_tables(places), len(places)
        self.contrasts = disk.read_table(folder.pairs(suite)).select("paradigm", "pair", "contrast")
        self.held: dict[str, pl.DataFrame] = {}

    def __call__(self, paradigm: str) -> pl.DataFrame:
        """As `PairsOf`."""
        if paradigm not in self.held:
            self.held = self._read(self._together_with(paradigm))
        return _every_pair(self.held[paradigm])

    def _together_with(self, paradigm: str) -> list[str]:
        """This paradigm and those after it, as many as may be held."""
        sizes = self.contrasts.filter(pl.col("paradigm") >= paradigm).group_by("paradigm").len().sort("paradigm")
        fits = (sizes["len"].cum_sum() * self.tables <= HELD) | (sizes["paradigm"] == paradigm)
        return sizes.filter(fits)["paradigm"].to_list()

    def _read(self, wanted: list[str]) -> dict[str, pl.DataFrame]:
        sides = ("good", *wrong_sides(self.scores.collect_schema().names()))
        columns = ("paradigm", "seed", "step", "pair", *(f"{what}_{side}" for what in ("logp", "tokens") for side in sides))
        found = disk.collected(self.scores.filter(pl.col("paradigm").is_in(wanted)).select(columns))
        contrasts = self.contrasts.filter(pl.col("paradigm").is_in(wanted))
        own = found.join(contrasts, on=["paradigm", "pair"], how="left", maintain_order="left")
        parts = own.partition_by("paradigm", as_dict=True, include_key=False)
        return {str(name): part for (name,), part in parts.items()}


def _every_pair(found: pl.DataFrame) -> pl.DataFrame:
    pairs, moments = found.select("pair", "contrast").unique(), found.select("seed", "step").unique()
    if len(found) == len(pairs) * len(moments):
        return found
    every = moments.join(pairs, how="cross")
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
        recipes.override(raw, setting)
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
