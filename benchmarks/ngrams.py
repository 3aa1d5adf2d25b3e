"""What exact n-gram counts cost: this package's index beside other counting engines, in one run on one token stream.

    python -m benchmarks ngrams                                             a million tokens from Zipf's distribution
    python -m benchmarks ngrams --tokens RUN/tokens/train.bin --runs 5      a run's own stream

Three tasks: all bigrams; all n-grams of 1 to 5 tokens; a 5-gram modified Kneser-Ney model as an ARPA file.  The first two count
the stream as it is, BOS being a token like any other; the third counts its documents.  Every engine runs in a process of its own,
on the same processors, taking turns with the others.  Prints the seconds of the work itself (no imports; reading text for lmplz
alone, which takes nothing else), the peak memory of the process or of the largest that it starts, and the files it leaves; then
whether all engines agree on how many distinct n-grams there are and how often each of 1,000 drawn ones occurs (of models: its
probability).  Peers that are not installed are named and left out; KenLM's lmplz is looked for on the path, or at --lmplz.
Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import ROOT, own_peak

SAMPLE, SHUFFLED = 1000, 200  # n-grams asked for at each order; so many of them have their tokens shuffled: most never occur
TASKS = {"bigrams": (2,), "1 to 5": (1, 2, 3, 4, 5), "model": (5,)}
MEMORY = 1  # GiB that engines with a limit may use to sort


@dataclass
class Job:
    """One engine's work on one stream."""

    engine: str
    task: str
    tokens: str  # raw little-endian ids, from 0 without gaps
    dtype: str
    vocabulary: int
    bos: int | None
    text: str  # the same as text: one line, or one a document
    sample: str
    folder: str
    threads: int
    lmplz: str
    check: bool

    @property
    def orders(self) -> tuple[int, ...]:
        """Lengths of the n-grams that are counted."""
        return TASKS[self.task]

    def ids(self) -> np.ndarray:
        """The stream, mapped."""
        return np.memmap(self.tokens, dtype=self.dtype, mode="r")


@dataclass
class Counted:
    """What an engine found: distinct n-grams of each order (None where it cannot list them), and how to ask it for counts."""

    distinct: list[int] | None
    count: Callable[[np.ndarray], list[Any]] | None  # of n-grams [k, n]


# --- engines: each returns the work that is timed -----------------------------------------------------------------


def ontogeny(job: Job) -> Callable[[], Counted]:
    """This package's index on disk."""
    from ontogeny.ngrams import index

    def work() -> Counted:
        found = index.build(
            Path(job.folder) / "index",
            job.ids(),
            job.vocabulary,
            None,
            order=job.orders[-1],
            memory=MEMORY * 2**30,
            workers=job.threads,
        )
        return Counted([len(found.levels[n - 1]) for n in job.orders], lambda ngrams: [found.count(g) for g in ngrams.tolist()])

    return work


def packed(columns: list[np.ndarray], vocabulary: int) -> np.ndarray:
    """One uint64 for each row of tokens."""
    bits = (vocabulary - 1).bit_length()
    if bits * len(columns) > 64:
        raise SystemExit(f"{len(columns)} tokens of {bits} bits do not fit into 64")
    key = columns[0].astype(np.uint64)
    for column in columns[1:]:
        key = key << np.uint64(bits) | column.astype(np.uint64)
    return key


def shifted(ids: np.ndarray, n: int) -> list[np.ndarray]:
    """Columns of the stream's n-grams [n][tokens - n + 1]."""
    return [ids[offset : len(ids) - n + 1 + offset] for offset in range(n)]


def numpy_sort(job: Job) -> Callable[[], Counted]:
    """np.unique of packed keys, order by order."""

    def work() -> Counted:
        tables = {n: np.unique(packed(shifted(job.ids(), n), job.vocabulary), return_counts=True) for n in job.orders}

        def count(ngrams: np.ndarray) -> list[int]:
            keys, counts = tables[ngrams.shape[1]]
            wanted = packed(list(ngrams.T), job.vocabulary)
            at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            return [int(c) for c in np.where(keys[at] == wanted, counts[at], 0)]

        return Counted([len(keys) for keys, _ in tables.values()], count)

    return work


