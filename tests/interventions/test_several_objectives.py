"""Several objectives in one training: each takes a place's nats as the one before it left them, of one forward pass."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ontogeny.interventions import streams, treatment
from ontogeny.interventions.bigram_contrast import BigramContrast
from ontogeny.interventions.context_weight import ContextWeight
from ontogeny.interventions.down_weight import DownWeight
from ontogeny.interventions.history_dropout import HistoryDropout
from ontogeny.interventions.over_bigrams import OverBigramsObjective
from ontogeny.interventions.smoothing import SyntacticSmoothing
from ontogeny.records import OntogenyError
from ontogeny.training.treatment import batch_loss, nats_of

TEXTS = ["x y x y x z", "x z y y x"] * 4
ROWS = torch.tensor([[4, 5, 6, 4, 5], [5, 5, 4, 6, 6]])  # of seven tokens


def loss_of(context_of, *parts):
    context = context_of(TEXTS, interventions=parts)
    return treatment(context, streams(context, list), 0).loss


def network(seen):
    """Says the same fixed logits at each place, and keeps what it read."""
    logits = torch.randn(2, 4, 64, generator=torch.Generator().manual_seed(0))

    def model(input_ids, use_cache):
        seen.append(input_ids)
        return SimpleNamespace(logits=logits[:, :, : model.vocabulary])

    return model, logits


@pytest.fixture
def said(context_of):
    """said(*parts): the loss of a fixed network under them, how often it was asked, and its logits."""

    def make(*parts):
        seen = []
        model, logits = network(seen)
        model.vocabulary = len(context_of(TEXTS).tokenizer)
        torch.manual_seed(3)
        found = loss_of(context_of, *parts)
        if at := getattr(found, "at", None):
            at(0, 8)
        return float(found(model, ROWS, nullcontext)), len(seen), logits[:, :, : model.vocabulary]

    return make


def test_weights_multiply_in_one_forward_pass(context_of, said):
    parts = ContextWeight(strength=2), DownWeight(gamma=2)
    found, asked, logits = said(*parts)
    informed, weighted = (loss_of(context_of, part) for part in parts)
    places = informed.weights(ROWS[:, :-1], logits).flatten()
    targets = weighted.weights(ROWS[:, :-1].flatten(), ROWS[:, 1:].flatten())
    assert found == pytest.approx(float((nats_of(logits, ROWS) * targets * places / places.mean()).sum()), rel=1e-5)
    assert asked == 1 and found == pytest.approx(said(*reversed(parts))[0], rel=1e-5)


def test_what_comes_later_weighs_what_came_before(said):
    """Smoothing adds to each place's nats; weights after it weigh what it added too, weights before it do not."""
    plain, smoothed, weighted = said()[0], said(SyntacticSmoothing())[0], said(DownWeight())[0]
    before, after = said(DownWeight(), SyntacticSmoothing())[0], said(SyntacticSmoothing(), DownWeight())[0]
    assert before == pytest.approx(weighted + smoothed - plain, rel=1e-5)
    assert after != pytest.approx(before, rel=1e-3)


def test_weights_are_of_the_text_where_inputs_are_hidden(context_of, said):
    hidden, asked, _ = said(HistoryDropout(rate=1, pace="fixed"), DownWeight())
    assert asked == 1 and hidden == said(DownWeight())[0]  # this network says the same of any input


def test_one_alone_is_its_own_loss_and_none_the_plain_one(context_of):
    assert type(loss_of(context_of, DownWeight())).__name__ == "Weighted"
    assert loss_of(context_of, DownWeight(gamma=0), ContextWeight(strength=0)) is batch_loss
    assert type(loss_of(context_of, DownWeight(), ContextWeight(strength=0))).__name__ == "Weighted"


def test_training_tells_each_where_it_is(context_of):
    loss = loss_of(context_of, HistoryDropout(rate=0.8), DownWeight(pace="linear"))
    loss.at(3, 4)
    assert [float(loss.parts[0].rate), float(loss.parts[1].share)] == pytest.approx([0.2, 0.25])


def test_a_network_over_bigrams_learns_by_weights_too(short, trained):
    """At step 0 it says what bigrams say: places the context settles as bigrams do all weigh one, and the losses are the same."""
    over = trained(short(OverBigramsObjective(), training={"clip": 0}))
    both = trained(short(OverBigramsObjective(), ContextWeight(), training={"clip": 0}))
    assert type(both.state.model) is type(over.state.model)
    assert both.losses[0] == pytest.approx(over.losses[0], rel=1e-4)
    assert not np.allclose(both.losses[1:], over.losses[1:], rtol=1e-6)


def test_a_tilt_is_not_taken_back_where_another_objective_tilts(context_of):
    untilted = {"suites": [{"kind": "micro-english"}, {"kind": "untilted", "of": {"kind": "micro-english"}}]}
    context = context_of(TEXTS, interventions=(DownWeight(), SyntacticSmoothing()), **untilted)
    with pytest.raises(OntogenyError, match="untilted takes back what down-weight does, and syntactic-smoothing moves"):
        treatment(context, streams(context, list), 0)
    fine = context_of(TEXTS, interventions=(DownWeight(), BigramContrast()), **untilted)
    assert len(treatment(fine, streams(fine, list), 0).loss.parts) == 2
