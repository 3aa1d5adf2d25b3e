"""What the page says about one suite: sentences, key numbers, charts, the table of verdicts, one card a paradigm."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from statistics import fmean, stdev
from typing import Any

import polars as pl

from ontogeny.pages.axes import known, last_step
from ontogeny.pages.embed import Charts
from ontogeny.pages.templates import anchor
from ontogeny.pages.words import count, human, percent
from ontogeny.report import accuracy, likelihood, paradigm_map
from ontogeny.report.examples import examples
from ontogeny.report.gather import RunMaterial, entry, verdicts_of
from ontogeny.report.headline import MEANINGS, Facts, first_sentence, second_sentence, third_sentence
from ontogeny.report.ladder import at_token_level
from ontogeny.report.ngram_chapter import ngram_chapter
from ontogeny.report.ngram_figures import evidence_of

# mean accuracy over BLiMP's paradigms: Warstadt et al. 2020, table 3
PUBLISHED = {"blimp": {"5-gram": 0.612, "LSTM": 0.698, "GPT-2 large": 0.830, "human": 0.886}}
SMALL = 150  # pixels, the height of a paradigm's figures
CELL = {1: "right", -1: "wrong", 0: "neither"}


def suite_section(material: RunMaterial, suite: str, charts: Charts) -> dict[str, Any]:
    """The template's variables for one suite; its charts are added to `charts`."""
    curves = material.curves.filter(pl.col("suite") == suite)
    verdicts = verdicts_of(material, suite)
    order = _order(curves)
    rows = [] if verdicts is None else [_row(row, suite, material) for row in _sorted(verdicts, order)]
    return {
        "name": suite,
        "anchor": anchor(suite),
        "sentences": sentences(material, suite),
        "numbers": _numbers(material, curves, verdicts),
        "counts": _counts(verdicts),
        **_charts(material, suite, curves, verdicts, charts),
        "rows": rows,
        "has": {name: any(row[name] is not None for row in rows) for name in ("human", "agreement", "length", "words")},
        "phenomena": _phenomena(material, suite, curves, verdicts, charts),
        "likelihoods": known(curves, "logp_good", "logp_bad"),
        "length_line": known(curves, "accuracy_length"),
        "single": curves["step"].n_unique() == 1,
        "several_seeds": "seed" in curves.columns and curves["seed"].n_unique() > 1,
        "ngrams": ngram_chapter(material, suite, charts),
        "bigram_line": evidence_of(material, suite, "ngram_curves") is not None,
        "excluded": _excluded(material, suite),
        "null": _null(material, suite),
        "published": PUBLISHED.get(suite, {}),
    }


# --- sentences ----------------------------------------------------------------------------------------------------


def sentences(material: RunMaterial, suite: str) -> list[str]:
    """The three sentences of a suite; those with nothing to say are left out."""
    curves = material.curves.filter(pl.col("suite") == suite)
    verdicts = verdicts_of(material, suite)
    named = [] if verdicts is None else [(row["paradigm"], row["verdict"]) for row in _most_wrong_first(verdicts)]
    facts = _facts(material, suite, curves)
    found = [
        first_sentence(named, facts, curves["paradigm"].n_unique()),
        second_sentence(named),
        third_sentence(facts, progress=bool(named)),
    ]
    return [sentence for sentence in found if sentence]


def _facts(material: RunMaterial, suite: str, curves: pl.DataFrame) -> Facts:
    kind = entry(material.settings, "model", "kind") or entry(material.settings, "model")
    parameters = material.section("training", "parameters")
    return Facts(
        suite=suite,
        checkpoints=curves["step"].n_unique(),
        step=last_step(curves),
        seeds=curves["seed"].n_unique() if "seed" in curves.columns else 1,
        total=None if material.timeline is None else material.timeline.total,
        words=_words_at(material, last_step(curves)),
        model=f"the {kind.upper() if len(kind) <= 4 else kind} model" if isinstance(kind, str) else _opened(material),
        parameters=int(parameters) if parameters else None,
        corpus=_corpus(material.settings.get("corpus")),
        accuracy=curves.filter(pl.col("step") == last_step(curves)).select(pl.col("accuracy").mean()).item(),
    )


