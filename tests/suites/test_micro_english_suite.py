"""Pairs of micro-English: what every paradigm must keep to, and what the corpus's bigrams say of it."""

import json
import re
from collections import Counter
from itertools import groupby, pairwise
from math import log
from random import Random

import pytest
from typer.testing import CliRunner

from ontogeny.cli import app
from ontogeny.corpora.micro_english import MicroEnglish, micro_english
from ontogeny.corpora.micro_english.language import ASPECTS
from ontogeny.corpora.micro_english.paradigms import Frame, Paradigm, paradigms
from ontogeny.corpora.micro_english.recognition import Recogniser, diagnose
from ontogeny.records import Document, OntogenyError, Pair
from ontogeny.suites.blimp import AGREEMENT
from ontogeny.suites.micro_english import MicroEnglishPairs, critical, draw, leaning, made, seen
from ontogeny.suites.table import Table

UNEQUAL: set[str] = set()  # paradigms whose good and bad sentences may differ in number of words


def words(sentence):
    return ["<bos>", *re.findall(r"\w+|[.?!,]", sentence)]


@pytest.fixture(scope="module")
def lines():
    return [document.text for document in MicroEnglish(words=300_000).documents()]


@pytest.fixture(scope="module")
def pairs():
    return {name: list(group) for name, group in groupby(MicroEnglishPairs().pairs(), key=lambda pair: pair.paradigm)}


@pytest.fixture(scope="module")
def scorer(lines):
    """Bigrams with .1 added to each count, a line after BOS as in training."""
    bigrams = Counter(bigram for line in lines for bigram in pairwise(words(line)))
    first: Counter[str] = Counter()
    for (word, _), count in bigrams.items():
        first[word] += count
    size = len({word for _, word in bigrams})

    def logp(sentence):
        return sum(log((bigrams[a, b] + 0.1) / (first[a] + 0.1 * size)) for a, b in pairwise(words(sentence)))

    return lambda sentences: [logp(sentence) for sentence in sentences]


@pytest.fixture(scope="module")
def margins(scorer, pairs):
    scored = {name: (scorer([p.good for p in group]), scorer([p.bad for p in group])) for name, group in pairs.items()}
    return {name: [good - bad for good, bad in zip(*both, strict=True)] for name, both in scored.items()}


@pytest.fixture(scope="module")
def reader():
    return Recogniser(micro_english(0.5))


def test_the_paradigms_are_blimps():
    ours = {name: (paradigm.phenomenon, paradigm.field) for name, paradigm in paradigms().items()}
    assert ours == {name: place for place, names in AGREEMENT.items() for name in names}


@pytest.mark.real
def test_names_and_prefix_methods_are_blimps_and_the_pairs_are_not(real_data, pairs):
    """Sentences as short as `The broken cup is red.` meet by chance, in 2 of 13,400 pairs; longer ones never do."""
    same = set()
    ours = {(pair.good, pair.bad) for group in pairs.values() for pair in group}
    for name, paradigm in paradigms().items():
        rows = [json.loads(line) for line in (real_data / "suites" / "blimp" / "data" / f"{name}.jsonl").open(encoding="utf-8")]
        flags = {"one": rows[0]["one_prefix_method"], "two": rows[0]["two_prefix_method"]}
        assert [way for way, flag in flags.items() if flag] == ([] if paradigm.prefixes == "none" else [paradigm.prefixes])
        same |= ours & {(row["sentence_good"], row["sentence_bad"]) for row in rows}
    assert len(same) <= len(ours) / 5000
    assert all(len(good.split()) <= 5 for good, _ in same)


@pytest.mark.parametrize("name", paradigms())
def test_the_grammar_has_the_good_sentences_and_not_the_bad(pairs, reader, name):
    for pair in pairs[name][:25]:
        assert reader.accepts(pair.good), pair.good
        assert not reader.accepts(pair.bad), pair.bad


