"""The loop on numbers known by hand, and going on after a kill as if nothing had been."""

import math
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from torch.nn import functional as F

from ontogeny import disk, store
from ontogeny import recipe as recipes
from ontogeny.laboratory import Run
from ontogeny.recipe import Training
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder
from ontogeny.tokens import token_store
from ontogeny.tokens.rows import Blocks
from ontogeny.training import order, session
from ontogeny.training.engine import Engine, choose, find_device
from ontogeny.training.loop import batch_loss, dev_loss, train
from ontogeny.training.state import TrainingState
from ontogeny.training.treatment import Period, Treatment

ENGINE = Engine(torch.device("cpu"), 1, "float32", False)
LINES = ("the dog sees the cat", "the cat sees the dog", "a dog runs", "a cat runs and the dog sees the cat") * 20
SETTINGS = {"context": 8, "batch": 8, "warmup": 2, "learning_rate": 0.01, "schedule": "constant"}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    lines = tiny.documents(*LINES)
    return token_store.write(tmp_path_factory.mktemp("t"), "train", lines, tiny.words(*LINES), bos=True, key="k")


def begin(text, training, seed=0, **options):
    model = tiny.opt(text.facts["vocabulary"], training.context, seed, **{"dropout": 0.0, "init_std": 0.02, **options})
    return TrainingState(model, training)


def run(text, steps=20, seed=0, state=None, checkpoints=(), options=None, **settings):
    training = Training(**{**SETTINGS, **settings})
    state = state or begin(text, training, seed, **(options or {}))
    moments = list(train(state, plain(text, training.context), training, ENGINE, seed, steps, set(checkpoints)))
    return state, moments


def plain(text, context):
    return Treatment((Period(1.0, Blocks(text, context)),))


def losses(state):
    return [row[0] for row in state.history]


def test_a_model_learns(text):
    state, _ = run(text, 60)
    unigram = text.facts["unigram_entropy"]
    assert losses(state)[0] == pytest.approx(math.log(text.facts["vocabulary"]), abs=0.1)
    assert np.mean(losses(state)[-5:]) < unigram - 0.5


@pytest.mark.parametrize("parts", [2, 3, 4, 8])
def test_parts_of_a_batch_change_no_loss(text, parts):
    whole, split = losses(run(text, 10)[0]), losses(run(text, 10, accumulation=parts)[0])
    assert split == pytest.approx(whole, abs=1e-5)


