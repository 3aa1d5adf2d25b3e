"""Everything the page says of several runs, read from their folders once and brought to the paradigms that all of them have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ontogeny.comparison.agreement import Floats, Resampled, pairwise, spread
from ontogeny.comparison.bits import HeldOut, bits_per_word, has_next_token_loss, held_out
from ontogeny.comparison.differing import Differing, differing
from ontogeny.comparison.names import check_differ, parted
from ontogeny.pages.words import count, enumerated, listed
from ontogeny.readers import recipe_of
from ontogeny.recipe import Observation, Recipe
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.results import Results
from ontogeny.scoring.options import CHANCE
from ontogeny.store import RunFolder, content_key, read_table, table_metadata
from ontogeny.trajectories.verdicts import VERDICTS

SETTLES_AFTER = 10  # steps: the first ones wait for memory and, where it is compiled, for the compiler


@dataclass(frozen=True, slots=True, eq=False)
class ComparedRun:
    """One run, read on one suite."""

    label: str
    folder: RunFolder
    recipe: Observation
    lineage: Mapping[str, Any]
    verdicts: pl.DataFrame  # a row a paradigm, by name
    curves: pl.DataFrame
    results: Results
    dev: Mapping[tuple[int, int], float]  # (seed, step): dev loss, nats a predicted token
    held_out: HeldOut | None
    pairs: Mapping[str, str]  # paradigm: key of its pairs; empty where they are not kept

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
    pairs: pl.DataFrame  # a row for every two runs: agreement.PAIRS
    curves: pl.DataFrame  # a row a run, seed and checkpoint: words, accuracy, dev_loss, bits_per_word, and each outcome
    outcomes: tuple[str, ...]  # what instruments read, as INSTRUMENT.COLUMN
    spread: pl.DataFrame  # a row a run with several seeds, yardsticks too
    notes: tuple[str, ...]

    @property
    def labels(self) -> list[str]:
        """The runs' short names."""
        return [read.label for read in self.reads]

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
    folders = [RunFolder.existing(path) for path in (*paths, *yardsticks)]
    own = shared_suite(folders, suite)
    reads = tuple(_read(folder, label, own) for folder, label in zip(folders[: len(paths)], labels, strict=True))
    paradigms = _shared(reads, own)
    rulers = [_read(folder, f"yardstick: {folder.path.name}", own) for folder in folders[len(paths) :]]
    chosen = tuple(outcomes) or shared_outcomes(reads)
    return _gathered(title or common or enumerated(labels), own, reads, paradigms, rulers, chosen)


def shared_outcomes(reads: Sequence[ComparedRun]) -> tuple[str, ...]:
    """What instruments read of all runs, of one value a checkpoint or paradigm."""
    first, *others = (read.results.outcomes() for read in reads)
    return tuple(name for name in first if all(name in other for other in others))


def shared_suite(folders: Sequence[RunFolder], wanted: str | None) -> str:
    """The suite to compare on: the one that is wanted, or the first that all runs were judged on."""
    known = [_judged(folder) for folder in folders]
    shared = [name for name in known[0] if all(name in own for own in known)]
    if wanted is None and shared:
        return shared[0]
    if wanted in shared:
        return str(wanted)
    there = "; ".join(f"{folder.path}: {', '.join(own)}" for folder, own in zip(folders, known, strict=True))
    if wanted is None:
        raise OntogenyError(f"these runs share no suite ({there})")
    hint = nearest(wanted, shared) if shared else "they share none"
    raise OntogenyError(f"not all of these runs were judged on {wanted!r}; {hint} ({there})")


def _judged(folder: RunFolder) -> list[str]:
    """Suites that a run has verdicts on, in their order.  Raises OntogenyError that says what to run where there are none."""
    verdicts = read_table(folder.verdicts) if folder.verdicts.exists() else None
    if verdicts is None or verdicts.is_empty():
        if folder.correlations.exists():
            raise OntogenyError(f"{folder.path} has graded items alone, which have correlations and no verdicts to compare")
        scored = any(folder.scored(seed, suite) for seed in folder.seeds() for suite in folder.suites())
        first = "" if scored else f"ontogeny score {folder.path}, then "
        raise OntogenyError(f"{folder.path} has no verdicts; run: {first}ontogeny verdicts {folder.path}")
    found: list[str] = verdicts["suite"].unique(maintain_order=True).to_list()
    return found


def _read(folder: RunFolder, label: str, suite: str) -> ComparedRun:
    recipe = recipe_of(folder)
    return ComparedRun(
        label=label,
        folder=folder,
        recipe=recipe,
        lineage=folder.lineage(),
        verdicts=read_table(folder.verdicts).filter(suite=suite).sort("paradigm"),
        curves=read_table(folder.curves).filter(suite=suite),
        results=(results := Results(folder)),
        dev=results.dev_losses(),
        held_out=held_out(folder, recipe) if isinstance(recipe, Recipe) else None,
        pairs=_keys(folder, suite),
    )


