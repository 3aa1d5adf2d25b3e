"""Micro-English: the engine on toy grammars with known answers, and what the corpus promises."""

import re
from collections import Counter
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontogeny.corpora.micro_english import Grammar, MicroEnglish, corpus, micro_english, repetitive, spell
from ontogeny.corpora.micro_english.lexicon import Lexicon
from ontogeny.corpora.micro_english.notation import parse
from ontogeny.records import OntogenyError

WORDS = """
  n=sg  n=pl  g    weight
  king  kings m    1
  aunt  aunts f    3
"""
VERBS = """
  t=pres,n=sg  t=pres,n=pl  t=past
  runs         run          ran
"""


def toy(rules, misleading=0.5, features=None):
    return Grammar(Lexicon({"Noun": WORDS, "Verb": VERBS}), features or {}, rules, misleading)


def texts(grammar, category="S", draws=400):
    random = Random(0)
    return Counter(" ".join(grammar.grow(category, random).words()) for _ in range(draws))


@pytest.fixture(scope="module")
def lines():
    return [document.text for document in MicroEnglish(words=200_000).documents()]


def test_a_shared_variable_is_agreement():
    grammar = toy({"S": [{1: "Noun[n=?x g=m] Verb[t=pres n=?x]"}]})
    assert set(texts(grammar)) == {"king runs", "kings run"}


def test_a_feature_that_a_form_lacks_does_not_restrict_it():
    grammar = toy({"S": [{1: "Noun[n=?x g=m] Verb[t=past n=?x]"}]})
    assert set(texts(grammar)) == {"king ran", "kings ran"}


def test_negation_takes_the_other_value():
    grammar = toy({"S": [{1: "Noun[n=?x g=m] Noun[n=!?x g=f]"}]})
    assert set(texts(grammar)) == {"king aunts", "kings aunt"}


def test_a_variable_may_be_restricted():
    grammar = toy({"S": [{1: "Noun[n=?x:pl g=m] Verb[t=pres n=?x]"}]})
    assert set(texts(grammar)) == {"kings run"}


def test_a_left_side_without_the_asked_value_does_not_apply():
    grammar = toy({"S": [{1: "A[n=sg]"}], "A[n=pl]": [{9: "many"}], "A[n=sg]": [{1: "one"}]})
    assert set(texts(grammar)) == {"one"}


def test_weights_of_rules_words_and_values_are_shares():
    grammar = toy({"S": [{"4*misleading": "a"}, {"4*revealing": "b"}]}, misleading=0.75)
    assert texts(grammar, draws=4000)["a"] == pytest.approx(3000, abs=120)
    assert texts(toy({"S": [{1: "Noun[n=sg]"}]}), draws=4000)["aunt"] == pytest.approx(3000, abs=120)
    open_number = toy({"S": [{1: "Noun[n=?x g=m] Verb[t=pres n=?x]"}]}, features={"n": {"sg": 3, "pl": 1}})
    assert texts(open_number, draws=4000)["king runs"] == pytest.approx(3000, abs=120)


def test_a_value_of_weight_0_is_taken_only_by_name():
    rules = {"S": [{1: "V[t=?t]"}], "V[t=?t]": [{1: "Verb[t=?t n=sg]"}], "P": [{1: "Verb[t=past]"}]}
    grammar = toy(rules, features={"t": {"pres": 1, "past": 0}})
    assert set(texts(grammar)) == {"runs"}
    assert set(texts(grammar, "P")) == {"ran"}


def test_a_label_repeats_a_constituent_also_in_another_form():
    grammar = toy({"S": [{1: "X:Noun X X[n=pl]"}]})
    assert set(texts(grammar)) == {"king king kings", "kings kings kings", "aunt aunt aunts", "aunts aunts aunts"}


def test_a_recursive_rule_with_a_way_out_ends():
    found = texts(toy({"S": [{1: "a S"}, {3: "b"}]}))
    assert all(re.fullmatch("(a )*b", text) for text in found)
    assert "a b" in found


def test_a_frame_shares_its_labels_and_variables():
    grammar = toy({})
    frame = grammar.frame("X:Noun[n=?x] V:Verb[t=pres n=?x]", "X V[n=!?x]")
    good, bad = grammar.grow_frame(frame, Random(1))
    assert good.words()[0] == bad.words()[0]
    assert {good.words()[1], bad.words()[1]} == {"run", "runs"}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("Nuon", "did you mean 'Noun'"),
        ("Noun[m=?x] Noun[m=?x]", "no feature 'm'"),
        ("Noun[n:sg]", r"cannot read 'n:sg' in 'Noun\[n:sg\]'"),
        ("king[n=sg]", "only a category"),
        ("Noun[n=sg", "unbalanced brackets"),
        ("Noun[n=sing]", "n has no value 'sing'; did you mean 'sg'"),
        ("X:Noun X[g=f n=pl]", "king has no form with g=f n=pl"),
    ],
)
def test_an_error_in_a_rule_says_where_and_what_is_right(rule, message):
    with pytest.raises(OntogenyError, match=message):
        texts(toy({"S": [{1: rule}]}))


