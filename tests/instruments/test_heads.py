"""Copying and heads on models whose answer is known: one that copies, and heads that are wired to one place."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch

from ontogeny.instruments import DoesNotApply
from ontogeny.instruments.copying import SIZES, Copying, list_ratios, list_words, losses, word_lists
from ontogeny.instruments.heads import Heads, places
from ontogeny.instruments.subject import Subject
from ontogeny.records import OntogenyError

SIZE, N = 500, 6


class Told(Subject):
    """A model over numbers, and rows of them, without a run."""

    def __init__(self, model, first=0, seed=0):
        self.given, self.bos = model, first
        self.context = SimpleNamespace(device=torch.device("cpu"), trains=False, recipe=SimpleNamespace(bos=True))
        ids = np.random.default_rng(seed).integers(1, model.config.vocab_size, size=(8, N))
        self.rows = np.hstack([np.zeros((8, 1), dtype=np.int64), ids, ids])

    model = property(lambda self: self.given)
    first = property(lambda self: self.bos)

    def repeated(self, rows, tokens):
        return self.rows

    def sample(self, tokens=2048, width=64):
        return self.rows

    def once(self, key, make):
        return np.arange(100, 140), 9  # words of lists, and the comma

    limit = 64


class Inducing(torch.nn.Module):
    """Says that what followed a token's last occurrence follows again; where it has not occurred, everything alike."""

    config = SimpleNamespace(vocab_size=SIZE)

    def forward(self, input_ids):
        logits = torch.zeros(*input_ids.shape, SIZE)
        for row, ids in enumerate(input_ids.tolist()):
            for at, token in enumerate(ids):
                before = [place for place in range(at) if ids[place] == token]
                if before:
                    logits[row, at, ids[before[-1] + 1]] = 30.0
        return SimpleNamespace(logits=logits)


def test_a_model_that_copies_gains_the_log_of_the_vocabulary():
    found = Copying().read(Told(Inducing(), seed=1)).row(0, named=True)
    # the first token of the second copy cannot be known: one of N stays at ln V
    assert found["first"] == pytest.approx(math.log(SIZE), abs=1e-3)
    assert found["gain"] == pytest.approx(math.log(SIZE) * (N - 1) / N, rel=0.01)


class Listing(Inducing):
    """Says that words of the list that it has seen come again, all alike, and knows nothing of others."""

    def forward(self, input_ids):
        logits = torch.zeros(*input_ids.shape, SIZE)
        for row, ids in enumerate(input_ids.tolist()):
            for at in range(len(ids)):
                logits[row, at, [token for token in ids[: at + 1] if token >= 100]] = 30.0
        return SimpleNamespace(logits=logits)


def test_a_second_list_is_easy_if_its_words_were_in_the_first():
    subject = Told(Listing())
    subject.rows[:, 1:] %= 100  # a bridge without words of lists
    found = list_ratios(subject, None)
    for n in SIZES[:2]:
        assert found[f"repeat_{n}"] == pytest.approx(found[f"permute_{n}"]) and found[f"repeat_{n}"] < 0.2
        assert found[f"novel_{n}"] > 0.95
    assert list_ratios(Told(Listing(), seed=2), None) == pytest.approx(list_ratios(Told(Listing(), seed=2), None))
    subject.limit = 30  # of two lists of five words with commas and the bridge, 31
    assert list_ratios(subject, None)["repeat_5"] is None and list_ratios(subject, None)["repeat_3"] is not None


def test_lists_are_of_the_same_words_of_the_same_in_other_places_and_of_others():
    bridges = np.full((2, 3), 7)
    rows, one, other = word_lists(np.arange(100, 120), 9, bridges, 4)
    assert rows.shape == (3, 2, 7 + 3 + 7) and (rows[..., 7:10] == 7).all()
    first, second = rows[..., one], rows[..., other]
    assert (first[0] == second[0]).all() and (first[1] != second[1]).all()
    assert [set(a) & set(b) for a, b in zip(first[2].tolist(), second[2].tolist(), strict=True)] == [set(), set()]
    assert (np.sort(first[1]) == np.sort(second[1])).all() and (rows[..., one[:-1] + 1] == 9).all()
    assert word_lists(np.arange(100, 120), None, bridges, 4)[0].shape == (3, 2, 11)


def test_words_of_lists_are_whole_and_nouns_where_a_treebank_tells(tmp_path):
    tokenizer = tiny.words("the nouna sees it , the nounb", "a verba and nounb , nounb")
    ids = np.array(tokenizer("nounb , nounb the it nouna and verba sees")["input_ids"])
    subject = SimpleNamespace(tokenizer=tokenizer, stream=lambda: np.repeat(ids, 3))
    words, comma = list_words(subject, tiny.treebank(tmp_path))
    assert set(tokenizer.convert_ids_to_tokens(words)) == {"nouna", "nounb"} and tokenizer.convert_ids_to_tokens(comma) == ","
    assert list(list_words(subject, None)[0]) == []  # the most frequent words are left out


def test_the_first_token_is_not_predicted_and_broken_weights_are_named():
    model = Inducing()
    assert losses(Told(model), np.array([[0, 1, 2]])).shape == (1, 2)
    model.forward = lambda input_ids: SimpleNamespace(logits=torch.full((*input_ids.shape, SIZE), torch.nan))
    with pytest.raises(OntogenyError, match="the loss of row 0 is no finite number"):
        losses(Told(model), np.array([[0, 1, 2]]))


def wired(back):
    """An OPT of one layer whose two heads look `back` tokens from each: at places by their number, whatever the tokens are."""
    places = 1 + 2 * N
    model = tiny.opt(10, places, hidden_size=32, word_embed_proj_dim=32, num_attention_heads=2)
    layer, body = model.model.decoder.layers[0], model.model.decoder
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        body.embed_positions.weight[2 : 2 + places, :places] = torch.eye(places)  # OPT's first two are of padding
        layer.self_attn_layer_norm.weight.fill_(1)
        for head, far in enumerate(back):
            for place in range(places):
                layer.self_attn.q_proj.weight[16 * head + place % 16, place] = 10
                if place + far < places:
                    layer.self_attn.k_proj.weight[16 * head + (place + far) % 16, place] = 10
    return model


def test_heads_that_are_wired_to_a_place_score_one_there():
    found = Heads().read(Told(wired((1, N - 1))))
    assert found.select("layer", "head").rows() == [(1, 1), (1, 2)]
    assert found["previous"].to_list() == pytest.approx([1, 0], abs=0.01)
    assert found["prefix"].to_list() == pytest.approx([0, 1], abs=0.01)
    assert found["sink"].to_list() == pytest.approx([0, 0], abs=0.01)
    assert Heads().read(Told(wired((N, N))))["duplicate"].to_list() == pytest.approx([1, 1], abs=0.01)


def test_uniform_attention_scores_its_share_everywhere():
    attention = np.tril(np.ones((1, 1, 9, 9), dtype=np.float32))
    attention /= attention.sum(-1, keepdims=True)
    share = np.mean([1 / (at + 1) for at in range(5, 9)])
    assert places(attention, 4).ravel() == pytest.approx([share] * 4)


def test_a_model_without_attention_weights_is_named():
    model = Inducing()
    model.forward = lambda input_ids, output_attentions: SimpleNamespace(logits=None)
    with pytest.raises(DoesNotApply, match="Inducing gives no attentions of equal layers"):
        Heads().read(Told(model))
