"""Syntactic attention (Chen et al. 2024), in a form that causal models can have: heads that look along a treebank's arcs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from ontogeny.instruments.instrument import Column, Instrument, schema
from ontogeny.instruments.parsed import ParsedText, given, hashes
from ontogeny.instruments.reach import percent
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel
from ontogeny.records import OntogenyError
from ontogeny.trajectories.timeline import Floats, Ints

FEWEST = 100  # arcs of a relation, below which it has no value
PUNCTUATION = "punct"
FARTHEST = 10  # words back that a fixed distance goes
LOOKED = {"found": "best heads", "fixed": "best fixed distances"}


class SyntacticAttention(Instrument):
    """How often a head looks, from the later word of an arc, most at the earlier one; beside the best fixed distance."""

    kind: Literal["syntax"] = "syntax"
    treebank: Path | None = None
    """A file in CoNLL-U, or a folder of such files (.conllu), in the language of the model."""
    words: int = Field(10_000, ge=FEWEST)
    """Words of it, in whole sentences drawn at random."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By relation."""
        share: dict[str, Any] = {"span": (0.0, 1.0)}
        return {
            "relation": Column(says="universal relation of the arc; empty: all, by their arcs", dtype=pl.String, index=True),
            "found": Column(says="share of arcs whose later word looks most at the earlier one, by the best head", **share),
            "fixed": Column(says="share of arcs whose words stand as far apart as is best, always", **share),
            "gain": Column(says="the first less the second"),
            "layer": Column(says="the layer of the best head, from 1", dtype=pl.Int64),
            "head": Column(says="that head, from 1", dtype=pl.Int64),
            "back": Column(says="the best distance", dtype=pl.Int64, unit="words"),
            "n": Column(says="arcs, of the half on which nothing was chosen", dtype=pl.Int64),
        }

    def contents(self) -> list[str]:
        """The treebank's.  Raises OntogenyError where none was given, that says how."""
        return hashes(self.name, self.treebank)

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises DoesNotApply for a model without attention weights, and OntogenyError for a treebank that is none."""
        text = subject.parsed(given(self.name, self.treebank), f"{self.name}.treebank", self.words)
        arcs = subject.context.once((self, "arcs", id(text)), partial(arcs_of, text))
        looks = np.concatenate(list(looked_at(subject, text)), axis=-1)  # (layers, heads, words)
        hits = looks[:, :, arcs.later] == arcs.earlier
        return pl.DataFrame(list(_rows(arcs, hits)), schema=schema(self), orient="row")

    def panels(self) -> tuple[Panel, ...]:
        """All relations over training, and what each gains."""
        shared: dict[str, Any] = {"needs": ("syntax",), "command": "read RUN --with syntax --set treebank=FILE"}
        return (
            Panel(
                name="syntax.all",
                title="arcs of a treebank that heads look along, and those that a fixed distance finds",
                draw=_lines,
                says=_all_says,
                **shared,
            ),
            Panel(
                name="syntax.gain",
                title="what the best head finds of each relation more than the best fixed distance",
                draw=_map,
                says=_gain_says,
                shape="map",
                **shared,
            ),
        )


class Arcs(NamedTuple):
    """Those between two words that do not share a token, without punctuation, seen from the later one: (arcs,) each."""

    later: Ints  # the word's number in the text
    earlier: Ints  # that of the other in their sentence, from 0
    distance: Ints  # words
    relation: NDArray[np.str_]
    held: NDArray[np.bool_]  # in a sentence that is scored; on the others heads and distances are chosen


def arcs_of(text: ParsedText) -> Arcs:
    """Of all sentences; every second one is scored.  Raises OntogenyError for a treebank without arcs."""
    rows, begin = [], 0
    for number, (sentence, places) in enumerate(zip(text.sentences, text.places, strict=True)):
        for dependent, word in enumerate(sentence.words):
            earlier, later = sorted((dependent, (word.head or 0) - 1))
            relation = word.relation.partition(":")[0]
            if word.head and earlier < later and places[earlier, 1] < places[later, 0] and relation != PUNCTUATION:
                rows.append((begin + later, earlier, later - earlier, relation, number % 2 == 1))
        begin += len(places)
    if not rows:
        raise OntogenyError(f"the treebank's {begin:,} words that were read have no heads (column 7), and arcs are made of these")
    return Arcs(*(np.array(one) for one in zip(*rows, strict=True)))


def looked_at(subject: Subject, text: ParsedText) -> Iterator[Ints]:
    """Of each sentence, the word before that each word looks at most: (layers, heads, words); -1 for its first word.

    Attention is the mean over the later word's tokens of the sum over the earlier one's, without BOS and the word itself.
    """
    for places, attention in zip(text.places, subject.attending(text.tokens), strict=True):
        at = np.arange(attention.shape[-1])
        inside = ((places[:, :1] <= at) & (at <= places[:, 1:])).astype(np.float32)  # (words, tokens)
        seen = (inside / inside.sum(1, keepdims=True)) @ attention @ inside.T
        apart = places[None, :, 1] < places[:, None, 0]
        most = np.where(apart, seen, -1).argmax(-1)
        yield np.where(apart.any(1), most, -1)


def _rows(arcs: Arcs, hits: NDArray[np.bool_]) -> Iterator[tuple[Any, ...]]:
    names, counts = np.unique(arcs.relation, return_counts=True)
    enough = [str(name) for name, many in zip(names, counts, strict=True) if many >= FEWEST]
    if not enough:
        raise OntogenyError(f"no relation has {FEWEST} arcs in what was read of the treebank; give more of it, or more words of it")
    rows = [one_relation(arcs, hits, name) for name in enough]
    weights = [row[-1] for row in rows]  # arcs that are scored
    found, fixed = (float(np.average([row[place] for row in rows], weights=weights)) for place in (1, 2))
    yield "", found, fixed, found - fixed, None, None, None, sum(weights)
    yield from rows


def one_relation(arcs: Arcs, hits: NDArray[np.bool_], name: str) -> tuple[Any, ...]:
    """Its row: head and distance are those that are best on the one half of the sentences, scored on the other."""
    chosen, scored = (np.flatnonzero((arcs.relation == name) & (arcs.held == held)) for held in (False, True))
    right: Floats = hits[:, :, chosen].mean(-1)  # (layers, heads)
    layer, head = (int(one) for one in np.unravel_index(right.argmax(), right.shape))
    back = int(np.bincount(np.minimum(arcs.distance[chosen], FARTHEST + 1), minlength=FARTHEST + 2)[: FARTHEST + 1].argmax())
    found, fixed = float(hits[layer, head, scored].mean()), float(np.mean(arcs.distance[scored] == back))
    return name, found, fixed, found - fixed, layer + 1, head + 1, back, len(scored)


# --- its figures --------------------------------------------------------------------------------------------------


def _lines(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    every = frames["syntax"].filter(relation="").unpivot(list(LOOKED), index=["seed", "step"], variable_name="of")
    values = every.with_columns(pl.col("of").replace(LOOKED)).sort("of", "step", "seed")
    return curves.lines(values, "share of arcs", SyntacticAttention().columns["found"], clock, **options)


def _map(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    values = frames["syntax"].filter(pl.col("relation") != "").with_columns(of="relation", value="gain")
    return curves.index_map(values.sort("relation", "step", "seed"), "gain", Column(says="", chance=0.0), **options)


def _ends(frames: Frames) -> pl.DataFrame:
    last = frames["syntax"].filter(pl.col("step") == pl.col("step").max())
    return last.group_by("relation", maintain_order=True).agg(pl.col("found", "fixed", "gain").mean())


def _all_says(frames: Frames, clock: Clock) -> str:
    """Both shares at the end."""
    every = _ends(frames).row(by_predicate=pl.col("relation") == "", named=True)
    return (
        f"At the last checkpoint the best head of each relation looks from an arc's later word most at its earlier one in "
        f"{percent(every['found'])} of the arcs of sentences that it was not chosen on; the distance that is best for the relation "
        f"finds {percent(every['fixed'])}. Only what is above that is more than looking so many words back; and where a head looks "
        "does not say what it does with it."
    )


def _gain_says(frames: Frames, clock: Clock) -> str:
    """The relations with most and least gain."""
    ends = _ends(frames).filter(pl.col("relation") != "").sort("gain", descending=True)
    best = ends.row(0, named=True)
    above = int((ends["gain"] > 0).sum())
    return (
        f"At the last checkpoint heads find more than a fixed distance in {above} of {len(ends)} relations, most in "
        f"{best['relation']} ({best['found']:.2f}, distance {best['fixed']:.2f}). Orange: they find less."
    )
