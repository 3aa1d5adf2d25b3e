"""What differs between recipes, and what runs are called."""

from pathlib import Path

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from ontogeny.comparison.differing import ABSENT, differing, text
from ontogeny.comparison.names import check_differ, parted
from ontogeny.records import OntogenyError


def plain(*settings):
    return tiny.recipe(*settings).model_dump(mode="json")


def test_one_field():
    found = differing([plain("name=a", "training.batch=4"), plain("name=b", "training.batch=8")])
    assert found.fields == {"training.batch": ["4", "8"]}
    assert "corpus (micro-english)" in found.same and "seeds (0, 1)" in found.same
    assert not any(said.startswith(("training", "name", "interventions")) for said in found.same)


def test_equal_recipes_differ_in_nothing():
    assert differing([plain("name=a"), plain("name=b")]).fields == {}


def test_models_of_different_kinds_stand_as_a_whole():
    found = differing([plain("model={kind: opt, size: opt-1m}"), plain("model={kind: lstm, size: lstm-1m}")])
    assert found.fields == {"model": ["opt (size opt-1m)", "lstm (size lstm-1m)"]}


def test_parts_of_the_same_kinds_are_gone_into():
    found = differing([plain(), plain("suites=[{kind: micro-english, pairs_per_paradigm: 20}]")])
    assert found.fields == {"suites.micro-english.pairs_per_paradigm": ["10", "20"]}


def test_a_list_that_one_recipe_lacks():
    found = differing([{"interventions": []}, {"interventions": [{"kind": "jitter", "every": 2, "at": None}]}])
    assert found.fields == {"interventions": ["none", "jitter (every 2)"]}


def test_a_section_that_only_one_has():
    assert differing([{"name": "a", "bos": True}, {"bos": True, "training": {"batch": 4}}]).fields == {
        "training": [ABSENT, "batch 4"]
    }


def test_no_path_of_a_machine_is_told():
    assert text("/home/somebody/texts/train") == "…/train" == text("~/train") == text("C:\\texts\\train")
    assert text("data/babylm/train") == "data/babylm/train"
    found = differing([plain("corpus={kind: text, path: /tmp/x}"), plain("corpus={kind: text, path: /tmp/y}")])
    assert found.fields == {"corpus.path": ["…/x", "…/y"]}


def test_names_without_what_they_share():
    assert parted(["architectures-opt", "architectures-lstm"]) == ("architectures", ["opt", "lstm"])
    assert parted(["opt", "opt-2m"]) == ("", ["opt", "opt-2m"])
    assert parted(["a-b-c", "a-b"]) == ("a", ["b-c", "b"])
    assert parted(["run-seed-0", "run-seed-1"]) == ("run", ["seed-0", "seed-1"])
    assert parted(["untouched", "unit"]) == ("", ["untouched", "unit"])  # cut at joints alone


@given(st.lists(st.text("ab-_.", min_size=1, max_size=8), min_size=2, max_size=5, unique=True))
def test_parted_names_stay_different_and_whole(names):
    common, short = parted(names)
    assert len(set(short)) == len(names) and all(short)
    assert all(name.startswith(common) and name.endswith(own) for name, own in zip(names, short, strict=True))


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        (["runs/a"], "two runs or more, and 1 was named"),
        (["runs/a", "runs/b", "runs/./a"], "runs/a is named twice"),
        (["runs/a", "others/a"], "two runs are called a: runs/a and others/a"),
    ],
)
def test_runs_that_cannot_be_told_apart(paths, says):
    with pytest.raises(OntogenyError, match=says):
        check_differ([Path(path) for path in paths])
