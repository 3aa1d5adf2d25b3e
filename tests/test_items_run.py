"""A run on pairs, on items of five options after a context, on predictions of regions, on texts that are to be written, and on
graded ones, from text to page; and what cannot use them."""

import json
import random

import polars as pl
import pytest
import tiny

from ontogeny import disk, laboratory
from ontogeny import recipe as recipes
from ontogeny.cli import main
from ontogeny.commands.auditing import audit_suite
from ontogeny.comparison.page import compare
from ontogeny.corpora.micro_english import MicroEnglish
from ontogeny.display import Display
from ontogeny.laboratory import Run
from ontogeny.records import OntogenyError, Pair
from ontogeny.suites import harness
from ontogeny.suites.micro_english import MicroEnglishPairs

QUIET = Display(quiet=True)


@pytest.fixture(scope="module")
def suites(tmp_path_factory):
    """Tables of the same sentences: `five` options after a context, `graded` ones, and `mixed`: graded ones and pairs."""
    place, draw = tmp_path_factory.mktemp("suites"), random.Random(0)
    pairs = list(MicroEnglishPairs(pairs_per_paradigm=12).pairs())[:24]
    five = [
        {"paradigm": "five", "phenomenon": "choice", "context": other.good, "options": [pair.good, *(p.bad for p in wrong)]}
        for pair, other in zip(pairs, pairs[::-1], strict=True)
        for wrong in [draw.sample([p for p in pairs if p.bad != pair.good], 4)]
    ]
    alone = [{"paradigm": "rated", "good": pair.good, "human": draw.gauss(0, 1)} for pair in pairs]
    preferred = [{"paradigm": "preferred", "good": pair.good, "bad": pair.bad, "human": draw.gauss(0, 1)} for pair in pairs]
    plain = [{"paradigm": "plain", "good": pair.good, "bad": pair.bad} for pair in pairs]
    for name, rows in (("five", five), ("graded", alone), ("mixed", preferred + plain)):
        (place / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (place / "regions").mkdir()
    (place / "regions" / "least.json").write_text(json.dumps(predicted(pairs[:8])))
    return place


def predicted(pairs):
    """A suite of SyntaxGym's whose good sentences are to be likelier than two others."""

    def conditions(*texts):
        regions = [[{"region_number": 1, "content": text}] for text in texts]
        return [{"condition_name": name, "regions": own} for name, own in zip("abc", regions, strict=True)]

    items = [
        {"item_number": number, "conditions": conditions(pair.good, pair.bad, other.bad)}
        for number, (pair, other) in enumerate(zip(pairs, pairs[::-1], strict=True), 1)
    ]
    formulas = [{"type": "formula", "formula": f"(1;%{other}%) > (1;%a%)"} for other in "bc"]
    return {"meta": {"name": "least", "metric": "sum"}, "region_meta": {}, "predictions": formulas, "items": items}


def recipe_of(suites, *names, settings=()):
    kinds = {"regions": f"kind: syntaxgym, path: {suites}/regions", "written": "kind: harness, task: written"}
    tables = "".join(f"  - {{{kinds.get(name, f'kind: table, path: {suites / name}.jsonl')}}}\n" for name in names)
    own = "  - {kind: micro-english, pairs_per_paradigm: 10}\n"
    assert own in tiny.RECIPE
    said = ["seeds=[0]", "training.context=64", "checkpoints.steps=[1, 2, 8]", "training.steps=12", *settings]
    return recipes.parse(tiny.RECIPE.replace(own, own * (len(names) > 1) + tables), settings=said)


def without_page(recipe, root, display=QUIET):
    here = Run.begin(recipe, root, display)
    here.train()
    here.score()
    here.judge()
    return here


@pytest.fixture(scope="module")
def run(suites, tmp_path_factory):
    asked = recipe_of(suites, "five", "graded", "mixed", "regions", "written")
    words = enumerate(("is", ".", "of"))
    ends = [Pair("written", str(number), f" {word}", "", context="the dog", written=True) for number, word in words]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness, "_questions", lambda *settings: (ends, []))
        yield without_page(asked, tmp_path_factory.mktemp("runs"), tiny.Heard())


