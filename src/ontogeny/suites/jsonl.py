"""What the readers of minimal pairs share: JSON lines, checked fields, and a folder with one file a paradigm."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from pydantic import field_validator

from ontogeny.disk import content_key, missing
from ontogeny.display import some
from ontogeny.files import characters
from ontogeny.recipe import Kind
from ontogeny.records import OntogenyError, Pair
from ontogeny.registry import nearest
from ontogeny.store import file_hash


class ParadigmFolder(Kind):
    """A suite whose paradigms are known and lie one a file in a folder."""

    path: Path
    """The folder of the suite's files, or the one above it."""
    paradigms: tuple[str, ...] = ()
    """Which paradigms to read; left out: those whose files are there."""

    known: ClassVar[tuple[str, ...]]  # every paradigm, in the order they are read
    inside: ClassVar[tuple[str, ...]]  # where below `path` the files may lie
    extension: ClassVar[str] = ".jsonl"

    @field_validator("paradigms")
    @classmethod
    def _are_known(cls, chosen: tuple[str, ...]) -> tuple[str, ...]:
        for name in chosen:
            if name not in cls.known:
                raise ValueError(f"no paradigm is called {name!r}; {nearest(name, list(cls.known))}")
            if chosen.count(name) > 1:
                raise ValueError(f"paradigm {name!r} is named twice; name it once")
        return chosen

    @property
    def name(self) -> str:
        """The suite's folder under a run's scores."""
        return self.kind

    def pairs(self) -> Iterator[Pair]:
        """Every pair of the chosen paradigms, identical ones included, paradigm by paradigm.

        Raises OntogenyError, with file and line, for what `files` refuses, lines or fields that are not as they should
        be, ids that come twice, and files without a pair.
        """
        for paradigm, file in self.files().items():
            seen: dict[str, int] = {}
            for line, pair in self.read(paradigm, file):
                if pair.pair in seen:
                    raise OntogenyError(f"{file}:{line}: pair {pair.pair!r} was already on line {seen[pair.pair]}")
                seen[pair.pair] = line
                yield pair
            if not seen:
                raise OntogenyError(f"{file}: holds no pair; fetch the suite again")

    @abstractmethod
    def read(self, paradigm: str, file: Path) -> Iterator[tuple[int, Pair]]:
        """1-based line and pair, for each pair in a paradigm's file."""

    def human(self) -> dict[str, float]:
        """Published human agreement by paradigm; here none."""
        return {}

    def fingerprint(self) -> str:
        """A hash of the chosen paradigms' files.  Raises OntogenyError as `files` does."""
        return content_key(self.kind, [[paradigm, file_hash(file)] for paradigm, file in self.files().items()])

    def files(self) -> dict[str, Path]:
        """Paradigm to file, of those that are there.  Raises OntogenyError if a chosen one is missing, or none is there."""
        folder = self._folder()
        files = {name: folder / f"{name}{self.extension}" for name in self.paradigms or self.known}
        absent = [file.name for file in files.values() if not file.is_file()]
        if len(absent) == len(files) or (absent and self.paradigms):
            raise OntogenyError(
                f"suite {self.kind}: {folder} lacks {len(absent)} of {len(files)} files: {some(absent)}; fetch the suite again, or "
                "name the paradigms that are there in `paradigms` (kind: table reads other files)"
            )
        return {name: files[name] for name in self.known if name in files and files[name].is_file()}

    def left_out(self) -> list[str]:
        """Which paradigms are not there, and which files are none of this suite's."""
        files, folder = self.files(), self._folder()
        absent = [] if self.paradigms else [name for name in self.known if name not in files]
        known = {f"{name}{self.extension}" for name in self.known}
        strange = sorted(file.name for file in folder.glob(f"*{self.extension}") if file.name not in known)
        said = [f"{len(absent)} of {len(self.known)} paradigms of {self.kind} are not there: {some(absent)}"] if absent else []
        return [*said, *([f"left out, no paradigm of {self.kind}: {some(strange)}"] if strange else [])]

    def _folder(self) -> Path:
        root = self.path.expanduser()
        if not root.exists():
            raise missing(root, f"suite {self.kind}")
        if root.is_file():
            raise OntogenyError(f"suite {self.kind}: {root} is a file; the folder of the suite's files is wanted")
        for below in self.inside:
            if any((root / below).glob(f"*{self.extension}")):
                return root / below
        tried = ", ".join(str(root / below) for below in self.inside)
        raise OntogenyError(f"suite {self.kind}: no {self.extension} file in {tried}")


# --- JSON lines and their fields ----------------------------------------------------------------------------------


def value(row: dict[str, Any], field: str, place: str) -> Any:
    """A field that must be there.  Raises OntogenyError that names the place and the nearest field."""
    if field not in row:
        raise OntogenyError(f"{place}: no field {field!r}; {nearest(field, list(row))}")
    return row[field]


def sentence(row: dict[str, Any], field: str, place: str) -> str:
    """A sentence as it stands, spaces and line breaks kept.  Raises OntogenyError if it is blank or no text."""
    return checked(value(row, field, place), field, place)


def checked(text: Any, field: str, place: str) -> str:
    """What stands in a field, if it is a sentence.  Raises OntogenyError as `sentence` does."""
    if not isinstance(text, str):
        raise OntogenyError(f"{place}: {field!r} is {'null' if text is None else type(text).__name__}, not a sentence")
    if not text.strip():
        raise OntogenyError(f"{place}: {field!r} is empty; a sentence is expected")
    return characters(text, field, place)


def truth(row: dict[str, Any], field: str, place: str) -> bool:
    """A field that must be true or false.  Raises OntogenyError that names the place if it is not."""
    answer = value(row, field, place)
    if not isinstance(answer, bool):
        raise OntogenyError(f"{place}: {field!r} is {answer!r}; true or false is expected")
    return answer
