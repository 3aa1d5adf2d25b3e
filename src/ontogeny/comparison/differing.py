"""What differs between the recipes of runs, field by field, and what is the same in all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ABSENT = "–"  # a field that this run's recipe does not have
ROOTED = re.compile(r"^(/|~|[A-Za-z]:[\\/]|\\\\)")
UNSAID = ("name",)  # differs in all


@dataclass(frozen=True, slots=True)
class Differing:
    """The fields that are not the same in all recipes, in the recipe's own order, and the sections that are."""

    fields: dict[str, list[str]]  # field, dotted: its value in each run
    same: list[str]  # "corpus text", "seeds 0"


def differing(recipes: Sequence[Mapping[str, Any]]) -> Differing:
    """Compares recipes as plain values, every default written out."""
    sections = [name for name in dict.fromkeys(name for recipe in recipes for name in recipe) if name not in UNSAID]
    equal = [name for name in sections if all(recipe.get(name, ABSENT) == recipes[0].get(name, ABSENT) for recipe in recipes)]
    found: dict[str, list[str]] = {}
    for name in sections:
        found |= fields(name, [recipe.get(name, ABSENT) for recipe in recipes])
    return Differing(found, [said(name, recipes[0][name]) for name in equal if recipes[0][name] not in (None, [], {})])


def fields(name: str, values: Sequence[Any]) -> dict[str, list[str]]:
    """Dotted field: its value in each run, where they are not the same.  Parts of different kinds stand as a whole."""
    if all(value == values[0] for value in values):
        return {}
    if all(isinstance(value, Mapping) for value in values) and len({value.get("kind") for value in values}) == 1:
        names = dict.fromkeys(key for value in values for key in value)
        return {field: own for key in names for field, own in fields(f"{name}.{key}", [v.get(key, ABSENT) for v in values]).items()}
    if (kinds := {_kinds(value) for value in values}) != {()} and len(kinds) == 1:
        places = [f"{name}.{kind}" for kind in kinds.pop()]
        return {field: own for i, place in enumerate(places) for field, own in fields(place, [v[i] for v in values]).items()}
    return {name: [text(value) for value in values]}


def _kinds(value: Any) -> tuple[str, ...]:
    """The kinds of a list of parts, told apart by their place where one is there twice; nothing for any other value."""
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        return ()
    kinds = [str(one.get("kind", place)) for place, one in enumerate(value)]
    return tuple(kind if kinds.count(kind) == 1 else f"{place}" for place, kind in enumerate(kinds))


def text(value: Any) -> str:
    """A value as a recipe writes it; of a path that begins at a machine's root only its last part."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(text, value)) or "none"
    if isinstance(value, Mapping):
        parts = ", ".join(f"{name} {text(one)}" for name, one in value.items() if name != "kind" and one not in (None, {}, []))
        kind = str(value.get("kind", ""))
        return f"{kind} ({parts})" if kind and parts else kind or parts or "none"
    if isinstance(value, str) and ROOTED.match(value):
        return "…/" + re.split(r"[\\/]", value.rstrip("\\/"))[-1]
    return str(value)


def said(name: str, value: Any) -> str:
    """A section in a few words: its kind, or its value where it is no table."""
    plain = name.replace("_", " ")
    if isinstance(value, Mapping):
        return f"{plain} ({value['kind']})" if "kind" in value else plain
    if isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        return f"{plain} ({', '.join(str(one.get('kind', '')) for one in value)})"
    return f"{plain} ({text(value)})"
