"""A folder that `datasets` opens is read like any corpus; without a network the way out is said at once."""

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ontogeny.corpora import hub
from ontogeny.corpora.hub import Hub
from ontogeny.records import Document, OntogenyError

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "speech"
    path.mkdir()
    rows = [{"text": "one\n\ntwo\r\n"}, {"text": " "}, {"text": "three"}]
    (path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return path


def refusal(**settings) -> str:
    with pytest.raises(OntogenyError) as error:
        list(Hub(**settings).documents())
    return str(error.value)


def test_lines_of_rows_are_documents(folder):
    found = list(Hub(name=str(folder)).documents())
    assert found == [Document("one", "speech", 1), Document("two", "speech", 1), Document("three", "speech", 3)]


def test_rows_are_documents(folder):
    found = [document.text for document in Hub(name=str(folder), document="file").documents()]
    assert found == ["one\n\ntwo\r\n", "three"]


def test_parquet_is_read_by_column(tmp_path):
    (tmp_path / "speech").mkdir()
    pq.write_table(pa.table({"line": ["one", "two"]}), tmp_path / "speech" / "train.parquet")
    found = [document.text for document in Hub(name=str(tmp_path / "speech"), column="line").documents()]
    assert found == ["one", "two"]


def test_a_faulty_setting_is_named(folder):
    assert refusal(name=str(folder), column="txt").endswith("no column 'txt'; did you mean 'text'?")
    assert "Available splits: ['train']" in refusal(name=str(folder), split="dev")
    assert "BuilderConfig 'nope' not found" in refusal(name=str(folder), config="nope")


def test_rows_without_text_are_named(folder):
    (folder / "train.jsonl").write_text('{"text": "one"}\n{"text": null}\n')
    assert refusal(name=str(folder)) == f"corpus: row 2 of {folder}: 'text' is null, not text"
    (folder / "train.jsonl").write_text('{"text": " "}\n')
    assert refusal(name=str(folder)) == f"corpus: {folder} holds no text in split 'train': every row is blank"


def test_a_path_that_is_not_there_or_is_a_file_is_not_looked_for_on_the_hub(folder, monkeypatch):
    monkeypatch.setattr(hub, "_reachable", lambda: pytest.fail("the hub was asked"))
    assert "does not exist" in refusal(name=str(folder / "nowhere"))
    file = folder / "train.jsonl"
    assert refusal(name=str(file)).endswith(f"--set corpus.kind=text --set corpus.path={file}")
    assert "a file format" in refusal(name="json")


def test_the_fingerprint_follows_bytes_and_settings_and_not_the_place(folder, tmp_path):
    before = Hub(name=str(folder)).fingerprint()
    moved = folder.rename(tmp_path / "elsewhere")
    assert Hub(name=str(moved)).fingerprint() == before
    assert Hub(name=str(moved), document="file").fingerprint() != before
    (moved / "train.jsonl").write_text('{"text": "other"}')
    assert Hub(name=str(moved)).fingerprint() != before


def test_a_commit_is_its_own_fingerprint_without_a_network(monkeypatch):
    monkeypatch.setattr(hub, "_reachable", lambda: pytest.fail("the hub was asked"))
    one, other = (Hub(name="someone/speech", revision=digit * 40).fingerprint() for digit in "ab")
    assert one != other


def test_without_a_network_the_way_out_is_said(monkeypatch):
    monkeypatch.setattr(hub, "_reachable", lambda: False)
    message = refusal(name="someone/speech")
    assert message.startswith("corpus: cannot reach the hub for 'someone/speech'")
    assert "hf download someone/speech --repo-type dataset --local-dir FOLDER" in message
    assert message.endswith("--set corpus.kind=text --set corpus.path=FOLDER")
    with pytest.raises(OntogenyError, match="cannot reach the hub"):
        Hub(name="someone/speech").fingerprint()


def test_one_unanswered_request_means_no_network(monkeypatch):
    import huggingface_hub

    asked = []

    class Session:
        def head(self, address, timeout):
            asked.append((address, timeout))
            raise OSError("Name or service not known")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_session", Session)
    assert not hub._reachable()
    assert asked == [(huggingface_hub.constants.ENDPOINT, hub.PROBE)]
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert not hub._reachable()
    assert len(asked) == 1


def test_a_network_lost_on_the_way_is_said_too(monkeypatch):
    class ConnectError(Exception):
        pass

    def lost(*_, **__):
        raise ConnectError

    monkeypatch.setattr(hub, "_reachable", lambda: True)
    monkeypatch.setattr(datasets, "load_dataset_builder", lost)
    assert "cannot reach the hub for 'someone/speech'" in refusal(name="someone/speech")


def test_without_a_network_the_cached_copy_serves_and_only_as_what_it_is(folder, tmp_path, monkeypatch):
    datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    (tmp_path / "cache" / "speech").rename(tmp_path / "cache" / "someone___speech")
    monkeypatch.setattr(hub, "_reachable", lambda: False)
    cached = Hub(name="someone/speech")
    assert [document.text for document in cached.documents()] == ["one", "two", "three"]
    commit = next((tmp_path / "cache" / "someone___speech").glob("*/*/*/")).name
    assert Hub(name="someone/speech", revision=commit).fingerprint() == cached.fingerprint()
    assert f"set corpus.revision={commit}" in refusal(name="someone/speech", revision="v2")


def test_offline_mode_ends_where_it_began(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    with hub._offline():
        assert constants.HF_HUB_OFFLINE and datasets.config.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE and not datasets.config.HF_HUB_OFFLINE


def test_a_missing_package_is_named_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert 'pip install "ontogeny[hub]"' in refusal(name="someone/speech")


@pytest.mark.parametrize("name", ["speech[1]", "sp*", "s?eech"])
def test_a_folder_that_datasets_would_take_for_a_pattern_is_refused(folder, name):
    other = folder.rename(folder.with_name(name))
    assert f"in {other.resolve()} as a pattern" in refusal(name=str(other))
