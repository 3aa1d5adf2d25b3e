import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import t

from ontogeny.evidence import foretell as room
from ontogeny.evidence.foretell import CASES, CONTESTS, FORETOLD, PREDICTIONS, TABLES, cases, contests, foretell, two_by_two
from ontogeny.evidence.logistic import calibration, fit, out_of_fold, roc_auc, standardised
from ontogeny.recipe import Thresholds
from ontogeny.records import OntogenyError
from ontogeny.trajectories import Timeline, judge

STEPS = [0, *range(5, 101, 5)]  # early: 5 and 10; late: 80 to 100
TIMELINE = Timeline(tuple(STEPS), 100)
QUICK = Thresholds(resamples=10)


def random_problem(seed, n=60, k=2, groups=5):
    rng = np.random.default_rng(seed)
    x, group = rng.normal(size=(n, k)) * [1, 100][:k], rng.integers(0, groups, n)
    y = rng.random(n) < expit(x[:, 0])
    y[:2] = True, False
    return x, y, group, rng.integers(0, 4, n).astype(float)


# ---- the regression


@given(st.integers(0, 10_000), st.sampled_from([0.1, 1.0, 10.0]))
@settings(max_examples=30, deadline=None)
def test_the_fit_is_scikit_learns(seed, strength):
    from sklearn import linear_model

    x, y, _, weights = random_problem(seed)
    weights[:2] = 1
    z = standardised(x, weights[None])
    theirs = linear_model.LogisticRegression(C=strength, tol=1e-10, max_iter=10_000).fit(z[0], y, weights)
    ours = fit(z, y, weights[None], strength)[0]
    assert ours == pytest.approx([*theirs.intercept_, *theirs.coef_[0]], abs=1e-5)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_the_area_is_scikit_learns_ties_and_weights_included(seed):
    from sklearn import metrics

    x, y, _, weights = random_problem(seed)
    weights[:2] = 1
    score = x[:, 0].round(0)
    assert roc_auc(score, y, weights) == pytest.approx(metrics.roc_auc_score(y, score, sample_weight=weights))


def test_areas_by_hand():
    y = np.array([True, True, False, False])
    assert roc_auc(np.array([3.0, 2.0, 1.0, 0.0]), y) == 1
    assert roc_auc(np.array([3.0, 1.0, 1.0, 0.0]), y) == 0.875
    assert roc_auc(np.ones(4), y) == 0.5
    assert np.isnan(roc_auc(np.ones(2), y[:2]))


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_a_groups_scores_do_not_hang_on_its_outcomes(seed):
    x, y, group, _ = random_problem(seed)
    other = np.where(group == 1, ~y, y)
    for before, after in zip(out_of_fold(x, y, group), out_of_fold(x, other, group), strict=True):
        assert before[group == 1] == pytest.approx(after[group == 1])


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_a_weight_is_so_many_copies(seed):
    x, y, group, weights = random_problem(seed)
    weights[:2] = 1
    copies = np.repeat(np.arange(len(y)), weights.astype(int))
    score, probability = out_of_fold(x, y, group, weights)
    again, probable = out_of_fold(x[copies], y[copies], group[copies])
    assert score[copies] == pytest.approx(again, abs=1e-8) and probability[copies] == pytest.approx(probable, abs=1e-8)
    assert np.isnan(score[weights == 0]).all()


def test_a_predictor_that_says_nothing_has_an_area_of_one_half_though_base_rates_differ():
    group = np.repeat(np.arange(4), 10)
    y = np.arange(40) % 10 < np.repeat([1, 3, 6, 9], 10)
    score, probability = out_of_fold(np.ones((40, 1)), y, group)
    assert roc_auc(score, y) == 0.5
    assert probability[group == 3] == pytest.approx(10.5 / 31)  # the base rate of the others
    assert roc_auc(probability, y) < 0.2  # why the score leaves base rates out


def test_a_fold_of_one_class_knows_its_base_rate_only():
    y = np.array([True, True, False, False])
    score, probability = out_of_fold(np.arange(4.0)[:, None], y, np.array([0, 0, 1, 1]))
    assert score.tolist() == [0] * 4 and probability == pytest.approx([0.5 / 3] * 2 + [2.5 / 3] * 2)
    with pytest.raises(ValueError, match="two groups"):
        out_of_fold(np.zeros((4, 1)), y, np.zeros(4, dtype=np.int64))


