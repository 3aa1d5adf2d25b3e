"""Log-probabilities by tiles of the output embeddings are those of a log-softmax, wherever the logits lie."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.scoring import distributions
from ontogeny.scoring.distributions import ROWS, TILE, Tiles, Whole, leading, of_head, rounded


def by_log_softmax(head, states, state, token):
    """In float64, all at once."""
    logits = states.double() @ head.weight.double().T + (0 if head.bias is None else head.bias.double())
    return logits.log_softmax(-1)[state, token]


def asked(states, vocabulary, seed=0, most=3):
    """One to `most` tokens after each state, in the order of the states."""
    draw = torch.Generator().manual_seed(seed)
    state = torch.arange(states).repeat_interleave(torch.randint(1, most + 1, (states,), generator=draw))
    return state, torch.randint(0, vocabulary, (len(state),), generator=draw)


def made(states, vocabulary, width=8, bias=True, seed=0):
    torch.manual_seed(seed)
    return torch.nn.Linear(width, vocabulary, bias=bias), torch.randn(states, width)


@torch.inference_mode()
def test_two_tokens_by_hand():
    """Logits 0 and log 3 are probabilities 1/4 and 3/4."""
    weight = torch.tensor([[0.0], [math.log(3)]])
    found = Tiles(weight, None)(torch.ones(1, 1), torch.tensor([0, 0]), torch.tensor([0, 1]))
    assert found.dtype == torch.float64
    assert found.exp().tolist() == pytest.approx([0.25, 0.75], abs=1e-7)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 30), st.booleans(), st.integers(0, 9))
def test_tiles_are_a_log_softmax(states, vocabulary, bias, seed):
    """Also where neither states nor tokens fill the last tile."""
    head, hidden = made(states, vocabulary, bias=bias, seed=seed)
    state, token = asked(states, vocabulary, seed)
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(distributions, "ROWS", 7)
        patch.setattr(distributions, "TILE", 4)
        patch.setattr(distributions, "WHOLE", 5)
        expected = by_log_softmax(head, hidden, state, token).tolist()
        assert Tiles(head.weight, head.bias)(hidden, state, token).tolist() == pytest.approx(expected, abs=2e-6)
        assert Whole(head)(hidden, state, token).tolist() == pytest.approx(expected, abs=2e-6)


@torch.inference_mode()
def test_what_leads_is_told_from_the_likeliest_other_token():
    head, hidden = made(40, 30)
    state, token = asked(40, 30)
    token[::4] = head(hidden).argmax(-1)[state[::4]]
    logits = head(hidden)
    others = [torch.cat([row[:own], row[own + 1 :]]).max() for row, own in zip(logits[state], token, strict=True)]
    expected = (logits[state, token] - torch.stack(others)).tolist()
    for reader in (Tiles(head.weight, head.bias), Whole(head)):
        found = leading(reader)(hidden, state, token)
        assert found.tolist() == pytest.approx(expected, abs=1e-5)
        assert ((found > 0) == (logits.argmax(-1)[state] == token)).all() and (found > 0).any() and (found < 0).any()


@torch.inference_mode()
def test_tiles_of_their_real_size():
    head, hidden = made(2 * ROWS + 3, 2 * TILE + 5, width=16)
    state, token = asked(len(hidden), 2 * TILE + 5)
    expected = by_log_softmax(head, hidden, state, token)
    assert (Tiles(head.weight, head.bias)(hidden, state, token) - expected).abs().max() < 3e-6


@torch.inference_mode()
@pytest.mark.parametrize("all_by", [-3000.0, -120.0, -50.0, 50.0, 120.0, 3000.0])
def test_a_constant_on_all_logits_changes_nothing(all_by):
    """e^89 is more than a float32 holds and e^-104 is 0 in it; trained models have logits below -100 throughout."""
    head, hidden = made(30, 50)
    state, token = asked(30, 50)
    expected = Tiles(head.weight, head.bias)(hidden, state, token)
    found = Tiles(head.weight, head.bias + all_by)(hidden, state, token)
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-6 * max(1, abs(all_by)))


@torch.inference_mode()
@pytest.mark.parametrize("asked_for", [-400.0, -20.0, 0.0, 20.0, 400.0])
def test_a_token_as_good_as_impossible(asked_for):
    """One state's token is asked for that no float32 has the probability of, beside states that are ordinary."""
    weight = torch.zeros(3, 2)
    weight[:, 0] = torch.tensor([asked_for, 300.0, 299.0])
    weight[:, 1] = torch.tensor([0.0, 1.0, 2.0])
    head, hidden = torch.nn.Linear(2, 3, bias=False), torch.eye(2)
    head.weight = torch.nn.Parameter(weight)
    state, token = torch.tensor([0, 1]), torch.tensor([0, 2])
    expected = by_log_softmax(head, hidden, state, token).tolist()
    assert Tiles(weight, None)(hidden, state, token).tolist() == pytest.approx(expected, rel=1e-6)


