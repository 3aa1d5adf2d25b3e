"""A figure with its words.  The page, `run.figure`, the files beside the page and every instrument go by one list of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl

from ontogeny.pages.axes import beside
from ontogeny.pages.embed import Charts
from ontogeny.records import OntogenyError

Frames = Mapping[str, pl.DataFrame]  # what a run has, by name: curves, verdicts, losses, a table of evidence, an instrument's table
Drawn = Any  # an altair chart, or several in a mapping by title, that stand beside one another
Per = Literal["run", "suite", "paradigm"]
DRAWN = 400  # checkpoints that a figure draws at most: a browser takes minutes over a map of some thousands


@dataclass(frozen=True, slots=True)
class Clock:
    """A run's course: what figures over training share."""

    last: int = 0  # step of the last checkpoint, where axes end
    spans: pl.DataFrame | None = None  # window, start, end (steps): untrained, early, late, warm-up
    total: int = 0  # steps of the whole training
    trained: float = 0.0  # the first step at which the model counts as trained
    entropy: float | None = None  # of single tokens of the training text, nats: above it, a model counts as untrained
    tokens_per_step: float | None = None
    words_per_step: float | None = None


@dataclass(frozen=True, slots=True)
class Tabulated:
    """A small table beneath a figure."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One figure of a run, of each suite or of each paradigm.

    `draw(frames, clock, **options)` gets the frames that it `needs` and, where they are there, those that it `takes`, cut to one
    suite or paradigm; options are those of `run.figure` (width, height ...), `width="container"` on the page.  It raises
    OntogenyError for what cannot be drawn.
    """

    name: str
    """What `run.figure` and the file are called by."""
    draw: Callable[..., Drawn]
    title: str = ""
    """Above it, and what the page calls it where it is not there."""
    needs: tuple[str, ...] = ()
    """Frames without which it is not drawn."""
    takes: tuple[str, ...] = ()
    """Frames that it uses where they are there."""
    says: Callable[[Frames, Clock], str] = lambda frames, clock: ""
    """What it shows, in words: the caption."""
    key: Callable[[Frames], Sequence[tuple[str, str]]] = lambda frames: ()
    """A legend for the page: class of page.css, words."""
    table: Callable[[Frames], Tabulated | None] = lambda frames: None
    """What stands beneath it."""
    there: Callable[[Frames], bool] = lambda frames: True
    """Whether the frames that it needs hold anything to draw."""
    per: Per = "run"
    chapter: str = "readings"
    """Where on the page: suite, n-grams, paradigm, training, readings."""
    shape: str = "middle"
    """Class of page.css: map, middle, tall, small (a card); stack: several charts, one above the other."""
    narrow: bool = False
    """`draw` takes `narrow=True`, and the page shows that on phones."""
    half: bool = False
    """On a wide page the next such panel stands beside it."""
    page: Mapping[str, Any] = field(default_factory=dict)
    """Options of the page alone."""
    files: tuple[str, ...] = ("svg",)
    """Endings of the files beside the page."""
    command: str = ""
    """What makes the frames that it needs: evidence RUN."""


def lacks(panel: Panel, frames: Frames) -> str | None:
    """The first frame that a panel needs and is not there, or None."""
    return next((name for name in panel.needs if name not in frames), None)


def sampled(frames: Frames) -> tuple[Frames, str]:
    """Frames cut to at most DRAWN checkpoints, evenly chosen in their order with the first and the last; and what is to be said.

    Losses have a row a step and are thinned where they are drawn; folds (INSTRUMENT.FOLD) hold steps as values.
    """
    over = [name for name, frame in frames.items() if "step" in frame.columns and name != "losses" and "." not in name]
    steps = sorted({step for name in over for step in frames[name]["step"].unique()})
    if len(steps) <= DRAWN:
        return frames, ""
    kept = [steps[i] for i in np.linspace(0, len(steps) - 1, DRAWN).round().astype(int)]
    cut = {name: frames[name].filter(pl.col("step").is_in(kept)) for name in over}
    return {**frames, **cut}, f"Drawn are {DRAWN} of {len(steps):,} checkpoints, evenly chosen; words and verdicts are of all."


def chart(panel: Panel, frames: Frames, clock: Clock, **options: Any) -> Any:
    """A panel as one chart, for a notebook or a file, of at most DRAWN checkpoints.

    Raises OntogenyError that names what makes a frame that it lacks.
    """
    if (gone := lacks(panel, frames)) is not None:
        made = f"; ontogeny {panel.command} makes it" if panel.command else ""
        raise OntogenyError(f"this run has no table {gone}, which the figure {panel.name!r} is drawn from{made}")
    drawn = panel.draw(sampled(frames)[0], clock, **options)
    if not isinstance(drawn, Mapping):
        return drawn
    if panel.shape == "stack":
        return beside(*drawn.values(), stacked=True)
    return beside(*(one.properties(title=title) for title, one in drawn.items()))


def shown(panel: Panel, frames: Frames, clock: Clock, charts: Charts, of: str = "") -> dict[str, Any] | None:
    """A panel for the template, its charts added to `charts`; None where what it needs is not there.

    What cannot be drawn is said in the figure's place (`failed`): no figure keeps the page from being written.
    """
    if lacks(panel, frames) is not None:
        return None
    about = {"name": panel.name, "title": panel.title, "shape": panel.shape, "half": panel.half}
    try:
        if not panel.there(frames):
            return None
        drawn, cut = sampled(frames)
        return about | {
            "failed": None,
            "charts": _charts(panel, drawn, clock, charts, of),
            "says": f"{panel.says(frames, clock)} {cut}".strip(),
            "key": panel.key(frames),
            "table": panel.table(frames),
        }
    except Exception as error:  # whatever it is, the rest of the page is worth having
        said = str(error) if isinstance(error, OntogenyError) else f"{type(error).__name__}: {error}"
        return about | {"failed": f"{panel.title or panel.name} could not be drawn: {said}", "charts": []}


def _charts(panel: Panel, frames: Frames, clock: Clock, charts: Charts, of: str) -> list[dict[str, Any]]:
    """Title, label, the name that the page draws each chart by, that of its narrow version, and its height where it has one."""
    versions = [
        _by_title(panel.draw(frames, clock, width="container", **panel.page, **({"narrow": True} if slim else {})))
        for slim in ((False, True) if panel.narrow else (False,))
    ]
    return [
        {
            "title": title,
            "label": f"{panel.name}{f' {title}' if title else ''}{f' on {of}' if of else ''}: {panel.title or title}",
            "chart": charts.add(versions[0][title]),
            "narrow": charts.add(versions[1][title]) if panel.narrow else None,
            "height": _height(versions[0][title]) if panel.shape == "map" else None,
        }
        for title in versions[0]
    ]


def _by_title(drawn: Drawn) -> Mapping[str, Any]:
    return drawn if isinstance(drawn, Mapping) else {"": drawn}


MARGINS = 80  # pixels that axes and legends add to a map's own height


def _height(chart: Any) -> int | None:
    height = getattr(chart, "height", None)
    return int(height) + MARGINS if isinstance(height, int | float) else None
