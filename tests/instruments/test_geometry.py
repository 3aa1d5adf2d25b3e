"""Geometry of matrices and clouds of points whose answer is known."""

import numpy as np
import pytest
import torch

from ontogeny.instruments.geometry import debiased_cka, effective_rank, of_states, of_weights, singular_values, two_nn


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_an_orthogonal_matrix_uses_all_directions_and_one_of_rank_one_uses_one():
    orthogonal = torch.from_numpy(np.linalg.qr(drawn(12, 12))[0])
    assert effective_rank(singular_values(orthogonal)) == pytest.approx(1)
    single = torch.outer(torch.arange(1.0, 9), torch.arange(1.0, 5)).double()
    assert effective_rank(singular_values(single)) == pytest.approx(1 / 4, abs=1e-5)
    assert effective_rank(np.zeros(4)) is None


def test_singular_values_are_those_of_the_svd():
    for shape in ((6, 9), (9, 6)):
        matrix = torch.from_numpy(drawn(*shape))
        assert singular_values(matrix) == pytest.approx(torch.linalg.svdvals(matrix).numpy())


def test_the_condition_of_a_matrix_is_the_ratio_of_its_ends():
    model = torch.nn.Linear(3, 3)
    with torch.no_grad():
        model.weight.copy_(torch.diag(torch.tensor([4.0, 2.0, 0.5])))
    ((name, rank, condition, *rest),) = of_weights(model)
    assert name == "weight" and 0 < rank < 1 and condition == pytest.approx(8) and rest == [None] * 5


def test_a_gaussian_of_five_dimensions_in_fifty_has_five():
    points = drawn(1000, 5) @ np.linalg.qr(drawn(50, 50, seed=1))[0][:5]
    assert two_nn(points) == pytest.approx(5, abs=0.5)
    assert two_nn(np.vstack([points, points])) == pytest.approx(two_nn(points))  # what coincides counts once
    assert two_nn(np.ones((50, 3))) is None


def test_intrinsic_dimension_agrees_with_scikit_dimension():
    skdim = pytest.importorskip("skdim")
    for dimension in (3, 8):
        points = drawn(800, dimension) @ drawn(dimension, 30, seed=2)
        theirs = skdim.id.TwoNN().fit(points).dimension_
        assert two_nn(points) == pytest.approx(theirs, rel=0.15)  # a line through the origin without the last tenth


def test_cka_is_one_of_a_rotation_and_near_nothing_of_noise():
    x, turned = drawn(200, 8), np.linalg.qr(drawn(8, 8, seed=1))[0]
    assert debiased_cka(x, x) == pytest.approx(1)
    assert debiased_cka(x, 3 * x @ turned + 1) == pytest.approx(1)
    assert abs(debiased_cka(x, drawn(200, 8, seed=2))) < 0.1
    assert debiased_cka(x, np.ones((200, 8))) is None


def test_states_that_are_alike_and_states_on_one_line():
    apart = of_states(drawn(500, 16), drawn(500, seed=3))
    assert apart[2] == pytest.approx(0, abs=0.02) and apart[0] > 0.9
    assert of_states(drawn(500, 16) * 0.01 + 1, drawn(500, seed=3))[2] > 0.99
    frequency = drawn(500, seed=4)
    _, _, _, top, r, _ = of_states(np.outer(frequency, np.ones(16)) + drawn(500, 16) * 1e-3, frequency)
    assert top > 0.99 and r > 0.99


def test_a_layer_that_is_constant_has_no_numbers():
    assert of_states(np.full((100, 4), 2.5), drawn(100)) == (None,) * 6
