"""Scoring folders that belong to no run: whatever `from_pretrained` opens."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontogeny import disk, registry, store, yaml_text
from ontogeny import recipe as recipes
from ontogeny.display import QUIET, Display, count
from ontogeny.readers.pool import spread
from ontogeny.recipe import Observation, Scoring
from ontogeny.records import OntogenyError
from ontogeny.work.local import HERE
from ontogeny.work.piece import Message, Piece, WorkEngine, answered

if TYPE_CHECKING:
    import polars as pl

    from ontogeny.scoring.reading import SuitePairs


def suite_part(suite: str, path: Path | None) -> dict[str, Any]:
    """A suite named on the command line, as a recipe would say it: KIND, or with settings, KIND:NAME=VALUE,NAME=VALUE.

    >>> suite_part("harness:task=arc_easy,limit=100", None)
    {'kind': 'harness', 'task': 'arc_easy', 'limit': 100}
    """
    kind, _, settings = suite.partition(":")
    if kind not in registry.names("suite"):
        raise OntogenyError(f"no suite is called {kind!r}; {registry.nearest(kind, registry.names('suite'))}")
    part: dict[str, Any] = {"kind": kind} | ({"path": str(path)} if path else {})
    for setting in re.split(r",(?=\w+=)", settings) if settings else []:
        yaml_text.override(part, setting)
    return part


def with_columns(suites: Sequence[str], **columns: str | None) -> list[str]:
    """Suites with what is said of the columns of tables for each that is one.  Raises OntogenyError where none is."""
    given = [f"{name}=[{value}]" if name == "columns" else f"{name}={value}" for name, value in columns.items() if value]
    if given and "table" not in suites:
        raise OntogenyError(f"--{', --'.join(name for name, value in columns.items() if value)}: of the columns of --suite table")
    added = {"table": "table:" + ",".join(given)} if given else {}
    return [added.get(suite, suite) for suite in suites]


def suite_parts(suites: Sequence[str], paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Several suites with their paths in their order: one each, or one for each that needs one.

    Raises OntogenyError where it is not told whose a path is.
    """
    takers = [place for place, suite in enumerate(suites) if len(paths) == len(suites) or _needs_files(suite)]
    if paths and len(paths) != len(takers):
        raise OntogenyError(
            f"{len(suites)} suites and {count(len(paths), 'path')}: say --suite-path once for each suite that has its files "
            "somewhere, in their order"
        )
    own = dict(zip(takers, paths, strict=False))
    return [suite_part(suite, own.get(place)) for place, suite in enumerate(suites)]


def _needs_files(suite: str) -> bool:
    kind = suite.partition(":")[0]
    known = kind in registry.names("suite")
    field = registry.load("suite", kind).model_fields.get("path") if known else None
    return field is not None and field.is_required()


def each_suite(
    suites: Sequence[str], paths: Sequence[Path], out: Path | None, named: str, ending: str = ""
) -> list[tuple[str, Path | None, Path]]:
    """Each of some suites with its path and where its result goes: `out`, or `named` and `ending`; of several, a place in there.

    Raises OntogenyError for suites that are not known or of one name, and where it is not told whose a path is.
    """
    parts = suite_parts(suites, paths)
    own = [Path(part["path"]) if "path" in part else None for part in parts]
    if (twice := Counter(suites).most_common(1)[0])[1] > 1:
        raise OntogenyError(f"the suite {twice[0]} is named twice, and what is found would be written over: one command for each")
    if len(suites) == 1:
        return [(suites[0], own[0], out or Path(f"{named}{ending}"))]
    places = [(out or Path(named)) / f"{plain_name(suite)}{ending}" for suite in suites]
    return list(zip(suites, own, places, strict=True))


def plain_name(suite: str) -> str:
    """A suite with its settings as a file's name."""
    return re.sub(r"[^\w.-]+", "-", suite)


