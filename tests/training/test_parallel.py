"""Several processes train one model: the losses of one to rounding, whatever is done to it, and going on with another number."""

import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
import tiny
import torch
import torch.distributed.nn.functional  # before there is a group, which its functions would keep to the end
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed as dist

from ontogeny import disk
from ontogeny import recipe as recipes
from ontogeny.display import QUIET
from ontogeny.interventions.averaging import Average, Averaging
from ontogeny.interventions.jitter import Jitter, Jittered
from ontogeny.laboratory import Run
from ontogeny.recipe import Training
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder
from ontogeny.tokens import token_store
from ontogeny.tokens.rows import rows_of
from ontogeny.training import parallel
from ontogeny.training.engine import Engine
from ontogeny.training.loop import train
from ontogeny.training.parallel import ALONE, Ranks
from ontogeny.training.state import TrainingState
from ontogeny.training.treatment import Period, Treatment
from ontogeny.work.piece import do

ENGINE = Engine(torch.device("cpu"), 1, "float32", False)
LINES = ("the dog sees the cat", "the cat sees the dog", "a dog runs", "a cat runs and the dog sees the cat") * 20
SETTINGS = {"context": 8, "batch": 8, "warmup": 2, "learning_rate": 0.01, "schedule": "constant"}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    lines = tiny.documents(*LINES)
    return token_store.write(tmp_path_factory.mktemp("t"), "train", lines, tiny.words(*LINES), bos=True, key="k")


@pytest.fixture
def pair(tmp_path):
    """Calls a function in two processes that have joined; returns what this one, the first, gets of it."""
    number = iter(range(100))

    def call(function, *arguments):
        meeting = f"file://{tmp_path / f'meeting-{next(number)}'}"
        if not (child := os.fork()):
            status = 1
            try:
                dist.init_process_group("gloo", init_method=meeting, rank=1, world_size=2)
                function(*arguments)
                status = 0
            finally:
                os._exit(status)
        dist.init_process_group("gloo", init_method=meeting, rank=0, world_size=2)
        try:
            found = function(*arguments)
        finally:
            _, status = os.waitpid(child, 0)
            dist.destroy_process_group()
        assert status == 0
        return found

    return call


def begun(text, training, changes=(), **options):
    model = tiny.opt(text.facts["vocabulary"], training.context, 0, **{"dropout": 0.0, "init_std": 0.02, **options})
    return TrainingState(model, training, changes)


def run(text, until=4, path=None, keep=None, changes=lambda: (), options=None, **settings):
    """Trains to `until` of 8 steps, from the state at `path`; keeps the state at `keep`."""
    training, own = Training(**{**SETTINGS, **settings}), changes()
    state = begun(text, training, own, **(options or {}))
    if path:
        state.restore(path, "key")
    ranks = parallel.here()
    ranks.agree(state.model, state.step)
    treatment = Treatment((Period(1.0, rows_of(text, training.unit, training.context)),), changes=own)
    for moment in train(state, treatment, training, ENGINE, 0, 8, {until}, ranks):
        if moment.step == until:
            break
    if keep and not ranks.rank:
        state.save(keep, "key")
    return state


def history(state):
    return np.array([row[:-1] for row in state.history])  # all but the seconds


def close(one, other):
    """Losses, norms and weights to rounding."""
    assert history(one) == pytest.approx(history(other), rel=1e-5)
    for (name, ours), theirs in zip(one.model.named_parameters(), other.model.parameters(), strict=True):
        if not name.endswith("k_proj.bias"):  # softmax takes no notice of it: its gradient is rounding, which AdamW makes large
            assert torch.allclose(ours, theirs, atol=1e-4), name


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"clip": 0.05},
        {"accumulation": 2},
        {"accumulation": 3},
        {"unit": "document"},  # rows of one process have more targets than the other's
        {"changes": lambda: (Jittered(Jitter(size=0.1), 0), Average(Averaging(decay=0.5)))},
    ],
)
def test_two_processes_have_the_losses_of_one(text, pair, settings):
    close(pair(lambda: run(text, **settings)), run(text, **settings))


def test_they_go_on_from_one_and_one_from_them(text, pair, tmp_path):
    whole = run(text, 6)
    run(text, 3, keep=tmp_path / "one")
    close(pair(lambda: run(text, 6, tmp_path / "one")), whole)
    pair(lambda: run(text, 3, keep=tmp_path / "two"))
    close(run(text, 6, tmp_path / "two"), whole)