def test_items_of_five_options_are_judged_against_their_chance(run):
    curves, verdicts = run.curves(), run.verdicts()
    others = curves.select("paradigm", "chance").unique().filter(pl.col("chance") != 0.5)
    assert others.sort("paradigm").rows() == [("five", pytest.approx(0.2)), ("least", pytest.approx(1 / 3)), ("written", 0.0)]
    row = verdicts.filter(paradigm="five").row(0, named=True)
    assert (row["chance"], row["n"]) == (pytest.approx(0.2), 24)
    assert 0.2 < row["hi"] < 0.5
    assert "null" in run.folder.lineage()["nulls"]["five"]["none"]
    assert "swaps" in run.folder.lineage()["nulls"]["micro-english"]
    untrained = curves.filter(paradigm="five", step=0).row(0, named=True)
    assert untrained["margin"] < 0  # of the best of four


def test_graded_items_have_a_correlation_and_no_verdict(run):
    found = run.correlations()
    assert found.group_by("suite", "paradigm").len().sort("suite").rows() == [("graded", "rated", 5), ("mixed", "preferred", 5)]
    assert found["rho"].is_between(-1, 1).all()
    assert not {"rated", "preferred"} & {*run.curves()["paradigm"], *run.verdicts()["paradigm"]}
    assert run.verdicts().filter(suite="mixed")["paradigm"].to_list() == ["plain"]
    said = [text for text in run.display.said if "correlation with people" in text]
    assert [text.split(":")[0] for text in said] == ["graded", "mixed"]
    assert any("1 graded paradigms have a correlation with people" in note for note in run.results.notes())


def test_texts_that_are_to_be_written_have_a_curve_and_no_verdict(run):
    found = run.curves().filter(suite="harness-written")
    assert set(found["accuracy"]) <= {0, 1 / 3, 2 / 3, 1} and (found["logp_good"] < 0).all()
    row = run.verdicts().filter(suite="harness-written").row(0, named=True)
    assert (row["verdict"], row["reason"]) == ("unobserved", "no chance level: not judged")
    assert row["hi"] is row["late_state"] is row["p"] is None
    with pytest.raises(
        OntogenyError, match="why n-grams decide as they do is of a right answer, and item 0 of written has no wrong one"
    ):
        run.why("written")


def test_what_was_scored_is_not_scored_again(run):
    before = {path: path.read_bytes() for path in run.folder.path.rglob("scores/*/*.parquet")}
    again = Run(run.folder.path)
    again.score()
    assert {path: path.read_bytes() for path in before} == before
    assert "logp_bad_4" in disk.read_table(run.folder.scores(0, "five", 8)).columns
    assert "logp_bad_2" not in disk.read_table(run.folder.scores(0, "micro-english", 8)).columns


def test_a_run_on_graded_items_alone_has_correlations_and_a_page(suites, run, tmp_path):
    found = laboratory.run(recipe_of(suites, "graded", settings=["name=grades"]), tmp_path, QUIET)
    assert found.judge().is_empty()
    assert len(found.correlations()) == 5
    assert not found.folder.verdicts.exists()
    assert "1 graded paradigms have a correlation with people" in found.report.read_text(encoding="utf-8")
    with pytest.raises(OntogenyError, match="has graded items alone, which have correlations and no verdicts to compare"):
        compare([found.folder.path, run.folder.path], tmp_path / "out", None, None, [], lambda text: None)
    with pytest.raises(OntogenyError, match="n-gram evidence is of a right answer, and item 1 of rated"):
        found.ngram_evidence.examine(2)


def test_pairs_alone_have_no_correlations(finished_run):
    with pytest.raises(OntogenyError, match="has no correlations: none of its suites has items with a graded judgement"):
        Run(finished_run).correlations()


