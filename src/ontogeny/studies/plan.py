"""What a study is, typed: arms as changes to one recipe, seeds, and predictions written down before anything runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from ontogeny.evidence.over import OVER
from ontogeny.instruments.tables import own_instruments
from ontogeny.recipe import LONGEST_NAME, MOST_TRIES, Part, Recipe
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest

MEASURES = (
    "early_margin",
    "late_margin",
    "early_accuracy",
    "late_accuracy",
    "learned_at",
    "basin",
    "dev_loss",
    "verdict",
    "margin",
)


def _known_measure(name: str) -> str:
    """One of ours, or an instrument's column."""
    if name not in MEASURES and "." not in name:
        raise ValueError(f"is {name!r}, no measure and no instrument's INSTRUMENT.COLUMN; {nearest(name, list(MEASURES))}")
    return name


Measure = Annotated[str, AfterValidator(_known_measure)]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class Region(Part):
    """Where an interval has to lie, whole.  Exactly one of the four."""

    above: float | None = None
    """Above this number."""
    below: float | None = None
    """Below this number."""
    within: float | None = Field(None, gt=0)
    """Between minus and plus this number: a margin of equivalence."""
    outside: float | None = Field(None, gt=0)
    """Beyond minus or plus this number, on one side."""

    @model_validator(mode="after")
    def _one(self) -> Region:
        if len(self.model_fields_set) != 1 or None in self.model_dump(exclude_unset=True).values():
            raise ValueError("needs exactly one of above, below, within, outside")
        return self

    @property
    def side(self) -> str:
        """above, below, within or outside."""
        return next(iter(self.model_fields_set))

    @property
    def edge(self) -> float:
        """The number."""
        return float(getattr(self, self.side))

    @property
    def stretches(self) -> list[tuple[float, float]]:
        """From where to where; infinite where it has no end."""
        edge, end = self.edge, math.inf
        return {
            "above": [(edge, end)],
            "below": [(-end, edge)],
            "within": [(-edge, edge)],
            "outside": [(-end, -edge), (edge, end)],
        }[self.side]

    def room(self, low: float, high: float) -> float:
        """How far inside the interval from `low` to `high` lies; negative where it sticks out."""
        inside = ((low - a if a > -math.inf else math.inf, b - high if b < math.inf else math.inf) for a, b in self.stretches)
        return max(map(min, inside))

    def holds(self, low: float, high: float) -> bool:
        """Whether the interval from `low` to `high` lies there, whole."""
        return self.room(low, high) > 0

    def __str__(self) -> str:
        return f"within ±{self.edge:g}" if self.side == "within" else f"{self.side} {'±' * (self.side == 'outside')}{self.edge:g}"


