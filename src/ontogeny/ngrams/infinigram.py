"""A local infini-gram index (Liu, Min, Zettlemoyer, Choi & Hajishirzi 2024, arXiv 2401.17377) as a store of counts.

For corpora too large to count here: a suffix array on disk answers any n-gram in milliseconds, whatever its length.

    tokenized.N   token ids, little-endian; the highest number of their type stands before each document
    table.N       where each suffix begins, in bytes, sorted by the bytes that follow
    offset.N      where each document begins, in bytes
    metadata.N metaoff.N   a line of JSON for each document and where it begins; need not be there
    ontogeny.json          vocabulary and BOS, of an index that was written here

The package's engine finds n-grams.  What follows them is read off the files here: its `ntd` counts all followers of a history that
ends a shard as one and the same, and starts a thread for each of a common one's (version 2.6.0).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ontogeny import disk
from ontogeny.ngrams.backend import AROUND, Place, check_tokens, document_bounds, surroundings
from ontogeny.records import OntogenyError
from ontogeny.tokens.token_store import TokenStore

SCANNED = 2**24  # tokens at the beginning of each shard that are compared with the vocabulary when an index is opened
CHUNK = 2**22
PART = 200_000  # bytes that each process of the indexer sorts at least: version 2.6.0 repeats suffixes where they are under 100,000
NEEDED, OPTIONAL = ("tokenized", "table", "offset"), ("metadata", "metaoff")


class InfiniGram:
    """A local infini-gram index (version 4 of its format).  Only the pages that are read are in memory."""

    def __init__(self, folder: Path, vocabulary: int | None = None, bos: int | None = None):
        """Opens an index; one that was written here knows its vocabulary and BOS.

        `bos` is the token that documents begin with in this project; it is asked for as the index's separator.
        Raises OntogenyError if the package is not installed, a file is missing or cut, or the vocabulary is another one.
        """
        require_package()
        self.folder = folder
        self.vocabulary, self.bos = _described(folder, vocabulary, bos)
        numbers = shards_of(folder)
        self.shards = [Shard.open(folder, number) for number in numbers]
        for shard in self.shards:
            _check_vocabulary(shard, self.vocabulary, folder)
        self._engine = open_engine(folder, numbers, self.shards[0].dtype)

    def count(self, ngram: Sequence[int]) -> int:
        """How often the n-gram occurs.  Raises OntogenyError for one that is empty or holds a token outside the vocabulary."""
        return sum(high - low + closing for (low, high), closing in self._occurring(ngram)[0])

    def followers(self, history: Sequence[int]) -> dict[int, int]:
        """How often each token follows the history.  Raises OntogenyError for a token outside the vocabulary."""
        if len(history) > 1 and history[-1] == self.bos:
            return {}
        stretches, asked = self._find(history)
        found: dict[int, int] = {}
        for shard, (low, high) in zip(self.shards, stretches, strict=True):
            for token, count in shard.followers(low, high, len(asked)).items():
                found[token] = found.get(token, 0) + count
        ends = found.pop(self.shards[0].separator, 0) + found.pop(END, 0)
        return found | ({} if self.bos is None or not ends else {self.bos: ends})

    def places(self, ngram: Sequence[int], limit: int = 10, seed: int = 0, around: int = AROUND) -> list[Place]:
        """Where the n-gram occurs, with source and line where the index has metadata.  Raises as `count` does."""
        stretches, asked = self._occurring(ngram)
        sizes = np.array([high - low + closing for (low, high), closing in stretches])
        total = int(sizes.sum())
        drawn = np.random.default_rng(seed).choice(total, limit, replace=False) if total > limit else np.arange(total)
        found = []
        for number, ((low, high), _) in enumerate(stretches):
            shard, before = self.shards[number], sizes[:number].sum()
            ranks = drawn[(drawn >= before) & (drawn < before + sizes[number])] - before + low
            closing = [len(shard.ids) - len(asked) + 1] * int((ranks == high).sum())
            positions = sorted([*shard.positions(ranks[ranks < high]).tolist(), *closing])
            found += [self._place(number, position, len(asked), around) for position in positions]
        return found

    def _occurring(self, ngram: Sequence[int]) -> tuple[list[tuple[tuple[int, int], int]], list[int]]:
        """As `_find`; with each stretch, whether the n-gram is the end of that shard's last document too."""
        if not len(ngram):
            raise OntogenyError("an n-gram has at least one token, this one has none")
        stretches, asked = self._find(ngram)
        return [(pair, shard.closes(asked)) for pair, shard in zip(stretches, self.shards, strict=True)], asked

    def _find(self, ngram: Sequence[int]) -> tuple[list[tuple[int, int]], list[int]]:
        """Stretch [low, high) of each shard's table whose suffixes begin with the n-gram, and it in the index's tokens."""
        check_tokens(ngram, self.vocabulary)
        asked = [self.shards[0].separator if token == self.bos else int(token) for token in ngram]
        if self.shards[0].separator in asked[1:-1]:
            return [(0, 0)] * len(self.shards), asked
        return [tuple(pair) for pair in self._engine.find(asked)["segment_by_shard"]], asked

    def _place(self, number: int, position: int, length: int, around: int) -> Place:
        shard = self.shards[number]
        width = shard.dtype.itemsize
        row = int(np.searchsorted(shard.offsets, np.uint64(position * width), side="right")) - 1
        begin, end = (byte // width for byte in document_bounds(shard.offsets, row, len(shard.ids) * width))
        named = self.bos is not None  # a separator that has no name is not shown
        shown, start = surroundings(shard.ids, begin + (not named), end, position, length, around)
        tokens = tuple(self.bos if token == shard.separator and self.bos is not None else token for token in shown)
        if position + length + around > end and self.bos is not None:
            tokens = (*tokens, self.bos)
        document = row + sum(len(other.offsets) for other in self.shards[:number])
        return Place(tokens, start, document, position - begin, *shard.origin(row))


END = -1  # what follows the last token of a shard


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard of an index, its files mapped."""

    ids: NDArray[Any]  # [tokens]
    table: NDArray[np.uint8]  # [tokens, bytes of a pointer], little-endian
    offsets: NDArray[np.uint64]  # [documents], in bytes
    metadata: Path | None
    metadata_offsets: NDArray[np.uint64]  # [documents], in bytes; empty without metadata

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a token."""
        return self.ids.dtype

    @property
    def separator(self) -> int:
        """What stands before each document."""
        return int(np.iinfo(self.dtype).max)

    @classmethod
    def open(cls, folder: Path, number: str) -> Shard:
        """Maps a shard's files.  The width of a token follows from their sizes; raises OntogenyError if none fits."""
        size, table = ((folder / f"{name}.{number}").stat().st_size for name in ("tokenized", "table"))
        pointer = int(np.ceil(np.log2(max(2, size)) / 8))
        width = size * pointer // max(1, table)
        if width not in (1, 2, 4) or table * width != size * pointer:
            raise OntogenyError(
                f"{folder}: table.{number} has {table:,} bytes, which does not go with the {size:,} of tokenized.{number}: "
                "one of them was cut, or this is no index of infini-gram's version 4; make it again"
            )
        documented = (folder / f"metadata.{number}").exists()
        return cls(
            np.memmap(folder / f"tokenized.{number}", dtype=f"<u{width}", mode="r"),
            np.memmap(folder / f"table.{number}", dtype=np.uint8, mode="r").reshape(-1, pointer),
            np.memmap(folder / f"offset.{number}", dtype="<u8", mode="r"),
            folder / f"metadata.{number}" if documented else None,
            np.memmap(folder / f"metaoff.{number}", dtype="<u8", mode="r") if documented else np.zeros(0, dtype=np.uint64),
        )

    def closes(self, asked: list[int]) -> int:
        """1 if the n-gram is the end of the shard's last document: nothing follows that, but it is an end."""
        before = asked[:-1]
        ends = asked[-1] == self.separator and self.separator not in before[1:]
        return int(bool(before) and ends and self.ids[-len(before) :].tolist() == before)

    def positions(self, ranks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in the stream the suffixes at these places of the table begin, in tokens."""
        wide = np.zeros((len(ranks), 8), dtype=np.uint8)
        wide[:, : self.table.shape[1]] = self.table[ranks]
        return wide.view("<i8")[:, 0] // self.dtype.itemsize

    def followers(self, low: int, high: int, depth: int) -> dict[int, int]:
        """How often each token stands `depth` after the beginning of the table's suffixes [low, high).

        They are sorted, so a stretch with the same token at both ends has no other; all other stretches are halved at once.
        """
        if low >= high:
            return {}
        heads = [np.array([low])]  # of runs of one token
        left, right = np.array([low]), np.array([high - 1])
        while len(left):
            split = self._tokens(left, depth) != self._tokens(right, depth)
            left, right = left[split], right[split]
            heads.append(right[right - left == 1])
            left, right = left[right - left > 1], right[right - left > 1]
            middle = (left + right) // 2
            left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
        runs = np.sort(np.concatenate(heads))
        counts = np.diff(np.append(runs, high))
        return dict(zip(self._tokens(runs, depth).tolist(), counts.tolist(), strict=True))

    def _tokens(self, ranks: NDArray[np.int64], depth: int) -> NDArray[np.int64]:
        at = self.positions(ranks) + depth
        last = len(self.ids) - 1
        return np.where(at > last, END, self.ids[np.minimum(at, last)].astype(np.int64))

    def origin(self, row: int) -> tuple[str, int]:
        """File and line that a document came from, ("", 0) where the index does not say.  Its metadata count lines from 0."""
        if self.metadata is None:
            return "", 0
        with self.metadata.open("rb") as file:
            file.seek(int(self.metadata_offsets[row]))
            said = json.loads(file.readline())
        return str(said.get("path", "")), int(said.get("linenum", -1)) + 1


# --- opening ------------------------------------------------------------------------------------------------------


def require_package() -> None:
    """Raises OntogenyError if infini-gram is not installed."""
    if find_spec("infini_gram") is None:
        raise OntogenyError("infini-gram is not installed: pip install 'ontogeny[infinigram]' (Linux and macOS)")


def shards_of(folder: Path) -> list[str]:
    """Numbers of an index's shards, in order.  Raises OntogenyError with the names of files that are missing."""
    if not folder.is_dir():
        raise disk.missing(folder, "an infini-gram index")
    numbers = sorted((path.suffix[1:] for path in folder.glob("tokenized.*") if path.suffix[1:].isdigit()), key=int)
    wanted = [f"{name}.{number}" for number in numbers or ["0"] for name in NEEDED]
    described = [number for number in numbers if any((folder / f"{name}.{number}").exists() for name in OPTIONAL)]
    wanted += [f"{name}.{number}" for number in described for name in OPTIONAL]
    if absent := [name for name in wanted if not (folder / name).is_file()]:
        raise OntogenyError(f"{folder} is no whole infini-gram index (version 4): it has no {', '.join(absent)}")
    return numbers


def _described(folder: Path, vocabulary: int | None, bos: int | None) -> tuple[int, int | None]:
    """Vocabulary and BOS: what the index's description says, else what was given.  Raises OntogenyError if the two differ."""
    path = folder / "ontogeny.json"
    if not path.exists():
        if vocabulary is None:
            raise OntogenyError(f"{folder} does not say how large its tokenizer's vocabulary is: give it, and the BOS token")
        return vocabulary, bos
    said = disk.read_json(path)
    for name, given in (("vocabulary", vocabulary), ("bos", bos)):
        if given is not None and given != said[name]:
            raise OntogenyError(f"{folder} was made with {name} {said[name]}, not {given}: the tokenizer is another one")
    return said["vocabulary"], said["bos"]


def _check_vocabulary(shard: Shard, vocabulary: int, folder: Path) -> None:
    if vocabulary > shard.separator:
        raise OntogenyError(
            f"{folder} holds tokens of {shard.dtype.itemsize} bytes, at most {shard.separator:,} different ones; "
            f"the vocabulary has {vocabulary:,}: the tokenizer is another one"
        )
    start = np.asarray(shard.ids[:SCANNED])
    highest = int(np.max(start, initial=0, where=start != shard.separator))
    if highest >= vocabulary:
        raise OntogenyError(f"{folder} holds token {highest:,}, the vocabulary has {vocabulary:,}: the tokenizer is another one")


def open_engine(folder: Path, numbers: list[str], dtype: np.dtype[Any]) -> Any:
    """The package's engine over links to exactly these files: it tells files apart by words anywhere in their paths.

    The links are gone when it has mapped them.  Their names keep the shards' order, which it takes from the text.
    """
    from infini_gram.engine import InfiniGramEngine

    with TemporaryDirectory() as temporary:
        for rank, number in enumerate(numbers):
            for name in NEEDED:
                (Path(temporary) / f"{name}.{rank:06}").symlink_to((folder / f"{name}.{number}").resolve())
        kind = f"u{8 * dtype.itemsize}"
        return InfiniGramEngine(temporary, eos_token_id=0, vocab_size=int(np.iinfo(dtype).max), token_dtype=kind)


# --- making -------------------------------------------------------------------------------------------------------


def write_index(stream: TokenStore, folder: Path, *, memory: int = 4, processes: int = 1) -> InfiniGram:
    """Writes an infini-gram index of a token stream; its indexer may use `memory` GiB and so many processes.

    Vocabularies of more than 65,535 tokens take four bytes a token, for which the indexer wants 32 GiB whatever the corpus.
    Raises OntogenyError if the stream has no BOS, by which documents are told apart, or if the indexer fails.
    """
    require_package()
    if stream.facts["bos"] is None:
        raise OntogenyError(f"{stream.path} has no BOS between documents, and infini-gram's format wants one before each")
    with disk.atomic(folder, mark="ontogeny.json") as temporary:
        temporary.mkdir()
        dtype = np.dtype("<u2") if stream.facts["vocabulary"] < 2**16 else np.dtype("<u4")
        _write_tokens(stream, temporary / "tokenized.0", dtype)
        (stream.documents["start"] * dtype.itemsize).astype("<u8").tofile(temporary / "offset.0")
        _write_metadata(stream, temporary)
        run_indexer(temporary, f"u{8 * dtype.itemsize}", memory, processes)
        disk.write_json(temporary / "ontogeny.json", {name: stream.facts[name] for name in ("key", "vocabulary", "bos")})
    return InfiniGram(folder)


def _write_tokens(stream: TokenStore, path: Path, dtype: np.dtype[Any]) -> None:
    separator = np.iinfo(dtype).max
    with path.open("wb") as file:
        for start in range(0, len(stream), CHUNK):
            part = stream.ids[start : start + CHUNK].astype(dtype)
            part[part == stream.facts["bos"]] = separator
            file.write(part.tobytes())


def _write_metadata(stream: TokenStore, folder: Path) -> None:
    offset = 0
    with (folder / "metadata.0").open("wb") as lines, (folder / "metaoff.0").open("wb") as offsets:
        for line in _metadata_lines(stream):
            lines.write(line)
            offsets.write(offset.to_bytes(8, "little"))
            offset += len(line)


def _metadata_lines(stream: TokenStore) -> Iterator[bytes]:
    sources = stream.facts["sources"]
    for source, line in zip(stream.documents["source"].tolist(), stream.documents["line"].tolist(), strict=True):
        yield (json.dumps({"path": sources[source], "linenum": line - 1, "metadata": {}}) + "\n").encode()


def run_indexer(folder: Path, kind: str, memory: int, processes: int) -> None:
    """Sorts the suffixes of tokenized.0 into table.0 with the package's own command, in `memory` GiB; offset.0 must be there too.

    The command reads no text when it finds tokens.  It is given a link without blanks, since it hands paths to a shell unquoted.
    Raises OntogenyError with its last words if it fails.
    """
    import resource

    processes = max(1, min(processes, (folder / "tokenized.0").stat().st_size // PART))
    with TemporaryDirectory() as temporary:
        link = Path(temporary) / "index"
        link.symlink_to(folder.resolve(), target_is_directory=True)
        limits = ["--mem", str(memory), "--cpus", str(processes), "--ulimit", str(resource.getrlimit(resource.RLIMIT_NOFILE)[0])]
        command = [sys.executable, "-m", "infini_gram.indexing", "--data_dir", str(link), "--save_dir", str(link)]
        done = subprocess.run([*command, "--token_dtype", kind, *limits], capture_output=True, text=True)
    if done.returncode or not (folder / "table.0").exists():
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()][-5:]
        raise OntogenyError(f"infini-gram's indexer failed on {folder}; its last words: {' / '.join(said)}")
    for left_over in folder.glob("*-0"):
        disk.remove(left_over)
