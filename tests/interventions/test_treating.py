"""From interventions to what one seed's training is treated with."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from ruamel.yaml import YAML

from ontogeny.architectures.opt import OPT
from ontogeny.interventions import Course, Intervention, Objective, Window, streams, treatment
from ontogeny.interventions.bigram_contrast import BigramContrast
from ontogeny.interventions.down_weight import DownWeight
from ontogeny.interventions.history_dropout import HistoryDropout
from ontogeny.interventions.hybrid_rows import HybridRows
from ontogeny.records import OntogenyError
from ontogeny.tokens.prepare import TokenisedText
from ontogeny.tokens.rows import Blocks, Documents
from ontogeny.training import order, schedule
from ontogeny.training.session import build
from ontogeny.training.treatment import Change, batch_loss

TEXTS = ["the dog runs", "a cat runs", "the cat sees a dog"] * 6


class Halved(Objective):
    """Half of the usual loss, of a network that it puts a mark on."""

    kind: Literal["halved"] = "halved"

    def loss(self, context):
        return lambda model, tokens, autocast: batch_loss(model, tokens, autocast) / 2

    def model(self, network, context):
        network.mark = context.recipe.name
        return network


class Plain(Objective):
    """Changes nothing."""

    kind: Literal["plain"] = "plain"


class Doubled(Course):
    """Adds to a learning rate, then doubles it."""

    kind: Literal["doubled"] = "doubled"
    more: float = 0.0

    def change(self, context, seed):
        part = self

        class Rate(Change):
            own = seed

            def rate(self, rate, step, steps):
                return 2 * (rate + part.more)

        return Rate()


class Strange(Intervention):
    """None of the four kinds."""

    kind: Literal["strange"] = "strange"


@pytest.fixture
def treated(context_of):
    """treated(*parts): context and treatment of one seed."""

    def make(*parts, seed=0, **settings):
        context = context_of(TEXTS, interventions=parts, **settings)
        return context, treatment(context, streams(context, list), seed)

    return make


def test_without_interventions_training_is_plain(treated):
    context, found = treated()
    assert (found.loss, found.changes, len(found.periods)) == (batch_loss, (), 1)
    network = object()
    assert found.model(network) is network
    assert isinstance(found.rows(0, 10), Blocks)
    assert found.rows(0, 10).text is context.untouched
    assert found.rate(0.25, 3, 10) == 0.25
    with found.kept(None):
        pass


def test_plain_training_is_bit_for_bit_the_loop_as_it_was(short, trained):
    """Written out: rows of a seed's permutation, the mean loss, a clipped step of AdamW at the schedule's rate."""
    context = short(training={"learning_rate": 0.01})
    found, training = trained(context, 5), context.recipe.training
    torch.manual_seed(5)
    model = build(context.recipe, TokenisedText(context.tokenizer, context.text, context.text)).train()
    groups = [[p for p in model.parameters() if p.ndim >= 2], [p for p in model.parameters() if p.ndim < 2]]
    optimiser = torch.optim.AdamW(
        [{"params": groups[0], "weight_decay": 0.1}, {"params": groups[1], "weight_decay": 0.0}], fused=True
    )
    for step in range(6):
        for group in optimiser.param_groups:
            group["lr"] = schedule.learning_rate(training, step, 6)
        torch.manual_seed(5 * 1_000_003 + step)
        indices = order.batch(5, step, 4, context.text.blocks(8))
        tokens = torch.from_numpy(context.text.block(indices, 8))
        logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="sum") / 32
        loss.backward()
        assert found.losses[step] == loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
    assert all(torch.equal(found.weights[name], p) for name, p in model.named_parameters())


def test_a_row_is_what_training_says(treated):
    _, found = treated(training={"unit": "document", "context": 8})
    assert isinstance(found.rows(0, 10), Documents)


def test_an_objective_has_its_loss_and_its_model(short, trained, treated):
    _, found = treated(Halved())

    class Network:
        pass

    assert found.model(Network()).mark == "tiny"
    whole, half = trained(short(training={"clip": 0})), trained(short(Halved(), training={"clip": 0}))
    assert half.losses[0] == pytest.approx(whole.losses[0] / 2)
    assert half.state.model.mark == "tiny"
    norms = [[row[2] for row in one.state.history] for one in (whole, half)]
    assert norms[1][0] == pytest.approx(norms[0][0] / 2, rel=1e-4)


def test_an_objective_that_changes_nothing_changes_nothing(short, trained):
    assert trained(short(Plain())).losses == trained(short()).losses


def test_a_models_own_loss_is_taken_where_there_is_no_objective(context_of):
    def own(model, tokens, autocast):
        return batch_loss(model, tokens, autocast)

    class Masked(OPT):
        @property
        def loss(self):
            return own

    def masked(*parts):
        context = context_of(TEXTS, interventions=parts)
        return replace(context, recipe=context.recipe.model_copy(update={"model": Masked()}))

    assert treatment(masked(), streams(masked(), list), 0).loss is own
    with pytest.raises(OntogenyError, match="plain is for models of the next token; opt has an objective of its own"):
        treatment(masked(Plain()), streams(masked(), list), 0)


def test_courses_are_made_for_their_seed_and_follow_one_another(treated):
    _, found = treated(Doubled(more=1.0), Doubled(), seed=7)
    assert [change.own for change in found.changes] == [7, 7]
    assert found.rate(0.5, 0, 10) == 2 * 2 * (0.5 + 1.0)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((Halved(), Doubled(), Halved()), "halved is there twice; a training has it once"),
        ((Halved(), DownWeight()), "the loss of halved is no PlaceLoss, so that it goes with no other objective"),
        ((Plain(), HybridRows()), "hybrid-rows sets the objective of whole rows, and goes with no other: leave plain out"),
        ((HistoryDropout(), BigramContrast()), "history-dropout and bigram-contrast each draw something of a batch"),
        ((Plain(when=Window(start=0.5)),), "plain holds all along; leave its `when` out"),
        ((Plain(when=Window(until=0.5)),), "plain holds all along"),
        ((Strange(),), "strange is neither an edit of the corpus, an objective, nor a course"),
    ],
)
def test_what_cannot_be_is_refused(treated, parts, said):
    with pytest.raises(OntogenyError, match=said):
        treated(*parts)


PAGE = Path(__file__).parents[2] / "docs" / "interventions" / "weights.md"


@pytest.mark.parametrize("block", re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))
def test_the_recipes_shown_can_be_trained(short, block):
    parts = YAML(typ="safe").load(block)["interventions"]
    context = short(*parts, steps=400)
    assert len(treatment(context, streams(context, list), 0).changes) == len(parts) > 0
