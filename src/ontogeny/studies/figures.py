"""A study's figures by name, for its page, for files and for a notebook: `figure("runs/STUDY", "response", paradigm=...)`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl

from ontogeny.pages.axes import Tables, beside, filled, save
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.store import read_table
from ontogeny.studies import figures_arms, figures_claims, figures_effects
from ontogeny.studies.arm_styles import ArmStyles, arm_styles
from ontogeny.studies.gathering import StudyFrames, kept
from ontogeny.studies.plan import Prediction, Study
from ontogeny.studies.sentences import measured
from ontogeny.studies.study_file import load

TRAJECTORIES = ("accuracy", "margin")
RESPONSES = ("early_margin", "late_accuracy")
Parts = tuple[alt.Chart, Tables]  # a drawing, which many share, and its tables
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
        return [name for name in self.study.paradigms if name in there]

    @property
    def controls(self) -> list[str]:
        """The control paradigms that were read."""
        there = self.gathered.curves["paradigm"].unique().sort().to_list()
        return [name for name in self.study.controls_among(there) if name in set(there)]

    @property
    def spans(self) -> pl.DataFrame | None:
        """The windows of training: the reference's, or the first arm's."""
        arms = [arm for arm in (self.study.reference, *self.order) if arm in set(self.gathered.spans["arm"])]
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
    if "paradigm" in options and options["paradigm"] not in set(own.gathered.curves["paradigm"]):
        known = own.gathered.curves["paradigm"].unique().sort().to_list()
        raise OntogenyError(f"no paradigm is called {options['paradigm']!r}; {nearest(str(options['paradigm']), known)}")
    if own.gathered.curves.is_empty():
        raise OntogenyError("no arm of this study has been read to its end: there is nothing to draw")
    return FIGURES[name](own, **options)


def trajectories(
    own: StudyMaterial, paradigm: str | None = None, measure: str = "accuracy", panel: str | None = None, **options: Any
) -> alt.Chart:
    """One paradigm over training: a panel, or all of them beside one another."""
    if panel is not None or len(own.arm_styles.panels) < 2:
        return filled(*trajectory_parts(own, _paradigm(own, paradigm), measure, panel, **options))
    panels = [
        trajectories(own, paradigm, measure, name, **{"width": PANEL, **options}).properties(title=own.arm_styles.title(name))
        for name in own.arm_styles.panels
    ]
    return beside(*panels).resolve_scale(color="independent")


def trajectory_parts(own: StudyMaterial, paradigm: str, measure: str, panel: str | None = None, **options: Any) -> Parts:
    """Drawing and tables of one panel, the first if none is named."""
    curves = own.gathered.curves.filter(paradigm=paradigm)
    shown = panel if panel is not None else next(iter(own.arm_styles.panels), "")
    domain = {"domain": margins_of(curves)} if measure == "margin" else {}
    return figures_arms.trajectory_parts(curves, own.arm_styles, shown, own.spans, measure, **{**domain, **options})


def margins_of(curves: pl.DataFrame) -> tuple[float, float]:
    """The ends of the margin's axis that every arm's seeds fit between."""
    low, high = curves.select(pl.col("margin").min().alias("low"), pl.col("margin").max().alias("high")).row(0)
    return min(low or 0.0, 0.0), max(high or 0.0, 0.0)


def response(own: StudyMaterial, paradigm: str | None = None, measure: str = "late_accuracy", **options: Any) -> alt.Chart:
    """One paradigm's measure against the bigram margin that the arms achieved, or, where that is not known, against the dose."""
    return filled(*response_parts(own, _paradigm(own, paradigm), measure, **options))


def response_parts(own: StudyMaterial, paradigm: str, measure: str, **options: Any) -> Parts:
    """Drawing and tables of the same."""
    at, title = evidence_of(own, paradigm)
    return figures_effects.response_parts(own.by_seed.filter(paradigm=paradigm), at, own.arm_styles, measure, title, **options)


def evidence_of(own: StudyMaterial, paradigm: str) -> tuple[pl.DataFrame, str]:
    """What a response is drawn over: arm, x; and its name.  No rows where arms differ in neither evidence nor dose."""
    found = figures_effects.achieved(own.gathered.evidence).filter(paradigm=paradigm).rename({"bigram margin": "x"})
    if found["x"].n_unique() > 1:
        return found.select("arm", "x"), "bigram margin achieved (nats)"
    if own.arm_styles.dose is None:
        return found.select("arm", "x").clear(), ""
    return own.gathered.arms.select("arm", pl.col(f"factor.{own.arm_styles.dose}").alias("x")).drop_nulls(), own.arm_styles.dose


