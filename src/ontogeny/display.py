"""What a person sees in the terminal: progress bars with rate and time left, notes, the table of verdicts."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl
    from rich.text import Text

SHOWN = 8  # names in a line
WIDEST = 64  # columns of a name in a table, so that the figures beside it have room
# Control characters, line separators, halves of surrogate pairs and no characters: XML takes few of them, terminals obey some.
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")

COLOURS = {
    "entrenched": "bold red",
    "forgotten": "magenta",
    "late-wrong": "red",
    "late recovery": "cyan",
    "u-shaped": "cyan",
    "learned": "green",
    "escaped": "yellow",
}


@lru_cache(maxsize=2**14)  # a page's figures have few names, and each a million times
def visible(text: str, lines: bool = True) -> str:
    """Text of anybody's as terminals, figures and pages can show it: a sign stands for each character that nobody would see.

    `lines`: line ends and tabs stay.  The controls have pictures in Unicode, the others are written out.

    >>> visible("a\\x1b[31m"), visible("a\\u2028b"), visible("a\\nb"), visible("a\\nb", lines=False)
    ('a␛[31m', 'a⟨U+2028⟩b', 'a\\nb', 'a␊b')
    """
    return UNSEEN.sub(lambda found: found[0] if lines and found[0] in "\n\t" else _sign(ord(found[0])), text)


def _sign(code: int) -> str:
    return "␡" if code == 0x7F else chr(0x2400 + code) if code < 0x20 else f"⟨U+{code:04X}⟩"


def some(names: Sequence[str]) -> str:
    """The first few names, as they can be shown, and how many more there are."""
    shown = ", ".join(visible(name, lines=False) for name in names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")


def count(number: int, noun: str) -> str:
    """1 seed, 2 seeds, 1,000 pairs."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


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
            self._console = console(stderr=True, quiet=self.quiet, soft_wrap=True)
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

        parts = ("description", "fields[rate]", "fields[note]")
        title, rate, note = (TextColumn(f"{{task.{part}}}", markup=False) for part in parts)
        columns = (title, BarColumn(), MofNCompleteColumn(), rate, TimeElapsedColumn(), TimeRemainingColumn(), note)
        with Progress(*columns, console=self.console) as progress:
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
        """The table of verdicts, on standard output.  A line below says what intervals are about, with stars if not all agree."""
        covers = table["covers"].drop_nulls().value_counts(sort=True)["covers"].to_list() if "covers" in table.columns else []
        rows = []
        for row in table.sort("suite", "verdict", "paradigm").iter_rows(named=True):
            interval = "" if row["late_low"] is None else f"{row['late_low']:.3f} to {row['late_high']:.3f}"
            interval += " " + "*" * covers.index(row["covers"]) if row.get("covers") else ""
            agree = "" if row["agreement"] is None else f"{row['agreement']:.0%}"
            standing = row.get("standing") or ""
            standing += f": {', '.join(row['seed_verdicts'])}" if standing == "seeds differ" else ""
            verdict = coloured(row["verdict"], COLOURS.get(row["verdict"]))
            firm = ", ".join(filter(None, (agree, standing)))
            rows.append((row["paradigm"], verdict, _share(row["early_mean"]), _share(row["late_mean"]), interval.rstrip(), firm))
        self.table(("paradigm", "verdict", ">early", ">late", "interval", "seeds agree"), rows)
        if covers:
            about = "; ".join(f"{'*' * place} {what}".strip() for place, what in enumerate(covers))
            self.show(coloured(f"95 % intervals of the late mean are about {about}."))

    def arms(self, table: pl.DataFrame) -> None:
        """The arms of a study: what each changes, and how many of its seeds are there."""
        columns = ("arm", "priority", "trained", "changes")
        rows = [(arm, str(first), str(there), _short(changes)) for arm, first, there, changes in table[columns].iter_rows()]
        self.table(("arm", ">priority", ">seeds there", "changes"), rows)

    def power(self, table: pl.DataFrame) -> None:
        """What a study can decide: chances of each prediction, and how many seeds would do."""
        rows = []
        for row in table.iter_rows(named=True):
            needed = "" if row["decides"] is not False else str(row["seeds_needed"] or "more than 64")
            chances = [_share(row[name]) for name in ("supported", "refuted", "falsely")]
            decides = {True: "yes", False: coloured("no", "red"), None: ""}[row["decides"]]
            rows.append((row["prediction"], _share(row["effect"]), _share(row["sd"]), *chances, decides, needed, row["note"] or ""))
        columns = ("prediction", ">effect", ">SD", ">supported", ">refuted", ">falsely", "decides", ">seeds needed", "note")
        self.table(columns, rows)

    def claims(self, table: pl.DataFrame) -> None:
        """What became of a study's predictions, paradigm by paradigm."""
        colours = {"supported": "green", "refuted": "bold red"}
        rows = []
        for row in table.iter_rows(named=True):
            interval = "" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}"
            verdict = coloured(row["verdict"], colours.get(row["verdict"]))
            about = ", ".join(name for name in (row["paradigm"], row["arm"]) if name)
            rows.append((row["prediction"], about, verdict, _share(row["estimate"]), interval, row["note"] or ""))
        self.table(("prediction", "of", "verdict", ">estimate", "interval", "note"), rows)

    def audit(self, table: pl.DataFrame) -> None:
        """The audit of a suite: each paradigm's verdict, the best shortcut, and what is wrong."""
        order = {"poor guide": 0, "guide with care": 1, "meaningful guide": 2}
        rows = [
            (
                row["paradigm"],
                row["verdict"],
                _share(row["human"]),
                _share(row["best_accuracy"]),
                row["best_shortcut"] or "",
                ", ".join(row["flaws"]),
            )
            for row in sorted(table.iter_rows(named=True), key=lambda row: (order.get(row["verdict"], 3), row["paradigm"]))
        ]
        self.table(("paradigm", "verdict", ">people", ">shortcut", "which", "flaws"), rows)

    def counts(self, counted: Mapping[str, Any]) -> None:
        """How many distinct n-grams of each length were counted, by level."""
        rows = [
            (level, f"{found.index.facts['tokens']:,}", f"{n}", f"{distinct:,}")
            for level, found in counted.items()
            for n, distinct in enumerate(found.index.facts["distinct"], start=1)
        ]
        self.table(("level", ">tokens", ">n", ">distinct n-grams"), rows)

    def warnings(self, table: pl.DataFrame, alpha: float) -> None:
        """The paradigms that raise an alarm, and how many do not."""
        alarms = table.filter(table["alarm"])
        rows = [
            (
                row["paradigm"],
                f"{row['seed']}",
                _share(row["accuracy"]),
                _share(row["p"]),
                f"{row['as_bad_wrong']} of {row['as_bad']}",
            )
            for row in alarms.iter_rows(named=True)
        ]
        self.table(("paradigm", ">seed", ">accuracy", ">p", ">as bad and ended wrong"), rows)
        self.say(
            f"step {table['step'][0]:,} ({table['share'][0]:.1%} of training): {len(alarms)} alarms among {len(table)} curves; of "
            f"paradigms that end well at most {alpha:.0%} raise one, if they are like those of the calibration"
        )

    def show(self, drawn: Any) -> None:
        """Anything that rich draws, on standard output."""
        if self.quiet:
            return
        console(file=sys.stdout, width=None if sys.stdout.isatty() else 120).print(drawn)

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
        """A table on standard output; a header that begins with > stands above figures.  Text is no markup."""
        from rich.table import Table

        drawn = Table(title=None, header_style="bold", box=None, pad_edge=False)
        for place, name in enumerate(headers):
            side: Any = "right" if name.startswith(">") else "left"
            head = coloured(name.removeprefix(">"))
            last = place == len(headers) - 1 and side == "left"
            drawn.add_column(head, justify=side, no_wrap=not last, max_width=None if last else WIDEST)
        for row in rows:
            drawn.add_row(*(coloured(cell) if isinstance(cell, str) else cell for cell in row))
        self.show(drawn)


def coloured(text: str, style: str | None = None) -> Text:
    """A cell of a table, as it is written: `wh[that]` is no markup."""
    from rich.text import Text

    return Text(visible(text, lines=False), style or "")


def console(**options: Any) -> Any:
    """A rich console that writes text as `visible` has it, whoever made it."""
    from rich.console import Console
    from rich.segment import Segment

    class VisibleConsole(Console):
        def render(self, renderable: Any, options: Any = None) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=visible(segment.text))

    return VisibleConsole(highlight=False, **options)


QUIET = Display(quiet=True)  # for callers who want nothing said


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


def _short(text: str, most: int = 72) -> str:
    return text if len(text) <= most else f"{text[: most - 2]} …"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
