"""The controls of an exchange: sham, frequency alone, trigrams alone."""

from collections import Counter

import numpy as np
import pytest
import tiny

from ontogeny.interventions import promises
from ontogeny.interventions.collateral import ngram_change
from ontogeny.interventions.exchange import Exchange
from ontogeny.interventions.sham import ShamExchange
from ontogeny.interventions.trigram_only import TrigramExchange
from ontogeny.interventions.unigram_only import UnigramEdit
from ontogeny.records import OntogenyError
from ontogeny.tokens import token_store

# As in test_exchange.py, and verbs that no pair has, with `him` and `himself` alike, so that there is room for the controls.
TEXT = [
    *["ann washed himself .", "bob washed himself today .", "tim washed himself ."] * 4,
    *["tim washed him .", "ann washed him today ."],
    *["ann saw him .", "bob heard him today .", "tim saw him ."] * 10,
    *["ann hid himself .", "bob hurt himself today .", "tim hid himself .", "ann hurt himself ."] * 8,
    *[
        "ann hid him .",
        "bob saw himself now .",
        "tim saw him now .",
        "ann hurt him .",
        "the dog hid him now .",
        "the dog saw himself .",
    ]
    * 4,
    *["tim said ann washed him .", "ann said bob washed himself ."] * 2,
    *["the old dog ran .", "a new cat sat .", "the cat ran today .", "a dog sat ."] * 5,
]
PAIRS = tiny.pairs(
    ("tim said ann washed him .", "tim said ann washed himself ."),
    ("ann said bob washed him .", "ann said bob washed himself ."),
    paradigm="domain",
)
FIELDS = {"paradigm": "domain", "classes": [["him", "himself"]], "construction": r"\bsaid\b", "tolerance": 0.2, "dose": 0.5}
CONTROLS = [ShamExchange, UnigramEdit, TrigramExchange]


@pytest.fixture
def context(context_of):
    return context_of(TEXT, PAIRS)


def words_of(ids, context, n):
    words = context.tokenizer.convert_ids_to_tokens([int(i) for i in ids])
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))


def store_of(edited, context, tmp_path):
    unknown = context.tokenizer.unk_token_id
    return token_store.derive(tmp_path, "after", context.text, edited.ids, key="after", unknown=unknown)


@pytest.mark.parametrize("kind", CONTROLS)
def test_a_control_keeps_its_promises_and_changes_as_much_as_the_dose(context, tmp_path, kind):
    part = kind(**FIELDS)
    exchanged, edited = Exchange(**FIELDS).edit(context), part.edit(context)
    kept = promises.check(part, context.text, store_of(edited, context, tmp_path), context)
    assert [row["promise"] for row in kept] == list(kind.keeps)
    assert edited.facts["tokens_changed"] == exchanged.facts["tokens_changed"] > 0


@pytest.mark.parametrize("kind", CONTROLS)
def test_a_control_leaves_the_evidence_where_it_was(context, tmp_path, kind):
    edited = kind(**FIELDS).edit(context)
    start = context.margin("domain")
    assert edited.facts["margin"] == pytest.approx(context.margin("domain", store_of(edited, context, tmp_path)), abs=1e-12)
    assert abs(edited.facts["margin"] - start) <= 0.2 * abs(start)


@pytest.mark.parametrize("kind", CONTROLS)
def test_a_control_is_the_same_each_time(context, kind):
    one, again = (kind(**FIELDS).edit(context) for _ in range(2))
    assert np.array_equal(one.ids, again.ids)
    assert one.facts == again.facts


def test_a_sham_exchanges_the_same_words_and_leaves_the_deciding_bigrams(context):
    sham, exchanged = ShamExchange(**FIELDS).edit(context), Exchange(**FIELDS).edit(context)
    before, after = (words_of(ids, context, 2) for ids in (context.text.ids, sham.ids))
    deciding = [("washed", "him"), ("washed", "himself"), ("him", "."), ("himself", ".")]
    assert [after[pair] for pair in deciding] == [before[pair] for pair in deciding]
    assert sham.facts["exchanges_by_words"] == exchanged.facts["exchanges_by_words"]
    assert before != after


def test_a_sham_of_a_number_says_no_dose(context):
    facts = ShamExchange(**FIELDS, exchanges=3).edit(context).facts
    assert (facts["exchanges"], facts["matches"]) == (3, {"exchanges": 3})


