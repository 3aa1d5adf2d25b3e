"""The one reader of files of somebody else's: lines of text, JSON lines, rows of CSV and of parquet.

Whatever is wrong with a file ends in one OntogenyError that names it, with the line, row or byte, and says what would be right.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Any, cast

from ontogeny.disk import human_size, no_file
from ontogeny.records import OntogenyError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
PARQUET_ROWS = 1024  # rows in memory at a time
LONGEST_LINE = 2**28  # bytes; the longest of known corpora, text8, is one line of 10^8
PACKED, FREE = 100, 1_000_000  # most bytes of text from a byte of gzip, and bytes before that counts; English gives 3 or 4
LONGEST_POINTER = 1024  # bytes
POINTER = b"version https://git-lfs.github.com/spec/"  # what Git LFS writes in a file's place
ICONV = "iconv -f {} -t UTF-8 OLD > NEW makes it so"


def lines(file: Path) -> Iterator[tuple[int, str]]:
    r"""1-based number and text of every line of UTF-8, plain or gzipped; line ends (\n, \r\n) and a byte order mark taken off.

    Raises OntogenyError for what may not be read or is no file, a pointer of Git LFS, what is not UTF-8, null characters, lines
    that end in \r alone, broken gzip, and what has no end.
    """
    check_pointer(file)
    offset, limit = 0, float(FREE)
    with opening(file), _opened(file) as stream:
        try:
            for number, raw in enumerate(_raw_lines(file, stream), 1):
                if offset > limit or len(raw) > LONGEST_LINE:
                    limit = _limit(file, number, raw, offset, stream)
                skip = len(BYTE_ORDER_MARK) if number == 1 and raw.startswith(BYTE_ORDER_MARK) else 0
                yield number, _text(file, number, raw, offset, skip)
                offset += len(raw)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise OntogenyError(f"{file}: broken gzip after {offset} bytes of text ({error}); fetch it again") from None


def check_lines(file: Path) -> None:
    """Raises OntogenyError as `lines` does, and takes no long way where nothing is wrong."""
    with opening(file):
        whole = file.read_bytes()
    try:
        whole.decode()
    except UnicodeDecodeError:
        wrong = True
    else:
        wrong = b"\0" in whole or b"\n" not in whole
    if wrong or len(whole) < LONGEST_POINTER:
        for _ in lines(file):
            pass


def objects(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """1-based line and object of each line of a jsonl file that is not blank.

    Raises OntogenyError as `lines` does, and for a line that is no JSON object or has a field twice.
    """
    for number, text in lines(file):
        if text.strip():
            yield number, _object(text, f"{file}:{number}")


def json_file(file: Path) -> dict[str, Any]:
    """The one object of a JSON file.  Raises OntogenyError as `lines` does, and for what is no JSON object or has a field twice."""
    return _object("\n".join(text for _, text in lines(file)), str(file), "one JSON object")


def separated(file: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """1-based line and fields of each row of a CSV file that is not blank, all as many as the first row has.

    A quoted field may hold line breaks: the row begins on that line.  Where the first row has a space after every separator,
    spaces after separators belong to no field.  Raises OntogenyError as `lines` does, and for rows that do not fit.
    """
    names, text = _first(f"{line}\n" for _, line in lines(file))
    spaced = f"{separator} " in names and not re.search(f"{re.escape(separator)}[^ ]", names)
    written: list[str] = []  # the lines of the row that is being read
    reader = csv.reader(_kept(text, written), delimiter=separator, skipinitialspace=spaced, strict=True)
    width = 0
    while True:
        number = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise OntogenyError(f"{file}:{number}: {error}; a double quote inside a quoted field is written twice") from None
        if fields is None:
            return
        if fields:
            width = width or len(fields)
            _check_fields(fields, width, separator, "".join(written), f"{file}:{number}")
            yield number, fields
        written.clear()


def parquet(file: Path, column: str | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """1-based number and values of each row, of all columns or one.

    Raises OntogenyError for a file that is none, a column that is there twice, and values that cannot be read.
    """
    import pyarrow.parquet as pq

    check_pointer(file)
    number = 0
    with opening(file, "parquet"), pq.ParquetFile(file) as table:
        names = table.schema_arrow.names
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise OntogenyError(f"{file}: two columns are called {twice!r}; only one may be")
        for batch in table.iter_batches(PARQUET_ROWS, columns=None if column is None else [column]):
            for row in _values(batch, number, file):
                number += 1
                yield number, row


def parquet_columns(file: Path) -> list[str]:
    """The columns of a parquet file.  Raises OntogenyError if it is none."""
    import pyarrow.parquet as pq

    check_pointer(file)
    with opening(file, "parquet"), pq.ParquetFile(file) as table:
        return list(table.schema_arrow.names)


def check_parquet(file: Path) -> None:
    """Raises OntogenyError for a file that is no parquet or is broken inside, where other readers may end the process."""
    import pyarrow.parquet as pq

    check_pointer(file)
    with opening(file, "parquet"), pq.ParquetFile(file) as table:
        for batch in table.iter_batches():
            batch.validate(full=True)


@contextmanager
def opening(file: Path, kind: str = "") -> Iterator[None]:
    """Inside it, whatever a library or the system raises of a file becomes an OntogenyError; of a `kind`, that it is none."""
    try:
        if file.exists() and not file.is_file():
            raise no_file(file)
        yield
    except OntogenyError:
        raise
    except PermissionError:
        raise OntogenyError(f"{file}: you may not read this file; change its permissions") from None
    except OSError as error:
        broken = f"cannot be read{f' as {kind}' if kind else ''}"
        raise OntogenyError(f"{file}: {broken} ({error.strerror or error}); fetch or write it again") from None
    except Exception as error:
        if not kind:
            raise
        said = " ".join(str(error).split()) or type(error).__name__
        raise OntogenyError(f"{file}: cannot be read as {kind} ({said[:300]}); fetch or write it again") from None


def check_pointer(file: Path) -> None:
    """Raises OntogenyError if Git LFS has not fetched a file."""
    with opening(file):
        if file.is_file() and file.stat().st_size < LONGEST_POINTER and file.read_bytes().startswith(POINTER):
            raise OntogenyError(f"{file} is not the file itself but a pointer of Git LFS; run `git lfs pull` where it was cloned")


def characters(text: str, field: str, place: str) -> str:
    """`text`, if it is of characters that tables can hold.

    Raises OntogenyError that names the place at a null or half a surrogate pair.
    """
    if "\0" in text:
        raise OntogenyError(f"{place}: {field!r} holds a null character, U+0000; write it without, and if it is UTF-16, as UTF-8")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise OntogenyError(f"{place}: {field!r} holds half a surrogate pair, which is no character")
    return text


# --- lines --------------------------------------------------------------------------------------------------------


def _raw_lines(file: Path, stream: IO[bytes]) -> Iterable[bytes]:
    """Every line; where one could be without end, no more of it than tells so."""
    if isinstance(stream, gzip.GzipFile):
        if not file.stat().st_size:
            raise EOFError("the file is empty")
    elif file.stat().st_size <= LONGEST_LINE:
        return stream
    return iter(partial(stream.readline, LONGEST_LINE + 1), b"")


def _limit(file: Path, number: int, raw: bytes, offset: int, stream: IO[bytes]) -> float:
    """Bytes of text up to which there is nothing to check.

    Raises OntogenyError at what would fill the memory, or unpack for hours.
    """
    if len(raw) > LONGEST_LINE:
        raise OntogenyError(f"{file}:{number}: this line has more than {human_size(LONGEST_LINE)}; break it into lines")
    if not isinstance(stream, gzip.GzipFile):
        return math.inf
    packed = stream.fileobj.tell()
    if offset > FREE + PACKED * packed:
        raise OntogenyError(
            f"{file}: {human_size(packed)} of gzip hold more than {human_size(offset)} of text, {offset // packed} times as much, "
            "which no text does; if it is meant, unpack it (gunzip) and read that"
        )
    return FREE + PACKED * packed


def _is_packed(file: Path) -> bool:
    return file.name.lower().endswith(".gz")


def _opened(file: Path) -> IO[bytes]:
    # gzip's reader has every method used here; its class is merely no IO in the type stubs
    return cast(IO[bytes], gzip.open(file)) if _is_packed(file) else file.open("rb")


def _text(file: Path, number: int, raw: bytes, offset: int, skip: int) -> str:
    """A line as text, without its end and the `skip` bytes of a mark; splitting bytes at \\n never cuts a character in two."""
    try:
        text = raw[skip:].removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(file, number, offset + skip + error.start, raw) from None
    if "\0" in text:
        raise OntogenyError(f"{_at(file, number, offset + raw.index(0))} is a null character, which no text has; {_utf16(raw)}")
    if number == 1 and "\r" in text and not raw.endswith(b"\n"):
        raise OntogenyError(
            f"{file}: its lines end in carriage returns alone, so that all of it would be one line; tr '\\r' '\\n' < OLD > NEW "
            "makes lines of them"
        )
    return text


def _at(file: Path, number: int, byte: int) -> str:
    return f"{file}:{number}: byte {byte}{' of the unpacked text' if _is_packed(file) else ''}"


def _not_utf8(file: Path, number: int, byte: int, raw: bytes) -> OntogenyError:
    marked = byte == 0 and raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    guess = f"it begins as UTF-16 does: {ICONV.format('UTF-16')}" if marked else _utf16(raw)
    return OntogenyError(f"{_at(file, number, byte)} is not UTF-8; {guess}")


def _utf16(raw: bytes) -> str:
    """What a line may be that is no UTF-8: nulls beside Latin letters are the other half of each in UTF-16."""
    if 0 not in raw:
        return f"if the file is Western European text: {ICONV.format('WINDOWS-1252')}"
    if 4 * raw.count(0) < len(raw):
        return "write the file without it"
    order = "BE" if raw.index(0) % 2 == 0 else "LE"
    return f"it may be UTF-16 without a mark: {ICONV.format(f'UTF-16{order}')}"


# --- rows ---------------------------------------------------------------------------------------------------------


def _object(text: str, place: str, what: str = "one JSON object a line") -> dict[str, Any]:
    try:
        row = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise OntogenyError(f"{place}: not valid JSON ({error}); {what} is expected") from None
    if not isinstance(row, dict):
        raise OntogenyError(f'{place}: a JSON object is expected, such as {{"text": ...}} and not {text[:20]!r}')
    return row


def _once(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(fields)
    if len(found) < len(fields):
        names = [name for name, _ in fields]
        raise ValueError(f"the field {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def _first(text: Iterator[str]) -> tuple[str, Iterator[str]]:
    """The first line that is not blank, and all lines again."""
    head: list[str] = []
    for line in text:
        head.append(line)
        if line.strip():
            break
    return head[-1] if head else "", chain(head, text)


def _kept(text: Iterable[str], written: list[str]) -> Iterator[str]:
    for line in text:
        written.append(line)
        yield line


def _check_fields(fields: Sequence[str], width: int, separator: str, written: str, place: str) -> None:
    quoted = next((field for field in fields if field.startswith(" ") and field.lstrip().startswith('"')), None)
    if quoted and re.search(f'(^|{re.escape(separator)}) +"', written):
        raise OntogenyError(
            f"{place}: a space stands before the quote of {quoted.strip()[:40]}; a quoted field begins with its quote"
        )
    if len(fields) != width:
        raise OntogenyError(f"{place}: {len(fields)} fields under {width} columns; quote a field with {separator!r}")


def _values(batch: Any, before: int, file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a batch; one at a time where one of them cannot be read, to say which."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for number in range(batch.num_rows):
            try:
                yield batch.slice(number, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                raise OntogenyError(f"{file}: row {before + number + 1}: byte {error.start} of the text is not UTF-8") from None
