import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, ttest_1samp

from ontogeny.trajectories.significance import (
    adjusted,
    binomial_test,
    equivalence_p,
    largest_sd,
    sign_test,
    upper_limit,
)


def test_the_sign_test_drops_ties():
    # 8 above, 2 below, 5 at one half: 2 (1 + 10 + 45) / 2^10, as statsmodels 0.15's sign_test gives
    scores = np.array([1.0] * 8 + [0.25] * 2 + [0.5] * 5)
    assert sign_test(scores) == pytest.approx(112 / 1024, rel=1e-12)
    assert sign_test(np.full(7, 0.5)) == 1
    assert sign_test(np.ones(12)) == pytest.approx(2**-11)


def test_without_pairs_the_sign_test_is_binomial():
    assert binomial_test(0.8, 10) == pytest.approx(112 / 1024)


def test_benjamini_and_hochberg_by_hand():
    # of (.01, .04, .03, .5): sorted x 4 / rank = .04, .06, .0533, .5, then the running minimum from the right
    assert adjusted(np.array([0.01, 0.04, 0.03, 0.5])) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=70))
def test_benjamini_and_hochberg_by_their_own_recipe(values):
    p = np.array(values)
    for i, own in enumerate(adjusted(p)):
        thresholds = [len(p) * q / (p <= q).sum() for q in p if q >= p[i]]
        assert own == pytest.approx(min(1, min(thresholds)), abs=1e-12)


def test_two_one_sided_tests_by_hand():
    # t = .07 / .0158114 = 4.427 and -.03 / .0158114 = -1.897; statsmodels 0.15's ttost_mean gives .0290339
    assert equivalence_p(0.52, 0.5, 1000, 0.05) == pytest.approx(0.0290339, abs=1e-6)
    assert equivalence_p(0.48, 0.5, 1000, 0.05) == pytest.approx(equivalence_p(0.52, 0.5, 1000, 0.05))
    assert equivalence_p(0.56, 0.5, 1000, 0.05) > 0.5
    assert equivalence_p(0.5, 0.0, 10, 0.05) == 0 and equivalence_p(0.55, 0.0, 10, 0.05) == 1
    assert equivalence_p(0.5, 0.0, 1, 0.05) == 1


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=3, max_size=60).filter(lambda x: len(set(x)) > 1))
def test_two_one_sided_tests_are_two_t_tests(values):
    scores = np.array(values)
    want = max(ttest_1samp(scores, 0.45, alternative="greater").pvalue, ttest_1samp(scores, 0.55, alternative="less").pvalue)
    assert equivalence_p(scores.mean(), scores.std(ddof=1), len(scores), 0.05) == pytest.approx(want, abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_no_scores_spread_more_than_the_largest_spread(values):
    scores = np.array(values)
    assert scores.std(ddof=1) <= largest_sd(float(scores.mean()), len(scores)) + 1e-9


def test_outcomes_of_zero_and_one_have_the_largest_spread():
    scores = np.array([1.0] * 7 + [0.0] * 3)
    assert largest_sd(0.7, 10) == pytest.approx(scores.std(ddof=1))


def test_the_upper_limit_of_clopper_and_pearson():
    assert upper_limit(0, 200) == pytest.approx(1 - 0.05 ** (1 / 200))
    assert upper_limit(12, 200) == pytest.approx(beta.ppf(0.95, 13, 188))
    assert upper_limit(12, 200) < 0.10 < upper_limit(14, 200)
    assert upper_limit(200, 200) == 1