@torch.inference_mode()
@pytest.mark.parametrize("asked_for", [0.0, 60.0])
def test_a_sum_too_large_or_too_small_is_made_again_from_the_largest_logit(asked_for):
    """The token asked for has a logit near 0 while another's, or all others', are far from it."""
    for others in (200.0, -200.0):
        logits = torch.tensor([asked_for] + [others] * 4)[:, None]
        head = torch.nn.Linear(1, 5, bias=False)
        head.weight = torch.nn.Parameter(logits)
        one = torch.tensor([0])
        expected = by_log_softmax(head, torch.ones(1, 1), one, one).item()
        assert Tiles(logits, None)(torch.ones(1, 1), one, one).item() == pytest.approx(expected, rel=1e-6, abs=1e-6)


@torch.inference_mode()
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_stays_none(value):
    head, hidden = made(3, 9)
    head.weight[2, 0] = value
    assert not torch.isfinite(Tiles(head.weight, head.bias)(hidden, torch.arange(3), torch.full((3,), 2))).any()


@torch.inference_mode()
def test_nothing_asked_for_is_nothing_found():
    head, _ = made(1, 9)
    nothing = torch.empty(0, dtype=torch.int64)
    for reader in (Tiles(head.weight, head.bias), Whole(head)):
        assert reader(torch.empty(0, 8), nothing, nothing).tolist() == []


@torch.inference_mode()
@pytest.mark.parametrize("bias", [False, True])
def test_rounded_sums_are_those_of_rounded_logits(bias):
    """As by hand: states, centred weights and their products rounded, the rest in float64; logits asked for unrounded."""
    head, hidden = made(40, 2 * TILE + 5, bias=bias)
    state, token = asked(40, 2 * TILE + 5)
    per_nat, mean = math.log2(math.e), head.weight.mean(0)
    products = (hidden * per_nat).bfloat16().double() @ (head.weight - mean).bfloat16().double().T
    logits = products.bfloat16().double() / per_nat + (head.bias.double() if bias else 0)
    exact = hidden.double() @ head.weight.double().T + (head.bias.double() if bias else 0)
    expected = exact[state, token] - (hidden.double() @ mean.double() + logits.logsumexp(-1))[state]
    found = rounded(of_head(head))(hidden, state, token)
    assert (found - expected).abs().max() < 1e-3  # where a product lies between two numbers of bfloat16 sums may take the other
    assert (found - by_log_softmax(head, hidden, state, token)).abs().max() > 1e-5


@torch.inference_mode()
@pytest.mark.parametrize("bias", [False, True])
def test_what_all_logits_share_takes_no_digits_of_them(bias):
    """Logits around 400, where neighbours in bfloat16 are 2 apart; without what they share they differ by about 1."""
    head, hidden = made(40, 300, bias=bias)
    head.weight += 20
    hidden += 2.5
    state, token = asked(40, 300)
    assert (hidden @ head.weight.T).abs().mean() > 200
    expected = by_log_softmax(head, hidden, state, token)
    assert (rounded(of_head(head))(hidden, state, token) - expected).abs().max() < 0.05
    assert (of_head(head)(hidden, state, token) - expected).abs().max() < 2e-3


@torch.inference_mode()
def test_no_rounded_probability_is_above_one():
    """All on one token, whose logit the sum has rounded down."""
    weight = torch.tensor([[40.07], [-40.0]])
    one = torch.zeros(1, dtype=torch.int64)
    reader = Tiles(weight, None)
    assert rounded(reader)(torch.ones(1, 1), one, one).item() == 0
    assert reader(torch.ones(1, 1), one, one).item() == pytest.approx(0, abs=1e-6)


def test_readers_without_tiles_stay_as_they_are():
    for reader in (Whole(torch.nn.Linear(2, 3)), Whole(torch.nn.Identity())):
        assert rounded(reader) is reader


def test_only_plain_float32_embeddings_on_a_processor_are_read_by_tiles():
    class Capped(torch.nn.Linear):
        def forward(self, states):
            return super().forward(states).tanh()

    assert isinstance(of_head(torch.nn.Linear(2, 3)), Tiles)
    assert isinstance(of_head(Capped(2, 3)), Whole)
    assert isinstance(of_head(torch.nn.Linear(2, 3).bfloat16()), Whole)
    assert isinstance(of_head(torch.nn.Linear(2, 3, device="meta")), Whole)
    assert isinstance(of_head(torch.nn.Identity()), Whole)
