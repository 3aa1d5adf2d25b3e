"""Priming by models whose preference for what came before is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import tiny

from ontogeny.corpora.micro_english import MicroEnglish, Recogniser, micro_english
from ontogeny.instruments.asked import Reads
from ontogeny.instruments.priming import SHARED, PrimedItem, Priming, derived, known, made, primed
from ontogeny.records import OntogenyError

ITEM = PrimedItem("order", "a b", "b a", "a b", "b a")


def preferring(tokenizer, gain):
    """A model to which each token costs 2 nats, and `gain` less where the text's first two tokens are those of the target."""

    def logps(sentences):
        found = []
        for number in range(len(sentences)):
            ids = sentences[number]
            target = ids[-2:]
            found += [-2.0 + gain * (target == ids[1:3])] * int(sentences.lengths[number])
        return np.array(found)

    recipe = SimpleNamespace(scoring=SimpleNamespace(leading_space=False))
    return SimpleNamespace(
        logps=logps,
        tokenizer=tokenizer,
        first=tokenizer.bos_token_id,
        limit=32,
        context=SimpleNamespace(once=lambda key, make: make(), recipe=recipe),
    )


def test_primes_of_micro_english_are_passives_that_its_grammar_derives():
    recogniser, items = Recogniser(micro_english()), list(derived(6))
    assert len(items) == 6 and items == list(derived(6))
    for item in items:
        parsed = [recogniser.parse(text) for text in item[1:]]
        assert ["passive_with_agent" in set(tree.rules()) for tree in parsed] == [False, True, False, True]
        assert not set(parsed[0].words()) & set(parsed[2].words()) - SHARED
    of = SimpleNamespace(context=SimpleNamespace(recipe=SimpleNamespace(corpus=MicroEnglish(words=100))))
    assert list(Priming(items=6)._items(of)) == items


def test_a_model_that_repeats_structures_is_primed_by_as_much():
    tokenizer = tiny.words("a b")
    subject, how = preferring(tokenizer, 0.5), Reads(tokenizer, tokenizer.bos_token_id)
    effects, shares = primed(subject, [ITEM, ITEM], how)
    assert effects.tolist() == [[1.0, 1.0]] * 2  # two tokens, half a nat each
    odds = 1 / (1 + np.exp(-1.0))
    assert shares[0] == pytest.approx([odds, 1 - odds])
    effects, shares = primed(preferring(tokenizer, 0.0), [ITEM], how)
    assert effects.tolist() == [[0.0, 0.0]] and shares.tolist() == [[0.5, 0.5]]


def test_items_are_read_from_a_table_and_the_table_says_what_was_primed(tmp_path):
    tokenizer = tiny.words("a b")
    found = Priming(table=tiny.primes(tmp_path, "a", "b")).read(preferring(tokenizer, 0.5)).row(0, named=True)
    assert found["alternation"] == "order" and found["n"] == 4 and found["left_out"] == 0
    assert found["primed"] == 0.25  # of the one item whose targets begin as its primes do
    few = Reads(tokenizer, tokenizer.bos_token_id, limit=3)
    assert primed(preferring(tokenizer, 0.5), [ITEM], few)[0].shape == (0, 2)


def test_items_made_here_share_no_word_of_content_between_prime_and_target():
    little = {"the", "a", "to", "was", "by", "my", "her", "some"}
    items = list(made())
    assert {item.alternation for item in items} == {"dative", "passive"} and len(items) == len(set(items)) == 32
    for item in items:
        prime, target = ({word for text in both for word in text.rstrip(".").split()} for both in (item[1:3], item[3:]))
        assert not (prime & target) - little


def test_items_of_unknown_words_are_left_out():
    tokenizer = tiny.words("a b")
    how = Reads(tokenizer, tokenizer.bos_token_id)
    assert known([ITEM, *made()], how) == [ITEM]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("prime_b", "prime", "primes.csv:1: no column 'prime_b'"),
        ("order,a b,b a,a b a,b a a", "order,a b,b a,a b,a b", "primes.csv:2: both primes, or both targets, are one text"),
        ("order,a b,", "order,,", "primes.csv:2: prime_a is empty"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_line(tmp_path, old, new, said):
    path = tiny.primes(tmp_path, "a", "b")
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(OntogenyError, match=said):
        list(Priming(table=path)._items(SimpleNamespace()))
