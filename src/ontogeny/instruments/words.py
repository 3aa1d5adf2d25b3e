"""Words: what they cost by part of speech and frequency, when each is acquired, and whether they are told from nonwords."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import polars as pl
from pydantic import Field
from scipy.optimize import least_squares
from scipy.special import expit

from ontogeny.instruments.asked import AskedWords, Reads, Spelled, in_texts, of_tokens
from ontogeny.instruments.instrument import Column, Instrument, schema
from ontogeny.instruments.nonwords import DECISION, Decisions
from ontogeny.instruments.parsed import ParsedText, hashes
from ontogeny.instruments.segmentation import CUTS, without_spaces
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel, Tabulated
from ontogeny.trajectories.timeline import Floats

SPEECH, FREQUENCY, WORD = "part of speech", "frequency", "word"
DECILES = 10
FEWEST = 10  # occurrences, below which a word or a part of speech has no value
FALL = 1.0  # nats below knowing nothing that a word has to fall, to count as acquired
AGES: dict[str, Any] = {
    "label": pl.String,
    "seed": pl.Int64,
    "age": pl.Float64,
    "lowest": pl.Float64,
    "acquired": pl.Boolean,
    "n": pl.Int64,
}


class WordKnowledge(Instrument):
    """Nats a word by part of speech, frequency and word; words against nonwords; where a text without spaces is cut."""

    needs: ClassVar[tuple[str, ...]] = ("text", "ngrams")

    kind: Literal["words"] = "words"
    treebank: Path | None = None
    """A file in CoNLL-U, or a folder of such files (.conllu), in the language of the model; left out, nothing is read by part of
    speech."""
    tokens: int = Field(40_000, ge=100)
    """Tokens of held-out text, and words of the treebank at most a quarter as many."""
    words: int = Field(300, ge=1)
    """Words whose age of acquisition is looked for, spread evenly over those that the text has often enough."""
    decided: int = Field(1_000, ge=4)
    """Words that are held against a nonword each, half of them frequent and half rare."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By what words are sorted by."""
        of = f"what words are sorted by: {SPEECH}, {FREQUENCY}, {WORD}, {DECISION}, {CUTS}"
        return {
            "of": Column(says=of, dtype=pl.String, index=True),
            "label": Column(says="which: NOUN; decile 1 (rarest) to 10; the word; frequent or rare", dtype=pl.String, index=True),
            "nats": Column(says="mean surprisal", unit="nats a word"),
            "nothing": Column(says="the same of a model that takes all tokens for equally likely", unit="nats a word"),
            "share": Column(says="words preferred to their nonword; of segmentation, F1 of the cuts", span=(0.0, 1.0), chance=0.5),
            "control": Column(says="the same by character trigrams; of segmentation, by cuts drawn at random", span=(0.0, 1.0)),
            "n": Column(says="words", dtype=pl.Int64),
        }

    def contents(self) -> list[str]:
        """The treebank's, where one was given."""
        return [] if self.treebank is None else hashes(self.name, self.treebank)

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises DoesNotApply for a model that reads from a text's end."""
        how = Reads.of(subject)
        once, key = subject.context.once, (self, id(how.tokenizer), how.limit)
        groups: list[Sorted] = once((*key, "text"), partial(self._of_text, subject, how))
        if self.treebank is not None:
            parsed = subject.parsed(self.treebank, f"{self.name}.treebank", max(FEWEST, self.tokens // 4))
            groups = [*groups, *once((*key, "treebank"), lambda: [by_speech(parsed, how)])]
        rows: list[tuple[Any, ...]] = []
        for group in groups:
            nats = group.asked.surprisals(subject.logps(group.asked.sentences))
            rows += group.rows(nats, math.log(len(how.tokenizer)))
        if trial := once((*key, "decision"), lambda: Decisions.among(counts_of(subject), self.decided, how)):
            rows += trial.rows(subject)
        if self.treebank is not None and (cut := once((*key, "cuts"), lambda: without_spaces(parsed, how))) is not None:
            rows.append(cut.row(-subject.logps(cut.asked.sentences)))
        return pl.DataFrame(rows, schema=schema(self), orient="row")

    def _of_text(self, subject: Subject, how: Reads) -> list[Sorted]:
        texts = held_out(subject, how, self.tokens)
        forms = [plain(word) for text in texts for word in text.split()]
        asked, counts = in_texts(texts, how), counts_of(subject)
        often = np.array([counts.get(form, 0) for form in forms])
        edges = np.quantile(often, np.arange(1, DECILES) / DECILES)
        decile = np.array([f"{place + 1:2d}" for place in np.searchsorted(edges, often, side="left")])
        there = Counter(form for form in forms if form)
        enough = [form for form, n in there.most_common() if n >= FEWEST]
        chosen = (
            {enough[i] for i in np.unique(np.linspace(0, len(enough) - 1, self.words).round().astype(int))} if enough else set()
        )
        own = np.array([form if form in chosen else "" for form in forms])
        return [Sorted(asked, ((FREQUENCY, decile), (WORD, own)))]

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """What rare words cost more than frequent ones, and how many words are told from nonwords."""
        by = table.filter(of=FREQUENCY).sort("label").group_by("seed", "step", maintain_order=True)
        told = table.filter(of=DECISION).group_by("seed", "step", maintain_order=True).agg(value=pl.col("share").mean())
        return {"rare words": by.agg(value=pl.col("nats").first() - pl.col("nats").last()), "told from nonwords": told}

    def fold(self, table: pl.DataFrame, clock: Clock) -> dict[str, pl.DataFrame]:
        """`ages`: the age of acquisition of each word and part of speech in each seed."""
        rows = []
        for (label, seed), own in table.filter(pl.col("of").is_in([WORD, SPEECH])).group_by("label", "seed", maintain_order=True):
            steps, nats, nothing = own.sort("step").select("step", "nats", "nothing").to_numpy().T
            rows.append((label, seed, *acquired(steps, nats, float(nothing[0])), own["n"][0]))
        return {"ages": pl.DataFrame(rows, AGES, orient="row").sort("seed", "age", nulls_last=True)}

    def panels(self) -> tuple[Panel, ...]:
        """By part of speech, by frequency, words against nonwords; and the ages of words."""
        shared: dict[str, Any] = {"needs": ("words",), "command": "read RUN --with words --set treebank=FILE"}
        nats = self.columns["nats"]
        return (
            *(
                Panel(
                    name=f"words.{name}",
                    title=f"what words cost, by {of}",
                    draw=partial(_map, of, nats),
                    says=partial(_cost_says, of),
                    there=partial(_there, of),
                    table=_ages if of == FREQUENCY else lambda frames: None,
                    shape="map",
                    **shared,
                )
                for name, of in (("speech", SPEECH), ("frequency", FREQUENCY))
            ),
            Panel(
                name="words.decision",
                title="what is saved of the cost of knowing nothing, and words that are likelier than a nonword like them",
                draw=_decided,
                says=_decided_says,
                **shared,
            ),
        )


# --- words of texts -----------------------------------------------------------------------------------------------


class Sorted(NamedTuple):
    """Words of texts, sorted in several ways; a word of no class has the label "" there."""

    asked: AskedWords
    labels: tuple[tuple[str, Any], ...]  # what they are sorted by, and the label of each (words,)

    def rows(self, nats: Floats, each: float) -> Iterator[tuple[Any, ...]]:
        """Mean surprisals.  `each`: nats that a token costs a model that knows nothing."""
        tokens = np.bincount(self.asked.word, minlength=self.asked.n)
        for of, labels in self.labels:
            for label in np.unique(labels[np.isfinite(nats)]):
                own = (labels == label) & np.isfinite(nats)
                if label and own.sum() >= FEWEST:
                    yield (
                        of,
                        str(label).strip(),
                        float(nats[own].mean()),
                        float(tokens[own].mean()) * each,
                        None,
                        None,
                        int(own.sum()),
                    )


def plain(word: str) -> str:
    """A word without the punctuation around it, in small letters; empty for punctuation.

    >>> plain("Dog's,"), plain("--")
    ("dog's", '')
    """
    begin = next((i for i, c in enumerate(word) if c.isalnum()), len(word))
    end = next((i for i, c in enumerate(reversed(word)) if c.isalnum()), 0)
    return word[begin : len(word) - end].lower()


def held_out(subject: Subject, how: Reads, tokens: int) -> list[str]:
    """Documents of the held-out text, drawn at random and each no longer than the model takes, so many tokens of them."""
    store = subject.text("dev")
    starts = np.append(store.documents["start"], len(store)).astype(np.int64)
    texts, so_far = [], 0
    for number in np.random.default_rng(0).permutation(len(starts) - 1):
        ids = np.asarray(store.ids[starts[number] : min(starts[number + 1], starts[number] + how.limit)]).tolist()
        text = how.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False).strip()
        texts += [text] if text else []
        so_far += len(ids)
        if so_far >= tokens:
            break
    return texts


def counts_of(subject: Subject) -> dict[str, int]:
    """How often each word stands in the training text, in small letters."""

    def made() -> dict[str, int]:
        counted = subject.context.ngrams("word")
        one = counted.index.levels[0]
        names = counted.tokenizer.convert_ids_to_tokens(np.asarray(one.key).astype(int).tolist())
        found: dict[str, int] = defaultdict(int)
        for name, n in zip(names, np.asarray(one.count).tolist(), strict=True):
            found[name.lower()] += n
        return dict(found)

    return subject.context.once("counts of words", made)  # type: ignore[no-any-return]


def by_speech(text: ParsedText, how: Reads) -> Sorted:
    """A treebank's words; those that share a token with another have no class."""
    spelled: list[Spelled] = []
    labels: list[str] = []
    for number, (sentence, places) in enumerate(zip(text.sentences, text.places, strict=True)):
        inside = Counter(token for first, last in places for token in range(first, last + 1))
        for word, (first, last) in zip(sentence.words, places, strict=True):
            alone = all(inside[token] == 1 for token in range(first, last + 1))
            front = how.first is not None
            spelled += [(number, token - front, len(labels)) for token in range(first, last + 1)] if alone else []
            labels.append(word.upos if alone else "")
    asked = of_tokens(text.tokens, int(how.first is not None), spelled, len(labels), how)
    return Sorted(asked, ((SPEECH, np.array(labels)),))


# --- ages ---------------------------------------------------------------------------------------------------------


def acquired(steps: Floats, nats: Floats, nothing: float) -> tuple[float | None, float, bool]:
    """Age of acquisition (Chang & Bergen 2022), the lowest surprisal of the curve fitted, and whether it was acquired.

    The curve falls from `nothing`, what a model costs that knows nothing, as a sigmoid over log10 step; the age is where it is
    halfway down.  Not acquired, without age: what is halfway only after the last step, or falls by less than FALL nats.
    """
    x = np.log10(np.maximum(steps, 1.0))
    if len(x) < 4 or x[-1] <= 0:
        return None, float(nats.min()), False

    def curve(how: Floats) -> Floats:
        lowest, rate, halfway = how
        return np.asarray(lowest + (nothing - lowest) * expit(-np.exp(rate) * (x - halfway)))

    begin = np.array([nats.min(), 1.0, np.interp((nothing + nats.min()) / 2, np.minimum.accumulate(nats)[::-1], x[::-1])])
    bounds = ([0.0, -3.0, -1.0], [max(nothing, float(nats.max())) + 1e-6, 5.0, x[-1] + 1.0])
    fit = least_squares(lambda how: curve(how) - nats, np.clip(begin, *bounds), bounds=bounds, loss="soft_l1")
    lowest, _, halfway = fit.x
    there = bool(halfway <= x[-1] and nothing - lowest >= FALL)
    return (float(10 ** max(halfway, 0.0)) if there else None), float(lowest), there


# --- its figures --------------------------------------------------------------------------------------------------


def _there(of: str, frames: Frames) -> bool:
    return not frames["words"].filter(of=of).is_empty()


def _rows_of(of: str, frames: Frames) -> pl.DataFrame:
    return frames["words"].filter(of=of).with_columns(of="label")


def _map(of: str, column: Column, frames: Frames, clock: Clock, **options: Any) -> Drawn:
    values = _rows_of(of, frames).with_columns(value="nats")
    last = values.filter(pl.col("step") == pl.col("step").max()).group_by("of").agg(pl.col("value").mean()).sort("value")
    order = pl.Enum(last["of"].to_list())
    shown = (
        values.filter(pl.col("of").is_in(last["of"].to_list())).with_columns(pl.col("of").cast(order)).sort("of", "step", "seed")
    )
    return curves.index_map(shown.with_columns(pl.col("of").cast(pl.String)), "nats", column, **options)


def _decided(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    tenths = {"1": "saved on the rarest tenth", str(DECILES): "saved on the commonest tenth"}
    own = frames["words"]
    saved = own.filter(pl.col("label").is_in(list(tenths)), of=FREQUENCY)
    told = own.filter(of=DECISION)
    parts = [
        saved.select("seed", "step", of=pl.col("label").replace(tenths), value=1 - pl.col("nats") / pl.col("nothing")),
        told.select("seed", "step", of=pl.format("{} words, not nonwords", "label"), value="share"),
    ]
    every = pl.concat(parts).sort("of", "step", "seed")
    return curves.lines(every, "share", Column(says=""), clock, **options)


def _ends(of: str, frames: Frames) -> pl.DataFrame:
    own = frames["words"].filter(of=of)
    last = own.filter(pl.col("step") == pl.col("step").max())
    return last.group_by("label", maintain_order=True).agg(pl.col("nats", "nothing", "share", "control", "n").mean())


def _cost_says(of: str, frames: Frames, clock: Clock) -> str:
    """Dearest and cheapest at the end."""
    ends = _ends(of, frames).sort("nats")
    low, high = ends.row(0, named=True), ends.row(-1, named=True)
    return (
        f"At the last checkpoint by {of} {low['label']} costs least, {low['nats']:.2f} nats a word, and {high['label']} most, "
        f"{high['nats']:.2f}; a model that knows nothing would pay {low['nothing']:.2f} and {high['nothing']:.2f}."
    )


def _decided_says(frames: Frames, clock: Clock) -> str:
    """Both bands at the end."""
    said = [
        f"{row['share']:.2f} of {row['n']:,.0f} {row['label']} words (character trigrams: {row['control']:.2f})"
        for row in _ends(DECISION, frames).iter_rows(named=True)
    ]
    if not said:
        return "The text has too few words of 3 to 12 letters to hold nonwords against."
    return f"At the last checkpoint {' and '.join(said)} are likelier than a nonword of their length, made of the words' trigrams."


def _ages(frames: Frames) -> Tabulated | None:
    """Ages of words: the first, the last, and how many have none."""
    ages = WordKnowledge().fold(frames["words"].filter(of=WORD), Clock())["ages"]
    if ages.is_empty():
        return None
    means = ages.group_by("label").agg(pl.col("age").mean(), pl.col("acquired").all()).sort("age")
    had = means.filter("acquired")
    shown = pl.concat([had.head(5), had.tail(5)]).unique(maintain_order=True)
    rows = [(label, f"{age:,.0f}") for label, age, _ in shown.iter_rows()]
    return Tabulated(("word", ">acquired at step"), (*rows, ("not acquired", f"{len(means) - len(had)} of {len(means)}")))
