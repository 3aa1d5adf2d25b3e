"""A tokenizer that somebody else trained: a local folder, or a name on the hub."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ontogeny.disk import content_key
from ontogeny.foreign import open_tokenizer as open_tokenizer
from ontogeny.foreign import tokenizer_files
from ontogeny.recipe import Kind
from ontogeny.records import Document
from ontogeny.store import file_hash

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
        return [file_hash(file) for file in tokenizer_files(Path(self.name).expanduser())]

    def key(self) -> str:
        """Changes with what is in it."""
        return content_key("pretrained", self.revision, self.contents() or self.name)
