"""Every n-gram of a token stream, sorted, on disk: exact counts, what follows what, and where each occurs.

    positions.bin   stream positions sorted by the tokens that follow them, to a depth of `order`: a suffix array cut there
    N.key           the distinct n-grams of each length, ascending, as a trie: row of the first n - 1 tokens x vocabulary + the last
    N.first         where an n-gram's positions begin
    N.count         how many there are
    N.suffix        row of its last n - 1 tokens
    index.json      facts and content key; written last, so an index with it is whole

Positions are put into buckets by their first two tokens, and sorted bucket by bucket, several at a time, so that memory is bounded
whatever the corpus.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ontogeny import disk
from ontogeny.ngrams import sorting
from ontogeny.ngrams.sorting import Ints, SortedLevel
from ontogeny.records import OntogenyError

ORDER = 5  # the published n-gram baseline of BLiMP is a 5-gram model (Warstadt et al. 2020)
BYTES = 200  # of memory that sorting one position takes, measured: 164 in the bucket at work, the rest in one that waits
NARROW = 2**32  # a stream of fewer tokens is counted in four bytes
MOST_WORKERS = 8  # beyond that memory is what sorting waits for
CHUNK = 2**21  # tokens put into buckets at a time
Ahead = Callable[[Callable[[int], Any], Iterable[int]], Iterator[Any]]
Progress = Callable[[int], None]  # called with the number of positions that were just sorted


@dataclass(frozen=True, slots=True)
class Level:
    """The distinct n-grams of one length.  All arrays have a row for each, in lexicographic order."""

    key: NDArray[np.uint64]  # place of the first n - 1 tokens at the level below x vocabulary + last token
    first: NDArray[Any]  # where its positions begin in `positions`
    count: NDArray[Any]
    suffix: NDArray[Any]  # place of its last n - 1 tokens at the level below; empty for n = 1

    def __len__(self) -> int:
        return len(self.key)


@dataclass(frozen=True, slots=True)
class Walk:
    """The n-grams of sentences laid end to end, as rows of an index; -1 where one never occurs or begins before its sentence."""

    rows: list[Ints]  # [order][tokens] the n-gram that ends at each token, row at level n
    histories: list[Ints]  # [order][tokens] the n - 1 tokens before it, row at level n - 1; 0 for n = 1, the empty history


class Index:
    """An n-gram index on disk.  Only the pages that are read are in memory."""

    def __init__(self, folder: Path, ids: NDArray[Any], key: str | None = None):
        """Opens the index in `folder` of the stream `ids`, whose content key is `key` (None: not compared).

        Raises OntogenyError if there is none, if it was made of another stream, or if a file was cut.
        """
        self.folder = folder
        self.ids = ids
        self.facts: dict[str, Any] = disk.read_json(folder / "index.json")
        if (key is not None and self.facts["key"] != key) or self.facts["tokens"] != len(ids):
            raise OntogenyError(
                f"the counts in {folder} are of another text, or of other tokens of this one; they must be made anew"
            )
        self.order: int = self.facts["order"]
        self.vocabulary: int = self.facts["vocabulary"]
        self.bos: int | None = self.facts["bos"]
        wide = np.dtype(self.facts["dtype"])
        self.positions = _opened(folder / "positions.bin", wide, len(ids))
        self.levels = [self._level(n, rows, wide) for n, rows in enumerate(self.facts["distinct"], start=1)]
        self._parents: dict[int, NDArray[Any] | None] = {}

    def _level(self, n: int, rows: int, wide: np.dtype[Any]) -> Level:
        narrow = np.dtype("<u4") if rows == 0 else wide
        return Level(
            key=_opened(self.folder / f"{n}.key", np.dtype("<u8"), rows),
            first=_opened(self.folder / f"{n}.first", narrow, rows),
            count=_opened(self.folder / f"{n}.count", narrow, rows),
            suffix=_opened(self.folder / f"{n}.suffix", narrow, rows if n > 1 else 0),
        )

    # --- asking ---------------------------------------------------------------------------------------------------

    def place(self, ngram: Sequence[int]) -> int | None:
        """The n-gram's row at its level, None where it never occurs.

        Raises OntogenyError if it is longer than what was counted, empty, or holds a token that is none of the vocabulary's.
        """
        self._check(ngram)
        row = 0
        for level, token in zip(self.levels, ngram, strict=False):
            key = row * self.vocabulary + int(token)
            found = int(np.searchsorted(level.key, np.uint64(key)))
            if found == len(level) or int(level.key[found]) != key:
                return None
            row = found
        return row

    def count(self, ngram: Sequence[int]) -> int:
        """How often the n-gram occurs.  Raises as `place` does."""
        row = self.place(ngram)
        return 0 if row is None else int(self.levels[len(ngram) - 1].count[row])

    def find(self, ngram: Sequence[int]) -> slice:
        """Where the n-gram's positions stand in `positions`.  Raises as `place` does."""
        row = self.place(ngram)
        if row is None:
            return slice(0, 0)
        level = self.levels[len(ngram) - 1]
        return slice(int(level.first[row]), int(level.first[row]) + int(level.count[row]))

    def occurrences(self, ngram: Sequence[int], limit: int | None = None, seed: int = 0) -> Ints:
        """Stream positions of the n-gram's first token, ascending; at most `limit`, drawn at random.  Raises as `place` does."""
        found = self.find(ngram)
        size = found.stop - found.start
        if limit is None or size <= limit:
            return np.sort(self.positions[found].astype(np.int64))
        drawn = np.random.default_rng(seed).choice(size, limit, replace=False)
        return np.sort(self.positions[found.start + drawn].astype(np.int64))

    def followers(self, history: Sequence[int]) -> tuple[Ints, Ints]:
        """Tokens that follow the history, ascending, and how often each does; the empty history is followed by every token.

        Raises as `place` does.
        """
        self._check([*history, 0])
        row = self.place(history) if history else 0
        if row is None:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        level = self.levels[len(history)]
        low, high = np.searchsorted(level.key, np.array([row, row + 1], dtype=np.uint64) * np.uint64(self.vocabulary))
        tokens = (level.key[low:high] - np.uint64(row * self.vocabulary)).astype(np.int64)
        return tokens, level.count[low:high].astype(np.int64)

    def walk(self, sentences: Sequence[Sequence[int]]) -> Walk:
        """Finds every n-gram of every sentence, n = 1 to `order`: one search a level, however many sentences.

        Raises OntogenyError for a token that is none of the vocabulary's.
        """
        tokens = np.fromiter((t for s in sentences for t in s), dtype=np.int64)
        self.check_tokens(tokens)
        depth = np.fromiter((i for s in sentences for i in range(len(s))), dtype=np.int64)
        rows: list[Ints] = []
        histories: list[Ints] = []
        before = np.zeros(len(tokens), dtype=np.int64)
        for level in self.levels:
            at = np.flatnonzero(before >= 0)
            row = np.full(len(tokens), -1, dtype=np.int64)
            row[at] = _search(level.key, before[at] * self.vocabulary + tokens[at])
            rows.append(row)
            histories.append(before)
            before = np.where(depth > 0, np.concatenate(([-1], row[:-1])), -1)
        return Walk(rows, histories)

    def parents(self, n: int) -> NDArray[Any] | None:
        """Row of each n-gram's first n - 1 tokens at the level below; None for unigrams.  Worked out once."""
        if n not in self._parents:
            narrow = np.int32 if len(self.ids) < 2**31 else np.int64
            self._parents[n] = None if n == 1 else (self.levels[n - 1].key // np.uint64(self.vocabulary)).astype(narrow)
        return self._parents[n]

    def _check(self, ngram: Sequence[int]) -> None:
        if not 0 < len(ngram) <= self.order:
            raise OntogenyError(f"n-grams of 1 to {self.order} tokens were counted here, this one has {len(ngram)}")
        self.check_tokens(np.asarray(ngram))

    def check_tokens(self, tokens: Ints) -> None:
        """Raises OntogenyError for a token that is none of the vocabulary's."""
        wrong = tokens[(tokens < 0) | (tokens >= self.vocabulary)]
        if len(wrong):
            raise OntogenyError(f"token {wrong[0]} is none of this index's {self.vocabulary:,}: the tokenizer is another one")

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.folder.iterdir())