def numpy_bincount(job: Job) -> Callable[[], Counted]:
    """A table of all pairs of tokens."""
    if job.vocabulary**2 > 2**27:
        raise SystemExit(f"a table of {job.vocabulary:,} x {job.vocabulary:,} is too large")

    def work() -> Counted:
        ids = job.ids().astype(np.int64)
        table = np.bincount(ids[:-1] * job.vocabulary + ids[1:], minlength=job.vocabulary**2)
        return Counted([int(np.count_nonzero(table))], lambda ngrams: table[ngrams[:, 0] * job.vocabulary + ngrams[:, 1]].tolist())

    return work


def polars_keys(job: Job) -> Callable[[], Counted]:
    """Group by packed keys, order by order."""
    import polars as pl

    def work() -> Counted:
        tables = {n: pl.DataFrame({"key": packed(shifted(job.ids(), n), job.vocabulary)}).group_by("key").len() for n in job.orders}

        def count(ngrams: np.ndarray) -> list[int]:
            wanted = pl.DataFrame({"key": packed(list(ngrams.T), job.vocabulary)})
            joined = wanted.join(tables[ngrams.shape[1]], on="key", how="left", maintain_order="left")
            return joined["len"].fill_null(0).to_list()

        return Counted([len(table) for table in tables.values()], count)

    return work


def polars_columns(job: Job) -> Callable[[], Counted]:
    """Group by shifted columns, order by order."""
    import polars as pl

    def work() -> Counted:
        tables = {n: frame(shifted(job.ids(), n)).group_by(pl.all()).len() for n in job.orders}

        def count(ngrams: np.ndarray) -> list[int]:
            n = ngrams.shape[1]
            wanted = frame(list(ngrams.astype(job.dtype).T))
            joined = wanted.join(tables[n], on=wanted.columns, how="left", maintain_order="left")
            return joined["len"].fill_null(0).to_list()

        return Counted([len(table) for table in tables.values()], count)

    def frame(columns: list[np.ndarray]) -> pl.DataFrame:
        return pl.DataFrame({f"token {i}": np.ascontiguousarray(column) for i, column in enumerate(columns)})

    return work


def tokengrams(job: Job) -> Callable[[], Counted]:
    """A suffix array on disk; bigrams are listed by asking what follows each token, longer ones cannot be listed in good time."""
    from tokengrams import MemmapIndex

    def work() -> Counted:
        found = MemmapIndex.build(job.tokens, str(Path(job.folder) / "tokens.idx"), vocab=job.vocabulary)
        distinct = None
        if job.task == "bigrams":
            asked = [list(range(low, min(low + 256, job.vocabulary))) for low in range(0, job.vocabulary, 256)]
            distinct = [sum(sum(map(bool, row)) for part in asked for row in found.batch_count_next([[t] for t in part]))]
        return Counted(distinct, lambda ngrams: [found.count(g) for g in ngrams.tolist()])

    return work


def pydivsufsort(job: Job) -> Callable[[], Counted]:
    """A suffix array in memory, and where the first n tokens of its suffixes change."""
    from pydivsufsort import divsufsort

    def work() -> Counted:
        ids = np.array(job.ids())
        suffixes = divsufsort(ids)
        new, distinct = np.zeros(len(ids), dtype=bool), {}
        new[0] = True
        for n in range(1, job.orders[-1] + 1):
            at = suffixes + (n - 1)
            column = np.where(at < len(ids), ids[np.minimum(at, len(ids) - 1)].astype(np.int32), -1)
            new[1:] |= column[1:] != column[:-1]
            distinct[n] = int((new & (column >= 0)).sum())

        def count(ngram: list[int]) -> int:
            def begin(position: int) -> list[int]:
                return list(map(int, ids[position : position + len(ngram)]))

            return bisect_right(suffixes, ngram, key=begin) - bisect_left(suffixes, ngram, key=begin)

        return Counted([distinct[n] for n in job.orders], lambda ngrams: [count(g) for g in ngrams.tolist()])

    return work


def infini_gram(job: Job) -> Callable[[], Counted]:
    """The package's indexer: a suffix array on disk, which answers but does not list."""
    from ontogeny.ngrams.infinigram import InfiniGram, run_indexer

    def work() -> Counted:
        folder = Path(job.folder) / "index"
        folder.mkdir()
        shutil.copy(job.tokens, folder / "tokenized.0")
        np.zeros(1, dtype="<u8").tofile(folder / "offset.0")  # all of it as one document
        run_indexer(folder, f"u{8 * np.dtype(job.dtype).itemsize}", MEMORY, job.threads)
        found = InfiniGram(folder, job.vocabulary)
        return Counted(None, lambda ngrams: [found.count(g) for g in ngrams.tolist()])

    return work


