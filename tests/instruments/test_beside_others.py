"""Instruments beside what other libraries find; skipped where these are not installed (they are no dependency)."""

import numpy as np
import pytest
import tiny
import torch

from ontogeny.instruments.depth import _attributed
from ontogeny.instruments.geometry import two_nn
from ontogeny.instruments.parts import parts_of


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
