"""The chapter on n-grams: complete, made of whatever tables there are, its figures by name, and nothing where there are none."""

import re
import shutil
from html import unescape
from pathlib import Path

import polars as pl
import pytest
from synthetic_evidence import add_evidence, evidence_of
from synthetic_run import curves_of, make_run, paradigm_names, verdicts_of
from test_page import charts_of, without_scripts

from ontogeny.disk import remove, write_table
from ontogeny.pages.axes import taken_apart
from ontogeny.pages.panel import lacks
from ontogeny.pages.theme import config
from ontogeny.records import OntogenyError
from ontogeny.report import figure
from ontogeny.report.ngram_chapter import TABLES
from ontogeny.report.page import render, write_figures
from ontogeny.report.panels import panels_of
from ontogeny.results import Results
from ontogeny.store import RunFolder

STEPS = (0, 64, 256, 330, 660, 1650, 3300, 5280, 5940, 6600)
FIGURES = {"ladder", "distance", "rungs", "bigrams", "foretold", "reliance", "ngrams", "matched"}
HEADINGS = ("correlation over all pairs", "distance of the predictions", "Of everything: what ends wrong?", "weight in the network")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return add_evidence(make_run(tmp_path_factory.mktemp("runs") / "evident", count=6, steps=STEPS))


@pytest.fixture(scope="module")
def page(run: RunFolder) -> str:
    return render(Results(run))


def chapter_of(page: str) -> str:
    """The chapter's text without its tags."""
    found = re.search(
        r"What the n-grams foretold</h3>(.*?)<h3 id=[^>]+>(?:Inside|Paradigm by paradigm)", without_scripts(page), re.DOTALL
    )
    assert found is not None
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", found[1])))


def test_the_chapter_has_all_its_parts(page: str) -> None:
    said = chapter_of(page)
    assert all(heading in said for heading in HEADINGS)
    assert "Yes, bigrams alone foretell what ends wrong." in said
    assert "Undecided: 18 paradigms stay wrong and 5 do not" in said
    assert "better" in said and "worse" not in said  # of the contests, only those out of fold
    assert "Not there" not in said


def test_every_figure_can_be_drawn_and_none_is_lost(page: str) -> None:
    store = charts_of(page)
    placed = set(re.findall(r'data-(?:chart|narrow)="(c\d+)"', page))
    assert placed == set(store["charts"])
    for spec, used in store["charts"].values():  # type: ignore[misc]
        assert spec in store["specs"] and set(used.values()) <= set(store["tables"])


def test_every_figure_says_in_words_what_it_shows(page: str) -> None:
    labels = re.findall(r'role="img" aria-label="([^"]+)"', without_scripts(page))
    assert len(labels) == len(re.findall(r'data-chart="', page))
    assert len(labels) == len(set(labels))
    assert all(
        ":" in label for label in labels if "training loss" not in label and "overall" not in label and "learning" not in label
    )


def test_links_and_the_network(page: str) -> None:
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert not re.search(r"https?://|//cdn|@import|url\(", without_scripts(page))


def test_word_level_stays_out_of_the_page(page: str) -> None:
    assert '"word"' not in re.search(r'id="charts">(.*?)</script>', page, re.DOTALL)[1]  # type: ignore[index]


def test_a_paradigms_own_figure_has_the_bigram_models_curve(run: RunFolder, page: str) -> None:
    tables = charts_of(page)["tables"].values()
    assert sum("accuracy_bigram" in table["columns"] for table in tables) == 6  # type: ignore[index]
    assert "the dashed line is what a bigram model has learned by then" in page


PARTS = (
    ("ladder", "rungs", "margins"),
    ("foretold", "tables"),
    ("reliance", "contests"),
    ("matched", "distance", "ngram_curves"),
)


def test_these_are_all_tables() -> None:
    assert {name for part in PARTS for name in part} == {*TABLES, "margins"}


@pytest.mark.parametrize("without", PARTS)
def test_any_table_may_be_missing(run: RunFolder, tmp_path: Path, without: tuple[str, ...]) -> None:
    said = chapter_of(render(Results(copied(run, tmp_path, *without))))
    missing = re.search(r"Not there: (.*?)\. ontogeny evidence RUN makes what is missing", said)
    assert missing is not None
    assert all((what in missing[1]) == (name in without) for name, what in TABLES.items())


def copied(run: RunFolder, folder: Path, *without: str) -> RunFolder:
    """The run without these tables."""
    shutil.copytree(run.path, folder / run.name)
    here = RunFolder(folder / run.name)
    for name in without:
        remove(here.evidence(name))
        for seed in here.seeds():
            remove(here.readings(seed) / name)
    return here


def there(results: Results, suite: str) -> set[str]:
    """Names of the chapter's figures that this run can have."""
    own = [(panel, results.frames(panel, suite)) for panel in panels_of(results) if panel.chapter == "n-grams"]
    return {panel.name for panel, frames in own if lacks(panel, frames) is None and panel.there(frames)}


