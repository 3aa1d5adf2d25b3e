"""Name -> "module:attribute", loaded only when asked for.

A new corpus, tokenizer, architecture or suite is one small file and one line here.  A package of somebody else's joins through
an entry point in the group `ontogeny.KIND` (for example `ontogeny.corpus`), without touching this file.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from ontogeny.records import OntogenyError

TABLES: dict[str, dict[str, str]] = {
    "corpus": {
        "text": "ontogeny.corpora.text:Text",
        "hub": "ontogeny.corpora.hub:Hub",
        "micro-english": "ontogeny.corpora.micro_english:MicroEnglish",
    },
    "tokenizer": {
        "bpe": "ontogeny.tokens.trained:BPE",
        "word": "ontogeny.tokens.trained:Word",
        "character": "ontogeny.tokens.trained:Character",
        "pretrained": "ontogeny.tokens.pretrained:Pretrained",
    },
    "architecture": {
        "opt": "ontogeny.architectures.opt:OPT",
    },
    "suite": {
        "blimp": "ontogeny.suites.blimp:BLiMP",
        "babylm-blimp": "ontogeny.suites.babylm:FilteredBLiMP",
        "babylm-supplement": "ontogeny.suites.babylm:Supplement",
        "zorro": "ontogeny.suites.zorro:Zorro",
        "table": "ontogeny.suites.table:Table",
        "micro-english": "ontogeny.suites.micro_english:MicroEnglishPairs",
    },
}


def names(kind: str) -> list[str]:
    """The names a recipe may use for `kind`, ours first and then those of installed packages."""
    return [*TABLES[kind], *(point.name for point in entry_points(group=f"ontogeny.{kind}"))]


def nearest(word: str, words: list[str]) -> str:
    """The end of an error message about an unknown word: the nearest valid one, or all there are."""
    close = get_close_matches(word, words, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(words)}"


def load(kind: str, name: str) -> Any:
    """What `name` stands for.  Raises OntogenyError with the nearest valid name if there is none."""
    if name in TABLES[kind]:
        module, attribute = TABLES[kind][name].split(":")
        return getattr(import_module(module), attribute)
    for point in entry_points(group=f"ontogeny.{kind}", name=name):
        return point.load()
    raise OntogenyError(f"no {kind} is called {name!r}; {nearest(name, names(kind))}")
