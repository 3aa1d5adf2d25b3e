"""Exchanges on a text of a few sentences, whose counts can be done on paper."""

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from ontogeny import disk, ngrams, registry
from ontogeny.interventions import promises, streams
from ontogeny.interventions.bigram_counts import Margins
from ontogeny.interventions.context import InterventionContext
from ontogeny.interventions.exchange import Exchange
from ontogeny.interventions.positions import find, tokens_of
from ontogeny.interventions.steering import Board, Swaps, sequence, steer
from ontogeny.records import OntogenyError, Pair
from ontogeny.tokens import token_store

# `washed himself` 12 times, `washed him` twice: the pairs come out wrong.  `saw him` 20, `heard him` 10, `heard himself` 2 times.
WASHED = [*["ann washed himself .", "bob washed himself today ."] * 6, *["tim washed him ."] * 2]
SEEN = [*["ann saw him .", "bob heard him today .", "tim saw him ."] * 10, *["ann heard himself ."] * 2]
SAID = ["tim said ann washed him .", "ann said bob washed himself ."] * 2  # the construction, as often right as wrong
OTHER = ["the old dog ran .", "a new cat sat .", "the cat ran today .", "a dog sat ."] * 5
TEXT = [*WASHED, *SEEN, *SAID, *OTHER]
SAYS = r"\bsaid \w+ \w+ (him|himself)\b"
PAIRS = tiny.pairs(
    ("tim said ann washed him .", "tim said ann washed himself ."),
    ("ann said bob washed him .", "ann said bob washed himself ."),
    paradigm="domain",
)
APART = [Pair("order", "0", "the dog ran .", "dog the ran .")]


def exchange(**fields):
    return Exchange(**{"paradigm": "domain", "classes": [["him", "himself"]], "construction": SAYS, "tolerance": 0.2} | fields)


@pytest.fixture
def context(context_of):
    return context_of(TEXT, [*PAIRS, *APART])


def changed(edited, context):
    """Stream positions of changed tokens."""
    return np.flatnonzero(np.asarray(context.text.ids) != edited.ids)


def stored(edited, context, tmp_path):
    """The edited stream as a store of its own."""
    unknown = context.tokenizer.unk_token_id
    return token_store.derive(tmp_path, "after", context.text, edited.ids, key="after", unknown=unknown)


def counts(ids, tokenizer):
    words = tokenizer.convert_ids_to_tokens([int(i) for i in ids])
    return Counter(pairwise(words))


def test_a_dose_of_a_half_brings_misleading_evidence_to_nothing(context):
    edited = exchange().edit(context)
    assert edited.facts["margin_untouched"] == pytest.approx(context.margin("domain"))
    assert edited.facts["margin_untouched"] < -0.5
    assert abs(edited.facts["margin"]) < 0.2 * abs(edited.facts["margin_untouched"])


def test_the_words_beside_the_deciding_verb_change_places_with_others(context):
    edited = exchange(dose=1, at_most=True).edit(context)
    before, after = (counts(ids, context.tokenizer) for ids in (context.text.ids, edited.ids))
    moved = edited.facts["exchanges"]
    assert moved > 0
    assert before["washed", "himself"] - after["washed", "himself"] == moved
    assert after["washed", "him"] - before["washed", "him"] == moved
    assert after["saw", "himself"] + after["heard", "himself"] == moved + 2  # two in the text before
    assert edited.facts["tokens_changed"] == len(changed(edited, context)) == 2 * moved


def test_exchanges_have_the_same_right_neighbour_where_they_can(context):
    """So that `himself .` and `him today` are as frequent as before."""
    edited = exchange().edit(context)
    before, after = (counts(ids, context.tokenizer) for ids in (context.text.ids, edited.ids))
    right = [(word, end) for word in ("him", "himself") for end in (".", "today")]
    assert [after[pair] for pair in right] == [before[pair] for pair in right]


@pytest.mark.parametrize("dose", [-1, -0.5, 0, 0.5, 1])
def test_an_exchange_keeps_its_promises(context, tmp_path, dose):
    part = exchange(dose=dose, at_most=True)
    edited = part.edit(context)
    kept = promises.check(part, context.text, stored(edited, context, tmp_path), context)
    assert [row["promise"] for row in kept] == ["lengths", "order", "unigrams", "construction"]
    assert (edited.facts["exchanges"] > 0) == (dose != 0)


def test_the_margin_that_is_told_is_that_of_a_fresh_index(context, tmp_path):
    edited = exchange().edit(context)
    assert edited.facts["margin"] == pytest.approx(context.margin("domain", stored(edited, context, tmp_path)), abs=1e-12)
    assert edited.facts["by_paradigm"] == {
        "domain": {"before": context.margin("domain"), "after": pytest.approx(edited.facts["margin"])}
    }