def _opened(material: RunMaterial) -> str | None:
    source = material.section("opened", "from")
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


def _words_at(material: RunMaterial, step: float | None) -> float | None:
    return None if material.timeline is None else material.timeline.words(step)


def _most_wrong_first(verdicts: pl.DataFrame) -> list[dict[str, Any]]:
    by = ["late_mean", "paradigm"] if "late_mean" in verdicts.columns else ["paradigm"]
    return verdicts.sort(by, nulls_last=True).to_dicts()


def _numbers(material: RunMaterial, curves: pl.DataFrame, verdicts: pl.DataFrame | None) -> list[dict[str, str]]:
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
            number = len(verdicts.filter(pl.col("verdict") == name))
            found.append({"label": f"paradigms {name}", "value": str(number), "note": f"of {len(verdicts)}"})
    steps = count(curves["step"].n_unique(), "checkpoint")
    words = _words_at(material, last_step(curves))
    if words:
        found.append({"label": "words seen", "value": human(words), "note": f"at step {last_step(curves):,}; {steps}"})
    else:
        found.append({"label": "last step", "value": f"{last_step(curves):,}", "note": steps})
    return found


def _counts(verdicts: pl.DataFrame | None) -> list[tuple[str, int, str]]:
    if verdicts is None:
        return []
    numbers = dict(verdicts["verdict"].value_counts().iter_rows())
    order = ["learned", *(name for name in MEANINGS if name != "learned")]
    return [(name, numbers[name], MEANINGS[name]) for name in order if name in numbers]


# --- charts -------------------------------------------------------------------------------------------------------


def _charts(
    material: RunMaterial, suite: str, curves: pl.DataFrame, verdicts: pl.DataFrame | None, charts: Charts
) -> dict[str, Any]:
    paradigms, phenomena = curves["paradigm"].n_unique(), len(_phenomenon_names(curves))
    drawn = {
        narrow: charts.add(paradigm_map.accuracy_map(curves, verdicts, material.spans, width="container", narrow=narrow))
        for narrow in (False, True)
    }
    overall = accuracy.overall_accuracy(curves, material.spans, PUBLISHED.get(suite), width="container")
    return {
        "map": drawn[False],
        "map_narrow": drawn[True],
        "map_height": 110 + 15 * (paradigms + phenomena),
        "overall": None if curves["step"].n_unique() == 1 else charts.add(overall),
    }


def _phenomena(
    material: RunMaterial, suite: str, curves: pl.DataFrame, verdicts: pl.DataFrame | None, charts: Charts
) -> list[dict[str, Any]]:
    judged = {} if verdicts is None else {row["paradigm"]: row for row in verdicts.to_dicts()}
    by_paradigm = {
        name: part for (name,), part in with_bigrams(curves, evidence_of(material, suite, "ngram_curves")).group_by("paradigm")
    }
    pairs = material.pairs.get(suite)
    sentences_of = {} if pairs is None else {name: part for (name,), part in pairs.group_by("paradigm", maintain_order=True)}
    groups: dict[str, list[dict[str, Any]]] = {}
    for paradigm, phenomenon in _order(curves).items():
        card = _card(material, suite, by_paradigm[paradigm], judged.get(paradigm), charts)
        card["examples"] = examples(sentences_of[paradigm]) if paradigm in sentences_of else []
        groups.setdefault(phenomenon, []).append(card)
    return [
        {"name": (name or "paradigms").replace("_", " "), "anchor": anchor(suite, "phenomenon", name), "cards": cards}
        for name, cards in groups.items()
    ]


def with_bigrams(curves: pl.DataFrame, ngram_curves: pl.DataFrame | None) -> pl.DataFrame:
    """The curves with `accuracy_bigram`, what a bigram model has learned by the same step, where that is known."""
    if ngram_curves is None:
        return curves
    bigrams = at_token_level(ngram_curves).filter(order=2)
    means = bigrams.group_by("paradigm", "step").agg(pl.col("accuracy").mean().alias("accuracy_bigram"))
    return curves.join(means.with_columns(pl.col("step").cast(curves.schema["step"])), on=["paradigm", "step"], how="left")


