"""A Watch in trainers of all kinds: the examples of docs/anybodys-models.md as they stand, and what it leaves of a training."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch
from transformers import Trainer, TrainingArguments

import ontogeny as og
from ontogeny import disk, store
from ontogeny.records import OntogenyError

PAGE = Path(__file__).parents[2] / "docs" / "anybodys-models.md"
EXAMPLES = dict(re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))
LINES = ("The dog runs.", "The dog run here.", "A cat sees the dog.", "The dog here sees a cat.") * 20
SUITE = {"kind": "micro-english", "paradigms": ["wh_island"], "pairs_per_paradigm": 4}
QUICK = ["verdicts.swaps=2", "verdicts.resamples=20", "scoring.device=cpu"]


@pytest.fixture(autouse=True)
def without_pages(monkeypatch):
    monkeypatch.setattr("ontogeny.report.page.write_figures", lambda results, folder: [])
    monkeypatch.setattr("ontogeny.report.page.render", lambda results: results.name)


@pytest.fixture
def tokenizer():
    return tiny.words(*LINES)


@pytest.fixture
def dataset(tokenizer):
    rows = tokenizer(list(LINES), padding="max_length", max_length=8, truncation=True)["input_ids"]
    return [{"input_ids": torch.tensor(row), "labels": torch.tensor(row)} for row in rows]


def model_for(tokenizer, **options):
    return tiny.opt(len(tokenizer), 16, 0, dropout=0.1, **options).train()


def arguments(folder, **options):
    how = {"per_device_train_batch_size": 4, "max_steps": 12, "logging_steps": 1, "save_strategy": "no", "use_cpu": True}
    return TrainingArguments(str(folder), report_to=[], disable_tqdm=True, **{**how, **options})


def trained(folder, dataset, tokenizer, *callbacks, resume=None, model=None, **options):
    """The losses of a training, and its trainer."""
    model = model or model_for(tokenizer)
    trainer = Trainer(
        model, arguments(folder, **options), train_dataset=dataset, processing_class=tokenizer, callbacks=list(callbacks)
    )
    trainer.train(resume_from_checkpoint=resume)
    return [row["loss"] for row in trainer.state.log_history if "loss" in row], trainer


def watch(root, name="mine", read="after", **options):
    return og.Watch(SUITE, name, read=read, root=root, settings=QUICK, display=tiny.Heard(), **options)


# --- the examples -------------------------------------------------------------------------------------------------


def needs(name):
    if name == "lightning.py":
        pytest.importorskip("pytorch_lightning")


@pytest.mark.parametrize("name", ["trainer.py", "lightning.py", "with_accelerate.py", "loop.py"])
def test_the_example_is_short_and_runs(name, tmp_path, monkeypatch, tokenizer, dataset):
    needs(name)
    text = EXAMPLES[name]
    assert len([line for line in text.splitlines() if line.strip()]) < 15
    monkeypatch.chdir(tmp_path)
    tiny.blimp(tmp_path / "data" / "blimp")
    model = model_for(tokenizer)
    loader = torch.utils.data.DataLoader(dataset, batch_size=2)
    space = {"model": model, "tokenizer": tokenizer, "dataset": dataset, "loader": loader}
    space["optimizer"] = torch.optim.AdamW(model.parameters(), lr=1e-2)
    exec(compile(text, name, "exec"), space)
    run = og.open("runs/mine")
    seed = {"trainer.py": 42}.get(name, 0)
    steps = [checkpoint.step for checkpoint in run.folder.checkpoints(seed)]
    assert steps[:4] == [0, 1, 2, 4] and steps[-1] == 40
    assert run.folder.scored(seed, "blimp") == steps
    assert run.folder.lineage()["kind"] == "watched"
    assert len(run.verdicts()) == 67 and run.report.exists()
    assert all(store.fault(run.folder.checkpoint(seed, step)) is None for step in steps)
    weights = [store.sealed_weights(run.folder.checkpoint(seed, step)) for step in steps]
    assert len(set(weights)) == len(steps)  # a snapshot of each moment, not of one


def test_nothing_imports_lightning():
    code = "import sys, ontogeny as og; og.Watch; assert not {'pytorch_lightning', 'lightning'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- nothing of the training changes ------------------------------------------------------------------------------


@pytest.mark.parametrize("read", ["beside", "in turn", "after"])
def test_the_losses_are_bit_for_bit_those_without(read, tmp_path, dataset, tokenizer):
    plain, alone = trained(tmp_path / "a", dataset, tokenizer)
    watched, seen = trained(tmp_path / "b", dataset, tokenizer, watch(tmp_path, read=read))
    assert watched == plain
    for one, other in zip(alone.model.state_dict().values(), seen.model.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    run = og.open(tmp_path / "mine")
    assert run.folder.scored(42, "micro-english") == [c.step for c in run.folder.checkpoints(42)]
    assert run.losses()["loss"].to_list() == plain
    assert run.losses().columns == ["step", "loss", "learning_rate", "gradient_norm", "tokens", "words", "seconds"]


def test_what_training_waited_is_said_and_kept(tmp_path, dataset, tokenizer):
    one = watch(tmp_path)
    trained(tmp_path / "a", dataset, tokenizer, one)
    said = [line for line in one.display.said if "training waited" in line]
    assert re.search(r"watched to step 12 \(after\); training waited [\d.]+ s of [\d.]+ s for it \([\d.]+%\)", said[0])
    assert {"seconds", "waited"} <= set(one.run.folder.lineage()["watched"]["seeds"]["42"])


def test_the_page_says_what_was_watched(tmp_path, dataset, tokenizer):
    from ontogeny.report.sections import sentences

    one = watch(tmp_path, at=[4])
    trained(tmp_path / "a", dataset, tokenizer, one)
    assert "OPTForCausalLM" in sentences(one.run.results, "micro-english")[-1]


def test_a_snapshot_is_the_model_that_stands_there(tmp_path, dataset, tokenizer):
    one = watch(tmp_path, at=[12])
    _, trainer = trained(tmp_path / "a", dataset, tokenizer, one)
    trainer.model.save_pretrained(tmp_path / "saved")
    assert store.weights_hash(tmp_path / "saved") == store.sealed_weights(one.run.folder.checkpoint(42, 12))


# --- going on, and being refused ----------------------------------------------------------------------------------


def test_a_training_that_goes_on_makes_the_later_snapshots_anew(tmp_path, dataset, tokenizer):
    first = watch(tmp_path, at=[2, 4, 8])
    losses, _ = trained(tmp_path / "a", dataset, tokenizer, first, save_strategy="steps", save_steps=4)
    folder = first.run.folder
    before = {c.step: store.sealed_weights(c.folder) for c in folder.checkpoints(42)}
    second = watch(tmp_path, at=[2, 4, 8])
    trained(tmp_path / "a", dataset, tokenizer, second, resume=str(tmp_path / "a" / "checkpoint-4"), max_grad_norm=0.1)
    after = {c.step: store.sealed_weights(c.folder) for c in folder.checkpoints(42)}
    assert list(after) == [0, 2, 4, 8, 12]
    assert [step for step in before if before[step] == after[step]] == [0, 2, 4]
    assert "! the training goes on from step 4: its snapshots at steps [8, 12] are made anew" in second.display.warnings
    assert [disk.table_metadata(folder.scores(42, "micro-english", s))["weights"] for s in after] == list(after.values())
    assert og.open(folder.path).losses()["loss"].to_list()[:4] == losses[:4]
    assert og.open(folder.path).losses()["step"].to_list() == list(range(1, 13))


AT_4 = {"kind": "steps", "steps": [4]}


def test_a_training_from_the_beginning_is_not_mixed_with_another(tmp_path, dataset, tokenizer):
    trained(tmp_path / "a", dataset, tokenizer, watch(tmp_path, at=[4]))
    before = {path: path.read_bytes() for path in tmp_path.glob("mine/*.*")}
    with pytest.raises(OntogenyError, match=r"snapshots of another training \(3, the last at step 12\).* another name"):
        trained(tmp_path / "b", dataset, tokenizer, watch(tmp_path, at=[4], read="in turn"))
    assert {path: path.read_bytes() for path in tmp_path.glob("mine/*.*")} == before
    again = watch(tmp_path, at=[4])  # another seed has a place of its own
    trained(tmp_path / "b", dataset, tokenizer, again, seed=7)
    kept = again.run.folder.lineage()["watched"]["seeds"]
    assert [(seed, own["seed"], own["at"]) for seed, own in kept.items()] == [("42", 42, AT_4), ("7", 7, AT_4)]
    assert again.run.folder.seeds() == [7, 42] and again.run.verdicts()["seeds"].unique().to_list() == [2]
    with pytest.raises(OntogenyError, match="another training: its model has"):
        trained(tmp_path / "b", dataset, tokenizer, watch(tmp_path), model=model_for(tokenizer, ffn_dim=64), seed=8)


def test_another_kind_of_run_and_anybodys_folder_are_refused(tmp_path, dataset, tokenizer, own_run):
    with pytest.raises(OntogenyError, match="run of another kind"):
        trained(tmp_path / "a", dataset, tokenizer, watch(own_run.parent, own_run.name))
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "notes.txt").write_text("mine")
    with pytest.raises(OntogenyError, match="not made by ontogeny"):
        trained(tmp_path / "a", dataset, tokenizer, watch(tmp_path, "theirs"))
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["notes.txt"]


def test_a_training_that_is_broken_off_leaves_a_run_that_can_be_read(tmp_path, tokenizer):
    one = watch(tmp_path, model=model_for(tokenizer), tokenizer=tokenizer, steps=8, at=[1, 8])
    with pytest.raises(KeyboardInterrupt), one:
        one(1, loss=torch.tensor(2.0, requires_grad=True))
        raise KeyboardInterrupt
    run = og.open(tmp_path / "mine")
    assert [c.step for c in run.folder.checkpoints(0)] == [0, 1] and run.folder.scored(0, "micro-english") == []
    assert run.losses()["loss"].to_list() == [2.0]
    run.score()
    assert len(run.judge()) == 1


# --- bad input ----------------------------------------------------------------------------------------------------


class Bare(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)


def begin(root, **options):
    with watch(root, **{"steps": 8, **options}):
        pass


def test_what_cannot_be_watched_is_refused_before_the_first_step(tmp_path, tokenizer):
    model = model_for(tokenizer)
    for wrong, said in [
        ({"model": None, "tokenizer": tokenizer}, r"does not know the model: og.Watch\(\.\.\., model=model"),
        ({"model": "gpt2", "tokenizer": tokenizer}, r"does not know the model \('gpt2' is none\): og.Watch"),
        ({"model": Bare(), "tokenizer": tokenizer}, "Bare has no save_pretrained and from_pretrained"),
        ({"model": model}, r"no tokenizer to read sentences with: Trainer\(\.\.\., processing_class=tokenizer\)"),
        ({"model": tiny.opt(5), "tokenizer": tokenizer}, r"tokenizer gives token \d+, and the model knows 5: they do not belong"),
        ({"model": model, "tokenizer": tokenizer, "steps": None}, r"how many steps the training has: og.Watch\(\.\.\., steps="),
        ({"model": model, "tokenizer": tokenizer, "at": "words"}, r"how many words a step sees: og.Watch\(\.\.\., words_per_step="),
        ({"model": model, "tokenizer": tokenizer, "at": [9]}, "9, but training ends at step 8"),
    ]:
        with pytest.raises(OntogenyError, match=said):
            begin(tmp_path, **wrong)
    assert not (tmp_path / "mine").exists()


def test_wrong_settings_are_refused_when_a_watch_is_made(tmp_path):
    for wrong, said in [
        ({"read": "besides"}, "did you mean 'beside'"),
        ({"suite": "blimp"}, "the suite blimp is a folder or file of yours: name it with --suite-path"),
        ({"suite": "blip"}, "no suite is called 'blip'; did you mean 'blimp'"),
        ({"at": "word"}, "og.Watch"),
        ({"at": 5}, r"og.Watch\(at=5\): default, words, a list of steps"),
        ({"at": None}, r"og.Watch\(at=None\)"),
        ({"seed": -1}, r"og.Watch\(seed=-1\): a whole number, 0 or more"),
        ({"seed": "x"}, r"og.Watch\(seed='x'\)"),
        ({"steps": 2.5}, r"og.Watch\(steps=2.5\)"),
        ({"words_per_step": 0}, r"og.Watch\(words_per_step=0\): a number of words, more than 0"),
        ({"trackers": "wandbb"}, "no tracker is called 'wandbb'"),
        ({"settings": "verdicts.hi"}, "--set verdicts.hi: expected name=value"),
        ({"trackers": ["wandbb"]}, "no tracker is called 'wandbb'; did you mean 'wandb'"),
        ({"suite": ["blimp", "zorro"], "suite_path": "there"}, "is for one suite by its name"),
    ]:
        with pytest.raises(OntogenyError, match=said):
            og.Watch(**{"suite": SUITE, "name": "mine", "root": tmp_path, **wrong})
    with pytest.raises(OntogenyError, match="nothing has been watched yet"):
        _ = watch(tmp_path).run


def test_what_is_no_step_or_no_measure_is_refused_where_it_is_said(tmp_path):
    one = watch(tmp_path)
    for step, measured, said in [
        ("a", {}, r"watch\('a'\): a step is a whole number"),
        (1, {"loss": "high"}, r"watch\(1, loss='high'\): one number"),
        (1, {"loss": torch.ones(2)}, "one number"),
        (1, {"lss": 1.0}, "did you mean 'loss'"),
    ]:
        with pytest.raises(OntogenyError, match=said):
            one(step, **measured)


def test_a_suite_that_is_not_there_is_heard_of_before_training(tmp_path, tokenizer):
    one = og.Watch(
        "blimp", "mine", root=tmp_path, suite_path=tmp_path / "no", model=model_for(tokenizer), tokenizer=tokenizer, steps=4
    )
    with pytest.raises(OntogenyError, match="no"):
        one(0)
    assert not (tmp_path / "mine").exists()


def test_weights_that_are_spread_over_processes_are_refused(tmp_path, tokenizer):
    model = model_for(tokenizer)
    next(model.parameters()).ds_id = 0  # as ZeRO-3 marks them
    with pytest.raises(OntogenyError, match=r"spread over processes \(DeepSpeed's ZeRO-3\).*ontogeny open FOLDER"):
        begin(tmp_path, model=model, tokenizer=tokenizer)


def test_a_full_disk_costs_a_snapshot_and_no_training(tmp_path, tokenizer, monkeypatch):
    one, write = (
        watch(tmp_path, model=model_for(tokenizer), tokenizer=tokenizer, steps=4, at=[1, 2]),
        store.RunFolder.write_checkpoint,
    )

    def full(self, seed, step, save, **facts):
        if step == 1:
            raise disk.disk_full(self.path)
        return write(self, seed, step, save, **facts)

    monkeypatch.setattr(store.RunFolder, "write_checkpoint", full)
    with one:
        for step in range(1, 5):
            one(step)
    assert [c.step for c in one.run.folder.checkpoints(0)] == [0, 2, 4]
    assert "the disk is full" in one.display.warnings[0] and "training goes on" in one.display.warnings[0]
    assert "the disk is full" in one.run.folder.lineage()["watched"]["missed"][0]


# --- several processes --------------------------------------------------------------------------------------------

TOGETHER = """
import sys
sys.path.insert(0, {tests!r})
import tiny, torch
import torch.distributed.nn.functional  # before there is a group, which its functions would keep to the end
from torch import distributed as dist
import ontogeny as og
from watch import test_callback as here

rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2] + "/meeting", rank=rank, world_size=2)
tokenizer = tiny.words(*here.LINES)
model = here.model_for(tokenizer)
{body}
dist.destroy_process_group()
"""
DATA_PARALLEL = """
both = torch.nn.parallel.DistributedDataParallel(model)
optimizer = torch.optim.SGD(both.parameters(), lr=0.1)
with here.watch(sys.argv[2], model=both, tokenizer=tokenizer, steps=4, at=[1, 2]) as watch:
    for step in range(1, 5):
        both(input_ids=torch.ones(1, 4, dtype=torch.long), labels=torch.full((1, 4), rank + 3)).loss.backward()
        optimizer.step()
        watch(step)
if rank == 0:
    print(watch.display.said[-1])
else:
    try:
        watch.run
    except og.OntogenyError as error:
        print(error)
import os
from transformers import Trainer, TrainingArguments
os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
how = TrainingArguments(sys.argv[2] + "/out", max_steps=4, use_cpu=True, ddp_backend="gloo", report_to=[], save_strategy="no")
rows = [{"input_ids": torch.ones(4, dtype=torch.long), "labels": torch.ones(4, dtype=torch.long)}] * 64
trainer = Trainer(
    model, how, train_dataset=rows, processing_class=tokenizer, callbacks=[here.watch(sys.argv[2], "trainers", at=[1, 2])]
)
trainer.train()
print(type(trainer.model_wrapped).__name__)
"""
SHARDED = """
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
try:
    here.begin(sys.argv[2], model=model, tokenizer=tokenizer)