def controls(own: StudyMaterial, **options: Any) -> alt.Chart:
    """How far every control paradigm is from the reference at the end."""
    return figures_effects.controls(moved(own), own.order, within_of(own.study), **options)


def moved(own: StudyMaterial) -> pl.DataFrame:
    """The changes that `controls` draws."""
    return figures_effects.moved(own.by_seed.filter(pl.col("paradigm").is_in(own.controls)), own.study.reference)


def within_of(study: Study) -> float | None:
    """How far the controls may move, where a prediction says so."""
    found = [p.supported.within for p in study.predictions.values() if p.paradigms == "controls" and p.measure == "late_accuracy"]
    return next((value for value in found if value is not None), None)


def seeds(own: StudyMaterial, paradigm: str | None = None, measure: str = "late_accuracy", **options: Any) -> alt.Chart:
    """Every seed of every arm."""
    return filled(*seed_parts(own, _paradigm(own, paradigm), measure, **options))


def seed_parts(own: StudyMaterial, paradigm: str, measure: str = "late_accuracy", **options: Any) -> Parts:
    """Drawing and tables of the same."""
    outcomes, verdicts = own.by_seed.filter(paradigm=paradigm), own.gathered.verdicts.filter(paradigm=paradigm)
    return figures_arms.seed_parts(outcomes.drop_nulls(measure), verdicts, own.order, measure, **options)


def claims(own: StudyMaterial, prediction: str | None = None, **options: Any) -> alt.Chart:
    """One prediction's estimates against what would support or refute it; the first prediction, if none is named."""
    known = [name for name in own.study.predictions if len(rows_of(own, name))]
    if prediction is None and known:
        prediction = known[0]
    if prediction not in known:
        hint = nearest(str(prediction), known) if known else "none has been analysed"
        raise OntogenyError(f"there is no estimate for a prediction {prediction!r}; {hint}")
    asked = own.study.predictions[str(prediction)]
    return figures_claims.intervals(critical(rows_of(own, str(prediction))), zones_of(asked), measured(asked), **options)


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


def zones_of(asked: Prediction) -> list[figures_claims.Zone]:
    """What would support and what would refute a prediction."""
    return figures_claims.zones(asked.supported, asked.refuted)


def _paradigm(own: StudyMaterial, paradigm: str | None) -> str:
    if paradigm is not None:
        return paradigm
    return own.paradigms[0] if own.paradigms else str(own.gathered.curves["paradigm"][0])


FIGURES: dict[str, Callable[..., Any]] = {
    "claims": claims,
    "trajectories": trajectories,
    "response": response,
    "controls": controls,
    "seeds": seeds,
}


def all_of(own: StudyMaterial) -> Iterator[tuple[str, alt.Chart]]:
    """A file's name and the figure, for every figure that the study can have."""
    for name in own.study.predictions:
        if len(rows_of(own, name)):
            yield f"claims-{name}", claims(own, name)
    for paradigm in own.paradigms:
        for measure in TRAJECTORIES:
            yield f"trajectories-{measure}-{paradigm}", trajectories(own, paradigm, measure)
        for measure in RESPONSES if responds(own, paradigm) else ():
            if measured_there(own, paradigm, measure):
                yield f"response-{measure}-{paradigm}", response(own, paradigm, measure)
        if measured_there(own, paradigm, "late_accuracy"):
            yield f"seeds-{paradigm}", seeds(own, paradigm)
    if len(moved(own)):
        yield "controls", controls(own)


def responds(own: StudyMaterial, paradigm: str) -> bool:
    """Whether a paradigm's arms differ in their evidence or dose."""
    return len(evidence_of(own, paradigm)[0]) > 1


def measured_there(own: StudyMaterial, paradigm: str, measure: str) -> bool:
    """Whether any seed has this measure of the paradigm."""
    return own.by_seed.filter(paradigm=paradigm)[measure].drop_nulls().len() > 0


def write_figures(own: StudyMaterial, folder: Path) -> list[Path]:
    """Every figure as SVG and PNG."""
    return [save(chart, folder / f"{name}.{ending}", scale=1.5) for name, chart in all_of(own) for ending in ("svg", "png")]
