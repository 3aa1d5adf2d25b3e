"""The page that compares runs: complete, escaped, offline, the same each time, and said with care."""

import json
import re
from html import unescape
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import PHENOMENA, made
from typer.testing import CliRunner

from ontogeny.cli import app
from ontogeny.commands import sweeps
from ontogeny.comparison import figures, sentences
from ontogeny.comparison.gathering import gather
from ontogeny.comparison.page import GLYPHS, compare, overview, render, where
from ontogeny.disk import read_table, write_table
from ontogeny.records import OntogenyError
from ontogeny.trajectories import VERDICTS


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("machine")
    made(root / "grid-one", seeds=2)
    made(root / "grid-two", "corpus={kind: text, path: /tmp/secret/text}", wrong=("turns_1",), better=-0.1, loss=3.0)
    made(root / "grid-three", "model={kind: bert, size: bert-1m}", better=0.05)
    (root / "grid-two" / "report").mkdir()
    (root / "grid-two" / "report" / "index.html").write_text("a page")
    return root


@pytest.fixture(scope="module")
def paths(root):
    return [root / name for name in ("grid-one", "grid-two", "grid-three")]


@pytest.fixture(scope="module")
def written(root, paths):
    return compare(paths, where(paths, root))


@pytest.fixture(scope="module")
def page(written):
    return written[1].read_text(encoding="utf-8")


@pytest.fixture
def without_figures(monkeypatch):
    """Pictures take most of a page's time, and the first page's are looked at."""
    monkeypatch.setattr("ontogeny.comparison.page.save", lambda drawn, path: path)


@pytest.fixture(scope="module")
def text(page):
    return unescape(without_scripts(page)).replace("<wbr>", "")


def without_scripts(page):
    return re.sub(r"(<script[^>]*>).*?(</script>)", r"\1\2", page, flags=re.DOTALL)


def charts_of(page):
    return json.loads(re.search(r'<script type="application/json" id="charts">(.*?)</script>', page, flags=re.DOTALL)[1])


def test_page_tables_and_figures_are_there(root, written):
    folder = root / "comparison-grid"
    assert written[1] == folder / "index.html"
    assert {path.name for path in (folder / "figures").iterdir()} == {"bits-per-word.svg", "accuracy.svg", "laws.svg"}
    names = ("runs", "cells", "pairs", "differences", "curves", "spread", "components")
    assert {path.name for path in (folder / "tables").iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("parquet", "csv")
    }
    cells = pl.read_parquet(folder / "tables" / "cells.parquet")
    assert len(cells) == 15 == len(pl.read_csv(folder / "tables" / "cells.csv"))
    drawn = (folder / "figures" / "accuracy.svg").read_text(encoding="utf-8")
    assert all(name in drawn for name in ("one", "two", "three"))


def test_the_page_asks_the_network_for_nothing(page):
    markup = without_scripts(page)
    assert not re.search(r"https?://|//cdn|@import|url\(", markup)
    assert not re.search(r"<(link|iframe|img|script)[^>]+(src|href)=", markup)
    assert "default-src 'none'" in page and "http" not in json.dumps(charts_of(page))


def test_the_page_names_nothing_of_the_machine(root, page):
    assert str(root) not in page and "/tmp" not in without_scripts(page) and "secret" not in page
    assert "…/text" in page


def test_every_figure_can_be_drawn(page):
    store = charts_of(page)
    assert (
        set(re.findall(r'data-chart="(c\d+)"', page)) == set(store["charts"]) and len(store["charts"]) == 3
    )  # bits, accuracy, one by the other


def test_links_lead_somewhere(root, page):
    ids = re.findall(r'\sid="([^"]+)"', page)
    links = re.findall(r'href="([^"]+)"', without_scripts(page))
    assert len(ids) == len(set(ids)) and {link[1:] for link in links if link[0] == "#"} <= set(ids)
    others = {link for link in links if link[0] != "#"}
    assert others == {"../grid-two/report/index.html"}
    assert all((root / "comparison-grid" / link).resolve().exists() for link in others)


