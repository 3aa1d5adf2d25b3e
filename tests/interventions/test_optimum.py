"""What is the best that a model can say under each objective?  Where it is called context-only: the text's own probabilities.

The text is every row of three symbols, as often as a chain has it, so that at the chain's own probabilities the gradient of an
objective of the context alone is zero, but for what is drawn at random, and that of a tilt is not.
"""

from contextlib import nullcontext
from itertools import product
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ontogeny import registry
from ontogeny.interventions import Objective
from ontogeny.interventions.bigram_contrast import Contrasted
from ontogeny.interventions.context_weight import ContextWeight, Informed
from ontogeny.interventions.distil import Distilled
from ontogeny.interventions.history_dropout import HistoryDropout
from ontogeny.interventions.over_bigrams import sparse
from ontogeny.training.treatment import batch_loss

CHAIN = {"x": {"x": 2, "y": 1, "z": 1}, "y": {"x": 1, "y": 1, "z": 2}, "z": {"x": 2, "y": 2, "z": 0}}  # quarters
DRAWN = 300  # times the text, where something is drawn


class Table(nn.Module):
    """Says log p of what follows each token, by a table [vocabulary, vocabulary]."""

    def __init__(self, logp):
        super().__init__()
        self.logp = nn.Parameter(logp)

    def forward(self, input_ids, use_cache=False):
        return SimpleNamespace(logits=self.logp[input_ids])


@pytest.fixture
def world(context_of):
    """A context whose text is the chain's, its rows as tokens, and the table of its probabilities."""
    rows = [[a, b, c] for a, b, c in product("xyz", repeat=3) for _ in range(CHAIN[a][b] * CHAIN[b][c])]
    context = context_of([" ".join(row) for row in rows])
    ids = {symbol: context.tokenizer.convert_tokens_to_ids(symbol) for symbol in "xyz"}
    logp = torch.full((len(context.tokenizer),) * 2, -30.0)
    for history, follow in CHAIN.items():
        for symbol, quarters in follow.items():
            logp[ids[history], ids[symbol]] = torch.log(torch.tensor(quarters / 4)) if quarters else -30.0
    return context, torch.tensor([[ids[symbol] for symbol in row] for row in rows]), logp


def slope(loss, tokens, logp, symbols):
    """The largest gradient, per target, of what is said after each of the symbols."""
    torch.manual_seed(0)
    table = Table(logp)
    loss(table, tokens, nullcontext).backward()
    return float(table.logp.grad[symbols].abs().max()) / tokens[:, 1:].numel()


def objectives(context):
    """Each registered objective with settings under which it changes something."""
    uniform = Distilled([lambda inputs: torch.zeros(*inputs.shape, len(context.tokenizer))], 0.5)
    # The first has no model here, the second leaves the loss as it is, and the third's masked rows are about another distribution.
    chosen = {"distil": uniform, "over-bigrams": None, "hybrid-rows": None}
    settings = {"history-dropout": {"rate": 0.4, "pace": "fixed"}, "bigram-contrast": {"strength": 1, "share": 1}}
    for name in registry.TABLES["intervention"]:
        kind = registry.load("intervention", name)
        if issubclass(kind, Objective):
            own = chosen[name] if name in chosen else kind(**settings.get(name, {})).loss(context)
            yield name, kind.context_only, own


def test_an_objective_that_is_called_context_only_leaves_the_optimum_where_it_is_and_a_tilt_is_not_called_so(world):
    context, tokens, logp = world
    symbols = tokens.unique()
    found = {}
    for name, context_only, loss in objectives(context):
        if loss is not None:
            drawn = tokens.repeat(DRAWN, 1) if name in ("history-dropout", "bigram-contrast") else tokens
            found[name] = context_only, slope(loss, drawn, logp, symbols)
    assert {name for name, (context_only, _) in found.items() if context_only} == {
        "context-weight",
        "history-dropout",
        "bigram-contrast",
    }
    for name, (context_only, gradient) in found.items():
        assert (gradient < 0.006) == context_only, (name, gradient)  # chance leaves .004; tilts: .02 and more
    assert slope(batch_loss, tokens, logp, symbols) < 1e-6
    twin = Informed(sparse(context.bigrams()), 2.0, 3.0)  # places after one symbol alone count more
    twin.count_after(symbols[:1].tolist())
    assert slope(twin, tokens, logp, symbols) < 0.006


