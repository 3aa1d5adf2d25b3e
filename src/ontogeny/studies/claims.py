"""Whether each prediction came out: supported, refuted or undecided, with the figure and interval that decide it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl

from ontogeny.estimators.means import Comparison
from ontogeny.estimators.significance import Share, flips, holm
from ontogeny.studies.estimates import Estimate, difference, estimated, mean_over, slope
from ontogeny.studies.guards import exam_of, together
from ontogeny.studies.measures import Measures, Values
from ontogeny.studies.plan import Analysis, Hypothesis, Prediction, Study
from ontogeny.studies.relaxation import FOLLOWED, plateaus
from ontogeny.trajectories.timeline import ROUNDING, Floats, Ints

SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided"
NAMES = {1: SUPPORTED, -1: REFUTED, 0: UNDECIDED}
SIGNS = {name: sign for sign, name in NAMES.items()}
CLAIMS: dict[str, Any] = {
    "prediction": pl.String,
    "says": pl.String,
    "paradigm": pl.String,  # null: the prediction as a whole
    "measure": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "p_corrected": pl.Float64,
    "seeds": pl.Int64,
    "verdict": pl.String,
    "note": pl.String,
    "arm": pl.String,  # null: over several arms
}
WHOLE = "hypothesis"  # the row of what the predictions say together


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One figure of a prediction: of a paradigm and, where arms are judged one by one, of an arm."""

    paradigm: str | None
    arm: str | None
    found: Estimate | None = None
    p: float | None = None
    notes: tuple[str, ...] = ()
    incomplete: bool = False  # an arm that the prediction is about has no seeds: nothing is decided yet
    comparison: Comparison | None = None  # what it is estimated from; None: it cannot be made


def claims(study: Study, measures: Measures) -> pl.DataFrame:
    """For each prediction a row of the whole (paradigm null), then one for each paradigm (and arm); last the hypothesis.

    estimate with low and high at the study's confidence; p of no effect by sign flips over seeds (of an equivalence: two one-sided
    tests), null where there are too few seeds; p_corrected after Holm over the prediction's rows; verdict.

    A row is supported (refuted) if the interval lies whole in that region at a level that Holm leaves it among the
    prediction's rows; refuted wins.  The whole, with `combine: all`: supported if every row is, refuted if any is; with `any`:
    supported if any is, refuted if every one is; with `mean` the rows are means over paradigms, one an arm, and all have to be.
    Its figure is that of the row that decides: the least favourable, or with `any` the most.  Nothing is decided while an arm
    has no seeds.  Raises OntogenyError for paradigms that were not read and frames that do not fit together.
    """
    rows: list[dict[str, Any]] = []
    verdicts: dict[str, str] = {}
    for name, prediction in study.file.predictions.items():
        judged = judge(cells_of(study, prediction, measures), prediction, study.file.analysis)
        verdicts[name] = judged[0]["verdict"]
        rows += [{"prediction": name, "says": prediction.says, "measure": prediction.measure} | row for row in judged]
    if study.file.hypothesis:
        rows.append(_together(study.file.hypothesis, verdicts))
    return pl.DataFrame(rows, CLAIMS, orient="row")


# --- from frames to figures ---------------------------------------------------------------------------------------


def cells_of(study: Study, prediction: Prediction, measures: Measures) -> list[Cell]:
    """The figures of one prediction."""
    if not study.of_paradigms(prediction.measure):
        return [_estimated(study, prediction, one) for one in _draw(study, prediction, measures, None)]
    named = [*study.file.paradigms, *(study.file.controls or ())]
    known = measures.paradigms or named  # nothing has been read yet: nothing is missing
    exam = prediction.paradigms == "exam"
    paradigms = exam_of(study.file.guards, known) if exam else study.paradigms_of(prediction, known)
    if not paradigms:
        return [Cell(None, None, notes=("the exam is closed" if exam else "there are no controls",), incomplete=True)]
    if prediction.of == "change":
        return [_change(study, prediction, measures, paradigm) for paradigm in paradigms]
    if prediction.of == "relaxation":
        cells = [_relaxed(study, prediction, measures, one, arm) for one in paradigms for arm in _others(study, prediction)]
        return [_estimated(study, prediction, cell) for cell in cells]
    drawn = [_draw(study, prediction, measures, paradigm) for paradigm in paradigms]
    by_name = dict(zip(paradigms, drawn, strict=True))
    drawn = [_as_one({name: by_name[name] for name in group}) for group in together(study.file.guards, paradigms)]
    if prediction.combine == "mean":
        drawn = [[_mean(cells) for cells in zip(*drawn, strict=True)]]
    return [_estimated(study, prediction, one) for rows in drawn for one in rows]


