"""A real context over a word tokenizer, without a run; and trainings of a few steps, halted and gone on."""

from itertools import count
from typing import NamedTuple

import pytest
import tiny
import torch

from ontogeny import disk
from ontogeny.interventions import InterventionContext, Stream, treatment
from ontogeny.recipe import Recipe
from ontogeny.records import Document
from ontogeny.store import RunFolder
from ontogeny.tokens import token_store
from ontogeny.tokens.prepare import TokenisedText
from ontogeny.tokens.trained import WordTokenizer
from ontogeny.training import loop
from ontogeny.training.engine import Engine
from ontogeny.training.session import build
from ontogeny.training.state import TrainingState

LINES = ["the dog sees the cat", "the cat sees the dog", "a dog runs", "a cat runs and the dog sees the cat"] * 4
LAYERS = {
    "hidden_size": 8,
    "word_embed_proj_dim": 8,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "ffn_dim": 8,
    "dropout": 0.1,
}
ENGINE = Engine(torch.device("cpu"), 1, "float32", False)


@pytest.fixture
def context_of(tmp_path):
    """The context of documents (or their texts) as a run has it: context_of(documents, pairs=(), warn=..., **recipe settings).

    The settings are laid over tiny's recipe, those of `training` field by field; `interventions` may hold parts that are made
    already, of kinds that no registry knows.
    """
    runs = count()

    def make(documents, pairs=(), warn=lambda text: None, **settings):
        documents = [d if isinstance(d, Document) else Document(d, "test", line) for line, d in enumerate(documents, 1)]
        recipe = recipe_with(**settings)
        folder = RunFolder(tmp_path / f"run-{next(runs)}")
        tokenizer = WordTokenizer().make(documents)
        key = disk.content_key([document.text for document in documents], recipe.bos)
        text = token_store.write(folder.tokens, "train", documents, tokenizer, bos=recipe.bos, key=key)
        return InterventionContext(folder, recipe, tokenizer, text, text, lambda: list(pairs), warn)

    return make


def recipe_with(**settings):
    """Tiny's recipe with other settings."""
    plain = tiny.recipe().model_dump(mode="json")
    return Recipe.model_validate({**plain, **settings, "training": {**plain["training"], **settings.get("training", {})}})


@pytest.fixture
def short(context_of):
    """short(*interventions, steps=6, options={}, training={}, **settings): of a short training of three small layers."""

    def make(*parts, steps=6, options=None, training=None, **settings):
        model = {"kind": "opt", "size": "opt-1m", "options": {**LAYERS, **(options or {})}}
        training = {"context": 8, "batch": 4, "steps": steps, **(training or {})}
        return context_of(LINES, interventions=parts, model=model, training=training, **settings)

    return make


# --- training in a moment -----------------------------------------------------------------------------------------


class Trained(NamedTuple):
    """A training to its end: what a checkpoint at each step would keep, the weights and losses at the end, the optimiser."""

    kept: dict[int, dict[str, torch.Tensor]]
    state: TrainingState

    @property
    def weights(self):
        return weights(self.state.model)

    @property
    def losses(self):
        return [row[0] for row in self.state.history]

    @property
    def rates(self):
        return [row[1] for row in self.state.history]


def weights(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def begin(context, seed=0):
    """State and treatment at step 0, as a run's training has them."""
    treated = treatment(context, [Stream(0.0, 1.0, context.text, ())], seed)
    torch.manual_seed(seed)
    text = TokenisedText(context.tokenizer, context.text, context.text)
    return TrainingState(treated.model(build(context.recipe, text)), context.recipe.training, treated.changes), treated


def train(context, state, treated, seed=0):
    """Trains on from a state, reading it at every step as a checkpoint would."""
    kept, training = {}, context.recipe.training
    steps = training.steps
    for moment in loop.train(state, treated, training, ENGINE, seed, steps, set(range(steps + 1))):
        with treated.kept(state):
            kept[moment.step] = weights(state.model)
    return Trained(kept, state)


@pytest.fixture
def begun():
    """begun(context, seed=0): state and treatment before the first step."""
    return begin


@pytest.fixture
def trained():
    """trained(context, seed=0): a training to its end."""
    return lambda context, seed=0: train(context, *begin(context, seed), seed)


@pytest.fixture
def goes_on(tmp_path):
    """goes_on(context, stops): a training that is halted at each of these steps goes on bit for bit as if it had not been."""

    def check(context, stops, seed=0):
        whole = train(context, *begin(context, seed), seed)
        for stop in stops:
            halted, treated = begin(context, seed)
            for _ in loop.train(halted, treated, context.recipe.training, ENGINE, seed, context.recipe.training.steps, {stop}):
                halted.save(tmp_path / "state", "key")
                break
            torch.manual_seed(99)  # whatever the generator was at in the process that goes on
            resumed, treated = begin(context, seed)
            scramble(resumed.model)
            resumed.restore(tmp_path / "state", "key")
            after = train(context, resumed, treated, seed)
            assert after.losses == whole.losses
            assert same(after.weights, whole.weights)
            assert sorted(after.kept) == list(range(stop, context.recipe.training.steps + 1))
            assert all(same(after.kept[step], whole.kept[step]) for step in after.kept)

    return check


def same(one, other):
    """True if two sets of weights are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@torch.no_grad()
def scramble(model):
    """What is not restored stays wrong."""
    for parameter in model.parameters():
        parameter.fill_(7.0)
