"""The critical contrast of a pair, and pairs that have none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontogeny.records import Pair
from ontogeny.suites import contrast, distinct

words = st.lists(st.sampled_from(["a", "b", "c"]), max_size=6)


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        ("Dana knows who left.", "Dana knows that left.", "who|that"),
        ("The cats sleep", "The cat sleeps", "cats sleep|cat sleeps"),
        ("Who left", "Who has left", "|has"),
        ("a a b", "a b", "a|"),
        ("a a", "a a a", "|a"),
        ("same  words", "same words", "|"),
        ("one", "two", "one|two"),
    ],
)
def test_the_contrast_is_what_differs(good, bad, expected):
    assert contrast(good, bad) == expected


@given(words, words, words, words)
def test_shared_ends_never_matter(first, good, bad, last):
    inner = contrast(" ".join(["x", *good, "x"]), " ".join(["y", *bad, "y"]))
    outer = contrast(" ".join([*first, "x", *good, "x", *last]), " ".join([*first, "y", *bad, "y", *last]))
    assert inner == outer == f"{' '.join(['x', *good, 'x'])}|{' '.join(['y', *bad, 'y'])}"


@given(words, words)
def test_swapping_the_sentences_swaps_the_contrast(good, bad):
    ours, theirs = contrast(" ".join(good), " ".join(bad)).split("|")
    assert contrast(" ".join(bad), " ".join(good)) == f"{theirs}|{ours}"
    assert (ours == theirs == "") == (good == bad)


def test_identical_pairs_are_set_apart_and_none_is_lost():
    differ, same = Pair("p", "1", "a", "b"), Pair("p", "2", "a", "a")
    assert distinct(iter([differ, same])) == ([differ], [same])
