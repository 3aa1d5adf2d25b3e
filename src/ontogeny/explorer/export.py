"""The views as files that open without a server: the same addresses, made by the same functions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from ontogeny.disk import atomic, claim
from ontogeny.display import QUIET, Display
from ontogeny.explorer.addresses import Links, address, file_of, view
from ontogeny.explorer.rendering import ASSETS, asset, lost, render
from ontogeny.explorer.seen import COLUMNS, evenly
from ontogeny.explorer.shelf import RunShelf
from ontogeny.pages.words import count
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder

PAIRS = 7  # checkpoints whose pairs are written, the last of them too: each is a page for every paradigm and seed
TOGETHER = 6  # runs, at most, of which every two are compared
MARK = "assets/explorer.js"


def export(root: Path, out: Path, display: Display = QUIET) -> Path:
    """Writes every view of a folder of runs to `out`; returns its first page.

    Of pairs the first page at PAIRS checkpoints is written, evenly chosen; what needs a server is said where it would be.
    Raises OntogenyError for a folder that is somebody else's.
    """
    claim(out, MARK, "Name another folder with --export")
    shelf, broken = RunShelf(root), 0
    paths = dict.fromkeys(addresses(shelf))
    if list(paths) == [""]:
        display.warn(f"{root} has no run in it; what is written is a page that says so")
    with display.bar(f"{out}", len(paths), "pages") as advance:
        for name in ASSETS:
            _write(out / "assets" / name, asset(name))
        for path in paths:
            link = Links(path, paths)
            try:
                page = render(view(shelf, path, {}, link), link)
            except OntogenyError as error:  # one broken table hides no other page
                page, broken = lost("cannot be shown", str(error), link), broken + 1
            _write(out / file_of(path), page)
            advance(1)
    if broken:
        display.warn(f"{count(broken, 'page')} could not be made and say why")
    return out / file_of("")


def _write(file: Path, text: str) -> None:
    with atomic(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def addresses(shelf: RunShelf) -> Iterator[str]:
    """Every address that a file is written of."""
    yield address("runs")
    for path in shelf.studies().values():
        yield address("study", path.name)
    runs = shelf.runs().values()
    for run in runs:
        yield from _of_run(shelf, run)
    judged = [shelf.title(run.path) for run in runs if run.verdicts.exists()]
    if len(judged) > 1:
        yield address("compare", judged)
    if len(judged) <= TOGETHER:
        yield from (address("compare", list(two)) for two in combinations(judged, 2))


def _of_run(shelf: RunShelf, run: RunFolder) -> Iterator[str]:
    title, seen = shelf.title(run.path), shelf.seen(run)
    yield address("run", title)
    yield address("figures", title)
    for seed in run.seeds():
        yield from (address("checkpoint", title, seed, step) for step in evenly(run.steps(seed), COLUMNS))
    for suite in seen.suites:
        for paradigm in seen.curves.filter(suite=suite)["paradigm"].unique(maintain_order=True):
            yield address("paradigm", title, suite, paradigm)
            if run.ngrams("word").exists():
                yield address("why", title, suite, paradigm)
            for seed in run.seeds():
                there = evenly(run.scored(seed, suite), PAIRS)
                yield from (address("pairs", title, suite, paradigm, seed, step) for step in there)
