"""A recipe to begin with: a text, perhaps a model to take the shape of, and what is read, each with a word on it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from ontogeny import disk, registry
from ontogeny import recipe as recipes
from ontogeny.records import Corpus, OntogenyError, Suite

LIKE = {
    "opt": "opt",
    "gpt2": "gpt2",
    "gpt_neox": "gpt-neox",
    "llama": "llama",
    "mamba": "mamba",
    "bert": "bert",
}  # a config's model_type
SMALL = "tokenizer: {kind: bpe, vocab_size: 4096}    # trained on the text; or {kind: pretrained, name: FOLDER}"
MODEL = "model: {kind: opt, size: opt-1m}            # also gpt2, gpt-neox, llama, mamba, xlstm, lstm ...: docs/architectures.md"


def new(path: Path, corpus: Path, model: Path | None = None, suites: Sequence[dict[str, Any]] = ()) -> Path:
    """Writes a commented recipe that runs, for a text; `model`: a folder whose shape and tokenizer are taken, from scratch.

    Raises OntogenyError rather than write over a file, and for a text or a model that is not there.
    """
    if path.exists():
        raise OntogenyError(f"{path} is there already; name another file")
    if path.suffix not in (".yaml", ".yml"):
        raise OntogenyError(f"{path}: a recipe's file ends in .yaml")
    if not corpus.exists():
        raise disk.missing(corpus, "--corpus")
    shape = _shape(model) if model else {"model": MODEL, "tokenizer": SMALL, "context": 128}
    listed = "\n".join(f"  - {_flow(suite)}" for suite in suites or [{"kind": "micro-english"}])
    hint = (
        ""
        if suites
        else "     # of generated English; BLiMP, once you have it: {kind: blimp, path: FOLDER} (ontogeny suites get blimp)"
    )
    text = (files("ontogeny.commands") / "begin.yaml").read_text(encoding="utf-8")
    name = re.sub(r"[^\w.~-]", "-", path.stem).lstrip("-.~") or "mine"
    written = text.format(name=name, file=shlex.quote(str(path)), corpus=_flow(str(corpus)), suites=listed + hint, **shape)
    _check(recipes.parse(written, str(path)))
    with disk.atomic(path) as temporary:
        temporary.write_text(written, encoding="utf-8")
    return path


def _check(recipe: recipes.Recipe) -> None:
    """Raises OntogenyError for a text that holds nothing to train on, and for suites that are not there."""
    if next(iter(cast(Corpus, recipe.corpus).documents()), None) is None:
        raise OntogenyError("--corpus: there is no text in it")
    for suite in recipe.suites:
        next(iter(cast(Suite, suite).pairs()), None)


def _shape(folder: Path) -> dict[str, Any]:
    """Kind, sizes, tokenizer and context of a model in a folder.  Raises OntogenyError for a kind that cannot be trained here."""
    config = disk.read_json(folder / "config.json") if (folder / "config.json").exists() else None
    if config is None:
        raise OntogenyError(f"--model {folder} holds no config.json; name the folder of a model, as from_pretrained opens it")
    kind = LIKE.get(config.get("model_type"))
    if kind is None:
        raise OntogenyError(f"--model {folder} is of the kind {config.get('model_type')!r}; trained here are {', '.join(LIKE)}")
    part = registry.load("architecture", kind)
    fields = {name for size in part.sizes.values() for name in size} & set(config) - {part.positions}
    options = {name: config[name] for name in sorted(fields) if config[name] is not None}
    longest = config.get(part.positions) if part.positions else None
    lines = f"# the shape of {folder}, its weights drawn anew", "model:", f"  kind: {kind}", f"  options: {_flow(options)}"
    return {
        "model": "\n".join(lines),
        "tokenizer": f"tokenizer: {_flow({'kind': 'pretrained', 'name': str(folder)})}",
        "context": min(128, longest or 128),
    }


def _flow(value: Any) -> str:
    """A value in one line of YAML; JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)
