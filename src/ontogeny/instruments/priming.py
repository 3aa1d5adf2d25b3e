"""Structural priming: whether a sentence is likelier after one that is built alike (Sinclair et al. 2022)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from pydantic import Field
from scipy.special import expit

from ontogeny import files, store
from ontogeny.corpora.micro_english import MicroEnglish, micro_english, spell
from ontogeny.instruments.asked import Reads, after
from ontogeny.instruments.instrument import Column, DoesNotApply, Instrument, schema
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel
from ontogeny.records import OntogenyError
from ontogeny.tokens.unknown import unknown_id

NEEDED = ("alternation", "prime_a", "prime_b", "target_a", "target_b")
PEOPLE = (("the girl", "the boy"), ("the woman", "a man"), ("my mother", "the doctor"), ("a teacher", "her friend"))
GIVEN = (("gave", "a book"), ("sent", "the letter"), ("showed", "some pictures"), ("sold", "the old car"))
# Of micro-English, by its grammar: an active and a passive sentence of the same verb and participants.
ACTIVE = (
    "Doer:Known[n=?n sort=?s:person|animal] Act:Verb[t=past n=?n frame=object doer=living subj=?s obj=?o] "
    "Whom:Known[n=?m sort=?o:person|animal] ."
)
PASSIVE = "Whom Be[t=past n=?m] Act[t=part] by Doer ."
SHARED = frozenset(("the", "."))  # what a prime may have in common with its target
DONE = (("followed", "followed"), ("helped", "helped"), ("saw", "seen"), ("pushed", "pushed"))


class PrimedItem(NamedTuple):
    """Two ways to say each of two things."""

    alternation: str
    prime_a: str
    prime_b: str
    target_a: str
    target_b: str


class Priming(Instrument):
    """log p of a sentence after a prime of its own structure less that after one of the other structure."""

    kind: Literal["priming"] = "priming"
    table: Path | None = None
    """A CSV file with the columns alternation, prime_a, prime_b, target_a, target_b; left out, English datives and passives made
    here; of a model of micro-English, passives that its grammar derives."""
    items: int = Field(200, ge=2)
    """Items of each alternation, spread evenly."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By alternation."""
        share: dict[str, Any] = {"span": (0.0, 1.0)}
        return {
            "alternation": Column(says="what can be said in two ways", dtype=pl.String, index=True),
            "effect": Column(says="log p of a target after a prime built alike less that after the other, mean", unit="nats"),
            "error": Column(says="standard error of that, over items", unit="nats"),
            "primed": Column(says="share of targets that are likelier after the prime built alike", chance=0.5, **share),
            "alike": Column(says="probability of structure a among the two targets, after a prime of structure a", **share),
            "other": Column(says="the same after a prime of structure b", **share),
            "n": Column(says="items", dtype=pl.Int64),
            "left_out": Column(says="items with a word that the tokenizer does not know, or too long", dtype=pl.Int64),
        }

    def contents(self) -> list[str]:
        """The table's, where one was given."""
        return [] if self.table is None else [store.file_hash(self.table.expanduser())]

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises DoesNotApply for a tokenizer that knows none of the items' words."""
        how = Reads.of(subject)
        every = subject.context.once((self, "items"), lambda: list(self._items(subject)))
        rows = []
        for alternation in dict.fromkeys(item.alternation for item in every):
            own = [item for item in every if item.alternation == alternation]
            own = [own[i] for i in np.unique(np.linspace(0, len(own) - 1, self.items).round().astype(int))]
            effects, shares = primed(subject, known(own, how), how)
            if len(effects):
                n, error = len(effects), float(effects.mean(1).std(ddof=1)) / len(effects) ** 0.5 if len(effects) > 1 else None
                row = (float(effects.mean()), error, float((effects > 0).mean() + (effects == 0).mean() / 2))
                rows.append((alternation, *row, *shares.mean(0).tolist(), n, len(own) - n))
        if not rows:
            raise DoesNotApply(
                "its tokenizer does not know the words of the items that are primed; give others with --set table=FILE"
            )
        return pl.DataFrame(rows, schema=schema(self), orient="row")

    def _items(self, subject: Subject) -> Iterator[PrimedItem]:
        if self.table is None:
            generated = isinstance(getattr(subject.context.recipe, "corpus", None), MicroEnglish)
            yield from derived(self.items) if generated else made()
            return
        file = self.table.expanduser()
        (_, names), *rows = files.separated(file, ",")
        if lacking := [name for name in NEEDED if name not in names]:
            raise OntogenyError(f"{file}:1: no column {lacking[0]!r}; it has {', '.join(names)}")
        for line, row in rows:
            item = dict(zip(names, row, strict=True))
            if empty := [name for name in NEEDED if not item[name].strip()]:
                raise OntogenyError(f"{file}:{line}: {empty[0]} is empty")
            if item["target_a"] == item["target_b"] or item["prime_a"] == item["prime_b"]:
                raise OntogenyError(f"{file}:{line}: both primes, or both targets, are one text ({item['target_a']!r})")
            yield PrimedItem(*(item[name] for name in NEEDED))

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """The effect, mean over alternations."""
        return {"effect": table.group_by("seed", "step", maintain_order=True).agg(value=pl.col("effect").mean())}

    def panels(self) -> tuple[Panel, ...]:
        """The effect of each alternation."""
        return (
            Panel(
                name="priming.effect",
                title="how much likelier a sentence is after one that is built alike",
                needs=("priming",),
                draw=_lines,
                says=_says,
                command="read RUN --with priming",
            ),
        )


