"""What the page says about one suite: sentences, key numbers, charts, the table of verdicts, one card a paradigm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from statistics import fmean, stdev
from typing import Any

import polars as pl

from ontogeny.pages.axes import known, last_step
from ontogeny.pages.embed import Charts
from ontogeny.pages.panel import Panel, shown
from ontogeny.pages.templates import anchor
from ontogeny.pages.words import MEANINGS, count, human, percent
from ontogeny.report import accuracy
from ontogeny.report.examples import examples
from ontogeny.report.headline import Facts, first_sentence, second_sentence, third_sentence
from ontogeny.report.inside import inside_chapter
from ontogeny.report.ngram_chapter import ngram_chapter, of_suite
from ontogeny.results import Results
from ontogeny.trajectories.evidence import FIRM, ONE_SEED, borne_out, tally

CELL = {1: "right", -1: "wrong", 0: "neither"}


def suite_section(results: Results, suite: str, panels: Sequence[Panel], charts: Charts) -> dict[str, Any]:
    """The template's variables for one suite; its charts are added to `charts`.  A part that fails is left out, and said."""
    curves, verdicts = results.curves.filter(pl.col("suite") == suite), verdicts_of(results, suite)

    def part(name: str, make: Callable[[], Any], instead: Any = ()) -> Any:
        return results.part(f"{name} of {suite}", make, instead)

    def table() -> list[dict[str, Any]]:
        return [] if verdicts is None else [verdict_row(row, suite, results) for row in _sorted(verdicts, order_of(curves))]

    rows = part("the table of verdicts", table)
    own = [panel for panel in panels if panel.per == "suite" or panel.chapter == "n-grams"]
    drawn = {
        chapter: [
            one
            for panel in own
            if panel.chapter == chapter and (one := shown(panel, results.frames(panel, suite), results.clock, charts, suite))
        ]
        for chapter in ("suite", "n-grams", "inside", "readings")
    }
    return {
        "name": suite,
        "anchor": anchor(suite),
        "sentences": part("the summary", lambda: sentences(results, suite), [f"{suite}."]),
        "numbers": part("the numbers", lambda: key_numbers(results, curves, verdicts)),
        "counts": part("the counts of verdicts", lambda: verdict_counts(verdicts)),
        "covers": part("what intervals are about", lambda: _covers(verdicts), ""),
        "panels": drawn["suite"],
        "readings": drawn["readings"],
        "rows": rows,
        "has": {name: any(row[name] is not None for row in rows) for name in ("human", "agreement", "length", "words")},
        "phenomena": part("paradigm by paradigm", lambda: _phenomena(results, suite, curves, verdicts, panels, charts)),
        "likelihoods": known(curves, "logp_good", "logp_bad"),
        "length_line": known(curves, "accuracy_length"),
        "single": curves["step"].n_unique() == 1,
        "several_seeds": "seed" in curves.columns and curves["seed"].n_unique() > 1,
        "ngrams": part("the chapter on n-grams", lambda: ngram_chapter(results, suite, drawn["n-grams"]), {"there": False}),
        "inside": part(
            "the chapter on what is inside",
            lambda: inside_chapter(results, suite, drawn["inside"]),
            {"there": False, "missing": ""},
        ),
        "bigram_line": of_suite(results, suite, "ngram_curves") is not None,
        "excluded": part("what was left out", lambda: _excluded(results, suite)),
        "null": part("the null", lambda: _null(results, suite), None),
    }


def verdicts_of(results: Results, suite: str) -> pl.DataFrame | None:
    """The verdicts of one suite, or None where there are none."""
    return of_suite(results, suite, "verdicts")


# --- sentences ----------------------------------------------------------------------------------------------------


def sentences(results: Results, suite: str) -> list[str]:
    """The three sentences of a suite; those with nothing to say are left out."""
    curves = results.curves.filter(pl.col("suite") == suite)
    verdicts = verdicts_of(results, suite)
    named = [] if verdicts is None else [(row["paradigm"], row["verdict"]) for row in _most_wrong_first(verdicts)]
    facts = replace(_facts(results, suite, curves), firm=_firm(verdicts))
    found = [
        first_sentence(named, facts, curves["paradigm"].n_unique()),
        second_sentence(named, facts.firm),
        third_sentence(facts, progress=bool(named)),
    ]
    return [sentence for sentence in found if sentence]


