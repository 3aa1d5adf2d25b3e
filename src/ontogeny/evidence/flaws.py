"""What can be wrong with a paradigm as a guide: each rule says in plain sentences what it finds, and how much it weighs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from ontogeny.evidence.guides import Guides
from ontogeny.scoring.options import CHANCE

MODELS = {1: "unigram", 2: "bigram", 3: "trigram", 4: "4gram", 5: "5gram"}  # order: name in columns
LEVELS = ("word", "token")
MEANINGFUL, CARE, POOR = VERDICTS = ("meaningful guide", "guide with care", "poor guide")

Row = Mapping[str, Any]  # one paradigm's measurements, as `audit` makes them
Weight = Literal["grave", "slight", "note"]
Said = Iterator[tuple[Weight, str]]
Rule = Callable[[Row, Guides, int], Said]  # the last: the fewest observations that could be told from chance


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule has to say about a paradigm."""

    rule: str  # its name
    weight: Weight
    text: str  # a plain sentence with its figures


def judged(measured: pl.DataFrame, thresholds: Guides) -> pl.DataFrame:
    """`measured` with a verdict, its reasons (gravest first), notes and the flaws' names, for each paradigm.

    Poor guide with any grave flaw, guide with care with any other, else meaningful guide.  Notes weigh nothing.
    """
    fewest = thresholds.fewest(len(measured))
    found = [_findings(row, thresholds, fewest) for row in measured.iter_rows(named=True)]
    columns = {
        "verdict": pl.Series([_verdict(findings) for findings in found], dtype=pl.String),
        "reasons": pl.Series([[f.text for f in findings if f.weight != "note"] for findings in found], dtype=pl.List(pl.String)),
        "notes": pl.Series([[f.text for f in findings if f.weight == "note"] for findings in found], dtype=pl.List(pl.String)),
        "flaws": pl.Series([_flaws(findings) for findings in found], dtype=pl.List(pl.String)),
    }
    first = [name for name in ("suite", "paradigm", "phenomenon", "field") if name in measured.columns]
    return measured.with_columns(**columns).select(*first, *columns, pl.exclude(*first, *columns))


def _findings(row: Row, thresholds: Guides, fewest: int) -> list[Finding]:
    found = [Finding(name, *said) for name, rule in (FLAWS | NOTES).items() for said in rule(row, thresholds, fewest)]
    return sorted(found, key=lambda finding: ("grave", "slight", "note").index(finding.weight))


def _verdict(findings: list[Finding]) -> str:
    weights = {finding.weight for finding in findings}
    return POOR if "grave" in weights else CARE if "slight" in weights else MEANINGFUL


def _flaws(findings: list[Finding]) -> list[str]:
    return list(dict.fromkeys(finding.rule for finding in findings if finding.weight != "note"))


# --- the rules ----------------------------------------------------------------------------------------------------


def _too_few(row: Row, thresholds: Guides, fewest: int) -> Said:
    if row["pairs"] < fewest:
        yield "grave", f"{_count(row['pairs'], 'pair')}, all right, could not be told from chance: that takes {fewest}"


def _ngrams(row: Row, thresholds: Guides, fewest: int) -> Said:
    for level in LEVELS:
        accuracies = _accuracies(row, level, thresholds)
        right = {name: value for name, value in accuracies.items() if value >= thresholds.partly}
        if accuracies and min(accuracies.values()) >= thresholds.solved:
            yield "grave", f"solved by n-grams of {level}s of every order: {_listed(right)} right"
        elif right and max(right.values()) >= thresholds.solved:
            yield "grave", f"solved by n-grams of {level}s: {_listed(right)} right"
        elif right:
            yield "slight", f"partly solved by n-grams of {level}s: {_listed(right)} right"


def _misled(row: Row, thresholds: Guides, fewest: int) -> Said:
    for level in LEVELS:
        most = thresholds.misled * row.get("chance", CHANCE) / CHANCE
        wrong = {name: value for name, value in _accuracies(row, level, thresholds).items() if value <= most}
        if wrong:
            yield "note", f"misleads n-grams of {level}s ({_listed(wrong)} right): success takes more than they know"


def _capitals(row: Row, thresholds: Guides, fewest: int) -> Said:
    if row["capitals"] >= thresholds.capitals:
        said = ", ".join(f"{percent(row[f'{level}_unigram'])} of {level}s" for level in LEVELS if f"{level}_unigram" in row)
        yield (
            "note",
            f"the words differ in capitals alone in {percent(row['capitals'])} of pairs: unigrams ({said}) decide no verdict",
        )


def _accuracies(row: Row, level: str, thresholds: Guides) -> dict[str, float]:
    """The n-gram models of a level that may decide a verdict here."""
    barred = {"unigram"} if row["capitals"] >= thresholds.capitals else set()
    columns = {name: f"{level}_{name}" for name in MODELS.values() if name not in barred}
    return {name: row[column] for name, column in columns.items() if column in row}


