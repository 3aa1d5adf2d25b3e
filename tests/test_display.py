"""The terminal shows names as they are written: no markup, no commands to the terminal, and figures keep their room."""

import json
import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from ontogeny.display import Display, visible

NAMES = ["wh[that]", "[/x]", "[bold]b[/bold]", "esc\x1b[31m", "a\nb", "a\u2028b", "half \ud800", "[link=http://x]y[/link]"]


@given(st.text())
def test_what_is_visible_is_text_that_pages_and_figures_take(text):
    found = visible(text)
    found.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]", found)
    assert found == text or not text.replace("\n", " ").replace("\t", " ").isprintable()
    assert visible(found) == found and "\n" not in visible(text, lines=False)


def test_each_control_character_has_a_sign_of_its_own():
    every = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0xD800, 0xDFFF, 0xFFFE, 0xFFFF)]
    assert len({visible(one, lines=False) for one in every}) == len(every)
    assert visible("a\x1b[31m\x85") == "a␛[31m⟨U+0085⟩"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_a_table_is_no_markup(name, capsys):
    Display().table(("paradigm", f">{name}", "note"), [(name, "1", name)])
    assert capsys.readouterr().out.count(visible(name, lines=False)) == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_a_line_a_bar_or_a_drawing_is_no_markup(name, capsys):
    display = Display(plain=True)
    display.say(name)
    with display.bar(name, 1, "things") as advance:
        advance(1, name)
    display.show(Text(name))
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err and err.count(visible(name)) == 2 and visible(name) in out


def test_a_live_bar_shows_names_as_they_are(monkeypatch, capsys):
    display = Display()
    display._console = __import__("rich.console").console.Console(force_terminal=True, width=120, stderr=True)
    with display.bar("[/x]", 1, "things") as advance:
        advance(1, "wh[that]")
    err = capsys.readouterr().err
    assert "[/x]" in err and "wh[that]" in err


def test_a_name_of_three_hundred_characters_leaves_room_for_the_figures(capsys):
    Display().table(("paradigm", ">early", ">late"), [("x" * 300, "0.125", "0.875"), ("y", "0.5", "0.25")])
    out = capsys.readouterr().out
    assert "0.125" in out and "0.875" in out and max(map(len, out.splitlines())) <= 120
    assert json.dumps(out).count("xxxx")


def test_the_table_of_verdicts_says_what_intervals_are_about_and_how_firm_each_is(capsys):
    row = {
        "suite": "s",
        "verdict": "entrenched",
        "early_mean": 0.3,
        "late_mean": 0.3,
        "late_low": 0.2,
        "late_high": 0.4,
        "agreement": 0.5,
    }
    row |= {"standing": "firm", "covers": "other seeds, other items", "seed_verdicts": ["learned", "entrenched"]}
    rows = [row | {"paradigm": name} for name in ("a", "b", "c")]
    rows[1]["standing"], rows[2]["covers"] = "seeds differ", "other seeds, other pairs"
    Display().verdicts(pl.DataFrame(rows))
    _, first, second, third, line = capsys.readouterr().out.splitlines()
    assert first.rstrip().endswith("50%, firm") and "seeds differ: learned, entrenched" in second and "0.200 to 0.400 *" in third
    assert line == "95 % intervals of the late mean are about other seeds, other items; * other seeds, other pairs."
    Display().verdicts(pl.DataFrame(rows).drop("standing", "covers"))  # as an earlier version wrote it
    assert "0.200 to 0.400" in capsys.readouterr().out
