"""The audit of a suite against a training text: counts, n-gram models, and which paradigms are meaningful guides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from ontogeny import disk, ngrams, registry, yaml_text
from ontogeny import recipe as recipes
from ontogeny.display import QUIET, Display
from ontogeny.evidence.audit import audit
from ontogeny.evidence.flaws import MODELS
from ontogeny.evidence.guides import Guides
from ontogeny.instruments.ngram_margins import margins_of
from ontogeny.laboratory import Run
from ontogeny.ngram_evidence import Evidence
from ontogeny.ngrams.counted import Counted
from ontogeny.ngrams.words import word_stream
from ontogeny.readers.folders import asked_of
from ontogeny.records import Corpus, OntogenyError, Pair
from ontogeny.scoring.options import chances, decided, need_right
from ontogeny.scoring.reading import SuitePairs
from ontogeny.suites.contrast import contrast_of
from ontogeny.tokens.prepare import told_by

if TYPE_CHECKING:
    from ontogeny.tokens.token_store import TokenStore


@dataclass(frozen=True, slots=True)
class Audited:
    """What an audit found, and of what."""

    table: pl.DataFrame  # a row a paradigm
    facts: dict[str, Any]  # suite, text, words, thresholds


def audit_suite(
    suite: str,
    path: Path | None = None,
    corpus: str | None = None,
    run: Path | None = None,
    folder: Path = Path("audit"),
    settings: Sequence[str] = (),
    display: Display = QUIET,
) -> Audited:
    """The audit that `ontogeny audit` makes; the table goes to `folder`/audit.parquet.

    Against the text of `run`, whose suite it then is, or against `corpus`.  Raises OntogenyError unless one of the two is given,
    and for anything that cannot be opened.
    """
    if (corpus is None) == (run is None):
        raise OntogenyError("an audit is against a training text: say --corpus FOLDER, or --run RUN for the text of a run")
    disk.claim(folder, "audit.parquet", "Name another folder with --out", "index.html")
    thresholds = guides(settings)
    if run is not None and path is not None:
        raise OntogenyError(f"--suite-path is for --corpus: with --run the suite is as the recipe of {run} has it")
    if run is not None:
        here = Run(run, display)
        found = audit_run(here.ngram_evidence, _asked_by(here, suite), thresholds)
    else:
        found = audit_text(asked_of(suite, path), cast(str, corpus), folder / "words", thresholds, display)
    disk.write_table(folder / "audit.parquet", found.table)
    return found


def _asked_by(run: Run, suite: str) -> SuitePairs:
    names = [asked.name for asked in run.asked]
    if suite not in names:
        raise OntogenyError(f"{run.folder.path} was not read on {suite!r}; {registry.nearest(suite, names)}")
    return run.asked[names.index(suite)]


def audit_run(evidence: Evidence, asked: SuitePairs, thresholds: Guides) -> Audited:
    """A suite of a run, against the text that the run trains on, in words and in the model's tokens."""
    return _audited(asked, evidence.counts.levels(), thresholds, evidence.folder.name, evidence.display)


def audit_text(asked: SuitePairs, corpus: str, folder: Path, thresholds: Guides, display: Display) -> Audited:
    """A suite against any text, named as `corpus_named` takes it, in words; its counts are kept in `folder` for the next time."""
    text = cast(Corpus, corpus_named(corpus))
    key, told = text.fingerprint(), told_by(text)
    for line in told:
        display.say(line)
    with display.bar("reading the text", None, "documents"):
        tokenizer, stream = word_stream(folder, text.documents, key, lambda title: display.bar(title, None, "documents"))
    index = ngrams.open_or_build(folder / "index", stream.ids, len(tokenizer), stream.facts["bos"], key)
    counted = {"word": Counted("word", index, stream, tokenizer)}
    found = _audited(asked, counted, thresholds, corpus, display)
    return replace(found, facts=found.facts | ({"what is read": "; ".join(told)} if told else {}))


def corpus_named(name: str, option: str = "--corpus") -> Any:
    """A corpus as the command line names it: a folder or file of text, or a kind such as micro-english."""
    if Path(name).exists():
        return recipes.build(registry.load("corpus", "text"), {"kind": "text", "path": name}, option)
    if name in registry.names("corpus"):
        return recipes.build(registry.load("corpus", name), {"kind": name}, option)
    if "/" in name or "." in name:
        raise disk.missing(Path(name), option)
    near = registry.nearest(name, registry.names("corpus"))
    raise OntogenyError(f"{option} {name}: neither a folder or file of text nor a kind of corpus; {near}")


def guides(settings: Sequence[str]) -> Guides:
    """The audit's thresholds from NAME=VALUE.  Raises OntogenyError for unknown names, with the nearest, and for bad values."""
    raw: dict[str, Any] = {}
    for setting in settings:
        yaml_text.override(raw, setting)
    found: Guides = recipes.build(Guides, raw, "--set")
    return found


def _audited(asked: SuitePairs, counted: Mapping[str, Counted], thresholds: Guides, text: str, display: Display) -> Audited:
    every, asked = asked, replace(asked, pairs=decided(asked.pairs))
    if not asked.pairs:
        need_right(every.pairs, "an audit")
    frames = []
    for level, own in counted.items():
        with display.bar(f"{asked.name} under n-grams of {level}s", len(MODELS), "orders") as advance:
            frames.append(margins_of(own, asked.name, asked.pairs, MODELS))  # it may have been counted to a higher order
            advance(len(MODELS))
    rows = [
        {
            "paradigm": pair.paradigm,
            "pair": pair.pair,
            **dict(zip(("good", "bad"), _shown(pair), strict=False)),
            "phenomenon": pair.phenomenon,
            "field": pair.field,
            "contrast": contrast_of(pair),
        }
        for pair in asked.pairs
    ]
    there = {pair.paradigm for pair in asked.pairs}
    identical = {paradigm: n for paradigm, n in asked.facts()["identical_in"].items() if paradigm in there}
    human = {paradigm: share for paradigm, share in asked.human.items() if paradigm in there}
    for line in asked.without_words().values():
        display.warn(line)
    table = audit(
        pl.DataFrame(rows), identical, pl.concat(frames), _word_counts(counted["word"]), human, thresholds, chances(asked.pairs)
    )
    stream: TokenStore = counted["word"].text
    facts = {
        "suite": asked.name,
        "text": text,
        "words": stream.facts["words"],
        "documents": stream.facts["documents"],
        "thresholds": thresholds.model_dump(mode="json"),
    }
    facts |= asked.without_words()
    if others := sorted({pair.paradigm for pair in every.pairs} - there):
        facts["left out, graded by people"] = ", ".join(others)
    if lost := sorted({pair.paradigm for pair in asked.identical} - there):
        facts["left out, all pairs identical"] = ", ".join(lost)
    return Audited(table, facts)


def _shown(pair: Pair) -> tuple[str, ...]:
    """A pair's options as an audit compares their words: with what stands before each where that differs."""
    return tuple(" ".join(both) for both in pair.asked) if pair.contexts else pair.options


def _word_counts(counted: Counted) -> dict[str, int]:
    level = counted.index.levels[0]
    words = counted.tokenizer.convert_ids_to_tokens(level.key.astype("int64").tolist())
    return dict(zip(words, level.count.tolist(), strict=True))