def test_what_is_said(text):
    assert "Of toy's 5 paradigms, 4 get the same verdict in all 3 runs; 2 end wrong in all 3 runs, and 1 more in some only." in text
    assert "Mean accuracy at the last checkpoint goes from .320 (two) to .630 (three)" in text
    assert "three has no such number, as no next token is predicted" in text
    assert (
        "two and three have one seed, so that" in text
        and "The yardstick: two seeds of one run get the same verdict in 100 %" in text
    )
    assert "not comparable" in text and "nats a masked token" in text
    assert "a laptop <4 cores>" in text


def test_the_map_has_every_paradigm_and_says_where_verdicts_differ(text):
    rows = re.findall(r'<tr data-differs="([a-z]+)" data-ends="([a-z]+)" data-seeds="no"><th scope="row">(\w+)</th>', text)
    assert {name for *_, name in rows} == set(PHENOMENA)
    assert [name for differs, ends, name in rows if (differs, ends) == ("yes", "yes")] == ["turns_1"]
    assert text.count('class="phenomenon"') == 2
    assert text.count('aria-label="entrenched, ') == 7  # 2 in each run, and the one that turns


def test_every_paradigm_has_its_difference_with_an_interval(text):
    told = text[text.index('id="differences"') : text.index('id="wrong"')]
    assert "one minus each other run, with a 95 % interval over seeds and pairs. 3 of 10 intervals lie on one side of 0" in told
    assert told.count('class="interval') == 10 and "+.105" in told


def test_seeds_that_disagree_are_shown(tmp_path):
    one, other = made(tmp_path / "one", seeds=2), made(tmp_path / "other")
    seeds = pl.when(pl.col("paradigm") == "turns_1").then(pl.lit(["learned", "escaped"])).otherwise("seed_verdicts")
    write_table(one.verdicts, read_table(one.verdicts).with_columns(seed_verdicts=seeds))
    text = render(gather([one.path, other.path])).replace("<wbr>", "")
    assert re.findall(r'data-seeds="yes"><th scope="row">(\w+)</th>', text) == ["turns_1"] and text.count("≠") == 2
    assert "<small>one: 1 learned, 1 escaped</small>" in text


def test_what_ends_wrong_is_named(text):
    told = text[text.index('<div class="groups">') : text.index('id="agreement"')]
    assert re.search(r"In all 3 runs: 2</h3>\s*<ul><li>wrong_1</li><li>wrong_2</li></ul>", told)
    assert "In all runs but one: none" in told
    assert re.search(r"In one run only: 1</h3>\s*<ul><li>turns_1 <span>\(two\)</span></li></ul>", told)


def test_the_same_runs_give_the_same_page(root, paths, page):
    assert render(gather(paths), {"two": "../grid-two/report/index.html"}) == page


def test_every_verdict_has_a_mark_of_its_own():
    assert set(GLYPHS) == set(VERDICTS) and len(set(GLYPHS.values())) == len(VERDICTS)


def test_the_terminal_has_a_row_a_run(written):
    headers, rows = overview(written[0])
    assert [row[0] for row in rows] == ["one", "two", "three"] and {len(row) for row in rows} == {len(headers)}
    assert rows[2][2] == "not comparable" and rows[1][-1] == "3 entrenched, 2 learned"


def test_two_runs_are_told_as_two(tmp_path, without_figures):
    one, other = made(tmp_path / "a-x"), made(tmp_path / "a-y", wrong=("turns_1",))
    _, page = compare([one.path, other.path], tmp_path / "out", title="<x> & y")
    said = unescape(without_scripts(page.read_text(encoding="utf-8")))
    assert "4 get the same verdict in both runs; 2 end wrong in both runs, and 1 more in some only" in said
    assert "x minus y is +.160" in said
    assert "2 end wrong in x and 3 in y; 2 of them are the same, where 1.2 would be by chance (p = .300)" in said
    assert "How large that is these runs cannot say" in said and "comparison · <x> & y" in said


def test_a_page_of_somebody_elses_is_not_written_over(paths, tmp_path, without_figures):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    compare(paths, tmp_path / "out")
    compare(paths, tmp_path / "out")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("mine")
    with pytest.raises(OntogenyError, match=r"site is there already .* Name another folder with --out"):
        compare(paths, tmp_path / "site")
    assert [p.read_text() for p in (tmp_path / "site").iterdir()] == ["mine"]


