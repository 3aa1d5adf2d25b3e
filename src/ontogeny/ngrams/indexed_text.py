"""A local infini-gram index read back as text: whoever has the index of a corpus, but not the corpus, has its documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from ontogeny.disk import content_key
from ontogeny.ngrams.infinigram import Shard, shards_of
from ontogeny.recipe import Kind
from ontogeny.records import Document, OntogenyError
from ontogeny.tokens.pretrained import open_tokenizer

PROBED = 2**20  # tokens at either end of a shard that its fingerprint is of


class IndexedText(Kind):
    """The documents of a local infini-gram index (version 4), its tokens made text again by the tokenizer that cut them.

    Only the index's files are read; the package infini-gram is not needed.
    """

    kind: Literal["infinigram"] = "infinigram"
    path: Path
    """The index's folder."""
    tokenizer: str
    """Whose tokens they are: a folder, or a name on the hub."""
    tokens: int = Field(200_000_000, ge=1)
    """Tokens that are read at most.  Of a larger index each shard's first documents, in proportion, and that is said."""

    def documents(self) -> Iterator[Document]:
        """Every document that is read, in the index's order.  Raises OntogenyError for tokens that the tokenizer has not."""
        tokenizer = open_tokenizer(self.tokenizer)
        for number, (shard, size) in enumerate(self._parts()):
            ends = [*(shard.offsets[1:] // shard.dtype.itemsize).tolist(), len(shard.ids)]
            begin = 0
            for row, end in enumerate(ends):
                if begin >= size:
                    break
                ids = shard.ids[begin:end]
                text = tokenizer.decode(self._known(ids[ids != shard.separator], len(tokenizer)), skip_special_tokens=True)
                if text.strip():
                    path, line = shard.origin(row)
                    yield Document(text, path or f"shard {number}", line or row + 1)
                begin = end

    def fingerprint(self) -> str:
        """Of the settings, of each shard's size, and of the tokens at both its ends: an index may have terabytes."""
        ends = [
            [len(s.ids), s.ids[:PROBED].tobytes().hex()[:4096], s.ids[-PROBED:].tobytes().hex()[-4096:]] for s in self._shards()
        ]
        return content_key("infinigram", self.tokenizer, self.tokens, ends)

    def told(self) -> list[str]:
        """How much there is, and how much of it is read."""
        there = sum(len(shard.ids) for shard in self._shards())
        part = f"the first {self.tokens / there:.1%} of each shard is read" if there > self.tokens else "all of it is read"
        return [f"corpus: {self.path} indexes {there:,} tokens; {part}"]

    def _shards(self) -> list[Shard]:
        folder = self.path.expanduser()
        return [Shard.open(folder, number) for number in shards_of(folder)]

    def _parts(self) -> list[tuple[Shard, int]]:
        """Each shard, and of how many of its tokens the documents are read."""
        shards = self._shards()
        share = min(1.0, self.tokens / max(1, sum(len(shard.ids) for shard in shards)))
        return [(shard, int(np.ceil(share * len(shard.ids)))) for shard in shards]

    def _known(self, ids: np.ndarray, vocabulary: int) -> list[int]:  # type: ignore[type-arg]
        if len(ids) and (highest := int(ids.max())) >= vocabulary:
            raise OntogenyError(
                f"{self.path} holds token {highest:,}, and the tokenizer {self.tokenizer} has {vocabulary:,}: it is another one"
            )
        return [int(token) for token in ids]
