"""What a study's numbers say, in plain words: pure functions, and never more than the numbers show."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ontogeny.pages.words import count, enumerated, human, listed, probability
from ontogeny.studies.plan import Prediction, Region

DECIDED = ("supported", "refuted", "undecided")
UNDECIDED = "undecided"
MEASURES = {  # what a measure is called, and its unit
    "early_margin": ("early margin", "nats"),
    "late_margin": ("late margin", "nats"),
    "early_accuracy": ("early accuracy", ""),
    "late_accuracy": ("late accuracy", ""),
    "learned_at": ("tokens until learned", "tokens"),
    "basin": ("share of seeds that end right", ""),
    "dev_loss": ("dev loss", "nats per token"),
    "verdict": ("verdict", ""),
    "margin": ("margin", "nats"),
}


def answer(verdicts: Mapping[str, str]) -> str:
    """How many predictions came out how.  `verdicts`: by prediction; one that could not be analysed yet is missing or empty."""
    if not verdicts:
        return "Nothing was predicted: the figures below describe, and decide nothing."
    known = {name: verdict for name, verdict in verdicts.items() if verdict}
    if not known:
        return f"None of the {count(len(verdicts), 'prediction')} can be decided yet: the arms that they are about are not there."
    numbers = Counter(known.values())
    said = [f"{numbers[name] or 'none'} {'is' if numbers[name] < 2 else 'are'} {name}" for name in DECIDED]
    names = {name: [key for key, verdict in known.items() if verdict == name] for name in DECIDED}
    said = [text + (f" ({listed(names[name], 6)})" if names[name] else "") for text, name in zip(said, DECIDED, strict=True)]
    waiting = [name for name in verdicts if name not in known]
    rest = (
        f" {count(len(waiting), 'prediction')} {'waits' if len(waiting) == 1 else 'wait'} for arms that are not there."
        if waiting
        else ""
    )
    if len(verdicts) == 1:
        return f"The prediction {next(iter(known))} is {next(iter(known.values()))}."
    return f"Of {count(len(verdicts), 'prediction')}, {enumerated(said)}.{rest}"


def overall(says: str, verdict: str, rules: str) -> str:
    """What the predictions say together.  `rules`: what makes it supported, and what refuted."""
    claim = f"“{says.rstrip('.')}”" if says else "The hypothesis"
    return f"{claim} is {verdict} as a whole ({rules})." if rules else f"{claim} is {verdict} as a whole."


def measured(prediction: Prediction) -> str:
    """The figure that decides a prediction, with its unit, as an axis has it."""
    name, unit = MEASURES.get(prediction.measure, (prediction.measure, ""))
    other = f"that of {prediction.against!r}" if prediction.against else "the reference's"
    if prediction.of == "change":
        return f"share of seeds whose verdict is not {other}"
    if prediction.of == "relaxation":
        return f"{name} ({unit}), minus {other}, in the end"
    if prediction.of == "slope":
        over = "bigram margin (nats)" if prediction.over == "bigram_margin" else str(prediction.over)
        return f"slope of {name}{f' ({unit})' if unit else ''} over {over}"
    return f"{name}{f' ({unit})' if unit else ''}, minus {other}"


def region(where: Region) -> str:
    """Where a whole interval has to lie: above 0, within ±.03."""
    edge = number(where.edge) if where.side in ("within", "outside") else signed(where.edge)
    return {"within": f"within ±{edge}", "outside": f"beyond ±{edge} on one side"}.get(where.side, f"{where.side} {edge}")


def stakes(prediction: Prediction, verdict: str | None) -> str:
    """What would have decided otherwise, or would decide."""
    supported, refuted = region(prediction.supported), region(prediction.refuted)
    if verdict == "supported":
        return f"It would have been refuted by a whole interval {refuted}."
    if verdict == "refuted":
        return f"It would have been supported by a whole interval {supported}."
    return f"A whole interval {supported} would support it; one {refuted} would refute it."


def estimate(row: Mapping[str, Any], confidence: float) -> str:
    """An estimate with its interval, seeds and p."""
    if row.get("estimate") is None:
        return str(row.get("note") or "no estimate")
    low, high = row.get("low"), row.get("high")
    said = [f"{100 * confidence:g} % interval {interval(low, high)}"] if low is not None or high is not None else []
    said += [count(int(row["seeds"]), "seed")] if row.get("seeds") is not None else []
    corrected, p = row.get("p_corrected"), row.get("p")
    if p is not None:
        other = corrected is not None and not math.isclose(corrected, p)
        said.append(f"p {probability(p)}" + (f", corrected {probability(corrected)}" if other else ""))  # type: ignore[arg-type]
    return f"{signed(row['estimate'], digits(low, high))} ({'; '.join(said)})"


def interval(low: float | None, high: float | None) -> str:
    """Both ends, to two digits of what lies between them; one that is not known has no number."""
    ends = ["no end" if end is None or not math.isfinite(end) else signed(end, digits(low, high)) for end in (low, high)]
    return "not known" if ends == ["no end", "no end"] else " to ".join(ends)


def digits(low: float | None, high: float | None) -> int | None:
    """Decimals that give an interval's width two digits; None where it has none, or is of thousands."""
    if low is None or high is None or not math.isfinite(high - low) or high <= low or max(abs(low), abs(high)) >= 1000:
        return None
    return max(0, min(6, 1 - math.floor(math.log10(high - low))))


