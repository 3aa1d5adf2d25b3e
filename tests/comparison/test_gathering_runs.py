"""Runs beside one another: the tables from made-up folders whose answers are known."""

from math import log, sqrt

import polars as pl
import pytest
from made_runs import PHENOMENA, STEPS, TEXT, made

from ontogeny.comparison.gathering import gather, speed, weights
from ontogeny.disk import read_table, write_table
from ontogeny.records import OntogenyError
from ontogeny.results import Results
from ontogeny.store import RunFolder


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    made(root / "grid-one", seeds=2)
    made(root / "grid-two", "training.batch=8", wrong=("turns_1",), better=-0.1, loss=3.0)
    made(root / "grid-masked", "model={kind: bert, size: bert-1m}", better=0.05)
    return root


@pytest.fixture(scope="module")
def found(three):
    return gather([three / name for name in ("grid-one", "grid-two", "grid-masked")])


def test_names_and_what_differs(found):
    assert found.title == "grid" and found.labels == ["one", "two", "masked"] and found.suite == "toy"
    assert found.differing.fields["training.batch"] == ["4", "8", "4"]
    assert found.differing.fields["seeds"] == ["0, 1", "0", "0"]
    assert found.paradigms == ("right_1", "right_2", "turns_1", "wrong_1", "wrong_2")  # by phenomenon


def test_a_run_in_numbers(found):
    """8 predictions of 6 x 5/7 + 4 words at 2 nats each; accuracies .9 three times and .1 twice, the second seed .01 better."""
    row = found.runs.row(0, named=True)
    assert row["bits_per_word"] == pytest.approx(2 * 8 / (30 / 7 + 4) / log(2)) and row["dev_loss"] == pytest.approx(2)
    assert row["accuracy"] == pytest.approx(0.58 + 0.005) and row["accuracy_sd"] == pytest.approx(0.01 / sqrt(2))
    assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
    assert (row["seeds"], row["steps"], row["words"], row["epoch_tokens"], row["parameters"]) == (2, 40, 480, 2000, 1_450_000)
    assert row["ends_wrong"] == 2 == row["entrenched"] and row["learned"] == 3 and row["peak_memory"] is None
    assert row["firm"] == 5 and found.runs.row(1, named=True)["firm"] is None  # of one seed none is or is not


def test_a_masked_model_has_a_loss_and_no_bits(found):
    row = found.runs.row(2, named=True)
    assert row["dev_loss"] == pytest.approx(2) and row["bits_per_word"] is None and not row["next_token"]
    assert found.curves.filter(run="masked")["bits_per_word"].is_null().all()
    assert found.curves.filter(run="two")["bits_per_word"].is_not_null().all()


def test_pairs_of_runs(found):
    """One of five paradigms differs between one and two; two gets .8 twice and 0 three times."""
    assert found.pairs.select("first", "second").rows() == [("one", "two"), ("one", "masked"), ("two", "masked")]
    row = found.pairs.row(0, named=True)
    assert row["agreement"] == pytest.approx(0.8) and row["seeds_agree"] == pytest.approx(0.8)
    assert (row["size_first"], row["size_second"], row["both"]) == (2, 3, 2)
    assert row["jaccard"] == pytest.approx(2 / 3) and row["expected"] == pytest.approx(6 / 5)
    assert row["p"] == pytest.approx(3 / 10)  # C(3, 2) of C(5, 2)
    assert row["difference"] == pytest.approx(0.585 - 1.6 / 5)


def scored(run, paradigm, seeds, right):
    """Scores of one paradigm of four pairs in two contrasts at the last checkpoint: which of them are `right`, by seed."""
    pairs = pl.DataFrame({"paradigm": paradigm, "pair": list("abcd"), "good": list("abcd"), "bad": "x", "contrast": list("ppqq")})
    write_table(run.pairs("toy"), pairs)
    for seed in range(seeds):
        margins = pl.DataFrame(
            {"logp_good": [float(one) for one in right[seed]], "logp_bad": 0.5, "tokens_good": 1, "tokens_bad": 1}
        )
        write_table(run.scores(seed, "toy", STEPS[-1]), pairs.select("paradigm", "pair").hstack(margins))


def test_the_difference_of_a_paradigm_is_over_seeds_and_clusters_of_pairs(tmp_path):
    """Two runs that are right on the same pairs differ by nothing, and less is open than where pairs are not the same."""
    runs = [made(tmp_path / name, seeds=2, paradigms=("right_1",), pairs=4) for name in ("one", "same", "other")]
    for run, right in zip(runs, ("1100", "1100", "0011"), strict=True):
        scored(run, "right_1", 2, [list(map(int, right))] * 2)
    found = gather([run.path for run in runs]).differences
    assert found.select("first", "second").rows() == [("one", "same"), ("one", "other")]
    assert found["difference"].to_list() == pytest.approx([0, 0])
    widths = (found["difference_high"] - found["difference_low"]).to_list()
    assert widths[0] < 1e-6 < widths[1]


