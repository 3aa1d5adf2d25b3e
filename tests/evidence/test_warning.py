from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ontogeny.evidence.warning import CALIBRATED, EVALUATED, SCORES, WARNINGS, calibrate, evaluate, warn
from ontogeny.recipe import Thresholds
from ontogeny.records import OntogenyError
from ontogeny.trajectories import Timeline, read_accuracy_table, timeline_of, without_common_prefix

STEPS = [0, *range(10, 101, 10)]
TIMELINE = Timeline(tuple(STEPS), 100)
RULES = Thresholds()


def run(levels, seeds=1, noise=0.0, name="p", steps=STEPS, n=1000):
    """One paradigm a level, at .5 untrained and at its level from then on."""
    rng = np.random.default_rng(0)
    rows = [
        ("s", seed, step, f"{name}{index:02}", n, 0.5 if step == 0 else float(np.clip(level + noise * rng.normal(), 0, 1)))
        for index, level in enumerate(levels)
        for seed in range(seeds)
        for step in steps
    ]
    return pl.DataFrame(rows, schema=["suite", "seed", "step", "paradigm", "n", "accuracy"], orient="row")


def finished(levels, name="done", **settings):
    return name, run(levels, **settings), TIMELINE, RULES


LEVELS = [0.1, 0.2, 0.3, *np.linspace(0.6, 0.95, 19)]  # three end wrong, nineteen fine
DONE = finished(LEVELS)


def at(frame, paradigm):
    return frame.row(by_predicate=pl.col("paradigm") == paradigm, named=True)


def test_p_values_by_hand():
    """Nineteen end fine: worse than all of them is 1/20, as bad as the worst two of them 3/20."""
    got = warn(run([0.05, 0.25, 0.6, 0.62, 0.99], name="new"), TIMELINE, calibrate([DONE], "last"), 50)
    assert dict(got.schema) == WARNINGS and got["paradigm"].to_list()[0] == "new00"  # the worst first
    facts = {
        name: (row["p"], row["alarm"], row["as_bad"], row["as_bad_wrong"])
        for name, row in ((f"new{i:02}", at(got, f"new{i:02}")) for i in range(5))
    }
    assert facts["new00"] == (pytest.approx(1 / 20), True, 0, 0)
    assert facts["new01"] == (pytest.approx(1 / 20), True, 2, 2)
    assert facts["new02"] == (pytest.approx(2 / 20), True, 4, 3)
    assert facts["new03"] == (pytest.approx(3 / 20), False, 5, 3)
    assert facts["new04"] == (1.0, False, 22, 3)
    assert at(got, "new02")["share"] == 0.5 and at(got, "new02")["accuracy"] == 0.6 and at(got, "new02")["runs"] == 1


def test_seeds_and_runs_of_a_paradigm_share_its_weight():
    """The same nineteen paradigms three times are nineteen: else an alarm would need less than it says."""
    thrice = calibrate([finished(LEVELS, seeds=2), finished(LEVELS, name="again")], "last")
    new = run([0.05, 0.6, 0.62], name="new")
    once = warn(new, TIMELINE, calibrate([DONE], "last"), 50)
    got = warn(new, TIMELINE, thrice, 50)
    assert got["p"].to_list() == pytest.approx(once["p"].to_list()) and at(got, "new00")["runs"] == 2
    assert at(got, "new01")["as_bad"] == 3 * at(once, "new01")["as_bad"]


@pytest.mark.parametrize("score", SCORES)
def test_what_comes_later_changes_nothing(score):
    rng = np.random.default_rng(0)
    new = run(LEVELS, seeds=2, noise=0.1)
    later = new.with_columns(
        accuracy=pl.when(pl.col("step") > 30).then(pl.lit(pl.Series(rng.random(len(new))))).otherwise("accuracy")
    )
    calibration = calibrate([DONE], score)
    now = warn(new, TIMELINE, calibration, 30)
    assert now.equals(warn(later, TIMELINE, calibration, 30))
    so_far = Timeline(tuple(step for step in STEPS if step <= 30), 100)
    assert now.equals(warn(new.filter(pl.col("step") <= 30), so_far, calibration, 30))
    assert not now.drop("step", "share").equals(warn(new, TIMELINE, calibration, 40).drop("step", "share"))


