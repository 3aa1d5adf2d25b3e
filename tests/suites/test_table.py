"""A suite of one's own reads the same from each format, and a faulty row is named."""

import csv
import json
import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ontogeny.records import OntogenyError, Pair
from ontogeny.suites.table import Table, rows_of

sentences = st.text(st.characters(exclude_characters="\r\0", exclude_categories=("Cs",))).filter(str.strip)
tables = st.lists(st.tuples(sentences, sentences), min_size=1, max_size=6)


def pairs(file: Path, content: str = "") -> list[Pair]:
    if content:
        file.write_text(content)
    return list(Table(path=file).pairs())


def refusal(file: Path, content: str = "") -> str:
    with pytest.raises(OntogenyError) as error:
        pairs(file, content)
    return str(error.value)


@settings(deadline=None)
@given(tables)
def test_pairs_written_are_pairs_read_whatever_the_format(written):
    rows = [{"paradigm": "p", "good": good, "bad": bad} for good, bad in written]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"suite.{extension}") for extension in ("jsonl", "csv", "tsv", "parquet")]
        files[0].write_text("\n".join(map(json.dumps, rows)))
        for file, separator in ((files[1], ","), (files[2], "\t")):
            with file.open("w", newline="") as stream:
                writer = csv.DictWriter(stream, list(rows[0]), delimiter=separator)
                writer.writeheader()
                writer.writerows(rows)
        pq.write_table(pa.Table.from_pylist(rows), files[3])
        expected = [Pair("p", str(number), good, bad) for number, (good, bad) in enumerate(written, 1)]
        for file in files:
            assert pairs(file) == expected


def test_every_column_is_read(tmp_path):
    header = "paradigm,good,bad,pair,phenomenon,field,one_prefix,two_prefix,note"
    found = pairs(tmp_path / "a.csv", f"{header}\np,g,b,7,agreement,syntax,TRUE,,x\n")
    assert found == [Pair("p", "7", "g", "b", "agreement", "syntax", True, False)]


def test_blimps_own_names_serve(tmp_path):
    row = {"UID": "p", "sentence_good": "g", "sentence_bad": "b", "pairID": 3, "one_prefix_method": True}
    row |= {"linguistics_term": "agreement", "field": None, "two_prefix_method": False}
    assert pairs(tmp_path / "a.jsonl", json.dumps(row)) == [Pair("p", "3", "g", "b", "agreement", "", True, False)]


def test_the_name_is_the_label_or_the_files(tmp_path):
    assert Table(path=tmp_path / "my pairs.v2.csv").name == "my-pairs.v2"
    assert Table(path=tmp_path / "a.csv", label="clams").name == "clams"
    for label in ("a/b", "..", ""):
        with pytest.raises(ValidationError):
            Table(path=tmp_path / "a.csv", label=label)


def test_the_fingerprint_is_the_contents(tmp_path):
    content = '{"paradigm": "p", "good": "g", "bad": "b"}\n'
    (tmp_path / "a.jsonl").write_text(content)
    (tmp_path / "b.jsonl").write_text(content)
    (tmp_path / "c.jsonl").write_text(content * 2)
    a, b, c = (Table(path=tmp_path / f"{name}.jsonl").fingerprint() for name in "abc")
    assert a == b != c
    assert Table(path=tmp_path / "a.jsonl").human() == {}


def test_the_same_id_may_stand_in_two_paradigms(tmp_path):
    found = pairs(tmp_path / "a.csv", "paradigm,pair,good,bad\np,1,g,b\nq,1,g,b\n")
    assert [(pair.paradigm, pair.pair) for pair in found] == [("p", "1"), ("q", "1")]


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("paradigm,godo,bad\np,g,b\n", 2, "no column 'good' (or 'sentence_good'); did you mean 'godo'?"),
        ("paradigm,good,sentence_good,bad\np,g,g,b\n", 2, "both 'good' and 'sentence_good' are there"),
        ("paradigm,good,good\np,g,b\n", 1, "two columns are called 'good'"),
        ("paradigm,good,bad\np,g,b\np,,b\n", 3, "'good' is empty; a sentence is expected"),
        ("paradigm,good,bad\n,g,b\n", 2, "'paradigm' is empty; every pair needs one"),
        ("paradigm,good,bad\n\np,g\n", 3, "2 fields under 3 columns; quote a field with ','"),
        ("paradigm,good,bad\np,Well, yes,b\n", 2, "4 fields under 3 columns"),
        ('paradigm,good,bad\np,"g\nh",b\np,"g"h,b\n', 4, "',' expected after '\"'"),
        ('paradigm,good,bad\np,"g,b\n', 2, "unexpected end of data"),
        ("paradigm,pair,good,bad\np,1,g,b\np,1,g,b\n", 3, "pair '1' of p was already at"),
        ("paradigm,good,bad,one_prefix\np,g,b,maybe\n", 2, "'one_prefix' is 'maybe'; true or false is expected"),
    ],
)
def test_a_faulty_row_of_csv_is_named(tmp_path, content, line, message):
    assert f"{tmp_path}/a.csv:{line}: {message}" in refusal(tmp_path / "a.csv", content)


