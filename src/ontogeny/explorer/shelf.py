"""The folder that is explored: which runs and studies lie in it, by the names that addresses have for them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontogeny.commands.overview import standing
from ontogeny.disk import access, file_name, scan_table
from ontogeny.explorer.errands import Errands
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder

if TYPE_CHECKING:
    from ontogeny.explorer.seen import Seen

STUDY = "study.yaml"
# where a run's news show
MARKS = ("", "lineage", "lineage.json", "recipe.yaml", "curves.parquet", "verdicts.parquet", "evidence", "report")


class Lost(OntogenyError):
    """What an address asks for and is not there, or is no longer."""


class RunShelf:
    """A folder of runs, or a single run.  Names in addresses are looked up among what is there, and never joined to paths."""

    def __init__(self, root: Path):
        """Raises OntogenyError where there is no such folder, or it may not be read."""
        if not root.is_dir():
            raise OntogenyError(f"no folder {root}; name one that holds runs, or make a first run: ontogeny run quickstart")
        self.root = root
        self.errands = Errands()
        self._kept: dict[tuple[str, str], tuple[Any, Any]] = {}
        self._live: dict[str, dict[tuple[str, int, int], Any]] = {}
        self._readers = ThreadPoolExecutor(4)
        self._entries()

    # --- what is there --------------------------------------------------------------------------------------------

    def _entries(self) -> list[Path]:
        if (self.root / "lineage.json").exists():
            return [self.root]
        with access(self.root, "read"):
            return sorted(path for path in self.root.iterdir() if path.is_dir())

    def studies(self) -> dict[str, Path]:
        """Folders of studies by their names in addresses."""
        return {file_name(path.name): path for path in self._entries() if (path / STUDY).exists()}

    def runs(self) -> dict[str, RunFolder]:
        """Runs by their names in addresses: those in the folder, and the arms of its studies."""
        places = [
            arm for path in self._entries() for arm in (sorted((path / "arms").glob("*")) if (path / STUDY).exists() else [path])
        ]
        return {file_name(self.title(path)): RunFolder(path) for path in places if (path / "lineage.json").exists()}

    def title(self, path: Path) -> str:
        """What a run is called: its folder's name, and of an arm its study's before it."""
        if path == self.root:
            return path.resolve().name
        return path.name if path.parent == self.root else f"{path.parent.parent.name}/{path.name}"

    def run(self, name: str) -> RunFolder:
        """Raises Lost for a run that is not there."""
        run: RunFolder = found(name, self.runs(), "run", f"in {self.root}: it was deleted or moved, or never was")
        return run

    def study(self, name: str) -> Path:
        """Raises Lost for a study that is not there."""
        folder: Path = found(name, self.studies(), "study", f"in {self.root}: it was deleted or moved, or never was")
        return folder

    # --- what is known of it, until it changes --------------------------------------------------------------------

    def news(self, run: RunFolder) -> tuple[int, ...]:
        """Changes whenever something is written into a run."""
        paths = [run.path / name for name in MARKS]
        for folder in map(run.seed, run.seeds()):
            paths += [folder / "losses.parquet", folder / "checkpoints", *folder.glob("scores/*"), *folder.glob("readings/*")]
        return tuple(_changed(path) for path in paths)

    def known(self, what: str, run: RunFolder, make: Any, of: Any = None) -> Any:
        """What `make(run)` returns, made once until something is written into the run, or it is asked for `of` something else."""
        key, now = (what, str(run.path)), (self.news(run), of)
        kept = self._kept.get(key)
        if kept is None or kept[0] != now:
            kept = self._kept[key] = (now, make(run))
        return kept[1]

    def scored(self, run: RunFolder, suite: str) -> dict[int, list[int]]:
        """Each seed's checkpoints that were read."""
        found: dict[int, list[int]] = self.known(
            f"scored of {suite}", run, lambda run: {seed: run.scored(seed, suite) for seed in run.seeds()}
        )
        return found

    def seen(self, run: RunFolder) -> Seen:
        """A run's results."""
        from ontogeny.explorer.seen import Seen

        live = self._live.setdefault(str(run.path), {}) if not run.curves.exists() else {}
        found: Seen = self.known("results", run, lambda run: Seen(run, live))
        return found

    def rows(self) -> list[dict[str, Any]]:
        """A row a run for the first view, broken ones too."""
        runs = self.runs()
        return [{"slug": slug, **found} for slug, found in zip(runs, self._readers.map(self.row, runs.values()), strict=True)]

    def row(self, run: RunFolder) -> dict[str, Any]:
        """The row of one."""
        found: dict[str, Any] = self.known("row", run, lambda run: row(run, self.title(run.path)))
        return found


