"""Text from files: a file or a folder of .txt, BabyLM's .train, .jsonl or .parquet; the line-wise ones also gzipped."""

from __future__ import annotations

import gzip
import json
import math
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Any, Literal, cast

from pydantic import BeforeValidator

from ontogeny.display import visible
from ontogeny.recipe import Kind
from ontogeny.records import Document, OntogenyError
from ontogeny.registry import nearest
from ontogeny.store import content_key, file_hash, human_size, missing, no_file

Unit = Literal["line", "file"]
Patterns = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
HELD_OUT = frozenset({".dev", ".test"})  # BabyLM's extensions of what must not be trained on
PARQUET_ROWS = 1024  # rows in memory at a time
LONGEST_LINE = 2**28  # bytes; the longest of known corpora, text8, is one line of 10^8
PACKED, FREE = 100, 1_000_000  # most bytes of text from a byte of gzip, and bytes before that counts; English gives 3 or 4


class Text(Kind):
    r"""A corpus of text files.

    Lines end at \n or \r\n and at nothing else (a form feed or U+2028 is text).  A line's spaces are kept.  Blank lines
    separate documents and are none.  Files and folders whose names begin with a dot are not looked at.
    """

    kind: Literal["text"] = "text"
    path: Path
    """A file, or a folder that is searched through all its folders."""
    document: Unit = "line"
    """line: every line that is not blank is a document.  file: every file is one; of jsonl and parquet, every row."""
    column: str = "text"
    """The field or column that holds the text, in jsonl and parquet."""
    pattern: Patterns = ()
    """Globs such as "*.train" that a file's path must end on, one of them; left out: every text file."""

    def documents(self) -> Iterator[Document]:
        """Every document, streamed, files in the order of their relative paths.

        Raises OntogenyError, with file and line or byte, for what `files` refuses, for bytes that are not UTF-8, broken
        gzip, jsonl or parquet, rows without the column, and at the end if there was no document at all.
        """
        empty = True
        files = self.files()
        for name, file in files.items():
            for number, text in READERS[_suffix(name)](file, self):
                for piece in cut(text, self.document):
                    if piece.strip():
                        empty = False
                        yield Document(piece, visible(name, lines=False), number)
        if empty:
            raise OntogenyError(f"corpus: {self.path} holds no text: every line of its {len(files)} file(s) is blank")

    def files(self) -> dict[str, Path]:
        """Relative path to file, sorted.  Raises OntogenyError if there is none, or if they cannot all be meant."""
        root = self.path.expanduser()
        if not root.exists():
            raise missing(root, "corpus")
        everything = dict(walk(root)) if root.is_dir() else {root.name: root}
        names = sorted(name for name in everything if _suffix(name) in READERS and self._wanted(name))
        found = {name: everything[name] for name in names}
        if not found:
            raise OntogenyError(_nothing_in(root, everything, self.pattern))
        if none := next((file for file in found.values() if not file.is_file()), None):
            raise no_file(none)
        self._refuse_doubles(found)
        return found

    def fingerprint(self) -> str:
        """A hash of the settings, the files' relative paths and their bytes.  Raises OntogenyError as `files` does."""
        files = self.files()
        column = self.column if any(READERS[_suffix(name)] is not _plain for name in files) else None
        return content_key("text", self.document, column, [[name, file_hash(file)] for name, file in files.items()])

    def _wanted(self, name: str) -> bool:
        return not self.pattern or any(PurePosixPath(name).match(pattern) for pattern in self.pattern)

    def _refuse_doubles(self, found: dict[str, Path]) -> None:
        for name in found:
            if f"{name}.gz" in found:
                raise OntogenyError(
                    f"corpus: {self.path} holds both {name} and {name}.gz; the same text would count twice: "
                    "remove one, or choose with corpus.pattern"
                )
        suffixes = {_suffix(name) for name in found}
        if not self.pattern and ".train" in suffixes and suffixes & HELD_OUT:
            held_out = next(name for name in found if _suffix(name) in HELD_OUT)
            raise OntogenyError(
                f"corpus: {self.path} holds .train files and also {held_out}; training on both would leak held-out "
                'text: point corpus.path to one folder, or set corpus.pattern to "*.train"'
            )


def cut(text: str, document: Unit) -> Iterable[str]:
    """The documents in a stretch of text, blank ones included: its lines, or the whole."""
    return [line.removesuffix("\r") for line in text.split("\n")] if document == "line" else [text]


# --- which files --------------------------------------------------------------------------------------------------


def _suffix(name: str) -> str:
    return PurePosixPath(name.lower().removesuffix(".gz")).suffix if not name.lower().endswith(".parquet.gz") else ".gz"


def walk(root: Path) -> Iterator[tuple[str, Path]]:
    """Relative path and path of every file below a folder, links followed, names that begin with a dot left out."""
    entered = set()  # real folders, so that a link to a folder above ends
    for folder, inner, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        inner[:] = [name for name in inner if not name.startswith(".")] if real not in entered else []
        if real in entered:
            continue
        entered.add(real)
        for name in names:
            if not name.startswith("."):
                file = Path(folder, name)
                yield file.relative_to(root).as_posix(), file