def test_each_process_drops_other_units(text, pair):
    """With dropout the losses are others than one process's, but the same each time."""
    options = {"dropout": 0.3}
    one, two, again = run(text, options=options), *(pair(lambda: run(text, options=options)) for _ in range(2))
    assert (history(two) == history(again)).all()
    assert history(two)[0, 0] != pytest.approx(history(one)[0, 0], rel=1e-5)
    draws = []
    for rank in range(3):
        torch.manual_seed(Ranks(rank, 3).draw(1_000_003 * 7 + 5))
        draws.append(tuple(torch.rand(4).tolist()))
    assert len(set(draws)) == 3
    assert ALONE.draw(5) == 5


class Two(torch.nn.Module):
    """Three parameters."""

    def __init__(self):
        super().__init__()
        self.both, self.second, self.none = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))


def test_gradients_are_added_up(pair):
    def add_up():
        ranks, model = parallel.here(), Two()
        model.both.grad = torch.tensor([1.0, 2.0]) + ranks.rank
        model.second.grad = torch.tensor([5.0, 7.0]) if ranks.rank else None
        loss = ranks.sums(model).finish(0.25 + ranks.rank)
        assert (ranks.size, loss) == (2, 1.5)
        assert model.both.grad.tolist() == [3.0, 5.0]
        assert model.second.grad.tolist() == [5.0, 7.0]
        assert model.none.grad is None
        return ranks

    assert pair(add_up) == Ranks(0, 2, 0, 2)


def test_gradients_are_added_up_while_the_backward_pass_goes_on(pair, monkeypatch):
    monkeypatch.setattr(parallel, "BUCKET", 8)  # less than a parameter: a bucket each

    def add_up():
        torch.manual_seed(0)
        ranks, model = parallel.here(), torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 1, bias=False))
        sums, rows = ranks.sums(model), torch.eye(2)
        sums.last()
        model(rows[ranks.rank]).sum().backward()
        begun = len(sums.sent)
        sums.finish(0.0)
        wanted = torch.autograd.grad(model(rows).sum(), model.parameters())
        assert all(torch.allclose(p.grad, one) for p, one in zip(model.parameters(), wanted, strict=True))
        assert not any(p._post_accumulate_grad_hooks for p in model.parameters())
        return begun

    assert pair(add_up) == 2  # both were on their way when the pass had ended


def test_alone_nothing_is_added():
    model = Two()
    model.both.grad = torch.ones(2)
    assert parallel.here() is ALONE
    assert ALONE.sums(model).finish(0.5) == 0.5
    assert model.both.grad.tolist() == [1.0, 1.0]


def test_the_first_ones_weights_are_everybodys(pair):
    def agree():
        model = torch.nn.Linear(1, 1)
        torch.nn.init.constant_(model.weight, parallel.here().rank + 1.0)
        parallel.here().agree(model, 3)
        assert model.weight.item() == 1.0
        with pytest.raises(OntogenyError, match=r"from different steps, \[4, 5\]: all of them must see the run's folder"):
            parallel.here().agree(model, 4 + parallel.here().rank)

    pair(agree)


def test_the_first_says_what_is_trained(pair):
    def talk():
        ranks = parallel.here()
        if ranks.rank:
            assert [ranks.told(), ranks.told()] == [("runs/tiny", 3), None]
        else:
            ranks.tell(("runs/tiny", 3))
            ranks.tell(None)

    pair(talk)


# --- who does what


