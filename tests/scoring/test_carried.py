"""Beginnings read once and gone on from: the same numbers as sentences by themselves, and each beginning once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_readout import CONTEXT, V, by_hand, logps, made
from transformers import MambaConfig, MambaForCausalLM

from ontogeny.architectures.lstm import LSTM
from ontogeny.architectures.mamba import Mamba
from ontogeny.architectures.models.state import RecurrentState
from ontogeny.architectures.xlstm import XLSTM
from ontogeny.scoring import carried, plan, readout
from ontogeny.scoring import pairs as of_pairs
from ontogeny.scoring.forest import grow

CPU = torch.device("cpu")
KINDS = {"lstm": LSTM, "xlstm": XLSTM, "mamba": Mamba}
OPTIONS = {"hidden_size": 16, "num_hidden_layers": 2}


def build(name):
    torch.manual_seed(0)
    model = KINDS[name](options=OPTIONS).build(V, CONTEXT, 2, 1).eval()
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(60 if name == "lstm" else 10)  # opinions
    return model


def test_a_tree_by_hand():
    """0 1 2 3 | 0 1 4 | 0 5 6: nodes in depth-first order, branching after 0 and after 1."""
    segments = carried.cut(np.array([0, 1, 2, 3, 2, 1, 2]))
    assert segments.first.tolist() == [0, 1, 2, 4, 5]
    assert segments.length.tolist() == [1, 1, 2, 1, 2]
    assert segments.above.tolist() == [-1, 0, 1, 1, 0]
    assert segments.level.tolist() == [0, 1, 2, 2, 1]
    assert segments.branches.tolist() == [True, True, False, False, False]
    assert [group.tolist() for group in segments.groups()] == [[0], [1], [3], [2, 4]]


SENTENCES = st.sets(st.lists(st.integers(0, 2), min_size=2, max_size=7).map(tuple), min_size=1, max_size=12)


class Sums:
    """A model whose state is the sum of what it has read; it knows what it was given."""

    def __init__(self):
        self.read = 0

    def __call__(self, ids, before, keep):
        self.read += ids.numel()
        sums = ids.cumsum(1) + (before.parts[0][0] if before is not None else 0)
        return sums[..., None].float(), RecurrentState({0: (sums[:, -1:],)}) if keep else RecurrentState()


@given(SENTENCES, st.booleans(), st.sampled_from([1, 4, 2048]))
@settings(max_examples=60, deadline=None)
def test_states_are_those_of_each_nodes_beginning_and_each_is_read_once(sentences, bos, tokens):
    """Sums along the path, of trees with one root and of those with several."""
    forest, carry = grow(sorted((7, *sentence) if bos else sentence for sentence in sentences), 10_000), Sums()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(carried, "TOKENS", tokens)
        found = carried.walk(carry, torch.from_numpy(forest.tokens), forest.depth)[:, 0]
    path, expected = [], []
    for token, depth in zip(forest.tokens.tolist(), forest.depth.tolist(), strict=True):
        path[depth:] = [token]
        expected.append(sum(path))
    assert found.tolist() == expected
    assert carry.read == len(forest.tokens)


@pytest.mark.parametrize("first", [2, None])
@pytest.mark.parametrize("name", KINDS)
def test_carried_states_give_the_numbers_of_sentences_by_themselves(name, first, monkeypatch):
    model, todo = build(name), made(first)
    body = type(model.get_submodule(model.base_model_prefix))
    monkeypatch.setattr(body, "shares", True, raising=False)  # also where it does not pay
    expected = by_hand(model, todo)
    assert np.ptp(expected) > 1  # a model with opinions
    way = readout.choose(model, todo.sentences, CPU)
    assert str(way) == "carried states, hidden states"
    for nodes in (30, 32768):
        monkeypatch.setattr(readout, "NODES", nodes)
        assert logps(way, todo) == pytest.approx(expected, abs=2e-5)
    monkeypatch.setattr(carried, "TOKENS", 40)
    assert logps(way, made(first)) == pytest.approx(expected, abs=2e-5)


def test_transformers_own_mamba_has_no_state_to_go_on_from():
    torch.manual_seed(0)
    model = MambaForCausalLM(MambaConfig(vocab_size=V, hidden_size=16, num_hidden_layers=2, state_size=4)).eval()
    assert carried.carrier(model) is None
    assert str(readout.choose(model, made().sentences, CPU)) == "sentences, hidden states"


class Forgetful(LSTM):
    """Goes on from the state of another row."""

    def build(self, *told):
        model = super().build(*told)
        carry = model.model.carry
        model.model.carry = lambda ids, before, keep: carry(
            ids, before and RecurrentState({0: tuple(p * 0 for p in before.parts[0])}), keep
        )
        return model


def test_a_model_that_goes_on_wrongly_is_read_by_sentences(monkeypatch):
    monkeypatch.setitem(KINDS, "lstm", Forgetful)
    model, todo = build("lstm"), made()
    assert carried.carrier(model) is not None
    assert str(readout.choose(model, todo.sentences, CPU)) == "sentences, hidden states"


def test_a_pair_that_shares_nothing_and_one_that_is_all_shared():
    """One sentence is the beginning of the other; two begin alike in nothing but BOS."""
    import tiny

    tokenizer = tiny.words("a b c d e")
    todo = plan.make(tiny.pairs(("a b", "a b c"), ("d e", "e d")), tokenizer, 2, CONTEXT)
    model = build("lstm")
    found = of_pairs.read(model, todo, CPU)
    assert found.facts["way"].startswith("carried")
    assert found.frame["logp_good"].to_numpy() == pytest.approx(
        of_pairs.frame_of(todo, by_hand(model, todo))["logp_good"].to_numpy(), abs=1e-5
    )
