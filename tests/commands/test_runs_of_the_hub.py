"""Runs around checkpoints on a hub in little: streamed, whole after a kill, read once where they are the same, and safe."""

import errno
import os
import shutil
import signal
import subprocess
import sys

import pytest
import tiny
from hub_server import Hub

from ontogeny import disk, store
from ontogeny.commands import adoption
from ontogeny.commands.adoption import FromHub, adopt, preview
from ontogeny.commands.overview import describe
from ontogeny.laboratory import Run
from ontogeny.records import OntogenyError
from ontogeny.sources.revisions import RevisionChoice, sizes_of
from ontogeny.store import RunFolder

SUITE, REPO = "micro-english", "someone/tiny"
FEW = ("suites.0.pairs_per_paradigm=10", "verdicts.resamples=20", "verdicts.swaps=20", "scoring.device=cpu")
STEPS = (0, 8, 24)


@pytest.fixture
def hub(monkeypatch):
    with Hub() as found:
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        yield found


@pytest.fixture
def ours(finished_run):
    """The files of one of our checkpoints, as somebody else would publish them."""

    def files(step, *without, **more):
        folder = RunFolder(finished_run).checkpoint(1, step)
        own = {path.name: path for path in folder.iterdir() if path.name not in ("DONE", "ontogeny.json", *without)}
        return own | {"optimizer.pt": b"never read", "README.md": b"a model", **more}

    return files


@pytest.fixture
def pythia(hub, ours):
    for step in STEPS:
        hub.push(REPO, ours(step), f"step{step}")
    hub.push(REPO, ours(24), "main")
    return hub


def opened(root, source=REPO, *settings, display=None, name="run", tokenizer=None, **options):
    choice = RevisionChoice((), tuple(options.pop("revisions", ())), options.pop("every", 1))
    own = FromHub(choice, **options)
    return adopt(store.Path(source), SUITE, None, name, (*FEW, *settings), root, display or tiny.Heard(), (), tokenizer, own)


def same_scores(run, finished_run, steps, seed=0):
    """The run's tables are those that our own run has of the same weights."""
    own = RunFolder(finished_run)
    assert run.folder.scored(seed, SUITE) == list(steps)
    for step, was in steps.items():
        one, other = run.folder.scores(seed, SUITE, step), own.scores(1, SUITE, was)
        assert disk.read_table(one).equals(disk.read_table(other))
        assert disk.table_metadata(one)["weights"] == disk.table_metadata(other)["weights"]


def lying(run):
    """Folders of checkpoints that are on the disk, whole or coming."""
    return sorted(path.name for path in run.glob("seed-*/checkpoints/*"))


class HighWater:
    """The most checkpoints that lay on the disk whenever the hub was asked for a large file."""

    def __init__(self, hub, run):
        self.most, self.run = 0, run
        hub.watch = self.look

    def look(self, request):
        if "/cdn/" in request:
            self.most = max(self.most, len(lying(self.run)))


M, B = 10**6, 10**9


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        ({"step0": 0, "step8": 8, "step24": 24}, {0: 0, 8: 8, 24: 24}),  # Pythia
        (  # OLMo 2
            {"stage1-step8-tokens1B": 0, "stage1-step16-tokens2B": 8, "stage2-ingredient1-step8-tokens1B": 24},
            {8: 0, 16: 8, 24: 24},
        ),
        ({"chck_1M": 0, "chck_2M": 8, "chck_10M": 24}, {M: 0, 2 * M: 8, 10 * M: 24}),  # BabyLM
        ({"step-001000-2BT": 0, "step-002000-4BT": 8}, {1000: 0, 2000: 8}),  # FineWeb
        ({"ckpt_000": 0, "ckpt_001": 8}, {0: 0, 1: 8}),  # Amber
        ({"1000": 0, "128000": 8}, {1000: 0, 128_000: 8}),  # B-GPT
    ],
)
def test_each_familys_revisions_are_read_in_a_stream_as_ours_are(hub, ours, finished_run, tmp_path, names, steps):
    for name, step in names.items():
        hub.push(REPO, ours(step), name)
    water = HighWater(hub, tmp_path / "run")
    here = opened(tmp_path)
    here.score()
    same_scores(here, finished_run, steps)
    assert (water.most, lying(here.folder.path)) == (2, [])
    assert not [asked for asked in hub.asked if "optimizer" in asked]


def test_a_run_of_the_hub_is_judged_and_told_like_any_other(pythia, tmp_path):
    heard = tiny.Heard()
    here = opened(tmp_path, display=heard)
    here.score()
    here.judge()
    assert here.write_report().exists()
    assert here.folder.lineage()["opened"]["from"] == REPO
    assert f"around the checkpoints of {REPO}" in describe(here.folder)
    assert "! not taken, the same as step24: main" in heard.warnings
    assert here.folder.checkpoints(0)[1].revision.commit == pythia.repositories[REPO].branches["step8"]
    moved = here.folder.path.rename(tmp_path / "moved")
    assert RunFolder(moved).checkpoints(0)[0].folder == moved / "seed-0/checkpoints/step-00000000"


