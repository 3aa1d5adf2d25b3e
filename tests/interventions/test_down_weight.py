"""Weights of targets by hand, their mean, and the plain loss where there is nothing to weigh."""

from contextlib import nullcontext
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import OPTConfig

from ontogeny import ngrams
from ontogeny import recipe as recipes
from ontogeny.architectures.over_bigrams import untilted
from ontogeny.interventions import Stream, treatment
from ontogeny.interventions.down_weight import DownWeight, Weighted
from ontogeny.laboratory import Run
from ontogeny.records import OntogenyError
from ontogeny.training.treatment import batch_loss

TEXTS = ["x y x y x z"]
SUITE = "{kind: micro-english, pairs_per_paradigm: 10, paradigms: [causative]}"
SUITES = f"suites=[{SUITE}, {{kind: untilted, of: {SUITE}}}]"
RUN = (
    "seeds=[0]",
    "training.steps=6",
    "checkpoints={kind: steps, steps: []}",
    "interventions=[{kind: down-weight, gamma: 2}]",
    SUITES,
)
UNTILTED = [{"kind": "untilted", "of": {"kind": "micro-english"}}]


def saying(logits):
    """A model that gives these logits [T, vocabulary] to whatever it reads."""
    return lambda input_ids, use_cache: SimpleNamespace(logits=logits.expand(*input_ids.shape, -1))


def p2(model, history, token):
    return model.distribution(np.array([[history]]), 2)[0, token]


def test_weights_by_hand(context_of):
    """B x y x y x z B; p2 as worked out on paper in test_over_bigrams.py, with 7 tokens in all.

    The mean is over 7 bigrams: Bx, xz and zB once, xy and yx twice.
    """
    context = context_of(TEXTS)
    x, y, z, pad = context.tokenizer.convert_tokens_to_ids(["x", "y", "z", "<pad>"])
    bos, rest = context.first, 2.5 / 5 / 7
    p1 = {x: 1 / 5 + rest, y: 0.5 / 5 + rest, z: 0.5 / 5 + rest, bos: 0.5 / 5 + rest, pad: rest}
    p = {
        (bos, x): 0.5 + 0.5 * p1[x],
        (x, y): 1 / 3 + 0.5 * p1[y],
        (x, z): 0.5 / 3 + 0.5 * p1[z],
        (y, x): 1 / 2 + 0.5 * p1[x],
        (z, bos): 0.5 + 0.5 * p1[bos],
        (y, pad): 0.5 * p1[pad],  # never seen
        (pad, y): p1[y],  # nor is what comes before
    }
    times = {(bos, x): 1, (x, y): 2, (x, z): 1, (y, x): 2, (z, bos): 1}
    mean = sum(times[pair] * (1 - p[pair]) ** 2 for pair in times) / 7
    loss = Weighted(context.bigrams(), 2.0)
    history, target = torch.tensor(list(p)).T
    assert len(context.tokenizer) == 7
    assert loss.mean == pytest.approx(mean)
    assert loss.weights(history, target).tolist() == pytest.approx([(1 - p[pair]) ** 2 / mean for pair in p], rel=1e-5)


def test_the_loss_is_each_targets_nats_times_its_weight(context_of):
    context = context_of(TEXTS)
    x, y, z = context.tokenizer.convert_tokens_to_ids(["x", "y", "z"])
    loss, bos = Weighted(context.bigrams(), 0.7), context.first
    tokens = torch.tensor([[bos, x, y, x], [bos, x, z, -100]])
    logits = torch.randn(7, generator=torch.Generator().manual_seed(0))
    nats = -logits.log_softmax(-1)
    pairs = [(bos, x), (x, y), (y, x), (bos, x), (x, z)]
    expected = sum(float(nats[b] * loss.weights(torch.tensor([a]), torch.tensor([b]))) for a, b in pairs)
    assert float(loss(saying(logits), tokens, nullcontext)) == pytest.approx(expected, rel=1e-6)


@given(
    st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6), min_size=3, max_size=8),
    st.sampled_from([0.3, 1.0, 2.0, 5.0]),
)
@settings(max_examples=25, deadline=None)
def test_weights_of_a_text_have_mean_1_and_order(tmp_path_factory, lines, gamma):
    """Whatever the text: over all its transitions, the end of the stream among them, the weights are 1 on average."""
    stream = [t for line in [*lines, lines[0]] for t in [4, *("abcd".index(c) for c in line)]]
    index = ngrams.open_or_build(tmp_path_factory.mktemp("i"), np.array(stream, dtype=np.uint16), 6, 4, "k", order=2)
    model = ngrams.KneserNey(index)
    closed = torch.tensor([*stream, 4])
    weights = Weighted(model, gamma).weights(closed[:-1], closed[1:])
    assert float(weights.mean()) == pytest.approx(1, abs=1e-5)
    p = np.array([p2(model, int(a), int(b)) for a, b in pairwise(closed)])
    assert (np.diff(weights.numpy()[np.argsort(p)]) <= 1e-6).all()  # the likelier, the lighter


def test_gamma_0_is_the_plain_loss_bit_for_bit(context_of):
    loss = DownWeight(gamma=0).loss(context_of(TEXTS))
    assert loss is batch_loss


