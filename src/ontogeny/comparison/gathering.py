"""Everything the page says of several runs, read from their folders once and brought to the paradigms that all of them have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ontogeny.comparison.against import against, ladder
from ontogeny.comparison.agreement import Floats, Resampled, differences, pairwise, spread
from ontogeny.comparison.bits import HeldOut, bits_per_word, has_next_token_loss, held_out
from ontogeny.comparison.differing import Differing, differing
from ontogeny.comparison.names import check_differ, parted
from ontogeny.disk import content_key, table_metadata
from ontogeny.estimators.resampling import cluster_sums
from ontogeny.evidence.laws import components
from ontogeny.judging import ScoredPairs
from ontogeny.pages.words import count, enumerated, listed
from ontogeny.readers import recipe_of
from ontogeny.recipe import Observation, Recipe
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.results import Results
from ontogeny.scoring.options import CHANCE
from ontogeny.store import RunFolder, read_tables
from ontogeny.trajectories.cases import WindowMean, arrange
from ontogeny.trajectories.evidence import FIRM
from ontogeny.trajectories.verdicts import VERDICTS

SETTLES_AFTER = 10  # steps: the first ones wait for memory and, where it is compiled, for the compiler


@dataclass(frozen=True, slots=True, eq=False)
class ComparedRun:
    """One run, read on one suite."""

    label: str
    results: Results
    recipe: Observation
    verdicts: pl.DataFrame  # a row a paradigm, by name
    curves: pl.DataFrame
    held_out: HeldOut | None
    pairs: Mapping[str, str]  # paradigm: key of its pairs; empty where they are not kept

    @property
    def folder(self) -> RunFolder:
        """Where it is."""
        return self.results.folder

    @property
    def last(self) -> int:
        """Step of the last checkpoint."""
        return int(self.curves["step"].max())  # type: ignore[arg-type]

    @property
    def seeds(self) -> list[int]:
        """Those that were read at the last checkpoint."""
        found: list[int] = self.curves.filter(step=self.last)["seed"].unique().sort().to_list()
        return found

    @property
    def causal(self) -> bool:
        """Whether its dev loss is that of a next token."""
        return isinstance(self.recipe, Recipe) and has_next_token_loss(self.recipe)

    @property
    def bits(self) -> float | None:
        """Bits per word of one nat a token; None where its loss is not one of the next token, or the text is not kept."""
        text = self.held_out
        return None if text is None or not self.causal or not text.words else bits_per_word(1.0, text.predictions, text.words)

    def accuracy(self, paradigms: Sequence[str]) -> Floats:
        """Accuracy at the last checkpoint: (seeds, paradigms)."""
        last = self.curves.filter(step=self.last).pivot("paradigm", index="seed", values="accuracy").sort("seed")
        return last.select(paradigms).to_numpy().astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class RunComparison:
    """Runs beside one another."""

    title: str
    suite: str
    reads: tuple[ComparedRun, ...]
    paradigms: tuple[str, ...]  # that all runs have, by field and phenomenon
    differing: Differing
    runs: pl.DataFrame  # a row a run
    cells: pl.DataFrame  # a row a paradigm and run
    pairs: pl.DataFrame  # a row for every two runs: agreement.pairwise
    differences: pl.DataFrame  # a row a paradigm and run after the first: agreement.differences
    curves: pl.DataFrame  # a row a run, seed and checkpoint: words, accuracy, dev_loss, bits_per_word, each outcome and rung
    outcomes: tuple[str, ...]  # what instruments read, as INSTRUMENT.COLUMN
    spread: pl.DataFrame  # a row a run with several seeds, yardsticks too
    against: pl.DataFrame  # a row for each paradigm that bigrams get wrong, and run: against.AGAINST
    notes: tuple[str, ...]

    @property
    def labels(self) -> list[str]:
        """The runs' short names."""
        return [read.label for read in self.reads]

    @property
    def components(self) -> pl.DataFrame:
        """Principal components of the paradigms' last accuracies over runs (PARTS); of fewer than three runs there are none."""
        return components(self.cells.with_columns(suite=pl.lit(self.suite)), ("run",))

    @property
    def same_text(self) -> bool:
        """Whether all losses that are known are of one held-out text."""
        return len(texts(self.reads)) < 2