@pytest.mark.parametrize("name", paradigms())
def test_without_its_rule_the_grammar_has_no_good_sentence(pairs, name):
    reader = Recogniser(micro_english(0.5), without={paradigms()[name].rule})
    assert not any(reader.accepts(pair.good) for pair in pairs[name][:3])


@pytest.mark.parametrize("name", [name for name, paradigm in paradigms().items() if paradigm.fails])
def test_the_feature_that_fails_is_the_one_named(pairs, name):
    (aspect,) = (aspect for aspect, features in ASPECTS.items() if paradigms()[name].fails in features)
    assert all(aspect in diagnose(pair.bad) for pair in pairs[name][:5])


def test_every_paradigm_has_its_number_of_different_pairs(pairs):
    assert list(pairs) == list(paradigms())
    for name, group in pairs.items():
        assert len({(pair.good, pair.bad) for pair in group}) == len({pair.pair for pair in group}) == 200, name
        assert all(pair.good != pair.bad for pair in group), name


def test_a_larger_number_adds_pairs_and_changes_none(pairs):
    fewer = list(MicroEnglishPairs(pairs_per_paradigm=7).pairs())
    assert fewer == [pair for group in pairs.values() for pair in group[:7]]
    assert fewer != list(MicroEnglishPairs(pairs_per_paradigm=7, seed=2).pairs())


def test_too_many_pairs_are_an_error_that_counts():
    frame = Frame(good="there is X:Noun[n=sg sort=food] .", bad="there are X .")
    paradigm = Paradigm(phenomenon="toy", field="toy", frames=(frame,))
    with pytest.raises(OntogenyError, match=r"toy gave only 6 different pairs .* 7 are asked for"):
        list(draw("toy", paradigm, 7, micro_english(0.5), Random(0)))
    assert len(list(draw("toy", paradigm, 6, micro_english(0.5), Random(0)))) == 6


def test_good_and_bad_have_as_many_words(pairs):
    unequal = {name for name, group in pairs.items() if any(len(words(p.good)) != len(words(p.bad)) for p in group)}
    assert unequal == UNEQUAL


def test_prefix_methods_fit_the_pairs(pairs):
    for pair in (pair for group in pairs.values() for pair in group):
        good, bad = words(pair.good), words(pair.bad)
        different = [place for place, (a, b) in enumerate(zip(good, bad, strict=True)) if a != b]
        if pair.one_prefix:
            assert len(different) == 1 and different[0] > 1, pair
        if pair.two_prefix:
            assert different[-1] < len(good) - 1 or good[-1] != bad[-1], pair
        assert not (pair.one_prefix and pair.two_prefix)


def test_every_word_of_the_pairs_is_in_the_corpus(lines, pairs):
    known = {word for line in lines for word in words(line)}
    asked = {word for group in pairs.values() for pair in group for word in words(pair.good) + words(pair.bad)}
    assert asked <= known


@pytest.mark.parametrize("name", [name for name, paradigm in paradigms().items() if paradigm.misleading])
def test_bigrams_prefer_the_bad_sentences_of_misleading_paradigms(margins, name):
    assert sum(margins[name]) / len(margins[name]) < -0.5
    assert sum(margin > 0 for margin in margins[name]) / len(margins[name]) < 0.35


@pytest.mark.parametrize("name", [name for name, paradigm in paradigms().items() if not paradigm.misleading])
def test_bigrams_do_not_prefer_the_bad_sentences_of_the_others(margins, name):
    assert sum(margins[name]) / len(margins[name]) > -0.5


def test_halves_are_paradigms_of_their_own():
    both = MicroEnglishPairs(pairs_per_paradigm=20, paradigms=["wh_vs_that_with_gap", "wh_island"], halves=True)
    found = {name: list(group) for name, group in groupby(both.pairs(), key=lambda pair: pair.paradigm)}
    assert list(found) == ["wh_vs_that_with_gap_a", "wh_vs_that_with_gap_b", "wh_island"]
    verbs = {"a": r"\b(kn[eo]w|guess|sa[iy])", "b": r"\b(remember|forg[eo]t|learn)"}
    for half, verb in verbs.items():
        assert all(re.search(verb, pair.good) for pair in found[f"wh_vs_that_with_gap_{half}"])


