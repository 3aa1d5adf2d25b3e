"""Micro-English: the engine on toy grammars with known answers, and what the corpus promises."""

import hashlib
import re
from collections import Counter
from itertools import islice
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontogeny.corpora.micro_english import Grammar, MicroEnglish, corpus, micro_english, repetitive, spell
from ontogeny.corpora.micro_english.corpus import rates
from ontogeny.corpora.micro_english.knobs import at, turns
from ontogeny.corpora.micro_english.language import TOLD
from ontogeny.corpora.micro_english.lexicon import Lexicon
from ontogeny.corpora.micro_english.notation import parse
from ontogeny.corpora.micro_english.spelling import read
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


def toy(rules, misleading=0.5, features=None, **more):
    return Grammar(Lexicon({"Noun": WORDS, "Verb": VERBS}), features or {}, rules, misleading, **more)


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


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"S": [{1: "a S"}]}, "S never ends"),
        ({"S": [{3: "S S"}, {1: "a"}]}, "S never ends"),
        ({"S": [{1: "a A"}], "A": [{1: "B"}], "B": [{1: "A b"}]}, "A never ends|B never ends"),
        ({"S": [{1: "a"}], "A": [{1: "b"}]}, "A never fires; no rule below S asks for it"),
        (
            {"S": [{1: "a"}, {1: "Noun[n=sg] Verb[t=past n=sg] Noun[g=f] C"}], "C[n=sg]": [{1: "b"}], "D": [{1: "c"}]},
            "D never fires",
        ),
        ({"S": [{1: "a"}, {1: "A[n=sg]"}], "A[n=pl]": [{1: "b"}]}, "a rule of S never fires: .* no words are there for 'A'"),
        (
            {"S": [{1: "A[n=sg]"}], "A[n=sg]": [{1: "a"}], "A[n=pl]": [{1: "b"}]},
            "a rule of A never fires: nothing asks for its features",
        ),
        ({"S": [{"1 x": "a"}, {"1 x": "b"}]}, "two rules are called x"),
    ],
)
def test_a_rule_that_never_ends_or_never_fires_is_named(rules, message):
    with pytest.raises(OntogenyError, match=message):
        toy(rules).check("S")


def test_a_rule_can_be_left_out_by_name():
    rules = {"S": [{"1 one": "a"}, {"1 two": "b"}]}
    assert set(texts(toy(rules, without={"two"}))) == {"a"}
    with pytest.raises(OntogenyError, match="no rule is called 'tow'; did you mean 'two'"):
        toy(rules, without={"tow"})
    with pytest.raises(OntogenyError, match="nothing can be made of S"):
        texts(toy(rules, without={"one", "two"}))


def test_a_derivation_names_its_rules():
    grammar = toy({"S": [{"1 top": "A c"}], "A": [{"1 low": "a b"}]})
    node = grammar.grow("S", Random(0))
    assert list(node.rules()) == ["top", "low"]
    assert node.brackets() == "[S [A a b] c]"


def test_each_half_has_its_own_share():
    rules = {
        "S": [{1: "Knob[half=a]"}, {1: "Knob[half=b]"}],
        "Knob[half=?h]": [{"1*misleading": "Noun[half=?h] bad"}, {"1*revealing": "good"}],
    }
    words = "word half\nx a\ny b"
    grammar = Grammar(Lexicon({"Noun": words}), {}, rules, lambda knob, half: {"a": 1.0, "b": 0.0}[half])
    assert set(texts(grammar)) == {"x bad", "good"}
    assert grammar.knobs == {"knob": ("a", "b")}


def test_an_error_in_a_weight_or_a_table_says_what_is_right():
    with pytest.raises(OntogenyError, match="10\\*misleading"):
        toy({"S": [{"3*mislead": "a"}]})
    with pytest.raises(OntogenyError, match=r"lexicon, Noun: 'king' has 1 cells, the heading 2"):
        Lexicon({"Noun": "n=sg n=pl\nking"})
    with pytest.raises(OntogenyError, match=r"lexicon, Noun: king has no g, which every Noun needs"):
        Lexicon({"Noun": "n=sg n=pl g!\nking kings -"})
    with pytest.raises(OntogenyError, match=r"lexicon, Noun: row 1 has no form at all"):
        Lexicon({"Noun": "n=sg n=pl g!\n- - m"})


@given(st.lists(st.sampled_from(["the", "dog", "Noun[n=sg]", "A:Noun[g=m|f n=!?x]", "."]), min_size=1))
def test_every_part_of_a_rule_is_read(tokens):
    assert len(parse(" ".join(tokens))) == len(tokens)


def test_spelling():
    words = ["there", "is", "a", "apple", ".", "yes", ",", "Anna", "'s", "eating", "a", "ball", "!"]
    assert spell(words) == "There is an apple. Yes, Anna's eating a ball!"
    assert read(spell(words), {"Anna"}) == words
    assert read("An ball. A apple.", set()) == ["*an", "ball", ".", "*a", "apple", "."]