def _card(material: RunMaterial, suite: str, curve: pl.DataFrame, judged: dict[str, Any] | None, charts: Charts) -> dict[str, Any]:
    name = curve["paradigm"][0]
    last = last_step(material.curves.filter(pl.col("suite") == suite))
    hi = (judged or {}).get("hi")
    band = None if hi is None or hi > 1 else (1 - hi, hi)
    card = {
        "name": name,
        "anchor": anchor(suite, name),
        "verdict": (judged or {}).get("verdict"),
        "reason": (judged or {}).get("reason"),
    }
    if material.curves.filter(pl.col("suite") == suite)["step"].n_unique() == 1:
        return card | {"only": _only(curve), "likelihood": None, "trajectory": None}
    tables = accuracy.trajectory_tables(curve, material.spans, band, last)
    drawing = accuracy.trajectory_drawing(last, "container", SMALL)
    return card | {
        "only": None,
        "likelihood": _likelihood(material, curve, last, charts),
        "trajectory": charts.add(drawing, tables),
    }


def _only(curve: pl.DataFrame) -> str:
    """A paradigm at a single checkpoint, in words."""
    said = f"Accuracy {_mean(curve, 'accuracy'):.3f}"
    if known(curve, "logp_good", "logp_bad"):
        good, bad = _mean(curve, "logp_good"), _mean(curve, "logp_bad")
        said += f"; mean log-likelihood of the good sentences {good:.2f} and of the bad ones {bad:.2f} nats"
    return f"{said}."


def _mean(frame: pl.DataFrame, column: str) -> float:
    return float(frame.select(pl.col(column).mean()).item())


def _likelihood(material: RunMaterial, curve: pl.DataFrame, last: int, charts: Charts) -> str | None:
    if not known(curve, "logp_good", "logp_bad"):
        return None
    drawing = likelihood.likelihood_drawing(last, "container", SMALL, False)
    return charts.add(drawing, likelihood.likelihood_tables(curve, material.spans, last))


def _order(curves: pl.DataFrame) -> dict[str, str]:
    """Phenomenon by paradigm, in the order of the page: by field, phenomenon, name."""
    keys = [name for name in ("field", "phenomenon") if name in curves.columns]
    table = curves.select("paradigm", *keys).unique().sort(*keys, "paradigm")
    return {row["paradigm"]: row.get("phenomenon") or "" for row in table.to_dicts()}


def _phenomenon_names(curves: pl.DataFrame) -> set[str]:
    return set(_order(curves).values()) - {""}


# --- the table ----------------------------------------------------------------------------------------------------


def _sorted(verdicts: pl.DataFrame, order: Mapping[str, str]) -> list[dict[str, Any]]:
    places = {paradigm: place for place, paradigm in enumerate(order)}
    return sorted(verdicts.to_dicts(), key=lambda row: places.get(row["paradigm"], len(places)))


def _row(row: dict[str, Any], suite: str, material: RunMaterial) -> dict[str, Any]:
    """One row as text; `sort` holds what its columns are ordered by."""
    onset = row.get("onset_step")
    words = _words_at(material, onset)
    return {
        "paradigm": row["paradigm"],
        "anchor": anchor(suite, row["paradigm"]),
        "phenomenon": (row.get("phenomenon") or "").replace("_", " "),
        "verdict": row["verdict"],
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


def _excluded(material: RunMaterial, suite: str) -> list[str]:
    """What was left out of a suite, and why, from the lineage."""
    found = material.section("suites", suite)
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
    return [*said, *_unknown(found), *_settled(material.curves.filter(pl.col("suite") == suite))]


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


def _null(material: RunMaterial, suite: str) -> str | None:
    """How often chance alone would have given a verdict, from the lineage."""
    found = material.section("nulls", suite)
    if not isinstance(found, Mapping) or not found.get("swaps"):
        return None
    alarms, swaps, limit = found.get("either", 0), found["swaps"], found.get("limit")
    said = f"With good and bad exchanged at random, some paradigm came out learned or entrenched in {alarms} of {swaps} tries"
    return f"{said}{'' if limit is None else f' (upper limit of the share: {limit:.3f})'}."