def generator_of(analysis: Analysis, name: str | None) -> np.random.Generator:
    """A paradigm's own generator, so that no draw depends on which others there are."""
    return np.random.default_rng([analysis.seed, crc32((name or "").encode())])


def abscissa(study: Study, prediction: Prediction, measures: Measures, paradigm: str | None) -> dict[str, float]:
    """What a slope is over, by arm; arms for which it is not known are left out."""
    arms = study.arms_of(prediction)
    if prediction.over == "bigram_margin":
        known = measures.bigram_margin(str(paradigm))
        return {arm.name: known[arm.name] for arm in arms if arm.name in known}
    return {arm.name: float(arm.factors[str(prediction.over)]) for arm in arms}


def _draw(study: Study, prediction: Prediction, measures: Measures, paradigm: str | None) -> list[Cell]:
    """A slope, or a difference for each arm, before it is estimated."""
    values = measures.values(prediction.measure, paradigm)
    arms = [arm.name for arm in study.arms_of(prediction)]
    if prediction.of != "slope":
        base = study.base_of(prediction)
        return [_drawn(study, paradigm, arm, values, {base: 0.0, arm: 1.0}, []) for arm in _others(study, prediction)]
    known = abscissa(study, prediction, measures, paradigm)
    unknown = [arm for arm in arms if arm not in known and values.there(arm)]
    over = {arm: known.get(arm, math.nan) for arm in arms if arm not in unknown}  # NaN: an arm without seeds, which is left out
    one = _drawn(study, paradigm, None, values, over, [f"no bigram margin: {_names(unknown)}"] if unknown else [])
    return [replace(one, incomplete=one.incomplete or bool(unknown))]


def _drawn(
    study: Study, paradigm: str | None, arm: str | None, values: Values, over: Mapping[str, float], notes: list[str]
) -> Cell:
    """The slope over the arms of `over`; with the reference at 0 and one other arm at 1 it is their difference."""
    unread = [name for name in over if not values.there(name)]
    present = {name: at for name, at in over.items() if name not in unread}
    notes = [*([f"no seeds yet: {_names(unread)}"] if unread else []), *notes]
    found = None
    if len(present) > 1 and (arm is None or not unread):
        if np.ptp(list(present.values())) < 1e-9:
            notes.append(f"no slope over what is {next(iter(present.values())):.3g} in every arm")
        else:
            found = slope(values, present) if arm is None else difference(values, arm, next(iter(over)))
            notes += _unpaired(study.file.seeds, found, values, list(present)) + _censored(found, values, list(present))
    return Cell(paradigm, arm, None, None, tuple(notes), bool(unread), found if found is not None and found.seeds else None)


def _relaxed(study: Study, prediction: Prediction, measures: Measures, paradigm: str, arm: str) -> Cell:
    """What is left in the end of an arm's difference; nothing is decided of one that was not followed to its plateau."""
    base = study.base_of(prediction)
    seeds, steps, gaps = measures.apart(paradigm, arm, base)
    late = steps >= float(prediction.since or 0) * steps.max(initial=0)
    if not len(seeds) or late.sum() < 4:
        return Cell(paradigm, arm, notes=("no seeds, or fewer than four checkpoints after the texts are alike",), incomplete=True)
    moments = steps[late] - float(prediction.since or 0) * steps[-1]
    comparison, found = plateaus(seeds, moments, gaps[:, late])
    notes = [f"from {found.start:.2g} with T = {found.time:.3g} steps, followed for {moments[-1] / found.time:.2g} T"]
    notes += (
        [] if found.reached else [f"no plateau within {FOLLOWED:g} T: what is left cannot be told from what is still on its way"]
    )
    return Cell(paradigm, arm, None, None, tuple(notes), not found.reached, comparison)


