"""The hub in little answers as the hub does: its own client reads and writes it, and what goes wrong is what it knows."""

import time
from pathlib import Path

import pytest
from hub_server import Hub

hub_library = pytest.importorskip("huggingface_hub")
from huggingface_hub import HfApi, constants  # noqa: E402
from huggingface_hub.errors import (  # noqa: E402
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

REPO = "someone/model"
SMALL, LARGE = b'{"model_type": "opt"}', bytes(range(256)) * 40


@pytest.fixture
def hub():
    with Hub() as found:
        found.push(REPO, {"config.json": SMALL, "model.safetensors": LARGE})
        yield found


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.url, token="hf_valid")


def test_branches_trees_and_files_are_what_was_pushed(hub, api, tmp_path):
    later = hub.push(REPO, {"config.json": SMALL, "model.safetensors": LARGE[::-1]}, "step1")
    assert {one.name: one.target_commit for one in api.list_repo_refs(REPO).branches}["step1"] == later
    tree = {file.path: file for file in api.list_repo_tree(REPO, recursive=True, revision=later, expand=True)}
    assert (tree["config.json"].size, tree["config.json"].lfs) == (len(SMALL), None)
    assert tree["model.safetensors"].lfs.sha256 in hub.blobs
    folder = tmp_path / "there"
    api.snapshot_download(REPO, revision=later, local_dir=folder)
    assert (folder / "model.safetensors").read_bytes() == LARGE[::-1]
    assert (folder / "config.json").read_bytes() == SMALL


def test_long_lists_come_in_pages(api, hub):
    hub.page = 2
    for step in range(5):
        hub.push(REPO, {"config.json": SMALL}, title=f"Step {step}", descends=True)
    assert [one.title for one in api.list_repo_commits(REPO)] == [*(f"Step {step}" for step in (4, 3, 2, 1, 0)), "Upload main"]
    hub.push(REPO, {f"{n}.txt": b"x" for n in range(5)}, "many")
    assert len(list(api.list_repo_tree(REPO, revision="many", recursive=True))) == 5


def test_a_cut_transfer_goes_on_where_it_ended(hub, api, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)
    hub.cut(after=1000)
    assert Path(api.hf_hub_download(REPO, "model.safetensors", local_dir=tmp_path)).read_bytes() == LARGE
    assert len([one for one in hub.asked if one.startswith("GET /cdn/")]) == 2
    assert hub.sent == len(LARGE)


def test_what_cannot_be_had_is_told_as_the_hub_tells_it(hub, api, tmp_path):
    with pytest.raises(RepositoryNotFoundError):
        api.list_repo_refs("someone/else")
    with pytest.raises(RevisionNotFoundError):
        list(api.list_repo_tree(REPO, revision="step9"))
    with pytest.raises(RemoteEntryNotFoundError):
        api.hf_hub_download(REPO, "nothing.txt", local_dir=tmp_path)
    stranger = HfApi(endpoint=hub.url, token=False)
    hub.repositories[REPO].gated = True
    with pytest.raises(GatedRepoError):
        stranger.auth_check(REPO)
    hub.repositories[REPO].private = True
    with pytest.raises(RepositoryNotFoundError):
        stranger.list_repo_refs(REPO)
    api.auth_check(REPO)
    hub.too_many()
    with pytest.raises(HfHubHTTPError, match="429"):
        api.list_repo_refs(REPO)


def test_a_repository_of_another_name_is_found(hub, api):
    hub.renamed["old/name"] = REPO
    assert [one.name for one in api.list_repo_refs("old/name").branches] == ["main"]


def test_the_client_writes_too(hub, api, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    (tmp_path / "model.safetensors").write_bytes(LARGE)
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    with pytest.raises(HfHubHTTPError, match="401"):
        HfApi(endpoint=hub.url, token=False).create_repo("me/new")
    api.create_repo("me/new")
    api.create_repo("me/new", exist_ok=True)
    api.upload_folder(repo_id="me/new", folder_path=tmp_path)
    api.create_branch("me/new", branch="chck_1M")
    (tmp_path / "model.safetensors").write_bytes(LARGE[::-1])
    (tmp_path / "README.md").unlink()
    api.upload_folder(repo_id="me/new", folder_path=tmp_path, revision="chck_1M", delete_patterns="*")
    assert set(api.list_repo_files("me/new")) == {"model.safetensors", "README.md"}
    assert api.list_repo_files("me/new", revision="chck_1M") == ["model.safetensors"]
    back = api.hf_hub_download("me/new", "model.safetensors", revision="chck_1M", local_dir=tmp_path / "back")
    assert Path(back).read_bytes() == LARGE[::-1]
