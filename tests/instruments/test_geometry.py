"""Geometry of matrices and clouds of points whose answer is known."""

import numpy as np
import polars as pl
import pytest
import torch
from test_depth import built

from ontogeny.instruments.geometry import (
    STATES,
    dimension,
    effective_rank,
    last_layer,
    of_heads,
    of_spectrum,
    of_states,
    of_weights,
    singular_values,
    two_nn,
)
from ontogeny.instruments.likeness import debiased_cka, plain_cka
from ontogeny.instruments.parts import head_weights, parts_of


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
    assert name == "weight" and 0 < rank < 1 and condition == pytest.approx(8) and rest == [None] * 6


def test_a_gaussian_of_five_dimensions_in_fifty_has_five():
    points = drawn(1000, 5) @ np.linalg.qr(drawn(50, 50, seed=1))[0][:5]
    assert two_nn(points) == pytest.approx(5, abs=0.5)
    assert two_nn(np.vstack([points, points])) == pytest.approx(two_nn(points))  # what coincides counts once
    assert two_nn(np.ones((50, 3))) is None
    assert dimension(points, 4) == pytest.approx(5, abs=0.4)
    noisy = points + 0.02 * drawn(1000, 50, seed=2)  # small distances see the noise, larger ones less of it
    assert two_nn(noisy) > dimension(noisy, 4) > dimension(noisy, 16) > 4.5


def test_intrinsic_dimension_agrees_with_scikit_dimension():
    skdim = pytest.importorskip("skdim")
    for size in (3, 8):
        points = drawn(800, size) @ drawn(size, 30, seed=2)
        theirs = skdim.id.TwoNN().fit(points).dimension_
        assert two_nn(points) == pytest.approx(theirs, rel=0.15)  # a line through the origin without the last tenth


def test_cka_is_one_of_a_rotation_and_near_nothing_of_noise():
    x, turned = drawn(200, 8), np.linalg.qr(drawn(8, 8, seed=1))[0]
    assert debiased_cka(x, x) == pytest.approx(1)
    assert debiased_cka(x, 3 * x @ turned + 1) == pytest.approx(1)
    assert abs(debiased_cka(x, drawn(200, 8, seed=2))) < 0.1
    assert debiased_cka(x, np.ones((200, 8))) is None
    y, a, b = drawn(200, 5, seed=3), *(one - one.mean(0) for one in (x, drawn(200, 5, seed=3)))
    by_definition = np.linalg.norm(b.T @ a) ** 2 / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    assert plain_cka(x, y) == pytest.approx(by_definition) and plain_cka(x, x @ turned) == pytest.approx(1)
    assert plain_cka(x, np.ones((200, 8))) is None


def test_states_that_are_alike_and_states_on_one_line():
    apart = of_states(drawn(500, 16), drawn(500, seed=3))
    assert apart[2] == pytest.approx(0, abs=0.02) and apart[0] > 0.9
    assert of_states(drawn(500, 16) * 0.01 + 1, drawn(500, seed=3))[2] > 0.99
    frequency = drawn(500, seed=4)
    _, _, _, top, r, _ = of_states(np.outer(frequency, np.ones(16)) + drawn(500, 16) * 1e-3, frequency)
    assert top > 0.99 and r > 0.99


def test_a_layer_that_is_constant_has_no_numbers():
    assert of_states(np.full((100, 4), 2.5), drawn(100)) == (None,) * 6


@pytest.mark.parametrize("kind", ["opt", "gpt2", "gpt-neox", "llama"])
def test_heads_write_what_attention_writes_of_a_token_by_itself(kind):
    model = built(kind, 12)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    seen, block = {}, parts_of(model).first
    out = parts_of(model).writers["L1 attention"]
    attention = next(module for name, module in block.named_modules() if any(child is out for child in module.children()))
    hooks = [
        attention.register_forward_pre_hook(
            lambda m, args, named: seen.update(x=(args[0] if args else named["hidden_states"])), with_kwargs=True
        ),
        out.register_forward_hook(lambda m, args, output: seen.update(y=output)),
    ]
    with torch.inference_mode():
        model(input_ids=torch.tensor([[5]]))
    for hook in hooks:
        hook.remove()
    heads = [weights for name, *weights in head_weights(model) if name.startswith("L1H")]
    written = sum(o @ v @ seen["x"].flatten() for _, _, v, o in heads)
    assert len(heads) == 2 and torch.allclose(written, seen["y"].flatten(), atol=1e-5)


@pytest.mark.parametrize("kind", ["opt", "gpt2"])
def test_heads_look_for_what_their_product_looks_for(kind):
    model = built(kind, 12)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "bias" in name and "attn" in name:
                parameter.zero_()
    seen, block = {}, parts_of(model).first
    norm = block.self_attn_layer_norm if kind == "opt" else block.ln_1
    norm.register_forward_hook(lambda m, args, output: seen.update(x=output[0]))
    with torch.inference_mode():
        looks = model(input_ids=torch.tensor([[5, 7, 9]]), output_attentions=True).attentions[0][0, :, 2]
    for head, (_, q, k, _, _) in enumerate(list(head_weights(model))[:2]):
        expected = seen["x"] @ (q.T @ k).T @ seen["x"][2]
        assert torch.allclose(looks[head], (expected / len(q) ** 0.5).softmax(0), atol=1e-5)


def test_products_of_a_head_have_the_spectra_of_the_whole_matrices():
    model = built("llama", 12)  # two heads, one key each
    rows = {row[0]: row for row in of_heads(model)}
    assert list(rows)[:4] == ["L1H1 OV", "L1H1 QK", "L1H2 OV", "L1H2 QK"]
    name, q, k, v, o = next(head_weights(model))
    for product, matrix in (("OV", o @ v), ("QK", q.T @ k)):
        whole = torch.linalg.svdvals(matrix.double())[: len(q)].numpy()
        assert rows[f"{name} {product}"][1:3] == pytest.approx(of_spectrum(whole), rel=1e-4)
    assert list(of_heads(torch.nn.Linear(3, 3))) == []  # one whose heads are not known


def test_layer_ten_comes_after_layer_nine():
    frame = pl.DataFrame({"part": [f"{STATES}{n}" for n in (9, 10, 2)]})
    assert last_layer(frame)["part"].to_list() == [f"{STATES}10"]