def lies(row: Mapping[str, Any], prediction: Prediction) -> str:
    """Why an interval decides nothing; empty where it does, or is not known."""
    low, high = row.get("low"), row.get("high")
    if row.get("verdict") != UNDECIDED or low is None or high is None:
        return ""
    supported, refuted = prediction.supported, prediction.refuted
    if supported.holds(low, high) or refuted.holds(low, high):
        return ""  # something else than the interval keeps it open, which the note says
    return f"The interval {interval(low, high)} lies neither wholly {region(supported)} nor wholly {region(refuted)}."


def weak(chances: Mapping[str, Any] | None) -> str:
    """That a study could hardly decide, as was known beforehand; empty where it could, or nobody looked.

    `chances`: a row of `power.POWER`.
    """
    return f"Simulated beforehand: {chances['note']}." if chances is not None and chances["decides"] is False else ""


def there(gathered_seeds: Mapping[str, Sequence[int]], seeds: int) -> str:
    """How much of the study is there.  `gathered_seeds`: by arm, the seeds read to their end, of so many `seeds`."""
    arms, whole = len(gathered_seeds), sum(len(own) >= seeds for own in gathered_seeds.values())
    size = f"{count(arms, 'arm')} with {count(seeds, 'seed')} each"
    if whole == arms:
        return f"All of it is there: {size}."
    done = sum(min(len(own), seeds) for own in gathered_seeds.values())
    return f"Of {size}, {count(whole, 'arm')} {'is' if whole == 1 else 'are'} whole and {done} of {arms * seeds} runs are there."


def missing(gaps: Sequence[tuple[str, int | None, str]]) -> list[str]:
    """What is not there, the same reason told once: (arm, seed or None, why)."""
    by_why: dict[str, dict[str, list[int]]] = {}
    for arm, seed, why in gaps:
        by_why.setdefault(why, {}).setdefault(arm, []).extend([] if seed is None else [seed])
    said = {
        why: [
            f"{arm}, {'seed' if len(seeds) == 1 else 'seeds'} {enumerated([*map(str, seeds)])}" if seeds else arm
            for arm, seeds in own.items()
        ]
        for why, own in by_why.items()
    }
    return [f"{why[0].upper()}{why[1:]}: {'; '.join(places)}." for why, places in said.items()]


def controls_sentence(changes: pl.DataFrame, within: float | None) -> str:
    """How far the control paradigms are from the reference.  `changes`: arm, paradigm, change, seeds."""
    if changes.is_empty():
        return ""
    furthest = changes.sort(pl.col("change").abs(), "arm", "paradigm", descending=[True, False, False]).row(0, named=True)
    mean = float(changes.select(pl.col("change").abs().mean()).item())
    size = f"{count(changes['paradigm'].n_unique(), 'control paradigm')} and {count(changes['arm'].n_unique(), 'arm')}"
    where = f"{furthest['paradigm']} in {furthest['arm']!r} ({signed(furthest['change'], 3)}, {count(furthest['seeds'], 'seed')})"
    said = f"Over {size}, late accuracy is {mean:.3f} from the reference on average; the furthest is {where}."
    if within is None:
        return said
    outside = int(changes.select((pl.col("change").abs() >= within).sum()).item())
    few = "none lies" if not outside else "one lies" if outside == 1 else f"{outside} lie"
    return f"{said} Of the {len(changes):,} means, {few} {number(within)} or more away; with what certainty, the intervals say."


def disagreement(verdicts: pl.DataFrame) -> str:
    """In how many cells of arm x paradigm the seeds come out differently.  `verdicts`: arm, seed, paradigm, verdict."""
    own = verdicts.drop_nulls("seed").group_by("arm", "paradigm").agg(pl.col("verdict").n_unique(), pl.len().alias("seeds"))
    several = own.filter(pl.col("seeds") > 1)
    if several.is_empty():
        return ""
    differ = int((several["verdict"] > 1).sum())
    return f"Seeds of one arm get different verdicts in {differ} of {len(several)} combinations of arm and paradigm."


def number(value: float) -> str:
    """Three significant digits, large numbers as people say them."""
    return human(value) if abs(value) >= 1000 else f"{value:.3g}"


def signed(value: float, decimals: int | None = None) -> str:
    """A change, with its sign; three digits where decimals are not given."""
    text = number(abs(value)) if decimals is None else f"{abs(value):.{decimals}f}"
    return f"{'' if float(value) == 0 else '+' if value > 0 else '−'}{text}"


def groups(divided: pl.DataFrame | None, confidence: float) -> str:
    """Whether the seeds of some arm fall into two groups.  `divided`: see `analysis.DIVIDED`; None: it was not tested."""
    if divided is None or divided.is_empty():
        return "Whether seeds fall into two groups was not tested: that takes five seeds of an arm."
    found = divided.filter(pl.col("p_corrected") <= 1 - confidence).sort("p_corrected", "arm", "paradigm").to_dicts()
    tested = f"of {count(len(divided), 'combination')} of arm and paradigm"
    if not found:
        return f"No arm's seeds fall into two groups more clearly than one group of so few seeds can ({tested}, corrected)."
    said = [
        f"{row['arm']}, {row['paradigm']} ({row['in_lower']} of {row['seeds']} seeds near {row['lower']:.2f}, the others near "
        f"{row['upper']:.2f}; p {probability(row['p_corrected'])})"
        for row in found
    ]
    return f"The seeds fall into two groups in {len(found)} {tested}, corrected: {listed(said, 4)}."


def capital(text: str) -> str:
    """With a capital first letter, and the rest as it is."""
    return text[:1].upper() + text[1:]
