"""One recipe file for many runs: a `grid` of axes, each combination of whose values is a recipe of its own.

grid:
  seed: {set: [corpus.seed], to: [0, 1]}             # set: the places that an axis sets; left out: the axis's own name
  model: [opt, lstm]                                 # values are named by themselves, or by their kind
  language:
    set: [corpus.language, dev.language]
    to: {first: L1, third: L3}                       # or by name
  size:
    cases:                                           # each value sets places of its own
      short: {training.context: 32, corpus.max_length: 31}
      long: {training.context: 128, corpus.max_length: 127}
"""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Mapping
from itertools import product
from math import prod
from typing import Any

from ontogeny import yaml_text
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest

NAME = re.compile(r"[A-Za-z0-9._-]+")
MOST_RUNS = 10_000
Case = dict[str, Any]  # place in the recipe, dotted: value


def expand(raw: dict[str, Any], source: str = "recipe") -> list[dict[str, Any]]:
    """Plain values of a recipe with a `grid` -> those of its recipes, named NAME-VALUE-VALUE in the order of the axes.

    The last axis turns fastest.  Without a grid: the one recipe.  Values that know their lines keep them, so that errors in what
    the recipes have in common name the line.  Raises OntogenyError for an axis that says nothing, a place that two axes set, and
    combinations that would have the same name.
    """
    if "grid" not in raw:
        return [raw]
    axes = _axes(raw["grid"], source)
    base = copy.deepcopy(raw)
    del base["grid"]
    if "name" not in base:
        raise OntogenyError(f"{source}: name is missing; the runs of a grid are called by it and by their values")
    if (runs := prod(map(len, axes.values()))) > MOST_RUNS:
        raise OntogenyError(f"{source}: grid makes {runs:,} runs, more than {MOST_RUNS:,}; make it several")
    made = [_one(base, dict(zip(axes, names, strict=True)), axes) for names in product(*axes.values())]
    names = Counter(one["name"].casefold() for one in made)
    if twice := next((one["name"] for one in made if names[one["name"].casefold()] > 1), None):
        raise OntogenyError(f"{source}: grid makes two runs called {twice}, or so but for capitals")
    return made


def _axes(grid: Any, source: str) -> dict[str, dict[str, Case]]:
    """Axis -> name of a value -> what it sets."""
    if not isinstance(grid, Mapping) or not grid:
        raise OntogenyError(f"{source}: grid is a list of axes, `name: [values]`")
    axes = {str(axis): _cases(str(axis), value, f"{source}: grid.{axis}") for axis, value in grid.items()}
    owner: dict[str, str] = {}
    for axis, cases in axes.items():
        for place in {place for case in cases.values() for place in case}:
            if place in owner:
                raise OntogenyError(f"{source}: grid.{axis} and grid.{owner[place]} both set {place}")
            owner[place] = axis
    return axes


def _cases(axis: str, value: Any, where: str) -> dict[str, Case]:
    if isinstance(value, list):
        value = {"to": value}
    if not isinstance(value, Mapping):
        raise OntogenyError(f"{where} is {value!r}; expected [values], or set and to, or cases")
    if unknown := [name for name in value if name not in ("set", "to", "cases")]:
        raise OntogenyError(f"{where}.{unknown[0]} is not known here; {nearest(str(unknown[0]), ['set', 'to', 'cases'])}")
    if "cases" in value:
        return _whole(value, where)
    places = value.get("set", [axis])
    places = [places] if isinstance(places, str) else list(places)
    values = _named(value.get("to"), where)
    if not values or not places:
        raise OntogenyError(f"{where} sets nothing; expected [values], or set and to, or cases")
    return {name: dict.fromkeys(places, one) for name, one in values.items()}


def _whole(value: Mapping[str, Any], where: str) -> dict[str, Case]:
    """The form with `cases`, each a mapping of places to values."""
    cases = value["cases"]
    if set(value) != {"cases"} or not isinstance(cases, Mapping) or not all(isinstance(c, Mapping) and c for c in cases.values()):
        raise OntogenyError(f"{where}.cases stands alone and has, for each name, the places it sets: `NAME: {{place: value}}`")
    return {_fit(str(name), where): {str(place): one for place, one in case.items()} for name, case in cases.items()}


def _named(values: Any, where: str) -> dict[str, Any]:
    """Values by name: a mapping's own, else a value's kind or itself."""
    if isinstance(values, Mapping):
        return {_fit(str(name), where): one for name, one in values.items()}
    if values is not None and not isinstance(values, list):
        raise OntogenyError(f"{where}.to is {values!r}; expected [values], or names with values")
    found: dict[str, Any] = {}
    for one in values or []:
        name = _fit(str(one.get("kind", one) if isinstance(one, Mapping) else one), where)
        if name in found:
            raise OntogenyError(f"{where} has two values called {name}; name them: `to: {{NAME: value, OTHER: value}}`")
        found[name] = one
    return found


def _fit(name: str, where: str) -> str:
    if not NAME.fullmatch(name):
        raise OntogenyError(f"{where}: {name!r} cannot be part of a run's name; name the values: `to: {{NAME: value}}`")
    return name


def _one(base: dict[str, Any], names: dict[str, str], axes: dict[str, dict[str, Case]]) -> dict[str, Any]:
    """The recipe of one combination."""
    made = copy.deepcopy(base)
    for axis, name in names.items():
        for place, value in axes[axis][name].items():
            yaml_text.override(made, f"{place}={json.dumps(value, default=str)}")
    made["name"] = "-".join([str(base["name"]), *names.values()])
    return made
