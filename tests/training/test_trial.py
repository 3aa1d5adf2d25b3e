"""The loss in place on numbers known by hand, and the trial that chooses how to train and changes nothing else."""

import math
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from ontogeny import disk, store
from ontogeny.laboratory import Run
from ontogeny.recipe import Training
from ontogeny.store import RunFolder
from ontogeny.tokens import token_store
from ontogeny.tokens.rows import NOT_COUNTED, Blocks
from ontogeny.training import engine as engines
from ontogeny.training import session, treatment, trial
from ontogeny.training.engine import Engine
from ontogeny.training.treatment import Period, Treatment, batch_loss, in_place_loss, logits_of
from ontogeny.training.trial import Measured, fastest, open_ways, race

PLAIN = Engine(torch.device("cpu"), 1, "float32", False)
IN_PLACE = replace(PLAIN, in_place=True)
COMPILED = replace(PLAIN, compile=True)
LINES = ("the dog sees the cat", "the cat sees the dog", "a dog runs") * 20
OPEN = Training(context=8, batch=4, device="cpu", threads=1, compile="off", precision="float32", trial="on")


def saying(logits):
    """A model that says these logits, whatever it is asked."""
    return lambda input_ids, use_cache: SimpleNamespace(logits=logits)


def rows(*targets):
    return torch.tensor([[1, *row] for row in targets])


# --- the loss in place