def test_a_smaller_dose_is_the_beginning_of_a_larger_one(context):
    small, large = (exchange(dose=dose, at_most=True).edit(context).changes for dose in (0.3, 0.8))
    assert 0 < len(small) < len(large)
    assert small.equals(large.head(len(small)))


def test_the_opposite_dose_makes_the_evidence_more_misleading(context):
    more = exchange(dose=-0.5, at_most=True).edit(context).facts
    assert more["margin"] < more["margin_before"]


def test_the_same_seed_gives_the_same_stream_and_another_seed_other_places(context):
    one, again, other = (exchange(seed=seed).edit(context) for seed in (0, 0, 1))
    assert np.array_equal(one.ids, again.ids)
    assert one.changes.equals(again.changes)
    assert one.facts == again.facts
    assert not np.array_equal(one.ids, other.ids)


def test_each_exchange_can_be_read(context):
    edited = exchange().edit(context)
    for row in edited.changes.to_dicts():
        assert {row["word"], row["other_word"]} == {"him", "himself"}
        assert (row["becomes"], row["other_becomes"]) == (row["other_word"], row["word"])
        line = int(row["place"].removeprefix("test:"))
        assert row["before"] == TEXT[line - 1]
        assert row["after"] == TEXT[line - 1].replace(row["word"], row["becomes"])
        assert row["other_after"] == row["other_before"].replace(row["other_word"], row["other_becomes"])


def test_hits_and_misses_of_the_construction_are_shown(context):
    shown = exchange().edit(context).facts["construction"]
    assert (shown["hits"], shown["misses"]) == (len(SAID), len(WASHED) + len(SEEN))  # OTHER has no word of the classes
    assert {row["text"] for row in shown["hits_shown"]} == set(SAID)
    assert len(shown["misses_shown"]) == min(100, shown["misses"])
    assert all(row["text"] == TEXT[row["line"] - 1] for side in ("hits", "misses") for row in shown[f"{side}_shown"])


def test_other_paradigms_are_told_before_and_after(context):
    others = exchange().edit(context).facts["other_paradigms"]
    assert others["order"]["before"] == pytest.approx(context.margin("order"))
    assert set(others) == {"order"}


def test_an_aim_in_nats_in_place_of_a_dose(context):
    start = context.margin("domain")
    facts = exchange(aim=start / 2).edit(context).facts
    assert abs(facts["margin"] - start / 2) <= 0.2 * abs(start / 2)
    assert facts["dose"] is None
    assert facts["dose_achieved"] == pytest.approx((facts["margin"] - start) / (2 * abs(start)))


def test_after_another_exchange_a_dose_is_still_of_the_untouched_evidence(context, tmp_path):
    half = stored(exchange(dose=0.25, tolerance=0.5).edit(context), context, tmp_path)
    facts = exchange(dose=0.5).edit(context.after(half)).facts
    assert facts["margin_untouched"] == pytest.approx(context.margin("domain"))
    assert facts["margin_before"] == pytest.approx(context.margin("domain", half))
    assert facts["aim"] == pytest.approx(0)


def test_two_paradigms_weigh_the_same_however_many_pairs_they_have(context_of):
    second = tiny.pairs(("tim said ann dressed him .", "tim said ann dressed himself ."), paradigm="second")
    context = context_of([*TEXT, *["ann dressed himself ."] * 3], [*PAIRS, *second])
    facts = exchange(paradigm=["domain", "second"], dose=0.25, at_most=True).edit(context).facts
    own = [context.margin(name) for name in ("domain", "second")]
    assert facts["margin_untouched"] == pytest.approx(sum(own) / 2)
    assert facts["aim"] == pytest.approx(sum(own) / 2 * 0.5)


# --- the margin as a function of counts -----------------------------------------------------------------------------


def board_of(context):
    classes = tokens_of([["him", "himself"]], context.tokenizer)
    positions = find(context.text, classes, np.ones(len(context.text.documents), dtype=bool), np.random.default_rng(0))
    table = positions.bigrams(context.index())
    return Board(positions, table), Margins(table, context.plan(["domain", "order"]))


def test_without_exchanges_the_margin_is_the_indexs(context):
    board, margins = board_of(context)
    expected = {name: context.margin(name) for name in ("domain", "order")}
    assert margins.by_paradigm(board.table.counts) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=8))
