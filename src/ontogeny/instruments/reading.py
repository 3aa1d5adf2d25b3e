"""Reading times: how much of them a model's surprisals tell beyond length, frequency and place, beside n-grams and chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import polars as pl
from pydantic import Field

from ontogeny import files, store
from ontogeny.instruments.asked import AskedWords, Reads, after, in_texts
from ontogeny.instruments.instrument import Column, Instrument, schema
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel
from ontogeny.records import OntogenyError
from ontogeny.scoring.ngram import Walked
from ontogeny.tokens.token_store import bos_id
from ontogeny.trajectories.timeline import Floats, Ints

MEASURES = {  # what is explained: the mean over these columns
    "eye": ("RTfirstfix", "RTfirstpass", "RTgopast", "RTrightbound"),
    "self-paced": ("self_paced_reading_time",),
    "N400": ("N400",),
}
SPILLED = ("self-paced",)  # measures whose baseline has the word before
FREQUENCY = "Subtlex_log10"
NEEDED = ("sentence", "word", "context_length", FREQUENCY)
DRAWS, AT = 500, 0.95  # random predictors, and the quantile of theirs that a model is held against
ORDERS = (1, 2, 3)
LINES = {"r2": "the model", "gram_1": "1-grams", "gram_2": "2-grams", "gram_3": "3-grams", "random": "95 % of random predictors"}
NULLS = ("", "NA", "NaN", "nan")


class ReadingTimes(Instrument):
    """What of people's reading times is explained by surprisals, beyond the words' length, frequency and place in the sentence."""

    uses: ClassVar[tuple[str, ...]] = ("ngrams",)

    kind: Literal["reading"] = "reading"
    table: Path | None = None
    """A CSV file of words in sentences with times that people took, in the columns of BabyLM's reading_data.csv."""
    convention: Literal["word", "babylm"] = "word"
    """word: in its sentence, with the space before it, without punctuation; babylm: after what stands before it, without the space,
    with punctuation."""
    draws: int = Field(DRAWS, ge=20)
    """Random predictors that a model is held against."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By measure."""
        share: dict[str, Any] = {"unit": "% of the variance left"}
        told = "the same of surprisals under {}-grams of the training text's words"
        return {
            "measure": Column(says="what people did: eye (mean of four durations), self-paced, N400", dtype=pl.String, index=True),
            "r2": Column(says="partial R² of the words' surprisals: of what the baseline leaves, what they explain", **share),
            "delta": Column(says="log-likelihood that surprisals add to the baseline's", unit="nats"),
            "slope": Column(says="change of the measure with surprisal", unit="ms or µV a nat"),
            "error": Column(says="standard error of the slope, words of one sentence together", unit="ms or µV a nat"),
            "random": Column(says="partial R² that 95 % of random predictors stay below", **share),
            **{f"gram_{order}": Column(says=told.format(order), **share) for order in ORDERS},
            "base": Column(says="R² of the baseline: frequency, length, place and their products", span=(0.0, 1.0)),
            "n": Column(says="words", dtype=pl.Int64),
            "missing": Column(says="words left out, as they lack a number or stand in a sentence too long", dtype=pl.Int64),
        }

    def contents(self) -> list[str]:
        """The table's.  Raises OntogenyError where none was given, that says how."""
        return [store.file_hash(self._given())]

    def _given(self) -> Path:
        if self.table is None:
            raise OntogenyError(
                "the instrument reading reads times that people took and was given none: ontogeny read RUN --with reading "
                "--set table=FILE, such as evaluation_data/full_eval/reading/reading_data.csv of BabyLM's pipeline, in the "
                "language of the model"
            )
        return self.table.expanduser()

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises OntogenyError for a table that is none, or whose words do not stand in their sentences, with file and line."""
        once = subject.context.once
        words = once((self, "words"), lambda: read_table(self._given()))
        how = Reads.of(subject)
        asked = once((self, "asked", id(how.tokenizer)), lambda: self._asked(words, how))
        if not len(asked.at):
            raise OntogenyError(f"{self.table}: all sentences are longer than {subject.limit} tokens, which the model takes")
        own = asked.surprisals(subject.logps(asked.sentences))
        known = subject.context.knows_text
        grams = once((self, "grams"), partial(self._grams, subject, words)) if known else [None] * len(ORDERS)
        rows = []
        for measure, times in words.measures.items():
            found = explained(words, measure, times, own, self.draws)
            rivals = [None if gram is None else explained(words, measure, times, gram, 0).r2 for gram in grams]
            rows.append((measure, *found[:5], *rivals, *found[5:]))
        return pl.DataFrame(rows, schema=schema(self), orient="row")

    def _asked(self, words: ReadWords, how: Reads) -> AskedWords:
        """Of every sentence all words, one sentence after another."""
        if self.convention == "word":
            return in_texts(words.sentences, how)
        split = [text.split() for text in words.sentences]
        contexts = [" ".join(own[:place]) for own in split for place in range(len(own))]
        return after(contexts, [word for own in split for word in own], how, space=False)

    def _grams(self, subject: Subject, words: ReadWords) -> list[Floats]:
        counted = subject.context.ngrams("word")
        asked = self._asked(words, Reads(counted.tokenizer, bos_id(counted.tokenizer)))
        walked = Walked(counted.index, asked.sentences)
        return [asked.surprisals(np.concatenate(walked.tokens_of(walked.logps(counted.model, order)))) for order in ORDERS]

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Partial R² of each measure."""
        return {measure: table.filter(measure=measure).select("seed", "step", value="r2") for measure in MEASURES}

    def panels(self) -> tuple[Panel, ...]:
        """A figure a measure."""
        return tuple(
            Panel(
                name=f"reading.{measure}",
                title=f"what surprisals tell of people's reading beyond length, frequency and place: {measure}",
                needs=("reading",),
                draw=partial(_lines, measure),
                says=partial(_says, measure),
                there=partial(_there, measure),
                command="read RUN --with reading --set table=FILE",
            )
            for measure in MEASURES
        )


