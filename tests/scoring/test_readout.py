"""Every way to a model's distributions gives the model's own numbers, and a model that cannot follow one gets the next."""

import random

import numpy as np
import pytest
import tiny
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    OPTConfig,
)

from ontogeny.records import OntogenyError
from ontogeny.scoring import pairs as of_pairs
from ontogeny.scoring import plan, readout

CPU = torch.device("cpu")
V, CONTEXT = 24, 16
SIZE = {"vocab_size": V, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
POSITIONS = {"max_position_embeddings": CONTEXT}
FAMILIES = {
    "opt": OPTConfig(**SIZE, **POSITIONS, ffn_dim=32, word_embed_proj_dim=16, init_std=0.3),
    "gpt2": GPT2Config(vocab_size=V, n_embd=16, n_layer=2, n_head=2, n_positions=CONTEXT, initializer_range=0.3),
    "neox": GPTNeoXConfig(**SIZE, **POSITIONS, intermediate_size=32, initializer_range=0.3),
    "llama": LlamaConfig(**SIZE, **POSITIONS, intermediate_size=32, num_key_value_heads=1, initializer_range=0.3),
}
OTHERS = {
    "bloom": BloomConfig(vocab_size=V, hidden_size=16, n_layer=2, n_head=2, initializer_range=0.3),  # ALiBi from a mask of two axes
    "mamba": MambaConfig(vocab_size=V, hidden_size=16, num_hidden_layers=2, state_size=4, initializer_range=0.3),  # recurrent
    "window": MistralConfig(
        **SIZE, **POSITIONS, intermediate_size=32, num_key_value_heads=1, sliding_window=3, initializer_range=0.3
    ),
}
TREES, LOGITS = "trees of prefixes, hidden states", "sentences, logits"


def build(name, implementation=None):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config((FAMILIES | OTHERS)[name], attn_implementation=implementation).eval()


def worlds():
    """Sentences that share, that are prefixes of others, that are one token, and that come twice."""
    vocabulary, draw = [f"w{i}" for i in range(20)], random.Random(0)
    stems = [draw.choices(vocabulary, k=draw.randint(1, 6)) for _ in range(8)]
    texts = [" ".join(draw.choice(stems) + draw.choices(vocabulary, k=draw.randint(0, 7))) for _ in range(60)]
    texts += ["w0", "w1", "w0 w1", "w0 w1 w2", texts[0], texts[0]]
    pairs = [pair for pair in tiny.pairs(*zip(texts[::2], texts[1::2], strict=True)) if pair.good != pair.bad]
    return tiny.words(" ".join(vocabulary)), pairs


def made(first=2):
    tokenizer, pairs = worlds()
    return plan.make(pairs, tokenizer, first, CONTEXT)


@torch.no_grad()
def by_hand(model, todo):
    """log p of every scored token, one sentence at a time."""
    rows = []
    for sentence in todo.sentences:
        logps = model(input_ids=torch.tensor([sentence])).logits[0].log_softmax(-1)
        rows += [logps[i, token].item() for i, token in enumerate(sentence[1:])]
    return np.array(rows)


@torch.inference_mode()
def logps(way, todo, batch_tokens=512):
    return readout.token_logps(way, todo.sentences, CPU, batch_tokens)[0]


@pytest.mark.parametrize("first", [2, None])
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("name", FAMILIES)
def test_trees_give_the_numbers_of_sentences_by_themselves(name, implementation, first):
    model, todo = build(name, implementation), made(first)
    expected = by_hand(model, todo)
    assert np.ptp(expected) > 1  # a model with opinions
    assert str(readout.choose(model, todo.sentences, CPU)) == TREES
    for way in readout.ways(model):
        for batch_tokens in (16, 50, 4096):
            assert logps(way, todo, batch_tokens) == pytest.approx(expected, abs=1e-5), str(way)


@pytest.mark.parametrize("most", [1, 4, 20, 1000])
def test_the_size_of_trees_changes_no_number(monkeypatch, most):
    model, todo = build("llama"), made()
    way = next(readout.ways(model))
    expected = logps(way, todo)
    monkeypatch.setattr(readout, "TREE", most)
    assert logps(way, made(), 4096) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", OTHERS)
def test_a_model_that_cannot_follow_trees_is_read_by_sentences(name):
    model, todo = build(name), made()
    scored = of_pairs.read(model, todo, CPU)
    assert scored.facts["way"].startswith("sentences")
    expected = of_pairs.frame_of(todo, by_hand(model, todo))
    for column in ("logp_good", "logp_bad"):
        assert scored.frame[column].to_numpy() == pytest.approx(expected[column].to_numpy(), abs=1e-4)


class Deaf(GPT2LMHeadModel):
    """Leaves out what it is told about some inputs, and says nothing of it."""

    ignored: tuple[str, ...] = ()

    def __init__(self, config):
        super().__init__(config)
        body = self.transformer.forward
        self.transformer.forward = lambda *ids, **told: body(*ids, **{k: v for k, v in told.items() if k not in self.ignored})


@pytest.mark.parametrize("ignored", [("attention_mask",), ("position_ids",), ("attention_mask", "position_ids")])
@pytest.mark.parametrize("scale", [1, 0.02])
def test_a_model_that_ignores_masks_or_positions_is_read_by_sentences(ignored, scale):
    """Also one whose weights are still as small as an untrained model's."""
    torch.manual_seed(0)
    model, todo = Deaf(FAMILIES["gpt2"]).eval(), made()
    model.ignored = ignored
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(scale if weight.dim() > 1 else 1)
    assert str(readout.choose(model, todo.sentences, CPU)) == "sentences, hidden states"
    assert logps(readout.choose(model, todo.sentences, CPU), todo) == pytest.approx(by_hand(model, todo), abs=1e-5)


class Wary(GPT2LMHeadModel):
    """Raises an error of its own when it is shown a mask."""

    def forward(self, input_ids, use_cache=False, **told):
        if told:
            raise KeyError("I know no such thing")
        out = super().forward(input_ids=input_ids, use_cache=use_cache)
        out.logits = torch.tanh(out.logits)
        return out


def test_a_model_of_its_own_kind_is_read_by_its_own_logits():
    torch.manual_seed(0)
    model, todo = Wary(FAMILIES["gpt2"]).eval(), made()
    assert str(readout.choose(model, todo.sentences, CPU)) == LOGITS
    assert logps(readout.choose(model, todo.sentences, CPU), todo) == pytest.approx(by_hand(model, todo), abs=1e-5)


def test_a_model_that_caps_its_logits_is_read_by_trees_and_its_own_logits():
    class Capped(GPT2LMHeadModel):
        def forward(self, **told):
            out = super().forward(**told)
            out.logits = torch.tanh(out.logits)
            return out

    torch.manual_seed(0)
    model, todo = Capped(FAMILIES["gpt2"]).eval(), made()
    assert str(readout.choose(model, todo.sentences, CPU)) == "trees of prefixes, logits"
    assert logps(readout.choose(model, todo.sentences, CPU), todo) == pytest.approx(by_hand(model, todo), abs=1e-5)


def test_the_trial_has_the_longest_sentence():
    """A window narrower than the longest sentence alone would make trees wrong there and nowhere else."""
    todo = made()
    assert max(map(len, readout._trial(todo.sentences))) == max(map(len, todo.sentences))


# --- memory, precision, numbers that are none


class Small(GPT2LMHeadModel):
    """Has room for few tokens at a time."""

    room = 100

    def __init__(self, config, error):
        super().__init__(config)
        body = self.transformer.forward

        def forward(*ids, **told):
            if self.short and (ids[0] if ids else told["input_ids"]).numel() > self.room:
                raise error
            return body(*ids, **told)

        self.transformer.forward, self.short = forward, False


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_where_memory_is_short_passes_are_smaller_and_it_is_said(error, monkeypatch):
    monkeypatch.setattr(readout, "TREE", 30)
    torch.manual_seed(0)
    model, todo = Small(FAMILIES["gpt2"], error).eval(), made()
    expected = of_pairs.read(model, todo, CPU, 400)
    assert "batch_tokens" not in expected.facts
    model.short, told = True, []
    found = of_pairs.read(model, todo, CPU, 400, told.append)
    assert found.facts["batch_tokens"] <= 200
    assert sum(told) == len(todo.sentences)
    assert found.frame["logp_good"].to_numpy() == pytest.approx(expected.frame["logp_good"].to_numpy(), abs=1e-5)
    model.room = 1
    with pytest.raises(RuntimeError, match="memory"):
        readout.token_logps(next(readout.ways(model)), todo.sentences, CPU, 400)


def test_another_error_of_the_model_is_not_taken_for_short_memory():
    model = Small(FAMILIES["gpt2"], RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    model.short, model.room = True, 1
    with pytest.raises(RuntimeError, match="shapes"):
        readout.token_logps(next(readout.ways(model)), made().sentences, CPU, 400)


def test_bfloat16_says_what_it_costs():
    model, todo = build("opt"), made()
    exact, rounded = of_pairs.read(model, todo, CPU), of_pairs.read(model, todo, CPU, precision="bfloat16")
    assert "bfloat16" not in exact.facts
    cost = rounded.facts["bfloat16"]
    assert cost["pairs"] == len(todo.pairs)
    errors = [(exact.frame[side] - rounded.frame[side]).abs().max() for side in ("logp_good", "logp_bad")]
    assert cost["largest_error"] == pytest.approx(max(errors), abs=0.02)
    assert 1e-4 < cost["largest_error"] < 1
    margins = [(frame["logp_good"] - frame["logp_bad"]).sign() for frame in (exact.frame, rounded.frame)]
    assert cost["flipped"] == (margins[0] != margins[1]).sum()


def test_the_sentence_without_a_number_is_named():
    tokenizer = tiny.words("a b c d")
    todo = plan.make(tiny.pairs(("a b", "b a"), ("a d", "c d"), paradigm="odd"), tokenizer, 2, CONTEXT)
    model = tiny.opt(len(tokenizer))
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids("c")] = float("nan")
        model.lm_head.weight = torch.nn.Parameter(torch.ones_like(model.lm_head.weight))
    with pytest.raises(OntogenyError, match=r"no.* finite number, in 'c d' \(paradigm odd, pair 1\)"):
        of_pairs.score(model, todo, CPU)