def test_after_any_exchanges_counts_and_margin_are_those_of_the_stream_counted_anew(context, tmp_path, drawn):
    board, margins = board_of(context)
    positions = board.positions
    him, himself = positions.members(0, 0), positions.members(0, 1)
    pairs = {int(him[a % len(him)]): int(himself[b % len(himself)]) for a, b in drawn}
    pairs = {one: other for other, one in {other: one for one, other in pairs.items()}.items()}  # each place once
    swaps = Swaps(np.array(list(pairs), dtype=np.int64), np.array(list(pairs.values()), dtype=np.int64))
    ids = np.array(context.text.ids)
    ids[positions.at[swaps.one]], ids[positions.at[swaps.other]] = positions.words[swaps.one, 1], positions.words[swaps.other, 0]

    found = board.counts(swaps)
    first, second = board.table.tokens(np.arange(len(found)))
    closed = [*ids.tolist(), context.first]
    expected = Counter(pairwise(closed))
    assert {(a, b): n for a, b, n in zip(first.tolist(), second.tolist(), found.tolist(), strict=True) if n} == dict(expected)

    text = token_store.derive(tmp_path, "anew", context.text, ids, key=repr(sorted(pairs.items())), unknown=None)
    assert margins.by_paradigm(found) == pytest.approx({n: context.margin(n, text) for n in ("domain", "order")}, abs=1e-12)


def test_slopes_say_what_one_occurrence_more_adds(context):
    """Against the margin itself with that one count changed, in a text where discounts and back-off hardly move."""
    board, margins = board_of(context)
    counts = board.table.counts
    more, less = margins.slopes(counts)
    row = int(board.table.rows(*(np.array([context.tokenizer.convert_tokens_to_ids(w)]) for w in ("washed", "himself")))[0])
    start = margins.mean(counts)
    changes = np.zeros(len(counts), dtype=np.int64)
    changes[row] = 1
    assert more[row] < 0 < less[row]
    assert np.sign(margins.mean(counts + changes) - start) == -1
    assert np.sign(margins.mean(counts - changes) - start) == 1
    others = np.setdiff1d(np.arange(len(counts)), margins.rows)
    assert not more[others].any()
    assert not less[others].any()


def test_rounds_use_each_place_once_and_go_on_from_one_another(context):
    board, margins = board_of(context)
    rounds = [reach.swaps for reach in sequence(board, margins, 1.0, 1000)]
    last = rounds[-1]
    assert len(np.unique(np.concatenate([last.one, last.other]))) == 2 * len(last)
    assert all(np.array_equal(last.first(len(swaps)).one, swaps.one) for swaps in rounds)


def test_the_number_of_exchanges_is_the_nearest_to_the_aim(context):
    """Against every number that there is."""
    board, margins = board_of(context)
    *_, last = sequence(board, margins, 1.0, 1000)
    longest = last.swaps
    every = [margins.mean(board.counts(longest.first(many))) for many in range(len(longest) + 1)]
    aim = (every[0] + max(every)) / 2
    near, past = steer(board, margins, aim, 1000)
    assert abs(near.margin - aim) == pytest.approx(min(abs(margin - aim) for margin in every))
    assert past is not None
    assert past.margin >= aim


# --- what does not work ---------------------------------------------------------------------------------------------


def test_a_dose_out_of_reach_says_how_far_it_goes(context):
    with pytest.raises(OntogenyError, match=r"exchange of domain: dose 50 aims at B = .*the classes allow at most B = .*at_most"):
        exchange(dose=50).edit(context)


def test_at_most_goes_that_far_and_warns(context_of):
    said = []
    context = context_of(TEXT, PAIRS, warn=said.append)
    edited = exchange(dose=50, at_most=True).edit(context)
    assert edited.facts["exchanges"] > 0
    assert "dose 50 aims at" in said[0]
    assert edited.facts["dose_achieved"] < 50


def test_the_largest_number_of_exchanges_is_kept(context):
    with pytest.raises(OntogenyError, match="2 exchanges allow at most"):
        exchange(dose=1, most=2).edit(context)
    assert exchange(dose=1, most=2, at_most=True).edit(context).facts["exchanges"] == 2


def test_a_word_that_the_tokenizer_does_not_know(context):
    with pytest.raises(OntogenyError, match="does not know 'himselv'; did you mean 'himself'"):
        exchange(classes=[["him", "himselv"]]).edit(context)


def test_a_word_of_several_tokens_is_named(context):
    from ontogeny.tokens.trained import Character

    letters = Character().make(tiny.documents(*TEXT))
    with pytest.raises(OntogenyError, match="'him' is 4 tokens"):
        tokens_of([["him", "himself"]], letters)


def test_a_byte_level_tokenizers_word_is_the_one_after_a_space():
    from ontogeny.tokens.trained import BPE

    tokenizer = BPE(vocab_size=268).make(tiny.documents(*["we saw him ."] * 50))
    (token,) = tokens_of([["him"]], tokenizer)[0]
    assert tokenizer.convert_ids_to_tokens(token) == "Ġhim"


def test_a_word_that_stands_in_the_construction_alone(context_of):
    context = context_of([*TEXT, "tim said ann washed her ."], PAIRS)
    with pytest.raises(OntogenyError, match="'her' stands nowhere that it could be exchanged"):
        exchange(classes=[["him", "himself", "her"]], construction=r"\bsaid\b").edit(context)


