"""The chance of being misled at any of several looks: on paper, by enumeration, and against scipy's hypergeometric distribution."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from ontogeny.scoring import sequential
from ontogeny.scoring.sequential import lower_bounds, marginals, misleads, transitions


def enumerated(n, right, looks, bounds):
    """The share of all orders in which some look has at most its bound of right ones."""
    orders = list(combinations(range(n), right))
    drawn = [[sum(place < look for place in places) for look in looks] for places in orders]
    return sum(any(x <= b for x, b in zip(row, bounds, strict=True)) for row in drawn) / len(orders)


def test_three_of_four_by_hand():
    """The one wrong pair is drawn first, second, third or last, each in a quarter of the orders.

    Up to .25 it may be ruled out that 3 are right by a wrong one that comes first; up to .5 by one among the first two as well,
    which a share of .5 / 3 for each look (Bonferroni) would not allow even of the first.
    """
    steps = transitions(4, 3, (1, 2, 3))
    assert misleads(steps, np.array([0, -1, -1])) == pytest.approx(0.25)
    assert misleads(steps, np.array([0, 1, -1])) == pytest.approx(0.5)
    assert misleads(steps, np.array([0, 1, 2])) == pytest.approx(0.75)
    assert lower_bounds(4, 3, (1, 2, 3), 0.24).tolist() == [-1, 0, 1]  # 0 of 2 and 1 of 3 cannot happen
    assert lower_bounds(4, 3, (1, 2, 3), 0.26).tolist() == [0, 0, 1]
    assert lower_bounds(4, 3, (1, 2, 3), 0.51).tolist() == [0, 1, 1]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.data())
def test_the_chance_is_that_of_all_orders(n, data):
    right = data.draw(st.integers(0, n))
    looks = tuple(sorted(data.draw(st.sets(st.integers(1, n), min_size=1, max_size=n))))
    bounds = np.array([data.draw(st.integers(-1, look)) for look in looks])
    assert misleads(transitions(n, right, looks), bounds) == pytest.approx(enumerated(n, right, looks, bounds), abs=1e-12)


def test_each_look_by_itself_is_hypergeometric():
    looks = (25, 50, 400, 975)
    for look, chances in zip(looks, marginals(transitions(1000, 554, looks)), strict=True):
        assert np.abs(chances - hypergeom.pmf(np.arange(look + 1), 1000, 554, look)).max() < 1e-12


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.floats(1e-6, 0.5), st.data())
def test_bounds_keep_their_promise_and_are_no_narrower_than_bonferronis(n, level, data):
    right = data.draw(st.integers(0, n))
    looks = tuple(range(1, n, data.draw(st.integers(1, 5))))
    found = lower_bounds(n, right, looks, level)
    steps = transitions(n, right, looks)
    assert misleads(steps, found) <= level
    sums = [hypergeom.cdf(np.arange(look + 1), n, right, look) for look in looks]
    assert (found >= [np.searchsorted(those, level / len(looks) * (1 - 1e-9), side="right") - 1 for those in sums]).all()


def test_more_than_all_are_ruled_out_at_once_and_many_pairs_take_bonferronis_level(monkeypatch):
    assert lower_bounds(10, 11, (2, 5), 0.01).tolist() == [2, 5]
    assert lower_bounds(10, 5, (), 0.01).tolist() == []
    exact = lower_bounds(200, 110, (50, 100, 150), 0.01)
    monkeypatch.setattr(sequential, "MOST", 100)
    coarse = lower_bounds(200, 110, (50, 100, 150), 0.01)
    assert (coarse <= exact).all()
    assert (coarse < exact).any()
    assert coarse.tolist() == [int(hypergeom.ppf(0.01 / 3, 200, 110, m)) - 1 for m in (50, 100, 150)]
