"""What a YAML file says, as plain values that know their lines, and `a.b=value` laid over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.reader import ReaderError

from ontogeny.records import OntogenyError

MOST_VALUES = 1_000_000  # in a recipe, its aliases written out
NULLS = ("", "~", "null", "Null", "NULL")  # YAML's names for nothing
LONGEST_SHOWN = 200  # characters of a value in an error


def values(text: str, source: str, settings: Sequence[str] = ()) -> dict[str, Any]:
    """A YAML text's values, with settings laid over.  Raises OntogenyError that names `source` and the line."""
    raw = _yaml(text, source)
    if not isinstance(raw, dict):
        raise OntogenyError(f"{source}: a recipe is a list of `name: value` lines, this is {type(raw).__name__}")
    for setting in settings:
        override(raw, setting)
    return raw


def override(raw: dict[str, Any], setting: str) -> None:
    """Lays `a.b=value` over plain values, in place; `value` as `_value` takes it.

    A list's entry is named by its index or its kind: suites.blimp.path=...
    """
    dotted, equals, text = setting.partition("=")
    setting = _cut(setting)
    if not equals:
        raise OntogenyError(f"--set {setting}: expected name=value, for example training.batch=64")
    *parents, last = dotted.strip().split(".")
    place: Any = raw
    for name in parents:
        place = _entry(place, name, setting)
    value = _value(text.strip(), f"--set {setting}")
    if isinstance(place, list):
        place[_index(place, last, setting)] = value
    elif last == "kind" and last in place and place[last] != value:
        place.clear()  # another kind has other fields; those of the old one would only be in its way
        place[last] = value
    else:
        place[last] = value


def _value(text: str, source: str) -> Any:
    """A value as it is typed: a number, true, false, null; a list, mapping or string as YAML; any other text as it stands."""
    if text[:1] in ("[", "{", '"', "'"):
        return _yaml(text, source)
    try:
        found = None if "#" in text else _yaml(text, source)
    except OntogenyError:
        return text
    return found if isinstance(found, int | float) or text in NULLS else text


def _entry(place: Any, name: str, setting: str) -> Any:
    if isinstance(place, list):
        index = _index(place, name, setting)
        if isinstance(place[index], str):
            place[index] = {"kind": place[index]}  # `- micro-english` is short for kind: micro-english
        if not isinstance(place[index], dict):
            raise OntogenyError(f"--set {setting}: {place[index]!r} has no fields")
        return place[index]
    if not isinstance(place.get(name), dict | list):
        kind = place.get(name)
        place[name] = {"kind": kind} if isinstance(kind, str) else {}  # `model: opt` is short for kind: opt
    return place[name]


def _index(entries: list[Any], name: str, setting: str) -> int:
    kinds = [str(entry.get("kind", "") if isinstance(entry, dict) else entry) for entry in entries]
    if name.isdecimal() and int(name) < len(entries):
        return int(name)
    if name in kinds:
        return kinds.index(name)
    raise OntogenyError(f"--set {setting}: no entry {name!r} in this list; it has {', '.join(kinds)} (or 0 to {len(entries) - 1})")


def _yaml(text: str, source: str) -> Any:
    try:
        found = YAML().load(text)
        values = _count(found, {})
    except RecursionError:
        raise OntogenyError(f"{source}: nested too deeply to be read") from None
    except Exception as error:  # YAML's library raises whatever its scalars do
        line, problem = _trouble(error, text)
        raise OntogenyError(f"{source}{f':{line}' if line else ''}: not valid YAML ({problem})") from None
    if values > MOST_VALUES:
        raise OntogenyError(f"{source}: aliases (*name) stand for more than {MOST_VALUES:,} values; write out what is meant")
    return found


def _trouble(error: Exception, text: str) -> tuple[int | None, str]:
    """The line, where one can be told, and what is wrong there."""
    if mark := getattr(error, "problem_mark", None):
        return mark.line + 1, str(getattr(error, "problem", error))
    if isinstance(error, ReaderError):
        return text.count("\n", 0, error.position) + 1, error.reason
    yaml = YAML()
    for scalar in _scalars(yaml.compose(text)):
        try:
            yaml.constructor.construct_object(scalar)
        except Exception:  # the same error: this is where
            return scalar.start_mark.line + 1, f"{shown(scalar.value)} is no {scalar.tag.rpartition(':')[2]} that can be read"
    return None, str(error)


def _scalars(node: Any) -> Iterator[Any]:
    """Every scalar of a composed document."""
    if not isinstance(node.value, list):
        yield node
        return
    for entry in node.value:
        for part in entry if isinstance(entry, tuple) else (entry,):
            yield from _scalars(part)


def shown(value: Any) -> str:
    """A value as it is shown in an error."""
    try:
        said = repr(value)
    except ValueError:  # a whole number of thousands of digits
        return "a number of thousands of digits"
    return _cut(said)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} ..."


def _count(found: Any, known: dict[int, int]) -> int:
    """How many values there are with all aliases written out; `known`: of what an alias has named before, by its id."""
    if not isinstance(found, dict | list):
        return 1
    if id(found) not in known:
        known[id(found)] = 1 + sum(_count(one, known) for one in (found.values() if isinstance(found, dict) else found))
    return known[id(found)]
