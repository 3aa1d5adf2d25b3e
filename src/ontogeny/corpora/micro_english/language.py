"""The one micro-English: its data, and what they hash to."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML

from ontogeny.corpora.micro_english.grammar import Grammar
from ontogeny.corpora.micro_english.lexicon import Lexicon

_FOLDER = files("ontogeny.corpora.micro_english")


@lru_cache(maxsize=8)
def micro_english(misleading: float) -> Grammar:
    """The grammar at this share of misleading occasions (0 to 1)."""
    rules = _data("grammar.yaml")
    return Grammar(Lexicon(_data("lexicon.yaml")), rules["features"], rules["rules"], misleading)


@lru_cache(maxsize=1)
def version() -> str:
    """A hash of the words, the rules and the code that expands them."""
    digest = hashlib.sha256()
    for file in sorted(_FOLDER.iterdir(), key=lambda file: file.name):
        if file.name.endswith((".yaml", ".py")):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _data(name: str) -> dict[str, Any]:
    data: dict[str, Any] = YAML(typ="safe").load(_FOLDER.joinpath(name).read_text(encoding="utf-8"))
    return data
