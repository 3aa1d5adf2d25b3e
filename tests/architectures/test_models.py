"""Our own models against their equations, step by step, and against what transformers has."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from transformers import MambaConfig, MambaForCausalLM

from ontogeny.architectures.linear import Linear
from ontogeny.architectures.lstm import LSTM
from ontogeny.architectures.models import scan
from ontogeny.architectures.models.mamba import Mixer, quicken
from ontogeny.architectures.models.xlstm import matrix_memory, scalar_memory


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# --- LSTM


def test_an_lstm_by_its_equations():
    """Hochreiter & Schmidhuber 1997 with forget gates (Gers et al. 2000), written out in numpy."""
    torch.manual_seed(0)
    model = LSTM(size="lstm-1m", options={"hidden_size": 3, "num_hidden_layers": 2}).build(7, 5, 2, 1).eval()
    ids = torch.tensor([[2, 5, 6, 4]])
    sigmoid, weights = (lambda x: 1 / (1 + np.exp(-x))), {k: v.numpy() for k, v in model.model.lstm.state_dict().items()}
    layer = model.model.embeddings.weight.detach().numpy()[ids[0]]
    for depth in range(2):
        hidden, cell, outputs = np.zeros(3), np.zeros(3), []
        for x in layer:
            raw = weights[f"weight_ih_l{depth}"] @ x + weights[f"bias_ih_l{depth}"]
            raw = raw + weights[f"weight_hh_l{depth}"] @ hidden + weights[f"bias_hh_l{depth}"]
            into, forget, new, out = np.split(raw, 4)
            cell = sigmoid(forget) * cell + sigmoid(into) * np.tanh(new)
            hidden = sigmoid(out) * np.tanh(cell)
            outputs.append(hidden)
        layer = np.stack(outputs)
    expected = layer @ model.model.embeddings.weight.detach().numpy().T
    assert model(input_ids=ids).logits[0].detach().numpy() == pytest.approx(expected, abs=1e-6)


def test_forget_gates_begin_open():
    model = LSTM(size="rules").build(8, 16, 2, 1)
    for depth in range(5):
        biases = [getattr(model.model.lstm, f"bias_{name}_l{depth}") for name in ("ih", "hh")]
        assert (biases[0] + biases[1]).tolist() == [0.0] * 64 + [1.0] * 64 + [0.0] * 128


# --- the linear model


@pytest.mark.parametrize("mixing", ["channels", "full"])
def test_a_linear_model_by_its_sums(mixing):
    torch.manual_seed(0)
    model = Linear(size="linear-1m", options={"hidden_size": 3, "mixing": mixing}).build(6, 4, 2, 1).double()
    mix, embeddings = model.model.mix, model.model.embeddings.weight
    with torch.no_grad():
        mix.bias.copy_(drawn(*mix.bias.shape))
        ids = torch.tensor([3, 5, 2, 4])
        found = model(input_ids=ids[None]).logits[0]
        for to in range(4):
            if mixing == "full":
                rows = mix.weight[to * (to + 1) // 2 :]  # of the pairs (to, 0), (to, 1) ... (to, to)
                expected = mix.bias[to] + sum(embeddings[ids[at]] @ rows[at] for at in range(to + 1))
            else:
                state = mix.bias[to] + sum(mix.weight[:, to, at] * embeddings[ids[at]] for at in range(to + 1))
                expected = embeddings @ state
            assert torch.allclose(found[to], expected)


@given(st.lists(st.integers(0, 5), min_size=3, max_size=4), st.integers(0, 2), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize("mixing", ["channels", "full"])
def test_effects_of_tokens_add_up_in_a_linear_model(mixing, tokens, place, other):
    """What changing one token does to the logits does not depend on the rest."""
    torch.manual_seed(0)
    model = Linear(size="linear-1m", options={"hidden_size": 4, "mixing": mixing}).build(6, 4, 2, 1).double()

    def effect(rest):
        one, two = list(rest), list(rest)
        one[place], two[place] = tokens[place], other
        return (model(input_ids=torch.tensor([one])).logits - model(input_ids=torch.tensor([two])).logits)[0]

    assert torch.allclose(effect(tokens), effect([0] * len(tokens)), atol=1e-9)


# --- the scan, and Mamba


def scanned(length, seed):
    """Two rows, three channels, two states a channel."""
    x, step = drawn(2, length, 3, seed=seed), drawn(2, length, 3, seed=seed + 1).abs()
    into, out = drawn(2, length, 2, seed=seed + 2), drawn(2, length, 2, seed=seed + 3)
    return x, step, -drawn(3, 2, seed=seed + 4).abs(), into, out, drawn(2, 2, 3, seed=seed + 5)


@given(st.integers(1, 6), st.integers(0, 5), st.sampled_from([1, 24, 10_000]))
@settings(max_examples=15, deadline=None)
def test_the_scan_is_its_sums(length, seed, room):
    """h[t] = a product of decays times h[-1], and the sum over s <= t of what s adds times the decays after it: on paper."""
    x, step, a, into, out, before = scanned(length, seed)
    decay = torch.exp(step[:, :, None] * a.T)  # [B, T, N, inner]
    added = (step * x)[:, :, None] * into[..., None]
    h = []
    for t in range(length):
        parts = [added[:, s] * decay[:, s + 1 : t + 1].prod(1) for s in range(t + 1)]
        h.append(decay[:, : t + 1].prod(1) * before + sum(parts))
    expected = torch.stack([(out[:, t, :, None] * state).sum(1) for t, state in enumerate(h)], dim=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "CACHE", room)
        y, after = scan.selective_scan(x, step, a, into, out, before)
    assert torch.allclose(y, expected)
    assert torch.allclose(after, h[-1])


@pytest.mark.parametrize("room", [1, 24, 10_000])
def test_the_scans_gradient_is_its_own(room, monkeypatch):
    """By differences; also a step, two steps and all steps at a time."""
    monkeypatch.setattr(scan, "CACHE", room)
    assert torch.autograd.gradcheck(scan.selective_scan, [part.requires_grad_() for part in scanned(5, 0)])


@pytest.mark.parametrize("kernel", [4, 8])
def test_a_quickened_mamba_is_transformers_own(kernel):
    torch.manual_seed(0)
    config = MambaConfig(vocab_size=12, hidden_size=8, num_hidden_layers=2, state_size=3, conv_kernel=kernel, initializer_range=0.5)
    plain, ids = MambaForCausalLM(config), torch.randint(0, 12, (2, 9))
    quick = MambaForCausalLM(config)
    quick.load_state_dict(plain.state_dict())
    quicken(quick)
    assert all(type(layer.mixer) is Mixer for layer in quick.backbone.layers)
    for model in (plain, quick):
        model(input_ids=ids, use_cache=False).logits.square().mean().backward()
    assert torch.allclose(plain(input_ids=ids).logits, quick(input_ids=ids).logits, atol=1e-5)  # with its cache too
    for (name, one), other in zip(plain.named_parameters(), quick.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-6), name


# --- xLSTM


def gates(batch, heads, length, seed):
    return 3 * drawn(batch, heads, length, seed=seed), 3 * drawn(batch, heads, length, seed=seed + 1)


def test_mlstm_in_parallel_is_mlstm_step_by_step():
    """Beck et al. 2024, section 2.3, without the stabiliser: a matrix, a normaliser and their two gates."""
    q, k, v = (drawn(2, 3, 6, 4, seed=seed) for seed in (0, 1, 2))
    into, forget = gates(2, 3, 6, seed=3)
    memory, norm, expected = torch.zeros(2, 3, 4, 4, dtype=q.dtype), torch.zeros(2, 3, 4, dtype=q.dtype), []
    for t in range(6):
        keep, add = torch.sigmoid(forget[..., t])[..., None], torch.exp(into[..., t])[..., None]
        key = k[:, :, t] / 2  # the square root of its width
        memory = keep[..., None] * memory + add[..., None] * v[:, :, t, :, None] * key[:, :, None]
        norm = keep * norm + add * key
        query = q[:, :, t]
        size = (norm * query).sum(-1, keepdim=True).abs().clamp(min=1)
        expected.append((memory @ query[..., None])[..., 0] / size)
    assert torch.allclose(matrix_memory(q, k, v, into, forget), torch.stack(expected, dim=2))


def test_mlstm_is_that_of_transformers():
    native = pytest.importorskip("transformers.models.xlstm.modeling_xlstm")
    q, k, v = (drawn(1, 2, 8, 4, seed=seed) for seed in (0, 1, 2))
    into, forget = gates(1, 2, 8, seed=3)
    expected = native.mlstm_chunkwise_native_autograd(q, k, v, into, forget, chunk_size=4, eps=0.0)
    expected = expected[0] if isinstance(expected, tuple) else expected
    assert torch.allclose(matrix_memory(q, k, v, into, forget), expected, atol=1e-6)


def test_slstm_is_its_equations():
    """Beck et al. 2024, section 2.2, without the stabiliser."""
    inputs, recurrent = drawn(2, 5, 2, 12, seed=0), drawn(2, 3, 12, seed=1)
    hidden = cell = norm = torch.zeros(2, 2, 3, dtype=inputs.dtype)
    expected = []
    for t in range(5):
        raw = inputs[:, t] + torch.stack([hidden[:, head] @ recurrent[head] for head in range(2)], dim=1)
        into, forget, new, out = raw.split(3, dim=-1)
        cell = torch.sigmoid(forget) * cell + into.exp() * torch.tanh(new)
        norm = torch.sigmoid(forget) * norm + into.exp()
        hidden = torch.sigmoid(out) * cell / norm
        expected.append(hidden)
    assert torch.allclose(scalar_memory(inputs, recurrent)[0], torch.stack(expected, dim=1))


def test_memories_stay_finite_where_exponentials_do_not():
    q, k, v = (drawn(1, 1, 4, 2, seed=seed, dtype=torch.float32) for seed in (0, 1, 2))
    into, forget = torch.tensor([[[200.0, -200.0, 150.0, 0.0]]]), torch.tensor([[[-90.0, 90.0, 0.0, -90.0]]])
    assert matrix_memory(q, k, v, into, forget).isfinite().all()
    inputs = torch.tensor([200.0, -90.0, 1.0, 1.0]).expand(1, 3, 1, 4)
    assert F.relu(scalar_memory(inputs, torch.zeros(1, 1, 4))[0]).isfinite().all()