def test_calibration_of_true_and_of_overconfident_probabilities():
    rng = np.random.default_rng(0)
    log_odds = rng.normal(size=100_000) - 1
    y = rng.random(100_000) < expit(log_odds)
    assert calibration(expit(log_odds), y) == pytest.approx((0, 1), abs=0.05)
    assert calibration(expit(2 * log_odds + 1), y) == pytest.approx((-0.5, 0.5), abs=0.05)


@pytest.mark.parametrize("p, y", [([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]), ([0.5, 0.5], [0, 1]), ([0.1, 0.9], [1, 1])])
def test_no_calibration_line_where_there_is_none(p, y):
    assert calibration(np.array(p), np.array(y, dtype=bool)) == (None, None)


# ---- cases


def curves(paths, seeds=1, n=1000, suite="s", margin=None):
    rows = [
        (suite, seed, step, name, phenomenon, n, value, margin)
        for (name, phenomenon), values in paths.items()
        for seed in range(seeds)
        for step, value in zip(STEPS, values, strict=True)
    ]
    columns = ["suite", "seed", "step", "paradigm", "phenomenon", "n", "accuracy"]
    return pl.DataFrame(rows, schema=[*columns, ("margin", pl.Float64)], orient="row")


def ngrams(by_paradigm, suite="s", levels=("token", "word")):
    """Margins of four pairs each; `by_paradigm` gives (b of the pairs, u of the pairs)."""
    rows = [
        (suite, name, str(pair), level, order, (u if order == 1 else b)[pair], 5 + pair % 2, 6)
        for name, (b, u) in by_paradigm.items()
        for level in levels
        for order in range(1, 6)
        for pair in range(4)
    ]
    columns = ["suite", "paradigm", "pair", "level", "order", "margin", "length_good", "length_bad"]
    return pl.DataFrame(rows, schema=columns, orient="row")


WRONG, RIGHT = [0.5] + [0.2] * 20, [0.5] + [0.9] * 20
ESCAPED, FALLEN = [0.5] + [0.2] * 10 + [0.9] * 10, [0.5] + [0.9] * 10 + [0.2] * 10
PATHS = {("stuck", "x"): WRONG, ("right", "x"): RIGHT, ("escaped", "y"): ESCAPED, ("fallen", "y"): FALLEN}


def test_cases_by_hand():
    margins = ngrams({name: ([-1.0, -2.0, 0.0, 1.0], [3.0, 1.0, 1.0, -1.0]) for name, _ in PATHS})
    got = cases(curves(PATHS, margin=-3.0), TIMELINE, QUICK, margins)
    assert dict(got.schema) == CASES
    ends = {row["paradigm"]: (row["phenomenon"], row["early_wrong"], row["ends_wrong"]) for row in got.iter_rows(named=True)}
    assert ends == {
        "stuck": ("x", True, True),
        "right": ("x", False, False),
        "escaped": ("y", True, False),
        "fallen": ("y", False, True),
    }
    row = got.row(by_predicate=pl.col("paradigm") == "stuck", named=True)
    assert row["early_accuracy"] == pytest.approx(0.2) and row["early_margin"] == pytest.approx(-3)
    assert (row["b"], row["u"], row["length"]) == (-0.5, 1.0, 0.5)  # shorter good sentences in two pairs of four
    assert (row["b_accuracy"], row["u_accuracy"], row["length_accuracy"], row["b_word"]) == (0.375, 0.75, 0.75, -0.5)


def test_the_states_are_those_of_the_verdicts():
    margins = ngrams({name: ([1.0] * 4, [1.0] * 4) for name, _ in PATHS})
    told = cases(curves(PATHS), TIMELINE, QUICK, margins)
    judged = judge(curves(PATHS), TIMELINE, QUICK)
    assert told["early_wrong"].to_list() == (judged["early_state"] == -1).to_list()
    assert told["ends_wrong"].to_list() == (judged["late_state"] == -1).to_list()


