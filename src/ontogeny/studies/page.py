"""A study's page: its question and answer on one screen, then what was seen, what it cost, what was edited and how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from ontogeny.pages.axes import filled, known
from ontogeny.pages.embed import Charts, drawn
from ontogeny.pages.templates import anchor, look, templates
from ontogeny.pages.words import count, human
from ontogeny.report.provenance import tables
from ontogeny.store import atomic
from ontogeny.studies import edits, figures, figures_claims, sentences
from ontogeny.studies.claims import WHOLE
from ontogeny.studies.cost import duration
from ontogeny.studies.figures import StudyMaterial, material
from ontogeny.studies.gathering import StudyFrames, keep
from ontogeny.studies.plan import Prediction, Study
from ontogeny.studies.registration import Registration
from ontogeny.studies.study_file import dump

STATES = {"supported": "v-learned", "refuted": "v-entrenched", "undecided": "v-undecided"}
WAITING = "not there yet"
FIT = {"width": "container"}


def write_study_report(
    folder: Path,
    study: Study,
    gathered: StudyFrames,
    claims: pl.DataFrame,
    effects: pl.DataFrame,
    registration: Registration | None = None,
    divided: pl.DataFrame | None = None,
    power: pl.DataFrame | None = None,
) -> Path:
    """Writes a study's page and figures to `folder/report` and what they are drawn from to `folder/analysis`; the page's path.

    `divided` and `power`: tables of the analysis, said where they are given.  Works for studies of which arms or seeds are missing:
    the page says which.
    """
    keep(gathered, folder / "analysis")
    own = material(study, gathered, claims, effects)
    page = folder / "report" / "index.html"
    pages = {arm.name: f"../arms/{arm.slug}/report/index.html" for arm in study.arms}
    there = {name: link for name, link in pages.items() if (page.parent / link).exists()}
    figures.write_figures(own, page.parent / "figures")
    with atomic(page) as temporary:
        temporary.write_text(render(own, registration, there, divided, power), encoding="utf-8")
    return page


def render(
    own: StudyMaterial,
    registration: Registration | None = None,
    pages: Mapping[str, str] | None = None,
    divided: pl.DataFrame | None = None,
    power: pl.DataFrame | None = None,
) -> str:
    """The page as HTML.  `pages`: by arm, where its own page is, seen from this one."""
    charts, gathered, study = Charts(), own.gathered, own.study
    return (
        templates(Path(__file__).parent, capital=sentences.capital)
        .get_template("study.html.jinja")
        .render(
            title=study.name,
            question=study.question,
            answer=sentences.answer({name: _verdict(own, name) for name in study.predictions}),
            overall=_overall(own),
            there=sentences.there({arm.name: gathered.seeds(arm.name) for arm in study.arms}, len(study.arms), len(study.seeds)),
            missing=sentences.missing([(gap.arm, gap.seed, gap.why) for gap in gathered.gaps]),
            notes=gathered.notes,
            registration=_registration(registration),
            predictions=[_prediction(own, name, charts) for name in study.predictions],
            paradigms=[_paradigm(own, name, charts) for name in own.paradigms],
            panels=[name or "arms" for name in own.arm_styles.panels],
            dose=own.arm_styles.dose,
            verdicts=_verdicts(own),
            disagreement=sentences.disagreement(gathered.verdicts.filter(pl.col("paradigm").is_in(own.paradigms))),
            groups=sentences.groups(divided, study.analysis.confidence),
            controls=_controls(own, charts),
            undecided=_undecided(own, power),
            power=_power(power),
            costs=costs(own),
            edited=edits.of_study(gathered, own.order),
            arms=_arms(own, pages or {}),
            made=tables(gathered.lineages.get(study.reference) or next(iter(gathered.lineages.values()), {})),
            file=dump(study),
            seeds=len(study.seeds),
            reference=study.reference,
            **look(),
            **drawn(charts),
        )
    )


def _registration(registration: Registration | None) -> dict[str, Any]:
    """When predictions were written down, and what was changed since."""
    if registration is None:
        return {"sentence": "The predictions were not registered before it was run.", "changes": []}
    first, *rest = registration.says()
    return {"sentence": first, "changes": rest} if registration.changes else {"sentence": " ".join([first, *rest]), "changes": []}


def _power(power: pl.DataFrame | None) -> list[dict[str, Any]]:
    """What each prediction's chances were before the runs."""
    rows = [] if power is None else power.to_dicts()
    chance = {name: [sentences.chance(row[name]) for row in rows] for name in ("supported", "refuted", "falsely")}
    return [
        {
            "name": row["prediction"],
            "seeds": row["seeds"],
            "effect": "" if row["effect"] is None else sentences.signed(row["effect"]),
            **{name: found[place] for name, found in chance.items()},
            "decides": {True: "yes", False: "no"}.get(row["decides"], "not simulated"),
            "needed": row["seeds_needed"] or "",
            "note": row["note"] or "",
        }
        for place, row in enumerate(rows)
    ]