def test_the_loss_and_its_gradient_by_hand():
    """Probabilities 1/4 and 3/4; the first target is token 0, the second is past the row's end."""
    given_logits = torch.tensor([[[0.0, math.log(3)], [0.0, math.log(3)]]], requires_grad=True)
    logits = given_logits * 1
    loss = in_place_loss(logits_of)(saying(logits), rows([0, NOT_COUNTED]), nullcontext)
    assert loss.item() == pytest.approx(math.log(4))
    (loss / 2).backward()
    expected = torch.tensor([[[-0.375, 0.375], [0.0, 0.0]]])
    assert torch.allclose(given_logits.grad, expected)
    assert torch.equal(logits.detach(), given_logits.grad)  # the same memory


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(2, 7), st.integers(0, 2**20), st.sampled_from([1.0, 30.0, 1000.0]), st.integers(1, 200))
def test_in_place_or_not_the_loss_and_gradients_are_the_same(count, vocabulary, seed, scale, size):
    torch.manual_seed(seed)
    logits = scale * torch.randn(1, count, vocabulary)
    tokens = torch.randint(0, vocabulary, (1, count + 1))
    tokens[0, 1:][torch.rand(count) < 0.2] = NOT_COUNTED
    found = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(treatment, "IN_PLACE_BYTES", size)
        for loss in (batch_loss, in_place_loss(logits_of)):
            leaf = logits.clone().requires_grad_()
            nats = loss(saying(leaf * 1), tokens, nullcontext)
            nats.backward()
            found.append((nats.item(), leaf.grad))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5, abs=1e-5)
    assert torch.allclose(found[1][1], found[0][1], atol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_network_gets_the_gradients_of_the_plain_loss(precision):
    tokens = torch.randint(4, 20, (3, 9), generator=torch.Generator().manual_seed(0))
    grads = []
    for engine in (replace(PLAIN, precision=precision), replace(IN_PLACE, precision=precision)):
        model = tiny.opt(20, 8)
        engine.compiled(batch_loss)(model, tokens, engine.autocast).backward()
        grads.append([p.grad for p in model.parameters()])
    for plain, in_place in zip(*grads, strict=True):
        assert torch.allclose(plain, in_place, rtol=1e-4, atol=1e-5 if precision == "float32" else 2e-2)


def test_without_a_gradient_the_logits_stay_as_they_are():
    logits = torch.randn(1, 2, 5)
    before = logits.clone()
    loss = in_place_loss(logits_of)(saying(logits), rows([3, 4]), nullcontext)
    assert loss.item() == pytest.approx(F.cross_entropy(before[0], torch.tensor([3, 4]), reduction="sum").item())
    assert torch.equal(logits, before)


def test_a_model_that_needs_its_logits_is_refused_and_not_trained_wrongly():
    logits = torch.tanh(torch.randn(1, 2, 5, requires_grad=True))  # its gradient is 1 - tanh squared
    loss = in_place_loss(logits_of)(saying(logits), rows([3, 4]), nullcontext)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_objectives_of_their_own_are_left_as_they_are():
    def own(model, tokens, autocast):
        return model

    assert IN_PLACE.compiled(own) is own
    assert PLAIN.compiled(batch_loss) is batch_loss


# --- the engine in the lineage


def test_an_engine_goes_on_from_lineages_older_than_the_choice():
    old = {"device": "cpu", "threads": 1, "precision": "float32", "compile": False}
    assert Engine.from_lineage(old) == PLAIN
    assert PLAIN.lineage() == old  # which the key of every state is made of
    assert Engine.from_lineage(IN_PLACE.lineage()) == IN_PLACE


def test_without_a_trial_float32_is_not_compiled_on_a_processor(monkeypatch):
    monkeypatch.setattr(engines, "can_compile", lambda device: True)
    asked = Training(device="cpu", precision="float32")
    assert not engines.choose(asked, 10**8, 10**6).compile
    assert engines.choose(asked.model_copy(update={"precision": "bfloat16"}), 10**8, 10**6).compile


# --- what is chosen


def took(engine, first, step, trouble=""):
    return Measured(engine, first, step, 1000, trouble)


def test_the_fastest_is_what_ends_first_compilation_among_its_time():
    tried = [took(PLAIN, 1, 1), took(COMPILED, 31, 0.8)]
    assert tried[0].whole(100) == 100
    assert tried[1].whole(100) == pytest.approx(31 + 99 * 0.8)
    assert fastest(tried, PLAIN, 100) == PLAIN  # 110 s against 100
    assert fastest(tried, PLAIN, 1000) == COMPILED  # 830 against 1,000


def test_the_default_stays_unless_another_is_faster_by_more_than_chance():
    assert fastest([took(PLAIN, 1, 1), took(IN_PLACE, 0.98, 0.98)], PLAIN, 1000) == PLAIN
    assert fastest([took(PLAIN, 1, 1), took(IN_PLACE, 0.9, 0.9)], PLAIN, 1000) == IN_PLACE


def test_a_default_that_there_was_no_time_to_try_stays():
    assert fastest([took(PLAIN, 1, 1), took(IN_PLACE, 0.5, 0.5)], COMPILED, 1000) == COMPILED


def test_what_failed_is_not_chosen():
    assert fastest([took(PLAIN, 0, 0, "no compiler"), took(IN_PLACE, 9, 9)], PLAIN, 1000) == IN_PLACE


def test_the_ways_are_those_that_the_recipe_leaves_open(monkeypatch):
    monkeypatch.setattr(trial, "can_compile", lambda device: True)
    monkeypatch.setattr(trial, "bfloat16_pays", lambda device: False)
    plain = Treatment(())
    every = Training(device="cpu")
    assert [str(way) for way in open_ways(every, PLAIN, plain)] == [
        "float32",
        "float32, in place",
        "float32, compiled",
        "float32, compiled, in place",
    ]
    monkeypatch.setattr(trial, "bfloat16_pays", lambda device: True)
    assert len(open_ways(every, PLAIN, plain)) == 8
    assert open_ways(Training(precision="float32", compile="off", in_place="off"), PLAIN, plain) == [PLAIN]
    own = Treatment((), loss=lambda model, tokens, autocast: model)
    assert not any(way.in_place for way in open_ways(every, PLAIN, own))


@pytest.mark.parametrize(
    ("changed", "parameters", "steps", "why"),
    [
        ({"trial": "off"}, 10**9, 10**6, "training.trial is off"),
        ({"in_place": "off"}, 10**9, 10**6, "the recipe leaves nothing open"),
        ({}, 10**9, 2, "3 steps of each way are more than the training has"),
        ({"trial": "auto"}, 1000, 10**6, "the training is too short to gain by one"),
        ({"trial": "auto"}, 10**12, 299, "6 steps would be more than 2% of the training's 299"),
    ],
)
def test_no_trial_says_why(changed, parameters, steps, why):
    asked = OPEN.model_copy(update=changed)
    found = trial.choose(pytest.fail, Treatment(()), asked, PLAIN, parameters, steps)
    assert found.facts() == {"none": why}
    assert found.engine == PLAIN


# --- the trial


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    lines = tiny.documents(*LINES)
    text = token_store.write(tmp_path_factory.mktemp("t"), "train", lines, tiny.words(*LINES), bos=True, key="k")
    return Treatment((Period(1.0, Blocks(text, 8)),))


def network():
    return tiny.opt(20, 8, dropout=0.1)


def test_each_way_is_measured_and_the_generator_and_threads_are_left_alone(plain):
    torch.manual_seed(7)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(3)
    found = trial.choose(network, plain, OPEN, PLAIN, 1000, 50)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == 3
    torch.set_num_threads(threads)
    assert [way.engine.in_place for way in found.tried] == [False, True]
    assert all(way.first > 0 and way.step > 0 and way.tokens == 32 for way in found.tried)
    assert found.engine in {way.engine for way in found.tried}
    assert found.facts()["chosen"] == str(found.engine)
    assert [way["way"] for way in found.facts()["tried"]] == ["float32", "float32, in place"]


def test_a_way_that_fails_is_said_and_the_others_are_measured(plain, monkeypatch):
    def broken(*parts):
        raise ValueError("no such thing\nat all")

    monkeypatch.setattr(engines, "in_place_loss", lambda logits_of: broken)
    found = race([PLAIN, IN_PLACE], network, plain, OPEN, 50)
    assert [way.trouble for way in found] == ["", "ValueError: no such thing at all"]
    assert found[1].facts() == {"way": "float32, in place", "trouble": "ValueError: no such thing at all"}
    assert fastest(found, IN_PLACE, 50) == PLAIN


def test_compiled_ways_are_left_out_where_compiling_would_take_too_long(plain, monkeypatch):
    tried = []

    def never(ways, *parts):
        tried.extend(ways)
        return [took(way, 1.0, 1.0) for way in ways]

    monkeypatch.setattr(trial, "race", never)
    monkeypatch.setattr(trial, "can_compile", lambda device: True)
    asked = OPEN.model_copy(update={"compile": "auto", "trial": "auto"})
    trial.choose(network, plain, asked, PLAIN, 10**12, 1999)  # 2 x 20 s of 1,999
    assert [way.compile for way in tried] == [False, False]
    tried.clear()
    trial.choose(network, plain, asked, PLAIN, 10**12, 2001)
    assert [way.compile for way in tried] == [False, False, True, True]


def losses(run):
    return disk.read_table(run.folder.losses(0)).drop("seconds")


QUICK = ("seeds=[0]", "scoring.live=false", "training.save_minutes=0")


def test_a_run_with_a_trial_is_bit_for_bit_one_without_and_the_same_engine(tmp_path, monkeypatch):
    real, calls = trial.measured, []

    def in_place_wins(engine, clock, training, trouble=""):
        calls.append(engine)
        return replace(real(engine, clock, training, trouble), step=1.0 - engine.in_place / 2, first=1.0)

    monkeypatch.setattr(trial, "measured", in_place_wins)
    display = tiny.Heard()
    tried = Run.begin(tiny.recipe("training.trial=on", "name=tried", *QUICK), tmp_path, display)
    tried.train()
    asked = Run.begin(tiny.recipe("training.trial=off", "training.in_place=on", "name=asked", *QUICK), tmp_path)
    asked.train()
    assert losses(tried).equals(losses(asked))
    for step in tiny.TRAINED:
        first, second = (store.weights_hash(run.folder.checkpoint(0, step)) for run in (tried, asked))
        assert first == second
    kept = tried.folder.lineage()
    assert kept["engine"] == asked.folder.lineage()["engine"]
    assert kept["engine"]["in_place"] is True
    assert kept["trial"]["chosen"] == "float32, in place"
    assert asked.folder.lineage()["trial"] == {"none": "training.trial is off"}
    assert any("chosen: float32, in place" in line for line in display.said)

    # a run that goes on takes what was found, and tries nothing
    count = len(calls)
    again = Run.begin(tiny.recipe("training.trial=on", "name=tried", *QUICK), tmp_path)
    again.train()
    assert len(calls) == count
    assert again.training_plan().engine.in_place


def test_a_small_run_has_no_trial_and_says_so(finished_run):
    assert RunFolder(finished_run).lineage()["trial"] == {"none": "the training is too short to gain by one"}


def test_states_of_runs_older_than_the_choice_are_still_theirs(finished_run):
    """The key leaves out what they did not know of."""
    here = Run(finished_run)
    changed = here.recipe.model_copy(
        update={"training": here.recipe.training.model_copy(update={"trial": "off", "in_place": "off"})}
    )
    assert session.training_key(changed, here.text, PLAIN) == session.training_key(here.recipe, here.text, PLAIN)
    assert session.training_key(here.recipe, here.text, IN_PLACE) != session.training_key(here.recipe, here.text, PLAIN)