def test_what_is_not_known_is_null():
    paths = {("stuck", "x"): WRONG, ("right", "x"): RIGHT}
    margins = ngrams({name: ([1.0] * 4, [1.0] * 4) for name, _ in paths}, levels=("token",))
    got = cases(curves(paths, n=4).drop("phenomenon"), TIMELINE, QUICK, margins)  # four pairs are too few for a state
    for name in ("phenomenon", "early_margin", "b_word", "early_wrong", "ends_wrong"):
        assert got[name].null_count() == len(got)
    unread = curves(paths).filter(pl.col("step") <= 50)
    half = cases(unread, Timeline(tuple(s for s in STEPS if s <= 50), 100), QUICK, margins)
    assert half["ends_wrong"].null_count() == len(half)
    foretold, predictions = foretell(half, 10)
    assert foretold["auc"].null_count() == len(foretold) and foretold["undecided"].all() and predictions.is_empty()


def test_several_suites_and_seeds():
    two = pl.concat([curves(PATHS, seeds=2), curves(PATHS, seeds=2, suite="t")])
    values = {name: ([1.0] * 4, [1.0] * 4) for name, _ in PATHS}
    got = cases(two, TIMELINE, QUICK, pl.concat([ngrams(values), ngrams(values, "t")]))
    assert got.group_by("suite").len()["len"].to_list() == [8, 8] and got["seed"].to_list() == [0, 1] * 8


def test_missing_margins_and_columns_are_named():
    with pytest.raises(OntogenyError, match=r"s: 3 paradigms .* first 'escaped'"):
        cases(curves(PATHS), TIMELINE, QUICK, ngrams({"stuck": ([1.0] * 4, [1.0] * 4)}))
    with pytest.raises(OntogenyError, match="no column 'margin'; did you mean 'margins'"):
        cases(curves(PATHS), TIMELINE, QUICK, ngrams({}).rename({"margin": "margins"}))


# ---- foretelling


def made(b, ends, early=None, seeds=2, phenomena=4, **columns):
    """A table of cases: one b and one end a paradigm, the same in every seed."""
    n = len(b)
    rng = np.random.default_rng(1)
    frame = pl.DataFrame(
        {
            "suite": "s",
            "paradigm": [f"p{index:02}" for index in range(n)],
            "phenomenon": [f"f{index % phenomena}" for index in range(n)],
            "ends_wrong": ends,
            "early_wrong": [True] * n if early is None else early,
            "b": np.array(b, dtype=float),
            "early_accuracy": 0.5,
            "u": rng.normal(size=n),
            "length": rng.normal(size=n),
            "early_margin": rng.normal(size=n),
        }
    ).with_columns(b_accuracy=0.5, u_accuracy=0.5, length_accuracy=0.5, b_word=0.0, chance=0.5)
    frame = frame.with_columns(**{name: pl.lit(value) for name, value in columns.items()})
    copies = pl.concat([frame.with_columns(seed=pl.lit(seed)) for seed in range(seeds)])
    return copies.select(pl.col(name).cast(kind) for name, kind in CASES.items())


HALF = [True] * 10 + [False] * 10
PERFECT = np.where(HALF, -1.0, 1.0) * np.linspace(1, 2, 20)


def foretold_by(frame, predictors, question="ends wrong", **settings):
    got, _ = foretell(frame, **{"resamples": 20, **settings})
    return got.row(by_predicate=(pl.col("predictors") == predictors) & (pl.col("question") == question), named=True)


def test_a_perfect_predictor_is_perfect_and_its_opposite_is_seen_through_but_for_the_raw_area():
    for b, raw in ((PERFECT, 1.0), (-PERFECT, 0.0)):
        row = foretold_by(made(b, HALF), "b")
        assert row["auc"] == row["high"] == 1 and row["auc_raw"] == raw
        assert row["low"] == pytest.approx(1 / (1 + t.isf(0.025, 3) ** 2 / 4))  # nothing varies over four phenomena, which are few
        assert (row["positives"], row["negatives"], row["undecided"]) == (10, 10, False)
        assert row["resamples"] == 18  # two of 20 drew one phenomenon four times and have none to leave out
        assert row["calibration_slope"] is None and row["brier"] < 0.1


