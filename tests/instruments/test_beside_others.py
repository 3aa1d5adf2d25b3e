"""Instruments beside what other libraries find; skipped where these are not installed (they are no dependency)."""

import numpy as np
import pytest
import tiny
import torch
from test_depth import Told, built
from transformers import AutoTokenizer

from ontogeny.instruments.geometry import two_nn
from ontogeny.instruments.parts import last_state, parts_of, written
from ontogeny.instruments.patching import _attributed
from ontogeny.instruments.saliency import saliencies
from ontogeny.instruments.turns import Turns


def test_the_intrinsic_dimension_is_that_of_scikit_dimension():
    skdim = pytest.importorskip("skdim")
    rng = np.random.default_rng(0)
    points = rng.normal(size=(1500, 5)) @ rng.normal(size=(5, 50))
    theirs = skdim.id.TwoNN(discard_fraction=0.1).fit(points).dimension_  # by a line through the ratios, not by likelihood
    assert two_nn(points) == pytest.approx(theirs, rel=0.05)


@pytest.mark.parametrize("part", ["L1 attention", "L1 MLP", "L2 MLP"])
def test_attributions_are_those_of_captum(part):
    attr = pytest.importorskip("captum.attr")
    model = tiny.opt(20, 16, num_hidden_layers=2)
    parts, (good, bad) = parts_of(model), torch.tensor([[[2, 5, 6, 7]], [[2, 9, 6, 7]]])
    targets = torch.tensor([9, 6, 7, 8])
    said, _ = _attributed(parts, good, bad, targets, 1, check=False)

    def score(ids):
        logps = model(input_ids=ids, use_cache=False).logits[0, 1:].log_softmax(-1)
        return logps.gather(-1, targets[1:, None]).sum()[None]

    module = parts.writers[part]
    theirs, own = (attr.LayerActivation(score, module).attribute(ids) for ids in (good, bad))
    times = attr.LayerGradientXActivation(score, module).attribute(bad)
    assert said[parts.names.index(part)] == pytest.approx(((theirs - own) * times / own).sum().item(), rel=1e-3)


def test_saliencies_are_those_of_captum():
    attr = pytest.importorskip("captum.attr")
    model = tiny.opt(20, 16, num_hidden_layers=2)
    prefix, good, bad = (2, 5, 6), 7, 9
    subject = Told(model, [prefix])
    (own,) = saliencies(subject, Turns([prefix], np.array([good]), np.array([bad]), np.array([0])))

    def margin(ids):
        logits = model(input_ids=ids, use_cache=False).logits[:, -1]
        return logits[:, good] - logits[:, bad]

    embedding, ids = model.get_input_embeddings(), torch.tensor([prefix])
    times, state = attr.LayerGradientXActivation(margin, embedding).attribute(ids), embedding(ids)
    theirs = (times / state * (state - embedding.weight.mean(0))).sum(-1)
    assert own == pytest.approx(theirs[0].tolist(), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("kind", ["opt", "gpt2"])
def test_what_parts_write_is_what_transformer_lens_says(kind, tmp_path):
    bridge = pytest.importorskip("transformer_lens.model_bridge").TransformerBridge
    tokenizer = tiny.words("the cat sees a dog")
    model = built(kind, len(tokenizer))
    folder = str(tiny.save(model, tokenizer, tmp_path / "model"))
    theirs = bridge.boot_transformers(folder, hf_model=model, tokenizer=AutoTokenizer.from_pretrained(folder))
    ids, parts = torch.tensor([[0, 4, 5, 6]]), parts_of(built(kind, len(tokenizer)))  # theirs changes the model that it is given
    with torch.inference_mode(), written(parts) as found:
        last_state(parts.model, ids)
    with torch.inference_mode():
        _, cache = theirs.run_with_cache(ids)
    for layer in range(2):
        for own, name in (("attention", "hook_attn_out"), ("MLP", "hook_mlp_out")):
            assert torch.allclose(found[f"L{layer + 1} {own}"], cache[f"blocks.{layer}.{name}"], atol=1e-5)
    assert torch.allclose(found["last"], cache["blocks.1.hook_resid_post"], atol=1e-5)