def test_seeds_of_one_run_are_the_yardstick(found, three):
    assert found.spread["run"].to_list() == ["one"] and found.spread["agreement"].to_list() == [1]
    named = gather([three / "grid-two", three / "grid-masked"], yardsticks=[three / "grid-one"])
    assert named.labels == ["two", "masked"] and named.spread["run"].to_list() == ["yardstick: grid-one"]


def test_speed_is_the_median_after_ten_steps(three):
    """Of steps 11 to 40, ten take 1 s and twenty .5 s: 32 tokens a second; the first ten would be at 4."""
    assert speed(Results(RunFolder(three / "grid-two"))) == pytest.approx(32)


def test_speed_of_too_few_steps_is_not_known(tmp_path):
    run = made(tmp_path / "run")
    write_table(run.losses(0), pl.DataFrame({"step": [1], "loss": [5.0], "tokens": [16], "seconds": [1.0]}))
    assert speed(Results(run)) is None


def test_the_same_runs_leave_nothing_to_note(found):
    assert found.notes == () and found.same_text


def test_memory_and_weights_where_they_are_kept(tmp_path):
    run, other = made(tmp_path / "a"), made(tmp_path / "b")
    run.note(peak_memory={"0": 700, "1": 900})
    write_table(run.scores(0, "toy", STEPS[-1]), pl.DataFrame({"pair": ["0"]}), {"weights": "ab" * 32})
    found = gather([run.path, other.path])
    assert found.runs["peak_memory"].to_list() == [900, None]
    assert [weights(read, "toy") for read in found.reads] == ["ab" * 32, None]


def test_other_texts_pairs_and_paradigms_are_noted(tmp_path):
    one = made(tmp_path / "one", known=TEXT[:1])
    other = made(tmp_path / "other", text=TEXT[:1], pairs=150, paradigms=(*list(PHENOMENA)[:4], "right_9"))
    found = gather([one.path, other.path])
    said = "\n".join(found.notes)
    assert found.paradigms == ("right_1", "right_2", "wrong_1", "wrong_2")
    assert "compared are the 4 that all have (right_1, right_2, wrong_1, wrong_2)" in said
    assert "The pairs of 4 paradigms are not the same in all runs" in said and "one 800, other 600" in said
    assert "different held-out texts" in said and "one 10 words, other 6 words" in said and not found.same_text
    assert "writes <unk> in the held-out text: one (16.7% of its tokens)" in said


def test_other_rules_and_unfinished_runs_are_noted(tmp_path):
    one, other = made(tmp_path / "one"), made(tmp_path / "other", "verdicts.early=0.2")
    other.note(training={"steps": 80})
    said = "\n".join(gather([one.path, other.path]).notes)
    assert "not judged alike: their recipes differ in verdicts" in said
    assert "Not read to their end: other up to step 40 of 80." in said


def test_a_run_without_verdicts(tmp_path):
    one, other = made(tmp_path / "one"), made(tmp_path / "other", judged=False)
    with pytest.raises(OntogenyError, match=r"has no verdicts; run: ontogeny score .*other, then ontogeny verdicts .*other"):
        gather([one.path, other.path])
    write_table(other.scores(0, "toy", 1), pl.DataFrame({"pair": ["0"]}))
    with pytest.raises(OntogenyError, match=r"has no verdicts; run: ontogeny verdicts .*other$"):
        gather([one.path, other.path])
    write_table(one.curves, read_table(one.curves).clear())
    with pytest.raises(OntogenyError, match=r"one has no curves on toy; run: ontogeny verdicts .*one$"):
        gather([one.path, made(tmp_path / "third").path])


def test_runs_that_share_nothing(tmp_path):
    one, other = made(tmp_path / "one"), made(tmp_path / "other", suite="toys")
    with pytest.raises(OntogenyError, match=r"share no suite \(.*one: toy; .*other: toys\)"):
        gather([one.path, other.path])
    with pytest.raises(OntogenyError, match="not all of these runs were judged on 'toy'; they share none"):
        gather([one.path, other.path], "toy")
    third = made(tmp_path / "third", paradigms=("right_7",))
    with pytest.raises(OntogenyError, match=r"share no paradigm of toy \(.*third: right_7\)"):
        gather([one.path, third.path])


def test_a_suite_that_is_misspelt(tmp_path):
    one, other = made(tmp_path / "one"), made(tmp_path / "other")
    with pytest.raises(OntogenyError, match="did you mean 'toy'"):
        gather([one.path, other.path], "toi")


def test_a_yardstick_that_lacks_paradigms_is_named(tmp_path):
    one, other = made(tmp_path / "one"), made(tmp_path / "other")
    ruler = made(tmp_path / "ruler", seeds=2, paradigms=("right_1",))
    found = gather([one.path, other.path], yardsticks=[ruler.path])
    assert found.spread.is_empty() and "No yardstick, as it lacks some of these paradigms: ruler." in found.notes
