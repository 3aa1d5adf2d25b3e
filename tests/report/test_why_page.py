"""The page and the terminal's text that explain a paradigm: plain words, aligned lines, nothing from outside."""

import io
import math
import re
from html import unescape
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from synthetic_explanation import PAIR, deciding, explanation, lines

from ontogeny.records import Pair
from ontogeny.report import why_words as words
from ontogeny.report.why_page import name_of, render, write
from ontogeny.report.why_terminal import why_terminal


def plain(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page.replace("<wbr>", ""), flags=re.DOTALL)))


def test_the_page_is_whole_and_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "deep" / "why.html", explanation())
    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and page.rstrip().endswith("</html>")
    assert not re.search(r"https?://|@import|url\(|<script|<link|<img|<iframe", page)
    assert "default-src 'none'" in page and 'name="viewport"' in page
    assert [p.name for p in path.parent.iterdir()] == ["why.html"]


def test_the_headline_is_in_plain_words() -> None:
    assert plain(render(explanation())).count(
        "The model ends with 31 % right on wh_vs_that_with_gap, where people agree with 77 %. "
        "A model that knows nothing but which piece of a word follows which gets 18 %."
    )
    bare = words.headline(explanation(network_accuracy=None, human=None, order=1, level="word"))
    assert bare == "A model that knows nothing but how frequent each word is gets 18 % right on wh_vs_that_with_gap."
    assert "which word follows the 3 words before it" in words.headline(explanation(order=4, level="word"))


def test_one_pair_is_spoken_of_as_one() -> None:
    one = explanation(pairs=1, mean_margin=-math.log(13))
    assert words.headline(one).endswith("finds the bad sentence of this pair 13 times likelier.")
    assert words.headline(explanation(pairs=1, mean_margin=0.0)).endswith("has no preference in this pair.")
    said = plain(render(one))
    assert "The pair" in said and "1 pair with a margin above 0" in said and "of the 1 pairs" not in said


def test_the_strongest_transition_in_words() -> None:
    assert words.strongest(explanation()) == (
        "What weighs most: after “knows”, “who” follows 1 time in 160, and “that” 1 time in 12, "
        "which speaks for the bad sentence. This meets in 940 of the 1,000 pairs."
    )
    assert words.strongest(explanation(deciding=deciding().clear())) == ""


def test_transitions_and_their_places_in_the_text() -> None:
    said = plain(render(explanation()))
    assert "in the text: 31 of 5,204" in said
    assert "in the text: never, nor what comes before it" in said
    assert "in the text: never, in 120 chances" in said
    assert "only the bad sentence has to pay for it" in said and "the bad one is 13 times likelier" in said
    assert "nothing in its place" in said
    assert "… who" in said and "−2.20" in said


def test_lines_have_their_key_in_the_middle_and_their_place() -> None:
    page = render(explanation())
    rows = re.findall(r'<div class="occurrence">(.*?)</div>', page)
    assert len(rows) == len(lines())
    assert all(re.fullmatch(r'<span class="left">.*</span></span><b>.+</b><span class="right">.*</span>.*', row) for row in rows)
    said = plain(page)
    assert "childes.train:40211" in said and "switchboard.train:0" not in said
    assert "who the too few lines have it, so here “the” by itself: 410,000 times in the text" in said
    assert "the &lt;last&gt; biscuit" in page


def test_a_transition_that_is_nowhere_is_not_said_to_be_in_too_few_lines() -> None:
    never = deciding().with_columns(count_good=pl.when(pl.col("rank") == 2).then(0).otherwise("count_good"))
    said = plain(render(explanation(deciding=never)))
    assert "no line has it, so here “the” by itself: 410,000 times" in said and "too few lines" not in said


def test_lines_shown_once_are_not_shown_again() -> None:
    twice = pl.concat([lines(), lines().filter(rank=1).with_columns(rank=pl.lit(9, pl.Int64))])
    assert words.behind(explanation(lines=twice)) == words.behind(explanation())
    assert words.behind(explanation(lines=pl.DataFrame())) == []


def test_only_tokens_that_count_are_marked() -> None:
    strips = words.strips(explanation().sentences)
    assert [strip["pair"] for strip in strips] == ["17", "4"]
    for side, word in (("good", "who"), ("bad", "that")):
        tokens = dict(strips[0]["sides"])[side]
        assert [token for token, _, apart in tokens if apart] == [word, "the"]


def test_an_explanation_of_little(tmp_path: Path) -> None:
    bare = explanation(
        verdict=None, network_accuracy=None, network_early=None, human=None, phenomenon="",
        deciding=deciding().clear(), lines=pl.DataFrame(), sentences=explanation().sentences.clear(),
        patterns=explanation().patterns.clear(),
    )  # fmt: skip
    said = plain(render(bare))
    assert "No transition tells the two sentences apart." in said
    assert "The lines behind it" not in said and "Token by token" not in said and "None" not in said
    assert "None" not in printed(bare)


