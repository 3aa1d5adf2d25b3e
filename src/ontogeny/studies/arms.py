"""The arms of a study: every combination of levels, each with a recipe, a folder's name and its changes in words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from ontogeny import recipe as recipes
from ontogeny import yaml_text
from ontogeny.disk import content_key, file_name
from ontogeny.recipe import Recipe
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.studies.plan import Arm, ArmTemplate, StudyFile

PLACE = re.compile(r"\{(\w+)\}")
LONGEST_SLUG = 200  # characters
SHARED = ("name", "seeds", "engine")  # an arm's folder, what all arms have alike, and who does the work: no difference


def make_arms(file: StudyFile, raw: Mapping[str, Any], source: str, beside: Path) -> tuple[StudyFile, Recipe, tuple[Arm, ...]]:
    """The file with its recipes written out, the recipe that arms change, and the arms in the file's order.

    Raises OntogenyError for levels that are not known, recipes that cannot be had, arms of one name or with one recipe, and
    arms that differ in more, or less, than they say.
    """
    plain = _plain_recipe(file.recipe, file, source, beside)
    base = _with(plain, file, source)
    arms, templates = [], []
    for template in file.arms:
        own = None if template.recipe is None else _plain_recipe(template.recipe, file, source, beside)
        templates.append(template.model_copy(update={"recipe": own, "levels": _bare(template.levels)}))
        for name, factors, fill in combinations(template, source):
            arms.append(_arm(name, factors, fill, template, file, base, own or plain, source))
    _refuse_doubles(arms, source)
    slugs = _slugs([arm.name for arm in arms])
    recipes_ = [arm.recipe.model_copy(update={"name": slug}) for arm, slug in zip(arms, slugs, strict=True)]
    named = tuple(replace(arm, slug=slug, recipe=own) for arm, slug, own in zip(arms, slugs, recipes_, strict=True))
    return file.model_copy(update={"recipe": plain, "settings": (), "arms": tuple(templates)}), base, named


def combinations(template: ArmTemplate, source: str) -> Iterator[tuple[str, dict[str, float | str], dict[str, Any]]]:
    """Name, factors and values of each combination of a template's levels, the last factor varying fastest."""
    tables = {factor: _levels(levels) for factor, levels in template.levels.items()}
    numeric = {factor: all(_is_number(value) for value in table.values()) for factor, table in tables.items()}
    for labels in product(*tables.values()):
        chosen = dict(zip(tables, labels, strict=True))
        values = {factor: tables[factor][label] for factor, label in chosen.items()}
        factors = {factor: float(values[factor]) if numeric[factor] else label for factor, label in chosen.items()}
        yield str(_filled(template.name, chosen, source, template.name)), factors, values


def changed(
    first: Any, second: Any, name: str = "", alike: Callable[[list[Any], list[Any]], bool] = lambda a, b: len(a) == len(b)
) -> dict[str, tuple[Any, Any]]:
    """Dotted name -> both values, wherever two plain values differ; None where one has none.  `alike`: lists that are gone into."""
    if first == second:
        return {}
    if isinstance(first, list) and isinstance(second, list) and alike(first, second):
        first, second = ({str(index): value for index, value in enumerate(values)} for values in (first, second))
    if not (isinstance(first, Mapping) and isinstance(second, Mapping)):
        return {name: (first, second)}
    both = {f"{name}.{key}" if name else key: (first.get(key), second.get(key)) for key in {**first, **second}}
    return {found: pair for key, pair in both.items() for found, pair in changed(*pair, key, alike).items()}


def recipe_differences(first: Any, second: Any) -> dict[str, Any]:
    """Dotted name -> the second's value, wherever two recipes' plain values differ; null where the second has none."""
    return {name: value for name, (_, value) in changed(first, second).items()}


def comparable(recipe: Recipe) -> dict[str, Any]:
    """A recipe's plain values without what arms may not differ in."""
    return {key: value for key, value in recipe.model_dump(mode="json").items() if key not in SHARED}


