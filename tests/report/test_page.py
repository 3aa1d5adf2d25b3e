"""The page: complete, escaped, offline, the same each time, and there for unfinished runs too."""

import json
import re
from html import unescape
from pathlib import Path

import polars as pl
import pytest
from synthetic_run import STEPS, make_run, paradigm_names

from ontogeny.disk import read_table, write_table
from ontogeny.pages.axes import taken_apart
from ontogeny.pages.embed import Charts, columns, script_safe
from ontogeny.records import OntogenyError
from ontogeny.report import figure, sections, write_report
from ontogeny.report.examples import examples, marked
from ontogeny.report.page import render, write_figures
from ontogeny.report.provenance import commands, flattened, tables
from ontogeny.results import Results
from ontogeny.store import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return make_run(tmp_path_factory.mktemp("runs") / "synthetic", count=6)


@pytest.fixture(scope="module")
def page(run: RunFolder) -> str:
    return write_report(run).read_text(encoding="utf-8")


def without_scripts(page: str) -> str:
    """The page with its script tags empty: what the bundle's code says is not what the page asks for."""
    return re.sub(r"(<script[^>]*>).*?(</script>)", r"\1\2", page, flags=re.DOTALL)


def charts_of(page: str) -> dict[str, dict[str, object]]:
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', page, flags=re.DOTALL)
    assert found is not None
    return json.loads(found[1])  # type: ignore[no-any-return]


def test_page_and_figures_are_written(run: RunFolder, page: str) -> None:
    assert run.report.exists()
    written = {path.name for path in (run.report.parent / "figures").iterdir()}
    assert written == {"map.svg", "map.png", "overall.svg", "likelihoods.svg", "training.svg"}
    assert not list(run.report.parent.glob("*.tmp"))
    drawn = (run.report.parent / "figures" / "map.svg").read_text(encoding="utf-8")
    assert all(paradigm in drawn for paradigm, _ in paradigm_names(6))
    assert "entrenched" in drawn and len((run.report.parent / "figures" / "map.png").read_bytes()) > 20_000


def test_the_page_asks_the_network_for_nothing(page: str) -> None:
    markup = without_scripts(page)
    assert not re.search(r"https?://|//cdn|@import|url\(", markup)
    assert not re.search(r"<(link|iframe|img|script)[^>]+(src|href)=", markup)
    assert "default-src 'none'" in page  # and the browser would refuse if it did
    assert "http" not in json.dumps(charts_of(page))


def test_one_bundle_and_every_figure_can_be_drawn(page: str) -> None:
    assert page.count("window.vegaEmbed") <= 2
    store = charts_of(page)
    placed = set(re.findall(r'data-(?:chart|narrow)="(c\d+)"', page))
    assert placed == set(store["charts"])
    for spec, used in store["charts"].values():  # type: ignore[misc]
        assert spec in store["specs"]
        assert set(used.values()) <= set(store["tables"])


def test_paradigms_share_specifications(page: str) -> None:
    store = charts_of(page)
    assert len(store["charts"]) == 2 + 1 + 2 * 6 + 2  # maps, overall, two a paradigm, loss and learning rate
    assert len(store["specs"]) == 2 + 1 + 2 + 2


def test_every_paradigm_appears_in_table_and_card(run: RunFolder, page: str) -> None:
    markup = without_scripts(page).replace("<wbr>", "")
    for paradigm, _ in paradigm_names(6):
        assert re.search(rf'<th scope="row"><a href="#[^"]+">{paradigm}</a></th>', markup)
        assert f"<h4>{paradigm}</h4>" in markup


def test_links_inside_the_page_lead_somewhere(page: str) -> None:
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_sentences_are_escaped_and_their_critical_words_marked(page: str) -> None:
    assert "<b>0</b>" not in page
    assert "The cats &amp; dogs that &lt;b&gt;0&lt;/b&gt; sees <mark>run.</mark>" in page
    assert "*The cats &amp; dogs that &lt;b&gt;0&lt;/b&gt; sees <mark>runs.</mark>" in page
    assert "a laptop &lt;4 cores&gt;" in page


def test_the_page_says_what_happened_and_how_it_was_made(page: str) -> None:
    text = unescape(without_scripts(page)).replace("<wbr>", "")
    assert "Of blimp's 6 paradigms, 2 were learned and 1 is entrenched" in text
    assert "7 pairs left out because both sentences are the same." in text
    assert "No pair left out because a sentence is longer than the model's context." in text
    assert "ontogeny run recipes/quickstart.yaml" in text
    assert "corpus: {kind: micro-english}" in text
    assert "2.13.0" in text and "19,800,000" in text