# --- making -------------------------------------------------------------------------------------------------------


def open_or_build(
    folder: Path,
    ids: NDArray[Any],
    vocabulary: int,
    bos: int | None,
    key: str,
    *,
    order: int = ORDER,
    memory: int = 2**30,
    workers: int | None = None,
    progress: Progress = lambda positions: None,
) -> Index:
    """The index with this content key and at least this order if it is there, else a new one.  Raises as `build` does."""
    if is_whole(folder, key, order):
        return Index(folder, ids)
    return build(folder, ids, vocabulary, bos, key, order=order, memory=memory, workers=workers, progress=progress)


def is_whole(folder: Path, key: str, order: int) -> bool:
    """True if the folder holds an index with this content key and at least this order."""
    known = disk.read_json(folder / "index.json") if (folder / "index.json").exists() else {}
    return known.get("key") == key and known.get("order", 0) >= order


def build(
    folder: Path,
    ids: NDArray[Any],
    vocabulary: int,
    bos: int | None,
    key: str = "",
    *,
    order: int = ORDER,
    memory: int = 2**30,
    workers: int | None = None,
    progress: Progress = lambda positions: None,
) -> Index:
    """Counts the n-grams of a stream of token ids, n = 1 to `order`, in about `memory` bytes.

    `workers` buckets are sorted at a time; None: one for each core.
    A pair of tokens that is more frequent than fits is in one bucket all the same, and takes more.  Raises OntogenyError for an
    empty stream, one with a token outside the vocabulary, or one in which `bos` never occurs.
    """
    if not len(ids):
        raise OntogenyError("there is no token to count")
    workers = workers or min(MOST_WORKERS, os.cpu_count() or 1)
    starts = _token_counts(ids, vocabulary)
    if bos is not None and not starts[bos : bos + 1].any():
        raise OntogenyError(f"documents should begin with token {bos}, which never occurs in this stream; bos=None if none does")
    wide = np.dtype("<u4") if len(ids) < NARROW else np.dtype("<u8")
    most = max(1, min(memory // (BYTES * workers), -(-len(ids) // (2 * workers))))
    pairs_of = partial(sorting.pairs, ids, order=order, pad=vocabulary if bos is None else bos)
    with disk.atomic(folder, mark="index.json") as temporary:
        temporary.mkdir()
        with ThreadPoolExecutor(workers) as pool, ExitStack() as stack:
            ahead = partial(_ahead, pool, workers)
            unsorted = _Buckets(temporary / "unsorted.tmp", len(ids), pairs_of, most, wide, ahead, stack)
            files = _Files(temporary, starts, order, wide, stack)
            sort = partial(sorting.sort_bucket, ids, order=order, bos=bos, vocabulary=vocabulary)
            for positions, levels in ahead(lambda bucket: sort(unsorted.read(bucket)), range(len(unsorted))):
                files.append(positions, levels)
                progress(len(positions))
        (temporary / "unsorted.tmp").unlink()
        _write_suffixes(temporary, files.rows, vocabulary, wide)
        facts = {
            "key": key,
            "order": order,
            "vocabulary": vocabulary,
            "bos": bos,
            "tokens": len(ids),
            "dtype": wide.str,
            "distinct": files.rows,
        }
        disk.write_json(temporary / "index.json", facts)
    return Index(folder, ids)


class _Buckets:
    """A stream's positions by their first two tokens, in a file: chunk after chunk of the stream, each bucket after bucket."""

    def __init__(
        self,
        path: Path,
        tokens: int,
        pairs_of: Callable[[Ints], Ints],
        most: int,
        wide: np.dtype[Any],
        ahead: Ahead,
        stack: ExitStack,
    ):
        bounds = sorting.bounds(tokens, pairs_of, most)

        def chunk(begin: int) -> tuple[Ints, Ints]:
            positions = np.arange(begin, min(begin + CHUNK, tokens))
            number = np.searchsorted(bounds, pairs_of(positions), side="right").astype(np.min_scalar_type(len(bounds)))
            by_bucket = np.argsort(number, kind="stable")  # 16 bits are sorted by their digits
            return positions[by_bucket], np.bincount(number, minlength=len(bounds) + 1)

        sizes = []
        with path.open("wb") as file:
            for positions, each in ahead(chunk, range(0, tokens, CHUNK)):
                file.write(positions.astype(wide).tobytes())
                sizes.append(each)
        self.wide, self.file = wide, stack.enter_context(path.open("rb"))
        self.sizes = np.stack(sizes)  # [chunks, buckets]
        self.begins = (np.cumsum(self.sizes) - self.sizes.ravel()).reshape(self.sizes.shape)

    def __len__(self) -> int:
        return len(self.sizes[0])

    def read(self, bucket: int) -> NDArray[Any]:
        """A bucket's positions, in the stream's order."""
        bytes_ = self.wide.itemsize
        parts = zip((self.sizes[:, bucket] * bytes_).tolist(), (self.begins[:, bucket] * bytes_).tolist(), strict=True)
        return np.frombuffer(b"".join(os.pread(self.file.fileno(), *part) for part in parts), self.wide)


class _Files:
    """The files of an index while it grows."""

    def __init__(self, folder: Path, starts: Ints, order: int, wide: np.dtype[Any], stack: ExitStack):
        """`starts` [V] counts each token; unigrams are known from it."""

        def opened(name: str) -> BinaryIO:
            return stack.enter_context((folder / name).open("wb"))

        self.wide, self.vocabulary = wide, len(starts)
        self.positions = opened("positions.bin")
        self.levels = [[opened(f"{n}.{part}") for part in ("key", "first", "count")] for n in range(1, order + 1)]
        present = np.flatnonzero(starts)
        self.place = np.cumsum(starts > 0) - 1  # [V] of each token among the unigrams
        self.rows = [len(present)] + [0] * (order - 1)
        self.sorted = 0
        self._write(0, present, np.cumsum(starts[present]) - starts[present], starts[present])

    def _write(self, level: int, key: Ints, first: Ints, count: Ints) -> None:
        for file, values, kind in zip(
            self.levels[level], (key, first, count), (np.dtype("<u8"), self.wide, self.wide), strict=True
        ):
            file.write(values.astype(kind).tobytes())

    def append(self, positions: NDArray[Any], levels: list[SortedLevel]) -> None:
        """Adds a bucket, whose first unigram may be the last of the bucket before."""
        parents = self.place[levels[0].token]
        for n, level in enumerate(levels[1:], start=1):
            self._write(n, parents[level.parent] * self.vocabulary + level.token, level.first + self.sorted, level.count)
            parents = self.rows[n] + np.arange(len(level.first))
            self.rows[n] += len(level.first)
        self.positions.write(positions.tobytes())
        self.sorted += len(positions)


def _ahead(pool: ThreadPoolExecutor, workers: int, work: Callable[[int], Any], items: Iterable[int]) -> Iterator[Any]:
    """What the work makes of each, in order; no more than `workers` are held (numpy sorts and gathers outside Python's lock)."""
    waiting: deque[Future[Any]] = deque()
    for item in items:
        if len(waiting) == workers:
            yield waiting.popleft().result()
        waiting.append(pool.submit(work, item))
    while waiting:
        yield waiting.popleft().result()


def _token_counts(ids: NDArray[Any], vocabulary: int, chunk: int = 2**24) -> Ints:
    counts = np.zeros(vocabulary, dtype=np.int64)
    for start in range(0, len(ids), chunk):
        part = np.asarray(ids[start : start + chunk])
        if (largest := int(part.max())) >= vocabulary:
            raise OntogenyError(f"the stream holds token {largest:,}, the vocabulary has {vocabulary:,}: another tokenizer's")
        counts += np.bincount(part, minlength=vocabulary)
    return counts


def _write_suffixes(folder: Path, rows: list[int], vocabulary: int, wide: np.dtype[Any], chunk: int = 2**22) -> None:
    """The place of each n-gram's last n - 1 tokens: that of its first n - 1 tokens without the first, and then its last token."""
    (folder / "1.suffix").touch()
    key, suffixes = np.dtype("<u8"), np.zeros(rows[0], dtype=wide)  # of unigrams: the empty history
    for n, count in enumerate(rows[1:], start=2):
        below = _opened(folder / f"{n - 1}.key", key, rows[n - 2])
        with (folder / f"{n}.suffix").open("wb") as file:
            for start in range(0, count, chunk):  # read, not mapped: each is asked for once
                keys = np.fromfile(folder / f"{n}.key", key, chunk, offset=start * key.itemsize)
                parent, token = np.divmod(keys, np.uint64(vocabulary))
                wanted = suffixes[parent].astype(np.int64) * vocabulary + token.astype(np.int64)
                file.write(_search(below, wanted).astype(wide).tobytes())
        suffixes = _opened(folder / f"{n}.suffix", wide, count)


def _search(keys: NDArray[np.uint64], wanted: Ints) -> Ints:
    """Row of each wanted key, -1 where there is none.  Sorted and distinct first: neighbours in memory are asked for together."""
    distinct, back = np.unique(wanted.astype(np.uint64), return_inverse=True)
    found = np.searchsorted(keys, distinct)
    at = np.minimum(found, max(0, len(keys) - 1))
    there = keys[at] == distinct if len(keys) else np.zeros(len(distinct), dtype=bool)
    return np.where(there, at, -1)[back].astype(np.int64)


def _opened(path: Path, dtype: np.dtype[Any], rows: int) -> NDArray[Any]:
    size = path.stat().st_size if path.exists() else 0
    if size != rows * dtype.itemsize:
        raise OntogenyError(
            f"{path} has {size:,} bytes, its description says {rows * dtype.itemsize:,}: it was cut or changed; "
            "delete its folder and it is made again"
        )
    return np.memmap(path, dtype=dtype, mode="r") if rows else np.zeros(0, dtype=dtype)