def _others(study: Study, prediction: Prediction) -> list[str]:
    """The arms that a prediction compares with its reference."""
    return [arm.name for arm in study.arms_of(prediction) if arm.name != study.base_of(prediction)]


def _as_one(drawn: Mapping[str, list[Cell]]) -> list[Cell]:
    """The figures of paradigms that are judged by their mean, under all their names."""
    if len(drawn) == 1:
        return next(iter(drawn.values()))
    return [replace(_mean(cells), paradigm=" and ".join(drawn)) for cells in zip(*drawn.values(), strict=True)]


def _mean(drawn: Sequence[Cell]) -> Cell:
    """The mean over paradigms of the same comparison; None where one of them has none."""
    known = [one.comparison for one in drawn if one.comparison is not None]
    notes = [f"mean of {len(drawn)} paradigms", *dict.fromkeys(note for one in drawn for note in one.notes)]
    whole = mean_over(known) if len(known) == len(drawn) else None
    return Cell(None, drawn[0].arm, None, None, tuple(notes), any(one.incomplete for one in drawn), whole)


def _estimated(study: Study, prediction: Prediction, cell: Cell) -> Cell:
    if cell.comparison is None or not cell.comparison.seeds:
        return cell
    generator = generator_of(study.file.analysis, cell.paradigm)
    measure = prediction.measure if prediction.of != "slope" else ""
    found = estimated([measure], [cell.comparison], study.file.analysis.resamples, generator)[0]
    assert found is not None
    if len(found.seeds) == 1:
        return replace(cell, found=found, notes=(*cell.notes, "one seed: no interval"))
    if prediction.of == "equivalence":
        return replace(cell, found=found, p=found.equivalence(prediction.supported.edge))
    p, level = flips(found.by_seed, study.file.analysis.confidence, generator), 1 - study.file.analysis.confidence
    few = () if p is not None else (f"{len(found.seeds)} seeds are too few for a sign-flip test to reach {level:.2g}",)
    return replace(cell, found=found, p=p, notes=(*cell.notes, *few))


def _change(study: Study, prediction: Prediction, measures: Measures, paradigm: str) -> Cell:
    verdicts, base = measures.verdicts(paradigm), study.base_of(prediction)
    others = _others(study, prediction)
    unread = [arm for arm in (base, *others) if not any((arm, seed) in verdicts for seed in study.file.seeds)]
    present = [arm for arm in others if arm not in unread]
    paired = [seed for seed in study.file.seeds if all((arm, seed) in verdicts for arm in (base, *present))]
    arm = others[0] if len(others) == 1 else None
    notes = [f"no seeds yet: {_names(unread)}"] if unread else []
    if left := [str(seed) for seed in study.file.seeds if seed not in paired]:
        notes.append(f"seeds left out, as not every arm has them: {', '.join(left)}")
    if not present or not paired:
        return Cell(paradigm, arm, notes=tuple(notes), incomplete=bool(unread))
    flipped = [float(np.mean([verdicts[one, seed] != verdicts[base, seed] for one in present])) for seed in paired]
    notes += _over_all(base, measures.overall_verdicts(paradigm), present)
    if len(paired) > 1:
        share = disagreement(verdicts, base, paired)
        notes.append(f"two seeds of {base!r} differ in {share:.0%} of comparisons")
    return Cell(paradigm, arm, Share(float(np.mean(flipped)), tuple(paired)), None, tuple(notes), bool(unread))