def _length(row: Row, thresholds: Guides, fewest: int) -> Said:
    for level in LEVELS:
        accuracy = row.get(f"{level}_length", 0)
        if accuracy >= thresholds.partly:
            equal = row[f"{level}_bigram_equal_length"]
            without = "" if equal is None else f" (at equal length a bigram model gets {percent(equal)})"
            said = f"solved by length: counting {level}s gets {percent(accuracy)} right, as {_shorter(row, level)}{without}"
            yield ("grave", said) if accuracy >= thresholds.solved else ("slight", f"partly {said}")


def _lengths(row: Row, thresholds: Guides, fewest: int) -> Said:
    for level in LEVELS:
        accuracy, unequal = row.get(f"{level}_length", CHANCE), row.get(f"{level}_unequal", 0)
        if accuracy < thresholds.partly and (unequal >= thresholds.unequal or accuracy <= thresholds.misled):
            yield "note", f"counted in {level}s, {_shorter(row, level)}: compare sums with scores per {level}"


def _shorter(row: Row, level: str) -> str:
    unequal = row[f"{level}_unequal"]
    shorter = (row[f"{level}_length"] - (1 - unequal) / 2) / unequal  # equal lengths count one half each
    return f"the lengths differ in {percent(unequal)} of pairs and the good sentence is the shorter in {percent(shorter)} of these"


def _human(row: Row, thresholds: Guides, fewest: int) -> Said:
    if row["human"] is not None and row["human"] < thresholds.human:
        yield (
            "grave" if row["human"] < thresholds.disputed else "slight",
            f"people chose the sentence that counts as good in only {percent(row['human'])} of judgements",
        )


def _words(row: Row, thresholds: Guides, fewest: int) -> Said:
    if row["critical_unseen"] >= thresholds.critical_unseen:
        yield (
            "grave" if row["critical_unseen"] >= thresholds.unknown else "slight",
            f"{percent(row['critical_unseen'])} of pairs are told apart by a word that the training text never has",
        )
    if row["critical_rare"] >= thresholds.critical_rare:
        yield (
            "slight",
            f"{percent(row['critical_rare'])} of pairs are told apart by a word that occurs fewer than"
            f" {thresholds.rare} times in the training text",
        )
    if row["pairs_with_unseen"] >= thresholds.unseen:
        yield "slight", f"{percent(row['pairs_with_unseen'])} of pairs have a word that the training text never has"


def _contrasts(row: Row, thresholds: Guides, fewest: int) -> Said:
    if row["effective_contrasts"] < (thresholds.contrasts or fewest):
        yield "slight", _only(row, "distinct contrast", row["contrasts"], row["effective_contrasts"])


def _templates(row: Row, thresholds: Guides, fewest: int) -> Said:
    if row["effective_templates"] < thresholds.templates:
        yield "slight", _only(row, "template", row["templates"], row["effective_templates"])


def _only(row: Row, thing: str, number: int, worth: float) -> str:
    equally = "" if f"{worth:.1f}" == f"{number}.0" else f", worth {worth:.1f} equally frequent ones"
    return f"only {_count(number, thing)} behind {_count(row['pairs'], 'pair')}{equally}"


def _one_sided(row: Row, thresholds: Guides, fewest: int) -> Said:
    if row["one_sided"] >= thresholds.one_sided:
        mirrors = row["mirrored_by"]
        verb = "has" if len(mirrors) == 1 else "have"
        beside = f"; {', '.join(mirrors)} {verb} them the other way round: read them together" if mirrors else ""
        yield (
            "slight",
            f"one-sided: pairs that turn on the same words agree in {percent(row['one_sided'])} on which of these are good,"
            f" so fixed preferences among words would do{beside}",
        )


def _identical(row: Row, thresholds: Guides, fewest: int) -> Said:
    if row["identical"]:
        yield "note", f"{_count(row['identical'], 'pair')} with identical sentences left out"


FLAWS: dict[str, Rule] = {
    "too few pairs": _too_few,
    "n-grams": _ngrams,
    "length": _length,
    "human agreement": _human,
    "unknown words": _words,
    "few contrasts": _contrasts,
    "one-sided": _one_sided,
    "few templates": _templates,
}

NOTES: dict[str, Rule] = {
    "capitals": _capitals,
    "misled n-grams": _misled,
    "lengths": _lengths,
    "identical pairs": _identical,
}


def percent(share: float) -> str:
    """A share as people read it, to a tenth of a percent: .876 is 87.6 %, 1 is 100 %."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def spoken(model: str) -> str:
    """A model's name in sentences: 5gram is 5-gram."""
    return model.replace("gram", "-gram") if model[0].isdecimal() else model


def _listed(accuracy: Mapping[str, float]) -> str:
    return ", ".join(f"{spoken(name)} {percent(value)}" for name, value in accuracy.items())


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