def test_the_corpus_stops_at_the_first_line_that_reaches_its_words():
    lengths = [len(document.text.split()) for document in MicroEnglish(words=1000).documents()]
    assert sum(lengths[:-1]) < 1000 <= sum(lengths)


def test_a_longer_corpus_begins_with_the_shorter():
    short = list(MicroEnglish(words=500).documents())
    assert list(islice(MicroEnglish(words=5000).documents(), len(short))) == short
    assert [document.line for document in short] == list(range(1, len(short) + 1))


def test_a_change_of_the_code_that_tells_other_texts_raises_its_version():
    """Runs know their text by it: whoever sees other letters here raises TOLD, and keeps the new ones."""
    settings = ({}, {"seed": 9}, {"misleading": 0.9}, {"paired": True})
    texts = [document.text for fields in settings for document in MicroEnglish(words=400, **fields).documents()]
    assert (TOLD, hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]) == ("1", "33dbc2abf402e00f")


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
        assert re.fullmatch(r"([A-Z][a-zA-Z,' ]*[.?!])( [A-Z][a-zA-Z,' ]*[.?!])*", line), line
        assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]|  | [,.?!]", line), line


def test_the_language_is_small_and_its_sentences_are_like_speech_to_children(lines):
    """Short, many of them questions, orders or fragments (Cameron-Faulkner, Lieven & Tomasello 2003)."""
    counts = Counter(word for line in lines for word in re.findall(r"\w+", line))
    assert 400 <= len(counts) <= 700
    sentences = re.findall(r"[^.?!]+[.?!]", " ".join(lines))
    assert 4 <= sum(len(s.split()) for s in sentences) / len(sentences) <= 7
    assert 0.18 < sum(s.endswith("?") for s in sentences) / len(sentences) < 0.35
    assert 0.05 < sum(s.endswith("!") for s in sentences) / len(sentences) < 0.15
    assert 0.15 < sum(len(s.split()) <= 3 for s in sentences) / len(sentences) < 0.4
    assert sum(len(re.findall("[.?!]", line)) == 1 for line in lines) > len(lines) / 2


def test_words_follow_zipfs_law(lines):
    """The slope of log frequency over log rank is near -1 among the 200 most frequent words."""
    counts = Counter(word for line in lines for word in re.findall(r"\w+", line))
    frequencies = [count for _, count in counts.most_common(200)]
    slope, _ = np.polyfit(np.log(np.arange(1, 201) + 2.7), np.log(frequencies), 1)
    assert -1.5 < slope < -0.8


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


@pytest.mark.parametrize(
    ("sentence", "twice"),
    [
        ("the Noun[n=sg] likes Name .", False),
        ("the X:Noun[n=sg] likes the X .", True),
        ("one X:Noun[n=sg] and two Adjective X[n=pl] .", False),
        ("the X:Noun[n=sg] sees the Adjective X .", True),
        ("V:Verb[t=past frame=self] one and V two .", False),
        ("what did Name V:Verb[t=base frame=self] and Name V ?", True),
        ("that V:Verb[t=past frame=self] V .", True),
    ],
)
def test_what_counts_as_repetition(sentence, twice):
    grammar = micro_english(0.9)
    found = {repetitive(node) for _ in range(20) for node in grammar.grow_frame(grammar.frame(sentence), Random(3))}
    assert found == {twice}


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
    "wh_vs_that_with_gap/a": (
        r"\b(know|knows|knew|say|says|said|guess\w*) that (the|[A-Z])",
        r"\b(know|knows|knew|say|says|said|guess\w*) (who|what) (the|[A-Z])",
    ),
    "wh_vs_that_with_gap/b": (
        r"\b(forg[eo]ts?|remember\w*|learn\w*) that (the|[A-Z])",
        r"\b(forg[eo]ts?|remember\w*|learn\w*) (who|what) (the|[A-Z])",
    ),
    "principle_A_domain_1/a": (r"\b(wash|dress|paint)\w* (him|her|them|it)sel", r"\b(wash|dress|paint)\w* (him|her|them)\b"),
}


def occasions(lines, knob):
    """How often the neighbours side with the grammar, and how often there is an occasion at all."""
    misled, revealed = (sum(len(re.findall(pattern, line)) for line in lines) for pattern in OCCASIONS[knob])
    return revealed / (misled + revealed), misled + revealed


@pytest.mark.parametrize("rho", [0.0, 0.3, 1.0])
def test_rho_is_the_share_of_occasions_that_reveal_the_grammar(rho):
    set_ = dict.fromkeys(OCCASIONS, rho) | {"distractor_agreement_relational_noun": 0.5}
    lines = [document.text for document in MicroEnglish(words=100_000, rho=set_).documents()]
    for knob in OCCASIONS:
        share, times = occasions(lines, knob)
        assert times > 200, knob
        assert share == pytest.approx(rho, abs=0.09 if 0 < rho < 1 else 0), knob  # three standard errors of 250 occasions


