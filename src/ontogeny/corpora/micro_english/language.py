"""The one micro-English: its data, and what they hash to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Set
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from ruamel.yaml import YAML

from ontogeny.corpora.micro_english.grammar import Grammar, Share
from ontogeny.corpora.micro_english.lexicon import Lexicon

_FOLDER = files("ontogeny.corpora.micro_english")
TOLD = "1"  # to be raised with any change of the code after which a seed tells other texts: runs know their text by it


ASPECTS: dict[str, frozenset[str]] = {  # what a sentence may fail in: the features that say so
    "number": frozenset({"n"}),
    "gender": frozenset({"g"}),
    "form of the verb": frozenset({"t"}),
    "kind of verb": frozenset({"frame", "strict"}),
    "what the verb selects": frozenset({"sort", "subj", "obj"}),
    "case": frozenset({"case"}),
    "licensing": frozenset({"npi"}),
    "strength": frozenset({"strength"}),
    "quantity under no": frozenset({"neg"}),
}


@lru_cache(maxsize=8)
def micro_english(misleading: float = 0.5) -> Grammar:
    """The grammar at this share of misleading occasions (0 to 1)."""
    return build(misleading)


@lru_cache(maxsize=len(ASPECTS))
def blind_to(aspect: str) -> Grammar:
    """The grammar without the features of one of ASPECTS."""
    return build(0.5, blind=ASPECTS[aspect])


def build(
    misleading: float | Share,
    without: Set[str] = frozenset(),
    blind: Set[str] = frozenset(),
    known: Set[str] | None = None,
    often: Mapping[str, float] = MappingProxyType({}),
) -> Grammar:
    """The grammar without the rules of these names, these features, and (if `known` is given) any other words than these, with
    the occasions of some knobs `often` times as frequent."""
    rules, lexicon = data("grammar.yaml"), Lexicon(data("lexicon.yaml"))
    lexicon = lexicon if known is None else lexicon.restricted(known)
    grammar = Grammar(lexicon, rules["features"], rules["rules"], misleading, without, blind, often)
    if known is None and not without and not blind:
        grammar.check("Scene")
    return grammar


@lru_cache(maxsize=1)
def version() -> str:
    """A hash of the words, the rules and the version of the code that expands them."""
    digest = hashlib.sha256(TOLD.encode())
    for file in sorted(_FOLDER.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml"):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


@lru_cache(maxsize=4)
def data(name: str) -> dict[str, Any]:
    """What a file of this folder holds; not to be changed."""
    found: dict[str, Any] = YAML(typ="safe").load(_FOLDER.joinpath(name).read_text(encoding="utf-8"))
    return found