def lmplz(job: Job) -> Callable[[], Counted]:
    """KenLM's estimation: counts, smooths, and writes an ARPA file."""

    def work() -> Counted:
        arpa = Path(job.folder) / "model.arpa"
        command = [job.lmplz, "-o", str(job.orders[-1]), "-S", f"{MEMORY}G", "-T", job.folder, "--discount_fallback"]
        done = subprocess.run([*command, "--text", job.text, "--arpa", str(arpa)], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr[-300:])
        sizes = arpa_sizes(arpa)
        if job.task == "model":
            return Counted(sizes, lambda ngrams: arpa_values(arpa, ngrams))
        return Counted([sizes[n - 1] - (3 if n == 1 else 2) for n in job.orders], None)  # those with <s>, </s>, and <unk>

    return work


def ontogeny_model(job: Job) -> Callable[[], Counted]:
    """This package's index, smoothed and written as an ARPA file."""
    from ontogeny.ngrams import arpa, index
    from ontogeny.ngrams.kneser_ney import KneserNey

    def work() -> Counted:
        vocabulary = job.vocabulary + 1  # and the token that stands for all others, as KenLM has it
        memory = MEMORY * 2**30
        found = index.build(Path(job.folder) / "index", job.ids(), vocabulary, job.bos, memory=memory, workers=job.threads)
        path = Path(job.folder) / "model.arpa"
        arpa.write(path, KneserNey(found), job.orders[-1], [str(i) for i in range(vocabulary)], unknown=job.vocabulary)
        return Counted(arpa_sizes(path), lambda ngrams: arpa_values(path, ngrams))

    return work


def arpa_sizes(path: Path) -> list[int]:
    """How many n-grams of each order an ARPA file says it has."""
    with path.open() as file:
        head = [next(file) for _ in range(7)]
    return [int(line.split("=")[1]) for line in head if line.startswith("ngram ")]


def arpa_values(path: Path, ngrams: np.ndarray) -> list[float | None]:
    """log10 probabilities of n-grams in an ARPA file, None for those it does not have."""
    wanted = {" ".join(map(str, g)) for g in ngrams.tolist()}
    with path.open() as file:
        rows = (line.rstrip("\n").split("\t") for line in file)
        found = {row[1]: float(row[0]) for row in rows if len(row) > 1 and row[1] in wanted}
    return [found.get(" ".join(map(str, g))) for g in ngrams.tolist()]


@dataclass(frozen=True)
class Engine:
    """How an engine stands in the table."""

    start: Callable[[Job], Callable[[], Counted]]
    leaves: str
    tasks: tuple[str, ...] = ("bigrams", "1 to 5")
    package: str = ""


ENGINES = {
    "ontogeny": Engine(ontogeny, "index on disk, lists and answers"),
    "numpy sort of packed keys": Engine(numpy_sort, "counts in memory"),
    "numpy bincount": Engine(numpy_bincount, "table in memory", ("bigrams",)),
    "polars, packed keys": Engine(polars_keys, "counts in memory"),
    "polars, columns": Engine(polars_columns, "counts in memory"),
    "pydivsufsort": Engine(pydivsufsort, "suffix array in memory", package="pydivsufsort"),
    "tokengrams": Engine(tokengrams, "suffix array on disk, answers", package="tokengrams"),
    "infini-gram": Engine(infini_gram, "suffix array on disk, answers", package="infini_gram"),
    "ontogeny, Kneser-Ney": Engine(ontogeny_model, "index and ARPA model on disk", ("model",)),
    "KenLM lmplz": Engine(lmplz, "ARPA model on disk", ("bigrams", "1 to 5", "model"), "lmplz"),
}
OURS = ("ontogeny", "ontogeny, Kneser-Ney")


# --- one process --------------------------------------------------------------------------------------------------