def test_frames_have_their_columns_and_one_row_a_question_and_set():
    foretold, predictions = foretell(made(PERFECT, HALF), 5)
    assert dict(foretold.schema) == FORETOLD and dict(predictions.schema) == PREDICTIONS
    assert len(foretold) == 12 and len(predictions) == 12 * 40
    own = predictions.filter((pl.col("predictors") == "all") & (pl.col("question") == "stays wrong"))
    again = roc_auc(own["score"].to_numpy(), own["outcome"].to_numpy())
    assert again == foretold_by(made(PERFECT, HALF), "all", "stays wrong")["auc"]
    known = (own["probability"] - own["outcome"].cast(pl.Float64)) ** 2
    assert known.mean() == pytest.approx(foretold_by(made(PERFECT, HALF), "all", "stays wrong")["brier"])


def test_the_first_question_is_about_those_wrong_early():
    early = [index % 2 == 0 for index in range(20)]
    row = foretold_by(made(PERFECT, HALF, early), "b", "stays wrong")
    assert (row["positives"], row["negatives"], row["undecided"]) == (5, 5, True)
    assert row["auc"] == 1  # undecided, and still given


def test_a_paradigm_is_of_the_class_of_most_of_its_seeds():
    frame = made(PERFECT, HALF, seeds=3).with_columns(
        ends_wrong=pl.when((pl.col("paradigm") == "p00") & (pl.col("seed") < 2)).then(False).otherwise("ends_wrong")
    )
    assert foretold_by(frame, "b")["positives"] == 9


@pytest.mark.parametrize("frame", [made(PERFECT, [False] * 20), made(PERFECT, HALF, phenomena=1), made(PERFECT, HALF).clear()])
def test_no_area_without_two_classes_and_two_phenomena(frame):
    foretold, predictions = foretell(frame, 5)
    assert foretold["auc"].null_count() == len(foretold) and foretold["undecided"].all() and predictions.is_empty()


def test_a_predictor_that_is_not_known_leaves_nulls_and_the_others_alone():
    frame = made(PERFECT, HALF).with_columns(early_margin=pl.lit(None, pl.Float64))
    assert foretold_by(frame, "early margin")["auc"] is None and foretold_by(frame, "all")["undecided"]
    assert foretold_by(frame, "b")["auc"] == 1
    assert contests(frame, 5).filter(pl.col("second") == "early margin")["difference"].null_count() == 4


def test_the_same_seed_gives_the_same_interval_and_another_another():
    rng = np.random.default_rng(3)
    frame = made(rng.normal(size=20) - np.array(HALF), HALF)
    first, again, other = (foretold_by(frame, "b", seed=seed) for seed in (0, 0, 1))
    assert first == again and first["low"] != other["low"] and first["auc"] == other["auc"]
    assert first["low"] <= first["auc"] <= first["high"]


def test_b_beats_noise_and_does_not_beat_itself():
    frame = made(PERFECT, HALF).with_columns(u=pl.Series([1.0, -1.0] * 20))  # u says nothing: its raw area is one half
    got = contests(frame, 40)
    assert dict(got.schema) == CONTESTS and len(got) == 2 * 2 * 3
    assert set(got.filter(pl.col("second") == "u")["verdict"]) == {"better"}
    same = contests(frame.with_columns(u=pl.col("b")), 20).filter(pl.col("second") == "u")
    assert set(same["difference"]) == {0.0} and set(same["low"]) == {0.0} and set(same["verdict"]) == {"undecided"}
    swapped = contests(frame.with_columns(b=pl.col("u"), u=pl.col("b")), 40).filter(pl.col("second") == "u")
    assert set(swapped["verdict"]) == {"worse"}


def test_too_few_paradigms_decide_no_contest():
    few = made(PERFECT, [True] * 7 + [False] * 13)
    assert set(contests(few, 20)["verdict"]) == {"undecided"}


def test_a_resample_counts_rows_by_phenomenon_times_seed():
    (question, *_) = room._questions(made(PERFECT, HALF), 0)
    weights = question.weights(50)
    of_first = weights[:, question.phenomenon == 0]
    assert weights.shape == (50, 40) and (weights == weights.round()).all()
    for seed in (0, 1):
        alike = of_first[:, question.seed_index[question.phenomenon == 0] == seed]
        assert (alike == alike[:, :1]).all()


# ---- tables