def _keys(folder: RunFolder, suite: str) -> dict[str, str]:
    """Paradigm: a key that changes with any of its pairs."""
    if not folder.pairs(suite).exists():
        return {}
    table = read_table(folder.pairs(suite))
    asked = [name for name in ("paradigm", "pair", "good", "bad", "context", "more", "human") if name in table.columns]
    table = table.select(asked).sort("paradigm", "pair")
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


def _gathered(
    title: str,
    suite: str,
    reads: tuple[ComparedRun, ...],
    paradigms: tuple[str, ...],
    rulers: Sequence[ComparedRun],
    outcomes: tuple[str, ...],
) -> RunComparison:
    accuracy = {read.label: read.accuracy(paradigms) for read in reads}
    cells = pl.concat(_cells(read, paradigms) for read in reads)
    by_run = {str(run): part for (run,), part in cells.group_by("run", maintain_order=True)}
    seeds = {run: part["seed_verdicts"].to_list() for run, part in by_run.items()}
    verdicts, wrong = ({run: part[name].to_list() for run, part in by_run.items()} for name in ("verdict", "ends_wrong"))
    resampled = Resampled(accuracy)
    among = [ruler for ruler in rulers if set(paradigms) <= set(ruler.verdicts["paradigm"])]
    lacking = [ruler.folder.name for ruler in rulers if ruler not in among]
    apart = spread(
        seeds | {ruler.label: _cells(ruler, paradigms)["seed_verdicts"].to_list() for ruler in among},
        accuracy | {ruler.label: ruler.accuracy(paradigms) for ruler in among},
    )
    return RunComparison(
        title=title,
        suite=suite,
        reads=reads,
        paradigms=paradigms,
        differing=differing([read.recipe.model_dump(mode="json") for read in reads]),
        runs=pl.DataFrame([_run(read, by_run[read.label], accuracy[read.label], resampled) for read in reads], schema=RUNS),
        cells=cells,
        pairs=pairwise(verdicts, seeds, accuracy, wrong, resampled),
        curves=pl.concat(_curves(read, paradigms, suite, outcomes) for read in reads),
        outcomes=outcomes,
        spread=apart,
        notes=(
            *_notes(reads, paradigms),
            *([f"No yardstick, as it lacks some of these paradigms: {enumerated(lacking)}."] if lacking else []),
        ),
    )


# --- tables -------------------------------------------------------------------------------------------------------

RUNS = {
    "run": pl.String,
    "folder": pl.String,
    "seeds": pl.Int64,
    "parameters": pl.Int64,
    "epoch_tokens": pl.Int64,
    "epoch_words": pl.Int64,
    "steps": pl.Int64,
    "words": pl.Float64,
    "dev_loss": pl.Float64,
    "next_token": pl.Boolean,
    "bits_per_word": pl.Float64,
    "dev_unknown": pl.Float64,
    "accuracy": pl.Float64,
    "accuracy_low": pl.Float64,
    "accuracy_high": pl.Float64,
    "accuracy_sd": pl.Float64,
    "ends_wrong": pl.Int64,
    "tokens_per_second": pl.Float64,
    "peak_memory": pl.Int64,
    **dict.fromkeys(VERDICTS, pl.Int64),
}