def disagreement(verdicts: Mapping[tuple[str, int], str], arm: str, seeds: Sequence[int]) -> float:
    """Share of pairs of an arm's seeds whose verdicts differ: what seeds alone do.  NaN for one seed."""
    names = [verdicts[arm, seed] for seed in seeds]
    pairs = [(a, b) for index, a in enumerate(names) for b in names[:index]]
    return sum(a != b for a, b in pairs) / len(pairs) if pairs else math.nan


def _over_all(reference: str, overall: Mapping[str, str], arms: Sequence[str]) -> list[str]:
    said = [f"{overall[arm]} ({arm})" for arm in arms if arm in overall]
    return [f"over all seeds: {overall[reference]} ({reference}), {', '.join(said)}"] if reference in overall and said else []


def _unpaired(seeds: Sequence[int], comparison: Comparison, values: Values, arms: Sequence[str]) -> list[str]:
    """Which seeds are left out, and which arms lack them."""
    left = [seed for seed in seeds if seed not in comparison.seeds]
    by: dict[str, list[str]] = {}
    for seed in left:
        by.setdefault(_names([arm for arm in arms if seed not in values.there(arm)]), []).append(str(seed))
    lacking = [f"{', '.join(seeds)} (not in {where})" for where, seeds in by.items()]
    return [f"seeds left out: {', '.join(lacking)}"] if lacking else []


def _censored(comparison: Comparison, values: Values, arms: Sequence[str]) -> list[str]:
    if values.censored is None:
        return []
    rows, columns = [values.arms.index(arm) for arm in arms], [values.seeds.index(seed) for seed in comparison.seeds]
    never = int(values.censored[np.ix_(rows, columns)].sum())
    of = len(rows) * len(columns)
    return [f"never learned in {never} of {of} trainings, which count as the end of training"] if never else []


def _names(arms: Sequence[str]) -> str:
    return ", ".join(map(repr, arms))


# --- from figures to verdicts -------------------------------------------------------------------------------------


def judge(cells: Sequence[Cell], prediction: Prediction, analysis: Analysis) -> list[dict[str, Any]]:
    """The prediction's rows: the whole first, then each cell; a single cell that belongs to no paradigm is the whole."""
    found = [cell.found for cell in cells]
    verdicts = [UNDECIDED if c.incomplete else v for c, v in zip(cells, decide(found, prediction, analysis), strict=True)]
    corrected = _corrected([cell.p for cell in cells], analysis)
    rows = [_row(*one, prediction, analysis) for one in zip(cells, verdicts, corrected, strict=True)]
    shown = rows[decisive(rows, prediction)]
    sign = combined(np.array([SIGNS[verdict] for verdict in verdicts]), prediction)
    whole = shown | {"paradigm": None, "verdict": NAMES[int(sign)]}
    if len(rows) == 1:
        return [whole, *(row for row in rows if row["paradigm"] is not None)]
    place = ", ".join(name for name in (shown["paradigm"], shown["arm"]) if name)
    note = f"{_tally(verdicts, prediction)}; shown: {place}"
    return [whole | {"note": "; ".join(filter(None, [note, shown["note"]]))}, *rows]


def decide(found: Sequence[Estimate | None], prediction: Prediction, analysis: Analysis) -> list[str]:
    """supported, refuted or undecided for each estimate, after Holm over all of them."""
    supported, refuted = (
        np.array([1.0 if one is None else one.level(region) for one in found])
        for region in (prediction.supported, prediction.refuted)
    )
    return [NAMES[int(sign)] for sign in signs(supported, refuted, analysis)]


def signs(supported: Floats, refuted: Floats, analysis: Analysis) -> Ints:
    """1 supported, -1 refuted, 0 undecided, from the levels at which intervals lie in the two regions, (..., rows)."""
    alpha = 1 - analysis.confidence + ROUNDING
    for_it, against = (_holm(levels, analysis) <= alpha for levels in (supported, refuted))
    return np.where(against, -1, for_it.astype(np.int64))


def combined(rows: Ints, prediction: Prediction) -> Ints:
    """The sign of a prediction as a whole, from those of its rows (..., rows)."""
    supported, refuted = rows == 1, rows == -1
    if prediction.combine == "any":
        return np.where(supported.any(axis=-1), 1, -refuted.all(axis=-1).astype(np.int64))
    return np.where(refuted.any(axis=-1), -1, supported.all(axis=-1).astype(np.int64))


