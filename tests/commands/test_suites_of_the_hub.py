"""`suites get` of a suite that lies in a folder of a data set, from the little hub."""

import json

import pytest
import tiny
from hub_server import Hub

from ontogeny.commands import suite_files

pytest.importorskip("huggingface_hub")


def test_a_declared_suite_comes_from_its_folder_of_a_data_set(tmp_path, monkeypatch):
    import huggingface_hub

    row = {"input_prefix": "Box 0 has", "options": [" a key.", " a pen."], "numops": 0}
    data = tmp_path / "data" / "full_eval"
    for folder in ("entity_tracking", "blimp_filtered"):
        (data / folder).mkdir(parents=True)
        (data / folder / "regular.jsonl").write_text(json.dumps(row))
    with Hub() as hub:
        hub.push(suite_files.BABYLM, tmp_path / "data")
        own = huggingface_hub.snapshot_download
        monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo, **how: own(repo, endpoint=hub.url, **how))
        place = suite_files.get("entity-tracking", tmp_path / "out", tiny.Heard())
    assert suite_files.paradigms("entity-tracking", place) == [("regular", "regular_0_ops", 1)]
    assert not (place / "full_eval" / "blimp_filtered").exists()
