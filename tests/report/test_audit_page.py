"""The page of an audit: what it says, what it leaves out, and that any column but two may be missing."""

import re
from html import unescape
from pathlib import Path

import polars as pl
import pytest

from ontogeny.report.audit_page import column_of, headline, render, write

TABLE = pl.DataFrame(
    {
        "paradigm": ["principle_A_case_1", "wh_island", "only_npi_scope", "transitive"],
        "phenomenon": ["binding", "island_effects", "npi_licensing", "argument_structure"],
        "verdict": ["poor guide", "guide with care", "meaningful guide", "meaningful guide"],
        "reasons": [["a unigram model gets 99 % right", "people & models <agree>"], ["humans agree in 73 %"], [], []],
        "notes": [[], [], ["a bigram model prefers the bad sentence (12 % right)"], []],
        "pairs": [1000, 1000, 999, 1000],
        "human": [0.98, 0.73, 0.72, None],
        "word_unigram": [0.99, 0.5, 0.4, 0.5],
        "word_bigram": [0.97, 0.64, 0.12, 0.5],
        "word_5gram": [0.98, 0.6, 0.2, 0.55],
        "word_length": [0.5, 0.5, 0.5, 0.5],
        "best_shortcut": ["word unigram", "word bigram", None, "word 5-gram"],
        "best_accuracy": [0.99, 0.64, 0.5, 0.55],
        "pairs_with_unseen": [0.1, 0.2, 0.0, 0.3],
        "effective_contrasts": [2.04, 300.0, 41.0, 9.0],
        "effective_templates": [12.0, 8.0, 3.5, 20.0],
    }
)
FACTS = {"suite": "blimp", "corpus": "train_10M", "words": 10_007_712}


def plain(page: str) -> str:
    bare = re.sub(r"<(style|script)>.*?</\1>|<[^>]+>", " ", page.replace("<wbr>", ""), flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(bare))


def test_the_page_is_whole_and_alone(tmp_path: Path) -> None:
    page = write(tmp_path / "audit.html", TABLE, FACTS).read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and page.rstrip().endswith("</html>")
    assert not re.search(r"https?://|@import|url\(|<link|<img|<iframe|src=", page)
    assert page.count("<script>") == 1 and "default-src 'none'" in page


def test_the_headline_counts() -> None:
    assert headline(TABLE, FACTS) == (
        "Of blimp's 4 paradigms, 2 are meaningful guides, 1 is to be used with care and 1 is a poor guide "
        "for a model that learns from train_10M."
    )
    none = TABLE.filter(pl.col("verdict") != "poor guide")
    assert headline(none, {}) == "Of 3 paradigms, 2 are meaningful guides, 1 is to be used with care and none are poor guides."


def test_every_paradigm_has_its_numbers_and_reasons() -> None:
    page = render(TABLE, FACTS)
    said = plain(page)
    assert all(name in said for name in TABLE["paradigm"])
    assert "unigram 99, bigram 97, 5-gram 98, length 50, people 98 %" in said
    assert "unigram 50, bigram 50, 5-gram 55, length 50 %" in said
    assert "people & models <agree>" in said and "<agree>" not in page
    assert "a bigram model prefers the bad sentence (12 % right)" in said
    assert "On the average of the paradigms, a unigram model gets 60 %, a bigram model gets 56 %" in said
    assert "10,007,712" in said


def test_marks_stand_where_the_numbers_are() -> None:
    strips = re.findall(r'<div class="strip"[^>]*>(.*?)</div>', render(TABLE, FACTS))
    last = dict(re.findall(r'class="dot ([\w-]+)" style="--at: ([\d.]+)%"', strips[-1]))  # poor guides come last
    assert last == {"order-1": "99.0", "order-2": "97.0", "order-5": "98.0", "length": "50.0", "human": "98.0"}


def test_the_table_can_be_sorted_and_filtered() -> None:
    page = render(TABLE, FACTS)
    headings = page[page.index("<thead>") : page.index("</thead>")].count("<th ")
    for row in re.findall(r"<tr data-verdict=.*?</tr>", page, re.DOTALL):
        assert row.count("<td") + row.count("<th ") == headings
        assert row.count("data-sort=") == headings
    assert re.findall(r'class="shown" value="([^"]+)"', page) == ["meaningful guide", "guide with care", "poor guide"]


def test_columns_may_be_missing() -> None:
    said = plain(render(TABLE.select("paradigm", "verdict"), {}))
    assert "Of 4 paradigms" in said and "unseen words" not in said and "None" not in said
    assert "On the average" not in said and "people" not in said.split("What the verdicts mean")[0].replace(
        "while people agree", ""
    )


@pytest.mark.parametrize(
    ("columns", "expected"),
    [(["word_1", "token_1"], "word_1"), (["token_unigram"], "token_unigram"), (["word_unigram", "token_unigram"], "word_unigram")],
)
def test_shortcuts_over_words_come_first(columns: list[str], expected: str) -> None:
    assert column_of(pl.DataFrame({name: [0.5] for name in columns}), "unigram") == expected
    assert column_of(pl.DataFrame({"length_words": [0.5]}), "length") == "length_words"
    assert column_of(pl.DataFrame({"word_unigram": [None]}), "unigram") is None