# --- predictions --------------------------------------------------------------------------------------------------


def _whole(own: StudyMaterial, name: str) -> dict[str, Any]:
    """The row that speaks of a whole prediction: its first; empty where it was not analysed."""
    found = own.claims.filter(pl.col("prediction") == name)
    return found.row(0, named=True) if len(found) else {}


def _verdict(own: StudyMaterial, name: str) -> str:
    """The verdict of a whole prediction; empty where there is nothing to judge it by."""
    return str(_whole(own, name)["verdict"]) if len(figures.rows_of(own, name)) else ""


def _overall(own: StudyMaterial) -> str:
    row = _whole(own, WHOLE)
    known = [name for name in own.study.predictions if _verdict(own, name)]
    return sentences.overall(row["says"] or "", row["verdict"], row["note"] or "") if row and known else ""


def _prediction(own: StudyMaterial, name: str, charts: Charts) -> dict[str, Any]:
    asked: Prediction = own.study.predictions[name]
    whole, verdict, cells = _whole(own, name), _verdict(own, name), figures.rows_of(own, name)
    confidence, shown = own.study.analysis.confidence, figures.critical(cells)
    drawn = {}
    for narrow in (False, True) if len(shown) else ():
        drawing = figures_claims.intervals(shown, figures.zones_of(asked), None, narrow=narrow, **FIT)
        drawn[narrow] = charts.add(drawing)
    rows = [
        {
            "name": row["name"],
            "verdict": row["verdict"],
            "state": STATES.get(row["verdict"], ""),
            "estimate": sentences.estimate(row, confidence),
            "note": row["note"] or "",
        }
        for row in shown.to_dicts()
    ]
    return {
        "name": name,
        "anchor": anchor("prediction", name),
        "says": asked.says,
        "verdict": verdict or WAITING,
        "state": STATES.get(verdict, "v-unobserved"),
        "measured": sentences.measured(asked),
        "estimate": sentences.estimate(whole, confidence) if whole.get("estimate") is not None else "",
        "note": whole.get("note") or "",
        "stakes": sentences.stakes(asked, verdict),
        "rows": rows if len(cells) > 1 else [],
        "chart": drawn.get(False),
        "narrow": drawn.get(True),
        "height": 26 * len(shown) + 58,
        "more": len(cells) - len(shown),
    }


def _undecided(own: StudyMaterial, power: pl.DataFrame | None) -> list[dict[str, str]]:
    """What could not be decided, and why."""
    chances = {} if power is None else {row["prediction"]: row for row in power.to_dicts()}
    found = []
    for name, asked in own.study.predictions.items():
        whole = _whole(own, name)
        if _verdict(own, name) == sentences.UNDECIDED:
            found.append(
                {
                    "name": name,
                    "why": " ".join(filter(None, [sentences.lies(whole, asked), _noted(whole), sentences.weak(chances.get(name))])),
                }
            )
        elif not _verdict(own, name):
            found.append({"name": name, "why": _noted(whole) or "It has not been analysed."})
    return found


def _noted(row: Mapping[str, Any]) -> str:
    note = row.get("note") or ""
    return f"{note[0].upper()}{note[1:]}." if note else ""


# --- what was seen ------------------------------------------------------------------------------------------------


def _paradigm(own: StudyMaterial, paradigm: str, charts: Charts) -> dict[str, Any]:
    """The figures of one named paradigm."""
    panels = own.arm_styles.panels or ("",)
    drawn = {
        measure: [
            {
                "title": own.arm_styles.title(panel),
                "chart": charts.add(filled(*figures.trajectory_parts(own, paradigm, measure, panel, **FIT))),
            }
            for panel in panels
        ]
        for measure in figures.TRAJECTORIES
        if known(own.gathered.curves.filter(paradigm=paradigm), measure)
    }
    measures = [m for m in figures.RESPONSES if figures.measured_there(own, paradigm, m)]
    responses = [
        {
            "measure": sentences.MEASURES[measure][0],
            "chart": charts.add(filled(*figures.response_parts(own, paradigm, measure, **FIT))),
        }
        for measure in (measures if figures.responds(own, paradigm) else ())
    ]
    there = figures.measured_there(own, paradigm, "late_accuracy")
    return {
        "name": paradigm,
        "anchor": anchor("paradigm", paradigm),
        "trajectories": drawn,
        "responses": responses,
        "over": figures.evidence_of(own, paradigm)[1],
        "seeds": charts.add(filled(*figures.seed_parts(own, paradigm, **FIT))) if there else None,
        "unjudged": len(own.by_seed.filter(paradigm=paradigm)) > len(_seed_verdicts(own, paradigm)),
        "height": 22 * len(own.order) + 90,
    }


