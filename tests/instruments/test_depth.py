"""Depth on models whose answer is known: one in which a head of the second layer copies a cue, and one that is a bigram model."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import tiny
import torch
from transformers import OPTConfig, OPTForCausalLM

from ontogeny.architectures.gpt2 import GPT2
from ontogeny.architectures.gpt_neox import GPTNeoX
from ontogeny.architectures.llama import Llama
from ontogeny.architectures.models.bigram import from_table
from ontogeny.instruments import DoesNotApply
from ontogeny.instruments.depth import Depth, _partial, repair
from ontogeny.instruments.parts import last_state, parts_of, replaced, scaled, written
from ontogeny.instruments.patching import patched
from ontogeny.instruments.saliency import Saliency, of_cue, saliencies
from ontogeny.instruments.subject import Subject
from ontogeny.instruments.turns import Turns, mean_writings, taken_apart
from ontogeny.pages.panel import Clock
from ontogeny.scoring import plan as plans
from ontogeny.scoring.pairs import score

SENTENCES = [
    ("the cat sees a dog", "the cat see a dog"),
    ("a dog sees the dog", "a dog sees the cats"),
    ("the cats see", "the cats sees"),
]
WIDTH = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
WRITERS = ["embedding", "L1 attention", "L1 MLP", "L2 attention", "L2 MLP"]


class Told(Subject):
    """A model and its text, without a run."""

    def __init__(self, model, rows):
        self.given, self.rows, self.context = model, np.array(rows), SimpleNamespace(device=torch.device("cpu"), trains=False)

    model = property(lambda self: self.given)

    def sample(self, tokens=2048, width=64):
        return self.rows


def built(kind, size):
    torch.manual_seed(0)
    if kind == "opt":
        return tiny.opt(size, 32, num_hidden_layers=2)
    made = {
        "gpt2": lambda: GPT2(options={"n_embd": 16, "n_layer": 2, "n_head": 2, "initializer_range": 0.3}),
        "gpt-neox": lambda: GPTNeoX(options=WIDTH | {"intermediate_size": 32, "initializer_range": 0.3}),
        "llama": lambda: Llama(options=WIDTH | {"intermediate_size": 32, "num_key_value_heads": 2, "initializer_range": 0.3}),
    }
    return made[kind]().build(size, 32, 0, 1).eval()


@pytest.fixture(scope="module")
def words():
    tokenizer = tiny.words(*(text for pair in SENTENCES for text in pair))
    return tokenizer, plans.make(tiny.pairs(*SENTENCES), tokenizer, tokenizer.bos_token_id, 32)


def apart(model, plan, rows=((0, 1, 2, 3), (0, 3, 2, 1))):
    parts, subject = parts_of(model), Told(model, rows)
    return parts, taken_apart(subject, parts, Turns.of(plan), mean_writings(subject, parts))


@pytest.mark.parametrize("kind", ["opt", "gpt2", "gpt-neox", "llama"])
def test_direct_shares_add_up_to_the_margin_of_that_token(kind, words):
    tokenizer, plan = words
    model = built(kind, len(tokenizer))
    _, taken = apart(model, plan)
    assert list(taken.names) == WRITERS
    assert taken.direct.sum(0) + taken.constant == pytest.approx(taken.margin, abs=1e-4)
    assert taken.lens[-1] == pytest.approx(taken.margin, abs=1e-4)
    scores, turns = score(model, plan, "cpu"), Turns.of(plan)
    ends = [number for number, pair in enumerate(plan.pairs) if pair.pair != "0"]  # those that differ in their last token alone
    whole = (scores["logp_good"] - scores["logp_bad"]).to_numpy()
    assert [taken.margin[turns.pair.tolist().index(n)] for n in ends] == pytest.approx([whole[n] for n in ends], abs=1e-4)


@pytest.mark.parametrize("kind", ["opt", "gpt2", "gpt-neox", "llama"])
def test_a_part_that_is_replaced_by_what_it_wrote_changes_nothing(kind, words):
    model = built(kind, len(words[0]))
    parts, ids = parts_of(model), torch.tensor([[0, 4, 5], [0, 5, 6]])
    with torch.inference_mode(), written(parts) as found:
        before = last_state(model, ids)
    for name in parts.names:
        with torch.inference_mode(), replaced(parts, name, found[name]):
            assert torch.allclose(last_state(model, ids), before, atol=1e-5)
        with torch.inference_mode(), replaced(parts, name, found[name][0, 0] + 1):
            assert not torch.allclose(last_state(model, ids), before, atol=1e-2)
    assert torch.allclose(last_state(model, ids), before, atol=1e-6)  # nothing stays behind


def copies_a_cue():
    """An OPT in which the second layer's attention alone writes: what cue a text has.  Tokens: BOS, two cues, x, A, B."""
    size = {"hidden_size": 16, "word_embed_proj_dim": 16, "num_hidden_layers": 2, "num_attention_heads": 1, "ffn_dim": 8}
    model = OPTForCausalLM(
        OPTConfig(vocab_size=6, max_position_embeddings=16, tie_word_embeddings=False, _remove_final_layer_norm=True, **size)
    ).eval()
    body = model.model.decoder
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        body.embed_tokens.weight[:, :6] = torch.eye(6)
        for layer in body.layers:
            layer.self_attn_layer_norm.weight.fill_(1)
            layer.final_layer_norm.weight.fill_(1)
        attention = body.layers[1].self_attn  # no queries: it attends to everything alike
        attention.v_proj.weight[1, 1] = attention.v_proj.weight[2, 2] = 1
        attention.out_proj.weight[9, 1] = attention.out_proj.weight[10, 2] = 0.3
        model.lm_head.weight[4, 9] = model.lm_head.weight[5, 10] = 1
    return model


