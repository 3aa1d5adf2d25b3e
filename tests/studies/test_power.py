import math

import numpy as np
import planned_study
import polars as pl
import pytest
from scipy.stats import nct, ttest_ind
from scipy.stats import t as student

from ontogeny.disk import write_table
from ontogeny.estimators.significance import flips
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder
from ontogeny.studies.power import SD, power, seed_sd

# --- by formula ---------------------------------------------------------------------------------------------------


def t_power(effect, sd, seeds, level=0.05, paired=False):
    """Chance that a two-sided t-test finds `effect` with `seeds` per arm, by the noncentral t distribution.

    `sd` is over seeds within an arm, or of the differences where `paired`.  A significant result on the wrong side does not count.
    """
    if seeds < 2:
        return 0.0
    df, error = (seeds - 1, sd / math.sqrt(seeds)) if paired else (2 * seeds - 2, sd * math.sqrt(2 / seeds))
    return float(nct.sf(student.isf(level / 2, df), df, abs(effect) / error))


def seeds_for(effect, sd, power):
    """The fewest seeds per arm that reach `power`."""
    return next(n for n in range(2, 100) if t_power(effect, sd, n) >= power)


@pytest.mark.parametrize(("effect", "needed"), [(0.05, (7, 9)), (0.10, (3, 4)), (0.20, (2, 3))])
def test_the_table_of_the_definitions(effect, needed):
    assert (seeds_for(effect, SD, 0.8), seeds_for(effect, SD, 0.9)) == needed


def test_power_by_formula_against_simulated_t_tests():
    random = np.random.default_rng(0)
    first, second = random.normal(0.05, 0.03, (20_000, 5)), random.normal(0, 0.03, (20_000, 5))
    found = ttest_ind(first, second, axis=1)
    simulated = ((found.pvalue <= 0.05) & (found.statistic > 0)).mean()
    assert t_power(0.05, 0.03, 5) == pytest.approx(simulated, abs=0.01)


def test_power_at_its_ends():
    assert t_power(0.0, 0.03, 8) == pytest.approx(0.025)  # of finding it, on the right side, where there is none
    assert t_power(0.05, 0.03, 1) == 0 and t_power(1.0, 0.03, 8) == pytest.approx(1.0)
    assert t_power(0.03, 0.03, 8, paired=True) > t_power(0.03, 0.03, 8)  # half the variance is worth more than degrees of freedom


@pytest.mark.parametrize(("level", "fewest"), [(0.05, 6), (0.01, 8), (0.25, 3)])
def test_sign_flips_need_six_seeds(level, fewest):
    random = np.random.default_rng(0)
    assert flips([1.0] * fewest, 1 - level, random) <= level and flips([1.0] * (fewest - 1), 1 - level, random) is None


# --- a study's own analysis ---------------------------------------------------------------------------------------

ONE = """
predictions:
  P1: {says: It falls., measure: late_accuracy, of: difference, arms: [all 1], supported: {above: 0}, refuted: {within: 0.03}}
expected: {late_accuracy: EFFECT}
"""


def with_predictions(folder, lines, seeds=8):
    text = planned_study.STUDY.split("predictions:")[0] + lines
    return planned_study.study(folder, text=text.replace("[0, 1, 2, 3, 4, 5, 6, 7]", str(list(range(seeds)))))


def chances(study, *args, **options):
    return power(study, *args, **options).row(0, named=True)


def test_the_simulated_chance_is_that_of_a_paired_t_test(tmp_path):
    study = with_predictions(tmp_path, ONE.replace("EFFECT", "0.05"), seeds=6)
    got = chances(study, simulations=8000)
    by_formula = t_power(0.05, SD * math.sqrt(2), 6, paired=True)
    assert got["supported"] == pytest.approx(by_formula, abs=0.015)
    assert got["falsely"] == pytest.approx(0.025, abs=0.006)  # of the two-sided .05, one side