def test_a_row_is_named_by_the_line_it_begins_on(tmp_path):
    content = 'paradigm\tgood\tbad\np\t"one\ntwo"\tb\np\t"one\ntwo"\t \n'
    assert "a.tsv:4: 'bad' is empty" in refusal(tmp_path / "a.tsv", content)


def test_a_faulty_row_of_jsonl_or_parquet_is_named(tmp_path):
    content = '{"paradigm": "p", "good": "g", "bad": "b"}\n{"paradigm": ["p"], "good": "g", "bad": "b"}\n'
    assert refusal(tmp_path / "a.jsonl", content) == f"{tmp_path}/a.jsonl:2: 'paradigm' is list, not text"
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"paradigm": ["p"], "good": ["g"], "bad": [None]}), file)
    assert refusal(file) == f"{file}: row 1: 'bad' is null, not a sentence"
    assert refusal(file, "no parquet").startswith(f"{file}: cannot be read as parquet")


def test_a_table_without_pairs_is_an_error(tmp_path):
    for name, content in (("a.csv", "paradigm,good,bad\n"), ("b.jsonl", "\n"), ("c.tsv", "\n")):
        assert refusal(tmp_path / name, content).endswith("holds no pair; a row for each is expected, with paradigm, good, bad")


def test_a_file_that_is_missing_or_no_table_is_named(tmp_path):
    (tmp_path / "pairs.csv").write_text("")
    assert refusal(tmp_path / "pair.csv").endswith("did you mean 'pairs.csv'?")
    assert "notes.txt is not a table; files of these are read: .jsonl, .csv, .tsv" in refusal(tmp_path / "notes.txt", "x")


# --- contexts, more options, graded judgements


def written(folder, rows):
    """The same rows in every format; lists only where a format has them."""
    files = [folder / f"suite.{extension}" for extension in ("jsonl", "csv", "tsv", "parquet")]
    files[0].write_text("\n".join(map(json.dumps, rows)))
    for file, separator in ((files[1], ","), (files[2], "\t")):
        with file.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), delimiter=separator)
            writer.writeheader()
            writer.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), files[3])
    return files


def test_contexts_further_options_and_judgements_are_read_from_any_format(tmp_path):
    rows = [
        {"paradigm": "p", "good": "a", "bad": "b", "bad_2": "c", "bad_3": None, "context": "Who? ", "human": None},
        {"paradigm": "p", "good": "a", "bad": "d", "bad_2": "e", "bad_3": "f", "context": None, "human": None},
        {"paradigm": "q", "good": "a", "bad": None, "bad_2": None, "bad_3": None, "context": None, "human": 1.5},
        {"paradigm": "r", "good": "a", "bad": "b", "bad_2": None, "bad_3": None, "context": "So", "human": -2},
    ]
    for file in written(tmp_path, rows):
        found = pairs(file)
        assert found == [
            Pair("p", "1", "a", "b", context="Who? ", more=("c",)),
            Pair("p", "2", "a", "d", more=("e", "f")),
            Pair("q", "3", "a", "", human=1.5),
            Pair("r", "4", "a", "b", context="So", human=-2.0),
        ]
        assert [pair.options for pair in found] == [("a", "b", "c"), ("a", "d", "e", "f"), ("a",), ("a", "b")]


@pytest.mark.parametrize("extension", ["jsonl", "parquet"])
def test_options_may_be_one_list(tmp_path, extension):
    rows = [{"paradigm": "p", "options": ["a", "b", "c"]}, {"paradigm": "p", "options": ["a", "b"]}]
    file = tmp_path / f"suite.{extension}"
    if extension == "jsonl":
        file.write_text("\n".join(map(json.dumps, rows)))
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)
    assert pairs(file) == [Pair("p", "1", "a", "b", more=("c",)), Pair("p", "2", "a", "b")]


