"""Pairs of micro-English: what every paradigm must keep to, and what the corpus's bigrams say of it."""

import re
from collections import Counter
from itertools import groupby, pairwise
from math import log
from random import Random

import pytest

from ontogeny.corpora.micro_english import MicroEnglish, micro_english
from ontogeny.records import OntogenyError
from ontogeny.suites.micro_english import Frame, MicroEnglishPairs, Paradigm, draw, paradigms

PHENOMENA = {
    "anaphor_agreement": "morphology",
    "argument_structure": "syntax",
    "binding": "syntax_semantics",
    "control_raising": "syntax_semantics",
    "determiner_noun_agreement": "morphology",
    "ellipsis": "syntax",
    "filler_gap_dependency": "syntax",
    "irregular_forms": "morphology",
    "island_effects": "syntax",
    "npi_licensing": "semantics",
    "quantifiers": "semantics",
    "subject_verb_agreement": "morphology",
}
UNEQUAL: set[str] = set()  # paradigms whose good and bad sentences may differ in number of words

# What the grammar must be learned from: a pattern of the sentences of the corpus that show it.
EVIDENCE = {
    "anaphor_gender_agreement": r"(Anna|The queen) \w+ herself",
    "anaphor_number_agreement": r"The (boys|girls) \w+ themselves",
    "principle_A_domain_1": r"(Anna|queen|girl) \w+ that (the )?\w+ (washed|dressed|fed|painted|scratched) her\.",
    "tough_vs_raising_1": r"(easy|hard|nice) to \w+\.",
    "determiner_noun_agreement_with_adjective_1": r"these \w+ (dogs|boys|cats|girls|balls|boxes|birds)\b",
    "ellipsis_n_bar_1": r"one \w+ \w+ and .* (two|three|many|some)\.",
    "wh_vs_that_with_gap": r"(know|guess|say|remember)\w* (who|what) (the )?\w+ \w+\.",
    "wh_vs_that_no_gap": r"(know|guess|say|remember)\w* that (the )?\w+ \w+ (a|the|these|this) \w+\.",
    "wh_island": r"(Who|What) did (the )?\w+ (know|guess|say|remember) (she|he|they) \w+\?",
    "adjunct_island": r"(Who|What) did (the )?\w+ \w+ (before|after) \w+ing (the )?\w+\?",
    "matrix_question_npi_licensor_present": r"Ha(s|ve) (the )?\w+ ever \w+",
    "npi_present_1": r"ha(s|ve) (often|really|always) \w+",
    "sentential_negation_npi_licensor_present": r"ha(s|ve) not ever \w+",
    "existential_there_quantifiers_1": r"There (are|were) (some|two|three|many) \w+ in",
    "distractor_agreement_relational_noun": r"The \w+r of the (boys|girls|men|women|kings|queens) \w+s\b",
    "distractor_agreement_relative_clause": r"The \w+ that \w+s the (boy|girl|dog|cat|bird|ball|egg|boxe)s \w+s\b",
}


def words(sentence):
    return ["<bos>", *re.findall(r"\w+|[.?!,]", sentence)]


@pytest.fixture(scope="module")
def lines():
    return [document.text for document in MicroEnglish(words=200_000).documents()]


@pytest.fixture(scope="module")
def pairs():
    return {name: list(group) for name, group in groupby(MicroEnglishPairs().pairs(), key=lambda pair: pair.paradigm)}


@pytest.fixture(scope="module")
def margins(lines, pairs):
    """Bigram margin of every pair, add .1, a line after BOS as in training."""
    bigrams = Counter(bigram for line in lines for bigram in pairwise(words(line)))
    first: Counter[str] = Counter()
    for (word, _), count in bigrams.items():
        first[word] += count
    size = len({word for _, word in bigrams})

    def logp(sentence):
        return sum(log((bigrams[a, b] + 0.1) / (first[a] + 0.1 * size)) for a, b in pairwise(words(sentence)))

    return {name: [logp(pair.good) - logp(pair.bad) for pair in group] for name, group in pairs.items()}


def test_every_phenomenon_of_blimp_has_a_paradigm():
    table = paradigms().values()
    assert {paradigm.phenomenon for paradigm in table} == set(PHENOMENA)
    assert all(PHENOMENA[paradigm.phenomenon] == paradigm.field for paradigm in table)


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
    with pytest.raises(OntogenyError, match=r"toy gave only 5 different pairs .* asks for 6"):
        list(draw("toy", paradigm, 6, micro_english(0.5), Random(0)))
    assert len(list(draw("toy", paradigm, 5, micro_english(0.5), Random(0)))) == 5


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


@pytest.mark.parametrize("name", EVIDENCE)
def test_the_corpus_shows_what_a_paradigm_is_learned_from(lines, name):
    assert sum(bool(re.search(EVIDENCE[name], line)) for line in lines) >= 10


@pytest.mark.parametrize("name", [name for name, paradigm in paradigms().items() if paradigm.misleading])
def test_bigrams_prefer_the_bad_sentences_of_misleading_paradigms(margins, name):
    assert sum(margins[name]) / len(margins[name]) < -1
    assert sum(margin > 0 for margin in margins[name]) / len(margins[name]) < 0.3


@pytest.mark.parametrize("name", [name for name, paradigm in paradigms().items() if not paradigm.misleading])
def test_bigrams_do_not_prefer_the_bad_sentences_of_the_others(margins, name):
    assert sum(margins[name]) / len(margins[name]) > -0.3
    assert sum(margin > 0 for margin in margins[name]) / len(margins[name]) >= 0.4
