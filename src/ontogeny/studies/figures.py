"""A study's figures: one list of them for its page and its files, and each by name: `figure("runs/STUDY", "response", ...)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl

from ontogeny.disk import read_table
from ontogeny.pages.axes import beside, known, save
from ontogeny.pages.panel import Clock, Drawn, Panel
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.studies import figures_arms, figures_claims
from ontogeny.studies.arm_styles import ArmStyles, arm_styles
from ontogeny.studies.gathering import StudyFrames, kept
from ontogeny.studies.measures import achieved
from ontogeny.studies.plan import Study
from ontogeny.studies.sentences import MEASURES, capital, measured
from ontogeny.studies.study_file import load

TRAJECTORIES = ("accuracy", "margin")
RESPONSES = ("early_margin", "late_accuracy")  # of every study; and what its predictions ask a slope of
PANEL = 300  # pixels, the width of one of several panels


@dataclass(frozen=True, slots=True, eq=False)
class StudyMaterial:
    """What a study's figures and page are made of."""

    study: Study
    gathered: StudyFrames
    claims: pl.DataFrame
    effects: pl.DataFrame
    arm_styles: ArmStyles
    by_seed: pl.DataFrame  # means over pairs: arm, seed, paradigm and the four measures

    @property
    def order(self) -> list[str]:
        """The arms that are there, the reference first."""
        own = self.gathered.arms.sort(~pl.col("reference"), "order")["arm"].to_list()
        there = set(self.gathered.curves["arm"])
        return [arm for arm in own if arm in there]

    @property
    def paradigms(self) -> list[str]:
        """Those named in advance, as far as they were read."""
        there = set(self.gathered.curves["paradigm"])
        return [name for name in self.study.file.paradigms if name in there]

    @property
    def controls(self) -> list[str]:
        """The control paradigms that were read."""
        there = self.gathered.curves["paradigm"].unique().sort().to_list()
        return [name for name in self.study.controls_among(there) if name in set(there)]

    @property
    def spans(self) -> pl.DataFrame | None:
        """The windows of training: the reference's, or the first arm's."""
        arms = [arm for arm in (self.study.file.reference, *self.order) if arm in set(self.gathered.spans["arm"])]
        return self.gathered.spans.filter(arm=arms[0]) if arms else None


def material(study: Study, gathered: StudyFrames, claims: pl.DataFrame, effects: pl.DataFrame) -> StudyMaterial:
    """The same, with what all figures share."""
    by_seed = figures_arms.by_seed(gathered.outcomes)
    return StudyMaterial(study, gathered, claims, effects, arm_styles(gathered.arms), by_seed)


def figure(folder: Path | str, name: str = "trajectories", **options: Any) -> alt.Chart:
    """A figure of a study by its folder: claims, trajectories, response, controls or seeds.

    `prediction` chooses a claim, `paradigm` one of those named in advance (the first, if left out), `measure` accuracy or margin of
    trajectories, and early_margin, late_accuracy ... of responses and seeds; `panel` one panel of trajectories.  Other options go
    to the figure's own function.  Raises OntogenyError for unknown names and for what the study does not have.
    """
    folder = Path(folder)
    gathered = kept(folder / "analysis")
    tables = [read_table(folder / "analysis" / f"{table}.parquet") for table in ("claims", "effects")]
    return drawn(material(load(folder / "study.yaml"), gathered, *tables), name, **options)


def drawn(own: StudyMaterial, name: str, **options: Any) -> alt.Chart:
    """The same of what has been gathered."""
    if name not in FIGURES:
        raise OntogenyError(f"no figure of a study is called {name!r}; {nearest(name, list(FIGURES))}")
    there = own.gathered.curves["paradigm"].unique(maintain_order=True).to_list()
    if "paradigm" in options and options["paradigm"] not in there:
        raise OntogenyError(f"no paradigm is called {options['paradigm']!r}; {nearest(str(options['paradigm']), sorted(there))}")
    if not there:
        raise OntogenyError("no arm of this study has been read to its end: there is nothing to draw")
    first = {} if name in ("claims", "controls") else {"paradigm": (own.paradigms or there)[0]}
    return _joined(FIGURES[name](own, **first | options))


def _joined(drawn: Drawn) -> alt.Chart:
    """One chart of a figure's panels, each with a legend of its own."""
    if not isinstance(drawn, Mapping):
        return drawn
    if len(drawn) == 1:
        return next(iter(drawn.values()))
    return beside(*(one.properties(title=title) for title, one in drawn.items())).resolve_scale(color="independent")


# --- what each is drawn from --------------------------------------------------------------------------------------


