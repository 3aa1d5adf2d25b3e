"""A text drawn anew from its own n-grams."""

import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.corpora.micro_english import MicroEnglish
from ontogeny.interventions import streams
from ontogeny.interventions import surrogate as surrogates
from ontogeny.interventions.surrogate import BigramSurrogate, follow, walk
from ontogeny.records import OntogenyError

BOS = 2


def drawn(ids, order, length, seed=0):
    """The stream from its first BOS on."""
    chain = follow(np.array(ids, dtype=np.uint16), BOS, order)
    return [BOS, *chain.tokens[walk(chain, length - 1, np.random.default_rng(seed))].tolist()]


def histories(ids, order):
    """(what comes before within the document, at most order - 1 tokens; the token), counted by definition."""
    counts = Counter()
    start = 0
    for at in range(1, len(ids)):
        start = at - 1 if ids[at - 1] == BOS else start
        counts[tuple(ids[max(start, at - order + 1) : at]) if order > 1 else (), ids[at]] += 1
    return counts


def test_a_text_whose_bigrams_leave_no_choice_comes_back():
    assert drawn([BOS, 5, 6, 7], 2, 10) == [BOS, 5, 6, 7, BOS, 5, 6, 7, BOS, 5]


def test_each_token_follows_as_often_as_it_does_in_the_text():
    ids = [BOS, 5, 6, BOS, 5, 7, BOS, 5, 7, BOS, 5, 7]  # after 5: 6 once, 7 three times
    out = drawn(ids, 2, 40_001)
    after = Counter(b for a, b in pairwise(out) if a == 5)
    assert abs(after[6] / after.total() - 0.25) < 0.02
    assert set(pairwise(out)) == {(BOS, 5), (5, 6), (5, 7), (6, BOS), (7, BOS)}


def test_single_tokens_are_drawn_by_frequency_alone():
    out = drawn([BOS, 5, 5, 6], 1, 40_001)
    assert out[0] == BOS
    shares = np.bincount(out[1:]) / 40_000
    np.testing.assert_allclose(shares[[BOS, 5, 6]], [0.25, 0.5, 0.25], atol=0.02)
    np.testing.assert_allclose(np.mean([pair == (5, 5) for pair in pairwise(out)]), 0.25, atol=0.02)  # independent


def test_trigrams_remember_two_tokens_and_never_past_a_bos():
    ids = [BOS, 5, 7, 8, BOS, 6, 7, 9]  # 7 is followed by 8 after 5, by 9 after 6
    out = drawn(ids, 3, 2001)
    assert set(zip(out, out[1:], out[2:], strict=False)) == {
        (BOS, 5, 7), (5, 7, 8), (7, 8, BOS), (BOS, 6, 7), (6, 7, 9), (7, 9, BOS), (8, BOS, 5), (8, BOS, 6), (9, BOS, 5), (9, BOS, 6)
    }  # fmt: skip
    assert (5, 7, 9) in set(zip(*[drawn(ids, 2, 2001)[n:] for n in range(3)], strict=False))


documents = st.lists(st.lists(st.integers(3, 6), max_size=5), min_size=1, max_size=8)


@settings(deadline=None)
@given(documents, st.integers(1, 4), st.integers(1, 60), st.integers(0, 3))
def test_what_the_text_lacks_is_never_drawn_and_the_length_is_as_asked(texts, order, length, seed):
    ids = [token for text in texts for token in [BOS, *text]]
    out = drawn(ids, order, length, seed)
    assert len(out) == length
    assert out == drawn(ids, order, length, seed)
    assert set(histories(out, order)) <= set(histories([*ids, BOS], order))


def test_stretches_side_by_side_are_one_walk(monkeypatch):
    """Histories and what follows them are as frequent as in a walk drawn token by token, however many are drawn at a time."""
    generator = np.random.default_rng(5)
    ids = [BOS, *(int(token) for token in generator.choice([BOS, 3, 4, 5], 300, p=[0.1, 0.5, 0.2, 0.2]))]
    closed = histories([*ids, BOS], 2)
    for width in (1, 64, 2**16):
        monkeypatch.setattr(surrogates, "WIDTH", width)
        found = histories(drawn(ids, 2, 20_000), 2)
        for pair, count in closed.items():
            assert abs(found[pair] / 20_000 - count / len(ids)) < 0.015


def micro_english(words):
    return list(MicroEnglish(words=words).documents())


def test_a_run_reads_the_surrogate_and_its_bigrams_are_the_text_s(context_of):
    documents = micro_english(8000)
    context = context_of(documents, interventions=[{"kind": "bigram-surrogate"}])
    (stream,) = streams(context, lambda: documents)
    text = stream.text
    assert len(text) == len(context.untouched)
    assert (text.ids[text.documents["start"]] == context.first).all()
    assert len(text.documents) == np.count_nonzero(text.ids == context.first)
    assert text.documents["words"][-1] < text.facts["words"] == context.untouched.facts["words"]
    before, after = (Counter(pairwise(stored.ids.tolist())) for stored in (context.untouched, text))
    before[context.untouched.ids[-1], context.first] += 1
    assert set(after) <= set(before)
    frequent = [pair for pair, count in before.items() if count >= 40]
    assert len(frequent) > 10
    for pair in frequent:
        assert abs(after[pair] - before[pair]) < 6 * before[pair] ** 0.5  # the counts of a chain vary about as much as Poisson's
    log = [json.loads(line) for line in context.folder.changes(1, "bigram-surrogate").read_text().splitlines()]
    assert log[0]["document"] == 1
    assert log[0]["text"] == context.tokenizer.decode(text.ids[1 : text.documents["start"][1]])
    facts = json.loads(context.folder.interventions.read_text())["edits"][0]["facts"]
    assert facts == {"changes": len(text) - 1, "order": 2, "documents": len(text.documents)}


def test_the_seed_decides(context_of):
    context = context_of(["a b a c", "b a", "c"])

    def ids(seed):
        return BigramSurrogate(seed=seed).edit(context).ids.tolist()

    assert ids(0) == ids(0)
    assert len({tuple(ids(seed)) for seed in range(10)}) > 5
    assert BigramSurrogate().edit(context).ids.dtype == context.text.ids.dtype


def test_a_text_without_bos_is_refused(context_of):
    with pytest.raises(OntogenyError, match=r"bigram-surrogate: documents begin where BOS is drawn.*set bos: true"):
        BigramSurrogate().edit(context_of(["a b"], bos=False))


def test_what_foretold_the_next_word_beyond_bigrams_is_gone(context_of):
    """In the text the third word repeats the first; in the surrogate it does so by chance."""
    context = context_of(["a x a", "b x b"] * 100)
    edited = BigramSurrogate().edit(context)
    texts = edited.changes["text"].to_list()
    threes = [text.split() for text in texts if len(text.split()) == 3]
    agreeing = np.mean([words[0] == words[2] for words in threes])
    assert 0.3 < agreeing < 0.7
    exact = BigramSurrogate(order=3).edit(context).changes["text"].to_list()[:-1]
    assert set(exact) == {"a x a", "b x b"}