def test_an_ngram_model_is_wrong_below_the_chance_of_its_paradigm():
    """One right of four: wrong of two options, and not wrong of five."""
    frame = made([-0.5] * 4, [True, True, False, False], early=[False] * 4)
    frame = frame.with_columns(chance=pl.when(pl.col("paradigm").is_in(["p00", "p01"])).then(0.2).otherwise(0.5))
    margins = ngrams({f"p{index:02}": ([1.0, -1.0, -1.0, -1.0], [1.0] * 4) for index in range(4)})
    row = two_by_two(frame, margins).row(
        by_predicate=(pl.col("among") == "all") & (pl.col("order") == 2) & (pl.col("level") == "token"), named=True
    )
    assert [row[name] for name in ("wrong_and_wrong", "wrong_and_right", "right_and_wrong", "right_and_right")] == [0, 2, 2, 0]


def test_the_lady_tasting_tea():
    """Fisher's table 3 1 / 1 3: R's fisher.test gives 6.408309 and p = .4857.

    With these margins and odds ratio t, x in the first cell has probability in proportion to (1, 16, 36, 16, 1)[x] t^x.
    """
    b = [-1.0, -1.0, -1.0, 1.0, -1.0, 1.0, 1.0, 1.0]
    frame = made(b, [True] * 4 + [False] * 4, early=[False] * 8)
    margins = ngrams({f"p{index:02}": ([value] * 4, [1.0] * 4) for index, value in enumerate(b)})
    got = two_by_two(frame, margins)
    assert dict(got.schema) == TABLES and len(got) == 2 * 2 * 5
    row = got.row(by_predicate=(pl.col("among") == "all") & (pl.col("order") == 2) & (pl.col("level") == "token"), named=True)
    assert [row[name] for name in ("wrong_and_wrong", "wrong_and_right", "right_and_wrong", "right_and_right")] == [3, 1, 1, 3]
    assert row["odds_ratio"] == pytest.approx(6.408309, rel=1e-4) and row["p"] == pytest.approx(0.4857, abs=1e-4)
    for end, cells in (("low", slice(3, None)), ("high", slice(None, 4))):  # the exact interval's ends: .025 in a tail
        likelihood = np.array([1, 16, 36, 16, 1]) * row[end] ** np.arange(5.0)
        assert likelihood[cells].sum() / likelihood.sum() == pytest.approx(0.025, rel=1e-6)
    none_early = got.filter(pl.col("among") == "early wrong")
    assert none_early["odds_ratio"].null_count() == len(none_early) and set(none_early["p"]) == {1.0}
    assert (got["p_adjusted"] >= got["p"] - 1e-12).all()


def test_an_empty_cell_gives_an_infinite_odds_ratio_and_no_wrong_n_grams_none():
    margins = ngrams({f"p{index:02}": ([value] * 4, [0.0] * 4) for index, value in enumerate(PERFECT)})
    got = two_by_two(made(PERFECT, HALF), margins).filter((pl.col("among") == "all") & (pl.col("level") == "token"))
    bigram, unigram = (got.row(by_predicate=pl.col("order") == order, named=True) for order in (2, 1))
    assert bigram["odds_ratio"] == float("inf") and bigram["low"] > 1 and bigram["high"] == float("inf")
    assert unigram["odds_ratio"] is None and unigram["right_and_wrong"] == 10  # all ties: exactly one half is not wrong


@pytest.mark.real
def test_the_states_of_real_curves(real_data):
    """Ten seeds of Pythia-160M: of the paradigms wrong early, most stay so."""
    from ontogeny.trajectories import read_accuracy_table, timeline_of, without_common_prefix

    path = real_data / "reference" / "pythia160m_blimp_by_step" / "blimp_160m_acc.csv"
    table, _ = without_common_prefix(read_accuracy_table(path))
    names = table["paradigm"].unique().to_list()
    margins = ngrams({name: ([1.0] * 4, [1.0] * 4) for name in names}, suite=table["suite"][0])
    got = cases(table, timeline_of(table), QUICK, margins)
    assert len(got) == 670 and got["phenomenon"].n_unique() == 12 and got["early_margin"].null_count() == 670
    assert (got["early_wrong"].sum(), got["ends_wrong"].sum()) == (39, 40)
    assert got.filter("early_wrong")["ends_wrong"].sum() == 30