def gather(
    paths: Sequence[Path],
    suite: str | None = None,
    title: str | None = None,
    yardsticks: Sequence[Path] = (),
    outcomes: Sequence[str] = (),
) -> RunComparison:
    """Reads the runs.  `yardsticks`: runs of which only the spread between seeds is wanted.  `outcomes`: what instruments read, as
    INSTRUMENT.COLUMN; none: all that all runs have of one value a checkpoint.

    Raises OntogenyError for fewer than two runs, names that are there twice, a run without verdicts or without an outcome, and runs
    that share no suite or no paradigm.
    """
    check_differ(paths)
    if len(yardsticks) > 1:
        check_differ(yardsticks)
    common, labels = parted([path.resolve().name for path in paths])
    labels += [f"yardstick: {path.resolve().name}" for path in yardsticks]
    results = [Results(RunFolder.existing(path)) for path in (*paths, *yardsticks)]
    suite = shared_suite(results, suite)
    every = [_read(own, label, suite) for own, label in zip(results, labels, strict=True)]
    reads, rulers = tuple(every[: len(paths)]), every[len(paths) :]
    paradigms = _shared(reads, suite)
    among = [ruler for ruler in rulers if set(paradigms) <= set(ruler.verdicts["paradigm"])]
    lacking = [ruler.folder.name for ruler in rulers if ruler not in among]
    accuracy = {read.label: read.accuracy(paradigms) for read in (*reads, *among)}
    cells = {read.label: _cells(read, paradigms) for read in (*reads, *among)}
    seeds = {label: part["seed_verdicts"].to_list() for label, part in cells.items()}
    own = {read.label: cells[read.label] for read in reads}
    verdicts, wrong = ({label: part[name].to_list() for label, part in own.items()} for name in ("verdict", "ends_wrong"))
    resampled = Resampled({label: accuracy[label] for label in own})
    chosen = tuple(outcomes) or shared_outcomes(reads)
    return RunComparison(
        title=title or common or enumerated(list(own)),
        suite=suite,
        reads=reads,
        paradigms=paradigms,
        differing=differing([read.recipe.model_dump(mode="json") for read in reads]),
        runs=pl.DataFrame(
            [_run(read, own[read.label], accuracy[read.label], resampled) for read in reads], schema_overrides=PERHAPS
        ),
        cells=pl.concat(own.values()),
        pairs=pairwise(verdicts, seeds, accuracy, wrong, resampled),
        differences=differences(
            {read.label: _at_last(read, suite, paradigms, accuracy[read.label]) for read in reads},
            paradigms,
            {read.label: [read.pairs.get(name) for name in paradigms] for read in reads},
        ),
        curves=pl.concat((_curves(read, paradigms, suite, chosen) for read in reads), how="diagonal"),
        outcomes=chosen,
        spread=spread(seeds, accuracy),
        against=against(reads, suite, paradigms),
        notes=(
            *_notes(reads, paradigms),
            *([f"No yardstick, as it lacks some of these paradigms: {enumerated(lacking)}."] if lacking else []),
        ),
    )


def shared_outcomes(reads: Sequence[ComparedRun]) -> tuple[str, ...]:
    """What instruments read of all runs, of one value a checkpoint or paradigm."""
    first, *others = (read.results.outcomes() for read in reads)
    return tuple(name for name in first if all(name in other for other in others))


def shared_suite(runs: Sequence[Results], wanted: str | None) -> str:
    """The suite to compare on: the one that is wanted, or the first that all runs were judged on."""
    known = [_judged(run) for run in runs]
    shared = [name for name in known[0] if all(name in own for own in known)]
    if wanted is None and shared:
        return shared[0]
    if wanted in shared:
        return str(wanted)
    there = "; ".join(f"{run.folder.path}: {', '.join(own)}" for run, own in zip(runs, known, strict=True))
    if wanted is None:
        raise OntogenyError(f"these runs share no suite ({there})")
    hint = nearest(wanted, shared) if shared else "they share none"
    raise OntogenyError(f"not all of these runs were judged on {wanted!r}; {hint} ({there})")


def _judged(run: Results) -> list[str]:
    """Suites that a run has verdicts on, in their order.  Raises OntogenyError that says what to run where there are none."""
    folder = run.folder
    if run.verdicts is None:
        if folder.correlations.exists():
            raise OntogenyError(f"{folder.path} has graded items alone, which have correlations and no verdicts to compare")
        scored = any(folder.scored(seed, suite) for seed in folder.seeds() for suite in folder.suites())
        first = "" if scored else f"ontogeny score {folder.path}, then "
        raise OntogenyError(f"{folder.path} has no verdicts; run: {first}ontogeny verdicts {folder.path}")
    found: list[str] = run.verdicts["suite"].unique(maintain_order=True).to_list()
    return found