def suite_named(suite: str, path: Path | None, source: str = "--suite") -> Any:
    """A suite named on the command line, of which nothing is read yet.  Raises OntogenyError where it lacks its path."""
    return recipes.build(Observation, {"name": "one", "suites": [suite_part(suite, path)]}, source).suites[0]


def asked_of(suite: str, path: Path | None) -> SuitePairs:
    """A suite named on the command line, read."""
    from ontogeny.scoring.reading import ask

    return ask(suite_named(suite, path), None)


def score_one(
    folder: Path,
    suite: str,
    suite_path: Path | None,
    out: Path,
    bos: bool = True,
    device: str = "auto",
    display: Display = QUIET,
    overwrite: bool = False,
    tokenizer: str | None = None,
) -> str:
    """Scores one folder that `from_pretrained` opens and writes a parquet file, with the weights' hash in its metadata.

    `tokenizer`: a folder, or a name on the hub, whose tokenizer is taken in place of its own.  Returns a line that sums it up.
    Raises OntogenyError if the folder or the suite cannot be opened, and for a file that is there and not of this program's making,
    unless it may be written over.
    """
    disk.check_output(out, overwrite, [".parquet"])
    return f"{out}: {score(folder, asked_of(suite, suite_path), out, bos, device, display, tokenizer)}"


def score(folder: Path, asked: SuitePairs, out: Path, bos: bool, device: str, display: Display, tokenizer: str | None) -> str:
    """As `score_one`, with a suite that was read before; the line says not where."""
    from ontogeny.scoring.reading import score_folder
    from ontogeny.training.engine import find_device, keep_memory

    keep_memory()
    with display.bar(f"{asked.name}", 2 * len(asked.pairs), "sentences") as progress:
        most, where = Scoring().batch_tokens, find_device(device)
        frame, plan, weights = score_folder(
            folder, asked, where, most, bos, progress, lambda text: display.warn(f"{folder}: {text}"), tokenizer
        )
    facts = {"weights": weights, "suite": asked.key, "folder": str(folder), "settings": _how(asked, bos, tokenizer)}
    disk.write_table(out, frame, facts)
    left = [*_accuracy(frame, asked), *_correlations(frame, asked)]
    return f"{count(len(frame), 'pair')}, {'; '.join([*left, *asked.told, *plan.told])}"


def _accuracy(frame: pl.DataFrame, asked: SuitePairs) -> list[str]:
    import polars as pl

    from ontogeny.trajectories import curve, overall

    phenomena = {pair.paradigm: pair.phenomenon for pair in asked.pairs if pair.human is None}
    if not phenomena:
        return []
    found = curve(frame.filter(pl.col("paradigm").is_in(list(phenomena)))).with_columns(seed=0, step=0)
    total = overall(found, phenomena if all(phenomena.values()) else None).row(0, named=True)
    by_phenomenon = f", mean of phenomena {total['accuracy_phenomena']:.4f}" if total["accuracy_phenomena"] is not None else ""
    written = found.filter(pl.col("paradigm").is_in([pair.paradigm for pair in asked.pairs if pair.written]))
    perplexity = [f"{name}: perplexity {math.exp(-logp):.4g}" for name, logp in written.select("paradigm", "logp_good").iter_rows()]
    return [f"mean of {count(len(found), 'paradigm')} {total['accuracy']:.4f}{by_phenomenon}", *perplexity]


def _correlations(frame: pl.DataFrame, asked: SuitePairs) -> list[str]:
    import polars as pl

    from ontogeny.trajectories import correlations

    graded = [(pair.paradigm, pair.pair, pair.human) for pair in asked.pairs if pair.human is not None]
    if not graded:
        return []
    found = correlations(frame, pl.DataFrame(graded, schema=["paradigm", "pair", "human"], orient="row"))
    said = [f"{name} {'none' if rho is None else f'{rho:.2f}'}" for name, rho in found.select("paradigm", "rho").iter_rows()]
    return [f"correlation with people's judgements: {', '.join(said)}"]


