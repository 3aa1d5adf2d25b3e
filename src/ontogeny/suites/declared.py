"""Suites whose files somebody else made, each a declaration of what their columns mean: `declared.yaml` has them all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator
from ruamel.yaml import YAML

from ontogeny.disk import content_key, missing
from ontogeny.display import some
from ontogeny.recipe import Kind, Part
from ontogeny.records import OntogenyError, Pair
from ontogeny.registry import nearest
from ontogeny.store import file_hash
from ontogeny.suites.babylm import inside
from ontogeny.suites.jsonl import sentence, value
from ontogeny.suites.table import READERS, Row, number_in, once, rows_of

Option = str | tuple[str, str]  # a column; or the column of what stands before it, and it


class Item(Part):
    """What a row asks."""

    options: tuple[Option, ...]
    human: str = ""
    paradigm: str = ""


class Declaration(Part):
    """What the columns of a suite's files mean; `declared.yaml` says what each field is."""

    says: str
    paradigm: str
    by_hand: str = ""
    repo: str = ""
    task: str = ""
    files: str = "*.jsonl"
    columns: tuple[str, ...] = ()
    phenomenon: str = ""
    group: tuple[str, ...] = ()
    role: dict[str, dict[str, str]] = Field({})
    cut: dict[str, str] = Field({})
    context: str = ""
    options: str = ""
    human: str = ""
    items: tuple[Item, ...] = ()
    conventions: dict[str, tuple[Item, ...]] = Field({}, alias="as")

    @field_validator("items", "conventions", mode="before")
    @classmethod
    def _spelled_out(cls, raw: Any) -> Any:
        if isinstance(raw, dict):
            return {name: cls._spelled_out(items) for name, items in raw.items()}
        return [item if isinstance(item, dict) else {"options": item} for item in raw]


@cache
def declarations() -> dict[str, Declaration]:
    """Every declared suite by its kind."""
    raw = YAML(typ="safe").load(Path(__file__).with_name("declared.yaml").read_text(encoding="utf-8"))
    return {name: Declaration.model_validate(one) for name, one in raw.items()}


