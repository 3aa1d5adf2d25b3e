"""From a run's scores to its tables of curves and verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import polars as pl

from ontogeny import recipe as recipes
from ontogeny import store
from ontogeny.display import Display
from ontogeny.instruments.dev_loss import DevLoss
from ontogeny.recipe import Observation, Thresholds
from ontogeny.records import OntogenyError, Suite
from ontogeny.results import Results, score_keys, seeds_alike
from ontogeny.scoring import settled
from ontogeny.store import RunFolder
from ontogeny.trajectories import (
    Timeline,
    curve,
    judge,
    null,
    read_accuracy_table,
    sensitivity,
    timeline_of,
    without_common_prefix,
)
from ontogeny.trajectories.cases import PairsOf


def judge_run(folder: RunFolder, recipe: Observation, display: Display) -> pl.DataFrame:
    """Judges every suite over all seeds that have been read as far as the furthest; writes curves, verdicts and sensitivity.

    Raises OntogenyError if nothing has been scored.
    """
    curves, verdicts, variants = [], [], []
    for suite in (cast(Suite, part).name for part in recipe.suites):
        seeds = _seeds_alike(folder, suite, display)
        if not seeds:
            continue
        found = curves_of(folder, suite, recipe)
        time = _results(folder).timeline(found.filter(pl.col("seed").is_in(seeds)))
        pairs_of = _Pairs(folder, suite, seeds)
        own = found.filter(pl.col("seed").is_in(seeds))
        with display.bar(f"verdicts on {suite}", own["paradigm"].n_unique(), "paradigms") as advance:
            table = judge(own, time, recipe.verdicts, pairs_of)
            advance(len(table))
        variants.append(sensitivity(own, time, recipe.verdicts, pairs_of).with_columns(suite=pl.lit(suite)))
        human = folder.lineage().get("suites", {}).get(suite, {}).get("human", {})
        verdicts.append(table.with_columns(human=pl.col("paradigm").replace_strict(human, default=None, return_dtype=pl.Float64)))
        curves.append(found)
        facts = {"nulls": {suite: _null(own, time, recipe.verdicts, pairs_of)}} if recipe.verdicts.swaps else {}
        folder.note(timeline=asdict(time) | {"steps": list(time.steps)}, **facts)
        _say_settled(own, suite, display)
    if not verdicts:
        raise OntogenyError(f"{folder.path} has no scores to judge; run: ontogeny score {folder.path}")
    store.write_table(folder.curves, pl.concat(curves))
    store.write_table(folder.sensitivity, pl.concat(variants))
    store.write_table(folder.verdicts, pl.concat(verdicts), {"made_of": made_of(folder, recipe)})
    return pl.concat(verdicts)


def _results(folder: RunFolder) -> Results:
    """A run, interpreted.  Raises OntogenyError where the dev loss cannot be read, which decides where *untrained* ends."""
    results = Results(folder)
    if said := results.broken.get(DevLoss.NAME):
        raise OntogenyError(said)
    return results


def made_of(folder: RunFolder, recipe: Observation) -> str:
    """The content key of what verdicts are made of: every table of scores, the pairs, the clock, the thresholds."""
    files = []
    for suite in (cast(Suite, part).name for part in recipe.suites):
        files.append(folder.pairs(suite))
        files += [folder.scores(seed, suite, step) for seed in folder.seeds() for step in folder.scored(seed, suite)]
    files += [folder.reading(DevLoss.NAME, seed, c.step) for seed in folder.seeds() for c in folder.checkpoints(seed)]
    hashes = [(str(file.relative_to(folder.path)), store.file_hash(file)) for file in files if file.exists()]
    return store.content_key(hashes, folder.lineage().get("training"), recipe.verdicts)


def judged(folder: RunFolder, recipe: Observation) -> bool:
    """True if the verdicts that are there were made of what is there now."""
    return folder.verdicts.exists() and store.table_metadata(folder.verdicts).get("made_of") == made_of(folder, recipe)


def _null(curves: pl.DataFrame, time: Timeline, thresholds: Thresholds, pairs_of: PairsOf) -> dict[str, Any]:
    """The null of a suite for the lineage, or why it has none: a swap of pairs that were not read would have read others."""
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


def curves_of(folder: RunFolder, suite: str, recipe: Observation) -> pl.DataFrame:
    """A row a paradigm, checkpoint and seed, each checkpoint's table read by itself.

    `n` counts the pairs that there are, `read` those that the row was computed from: fewer where they were read until settled.

    Raises OntogenyError if a table holds scores of other pairs than the run's, or made otherwise.
    """
    keys = score_keys(folder, suite, recipe)
    about = store.read_table(folder.pairs(suite)).select("paradigm", "phenomenon", "field").unique("paradigm")
    when = {(seed, c.step): c for seed in folder.seeds() for c in folder.checkpoints(seed)}
    rows = []
    for seed in folder.seeds():
        for step in folder.scored(seed, suite):
            path, known = folder.scores(seed, suite, step), when.get((seed, step))
            facts = store.table_metadata(path)
            if facts.get("key") not in keys:
                raise OntogenyError(
                    f"{path} was scored on other pairs, or otherwise, than the recipe has now; run: ontogeny score {folder.path}"
                )
            clock = {
                "suite": pl.lit(suite),
                "seed": pl.lit(seed, pl.Int64),
                "step": pl.lit(step, pl.Int64),
                "tokens": pl.lit(known.tokens if known else None, pl.Int64),
                "words": pl.lit(known.words if known else None, pl.Float64),
            }
            own = curve(store.read_table(path), recipe.verdicts.tie, recipe.verdicts.tie_counts).with_columns(
                read=pl.col("n"), **clock
            )
            if (sizes := settled.sizes(facts)) is not None:
                own = own.with_columns(n=pl.col("paradigm").replace_strict(sizes, return_dtype=pl.UInt32))
            rows.append(own)
    return pl.concat(rows).join(about, on="paradigm", how="left").sort("paradigm", "seed", "step")


def _seeds_alike(folder: RunFolder, suite: str, display: Display) -> list[int]:
    """Seeds that have been read at the same checkpoints as the one read furthest; the others are named and left for later."""
    read = {seed: folder.scored(seed, suite) for seed in folder.seeds()}
    alike = seeds_alike(read)
    if others := [seed for seed, steps in read.items() if steps and seed not in alike]:
        display.warn(
            f"{suite}: seeds {others} have been read at other checkpoints than seeds {alike} and wait; verdicts are over {alike}"
        )
    return alike


class _Pairs:
    """All scores of one paradigm with the contrast that clusters its pairs; one paradigm at a time.

    A pair that was not read at a checkpoint has a row without scores there.
    """

    def __init__(self, folder: RunFolder, suite: str, seeds: list[int]):
        self.scores = folder.scan_scores(suite)
        self.contrasts = store.scan_table(folder.pairs(suite)).select("paradigm", "pair", "contrast")
        self.seeds = seeds

    def __call__(self, paradigm: str) -> pl.DataFrame:
        assert self.scores is not None
        own = self.scores.filter((pl.col("paradigm") == paradigm) & pl.col("seed").is_in(self.seeds))
        columns = ("seed", "step", "pair", "contrast", "logp_good", "logp_bad", "tokens_good", "tokens_bad")
        found = own.join(self.contrasts, on=["paradigm", "pair"], how="left").select(*columns).collect()
        pairs, moments = found.select("pair", "contrast").unique(), found.select("seed", "step").unique()
        if len(found) == len(pairs) * len(moments):
            return found
        every = moments.join(pairs, how="cross")
        return every.join(found.drop("contrast"), on=["seed", "step", "pair"], how="left").select(*columns)


def judge_table(source: Path, settings: Sequence[str], out: Path | None, display: Display) -> pl.DataFrame:
    """Verdicts of a plain table of accuracies (paradigm, step, seed, accuracy); `out`: a parquet file to write them to.

    Settings are a recipe's: verdicts.early=0.05, and total_steps=N where training went on after the last row.
    """
    raw: dict[str, Any] = {"verdicts": {}}
    for setting in settings:
        recipes.override(raw, setting)
    total = raw.pop("total_steps", None)
    if total is not None and (isinstance(total, bool) or not isinstance(total, int)):
        raise OntogenyError(f"--set total_steps={total}: it is a whole number of steps")
    if unknown := [name for name in raw if name != "verdicts"]:
        raise OntogenyError(f"--set {unknown[0]}: a table takes verdicts.NAME and total_steps only")
    thresholds = recipes.build(Thresholds, raw["verdicts"], "--set verdicts")
    curves, prefix = without_common_prefix(read_accuracy_table(source, say=display.say))
    if prefix:
        display.say(f"{source}: all paradigms begin with {prefix!r}, which is left out")
    time = timeline_of(curves, total)
    table = judge(curves, time, thresholds).with_columns(suite=pl.lit(source.stem), human=pl.lit(None, pl.Float64))
    counts = table["verdict"].value_counts().sort("count", descending=True)
    display.say(
        f"{len(table)} paradigms, {len(time.steps)} checkpoints to step {time.total:,}, {curves['seed'].n_unique()} seeds: "
        + ", ".join(f"{count} {name}" for name, count in counts.iter_rows())
    )
    if out is not None:
        store.write_table(out, table)
        display.say(f"verdicts: {out}")
    return table