def test_faulty_items_are_named(tmp_path):
    file = tmp_path / "a.jsonl"
    for row, told in (
        ({"options": ["a"]}, "'options' has 1; two or more are expected, the right one first"),
        ({"options": ["a", 3]}, r"'options[1]' is int, not a sentence"),
        ({"options": ["a", "b", "b"]}, "'b' is a wrong option twice"),
        ({"options": ["a", " "]}, r"'options[1]' is empty"),
        ({"good": "a", "bad": "b", "bad_2": 7}, "'bad_2' is int, not a sentence"),
        ({"good": "a", "bad": "b", "human": "much"}, "'human' is 'much'; a number is expected, such as a mean rating"),
        ({"good": "a", "bad": "b", "human": True}, "'human' is True; a number"),
        ({"good": "a", "bad": "b", "context": 3}, "'context' is int, not a sentence"),
        ({"good": "a"}, "no column 'bad'"),
        ({"good": "a", "bad": ""}, "'bad' is empty"),
    ):
        assert f"{file}:1: " in (said := refusal(file, json.dumps({"paradigm": "p"} | row) + "\n"))
        assert told in said


def test_a_list_of_options_beside_good_and_bad_is_a_column_like_others(tmp_path):
    row = {"paradigm": "p", "good": "a", "bad": "b", "options": ["x", "y", "z"]}
    assert pairs(tmp_path / "a.jsonl", json.dumps(row)) == [Pair("p", "1", "a", "b")]


@pytest.mark.parametrize("field", ["paradigm", "pair", "good", "phenomenon"])
@pytest.mark.parametrize(
    ("character", "said"), [("\0", "holds a null character, U+0000"), ("\ud800", "holds half a surrogate pair")]
)
def test_what_no_table_can_hold_is_refused_with_its_line(tmp_path, field, character, said):
    rows = [{"paradigm": "p", "pair": str(number), "good": "g", "bad": "b", "phenomenon": "q"} for number in range(3)]
    rows[1][field] += character
    assert f"a.jsonl:2: {field!r} {said}" in refusal(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))


def test_other_names_are_taken_as_they_are(tmp_path):
    names = ["wh[that]", "../up", "a\x01b", "a\u2028b", "x" * 300, "שלום", "[/x]"]
    content = "\n".join(json.dumps({"paradigm": name, "good": "g", "bad": "b"}) for name in names)
    assert [pair.paradigm for pair in pairs(tmp_path / "a.jsonl", content)] == names


def test_tables_of_other_scripts_have_names_of_their_own(tmp_path):
    assert [Table(path=tmp_path / f"{name}.csv").name for name in ("שלום", "עולם", "my pairs")] == ["שלום", "עולם", "my-pairs"]


def test_a_named_pipe_is_no_table(tmp_path):
    os.mkfifo(tmp_path / "pairs.jsonl")
    assert "pairs.jsonl is a named pipe and no file" in refusal(tmp_path / "pairs.jsonl")


def test_spaces_about_names_are_none_of_theirs_and_sentences_keep_their_own(tmp_path):
    plain = pairs(
        tmp_path / "a.csv", "paradigm, good, bad\nagr, The cat sleeps., The cat sleep.\nagr , The dogs run., The dogs runs.\n"
    )
    assert [(pair.paradigm, pair.good, pair.bad) for pair in plain] == [
        ("agr", "The cat sleeps.", "The cat sleep."),
        ("agr", "The dogs run.", "The dogs runs."),
    ]
    kept = pairs(tmp_path / "b.csv", "paradigm,good,bad\n agr , The cat sleeps.,The cat sleep. \n")
    assert (kept[0].paradigm, kept[0].good, kept[0].bad) == ("agr", " The cat sleeps.", "The cat sleep. ")


def test_a_title_above_the_names_is_said(tmp_path):
    said = refusal(tmp_path / "a.csv", "Pairs for study 1,,\nparadigm,good,bad\nagr,a,b\n")
    assert (
        "a.csv:1: none of these is a column that is read: Pairs for study 1" in said and "the first line names the columns" in said
    )


def test_what_is_no_text_in_utf8_is_named_in_every_format(tmp_path):
    for name, text in {"a.csv": "paradigm,good,bad\n", "a.jsonl": '{"paradigm": "p"}\n', "a.tsv": "paradigm\tgood\n"}.items():
        (tmp_path / name).write_bytes(text.encode("utf-16-le"))
        assert f"{name}:1: byte 1 is a null character" in refusal(tmp_path / name)


# --- pair files as people have them