def _firm(verdicts: pl.DataFrame | None) -> frozenset[str] | None:
    known = None if verdicts is None else verdicts.filter(pl.col("standing").is_not_null() & (pl.col("standing") != ONE_SEED))
    return None if known is None or known.is_empty() else frozenset(known.filter(standing=FIRM)["paradigm"])


def _facts(results: Results, suite: str, curves: pl.DataFrame) -> Facts:
    kind = _kind(results.settings.get("model"))
    parameters = results.section("training", "parameters")
    return Facts(
        suite=suite,
        checkpoints=results.checkpoints(suite),
        step=last_step(curves),
        seeds=curves["seed"].n_unique() if "seed" in curves.columns else 1,
        total=results.clock.total or None,
        words=_words_at(results, last_step(curves)),
        model=f"the {kind.upper() if len(kind) <= 4 else kind} model" if isinstance(kind, str) else _opened(results),
        parameters=int(parameters) if parameters else None,
        corpus=_corpus(results.settings.get("corpus")),
        accuracy=curves.filter(pl.col("step") == last_step(curves)).select(pl.col("accuracy").mean()).item(),
    )


def _kind(part: Any) -> Any:
    """A part's kind, written out or in short."""
    return part.get("kind") if isinstance(part, Mapping) else part


def _opened(results: Results) -> str | None:
    """What somebody else's model is called: where its checkpoints lie, or the class of one that was watched."""
    source = results.section("opened", "from") or results.section("watched", "model")
    return PurePath(source).name or None if isinstance(source, str) else None


def _corpus(corpus: Any) -> str | None:
    if isinstance(corpus, str):
        return corpus
    if not isinstance(corpus, Mapping):
        return None
    for key in ("name", "path", "folder", "dataset"):
        if isinstance(corpus.get(key), str):
            return PurePath(corpus[key]).name or str(corpus[key])
    return str(corpus["kind"]) if "kind" in corpus else None


def _words_at(results: Results, step: float | None) -> float | None:
    per_step = results.clock.words_per_step
    return None if step is None or per_step is None else step * per_step


def _most_wrong_first(verdicts: pl.DataFrame) -> list[dict[str, Any]]:
    by = ["late_mean", "paradigm"] if "late_mean" in verdicts.columns else ["paradigm"]
    return verdicts.sort(by, nulls_last=True).to_dicts()


def key_numbers(results: Results, curves: pl.DataFrame, verdicts: pl.DataFrame | None) -> list[dict[str, str]]:
    """Label, value and a note for each key number."""
    means = accuracy.means(curves).filter(pl.col("step") == last_step(curves))
    found = []
    for over in ("paradigms", "phenomena"):
        values = means.filter(over=over)["accuracy"].to_list()
        if values:
            note = f"± {stdev(values):.3f} over {count(len(values), 'seed')}" if len(values) > 1 else ""
            label = f"accuracy at the last checkpoint, mean over {over}"
            found.append({"label": label, "value": f"{fmean(values):.3f}", "note": note})
    if verdicts is not None:
        for name in ("learned", "entrenched"):
            number, firm = next(((count, firm) for own, count, firm in tally(verdicts) if own == name), (0, None))
            note = f"of {len(verdicts)}" + ("" if firm is None else f"; {firm} firm")
            found.append({"label": f"paradigms {name}", "value": str(number), "note": note})
    steps = count(results.checkpoints(curves["suite"][0]), "checkpoint")
    words = _words_at(results, last_step(curves))
    if words:
        found.append({"label": "words seen", "value": human(words), "note": f"at step {last_step(curves):,}; {steps}"})
    else:
        found.append({"label": "last step", "value": f"{last_step(curves):,}", "note": steps})
    return found


def verdict_counts(verdicts: pl.DataFrame | None) -> list[tuple[str, int, str, str]]:
    """Verdict, paradigms, how many of them are firm, meaning."""
    numbers = {} if verdicts is None else {name: (number, firm) for name, number, firm in tally(verdicts)}
    order = [name for name in ("learned", *(name for name in MEANINGS if name != "learned")) if name in numbers]
    return [
        (name, numbers[name][0], "" if numbers[name][1] is None else f"{numbers[name][1]} firm", MEANINGS[name]) for name in order
    ]


def _covers(verdicts: pl.DataFrame | None) -> str:
    """What intervals and p are about, in a sentence."""
    kinds = [] if verdicts is None else verdicts["covers"].drop_nulls().value_counts(sort=True).rows()
    others = [f"; of {count(number, 'paradigm')}, {covers}" for covers, number in kinds[1:]]
    return f"95 % intervals and p are about {kinds[0][0]}{''.join(others)}." if kinds else ""


