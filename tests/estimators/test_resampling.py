from itertools import product

import numpy as np
import pytest
from scipy.stats import t

from ontogeny.estimators.resampling import binomial_bootstrap, bootstrap_of_read, cluster_sums, expanded, multi_bootstrap


def test_cluster_sums_by_hand():
    sums, sizes = cluster_sums(np.array([[1.0, 2.0, 4.0, 8.0], [0.0, 1.0, 0.0, 1.0]]), np.array([2, 0, 2, 5]))
    assert sums.tolist() == [[2.0, 5.0, 8.0], [1.0, 0.0, 1.0]] and sizes.tolist() == [1, 2, 1]


def test_two_seeds_and_two_clusters_against_every_possible_draw():
    sums, sizes = np.array([[[1.0, 6.0]], [[0.0, 3.0]]]), np.array([1, 8])
    draws = [
        (sums[list(seeds)][..., list(clusters)].sum() / 2) / sizes[list(clusters)].sum()
        for seeds in product((0, 1), repeat=2)
        for clusters in product((0, 1), repeat=2)
    ]
    got = multi_bootstrap(sums, sizes, 40_000, np.random.default_rng(0))[:, 0]
    assert set(np.round(got, 9)) == set(np.round(draws, 9))
    assert got.mean() == pytest.approx(np.mean(draws), abs=0.01) and got.std() == pytest.approx(np.std(draws), abs=0.01)


def test_seeds_and_clusters_add_their_variances():
    # x = a of the seed + b of the cluster: a resample's mean has variance var(a) / seeds + var(b) / clusters
    a, b = np.array([0.0, 0.1, 0.5, 0.2, 0.3]), np.random.default_rng(1).random(40)
    sums = (a[:, None] + b)[:, None, :]
    got = multi_bootstrap(sums, np.ones(40, dtype=int), 20_000, np.random.default_rng(2))[:, 0]
    assert got.var() == pytest.approx(a.var() / 5 + b.var() / 40, rel=0.04)
    assert got.mean() == pytest.approx(a.mean() + b.mean(), abs=0.003)


def test_whole_clusters_are_drawn():
    # ten clusters of ten equal pairs are ten observations, not a hundred
    values = np.repeat(np.array([0.0, 1.0] * 5), 10)
    drawn = {}
    for name, clusters in {"pairs": np.arange(100), "clusters": np.repeat(np.arange(10), 10)}.items():
        sums, sizes = cluster_sums(values[None, None], clusters)
        drawn[name] = multi_bootstrap(sums, sizes, 20_000, np.random.default_rng(0)).std()
    assert drawn["pairs"] == pytest.approx(0.05, rel=0.05) and drawn["clusters"] == pytest.approx(0.5 / 10**0.5, rel=0.05)


def test_the_same_draw_at_every_step_and_no_spread_of_a_constant():
    sums = np.random.default_rng(0).random((3, 1, 20)).repeat(2, axis=1)
    got = multi_bootstrap(sums, np.ones(20, dtype=int), 50, np.random.default_rng(0))
    assert got[:, 0] == pytest.approx(got[:, 1])
    sizes = np.arange(1, 21)
    assert multi_bootstrap(0.3 * sizes[None, None] * np.ones((2, 1, 1)), sizes, 50, np.random.default_rng(0)) == pytest.approx(0.3)


def test_without_pairs_seeds_and_a_binomial_error_add_up():
    accuracy = np.array([[0.5], [0.7], [0.6], [0.6]])
    got = binomial_bootstrap(accuracy, 400, 20_000, np.random.default_rng(0))[:, 0]
    assert got.var() == pytest.approx(accuracy.var() / 4 + 0.24 / 400, rel=0.05)
    ends = np.quantile(binomial_bootstrap(np.full((1, 1), 0.5), 1000, 20_000, np.random.default_rng(0))[:, 0], [0.025, 0.975])
    assert ends.tolist() == pytest.approx([0.469, 0.531], abs=0.001)


def test_pairs_that_were_not_read_are_left_out_of_every_draw():
    values = np.array([[[1.0, 0.0, 1.0, np.nan], [1.0, np.nan, np.nan, np.nan]]])  # one seed, two steps
    clusters = np.array([0, 1, 2, 3])
    drawn = bootstrap_of_read(values, clusters, 4000, np.random.default_rng(0))
    assert drawn[:, 0].mean() == pytest.approx(2 / 3, abs=0.02)
    assert set(drawn[:, 1]) == {1.0}  # also where a draw has none of the pairs that were read
    assert not np.isnan(drawn).any()


def test_where_all_pairs_were_read_it_is_the_multi_bootstrap():
    values = np.random.default_rng(0).integers(0, 2, (2, 3, 20)).astype(float)
    clusters = np.arange(20) // 4
    whole = multi_bootstrap(*cluster_sums(values, clusters), 50, np.random.default_rng(1))
    assert (bootstrap_of_read(values, clusters, 50, np.random.default_rng(1)) == whole).all()
    hole = values.copy()
    hole[0, 0, 0] = np.nan
    near = bootstrap_of_read(hole, clusters, 50, np.random.default_rng(1))
    assert np.allclose(near[:, 1:], whole[:, 1:], atol=1e-12)  # the same draws


def test_an_expanded_interval_of_a_mean_is_students():
    """A bootstrap's mean of n things has the variance s2 (n - 1) / n / n; Student's interval has s2 / n."""
    values = np.array([3.0, 5.0, 8.0, 9.0, 13.0, 14.0, 18.0, 19.0, 23.0, 24.0])
    drawn = values[np.random.default_rng(0).integers(0, 10, (100_000, 10))].mean(axis=1)
    ends = t.interval(0.95, 9, values.mean(), values.std(ddof=1) / np.sqrt(10))
    assert expanded(drawn, 10, 0.95) == pytest.approx(ends, abs=0.25)  # they are symmetric, the draws nearly
    assert expanded(drawn, 10**9, 0.95) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.01)


def test_an_interval_leaves_out_what_is_no_number():
    assert expanded(np.array([np.nan, 1.0, 1.0]), 9, 0.95) == (1.0, 1.0)
    assert expanded(np.array([np.nan, np.nan, 1.0]), 9, 0.95) == expanded(np.array([]), 9, 0.95) == (None, None)
    assert expanded(np.array([0.0, 1.0]), 1, 0.95) == (None, None)
