"""A run as BabyLM's submission, held against a checker that was written from the pipeline's description alone."""

import json

import numpy as np
import polars as pl
import pytest
import tiny
from babylm_checker import check

from ontogeny import disk
from ontogeny.commands import adoption
from ontogeny.commands.babylm import Submission, reading_scores, revisions
from ontogeny.commands.exporting import export
from ontogeny.instruments.reading import explained, read_table
from ontogeny.laboratory import Run
from ontogeny.records import Checkpoint, OntogenyError
from ontogeny.scoring.surprisals import surprisals
from ontogeny.store import RunFolder
from ontogeny.suites.babylm import Supplement

PAIRS = [("The dog sleeps.", "The dogs sleeps."), ("A cat runs.", "A cats runs."), ("It is the same.", "It is the same.")]
READING = 'item,word,prev_item,prev_word\n"The dog",sleeps,The,dog\n,The,,\n"A cat, it",runs,"A cat,",it\n'
WORDS = {"dog": [{"context": "The "}, {"context": "I see a"}], "a": [{"context": "x"}], "cat": [{"context": "the"}]}


ITEMS = {
    "ewok_filtered/social-relations": [
        {
            "Domain": "social-relations",
            "Context1": "The dog sleeps.",
            "Context2": "The cats run.",
            "Target1": "A dog",
            "Target2": "Cats",
        }
    ],
    "comps/comps_base": [{"prefix_acceptable": "A cat", "prefix_unacceptable": "A dog", "property_phrase": "sleeps ."}],
    "comps/comps_wugs_dist-before": [{"prefix_acceptable": "The cat", "prefix_unacceptable": "It", "property_phrase": "runs ."}],
    "entity_tracking/regular": [
        {"numops": 0, "input_prefix": "The dog sees", "options": [" the cat", " nothing", " it"]},
        {"numops": 0, "input_prefix": "The cat sees", "options": [" the dog", " it", " the cat"]},
        {"numops": 2, "input_prefix": "A cat is", "options": [" a cat", " a dog", " dogs"]},
    ],
}


def write_lines(file, pairs):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps({"sentence_good": good, "sentence_bad": bad}) + "\n" for good, bad in pairs))


def fast_name(name):
    return name.replace("_filtered", "").replace("/", "_fast/")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The pipeline's evaluation_data in little: the supplement, items of three other tasks, reading, and children's words."""
    place = tmp_path_factory.mktemp("data") / "evaluation_data"
    for paradigm in Supplement.known:
        write_lines(place / "full_eval" / "supplement_filtered" / f"{paradigm}.jsonl", PAIRS)
        write_lines(place / "fast_eval" / "supplement_fast" / f"{paradigm}.jsonl", PAIRS[1:])
    for name, rows in ITEMS.items():
        for file in (place / "full_eval" / f"{name}.jsonl", place / "fast_eval" / f"{fast_name(name)}.jsonl"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for part in ("full_eval", "fast_eval"):
        (place / part / "reading").mkdir()
        (place / part / "reading" / "reading_data.csv").write_text(READING)
    (place / "full_eval" / "cdi_childes").mkdir()
    (place / "full_eval" / "cdi_childes" / "cdi_childes.json").write_text(json.dumps(WORDS))
    return place


@pytest.fixture(scope="module")
def run(finished_run, data, tmp_path_factory):
    """Checkpoints of somebody's, of 1, 3 and 100 million words, read on the supplement."""
    root = tmp_path_factory.mktemp("runs")
    own, table = RunFolder(finished_run), ["folder,step,words"]
    for step, words in ((1, 1_004_000), (8, 3_000_000), (24, 100_000_000)):
        table.append(f"{own.checkpoint(0, step)},{step},{words}")
    (root / "table.csv").write_text("\n".join(table) + "\n")
    suites = ", ".join(f"{{kind: {kind}, path: {data}}}" for kind in ("babylm-supplement", "ewok", "comps", "entity-tracking"))
    settings = ["scoring.device=cpu", "verdicts.swaps=5", f"suites=[{suites}]"]
    run = adoption.adopt(root / "table.csv", "babylm-supplement", data, "mine", settings, root, tiny.Heard())
    run.score()
    return run


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    submission = Submission(run)
    return submission, submission.write(tmp_path_factory.mktemp("out") / "results")


def test_the_checker_finds_nothing_wrong(made, data):
    wrong, accuracy = check(made[1], data)
    assert wrong == []
    assert made[1].name == "all_full_preds_and_fast_scores_causal.json"
    scores = disk.read_table(made[0].folder.scores(0, "babylm-supplement", 24))
    right = scores.select((pl.col("logp_good") - pl.col("logp_bad") >= -1e-5).cast(pl.Int8).sum().over("paradigm").unique())
    assert accuracy["blimp_supplement"] == pytest.approx((right.mean().item() + 1) / 3)  # the pair of one sentence is right


