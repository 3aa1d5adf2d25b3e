"""Dependence: whether words that a model makes depend on one another most are those that a treebank joins (Hoover et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import polars as pl
from pydantic import Field

from ontogeny.instruments.asked import AskedWords, Reads, Spelled, of_tokens
from ontogeny.instruments.instrument import Column, DoesNotApply, Instrument, schema
from ontogeny.instruments.parsed import ParsedText, given, hashes
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel
from ontogeny.records import OntogenyError
from ontogeny.trajectories.timeline import Floats, Ints

PUNCTUATION = "PUNCT"
FEWEST, LONGEST = 2, 40  # words of a sentence that is looked at, without punctuation
TREE, PROJECTIVE, ADJACENCY, RANDOM = "tree", "projective tree", "adjacency", "random projective tree"
INDUCED = "induced tree"  # of a model that has trees itself
WORDS_A_SENTENCE = 16  # about; so many of the treebank's words are drawn for every sentence that is wanted
Edges = set[tuple[int, int]]


class Dependence(Instrument):
    """Trees of the largest conditional mutual information of words, and those that a model induces itself, beside a treebank's
    arcs and the tree of neighbours."""

    reads: ClassVar[tuple[str, ...]] = ("causal", "masked")

    kind: Literal["dependence"] = "dependence"
    treebank: Path | None = None
    """A file in CoNLL-U, or a folder of such files (.conllu), in the language of the model."""
    sentences: int = Field(200, ge=1)
    """Sentences of it, drawn at random."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By tree."""
        share: dict[str, Any] = {"span": (0.0, 1.0)}
        return {
            "of": Column(
                says="how words are joined: tree, projective tree, induced tree, adjacency, random projective tree",
                dtype=pl.String,
                index=True,
            ),
            "arcs": Column(says="share of the treebank's arcs that are joined, without direction and punctuation", **share),
            "by_sentence": Column(says="mean over sentences of that", **share),
            "n": Column(says="arcs", dtype=pl.Int64),
            "sentences": Column(says="sentences", dtype=pl.Int64),
            "left_out": Column(says="sentences left out: too short, too long, or with words that share a token", dtype=pl.Int64),
        }

    def contents(self) -> list[str]:
        """The treebank's.  Raises OntogenyError where none was given, that says how."""
        return hashes(self.name, self.treebank)

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises DoesNotApply for a masked model without trees, and OntogenyError for a treebank that is none, or that has no
        sentence that can be looked at."""
        how, parents = Reads.of(subject), getattr(subject.model, "parents", None)
        if subject.kind == "masked" and parents is None:
            raise DoesNotApply(
                "a masked model's words have no surprisal after those before them, and it induces no trees of its own"
            )
        text = subject.parsed(given(self.name, self.treebank), f"{self.name}.treebank", self.sentences * WORDS_A_SENTENCE)
        asked = subject.context.once((self, id(text)), partial(Without.of, text, self.sentences, how))
        sizes, rng = [len(sentence.words) for sentence in asked.parsed], np.random.default_rng(0)
        found: dict[str, list[Edges]] = {}
        if subject.kind == "causal":
            values = np.split(asked.words.surprisals(subject.logps(asked.words.sentences)), asked.ends[:-1])
            weights = [cpmi(own, n) for own, n in zip(values, sizes, strict=True)]
            found |= {TREE: [spanning_tree(own) for own in weights], PROJECTIVE: [projective_tree(own) for own in weights]}
        if parents is not None:
            found[INDUCED] = [
                spanning_tree(sentence.joined(hanging(parents, sentence, subject.device))) for sentence in asked.parsed
            ]
        found[ADJACENCY] = [{(i, i + 1) for i in range(n - 1)} for n in sizes]
        found[RANDOM] = [projective_tree(symmetric(rng.random((n, n)))) for n in sizes]
        gold = [sentence.arcs for sentence in asked.parsed]
        rows = [(of, *recall(edges, gold), len(gold), asked.left_out) for of, edges in found.items()]
        return pl.DataFrame(rows, schema=schema(self), orient="row")

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """What the tree finds more than the tree of neighbours, and what the induced one does."""
        wide = table.pivot(on="of", index=["seed", "step"], values="arcs")
        names = {TREE: "trees", INDUCED: "induced trees"}
        return {
            name: wide.select("seed", "step", value=pl.col(of) - pl.col(ADJACENCY))
            for of, name in names.items()
            if of in wide.columns
        }

    def panels(self) -> tuple[Panel, ...]:
        """All trees over training."""
        return (
            Panel(
                name="dependence.arcs",
                title="arcs of a treebank between words that depend on one another most",
                needs=("dependence",),
                draw=_lines,
                says=_says,
                command="read RUN --with dependence --set treebank=FILE",
            ),
        )


class WordsAlone(NamedTuple):
    """A sentence without punctuation."""

    words: list[int]  # their numbers in the treebank's sentence
    arcs: Edges  # between places in `words`, the smaller first
    ids: list[int]  # tokens of all of the sentence
    places: Ints  # (words, 2): the first and the last token of each

    def joined(self, hanging: Floats) -> Floats:
        """Symmetric (words, words), from what each token hangs on (tokens, tokens): summed over the words' tokens."""
        of = np.array([[first <= at <= last for at in range(len(self.ids))] for first, last in self.places], dtype=float)
        found = of @ hanging @ of.T
        return np.asarray(found + found.T)