def test_what_is_shown_is_escaped() -> None:
    evil = "</style><script>alert(1)</script>"
    page = render(explanation(paradigm=evil, example=Pair(evil, "1", f"a {evil}", "a b"), verdict=evil))
    assert "<script>" not in page and page.count("</style>") == 1


def printed(what: object, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(why_terminal(what))  # type: ignore[arg-type]
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_the_terminal_says_the_same() -> None:
    said = printed(explanation())
    flat = re.sub(r"\s+", " ", said)
    assert words.headline(explanation()) in flat and words.strongest(explanation()) in flat
    assert f"*{PAIR.bad}" in said and "real·ized" in said
    keys = [line.index("knows who") for line in said.splitlines() if "knows who" in line and ".train" in line]
    assert len(keys) == 2 and len(set(keys)) == 1
    assert "here “the” by itself: 410,000 times in the text" in said


@pytest.mark.parametrize("width", [40, 80])
def test_the_terminal_may_be_narrow(width: int) -> None:
    assert all(len(line) <= width for line in printed(explanation(), width).splitlines())


@pytest.mark.parametrize(
    ("p", "said"),
    [
        (1.0, "always"),
        (0.72, "72 times in 100"),
        (0.1, "10 times in 100"),
        (1 / 12, "1 time in 12"),
        (1 / 163, "1 time in 160"),
        (1 / 1324, "1 time in 1,300"),
        (1 / 4.2e6, "1 time in 4.2 million"),
        (1 / 9.99e5, "1 time in 1 million"),
    ],
)
def test_chances(p: float, said: str) -> None:
    assert words.chance(math.log(p)) == said


@given(st.floats(-60, 0))
def test_a_chance_never_claims_what_is_not(logp: float) -> None:
    said = words.chance(logp)
    assert said == "always" or re.fullmatch(r"\d+ times in 100|1 time in [\d,.]+( million| billion)?|less than .*", said)


@given(st.lists(st.sampled_from(["know", "that", "⟨start⟩", ".", "a"]), min_size=1, max_size=4), st.sampled_from([" ", "·"]))
def test_a_transition_comes_apart_and_together(tokens: list[str], joint: str) -> None:
    shown = " ".join(tokens[:-1]) + (joint if len(tokens) > 1 else "") + tokens[-1]
    before, last = words.parted(shown)
    assert last.removeprefix("·") == tokens[-1]
    assert (before + ("" if last.startswith("·") or not before else " ") + last) == shown


def test_shares_and_factors() -> None:
    assert [words.share(value) for value in (0, 0.002, 0.318, 0.998, 1)] == [
        "0 %",
        "less than 1 %",
        "32 %",
        "more than 99 %",
        "100 %",
    ]
    assert words.likelier(0.01) == "about as likely as the other"
    assert words.likelier(math.log(2.5)) == "2.5 times likelier"
    assert words.likelier(40) == "more than a trillion times likelier"


def test_pages_of_different_names_have_different_files() -> None:
    named = [
        ("Wh", "1"),
        ("wh", "1"),
        ("a", "b-c"),
        ("a-b", "c"),
        ("a-b", "1"),
        ("a", "b"),
        ("p", "token-3"),
        ("x/y", "../1"),
        ("q", "2"),
    ]
    pairs = [("one", Pair(paradigm, pair, "g", "b")) for paradigm, pair in named]
    pairs += [("two", Pair("q", "2", "g", "b"))]
    asked = {(suite, one.paradigm, pair) for suite, one in pairs for pair in (None, one.pair)}
    files = {
        name_of(explanation(suite=suite, paradigm=paradigm, level=level, order=order), pair, pairs).casefold()
        for suite, paradigm, pair in asked
        for level, order in (("word", 2), ("token", 3))
    }
    assert len(files) == 2 * len(asked)
    assert all("/" not in file and not file.startswith(".") for file in files)


def test_plain_names_are_the_pages_names() -> None:
    pairs = [("blimp", PAIR), ("blimp", Pair("principle_A_case_1", "3", "g", "b"))]
    plain = explanation(suite="blimp", level="word", order=2)
    assert name_of(plain, None, pairs) == PAIR.paradigm
    assert name_of(plain, "17", pairs) == f"{PAIR.paradigm}-17"
    assert name_of(explanation(level="token", order=3), None, pairs) == f"{PAIR.paradigm}-token-3"
    assert name_of(explanation(paradigm="principle_A_case_1", level="word", order=2), None, pairs) == "principle_A_case_1"


def test_a_page_of_any_names_and_lines_is_written(tmp_path: Path) -> None:
    odd = "a\ud800\x1b\0<b>"
    pair = Pair(odd, odd, f"Anna {odd}", "Anna saw.", odd)
    behind = lines().with_columns(left=pl.lit("a\x07\u2028"))
    page = write(tmp_path / "odd.html", explanation(paradigm=odd, example=pair, lines=behind)).read_text(encoding="utf-8")
    assert "a⟨U+D800⟩␛␀&lt;b&gt;" in page and "a␇⟨U+2028⟩" in page and not re.search("[\x00-\x08\x1b]", page)
