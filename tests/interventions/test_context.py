"""What an intervention is told of text and pairs: margins against the definition, counted one bigram at a time."""

import dataclasses
import math
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ontogeny.ngrams.kneser_ney import estimate
from ontogeny.records import OntogenyError
from ontogeny.scoring import ngram_pairs
from ontogeny.scoring.ngram_pairs import WalkedPairs
from ontogeny.tokens import token_store

TEXTS = ["the dog runs", "a dog sees the cat", "the cat runs", "the dogs run", "a cat sees a dog", "dogs run"]
PAIRS = [
    *tiny.pairs(("the dog runs", "the dog run"), ("the dogs run", "the dogs runs"), paradigm="agreement"),
    *tiny.pairs(("a cat runs", "cat a runs"), ("the zebra runs", "the zebra run"), paradigm="order"),
]


def kneser_ney(ids, vocabulary, bos):
    """log p(word | word before), interpolated modified Kneser-Ney of order 2, by Chen & Goodman's definition."""
    ids = [*map(int, ids), bos] if bos is not None else list(map(int, ids))  # the end of the last document is an event too
    bigrams = Counter(pairwise(ids))
    befores = Counter(word for _, word in bigrams)  # distinct words before each
    taken = [estimate(np.array(sorted(counts.values()))) for counts in (befores, bigrams)]
    after = defaultdict(dict)
    for (before, word), count in bigrams.items():
        after[before][word] = count

    def discounted(counts, discounts, word, below):
        total = sum(counts.values())
        off = [0, discounts.one, discounts.two, discounts.more]
        left = sum(off[min(count, 3)] for count in counts.values())
        count = counts.get(word, 0)
        return (count - off[min(count, 3)]) / total + left / total * below

    def logp(before, word):
        below = discounted(befores, taken[0], word, 1 / vocabulary)
        return math.log(discounted(after[before], taken[1], word, below) if after[before] else below)

    return logp


def by_hand(context, pairs, text):
    """Mean of good minus bad; the first token of a sentence, BOS where there is one, is given."""
    logp = kneser_ney(text.ids, len(context.tokenizer), context.first)

    def sentence(words):
        ids = token_store.encode(context.tokenizer, [words], context.first)[0]
        return sum(logp(*two) for two in pairwise(ids))

    return float(np.mean([sentence(pair.good) - sentence(pair.bad) for pair in pairs]))


@pytest.mark.parametrize("bos", [True, False])
def test_margins_are_the_definition(context_of, bos):
    context = context_of(TEXTS, PAIRS, bos=bos)
    assert (context.first is None) != bos
    for paradigm in ("agreement", "order"):
        own = [pair for pair in PAIRS if pair.paradigm == paradigm]
        assert context.margin(paradigm) == pytest.approx(by_hand(context, own, context.text), abs=1e-9)
    assert context.margin("agreement") > 0  # both forms were seen with their subjects, and never with the other's


words = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5).map(" ".join)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(words, min_size=1, max_size=8), st.lists(st.tuples(words, words), min_size=1, max_size=4), st.booleans())
def test_margins_of_any_text_are_the_definition(context_of, texts, sentences, bos):
    pairs = tiny.pairs(*sentences)
    context = context_of([*texts, "a b c", "a b c"], pairs, bos=bos)
    assert context.margin("toy") == pytest.approx(by_hand(context, pairs, context.text), abs=1e-8)


def test_margins_are_those_that_scoring_gives(context_of):
    context = context_of(TEXTS, PAIRS)
    sentences = WalkedPairs(context.index(), context.plan(["agreement"]))
    scores = ngram_pairs.score(context.bigrams(), 2, sentences)
    assert context.margin("agreement") == pytest.approx((scores["logp_good"] - scores["logp_bad"]).mean())


def test_margins_of_several_paradigms_are_those_of_each(context_of):
    context = context_of(TEXTS, PAIRS)
    both = context.margins(["order", "agreement"])
    assert list(both) == ["order", "agreement"]
    assert both == pytest.approx({name: context.margin(name) for name in both})


def test_a_stream_can_be_asked_about_before_and_after_an_edit(context_of):
    context = context_of(TEXTS, PAIRS)
    runs, run = context.tokenizer.convert_tokens_to_ids(["runs", "run"])
    turned = np.array([{runs: run, run: runs}.get(int(token), int(token)) for token in context.text.ids])
    other = token_store.derive(context.folder.tokens, "turned", context.text, turned, key="turned", unknown=None)
    after = context.after(other)
    assert after.margin("agreement") == context.margin("agreement", other) == pytest.approx(-context.margin("agreement"))
    assert after.margin("agreement", after.untouched) == context.margin("agreement")
    assert (after.text, after.untouched) == (other, context.text)
    assert after.key("x") != context.key("x") == context.key("x") != context.key("y")


def test_a_longer_index_has_the_same_bigrams_and_is_made_once(context_of):
    context = context_of(TEXTS, PAIRS)
    two, margin = context.index(), context.margin("order")
    three = context.index(order=3)
    assert (len(two.levels), len(three.levels)) == (2, 3)
    assert context.index(order=2) is context.index(order=3) is three
    assert context.margin("order") == pytest.approx(margin, abs=1e-12)


def test_a_paradigm_that_no_suite_has_is_refused_with_the_nearest(context_of):
    context = context_of(TEXTS, PAIRS)
    assert context.paradigms() == ["agreement", "order"]
    assert context.pairs("order") == PAIRS[2:]
    for ask in (context.pairs, context.margin, lambda name: context.plan([name])):
        with pytest.raises(OntogenyError, match="no suite of the recipe has a paradigm 'agreemnet'; did you mean 'agreement'"):
            ask("agreemnet")


def test_pairs_are_asked_for_only_when_needed(context_of):
    asked = []
    context = dataclasses.replace(context_of(TEXTS), ask=lambda: asked.append(1) or PAIRS)
    context.bigrams()
    assert asked == []
    context.margin("order")
    context.pairs("agreement")
    assert asked == [1]


def test_generators_are_their_seeds(context_of):
    context = context_of(TEXTS)
    draws = [context.rng(seed).integers(2**62) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