def run_here(job: Job) -> dict[str, Any]:
    """Does the work and tells what it cost; asked to check, also what was found."""
    work = ENGINES[job.engine].start(job)
    started = time.perf_counter()
    counted = work()
    seconds = time.perf_counter() - started
    peak = max(own_peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
    disk = sum(path.stat().st_size for path in Path(job.folder).rglob("*") if path.is_file())
    found: dict[str, Any] = {"seconds": seconds, "peak": peak, "disk": disk / 2**20, "distinct": counted.distinct}
    if job.check and counted.count is not None:
        sample = np.load(job.sample)
        found["counts"] = {str(n): counted.count(sample[str(n)]) for n in job.orders}
    return found


def run_apart(job: Job) -> dict[str, Any] | str:
    """The same in a process of its own, held to the job's processors; what went wrong, if anything did."""
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: job.threads]))
    threads = str(job.threads)
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "POLARS_MAX_THREADS": threads, "RAYON_NUM_THREADS": threads}
    command = [sys.executable, "-m", "benchmarks", "ngrams", "--job", json.dumps(asdict(job))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# --- the stream ---------------------------------------------------------------------------------------------------


def zipf_stream(size: int, vocabulary: int) -> tuple[np.ndarray, int]:
    """Tokens of documents of 1 to 31, drawn independently with p ~ 1 / rank; and BOS, which is the highest."""
    rng = np.random.default_rng(0)
    p = 1 / np.arange(1, vocabulary)
    ids = rng.choice(vocabulary - 1, size, p=p / p.sum()).astype(np.int64)
    starts = np.cumsum(rng.integers(2, 33, size // 2))
    ids[np.append(0, starts[starts < size])] = vocabulary - 1
    return ids, vocabulary - 1


def open_stream(path: Path) -> tuple[np.ndarray, int | None]:
    """A run's stream and its BOS, as the description beside it says."""
    facts = json.loads(path.with_suffix(".json").read_text())
    return np.fromfile(path, dtype=facts["dtype"]), facts["bos"]


def write_inputs(folder: Path, ids: np.ndarray, bos: int | None) -> dict[str, Any]:
    """The stream as ids from 0 without gaps, as text, and a sample of its n-grams."""
    types, ids = np.unique(ids, return_inverse=True)
    dtype = np.dtype("<u2") if len(types) < 2**16 - 1 else np.dtype("<u4")
    ids.astype(dtype).tofile(folder / "stream.bin")
    first = None if bos is None else int(np.searchsorted(types, bos))
    for name, ends in (("stream.txt", None), ("documents.txt", first)):
        with (folder / name).open("w") as file:
            file.writelines(lines(ids, ends))
    rng, sample = np.random.default_rng(1), {}
    for n in range(1, 6):
        ngrams = ids[rng.integers(0, len(ids) - n, SAMPLE)[:, None] + np.arange(n)]
        ngrams[:SHUFFLED] = rng.permuted(ngrams[:SHUFFLED], axis=0)
        sample[str(n)] = ngrams
    np.savez(folder / "sample.npz", **sample)
    stream = {"tokens": str(folder / "stream.bin"), "dtype": dtype.str, "vocabulary": len(types), "bos": first}
    return stream | {"sample": str(folder / "sample.npz")}


def lines(ids: np.ndarray, bos: int | None, chunk: int = 2**16) -> Iterator[str]:
    """The stream as words; every BOS a new line, where there is one."""
    start = 0
    if bos is not None:
        start = int(ids[0] == bos)
    for low in range(start, len(ids), chunk):
        yield " ".join("\n" if i == bos else str(i) for i in ids[low : low + chunk].tolist()) + " "
    yield "\n"


# --- the table ----------------------------------------------------------------------------------------------------


def absent(engine: Engine, lmplz_path: str) -> bool:
    """Whether an engine's package or program is not there."""
    return not lmplz_path if engine.package == "lmplz" else bool(engine.package) and find_spec(engine.package) is None


def measure(task: str, inputs: dict[str, Any], folder: Path, options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """All engines of a task, taking turns; those that fail are named."""
    text = folder / ("documents.txt" if task == "model" else "stream.txt")
    names = [name for name, engine in ENGINES.items() if task in engine.tasks and not absent(engine, options.lmplz)]
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for turn in range(options.runs):
        for name in [*names[turn % len(names) :], *names[: turn % len(names)]]:
            if name not in results:
                continue
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                settings = {"text": str(text), "folder": scratch, "threads": options.threads, "lmplz": options.lmplz}
                found = run_apart(Job(name, task, **inputs, **settings, check=turn == 0))
            if isinstance(found, str):
                print(f"left out: {name}: {found}", flush=True)
                del results[name]
            else:
                results[name].append(found)
    return results


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    """Markdown: an engine a row, the fastest first; ratios of medians to ours."""
    medians = {name: statistics.median(run["seconds"] for run in runs) for name, runs in results.items()}
    ours = next((medians[name] for name in OURS if name in medians), float("nan"))
    rows = ["| engine | leaves | seconds min | median | max | x ours | peak MiB | files MiB |", "|---|---|---|---|---|---|---|---|"]
    for name in sorted(results, key=medians.__getitem__):
        seconds = [run["seconds"] for run in results[name]]
        costs = f"{min(seconds):.2f} | {medians[name]:.2f} | {max(seconds):.2f} | {medians[name] / ours:.2f}"
        peak, disk = (max(run[what] for run in results[name]) for what in ("peak", "disk"))
        rows.append(f"| {name} | {ENGINES[name].leaves} | {costs} | {peak:,.0f} | {disk:,.0f} |")
    return "\n".join(rows)


def disagreements(task: str, results: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Says who was compared on what, and returns where two engines found different things."""
    wrong, firsts = [], {name: runs[0] for name, runs in results.items()}
    labels = {"distinct": "numbers of distinct n-grams", "counts": "log10 probabilities" if task == "model" else "counts"}
    for what, label in labels.items():
        said = {name: run[what] for name, run in firsts.items() if run.get(what) is not None}
        reference = next(iter(said), "")
        different = [name for name, found in said.items() if not same(found, said[reference])]
        wrong += [f"{task}: {label} of {name} are not those of {reference}" for name in different]
        asked = sum(value is not None for part in said[reference].values() for value in part) if what == "counts" and said else 0
        print(f"- {label}{f' of {asked:,} n-grams' if asked else ''}: {'; '.join(said) or 'nobody'}")
    return wrong


def same(found: Any, reference: Any) -> bool:
    """Equal; numbers with a fraction to 1e-4."""
    if isinstance(found, dict):
        return all(same(found[key], reference[key]) for key in reference)
    if isinstance(found, list):
        return len(found) == len(reference) and all(map(same, found, reference))
    if isinstance(found, float) and isinstance(reference, float):
        return abs(found - reference) < 1e-4
    return bool(found == reference)


def options(parser: argparse.ArgumentParser) -> None:
    """Which stream, which tasks, how often."""
    parser.add_argument("--tokens", type=Path, help="a run's tokens/train.bin; without it a synthetic stream")
    parser.add_argument("--size", type=int, default=1_000_000, help="tokens of the synthetic stream")
    parser.add_argument("--vocabulary", type=int, default=4096, help="of the synthetic stream")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--lmplz", default=shutil.which("lmplz") or "")
    parser.add_argument("--job", help=argparse.SUPPRESS)


def run(asked: argparse.Namespace) -> int:
    """Measures every task and prints tables; 1 if engines disagree."""
    if asked.job:
        print(json.dumps(run_here(Job(**json.loads(asked.job)))))
        return 0
    ids, bos = open_stream(asked.tokens) if asked.tokens else zipf_stream(asked.size, asked.vocabulary)
    missing = [name for name, engine in ENGINES.items() if absent(engine, asked.lmplz)]
    print(f"{asked.tokens or 'Zipf'}: {len(ids):,} tokens, {asked.threads} processors, {asked.runs} runs")
    print(f"not installed: {', '.join(missing)}" if missing else "every peer is installed")
    wrong = []
    with tempfile.TemporaryDirectory() as temporary:
        inputs = write_inputs(Path(temporary), ids, bos)
        del ids
        for task in asked.tasks:
            if task == "model" and bos is None:
                print("left out: model: the stream has no BOS to tell documents apart")
                continue
            results = measure(task, inputs, Path(temporary), asked)
            print(f"\n## {task}\n\n{table(results)}\n\nCompared with one another:\n")
            wrong += disagreements(task, results)
    print("\nno two engines disagree" if not wrong else "\nDISAGREE: " + "; ".join(wrong))
    return int(bool(wrong))
