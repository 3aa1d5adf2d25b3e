"""BLiMP as published: 67 paradigms under the paper's phenomena, and a faulty file is named to the line."""

import csv
import json
import subprocess
import sys
from collections import Counter

import pytest
from pydantic import ValidationError

from ontogeny.records import OntogenyError, Pair
from ontogeny.scoring.reading import ask
from ontogeny.suites.blimp import AGREEMENT, HUMAN, PHENOMENON, BLiMP
from ontogeny.suites.contrast import distinct

ROW = {
    "sentence_good": "Who left?",
    "sentence_bad": "Whom left?",
    "field": "syntax",
    "linguistics_term": "island_effects",
    "UID": "wh_island",
    "one_prefix_method": True,
    "two_prefix_method": False,
    "pairID": "0",
}


def write(file, *rows):
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))


def pairs(path, *paradigms) -> list[Pair]:
    return list(BLiMP(path=path, paradigms=paradigms or ("wh_island",)).pairs())


def refusal(path, *paradigms) -> str:
    with pytest.raises(OntogenyError) as error:
        pairs(path, *paradigms)
    return str(error.value)


# --- the table ----------------------------------------------------------------------------------------------------


def test_the_table_has_67_paradigms_12_phenomena_and_4_fields():
    assert len(HUMAN) == len(BLiMP.known) == 67
    assert len({phenomenon for phenomenon, _ in AGREEMENT}) == len(AGREEMENT) == 12
    assert {field for _, field in AGREEMENT} == {"morphology", "syntax", "semantics", "syntax_semantics"}


def test_human_agreement_averages_to_the_figure_of_the_paper(tmp_path):
    human = BLiMP(path=tmp_path).human()
    assert round(sum(human.values()) / 67, 3) == 0.886
    assert BLiMP(path=tmp_path, paradigms=["wh_island"]).human() == {"wh_island": 0.73}


# --- reading ------------------------------------------------------------------------------------------------------


def test_a_pair_has_every_field(tmp_path):
    write(tmp_path / "data" / "wh_island.jsonl", ROW)
    expected = [Pair("wh_island", "0", "Who left?", "Whom left?", "island_effects", "syntax", True, False)]
    assert pairs(tmp_path) == pairs(tmp_path / "data") == expected


@pytest.mark.parametrize(
    ("paradigm", "term", "field", "expected"),
    [
        ("animate_subject_trans", "s-selection", "syntax", ("argument_structure", "syntax")),
        ("principle_A_case_2", "binding", "syntax/semantics", ("binding", "syntax_semantics")),
        ("only_npi_scope", "npi_licensing", "syntax_semantics", ("npi_licensing", "semantics")),
    ],
)
def test_the_labels_of_the_data_become_those_of_the_paper(tmp_path, paradigm, term, field, expected):
    write(tmp_path / f"{paradigm}.jsonl", ROW | {"UID": paradigm, "linguistics_term": term, "field": field})
    (pair,) = pairs(tmp_path, paradigm)
    assert (pair.phenomenon, pair.field) == expected == PHENOMENON[paradigm]


def test_a_recipe_gives_strings_and_lists(tmp_path):
    suite = BLiMP.model_validate({"kind": "blimp", "path": str(tmp_path), "paradigms": ["wh_island"]})
    assert suite.name == "blimp"
    assert suite.paradigms == ("wh_island",)


def test_the_fingerprint_follows_the_chosen_files(tmp_path):
    write(tmp_path / "one" / "wh_island.jsonl", ROW)
    write(tmp_path / "two" / "wh_island.jsonl", ROW)
    write(tmp_path / "two" / "adjunct_island.jsonl", ROW | {"UID": "adjunct_island"})
    one, two = (BLiMP(path=tmp_path / name, paradigms=["wh_island"]).fingerprint() for name in ("one", "two"))
    assert one == two
    assert BLiMP(path=tmp_path / "two", paradigms=["wh_island", "adjunct_island"]).fingerprint() != two
    write(tmp_path / "one" / "wh_island.jsonl", ROW | {"pairID": "1"})
    assert BLiMP(path=tmp_path / "one", paradigms=["wh_island"]).fingerprint() != two


def test_importing_a_suite_does_not_import_torch():
    modules = "ontogeny.suites.babylm, ontogeny.suites.zorro, ontogeny.suites.table, ontogeny.corpora.text"
    code = f"import sys, {modules}; assert not {{'torch', 'datasets'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- errors -------------------------------------------------------------------------------------------------------


def test_an_unknown_paradigm_gets_the_nearest_name(tmp_path):
    with pytest.raises(ValidationError, match="no paradigm is called 'wh_iland'; did you mean 'wh_island'"):
        BLiMP(path=tmp_path, paradigms=["wh_iland"])
    with pytest.raises(ValidationError, match="'wh_island' is named twice"):
        BLiMP(path=tmp_path, paradigms=["wh_island", "wh_island"])


def test_a_missing_folder_names_what_is_there(tmp_path):
    (tmp_path / "blimp").mkdir()
    assert refusal(tmp_path / "blmp").endswith("did you mean 'blimp'?")
    assert refusal(tmp_path / "blimp" / "x").endswith("that folder is empty")
    assert "no .jsonl file in" in refusal(tmp_path / "blimp")


