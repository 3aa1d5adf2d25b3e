"""The training stream as a memory-mapped file: BOS doc BOS doc ..., written as a stream, so that no corpus is too large.

With a backward tokenizer each document stands there from its last token to its first; documents keep their order.

train.bin     token ids, uint16 or uint32, little-endian
train.idx     one row a document: where it starts, words before it, which source and line it came from
train.json    counts, dtype, sources, content key, unigram entropy, the files' hashes; written last, so a store with it is whole
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ontogeny import disk, store
from ontogeny.foreign import cause
from ontogeny.records import Document, OntogenyError
from ontogeny.tokens.unknown import left_out, unknown_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LONGEST = 2**24  # characters of one document: the library takes up to 400 bytes for each at once
ROW = np.dtype([("start", "<u8"), ("words", "<u8"), ("source", "<u4"), ("line", "<u4")])
Progress = Callable[[int], None]  # called with the number of documents that were just written


class TokenStore:
    """A token stream on disk.  Only the pages that are read are in memory."""

    def __init__(self, folder: Path, name: str):
        self.path = folder / f"{name}.bin"
        self.facts: dict[str, Any] = disk.read_json(folder / f"{name}.json")
        self.ids: NDArray[Any] = _mapped(self.path, np.dtype(self.facts["dtype"]), self.facts["tokens"])
        self.documents: NDArray[Any] = _mapped(folder / f"{name}.idx", ROW, self.facts["documents"])

    def __len__(self) -> int:
        return len(self.ids)

    def checked(self) -> TokenStore:
        """The same, once its files are known to hold what was written; reads them whole.  Older stores do not say and are taken.

        Raises OntogenyError that names the file that was changed.
        """
        if told := store.altered(self.path.parent, self.facts.get("hashes", {})):
            raise OntogenyError(f"{told}; delete it and it is made again")
        return self

    def blocks(self, context: int) -> int:
        """How many blocks of `context` predictions the stream holds; a rest shorter than that is not trained on."""
        return (len(self.ids) - 1) // context

    def block(self, indices: NDArray[np.int64], context: int) -> NDArray[np.int64]:
        """Blocks as int64 [len(indices), context + 1]: `context` inputs and, one later, their targets."""
        return np.stack([self.ids[i * context : (i + 1) * context + 1] for i in indices]).astype(np.int64)

    def words_at(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Whitespace words before each token position.  A cut document counts by its share of tokens; sums are exact."""
        starts, words = self.documents["start"], self.documents["words"]
        rows = _last_at_or_before(starts, positions)
        last = len(starts) - 1
        ends = np.where(rows < last, starts[np.minimum(rows + 1, last)], len(self.ids))
        after = np.where(rows < last, words[np.minimum(rows + 1, last)], self.facts["words"])
        share = (positions - starts[rows]) / (ends - starts[rows])
        return np.asarray(words[rows] + share * (after - words[rows]), dtype=np.float64)

    def words_in(self, indices: NDArray[np.int64], context: int) -> float:
        """Whitespace words in these blocks."""
        return float((self.words_at((indices + 1) * context) - self.words_at(indices * context)).sum())