except og.OntogenyError as error:
    print(error)
"""


def together(body, folder):
    """What two processes print that have joined."""
    text = TOGETHER.format(tests=str(Path(__file__).parents[1]), body=body)
    both = [
        subprocess.Popen([sys.executable, "-c", text, str(rank), str(folder)], stdout=subprocess.PIPE, text=True) for rank in (0, 1)
    ]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    return said


def test_of_two_processes_that_train_together_one_writes_and_none_waits(tmp_path):
    first, second = together(DATA_PARALLEL, tmp_path)
    assert "ontogeny score" in first and "ontogeny verdicts" in first
    assert "is not the first of those that train together" in second
    assert all("DistributedDataParallel" in said for said in (first, second))  # and so in a Trainer
    assert [c.step for c in og.open(tmp_path / "trainers").folder.checkpoints(42)] == [0, 1, 2, 4]
    run = og.open(tmp_path / "mine")
    assert [c.step for c in run.folder.checkpoints(0)] == [0, 1, 2, 4]
    run.score()
    assert len(run.judge()) == 1
    assert json.loads((run.folder.checkpoint(0, 4) / "config.json").read_text())["architectures"] == ["OPTForCausalLM"]


def test_every_process_of_a_sharded_training_refuses(tmp_path):
    for said in together(SHARDED, tmp_path):
        assert "spread over processes (DTensor)" in said and "ontogeny open FOLDER" in said
    assert not (tmp_path / "mine").exists()


def test_two_that_do_not_know_of_each_other_do_not_mix(tmp_path, tokenizer):
    with watch(tmp_path, model=model_for(tokenizer), tokenizer=tokenizer, steps=2) as one:
        with pytest.raises(OntogenyError, match="another process is writing"):
            begin(tmp_path, model=model_for(tokenizer), tokenizer=tokenizer)
        one(2)