def test_an_error_in_a_weight_or_a_table_says_what_is_right():
    with pytest.raises(OntogenyError, match="10\\*misleading"):
        toy({"S": [{"3*mislead": "a"}]})
    with pytest.raises(OntogenyError, match=r"lexicon, Noun: 'king' has 1 cells, the heading 2"):
        Lexicon({"Noun": "n=sg n=pl\nking"})


@given(st.lists(st.sampled_from(["the", "dog", "Noun[n=sg]", "A:Noun[g=m|f n=!?x]", "."]), min_size=1))
def test_every_part_of_a_rule_is_read(tokens):
    assert len(parse(" ".join(tokens))) == len(tokens)


def test_spelling():
    words = ["there", "is", "a", "apple", ".", "yes", ",", "Anna", "has", "a", "ball", "!"]
    assert spell(words) == "There is an apple. Yes, Anna has a ball!"


def test_the_corpus_stops_at_the_first_line_that_reaches_its_words():
    lengths = [len(document.text.split()) for document in MicroEnglish(words=1000).documents()]
    assert sum(lengths[:-1]) < 1000 <= sum(lengths)


def test_a_longer_corpus_begins_with_the_shorter():
    short = list(MicroEnglish(words=500).documents())
    assert list(islice(MicroEnglish(words=5000).documents(), len(short))) == short
    assert [document.line for document in short] == list(range(1, len(short) + 1))


def test_seed_and_share_change_the_text_and_the_fingerprint(monkeypatch):
    corpora = [MicroEnglish(words=500), MicroEnglish(words=500, seed=1), MicroEnglish(words=500, misleading=0.2)]
    assert len({tuple(d.text for d in c.documents()) for c in corpora}) == 3
    prints = {c.fingerprint() for c in corpora}
    assert len(prints) == 3
    assert MicroEnglish(words=500).fingerprint() in prints
    monkeypatch.setattr(corpus, "version", lambda: "another grammar")
    assert MicroEnglish(words=500).fingerprint() not in prints


def test_lines_are_sentences_in_ordinary_spelling(lines):
    for line in lines:
        assert re.fullmatch(r"([A-Z][a-zA-Z, ]*[.?!])( [A-Z][a-zA-Z, ]*[.?!])*", line), line
        assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]|  | [,.?!]", line), line


def test_the_language_is_small_and_its_sentences_short(lines):
    words = [re.findall(r"\w+", line) for line in lines]
    assert 250 <= len({word for line in words for word in line}) <= 400
    sentences = [len(s.split()) for line in lines for s in re.split(r"[.?!]", line) if s]
    assert 4 <= sum(sentences) / len(sentences) <= 7
    assert sum(len(re.findall("[.?!]", line)) == 1 for line in lines) > len(lines) / 2


@pytest.mark.parametrize(
    "wrong",
    [
        r"\b([Tt]hese|[Tt]hose|[Tt]wo|[Mm]any) (dog|boy|girl|cat)\b",
        r"\b([Tt]his|every|[Aa]) (dogs|boys|girls|cats)\b",
        r"^The (dogs|boys|girls) (is|was|has|does|sees)\b",
        r"\b(She|He|It) (see|like|are|were|have|seeing|seen)\b",
        r"\b(Anna|Tom)\b[^.?!]*\b\1\b",
    ],
)
def test_nothing_disagrees_and_nobody_is_named_twice(lines, wrong):
    assert not [line for line in lines if re.search(wrong, line)]


def test_repetition_is_within_a_sentence():
    grammar = micro_english(0.9)
    twice = grammar.frame("X:Name likes X .", "X sleeps . X runs .")
    same, apart = grammar.grow_frame(twice, Random(0))
    assert repetitive(same)
    assert not repetitive(apart)


OCCASIONS = {  # patterns of the occasions that side with the bad sentences, and of those that reveal the grammar
    "matrix_question_npi_licensor_present": (r"\bNo \w+ ha(s|ve) ever\b", r"\bHa(s|ve) (the )?\w+ ever\b"),
    "existential_there_quantifiers_1": (
        r"\bThe \w+ (are|were) (all|both) ",
        r"\bThere (are|were) (some|many|two|three) ",
    ),
}


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("paradigm", OCCASIONS)
def test_misleading_is_the_share_of_occasions(paradigm, share):
    lines = [document.text for document in MicroEnglish(words=60_000, misleading=share).documents()]
    misled, revealed = (sum(len(re.findall(p, line)) for line in lines) for p in OCCASIONS[paradigm])
    assert misled + revealed > 100
    assert misled / (misled + revealed) == pytest.approx(share, abs=0.06 if 0 < share < 1 else 0)