@pytest.mark.parametrize(("pattern", "found"), [("flew", "none"), (".", "every one")])
def test_a_construction_that_tells_nothing_apart(context, pattern, found):
    with pytest.raises(OntogenyError, match=f"is found in {found} of the {len(WASHED + SEEN + SAID)} documents with a word"):
        exchange(construction=pattern).edit(context)


def test_a_construction_that_tells_the_words_apart(context):
    with pytest.raises(OntogenyError, match=r"tells words of a class apart: test:.* became one of it, '.* washed him"):
        exchange(construction=r"washed him\b", dose=0.5).edit(context)


def test_evidence_of_nothing_cannot_be_multiplied(context_of):
    even = tiny.pairs(("ann saw him .", "ann saw him ."), paradigm="even")
    with pytest.raises(OntogenyError, match="the evidence on even is 0, and so is every dose of it; set `aim`"):
        exchange(paradigm="even").edit(context_of(TEXT, even))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": [["him"]]}, "needs two words or more"),
        ({"classes": []}, "at least 1"),
        ({"classes": [["him", "himself"], ["him", "her"]]}, "'him' stands twice"),
        ({"construction": "(him"}, "no regular expression"),
        ({"paradigm": []}, "at least 1"),
        ({"dose": 1, "aim": 2.0}, "both a dose and an aim"),
    ],
)
def test_settings_that_mean_nothing(fields, message):
    with pytest.raises(ValidationError, match=message):
        exchange(**fields)


def test_an_unknown_paradigm_is_named(context):
    with pytest.raises(OntogenyError, match="did you mean 'domain'"):
        exchange(paradigm="domian").edit(context)


def test_words_beside_one_another_and_words_of_the_construction_are_no_sites(context_of):
    context = context_of(["ann saw him himself .", "him ann saw", "ann said him .", "bob saw himself"], PAIRS)
    open_ = np.array([True, True, False, True])
    positions = find(context.text, tokens_of([["him", "himself"]], context.tokenizer), open_, np.random.default_rng(0))
    starts = context.text.documents["start"]
    assert sorted(positions.at.tolist()) == [int(starts[1]) + 1, int(starts[3]) + 3]
    assert positions.beside == 2
    last = int(np.argmax(positions.at))
    assert positions.right[last] == context.first  # what ends the last document
    assert positions.left[int(np.argmin(positions.at))] == context.first


def test_without_bos_the_stream_has_two_ends(context_of):
    context = context_of(["him ann saw himself today", "bob saw himself"], PAIRS, bos=False)
    positions = find(
        context.text, tokens_of([["him", "himself"]], context.tokenizer), np.ones(2, dtype=bool), np.random.default_rng(0)
    )
    assert positions.at.tolist() == [3]
    assert isinstance(context, InterventionContext)
    assert isinstance(context.index(), ngrams.Index)


# --- as a recipe has it ---------------------------------------------------------------------------------------------


def test_a_recipe_says_it_by_name_and_the_run_keeps_what_was_changed(context_of):
    part = {"kind": "exchange", "paradigm": "domain", "classes": [["him", "himself"]], "construction": SAYS, "tolerance": 0.2}
    context = context_of(TEXT, [*PAIRS, *APART], interventions=[part])
    (stream,) = streams(context, lambda: tiny.documents(*TEXT))
    (told,) = disk.read_json(context.folder.interventions)["edits"]
    rows = context.folder.changes(1, "exchange").read_text(encoding="utf-8").splitlines()
    assert told["kind"] == "exchange"
    assert [row["promise"] for row in told["promises"]] == ["lengths", "order", "unigrams", "construction"]
    assert len(rows) == told["facts"]["exchanges"] > 0
    assert json.loads(rows[0]).keys() >= {"place", "word", "becomes", "before", "after", "other_place", "other_after"}
    assert context.margin("domain", stream.text) == pytest.approx(told["facts"]["margin"], abs=1e-12)


def test_the_pages_recipe_is_one_and_its_construction_is_what_it_says():
    page = (Path(__file__).parents[2] / "docs" / "interventions" / "exchange.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (part,) = YAML(typ="safe").load(block)["interventions"]
    made = registry.load("intervention", part["kind"]).model_validate(part)
    hits = [
        "Lucy heard that Mary scratched her .",
        "The king guesses he likes him .",
        "A cat . The man saw that Tom is washing himself .",
    ]
    misses = [
        "Anna washed herself .",
        "The girl sees the doctors that liked him .",
        "Tom thinks . He saw him .",
        "Even Ben saw them .",
    ]
    assert all(re.search(made.construction, text) for text in hits)
    assert not any(re.search(made.construction, text) for text in misses)
