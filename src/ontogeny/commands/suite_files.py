"""The suites of minimal pairs that there are, what is in one, and how its files are had."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ontogeny import disk, files, registry
from ontogeny.commands.pushing import hub_errors
from ontogeny.display import QUIET, Display
from ontogeny.readers.folders import asked_of
from ontogeny.records import OntogenyError
from ontogeny.suites.declared import declarations

DATA = Path("data")


class SuiteHome(NamedTuple):
    """Where a suite's files are had."""

    repo: str  # data set on the hub
    by_hand: str  # how without the hub
    folders: tuple[str, ...] = ()  # those of the data set that hold it, where it holds others too


BABYLM = "BabyLM-community/BabyLM-2026-Strict-Evals"
OF_BABYLM = "its folder is the suite's path; some of its files are gated"
HOMES = {
    "blimp": SuiteHome("nyu-mll/blimp", "git clone https://github.com/alexwarstadt/blimp; its folder data is the suite's path"),
    "babylm-blimp": SuiteHome(BABYLM, OF_BABYLM, ("blimp_filtered", "blimp_fast")),
    "babylm-supplement": SuiteHome(BABYLM, OF_BABYLM, ("supplement_filtered", "supplement_fast")),
    "zorro": SuiteHome("", "git clone https://github.com/phueb/Zorro; its folder sentences/babyberta is the suite's path"),
    "syntaxgym": SuiteHome(
        "", "git clone https://github.com/cpllab/syntactic-generalization; its folder test_suites/json is the suite's path"
    ),
    "linzen": SuiteHome("", "github.com/TalLinzen/rnn_agreement has agr_50_mostcommon_10K.tsv.gz; unpacked it is the suite's path"),
    "harness": SuiteHome("", "pip install 'ontogeny[harness]', then --suite harness:task=NAME; lm-eval fetches the task's data"),
    **{
        name: SuiteHome(one.repo, one.by_hand, tuple(f"{one.task}{ending}" for ending in ("", "_filtered", "_fast")))
        for name, one in declarations().items()
    },
}


def about() -> list[tuple[str, str, str]]:
    """Name, what it is and how it is had, of every suite."""
    return [(name, _said(name), _had(name)) for name in registry.names("suite")]


def _said(name: str) -> str:
    declared = declarations().get(name)
    return declared.says if declared else (registry.load("suite", name).__doc__ or "").strip().splitlines()[0]


def _had(name: str) -> str:
    home = HOMES.get(name)
    if home is None:
        return "yours: --suite-path FILE" if name == "table" else "comes with ontogeny"
    return f"ontogeny suites get {name}" if home.repo else home.by_hand


def paradigms(name: str, path: Path | None, display: Display = QUIET) -> list[tuple[str, str, int]]:
    """Phenomenon, paradigm and how many pairs, of a suite's pairs that are scored; what is left out is said."""
    asked = asked_of(name, path)
    for line in asked.told:
        display.say(line)
    counts = Counter((pair.phenomenon, pair.paradigm) for pair in asked.pairs)
    return [(phenomenon, paradigm, n) for (phenomenon, paradigm), n in sorted(counts.items())]


def get(name: str, out: Path | None, display: Display) -> Path:
    """Brings a suite's files from the hub, and returns the suite's path.

    Raises OntogenyError that says how it is had by hand, for a suite that is not on the hub and where the hub cannot be reached.
    """
    if name not in HOMES:
        known = registry.names("suite")
        if name not in known:
            raise OntogenyError(f"no suite is called {name!r}; {registry.nearest(name, known)}")
        raise OntogenyError(f"{name} has nothing to fetch: {_had(name)}")
    home, place = HOMES[name], out or DATA / name
    if not home.repo:
        raise OntogenyError(f"{name} is not on the hub; by hand: {home.by_hand}")
    if place.exists():
        raise OntogenyError(
            f"{place} is there already; name another folder with --out, or use it: --suite {name} --suite-path {place}"
        )
    with hub_errors(home.repo, f"by hand: {home.by_hand}"), disk.atomic(place) as temporary:
        _bring(name, home.repo, temporary, display)
    asked_of(name, place)
    return place


def _bring(name: str, repo: str, folder: Path, display: Display) -> None:
    from huggingface_hub import snapshot_download

    display.say(f"{repo} comes from the hub")
    if folders := HOMES[name].folders:
        patterns = [f"*{name}/*" for name in folders]
        snapshot_download(repo, repo_type="dataset", local_dir=folder, allow_patterns=patterns)
        return
    tables = Path(snapshot_download(repo, repo_type="dataset", allow_patterns=["*.parquet"]))
    folder.mkdir()
    for table in sorted(tables.rglob("*.parquet")):
        rows = [row for _, row in files.parquet(table)]
        (folder / f"{rows[0]['UID']}.jsonl").write_text("".join(_lines(rows)), encoding="utf-8")


def _lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    """BLiMP's own lines: on the hub a pair's id has another name, and is a number."""
    for row in rows:
        yield json.dumps(row | {"pairID": str(row.get("pairID", row.get("pair_id")))}) + "\n"
