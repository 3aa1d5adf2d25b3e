"""Which pairs a suite asks of a model, and as which tokens."""

from itertools import pairwise

import numpy as np
import pytest
import tiny

from ontogeny.records import OntogenyError, Pair
from ontogeny.scoring import pairs, plan
from ontogeny.scoring.reading import ask
from ontogeny.scoring.sentences import Encoded, gather
from ontogeny.suites.table import Table


@pytest.fixture(scope="module")
def tokenizer():
    return tiny.words("a b c d")


def made(tokenizer, *texts, first=2, context=100):
    return plan.make(tiny.pairs(*zip(texts[::2], texts[1::2], strict=False)), tokenizer, first, context)


def test_sentences_begin_with_bos_and_one_that_comes_twice_is_there_once(tokenizer):
    todo = made(tokenizer, "a b", "a c", "a b", "d")
    a, b, c, d = tokenizer.convert_tokens_to_ids(list("abcd"))
    assert list(todo.sentences) == sorted([(2, a, b), (2, a, c), (2, d)])
    assert [todo.sentences[i] for i in todo.good] == [(2, a, b), (2, a, b)]
    assert [todo.sentences[i] for i in todo.bad] == [(2, a, c), (2, d)]
    assert list(made(tokenizer, "a b", "a c", first=None).sentences) == sorted([(a, b), (a, c)])


def test_a_sentence_longer_than_the_context_is_counted(tokenizer):
    fits, long = "a b c", "a b c d"  # with BOS, 3 and 4 input tokens: the last is predicted only
    todo = made(tokenizer, fits, "a", long, "a", "a", long, context=3)
    assert [pair.good for pair in todo.pairs] == [fits]
    assert [(pair.good, pair.bad) for pair in todo.too_long] == [(long, "a"), ("a", long)]
    with pytest.raises(OntogenyError, match="not one of 2 pairs fits into the model's context of 2 tokens"):
        made(tokenizer, long, "a", "a", long, context=2)


def test_a_suite_that_is_tokenised_and_summed_in_parts_is_the_same(tokenizer, monkeypatch):
    texts = ["a b", "a c", "a b", "d", "b b c", "b a c", "d a", "d b", "a b c d", "a b d c"]
    whole = made(tokenizer, *texts)
    logps = np.random.default_rng(0).normal(size=whole.sentences.lengths.sum())
    frame = pairs.frame_of(whole, logps)
    monkeypatch.setattr(plan, "AT_ONCE", 2)
    monkeypatch.setattr(pairs, "PART", 2)
    parts = made(tokenizer, *texts)
    assert list(parts.sentences) == list(whole.sentences)
    assert (parts.options == whole.options).all()
    assert pairs.frame_of(parts, logps).equals(frame)


def test_a_sentence_after_another_context_is_another_though_its_tokens_are_the_same():
    rows = [Encoded(ids, before, "") for ids, before in [((2, 5, 6), 1), ((2, 4), 1), ((2, 5, 6), 2), ((2, 5, 6), 1)]]
    found, place = gather(rows, str)
    assert [row[:2] for row in found.rows] == [((2, 4), 1), ((2, 5, 6), 1), ((2, 5, 6), 2)]
    assert place.tolist() == [1, 0, 2, 1]


def test_unknown_tokens_are_counted(tokenizer):
    assert made(tokenizer, "a zebra yak", "a b", "a yak", "a b").unknown == 3
    assert made(tokenizer, "a b", "b a").unknown == 0


# --- which pairs


def paradigms(*sizes):
    return [Pair(f"p{n}", str(i), f"a {i}", f"b {i}") for n, size in enumerate(sizes) for i in range(size)]


def test_a_sample_is_fixed_nested_and_in_order():
    pairs = paradigms(50, 30)
    assert plan.sample(pairs, None) == pairs
    assert plan.sample(pairs, 100) == pairs
    samples = [plan.sample(pairs, n) for n in range(1, 31)]
    for n, found in enumerate(samples, 1):
        assert found == plan.sample(pairs, n)
        assert [sum(p.paradigm == name for p in found) for name in ("p0", "p1")] == [n, n]
        assert found == [p for p in pairs if p in set(found)]
    assert all(set(few) < set(more) for few, more in pairwise(samples))
    assert samples[9] != pairs[:10] + pairs[50:60]


def test_a_paradigms_sample_does_not_depend_on_the_others():
    alone = plan.sample([p for p in paradigms(50, 30) if p.paradigm == "p1"], 7)
    assert [p for p in plan.sample(paradigms(50, 30), 7) if p.paradigm == "p1"] == alone
    mixed = sorted(paradigms(50, 30), key=lambda p: int(p.pair))
    assert [p for p in plan.sample(mixed, 7) if p.paradigm == "p1"] == alone


def suite(folder, *rows):
    file = folder / "own.csv"
    file.write_text("paradigm,good,bad\n" + "".join(f"{','.join(row)}\n" for row in rows))
    return Table(path=file)


def test_identical_pairs_are_left_out_and_said(tmp_path):
    asked = ask(suite(tmp_path, ("p", "a b", "b a"), ("p", "a b", "a b"), ("q", "c", "c")), None)
    assert [(p.good, p.bad) for p in asked.pairs] == [("a b", "b a")]
    assert asked.facts()["identical"] == 2
    assert asked.facts()["identical_in"] == {"p": 1, "q": 1}
    assert asked.facts()["paradigms"] == 1
    with pytest.raises(OntogenyError, match="suite own has no pair whose two sentences differ"):
        ask(suite(tmp_path, ("p", "a b", "a b")), None)


def test_the_key_of_a_suite_changes_with_any_pair(tmp_path):
    rows = [("p", "a b", "b a"), ("p", "c d", "d c")]
    key = ask(suite(tmp_path, *rows), None).key
    assert ask(suite(tmp_path, *rows), None).key == key
    assert ask(suite(tmp_path, *rows), 1).key != key
    assert ask(suite(tmp_path, rows[0], ("p", "c d", "d  c")), None).key != key
    assert ask(suite(tmp_path, *rows[::-1]), None).key != key


# --- unknown tokens


def test_unknown_tokens_are_counted_by_sentence_and_the_worst_are_named(tokenizer):
    rows = (("a zebra yak", "a b"), ("a yak", "a b"), ("b gnu gnu gnu", "a yak"), ("b okapi", "b a"))
    found = plan.make(tiny.pairs(*rows), tokenizer, 2, 16)
    assert found.unknown_in == (("b gnu gnu gnu", 3), ("a zebra yak", 2), ("a yak", 1), ("b okapi", 1))
    facts = found.unknown_facts
    assert facts["unknown_sentences"] == 4
    assert facts["unknown_worst"] == [
        {"sentence": "b gnu gnu gnu", "unknown": 3},
        {"sentence": "a zebra yak", "unknown": 2},
        {"sentence": "a yak", "unknown": 1},
    ]
    assert plan.make(tiny.pairs(("a b", "b a")), tokenizer, 2, 16).unknown_facts == {"unknown_sentences": 0, "unknown_worst": []}


def test_pairs_whose_difference_the_tokenizer_does_not_know_are_named(tokenizer):
    rows = (("a zebra", "a yak"), ("a b", "a c"), ("gnu b", "yak b"))
    found = plan.make(tiny.pairs(*rows), tokenizer, 2, 16)
    assert [pair.good for pair in found.alike] == ["a zebra", "gnu b"]
    assert found.unknown_facts["alike_pairs"] == 2
    assert any("2 pairs have the same tokens on both sides and tie, such as 'a zebra' and 'a yak'" in said for said in found.told)
