"""Where results go: tables for people, and the same with every turn's numbers as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import machine


@dataclass(frozen=True)
class Mark:
    """What a measured number should be at least, or at most."""

    what: str
    value: float
    wanted: float
    least: bool = True

    @property
    def met(self) -> bool:
        """Whether it is."""
        return self.value >= self.wanted if self.least else self.value <= self.wanted

    def __str__(self) -> str:
        side = "at least" if self.least else "at most"
        return f"{'met' if self.met else 'MISSED'}: {self.what}: {self.value:,.4g} ({side} {self.wanted:,.4g})"


@dataclass
class Result:
    """One comparison."""

    title: str
    tables: list[str]  # markdown
    notes: list[str]
    marks: list[Mark] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def markdown(self, command: str, about: dict[str, Any]) -> str:
        """The page."""
        parts = [f"## {self.title}", f"`{command}`", machine.sentence(about)]
        parts += [warned] if (warned := machine.warning(about)) else []
        parts += self.tables
        parts += ["\n".join(f"- {line}" for line in [*map(str, self.marks), *self.notes])]
        return "\n\n".join(parts) + "\n"


def write(out: Path | None, name: str, result: Result, command: str, about: dict[str, Any]) -> None:
    """Prints the tables; with a folder, writes NAME.md and NAME.json there too."""
    page = result.markdown(command, about)
    print(f"\n{page}", flush=True)
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.md").write_text(page, encoding="utf-8")
    marks = [{"what": m.what, "value": m.value, "wanted": m.wanted, "least": m.least, "met": m.met} for m in result.marks]
    data = {"title": result.title, "command": command, "machine": about, "marks": marks, **result.data}
    (out / f"{name}.json").write_text(json.dumps(data, indent=1, default=str) + "\n", encoding="utf-8")
    print(f"written: {out / name}.md, {out / name}.json", flush=True)
