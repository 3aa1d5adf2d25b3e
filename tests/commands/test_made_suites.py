"""Suites made for a run's text: words that it has, and pairs on which its bigrams take a side."""

import json

import pytest

from ontogeny.commands.made_suites import bigrams, make
from ontogeny.laboratory import Run
from ontogeny.records import OntogenyError
from ontogeny.suites.micro_english import SIDES

NAMES = ["wh_vs_that_with_gap", "determiner_noun_agreement_1"]


def rows(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("side", SIDES)
def test_bigrams_of_the_text_take_the_side_that_was_asked_for(own_run, tmp_path, side):
    count, missing = make(tmp_path / "pairs.jsonl", 3, NAMES, vocabulary=own_run, at_least=1, lean=side)
    scorer = bigrams(Run(own_run).count()["word"])
    found = rows(tmp_path / "pairs.jsonl")
    assert len(found) == count
    assert len(missing) == 2 - count // 3  # a paradigm without enough such pairs is named
    for row in found:
        good, bad = scorer([row["good"], row["bad"]])
        assert SIDES[side](good - bad, 0.5)


def test_the_scorer_is_the_run_s_own_bigram_model(own_run):
    run = Run(own_run)
    found = run.ngram_evidence.explain(run.verdicts()["paradigm"][0], None, "word", 2)
    pair = found.example
    good, bad = bigrams(run.count()["word"])([pair.good, pair.bad])
    one = run.why(found.paradigm, pair.pair, level="word", order=2)
    assert good - bad == pytest.approx(one.mean_margin)


def test_what_cannot_be_made_is_refused(own_run, tmp_path):
    with pytest.raises(OntogenyError, match="did you mean 'misleading'"):
        make(tmp_path / "x.jsonl", 3, lean="misleadin", vocabulary=own_run)
    with pytest.raises(OntogenyError, match="--vocabulary RUN"):
        make(tmp_path / "x.jsonl", 3, lean="neutral")
