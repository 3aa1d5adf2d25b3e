"""A corpus gives back what was written, streams it, and says where a file is wrong."""

import gzip
import json
import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny import files
from ontogeny.corpora.text import Text
from ontogeny.records import Document, OntogenyError

characters = st.characters(exclude_characters="\n\r\0", exclude_categories=("Cs",))
documents = st.lists(st.text(characters).filter(str.strip), min_size=1, max_size=8)


def texts(path: Path, **settings) -> list[str]:
    return [document.text for document in Text(path=path, **settings).documents()]


def refusal(path: Path, **settings) -> str:
    with pytest.raises(OntogenyError) as error:
        texts(path, **settings)
    return str(error.value)


# --- what is written is read --------------------------------------------------------------------------------------


@settings(deadline=None)  # the first parquet that is written loads pandas
@given(documents)
def test_documents_written_are_documents_read_whatever_the_format(written):
    with tempfile.TemporaryDirectory() as folder:
        lines = "\n".join(written).encode()
        (plain := Path(folder, "a.txt")).write_bytes(lines)
        (crlf := Path(folder, "b.train")).write_bytes(lines.replace(b"\n", b"\r\n\r\n"))
        (packed := Path(folder, "c.txt.gz")).write_bytes(gzip.compress(lines))
        (objects := Path(folder, "d.jsonl")).write_text("\n".join(json.dumps({"text": text}) for text in written))
        pq.write_table(pa.table({"text": written}), table := Path(folder, "e.parquet"))
        for file in (plain, crlf, packed, objects, table):
            assert texts(file) == written


@given(documents)
def test_a_whole_file_is_one_document_and_so_is_a_whole_row(written):
    with tempfile.TemporaryDirectory() as folder:
        whole = "\n".join(written)
        (plain := Path(folder, "a.txt")).write_bytes(whole.encode() + b"\n")
        (objects := Path(folder, "b.jsonl")).write_text(json.dumps({"text": whole}))
        assert texts(plain, document="file") == [whole]
        assert texts(objects, document="file") == [whole]
        assert texts(objects) == written


