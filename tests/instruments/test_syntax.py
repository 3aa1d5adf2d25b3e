"""Syntactic attention by heads whose answer is known: one that looks along all arcs, one that looks a word back."""

from types import SimpleNamespace

import numpy as np
import pytest

from ontogeny.corpora.treebank import ParsedSentence, TaggedWord
from ontogeny.instruments import DoesNotApply
from ontogeny.instruments.parsed import ParsedText
from ontogeny.instruments.syntax import FEWEST, SyntacticAttention, arcs_of, looked_at
from ontogeny.records import OntogenyError

HEADS = (3, 3, 0, 6, 6, 3)  # det and nsubj before the verb, then the same of its object
RELATIONS = ("det", "nsubj", "root", "det", "amod:x", "obj")


def text_of(many=240, split=False, heads=HEADS, relations=RELATIONS):
    """Sentences of six words with BOS in front; `split`: the third word has two tokens."""
    words = [TaggedWord("w", "X", "_", "_", head, relation, 0, 1) for head, relation in zip(heads, relations, strict=True)]
    first = np.array([1, 2, 3, 5, 6, 7] if split else [1, 2, 3, 4, 5, 6])
    places = np.stack([first, first + (np.arange(6) == 2) * split], 1)
    return ParsedText([ParsedSentence("w", words, "x:1")] * many, [[0] * (7 + split)] * many, [places] * many)


def reading(text, *heads):
    """A subject of one layer whose heads attend as given, by token: (tokens, tokens)."""
    attention = np.stack(heads)[None].astype(np.float32)
    return SimpleNamespace(
        attending=lambda rows: (attention for _ in rows),
        context=SimpleNamespace(once=lambda key, make: make()),
        parsed=lambda path, option, words: text,
    )


def to(target, size=7):
    """Of each token all attention on one."""
    found = np.zeros((size, size))
    for token in range(size):
        found[token, target.get(token, 0)] = 1
    return found


ALONG = to({3: 2, 6: 5})  # the later words of two arcs look at the nearer one of what they have
BACK = to({token: token - 1 for token in range(1, 7)})


def test_a_head_that_looks_a_word_back_finds_what_the_distance_finds():
    found = SyntacticAttention(treebank="x").read(reading(text_of(), BACK))
    by_name = {row["relation"]: row for row in found.iter_rows(named=True)}
    assert by_name["amod"]["found"] == by_name["amod"]["fixed"] == 1.0 and by_name["amod"]["back"] == 1
    assert by_name["det"]["found"] == 0.0 and by_name["det"]["back"] == 2  # two words before the noun, two before the verb
    assert by_name["nsubj"]["gain"] == 0.0 and by_name["obj"]["found"] == 0.0 and by_name["obj"]["fixed"] == 1.0
    assert by_name[""]["n"] == 120 * 5 and by_name[""]["found"] == pytest.approx(2 / 5)


def test_the_best_head_of_each_relation_is_named():
    three = to({6: 3})
    found = SyntacticAttention(treebank="x").read(reading(text_of(), BACK, three))
    assert found.filter(relation="obj").select("found", "layer", "head").row(0) == (1.0, 1, 2)
    assert found.filter(relation="nsubj").select("found", "layer", "head").row(0) == (1.0, 1, 1)


def test_a_word_of_several_tokens_looks_with_their_mean_and_is_seen_with_their_sum():
    text = text_of(1, split=True)
    attention = np.zeros((8, 8))
    attention[3, 1], attention[4, 2], attention[4, 3] = 0.6, 0.7, 0.9  # the third word: .3 at the first, .35 at the second
    attention[7, [3, 4, 6]] = 0.3, 0.3, 0.4  # the last: .6 at the third, .4 at the fifth
    attention[5, 0] = 1  # BOS is no word
    (found,) = looked_at(reading(text, attention), text)
    assert found[0, 0, [0, 2, 5]].tolist() == [-1, 1, 2]
    assert found[0, 0, 3] == 0  # all alike: the first


def test_where_words_look_is_what_loops_say():
    text = text_of(3, split=True)
    attention = np.random.default_rng(0).dirichlet(np.ones(8), size=(2, 8))
    for found in looked_at(reading(text, *attention), text):
        for head in range(2):
            for word, (first, last) in enumerate(text.places[0]):
                sums = [
                    np.mean([attention[head, token, a : b + 1].sum() for token in range(first, last + 1)])
                    for a, b in text.places[0][:word]
                ]
                assert found[0, head, word] == (int(np.argmax(sums)) if sums else -1)


def test_arcs_are_those_without_root_punctuation_and_words_of_one_token():
    arcs = arcs_of(text_of(2))
    assert arcs.later.tolist() == [2, 2, 5, 5, 5, 8, 8, 11, 11, 11] and arcs.distance.tolist() == [2, 1, 2, 1, 3] * 2
    assert arcs.held.tolist() == [False] * 5 + [True] * 5 and set(arcs.relation) == {"det", "nsubj", "amod", "obj"}
    assert len(arcs_of(text_of(1, relations=("det", "nsubj", "root", "punct", "amod", "obj"))).later) == 4
    shared = text_of(1)
    shared.places[0][1] = shared.places[0][2]
    assert len(arcs_of(shared).later) == 4  # nsubj is within one token


def test_what_has_no_arcs_or_too_few_is_named():
    with pytest.raises(OntogenyError, match=r"have no heads \(column 7\)"):
        arcs_of(text_of(3, heads=(None,) * 6))
    with pytest.raises(OntogenyError, match=f"no relation has {FEWEST} arcs"):
        SyntacticAttention(treebank="x").read(reading(text_of(3), BACK))
    with pytest.raises(OntogenyError, match="the instrument syntax reads a treebank and was given none"):
        SyntacticAttention().contents()


def test_a_model_without_attention_weights_is_named():
    subject = reading(text_of(), BACK)
    subject.attending = lambda rows: (_ for _ in ()).throw(DoesNotApply("an LSTM gives no attentions of equal layers"))
    with pytest.raises(DoesNotApply, match="gives no attentions"):
        SyntacticAttention(treebank="x").read(subject)