# --- paradigms ----------------------------------------------------------------------------------------------------


def _phenomena(
    results: Results, suite: str, curves: pl.DataFrame, verdicts: pl.DataFrame | None, panels: Sequence[Panel], charts: Charts
) -> list[dict[str, Any]]:
    judged = {} if verdicts is None else {row["paradigm"]: row for row in verdicts.to_dicts()}
    of_paradigm = [panel for panel in panels if panel.per == "paradigm"]
    frames = {panel.name: _by_paradigm(results.frames(panel, suite)) for panel in of_paradigm}
    pairs = None
    with results.leaving_out(f"the table of pairs of {suite}"):
        pairs = results.pairs(suite)
    sentences_of = {} if pairs is None else {name: part for (name,), part in pairs.group_by("paradigm", maintain_order=True)}
    explained = results.part(f"why paradigms of {suite} are so", lambda: results.explained(suite), {})
    groups: dict[str, list[dict[str, Any]]] = {}
    for paradigm, phenomenon in order_of(curves).items():
        row = judged.get(paradigm) or {}
        card = {"name": paradigm, "anchor": anchor(suite, paradigm), "verdict": row.get("verdict"), "reason": row.get("reason")}
        card |= {"standing": borne_out(row), "why": explained.get(paradigm)}
        if curves["step"].n_unique() == 1:
            card |= {"only": _only(curves.filter(pl.col("paradigm") == paradigm)), "panels": []}
        else:
            own = [(panel, frames[panel.name].get(paradigm, {})) for panel in of_paradigm]
            drawn = [shown(panel, of, results.clock, charts, paradigm) for panel, of in own]
            card |= {"only": None, "panels": [one for one in drawn if one]}
        card["examples"] = examples(sentences_of[paradigm]) if paradigm in sentences_of else []
        groups.setdefault(phenomenon, []).append(card)
    return [
        {"name": (name or "paradigms").replace("_", " "), "anchor": anchor(suite, "phenomenon", name), "cards": cards}
        for name, cards in groups.items()
    ]


def _by_paradigm(frames: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, pl.DataFrame]]:
    """Frames cut to each paradigm, all at once; those that are of no paradigm are not there."""
    found: dict[str, dict[str, pl.DataFrame]] = {}
    for name, frame in frames.items():
        if "paradigm" not in frame.columns:
            continue
        for (paradigm,), part in frame.group_by("paradigm", maintain_order=True):
            found.setdefault(str(paradigm), {})[name] = part
    return found


def _only(curve: pl.DataFrame) -> str:
    """A paradigm at a single checkpoint, in words."""
    said = f"Accuracy {_mean(curve, 'accuracy'):.3f}"
    if known(curve, "logp_good", "logp_bad"):
        good, bad = _mean(curve, "logp_good"), _mean(curve, "logp_bad")
        said += f"; mean log-likelihood of the good sentences {good:.2f} and of the bad ones {bad:.2f} nats"
    return f"{said}."


def _mean(frame: pl.DataFrame, column: str) -> float:
    return float(frame.select(pl.col(column).mean()).item())


def order_of(curves: pl.DataFrame) -> dict[str, str]:
    """Phenomenon by paradigm, in the order of the page: by field, phenomenon, name."""
    keys = [name for name in ("field", "phenomenon") if name in curves.columns]
    table = curves.select("paradigm", *keys).unique().sort(*keys, "paradigm")
    return {row["paradigm"]: row.get("phenomenon") or "" for row in table.to_dicts()}


# --- the table ----------------------------------------------------------------------------------------------------


def _sorted(verdicts: pl.DataFrame, order: Mapping[str, str]) -> list[dict[str, Any]]:
    places = {paradigm: place for place, paradigm in enumerate(order)}
    return sorted(verdicts.to_dicts(), key=lambda row: places.get(row["paradigm"], len(places)))