def _read(results: Results, label: str, suite: str) -> ComparedRun:
    recipe = recipe_of(results.folder)
    assert results.verdicts is not None
    if (curves := results.curves.filter(suite=suite)).is_empty():
        raise OntogenyError(f"{results.folder.path} has no curves on {suite}; run: ontogeny verdicts {results.folder.path}")
    return ComparedRun(
        label=label,
        results=results,
        recipe=recipe,
        verdicts=results.verdicts.filter(suite=suite).sort("paradigm"),
        curves=curves,
        held_out=held_out(results.folder, recipe) if isinstance(recipe, Recipe) else None,
        pairs=_keys(results.pairs(suite)),
    )


def _keys(pairs: pl.DataFrame | None) -> dict[str, str]:
    """Paradigm: a key that changes with any of its pairs."""
    if pairs is None:
        return {}
    asked = [name for name in ("paradigm", "pair", "good", "bad", "context", "more", "human") if name in pairs.columns]
    table = pairs.select(asked).sort("paradigm", "pair")
    return {str(name): content_key(part.rows()) for (name,), part in table.group_by("paradigm", maintain_order=True)}


def _shared(reads: Sequence[ComparedRun], suite: str) -> tuple[str, ...]:
    """Paradigms that all runs have, by field, phenomenon and name."""
    first, *others = reads
    there = set(first.verdicts["paradigm"]).intersection(*(other.verdicts["paradigm"] for other in others))
    if not there:
        known = "; ".join(f"{read.label}: {listed(read.verdicts['paradigm'].to_list())}" for read in reads)
        raise OntogenyError(f"these runs share no paradigm of {suite} ({known})")
    order = [name for name in ("field", "phenomenon") if name in first.verdicts.columns]
    return tuple(first.verdicts.filter(pl.col("paradigm").is_in(list(there))).sort(*order, "paradigm")["paradigm"])


# --- tables -------------------------------------------------------------------------------------------------------

PERHAPS = {  # columns of the table of runs that no run may have
    **dict.fromkeys(("parameters", "epoch_tokens", "epoch_words", "peak_memory", "firm"), pl.Int64),
    **dict.fromkeys(("words", "dev_loss", "bits_per_word", "dev_unknown", "accuracy_sd", "tokens_per_second"), pl.Float64),
}
LOSSES = {"seed": pl.Int64, "step": pl.Int64, "dev_loss": pl.Float64}