def test_reading_until_settled_finds_the_states_of_all_items(suites, run, tmp_path):
    settled = without_page(recipe_of(suites, "five", "mixed", settings=["scoring.until=settled"]), tmp_path)
    ours, theirs = (one.curves().filter(paradigm="five").sort("step") for one in (settled, run))
    assert ours["step"].to_list() == theirs["step"].to_list()
    assert ours["n"].to_list() == theirs["n"].to_list()
    one, other = (found.verdicts().filter(paradigm="five")["states"].to_list() for found in (settled, run))
    assert one == other
    mixed = settled.curves().filter(suite="mixed")
    assert (mixed["read"] == mixed["n"]).all()  # beside graded items all are read


# --- what cannot use them


def test_n_gram_evidence_leaves_them_out_and_says_so(run):
    run.ngram_evidence.examine(2)
    assert "n-gram evidence is of right answers, and leaves out: preferred, rated, written" in run.display.said
    left = run.evidence("margins").select("suite", "paradigm").unique()
    assert left.filter(suite="mixed")["paradigm"].to_list() == ["plain"]
    assert set(left.filter(pl.col("suite").is_in(["mixed", "graded", "five"]))["paradigm"]) == {
        "five",
        "plain",
    }  # items of five options have a margin to the best wrong one
    assert "five" in set(run.evidence("cases")["paradigm"])
    run.read(["reliance"])
    assert "five" in set(run.reading("reliance").collect()["paradigm"])
    for paradigm, told in (("five", "has 5 options"), ("rated", "is graded by people")):
        with pytest.raises(OntogenyError, match=f"item 1 of {paradigm} {told}"):
            run.why(paradigm)


def test_an_audit_leaves_them_out_and_says_so(suites, run, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("".join(f"{document.text}\n" for document in MicroEnglish(words=3000).documents()))
    found = audit_suite("table", suites / "mixed.jsonl", str(text), None, tmp_path / "audit", (), QUIET)
    assert found.table["paradigm"].to_list() == ["plain"]
    assert found.facts["left out, graded by people"] == "preferred"
    assert "chance" not in found.table.columns
    five = audit_suite("table", suites / "five.jsonl", str(text), None, tmp_path / "audit", (), QUIET)
    assert five.table["chance"].to_list() == [pytest.approx(0.2)]
    with pytest.raises(OntogenyError, match="an audit is of a right answer, and item 1 of rated is graded by people"):
        audit_suite("table", suites / "graded.jsonl", str(text), None, tmp_path / "audit", (), QUIET)


def test_a_comparison_says_that_chance_is_another_and_that_grades_are_not_compared(suites, run, tmp_path):
    other = without_page(recipe_of(suites, "five", "mixed", settings=["name=other"]), tmp_path)
    found, _ = compare([run.folder.path, other.folder.path], tmp_path / "out", "five", None, [], lambda text: None)
    notes = " ".join(found.notes)
    assert "Chance is not one half where items have more options (five 0.2)" in notes
    assert "Graded items have correlations and no verdicts, and are not compared" in notes
    assert "other pairs" not in notes


def test_folders_are_scored_on_them_from_the_command_line(suites, run, tmp_path, monkeypatch, capsys):
    folder = run.folder.checkpoint(0, 8)
    for name, told in (("mixed", "mean of 1 paradigm"), ("graded", "correlation with people's judgements: rated"), ("five", "0.")):
        out = tmp_path / f"{name}.parquet"
        words = ["score", folder, "--suite", "table", "--suite-path", suites / f"{name}.jsonl", "--out", out, "--device", "cpu"]
        monkeypatch.setattr("sys.argv", ["ontogeny", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
        assert told in capsys.readouterr().out
        ours, theirs = disk.read_table(out), disk.read_table(run.folder.scores(0, name, 8))
        assert ours["logp_good"].to_numpy() == pytest.approx(theirs["logp_good"].to_numpy(), abs=1e-4)
