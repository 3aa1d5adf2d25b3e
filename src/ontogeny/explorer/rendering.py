"""A view as HTML, and the scripts and style that all of them share."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ontogeny.disk import human_size
from ontogeny.explorer.addresses import Links, View
from ontogeny.pages.templates import PageFrame, look, templates
from ontogeny.pages.theme import DARK, LIGHT, shades_of
from ontogeny.pages.words import MEANINGS, decimals, human, percent

ROOM = Path(__file__).parent / "templates"
# unsafe-eval: Vega makes functions of its expressions; nothing is loaded but what lies here
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'"
)
ASSETS = {"explorer.css": "text/css", "explorer.js": "text/javascript", "vega.js": "text/javascript"}


def _templates() -> jinja2.Environment:
    return templates(ROOM, Path(__file__).parents[1] / "comparison", human=human, share=decimals, percent=percent, size=human_size)


def render(view: View, link: Links) -> str:
    """The page of a view; the same run gives the same page."""
    values = {
        "view": view,
        "link": link,
        "live": link.written is None,
        "policy": POLICY,
        "meanings": MEANINGS,
        "verdict_class": look()["verdict_class"],
    }
    if view.page is not None:
        return view.page(PageFrame("frame.html.jinja", (ROOM,), values))
    drawn: dict[str, Any] = {"charts": "", "configs": ""}
    if view.charts is not None:
        from ontogeny.pages import embed

        drawn = {"charts": view.charts.json(), "configs": embed.themes()}
    return fragment(view.template, **{**values, **drawn, **view.values})


def fragment(template: str, **values: Any) -> Markup:
    """A template of this room, filled."""
    return Markup(_templates().get_template(template).render(**values))


def lost(title: str, said: str, link: Links) -> str:
    """The page that says what is not there, or cannot be shown."""
    return render(View(title, "lost.html.jinja", {"said": said}), link)


@cache
def asset(name: str) -> str:
    """A script or the style sheet, by a name of ASSETS."""
    if name == "vega.js":
        from ontogeny.pages.embed import bundle

        return bundle()
    shades = [(light, dark) for light, dark in zip(shades_of(LIGHT), shades_of(DARK), strict=True)]
    return _templates().get_template(f"{name}.jinja").render(shades=shades, **look())