def test_the_head_that_copies_the_cue_is_named_by_direct_share_ablation_and_patching():
    model, cue = copies_a_cue(), WRITERS.index("L2 attention")
    rows = [[(0, 1, 3, 4), (0, 1, 3, 5)], [(0, 2, 3, 5), (0, 2, 3, 4)], [(0, 1, 3, 4), (0, 2, 3, 4)], [(0, 2, 3, 5), (0, 1, 3, 5)]]
    encoded = [tuple(plans.Encoded(ids, 1, str(ids)) for ids in own) for own in rows]
    plan = plans.of(tiny.pairs(*[("g", "b")] * 4), encoded, plans.Noted(), 16)
    parts, taken = apart(model, plan, rows=[ids for own in rows for ids in own])
    one_prefix = np.isin(Turns.of(plan).pair, (0, 1))
    others = [place for place in range(5) if place != cue]
    assert (taken.direct[cue, one_prefix] > 0.02).all() and taken.direct[others] == pytest.approx(0, abs=1e-6)
    assert taken.effect[cue, one_prefix] == pytest.approx(taken.margin[one_prefix], abs=1e-5)  # without it, no preference
    assert taken.effect[[1, 2, 4]] == pytest.approx(0, abs=1e-6)
    found = patched(Told(model, rows[0]), parts, plan)
    assert sorted(found.pair.tolist()) == [2, 3]
    assert (found.checked[cue] > 0.02).all() and found.checked[[1, 2, 4]] == pytest.approx(0, abs=1e-6)
    assert found.said[cue] == pytest.approx(found.checked[cue], rel=0.3)


def test_without_a_last_norm_what_is_lost_is_the_direct_share_less_what_later_parts_make_up_for(words):
    tokenizer, plan = words
    model = tiny.opt(len(tokenizer), 32, num_hidden_layers=2)
    model.model.decoder.final_layer_norm = None
    _, taken = apart(model, plan)
    assert taken.effect == pytest.approx(taken.replaced - taken.compensation, abs=1e-4)
    assert taken.compensation[-1] == pytest.approx(0, abs=1e-9) and np.abs(taken.compensation[:-1]).min(0).max() > 1e-3


def test_only_the_cue_is_salient_where_a_head_copies_it():
    prefixes = [(0, 1, 3), (0, 2, 3)]
    turns = Turns(prefixes, np.array([4, 5]), np.array([5, 4]), np.arange(2))
    for found in saliencies(Told(copies_a_cue(), prefixes), turns):
        assert found[1] > 0.01 and found[[0, 2]] == pytest.approx(0, abs=1e-6)
        assert of_cue(found[1:], 0)[:4] == pytest.approx((1, 0.5, 1, 0.75))


