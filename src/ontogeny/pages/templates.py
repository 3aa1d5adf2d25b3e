"""The templates of the pages, and how all pages look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ontogeny.disk import content_key
from ontogeny.display import visible
from ontogeny.pages.theme import DARK, LIGHT, VERDICT_COLOURS


@dataclass(frozen=True, slots=True)
class PageFrame:
    """What stands around a page: nothing, where it is a file by itself, or what an app has around all of its pages."""

    template: str = "standalone.html.jinja"
    rooms: tuple[Path, ...] = ()  # where the template is
    values: Mapping[str, Any] = field(default_factory=dict)

    def render(self, page: str, room: Path, filters: Mapping[str, Callable[..., Any]], **values: Any) -> str:
        """A page of a room, framed."""
        found = templates(room, *self.rooms, **filters).get_template(page)
        return found.render({**values, **self.values, "frame": self.template})


STANDALONE = PageFrame()


@cache
def templates(*rooms: Path, **filters: Callable[..., Any]) -> jinja2.Environment:
    """The templates of a page's own `rooms`, and below them what all pages share; `filters` are added to its own; read once.

    Escapes everything, shows what nobody would see, and takes a name that a template has and nobody gave for an error.
    """
    loader = jinja2.FileSystemLoader([*rooms, Path(__file__).parent])
    found = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"breakable": breakable, "in_rows": in_rows, **filters}
    return found


def _visible(value: Any) -> Any:
    """What a page shows of a value; markup stays markup."""
    return type(value)(visible(value)) if isinstance(value, str) else value


def look() -> dict[str, Any]:
    """What page.css needs: both palettes, and the class and colours of each verdict."""
    classes = {name: f"v-{name.replace(' ', '-')}" for name in VERDICT_COLOURS}
    return {
        "verdict_class": classes,
        "verdict_colours": {classes[name]: pair for name, pair in VERDICT_COLOURS.items()},
        "light": LIGHT,
        "dark": DARK,
    }


def breakable(name: str) -> Markup:
    """A name that a narrow column may break after each underscore, or a path after each slash."""
    return Markup("/<wbr>").join(Markup("_<wbr>").join(part.split("_")) for part in name.split("/"))


def in_rows(panels: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Panels in the rows of a page: small ones together, each half one beside the next, and each other one by itself."""
    rows: list[list[Mapping[str, Any]]] = []
    for panel in panels:
        before = rows[-1][-1] if rows else None
        small = before is not None and before["shape"] == panel["shape"] == "small"
        if small or (before is not None and before["half"] and panel["half"] and len(rows[-1]) < 2):
            rows[-1].append(panel)
        else:
            rows.append([panel])
    return rows


def anchor(*parts: str) -> str:
    """An id that stays the same from page to page, whatever characters the names have."""
    plain = "-".join("".join(c if c.isalnum() and c.isascii() else "-" for c in part) for part in parts)
    return f"{plain}-{content_key(*parts)[:4]}"