def test_a_pace_takes_the_weights_to_1(context_of):
    context = context_of(TEXTS)
    loss = DownWeight(gamma=1, pace="linear").loss(context)
    tokens = torch.tensor([[context.first, *context.tokenizer.convert_tokens_to_ids(["x", "y", "x"])]])
    logits = torch.randn(7, generator=torch.Generator().manual_seed(0))

    def at(step):
        loss.at(step, 4)
        return float(loss(saying(logits), tokens, nullcontext))

    plain, whole = (float(one(saying(logits), tokens, nullcontext)) for one in (batch_loss, DownWeight(gamma=1).loss(context)))
    assert [at(0), at(2), at(4)] == pytest.approx([whole, (whole + plain) / 2, plain])
    fixed = DownWeight(gamma=1).loss(context)
    fixed.at(3, 4)
    assert float(fixed(saying(logits), tokens, nullcontext)) == whole


def test_any_other_gamma_is_near_it(context_of):
    """As gamma goes to 0 all weights go to 1."""
    context = context_of(TEXTS)
    tokens, logits = torch.tensor([[2, 4, 5, 4, 6]]), torch.randn(7, generator=torch.Generator().manual_seed(1))
    plain = float(batch_loss(saying(logits), tokens, nullcontext))
    assert float(DownWeight(gamma=1e-6).loss(context)(saying(logits), tokens, nullcontext)) == pytest.approx(plain, rel=1e-5)
    assert float(DownWeight(gamma=2).loss(context)(saying(logits), tokens, nullcontext)) != pytest.approx(plain, rel=1e-2)


def test_bigrams_are_of_the_text_that_was_asked_for(context_of):
    context, other = context_of(["x y x y", "y z x"]), context_of(["x y x y x y", "z x y"])
    moved = context.after(other.text)
    read, untouched = (DownWeight(counted=counted).loss(moved).mean for counted in ("read", "untouched"))
    assert read == Weighted(context.bigrams(other.text), 1.0).mean
    assert untouched == Weighted(context.bigrams(), 1.0).mean
    assert read != untouched


def test_training_on_an_edited_text_counts_in_it(context_of):
    """Not in the untouched text that all contexts begin with; where edits come and go, in what is read first."""
    other, later = context_of(["x y x y x y", "z x y"]), context_of(["x z x y"])
    context = context_of(["x y x y", "y z x"], interventions=[{"kind": "down-weight"}], training={"context": 4})
    read = [Stream(0.0, 0.5, other.text, (1,)), Stream(0.5, 1.0, later.text, (2,))]
    assert treatment(context, read, 0).loss.mean == Weighted(context.bigrams(other.text), 1.0).mean


def test_a_bigram_table_trained_under_the_weights_is_the_texts_own_once_they_are_taken_out(context_of):
    """Its best is q ~ weight x p; untilted, p to within a thousandth."""
    context = context_of(["x y x y x z", "y x x z", "z y y x"], suites=UNTILTED)
    loss, stream = DownWeight(gamma=1).loss(context), torch.tensor(np.asarray(context.text.ids).astype(np.int64))
    counts = torch.zeros(7, 7, dtype=torch.float64)
    counts.index_put_((stream[:-1], stream[1:]), torch.ones(len(stream) - 1, dtype=torch.float64), accumulate=True)
    p, seen = counts / counts.sum(1, keepdim=True).clamp(min=1), counts.sum(1) > 0
    table = torch.zeros(7, 7, requires_grad=True)
    optimiser = torch.optim.LBFGS([table], max_iter=500, tolerance_grad=1e-9, tolerance_change=0, line_search_fn="strong_wolfe")

    def tilted():
        optimiser.zero_grad()
        nats = loss(lambda input_ids, use_cache: SimpleNamespace(logits=table[input_ids]), stream[None], nullcontext)
        nats.backward()
        return nats

    optimiser.step(tilted)
    network = nn.Module()
    network.forward = lambda input_ids: SimpleNamespace(logits=table[input_ids].detach())
    network.config, network.device = OPTConfig(vocab_size=7), torch.device("cpu")
    said = untilted(network, context.folder.tilt)(input_ids=torch.arange(7)[None]).logits[0].softmax(-1)
    assert (table.softmax(-1) - p).abs()[seen].max() > 0.02
    assert (said - p).abs()[seen].max() < 1e-3


def test_what_changes_all_along_leaves_no_tilt_to_take_out(context_of):
    with pytest.raises(OntogenyError, match="pace: linear nothing is tilted in the end"):
        DownWeight(pace="linear").loss(context_of(TEXTS, suites=UNTILTED))
    with pytest.raises(OntogenyError, match="the suite untilted is for a recipe whose intervention is down-weight"):
        untilted(None, context_of(TEXTS).folder.tilt)


def test_a_run_reads_a_suite_with_the_tilt_and_without(tmp_path):
    run = Run.begin(tiny.recipe(*RUN), tmp_path)
    run.train()
    both = [run.scores(f"micro-english{name}").collect().filter(step=6)["logp_good"].to_numpy() for name in ("", "-untilted")]
    assert len(both[0]) == len(both[1]) == 10 and np.abs(both[0] - both[1]).max() > 0.01


def test_a_recipe_says_it():
    part = recipes.parse(tiny.RECIPE + "interventions: [{kind: down-weight, gamma: 2}]").interventions[0]
    assert part == DownWeight(gamma=2)
