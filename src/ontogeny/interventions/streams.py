"""The token streams that a training reads: the untouched one, and one for each set of corpus edits that hold together.

Edits are applied one after the other, in the order of the recipe; what each changed, and the promises it kept, stands in the
run's folder in files that people can read.  Training reads, at each share of its steps, the stream of the edits that hold then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from ontogeny import disk
from ontogeny.interventions.context import InterventionContext
from ontogeny.interventions.kinds import CorpusEdit, StreamEdit, TextEdit
from ontogeny.interventions.promises import check
from ontogeny.records import Document, Edited, OntogenyError, Removed
from ontogeny.tokens import token_store
from ontogeny.tokens.prepare import Bar, counted, silent
from ontogeny.tokens.token_store import TokenStore

Documents = Callable[[], Iterable[Document]]


@dataclass(frozen=True, slots=True)
class Stream:
    """What training reads between two shares of its steps."""

    start: float
    until: float
    text: TokenStore
    edits: tuple[int, ...]  # numbers, from 1, of the interventions that made it


class _Stage(NamedTuple):
    """A stream on its way: after some edits."""

    text: TokenStore
    documents: Documents | None  # None after an edit of tokens


def streams(context: InterventionContext, documents: Documents, bar: Bar = silent) -> tuple[Stream, ...]:
    """The streams of a recipe's corpus edits, made or opened.  Raises OntogenyError for a broken promise or an impossible edit."""
    edits = {
        number: part for number, part in enumerate(context.recipe.interventions, start=1) if isinstance(part, CorpusEdit)
    }  # the number is the place in the recipe
    _check_order(edits)
    _check_direction(edits, context)
    maker = _Maker(context, documents, edits, bar)
    found = []
    for start, until in stretches(edits.values()):
        active = tuple(number for number, edit in edits.items() if edit.when.covers(start, until))
        found.append(Stream(start, until, maker.after(active).text, active))
    maker.write_facts(found)
    return tuple(found)


def bigram_margins(context: InterventionContext, found: Sequence[Stream]) -> pl.DataFrame:
    """Mean bigram margin (nats) of every paradigm in every stream: paradigm, start, until, bigram_margin."""
    schema = {"paradigm": pl.String, "start": pl.Float64, "until": pl.Float64, "bigram_margin": pl.Float64}
    rows = [
        (paradigm, stream.start, stream.until, margin)
        for stream in found
        for paradigm, margin in context.margins(context.paradigms(), stream.text).items()
    ]
    return pl.DataFrame(rows, schema, orient="row")


def stretches(edits: Iterable[CorpusEdit]) -> list[tuple[float, float]]:
    """Between which shares of training the same edits hold."""
    marks = sorted({0.0, 1.0, *(share for edit in edits for share in (edit.when.start, edit.when.until))})
    return list(pairwise(marks))


def _check_order(edits: dict[int, CorpusEdit]) -> None:
    tokens = [number for number, edit in edits.items() if isinstance(edit, StreamEdit)]
    if late := [number for number, edit in edits.items() if isinstance(edit, TextEdit) and tokens and number > tokens[0]]:
        raise OntogenyError(
            f"interventions.{late[0] - 1}: {edits[late[0]].kind} changes documents, but comes after {edits[tokens[0]].kind}, which "
            "changes single tokens; list edits of documents first"
        )


def _check_direction(edits: dict[int, CorpusEdit], context: InterventionContext) -> None:
    """Edits of single tokens look for words and constructions in the order in which they are read."""
    single = next((edit.kind for edit in edits.values() if isinstance(edit, StreamEdit)), None)
    if single and token_store.backward(context.tokenizer):
        raise OntogenyError(f"interventions: {single} edits tokens in reading order, and the tokenizer's direction is backward")