def trajectories(
    own: StudyMaterial, paradigm: str, measure: str = "accuracy", panel: str | None = None, **options: Any
) -> Mapping[str, alt.Chart]:
    """One paradigm over training, by title: a panel, or all of them."""
    curves = own.gathered.curves.filter(paradigm=paradigm)
    shown = (own.arm_styles.panels or ("",)) if panel is None else (panel,)
    domain = {"domain": margins_of(curves)} if measure == "margin" else {}
    more = {**({"width": PANEL} if len(shown) > 1 else {}), **domain, **options}
    return {
        own.arm_styles.title(one): figures_arms.trajectories(curves, own.arm_styles, one, own.spans, measure, **more)
        for one in shown
    }


def margins_of(curves: pl.DataFrame) -> tuple[float, float]:
    """The ends of the margin's axis that every arm's seeds fit between."""
    low, high = curves.select(pl.col("margin").min().alias("low"), pl.col("margin").max().alias("high")).row(0)
    return min(low or 0.0, 0.0), max(high or 0.0, 0.0)


def response(own: StudyMaterial, paradigm: str, measure: str = "late_accuracy", **options: Any) -> alt.Chart:
    """One paradigm's measure against the bigram margin that the arms achieved, or, where that is not known, against the dose."""
    at, title = evidence_of(own, paradigm)
    return figures_arms.response(own.by_seed.filter(paradigm=paradigm), at, own.arm_styles, measure, title, **options)


def evidence_of(own: StudyMaterial, paradigm: str) -> tuple[pl.DataFrame, str]:
    """What a response is drawn over: arm, x; and its name.  No rows where arms differ in neither evidence nor dose."""
    found = achieved(own.gathered.evidence.filter(paradigm=paradigm)).select("arm", x="bigram margin")
    if found["x"].n_unique() > 1:
        return found, "bigram margin achieved (nats)"
    if own.arm_styles.dose is None:
        return found.clear(), ""
    return own.gathered.arms.select("arm", pl.col(f"factor.{own.arm_styles.dose}").alias("x")).drop_nulls(), own.arm_styles.dose


def controls(own: StudyMaterial, **options: Any) -> alt.Chart:
    """How far every control paradigm is from the reference at the end."""
    return figures_arms.controls(moved(own), own.order, within_of(own.study), **options)


def moved(own: StudyMaterial) -> pl.DataFrame:
    """The changes that `controls` draws."""
    return figures_arms.moved(own.by_seed.filter(pl.col("paradigm").is_in(own.controls)), own.study.file.reference)


def within_of(study: Study) -> float | None:
    """How far the controls may move, where a prediction says so."""
    found = (p for p in study.file.predictions.values() if p.paradigms == "controls" and p.measure == "late_accuracy")
    return next((p.supported.within for p in found if p.supported.within is not None), None)


def seeds(own: StudyMaterial, paradigm: str, measure: str = "late_accuracy", **options: Any) -> alt.Chart:
    """Every seed of every arm."""
    outcomes, verdicts = own.by_seed.filter(paradigm=paradigm), own.gathered.verdicts.filter(paradigm=paradigm)
    return figures_arms.seeds(outcomes.drop_nulls(measure), verdicts, own.order, measure, **options)


def claims(own: StudyMaterial, prediction: str | None = None, **options: Any) -> alt.Chart:
    """One prediction's estimates against what would support or refute it; the first prediction, if none is named."""
    known = [name for name in own.study.file.predictions if len(rows_of(own, name))]
    prediction = known[0] if prediction is None and known else str(prediction)
    if prediction not in known:
        hint = nearest(prediction, known) if known else "none has been analysed"
        raise OntogenyError(f"there is no estimate for a prediction {prediction!r}; {hint}")
    asked = own.study.file.predictions[prediction]
    marked = figures_claims.zones(asked.supported, asked.refuted)
    return figures_claims.intervals(critical(rows_of(own, prediction)), marked, **{"unit": measured(asked), **options})


def rows_of(own: StudyMaterial, prediction: str) -> pl.DataFrame:
    """The claims of one prediction that have an estimate, of paradigms and arms or else as a whole; `name`: what each is about."""
    found = own.claims.filter(pl.col("prediction") == prediction)
    cells = found if len(found) == 1 else found.slice(1)  # the first is the prediction as a whole
    name = pl.concat_str(["paradigm", "arm"], separator=" · ", ignore_nulls=True)
    return cells.filter(pl.col("estimate").is_not_null()).with_columns(name=name.replace("", prediction))


def critical(rows: pl.DataFrame, most: int = 10) -> pl.DataFrame:
    """The rows that a figure has room for: those that are not supported first, then those whose intervals reach furthest."""
    reach = pl.max_horizontal(*(pl.col(name).abs() for name in ("estimate", "low", "high")))
    if len(rows) <= most:
        return rows
    chosen = rows.with_row_index("place").sort(pl.col("verdict") == "supported", reach, descending=[False, True]).head(most)
    return chosen.sort("place").drop("place")