def test_the_critical_region_is_where_the_sentences_differ():
    assert critical(Pair("p", "0", "The dog has ever slept.", "The dog has often slept.")) == ((3, 4), (3, 4))
    assert critical(Pair("p", "0", "Who did Anna see?", "Anna saw who?")) == ((0, 4), (0, 3))
    assert critical(Pair("p", "0", "a a b", "a b")) == ((1, 2), (1, 1))


# --- pairs for a text ---------------------------------------------------------------------------------------------


def test_seen_counts_the_head_of_a_sentence_as_the_word_it_is():
    text = [Document("The dog's box. the dog", "t", 1)]
    assert seen(text) == {"The", "the", "dog", "'s", "box"}
    assert seen(text, 2) == {"the", "dog"}


def test_pairs_have_only_words_that_were_seen(lines):
    known = seen([Document(line, "t", 0) for line in lines[:3000]], 5)
    short = {}
    for pair in made(20, known=known, missing=short):
        heads = {word if word in known else word.lower() for word in re.findall(r"'s\b|\w+", pair.good + " " + pair.bad)}
        assert {word[:-1] if word in ("an", "An") else word for word in heads} <= known
    assert 0 < len(short) < 67


def test_a_paradigm_that_cannot_be_made_says_how_many_pairs_it_has():
    known = {"the", "dog", "dogs", "cat", "cats", "sees", "see", "this", "these", "Anna"}
    with pytest.raises(
        OntogenyError, match=r"determiner_noun_agreement_1 gave only \d+ different pairs .* from the words that may be used; 500 "
    ):
        list(made(500, ["determiner_noun_agreement_1"], known=known))
    assert len(list(made(4, ["determiner_noun_agreement_1"], known=known))) == 4
    with pytest.raises(OntogenyError, match="wh_island gave only 0 different pairs"):
        list(made(1, ["wh_island"], known=known))
    with pytest.raises(OntogenyError, match="no paradigm is called 'wh_iland'; did you mean 'wh_island'"):
        list(made(1, ["wh_iland"]))


@pytest.mark.parametrize(
    ("side", "kept"), [("neutral", lambda m: abs(m) <= 0.5), ("helpful", lambda m: m > 0.5), ("misleading", lambda m: m < -0.5)]
)
def test_pairs_are_chosen_by_their_bigrams(scorer, side, kept):
    chosen = list(leaning(20, scorer, side, ["regular_plural_subject_verb_agreement_1"]))
    assert len(chosen) == 20
    good, bad = scorer([pair.good for pair in chosen]), scorer([pair.bad for pair in chosen])
    assert all(kept(ours - theirs) for ours, theirs in zip(good, bad, strict=True))


def test_too_few_pairs_on_a_side_are_an_error_that_counts(scorer):
    with pytest.raises(OntogenyError, match="wh_vs_that_with_gap has only 0 helpful pairs among 100; 5 are asked for"):
        list(leaning(5, scorer, "helpful", ["wh_vs_that_with_gap"]))


def test_pairs_can_be_made_for_a_run_and_read_back(finished_run, tmp_path):
    table = tmp_path / "ours.jsonl"
    asked = ["--vocabulary", str(finished_run), "--at-least", "2", "--pairs", "5", "--out", str(table)]
    said = CliRunner().invoke(app, ["suites", "make", "blimp-like", *asked]).output
    read_back = list(Table(path=table).pairs())
    assert f"{len(read_back)} pairs: {table}" in said
    assert len({pair.paradigm for pair in read_back}) + said.count("left out: micro-english: ") == 67
    row = json.loads(table.read_text().splitlines()[0])
    assert row["good"].split()[slice(*row["critical_good"])] != row["bad"].split()[slice(*row["critical_bad"])]


def test_only_blimp_like_pairs_are_made():
    found = CliRunner().invoke(app, ["suites", "make", "blimp-lick"]).exception
    assert "did you mean 'blimp-like'" in str(found)
