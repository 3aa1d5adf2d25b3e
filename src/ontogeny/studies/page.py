"""A study's page: its question and answer on one screen, then what was seen, what it cost, what was edited and how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl

from ontogeny.disk import atomic
from ontogeny.pages.embed import Charts, drawn
from ontogeny.pages.panel import Clock, shown
from ontogeny.pages.templates import STANDALONE, PageFrame, anchor, look
from ontogeny.pages.words import count, decimals, human
from ontogeny.report.provenance import tables
from ontogeny.studies import edits, figures, sentences
from ontogeny.studies.alarms import hits
from ontogeny.studies.claims import WHOLE
from ontogeny.studies.cost import duration
from ontogeny.studies.figures import StudyMaterial, material
from ontogeny.studies.gathering import StudyFrames, keep
from ontogeny.studies.plan import Study
from ontogeny.studies.registration import Registration
from ontogeny.studies.study_file import dump

STATES = {"supported": "v-learned", "refuted": "v-entrenched", "undecided": "v-undecided"}
WAITING = "not there yet"


def write_study_report(
    folder: Path,
    study: Study,
    gathered: StudyFrames,
    claims: pl.DataFrame,
    effects: pl.DataFrame,
    registration: Registration | None = None,
    divided: pl.DataFrame | None = None,
    power: pl.DataFrame | None = None,
    guarded: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """Writes a study's page and figures to `folder/report` and what they are drawn from to `folder/analysis`; the page's path.

    `divided` and `power`: tables of the analysis, and `guarded`: what `guards.told` says, said where they are given.  Works for
    studies of which arms or seeds are missing: the page says which.
    """
    keep(gathered, folder / "analysis")
    own = material(study, gathered, claims, effects)
    page = folder / "report" / "index.html"
    pages = {arm.name: f"../arms/{arm.slug}/report/index.html" for arm in study.arms}
    there = {name: link for name, link in pages.items() if (page.parent / link).exists()}
    figures.write_figures(own, page.parent / "figures")
    with atomic(page) as temporary:
        temporary.write_text(render(own, registration, there, divided, power, guarded=guarded), encoding="utf-8")
    return page


def render(
    own: StudyMaterial,
    registration: Registration | None = None,
    pages: Mapping[str, str] | None = None,
    divided: pl.DataFrame | None = None,
    power: pl.DataFrame | None = None,
    guarded: Mapping[str, Any] = MappingProxyType({}),
    frame: PageFrame = STANDALONE,
) -> str:
    """The page as HTML.  `pages`: by arm, where its own page is, seen from this one."""
    charts, gathered, study = Charts(), own.gathered, own.study
    panels = [(panel, shown(panel, {}, Clock(), charts)) for panel in figures.panels_of(own)]
    by_name = {panel.name: one for panel, one in panels}
    chances = [] if power is None else power.to_dicts()
    return frame.render(
        "study.html.jinja",
        Path(__file__).parent,
        {"capital": sentences.capital, "signed": sentences.signed, "chance": partial(decimals, digits=2)},
        title=study.file.name,
        question=study.file.question,
        answer=sentences.answer({name: _verdict(own, name) for name in study.file.predictions}),
        overall=_overall(own),
        there=sentences.there({arm.name: gathered.seeds(arm.name) for arm in study.arms}, len(study.file.seeds)),
        missing=sentences.missing([(gap.arm, gap.seed, gap.why) for gap in gathered.gaps]),
        notes=gathered.notes,
        registration=_registration(registration),
        predictions=[_prediction(own, name) | {"panel": by_name.get(f"claims-{name}")} for name in study.file.predictions],
        paradigms=[(name, anchor("paradigm", name), [o for p, o in panels if p.chapter == name]) for name in own.paradigms],
        verdicts=_verdicts(own),
        disagreement=sentences.disagreement(gathered.verdicts.filter(pl.col("paradigm").is_in(own.paradigms))),
        groups=sentences.groups(divided, study.file.analysis.confidence),
        controls=by_name.get("controls"),
        moved=sentences.controls_sentence(figures.moved(own), figures.within_of(study)),
        undecided=_undecided(own, {row["prediction"]: row for row in chances}),
        power=chances,
        costs=costs(own),
        guarded=guarded,
        alarms=hits(gathered.alarms),
        edited=edits.of_study(gathered, own.order),
        arms=_arms(own, pages or {}),
        made=tables(gathered.lineages.get(study.file.reference) or next(iter(gathered.lineages.values()), {})),
        file=dump(study),
        seeds=len(study.file.seeds),
        reference=study.file.reference,
        **look(),
        **drawn(charts),
    )


def _registration(registration: Registration | None) -> dict[str, Any]:
    """When predictions were written down, and what was changed since."""
    if registration is None:
        return {"sentence": "The predictions were not registered before it was run.", "changes": []}
    first, *rest = registration.says()
    return {"sentence": first, "changes": rest} if registration.changes else {"sentence": " ".join([first, *rest]), "changes": []}


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
    known = any(_verdict(own, name) for name in own.study.file.predictions)
    return sentences.overall(row["says"] or "", row["verdict"], row["note"] or "") if row and known else ""


def _prediction(own: StudyMaterial, name: str) -> dict[str, Any]:
    asked, whole, verdict = own.study.file.predictions[name], _whole(own, name), _verdict(own, name)
    cells, confidence = figures.rows_of(own, name), own.study.file.analysis.confidence
    rows = figures.critical(cells).to_dicts() if len(cells) > 1 else []
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
        "rows": [row | {"state": STATES[row["verdict"]], "estimate": sentences.estimate(row, confidence)} for row in rows],
        "of": len(cells),
    }


def _undecided(own: StudyMaterial, chances: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What could not be decided, and why."""
    found = []
    for name, asked in own.study.file.predictions.items():
        whole, verdict = _whole(own, name), _verdict(own, name)
        noted = f"{sentences.capital(whole['note'])}." if whole.get("note") else ""
        if verdict == sentences.UNDECIDED:
            found.append((name, " ".join(filter(None, [sentences.lies(whole, asked), noted, sentences.weak(chances.get(name))]))))
        elif not verdict:
            found.append((name, noted or "It has not been analysed."))
    return found


