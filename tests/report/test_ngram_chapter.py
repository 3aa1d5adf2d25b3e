"""The chapter on n-grams: complete, made of whatever tables there are, its figures by name, and nothing where there are none."""

import re
from html import unescape
from pathlib import Path

import polars as pl
import pytest
from ontogeny.report.gather import gather
from ontogeny.report.ngram_figures import FIGURES, there
from synthetic_evidence import add_evidence, evidence_of
from synthetic_run import curves_of, make_run, paradigm_names, verdicts_of
from test_page import charts_of, without_scripts

from ontogeny.pages.axes import taken_apart
from ontogeny.records import OntogenyError
from ontogeny.report import figure
from ontogeny.report.ngram_chapter import TABLES
from ontogeny.report.page import render, write_figures
from ontogeny.store import RunFolder, write_table

STEPS = (0, 64, 256, 330, 660, 1650, 3300, 5280, 5940, 6600)
HEADINGS = ("correlation over all pairs", "distance of the predictions", "Of everything: what ends wrong?", "weight in the network")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return add_evidence(make_run(tmp_path_factory.mktemp("runs") / "evident", count=6, steps=STEPS))


@pytest.fixture(scope="module")
def page(run: RunFolder) -> str:
    return render(gather(run))


def chapter_of(page: str) -> str:
    """The chapter's text without its tags."""
    found = re.search(r"What the n-grams foretold</h3>(.*?)<h3 id=[^>]+>Paradigm by paradigm", without_scripts(page), re.DOTALL)
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
    ("matched", "divergence", "ngram_curves"),
)


def test_these_are_all_tables() -> None:
    assert {name for part in PARTS for name in part} == {*TABLES, "margins"}


@pytest.mark.parametrize("without", PARTS)
def test_any_table_may_be_missing(run: RunFolder, without: tuple[str, ...]) -> None:
    material = gather(run)
    evidence = {name: table for name, table in material.evidence.items() if name not in without}
    said = chapter_of(render(type(material)(**{**fields(material), "evidence": evidence})))
    missing = re.search(r"Not there: (.*?)\. ontogeny evidence RUN makes what is missing", said)
    assert missing is not None
    assert all((what in missing[1]) == (name in without) for name, what in TABLES.items())


def fields(material: object) -> dict[str, object]:
    return {name: getattr(material, name) for name in material.__slots__}  # type: ignore[attr-defined]


@pytest.mark.parametrize("only", ["reliance", "rungs", "foretold"])
def test_a_single_table_is_enough_for_a_chapter(run: RunFolder, only: str) -> None:
    material = gather(run)
    changed = {**fields(material), "evidence": {only: material.evidence[only]}}
    assert "ontogeny evidence RUN makes what is missing" in chapter_of(render(type(material)(**changed)))


def test_no_evidence_is_one_line(tmp_path: Path) -> None:
    run = make_run(tmp_path / "bare", count=2, steps=STEPS, verdicts=False)
    page = render(gather(run))
    said = chapter_of(page).removesuffix(" ")
    assert said.strip().startswith("The n-gram evidence has not been gathered: ontogeny evidence RUN makes it")
    assert len(said) < 200 and "bigram" not in said
    assert "dashed line is what a bigram" not in page


def test_a_second_suite_without_evidence(tmp_path: Path) -> None:
    run = make_run(tmp_path / "two", count=6, steps=STEPS, suites=("blimp", "zorro"))
    page = render(gather(add_evidence(run)))
    assert page.count("The n-gram evidence has not been gathered") == 1
    assert page.count("Did the bigrams foretell what ends wrong") == 1


def test_without_verdicts_the_last_checkpoint_is_the_end(run: RunFolder, tmp_path: Path) -> None:
    material = gather(run)
    evidence = {name: material.evidence[name] for name in ("margins", "ladder")}
    said = chapter_of(render(type(material)(**{**fields(material), "evidence": evidence, "verdicts": None})))
    assert re.search(r"The bigrams get \d of 6 paradigms wrong", said)


def test_figures_by_name(run: RunFolder) -> None:
    assert there(gather(run), "blimp") == list(FIGURES)
    for name in FIGURES:
        assert taken_apart(figure(run, name))[1], name
        figure(run, name).to_dict()  # what a notebook draws it from
    with pytest.raises(OntogenyError, match="did you mean 'ladder'"):
        figure(run, "lader")


def test_a_figure_without_its_table_says_how_it_is_made(tmp_path: Path) -> None:
    run = make_run(tmp_path / "bare", count=2, steps=STEPS, verdicts=False)
    assert there(gather(run), "blimp") == []
    for name in FIGURES:
        with pytest.raises(OntogenyError, match="`ontogeny evidence RUN` makes it"):
            figure(run, name)


def test_figures_are_files_too(run: RunFolder, tmp_path: Path) -> None:
    written = {path.name: path for path in write_figures(gather(run), tmp_path)}
    assert {f"{name}.svg" for name in FIGURES} <= set(written)
    assert all(paradigm in written["rungs.svg"].read_text(encoding="utf-8") for paradigm, _ in paradigm_names(6))


def test_nothing_could_be_foretold(run: RunFolder) -> None:
    material = gather(run)
    empty = material.evidence["foretold"].with_columns(auc=pl.lit(None, pl.Float64), low=None, high=None, positives=pl.lit(1))
    changed = type(material)(**{**fields(material), "evidence": {**material.evidence, "foretold": empty}})
    assert "Undecided: 1 paradigm ends wrong and 49 do not." in chapter_of(render(changed))
    assert "foretold" not in there(changed, "blimp")


def test_a_table_without_a_needed_column_is_an_error(tmp_path: Path) -> None:
    run = make_run(tmp_path / "broken", count=2, steps=STEPS, verdicts=False)
    curves = curves_of(paradigm_names(2), steps=STEPS)
    tables = evidence_of(curves, verdicts_of(curves))
    write_table(run.evidence("matched"), tables["matched"].drop("low"))
    with pytest.raises(OntogenyError, match="matched pairs needs a column 'low'"):
        render(gather(run))