@pytest.mark.parametrize("score", SCORES)
def test_a_calibration_row_knows_only_what_had_been_read_by_then(score):
    rng = np.random.default_rng(0)
    _, own, *_ = finished(LEVELS, noise=0.1)
    later = own.with_columns(
        accuracy=pl.when(pl.col("step") > 30).then(pl.lit(pl.Series(rng.random(len(own))))).otherwise("accuracy")
    )
    before, after = (
        calibrate([("done", curves, TIMELINE, RULES), finished(LEVELS, name="other")], score)
        .curves.filter((pl.col("run") == "done") & (pl.col("step") <= 30))
        .drop("ends_wrong")
        for curves in (own, later)
    )
    assert dict(before.schema) == {k: v for k, v in CALIBRATED.items() if k != "ends_wrong"} and before.equals(after)


def test_seeds_may_be_read_to_different_steps():
    new = run(LEVELS, seeds=2).filter((pl.col("seed") == 0) | (pl.col("step") <= 30))
    calibration = calibrate([DONE])
    assert set(warn(new, TIMELINE, calibration, 30)["seed"]) == {0, 1}
    assert set(warn(new, TIMELINE, calibration, 50)["seed"]) == {0}


def test_runs_are_compared_at_the_last_share_at_or_before_of_their_planned_steps():
    long = Timeline(tuple(step * 10 for step in STEPS), 1000)
    new = run(LEVELS).with_columns(pl.col("step") * 10)
    calibration = calibrate([DONE])
    assert warn(new, long, calibration, 500).drop("step").equals(warn(run(LEVELS), TIMELINE, calibration, 50).drop("step"))
    assert set(calibration.at(0.59)["step"]) == {50} and set(calibration.at(0.6)["step"]) == {60}


def test_the_relative_score_is_the_distance_from_the_runs_mean():
    got = warn(run([0.2, 0.4, 0.9], name="new"), TIMELINE, calibrate([DONE]), 50)
    assert at(got, "new00")["score"] == pytest.approx(0.3) and at(got, "new02")["score"] == pytest.approx(-0.4)
    shifted = warn(run([0.1, 0.3, 0.8], name="new"), TIMELINE, calibrate([DONE]), 50)
    assert shifted["p"].to_list() == pytest.approx(got["p"].to_list())


def test_the_mean_score_weighs_by_time():
    curves = run([0.4, *LEVELS]).with_columns(
        accuracy=pl.when((pl.col("paradigm") == "p00") & (pl.col("step") == 30)).then(0.8).otherwise("accuracy")
    )
    got = at(warn(curves, TIMELINE, calibrate([DONE], "mean"), 30), "p00")
    # trained from .5: step 10 stands for .5 to 15, 20 for 15 to 25, 30 for 25 to 30
    assert got["score"] == pytest.approx(-(24.5 * 0.4 + 5 * 0.8) / 29.5)


def test_false_alarms_keep_to_alpha_where_paradigms_are_exchangeable():
    """On average over splits of one population at most alpha of those that end fine; two standard errors of 30 are .03."""
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(30):
        levels = np.r_[0.1, 0.2, rng.uniform(0.5, 1, 38)]  # 0 and 1 end wrong
        old, new = finished(levels[::2], noise=0.02), run(levels[1::2], noise=0.02)
        warned = warn(new, TIMELINE, calibrate([old], "last"), 30)
        rates.append(warned.filter(pl.col("paradigm") != "p00")["alarm"].mean())
    assert np.mean(rates) <= 0.1 + 0.03


