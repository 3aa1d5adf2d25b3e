"""Checkpoints as revisions of a repository: `huggingface_hub` itself writes them to a hub in little, and reads them back."""

import shutil

import pytest
import tiny

from ontogeny import store
from ontogeny.commands.exporting import export
from ontogeny.commands.pushing import name_of, push, revisions
from ontogeny.foreign import open_tokenizer
from ontogeny.laboratory import Run
from ontogeny.records import Checkpoint, OntogenyError

pytest.importorskip("huggingface_hub")


@pytest.fixture
def hub(monkeypatch):
    """A hub in little, and the library set up to talk to it alone."""
    from hub_server import Hub
    from huggingface_hub import constants

    with Hub() as found:
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        monkeypatch.setenv("HF_TOKEN", "hf_valid")
        yield found


def files_of(hub, repo, revision):
    known = hub.repositories[repo]
    return {name: hub.blobs[sha].read() for name, sha in known.commits[known.branches[revision]].files.items()}


def test_each_checkpoint_is_a_revision_and_main_is_the_last_with_a_card(finished_run, hub):
    run, repo = Run(finished_run), "tester/tiny"
    assert push(run, repo, tiny.Heard(), endpoint=hub.url).endswith(repo)
    assert set(hub.repositories[repo].branches) == {"main", *(f"step-{step}" for step in tiny.TRAINED)}
    for step in tiny.TRAINED:
        own = {path.name: path.read_bytes() for path in run.folder.checkpoint(0, step).iterdir()}
        pushed = files_of(hub, repo, f"step-{step}")
        assert pushed.items() <= own.items()
        assert set(own) - set(pushed) == {"DONE", "ontogeny.json"}
    main = files_of(hub, repo, "main")
    assert main["model.safetensors"] == files_of(hub, repo, "step-24")["model.safetensors"]
    assert main["map.png"].startswith(b"\x89PNG")
    card = main["README.md"].decode()
    assert f'from_pretrained("{repo}", revision="step-24")' in card
    assert card.startswith("---\nlibrary_name: transformers\n")
    for verdict, paradigms in run.verdicts().group_by("verdict").agg("paradigm").iter_rows():
        assert f"| {verdict} | {len(paradigms)}: {', '.join(sorted(paradigms))} |" in card


def test_what_is_no_part_of_a_model_stays_and_is_named(finished_run, hub, tmp_path):
    run, heard = Run(shutil.copytree(finished_run, tmp_path / "tiny")), tiny.Heard()
    for name in ("optimizer.pt", "training_args.bin"):
        (run.folder.checkpoint(0, 24) / name).write_bytes(b"a trainer's own")
    push(run, "tester/tiny", heard, endpoint=hub.url)
    assert "not sent, as neither weights, settings nor a tokenizer: optimizer.pt, training_args.bin" in heard.said
    assert files_of(hub, "tester/tiny", "step-24").keys() == files_of(hub, "tester/tiny", "step-8").keys()
    assert files_of(hub, "tester/tiny", "main").keys() == files_of(hub, "tester/tiny", "step-8").keys() | {"README.md", "map.png"}


def test_a_second_push_sends_no_weights_again_and_leaves_no_other_files(finished_run, hub):
    run, repo = Run(finished_run), "tester/tiny"
    hub.push(repo, {"stale.txt": b"before", "config.json": b"{}"})
    push(run, repo, tiny.Heard(), endpoint=hub.url)
    assert "stale.txt" not in files_of(hub, repo, "step-0") and "stale.txt" not in files_of(hub, repo, "main")
    before = {branch: files_of(hub, repo, branch) for branch in hub.repositories[repo].branches}
    sent = len([one for one in hub.asked if one.startswith("PUT /upload")])
    push(run, repo, tiny.Heard(), endpoint=hub.url)
    assert len([one for one in hub.asked if one.startswith("PUT /upload")]) <= sent + 1  # the map is drawn anew
    assert {branch: files_of(hub, repo, branch).keys() for branch in before} == {
        branch: files.keys() for branch, files in before.items()
    }


def test_what_was_pushed_opens(finished_run, hub, tmp_path):
    from huggingface_hub import snapshot_download

    run = Run(finished_run)
    push(run, "tester/tiny", tiny.Heard(), endpoint=hub.url)
    place = snapshot_download("tester/tiny", revision="step-8", endpoint=hub.url, local_dir=tmp_path / "model", token="hf_valid")
    assert store.file_hash(tmp_path / "model" / "model.safetensors") == store.file_hash(
        run.folder.checkpoint(0, 8) / "model.safetensors"
    )
    assert len(open_tokenizer(place)) == len(open_tokenizer(run.folder.tokenizer))


def test_where_nobody_is_logged_in_the_error_says_what_to_do(finished_run, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(OntogenyError, match=r"tester/tiny: .*log in with `hf auth login`"):
        push(Run(finished_run), "tester/tiny", tiny.Heard(), endpoint=hub.url)
    with pytest.raises(OntogenyError, match="--name OWNER/NAME"):
        export(Run(finished_run), "hub")


@pytest.mark.parametrize(
    ("words", "name"), [(None, "step-7"), (0.0, "step-7"), (998_000.0, "chck_1M"), (1_300_000.0, "step-7"), (1e8, "chck_100M")]
)
def test_revisions_are_called_by_their_words(tmp_path, words, name):
    assert name_of(Checkpoint(7, tmp_path, words=words)) == name


def test_of_checkpoints_near_one_another_the_nearest_has_the_name(tmp_path):
    near = [Checkpoint(step, tmp_path, words=words) for step, words in ((1, 960_000.0), (2, 1_000_000.0), (3, 1_020_000.0))]
    assert {name: one.step for name, one in revisions(near).items()} == {"step-1": 1, "chck_1M": 2, "step-3": 3}


def test_checkpoints_that_are_not_on_the_disk_are_no_revisions(finished_run, hub, tmp_path):
    run = Run(shutil.copytree(finished_run, tmp_path / "tiny"))
    kept = run.folder.checkpoints
    run.folder.checkpoints = lambda seed: [*kept(seed), Checkpoint(99, tmp_path / "gone")]
    for to, options in (("hub", {"name": "tester/gone"}), ("babylm", {"data": tmp_path})):
        with pytest.raises(OntogenyError, match=r"of 1 checkpoints \(steps 99\) the files are not on the disk .*--keep"):
            export(run, to, **options)
    assert "tester/gone" not in hub.repositories


def test_a_run_that_was_not_judged_has_a_card_without_verdicts(finished_run, hub, tmp_path):
    run = Run(shutil.copytree(finished_run, tmp_path / "tiny"))
    run.folder.verdicts.unlink()
    push(run, "tester/unjudged", tiny.Heard(), endpoint=hub.url)
    assert b"It has not been judged." in files_of(hub, "tester/unjudged", "main")["README.md"]