def test_equivalence_within_the_margin_almost_never_succeeds_with_eight_seeds(tmp_path):
    got = chances(with_predictions(tmp_path, ONE.replace("EFFECT", "0.1")), simulations=2000)
    assert got["supported"] > 0.9 and got["refuted"] < 0.2 and not got["decides"]
    assert got["seeds_needed"] > 16 and got["note"].startswith("cannot decide with 8 seeds")
    assert f"{got['seeds_needed']} seeds could" in got["note"]


def test_the_seeds_that_are_named_do_decide(tmp_path):
    needed = chances(with_predictions(tmp_path, ONE.replace("EFFECT", "0.1")), simulations=2000)["seeds_needed"]
    assert chances(with_predictions(tmp_path, ONE.replace("EFFECT", "0.1"), needed + 2), simulations=2000)["decides"]
    assert not chances(with_predictions(tmp_path, ONE.replace("EFFECT", "0.1"), needed - 4), simulations=2000)["decides"]


def test_less_variation_decides_sooner(tmp_path):
    study = with_predictions(tmp_path, ONE.replace("EFFECT", "0.1"))
    assert chances(study, {"late_accuracy": 0.01})["decides"]
    assert chances(study, correlation=0.95)["decides"]  # what seeds share is no noise between arms


def test_an_effect_that_would_not_support_is_said(tmp_path):
    got = chances(with_predictions(tmp_path, ONE.replace("EFFECT", "-0.1")), simulations=50)
    assert "the expected effect -0.1 is not above 0" in got["note"] and got["supported"] == 0


def test_a_predictions_own_effect_wins_over_its_measures(tmp_path):
    """A control is expected to fall where the paradigm that was named rises, and both are late accuracies."""
    lines = ONE.replace("EFFECT", "0.1, P2: -0.02")
    second = lines.split("\n")[2].replace("P1:", "P2:")
    both = lines.replace("expected:", f"{second}\nexpected:")
    study = with_predictions(tmp_path, both)
    assert [study.effect_of(name) for name in ("P1", "P2")] == [0.1, -0.02]
    assert power(study, simulations=20)["effect"].to_list() == [0.1, -0.02]
    alone = with_predictions(tmp_path, both.replace("late_accuracy: 0.1, ", ""))
    assert [alone.effect_of(name) for name in ("P1", "P2")] == [None, -0.02]
    assert "expects no effect of late_accuracy" in power(alone, simulations=20)["note"][0]


def test_every_prediction_of_a_study_has_a_row(tmp_path):
    got = power(planned_study.study(tmp_path), {"early_margin": 0.1}, simulations=100)
    assert got["prediction"].to_list() == ["P1", "P2", "P5"]
    rows = {row["prediction"]: row for row in got.iter_rows(named=True)}
    assert rows["P1"]["supported"] == 1 and rows["P1"]["sd"] == 0.1  # .5 a dose over doses -1 to 1: far beyond .1
    assert rows["P5"]["falsely"] is None and rows["P5"]["supported"] < 0.3  # three arms have to be equivalent


def test_what_is_not_known_is_said(tmp_path):
    got = power(planned_study.study(tmp_path), simulations=10)
    assert (
        got["note"][0] == "how much early_margin varies over seeds is not known; give earlier runs" and got["supported"][0] is None
    )
    silent = with_predictions(tmp_path, ONE.replace("expected: {late_accuracy: EFFECT}", ""))
    assert "expects no effect of late_accuracy" in chances(silent)["note"]
    of_controls = ONE.replace("EFFECT", "0.1").replace("arms: [all 1]", "arms: [all 1], paradigms: controls")
    study = planned_study.study(
        tmp_path, text=(planned_study.STUDY.split("predictions:")[0] + of_controls).replace("controls: [agreement]\n", "")
    )
    assert "how many paradigms are controls is not known" in chances(study)["note"]
    assert chances(study, controls=12, simulations=20)["paradigms"] == 12