def _run(read: ComparedRun, cells: pl.DataFrame, accuracy: Floats, resampled: Resampled) -> dict[str, Any]:
    """A row of the table of runs."""
    section = read.results.section
    losses = [loss for (_, step), loss in read.results.dev_losses().items() if step == read.last]
    loss = float(np.mean(losses)) if losses else None
    low, high = resampled.mean(read.label)
    by_seed, counts = accuracy.mean(axis=1), dict(cells["verdict"].value_counts().iter_rows())
    words = read.curves.filter(step=read.last)["words"].mean() if "words" in read.curves.columns else None
    return {
        "run": read.label,
        "folder": read.folder.name,
        "seeds": len(accuracy),
        "parameters": section("training", "parameters"),
        "epoch_tokens": section("tokens", "train", "tokens"),
        "epoch_words": section("tokens", "train", "words"),
        "steps": read.last,
        "words": words,
        "dev_loss": loss,
        "next_token": read.causal,
        "bits_per_word": None if loss is None or read.bits is None else loss * read.bits,
        "dev_unknown": read.held_out.unknown if read.held_out else None,
        "accuracy": float(accuracy.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "accuracy_sd": float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None,
        "ends_wrong": int(cells["ends_wrong"].sum()),
        "tokens_per_second": speed(read.results),
        "peak_memory": max((int(size) for size in (section("peak_memory") or {}).values() if size), default=None),
        "firm": int(cells["standing"].eq(FIRM).sum()) if len(accuracy) > 1 and cells["standing"].count() else None,
        **{verdict: counts.get(verdict, 0) for verdict in VERDICTS},
    }


def speed(run: Results) -> float | None:
    """Tokens a second in training: the median over the steps of all seeds, each seed's first ten left out; None for fewer steps.

    Only what the steps themselves took: neither checkpoints that are written nor scores that are made in between.
    """
    if run.losses is None:
        return None
    tokens, place = pl.col("tokens").diff().over("seed"), pl.int_range(pl.len()).over("seed")
    steps = run.losses.sort("seed", "step").select("seconds", tokens=tokens, place=place)
    kept = steps.filter(pl.col("place") >= SETTLES_AFTER, pl.col("seconds") > 0)
    median = kept.select((pl.col("tokens") / pl.col("seconds")).median()).item()
    return None if median is None else float(median)


def _cells(read: ComparedRun, paradigms: Sequence[str]) -> pl.DataFrame:
    """Of one run, in the order of the paradigms: run, paradigm, phenomenon, n, verdict, accuracy, late mean, and who said what.

    `ends_wrong`: the late window's state is -1.  `seed_verdicts`: each seed's verdict; the run's own where there is but one seed.
    """
    last = read.curves.filter(step=read.last).group_by("paradigm").agg(pl.col("accuracy").mean())
    several = pl.col("seed_verdicts").list.len() > 0
    joined = pl.DataFrame({"paradigm": list(paradigms)})
    for table in (read.verdicts, last):
        joined = joined.join(table, on="paradigm", how="left", maintain_order="left")
    return joined.select(
        pl.lit(read.label).alias("run"),
        "paradigm",
        pl.col("phenomenon").cast(pl.String),
        pl.col("n").cast(pl.Int64),
        *("verdict", "standing", "reason", "accuracy", "early_mean", "late_mean", "late_low", "late_high"),
        pl.col("late_state").cast(pl.Int64),
        (pl.col("late_state") == -1).fill_null(False).alias("ends_wrong"),
        pl.when(several).then("seed_verdicts").otherwise(pl.concat_list("verdict")).alias("seed_verdicts"),
    )


def _at_last(read: ComparedRun, suite: str, paradigms: Sequence[str], accuracy: Floats) -> list[WindowMean]:
    """What is known of each paradigm at the last checkpoint: its pairs' outcomes; accuracies alone where no scores are kept."""
    sizes, pairs = dict(read.verdicts.select("paradigm", "n").iter_rows()), read.results.pairs(suite)
    kept = all(read.folder.scores(seed, suite, read.last).exists() for seed in read.seeds)
    found = {name: WindowMean(accuracy[:, place], None, int(sizes[name]), CHANCE) for place, name in enumerate(paradigms)}
    if kept and pairs is not None and "contrast" in pairs.columns:
        with ScoredPairs(read.folder, suite) as pairs_of:
            pairs_of.keep(read_tables({(seed, read.last): read.folder.scores(seed, suite, read.last) for seed in read.seeds}))
            for name in sorted(paradigms):
                own = arrange(pairs_of(name), name, read.seeds, [read.last], read.recipe.verdicts)
                sums, clusters = cluster_sums(own.outcome[:, 0], own.units)
                if not np.isnan(sums).any():
                    found[name] = replace(found[name], sums=sums, sizes=clusters)
    return [found[name] for name in paradigms]


def _curves(read: ComparedRun, paradigms: Sequence[str], suite: str, outcomes: Sequence[str]) -> pl.DataFrame:
    """run, seed, step, words, accuracy (mean of paradigms), dev_loss, bits_per_word, rungs, outcomes; by seed and step."""
    own = read.curves.filter(pl.col("paradigm").is_in(list(paradigms)))
    words = pl.col("words").mean().cast(pl.Float64) if "words" in own.columns else pl.lit(None, pl.Float64).alias("words")
    means = own.group_by("seed", "step").agg(words, pl.col("accuracy").mean()).sort("seed", "step")
    curves = means.select(pl.lit(read.label).alias("run"), pl.col("seed", "step").cast(pl.Int64), "words", "accuracy")
    losses = pl.DataFrame(schema=LOSSES) if read.results.dev is None else read.results.dev.rename({"loss": "dev_loss"})
    curves = curves.join(losses, on=["seed", "step"], how="left", maintain_order="left")
    curves = curves.with_columns(bits_per_word=pl.col("dev_loss") * pl.lit(read.bits, pl.Float64))
    curves = curves.join(ladder(read, suite), on=["seed", "step"], how="left", maintain_order="left")
    for name in outcomes:
        curves = curves.join(_outcome(read, name, paradigms, suite), on=["seed", "step"], how="left", maintain_order="left")
    return curves


def _outcome(read: ComparedRun, name: str, paradigms: Sequence[str], suite: str) -> pl.DataFrame:
    """seed, step and the outcome; of paradigms, the mean over those that all runs share."""
    found = read.results.outcome(name)
    for column, kept in (("suite", [suite]), ("paradigm", list(paradigms))):
        found = found.filter(pl.col(column).is_in(kept)) if column in found.columns else found
    return found.group_by("seed", "step").agg(pl.col("value").mean().alias(name))


def weights(read: ComparedRun, suite: str) -> str | None:
    """The hash of the weights that the last scores of the first seed were read off."""
    path = read.folder.scores(read.seeds[0], suite, read.last)
    return table_metadata(path).get("weights") if path.exists() else None


# --- what a reader should know ------------------------------------------------------------------------------------


def _notes(reads: Sequence[ComparedRun], paradigms: Sequence[str]) -> list[str]:
    return [
        note for notes in (_coverage, _items, _pairs, _texts, _unknown, _rules, _unfinished) for note in notes(reads, paradigms)
    ]


def _coverage(reads: Sequence[ComparedRun], paradigms: Sequence[str]) -> list[str]:
    more = [f"{read.label} has {len(read.verdicts)}" for read in reads if len(read.verdicts) > len(paradigms)]
    if not more:
        return []
    named = f" ({', '.join(paradigms)})" if len(paradigms) <= 12 else ""
    number = len(paradigms)
    return [f"Not all runs were read on the same paradigms ({', '.join(more)}): compared are the {number} that all have{named}."]


def _items(reads: Sequence[ComparedRun], paradigms: Sequence[str]) -> list[str]:
    """Where items are not one right and one wrong sentence."""
    notes, curves = [], reads[0].curves
    if "chance" in curves.columns:
        own = curves.filter(pl.col("paradigm").is_in(list(paradigms)), pl.col("chance") != CHANCE)
        chances = own.select("paradigm", "chance").unique().sort("paradigm").iter_rows()
        if said := [f"{paradigm} {chance:.2g}" for paradigm, chance in chances]:
            notes.append(f"Chance is not one half where items have more options ({', '.join(said)}); the figures' dashed line is.")
    if graded := [read.label for read in reads if read.folder.correlations.exists()]:
        notes.append(f"Graded items have correlations and no verdicts, and are not compared ({', '.join(graded)}).")
    return notes


def _pairs(reads: Sequence[ComparedRun], paradigms: Sequence[str]) -> list[str]:
    """Where a paradigm has other pairs in another run, or another number of them."""
    if not all(read.pairs for read in reads):
        unknown = [read.label for read in reads if not read.pairs]
        return [f"Whether all runs were read on the same pairs is not known: {enumerated(unknown)} kept none."]
    others = [name for name in paradigms if len({read.pairs.get(name) for read in reads}) > 1]
    if not others:
        return []
    numbers = {read.label: int(read.verdicts.filter(pl.col("paradigm").is_in(others))["n"].sum()) for read in reads}
    said = ", ".join(f"{name} {number:,}" for name, number in numbers.items())
    return [f"The pairs of {count(len(others), 'paradigm')} are not the same in all runs ({listed(others)}; pairs: {said})."]


def texts(reads: Sequence[ComparedRun]) -> set[tuple[int, int]]:
    """The held-out texts of models that predict a next token, by their documents and words."""
    return {read.held_out.text for read in reads if read.held_out is not None and read.causal}


def _texts(reads: Sequence[ComparedRun], paradigms: Sequence[str]) -> list[str]:
    if len(texts(reads)) < 2:
        return []
    sizes = ", ".join(f"{read.label} {read.held_out.text[1]:,} words" for read in reads if read.held_out and read.causal)
    return [f"Bits per word are of different held-out texts, and do not compare: {sizes}."]


def _percent(share: float) -> str:
    """Of something that is there: never 0.0%."""
    return f"{share:.1%}" if share >= 0.001 else "less than 0.1%"


def _unknown(reads: Sequence[ComparedRun], paradigms: Sequence[str]) -> list[str]:
    found = [
        f"{read.label} ({_percent(read.held_out.unknown)} of its tokens)"
        for read in reads
        if read.held_out is not None and read.causal and read.held_out.unknown
    ]
    if not found:
        return []
    return [
        f"Bits per word are too low where a tokenizer writes <unk> in the held-out text: {enumerated(found)}. Which word "
        "stood there is never asked."
    ]


def _rules(reads: Sequence[ComparedRun], paradigms: Sequence[str]) -> list[str]:
    """Settings that verdicts depend on, other than the model and its training."""
    keys = {
        "verdicts": {content_key(read.recipe.verdicts) for read in reads},
        "bos": {content_key(read.recipe.bos) for read in reads},
        "scoring": {content_key(read.recipe.scoring.leading_space, read.recipe.scoring.precision) for read in reads},
    }
    apart = [name for name, found in keys.items() if len(found) > 1]
    said = f"The runs were not judged alike: their recipes differ in {enumerated(apart)}, of which verdicts can depend."
    return [said] if apart else []


def _unfinished(reads: Sequence[ComparedRun], paradigms: Sequence[str]) -> list[str]:
    planned = {read.label: (read.last, read.results.section("training", "steps") or read.last) for read in reads}
    short = [f"{label} up to step {at:,} of {of:,}" for label, (at, of) in planned.items() if at < of]
    return [f"Not read to their end: {enumerated(short)}."] if short else []