def _seed_verdicts(own: StudyMaterial, paradigm: str) -> pl.DataFrame:
    return own.gathered.verdicts.filter(paradigm=paradigm).drop_nulls("seed")


def _verdicts(own: StudyMaterial) -> dict[str, Any]:
    """The verdict of each named paradigm in each arm, over all seeds, and how many seeds have it."""
    frame = own.gathered.verdicts.filter(pl.col("paradigm").is_in(own.paradigms))
    over_all = frame.filter(pl.col("seed").is_null())
    table = {(row["arm"], row["paradigm"]): row["verdict"] for row in over_all.to_dicts()}
    base = {paradigm: verdict for (arm, paradigm), verdict in table.items() if arm == own.study.reference}
    seeds = frame.drop_nulls("seed")
    rows = []
    for arm in own.order:
        cells = []
        for paradigm in own.paradigms:
            verdict, of = table.get((arm, paradigm)), seeds.filter(arm=arm, paradigm=paradigm)["verdict"].to_list()
            differs = arm != own.study.reference and verdict is not None and verdict != base.get(paradigm, verdict)
            cells.append({"verdict": verdict, "seeds": f"{of.count(verdict)} of {len(of)} seeds" if of else "", "differs": differs})
        rows.append({"arm": arm, "cells": cells})
    return {"paradigms": own.paradigms, "rows": rows if table else []}


def _controls(own: StudyMaterial, charts: Charts) -> dict[str, Any] | None:
    changes, within = figures.moved(own), figures.within_of(own.study)
    if changes.is_empty():
        return None
    return {
        "chart": charts.add(figures.controls(own, **FIT)),
        "sentence": sentences.controls_sentence(changes, within),
        "within": within,
        "height": 22 * changes["arm"].n_unique() + 60,
    }


# --- what it cost, and how it was made ----------------------------------------------------------------------------


def costs(own: StudyMaterial) -> dict[str, Any]:
    """A row an arm: tokens until learned with the difference from the reference, dev loss at the end, seconds of training."""
    learned = {
        (row["arm"], row["paradigm"]): row for row in own.effects.filter(measure="learned_at").to_dicts() if row["mean"] is not None
    }
    shown = [paradigm for paradigm in own.paradigms if any((arm, paradigm) in learned for arm in own.order)]
    last = own.gathered.losses.sort("step").group_by("arm", "seed").last().group_by("arm").agg(pl.col("dev_loss").mean())
    loss, seconds = dict(last.iter_rows()), dict(own.gathered.costs.group_by("arm").agg(pl.col("seconds").mean()).iter_rows())
    rows = [
        {
            "arm": arm,
            "learned": [_learned(learned.get((arm, paradigm))) for paradigm in shown],
            "loss": f"{loss[arm]:.3f}" if arm in loss else "",
            "seconds": duration(seconds[arm]) if arm in seconds else "",
            "seeds": len(own.gathered.seeds(arm)),
        }
        for arm in own.order
    ]
    whole = float(own.gathered.costs["seconds"].sum())
    return {"paradigms": shown, "rows": rows, "whole": duration(whole) if whole else ""}


def _learned(row: Mapping[str, Any] | None) -> dict[str, str]:
    if row is None:
        return {"mean": "", "difference": "", "never": ""}
    difference = row.get("difference")
    ends = f" ({sentences.interval(row['low'], row['high'])})" if row.get("low") is not None else ""
    said = "" if difference is None else f"{sentences.signed(difference)}{ends}"
    never, compared = row.get("never") or 0, row.get("seeds") or 0
    if never >= compared and row.get("low") == row.get("high") == 0:
        said = ""  # neither arm ever learned it: no tokens were saved or lost
    return {"mean": human(row["mean"]), "difference": said, "never": f"{count(never, 'seed')} never" if never else ""}


def _arms(own: StudyMaterial, pages: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every arm of the study, those that are not there too."""
    gaps: dict[str, list[str]] = {}
    for gap in own.gathered.gaps:
        gaps.setdefault(gap.arm, []).append(gap.why if gap.seed is None else f"seed {gap.seed}: {gap.why}")
    return [
        {
            "name": row["arm"],
            "link": pages.get(row["arm"]),
            "changes": row["changes"] or "nothing",
            "reference": row["reference"],
            "priority": row["priority"],
            "seeds": len(own.gathered.seeds(row["arm"])),
            "gaps": "; ".join(gaps.get(row["arm"], [])),
        }
        for row in own.gathered.arms.sort("order").to_dicts()
    ]
