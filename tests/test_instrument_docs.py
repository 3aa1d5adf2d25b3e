"""docs/definitions.md has every column of every instrument, with what it means, its unit and what a guesser gets.

The tables are made from the columns themselves; `python tests/test_instrument_docs.py` writes them anew.
"""

import re
from pathlib import Path

import pytest

from ontogeny import recipe, registry

PAGE = Path(__file__).parents[1] / "docs" / "definitions.md"
TABLE = re.compile(r"(<!-- columns: (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
SETTINGS = {"rules": {"language": "L3"}}  # of instruments whose columns depend on them


def rows(name):
    instrument = recipe.instrument({"kind": name, **SETTINGS.get(name, {})})
    lines = []
    for column, facts in instrument.columns.items():
        chance = "" if facts.chance is None else f"{facts.chance:.3f}"
        meaning = facts.says.replace("|", "\\|")
        lines.append(f"| `{column}`{' (index)' if facts.index else ''} | {meaning} | {facts.unit} | {chance} |")
    return "\n".join(["", "| column | meaning | unit | chance |", "|---|---|---|---|", *lines, "", ""])


@pytest.mark.parametrize("name", registry.TABLES["instrument"])
def test_the_page_has_every_column_with_its_meaning(name):
    found = {match[2]: match[3] for match in TABLE.finditer(PAGE.read_text(encoding="utf-8"))}
    assert found.get(name) == rows(name), "write it anew: python tests/test_instrument_docs.py"


def test_the_page_has_no_table_of_what_is_not_there():
    assert {match[2] for match in TABLE.finditer(PAGE.read_text(encoding="utf-8"))} == set(registry.TABLES["instrument"])


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda match: f"{match[1]}{rows(match[2])}{match[4]}", PAGE.read_text()))