def made() -> Iterator[PrimedItem]:
    """Datives (a: with to) and passives (a: active) of English; a prime has no noun or verb of its target."""
    for i, (giver, taker) in enumerate(PEOPLE):
        for j, (verb, thing) in enumerate(GIVEN):
            other_giver, other_taker = PEOPLE[(i + 2) % len(PEOPLE)]
            other_verb, other_thing = GIVEN[(j + 1) % len(GIVEN)]
            yield PrimedItem(
                "dative",
                f"{other_giver} {other_verb} {other_thing} to {other_taker}.",
                f"{other_giver} {other_verb} {other_taker} {other_thing}.",
                f"{giver} {verb} {thing} to {taker}.",
                f"{giver} {verb} {taker} {thing}.",
            )
    for i, (doer, done) in enumerate(PEOPLE):
        for j, (verb, participle) in enumerate(DONE):
            other_doer, other_done = PEOPLE[(i + 2) % len(PEOPLE)]
            other_verb, other_participle = DONE[(j + 1) % len(DONE)]
            yield PrimedItem(
                "passive",
                f"{other_doer} {other_verb} {other_done}.",
                f"{other_done} was {other_participle} by {other_doer}.",
                f"{doer} {verb} {done}.",
                f"{done} was {participle} by {doer}.",
            )


def derived(many: int) -> Iterator[PrimedItem]:
    """So many passives of micro-English (a: active), each primed by one that has no noun or verb of its target."""
    grammar, random = micro_english(), Random(0)
    frame = grammar.frame(ACTIVE, PASSIVE)
    while many:
        prime, target = grammar.grow_frame(frame, random), grammar.grow_frame(frame, random)
        if prime and target and not set(prime[0].words()) & set(target[0].words()) - SHARED:
            yield PrimedItem("passive", *(spell(sentence.words()) for sentence in (*prime, *target)))
            many -= 1


def known(items: list[PrimedItem], how: Reads) -> list[PrimedItem]:
    """Those of whose words the tokenizer knows all."""
    unknown = unknown_id(how.tokenizer, how.first)
    return [item for item in items if unknown not in how.tokenizer(" ".join(item[1:]), add_special_tokens=False)["input_ids"]]


def primed(subject: Subject, items: list[PrimedItem], how: Reads) -> tuple[Any, Any]:
    """Of each item that is not too long: the effects on targets a and b, nats, (items, 2); and the share of structure a among both
    targets after primes a and b, (items, 2)."""
    pairs = [(prime, target) for item in items for prime in item[1:3] for target in item[3:]]
    if not pairs:
        return np.empty((0, 2)), np.empty((0, 2))
    key = ("primed", id(how.tokenizer), how.limit, tuple(items))
    asked = subject.context.once(key, partial(after, [p for p, _ in pairs], [t for _, t in pairs], how))
    if not len(asked.at):
        return np.empty((0, 2)), np.empty((0, 2))
    logp = -asked.surprisals(subject.logps(asked.sentences)).reshape(-1, 2, 2)  # item, prime, target
    logp = logp[np.isfinite(logp).all(axis=(1, 2))]
    effects = np.stack([logp[:, 0, 0] - logp[:, 1, 0], logp[:, 1, 1] - logp[:, 0, 1]], axis=1)
    return effects, expit(logp[:, :, 0] - logp[:, :, 1])


# --- its figure ---------------------------------------------------------------------------------------------------


def _lines(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    values = frames["priming"].with_columns(of="alternation", value="effect").sort("of", "step", "seed")
    return curves.lines(values, "effect", Priming().columns["effect"], clock, **options)


def _says(frames: Frames, clock: Clock) -> str:
    """All at the end."""
    last = frames["priming"].filter(pl.col("step") == pl.col("step").max())
    said = [
        f"of the {row['alternation']} {row['effect']:+.2f} nats ({row['primed']:.2f} of targets)"
        for row in last.group_by("alternation", maintain_order=True).agg(pl.col("effect", "primed").mean()).iter_rows(named=True)
    ]
    return (
        f"At the last checkpoint the effect of a prime built alike is {', '.join(said)}. Little words such as to, was "
        "and by are in both, so that it is repetition as much as structure."
    )