class Prediction(Part):
    """A sentence that a study can support or refute, with the figure that decides."""

    says: str = Field(min_length=1)
    """The sentence."""
    measure: Measure
    """What is measured.  learned_at: tokens until learned, up to the end of training.  basin: 1 where the seed ends at a late
    accuracy above three quarters, halfway from chance to always right, else 0.  verdict: goes with `of: change`.
    margin: at every checkpoint; goes with `of: relaxation`.  INSTRUMENT.COLUMN, such as rules.ood_rule1: what an instrument of the
    recipe reads at the last checkpoint, or precedence, phases or seeds make of the whole run."""
    of: Literal["slope", "difference", "equivalence", "change", "relaxation"]
    """slope: of the measure on `over`, within seeds.  difference, equivalence: each arm minus the reference, seed by seed.
    change: share of seeds whose verdict is not the one that the reference gives the same seed.  relaxation: what is left in the
    end, D(inf), of each arm minus the reference from `since` on, where their texts are alike."""
    over: str | None = None
    """What a slope is over: bigram_margin (measured in the edited text, nats), or a factor whose levels are numbers."""
    since: float | None = Field(None, ge=0, lt=1)
    """Of a relaxation: the share of training after which the arms differ in nothing."""
    against: str | None = None
    """The arm that others are compared with; left out: the study's reference."""
    arms: tuple[str, ...] = ("*",)
    """Patterns of arm names; the reference is always included."""
    paradigms: Literal["named", "controls", "exam"] | tuple[str, ...] = "named"
    """Paradigms it is about: those named by the study, its controls, the half that guards hold back for its exam, or a list."""
    combine: Literal["all", "any", "mean"] = "all"
    """Of several paradigms or arms.  all: each has to.  any: at least one.  mean: the mean over paradigms has to, in each arm."""
    supported: Region
    """Supported if the whole interval lies there ..."""
    refuted: Region
    """... and refuted if it lies there, which wins where both hold: an effect within a margin of equivalence counts as none."""

    @model_validator(mode="after")
    def _meant(self) -> Prediction:
        if (self.of == "slope") != (self.over is not None):
            raise ValueError("a slope needs `over`: bigram_margin or a factor" if self.of == "slope" else "`over` is for of: slope")
        if (self.of == "change") != (self.measure == "verdict"):
            raise ValueError("of: change goes with measure: verdict, and no other does")
        if not (self.of == "relaxation") == (self.since is not None) == (self.measure == "margin"):
            raise ValueError("of: relaxation goes with measure: margin and since: 0.4, a share of training, and no other does")
        if self.of == "equivalence" and self.supported.side != "within":
            raise ValueError("an equivalence is supported within a margin: supported: {within: ...}")
        if self.combine == "mean" and self.measure == "verdict":
            raise ValueError("combine: mean is over paradigms' numbers; a verdict is none")
        if self.supported == self.refuted:
            raise ValueError("is supported and refuted by the same interval")
        return self


class Analysis(Part):
    """How estimates become verdicts on predictions."""

    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Of every interval; one minus it is the level of every test."""
    resamples: int = Field(2000, ge=100, le=MOST_TRIES)
    """Of the Multi-Bootstrap over seeds and clusters of pairs."""
    clusters: Literal["contrast", "pair"] = "contrast"
    """What is drawn beside seeds.  contrast: critical contrasts, each with all its pairs, as a sample of what the paradigm could be
    tested on.  pair: pairs, where a contrast's words are all that there are, as the symbols of a formal language."""
    correction: Literal["holm", "none"] = "holm"
    """Over the paradigms and arms of a prediction (Holm 1979)."""
    seed: int = Field(0, ge=0)
    """Of the resamples."""


class Guards(Part):
    """What keeps a study of cures honest; `guards: {}` takes all as they stand."""

    mirrors: tuple[tuple[str, ...], ...] = (
        ("wh_vs_that_no_gap", "wh_vs_that_with_gap"),
        ("wh_vs_that_no_gap_long_distance", "wh_vs_that_with_gap_long_distance"),
    )
    """Paradigms of which one falls as the other rises: in one half together, and judged by their mean."""
    stuck: tuple[str, ...] = ()
    """Paradigms that were stuck in the untouched arm of an earlier study, of the development half: locked before this one."""
    washout: float = Field(0.2, ge=0, lt=1)
    """Share of training at its end in which no edit holds, and no objective that moves the optimum."""
    held_out_words: bool | None = None
    """Whether pairs are judged at words that interventions may not look at alone: those that `words: half` leaves out."""
    confirms: tuple[str, ...] | None = None
    """Studies beside this one that chose its arms: registered before it, with other seeds."""


class Hypothesis(Part):
    """What the predictions together say: names of predictions with the verdict that each must have, all of them."""

    says: str = ""
    """The claim."""
    supported: dict[str, Literal["supported", "refuted"]] = Field(min_length=1)
    """Supported if every prediction named here came out so ..."""
    refuted: dict[str, Literal["supported", "refuted"]] = Field(min_length=1)
    """... refuted if every one named here did; else undecided."""

    @model_validator(mode="after")
    def _exclusive(self) -> Hypothesis:
        if not any(self.refuted.get(name, verdict) != verdict for name, verdict in self.supported.items()):
            raise ValueError("could be supported and refuted at once: some prediction has to differ between the two")
        return self