# --- the table ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class ReadWords:
    """Words that were read, (rows,) each."""

    sentences: list[str]
    sentence: Ints  # its number in `sentences`
    place: Ints  # of the word in it, from 0
    at: Ints  # among the words of all sentences, one after another
    baseline: Floats  # (rows, 3): log frequency, length, words before it; NaN where it is missing
    before: Floats  # (rows,): length of the word before it
    measures: dict[str, Floats]  # (rows, columns)


def read_table(file: Path) -> ReadWords:
    """Raises OntogenyError, with file and line, for a column that is missing, no numbers, and words not in their sentence."""
    (_, names), *rows = files.separated(file, ",")
    measures = {name: columns for name, columns in MEASURES.items() if set(columns) <= set(names)}
    if lacking := [name for name in NEEDED if name not in names]:
        raise OntogenyError(f"{file}:1: no column {lacking[0]!r}; it has {', '.join(names)}")
    if not measures or not rows:
        raise OntogenyError(
            f"{file}: no words with times; columns of times: {', '.join(c for every in MEASURES.values() for c in every)}"
        )
    cells = [(line, dict(zip(names, row, strict=True))) for line, row in rows]
    place = np.array([_place(f"{file}:{line}", row) for line, row in cells])
    sentences = list(dict.fromkeys(row["sentence"] for _, row in cells))
    number = {text: i for i, text in enumerate(sentences)}
    sentence = np.array([number[row["sentence"]] for _, row in cells])
    begins = np.cumsum([0, *(len(text.split()) for text in sentences)])

    def column(name: str) -> Floats:
        return np.array([_number(f"{file}:{line}", name, row[name]) for line, row in cells])

    lengths = np.array([len(word) for text in sentences for word in text.split()], dtype=np.float64)
    at = begins[sentence] + place
    return ReadWords(
        sentences,
        sentence,
        place,
        at,
        np.column_stack([column(FREQUENCY), lengths[at], place]),
        np.where(place > 0, lengths[at - 1], np.nan),
        {name: np.column_stack([column(one) for one in columns]) for name, columns in measures.items()},
    )


def _place(where: str, row: Mapping[str, str]) -> int:
    words, given = row["sentence"].split(), row["context_length"]
    place = int(given) if given.isdecimal() else -1
    if not 0 <= place < len(words) or words[place] != row["word"]:
        raise OntogenyError(
            f"{where}: the word {row['word']!r} does not stand after {given} words (context_length) of its sentence, "
            f"{row['sentence']!r}"
        )
    return place


def _number(where: str, name: str, cell: str) -> float:
    try:
        return float("nan") if cell in NULLS else float(cell)
    except ValueError:
        raise OntogenyError(f"{where}: {name} is {cell!r} and no number") from None


# --- the regressions ----------------------------------------------------------------------------------------------


class Explained(NamedTuple):
    """What a predictor adds to a baseline."""

    r2: float | None  # % of what the baseline leaves
    delta: float | None  # nats
    slope: float | None
    error: float | None  # of the slope, clustered by sentence
    random: float | None
    base: float | None
    n: int
    missing: int