def _last_at_or_before(starts: NDArray[Any], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the last of the ascending `starts` that is not past each position; -1 for none.

    np.searchsorted copies a column of a memory map whole, every document of it, at each call: 34 ms for ten million.
    """
    low, high = np.zeros(len(positions), dtype=np.int64), np.full(len(positions), len(starts), dtype=np.int64)
    while (between := low < high).any():  # all starts before low are not past the position, all from high on are
        middle = (low + high) // 2
        before = between & (starts[np.minimum(middle, len(starts) - 1)] <= positions)
        low, high = np.where(before, middle + 1, low), np.where(between & ~before, middle, high)
    return low - 1


def short_enough(document: Document) -> str:
    """Its text.  Raises OntogenyError where that is longer than LONGEST."""
    if (length := len(document.text)) > LONGEST:
        raise OntogenyError(
            f"{document.source}:{document.line} has {length:,} characters in one line, which is one document; the longest that is "
            f"taken has {LONGEST:,}: break it into lines, as fold -s does"
        )
    return document.text


def _mapped(path: Path, dtype: np.dtype[Any], rows: int) -> NDArray[Any]:
    size = path.stat().st_size if path.exists() else 0
    if size != rows * dtype.itemsize:
        raise OntogenyError(
            f"{path} has {size:,} bytes, its description says {rows * dtype.itemsize:,}: it was cut or changed; "
            "delete it and it is made again"
        )
    return np.memmap(path, dtype=dtype, mode="r")


def write(
    folder: Path,
    name: str,
    documents: Iterable[Document],
    tokenizer: PreTrainedTokenizerBase,
    *,
    bos: bool,
    key: str,
    progress: Progress = lambda documents: None,
) -> TokenStore:
    """Tokenises documents into a store.

    Raises OntogenyError if there is no document, for one that is longer than LONGEST, and if `bos` is wanted of a tokenizer that
    has no such token.
    """
    first = bos_id(tokenizer) if bos else None
    dtype = np.dtype("<u2") if len(tokenizer) <= 2**16 else np.dtype("<u4")
    counts = np.zeros(len(tokenizer), dtype=np.int64)
    tokens = words = lines = longest = lost = 0
    sources: dict[str, int] = {}
    with disk.atomic(folder / f"{name}.bin") as ids_path, disk.atomic(folder / f"{name}.idx") as rows_path:
        with ids_path.open("wb") as ids_file, rows_path.open("wb") as rows_file:
            for batch in _batches(documents):
                rows = np.empty(len(batch), dtype=ROW)
                texts = [short_enough(document) for document in batch]
                encoded = encode(tokenizer, texts, first)
                lost += sum(left_out(tokenizer, texts))
                for i, (document, ids) in enumerate(zip(batch, encoded, strict=True)):
                    rows[i] = (tokens, words, sources.setdefault(document.source, len(sources)), document.line)
                    tokens += len(ids)
                    own = document.text.split()
                    words += len(own)
                    longest = max(longest, max(map(len, own), default=0))
                flat = np.fromiter((i for ids in encoded for i in ids), dtype=dtype)
                counts += np.bincount(flat, minlength=len(counts))
                ids_file.write(flat.tobytes())
                rows_file.write(rows.tobytes())
                lines += len(batch)
                progress(len(batch))
        if not lines:
            raise OntogenyError(f"the {name} text is empty: not one document with anything in it")
    facts = {
        "key": key,
        "dtype": dtype.str,
        "tokens": tokens,
        "documents": lines,
        "words": words,
        "longest_word": longest,
        "bos": first,
        "vocabulary": len(tokenizer),
        "unknown": int(counts[unknown]) if (unknown := unknown_id(tokenizer, first)) is not None else 0,
        "left_out": lost,
        "unigram_entropy": entropy(counts),
        "sources": list(sources),
        "hashes": _hashes(folder, name),
    }
    disk.write_json(folder / f"{name}.json", facts)
    return TokenStore(folder, name)


def derive(
    folder: Path,
    name: str,
    text: TokenStore,
    ids: NDArray[Any],
    *,
    key: str,
    unknown: int | None,
    documents: NDArray[Any] | None = None,
) -> TokenStore:
    """A store with other tokens than `text`, and with its documents unless others (rows of ROW) are given.

    `unknown`: the tokenizer's token for what it does not know.  Raises OntogenyError if the tokens do not fit the documents.
    """
    rows = np.asarray(text.documents if documents is None else documents, dtype=ROW)
    if documents is None and len(ids) != len(text):
        raise OntogenyError(f"an edit of {text.path} gives {len(ids):,} tokens for documents of {len(text):,}")
    with disk.atomic(folder / f"{name}.bin") as ids_path, disk.atomic(folder / f"{name}.idx") as rows_path:
        ids_path.write_bytes(np.ascontiguousarray(ids, dtype=np.dtype(text.facts["dtype"])).tobytes())
        rows_path.write_bytes(rows.tobytes())
    counts = np.bincount(ids, minlength=text.facts["vocabulary"])
    facts = text.facts | {
        "key": key,
        "tokens": len(ids),
        "documents": len(rows),
        "unknown": int(counts[unknown]) if unknown not in (None, text.facts["bos"]) else 0,
        "unigram_entropy": entropy(counts),
        "hashes": _hashes(folder, name),
    }
    disk.write_json(folder / f"{name}.json", facts)
    return TokenStore(folder, name)


def _hashes(folder: Path, name: str) -> dict[str, str]:
    return {file: store.file_hash(folder / file) for file in (f"{name}.bin", f"{name}.idx")}


def open_or_write(folder: Path, name: str, key: str, make: Callable[[], TokenStore]) -> TokenStore:
    """The store with this content key if it is there, else what `make` writes."""
    facts = folder / f"{name}.json"
    whole = all((folder / f"{name}{suffix}").exists() for suffix in (".json", ".bin", ".idx"))
    if whole and disk.read_json(facts)["key"] == key:
        return TokenStore(folder, name)
    facts.unlink(missing_ok=True)  # it describes another stream than the one that is about to be written
    return make()


def bos_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that begins a document: BOS, or EOS where a tokenizer has only that.  Raises OntogenyError if it has neither."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise OntogenyError("this tokenizer has neither a BOS nor an EOS token; give it one, or set bos: false in the recipe")


def backward(tokenizer: PreTrainedTokenizerBase) -> bool:
    """True for a tokenizer that was made for models which read each text from its end (`direction` of `tokens/trained.py`)."""
    return bool(getattr(tokenizer, "init_kwargs", {}).get("direction") == "backward")


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str], first: int | None, special: bool = False) -> list[list[int]]:
    """Ids of each text in the order in which models read them, nothing added but `first` in front (unless None).

    That order is the text's own, or from its last token to its first if the tokenizer is backward.  Where a special token such as
    </s> is written in a text, it is text; with `special`, that token.  Raises OntogenyError for a text that the tokenizer fails on.
    """
    ids = _ids(tokenizer, texts, special)
    read = [text[::-1] for text in ids] if backward(tokenizer) else ids
    return read if first is None else [[first, *text] for text in read]


def _ids(tokenizer: PreTrainedTokenizerBase, texts: list[str], special: bool) -> list[list[int]]:
    """What calling the tokenizer gives; in half the time where its library can leave out all but ids."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    try:
        if backend is not None and backend.truncation is None and backend.padding is None:  # a call would take these off first
            backend.encode_special_tokens = not special
            return [text.ids for text in backend.encode_batch_fast(texts, add_special_tokens=False)]
        said = {"add_special_tokens": False, "return_attention_mask": False, "split_special_tokens": not special}
        ids: list[list[int]] = tokenizer(texts, **said)["input_ids"]
    except Exception as error:  # a tokenizer of somebody else's may raise anything
        raise OntogenyError(f"the tokenizer fails on this text ({cause(error)})") from error
    return ids


def entropy(counts: NDArray[np.int64]) -> float:
    """Entropy in nats of the distribution that the counts give (plug-in estimate)."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def _batches(documents: Iterable[Document], size: int = 2000) -> Iterator[list[Document]]:
    stream = iter(documents)
    while batch := list(islice(stream, size)):
        yield batch