class Without(NamedTuple):
    """Sentences, whole and with each of their words left out."""

    parsed: list[WordsAlone]
    words: AskedWords  # of each sentence the surprisal of all words, and then, word by word, of those after it without it
    ends: Ints  # where each sentence ends among these
    left_out: int

    @classmethod
    def of(cls, text: ParsedText, most: int, how: Reads) -> Without:
        """Raises OntogenyError where no sentence can be looked at."""
        front = int(how.first is not None)
        parsed, rows, ends, left_out, n = [], [], [], 0, 0  # type: ignore[var-annotated]
        spelled: list[Spelled] = []
        for sentence, ids, places in zip(text.sentences, text.tokens, text.places, strict=True):
            kept = [number for number, word in enumerate(sentence.words) if word.upos != PUNCTUATION]
            if len(parsed) == most:
                break
            if not FEWEST <= len(kept) <= LONGEST or (places[1:, 0] <= places[:-1, 1]).any():
                left_out += 1
                continue
            place = {number: at for at, number in enumerate(kept)}
            heads = [(number, (sentence.words[number].head or 0) - 1) for number in kept]
            arcs = {(min(place[a], place[b]), max(place[a], place[b])) for a, b in heads if b in place}
            parsed.append(WordsAlone(kept, arcs, list(ids), places[kept]))
            for gone in [None, *kept]:
                begin, end = (0, 0) if gone is None else (places[gone, 0], places[gone, 1] + 1)
                rows.append([*ids[:begin], *ids[end:]])
                for number in kept if gone is None else kept[place[gone] + 1 :]:
                    tokens = range(places[number, 0] - (end - begin), places[number, 1] + 1 - (end - begin))
                    spelled += [(len(rows) - 1, token - front, n) for token in tokens]
                    n += 1
            ends.append(n)
        if not parsed:
            raise OntogenyError(
                f"no sentence of the treebank has {FEWEST} to {LONGEST} words with tokens of their own; {left_out:,} were left out"
            )
        return cls(parsed, of_tokens(rows, front, spelled, n, how), np.array(ends), left_out)


def hanging(parents: Any, sentence: WordsAlone, device: Any) -> Floats:
    """p (tokens, tokens) that a row's token hangs on a column's, from a model's `parents` (see `StructFormerForCausalLM`).

    Raises OntogenyError that names the sentence where one is no finite number.
    """
    import torch

    with torch.inference_mode():
        found = parents(torch.tensor([sentence.ids], device=device))[0].double().cpu().numpy()
    if not np.isfinite(found).all():
        raise OntogenyError(
            f"a parent's probability is no finite number, in a sentence of {len(sentence.words)} words; "
            "the model's weights may be broken"
        )
    return np.asarray(found)