FIGURES: dict[str, Callable[..., Drawn]] = {
    "claims": claims,
    "trajectories": trajectories,
    "response": response,
    "controls": controls,
    "seeds": seeds,
}


# --- the list -----------------------------------------------------------------------------------------------------


def panels_of(own: StudyMaterial) -> list[Panel]:
    """Every figure that the study can have, in the order of the page."""
    said = "its estimates with their intervals; the same numbers are in the text"
    found = [
        _panel(own, "claims", name, said, "", {"prediction": name}, chapter="claims", page={"unit": None}, narrow=True)
        for name in own.study.file.predictions
        if len(rows_of(own, name))
    ]
    found += [panel for paradigm in own.paradigms for panel in _of_paradigm(own, paradigm)]
    if len(moved(own)):
        within, reference = within_of(own.study), own.study.file.reference
        says = (
            f"Change of late accuracy from {reference}, mean over the seeds that both have; each dot is a control paradigm"
            f"{'' if within is None else f'. Shaded: within ±{within}, as predicted'}."
        )
        said = "change of late accuracy of each control paradigm from the reference, by arm"
        found.append(_panel(own, "controls", "", said, says, {}, chapter="controls"))
    return found


def _of_paradigm(own: StudyMaterial, paradigm: str) -> list[Panel]:
    """Its chapter is the paradigm's name."""
    outcomes, reference = own.by_seed.filter(paradigm=paradigm), own.study.file.reference
    found = []

    def add(kind: str, measure: str, title: str, says: str, **more: Any) -> None:
        chosen, of = {"paradigm": paradigm, "measure": measure}, paradigm if kind == "seeds" else f"{measure}-{paradigm}"
        found.append(_panel(own, kind, of, title, says, chosen, chapter=paradigm, **more))

    for measure in (one for one in TRAJECTORIES if known(own.gathered.curves.filter(paradigm=paradigm), one)):
        margin = "Mean margin, by how many nats the good sentence is likelier than the bad one,"
        says = (
            f"{'Accuracy' if measure == 'accuracy' else margin} over training: means over seeds, and from the lowest seed to the "
            f"highest. {capital(reference)} (in ink) is the arm that others are compared with."
            f"{f' Colours are the {own.arm_styles.dose}.' if own.arm_styles.dose and not found else ''}"
        )
        add("trajectories", measure, f"{measure} over training, each arm a line", says, shape="panel")
    evidence, over = evidence_of(own, paradigm)
    sloped = (one.measure for one in own.study.file.predictions.values() if one.of == "slope")
    for measure in (one for one in dict.fromkeys((*RESPONSES, *sloped)) if len(evidence) > 1 and known(outcomes, one)):
        said = f"{MEASURES[measure][0]} against the {over}"
        says = f"{capital(said)}: seeds as dots, means of arms joined. The diamond is {reference}; strokes, a little to the right: "
        add("response", measure, f"{said}, each seed a dot", f"{says}arms without a dose.", half=True)
    if known(outcomes, "late_accuracy"):
        judged = own.gathered.verdicts.filter(paradigm=paradigm)["seed"].drop_nulls()
        says = (
            "Late accuracy of every seed, in the colour of its own verdict; the tick is the arm's mean"
            f"{'; hollow: not judged' if len(outcomes) > len(judged) else ''}. Two clusters in one row are two ways that the same "
            "training went."
        )
        add("seeds", "late_accuracy", "late accuracy of each seed by arm", says, half=True)
    return found


def _panel(own: StudyMaterial, kind: str, of: str, title: str, says: str, chosen: dict[str, str], **more: Any) -> Panel:
    """A figure of the study as page and files know it; `chosen`: options of its function in FIGURES."""
    return Panel(
        name="-".join(filter(None, (kind, of))),
        draw=lambda frames, clock, **options: FIGURES[kind](own, **chosen, **options),
        title=title,
        says=lambda frames, clock: says,
        **{"shape": "map", **more},
    )


def all_of(own: StudyMaterial) -> list[tuple[str, alt.Chart]]:
    """A file's name and the figure, for every figure that the study can have."""
    return [(panel.name, _joined(panel.draw({}, Clock()))) for panel in panels_of(own)]


def write_figures(own: StudyMaterial, folder: Path) -> list[Path]:
    """Every figure as SVG and PNG."""
    return [save(chart, folder / f"{name}.{ending}", scale=1.5) for name, chart in all_of(own) for ending in ("svg", "png")]