@given(st.integers(1, 8), st.integers(1, 6), st.integers(1, 20))
def test_every_row_is_one_processs(size, each, accumulation):
    rows = np.arange(size * each * 2).reshape(-1, 2)
    shares = [Ranks(rank, size).share(rows) for rank in range(size)]
    assert np.concatenate(shares).tolist() == rows.tolist()
    parts = Ranks(0, size).parts(accumulation)
    assert -(-each // parts) <= -(-len(rows) // accumulation) + 1  # no part is larger than one process's would be
    assert parts * size >= accumulation


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(OntogenyError, match=r"is 6 rows, which 4 processes .* make it 8, or start one of \[1, 2, 3, 6\] processes"):
        Ranks(0, 4).check(tiny.recipe("training.batch=6"))
    Ranks(0, 3).check(tiny.recipe("training.batch=6"))
    ALONE.check(tiny.recipe("training.batch=5"))


def test_a_masked_model_is_refused_by_name():
    recipe = recipes.parse(tiny.RECIPE.replace("kind: opt", "kind: bert").replace("size: opt-1m", "size: bert-1m"))
    with pytest.raises(OntogenyError, match="of kind bert draws something for each batch, such as what it hides, and 2 processes"):
        Ranks(0, 2).check(recipe)
    ALONE.check(recipe)
    for kind in ("hybrid-rows", "history-dropout", "bigram-contrast"):
        with pytest.raises(OntogenyError, match=f"the intervention {kind} draws something for each batch"):
            Ranks(0, 2).check(tiny.recipe(f"interventions=[{kind}]"))


def test_each_has_its_part_of_the_machine(monkeypatch):
    assert Ranks(1, 2, 1, 2).engine(Engine(torch.device("cpu"), 8, "float32", False)).threads == 4
    assert Ranks(3, 4, 1, 2).engine(Engine(torch.device("cpu"), 1, "float32", True)) == Engine(
        torch.device("cpu"), 1, "float32", True
    )
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    gpu = Engine(torch.device("cuda"), 8, "bfloat16", True)
    assert Ranks(3, 4, 1, 2).engine(gpu).device == torch.device("cuda:1")
    assert ALONE.engine(gpu) is gpu
    with pytest.raises(OntogenyError, match=r"3 processes train on this machine, each on a GPU of its own, and it has 2"):
        Ranks(2, 3, 2, 3).engine(gpu)


def test_seeds_side_by_side_are_for_one_process(monkeypatch):
    monkeypatch.setattr(parallel, "here", lambda: Ranks(0, 2, 0, 2))
    with pytest.raises(OntogenyError, match="leave --jobs and grids out"):
        do([], iter, QUIET, "seeds")


LEFT = """
import pathlib
from ontogeny.training.parallel import together

with together():
    import torch.optim, torch._dynamo  # as training does
print([thread.read_text().strip() for thread in pathlib.Path("/proc/self/task").glob("*/comm")])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="names of threads are read from /proc")
def test_nothing_of_the_group_works_on_when_the_processes_have_parted():
    """A thread of it that is at work as the interpreter ends aborts the process, after a training that was well."""
    alone = environment(0) | {"WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
    left = subprocess.run([sys.executable, "-c", LEFT], env=os.environ | alone, capture_output=True, text=True, check=True)
    assert "python" in left.stdout
    assert "pt_gloo_runloop" not in left.stdout


# --- from the command line

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


def environment(rank):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    return {"MASTER_ADDR": "127.0.0.1"} | {name: str(value) for name, value in place.items()}


def test_a_killed_pair_goes_on_on_two_machines_to_the_losses_of_one(tmp_path, monkeypatch):
    recipe = tiny.recipe("model.options.dropout=0", "seeds=[0]", "scoring.live=false", "training.save_minutes=0")
    whole = Run.begin(recipe, tmp_path / "one")
    whole.train()
    file = tmp_path / "tiny.yaml"
    file.write_text(recipes.dump(recipe), encoding="utf-8")
    begin = ["train", str(file), "--runs", str(tmp_path)]
    own = environment(0)
    other = own | {"RANK": "1", "LOCAL_RANK": "1"}

    def start(environ, *program):
        return subprocess.Popen(
            [sys.executable, *program, *begin], env=os.environ | environ, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )

    second = start(other, "-m", "ontogeny")
    first = start(own, "-c", KILLED, "state/step-00000013.safetensors")
    said = [process.communicate(timeout=600)[1] for process in (first, second)]
    assert first.returncode == -signal.SIGKILL, said
    assert second.returncode not in (0, None), said
    folder = RunFolder(tmp_path / "tiny")
    assert folder.newest_state(0).name == "step-00000012.safetensors"

    own = environment(0) | {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}  # on two machines, as torchrun --nnodes 2 has it
    second = start(own | {"RANK": "1"}, "-m", "ontogeny")
    with monkeypatch.context() as patched:
        for name, value in own.items():
            patched.setenv(name, value)
        with parallel.together():
            Run.begin(recipe, tmp_path).train()
    assert second.wait(timeout=600) == 0, second.communicate()
    second.stderr.close()
    losses, expected = (disk.read_table(run.losses(0)).drop("seconds") for run in (folder, whole.folder))
    assert losses.to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-5)
    assert [c.step for c in folder.checkpoints(0)] == tiny.TRAINED
    assert folder.lineage()["training"]["processes"] == 2
    assert folder.lineage()["engine"] == whole.folder.lineage()["engine"]