def explained(words: ReadWords, measure: str, times: Floats, every: Floats, draws: int) -> Explained:
    """Of one measure, by surprisals of all words of all sentences.  R², log-likelihood and chance are means over its columns."""
    own, given = every[words.at], words.baseline
    if measure in SPILLED:
        before = np.where(words.place > 1, every[words.at - 1], np.nan)  # as the table has it: of no sentence's first word
        given = np.column_stack([given, words.before, before])
    whole = np.isfinite(np.column_stack([own, given, times])).all(axis=1)
    n, missing = int(whole.sum()), int((~whole).sum())
    basis, left = _left(products(given[whole]), np.column_stack([own[whole], times[whole]]))
    x, y = left[:, 0], left[:, 1:]
    if n <= basis.shape[1] + 1 or x @ x <= 1e-12 * n:  # nothing varies
        return Explained(None, None, None, None, None, None, n, missing)
    r2 = (x @ y) ** 2 / (x @ x) / (y**2).sum(0)
    total = ((times[whole] - times[whole].mean(0)) ** 2).sum(0)
    slope, error = clustered(x, y.mean(1), words.sentence[whole], basis.shape[1] + 1)
    random = None
    if draws:
        drawn = np.random.default_rng(0).normal(size=(n, draws))
        drawn -= basis @ (basis.T @ drawn)
        random = float(np.quantile(((drawn.T @ y) ** 2 / (drawn**2).sum(0)[:, None] / (y**2).sum(0)).mean(1), AT))
    delta = float(-n / 2 * np.log1p(-r2).mean())
    base = float((1 - (y**2).sum(0) / total).mean())
    return Explained(100 * float(r2.mean()), delta, slope, error, None if random is None else 100 * random, base, n, missing)


def products(columns: Floats) -> Floats:
    """A constant, the columns and the product of every two, (n, 1 + k + k(k - 1)/2)."""
    both = [columns[:, i] * columns[:, j] for i, j in combinations(range(columns.shape[1]), 2)]
    return np.column_stack([np.ones(len(columns)), columns, *both])


def _left(design: Floats, columns: Floats) -> tuple[Floats, Floats]:
    """An orthonormal basis of a design, and what it leaves of some columns."""
    scaled = design / np.maximum(np.abs(design).max(0), 1e-300)
    u, s, _ = np.linalg.svd(scaled, full_matrices=False)
    basis = u[:, s > 1e-10 * s.max(initial=0)]
    return basis, columns - basis @ (basis.T @ columns)


def clustered(x: Floats, y: Floats, clusters: Ints, parameters: int) -> tuple[float, float]:
    """Slope of y on x, of both what a baseline leaves (Frisch & Waugh 1933), and its standard error by clusters (CR1)."""
    slope = float(x @ y / (x @ x))
    sums = np.bincount(np.unique(clusters, return_inverse=True)[1], x * (y - slope * x))
    n, g = len(x), len(sums)
    if g < 2:
        return slope, float("nan")
    return slope, float(np.sqrt(g / (g - 1) * (n - 1) / (n - parameters) * (sums @ sums)) / (x @ x))


# --- its figures --------------------------------------------------------------------------------------------------


def _lines(measure: str, frames: Frames, clock: Clock, **options: Any) -> Drawn:
    values = frames["reading"].filter(measure=measure).unpivot(list(LINES), index=["seed", "step"], variable_name="of")
    named = values.drop_nulls("value").with_columns(pl.col("of").replace(LINES))
    return curves.lines(named, "partial R²", ReadingTimes().columns["r2"], clock, **options)


def _there(measure: str, frames: Frames) -> bool:
    return bool(frames["reading"].filter(measure=measure)["r2"].is_not_null().any())


def _rivals(row: Mapping[str, Any]) -> Iterator[str]:
    for name, said in LINES.items():
        if name != "r2" and row[name] is not None:
            yield f"{said} {row[name]:.2f}"


def _says(measure: str, frames: Frames, clock: Clock) -> str:
    """The best checkpoint, beside what it is held against."""
    means = frames["reading"].filter(measure=measure).drop_nulls("r2").group_by("step").agg(pl.exclude("measure", "seed").mean())
    best, last = means.sort("r2").row(-1, named=True), means.sort("step").row(-1, named=True)
    return (
        f"Surprisals tell most at step {best['step']:,}: {best['r2']:.2f} % of what length, frequency and place leave of {measure} "
        f"({best['delta']:.1f} nats over {best['n']:,.0f} words); at the last checkpoint {last['r2']:.2f} %, slope "
        f"{last['slope']:.2f} ± {last['error']:.2f}. Beside it: {', '.join(_rivals(last))}. What lies below the line of random "
        "predictors is noise."
    )
