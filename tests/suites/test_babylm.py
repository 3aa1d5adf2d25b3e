"""BabyLM's two suites and Zorro: ids are unique, line breaks stay, and the folder above will do."""

import json
from collections import Counter

import pytest

from ontogeny.records import OntogenyError, Pair
from ontogeny.suites.babylm import FilteredBLiMP, Supplement
from ontogeny.suites.blimp import HUMAN, BLiMP
from ontogeny.suites.contrast import distinct
from ontogeny.suites.zorro import Zorro

EVALUATION = ("suites", "babylm_2025", "evaluation_data")


@pytest.fixture
def evaluation_data(tmp_path):
    """The evaluation's folders, with one pair of the filtered BLiMP and two of the supplement."""
    filtered = {
        "sentence_good": "a",
        "sentence_bad": "b",
        "field": "syntax",
        "linguistics_term": "island_effects",
        "UID": "wh_island",
        "one_prefix_method": False,
        "two_prefix_method": True,
        "pair_id": 17,
    }
    turn = {"row": 0, "sentence_good": "A: Who?\nB: Sarah.", "sentence_bad": "A: Who?\nB: The patio."}
    for folder, name, rows in (
        ("blimp_filtered", "wh_island", [filtered]),
        ("supplement_filtered", "turn_taking", [turn, turn]),
    ):
        file = tmp_path / "full_eval" / folder / f"{name}.jsonl"
        file.parent.mkdir(parents=True)
        file.write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


@pytest.mark.parametrize("below", ["", "full_eval", "full_eval/blimp_filtered"])
def test_filtered_blimp_is_found_from_any_folder_above(evaluation_data, below):
    suite = FilteredBLiMP(path=evaluation_data / below, paradigms=["wh_island"])
    assert suite.name == "babylm-blimp"
    assert list(suite.pairs()) == [Pair("wh_island", "17", "a", "b", "island_effects", "syntax", False, True)]
    assert suite.human() == {"wh_island": 0.73}


@pytest.mark.parametrize("below", ["", "full_eval", "full_eval/supplement_filtered"])
def test_the_supplement_keeps_line_breaks_and_numbers_its_pairs(evaluation_data, below):
    suite = Supplement(path=evaluation_data / below, paradigms=["turn_taking"])
    assert suite.name == "babylm-supplement"
    good, bad = "A: Who?\nB: Sarah.", "A: Who?\nB: The patio."
    assert list(suite.pairs()) == [Pair("turn_taking", "1", good, bad), Pair("turn_taking", "2", good, bad)]
    assert suite.human() == {}


def test_a_line_of_the_supplement_without_a_sentence_is_named(evaluation_data):
    file = evaluation_data / "full_eval" / "supplement_filtered" / "turn_taking.jsonl"
    file.write_text('{"sentence_good": "a", "sentence_bat": "b"}')
    with pytest.raises(OntogenyError, match=r"turn_taking\.jsonl:1: no field 'sentence_bad'; did you mean 'sentence_bat'"):
        list(Supplement(path=evaluation_data, paradigms=["turn_taking"]).pairs())


def test_the_two_suites_have_fingerprints_of_their_own(evaluation_data):
    filtered = FilteredBLiMP(path=evaluation_data, paradigms=["wh_island"])
    published = BLiMP(path=evaluation_data / "full_eval" / "blimp_filtered", paradigms=["wh_island"])
    assert filtered.fingerprint() != published.fingerprint()


# --- Zorro --------------------------------------------------------------------------------------------------------

ELLIPSIS = "ellipsis-n_bar"


def zorro(folder, text: str) -> list[Pair]:
    (folder / f"{ELLIPSIS}.txt").write_text(text)
    return list(Zorro(path=folder, paradigms=[ELLIPSIS]).pairs())


def test_zorro_has_the_bad_sentence_first(tmp_path):
    found = zorro(tmp_path, "bad one .\ngood one .\nbad two .\ngood two .\n")
    assert found == [
        Pair(ELLIPSIS, "1", "good one .", "bad one .", "ellipsis"),
        Pair(ELLIPSIS, "2", "good two .", "bad two .", "ellipsis"),
    ]


@pytest.mark.parametrize(("text", "line"), [("bad\ngood\nbad\n", 3), ("bad\n\n", 2), ("bad\ngood\n \n", 3)])
def test_a_sentence_without_its_fellow_is_an_error(tmp_path, text, line):
    with pytest.raises(OntogenyError, match=rf"{ELLIPSIS}\.txt:{line}: "):
        zorro(tmp_path, text)


# --- the real thing -----------------------------------------------------------------------------------------------


@pytest.mark.real
def test_filtered_blimp_is_a_part_of_blimp(real_data):
    filtered = list(FilteredBLiMP(path=real_data.joinpath(*EVALUATION)).pairs())
    assert len(filtered) == 59_875
    assert {pair.paradigm for pair in filtered} == set(HUMAN)
    assert len({pair.phenomenon for pair in filtered}) == 12
    assert len(distinct(filtered)[1]) == 7
    assert set(filtered) <= set(BLiMP(path=real_data / "suites" / "blimp").pairs())  # ids and all


@pytest.mark.real
def test_the_supplement_has_five_paradigms(real_data):
    found = list(Supplement(path=real_data.joinpath(*EVALUATION)).pairs())
    assert Counter(pair.paradigm for pair in found) == {
        "hypernym": 842,
        "qa_congruence_easy": 64,
        "qa_congruence_tricky": 165,
        "subject_aux_inversion": 3867,
        "turn_taking": 280,
    }
    assert any("\n" in pair.good for pair in found)


@pytest.mark.real
def test_zorro_has_23_paradigms_of_2000_pairs(real_data):
    found = list(Zorro(path=real_data / "suites" / "zorro").pairs())
    assert Counter(pair.paradigm for pair in found) == dict.fromkeys(Zorro.known, 2000)
    assert len(Zorro.known) == 23
    assert not distinct(found)[1]