def score_folders(
    folders: Sequence[Path],
    suite: str,
    suite_path: Path | None = None,
    out: Path = Path("scores"),
    bos: bool = True,
    device: str = "auto",
    display: Display = QUIET,
    jobs: int | None = None,
    overwrite: bool = False,
    tokenizer: str | None = None,
    tell: Callable[[str], None] = lambda line: None,
    engine: WorkEngine = HERE,
) -> list[str]:
    """Scores many folders into a table each in the folder `out`, and returns a line for each.

    A table of the same weights, pairs and settings is kept as it is.  `jobs` processes share the work; None: as many as pay.
    `engine`: whose.  `tell` hears each line.  Raises OntogenyError that names the folders that could not be scored, after scoring
    all others.
    """
    asked = asked_of(suite, suite_path)
    how = _how(asked, bos, tokenizer)
    tables = {folder: out / f"{name}.parquet" for folder, name in zip(folders, names_of(folders), strict=True)}
    lines = {folder: f"{table}: there already" for folder, table in tables.items() if _same(folder, table, how)}
    todo = [folder for folder in folders if folder not in lines]
    for folder in todo:
        disk.check_output(tables[folder], overwrite)
    path = str(suite_path.absolute()) if suite_path else None
    own = str(Path(tokenizer).absolute()) if tokenizer and Path(tokenizer).is_dir() else tokenizer
    settings = {"suite": suite, "suite_path": path, "bos": bos, "device": device, "tokenizer": own}
    pieces = {
        Piece("score", str(folder.absolute()), {"out": str(tables[folder].absolute()), **settings}): folder for folder in todo
    }

    def here(piece: Piece) -> Message:
        folder = pieces[piece]
        return answered(lambda: score(folder, asked, tables[folder], bos, device, display, tokenizer))

    found = spread(list(pieces), here, display, device, jobs, engine)
    lines |= {folder: said["done"] and f"{tables[folder]}: {said['done']}" for folder, said in zip(todo, found, strict=True)}
    for folder in folders:
        if lines[folder]:
            tell(lines[folder])
    if troubles := [said["trouble"] for said in found if said["trouble"]]:
        raise OntogenyError("\n".join(troubles))
    return [lines[folder] for folder in folders]


def score_piece(piece: Piece, display: Display) -> str:
    """Scores a folder that belongs to no run, as `score_folders` has it done."""
    said = piece.inputs
    asked = _asked(said["suite"], said["suite_path"])
    return score(Path(piece.run), asked, Path(said["out"]), said["bos"], said["device"], display, said["tokenizer"])


@lru_cache(maxsize=1)
def _asked(suite: str, path: str | None) -> SuitePairs:
    """A suite, read once."""
    return asked_of(suite, Path(path) if path else None)


def names_of(folders: Sequence[Path]) -> list[str]:
    """A file's name for each folder: the last part of its path, or as many of the last parts as tell them all apart.

    Raises OntogenyError for a folder that is there twice.
    """
    paths = [folder.absolute() for folder in folders]
    if twice := next((path for path in paths if paths.count(path) > 1), None):
        raise OntogenyError(f"{twice} is listed twice")
    parts = next(n for n in range(1, 10_000) if len({path.parts[-n:] for path in paths}) == len(paths))
    own = [[part for part in path.parts[-parts:] if part != path.anchor] for path in paths]
    joined = Counter("-".join(names).casefold() for names in own)
    return [disk.file_name(name, names if joined[name.casefold()] > 1 else None) for names in own for name in ["-".join(names)]]


def _how(asked: SuitePairs, bos: bool, tokenizer: str | None) -> str:
    """The key of what a table of scores answers."""
    from ontogeny.tokens.pretrained import Pretrained

    return store.score_key(asked.key, bos, tokenizer=Pretrained(name=tokenizer).key() if tokenizer else "")


def _same(folder: Path, table: Path, how: str) -> bool:
    if not table.exists() or not folder.is_dir():
        return False
    found = disk.table_metadata(table)
    return found.get("settings") == how and found.get("weights") == store.weights_hash(folder)