def test_the_same_run_gives_the_same_page(run: RunFolder, page: str) -> None:
    assert render(Results(run)) == page


def test_a_run_without_verdicts_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path / "going-on", count=3, steps=STEPS[:12], verdicts=False)
    text = unescape(without_scripts(render(Results(run))))
    assert "There are no verdicts yet: blimp's 3 paradigms were read at 12 checkpoints" in text
    assert "the last checkpoint is step 660 of 6,600" in text
    assert '<table class="sortable">' not in text


def test_a_table_of_accuracies_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path / "table", count=3, likelihoods=False, training=False)
    results = Results(run)
    page = render(results)
    assert len(charts_of(page)["charts"]) == 2 + 1 + 3
    assert "mean log-likelihood of" not in without_scripts(page)
    assert "No recipe is kept with this run." in page
    assert {path.name for path in write_figures(results, tmp_path)} == {"map.svg", "map.png", "overall.svg"}


@pytest.mark.parametrize("step", [0, 6600])
def test_a_single_checkpoint(tmp_path: Path, step: int) -> None:
    run = make_run(tmp_path / "one", count=2, seeds=1, steps=(step,), verdicts=False, training=False)
    assert "read at 1 checkpoint" in render(Results(run))


def test_nothing_scored_yet(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "new")
    run.note(created="today")
    assert "Nothing has been scored yet." in write_report(run).read_text(encoding="utf-8")


def test_two_suites_have_a_section_each(tmp_path: Path) -> None:
    results = Results(make_run(tmp_path / "two", count=2, suites=("blimp", "own <suite>"), verdicts=False))
    page = without_scripts(render(results))
    assert "<h2>blimp</h2>" in page and "<h2>own &lt;suite&gt;</h2>" in page