class ArmTemplate(Part):
    """An arm, or with `for` one arm for each combination of levels; {factor} stands for a level."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    name: str = Field(min_length=1)
    """Its name; {factor} puts in a level's label."""
    levels: dict[str, Any] = Field({}, alias="for")
    """Factors: a list of numbers or words, or a mapping from label to value."""
    settings: tuple[str, ...] = ()
    """Settings laid over the recipe, as name=value."""
    interventions: tuple[Any, ...] = ()
    """What is changed of the training, after what the recipe changes itself."""
    recipe: str | dict[str, Any] | None = None
    """Another recipe in place of the study's ..."""
    differs: tuple[str, ...] = ()
    """... and the dotted names in which it differs; a name stands for all below it.  What differs unsaid is refused."""
    priority: int = 1
    """Lower runs first."""

    @field_validator("levels", mode="before")
    @classmethod
    def _levels(cls, levels: Any) -> Any:
        if isinstance(levels, dict):
            for name, values in levels.items():
                if not isinstance(values, list | dict) or not values:
                    raise ValueError(f"{name} needs its levels: a list, or a mapping from label to value")
                if any(isinstance(value, list | dict) or value is None for value in (values if isinstance(values, list) else ())):
                    raise ValueError(f"{name} has a level that is no number or word; give it a label: {{label: value, ...}}")
        return levels