def test_a_preview_tells_how_long_reading_takes_and_writes_nothing(pythia, tmp_path, monkeypatch):
    monkeypatch.setattr(adoption, "products_per_second", lambda device: 1.0)
    (tmp_path / "own.csv").write_text("paradigm,good,bad\np,a b c d e,a b c d f\n", encoding="utf-8")  # 10 words, 13 tokens
    heard, hub = tiny.Heard(), FromHub(RevisionChoice(every=2))
    suites = [{"kind": "table", "path": str(tmp_path / "own.csv")}]
    found = preview(store.Path(REPO), (), None, tmp_path, heard, hub, suites)
    hours = sum(sizes_of(found.revisions)) / 4 * 13 / 3600
    guess = f"reading 1 pair at each takes {hours:.0f} hours here: a guess"
    assert found.count == 2 and any(line.startswith(guess) for line in heard.said)
    preview(store.Path(REPO), (), None, tmp_path, heard, hub, [{"kind": "table"}])
    assert any(line.startswith("how long reading takes cannot be said (reading: suites.0.path is missing") for line in heard.said)
    assert [path.name for path in tmp_path.iterdir()] == ["own.csv"]
    assert not [asked for asked in pythia.asked if "/resolve/" in asked]


def test_the_same_bytes_are_read_once_and_shown_as_such(hub, ours, finished_run, tmp_path):
    for name, step in {"step0": 0, "step1": 0, "step8": 8, "step9": 0}.items():
        hub.push(REPO, ours(step), name)
    heard = tiny.Heard()
    here = opened(tmp_path, display=heard)
    here.score()
    same_scores(here, finished_run, {0: 0, 1: 0, 8: 8, 9: 0})
    about = disk.table_metadata(here.folder.scores(0, SUITE, 9))
    assert (about["same as"], about["step"]) == ("seed 0, step 0", "9")
    assert len([asked for asked in hub.asked if asked.startswith("GET /cdn/")]) == 2
    assert "! byte for byte the same: step0 = step1 = step9" in heard.warnings
    assert "byte for byte the same: step0 = step1 = step9" in here.folder.lineage()["opened"]["notes"]


def test_a_moved_branch_changes_nothing_and_what_is_read_needs_no_network(pythia, ours, finished_run, tmp_path, monkeypatch):
    opened(tmp_path)
    pythia.push(REPO, ours(16), "step8")
    here = opened(tmp_path)
    here.score()
    same_scores(here, finished_run, dict.fromkeys(STEPS) | {step: step for step in STEPS})
    asked = len(pythia.asked)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    opened(tmp_path).score()
    assert len(pythia.asked) == asked


def test_other_revisions_may_come_but_none_may_be_another(pythia, tmp_path):
    opened(tmp_path, revisions=["step[08]"])
    assert [c.step for c in opened(tmp_path).folder.checkpoints(0)] == list(STEPS)
    pythia.push("other/tiny", {"config.json": b"{}", "model.safetensors": b"x"}, "step8")
    with pytest.raises(OntogenyError, match=r"step 0 of seed 0 was someone/tiny@step0, now nothing; use --name"):
        opened(tmp_path, "other/tiny")


# --- what goes wrong on the way


def test_a_command_that_was_killed_goes_on(pythia, finished_run, tmp_path):
    """Killed for good while the last checkpoint comes: what was scored stays, what was half there goes."""
    command = [sys.executable, "-m", "ontogeny", "open", REPO, "--suite", SUITE, "--runs", str(tmp_path), "--name", "run"]
    command += [word for setting in FEW for word in ("--set", setting)]
    asked = []

    def kill(request):
        asked.append(request)
        if sum(one.startswith("GET /cdn/") for one in asked) == 3:
            process.send_signal(signal.SIGKILL)

    pythia.watch = kill
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        assert process.wait() == -signal.SIGKILL
    run = RunFolder(tmp_path / "run")
    before = {step: run.scores(0, SUITE, step).stat().st_mtime_ns for step in run.scored(0, SUITE)}
    assert lying(run.path)
    pythia.watch = lambda request: None
    here = opened(tmp_path)
    here.score()
    same_scores(here, finished_run, {step: step for step in STEPS})
    assert lying(run.path) == []
    assert {step: run.scores(0, SUITE, step).stat().st_mtime_ns for step in before} == before


