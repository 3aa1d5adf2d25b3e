"""An explanation for the terminal: headline, the transitions that decide, and lines of text with the key in the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ontogeny.report import why_words as words
from ontogeny.report.examples import marked

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from ontogeny.evidence.why import Explanation

COLOURS = {"good": "blue", "bad": "dark_orange"}
BAR = 8  # characters on either side
LEFT, RIGHT = 38, 38  # characters of a line around its key


def why_terminal(explanation: Explanation, ranks: int = 3) -> RenderableType:
    """Something that rich prints; the lines of text are those behind the first `ranks` transitions."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(words.headline(explanation), style="bold")]
    parts += [Text(said) for said in (words.story(explanation), words.strongest(explanation)) if said]
    parts += [Text(), *_pair(explanation), Text(), _table(explanation)]
    for rank, groups in words.behind(explanation):
        if rank <= ranks:
            parts += [line for group in groups for line in _lines(group)]
    return Group(*parts)


def _pair(explanation: Explanation) -> list[Text]:
    from rich.text import Text

    both = marked(explanation.example.good, explanation.example.bad)
    lines = []
    for side, sign, stretches in zip(("good", "bad"), " *", both, strict=True):
        line = Text(f" {sign}")
        for text, apart in stretches:
            line.append(f"{text} ", style=f"bold {COLOURS[side]}" if apart else "")
        lines.append(line)
    return lines


def _table(explanation: Explanation) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold", box=None, pad_edge=False)
    for name in ("good sentence", "bad sentence", "pull", "pairs"):
        table.add_column(name, justify="right" if name == "pairs" else "left")
    rows = explanation.deciding.sort("rank").to_dicts()
    most = max((abs(row["contribution"]) for row in rows), default=0.0) or 1.0
    for row in rows:
        sides = [Text() if row[side] is None else _transition(row, side) for side in ("good", "bad")]
        table.add_row(*sides, _bar(row["contribution"], most), Text(f"{row['pairs']:,}"))
    return table


def _transition(row: dict[str, Any], side: str) -> Text:
    from rich.text import Text

    before, last = words.parted(row[side])
    text = Text(before + ("" if not before or last.startswith("·") else " "), style="dim")
    text.append(last, style=f"bold not dim {COLOURS[side]}")
    return text.append(f"  {words.chance(row[f'logp_{side}'])}", style="not dim")


def _bar(contribution: float, most: float) -> Text:
    from rich.text import Text

    length = round(BAR * abs(contribution) / most)
    if contribution >= 0:
        return Text(" " * BAR + "│").append("█" * length + " " * (BAR - length), style=COLOURS["good"])
    return Text(" " * (BAR - length)).append("█" * length, style=COLOURS["bad"]).append("│" + " " * BAR, style="not bold default")


def _lines(group: words.Lines) -> list[Text]:
    from rich.text import Text

    what, often = words.heading(group)
    head = Text("\n").append(what, style=f"bold {COLOURS[group.side]}").append(f"  {often}")
    found = [head]
    for row in group.rows:
        line = Text(no_wrap=True, overflow="ellipsis").append(f"{row['left'][-LEFT:]:>{LEFT}} ", style="dim")
        line.append(row["key"], style=f"bold {COLOURS[group.side]}")
        place = f"{row['source']}:{row['line']}" if row["line"] else str(row["source"])
        found.append(line.append(f" {row['right'][:RIGHT].rstrip()}", style="dim").append(f"  {place}", style="dim italic"))
    return found