def in_words(settings: Sequence[str], interventions: Sequence[Mapping[str, Any]], differs: Sequence[str] = ()) -> str:
    """What an arm changes, for people."""
    said = [f"another recipe, which differs in {', '.join(differs)}"] if differs else []
    return "; ".join([*said, *settings, *(_intervention(entry) for entry in interventions)]) or "nothing"


def window_in_words(start: float, until: float) -> str:
    """A stretch of training; empty for all of it."""
    if (start, until) == (0, 1):
        return ""
    if start == 0:
        return f"first {until * 100:g} % of training"
    return f"last {(1 - start) * 100:g} % of training" if until == 1 else f"from {start * 100:g} % to {until * 100:g} % of training"


# --- one arm ------------------------------------------------------------------------------------------------------


def _arm(
    name: str,
    factors: dict[str, float | str],
    values: dict[str, Any],
    template: ArmTemplate,
    file: StudyFile,
    base: Recipe,
    plain: dict[str, Any],
    source: str,
) -> Arm:
    settings = tuple(str(_filled(setting, values, source, name)) for setting in template.settings)
    edits = [_filled(deepcopy(entry), values, source, name) for entry in template.interventions]
    try:
        if template.recipe is not None:
            _check_said(comparable(base), comparable(_with(plain, file, source)), template.differs, source)
        elif template.differs:
            said = "differs is for an arm with a recipe of its own; settings and interventions are said anyway"
            raise OntogenyError(f"{source}: {said}")
        recipe = _with(plain, file, source, settings, edits)
    except OntogenyError as error:
        raise OntogenyError(f"{error} (arm {name!r})") from None
    own = recipe.interventions[len(recipe.interventions) - len(edits) :]
    parts = [part.model_dump(mode="json", exclude_defaults=True) | {"kind": part.kind} for part in own]
    changes, differences = in_words(settings, parts, template.differs), recipe_differences(comparable(base), comparable(recipe))
    return Arm(name, "", template.priority, factors, changes, differences, recipe)


def _with(plain: dict[str, Any], file: StudyFile, source: str, settings: Sequence[str] = (), edits: Sequence[Any] = ()) -> Recipe:
    raw = deepcopy(plain)
    for setting in settings:
        if (field := setting.partition("=")[0].strip().split(".")[0]) in SHARED:
            raise OntogenyError(f"setting {setting}: {field} is the study's, the same for all arms")
        yaml_text.override(raw, setting)
    raw["seeds"] = list(file.seeds)
    if edits:
        raw["interventions"] = _lined([*(raw.get("interventions") or ()), *edits])
    found: Recipe = recipes.build(Recipe, raw, source)
    return found


def _lined(entries: Sequence[Any]) -> Any:
    """A list whose entries' lines are known, where they know their own."""
    listed = CommentedSeq(entries)
    for index, entry in enumerate(entries):
        if isinstance(entry, CommentedMap):
            listed._yaml_set_idx_line_col(index, [entry.lc.line, entry.lc.col])
    return listed


def _plain_recipe(recipe: str | dict[str, Any], file: StudyFile, source: str, beside: Path) -> dict[str, Any]:
    """A recipe's plain values, the study's settings laid over and every default written out."""
    try:
        if isinstance(recipe, str):
            return recipes.load(beside / recipe, file.settings).model_dump(mode="json")
        raw = deepcopy(recipe)
        for setting in file.settings:
            yaml_text.override(raw, setting)
        found: Recipe = recipes.build(Recipe, raw, f"{source}: recipe")
        return found.model_dump(mode="json")
    except OntogenyError as error:
        raise OntogenyError(f"{source}: {error}" if source not in str(error) else str(error)) from None