def test_limits_broken_transfers_and_a_servers_trouble_are_waited_out_and_said(pythia, finished_run, tmp_path, monkeypatch):
    import time

    from huggingface_hub import constants

    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    pythia.too_many("* /api/*/refs", wait=5)
    pythia.cut("GET /cdn/*", after=5000)
    pythia.broken("* /someone/tiny/resolve/*/config.json", times=2)
    pythia.too_many("* /someone/tiny/resolve/*/tokenizer.json", times=2)
    heard = tiny.Heard()
    here = opened(tmp_path, display=heard)
    here.score()
    same_scores(here, finished_run, {step: step for step in STEPS})
    said = "\n".join(heard.warnings)
    assert "! someone/tiny: the hub has had too many questions from here (429); asked again in 6 s" in said
    assert "peer closed connection" in said and "Trying to resume" in said
    assert "HTTP Error 503" in said and "HTTP Error 429" in said


def test_a_full_disk_stops_the_stream_and_the_same_command_goes_on(pythia, finished_run, tmp_path, monkeypatch):
    here = opened(tmp_path)
    coming = here.folder.path / "seed-0" / "checkpoints" / ".step-00000008"
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as patched:
        patched.setattr(disk, "_temporary", lambda name: f".{name}.tmp")  # its own has a random part
        tiny.refuse_writing(patched, coming.with_name(f"{coming.name}.tmp"), full)
        with pytest.raises(OntogenyError, match=r"the disk is full: writing .*step-00000008.*make room and run again"):
            here.score()
    assert here.folder.scored(0, SUITE) == [0]
    assert lying(here.folder.path) == []
    opened(tmp_path).score()
    same_scores(here, finished_run, {step: step for step in STEPS})


def test_a_revision_that_is_not_there_any_more_is_named_and_the_others_are_read(pythia, finished_run, tmp_path):
    here = opened(tmp_path)
    gone = pythia.repositories[REPO].branches["step8"]
    pythia.repositories[REPO].commits[gone].files.pop("model.safetensors")
    with pytest.raises(OntogenyError, match="someone/tiny: a commit or file that was listed is not there any more"):
        here.score()
    same_scores(here, finished_run, {0: 0, 24: 24})


def test_other_bytes_than_the_hub_lists_are_never_read(pythia, tmp_path):
    here = opened(tmp_path)
    sha = pythia.repositories[REPO].commits[pythia.repositories[REPO].branches["step8"]].files["model.safetensors"]
    content = bytearray(pythia.blobs[sha].read())
    content[-1] ^= 1
    pythia.blobs[sha] = type(pythia.blobs[sha])(bytes(content), True)
    with pytest.raises(OntogenyError, match=r"model\.safetensors is not what was written: bytes of it have changed"):
        here.score()
    assert here.folder.scored(0, SUITE) == [0, 24]


# --- what stays, and how it is opened