def test_a_sham_without_places_says_how_many_there_are(context):
    with pytest.raises(
        OntogenyError, match=r"sham-exchange for domain: places off the deciding bigrams allow only \d+ of 500 'him himself'"
    ):
        ShamExchange(**FIELDS, exchanges=500).edit(context)


def test_a_unigram_edit_makes_the_favoured_word_more_frequent_off_the_deciding_histories(context):
    edited = UnigramEdit(**FIELDS).edit(context)
    one, two = (words_of(ids, context, 1) for ids in (context.text.ids, edited.ids))
    many = edited.facts["replaced"]
    assert two["him",] - one["him",] == many == one["himself",] - two["himself",] > 0
    before, after = (words_of(ids, context, 2) for ids in (context.text.ids, edited.ids))
    assert after["washed", "him"] == before["washed", "him"]
    assert after["washed", "himself"] == before["washed", "himself"]
    assert edited.facts["replaced_by_words"] == {"himself by him": many}


def test_a_unigram_edit_of_a_negative_dose_goes_the_other_way(context):
    edited = UnigramEdit(**FIELDS | {"dose": -0.2, "at_most": True}).edit(context)
    assert list(edited.facts["replaced_by_words"]) == ["him by himself"]


def test_a_trigram_exchange_leaves_every_bigram(context):
    edited = TrigramExchange(**FIELDS).edit(context)
    two, three = ([words_of(ids, context, n) for ids in (context.text.ids, edited.ids)] for n in (2, 3))
    assert two[0] == two[1]
    assert three[0] != three[1]
    assert edited.facts["bigrams"]["l1"] == 0 < edited.facts["trigrams"]["l1"]


def test_a_trigram_exchange_begins_beside_the_deciding_words(context):
    edited = TrigramExchange(**FIELDS, exchanges=2).edit(context)
    assert edited.facts["in_contexts"] == edited.facts["exchanges"] == 2
    for row in edited.changes.to_dicts():  # the same two neighbours
        (one, other) = (row[side].split() for side in ("before", "other_before"))
        at, place = one.index(row["word"]), other.index(row["other_word"])
        assert (one[at - 1], one[at + 1]) == (other[place - 1], other[place + 1])


# --- what changed, counted ------------------------------------------------------------------------------------------


def test_changes_of_ngrams_on_paper():
    """0 is BOS.  0 1 2 3 0 1 4 3 -> 0 1 4 3 0 1 4 3: one `1 2` and one `2 3` became `1 4` and `4 3`."""
    before, after = np.array([0, 1, 2, 3, 0, 1, 4, 3]), np.array([0, 1, 4, 3, 0, 1, 4, 3])
    bigrams = ngram_change(before, after, 2, 0, 5)
    assert bigrams == {"total": 8, "touched": 2, "touched_share": 0.25, "distinct": 4, "l1": 4, "l1_share": 0.5}
    trigrams = ngram_change(before, after, 3, 0, 5)  # 0 1 2, 1 2 3, 2 3 0 | 0 1 4, 1 4 3, 4 3 0 in either half
    assert trigrams == {"total": 6, "touched": 3, "touched_share": 0.5, "distinct": 6, "l1": 6, "l1_share": 1.0}


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("bos", [0, None])
def test_changes_of_ngrams_against_counting_all(n, bos):
    rng = np.random.default_rng(n)
    before = rng.integers(1, 5, 60)
    before[[0, 20, 41]] = 0
    after = before.copy()
    at = rng.choice(np.flatnonzero(before), 12, replace=False)
    after[at] = rng.integers(1, 5, 12)

    def count(ids):
        closed = [*ids.tolist(), *([] if bos is None else [bos])]
        rows = [tuple(closed[i : i + n]) for i in range(len(closed) - n + 1)]
        return Counter(row for row in rows if bos not in row[1:-1])

    one, two = count(before), count(after)
    changes = {row: two[row] - one[row] for row in one | two}
    found = ngram_change(before, after, n, bos, 5)
    assert found["total"] == one.total()
    assert found["l1"] == sum(map(abs, changes.values()))
    assert found["distinct"] == sum(change != 0 for change in changes.values())


def test_nothing_changed_is_nothing():
    same = np.array([0, 1, 2])
    assert ngram_change(same, same, 3, 0, 3) == {
        "total": 2, "touched": 0, "touched_share": 0.0, "distinct": 0, "l1": 0, "l1_share": 0.0,
    }  # fmt: skip