def test_a_link_is_only_made_to_what_is_near(root, paths, tmp_path, without_figures):
    _, page = compare(paths, tmp_path / "elsewhere" / "out")
    assert "grid-two/report" not in page.read_text(encoding="utf-8")


# --- from the command line, and after a grid ----------------------------------------------------------------------


def test_the_command(paths, tmp_path, without_figures):
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["compare", *map(str, paths), "--out", str(out), "--title", "mine", "--suite", "toy"])
    assert done.exit_code == 0, done.output
    assert f"page: {out / 'index.html'}" in done.stdout.replace("\n", "") and "not comparable" in done.stdout
    with pytest.raises(OntogenyError, match="two runs or more"):
        CliRunner().invoke(app, ["compare", str(paths[0])], catch_exceptions=False)


def test_a_grid_is_compared(paths, tmp_path, without_figures):
    import tiny

    heard = tiny.Heard()
    assert sweeps.compare_all(paths[:2], tmp_path, heard) == tmp_path / "comparison-grid" / "index.html"
    assert sweeps.compare_all(paths[:1], tmp_path, heard) is None and heard.warnings == []
    alone = made(tmp_path / "alone", suite="other")
    assert sweeps.compare_all([paths[0], alone.path], tmp_path, heard) is None
    assert "no page compares these runs: these runs share no suite" in heard.warnings[0]


def test_accuracy_against_loss_is_a_line_a_run_through_the_means_of_its_seeds():
    rows = [("a", 0, 1, 8.0, 0.5), ("a", 1, 1, 9.0, 0.4), ("a", 0, 2, 6.0, 0.7), ("a", 1, 2, 6.0, 0.9), ("b", 0, 1, 7.0, None)]
    curves = pl.DataFrame(rows, ["run", "seed", "step", "bits_per_word", "accuracy"], orient="row")
    drawn = figures.accuracy_by_loss(curves, ["a", "b"]).to_dict()
    points = [(row["run"], row["step"], row["bits_per_word"], row["accuracy"]) for row in drawn["datasets"]["curves"]]
    assert points == [("a", 1, 8.5, pytest.approx(0.45)), ("a", 2, 6.0, pytest.approx(0.8))]


# --- figures and sentences ----------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.01, 0.12))
@settings(max_examples=80, deadline=None)
def test_names_are_spaced_and_stay_inside(places, gap):
    found = figures.spaced(sorted(places), gap, 0, 1)
    assert all(b - a >= gap - 1e-9 for a, b in pairwise(found))
    assert found[0] >= -1e-9 and found[-1] <= 1 + 1e-9


def test_names_that_have_room_stay_where_they_are():
    assert figures.spaced([0.2, 0.5, 0.9], 0.1, 0, 1) == pytest.approx([0.2, 0.5, 0.9])
    assert figures.spaced([0.5, 0.5], 0.2, 0, 1) == pytest.approx([0.4, 0.6])


def test_a_figure_of_nothing_is_refused():
    empty = pl.DataFrame({"run": ["a"], "seed": [0], "step": [0], "words": [None], "accuracy": [0.5]})
    with pytest.raises(OntogenyError, match="nothing to draw"):
        figures.learning_curves(empty, "accuracy", ["a"])


def test_runs_are_named_by_the_shorter_list():
    wrong = {"p": ["a", "b", "c"], "q": ["a", "b"], "r": [], "s": ["c"]}
    assert sentences.groups(wrong, ["a", "b", "c"]) == [
        {"title": "In all 3 runs", "paradigms": [("p", "")]},
        {"title": "In all runs but one", "paradigms": [("q", "not in c")]},
        {"title": "In one run only", "paradigms": [("s", "c")]},
    ]
    assert [group["title"] for group in sentences.groups({}, ["a", "b"])] == ["In both runs", "In one run only"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"p": [], "q": []}, "Of s's 2 paradigms, 1 gets the same verdict in both runs; none ends wrong in any."),
        ({"p": ["a", "b"], "q": []}, "1 ends wrong in both runs and none in some only."),
        ({"p": ["a"], "q": []}, "none ends wrong in both runs, and 1 in some only."),
    ],
)
def test_the_first_sentence(wrong, says):
    assert sentences.lead("s", wrong, 1, ["a", "b"]).endswith(says)