def found(name: str, there: Mapping[str, Any], what: str, where: str) -> Any:
    """The entry of that name.  Raises Lost that says what is not there."""
    if name not in there:
        raise Lost(f"There is no {what} {name!r} {where}.")
    return there[name]


def _changed(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return 0


# --- a row a run --------------------------------------------------------------------------------------------------


def row(run: RunFolder, title: str) -> dict[str, Any]:
    """How far a run has come, its newest loss, its verdicts, its size, and what is missing with the command that makes it."""
    try:
        now = standing(run)
        lineage = run.lineage()
        parameters = lineage.get("training", {}).get("parameters")
        read = [min(one["scored"].values(), default=0) for one in now["seeds"]]
        return {
            "title": title,
            "broken": None,
            "kind": lineage.get("kind", "trained"),
            "created": str(lineage.get("created", ""))[:10],
            "parameters": parameters,
            "seeds": len(now["seeds"]),
            "planned": now["planned"],
            "checkpoints": max((one["checkpoints"] for one in now["seeds"]), default=0),
            "read": min(read, default=0),
            "loss": _loss(run),
            "verdicts": _verdicts(run),
            "bytes": now["bytes"],
            "missing": missing(run, now, lineage),
        }
    except Exception as error:  # whatever the files of one run hold, the others are shown
        said = str(error) if isinstance(error, OntogenyError) else f"{type(error).__name__}: {error}"
        return {"title": title, "broken": " ".join(said.split()), "verdicts": []}


def _loss(run: RunFolder) -> float | None:
    """The training loss, mean over seeds at the newest step of each."""
    tables = [scan_table(path) for path in map(run.losses, run.seeds()) if path.exists()]
    newest = [table.select("loss").tail(1).collect()["loss"].to_list() for table in tables]
    last = [loss for losses in newest for loss in losses if loss is not None]
    return sum(last) / len(last) if last else None


def _verdicts(run: RunFolder) -> list[tuple[str, int]]:
    if not run.verdicts.exists():
        return []
    counts = scan_table(run.verdicts).select("verdict").collect()["verdict"].value_counts(sort=True)
    return [(str(name), int(number)) for name, number in counts.iter_rows()]


def missing(run: RunFolder, now: Mapping[str, Any], lineage: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is not there yet, and the command that makes it; the first is to be made first.  Of a study's arm: the study's."""
    seeds: Sequence[Mapping[str, Any]] = now["seeds"]
    own = "training" in lineage and not run.adopted()
    path, study = shlex.quote(str(run.path)), _study_of(run.path)
    goes_on = f"ontogeny study run {shlex.quote(str(study))} --runs {shlex.quote(str(study.parent))}" if study else ""
    if own and now["planned"] and (not seeds or any(one["checkpoints"] < now["planned"] for one in seeds)):
        return [("its training is not at its end", goes_on or f"ontogeny train {path}")]
    if not seeds or any(number < one["checkpoints"] for one in seeds for number in (one["scored"] or {"": 0}).values()):
        return [("checkpoints that are not read", goes_on or f"ontogeny score {path}")]
    if not now["judged"]:
        return [("verdicts", goes_on or f"ontogeny verdicts {path}")]
    gaps = [] if run.evidence("margins").exists() or not run.tokens.exists() else [("evidence", f"ontogeny evidence {path}")]
    return gaps if run.report.exists() else [*gaps, ("the page", f"ontogeny report {path}")]


def _study_of(run: Path) -> Path | None:
    """The folder of the study that a run is an arm of."""
    above = run.absolute().parent
    return above.parent if above.name == "arms" and (above.parent / STUDY).exists() else None
