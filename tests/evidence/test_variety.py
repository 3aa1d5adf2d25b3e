from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontogeny.evidence.variety import (
    critical,
    effective,
    familiarity,
    function_words,
    mirrors,
    one_sided,
    sides,
    template,
    variety,
    words,
)

word = st.sampled_from(["the", "The", "cat", "cats", "sees", "see", "himself", "."])
sentence = st.lists(word, min_size=1, max_size=6).map(" ".join)


def test_words_are_letters_digits_and_underscores_in_their_case():
    assert words("Who hasn't left 2 cafés?") == ["Who", "hasn", "t", "left", "2", "cafés"]


def test_critical_words_are_the_difference_of_the_two_bags():
    assert critical("Dana knows who saw the cat.", "Dana knows that the cat saw.") == (("who",), ("that",))
    assert critical("The cat sees the cat.", "The cat sees the.") == (("cat",), ())
    assert critical("Can Dana leave?", "Dana can leave?") == (("Can",), ("can",))


@given(sentence, sentence)
def test_critical_words_are_what_counters_subtract(good, bad):
    ours, theirs = Counter(words(good)), Counter(words(bad))
    assert critical(good, bad) == (tuple(sorted((ours - theirs).elements())), tuple(sorted((theirs - ours).elements())))


def test_familiarity_by_hand():
    good, bad = ["The cat naps.", "Dogs nap."], ["The cats naps.", "Naps dogs."]
    counts = {"The": 9, "cat": 5, "naps": 5, "Dogs": 1, "nap": 7, "dogs": 5, ".": 99}  # never: cats, Naps
    got = familiarity(good, bad, counts, rare=5)
    assert (got["unseen"], got["rare"]) == (2 / 10, 3 / 10)  # Dogs is rare; the full stops are no words
    assert (got["pairs_with_unseen"], got["critical_unseen"], got["critical_rare"]) == (1, 1, 1)
    assert familiarity(["a b"], ["a c"], {"b": 5, "c": 5}, rare=5)["critical_rare"] == 0  # a tells nothing apart
    assert familiarity(["a b"], ["b a"], {}, rare=5) == {
        "unseen": 1, "rare": 1, "pairs_with_unseen": 1, "critical_unseen": 0, "critical_rare": 0, "capitals": 0
    }  # fmt: skip


def test_capitals_alone():
    assert familiarity(["Can it go?", "It can go."], ["It can go?", "It could go."], {"a": 1}, rare=1)["capitals"] == 0.5
    assert familiarity(["can It go?"], ["It Can go?"], {"a": 1}, rare=1)["capitals"] == 1


def test_function_words_make_up_their_share_and_equals_go_together():
    counts = {"the": 30, "The": 20, ".": 500, "a": 30, "cat": 10, "dog": 10}
    assert function_words(counts, 0.5) == {"the"}
    assert function_words(counts, 0.6) == {"the", "a"}
    assert function_words(counts, 0.85) == {"the", "a", "cat", "dog"}
    assert function_words({".": 3}, 0.5) == frozenset()


def test_a_template_keeps_function_words_and_marks():
    assert template("The cat, who saw 7 dogs, left.", {"the", "who"}) == "the _ , who _ _ _ , _ ."


def test_variety_by_hand():
    good = ["The cat is here.", "The dog is here.", "A cat was here.", "The cats are here."]
    got = variety(good, ["is|are", "is|are", "was|were", "are|is"], {"the", "a", "is", "are"})
    assert (got["contrasts"], got["largest_contrast"], got["effective_contrasts"]) == (3, 0.5, 16 / 6)
    assert (got["templates"], got["effective_templates"]) == (3, 16 / 6)  # the first two share theirs


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_the_effective_number_lies_between_one_and_all_and_is_all_for_equals(sizes):
    assert 1 - 1e-9 <= effective(sizes) <= len(sizes) + 1e-9
    assert effective([sizes[0]] * len(sizes)) == pytest.approx(len(sizes))


WHO, THAT = ("who",), ("that",)


def test_one_sided_by_hand():
    assert one_sided({(WHO, THAT): 10}) == 1
    assert one_sided({(WHO, THAT): 1}) == 0.5  # nobody to ask
    assert one_sided({((), ()): 10}) == 0.5  # differs in order alone
    assert one_sided({(WHO, THAT): 1, (THAT, WHO): 1}) == 0
    assert one_sided({(WHO, THAT): 3, (THAT, WHO): 1}) == pytest.approx((3 * 2 / 3 + 0) / 4)
    assert one_sided({(WHO, THAT): 500, (THAT, WHO): 500}) == pytest.approx(0.5, abs=1e-3)


@given(st.integers(1, 5))
def test_directions_by_chance_give_one_half_whatever_the_number_of_pairs(size):
    """The mean over all 2^n ways to turn n pairs round."""
    drawn = [one_sided(Counter({(WHO, THAT): k, (THAT, WHO): size - k})) for way in range(2**size) for k in [way.bit_count()]]
    assert sum(drawn) / len(drawn) == pytest.approx(0.5)


def test_mirrors_are_found_by_their_words():
    gap = sides(["Dana knows who left."] * 3 + ["Dana knows what fell."], ["Dana knows that left."] * 3 + ["Dana knows that fell."])
    no_gap = sides(["Dana knows that Ben left."] * 4, ["Dana knows who Ben left."] * 4)
    order = sides(["Ben left."], ["Left Ben."])
    found = mirrors({"gap": gap, "no gap": no_gap, "order": order}, 0.5)
    assert found == {"gap": ["no gap"], "no gap": ["gap"], "order": []}
    assert mirrors({"gap": gap, "no gap": no_gap}, 0.8) == {"gap": [], "no gap": []}  # they share three quarters
    assert mirrors({"alone": gap + no_gap}, 0.1) == {"alone": []}