def _run(read: ComparedRun, cells: pl.DataFrame, accuracy: Floats, resampled: Resampled) -> dict[str, Any]:
    """A row of the table of runs."""
    text, training = read.lineage.get("tokens", {}).get("train", {}), read.lineage.get("training", {})
    losses = [loss for (_, step), loss in read.dev.items() if step == read.last]
    loss = float(np.mean(losses)) if losses else None
    low, high = resampled.mean(read.label)
    by_seed, counts = accuracy.mean(axis=1), dict(cells["verdict"].value_counts().iter_rows())
    memory = [int(bytes_) for bytes_ in read.lineage.get("peak_memory", {}).values() if bytes_]
    words = read.curves.filter(step=read.last)["words"] if "words" in read.curves.columns else None
    return {
        "run": read.label,
        "folder": read.folder.name,
        "seeds": len(accuracy),
        "parameters": training.get("parameters"),
        "epoch_tokens": text.get("tokens"),
        "epoch_words": text.get("words"),
        "steps": read.last,
        "words": None if words is None or words.is_null().all() else float(words.mean()),  # type: ignore[arg-type]
        "dev_loss": loss,
        "next_token": read.causal,
        "bits_per_word": _bits(read, loss),
        "dev_unknown": read.held_out.unknown if read.held_out else None,
        "accuracy": float(accuracy.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "accuracy_sd": float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None,
        "ends_wrong": int(cells["ends_wrong"].sum()),
        "tokens_per_second": speed(read.folder),
        "peak_memory": max(memory, default=None),
        **{verdict: counts.get(verdict, 0) for verdict in VERDICTS},
    }


def _bits(read: ComparedRun, loss: float | None) -> float | None:
    """Bits per word; None where the loss is not known or not one of the next token, or the held-out text is not kept."""
    if loss is None or read.held_out is None or not read.causal or not read.held_out.words:
        return None
    return bits_per_word(loss, read.held_out.predictions, read.held_out.words)


def speed(folder: RunFolder) -> float | None:
    """Tokens a second in training: the median over the steps of all seeds, each seed's first ten left out; None for fewer steps.

    Only what the steps themselves took: neither checkpoints that are written nor scores that are made in between.
    """
    found = []
    for seed in folder.seeds():
        if folder.losses(seed).exists():
            steps = read_table(folder.losses(seed)).sort("step").select(pl.col("tokens").diff().alias("tokens"), "seconds")
            found.append(steps.slice(SETTLES_AFTER).filter(pl.col("seconds") > 0).drop_nulls())
    rates = pl.concat(found).select(pl.col("tokens") / pl.col("seconds")).to_series() if found else pl.Series(dtype=pl.Float64)
    return float(rates.median()) if len(rates) else None  # type: ignore[arg-type]


def _cells(read: ComparedRun, paradigms: Sequence[str]) -> pl.DataFrame:
    """Of one run, in the order of the paradigms: run, paradigm, phenomenon, n, verdict, accuracy, late mean, and who said what.

    `ends_wrong`: the late window's state is -1.  `seed_verdicts`: each seed's verdict; the run's own where there is but one seed.
    """
    last = read.curves.filter(step=read.last).group_by("paradigm").agg(pl.col("accuracy").mean())
    several = pl.col("seed_verdicts").list.len() > 0
    alone = pl.concat_list(pl.col("verdict"))
    return (
        pl.DataFrame({"paradigm": list(paradigms)})
        .join(read.verdicts, on="paradigm", how="left", maintain_order="left")
        .join(last, on="paradigm", how="left", maintain_order="left")
        .select(
            pl.lit(read.label).alias("run"),
            "paradigm",
            pl.col("phenomenon").cast(pl.String),
            pl.col("n").cast(pl.Int64),
            "verdict",
            "reason",
            "accuracy",
            *("early_mean", "late_mean", "late_low", "late_high"),
            pl.col("late_state").cast(pl.Int64),
            (pl.col("late_state") == -1).fill_null(False).alias("ends_wrong"),
            pl.when(several).then("seed_verdicts").otherwise(alone).alias("seed_verdicts"),
        )
    )


def _curves(read: ComparedRun, paradigms: Sequence[str], suite: str, outcomes: Sequence[str]) -> pl.DataFrame:
    """run, seed, step, words, accuracy (mean of paradigms), dev_loss, bits_per_word, outcomes; by seed and step."""
    own = read.curves.filter(pl.col("paradigm").is_in(list(paradigms)))
    words = pl.col("words").mean() if "words" in own.columns else pl.lit(None, pl.Float64)
    means = own.group_by("seed", "step").agg(pl.col("accuracy").mean(), words.cast(pl.Float64).alias("words")).sort("seed", "step")
    losses = [read.dev.get((seed, step)) for seed, step in means.select("seed", "step").iter_rows()]
    curves = means.select(
        pl.lit(read.label).alias("run"),
        pl.col("seed").cast(pl.Int64),
        pl.col("step").cast(pl.Int64),
        "words",
        "accuracy",
        pl.Series("dev_loss", losses, dtype=pl.Float64),
        pl.Series("bits_per_word", [_bits(read, loss) for loss in losses], dtype=pl.Float64),
    )
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
    apart = []
    for name in ("verdicts", "bos"):
        if len({content_key(getattr(read.recipe, name)) for read in reads}) > 1:
            apart.append(name)
    if len({content_key(read.recipe.scoring.leading_space, read.recipe.scoring.precision) for read in reads}) > 1:
        apart.append("scoring")
    if not apart:
        return []
    return [f"The runs were not judged alike: their recipes differ in {enumerated(apart)}, of which verdicts can depend."]


def _unfinished(reads: Sequence[ComparedRun], paradigms: Sequence[str]) -> list[str]:
    planned = {read.label: (read.last, read.lineage.get("training", {}).get("steps") or read.last) for read in reads}
    short = [f"{label} up to step {at:,} of {of:,}" for label, (at, of) in planned.items() if at < of]
    return [f"Not read to their end: {enumerated(short)}."] if short else []