def test_where_the_reference_says_what_bigrams_say_all_weights_are_one(world):
    context, tokens, _ = world
    bigrams = sparse(context.bigrams())
    informed = Informed(bigrams, 2.0, 3.0)
    assert torch.allclose(informed.weights(tokens, bigrams(tokens)), torch.ones(tokens.shape), atol=1e-5)
    sure = torch.full((*tokens.shape, len(context.tokenizer)), -30.0)
    sure[..., tokens[0, 0]] = 0  # KL = -log p2(x | before), by hand
    expected = 1 + 2 * (-bigrams(tokens)[..., tokens[0, 0]]).clamp(max=3)
    assert torch.allclose(informed.weights(tokens, sure), expected, atol=1e-5)


@pytest.mark.parametrize(
    "kind, off", [(ContextWeight, "strength"), (HistoryDropout, "rate"), ("bigram-contrast", "strength"), ("hybrid-rows", "share")]
)
def test_with_nothing_of_it_the_loss_is_the_plain_one_bit_for_bit(kind, off, world):
    kind = registry.load("intervention", kind) if isinstance(kind, str) else kind
    assert kind(**{off: 0}).loss(world[0]) is batch_loss


def test_bigrams_cannot_tell_the_pairs_apart(world):
    context, tokens, _ = world
    bigrams = sparse(context.bigrams())
    loss = Contrasted(bigrams, context.tokenizer.all_special_ids, 1.0, 1.0)
    torch.manual_seed(1)
    pairs = loss.drawn(tokens)
    assert 0 < len(pairs.row) <= len(tokens)
    assert ((pairs.other != tokens[pairs.row]).sum(1) == 1).all() and (pairs.other[:, [0, 2]] == tokens[pairs.row][:, [0, 2]]).all()
    torch.manual_seed(1)
    own = Table(bigrams(torch.arange(len(context.tokenizer))))
    with torch.no_grad():
        extra = float(loss(own, tokens, nullcontext)) - float(batch_loss(own, tokens, nullcontext))
    assert extra / tokens[:, 1:].numel() == pytest.approx(torch.log(torch.tensor(2.0)).item(), abs=1e-4)


def test_everything_hidden_leaves_the_unigrams(world):
    """With all inputs hidden a model's best is what follows anything."""
    context, tokens, logp = world
    loss = HistoryDropout(rate=1, pace="fixed").loss(context)
    unknown = context.tokenizer.unk_token_id
    counts = torch.bincount(tokens[:, 1:].flatten(), minlength=len(context.tokenizer)).float()
    known = logp.clone()
    known[unknown] = (counts / counts.sum()).clamp(min=1e-12).log()
    entropy = -(counts / counts.sum() * known[unknown])[counts > 0].sum()
    with torch.no_grad():
        nats = float(loss(Table(known), tokens, nullcontext))
    assert nats / tokens[:, 1:].numel() == pytest.approx(float(entropy), rel=1e-4)
    loss.at(3, 4)
    assert float(loss.rate) == 1
    falling = HistoryDropout(rate=0.8).loss(context)
    falling.at(3, 4)
    assert float(falling.rate) == pytest.approx(0.2)


def test_bos_is_never_hidden(context_of):
    context = context_of(["x y"])
    loss, seen = HistoryDropout(rate=1, pace="fixed").loss(context), []
    row = torch.tensor([[context.first, *context.tokenizer.convert_tokens_to_ids(["x", "y"])]])

    def model(input_ids, use_cache):
        seen.append(input_ids)
        return SimpleNamespace(logits=torch.zeros(1, 2, len(context.tokenizer)))

    loss(model, row, nullcontext)
    assert seen[0].tolist() == [[context.first, context.tokenizer.unk_token_id]]
