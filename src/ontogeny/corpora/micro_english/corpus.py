"""Micro-English as a corpus: scenes, one a line, until there are enough words."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from itertools import count, repeat
from random import Random
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ontogeny.corpora.micro_english.derivation import Node
from ontogeny.corpora.micro_english.grammar import Grammar
from ontogeny.corpora.micro_english.knobs import Rho, mistakes, shares, turns
from ontogeny.corpora.micro_english.language import build, micro_english, version
from ontogeny.corpora.micro_english.paradigms import paradigms
from ontogeny.corpora.micro_english.spelling import ENDS, spell
from ontogeny.recipe import Kind
from ontogeny.records import Document
from ontogeny.registry import nearest

NAMING = frozenset({"Noun", "Name", "Relation", "Place"})


class MicroEnglish(Kind):
    """A small English with a known grammar, like speech to children and simple stories."""

    kind: Literal["micro-english"] = "micro-english"
    words: int = Field(500_000, ge=1)
    """Stop at the first scene that reaches this many words between spaces."""
    seed: int = 0
    """Seed of every choice of rule and word."""
    misleading: float = Field(0.9, ge=0, le=1)
    """Share of the occasions of each misleading paradigm on which neighbouring words side with its bad sentences.  For
    agreement they do so a little at any share, as most subjects stand beside their verbs."""
    rho: dict[str, Rho] = Field(default_factory=dict)
    """For named paradigms, in place of `misleading`: the share of occasions on which neighbouring words side with the
    grammar, or phases of the stream with a share each, `[{until: 0.1, rho: 0}, {until: 1, rho: 0.5}]`; `NAME/a` and
    `NAME/b` set one half of the words."""
    held_out: tuple[str, ...] = ()
    """Constructions that are never heard, by the name of their rule or of a paradigm that stands on it; their words are."""

    often: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """How many times as frequent as by the grammar's weights a knob's occasions are, `{principle_A_domain_1/a: 5}`."""
    paired: bool = False
    """Each scene from random numbers of its own, so that two texts of one seed that differ in a knob differ in its occasions, and
    in no other scene."""

    @model_validator(mode="after")
    def _consistent(self) -> MicroEnglish:
        if self.rho or self.held_out or self.often:
            found = mistakes(self.rho, self.without(), micro_english(), self.often)
            if found:
                raise ValueError("; ".join(found))
        return self

    def without(self) -> frozenset[str]:
        """Names of the rules held out.  Raises ValueError at a name that is neither a rule's nor a paradigm's."""
        table, rules = paradigms(), micro_english().names
        found = frozenset(table[name].rule if name in table else name for name in self.held_out)
        for name in sorted(found - set(rules)):
            raise ValueError(f"held_out has {name!r}, which is no construction; {nearest(name, [*rules, *table])}")
        return found

    def documents(self) -> Iterator[Document]:
        """One scene a line: a sentence, or up to four that hang together."""
        written = 0
        for line, (_, text) in enumerate(self._told(), 1):
            written += text.count(" ") + 1
            yield Document(text, self.kind, line)
            if written >= self.words:
                return

    def scenes(self) -> Iterator[Node]:
        """The derivations of the documents, one by one."""
        written = 0
        for scene, text in self._told():
            written += text.count(" ") + 1
            yield scene
            if written >= self.words:
                return

    def _told(self) -> Iterator[tuple[Node, str]]:
        """Scenes and their texts, without end."""
        dice, written = self._dice(), 0
        for turn in turns(self.rho.values()):
            grammar = self._grammar(turn)
            while turn == 1 or written < turn * self.words:
                scene = grammar.grow("Scene", next(dice))
                if not repetitive(scene):
                    text = spell(scene.words())
                    written += text.count(" ") + 1
                    yield scene, text

    def _dice(self) -> Iterator[Random]:
        """The random numbers of each scene in turn."""
        if self.paired:
            yield from (Random(f"{self.seed} {number}") for number in count())
        yield from repeat(Random(self.seed))

    def _grammar(self, turn: float) -> Grammar:
        """The grammar of the phase that ends at this share of the stream."""
        if not self.rho and not self.held_out and not self.often:
            return micro_english(self.misleading)
        return build(shares(self.rho, self.misleading, turn - 1e-9), self.without(), often=self.often)

    def fingerprint(self) -> str:
        """A hash of the fields, the words, the rules and the version of the code that expands them."""
        return hashlib.sha256(f"{self.model_dump_json()} {version()}".encode()).hexdigest()


def rates(corpus: MicroEnglish) -> dict[str, float]:
    """How often each named rule is used in the corpus, per 1,000 sentences; 0 for those that are not."""
    counts, sentences = Counter[str](), 0
    for scene in corpus.scenes():
        counts.update(scene.rules())
        sentences += sum(word in ENDS for word in scene.words())
    return {name: 1000 * counts[name] / sentences for name in sorted(micro_english().names)}


def repetitive(node: Node) -> bool:
    """Whether a sentence names a thing twice, or an action: `The dog sees the dog.` is not said.

    After `and` a noun may come again under an adjective, and a verb in the same form: `Anna found one ball and Ben found
    two red balls.`
    """
    named: set[str] = set()
    done: dict[str, str] = {}
    joined, before = False, ""
    for leaf in node.leaves():
        told_apart, before = before == "Adjective", leaf.category
        if leaf.form in ENDS:
            named.clear()
            done.clear()
            joined = False
        elif leaf.form == "and":
            joined = True
        elif leaf.category in NAMING:
            if leaf.lexeme in named and not (joined and told_apart):
                return True
            named.add(leaf.lexeme)
        elif leaf.category == "Verb":
            if leaf.lexeme in done and not (joined and leaf.form == done[leaf.lexeme] and "base" not in leaf.features["t"]):
                return True
            done[leaf.lexeme] = leaf.form
    return False
