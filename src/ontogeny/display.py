"""What a person sees in the terminal: progress bars with rate and time left, notes, the table of verdicts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

COLOURS = {
    "entrenched": "bold red",
    "forgotten": "magenta",
    "late-wrong": "red",
    "late recovery": "cyan",
    "u-shaped": "cyan",
    "learned": "green",
    "escaped": "yellow",
}


class Display:
    """Writes to the terminal; `quiet` writes nothing, which is what Python callers get unless they ask.

    `plain` writes lines instead of live bars, as without a terminal: for several processes that share one.
    """

    def __init__(self, quiet: bool = False, plain: bool = False):
        self.quiet = quiet
        self.plain = plain
        self._console: Any = None
        self._progress: Any = None  # the live display, while a bar is shown

    @property
    def console(self) -> Any:
        """A rich console on standard error, so that what a command prints can be piped."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(stderr=True, highlight=False, quiet=self.quiet, soft_wrap=True)
        return self._console

    def say(self, text: str, style: str | None = None) -> None:
        """A line."""
        self.console.print(text, style=style, markup=False)

    def warn(self, text: str) -> None:
        """A line that should not be missed."""
        self.say(f"! {text}", "yellow")

    @contextmanager
    def bar(self, title: str, total: int | None = None, unit: str = "", begun: int = 0) -> Iterator[Callable[..., None]]:
        """A bar; yields `advance(n, note="")`.  Bars may stand inside one another: training waits while a checkpoint is read.

        Without a terminal: a line now and then, so that a log stays readable.
        """
        if self.quiet:
            yield lambda n, note="": None
        elif self.console.is_terminal and not self.plain:
            with self._live() as progress:
                yield from _task(progress, title, total, unit, begun)
        else:
            yield from self._log(title, total, unit, begun)

    @contextmanager
    def _live(self) -> Iterator[Any]:
        """The one live display: rich allows no second, so inner bars are further lines of it."""
        if self._progress is not None:
            yield self._progress
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), "{task.fields[rate]}", TimeElapsedColumn())
        with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=self.console) as progress:
            self._progress = progress
            try:
                yield progress
            finally:
                self._progress = None

    def _log(self, title: str, total: int | None, unit: str, begun: int, every: float = 30.0) -> Iterator[Callable[..., None]]:
        started = said = time.monotonic()
        done = 0

        def advance(n: int, note: str = "") -> None:
            nonlocal done, said
            done += n
            now = time.monotonic()
            if now - said >= every:
                said, rate = now, done / (now - started)
                left = f", {(total - begun - done) / rate:,.0f} s left" if total and rate else ""
                of = f" of {total:,}" if total else ""
                self.say(f"{title}: {begun + done:,}{of} {unit}, {rate:,.1f}/s{left} {note}".rstrip())

        yield advance
        self.say(f"{title}: {done:,} {unit} in {time.monotonic() - started:,.1f} s")

    def verdicts(self, table: pl.DataFrame) -> None:
        """The table of verdicts, on standard output."""
        if self.quiet:
            return
        from rich.console import Console
        from rich.table import Table

        drawn = Table(title=None, header_style="bold", box=None, pad_edge=False)
        for name, side in [
            ("paradigm", "left"),
            ("verdict", "left"),
            ("early", "right"),
            ("late", "right"),
            ("interval", "left"),
        ]:
            drawn.add_column(name, justify=side, no_wrap=True)  # type: ignore[arg-type]
        drawn.add_column("seeds agree", justify="right")
        for row in table.sort("suite", "verdict", "paradigm").iter_rows(named=True):
            interval = "" if row["late_low"] is None else f"{row['late_low']:.3f} to {row['late_high']:.3f}"
            agree = "" if row["agreement"] is None else f"{row['agreement']:.0%}"
            verdict = f"[{COLOURS[row['verdict']]}]{row['verdict']}[/]" if row["verdict"] in COLOURS else row["verdict"]
            drawn.add_row(row["paradigm"], verdict, _share(row["early_mean"]), _share(row["late_mean"]), interval, agree)
        Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120).print(drawn)


def _task(progress: Any, title: str, total: int | None, unit: str, begun: int) -> Iterator[Callable[..., None]]:
    """One line of the live display; it goes when it is done, unless it is the first."""
    task = progress.add_task(title, total=total, completed=begun, rate="", note="")
    inner = len(progress.tasks) > 1
    started, done = time.monotonic(), 0

    def advance(n: int, note: str = "") -> None:
        nonlocal done
        done += n
        rate = done / max(1e-9, time.monotonic() - started)
        progress.update(task, advance=n, note=note, rate=f"{rate:,.1f} {unit}/s" if rate < 100 else f"{rate:,.0f} {unit}/s")

    try:
        yield advance
    finally:
        if inner:
            progress.remove_task(task)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