def test_a_folder_of_tables_is_a_suite_and_what_else_is_there_is_named(tmp_path):
    (tmp_path / "agr.tsv").write_text("good\tbad\nHe runs.\tHe run.\n")
    (tmp_path / "npi.jsonl").write_text('{"sentence_good": "Nobody ever ran.", "sentence_bad": "Somebody ever ran."}\n')
    (tmp_path / "README.md").write_text("read me")
    suite = Table(path=tmp_path)
    assert list(suite.pairs()) == [
        Pair("agr", "1", "He runs.", "He run."),
        Pair("npi", "1", "Nobody ever ran.", "Somebody ever ran."),
    ]
    assert suite.left_out() == [f"left out of {tmp_path}, no tables: README.md"]
    (tmp_path / "more.csv").write_text("paradigm,good,bad\nagr,She runs.,She run.\n")
    assert list(suite.pairs())[1] == Pair("agr", "more-1", "She runs.", "She run.")  # where two files have a paradigm
    for file in tmp_path.glob("*.*v"):
        file.unlink()
    (tmp_path / "npi.jsonl").unlink()
    assert "holds no table; files of these are read: .jsonl" in refusal(tmp_path)


@pytest.mark.parametrize("columns", [("good", "bad"), ("bad", "good")])
def test_a_table_without_a_line_of_names_has_the_good_sentence_first_or_last(tmp_path, columns):
    file = tmp_path / "agr.tsv"
    file.write_text("\t".join({"good": "He runs.", "bad": "He run."}[name] for name in columns) + "\n")
    assert list(Table(path=file, columns=columns).pairs()) == [Pair("agr", "1", "He runs.", "He run.")]
    with pytest.raises(OntogenyError, match=f"{file}:1: 2 fields, and 3 columns are named"):
        list(Table(path=file, columns=(*columns, "human")).pairs())
    file.write_text(file.read_text() * 2)
    assert "none of these is a column that is read: He run" in refusal(file)


def test_columns_may_have_other_names(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("type,ok,starred,good\np,g,b,ignored\n")
    assert list(Table(path=file, good="ok", bad="starred", paradigm="type").pairs()) == [Pair("p", "1", "g", "b")]
    assert list(Table(path=file, good="ok", bad="starred").pairs()) == [Pair("a", "1", "g", "b")]
    with pytest.raises(OntogenyError, match=f"{file}:2: no column 'stared'; did you mean 'starred'"):
        list(Table(path=file, good="ok", bad="stared").pairs())
    assert Table(path=file, good="ok", bad="starred").fingerprint() != Table(path=file, good="ok", bad="good").fingerprint()


def test_two_files_side_by_side_are_a_suite(tmp_path):
    (tmp_path / "agr.good").write_text("He runs.\nShe runs.\n")
    (tmp_path / "agr.bad").write_text("He run.\nShe run.\n")
    expected = [Pair("agr", "1", "He runs.", "He run."), Pair("agr", "2", "She runs.", "She run.")]
    for path in ("agr.good", "agr.bad", ""):
        assert list(Table(path=tmp_path / path).pairs()) == expected
    (tmp_path / "agr.bad").write_text("He run.\n")
    assert "agr.good has 2 lines and agr.bad 1; they belong together line by line" in refusal(tmp_path / "agr.good")


def test_text_and_gold_are_a_target_after_what_stands_before_it(tmp_path):
    (tmp_path / "gen.text").write_text("the cats near it run .\nIs it ?\n")
    (tmp_path / "gen.gold").write_text("4\trun\truns\t1\n0\tIs\tAre\t0\n")
    assert list(Table(path=tmp_path / "gen.gold").pairs()) == [
        Pair("gen_attractors_1", "1", "run", "runs", context="the cats near it"),
        Pair("gen_attractors_0", "2", "Is", "Are"),
    ]
    (tmp_path / "gen.gold").write_text("4\trun\truns\n9\tIs\tAre\n")
    assert "gen.gold:2: the target is word 9, and the sentence has 3" in refusal(tmp_path / "gen.text")


@pytest.mark.parametrize("said", [{"good": "a", "bad": "a"}, {"bad": "p", "paradigm": "p"}, {"columns": ("good", "good")}])
def test_a_column_is_not_two_things(tmp_path, said):
    with pytest.raises(ValueError, match="is named twice, and a column is one of them alone"):
        Table(path=tmp_path / "pairs.csv", **said)


def test_a_human_column_with_text_in_it_is_named(tmp_path):
    file = tmp_path / "a.csv"
    told = refusal(file, "paradigm,good,human\np,a,0.5\np,b,often\n")
    assert told == f"{file}:3: 'human' is 'often'; a number is expected, such as a mean rating"


def test_a_folder_or_another_kind_of_file_in_place_of_a_table_is_said(tmp_path):
    for place in (tmp_path, tmp_path / "agreement.txt"):
        with pytest.raises(OntogenyError, match=f"{place} is not a table; files of these are read: .jsonl"):
            rows_of(place)
