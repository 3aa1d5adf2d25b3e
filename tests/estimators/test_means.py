import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, ttest_1samp
from scipy.stats import t as student

from ontogeny.estimators.means import accuracy, accuracy_of_means, apart, effective, mean, mixed_df, shared, spread


def test_of_independent_pairs_and_one_seed_it_is_wilsons_interval():
    for right in (0, 1, 37, 99, 100):
        expected = binomtest(right, 100).proportion_ci(0.9, method="wilson")
        low, high = accuracy_of_means(np.array([right / 100]), 100).interval(0.9)
        assert (float(low), float(high)) == pytest.approx((expected.low, expected.high))
        assert accuracy_of_means(np.array([right / 100]), 100).p(0.4) == pytest.approx(2 * norm.sf(abs(right - 40) / 24**0.5))


def test_clusters_of_one_seed_are_a_t_test():
    sums = np.array([[3.0, 5.0, 2.0, 9.0, 7.0]])
    found = accuracy(sums, np.full(5, 10))
    expected = ttest_1samp(sums[0] / 10, 0.5)
    assert found.p(0.5) == pytest.approx(2 * student.sf(abs(expected.statistic) * (0.52 * 0.48 / 0.25) ** 0.5, 4))
    assert mean(sums, np.full(5, 10)).interval(0.95) == pytest.approx(tuple(ttest_1samp(sums[0] / 10, 0).confidence_interval(0.95)))
    sides = (ttest_1samp(sums[0] / 10, edge, alternative=side).pvalue for edge, side in ((0.3, "greater"), (0.7, "less")))
    assert found.equivalence(0.5, 0.2) == pytest.approx(max(sides))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9), st.floats(0.05, 0.95), st.sampled_from([0.8, 0.95]))
def test_an_interval_leaves_out_what_its_test_rejects_and_never_leaves_0_to_1(by_seed, chance, confidence):
    found = accuracy_of_means(np.array(by_seed), 50)
    low, high = found.interval(confidence)
    assert -1e-9 <= low <= found.value + 1e-9 and found.value - 1e-9 <= high <= 1 + 1e-9
    if min(abs(low - chance), abs(high - chance)) > 1e-6:
        assert (low <= chance <= high) == (found.p(chance) > 1 - confidence)


def test_two_seeds_that_agree_leave_the_seeds_degree_of_freedom():
    """Each part by its own t: 12.71 for two seeds, 2.01 for fifty clusters."""
    random = np.random.default_rng(0)
    clusters = random.normal(0, 0.1, 50)
    table = np.stack([clusters + 0.01, clusters - 0.01])
    found = spread(table)
    parts = (0.01**2, clusters.var(ddof=1) / 50)
    assert found.error == pytest.approx(sum(parts) ** 0.5)
    reach = (parts[0] * student.isf(0.025, 1) ** 2 + parts[1] * student.isf(0.025, 49) ** 2) ** 0.5
    assert student.isf(0.025, float(found.df)) * found.error == pytest.approx(reach)


def test_one_part_alone_has_its_own_degrees_of_freedom():
    one, none = np.array(0.3), np.array(0.0)
    assert (mixed_df(one, 4, none, 9), mixed_df(none, 4, one, 9), mixed_df(one, 4, one, 4)) == pytest.approx((4, 9, 4))


@given(st.lists(st.integers(1, 50), min_size=2, max_size=12))
def test_clusters_of_different_sizes_against_the_whole_quadratic_form(sizes):
    w = np.array(sizes) / sum(sizes)
    centring = np.eye(len(w)) - w  # row c takes the mean off cluster c
    form = centring.T @ np.diag(w**2) @ centring
    share, df = effective(np.array(sizes))
    assert share == pytest.approx(np.trace(form) / (w**2).sum())
    assert df == pytest.approx(np.trace(form) ** 2 / np.trace(form @ form))
    assert df <= len(w) - 1 + 1e-9


def test_clusters_of_one_size_count_as_many_as_they_are():
    assert effective(np.full(8, 125)) == pytest.approx((7 / 8, 7))
    assert effective(np.array([1000])) == (0, 0)
    assert effective(np.array([900, *[10] * 10]))[1] < 2


def test_all_right_is_as_sure_as_there_are_clusters():
    found = accuracy(np.full((3, 20), 50.0), np.full(20, 50))
    low, high = found.interval(0.95)
    assert low == pytest.approx(1 / (1 + student.isf(0.025, 19) ** 2 / 20)) and high == pytest.approx(1)
    assert 0 < found.p(0.5) < 0.001


def test_many_tables_at_once_are_each_by_itself():
    sums = np.random.default_rng(0).integers(0, 11, (4, 3, 6)).astype(float)
    together = accuracy(sums, np.full(6, 10))
    for index, one in enumerate(sums):
        assert accuracy(one, np.full(6, 10)).p(0.5) == pytest.approx(together.p(0.5)[index])


def test_a_difference_of_independent_shares_is_newcombes():
    """56 of 70 minus 48 of 80: .0524 to .3339 (Newcombe 1998, table II, method 10)."""
    low, high = apart(accuracy_of_means(np.array([56 / 70]), 70), accuracy_of_means(np.array([48 / 80]), 80), 0.95)
    assert (float(low), float(high)) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_a_difference_over_the_same_clusters_covers_what_it_says():
    """True accuracies are one half in both runs; clusters are easier or harder in both alike, seeds are each run's own."""
    random, tables, size = np.random.default_rng(0), 2000, np.full(20, 10)
    clusters = random.normal(0, 0.15, (tables, 1, 20))
    one, two = (
        random.binomial(10, np.clip(0.5 + clusters + random.normal(0, 0.05, (tables, 4, 1)), 0, 1)).astype(float) for _ in range(2)
    )
    together = shared(one, two, size)
    low, high = apart(accuracy(one, size), accuracy(two, size), 0.95, together)
    assert 0.94 < ((low <= 0) & (high >= 0)).mean() < 0.985
    apart_low, apart_high = apart(accuracy(one, size), accuracy(two, size), 0.95)
    assert ((high - low).mean() < 0.9 * (apart_high - apart_low).mean()) and 0 < together.mean() < 1
    assert shared(one[0], np.full((4, 20), 10.0), size) == 0
