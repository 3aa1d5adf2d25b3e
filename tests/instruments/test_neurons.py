"""Neurons on models by hand: one planted where the unembedding is blind, one along the tokens' frequencies."""

from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch

from ontogeny.architectures.gpt2 import GPT2
from ontogeny.architectures.gpt_neox import GPTNeoX
from ontogeny.architectures.llama import Llama
from ontogeny.instruments import DoesNotApply
from ontogeny.instruments.neurons import LastMLP, Neurons, ablated, seen
from ontogeny.instruments.parts import last_state, parts_of
from ontogeny.instruments.subject import Subject
from ontogeny.records import OntogenyError

SIZE, WIDTH = 12, 32
ROWS = np.random.default_rng(0).integers(3, SIZE, size=(6, 9))
FEW = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "initializer_range": 0.3}
BUILT = {
    "opt": lambda: tiny.opt(SIZE, 16, hidden_size=WIDTH, word_embed_proj_dim=WIDTH, num_hidden_layers=2),
    "gpt2": lambda: GPT2(options={"n_embd": WIDTH, "n_layer": 2, "n_head": 2, "initializer_range": 0.3}).build(SIZE, 16, 0, 1),
    "gpt-neox": lambda: GPTNeoX(options=FEW).build(SIZE, 16, 0, 1),
    "llama": lambda: Llama(options=FEW | {"num_key_value_heads": 2}).build(SIZE, 16, 0, 1),
}


class Told(Subject):
    """A model and its text, without a run."""

    def __init__(self, model, unigram=None):
        self.given, self.counted = model.eval(), unigram
        self.context = SimpleNamespace(device=torch.device("cpu"), knows_text=unigram is not None)

    model = property(lambda self: self.given)

    def sample(self, tokens=2048, width=64):
        return ROWS

    def unigram(self):
        return self.counted


def unigram():
    p = np.arange(1.0, SIZE + 1) ** -1.0
    return np.log(p / p.sum())


def planted(write):
    """An OPT whose last layer's first neuron writes this and fires at every other token."""
    model = BUILT["opt"]()
    layer = model.model.decoder.layers[-1]
    with torch.no_grad():
        layer.fc2.weight[:, 0] = write
    return model


def blind(model):
    """A direction that the unembedding and the mean do not see."""
    seen_by = torch.cat([model.lm_head.weight * model.model.decoder.final_layer_norm.weight, torch.ones(1, WIDTH)]).detach()
    return torch.linalg.svd(seen_by)[2][-1] * 5


def test_a_neuron_that_the_unembedding_does_not_see_acts_through_the_scale_alone():
    model = planted(blind(BUILT["opt"]()))
    found = Neurons().read(Told(model, unigram()))
    first = found.row(0, named=True)
    assert first["effect"] > 1e-3 and first["scale"] == pytest.approx(1, abs=1e-3)
    assert first["variance"] == pytest.approx(0, abs=1e-8)
    assert first["norm"] == pytest.approx(5, rel=1e-5)
    assert found["scale"].drop_nulls()[1:].max() < 0.99


def test_without_a_norm_nothing_goes_through_its_scale():
    model = BUILT["opt"]()
    parts = parts_of(model)
    head = LastMLP.of(parts)
    bare = LastMLP(head.module, None, head.unembed, head.bias, head.writes)
    rng = torch.Generator().manual_seed(0)
    states, active = torch.randn(20, WIDTH, generator=rng), torch.randn(20, len(head.writes), generator=rng)
    found = ablated(bare, states, active, torch.zeros(20, dtype=torch.long), None)
    assert [share for share in found["scale"] if share is not None] == pytest.approx([0] * len(head.writes), abs=1e-4)
    assert set(found["frequency"]) == set(found["to_unigram"]) == {None}


def test_a_neuron_along_log_frequency_is_one_of_frequency():
    model = BUILT["opt"]()
    head = LastMLP.of(parts_of(model))
    along = unigram() - unigram().mean()
    unembed = torch.randn(SIZE, WIDTH, generator=torch.Generator().manual_seed(1))
    write = torch.linalg.lstsq(unembed, torch.from_numpy(along).float()[:, None]).solution[:, 0]
    bare = LastMLP(head.module, None, unembed, head.bias, torch.stack([write, head.writes[1]]))
    states, active = torch.randn(20, WIDTH, generator=torch.Generator().manual_seed(0)), torch.ones(20, 2)
    found = ablated(bare, states, active, torch.zeros(20, dtype=torch.long), torch.from_numpy(unigram()).float())
    assert found["frequency"][0] == pytest.approx(1, abs=1e-3) and found["frequency"][1] < 0.9
    assert found["to_unigram"][0] > 0  # without it, the prediction is farther from the frequencies


@pytest.mark.parametrize("kind", BUILT)
def test_what_is_changed_is_what_the_model_changes_without_the_neuron(kind):
    torch.manual_seed(0)
    subject = Told(BUILT[kind](), unigram())
    model, parts = subject.model, parts_of(subject.model)
    head = LastMLP.of(parts)
    states, active, targets = seen(subject, parts, head, 1000)
    found = ablated(head, states, active, targets, None)
    ids = torch.from_numpy(ROWS)
    with torch.inference_mode(), head.activations() as fired:
        last_state(model, ids)
    mean = fired[0].view(*ids.shape, -1)[:, :-1].mean((0, 1))

    def losses(neuron=None):
        def keeps(module, given):
            if neuron is not None:
                given[0].view(-1, len(mean))[:, neuron] = mean[neuron]

        hook = head.module.register_forward_pre_hook(keeps)
        with torch.inference_mode():
            logits = model(input_ids=ids).logits[:, :-1].float()
        hook.remove()
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")

    whole = losses()
    for neuron in (0, 5, 11):
        change = losses(neuron) - whole
        assert found["effect"][neuron] == pytest.approx(float(change.abs().mean()), abs=1e-5, rel=1e-3)
        assert found["loss"][neuron] == pytest.approx(float(change.mean()), abs=1e-5, rel=1e-3)


def test_what_it_cannot_read_is_named():
    with pytest.raises(DoesNotApply, match="the parts of a SimpleNamespace are not known"):
        parts_of(SimpleNamespace(config=SimpleNamespace(model_type="lstm")))
    with pytest.raises(DoesNotApply, match="are projected before they are unembedded"):
        Neurons().read(Told(tiny.opt(SIZE, 16, word_embed_proj_dim=8)))
    broken = BUILT["opt"]()
    with torch.no_grad():
        broken.lm_head.weight.fill_(torch.nan)
    with pytest.raises(OntogenyError, match="no finite number"):
        Neurons().read(Told(broken))