def test_halves_are_set_apart_and_the_rest_by_misleading():
    corpus = MicroEnglish(words=100_000, misleading=0.5, rho={"wh_vs_that_with_gap/a": 0})
    lines = [document.text for document in corpus.documents()]
    assert occasions(lines, "wh_vs_that_with_gap/a")[0] == 0
    assert occasions(lines, "wh_vs_that_with_gap/b")[0] == pytest.approx(0.5, abs=0.09)
    assert occasions(lines, "matrix_question_npi_licensor_present")[0] == pytest.approx(0.5, abs=0.09)


def test_a_knob_turns_where_in_the_stream_its_phase_ends():
    phases = [{"until": 0.25, "rho": 0}, {"until": 1, "rho": 1}]
    lines = [document.text for document in MicroEnglish(words=80_000, rho={"wh_vs_that_with_gap": phases}).documents()]
    place = next(number for number in range(len(lines)) if sum(len(line.split()) for line in lines[:number]) >= 20_000)
    assert occasions(lines[:place], "wh_vs_that_with_gap/a")[0] == 0
    assert occasions(lines[place:], "wh_vs_that_with_gap/a")[0] == 1


def test_phases_are_read_from_the_left():
    corpus = MicroEnglish(rho={"wh_vs_that_with_gap": [{"until": 0.1, "rho": 0.2}, {"until": 1, "rho": 0.7}]})
    (rho,) = corpus.rho.values()
    assert [at(rho, share) for share in (0, 0.0999, 0.1, 1)] == [0.2, 0.2, 0.7, 0.7]
    assert turns([rho, 0.3]) == [0.1, 1.0]


def test_occasions_are_as_often_heard_as_asked():
    plain, more = (rates(MicroEnglish(words=60_000, often=often))["groomed_oneself"] for often in ({}, {"principle_A_domain_1": 4}))
    assert more == pytest.approx(4 * plain / (1 + 3 * 6 / 117), rel=0.15)  # of all sentences' weights, 6 in 117 are this knob's
    half = [document.text for document in MicroEnglish(words=60_000, often={"principle_A_domain_1/a": 4}).documents()]
    plain_half = [document.text for document in MicroEnglish(words=60_000).documents()]
    assert occasions(half, "principle_A_domain_1/a")[1] > 3 * occasions(plain_half, "principle_A_domain_1/a")[1]
    assert occasions(half, "wh_vs_that_with_gap/a")[1] < 1.2 * occasions(plain_half, "wh_vs_that_with_gap/a")[1]


def test_paired_texts_differ_in_a_knob_s_occasions_alone():
    knob = "principle_A_domain_1/a"
    texts = [[d.text for d in MicroEnglish(words=20_000, paired=True, rho={knob: rho}).documents()] for rho in (0.05, 0.5)]
    only = [Counter(own) - Counter(other) for own, other in (texts, texts[::-1])]
    last = {scene for text in texts for scene in text[-30:]}  # one text may end a few scenes later
    groom = re.compile(r"\b([Ww]ash|[Dd]ress|[Pp]aint)")
    assert all(groom.search(scene) or scene in last for changed in only for scene in changed)
    assert 20 < sum(only[0].values()) < len(texts[0]) / 20
    assert occasions(texts[0], knob)[0] < 0.15 < 0.3 < occasions(texts[1], knob)[0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rho": {"wh_vs_that_with_gab": 0.5}}, "rho has no knob 'wh_vs_that_with_gab'; did you mean 'wh_vs_that_with_gap'"),
        ({"rho": {"wh_vs_that_with_gap": 0.5, "wh_vs_that_with_gap/a": 0.1}}, "sets both wh_vs_that_with_gap and its half"),
        ({"rho": {"wh_vs_that_with_gap": 1.5}}, "is 1.5; a share from 0 to 1 is wanted"),
        (
            {"rho": {"wh_vs_that_with_gap": [{"until": 0.5, "rho": 0}]}},
            r"end at \[0.5\]; they must rise, and the last must end at 1",
        ),
        ({"rho": {"wh_vs_that_with_gap/b": 0.5}, "held_out": ["wh_clause"]}, "held_out leaves out wh_clause, which rho asks for"),
        ({"often": {"principle_A_domain_2": 5}}, "often has no knob 'principle_A_domain_2'; did you mean 'principle_A_domain_1'"),
        ({"often": {"principle_A_domain_1": 0}}, "greater than 0"),
        ({"held_out": ["passive_3"]}, "held_out has 'passive_3', which is no construction; did you mean 'passive_2'"),
    ],
)
def test_knobs_that_contradict_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        MicroEnglish(**fields)


def test_what_is_held_out_is_never_heard_but_its_parts_are():
    full = MicroEnglish(words=60_000)
    without = MicroEnglish(words=60_000, held_out=["passive_1", "passive_2", "tough_vs_raising_1"])
    assert {name for name, rate in rates(full).items() if rate == 0} == set()
    gone = {"passive_with_agent", "passive_without_agent", "tough"}
    assert {name for name, rate in rates(without).items() if rate == 0} == gone
    words = {word for document in without.documents() for word in re.findall(r"\w+", document.text)}
    assert {"was", "seen", "chased", "likely"} <= words
    assert not any(re.search(r"(was|were|is|are) (chased|found|liked)\b", document.text) for document in without.documents())
    assert without.fingerprint() != full.fingerprint()
