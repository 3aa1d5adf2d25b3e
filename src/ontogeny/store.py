"""The only room that knows a run's folder: every path in it, its one writer, its lineage, checkpoints with DONE written last.

    runs/NAME/recipe.yaml  lineage.json  tokenizer/  tokens/{train,dev}.bin  suites/SUITE.parquet
      seed-0/losses.parquet  seed-0/health.parquet
        checkpoints/step-00000128/   a Hugging Face folder, DONE written last
        scores/SUITE/step-00000128.parquet
        readings/INSTRUMENT/step-00000128.parquet
        state/                       newest optimiser state
      curves.parquet  verdicts.parquet  report/index.html

How files are written, whole or not at all, and what may be deleted, `disk.py` knows.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ontogeny import leases
from ontogeny.disk import (
    access,
    atomic,
    collected,
    content_key,
    file_name,
    missing,
    names_in,
    no_file,
    not_ours,
    plain,
    read_json,
    read_table,
    remove,
    scan_tables,
    stands_for,
    table_metadata,
    without_left_overs,
    write_json,
)
from ontogeny.records import Checkpoint, OntogenyError, Revision

if TYPE_CHECKING:
    import polars as pl

DONE = "DONE"
WEIGHTS = "model.safetensors"

KINDS = ("trained", "opened", "watched")  # of runs, in their lineages
NAMED = ("versions", "hardware", "tokens", "training", "engine", "reading", "suites", "timeline", "nulls", "ngrams", "opened")

PARTS = re.compile(  # what a run's or a study's folder holds of ours at its top, a study's arms aside: they are runs
    r"recipe\.yaml|lineage|lineage\.json|hub\.json|tokenizer|tokens|interventions|suites|seed-\d+|"
    r"(curves|sensitivity|verdicts)\.parquet|ngrams|evidence|report|trackers|jobs|study\.yaml|registered\.json|analysis"
)
FIRST = re.compile(
    r"\.lock|\.writer|\.lineage\.lock|\.(recipe\.yaml|lineage\.json)\.[\w.-]+\.tmp"
)  # all that lies there before the recipe


# --- content keys -------------------------------------------------------------------------------------------------


def score_key(
    pairs: str,
    bos: bool,
    leading_space: bool = False,
    precision: str = "float32",
    masked: str = "within-word",
    tokenizer: str = "",
    dtype: str = "float32",
) -> str:
    """What a table of scores answers: these pairs (their key), with BOS or without, and what else is not as it is by default.

    `tokenizer`: the key of one that stands in for the checkpoints' own.
    """
    other = (["leading space"] if leading_space else []) + ([precision] if precision != "float32" else [])
    other += [f"masked {masked}"] if masked != "within-word" else []
    other += [f"tokenizer {tokenizer}"] if tokenizer else []
    return content_key(pairs, bos, *other, *([f"weights in {dtype}"] if dtype != "float32" else []))


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex.  Raises OntogenyError if it is not there, or is a folder, a pipe or a device."""
    with access(path, "read"):
        if not path.is_file():
            raise no_file(path) if path.exists() else OntogenyError(f"{path} does not exist")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def hashes_of(folder: Path, known: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Each file's hash, by its name; those that are `known` are not read."""
    return {file.name: known.get(file.name) or file_hash(file) for file in sorted(folder.iterdir()) if file.is_file()}


def altered(folder: Path, hashes: Mapping[str, str]) -> str | None:
    """What to say of the first file that has not the hash it was written with; None if all have."""
    return next((_altered(folder / name) for name, was in hashes.items() if file_hash(folder / name) != was), None)


def _altered(file: Path) -> str:
    return f"{file} is not what was written: bytes of it have changed"


# --- atomic writes ------------------------------------------------------------------------------------------------


def read_tables(places: Mapping[tuple[int, int], Path]) -> pl.DataFrame:
    """As `scan_tables`, read.  Raises as `read_table` does."""
    import polars as pl

    found = collected(scan_tables(places))
    if any(column.null_count() for column in found.select(pl.col(pl.String))):  # `read_table` says which may have any, and of where
        for path in places.values():
            read_table(path)
    return found


def step_name(step: int) -> str:
    """Eight digits, so that names sort as numbers do."""
    return f"step-{step:08d}"


# --- checkpoints on disk ------------------------------------------------------------------------------------------


def seal(folder: Path, known: Mapping[str, str] = MappingProxyType({})) -> str:
    """Writes DONE: the weights' hash, and the size and hash of every file.  Returns the weights' hash.

    `known`: hashes that files are to have, which is seen when they are opened.
    """
    hashes = {name: was for name, was in hashes_of(folder, known).items() if name != DONE}
    weights = hash_together([hashes[file.name] for file in weights_files(folder)])
    sizes = {name: (folder / name).stat().st_size for name in hashes}
    write_json(folder / DONE, {"weights": weights, "sizes": sizes, "hashes": hashes})
    return weights


def sound(folder: Path) -> str:
    """The hash of a checkpoint's weights; if it was sealed, once all of it is known to be what was written.

    Raises OntogenyError that names the file that is not.
    """
    wrong = fault(folder) if _sealed(folder) else None
    weights = "" if wrong else weights_hash(folder)
    if wrong := wrong or changed(folder, weights):
        raise OntogenyError(f"{wrong}; copy it from where it is sound, or go on without it; it is not read")
    return weights


def fault(folder: Path) -> str | None:
    """What is wrong with a sealed checkpoint (a file gone, of another size, or but for the weights of other content), or None."""
    if not (folder / DONE).exists():
        return f"{folder} has no DONE marker: it was not written to its end"
    if not (sealed := _sealed(folder)):
        return f"{folder / DONE} cannot be read: it does not say what the checkpoint holds"
    for name, size in sealed["sizes"].items():
        file = folder / name
        if not file.exists():
            return f"{file} is missing"
        if file.stat().st_size != size:
            return f"{file} has {file.stat().st_size} bytes instead of {size}: it was cut or changed after it was written"
    weights = {file.name for file in weights_files(folder)}  # large, and hashed when they are about to be opened
    return altered(folder, {name: was for name, was in sealed["hashes"].items() if name not in weights})


def changed(folder: Path, weights: str) -> str | None:
    """What to say of a sealed checkpoint whose weights have another hash now than when they were written; None if they have not."""
    sealed = _sealed(folder)
    if not sealed or sealed["weights"] == weights:
        return None
    return altered(folder, sealed["hashes"]) or _altered(weights_files(folder)[0])


def _sealed(folder: Path) -> dict[str, Any]:
    """What DONE says: `weights`, `sizes` and, empty from older versions, `hashes`; nothing where it is not there, or not ours."""
    try:
        found = json.loads((folder / DONE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    ours = isinstance(found, dict) and isinstance(found.get("weights"), str) and isinstance(found.get("sizes"), dict)
    return {"hashes": {}} | found if ours else {}


def sealed_weights(folder: Path) -> str | None:
    """The weights' hash that a checkpoint of our own was sealed with; None for any other folder."""
    return _sealed(folder).get("weights")


def weights_hash(folder: Path) -> str:
    """SHA-256 over the weights files of a Hugging Face folder: one file's own hash, or the hash of the shards' hashes."""
    return hash_together([file_hash(file) for file in weights_files(folder)])


def hash_together(hashes: list[str]) -> str:
    """The hash of weights from their files' hashes, in the order of their names."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def weights_files(folder: Path) -> list[Path]:
    """The files of a folder's weights.  Raises OntogenyError if there are none."""
    if folder.is_file():
        raise OntogenyError(f"{folder} is a file, and a model is a folder with config.json and weights")
    if not folder.is_dir():
        raise missing(folder, "model")
    with access(folder, "read"):
        next(folder.iterdir(), None)  # a glob takes a folder that may not be read for an empty one
        files = sorted([*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")])
    if not files:
        raise OntogenyError(f"{folder} holds no weights: expected {WEIGHTS}, its shards, or pytorch_model.bin")
    return files


# --- the run's folder ---------------------------------------------------------------------------------------------


_part = ""  # of a run's lineage: what the piece of work notes that this process does


@contextmanager
def part(name: str) -> Iterator[None]:
    """Meanwhile this process does a piece of work: what it notes of a run goes into a part of the lineage that it alone writes."""
    global _part
    before, _part = _part, name
    try:
        yield
    finally:
        _part = before


def merged(*lineages: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of lineages, the later ones over the earlier; two dicts are merged one level deep."""
    found: dict[str, Any] = {}
    for lineage in lineages:
        for key, value in lineage.items():
            old = found.get(key)
            found[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return found


def _lineage(path: Path) -> dict[str, Any]:
    """A lineage, or a part of one; empty where none is, or is any more.  Raises OntogenyError if it is broken."""
    with access(path, "read"):
        try:
            found = read_json(path) if path.exists() else {}
        except OntogenyError:
            if path.exists():
                raise
            found = {}
    wrong = [name for name in NAMED if not isinstance(found.get(name, {}), dict)] if isinstance(found, dict) else ["all of it"]
    if wrong:
        raise OntogenyError(f"{path} is no lineage: {wrong[0]} should be names with values; put back a copy of the file")
    return dict(found)


class RunFolder:
    """Paths and files of one run.  Nothing outside this class joins a run's path by hand."""

    def __init__(self, path: Path | str):
        self.path = Path(path)

    @classmethod
    def existing(cls, path: Path | str) -> RunFolder:
        """The run at `path`.  Raises OntogenyError if there is none, naming the runs beside it."""
        folder = cls(path)
        with access(folder.path, "read"):
            there = (folder.path / "lineage.json").exists()
        if not there:
            found = sorted(p.parent.name for p in folder.path.parent.glob("*/lineage.json"))
            beside = f"; runs in {folder.path.parent}: {', '.join(found)}" if found else ""
            raise OntogenyError(f"{folder.path} is not a run's folder (no lineage.json in it){beside}")
        return folder

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def recipe(self) -> Path:
        """The recipe as it was run."""
        return self.path / "recipe.yaml"

    @property
    def tokenizer(self) -> Path:
        """A Hugging Face tokenizer's folder."""
        return self.path / "tokenizer"

    def scored_how(self, how: Any) -> tuple[bool, str, str, str, str]:
        """What of a recipe's scoring decides its numbers, as `score_key` takes it: also which tokenizer stands in, by its key.

        Raises OntogenyError if one is named that has not been kept.
        """
        if how.tokenizer and not (self.tokenizer / "key.json").exists():
            raise OntogenyError(
                f"{self.path} has no copy of the tokenizer {how.tokenizer}; run `ontogeny open` again, which makes it"
            )
        kept = str(read_json(self.tokenizer / "key.json")["key"]) if how.tokenizer else ""
        return how.leading_space, how.precision, how.masked, kept, how.dtype

    @property
    def tokens(self) -> Path:
        """Folder of the token stores `train` and `dev`."""
        return self.path / "tokens"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report" / "index.html"

    def why(self, name: str) -> Path:
        """The page that explains a paradigm or a pair, by a name from `file_name`."""
        return self.path / "report" / "why" / f"{name}.html"

    @property
    def explained(self) -> Path:
        """Table of what the pages on the entrenched paradigms say in short: suite, paradigm, page, says."""
        return self.path / "report" / "why" / "entrenched.parquet"

    @property
    def verdicts(self) -> Path:
        """Table of verdicts over all seeds and suites."""
        return self.path / "verdicts.parquet"

    @property
    def sensitivity(self) -> Path:
        """How each verdict changes with the thresholds, one row a setting."""
        return self.path / "sensitivity.parquet"

    @property
    def curves(self) -> Path:
        """Table of every paradigm's accuracy and margins at every checkpoint and seed."""
        return self.path / "curves.parquet"

    @property
    def correlations(self) -> Path:
        """Table of graded paradigms: the correlation with people's judgements at every checkpoint and seed."""
        return self.path / "correlations.parquet"

    def evidence(self, name: str) -> Path:
        """Table of the n-gram evidence: margins, reliance, ladder ..."""
        return self.path / "evidence" / f"{name}.parquet"

    def ngrams(self, level: str) -> Path:
        """Folder of the n-gram index of one level: `token`, or `word` with its own tokenizer and stream."""
        return self.path / "ngrams" / level

    @property
    def interventions(self) -> Path:
        """What was changed of the text, and which promises were kept; beside it a file of each edit's changes."""
        return self.path / "interventions" / "facts.json"

    def changes(self, number: int, kind: str) -> Path:
        """What the `number`-th (from 1) edit of the text changed or removed, a JSON object a line."""
        return self.path / "interventions" / f"{number:02d}-{kind}.jsonl"

    @property
    def stream_margins(self) -> Path:
        """Table of each paradigm's mean bigram margin in the streams that training reads."""
        return self.path / "interventions" / "margins.parquet"

    @property
    def tilt(self) -> Path:
        """The weights of bigrams that an objective has, where the suite untilted is to take them out again."""
        return self.path / "interventions" / "tilt.safetensors"

    def loop(self, seed: int) -> Path:
        """Which alarms stood at each checkpoint of a seed, and for which paradigms more was read."""
        return self.path / "interventions" / f"loop-{seed}.json"

    def claim(self, recipe: str) -> None:
        """Raises OntogenyError, with a name to take, for a folder that holds something and is no run of ours.

        `recipe` is the text that is to be written: a run that was killed before its lineage was there is known by it.
        """
        names = [name for name in names_in(self.path) if not FIRST.fullmatch(name)]
        if not names or self.lineage().get("kind") in KINDS:
            return
        if all(map(PARTS.fullmatch, names)) and self.recipe.is_file() and self.recipe.read_bytes() == recipe.encode():
            return
        beside = (f"{self.path.name}-{number}" for number in count(2))
        free = next(name for name in beside if not self.path.with_name(name).exists())
        raise not_ours(self.path, "no lineage.json of a run", f"Choose another name, such as --set name={free}, or move it away")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the run's one writer's place.  Raises OntogenyError at once if another process has it, or none can be had.

        A piece of work is done under the place of who had it done.
        """
        from filelock import FileLock, Timeout

        if _part:
            yield
            return
        with ExitStack() as held, access(self.path, "written"):
            self.path.mkdir(parents=True, exist_ok=True)
            try:  # the lock tells of this machine's processes at once, the claim of other machines'
                held.enter_context(FileLock(self.path / ".lock").acquire(timeout=0))
                held.enter_context(leases.lease(self.path / ".writer", wait=False, alone=True))
            except (Timeout, leases.Held) as other:
                who = f" ({other})" if isinstance(other, leases.Held) else ""
                raise OntogenyError(
                    f"another process{who} is writing to {self.path}; wait for it, or use another name for this run"
                ) from None
            inside = held.pop_all()
        with inside:
            self._clear()
            self._fold_parts()
            yield
            self._fold_parts()

    @contextmanager
    def claimed(self, what: str, said: Callable[[str], None] = lambda text: None) -> Iterator[None]:
        """Waits until no other process on any machine does this of the run, and holds the claim to do it."""
        place = self.path / "lineage"
        with access(place, "written"):
            place.mkdir(exist_ok=True)
        with leases.lease(place / f"{what}.claim", said=said):
            yield
        with suppress(OSError):  # others have claims, or notes
            place.rmdir()

    def at_work(self) -> dict[str, str]:
        """What is being done of the run, and who does it, in words."""
        called = {".writer": "all of it", "prepare": "text and suites"}
        places = [self.path / ".writer", *sorted((self.path / "lineage").glob("*.claim"))]
        held = {place.stem.replace("train-", "training of seed "): leases.holder(place) for place in places}
        return {called.get(what, what): who for what, who in held.items() if who}

    def _clear(self) -> None:
        """Deletes what killed processes left half written: where this program writes and nowhere else, and through no link."""
        for top in without_left_overs(self.path, [name for name in names_in(self.path) if PARTS.fullmatch(stands_for(name))]):
            for place, inner, files in os.walk(self.path / top) if not (self.path / top).is_symlink() else ():
                inner[:] = without_left_overs(Path(place), inner)
                without_left_overs(Path(place), files)

    def lineage(self) -> dict[str, Any]:
        """How the run was made: versions, hardware, keys, choices measured at run time.  Raises OntogenyError if it is broken."""
        parts = [_lineage(path) for path in self._parts()]  # before the whole: what is folded meanwhile is in there
        return merged(_lineage(self.path / "lineage.json"), *parts)

    def _parts(self) -> list[Path]:
        """What pieces of work have noted that is not in lineage.json yet."""
        return sorted((self.path / "lineage").glob("*.json"))

    def _fold_parts(self) -> None:
        """Puts what pieces of work have noted into lineage.json; whoever calls this holds the run's one writer's place.

        Each is renamed first, so that a piece that goes on notes in a new one.
        """
        for path in self._parts():
            if not path.name.startswith("~") and not (aside := path.with_name(f"~{path.name}")).exists():
                path.rename(aside)
        if folded := [path for path in self._parts() if path.name.startswith("~")]:
            write_json(self.path / "lineage.json", merged(*map(_lineage, [self.path / "lineage.json", *folded])))
            for path in folded:
                path.unlink()
            with suppress(OSError):  # a piece notes again
                (self.path / "lineage").rmdir()

    def note(self, **entries: Any) -> None:
        """Adds entries to the lineage; a dict is merged one level deep.  A piece of work adds to a part of its own.

        What is known already is not written again, so that a run can be read where nothing can be written.
        """
        from filelock import FileLock

        entries = json.loads(json.dumps(entries, default=plain))
        if content_key(merged(self.lineage(), entries)) == content_key(self.lineage()):
            return
        with access(self.path, "written"):
            self.path.mkdir(parents=True, exist_ok=True)
            if _part:
                path = self.path / "lineage" / f"{_part}.json"
                return write_json(path, merged(_lineage(path), entries))
            with FileLock(self.path / ".lineage.lock"):
                write_json(self.path / "lineage.json", merged(_lineage(self.path / "lineage.json"), entries))

    def seeds(self) -> list[int]:
        """Seeds that have a folder, in order."""
        found = [re.fullmatch(r"seed-(\d+)", p.name) for p in self.path.glob("seed-*")]
        return sorted(int(match[1]) for match in found if match)

    def seed(self, seed: int) -> Path:
        """Folder of one seed."""
        return self.path / f"seed-{seed}"

    # checkpoints

    def checkpoint(self, seed: int, step: int) -> Path:
        """Where the checkpoint of our own training at `step` is or will be."""
        return self.path / f"seed-{seed}/checkpoints/{step_name(step)}"

    def write_checkpoint(self, seed: int, step: int, save: Callable[[Path], None], **facts: Any) -> str:
        """Writes a checkpoint whole: `save(folder)`, then its facts (tokens, words ...), then DONE.  Returns the weights' hash."""
        target = self.checkpoint(seed, step)
        with atomic(target) as temporary:
            temporary.mkdir()
            save(temporary)
            write_json(temporary / "ontogeny.json", {"step": step, "seed": seed, **facts})
            return seal(temporary)

    def has_checkpoint(self, seed: int, step: int) -> bool:
        """True if that checkpoint was written to its end."""
        return (self.checkpoint(seed, step) / DONE).exists()

    def checkpoints(self, seed: int) -> list[Checkpoint]:
        """Finished checkpoints by step: our own, or those of a run around somebody else's (table `checkpoints.json`)."""
        table = self.seed(seed) / "checkpoints.json"
        if table.exists():
            return [self._elsewhere(seed, row) for row in read_json(table)]
        folders = [self.seed(seed) / "checkpoints" / name for name in self._finished(seed)]
        facts = [(folder, read_json(folder / "ontogeny.json")) for folder in folders]
        return [Checkpoint(fact["step"], folder, fact.get("tokens"), fact.get("words")) for folder, fact in facts]

    def forget_after(self, seed: int, step: int) -> list[int]:
        """Deletes a seed's own checkpoints past a step and what was read off them; returns their steps.

        For a training that goes on from before them: those it makes now are of another course.
        """
        later = [checkpoint.step for checkpoint in self.checkpoints(seed) if checkpoint.step > step]
        for gone in later:
            (self.checkpoint(seed, gone) / DONE).unlink()  # first: what a kill leaves of it is no checkpoint
            remove(self.checkpoint(seed, gone))
            for table in self.seed(seed).glob("*/*/step-*.parquet"):
                if step_of(table) == gone:
                    table.unlink()
        return later

    def _elsewhere(self, seed: int, row: dict[str, Any]) -> Checkpoint:
        """A checkpoint of somebody else's; one of the hub lies in this run's folder, wherever that is by now."""
        if revision := row.get("revision"):
            return Checkpoint(**{**row, "folder": self.checkpoint(seed, row["step"]), "revision": Revision(**revision)})
        return Checkpoint(**{**row, "folder": Path(row["folder"])})

    def steps(self, seed: int) -> list[int]:
        """The steps of finished checkpoints, in order: as `checkpoints`, but no file of a checkpoint is opened.

        Raises OntogenyError for one that lacks its facts.
        """
        if (self.seed(seed) / "checkpoints.json").exists():
            return [checkpoint.step for checkpoint in self.checkpoints(seed)]
        place, found = self.seed(seed) / "checkpoints", self._finished(seed)
        if lacking := next((name for name in found if not os.access(f"{place}/{name}/ontogeny.json", os.F_OK)), None):
            raise OntogenyError(f"{place / lacking / 'ontogeny.json'} does not exist")
        return sorted(map(step_of, found))

    def _finished(self, seed: int) -> list[str]:
        """Names of the folders of our own finished checkpoints."""
        place = self.seed(seed) / "checkpoints"
        return sorted(name for name in _steps_in(place) if os.access(f"{place}/{name}/{DONE}", os.F_OK))

    def adopt(self, seed: int, checkpoints: list[Checkpoint]) -> None:
        """Makes this a run around checkpoints that lie elsewhere."""
        rows = [{name: value for name, value in asdict(c).items() if name != "revision" or value} for c in checkpoints]
        write_json(self.seed(seed) / "checkpoints.json", [row | {"folder": str(row["folder"])} for row in rows])

    @property
    def hub(self) -> Path:
        """What the hub said of the repositories of this run's checkpoints, asked once: branches, commits, files."""
        return self.path / "hub.json"

    def adopted(self) -> bool:
        """True for a run around somebody else's checkpoints."""
        return any((self.seed(seed) / "checkpoints.json").exists() for seed in self.seeds())

    # what was read off them

    def pairs(self, suite: str) -> Path:
        """Table of a suite's pairs as they were scored."""
        return self.path / "suites" / f"{file_name(suite)}.parquet"

    def tokenised(self, suite: str, key: str) -> Path:
        """Table of a suite's pairs as token ids, by a key of pairs, tokenizer and settings."""
        return self.path / "suites" / "tokens" / f"{file_name(suite)}-{key}.parquet"

    def suites(self) -> list[str]:
        """Names of the suites that this run knows."""
        tables = (self.path / "suites").glob("*.parquet")
        return sorted(table_metadata(p).get("suite", p.stem) if "~" in p.stem else p.stem for p in tables)

    def scores(self, seed: int, suite: str, step: int) -> Path:
        """Table of one checkpoint's scores on one suite."""
        return self.path / f"seed-{seed}/scores/{file_name(suite)}/{step_name(step)}.parquet"

    def scored(self, seed: int, suite: str) -> list[int]:
        """Steps that have scores, in order."""
        names = _steps_in(self.seed(seed) / "scores" / file_name(suite))
        return sorted(step_of(name) for name in names if name.endswith(".parquet"))

    def scan_scores(self, suite: str) -> pl.LazyFrame | None:
        """All scores of a suite with columns `seed` and `step`, lazily; None if there are none."""
        places = {(seed, step): self.scores(seed, suite, step) for seed in self.seeds() for step in self.scored(seed, suite)}
        return scan_tables(places) if places else None

    def readings(self, seed: int) -> Path:
        """Folder of what instruments read off one seed's checkpoints: a folder each."""
        return self.seed(seed) / "readings"

    def reading(self, instrument: str, seed: int, step: int) -> Path:
        """Table of what one instrument read off one checkpoint."""
        return self.path / f"seed-{seed}/readings/{instrument}/{step_name(step)}.parquet"

    # training

    def losses(self, seed: int) -> Path:
        """Table step, loss (nats per token), learning_rate, gradient_norm, tokens, words, seconds."""
        return self.seed(seed) / "losses.parquet"

    def health(self, seed: int) -> Path:
        """How the optimiser did, where that was recorded."""
        return self.seed(seed) / "health.parquet"

    def state(self, seed: int, step: int) -> Path:
        """File with everything that training at `step` needs to go on."""
        return self.seed(seed) / "state" / f"{step_name(step)}.safetensors"

    def newest_state(self, seed: int) -> Path | None:
        """The newest state file, if any."""
        found = sorted((self.seed(seed) / "state").glob("step-*.safetensors"))
        return found[-1] if found else None

    def keep_only_state(self, seed: int, step: int) -> None:
        """Deletes older states once a newer one is whole."""
        for path in (self.seed(seed) / "state").glob("step-*.safetensors"):
            if re.fullmatch(r"step-\d+", path.stem) and path != self.state(seed, step):
                path.unlink(missing_ok=True)


def step_of(path: Path | str) -> int:
    """The step that a file's or folder's name tells."""
    return int(os.fspath(path).rpartition(os.sep)[2].partition(".")[0].split("-")[1])


def _steps_in(folder: Path) -> list[str]:
    """Names of what a folder has of steps; many thousands of paths would take seconds to make."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.name.startswith("step-")]
    return []
