"""docs/micro-english.md shows the rates and the sentences that the grammar makes today.

`python tests/suites/test_micro_english_page.py` writes them anew.
"""

import contextlib
import io
import re
import textwrap
from itertools import groupby
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from ontogeny.corpora.micro_english import MicroEnglish, diagnose, paradigms, parse
from ontogeny.corpora.micro_english.corpus import rates
from ontogeny.suites.micro_english import MicroEnglishPairs

PAGE = Path(__file__).parents[2] / "docs" / "micro-english.md"
MADE = re.compile(r"(<!-- made: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def rate_table():
    stand = {rule: sorted(n for n, p in paradigms().items() if p.rule == rule) for rule in {p.rule for p in paradigms().values()}}
    found = sorted(rates(MicroEnglish(words=200_000)).items(), key=lambda pair: -pair[1])
    lines = [f"| `{name}` | {rate:.1f} | {', '.join(stand.get(name, []))} |" for name, rate in found]
    return "\n".join(["", "| construction | rate | paradigms that stand on it |", "|---|---|---|", *lines, "", ""])


def samples():
    return "\n" + "\n".join(section(name, list(pairs)) for name, pairs in groupby(five(), key=lambda pair: pair.paradigm))


def five():
    return MicroEnglishPairs(pairs_per_paradigm=5).pairs()


def section(name, pairs):
    row = paradigms()[name]
    lines = [f"### {name}", "", f"{row.phenomenon}; stands on `{row.rule}`.", ""]
    for pair in pairs:
        fails = ", ".join(diagnose(pair.bad))
        lines += [f"- {pair.good} — {pair.bad}  ", f"  `{parse(pair.good).brackets()}`{f' (fails in: {fails})' if fails else ''}"]
    return "\n".join([*lines, "", ""])


@pytest.mark.parametrize(("place", "made"), [("rates", rate_table), ("samples", samples)])
def test_the_page_shows_what_the_grammar_makes(place, made):
    found = {match[2]: match[3] for match in MADE.finditer(PAGE.read_text(encoding="utf-8"))}
    assert found[place] == made(), "write it anew: python tests/suites/test_micro_english_page.py"


def test_what_the_page_prints_is_so():
    text = PAGE.read_text(encoding="utf-8")
    code, shown = re.search(r"```python\n(.*?)```\n\n((?:    [^\n]*\n)+)", text, re.DOTALL).groups()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, str(PAGE), "exec"), {})
    assert printed.getvalue() == textwrap.dedent(shown)


def test_the_recipe_on_the_page_is_one():
    text = re.search(r"```yaml\ncorpus:\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    corpus = MicroEnglish.model_validate(YAML(typ="safe").load(textwrap.dedent(text)))
    assert corpus.without() == {"tough"}


if __name__ == "__main__":
    made = {"rates": rate_table, "samples": samples}
    PAGE.write_text(
        MADE.sub(lambda match: f"{match[1]}{made[match[2]]()}{match[4]}", PAGE.read_text(encoding="utf-8")), encoding="utf-8"
    )
