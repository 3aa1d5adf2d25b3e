"""Several runs beside one another, and studies: the pages of `ontogeny compare` and `ontogeny study`, made when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from ontogeny.disk import read_table
from ontogeny.explorer.addresses import Asked, View
from ontogeny.explorer.errands import outcome
from ontogeny.explorer.rendering import fragment
from ontogeny.explorer.shelf import Lost
from ontogeny.explorer.views.runs import heat, waiting
from ontogeny.pages.templates import look
from ontogeny.pages.words import MEANINGS
from ontogeny.store import RunFolder


def compare(asked: Asked) -> View:
    """Two or more runs."""
    names = asked.names["runs"].split(",")
    if len(names) < 2 or len(set(names)) < len(names):
        raise Lost("To compare takes two runs, each named once.")
    runs = [asked.shelf.run(name) for name in names]
    titles = [asked.shelf.title(run.path) for run in runs]
    trail = (("runs", asked.link("runs")),)
    key = ("compare", *((str(run.path), asked.shelf.news(run)) for run in runs))
    errand = asked.shelf.errands.ask(key, f"comparing {len(runs)} runs", lambda _: _gathered(runs), asked.wait)
    if not errand.future.done():
        return waiting("comparison", trail, errand)
    gathered, rendered = outcome(errand)
    by_label = dict(zip(gathered.labels, titles, strict=True))
    links = {label: link for label, title in by_label.items() if (link := asked.link("run", title))}

    def of_paradigm(label: str, paradigm: str) -> str:
        return asked.link("paradigm", by_label[label], gathered.suite, paradigm)

    maps = _over(asked, runs[:2], titles, gathered.suite)
    return View("comparison", trail=trail, page=lambda frame: rendered(gathered, links, frame, of_paradigm, maps))


def _gathered(runs: list[RunFolder]) -> tuple[Any, Any]:
    """What a comparison is made of, and what makes the page of it, which takes long to load too."""
    from ontogeny.comparison import page
    from ontogeny.comparison.gathering import gather

    return gather([run.path for run in runs]), page.render


def _over(asked: Asked, runs: list[RunFolder], titles: list[str], suite: str) -> Markup:
    """The maps of two runs, one over the other."""
    maps = []
    for run, title in zip(runs, titles, strict=False):
        seen = asked.shelf.seen(run)
        judged = (
            dict(seen.verdicts.filter(suite=suite).select("paradigm", "verdict").iter_rows()) if seen.verdicts is not None else {}
        )
        maps.append((title, heat(asked, seen, title, suite, judged)))
    return fragment("over.html.jinja", maps=maps, same=_alike(*(one for _, one in maps)), meanings=MEANINGS, **look())


def _alike(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether two maps have the same rows, so that one can lie over the other."""
    rows = [[row["paradigm"] for rows in one["groups"].values() for row in rows] for one in (first, second)]
    return rows[0] == rows[1]


# --- studies ------------------------------------------------------------------------------------------------------


def study(asked: Asked) -> View:
    """A study as it stands: arms, predictions, dose and response, and its power as it was last computed."""
    folder = asked.shelf.study(asked.names["study"])
    trail = (("runs", asked.link("runs")),)
    key = ("study", str(folder), *(asked.shelf.news(RunFolder(arm)) for arm in sorted((folder / "arms").glob("*"))))
    errand = asked.shelf.errands.ask(key, f"reading the study {folder.name}", lambda _: _read(folder), asked.wait)
    if not errand.future.done():
        return waiting(folder.name, trail, errand)
    rendered, own, *rest = outcome(errand)
    arms = {arm.name: asked.link("run", f"{folder.name}/{arm.slug}") for arm in own.study.arms}
    known = asked.shelf.runs()
    links = {name: link for name, link in arms.items() if link and any(_is_arm(run, folder, name, own) for run in known.values())}
    registration, divided, power, guarded = rest
    return View(folder.name, trail=trail, page=lambda frame: rendered(own, registration, links, divided, power, guarded, frame))


def _is_arm(run: RunFolder, folder: Path, name: str, own: Any) -> bool:
    return bool(run.path == folder / "arms" / own.study.arm(name).slug)


def _read(folder: Path) -> tuple[Any, ...]:
    """What makes a study's page, and of what; nothing in its folder changes."""
    from ontogeny.studies import guards, page, registration, study_file
    from ontogeny.studies.analysis import analyse
    from ontogeny.studies.figures import material
    from ontogeny.studies.gathering import gather
    from ontogeny.studies.measures import Measures

    own = study_file.load(folder / "study.yaml")
    gathered = gather(folder, own)
    found = analyse(own, gathered)
    power = folder / "analysis" / "power.parquet"
    said = registration.read(folder) if (folder / registration.FILE).exists() else None
    made = material(own, gathered, found.claims, found.effects)
    guarded = guards.told(own, folder, Measures(own, gathered))
    return page.render, made, said, found.divided, read_table(power) if power.exists() else None, guarded