# --- what was seen, what it cost, and how it was made -------------------------------------------------------------


def _verdicts(own: StudyMaterial) -> list[tuple[str, list[dict[str, Any]]]]:
    """By arm, the verdict on each named paradigm over all seeds, and how many seeds have it; nothing where none was judged."""
    frame = own.gathered.verdicts.filter(pl.col("paradigm").is_in(own.paradigms))
    of_seeds = {key: part["verdict"].to_list() for key, part in frame.drop_nulls("seed").group_by("arm", "paradigm")}
    table = {(arm, paradigm): name for arm, seed, paradigm, name in frame.iter_rows() if seed is None}

    def cell(arm: str, paradigm: str) -> dict[str, Any]:
        verdict, of = table.get((arm, paradigm)), of_seeds.get((arm, paradigm), [])
        differs = verdict is not None and verdict != table.get((own.study.file.reference, paradigm), verdict)
        return {"verdict": verdict, "seeds": f"{of.count(verdict)} of {len(of)} seeds" if of else "", "differs": differs}

    return [(arm, [cell(arm, paradigm) for paradigm in own.paradigms]) for arm in own.order] if table else []


def costs(own: StudyMaterial) -> dict[str, Any]:
    """A row an arm: tokens until learned with the difference from the reference, dev loss at the end, seconds of training."""
    effects = own.effects.filter(measure="learned_at").to_dicts()
    learned = {(row["arm"], row["paradigm"]): row for row in effects if row["mean"] is not None}
    shown = [paradigm for paradigm in own.paradigms if any((arm, paradigm) in learned for arm in own.order)]
    last = own.gathered.losses.sort("step").group_by("arm", "seed").last()
    means = [(last, "dev_loss"), (own.gathered.costs, "seconds"), (own.gathered.costs, "tokens")]
    loss, seconds, tokens = (dict(frame.group_by("arm").agg(pl.col(name).mean()).iter_rows()) for frame, name in means)
    rows = [
        {
            "arm": arm,
            "learned": [_learned(learned.get((arm, paradigm))) for paradigm in shown],
            "loss": f"{loss[arm]:.3f}" if arm in loss else "",
            "seconds": duration(seconds[arm]) if arm in seconds else "",
            "tokens": human(tokens[arm]) if arm in tokens else "",
            "seeds": len(own.gathered.seeds(arm)),
        }
        for arm in own.order
    ]
    whole = float(own.gathered.costs["seconds"].sum())
    return {"paradigms": shown, "rows": rows, "whole": duration(whole) if whole else ""}


def _learned(row: Mapping[str, Any] | None) -> dict[str, str]:
    if row is None:
        return dict.fromkeys(("mean", "difference", "never"), "")
    difference, never = row.get("difference"), row.get("never") or 0
    ends = f" ({sentences.interval(row['low'], row['high'])})" if row.get("low") is not None else ""
    said = "" if difference is None else f"{sentences.signed(difference)}{ends}"
    if never >= (row.get("seeds") or 0) and row.get("low") == row.get("high") == 0:
        said = ""  # neither arm ever learned it: no tokens were saved or lost
    return {"mean": human(row["mean"]), "difference": said, "never": f"{count(never, 'seed')} never" if never else ""}


def _arms(own: StudyMaterial, pages: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every arm of the study, those that are not there too."""
    gaps: dict[str, list[str]] = {}
    for gap in own.gathered.gaps:
        gaps.setdefault(gap.arm, []).append(gap.why if gap.seed is None else f"seed {gap.seed}: {gap.why}")
    of_arm = {arm: {"link": pages.get(arm), "gaps": "; ".join(gaps.get(arm, []))} for arm in own.gathered.arms["arm"]}
    rows = own.gathered.arms.sort("order").to_dicts()
    return [row | of_arm[row["arm"]] | {"seeds": len(own.gathered.seeds(row["arm"]))} for row in rows]