def _check_said(base: dict[str, Any], own: dict[str, Any], differs: Sequence[str], source: str) -> None:
    """Raises OntogenyError where another recipe differs in what is not said, or does not in what is."""
    found = list(recipe_differences(base, own))
    about = {said: [name for name in found if f"{name}.".startswith(f"{said}.")] for said in differs}
    if unsaid := [name for name in found if not any(name in names for names in about.values())]:
        raise OntogenyError(
            f"{source}: the arm's recipe differs from the study's in more than it says: {', '.join(unsaid)}; "
            "name them under differs, or make them alike"
        )
    if idle := [said for said, names in about.items() if not names]:
        hint = nearest(idle[0], found) if found else "the two recipes are the same"
        raise OntogenyError(f"{source}: differs names {idle[0]!r}, in which the two recipes do not differ; {hint}")


# --- levels and names ---------------------------------------------------------------------------------------------


def _levels(levels: Any) -> dict[str, Any]:
    """Label -> value."""
    return {str(k): _bare(v) for k, v in levels.items()} if isinstance(levels, Mapping) else {_label(v): _bare(v) for v in levels}


def _label(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bare(value: Any) -> Any:
    """Plain Python in place of what knows its lines."""
    if isinstance(value, Mapping):
        return {str(key): _bare(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_bare(entry) for entry in value]
    plain: Any = next((kind(value) for kind in (bool, int, float, str) if isinstance(value, kind)), value)
    return plain


def _filled(value: Any, levels: Mapping[str, Any], source: str, arm: str) -> Any:
    """`value` with each {factor} replaced: a string that is nothing else becomes the level itself.  Mappings are filled as they
    are, so that they know their lines."""
    if isinstance(value, dict):
        for key in value:
            value[key] = _filled(value[key], levels, source, arm)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            value[index] = _filled(entry, levels, source, arm)
    elif isinstance(value, str):
        if whole := PLACE.fullmatch(value):
            return deepcopy(_level(whole, levels, source, arm))
        return PLACE.sub(lambda m: _text(_level(m, levels, source, arm)), value)
    return value


def _level(match: re.Match[str], levels: Mapping[str, Any], source: str, arm: str) -> Any:
    if match[1] not in levels:
        hint = nearest(match[1], list(levels)) if levels else "it has no `for`"
        raise OntogenyError(f"{source}: arm {arm!r} speaks of {match[0]}, which is no factor of it; {hint}")
    return levels[match[1]]


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list | bool) else _label(value)


def _intervention(entry: Mapping[str, Any]) -> str:
    when = entry.get("when") or {}
    fields = [f"{key} {_text(value)}" for key, value in entry.items() if key not in ("kind", "when")]
    told = ", ".join(filter(None, [*fields, window_in_words(when.get("from", 0), when.get("until", 1))]))
    return f"{entry['kind']} ({told})" if told else str(entry["kind"])


def _refuse_doubles(arms: Sequence[Arm], source: str) -> None:
    names: dict[str, str] = {}  # by what the recipe says
    for arm in arms:
        if arm.name in names.values():
            said = f"two arms are called {arm.name!r}; put every factor into the name, as in '{{timing}} {{dose}}'"
            raise OntogenyError(f"{source}: {said}")
        other = names.setdefault(content_key(comparable(arm.recipe)), arm.name)
        if other != arm.name:
            raise OntogenyError(f"{source}: arms {other!r} and {arm.name!r} have the same recipe; one of them is enough")


def slug(name: str) -> str:
    """A folder's name: lower case, a minus before a number spelled out; of long names the beginning and a hash."""
    plain = re.sub(r"(?<![\w.])[-−](?=[\d.])", "minus-", name.lower())
    plain = re.sub(r"[^a-z0-9._-]+", "-", plain).strip("-._")
    plain = plain or f"arm-{content_key(name)[:6]}"
    return plain if len(plain) <= LONGEST_SLUG else file_name(plain)


def _slugs(names: Sequence[str]) -> list[str]:
    """Slugs, those that several names share with a piece of the name's hash, so that none depends on the arms' order."""
    found = [slug(name) for name in names]
    own = [s if found.count(s) == 1 else f"{s}-{content_key(name)[:6]}" for s, name in zip(found, names, strict=True)]
    if twice := next((name for s, name in zip(own, names, strict=True) if own.count(s) > 1), None):
        raise OntogenyError(f"arm {twice!r} would have the folder of another arm; give it another name")
    return own