def test_a_file_instead_of_a_folder_is_refused(tmp_path):
    write(tmp_path / "wh_island.jsonl", ROW)
    assert "wh_island.jsonl is a file; the folder" in refusal(tmp_path / "wh_island.jsonl")


def test_missing_files_are_counted_and_named(tmp_path):
    write(tmp_path / "wh_island.jsonl", ROW)
    part = BLiMP(path=tmp_path)
    assert [pair.paradigm for pair in part.pairs()] == ["wh_island"]
    (told,) = part.left_out()
    assert told.startswith("66 of 67 paradigms of blimp are not there: adjunct_island, ") and told.endswith(" and 58 more")
    assert ask(part, None).told == [told]
    assert "lacks 1 of 2 files: adjunct_island.jsonl;" in refusal(tmp_path, "wh_island", "adjunct_island")


def test_a_file_that_is_no_paradigm_is_named_and_left_out(tmp_path):
    for name in BLiMP.known:
        write(tmp_path / f"{name}.jsonl", "")
    write(tmp_path / "my_paradigm.jsonl", ROW)
    assert BLiMP(path=tmp_path).left_out() == ["left out, no paradigm of blimp: my_paradigm.jsonl"]
    assert list(BLiMP(path=tmp_path, paradigms=["wh_island"]).files()) == ["wh_island"]


def test_every_field_is_needed(tmp_path):
    for field in ROW:
        write(tmp_path / "wh_island.jsonl", ROW, {name: value for name, value in ROW.items() if name != field})
        assert f"{tmp_path}/wh_island.jsonl:2: no field {field!r}; " in refusal(tmp_path)


def test_the_filtered_data_read_as_the_published_says_which_field_was_meant(tmp_path):
    write(tmp_path / "wh_island.jsonl", {"pair_id" if name == "pairID" else name: ROW[name] for name in ROW})
    assert refusal(tmp_path).endswith("no field 'pairID'; did you mean 'pair_id'?")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{no", "not valid JSON"),
        ("[]", "a JSON object is expected"),
        (ROW | {"sentence_good": " "}, "'sentence_good' is empty; a sentence is expected"),
        (ROW | {"sentence_bad": None}, "'sentence_bad' is null, not a sentence"),
        (ROW | {"sentence_bad": "\ud800"}, "'sentence_bad' holds half a surrogate pair"),
        (ROW | {"UID": "adjunct_island"}, "UID is 'adjunct_island' in the file of 'wh_island'"),
        (ROW | {"field": "semantics"}, "linguistics_term 'island_effects', field 'semantics'; wh_island has "),
        (ROW | {"one_prefix_method": "yes"}, "'one_prefix_method' is 'yes'; true or false is expected"),
        (ROW, "pair '0' was already on line 1"),
    ],
)
def test_a_faulty_line_is_named(tmp_path, row, message):
    write(tmp_path / "wh_island.jsonl", ROW, row)
    assert f"{tmp_path}/wh_island.jsonl:2: {message}" in refusal(tmp_path)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_bytes_that_are_not_utf8_are_found_to_the_byte(tmp_path, mark):
    (tmp_path / "wh_island.jsonl").write_bytes(mark + b'{"\xff')
    assert f"wh_island.jsonl:1: byte {len(mark) + 2} is not UTF-8" in refusal(tmp_path)
    (tmp_path / "wh_island.jsonl").write_bytes(mark + b"\n\n\xff")
    assert f"wh_island.jsonl:3: byte {len(mark) + 2} is not UTF-8" in refusal(tmp_path)


def test_an_empty_file_is_an_error(tmp_path):
    write(tmp_path / "wh_island.jsonl", "", "")
    assert refusal(tmp_path) == f"{tmp_path}/wh_island.jsonl: holds no pair; fetch the suite again"


# --- the real thing -----------------------------------------------------------------------------------------------


@pytest.mark.real
def test_blimp_is_whole(real_data):
    found = list(BLiMP(path=real_data / "suites" / "blimp").pairs())
    assert Counter(pair.paradigm for pair in found) == dict.fromkeys(HUMAN, 1000)
    assert len({pair.phenomenon for pair in found}) == 12
    assert len({pair.field for pair in found}) == 4
    assert len({pair.paradigm for pair in found if pair.one_prefix}) == 20
    assert len({pair.paradigm for pair in found if pair.two_prefix}) == 20
    assert Counter(pair.paradigm for pair in distinct(found)[1]) == {"passive_1": 2, "principle_A_case_2": 5}


@pytest.mark.real
def test_the_table_equals_the_published_files(real_data):
    summary = real_data / "reference" / "blimp_paper" / "raw_results" / "summary"
    with (summary / "human_validation_summary.csv").open() as file:
        published = {row["Condition"]: float(row["total_mean"]) for row in csv.DictReader(file)}
    assert published.keys() - HUMAN.keys() == {  # rejected in validation: they are not in BLiMP
        "coordinate_structure_constraint_subject_extraction",
        "wh_questions_object_gap_long_distance",
    }
    assert {name: published[name] for name in HUMAN} == HUMAN
    rows = map(json.loads, (summary / "models_summary.jsonl").read_text().splitlines())
    phenomena = {row["UID"]: row["linguistics_term"] for row in rows if row["UID"] != "overall"}
    assert {name: phenomenon for name, (phenomenon, _) in PHENOMENON.items()} == phenomena
