"""Minimal pairs of formal languages: equal lengths, one named rule broken, nothing else."""

from collections import Counter

import pytest

from ontogeny.corpora.formal import SOURCES, Language, source, split_of
from ontogeny.records import OntogenyError
from ontogeny.suites.formal import FormalPairs


def string(text):
    return text.removesuffix(" </s>").replace(" ", "")


def pairs(language, **fields):
    return list(FormalPairs(language=language, pairs_per_paradigm=20, **fields).pairs())


@pytest.mark.parametrize("name", list(SOURCES))
def test_good_is_a_member_and_bad_none_of_the_same_length(name):
    language = source(name)
    for pair in pairs(name):
        good, bad = string(pair.good), string(pair.bad)
        assert language.member(good) and not language.member(bad), pair
        assert len(good) == len(bad) and set(bad) <= set(language.alphabet)
        assert pair.good.endswith(" </s>") and pair.bad.endswith(" </s>")


@pytest.mark.parametrize("name", ["L1", "L2", "L3", "L4", "L5", "L6"])
def test_bad_breaks_the_rule_that_its_paradigm_names_and_keeps_the_other(name):
    language = source(name)
    assert isinstance(language, Language)
    for pair in pairs(name):
        named = pair.paradigm.removeprefix(f"{name}_")
        kept = {"rule1", "rule2"} - {named}
        rules = language.rules()
        assert not rules[named](string(pair.bad)) and all(rules[rule](string(pair.bad)) for rule in kept), pair
        assert pair.phenomenon == named


@pytest.mark.parametrize(("name", "rule"), [("L1", "rule2"), ("L3", "rule2"), ("L4", "rule1"), ("L4", "nesting"), ("L6", "rule1")])
def test_where_counts_are_not_the_rule_unigrams_say_nothing(name, rule):
    for pair in pairs(name):
        if pair.paradigm == f"{name}_{rule}":
            assert Counter(pair.good) == Counter(pair.bad)


def test_cues_sides():
    bets = {**dict.fromkeys("pqr", "A"), **dict.fromkeys("stu", "B")}
    for pair in pairs("cue"):
        good, bad = string(pair.good), string(pair.bad)
        assert good[:-1] == bad[:-1] and {good[-1], bad[-1]} == {"A", "B"}
        bet = bets.get(good[-2])
        side = "neutral" if bet is None else "agree" if bet == good[-1] else "conflict"
        assert pair.paradigm == f"cue_{side}"


def test_paradigms_are_named_after_the_language_and_what_is_broken():
    found = {name: sorted({pair.paradigm for pair in pairs(name)}) for name in ("L3", "L4", "parity")}
    assert found == {"L3": ["L3_rule1", "L3_rule2"], "L4": ["L4_nesting", "L4_rule1", "L4_rule2"], "parity": ["parity_answer"]}
    assert FormalPairs(language="L3").name == "formal-L3" and FormalPairs(language="L3").human() == {}


def test_pairs_are_different_and_a_larger_number_adds_pairs():
    few, many = pairs("L4"), list(FormalPairs(language="L4", pairs_per_paradigm=30).pairs())
    for paradigm in ("L4_rule1", "L4_rule2", "L4_nesting"):
        ours, theirs = ([p for p in found if p.paradigm == paradigm] for found in (few, many))
        assert theirs[:20] == ours and len({(p.good, p.bad) for p in theirs}) == 30
    assert few == pairs("L4") != pairs("L4", seed=2)


def test_members_come_from_the_part_that_is_asked_for():
    assert {split_of(string(pair.good)) for pair in pairs("L1")} == {"test"}
    assert {split_of(string(pair.good)) for pair in pairs("L1", split="train")} == {"train"}


def test_without_an_end_strings_stand_alone():
    assert not any("</s>" in pair.good + pair.bad for pair in pairs("L3", end=""))


def test_a_paradigm_with_too_few_pairs_says_how_many_there_are():
    """a^n b^n of 2 and 4 symbols, one symbol replaced so that no a comes after a b: aa bb, aaab abbb."""
    with pytest.raises(OntogenyError, match="L3_rule1 has 4 different pairs up to 4 symbols, 50 are asked for"):
        list(FormalPairs(language="L3", max_length=4).pairs())


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"language": "L7"}, "no formal language is called 'L7'"), ({"language": "L5", "max_length": 2}, "leaves no string")],
)
def test_what_cannot_be_asked_is_said(fields, message):
    with pytest.raises(ValueError, match=message):
        FormalPairs(**fields)


def test_the_end_mark_is_the_token_that_documents_begin_with():
    import tiny

    tokenizer = tiny.words("a a b b")
    ids = tokenizer("a b </s>", add_special_tokens=False)["input_ids"]
    assert ids[-1] == tokenizer.bos_token_id and len(ids) == 3


def bigram_margins(rho, tmp_path):
    """Mean margin of a bigram model of the corpus by paradigm, in nats."""
    import numpy as np
    import tiny

    from ontogeny.corpora.formal import Formal
    from ontogeny.ngrams import KneserNey, build
    from ontogeny.scoring import ngram_pairs, plan

    corpus = Formal(language="cue", strings=2000, min_length=4, max_length=9, rho=rho, neutral=0.25)
    texts = [document.text for document in corpus.documents()]
    tokenizer = tiny.words(*texts)
    bos = tokenizer.bos_token_id
    ids = [token for row in tokenizer(texts, add_special_tokens=False)["input_ids"] for token in [bos, *row]]
    index = build(tmp_path / str(rho), np.array(ids, dtype=np.uint16), len(tokenizer), bos, order=2)
    asked = FormalPairs(language="cue", min_length=4, max_length=9, pairs_per_paradigm=40).pairs()
    sentences = ngram_pairs.WalkedPairs(index, plan.make(list(asked), tokenizer, bos, 64))
    found = ngram_pairs.margins(KneserNey(index), sentences, [2])
    return {name: own["margin"].mean() for (name,), own in found.group_by("paradigm")}


def test_what_bigrams_foretell_of_cue_is_known(tmp_path):
    """log rho / (1 - rho) for agree, its negative for conflict, nothing for neutral."""
    from math import log

    for rho in (0.8, 0.5):
        found = bigram_margins(rho, tmp_path)
        expected = log(rho / (1 - rho))
        assert found["cue_agree"] == pytest.approx(expected, abs=0.25)
        assert found["cue_conflict"] == pytest.approx(-expected, abs=0.25)
        assert found["cue_neutral"] == pytest.approx(0, abs=0.25)
