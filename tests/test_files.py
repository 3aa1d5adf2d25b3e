"""Files of somebody else's are read whole, or one error says which, where and what would be right."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ontogeny import files
from ontogeny.records import OntogenyError


@pytest.fixture
def refused(tmp_path):
    """What is said of a file with this content, when all of it is read."""

    def said(content: bytes, name: str = "a.txt", read=files.lines) -> str:
        (file := tmp_path / name).write_bytes(content)
        with pytest.raises(OntogenyError) as error:
            list(read(file))
        return str(error.value)

    return said


def rows(tmp_path: Path, text: str, separator: str = ",") -> list[list[str]]:
    (file := tmp_path / "a.csv").write_text(text)
    return [fields for _, fields in files.separated(file, separator)]


# --- lines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["LE", "BE"])
@pytest.mark.parametrize("text", ["The cat sleeps.\nThe dogs run.\n", "one"])
def test_utf16_without_a_mark_is_guessed_from_its_nulls(refused, order, text):
    said = refused(text.encode(f"utf-16-{order}"))
    assert f"a.txt:1: byte {1 if order == 'LE' else 0} is a null character" in said and f"iconv -f UTF-16{order} -t UTF-8" in said


def test_a_null_among_other_characters_is_named_and_not_guessed_about(refused):
    assert refused(b"a\nThe cat\0 sleeps.\n").endswith(
        "a.txt:2: byte 9 is a null character, which no text has; write the file without it"
    )
    assert "byte 9 of the unpacked text is a null" in refused(gzip.compress(b"a\nThe cat\0 sleeps.\n"), "a.txt.gz")


def test_lines_that_end_in_carriage_returns_alone_are_no_line(refused):
    assert "its lines end in carriage returns alone" in refused(b"The cat sleeps.\rThe dogs run.\r")
    assert "its lines end in carriage returns alone" in refused(
        b"paradigm,good,bad\ra,b,c\r", "a.csv", lambda file: files.separated(file, ",")
    )


def test_a_pointer_of_git_lfs_is_no_text(refused):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0f\nsize 12345\n"
    for name, read in {"a.txt": files.lines, "a.jsonl": files.objects, "a.parquet": files.parquet}.items():
        assert f"{name} is not the file itself but a pointer of Git LFS; run `git lfs pull`" in refused(pointer, name, read)


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    (file := tmp_path / "a.txt").write_text("a\n" * 1000)

    def closed(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", closed)
    with pytest.raises(OntogenyError, match=r"a\.txt: you may not read this file; change its permissions"):
        list(files.lines(file))
    with pytest.raises(OntogenyError, match="is a folder and no file"):
        list(files.lines(tmp_path))


# --- rows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"a": 1, "a": 2}', "not valid JSON (the field 'a' is there twice)"),
        (b"[" * 100_000, "not valid JSON"),
        (b"1" * 5000, "not valid JSON"),
        (b"[1]", "a JSON object is expected"),
        (b"{'a': 1}", "not valid JSON"),
    ],
)
def test_a_line_that_is_no_object_is_named(refused, line, said):
    assert f"a.jsonl:2: {said}" in refused(b'{"a": 1}\n' + line, "a.jsonl", files.objects)


def test_spaces_after_separators_are_the_writers_habit_where_the_first_row_has_them(tmp_path):
    assert rows(tmp_path, '\nparadigm, good, bad\nagr, "A, b.", C.\n') == [["paradigm", "good", "bad"], ["agr", "A, b.", "C."]]
    assert rows(tmp_path, "paradigm,good,bad\nagr, A., B.\n")[1] == ["agr", " A.", " B."]
    assert rows(tmp_path, "a\tb\nc\t d\n", "\t")[1] == ["c", " d"]


def test_a_space_within_quotes_is_the_fields_own(tmp_path):
    assert rows(tmp_path, 'good,bad\n" ""Yes,"" she said.",x\n')[1] == [' "Yes," she said.', "x"]


def test_a_space_before_a_quote_is_refused(refused):
    for row in ('agr, "The cat.", "The cats."', 'agr, "Yes, the cat.", "The cats."'):
        said = refused(f"paradigm,good,bad\n{row}\n".encode(), "a.csv", lambda file: files.separated(file, ","))
        assert 'a.csv:2: a space stands before the quote of "' in said


def test_parquet_that_is_broken_inside_is_named(refused, tmp_path):
    pq.write_table(pa.table({"a": [f"sentence {number * 7919 % 10007}" for number in range(20_000)]}), tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    for broken in (whole[:-5], b"", whole[:4] + b"\xff" * 4000 + whole[4004:], whole[:-200] + b"\0" * 100 + whole[-100:]):
        assert "a.parquet: cannot be read as parquet (" in refused(broken, "a.parquet", files.parquet)


def test_a_column_of_parquet_that_is_there_twice_is_refused(tmp_path):
    pq.write_table(pa.table([pa.array(["x"]), pa.array(["y"])], names=["good", "good"]), tmp_path / "a.parquet")
    with pytest.raises(OntogenyError, match="two columns are called 'good'; only one may be"):
        list(files.parquet(tmp_path / "a.parquet"))
