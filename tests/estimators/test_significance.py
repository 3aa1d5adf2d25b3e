import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from ontogeny.estimators.significance import adjusted, upper_limit


def test_benjamini_and_hochberg_by_hand():
    # of (.01, .04, .03, .5): sorted x 4 / rank = .04, .06, .0533, .5, then the running minimum from the right
    assert adjusted(np.array([0.01, 0.04, 0.03, 0.5])) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=70))
def test_benjamini_and_hochberg_by_their_own_recipe(values):
    p = np.array(values)
    for i, own in enumerate(adjusted(p)):
        thresholds = [len(p) * q / (p <= q).sum() for q in p if q >= p[i]]
        assert own == pytest.approx(min(1, min(thresholds)), abs=1e-12)


def test_the_upper_limit_of_clopper_and_pearson():
    assert upper_limit(0, 200) == pytest.approx(1 - 0.05 ** (1 / 200))
    assert upper_limit(12, 200) == pytest.approx(beta.ppf(0.95, 13, 188))
    assert upper_limit(12, 200) < 0.10 < upper_limit(14, 200)
    assert upper_limit(200, 200) == 1