class _Maker:
    """Makes the stream after a sequence of edits, each once."""

    def __init__(self, context: InterventionContext, documents: Documents, edits: dict[int, CorpusEdit], bar: Bar):
        self.context = context
        self.edits = edits
        self.bar = bar
        self.stages: dict[tuple[int, ...], _Stage] = {(): _Stage(context.untouched, documents)}
        path = context.folder.interventions
        known = disk.read_json(path)["edits"] if path.exists() else []
        self.facts = {fact["key"]: fact for fact in known}  # by the key of the stream that an edit gives
        self.used: list[str] = []

    def after(self, numbers: tuple[int, ...]) -> _Stage:
        """The stream after these edits."""
        if numbers not in self.stages:
            self.stages[numbers] = self._apply(self.after(numbers[:-1]), numbers)
        return self.stages[numbers]

    def _apply(self, before: _Stage, numbers: tuple[int, ...]) -> _Stage:
        edit, context = self.edits[numbers[-1]], self.context.after(before.text)
        key = key_of(edit, context)
        self.used.append(key)
        if key in self.facts and (context.folder.tokens / f"train-{key}.json").exists():
            text = token_store.open_or_write(context.folder.tokens, f"train-{key}", key, _gone)
        else:
            text = self._made(edit, before, context, numbers, key)
        return _Stage(text, _after(edit, before.documents, context) if isinstance(edit, TextEdit) and before.documents else None)

    def _made(
        self, edit: CorpusEdit, before: _Stage, context: InterventionContext, numbers: tuple[int, ...], key: str
    ) -> TokenStore:
        path = self._changes(edit, numbers, key)
        with self.bar(edit.kind) as progress, disk.atomic(path) as log:
            if isinstance(edit, TextEdit) and before.documents:
                text, facts = _edit_documents(edit, counted(before.documents(), progress), context, log, key)
            else:
                assert isinstance(edit, StreamEdit)
                text, facts = _edit_tokens(edit, context, log, key)
                progress(len(before.text.documents))
        self.facts[key] = {
            "number": numbers[-1],
            "after": list(numbers[:-1]),
            "kind": edit.kind,
            "key": key,
            "file": path.name,
            "settings": edit.model_dump(mode="json"),
            "promises": check(edit, before.text, text, context),
            "facts": facts,
        }
        return text

    def _changes(self, edit: CorpusEdit, numbers: tuple[int, ...], key: str) -> Path:
        """Where what an edit changed is told; an edit that follows other edits in another stretch has a file for each."""
        path = self.context.folder.changes(numbers[-1], edit.kind)
        taken = {self.facts[other].get("file") for other in self.used if other != key and other in self.facts}
        return path if path.name not in taken else self.context.folder.changes(numbers[-1], f"{edit.kind}-{key}")

    def write_facts(self, found: Sequence[Stream]) -> None:
        """Writes what was done; nothing where there is no edit."""
        if not self.edits:
            return
        told = [{"from": s.start, "until": s.until, "edits": list(s.edits), "stream": s.text.path.name} for s in found]
        facts = {"streams": told, "edits": [self.facts[key] for key in dict.fromkeys(self.used)]}
        disk.write_json(self.context.folder.interventions, facts)


def _gone() -> TokenStore:
    raise OntogenyError("a stream that was edited before is no longer whole; delete the run's tokens folder and start again")


def _after(edit: TextEdit, documents: Documents, context: InterventionContext) -> Documents:
    """The documents that are read after an edit."""

    def left() -> Iterator[Document]:
        for item in edit.apply(iter(documents()), context):
            if isinstance(item, Document):
                yield item
            elif isinstance(item, Edited):
                yield item.after

    return left


def _edit_documents(
    edit: TextEdit, documents: Iterator[Document], context: InterventionContext, path: Path, key: str
) -> tuple[TokenStore, dict[str, Any]]:
    """The stream of the documents after an edit; what it changed goes to the file at `path`."""
    tally = {"documents": 0, "edited": 0, "added": 0, "removed": 0}
    with path.open("w", encoding="utf-8") as log:
        kept = _logged(edit.apply(documents, context), log.write, tally)
        folder, bos = context.folder.tokens, context.recipe.bos
        return token_store.write(folder, f"train-{key}", kept, context.tokenizer, bos=bos, key=key), tally


def key_of(edit: CorpusEdit, context: InterventionContext) -> str:
    """What decides the stream that an edit gives."""
    return context.key(edit.kind, edit.model_dump(mode="json", exclude={"when"}), list(context.ask()), *edit.contents())


def edited(edit: StreamEdit, context: InterventionContext) -> TokenStore:
    """The stream after an edit of its tokens that no recipe lists, made once."""
    key = key_of(edit, context)
    folder, name = context.folder.tokens, f"train-{key}"
    if not (folder / f"{name}.json").exists():
        with disk.atomic(context.folder.changes(0, f"{edit.kind}-{key}")) as log:
            _edit_tokens(edit, context, log, key)
    return token_store.open_or_write(folder, name, key, _gone)


def _edit_tokens(edit: StreamEdit, context: InterventionContext, path: Path, key: str) -> tuple[TokenStore, dict[str, Any]]:
    """The stream after an edit of its tokens; what it changed goes to the file at `path`."""
    edited = edit.edit(context)
    edited.changes.write_ndjson(path)
    about: dict[str, Any] = {"key": key, "unknown": context.tokenizer.unk_token_id, "documents": edited.rows}
    text = token_store.derive(context.folder.tokens, f"train-{key}", context.text, edited.ids, **about)
    return text, {"changes": len(edited.changes)} | edited.facts


def _logged(
    changed: Iterable[Document | Edited | Removed], write: Callable[[str], Any], tally: dict[str, int]
) -> Iterator[Document]:
    """The documents that are read after an edit, and a line for each that was edited, added or removed."""
    for item in changed:
        if isinstance(item, Document):
            tally["documents"] += 1
            yield item
            continue
        write(json.dumps(_told(item), ensure_ascii=False) + "\n")
        if isinstance(item, Removed):
            tally["removed"] += 1
            continue
        tally["edited" if item.before else "added"] += 1
        tally["documents"] += 1
        yield item.after


def _told(item: Edited | Removed) -> dict[str, Any]:
    if isinstance(item, Removed):
        return asdict(item.document) | {"removed": item.reason}
    after = asdict(item.after)
    return after | {"before": item.before.text if item.before else None, "changed": item.reason}