def test_the_cue_is_the_subject_or_the_demonstrative_or_what_one_says():
    asked = Saliency(cues=["mine: not no", "first:"])
    assert asked._cue("principle_A_c_command", ["A", "lot", "of", "girls", "that", "met", "Bob", "hugged"]) == 3
    assert asked._cue("determiner_noun_agreement_1", ["That", "cucumber", "did", "confuse", "these", "red"]) == 4
    assert asked._cue("determiner_noun_agreement_1", ["Bob", "saw"]) is None
    assert asked._cue("mine", ["He", "did", "not", "say", "no", "to"]) == 4 and asked._cue("first", ["the"]) == 0


def test_shares_and_ranks_of_a_word_among_others():
    assert of_cue(np.array([1.0, -2.0, 1.0]), 1) == pytest.approx((0.5, 1 / 3, 1, 11 / 18, -2))
    assert of_cue(np.array([0.5, -2.0]), 0)[2] == 0.5 and of_cue(np.zeros(4), 0)[0] == 0.25


def test_a_bigram_model_carries_its_bigrams_with_slope_one(words):
    tokenizer, plan = words
    table = np.log(np.random.default_rng(0).dirichlet(np.ones(len(tokenizer)), size=len(tokenizer)))
    _, taken = apart(from_table(table, 32, 0), plan)
    turns = Turns.of(plan)
    last = np.array([prefix[-1] for prefix in turns.prefixes])
    b = table[last, turns.good] - table[last, turns.bad]
    assert taken.direct[0] == pytest.approx(b, abs=1e-4) and taken.direct[1:] == pytest.approx(0, abs=1e-5)


def test_the_slope_on_bigrams_holds_unigrams():
    b, u = np.random.default_rng(0).normal(size=(2, 40))
    slope, r2 = _partial(0.7 * b + 3 * u, np.stack([b + u, u]))
    assert (slope, r2) == pytest.approx((0.7, 1.0))
    assert _partial(b[:4], np.stack([b, u])[:, :4]) == (None, None) == _partial(b, None)


def test_repair_is_what_is_not_lost():
    direct = np.array([1.0, -2.0, 3.0])
    assert repair(0.3 * direct, direct) == pytest.approx(0.7)
    assert repair(direct * 1e-4, direct * 1e-4) is None


def test_attributions_are_held_against_those_of_the_last_checkpoint():
    values = {0: range(20), 4: reversed(range(20)), 8: [*range(18), 19, 18]}
    rows = [(0, step, "s", "p", f"part {n}", value) for step, own in values.items() for n, value in enumerate(own)]
    table = pl.DataFrame(rows, schema=["seed", "step", "suite", "paradigm", "part", "attribution"], orient="row")
    found = Depth().fold(table.with_columns(pl.col("attribution").cast(pl.Float64)), Clock())["attributions"]
    assert found["step"].to_list() == [0, 4, 8] and found["top"].to_list() == [1, 0, 1]
    assert found["rank"].to_list() == pytest.approx([1 - 6 * 2 / (20 * 399), -1 + 6 * 2 / (20 * 399), 1])


def test_under_the_last_norm_parts_add_up():
    for norm in (torch.nn.LayerNorm(8), torch.nn.RMSNorm(8, eps=1e-6), None):
        parts = torch.randn(3, 5, 8)
        whole = parts.sum(0)
        expected = whole if norm is None else norm(whole)
        assert torch.allclose(scaled(norm, parts, whole).sum(0), expected, atol=1e-4)


def test_a_model_whose_parts_are_not_known_is_named(words):
    lstm = SimpleNamespace(config=SimpleNamespace(model_type="mamba"))
    with pytest.raises(
        DoesNotApply, match=r"the parts of a SimpleNamespace are not known; those of opt, gpt2, gpt_neox, llama are"
    ):
        parts_of(lstm)


def test_layers_that_are_normed_after_adding_do_not_add_up(words):
    tokenizer, plan = words
    with pytest.raises(DoesNotApply, match="the parts of this OPTForCausalLM do not add up to its margins"):
        apart(tiny.opt(len(tokenizer), 32, num_hidden_layers=2, do_layer_norm_before=False), plan)