def cpmi(values: Floats, n: int) -> Floats:
    """Symmetric (n, n): how much less surprising the later word is for the earlier one being there, nats.

    values: surprisals of the n words, then of those after the first without it, after the second without it ...
    """
    weights = np.zeros((n, n))
    at = n
    for i in range(n):
        weights[i, i + 1 :] = values[at : at + n - 1 - i] - values[i + 1 : n]
        at += n - 1 - i
    return np.nan_to_num(symmetric(weights))


def symmetric(upper: Floats) -> Floats:
    """A matrix that has on both sides what stands above the diagonal."""
    found = np.triu(upper, 1)
    return np.asarray(found + found.T)


def spanning_tree(weights: Floats) -> Edges:
    """The tree of the largest sum (Prim 1957)."""
    n, edges = len(weights), set()
    best, of, inside = weights[0].copy(), np.zeros(n, dtype=int), np.zeros(n, dtype=bool)
    inside[0] = True
    for _ in range(n - 1):
        new = int(np.where(inside, -np.inf, best).argmax())
        edges.add((min(new, int(of[new])), max(new, int(of[new]))))
        inside[new] = True
        nearer = weights[new] > best
        best, of = np.where(nearer, weights[new], best), np.where(nearer, new, of)
    return edges


def projective_tree(weights: Floats) -> Edges:
    """The tree of the largest sum that has no edges that cross (Eisner 1996, with the first word as its root)."""
    n = len(weights)
    right, left = np.zeros((n, n)), np.zeros((n, n))  # of i ... j, all below i; all below j
    joined = np.full((n, n), -np.inf)  # the same with an edge between i and j
    at = np.zeros((3, n, n), dtype=int)  # where each is parted
    for width in range(1, n):
        for i in range(n - width):
            j = i + width
            parts = right[i, i:j] + left[i + 1 : j + 1, j]
            at[0, i, j] = i + int(parts.argmax())
            joined[i, j] = parts.max() + weights[i, j]
            parts = joined[i, i + 1 : j + 1] + right[i + 1 : j + 1, j]
            at[1, i, j], right[i, j] = i + 1 + int(parts.argmax()), parts.max()
            parts = left[i, i:j] + joined[i:j, j]
            at[2, i, j], left[i, j] = i + int(parts.argmax()), parts.max()
    edges: Edges = set()
    todo = [(1, 0, n - 1)]
    while todo:
        kind, i, j = todo.pop()
        if i == j:
            continue
        k = int(at[kind, i, j])
        if kind == 0:
            edges.add((i, j))
            todo += [(1, i, k), (2, k + 1, j)]
        else:
            todo += [(0, i, k), (1, k, j)] if kind == 1 else [(2, i, k), (0, k, j)]
    return edges


def recall(found: Sequence[Edges], gold: Sequence[Edges]) -> tuple[float, float, int]:
    """The share of arcs that are found, the mean over sentences of it, and how many arcs there are."""
    both = [(len(own & arcs), len(arcs)) for own, arcs in zip(found, gold, strict=True) if arcs]
    arcs = sum(n for _, n in both)
    return sum(hits for hits, _ in both) / max(1, arcs), float(np.mean([hits / n for hits, n in both])) if both else 0.0, arcs


# --- its figure ---------------------------------------------------------------------------------------------------


def _lines(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    values = frames["dependence"].with_columns(value="arcs").sort("of", "step", "seed")
    return curves.lines(values, "share of arcs", Dependence().columns["arcs"], clock, **options)


def _says(frames: Frames, clock: Clock) -> str:
    """All at the end."""
    last = frames["dependence"].filter(pl.col("step") == pl.col("step").max()).group_by("of").agg(pl.col("arcs").mean())
    arcs = dict(last.iter_rows())
    names = {TREE: "of words that depend on one another most", PROJECTIVE: "of these without edges that cross"}
    names |= {INDUCED: "that the model induces", ADJACENCY: "that joins every word to the next", RANDOM: "drawn at random"}
    said = [f"the tree {name} has {arcs[of]:.3f}" for of, name in names.items() if of in arcs]
    return (
        f"Of the treebank's arcs at the last checkpoint {', '.join(said)}. Only what is above neighbours is syntax; published "
        "models are hardly above them."
    )
