"""docs/recipes.md has every field of a recipe with its true default and meaning.

The tables are made from the fields themselves; `python tests/test_recipe_docs.py` writes them anew.
"""

import re
from pathlib import Path

import pytest

from ontogeny import recipe, registry

PAGE = Path(__file__).parents[1] / "docs" / "recipes.md"
TABLE = re.compile(r"(<!-- fields: (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
PARTS = [recipe.Recipe, recipe.Training, recipe.Schedule, recipe.Scoring, recipe.Instruments, recipe.Thresholds]


def parts():
    """Name in the page: class.  The kinds of the registry are called table/name there."""
    kinds = {
        f"{table}/{name}": registry.load(table, name)
        for table, names in registry.TABLES.items()
        if table not in ("piece", "rank")  # what is done, no part of a recipe
        for name in names
    }
    first = {kind: name for name, kind in reversed(kinds.items())}  # one class of several kinds is described once
    kinds = {name: kind for name, kind in kinds.items() if first[kind] == name}
    return {part.__name__: part for part in PARTS} | kinds


def rows(name, part):
    own = {field: facts for field, facts in part.model_fields.items() if field != "kind" or "/" not in name}
    lines = [f"| `{field}` | {default(facts)} | {meaning(facts)} |" for field, facts in own.items()]
    return "\n".join(["", "| field | default | meaning |", "|---|---|---|", *lines, "", ""]) if lines else "\nNo fields.\n\n"


def default(facts):
    if facts.is_required():
        return "needed"
    value = facts.get_default(call_default_factory=True)
    if isinstance(value, recipe.Part):
        return "see below"
    return "left out" if value is None else f"`{plain(value)}`"


def plain(value):
    """As YAML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(plain, value))}]" if isinstance(value, tuple) else str(value)


def meaning(facts):
    assert facts.description, f"{facts} has no docstring"
    return " ".join(facts.description.split()).replace("|", "\\|").replace("<", "\\<")


@pytest.mark.parametrize("name", parts())
def test_the_page_has_every_field_with_its_true_default(name):
    found = {match[2]: match[3] for match in TABLE.finditer(PAGE.read_text(encoding="utf-8"))}
    assert found.get(name) == rows(name, parts()[name]), "write it anew: python tests/test_recipe_docs.py"


def test_the_page_has_no_table_of_what_is_not_there():
    assert {match[2] for match in TABLE.finditer(PAGE.read_text(encoding="utf-8"))} == set(parts())


if __name__ == "__main__":
    known = parts()
    PAGE.write_text(TABLE.sub(lambda match: f"{match[1]}{rows(match[2], known[match[2]])}{match[4]}", PAGE.read_text()))