def decisive(rows: Sequence[Mapping[str, Any]], prediction: Prediction) -> int:
    """Index of the row that the whole hangs on: the least favourable verdict and interval, with `any` the most."""

    def favour(index: int) -> tuple[int, float]:
        row = rows[index]
        known = row["low"] is not None
        return SIGNS[row["verdict"]], prediction.supported.room(row["low"], row["high"]) if known else -math.inf

    return (max if prediction.combine == "any" else min)(range(len(rows)), key=favour)


def _row(cell: Cell, verdict: str, corrected: float | None, prediction: Prediction, analysis: Analysis) -> dict[str, Any]:
    ends = (-math.inf, math.inf) if cell.found is None else cell.found.interval(analysis.confidence)
    low, high = ends if all(map(math.isfinite, ends)) else (None, None)
    return {
        "paradigm": cell.paradigm,
        "arm": cell.arm,
        "estimate": None if cell.found is None else cell.found.value,
        "low": low,
        "high": high,
        "p": cell.p,
        "p_corrected": corrected,
        "seeds": 0 if cell.found is None else len(cell.found.seeds),
        "verdict": verdict,
        "note": "; ".join([*cell.notes, *_surprises(cell, verdict, ends, prediction, analysis)]),
    }


def _surprises(cell: Cell, verdict: str, ends: tuple[float, float], prediction: Prediction, analysis: Analysis) -> list[str]:
    """What a reader of the interval alone would not expect."""
    supported, refuted = prediction.supported.holds(*ends), prediction.refuted.holds(*ends)
    alpha, notes = 1 - analysis.confidence, []
    if supported and refuted:
        notes.append(f"{prediction.supported}, but {prediction.refuted}, which counts as none")
    if verdict == UNDECIDED and (supported or refuted) and not cell.incomplete:
        region = prediction.refuted if refuted else prediction.supported
        notes.append(f"the interval is {region}, but not after Holm over the prediction's rows")
    of_zero = prediction.of != "equivalence" and prediction.supported.side in ("above", "below") and not prediction.supported.edge
    if verdict == SUPPORTED and of_zero and cell.p is not None and cell.p > alpha:
        notes.append(f"the sign-flip test alone does not reach {alpha:.2g}")
    return notes


def _tally(verdicts: Sequence[str], prediction: Prediction) -> str:
    counts = ", ".join(f"{verdicts.count(name)} {name}" for name in (SUPPORTED, REFUTED, UNDECIDED) if name in verdicts)
    need = "one has to be supported" if prediction.combine == "any" else "all have to be supported, one refuted is enough to refute"
    return f"of {len(verdicts)} rows {counts} ({need})"


def _corrected(p: Sequence[float | None], analysis: Analysis) -> list[float | None]:
    known = _holm(np.array([value for value in p if value is not None]), analysis)
    adjusted = iter(known.tolist())
    return [None if value is None else next(adjusted) for value in p]


def _holm(p: Floats, analysis: Analysis) -> Floats:
    return holm(p) if analysis.correction == "holm" else p


def _together(hypothesis: Hypothesis, verdicts: Mapping[str, str]) -> dict[str, Any]:
    """The row of the hypothesis, which has no figure of its own."""
    refuted = all(verdicts[name] == wanted for name, wanted in hypothesis.refuted.items())
    supported = all(verdicts[name] == wanted for name, wanted in hypothesis.supported.items())
    rules = [
        f"{word} if {' and '.join(f'{name} is {wanted}' for name, wanted in rule.items())}"
        for word, rule in ((SUPPORTED, hypothesis.supported), (REFUTED, hypothesis.refuted))
    ]
    return {
        "prediction": WHOLE,
        "says": hypothesis.says,
        "verdict": REFUTED if refuted else SUPPORTED if supported else UNDECIDED,
        "note": "; ".join(rules),
    }