class Declared(Kind):
    """A suite of somebody else's files, read as `declared.yaml` says: EWoK, COMPS, Gulordava's sentences, DAIS ..."""

    path: Path
    """The suite's file, its folder, or one above it."""
    convention: str = ""
    """Whose conventions, where those of a pipeline differ from the suite's own: babylm-2025, babylm-2026.  Left out: its own."""
    fast: bool = False
    """Of BabyLM's tasks: the smaller files that its pipeline reads every checkpoint on."""

    @model_validator(mode="after")
    def _is_declared(self) -> Declared:
        known = declarations().get(self.kind)
        if known is None:
            raise ValueError(f"{self.kind} is not declared; {nearest(self.kind, list(declarations()))}")
        if self.convention and self.convention not in known.conventions:
            raise ValueError(
                f"{self.kind} is read in one way, or as {', '.join(known.conventions) or 'no other'}, not as {self.convention}"
            )
        if self.fast and not known.task:
            raise ValueError(f"{self.kind} is no task of BabyLM's and has no fast files")
        return self

    @property
    def name(self) -> str:
        """The kind, with what it is read as."""
        return "-".join([self.kind, *([self.convention] if self.convention else []), *(["fast"] if self.fast else [])])

    @property
    def says(self) -> Declaration:
        """What its columns mean."""
        return declarations()[self.kind]

    def pairs(self) -> Iterator[Pair]:
        """Every item, file by file.  Raises OntogenyError, with file and line, for what a row lacks or has that cannot be."""
        files, seen = self.files(), dict[tuple[str, str], str]()
        for file in files:
            for place, line, row in self._grouped(file):
                shared = "{file}" not in self.says.paradigm and len(files) > 1
                for pair in self._asked(row | {"file": file.stem}, f"{file.stem}-{line}" if shared else line, place):
                    yield once(pair, place, seen)
        if not seen:
            raise OntogenyError(f"suite {self.kind}: {some([str(file) for file in files])} holds no item")

    def human(self) -> dict[str, float]:
        """Published human agreement by paradigm; here none."""
        return {}

    def fingerprint(self) -> str:
        """A hash of its files and of how they are read."""
        said = self.says.model_dump(mode="json", exclude={"says", "by_hand", "repo"})
        return content_key(self.kind, self.convention, said, [file_hash(file) for file in self.files()])

    def left_out(self) -> list[str]:
        """Files of its folder that are none of its own."""
        own = self.files()
        if self.path.expanduser().is_file():
            return []
        strange = sorted(file.name for file in own[0].parent.iterdir() if file.suffix in READERS and file not in own)
        return [f"left out, no file of {self.kind}: {some(strange)}"] if strange else []

    def files(self) -> list[Path]:
        """Its files.  Raises OntogenyError where there is none."""
        root = self.path.expanduser()
        if not root.exists():
            raise missing(root, f"suite {self.kind}")
        if root.is_file():
            return [root]
        places = [root / below for below in (inside(self.says.task, self.fast) if self.says.task else ("",))]
        for place in places:
            if found := sorted(file for file in place.iterdir() if file.match(self.says.files)) if place.is_dir() else []:
                return found
        raise OntogenyError(f"suite {self.kind}: no {self.says.files} in {', '.join(map(str, places))}")

    def _grouped(self, file: Path) -> Iterator[tuple[str, str, Row]]:
        """Where it stands, its id and the row; rows of one item as one, their columns as `role` calls them."""
        said, groups = self.says, dict[tuple[str, ...], tuple[str, Row]]()
        for number, (place, row) in enumerate(rows_of(file, said.columns), 1):
            if not said.group:
                yield place, str(number), row
                continue
            key = tuple(str(value(row, column, place)) for column in said.group)
            ((role, names),) = said.role.items()
            if (name := names.get(str(value(row, role, place)))) is None:
                raise OntogenyError(f"{place}: {role!r} is {row[role]!r}; {' or '.join(names)} is expected")
            first, both = groups.setdefault(key, (place, {}))
            if f"{name}.{role}" in both:
                raise OntogenyError(f"{place}: {' '.join(key)} has another row that is {row[role]!r}, of the item at {first}")
            both.update({f"{name}.{column}": found for column, found in row.items()})
        for key, (place, both) in groups.items():
            ((role, names),) = said.role.items()
            if lacking := [word for word, name in names.items() if f"{name}.{role}" not in both]:
                raise OntogenyError(f"{place}: the item {' '.join(key)} has no row whose {role!r} is {lacking[0]!r}")
            yield place, "-".join(key), both

    def _asked(self, row: Row, name: str, place: str) -> Iterator[Pair]:
        said = self.says
        items = said.conventions.get(self.convention, said.items)
        if said.options:
            yield self._pair(row, name, place, _listed(row, said, place), said.human, said.paradigm)
        many = len({item.paradigm for item in items}) < len(items)
        for number, item in enumerate(items, 1):
            options = [_option(row, option, said.cut, place) for option in item.options]
            own = f"{name}.{number}" if many else name
            yield self._pair(row, own, place, options, item.human or said.human, item.paradigm or said.paradigm)

    def _pair(self, row: Row, name: str, place: str, options: list[tuple[str, str]], human: str, paradigm: str) -> Pair:
        contexts, texts = zip(*options, strict=True)
        return Pair(
            paradigm=_filled(paradigm, row, place),
            pair=name,
            good=texts[0],
            bad=texts[1] if len(texts) > 1 else "",
            more=texts[2:],
            phenomenon=_filled(self.says.phenomenon, row, place),
            context=contexts[0] if len(set(contexts)) == 1 else "",
            contexts=contexts if len(set(contexts)) > 1 else (),
            human=number_in(row, human, place) if human else None,
        )


def _option(row: Row, option: Option, cut: dict[str, str], place: str) -> tuple[str, str]:
    """What stands before it, and its text; the space between them is the engine's."""
    before, column = ("", option) if isinstance(option, str) else option
    context = sentence(row, before, place) if before else ""
    if before in cut:
        context, mark, _ = context.partition(cut[before])
        if not mark:
            raise OntogenyError(f"{place}: {before!r} has no {cut[before]}")
    text = sentence(row, column, place)
    return context.rstrip(" "), text.removeprefix(" ") if context else text


def _listed(row: Row, said: Declaration, place: str) -> list[tuple[str, str]]:
    """The options of a column that has all of them."""
    found = value(row, said.options, place)
    texts = found.split("\t") if isinstance(found, str) else found
    many = len(texts) if isinstance(texts, list) else "no"
    if not isinstance(texts, list) or len(texts) < 2:
        raise OntogenyError(f"{place}: {said.options!r} has {many} options; two or more, the right one first")
    columns = {f"{said.options}[{number}]": text for number, text in enumerate(texts)}
    return [_option(row | columns, (said.context, name) if said.context else name, {}, place) for name in columns]


def _filled(template: str, row: Row, place: str) -> str:
    return re.sub(r"\{([^}]+)\}", lambda found: str(value(row, found[1], place)).strip(), template)
