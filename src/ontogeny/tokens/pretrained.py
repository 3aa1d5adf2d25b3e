"""A tokenizer that somebody else trained: a local folder, or a name on the hub."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ontogeny.recipe import Kind
from ontogeny.records import Document, OntogenyError
from ontogeny.store import file_hash

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FILES = ("tokenizer*", "special_tokens*", "added_tokens*", "vocab*", "merges*", "*.model")  # where a folder keeps a tokenizer


class Pretrained(Kind):
    """A tokenizer as `AutoTokenizer.from_pretrained` opens it; the corpus has no part in it."""

    kind: Literal["pretrained"] = "pretrained"
    name: str
    """A folder, or a name on the hub such as facebook/opt-125m."""
    revision: str | None = None
    """The hub's revision."""

    def make(self, documents: Iterable[Document]) -> PreTrainedTokenizerBase:
        """Opens the tokenizer; the documents are not read."""
        return open_tokenizer(self.name, self.revision)

    def contents(self) -> list[str]:
        """Hashes of the tokenizer's files where it is a folder: what is in it may change under the same name."""
        folder = Path(self.name).expanduser()
        return [file_hash(file) for file in sorted({file for pattern in FILES for file in folder.glob(pattern)}) if file.is_file()]


def open_tokenizer(name: str | Path, revision: str | None = None) -> PreTrainedTokenizerBase:
    """A tokenizer from a folder or the hub.  Raises OntogenyError that says how to point to a local one if it cannot be opened."""
    from transformers import AutoTokenizer

    folder = Path(name).expanduser()
    try:
        if folder.is_dir():
            return AutoTokenizer.from_pretrained(folder, local_files_only=True)  # type: ignore[no-any-return]
        return AutoTokenizer.from_pretrained(str(name), revision=revision)  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        if folder.is_dir():
            raise OntogenyError(f"{folder} holds no tokenizer that transformers can open ({_first_line(error)})") from error
        raise OntogenyError(
            f"no tokenizer {name!r}: it is not a folder here, and the hub could not give it ({_first_line(error)}); download it "
            "where there is a network and run again with --set tokenizer.kind=pretrained --set tokenizer.name=FOLDER"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