def test_the_first_steps_by_hand(text):
    """AdamW written out: batch, mean loss over tokens, clipped gradient, no decay of vectors."""
    state, _ = run(text, 3, clip=0.05, weight_decay=0.5, learning_rate=0.1)
    training = Training(**{**SETTINGS, "clip": 0.05, "weight_decay": 0.5, "learning_rate": 0.1})
    model = begin(text, training).model
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in model.named_parameters()}
    for step, rate in enumerate([0.05, 0.1, 0.1]):
        tokens = torch.from_numpy(text.block(order.batch(0, step, 8, text.blocks(8)), 8))
        logps = torch.log_softmax(model(input_ids=tokens[:, :-1]).logits, -1)
        loss = -logps.gather(-1, tokens[:, 1:, None]).mean()
        assert state.history[step][:2] == pytest.approx((loss.item(), rate), abs=1e-6)
        model.zero_grad()
        loss.backward()
        norm = math.sqrt(sum(float((p.grad**2).sum()) for p in model.parameters()))
        assert state.history[step][2] == pytest.approx(norm, rel=1e-4)
        with torch.no_grad():
            for name, p in model.named_parameters():
                gradient = p.grad * min(1, 0.05 / norm)
                first, second = moments[name]
                first.mul_(0.9).add_(0.1 * gradient)
                second.mul_(0.999).add_(0.001 * gradient**2)
                p.mul_(1 - rate * (0.5 if p.ndim >= 2 else 0))
                p.sub_(rate * (first / (1 - 0.9 ** (step + 1))) / ((second / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8))
    for (name, ours), theirs in zip(state.model.named_parameters(), model.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=2e-3), name


def test_the_loss_of_a_batch_by_hand(text):
    model = tiny.opt(text.facts["vocabulary"], 8)
    tokens = torch.from_numpy(text.block(np.array([0, 3]), 8))
    logps = torch.log_softmax(model(input_ids=tokens[:, :-1]).logits, -1)
    expected = -np.sum([logps[i, j, tokens[i, j + 1]].item() for i in range(2) for j in range(8)])
    assert batch_loss(model, tokens, ENGINE.autocast).item() == pytest.approx(expected, abs=1e-5)


def test_the_loss_on_held_out_text_by_hand(text):
    model = tiny.opt(text.facts["vocabulary"], 8, dropout=0.5)
    model.train()
    blocks = text.blocks(8)
    total = 0.0
    model.eval()
    for i in range(blocks):
        ids = torch.from_numpy(text.ids[i * 8 : i * 8 + 9].astype(np.int64))
        total += F.cross_entropy(model(input_ids=ids[None, :-1]).logits[0], ids[1:], reduction="sum").item()
    model.train()
    found = dev_loss(model, Blocks(text, 8), Training(context=8), torch.device("cpu"))
    assert found == pytest.approx(total / (8 * blocks), abs=1e-5)
    assert model.training  # left as training needs it


def test_the_loss_on_held_out_text_is_over_as_many_tokens_as_asked(text):
    seen = []
    model = tiny.opt(text.facts["vocabulary"], 8)
    model.register_forward_pre_hook(lambda module, args, kwargs: seen.append(kwargs["input_ids"].numel()), with_kwargs=True)
    dev_loss(model, Blocks(text, 8), Training(context=8, dev_tokens=40), torch.device("cpu"))
    assert sum(seen) == 40
    seen.clear()
    dev_loss(model, Blocks(text, 8), Training(context=8, dev_tokens=1), torch.device("cpu"))
    assert sum(seen) == 8


def test_a_held_out_text_shorter_than_a_block_is_refused(text):
    with pytest.raises(OntogenyError, match="the held-out text is shorter than one block of 5000 tokens"):
        dev_loss(None, Blocks(text, 5000), Training(context=5000), torch.device("cpu"))


def test_a_loss_that_is_no_number_ends_training(text):
    training = Training(**SETTINGS)
    state = begin(text, training)
    with torch.no_grad():
        next(state.model.parameters()).fill_(float("nan"))
    with pytest.raises(OntogenyError, match=r"the loss is not a number at step 1; a smaller training\.learning_rate may help"):
        run(text, state=state)
    assert state.step == 0


def test_it_stands_still_at_checkpoints_with_what_was_seen_so_far(text):
    state, moments = run(text, 6, checkpoints=[0, 2, 5, 6])
    assert [(m.step, m.checkpoint, m.tokens) for m in moments] == [(0, True, 0), (2, True, 128), (5, True, 320), (6, True, 384)]
    words = [text.words_in(order.batch(0, step, 8, text.blocks(8)), 8) for step in range(6)]
    assert [m.words for m in moments] == pytest.approx([0, sum(words[:2]), sum(words[:5]), sum(words)])
    assert state.words == pytest.approx(sum(words))


def test_it_stands_still_to_be_saved_when_that_is_due(text):
    _, moments = run(text, 3, checkpoints=[3], save_minutes=0)
    assert [(m.step, m.checkpoint) for m in moments] == [(0, False), (1, False), (2, False), (3, True)]


def test_seeds_differ_and_one_seed_repeats_itself(text):
    one, again, other = (losses(run(text, 5, seed=seed, options={"dropout": 0.2})[0]) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_data_order_and_dropout_do_not_depend_on_the_number_of_steps(text):
    short, long = (losses(run(text, steps, options={"dropout": 0.2})[0]) for steps in (5, 9))
    assert long[:5] == short


# --- going on


def test_training_goes_on_from_its_state_as_if_it_had_not_stopped(text, tmp_path):
    settings = {**SETTINGS, "schedule": "cosine"}
    dropout = {"dropout": 0.1}
    whole, _ = run(text, 12, options=dropout, **settings)
    training = Training(**settings)
    for stop in (0, 1, 7, 12):
        halted = begin(text, training, **dropout)
        for moment in train(halted, plain(text, 8), training, ENGINE, 0, 12, {stop}):
            assert moment.step == stop
            halted.save(tmp_path / "state", "key")
            break
        torch.manual_seed(99)  # whatever the generator was at in the process that goes on
        resumed = begin(text, training, seed=5, **dropout)
        resumed.restore(tmp_path / "state", "key")
        assert (resumed.step, resumed.words, resumed.history) == (halted.step, halted.words, halted.history)
        run(text, 12, state=resumed, **settings)
        assert losses(resumed) == losses(whole)
        assert resumed.words == whole.words
        for ours, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
            assert torch.equal(ours, theirs)


def test_a_state_of_other_settings_or_a_broken_one_is_refused(text, tmp_path):
    state = begin(text, Training(**SETTINGS))
    state.save(tmp_path / "state", "key")
    with pytest.raises(OntogenyError, match="belongs to a training with other settings"):
        state.restore(tmp_path / "state", "another")
    (tmp_path / "state").write_bytes((tmp_path / "state").read_bytes()[:-100])
    with pytest.raises(OntogenyError, match="state cannot be read"):
        state.restore(tmp_path / "state", "key")


def test_a_state_with_a_changed_byte_is_refused(text, tmp_path):
    path = tmp_path / "state"
    state = begin(text, Training(**SETTINGS))
    state.save(path, "key")
    written = path.read_bytes()
    header = int.from_bytes(written[:8], "little")
    places = [*range(8 + header, len(written), 997), len(written) - 1, written.index(b'"tokens":"0"') + len(b'"tokens":"')]
    for place in places:
        path.write_bytes(written)
        tiny.flip(path, place)
        with pytest.raises(OntogenyError, match="state is not what was written: bytes of it have changed"):
            state.restore(path, "key")
    path.write_bytes(written)
    state.restore(path, "key")


def test_a_state_of_an_older_version_has_no_checksum_and_is_taken(text, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    state = begin(text, Training(**SETTINGS))
    state.save(tmp_path / "state", "key")
    with safe_open(tmp_path / "state", "pt") as file:
        facts = {name: value for name, value in file.metadata().items() if name != "checksum"}
    save_file(load_file(tmp_path / "state"), tmp_path / "old", facts)
    state.restore(tmp_path / "old", "key")
    save_file(load_file(tmp_path / "state"), tmp_path / "bare")
    with pytest.raises(OntogenyError, match="bare cannot be read"):
        state.restore(tmp_path / "bare", "key")


KILLED = """
import os, signal, sys
from ontogeny import store
from ontogeny.cli import main

at = sys.argv.pop(1)
replace = store.Path.replace

def replace_or_die(self, target):
    if str(target).endswith(at):
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)

store.Path.replace = replace_or_die
main()
"""


def assert_whole(folder, finished_run):
    """Bit for bit the run that was never stopped, dropout and all."""
    kept = RunFolder(finished_run)
    assert [c.step for c in folder.checkpoints(0)] == tiny.TRAINED
    ours, theirs = disk.read_table(folder.losses(0)), disk.read_table(kept.losses(0))
    assert ours.drop("seconds").equals(theirs.drop("seconds"))
    for step in tiny.TRAINED:
        assert store.weights_hash(folder.checkpoint(0, step)) == store.weights_hash(kept.checkpoint(0, step))
    assert states(folder) == ["step-00000024.safetensors"]
    assert list(folder.path.rglob("*.tmp")) == []


def states(folder):
    return [state.name for state in (folder.seed(0) / "state").glob("step-*")]


SETTINGS_TO_KILL = ("training.save_minutes=0", "scoring.live=false", "seeds=[0]")


def test_a_run_that_is_killed_while_it_saves_goes_on_to_the_same_losses(finished_run, tmp_path):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(recipes.dump(tiny.recipe(*SETTINGS_TO_KILL)), encoding="utf-8")
    at = "state/step-00000013.safetensors"  # written, but not yet in its place
    command = [sys.executable, "-c", KILLED, at, "train", str(recipe), "--runs", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    folder = RunFolder(tmp_path / "tiny")
    assert states(folder) == ["step-00000012.safetensors"]
    assert len(list(folder.path.rglob("*.tmp"))) == 1
    Run.begin(recipes.load(recipe), tmp_path).train()
    assert_whole(folder, finished_run)


class Stopped(BaseException):
    """What nothing catches."""


@pytest.mark.parametrize("at", ["checkpoints/step-00000016", "losses.parquet", "state/step-00000001.safetensors"])
def test_a_run_that_is_stopped_while_it_writes_goes_on_to_the_same_losses(finished_run, tmp_path, monkeypatch, at):
    replace = Path.replace

    def stop(self, target):
        if str(target).endswith(at):
            raise Stopped
        return replace(self, target)

    recipe = tiny.recipe(*SETTINGS_TO_KILL)
    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(Path, "replace", stop)
        Run.begin(recipe, tmp_path).train()
    folder = RunFolder(tmp_path / "tiny")
    assert not folder.has_checkpoint(0, 16)
    Run.begin(recipe, tmp_path).train()
    assert_whole(folder, finished_run)


def test_checkpoints_without_a_state_to_go_on_from_are_refused(own_run):
    shutil.rmtree(own_run / "seed-0" / "state")
    shutil.rmtree(own_run / "seed-0" / "checkpoints" / "step-00000024")
    with pytest.raises(OntogenyError, match=r"has checkpoints \(the last at step 20\) but no state to go on from"):
        Run(own_run).train()


def test_a_checkpoint_that_training_has_passed_is_said_to_be_missing(own_run):
    shutil.rmtree(own_run / "seed-0" / "checkpoints" / "step-00000008")
    display = tiny.Heard()
    Run(own_run, display).train()
    assert [text for text in display.warnings if "seed 0" in text and "[8]" in text]


# --- the engine


def test_the_engine_is_what_the_recipe_asks_for():
    asked = Training(precision="bfloat16", compile="on", threads=3, device="cpu")
    engine = choose(asked, 10, 10)
    assert (engine.threads, engine.precision, engine.compile) == (3, "bfloat16", True)
    assert Engine.from_lineage(engine.lineage()) == engine


def test_what_is_too_short_is_not_compiled():
    assert not choose(Training(device="cpu", batch=1, context=16), 1000, 10).compile


def test_cores_are_shared_by_trainings_side_by_side(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    training = Training(device="cpu", compile="off")
    assert [choose(training, 1, 1, jobs).threads for jobs in (1, 2, 3, 20)] == [8, 4, 2, 1]


def test_a_device_that_is_not_there_is_said():
    with pytest.raises(OntogenyError, match="device 'gpu' is not one that torch knows"):
        find_device("gpu")
    with pytest.raises(OntogenyError, match=r"device 'cuda:99': this machine has \d+ GPUs"):
        find_device("cuda:99")


def test_a_session_says_what_a_training_will_be(finished_run):
    here = Run(finished_run)
    plan = here.training_plan()
    assert plan.checkpoints == tiny.TRAINED
    assert plan.parameters == sum(p.numel() for p in session.build(here.recipe, here.text).parameters())
    folder = here.folder.checkpoint(0, 24)
    size = sum(p.stat().st_size for p in folder.iterdir())
    assert size / 2 < plan.checkpoint_bytes < size * 2
    assert here.folder.newest_state(0).stat().st_size == pytest.approx(plan.state_bytes, rel=0.2)