def test_errors_say_what_is_missing():
    calibration = calibrate([DONE])
    with pytest.raises(OntogenyError, match="step 47 has not been read; the nearest that has is 50"):
        warn(run(LEVELS), TIMELINE, calibration, 47)
    with pytest.raises(OntogenyError, match="at step 0 the model is untrained"):
        warn(run(LEVELS), TIMELINE, calibration, 0)
    with pytest.raises(OntogenyError, match="at step 10 the model is untrained: its dev loss"):
        warn(run(LEVELS), Timeline(tuple(STEPS), 100, trained_from=20), calibration, 10)
    with pytest.raises(
        OntogenyError, match=r"no finished run has a trained checkpoint in the first 5\.00% .* earliest is at 10\.00%"
    ):
        warn(run(LEVELS, steps=[0, 5]), TIMELINE, calibration, 5)
    with pytest.raises(OntogenyError, match=r"19 calibration paradigms end fine.*1/20: an alarm at alpha 0\.01 needs 99"):
        warn(run(LEVELS), TIMELINE, calibration, 50, alpha=0.01)
    with pytest.raises(OntogenyError, match="step 50 has not been read; none has"):
        warn(run(LEVELS).clear(), TIMELINE, calibration, 50)


def test_a_calibration_needs_both_ends_names_and_finished_runs():
    with pytest.raises(OntogenyError, match="no paradigm of done ends wrong"):
        calibrate([finished([0.8, 0.9])])
    with pytest.raises(OntogenyError, match="no paradigm of done ends fine"):
        calibrate([finished([0.1, 0.2])])
    with pytest.raises(OntogenyError, match="no paradigm of no run at all ends wrong"):
        calibrate([])
    with pytest.raises(OntogenyError, match="ends wrong"):
        calibrate([finished(LEVELS, n=4)])  # four pairs say nothing
    with pytest.raises(OntogenyError, match="names of their own"):
        calibrate([DONE, DONE])
    with pytest.raises(OntogenyError, match="did you mean 'mean'"):
        calibrate([DONE], "means")
    half = [step for step in STEPS if step <= 50]
    with pytest.raises(OntogenyError, match="half has 0 late checkpoints"):
        calibrate([("half", run(LEVELS, steps=half), Timeline(tuple(half), 100), RULES)])


def test_evaluation_counts_hits_and_false_alarms():
    got = evaluate([finished(LEVELS, seeds=2), finished(LEVELS, name="other")], shares=(0.05, 0.5), score="last")
    assert dict(got.schema) == EVALUATED
    assert got.select("run", "calibrated_on").unique().height == 3  # a run of one seed has no other seeds
    early, half = got.filter(pl.col("share") == 0.05), got.filter(pl.col("share") == 0.5)
    assert early["hits"].null_count() == len(early) and early["why_not"].str.contains("untrained").all()
    assert half["hit_rate"].to_list() == [1.0] * 3 and half["why_not"].null_count() == 3
    own = half.row(by_predicate=pl.col("calibrated_on") == "other seeds", named=True)
    assert (own["wrong"], own["fine"], own["false_alarms"]) == (6, 38, 2)  # the worst of those fine, at 2/20, in each seed


@pytest.mark.real
@pytest.mark.parametrize("training", ["earlier", "curves"])
def test_seeds_of_real_runs_warn_each_other(training, real_data):
    """Ten seeds of Pythia-160M: at a tenth of training all that stay wrong are known, with the false alarms as stated."""
    path = real_data / "reference" / "pythia160m_blimp_by_step" / "blimp_160m_acc.csv"
    pythia, _ = without_common_prefix(read_accuracy_table(path))
    small = pl.read_parquet(Path(__file__).parents[2] / "docs" / "babylm-small" / f"{training}.parquet")
    clock = Timeline(tuple(sorted(small["step"].unique())), 4071, warmup=204, trained_from=128)
    got = evaluate([("pythia", pythia, timeline_of(pythia), RULES), ("small", small, clock, RULES)], shares=(0.01, 0.1, 0.2))
    own = {(row["run"], row["share"]): row for row in got.iter_rows(named=True) if row["calibrated_on"] == "other seeds"}
    assert own["pythia", 0.1]["hit_rate"] == 1 and own["small", 0.2]["hit_rate"] > 0.8
    assert "untrained" in own["small", 0.01]["why_not"]
    most = {"earlier": 0.1, "curves": 10 / 99}[training]  # of what ends right in the second training: one more than was promised
    assert all(row["false_alarm_rate"] <= most for row in own.values() if row["fine"])
    others = got.filter((pl.col("calibrated_on") == "other runs") & pl.col("fine").is_not_null())
    assert others["false_alarm_rate"].max() < 0.2