def test_more_paradigms_that_must_all_hold_are_harder(tmp_path):
    lines = ONE.replace("EFFECT", "0.05").replace("arms: [all 1]", "arms: [all 1], paradigms: [a, b, c]")
    of_three = with_predictions(tmp_path, lines)
    by = {
        how: chances(with_predictions(tmp_path, lines.replace("paradigms:", f"combine: {how}, paradigms:")), simulations=1000)
        for how in ("any", "mean")
    }
    assert chances(of_three, simulations=1000)["supported"] < by["any"]["supported"]
    assert all(row["paradigms"] == 3 for row in by.values())


def test_a_slope_is_simulated_over_measured_margins_where_they_are_known(tmp_path):
    study = planned_study.study(tmp_path)
    names = [arm.name for arm in study.arms]
    narrow = {"binding": {name: 0.01 * place for place, name in enumerate(names)}}
    wide = {"binding": {name: 1.0 * place for place, name in enumerate(names)}}
    chance = {
        width: power(study, {"early_margin": 0.1}, known, simulations=100)["supported"][0]
        for width, known in (("n", narrow), ("w", wide))
    }
    assert chance["n"] < 0.3 < chance["w"] == 1


def test_flips_of_verdicts_are_simulated_as_shares(tmp_path):
    line = "{says: It flips., measure: verdict, of: change, arms: [all 1], supported: {above: 0.5}, refuted: {below: 0.5}}"
    study = with_predictions(tmp_path, f"predictions:\n  P4: {line}\nexpected: {{verdict: 0.95}}\n")
    got = chances(study, simulations=4000)
    # 8 of 8 flipped has a lower limit of .631, 7 of 8 of .473: supported by 8 of 8 alone
    assert got["supported"] == pytest.approx(0.95**8, abs=0.02) and got["refuted"] == 1


# --- earlier runs -------------------------------------------------------------------------------------------------


def earlier_run(folder, values, paradigms=("a", "b")):
    """Late accuracies by seed, the same for all paradigms but for their names; early ones are the half of them."""
    steps = [*range(11), *range(20, 101, 10)]
    rows = [
        ("toy", seed, step, p, 100, value * (0.5 if step <= 10 else 1), 2 * value, step * 10, float(step))
        for p in paradigms
        for seed, value in enumerate(values)
        for step in steps
    ]
    run = RunFolder(folder)
    write_table(
        run.curves,
        pl.DataFrame(rows, ["suite", "seed", "step", "paradigm", "n", "accuracy", "margin", "tokens", "words"], orient="row"),
    )
    run.recipe.write_text("name: earlier\nverdicts: {hi: 0.6}\n", encoding="utf-8")
    return run


def test_seed_sd_by_hand(tmp_path):
    run = earlier_run(tmp_path / "one", [0.7, 0.8, 0.9])
    got = seed_sd([run])
    assert got["late_accuracy"] == pytest.approx(0.1) and got["early_accuracy"] == pytest.approx(0.05)
    assert got["late_margin"] == pytest.approx(0.2) and got["learned_at"] == pytest.approx(0.0)  # all at step 20
    other = earlier_run(tmp_path / "two", [0.5, 0.5])
    assert seed_sd([run, other])["late_accuracy"] == pytest.approx(math.sqrt((0.01 + 0.01 + 0 + 0) / 4))
    assert seed_sd([run, other], ["a"])["late_accuracy"] == pytest.approx(math.sqrt(0.01 / 2))


def test_seeds_that_were_not_read_to_their_end_do_not_count(tmp_path):
    run = earlier_run(tmp_path / "one", [0.7, 0.8])
    curves = pl.read_parquet(run.curves)
    write_table(run.curves, curves.filter((pl.col("seed") == 0) | (pl.col("step") < 50)))
    with pytest.raises(OntogenyError, match="none of 1 runs has two seeds"):
        seed_sd([run])


def test_windows_are_of_the_whole_training(tmp_path):
    run = earlier_run(tmp_path / "one", [0.7, 0.8, 0.9])
    run.note(training={"steps": 1000})
    got = seed_sd([run])  # it has come to a tenth of its training, all of it early
    assert "late_accuracy" not in got and got["early_accuracy"] < 0.1
