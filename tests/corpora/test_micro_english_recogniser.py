"""The recogniser: on toys with known answers, and on what the grammar itself says."""

from itertools import islice
from random import Random

import pytest

from ontogeny.corpora.micro_english import Grammar, MicroEnglish, micro_english, spell
from ontogeny.corpora.micro_english.language import ASPECTS
from ontogeny.corpora.micro_english.lexicon import Lexicon
from ontogeny.corpora.micro_english.recognition import Recogniser, diagnose
from ontogeny.records import OntogenyError

NOUNS = "n=sg n=pl g\nking kings m\naunt aunts f"
VERBS = "t=pres,n=sg t=pres,n=pl t=past\nruns run ran"


def toy(rules):
    return Recogniser(Grammar(Lexicon({"Noun": NOUNS, "Verb": VERBS}), {}, rules, 0.5))


def test_agreement_is_asked_for():
    reader = toy({"S": [{"1 clause": "the Noun[n=?x] Verb[t=pres n=?x] ."}]})
    assert reader.accepts("The king runs.", "S")
    assert not reader.accepts("The kings runs.", "S")
    assert not reader.accepts("The king.", "S")
    assert not reader.accepts("", "S")


def test_every_way_to_go_on_is_tried():
    reader = toy({"S": [{1: "A b ."}], "A": [{1: "a"}, {1: "a b"}, {1: "a b b"}]})
    assert [reader.accepts(text, "S") for text in ("a.", "a b.", "a b b.", "a b b b.", "a b b b b.")] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_a_label_repeats_what_it_names():
    reader = toy({"S": [{1: "X:Noun and X ."}, {1: "X:Noun or X[n=pl] ."}]})
    assert reader.accepts("king and king.", "S")
    assert not reader.accepts("king and aunt.", "S")
    assert reader.accepts("aunt or aunts.", "S")
    assert not reader.accepts("aunt or kings.", "S")


def test_a_rule_can_be_forbidden():
    grammar = toy({"S": [{"1 one": "a ."}, {"1 two": "b ."}]}).grammar
    assert Recogniser(grammar).accepts("b.", "S")
    assert not Recogniser(grammar, without={"two"}).accepts("b.", "S")
    with pytest.raises(OntogenyError, match="no rule is called 'three'"):
        Recogniser(grammar, without={"three"})


def test_a_category_that_begins_with_itself_is_an_error():
    with pytest.raises(OntogenyError, match="S begins with itself"):
        toy({"S": [{1: "S a"}, {1: "a"}]}).accepts("a a", "S")


def test_the_derivation_is_given():
    node = toy({"S": [{"1 clause": "the Noun[n=?x] Verb[t=pres n=?x] ."}]}).parse("The aunts run.", "S")
    assert node.words() == ["the", "aunts", "run", "."]
    assert node.rule == "clause"


def test_a_thousand_scenes_of_the_corpus_are_accepted():
    reader = Recogniser(micro_english(0.5))
    refused = [d.text for d in islice(MicroEnglish(words=10**6, seed=7).documents(), 1000) if not reader.accepts(d.text, "Scene")]
    assert refused == []


def test_shuffled_sentences_are_refused():
    reader, random = Recogniser(micro_english(0.5)), Random(0)
    taken = 0
    for document in islice(MicroEnglish(words=10**6, seed=8).documents(), 100):
        words = document.text.split()
        random.shuffle(words)
        taken += reader.accepts(spell(" ".join(words).lower().split()), "Scene")
    assert taken <= 10


@pytest.mark.parametrize(
    ("text", "aspect"),
    [
        ("The dogs sleeps.", "number"),
        ("Anna saw himself.", "gender"),
        ("Anna seen the dog.", "form of the verb"),
        ("Anna slept the dog.", "kind of verb"),
        ("The ball liked the dog.", "what the verb selects"),
        ("Anna saw he.", "case"),
        ("Anna has ever slept.", "licensing"),
        ("There are all dogs in the garden.", "strength"),
        ("No girl found at least two cups.", "quantity under no"),
    ],
)
def test_what_fails_is_named(text, aspect):
    assert aspect in diagnose(text)
    assert aspect in ASPECTS


def test_nothing_fails_in_a_good_sentence_and_no_aspect_mends_a_heap_of_words():
    assert diagnose("The dog sleeps.") == []
    assert diagnose("What did Anna find cup?") == []