def verdict_row(row: dict[str, Any], suite: str, results: Results) -> dict[str, Any]:
    """One row as text; `sort` holds what its columns are ordered by."""
    onset = row.get("onset_step")
    words = _words_at(results, onset)
    return {
        "paradigm": row["paradigm"],
        "anchor": anchor(suite, row["paradigm"]),
        "phenomenon": (row.get("phenomenon") or "").replace("_", " "),
        "verdict": row["verdict"],
        "standing": borne_out(row),
        "early": CELL.get(row.get("early_state"), "not seen"),  # type: ignore[arg-type]
        "early_mean": _share(row.get("early_mean")),
        "length": CELL.get(row.get("length_state")),  # type: ignore[arg-type]
        "length_mean": _share(row.get("length_accuracy")),
        "late": CELL.get(row.get("late_state"), "not seen"),  # type: ignore[arg-type]
        "late_mean": _share(row.get("late_mean"), 3),
        "interval": _interval(row),
        "onset": "" if onset is None else f"{onset:,}",
        "words": None if words is None else human(words),
        "sustained": "" if row.get("sustained_share") is None else percent(row["sustained_share"] + 1e-9),
        "p": _p(row.get("p_adjusted")),
        "agreement": _agreement(row),
        "stable": _stable(row),
        "human": _share(row.get("human")) or None,
        "sort": {
            name: row.get(name)
            for name in ("early_mean", "late_mean", "onset_step", "sustained_share", "p_adjusted", "agreement", "human")
        }
        | {"stable": _ratio(row), "length": row.get("length_accuracy")},
    }


def _share(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _interval(row: Mapping[str, Any]) -> str:
    low, high = row.get("late_low"), row.get("late_high")
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _p(value: float | None) -> str:
    return "" if value is None else "< .001" if value < 0.001 else f"{value:.3f}"


def _agreement(row: Mapping[str, Any]) -> str | None:
    if row.get("agreement") is None:
        return None
    return f"{round(row['agreement'] * row['seeds'])} of {row['seeds']}" if row.get("seeds") else f"{row['agreement']:.2f}"


def _stable(row: Mapping[str, Any]) -> dict[str, str]:
    if not row.get("variants"):
        return {"share": "", "changes": ""}
    changes = row.get("changes_with") or []
    return {
        "share": f"{row['unchanged']} of {row['variants']}",
        "changes": f"changes with {', '.join(changes)}" if changes else "",
    }


def _ratio(row: Mapping[str, Any]) -> float | None:
    return row["unchanged"] / row["variants"] if row.get("variants") else None


def _excluded(results: Results, suite: str) -> list[str]:
    """What was left out of a suite, and why, from the lineage."""
    found = results.section("suites", suite)
    if not isinstance(found, Mapping):
        return []
    said = []
    if isinstance(found.get("pairs"), int):
        said.append(f"{count(found['pairs'], 'pair')} scored.")
    for key, why in (
        ("identical", "left out because both sentences are the same"),
        ("too_long", "left out because a sentence is longer than the model's context"),
    ):
        if isinstance(found.get(key), int):
            said.append(f"{count(found[key], 'pair') if found[key] else 'No pair'} {why}.")
    if alike := found.get("alike_pairs"):
        said.append(f"{count(alike, 'pair')} with the same tokens on both sides, which tie.")
    if without := found.get("without_words"):
        said.append(f"Caution: {without}.")
    if special := found.get("special_sentences"):
        said.append(f"{count(special, 'sentence')} with special tokens written in them, read as such.")
    return [*said, *_unknown(found), *_settled(results.curves.filter(pl.col("suite") == suite))]


def _unknown(found: Mapping[str, Any]) -> list[str]:
    """How many sentences have tokens unknown to the tokenizer, and those that have the most; nothing where none has."""
    sentences, worst = found.get("unknown_sentences"), found.get("unknown_worst") or []
    if not sentences:
        return []
    named = "; ".join(f"“{row['sentence']}” ({row['unknown']})" for row in worst)
    return [f"{count(sentences, 'sentence')} with tokens that the tokenizer does not know; most in: {named}."]


def _settled(curves: pl.DataFrame) -> list[str]:
    """How many pairs were read, where they were read until settled."""
    if "read" not in curves.columns or not (curves["read"] < curves["n"]).any():
        return []
    read, pairs = int(curves["read"].sum()), int(curves["n"].sum())
    return [
        f"Read until each paradigm's state was known: {read:,} of {pairs:,} readings of pairs ({read / pairs:.0%}). Accuracies "
        "before the last checkpoint are estimates from the pairs that were read, and there is no null."
    ]


def _null(results: Results, suite: str) -> str | None:
    """How often chance alone would have given a verdict, from the lineage."""
    found = results.section("nulls", suite)
    if not isinstance(found, Mapping) or not found.get("swaps"):
        return None
    alarms, swaps, limit = found.get("either", 0), found["swaps"], found.get("limit")
    said = f"With good and bad exchanged at random, some paradigm came out learned or entrenched in {alarms} of {swaps} tries"
    return f"{said}{'' if limit is None else f' (upper limit of the share: {limit:.3f})'}."