def test_other_tasks_are_answered_in_the_pipelines_words(made):
    submission, collated = made
    whole = json.loads(collated.read_text())
    assert list(whole["ewok"]) == ["social-relations"] and list(whole["comps"]) == ["base", "wugs_dist_before"]
    assert list(whole["entity_tracking_filtered"]) == ["regular_0_ops", "regular_2_ops"]
    assert len(whole["entity_tracking_filtered"]["regular_0_ops"]["predictions"]) == 1  # the other has an option of nothing
    scores = disk.read_table(submission.folder.scores(0, "entity-tracking", 24)).filter(paradigm="regular_2_ops").row(0, named=True)
    best = np.argmax([scores["logp_good"], scores["logp_bad"], scores["logp_bad_2"]])
    (given,) = whole["entity_tracking_filtered"]["regular_2_ops"]["predictions"]
    assert given["pred"].strip() == ITEMS["entity_tracking/regular"][2]["options"][best].strip()
    assert whole["fast_eval_results"]["ewok"][18] == {
        "social-relations": float(whole["ewok"]["social-relations"]["predictions"][0]["pred"] == "The dog sleeps. A dog")
    }


def test_revisions_are_named_by_words_and_what_is_lacking_is_said(made):
    submission, collated = made
    fast = json.loads(collated.read_text())["fast_eval_results"]["blimp_supplement"]
    assert [number for number, one in enumerate(fast) if one] == [0, 2, 18]  # 1M, 3M, 100M
    assert (collated.parent / "chck_3M" / "zero_shot" / "causal" / "blimp" / "supplement_fast" / "predictions.json").exists()
    assert "chck_2M, chck_4M" in submission.left_out["revisions"]
    assert {"blimp", "glue", "aoa", "global_piqa_parallel"} <= set(submission.left_out)
    assert not {"ewok", "comps", "entity_tracking_filtered"} & set(submission.left_out)
    assert json.loads(collated.read_text())["blimp"] is None


def test_surprisals_are_those_of_the_words_after_their_contexts(made, run):
    whole = json.loads(made[1].read_text())
    rows = [row for row in whole["aoa_surprisals"]["results"] if row["step"] == "chck_100M"]
    last = run.folder.checkpoints(0)[-1].folder
    wanted = [
        surprisals(last, [word], contexts=[context])["surprisal"].sum() for word, context in (("dog", "The"), ("dog", "I see a"))
    ]
    assert [row["surprisal"] for row in rows[:2]] == pytest.approx(wanted, rel=1e-5)
    assert [row["word_count"] for row in rows] == [100_000_000] * 3
    reading = whole["reading"]["reading"]["predictions"]
    assert reading[0]["pred"] == pytest.approx(surprisals(last, ["sleeps"], contexts=["The dog"])["surprisal"].sum(), rel=1e-5)
    assert reading[1]["prev_pred"] is None and reading[2]["id"] == 2
    of_1m = json.loads((made[1].parent / "chck_1M/zero_shot/causal/reading/predictions.json").read_text())["reading"]["predictions"]
    assert len(of_1m) == 3 and of_1m[0]["pred"] != reading[0]["pred"]
    assert not whole["fast_eval_results"]["reading"][0] and "no column 'sentence'" in made[0].left_out["fast reading"]


def test_the_fast_readings_scores_are_the_shares_that_surprisals_tell(tmp_path):
    file = tiny.reading_times(tmp_path, ("a", "bb", "ccc", "dddd"), many=40)
    words = read_table(file)
    every = np.random.default_rng(0).gamma(2.0, 3.0, sum(len(text.split()) for text in words.sentences))
    before = np.where(words.place > 0, every[words.at - 1], np.nan)
    rows = [{"pred": one, "prev_pred": None if np.isnan(b) else b} for one, b in zip(every[words.at], before, strict=True)]
    found = reading_scores(file, {"reading": {"predictions": rows}})
    for name, measure in (("spr", "self-paced"), ("rt", "eye")):
        assert found[name] == pytest.approx(explained(words, measure, words.measures[measure], every, 0).r2 / 100)


def test_a_run_that_read_some_pairs_alone_has_no_predictions_and_says_so(run, tmp_path):
    submission = Submission(run)
    submission._scored = lambda step: {}
    collated = json.loads(submission.write(tmp_path).read_text())
    assert collated["blimp_supplement"] is None
    assert "all pairs are needed" in submission.left_out["blimp_supplement"]


def test_what_cannot_be_exported_is_an_error(finished_run, run, tmp_path):
    with pytest.raises(OntogenyError, match=r"no suite of BabyLM's; .* --data evaluation_data"):
        Submission(Run(finished_run))
    with pytest.raises(OntogenyError, match="no checkpoints of seed 7; it has seeds"):
        Submission(run, seed=7)
    with pytest.raises(OntogenyError, match=r"--to cvs: .*did you mean 'csv'"):
        export(run, "cvs")
    with pytest.raises(OntogenyError, match="--data is nothing that an export to csv takes"):
        export(run, "csv", data=tmp_path)
    with pytest.raises(OntogenyError, match="holds nothing of the pipeline's evaluation_data"):
        Submission(run, data=tmp_path)
    with pytest.raises(OntogenyError, match="--track huge: known: strict-small, strict"):
        Submission(run, track="huge")
    with pytest.raises(OntogenyError, match=r"--name \.\./up: a model's name here is that of one folder"):
        Submission(run, name="../up")
    (tmp_path / "mine" / "thesis").mkdir(parents=True)
    with pytest.raises(OntogenyError, match="was not made by ontogeny"):
        export(run, "babylm", tmp_path)


def test_the_longer_track_has_28_revisions(run):
    assert [len(revisions(track)) for track in ("strict-small", "strict")] == [19, 28]
    assert Submission(run)._track() == "strict-small"
    assert Checkpoint(1, run.folder.path).words is None
