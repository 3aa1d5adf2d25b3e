"""What the tables of the n-gram evidence say, in plain English: pure functions from frames to sentences."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import polars as pl

from ontogeny.pages.orders import MODELS, NAMES, at_token_level, peaks
from ontogeny.pages.words import count, enumerated
from ontogeny.report.foretelling import PREDICTORS, out_of_fold
from ontogeny.report.ladder import rung_cells, whole
from ontogeny.report.ngram_accuracy import overall

FEWEST = 8  # paradigms of either kind, for anything to be decided
FAINT = 0.2  # a highest correlation below this is following none


def answer(foretold: pl.DataFrame | None, contests: pl.DataFrame | None) -> list[tuple[str, str]]:
    """Did the bigrams foretell what ends wrong, and better than what else?  A short answer and the rest, a pair a question."""
    found = []
    for question, lead in (("ends wrong", ""), ("stays wrong", "And of the paradigms that are wrong early, which stay wrong? ")):
        for row in [] if foretold is None else foretold.filter(question=question, predictors="b").to_dicts():
            short, rest = _verdict(row, question)
            against = [] if row["auc"] is None else _against(contests, question)
            found.append((lead + short, " ".join([rest, *against]).strip()))
    return found


def _verdict(row: dict[str, Any], question: str) -> tuple[str, str]:
    auc, low, high = row["auc"], row["low"], row["high"]
    if auc is None:
        return f"Undecided: {_sides(row, question)}.", ""
    interval = "" if low is None or high is None else f" (interval {100 * low:.0f} to {100 * high:.0f})"
    cases = f"in {100 * auc:.0f} of 100 cases{interval}; a guess gives 50."
    asked = f"Shown a paradigm that {question} and one that does not, the bigram margin points to the first {cases}"
    if row.get("undecided"):
        return f"Undecided: {_sides(row, question)}, and fewer than {FEWEST} on either side are too few to tell.", asked
    if low is not None and low > 0.5:
        return f"Yes, bigrams alone foretell what {question}.", asked
    if high is not None and high < 0.5:
        return f"No, rather the reverse: what the bigrams favour more often {question}.", asked
    return f"No: bigrams alone do not reliably foretell what {question}.", asked


def _sides(row: dict[str, Any], question: str) -> str:
    do, does_not = row["positives"], row["negatives"]
    verb = question.split()[0]
    verb, other = verb if do == 1 else verb.removesuffix("s"), "does" if does_not == 1 else "do"
    return f"{count(do, 'paradigm')} {verb} wrong and {does_not} {other} not"


def _against(contests: pl.DataFrame | None, question: str) -> list[str]:
    """How the bigram margin fares against the other predictors of one question."""
    if contests is None:
        return []
    rows = out_of_fold(contests).filter(question=question, first="b").to_dicts()
    groups = {how: [PREDICTORS.get(r["second"], r["second"]) for r in rows if r["verdict"] == how] for how in ("better", "worse")}
    parts = [f"{how} than {enumerated([_the(name) for name in names])}" for how, names in groups.items() if names]
    open_ = [_the(PREDICTORS.get(r["second"], r["second"])) for r in rows if r["verdict"] not in groups]
    said = f"It does {enumerated(parts)}" if parts else ""
    if open_:
        between = f"between it and {enumerated(open_)} the difference is undecided"
        said = f"{said}; {between}" if said else between[0].upper() + between[1:]
    return [f"{said}."] if said else []


def _the(name: str) -> str:
    return name if name.startswith("the ") or name in ("length", "all together") else f"the {name}"


# --- captions -----------------------------------------------------------------------------------------------------


def ladder_says(ladder: pl.DataFrame, spans: pl.DataFrame | None) -> str:
    """When the network agrees most with each order, whether in their order, and with which it agrees at the end."""
    own = whole(at_token_level(ladder), "pairs")
    if own.is_empty():
        return ""
    tops = peaks(own, spans).to_dicts()
    said = enumerated([f"with {MODELS[row['order']]} at step {row['step']:,} ({row['r']:.2f})" for row in tops])
    last = own.filter(pl.col("step") == pl.col("step").max()).group_by("order").agg(pl.col("r").mean())
    ranked = last.drop_nulls("r").sort("r", "order").to_dicts()
    if not tops or not ranked:
        return ""
    end = f"At the last checkpoint it agrees most with {MODELS[ranked[-1]['order']]} ({ranked[-1]['r']:.2f})."
    return f"Over all pairs, the network's preferences agree most {said}. {_turns([row['step'] for row in tops])}{end}"


def _turns(steps: list[int]) -> str:
    if len(steps) < 2 or steps[0] == steps[-1]:
        return ""
    if all(a <= b for a, b in pairwise(steps)):
        return "The longer the model, the later its turn. "
    return "The turns do not come in the order of the models' length. "


def rungs_say(ladder: pl.DataFrame, rungs: pl.DataFrame | None) -> str:
    """Which order how many paradigms follow at the end, and how many left their rung."""
    cells = rung_cells(ladder, rungs)
    last = cells.filter(pl.col("step") == pl.col("step").max())
    follows = last.filter(pl.col("r") >= FAINT)
    numbers = sorted(follows["closest order"].value_counts().iter_rows(), key=lambda row: (-row[1], row[0]))
    none = len(last) - len(follows)
    parts = [f"{number} {'follows' if number == 1 else 'follow'} {NAMES[order]} most" for order, number in numbers]
    parts += [f"{none} {'follows' if none == 1 else 'follow'} none closely (correlations below {FAINT})"] if none else []
    said = f"At the last checkpoint, of {count(len(last), 'paradigm')}, {enumerated(parts)}."
    if "left" not in cells.columns:
        return said
    left = cells.filter("left")["paradigm"].n_unique()
    return f"{said} {left} {'has' if left == 1 else 'have'} left the rung {'it was' if left == 1 else 'they were'} closest to."


def bigrams_say(counts: dict[str, int], odds: dict[str, float] | None) -> str:
    """How many paradigms end wrong where bigrams are wrong and where they are not, and the odds ratio."""
    wrong, right = (counts[f"{side}_and_wrong"] + counts[f"{side}_and_right"] for side in ("wrong", "right"))
    said = (
        f"The bigrams get {wrong} of {count(wrong + right, 'paradigm')} wrong, preferring the bad sentence in more than half "
        f"of the pairs. Of these, {counts['wrong_and_wrong']} end wrong; of the other {right}, {counts['right_and_wrong']}."
    )
    if odds is None or odds.get("odds_ratio") is None:
        return said
    low, high, p = odds.get("low"), odds.get("high"), odds.get("p_adjusted", odds.get("p"))
    interval = "" if low is None or high is None else f", 95 % interval {_ratio(low)} to {_ratio(high)}"
    settled = low is not None and high is not None and (low > 1 or high < 1) and (p is None or p < 0.05)
    so = "" if settled else ": undecided"
    if odds["odds_ratio"] == float("inf"):
        return f"{said} The ratio of the odds is infinite, as one of the four counts is 0{interval}{so}."
    return f"{said} The odds of ending wrong are {_ratio(odds['odds_ratio'])} times as high{interval}{so}."


def _ratio(value: float) -> str:
    return "infinity" if value == float("inf") else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def foretold_says(foretold: pl.DataFrame) -> str:
    """The predictor with the highest area for each question, and which questions are undecided."""
    parts = []
    for question in ("stays wrong", "ends wrong"):
        rows = foretold.filter(question=question).drop_nulls("auc").sort("auc", descending=True).to_dicts()
        if rows:
            best = PREDICTORS.get(rows[0]["predictors"], rows[0]["predictors"])
            open_ = all(row.get("undecided") for row in rows)
            undecided = " (undecided)" if open_ else ""
            parts.append(f"what {question} is best foretold from {best}, {rows[0]['auc']:.2f}{undecided}")
    return f"Here, {enumerated(parts)}." if parts else ""


def ngrams_say(ngram_curves: pl.DataFrame, curves: pl.DataFrame) -> str:
    """Accuracies at the last step that all have, and from when on the network is ahead of the bigram model."""
    means = overall(ngram_curves, curves)
    both = sorted(set(means.filter(pl.col("order").is_null())["step"]) & set(means.drop_nulls("order")["step"]))
    if not both:
        return ""
    at = {(row["order"], row["step"]): row["accuracy"] for row in means.to_dicts()}
    orders = sorted({order for order, step in at if order is not None and step == both[-1]})
    gets = [f"{100 * at[order, both[-1]]:.1f} %" for order in orders]
    rest = [f"{MODELS[order]} {share}" for order, share in zip(orders[1:], gets[1:], strict=True)]
    others = "".join(f", {said}" for said in rest)
    network = f"the network {100 * at[None, both[-1]]:.1f} %"
    first = f"By step {both[-1]:,} {MODELS[orders[0]]} gets {gets[0]} of the pairs right{others}; {network}."
    return f"{first} {_ahead([(step, at[None, step] - at[2, step]) for step in both if (2, step) in at])}".strip()


def _ahead(leads: list[tuple[int, float]]) -> str:
    """From when on a lead lasts."""
    if not leads:
        return ""
    if leads[-1][1] <= 0:
        return "The network is not ahead of the bigram model at the end."
    behind = [step for step, lead in leads if lead <= 0]
    since = next(step for step, lead in leads if not behind or step > behind[-1])
    return f"It is lastingly ahead of the bigram model from step {since:,}."


def matched_says(matched: pl.DataFrame) -> str:
    """The pooled difference, in how many paradigms it is significant, and how many had too few matches."""
    apart, pooled = matched.filter(pl.col("paradigm") != ""), matched.filter(paradigm="").drop_nulls("difference").to_dicts()
    told = apart.drop_nulls("difference")
    settled = told.filter(pl.col("p_adjusted") < 0.05)
    more, less = len(settled.filter(pl.col("difference") > 0)), len(settled.filter(pl.col("difference") < 0))
    said = []
    if pooled:
        row = pooled[0]
        known = row["low"] is not None
        interval = (
            f"95 % interval {100 * row['low']:.1f} to {100 * row['high']:.1f}" if known else "too few paradigms for an interval"
        )
        decided = not known or row["low"] > 0 or row["high"] < 0
        way = "more" if row["difference"] >= 0 else "less"
        said.append(
            f"Among {row['pairs']:,} pairs alike in unigrams and length, the network is right "
            f"{abs(100 * row['difference']):.1f} points {way} often "
            f"where the bigrams favour the good sentence ({interval}{'' if decided else ': undecided'})."
        )
    show = f"{more} {'shows it on its' if more == 1 else 'show it on their'} own and {less} the reverse"
    said.append(f"Of {count(len(told), 'paradigm')} with enough pairs to match, {show}.")
    few = len(apart) - len(told)
    return " ".join(said) + (f" {count(few, 'paradigm')} had too few." if few else "")
