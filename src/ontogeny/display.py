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
    def bar(self, title: str, total: float | None = None, unit: str = "") -> Iterator[Callable[..., None]]:
        """A bar; yields `advance(n, note="")`.  Without a terminal: a line now and then, so that a log stays readable."""
        if self.quiet:
            yield lambda n, note="": None
        elif self.console.is_terminal and not self.plain:
            yield from self._live(title, total, unit)
        else:
            yield from self._log(title, total, unit)

    def _live(self, title: str, total: float | None, unit: str) -> Iterator[Callable[..., None]]:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        rate = TextColumn("{task.fields[rate]}")
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            rate,
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        started, done = time.monotonic(), 0.0
        with Progress(*columns, TextColumn("{task.fields[note]}"), console=self.console, transient=False) as progress:
            task = progress.add_task(title, total=total, rate="", note="")

            def advance(n: float, note: str = "") -> None:
                nonlocal done
                done += n
                rate = done / max(1e-9, time.monotonic() - started)
                progress.update(task, advance=n, note=note, rate=f"{rate:,.3g} {unit}/s" if rate < 100 else f"{rate:,.0f} {unit}/s")

            yield advance

    def _log(self, title: str, total: float | None, unit: str, every: float = 30.0) -> Iterator[Callable[..., None]]:
        started = said = time.monotonic()
        done = 0.0

        def advance(n: float, note: str = "") -> None:
            nonlocal done, said
            done += n
            now = time.monotonic()
            if now - said >= every:
                said, rate = now, done / (now - started)
                left = f", {(total - done) / rate:,.0f} s left" if total and rate else ""
                self.say(f"{title}: {done:,.0f}{f' of {total:,.0f}' if total else ''} {unit}, {rate:,.1f}/s{left} {note}")

        yield advance
        self.say(f"{title}: {done:,.0f} {unit} in {time.monotonic() - started:,.1f} s")

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


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