def test_names_and_notes_cannot_break_out(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    run = make_run(tmp_path / "evil", paradigms=[(evil, evil), ("plain", "p")], verdicts=False)
    run.note(warnings=[f"look: {evil}"])
    page = render(Results(run))
    assert evil not in page
    assert page.count("</script>") == 5


def test_broken_checkpoints_and_missing_seeds_are_seen(tmp_path: Path) -> None:
    run = make_run(tmp_path / "broken", count=2, verdicts=False)
    run.write_checkpoint(0, 4, lambda folder: (folder / "model.safetensors").write_bytes(b"weights"))
    (run.checkpoint(0, 4) / "model.safetensors").write_bytes(b"cut")
    curves = pl.read_parquet(run.curves)
    write_table(run.curves, curves.filter((pl.col("seed") == 0) | (pl.col("step") < 100)))
    notes = " ".join(Results(run).notes())
    assert "A checkpoint is broken" in notes and "has 3 bytes instead of 7" in notes
    assert "of 30 checkpoints, seed 1 has 8. Means are over the seeds that are there." in notes


@pytest.mark.parametrize(
    "part", ["sentences", "key_numbers", "verdict_row", "_phenomena", "ngram_chapter", "inside_chapter", "_excluded", "_null"]
)
def test_a_part_that_fails_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    def fails(*parts: object) -> None:
        raise ZeroDivisionError("no pairs")

    monkeypatch.setattr(sections, part, fails)
    page = render(Results(make_run(tmp_path / "parts", count=2)))
    assert "is left out: ZeroDivisionError: no pairs." in page


def test_a_model_that_never_learned_its_unigrams_is_called_untrained(tmp_path: Path) -> None:
    run = make_run(tmp_path / "untrained", count=2, verdicts=False)
    run.note(tokens={"train": {"unigram_entropy": 3.5}})  # below its dev loss at every checkpoint
    assert any("untrained at every checkpoint" in note for note in Results(run).notes())


def test_windows_that_cannot_be_had_are_a_note(tmp_path: Path) -> None:
    run = make_run(tmp_path / "windows", count=2, verdicts=False)
    run.recipe.write_text("verdicts: {early: 0.5, late: 0.6}\n", encoding="utf-8")
    results = Results(run)
    assert results.clock.spans is None
    assert any("windows of training are not marked" in note for note in results.notes())
    assert render(results)


def test_critical_words() -> None:
    good, bad = marked("Who should Derek hug after shocking Richard?", "Who should Derek hug Richard after shocking?")
    assert " ".join(text for text, _ in good) == "Who should Derek hug after shocking Richard?"
    assert " ".join(text for text, _ in bad) == "Who should Derek hug Richard after shocking?"
    assert ("Richard", True) in bad
    assert marked("a b", "a c") == ((("a", False), ("b", True)), (("a", False), ("c", True)))


def test_examples_pass_over_identical_pairs() -> None:
    pairs = pl.DataFrame({"pair": ["0", "1", "2"], "good": ["a b", "c", "d"], "bad": ["a b", "x", "y"]})
    assert [example.pair for example in examples(pairs)] == ["1", "2"]
    assert examples(pairs.clear()) == []


def test_tables_by_column() -> None:
    assert columns([{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]) == {"n": 2, "columns": {"a": [1, 2]}, "same": {"b": "x"}}
    assert columns([]) == {"n": 0, "columns": {}, "same": {}}
    assert script_safe("</script>&\u2028") == '"\\u003c/script\\u003e\\u0026\\u2028"'
    assert json.loads(Charts().json()) == {"specs": {}, "tables": {}, "charts": {}}


def test_figures_by_name(run: RunFolder) -> None:
    paradigm = paradigm_names(6)[0][0]
    for name in ("map", "overall", "likelihoods", "training"):
        assert taken_apart(figure(run, name))[1]
    assert taken_apart(figure(run, "likelihood", paradigm=paradigm))[1]["curve"]
    band = taken_apart(figure(run, "trajectory", paradigm=paradigm, width=200))[1]["band"]
    assert band[0]["lo"] < 0.5 < band[0]["hi"]
    with pytest.raises(OntogenyError, match="did you mean 'map'"):
        figure(run, "maps")
    with pytest.raises(OntogenyError, match="did you mean"):
        figure(run, "trajectory", paradigm=paradigm[:-1])
    with pytest.raises(OntogenyError, match="say which"):
        figure(run, "trajectory")


def test_the_null_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path / "null", count=2)
    run.note(nulls={"blimp": {"swaps": 200, "either": 3, "limit": 0.0382}})
    assert "came out learned or entrenched in 3 of 200 tries (upper limit of the share: 0.038)." in render(Results(run))


def test_lineage_as_tables(run: RunFolder) -> None:
    assert flattened({"train": {"words": 1_000_000, "share": 0.25}, "compiled": False, "none": None, "key": "x", "at": [0, 1]}) == [
        ("train, words", "1,000,000"),
        ("train, share", "0.25"),
        ("compiled", "no"),
        ("none", "not known"),
        ("at", "0, 1"),
    ]
    titles = [table["title"] for table in tables({"odd_thing": {"a": 1}, "versions": {"b": "2"}, "created": "now"})]
    assert titles == ["Versions", "Odd thing", "Other"]
    assert commands(run.lineage()) == ["ontogeny run recipes/quickstart.yaml"]


def test_verdicts_of_an_earlier_version_open_and_say_what_judges_them_anew(tmp_path: Path) -> None:
    run = make_run(tmp_path / "old", count=2)
    text = unescape(without_scripts(render(Results(run))))
    assert "95 % intervals and p are about other seeds" in text and "ontogeny verdicts" not in text
    table = read_table(run.verdicts)
    added = ["standing", "covers", "early_low", "early_high"]
    write_table(run.verdicts, table.drop(added))
    results = Results(run)
    assert f"ontogeny verdicts {run.path} judges them anew" in unescape(without_scripts(render(results)))
    assert results.verdicts is not None and results.verdicts["standing"].null_count() == len(table)


def test_cells_and_verdicts_lead_to_their_paradigm_and_that_to_why_it_is_so(own_run):
    from ontogeny import disk
    from ontogeny.store import RunFolder

    run = RunFolder(own_run)
    suite, first, second = (
        *disk.read_table(run.verdicts).select("suite", "paradigm").row(0),
        disk.read_table(run.verdicts)["paradigm"][1],
    )
    said = {"suite": [suite], "paradigm": [first], "page": [first], "says": ["Bigrams <lead> it astray."]}
    write_table(run.explained, pl.DataFrame(said))
    for name in (first, second):
        run.why(name).write_text("why")
    page = write_report(run).read_text(encoding="utf-8")
    assert '"link":["#' in page or '"link":"#' in page
    assert 'class="verdict' in page and f'<a href="#{sections.anchor(suite, first)}" class="verdict' in page
    assert f'Bigrams &lt;lead&gt; it astray. <a href="why/{first}.html">' in page
    assert f'<a href="why/{second}.html">Why it is so</a>' in page