class StudyFile(Part):
    """A study as its file has it."""

    name: str = Field(pattern=NAME, max_length=LONGEST_NAME)
    """The study's folder under `runs`."""
    question: str = Field(min_length=1)
    """What it asks."""
    recipe: str | dict[str, Any]
    """The recipe that arms change: a path beside this file, or the recipe itself."""
    settings: tuple[str, ...] = ()
    """Laid over the recipe for all arms, as name=value."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    """Every arm is trained with each; arms share a seed's first weights and data order."""
    paradigms: tuple[str, ...] = Field(min_length=1)
    """Paradigms that the predictions are about, named in advance."""
    controls: tuple[str, ...] | None = None
    """Paradigms that should not move; left out: all others of the suites."""
    reference: str
    """The arm that others are compared with."""
    arms: tuple[ArmTemplate, ...] = Field(min_length=2)
    """What is done."""
    predictions: dict[str, Prediction] = Field({})
    """By name."""
    hypothesis: Hypothesis | None = None
    """What they say together."""
    guards: Guards | None = None
    """Development and exam, mirrors, a washout; left out: none."""
    analysis: Analysis = Analysis()
    """How it is decided."""
    expected: dict[str, float] = Field({})
    """The effect that power is simulated for, by measure or by a prediction's name, whose own wins: per unit of a slope, as a
    difference, or as a share of seeds."""

    @field_validator("seeds", "paradigms", "controls")
    @classmethod
    def _no_doubles(cls, values: Any) -> Any:
        if values and (twice := next((value for value in values if values.count(value) > 1), None)) is not None:
            raise ValueError(f"has {twice} twice; each may be there once")
        return values

    @field_validator("expected")
    @classmethod
    def _known_effects(cls, effects: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        predictions = info.data.get("predictions", {})
        known = [*predictions, *MEASURES, *(one.measure for one in predictions.values())]
        if "predictions" in info.data and (name := next((name for name in effects if name not in known), None)):
            raise ValueError(f"knows no measure and no prediction called {name!r}; {nearest(name, known)}")
        return effects

    @model_validator(mode="after")
    def _names_meet(self) -> StudyFile:
        if self.controls and (both := next((name for name in self.controls if name in self.paradigms), None)):
            raise ValueError(f"{both} is named as a paradigm that should move and as a control")
        if self.hypothesis:
            for name in {**self.hypothesis.supported, **self.hypothesis.refuted}:
                if name not in self.predictions:
                    raise ValueError(f"hypothesis: no prediction is called {name!r}; {nearest(name, list(self.predictions))}")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """One arm: a run of its own, with every seed."""

    name: str
    slug: str  # its folder
    priority: int
    factors: dict[str, float | str]  # numbers where all levels of the factor are, else labels
    changes: str  # in words
    differences: dict[str, Any]  # dotted name -> value, where its recipe is not the study's
    recipe: Recipe


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A study, its arms written out."""

    source: str  # the file it was read from
    file: StudyFile
    base: Recipe
    arms: tuple[Arm, ...]

    def __post_init__(self) -> None:
        for name, prediction in self.file.predictions.items():
            if not self.of_paradigms(prediction.measure) and (prediction.over == "bigram_margin" or prediction.combine == "mean"):
                raise OntogenyError(
                    f"{self.source}: {name}: {prediction.measure} belongs to no paradigm, so it has no slope over a paradigm's "
                    "bigram_margin and no mean over paradigms"
                )

    @property
    def readings(self) -> tuple[str, ...]:
        """The instruments' columns that predictions ask about, as INSTRUMENT.COLUMN."""
        return tuple(dict.fromkeys(one.measure for one in self.file.predictions.values() if "." in one.measure))

    def of_paradigms(self, measure: str) -> bool:
        """False for what a run has one of: its dev loss, an instrument's column that is not of paradigms.

        Raises OntogenyError for an instrument or a column that the recipe does not have.
        """
        if "." not in measure:
            return measure != "dev_loss"
        name, _, column = measure.split("@")[0].partition(".")
        instruments: dict[str, Any] = {one.name: one for one in (*own_instruments(self.base), *self.base.instruments)} | OVER
        if name not in instruments:
            raise OntogenyError(f"{self.source}: the recipe lists no instrument {name!r}; {nearest(name, list(instruments))}")
        columns = instruments[name].columns
        if column not in columns or columns[column].index:
            raise OntogenyError(
                f"{self.source}: the instrument {name} has no column {column!r}; "
                f"{nearest(column, [known for known, one in columns.items() if not one.index])}"
            )
        indexes = {index for index, one in columns.items() if one.index}
        chosen = {choice.partition("=")[0] for choice in measure.split("@")[1:]}
        if wrong := sorted(chosen - indexes) or sorted(indexes - chosen - {"suite", "paradigm"}):
            one_of = ", ".join(f"@{index}=..." for index in columns if index in indexes) or "no index"
            raise OntogenyError(f"{self.source}: {measure}: {name} reads {column} by {one_of}; wrong or open: {wrong[0]}")
        return "paradigm" in columns

    def effect_of(self, name: str) -> float | None:
        """The effect that a prediction is simulated for: its own, or that of its measure; None where neither is said."""
        return self.file.expected.get(name, self.file.expected.get(self.file.predictions[name].measure))

    def arm(self, name: str) -> Arm:
        """The arm of that name.  Raises OntogenyError with the nearest."""
        found = next((arm for arm in self.arms if arm.name == name), None)
        if found is None:
            raise OntogenyError(f"{self.file.name} has no arm {name!r}; {nearest(name, [arm.name for arm in self.arms])}")
        return found

    def base_of(self, prediction: Prediction) -> str:
        """The arm that a prediction compares others with."""
        return prediction.against or self.file.reference

    def arms_of(self, prediction: Prediction) -> tuple[Arm, ...]:
        """The arms that a prediction is about, the reference among them, in the study's order."""
        wanted = {self.base_of(prediction)}.union(*map(self.names_meant, prediction.arms))
        return tuple(arm for arm in self.arms if arm.name in wanted)

    def names_meant(self, pattern: str) -> set[str]:
        """The arms that a pattern of names means: the one that is called just so, else all that match."""
        names = {arm.name for arm in self.arms}
        return {pattern} if pattern in names else {name for name in names if fnmatchcase(name, pattern)}

    def paradigms_of(self, prediction: Prediction, known: list[str]) -> list[str]:
        """The paradigms that a prediction is about, given those that were read.  Raises OntogenyError for one that was not."""
        groups = {"named": list(self.file.paradigms), "controls": self.controls_among(known), "exam": list[str]()}
        wanted = groups[prediction.paradigms] if isinstance(prediction.paradigms, str) else list(prediction.paradigms)
        for name in wanted:
            if name not in known:
                raise OntogenyError(f"{self.source}: paradigm {name!r} was not read; {nearest(name, known)}")
        return wanted

    def controls_among(self, known: list[str]) -> list[str]:
        """The controls: those listed, or all known paradigms that the study does not name."""
        listed = self.file.controls
        return list(listed) if listed is not None else [name for name in known if name not in self.file.paradigms]