@pytest.mark.parametrize("only", ["reliance", "rungs", "foretold"])
def test_a_single_table_is_enough_for_a_chapter(run: RunFolder, tmp_path: Path, only: str) -> None:
    here = copied(run, tmp_path, *({*TABLES, "margins"} - {only}))
    assert "ontogeny evidence RUN makes what is missing" in chapter_of(render(Results(here)))


def test_no_evidence_is_one_line(tmp_path: Path) -> None:
    run = make_run(tmp_path / "bare", count=2, steps=STEPS, verdicts=False)
    page = render(Results(run))
    said = chapter_of(page).removesuffix(" ")
    assert said.strip().startswith("The n-gram evidence has not been gathered: ontogeny evidence RUN makes it")
    assert len(said) < 200 and "bigram" not in said
    assert "dashed line is what a bigram" not in page


def test_a_second_suite_without_evidence(tmp_path: Path) -> None:
    run = make_run(tmp_path / "two", count=6, steps=STEPS, suites=("blimp", "zorro"))
    page = render(Results(add_evidence(run)))
    assert page.count("The n-gram evidence has not been gathered") == 1
    assert page.count("Did the bigrams foretell what ends wrong") == 1


def test_without_verdicts_the_last_checkpoint_is_the_end(run: RunFolder, tmp_path: Path) -> None:
    here = copied(run, tmp_path, *(TABLES.keys() - {"ladder"}))
    remove(here.verdicts)
    said = chapter_of(render(Results(here)))
    assert re.search(r"The bigrams get \d of 6 paradigms wrong", said)


def test_figures_by_name(run: RunFolder) -> None:
    assert there(Results(run), "blimp") == FIGURES
    for name in FIGURES:
        assert taken_apart(figure(run, name))[1], name
        spec = figure(run, name).to_dict()  # what a notebook draws it from
        assert spec["config"]["range"] == config()["range"]  # in the page's colours
    with pytest.raises(OntogenyError, match="did you mean 'ladder'"):
        figure(run, "lader")


def test_a_figure_without_its_table_says_how_it_is_made(tmp_path: Path) -> None:
    run = make_run(tmp_path / "bare", count=2, steps=STEPS, verdicts=False)
    assert there(Results(run), "blimp") == set()
    for name in FIGURES:
        with pytest.raises(OntogenyError, match="ontogeny evidence RUN makes it"):
            figure(run, name)


def test_figures_are_files_too(run: RunFolder, tmp_path: Path) -> None:
    written = {path.name: path for path in write_figures(Results(run), tmp_path)}
    assert {f"{name}.svg" for name in FIGURES} <= set(written)
    assert all(paradigm in written["rungs.svg"].read_text(encoding="utf-8") for paradigm, _ in paradigm_names(6))


def test_nothing_could_be_foretold(run: RunFolder, tmp_path: Path) -> None:
    here = copied(run, tmp_path)
    found = pl.read_parquet(here.evidence("foretold"))
    write_table(
        here.evidence("foretold"), found.with_columns(auc=pl.lit(None, pl.Float64), low=None, high=None, positives=pl.lit(1))
    )
    assert "Undecided: 1 paradigm ends wrong and 49 do not." in chapter_of(render(Results(here)))
    assert "foretold" not in there(Results(here), "blimp")


def test_a_table_without_a_needed_column_is_said_in_its_figures_place(tmp_path: Path) -> None:
    run = make_run(tmp_path / "broken", count=2, steps=STEPS, verdicts=False)
    curves = curves_of(paradigm_names(2), steps=STEPS)
    tables = evidence_of(curves, verdicts_of(curves))
    write_table(run.evidence("matched"), tables["matched"].drop("low"))
    write_table(run.evidence("ladder"), tables["ladder"])
    page = render(Results(run))
    assert "matched.parquet: the column low is missing; delete it and it is made again by: ontogeny evidence" in page
    assert "correlation over all pairs" in chapter_of(page)
    with pytest.raises(OntogenyError, match=r"matched\.parquet: the column low is missing"):
        figure(run, "matched")
    assert "ladder.svg" in {path.name for path in write_figures(Results(run), tmp_path)}


def test_no_table_of_the_evidence_keeps_the_page_from_being_written(run: RunFolder, tmp_path: Path) -> None:
    """Cut files and tables that hold something else: each is said in its place, and all the rest is there."""
    for name in sorted(TABLES.keys() - {"distance", "reliance"}):
        here = copied(run, tmp_path / name)
        whole = here.evidence(name).read_bytes()
        for wrong in (whole[: len(whole) // 2], None):
            if wrong is None:
                write_table(here.evidence(name), pl.DataFrame({"suite": ["blimp"], "other": [1]}))
            else:
                here.evidence(name).write_bytes(wrong)
            page = render(Results(here))
            said = unescape(re.sub(r"<[^>]+>", " ", without_scripts(page)))
            assert f"{name} is left out" in said or (not wrong and "could not be drawn: " in said), name
            assert "Verdicts and their evidence" in said
            assert "reliance on bigrams" in page or "weight in the network" in said
            assert "map.svg" in {path.name for path in write_figures(Results(here), tmp_path / name)}
