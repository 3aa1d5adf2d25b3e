import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from ontogeny.recipe import Thresholds
from ontogeny.records import OntogenyError
from ontogeny.trajectories import Timeline, band, calendar, states
from ontogeny.trajectories.bands import enough_pairs
from ontogeny.trajectories.timeline import windows

PYTHIA = Timeline((0, 1, 2, 4, 8, 16, 32, 64, 128, 1000, *range(10_000, 130_001, 10_000), 143_000), 143_000)


@pytest.mark.parametrize(("paradigms", "edge"), [(67, 0.553), (1, 0.531), (67 * 20, 0.565)])
def test_the_published_bands(paradigms, edge):
    assert round(band(1000, paradigms, 0.95), 3) == edge


def test_fewer_pairs_have_a_wider_band():
    assert band(996, 67) > band(1000, 67)
    assert band(4, 1, 0.95) == pytest.approx(0.5 + 1.959964 * 0.25, abs=1e-6)


def test_pairs_are_too_few_exactly_where_the_exact_test_cannot_reject():
    for paradigms in (1, 67):
        for n in range(1, 30):
            assert enough_pairs(n, paradigms, Thresholds()) == (binomtest(n, n).pvalue <= 0.05 / paradigms)
    assert not enough_pairs(26, 1_000_000, Thresholds())  # the exact test could, but the band lies above 1


def test_states_at_the_edges():
    assert states(np.array([0.6, 0.5999999, 0.5, 0.4000001, 0.4, np.mean([0.6, 0.6, 0.6])]), 0.6).tolist() == [
        1, 0, 0, 0, -1, 1,
    ]  # fmt: skip


@given(st.lists(st.floats(0, 1), min_size=1), st.floats(0.501, 1))
def test_states_mirror(accuracy, hi):
    values = np.array(accuracy)
    assert (states(1 - values, hi) == -states(values, hi)).all()


def test_windows_of_pythia():
    view = windows(PYTHIA, Thresholds())
    assert view.steps[view.early].tolist() == [1000, 10_000]
    assert view.steps[view.late].tolist() == [120_000, 130_000, 143_000]
    assert not view.trained[:9].any() and view.trained[9:].all()
    # early: 715 to 14,300, of which step 1,000 stands for 715 to 5,500; late: 114,400 on, cut at 125,000 and 136,500
    assert view.early_weights[view.early] == pytest.approx([4785 / 13_585, 8800 / 13_585])
    assert view.late_weights[view.late] == pytest.approx([10_000 / 28_000, 11_500 / 28_000, 6500 / 28_000])
    assert view.weights[9] == pytest.approx(4785 / 142_285)


@given(st.integers(100, 5000), st.sampled_from([0.05, 0.1, 0.2, 0.25, 0.3]))
def test_a_checkpoint_at_the_step_nearest_to_a_windows_end_is_in_it(total, share):
    asked = [round(share * total), round((1 - share) * total)]
    view = windows(Timeline(tuple(sorted({0, *asked, total})), total), Thresholds(early=share, late=share))
    assert view.early[list(view.steps).index(asked[0])]
    assert view.late[list(view.steps).index(asked[1])]
    assert not view.early[list(view.steps).index(asked[1])]


def test_trained_from_overrides_the_share_and_nothing_trained_is_nothing():
    timeline = Timeline((0, 10, 20, 50, 100), 100, trained_from=20)
    assert windows(timeline, Thresholds()).trained.tolist() == [False, False, True, True, True]
    never = windows(Timeline((0, 50, 100), 100, trained_from=101), Thresholds())
    assert not never.trained.any() and not never.weights.any()


def test_warmup_as_the_early_window():
    timeline = Timeline((0, 5, 10, 20, 100), 100, warmup=10)
    assert windows(timeline, Thresholds(early="warmup")).early.tolist() == [False, True, True, False, False]
    with pytest.raises(OntogenyError, match="how long the warm-up was is not known"):
        windows(Timeline((0, 5), 100), Thresholds(early="warmup"))
    with pytest.raises(OntogenyError, match="after the late one begins at step 80"):
        windows(Timeline((0, 5), 100, warmup=90), Thresholds(early="warmup"))


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=30, unique=True), st.sampled_from([0.05, 0.1, 0.4]))
def test_weights_are_shares(steps, early):
    view = windows(Timeline(tuple(sorted(steps)), 10_000), Thresholds(early=early))
    for weights, members in (
        (view.weights, view.trained),
        (view.early_weights, view.early),
        (view.late_weights, view.late),
    ):
        assert not weights[~members].any() and (weights >= 0).all()
        assert weights.sum() == pytest.approx(1 if members.any() else 0)


def test_a_calendar_says_step_tokens_words_and_window():
    timeline = Timeline((0, 10, 50, 100), 100, tokens_per_step=4.0, words_per_step=3.0)
    rows = calendar(timeline, Thresholds()).rows()
    assert [row[:5] for row in rows] == [
        (0, 0.0, 0.0, 0.0, "untrained"),
        (10, 0.1, 40.0, 30.0, "early"),
        (50, 0.5, 200.0, 150.0, "middle"),
        (100, 1.0, 400.0, 300.0, "late"),
    ]
    assert calendar(PYTHIA, Thresholds())["tokens"].null_count() == len(PYTHIA.steps)


@pytest.mark.parametrize("steps", [(), (0, 5, 5), (5, 0), (0, 101), (-1, 5)])
def test_timelines_that_cannot_be(steps):
    with pytest.raises(OntogenyError):
        Timeline(steps, 100)
