"""Text from files: a file or a folder of .txt, BabyLM's .train, .jsonl or .parquet; the line-wise ones also gzipped."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from ontogeny import files
from ontogeny.disk import access, content_key, missing, no_file
from ontogeny.display import some, visible
from ontogeny.recipe import Kind
from ontogeny.records import Document, OntogenyError
from ontogeny.registry import nearest
from ontogeny.store import file_hash

Unit = Literal["line", "file"]
Patterns = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]

PACKERS = frozenset({".gz", ".bz2", ".xz", ".zst", ".zip"})
HELD_OUT = frozenset({".dev", ".test"})  # BabyLM's extensions of what must not be trained on


class Text(Kind):
    r"""A corpus of text files.

    Lines end at \n or \r\n and at nothing else (a form feed or U+2028 is text).  A line's spaces are kept.  Blank lines
    separate documents and are none.  Files and folders whose names begin with a dot are not looked at.  What is read, and
    what lies beside it and is not, is said before training and kept in the lineage.  What is not UTF-8, null characters,
    folders that may not be entered and pointers of Git LFS are errors.
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
        found = self.files()
        for name, file in found.items():
            for number, text in READERS[_suffix(name)](file, self):
                for piece in cut(text, self.document):
                    if piece.strip():
                        empty = False
                        yield Document(piece, visible(name, lines=False), number)
        if empty:
            raise OntogenyError(f"corpus: {self.path} holds no text: every line of its {len(found)} file(s) is blank")

    def files(self) -> dict[str, Path]:
        """Relative path to file, sorted.  Raises OntogenyError if there is none, or if they cannot all be meant."""
        root, everything = self._everything()
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
        found = self.files()
        column = self.column if any(READERS[_suffix(name)] is not _plain for name in found) else None
        return content_key("text", self.document, column, [[name, file_hash(file)] for name, file in found.items()])

    def told(self) -> list[str]:
        """What is read, and what lies beside it unread or is empty: a line each."""
        read, (root, everything) = self.files(), self._everything()
        beside = [name for name in everything if name not in read]
        chosen = [name for name in beside if _suffix(name) in READERS]
        empty = [name for name, file in read.items() if not file.stat().st_size]
        found = [f"corpus: {len(read):,} {'file is' if len(read) == 1 else 'files are'} read of {root}: {_kinds(read)}"]
        for names, why in [
            (chosen, f"not {' or '.join(self.pattern)}"),
            ([name for name in beside if name not in chosen], f"none of {', '.join(READERS)}"),
        ]:
            found += [f"corpus: NOT read of {root}, since they are {why}: {_kinds(names)}"] if names else []
        return found + ([f"corpus: {len(empty):,} of the files in {root} are empty: {some(empty)}"] if empty else [])

    def _everything(self) -> tuple[Path, dict[str, Path]]:
        """The folder, and every file in it; or the one file.  Raises OntogenyError for what is not there or may not be entered."""
        root = self.path.expanduser()
        with access(root, "read"):
            if not root.exists():
                raise missing(root, "corpus")
            return root, dict(walk(root)) if root.is_dir() else {root.name: root}

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
    """Relative path and path of every file below a folder, links followed, names that begin with a dot left out.

    Raises OntogenyError for a folder that may not be entered: half of a corpus is another corpus.
    """
    entered = set()  # real folders, so that a link to a folder above ends
    for folder, inner, names in os.walk(root, followlinks=True, onerror=_closed):
        if not os.access(folder, os.X_OK):
            raise OntogenyError(f"{folder}: you may not enter this folder; change its permissions, or move it away")
        real = os.path.realpath(folder)
        inner[:] = [name for name in inner if not name.startswith(".")] if real not in entered else []
        if real in entered:
            continue
        entered.add(real)
        for name in names:
            if not name.startswith("."):
                file = Path(folder, name)
                yield file.relative_to(root).as_posix(), file


def _closed(error: OSError) -> None:
    raise OntogenyError(
        f"{error.filename}: you may not look into this folder ({error.strerror}); change its permissions, or move it away"
    )


def _kinds(names: Iterable[str]) -> str:
    """How many files of each ending, and the first of them by name.

    >>> _kinds(["a.cha", "b/c.cha", "big.jsonl.zst", "README"])
    '2 .cha, 1 without extension, 1 .jsonl.zst (README, a.cha, b/c.cha, big.jsonl.zst)'
    """
    names = sorted(names)
    counts = Counter(_ending(name) or "without extension" for name in names)
    return f"{', '.join(f'{count:,} {ending}' for ending, count in counts.most_common())} ({some(names)})"


def _ending(name: str) -> str:
    endings = PurePosixPath(name).suffixes
    return "".join(endings[-2:] if endings and endings[-1].lower() in PACKERS else endings[-1:])


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
        yield from files.lines(file)
    else:
        yield 0, "\n".join(line for _, line in files.lines(file))


def _jsonl(file: Path, corpus: Text) -> Iterator[tuple[int, str]]:
    for number, row in files.objects(file):
        place = f"{file}:{number}"
        if corpus.column not in row:
            raise OntogenyError(f"{place}: no field {corpus.column!r}; {nearest(corpus.column, list(row))} (set corpus.column)")
        yield number, checked(row[corpus.column], corpus.column, place)


def _parquet(file: Path, corpus: Text) -> Iterator[tuple[int, str]]:
    if corpus.column not in (columns := files.parquet_columns(file)):
        raise OntogenyError(f"{file}: no column {corpus.column!r}; {nearest(corpus.column, columns)} (set corpus.column)")
    for number, row in files.parquet(file, corpus.column):
        yield number, checked(row[corpus.column], corpus.column, f"{file}: row {number}")


def checked(text: Any, column: str, place: str) -> str:
    """`text` if it is a string of characters.  Raises OntogenyError that names the place if it is not."""
    if not isinstance(text, str):
        raise OntogenyError(f"{place}: {column!r} is {'null' if text is None else type(text).__name__}, not text")
    return files.characters(text, column, place)


Reader = Callable[[Path, Text], Iterator[tuple[int, str]]]
READERS: dict[str, Reader] = {
    ".txt": _plain,
    ".train": _plain,
    ".dev": _plain,
    ".test": _plain,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
