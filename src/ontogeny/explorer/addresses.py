"""Which address is which view: one table, by which the server answers and the export writes files."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from os.path import relpath
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ontogeny.disk import file_name
from ontogeny.explorer.errands import AT_ONCE
from ontogeny.explorer.shelf import Lost, RunShelf

if TYPE_CHECKING:
    import polars as pl

    from ontogeny.explorer.errands import Errand
    from ontogeny.pages.embed import Charts
    from ontogeny.pages.templates import PageFrame

# view: (what its address looks like, where it is made); loaded when first asked for, as most of them stand on torch
VIEWS = {
    "runs": ("", "runs:runs"),
    "run": ("runs/{run}", "runs:run"),
    "figures": ("runs/{run}/figures", "runs:figures"),
    "paradigm": ("runs/{run}/paradigm/{suite}/{paradigm}", "paradigms:paradigm"),
    "pairs": ("runs/{run}/pairs/{suite}/{paradigm}/{seed}/{step}", "pairs:pairs"),
    "pair": ("runs/{run}/pair/{suite}/{paradigm}/{pair}", "pairs:pair"),
    "why": ("runs/{run}/why/{suite}/{paradigm}", "paradigms:why"),
    "checkpoint": ("runs/{run}/checkpoint/{seed}/{step}", "checkpoints:checkpoint"),
    "compare": ("compare/{runs}", "together:compare"),
    "study": ("studies/{study}", "together:study"),
}


_FORMATS = {view: re.sub(r"{\w+}", "{}", pattern) for view, (pattern, _) in VIEWS.items()}
_LOADING = Lock()


class Links:
    """Where views are, seen from one of them.  Names are those of runs, suites, paradigms ... as they stand."""

    def __init__(self, here: str = "", written: Collection[str] | None = None):
        """`written`: the addresses that there are files of; left out: a server has all."""
        self.here, self.written = here, written

    def __call__(self, view: str, *names: Any) -> str:
        """The address of a view; empty where there is no file of it."""
        path = address(view, *names)
        if self.written is None:
            return f"/{quote(path)}"
        return quote(self._relative(file_of(path))) if path in self.written else ""

    def asset(self, name: str) -> str:
        """The address of a script or a style sheet."""
        return f"/assets/{name}" if self.written is None else self._relative(f"assets/{name}")

    def _relative(self, file: str) -> str:
        folder = file_of(self.here).rpartition("/")[0]
        return relpath(file, folder or ".").replace("\\", "/")


def address(view: str, *names: Any) -> str:
    """A view's path, without the leading slash."""
    return _FORMATS[view].format(*map(slug, names))


def slug(name: Any) -> str:
    """A name in an address; several, as of runs that are compared, with commas between."""
    return ",".join(map(slug, name)) if isinstance(name, list | tuple) else _slug(str(name))


@lru_cache(2**16)
def _slug(name: str) -> str:
    return file_name(name)


def file_of(path: str) -> str:
    """The file that the export writes of a path."""
    return f"{path or 'index'}.html"


def named(path: str) -> tuple[str, dict[str, str]]:
    """The view of a path, and the names in it.  Raises Lost where there is none."""
    parts = path.strip("/").split("/")
    for view, (pattern, _) in VIEWS.items():
        wanted = pattern.split("/")
        if len(wanted) == len(parts) and all(a == b or (a.startswith("{") and b) for a, b in zip(wanted, parts, strict=True)):
            return view, {a.strip("{}"): b for a, b in zip(wanted, parts, strict=True) if a.startswith("{")}
    raise Lost(f"There is no page at /{path}.")


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What somebody wants to see."""

    shelf: RunShelf
    names: Mapping[str, str]
    query: Mapping[str, str]
    link: Links

    @property
    def live(self) -> bool:
        """True where a server answers, which can make what is not there yet."""
        return self.link.written is None

    @property
    def wait(self) -> float | None:
        """Seconds to wait for what takes longer than a click; a file waits until it is there."""
        return AT_ONCE if self.live else None


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A page before it is written down."""

    title: str
    template: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    trail: tuple[tuple[str, str], ...] = ()  # what stands above it: words and address
    charts: Charts | None = None
    run: str = ""  # whose news it shows, by its name in addresses; * for all
    waits: Errand | None = None  # what it is being made by, if it is not there yet
    table: pl.DataFrame | None = None  # the same numbers as CSV
    page: Callable[[PageFrame], str] | None = None  # in place of a template: a page that is also one by itself


def load() -> None:
    """Loads what all views but the first stand on.  One thread at a time: two that import one package see it half made."""
    with _LOADING:
        for module in ("paradigms", "checkpoints", "together"):
            import_module(f"ontogeny.explorer.views.{module}")


def view(shelf: RunShelf, path: str, query: Mapping[str, str] | None = None, link: Links | None = None) -> View:
    """The view at a path.  Raises Lost for what is not there, and OntogenyError for what cannot be shown."""
    name, names = named(path)
    if name != "runs":
        load()
    module, function = VIEWS[name][1].split(":")
    make = getattr(import_module(f"ontogeny.explorer.views.{module}"), function)
    found: View = make(Asked(shelf, names, query or {}, link or Links(path)))
    return found
