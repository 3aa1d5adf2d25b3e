"""Micro-English as a corpus: scenes, one a line, until there are enough words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from random import Random
from typing import Literal

from pydantic import Field

from ontogeny.corpora.micro_english.derivation import Node
from ontogeny.corpora.micro_english.language import micro_english, version
from ontogeny.corpora.micro_english.spelling import ENDS, spell
from ontogeny.recipe import Kind
from ontogeny.records import Document

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

    def documents(self) -> Iterator[Document]:
        """One scene a line: a sentence, or up to four that hang together."""
        grammar, random = micro_english(self.misleading), Random(self.seed)
        line = written = 0
        while written < self.words:
            scene = grammar.grow("Scene", random)
            if repetitive(scene):
                continue
            text = spell(scene.words())
            line += 1
            written += text.count(" ") + 1
            yield Document(text, self.kind, line)

    def fingerprint(self) -> str:
        """A hash of the fields, the words, the rules and the code that expands them."""
        return hashlib.sha256(f"{self.model_dump_json()} {version()}".encode()).hexdigest()


def repetitive(node: Node) -> bool:
    """Whether a sentence names a thing twice, or an action in two forms: `The dog sees the dog.` is not said."""
    named: set[str] = set()
    done: dict[str, str] = {}
    for leaf in node.leaves():
        if leaf.form in ENDS:
            named.clear()
            done.clear()
        elif leaf.category in NAMING:
            if leaf.lexeme in named:
                return True
            named.add(leaf.lexeme)
        elif leaf.category == "Verb" and done.setdefault(leaf.lexeme, leaf.form) != leaf.form:
            return True
    return False