def _nothing_in(root: Path, everything: dict[str, Path], pattern: tuple[str, ...]) -> str:
    looked_for = f"{', '.join(READERS)} (and .gz of all but .parquet)"
    if root.is_file() and not pattern:
        return f"corpus: {root} does not look like text; read are {looked_for}: rename it if it is one of these"
    matching = f" that matches {' or '.join(map(repr, pattern))}" if pattern else ""
    if pattern:
        names = sorted(name for name in everything if _suffix(name) in READERS)
        found = ", ".join([*names[:5], "..."] if len(names) > 5 else names)
    else:
        counts = Counter(PurePosixPath(name).suffix or "without extension" for name in everything)
        found = ", ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items()))
    return f"corpus: no text file{matching} in {root}; looked for {looked_for}; found {found or 'nothing'}"


# --- readers: (1-based line or row, 0 for a whole file; text) ------------------------------------------------------


def _plain(file: Path, corpus: Text) -> Iterator[tuple[int, str]]:
    if corpus.document == "line":
        yield from _lines(file)
    else:
        yield 0, "\n".join(line.removesuffix("\r") for _, line in _lines(file))


def _jsonl(file: Path, corpus: Text) -> Iterator[tuple[int, str]]:
    for number, line in _lines(file):
        if line.strip():
            yield number, _field(line, corpus.column, f"{file}:{number}")


def _field(line: str, column: str, place: str) -> str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise OntogenyError(f"{place}: not valid JSON ({error}); one JSON object a line is expected") from None
    if not isinstance(row, dict):
        raise OntogenyError(f"{place}: a JSON object is expected, such as {{{json.dumps(column)}: ...}}")
    if column not in row:
        raise OntogenyError(f"{place}: no field {column!r}; {nearest(column, list(row))} (set corpus.column)")
    return checked(row[column], column, place)


def checked(text: Any, column: str, place: str) -> str:
    """`text` if it is a string of characters.  Raises OntogenyError that names the place if it is not."""
    if not isinstance(text, str):
        raise OntogenyError(f"{place}: {column!r} is {'null' if text is None else type(text).__name__}, not text")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise OntogenyError(f"{place}: {column!r} holds half a surrogate pair, which is no character")
    return text


def _parquet(file: Path, corpus: Text) -> Iterator[tuple[int, str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as table:
            if corpus.column not in table.schema_arrow.names:
                hint = nearest(corpus.column, table.schema_arrow.names)
                raise OntogenyError(f"{file}: no column {corpus.column!r}; {hint} (set corpus.column)")
            number = 0
            for batch in table.iter_batches(batch_size=PARQUET_ROWS, columns=[corpus.column]):
                for value in batch.column(0):
                    number += 1
                    place = f"{file}: row {number}"
                    yield number, checked(_python(value, place), corpus.column, place)
    except pa.ArrowException as error:
        raise OntogenyError(f"{file}: cannot be read as parquet ({error}); fetch or write it again") from None


def _python(value: Any, place: str) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError as error:
        raise OntogenyError(f"{place}: byte {error.start} of the text is not UTF-8") from None


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    r"""1-based number and text of every line, without \n; splitting bytes at \n never cuts a character in two."""
    offset, limit = 0, float(FREE)
    try:
        with _opened(file) as stream:
            for number, raw in enumerate(_raw_lines(file, stream), 1):
                if offset > limit or len(raw) > LONGEST_LINE:
                    limit = _limit(file, number, raw, offset, stream)
                skip = len(BYTE_ORDER_MARK) if number == 1 and raw.startswith(BYTE_ORDER_MARK) else 0
                try:
                    yield number, raw[skip:].removesuffix(b"\n").decode()
                except UnicodeDecodeError as error:
                    raise _not_utf8(file, number, offset + skip + error.start, raw) from None
                offset += len(raw)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise OntogenyError(f"{file}: broken gzip after {offset} bytes of text ({error}); fetch it again") from None
    except PermissionError:
        raise OntogenyError(f"{file}: you may not read this file; change its permissions") from None


def _raw_lines(file: Path, stream: IO[bytes]) -> Iterable[bytes]:
    """Every line; where one could be without end, no more of it than tells so."""
    if isinstance(stream, gzip.GzipFile) or file.stat().st_size > LONGEST_LINE:
        return iter(partial(stream.readline, LONGEST_LINE + 1), b"")
    return stream


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


def _opened(file: Path) -> IO[bytes]:
    # gzip's reader has every method used here; its class is merely no IO in the type stubs
    return cast(IO[bytes], gzip.open(file)) if file.name.lower().endswith(".gz") else file.open("rb")


def _not_utf8(file: Path, number: int, offset: int, raw: bytes) -> OntogenyError:
    where = f"{file}:{number}: byte {offset}{' of the unpacked text' if file.name.lower().endswith('.gz') else ''}"
    utf16 = offset == 0 and raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    encoding = "UTF-16" if utf16 else "WINDOWS-1252"
    guess = "it begins as UTF-16 does" if utf16 else "if the file is Western European text"
    return OntogenyError(f"{where} is not UTF-8; {guess}: iconv -f {encoding} -t UTF-8 OLD > NEW makes it so")


Reader = Callable[[Path, Text], Iterator[tuple[int, str]]]
READERS: dict[str, Reader] = {
    ".txt": _plain,
    ".train": _plain,
    ".dev": _plain,
    ".test": _plain,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