def test_what_is_kept_lies_in_the_hubs_cache(pythia, finished_run, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    here = opened(tmp_path / "runs", keep=True)
    here.score()
    same_scores(here, finished_run, {step: step for step in STEPS})
    weights = here.folder.checkpoint(0, 8) / "model.safetensors"
    assert weights.is_symlink() and weights.resolve().is_relative_to(tmp_path / "cache")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    here.score(again=[8])


def test_instruments_that_compare_with_the_first_checkpoint_have_it_brought(pythia, tmp_path):
    here = opened(tmp_path)
    here.score()
    water = HighWater(pythia, here.folder.path)
    Run(here.folder.path).read(["geometry"], again=[8, 24])
    tables = [here.folder.reading("geometry", 0, step) for step in STEPS]
    assert [table.exists() for table in tables] == [True] * 3
    assert disk.read_table(tables[0])["cka"].drop_nulls().min() == pytest.approx(1)
    assert disk.read_table(tables[2])["cka"].drop_nulls().min() < 1
    for step in (8, 24):
        here.folder.reading("geometry", 0, step).unlink()
    Run(here.folder.path).read(["geometry"])  # another process: the first is not among those that are to be read
    assert [table.exists() for table in tables] == [True] * 3
    assert (water.most, lying(here.folder.path)) == (2, [])


def test_weights_may_be_opened_in_less_than_float32(pythia, finished_run, tmp_path):
    here = opened(tmp_path, REPO, "scoring.dtype=bfloat16", "scoring.device_map=auto", revisions=["step24"])
    here.score()
    one, other = here.folder.scores(0, SUITE, 24), RunFolder(finished_run).scores(1, SUITE, 24)
    theirs, own = (disk.read_table(table)["logp_good"] for table in (one, other))
    assert 0 < (theirs - own).abs().max() < 1
    assert disk.table_metadata(one)["key"] != disk.table_metadata(other)["key"]


def pickled(ours, tmp_path, step):
    import torch
    from safetensors.torch import load_file

    own = ours(step)
    torch.save(load_file(own.pop("model.safetensors")), tmp_path / f"{step}.bin")
    return own | {"pytorch_model.bin": tmp_path / f"{step}.bin"}


def test_pickled_weights_are_read_as_tensors_alone_and_that_is_said(hub, ours, tmp_path, finished_run):
    for step in STEPS[:2]:
        hub.push(REPO, pickled(ours, tmp_path, step), f"step{step}")
    here = opened(tmp_path / "runs")
    here.score()
    for step in STEPS[:2]:
        one, other = here.folder.scores(0, SUITE, step), RunFolder(finished_run).scores(1, SUITE, step)
        assert disk.read_table(one).equals(disk.read_table(other))
    assert any("pickled weights" in note for note in here.folder.lineage()["opened"]["notes"])


def test_pickled_weights_that_would_run_something_are_not_opened(hub, ours, tmp_path):
    import pickle

    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    hub.push(REPO, ours(8, "model.safetensors", **{"pytorch_model.bin": pickle.dumps(Harm())}), "step8")
    with pytest.raises(OntogenyError, match="step-00000008 cannot be opened as a causal language model"):
        opened(tmp_path / "runs").score()
    assert not (tmp_path / "harm").exists()


def test_a_tokenizer_that_a_branch_lacks_is_mains(hub, ours, finished_run, tmp_path):
    bare = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
    hub.push(REPO, ours(8, *bare), "step8")
    with pytest.raises(OntogenyError, match="holds no tokenizer"):
        opened(tmp_path, name="without").score()
    hub.push(REPO, ours(24), "main")
    here = opened(tmp_path)
    here.score()
    same_scores(here, finished_run, {8: 8})
    assert "without a tokenizer, read with main's: step8" in here.folder.lineage()["opened"]["notes"]
    named = tmp_path / "theirs"
    shutil.copytree(RunFolder(finished_run).tokenizer, named, ignore=shutil.ignore_patterns("key.json"))
    hub.push("other/tiny", ours(8, *bare), "step8")
    opened(tmp_path, "other/tiny", name="named", tokenizer=str(named)).score()


def test_a_vocabulary_smaller_than_the_tokenizers_is_an_error(hub, ours, finished_run, tmp_path):
    tokenizer = RunFolder(finished_run).tokenizer
    tiny.opt(20).save_pretrained(tmp_path / "small")
    files = {path.name: path for path in (*(tmp_path / "small").iterdir(), *tokenizer.iterdir()) if path.name != "key.json"}
    hub.push(REPO, files, "step8")
    with pytest.raises(OntogenyError, match=r"its tokenizer gives token \d+, and the model knows 20: they do not belong together"):
        opened(tmp_path / "runs").score()


CODE = """
from transformers import OPTForCausalLM
from pathlib import Path

Path({marker!r}).touch()

class Own(OPTForCausalLM):
    pass
"""


def test_code_of_its_own_is_run_of_one_named_commit_alone(hub, ours, finished_run, tmp_path, monkeypatch):
    import json

    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    config = json.loads(ours(8)["config.json"].read_text()) | {"auto_map": {"AutoModelForCausalLM": "modeling_own.Own"}}
    config["architectures"] = ["Own"]
    for step, marker in {0: "theirs", 8: "read", 24: "theirs"}.items():
        code = CODE.format(marker=str(tmp_path / marker)).encode()
        hub.push(REPO, ours(step, **{"config.json": json.dumps(config).encode(), "modeling_own.py": code}), f"step{step}")
    with pytest.raises(OntogenyError, match=r"it needs code of its own.* is not run here; of the hub, one commit .*--trust-remote"):
        opened(tmp_path / "runs", name="refused").score()
    with pytest.raises(OntogenyError, match="someone/tiny has no revision step9"):
        opened(tmp_path / "runs", name="typo", trust="step9")
    here = opened(tmp_path / "runs", trust="step8")
    here.score()
    same_scores(here, finished_run, {step: step for step in STEPS})
    assert (tmp_path / "read").exists()
    assert not (tmp_path / "theirs").exists()
    assert here.recipe.scoring.trust_remote_code == f"{REPO}@{hub.repositories[REPO].branches['step8']}"


def test_code_of_another_repository_is_never_run(hub, ours, tmp_path):
    import json

    config = json.loads(ours(8)["config.json"].read_text()) | {"auto_map": {"AutoModelForCausalLM": "else/where--modeling.Own"}}
    hub.push(REPO, ours(8, **{"config.json": json.dumps(config).encode(), "some.py": b""}), "step8")
    with pytest.raises(OntogenyError, match=r"wants code of another repository \(else/where--modeling.Own\)"):
        opened(tmp_path, trust="step8").score()


def test_options_of_the_hub_are_for_the_hub(finished_run, tmp_path):
    with pytest.raises(OntogenyError, match=r"is here; --revisions, --every, --seeds, --keep and --trust-remote-code are for"):
        opened(tmp_path, str(finished_run), keep=True)