def test_lines_are_numbered_with_the_blank_ones_between_them(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\n one \n \t\n\ntwo")
    assert list(Text(path=tmp_path).documents()) == [Document(" one ", "a.txt", 2), Document("two", "a.txt", 5)]


def test_rows_are_numbered_in_jsonl_and_parquet(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n\n{"text": " "}\n{"text": "two"}\n')
    pq.write_table(pa.table({"text": ["", "three"]}), tmp_path / "b.parquet")
    found = [(document.text, document.source, document.line) for document in Text(path=tmp_path).documents()]
    assert found == [("one", "a.jsonl", 1), ("two", "a.jsonl", 4), ("three", "b.parquet", 2)]


def test_a_whole_file_has_no_line(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    assert list(Text(path=tmp_path, document="file").documents()) == [Document("one\ntwo", "a.txt", 0)]


def test_files_come_in_the_order_of_their_relative_paths_from_all_folders(tmp_path):
    for name in ("z.txt", "b/a.dev", "a/c.test", ".hidden/x.txt", "a/.x.txt", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert texts(tmp_path) == ["a/c.test", "b/a.dev", "z.txt"]


def test_a_linked_folder_is_read_and_a_circle_of_links_ends(tmp_path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.txt").write_text("one")
    (tmp_path / "corpus" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "corpus")
    assert texts(tmp_path / "corpus") == ["one"]


def test_a_pattern_chooses_files_and_may_be_a_single_string(tmp_path):
    for name in ("a.train", "a.dev", "b.train"):
        (tmp_path / name).write_text(name)
    assert texts(tmp_path, pattern="*.train") == ["a.train", "b.train"]
    assert texts(tmp_path, pattern=["a.*", "b.dev"]) == ["a.dev", "a.train"]


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes("﻿one\n﻿two".encode())
    assert texts(tmp_path) == ["one", "﻿two"]


def test_a_home_folder_and_a_relative_path_are_understood(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("one")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert texts("~/a.txt") == texts("a.txt") == ["one"]


def test_another_column_is_read_by_name(tmp_path):
    pq.write_table(pa.table({"speech": ["one"], "text": [1]}), tmp_path / "a.parquet")
    assert texts(tmp_path, column="speech") == ["one"]


def test_documents_are_streamed(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\n\xff")
    assert next(Text(path=tmp_path).documents()).text == "one"  # the fault below has not been met yet


# --- fingerprints -------------------------------------------------------------------------------------------------


def test_the_fingerprint_follows_names_and_bytes_and_nothing_else(tmp_path):
    for folder, text in (("here", "one"), ("there", "one"), ("changed", "One")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text(text)
    here = Text(path=tmp_path / "here").fingerprint()
    assert Text(path=tmp_path / "there", column="unused").fingerprint() == here
    assert Text(path=tmp_path / "changed").fingerprint() != here
    assert Text(path=tmp_path / "here", document="file").fingerprint() != here
    (tmp_path / "there" / "a.txt").rename(tmp_path / "there" / "b.txt")
    assert Text(path=tmp_path / "there").fingerprint() != here


# --- errors -------------------------------------------------------------------------------------------------------


def test_a_missing_path_names_what_is_there(tmp_path):
    (tmp_path / "train_10M").mkdir()
    assert refusal(tmp_path / "train_10m") == (
        f"corpus: {tmp_path}/train_10m does not exist (looked in {tmp_path}); did you mean 'train_10M'?"
    )
    assert "known: train_10M" in refusal(tmp_path / "xyz" / "deeper")
    assert "that folder is empty" in refusal(tmp_path / "train_10M" / "x")


def test_a_folder_without_text_says_what_it_looked_for_and_what_it_found(tmp_path):
    assert "found nothing" in refusal(tmp_path)
    for name in ("a.csv", "b.csv", "README"):
        (tmp_path / name).write_text("x")
    message = refusal(tmp_path)
    assert ".txt, .train, .dev, .test, .jsonl, .parquet" in message
    assert message.endswith("found 2 .csv, 1 without extension")


def test_a_pattern_that_matches_nothing_names_the_files(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    assert refusal(tmp_path, pattern="*.train").endswith("found a.txt")


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "a.parquet.gz").write_text("x")
    assert "a.parquet.gz does not look like text" in refusal(tmp_path / "a.parquet.gz")


def test_a_corpus_of_blank_lines_is_empty(tmp_path):
    (tmp_path / "a.txt").write_text("\n  \n\t\n")
    assert refusal(tmp_path) == f"corpus: {tmp_path} holds no text: every line of its 1 file(s) is blank"


def test_a_file_beside_its_packed_twin_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"x"))
    assert "holds both a.txt and a.txt.gz" in refusal(tmp_path)
    assert texts(tmp_path, pattern="*.gz") == ["x"]


def test_held_out_files_beside_training_files_are_refused_unless_asked_for(tmp_path):
    (tmp_path / "a.train").write_text("x")
    (tmp_path / "a.dev.gz").write_bytes(gzip.compress(b"x"))
    assert "holds .train files and also a.dev.gz" in refusal(tmp_path)
    assert texts(tmp_path, pattern="*") == ["x", "x"]


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("before", [0, 1, 8191, 8192, 65535, 65536, 131_073])
def test_bytes_that_are_not_utf8_are_found_to_the_byte(tmp_path, before, mark, pack):
    content = mark + b"x" * before + b"\nab" + "é".encode()[:1]  # a character cut in two, at all sorts of buffer borders
    file = tmp_path / ("a.txt.gz" if pack else "a.txt")
    file.write_bytes(gzip.compress(content) if pack else content)
    offset = len(mark) + before + 3
    unpacked = " of the unpacked text" if pack else ""
    assert refusal(file).startswith(f"{file}:2: byte {offset}{unpacked} is not UTF-8")


def test_the_byte_counts_from_the_mark_on_the_first_line(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfab\xffc")
    assert "a.txt:1: byte 5 is not UTF-8" in refusal(tmp_path)


@given(st.text(characters, max_size=50), st.binary(max_size=20))
def test_the_byte_is_where_python_finds_it(before, after):
    content = before.encode() + b"\xff" + after
    with pytest.raises(UnicodeDecodeError) as expected:
        content.decode()
    with tempfile.TemporaryDirectory() as folder:
        (file := Path(folder, "a.txt")).write_bytes(content)
        assert f"byte {expected.value.start} is not UTF-8" in refusal(file)


def test_a_file_in_utf16_gets_the_command_that_converts_it(tmp_path):
    (tmp_path / "a.txt").write_bytes("one".encode("utf-16"))
    message = refusal(tmp_path)
    assert "byte 0 is not UTF-8" in message
    assert "iconv -f UTF-16" in message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{no", "not valid JSON"),
        ('"one"', 'a JSON object is expected, such as {"text": ...}'),
        ('{"txt": "x"}', "no field 'text'; did you mean 'txt'? (set corpus.column)"),
        ('{"text": null}', "'text' is null, not text"),
        ('{"text": 3}', "'text' is int, not text"),
        ('{"text": "\\ud800"}', "'text' holds half a surrogate pair"),
    ],
)
def test_a_faulty_line_of_jsonl_is_named(tmp_path, line, message):
    (tmp_path / "a.jsonl").write_text(f'{{"text": "x"}}\n{line}\n')
    assert f"{tmp_path}/a.jsonl:2: {message}" in refusal(tmp_path)


def test_a_parquet_without_the_column_or_the_text_is_named(tmp_path):
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"Text": ["x"], "id": [1]}), file)
    assert refusal(file) == f"{file}: no column 'text'; did you mean 'Text'? (set corpus.column)"
    pq.write_table(pa.table({"text": ["x", None]}), file)
    assert refusal(file) == f"{file}: row 2: 'text' is null, not text"
    pq.write_table(pa.table({"text": pa.array([b"x", b"a\xff"]).view(pa.string())}), file)
    assert refusal(file) == f"{file}: row 2: byte 1 of the text is not UTF-8"
    file.write_text("no parquet")
    assert refusal(file).startswith(f"{file}: cannot be read as parquet")


@pytest.mark.parametrize("damage", [lambda data: data[:-12], lambda data: b"no gzip", lambda data: data[:20] + b"\0\xff\xff"])
def test_broken_gzip_is_an_error_and_never_a_short_corpus(tmp_path, damage):
    content = "".join(f"line {number}\n" for number in range(2000)).encode()
    (tmp_path / "a.txt.gz").write_bytes(damage(gzip.compress(content)))
    assert "a.txt.gz: broken gzip after " in refusal(tmp_path)


# --- the real thing -----------------------------------------------------------------------------------------------


@pytest.mark.real
def test_every_word_of_the_development_text_is_read(real_data):
    folder = real_data / "corpora" / "babylm_like" / "dev"
    words = sum(len(document.text.split()) for document in Text(path=folder).documents())
    assert words == 519_013


# --- what has no end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["b.txt", "b.jsonl", "b.txt.gz"])
def test_a_named_pipe_is_refused_before_it_is_opened(tmp_path, name):
    (tmp_path / "a.txt").write_text("a\n")
    os.mkfifo(tmp_path / name)
    assert f"{name} is a named pipe and no file" in refusal(tmp_path)
    assert "is a named pipe and no file" in refusal(tmp_path / name)
    os.mkfifo(tmp_path / "other")  # its name is no text's: it is not looked at
    (tmp_path / name).unlink()
    assert texts(tmp_path) == ["a"]


def test_a_socket_a_link_to_a_device_and_a_link_to_nothing_are_refused(tmp_path):
    (tmp_path / "a.txt").symlink_to("/dev/zero")
    assert "a.txt is a device and no file" in refusal(tmp_path)
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.txt").symlink_to(tmp_path / "gone.txt")
    assert "a.txt is a link to nothing and no file" in refusal(tmp_path)


@pytest.mark.parametrize("line", [b"\n", b"the cat .\n"])
def test_gzip_that_holds_more_than_any_text_is_refused_early(tmp_path, line):
    with gzip.open(tmp_path / "bomb.txt.gz", "wb") as file:
        file.write(line * (20_000_000 // len(line)))
    said = refusal(tmp_path / "bomb.txt.gz")
    assert "bomb.txt.gz: " in said and "of gzip hold more than" in said and "unpack it (gunzip)" in said
    assert float(said.split("more than ")[1].split(" MB")[0]) < 5


def test_gzip_of_text_is_read_however_long(tmp_path):
    words = [f"{number * 7919 % 10007} and" for number in range(150_000)]
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress("\n".join(words).encode()))
    assert texts(tmp_path) == words


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LONGEST_LINE", 1000)
    (tmp_path / "a.txt").write_text(f"short\n{'x' * 1001}")
    assert "a.txt:2: this line has more than 1 kB" in refusal(tmp_path / "a.txt")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"\0" * 5000))
    assert "b.txt.gz:1: this line has more than" in refusal(tmp_path / "b.txt.gz")
    (tmp_path / "c.txt").write_text(f"{'x' * 999}\n" * 3)
    assert texts(tmp_path / "c.txt") == ["x" * 999] * 3


def test_files_of_any_names_are_sources_that_tables_can_hold(tmp_path):
    for name in (b"caf\xe9.txt", b"a\nb\x1b.txt"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("a\n")
    found = [document.source for document in Text(path=tmp_path).documents()]
    assert found == ["a␊b␛.txt", "caf⟨U+DCE9⟩.txt"]


# --- what is read, and what lies beside it ------------------------------------------------------------------------


def test_what_is_read_and_what_lies_beside_it_is_told(tmp_path):
    for name in ("readme.txt", "eve.cha", "deep/adam.cha", "big.jsonl.zst", "d.csv", "LICENSE"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x\n")
    assert Text(path=tmp_path).told() == [
        f"corpus: 1 file is read of {tmp_path}: 1 .txt (readme.txt)",
        f"corpus: NOT read of {tmp_path}, since they are none of .txt, .train, .dev, .test, .jsonl, .parquet: "
        "2 .cha, 1 without extension, 1 .jsonl.zst, 1 .csv (LICENSE, big.jsonl.zst, d.csv, deep/adam.cha, eve.cha)",
    ]
    assert Text(path=tmp_path / "readme.txt").told() == [f"corpus: 1 file is read of {tmp_path}/readme.txt: 1 .txt (readme.txt)"]


def test_files_that_a_pattern_leaves_out_and_empty_ones_are_told(tmp_path):
    for name, text in {"a.train": "x\n", "b.train": "", "a.dev": "x\n"}.items():
        (tmp_path / name).write_text(text)
    assert Text(path=tmp_path, pattern="*.train").told()[1:] == [
        f"corpus: NOT read of {tmp_path}, since they are not *.train: 1 .dev (a.dev)",
        f"corpus: 1 of the files in {tmp_path} are empty: b.train",
    ]


def test_an_empty_archive_is_broken(tmp_path):
    (tmp_path / "a.txt").write_text("x\n")
    (tmp_path / "b.txt.gz").write_bytes(b"")
    assert "b.txt.gz: broken gzip after 0 bytes of text (the file is empty)" in refusal(tmp_path)


def test_a_folder_that_may_not_be_entered_is_an_error_and_never_half_a_corpus(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    for file in (tmp_path / "a.txt", tmp_path / "sub" / "b.txt"):
        file.write_text("x\n")
    real = os.scandir

    def closed(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert f"{tmp_path}/sub: you may not look into this folder" in refusal(tmp_path)
    monkeypatch.setattr(os, "scandir", real)
    monkeypatch.setattr(os, "access", lambda path, how: not str(path).endswith("sub"))
    assert f"{tmp_path}/sub: you may not enter this folder" in refusal(tmp_path)
