import polars as pl
import pytest
from pydantic import ValidationError

from ontogeny.evidence.flaws import CARE, FLAWS, MEANINGFUL, NOTES, POOR, judged, percent
from ontogeny.evidence.guides import Guides
from ontogeny.trajectories import band

PLAIN = {
    "suite": "s", "paradigm": "p", "pairs": 1000, "identical": 0, "human": 0.95,
    "word_unigram": 0.5, "word_bigram": 0.5, "word_5gram": 0.5,
    "word_length": 0.5, "word_unequal": 0.0, "word_bigram_equal_length": 0.5,
    "unseen": 0.0, "rare": 0.0, "pairs_with_unseen": 0.0, "critical_unseen": 0.0, "critical_rare": 0.0, "capitals": 0.0,
    "contrasts": 900, "largest_contrast": 0.01, "effective_contrasts": 800.0, "one_sided": 0.5, "mirrored_by": [],
    "templates": 90, "effective_templates": 50.0,
}  # fmt: skip


def verdict(thresholds=None, **measures):
    return judged(pl.DataFrame([PLAIN | measures]), thresholds or Guides()).row(0, named=True)


def test_nothing_wrong_is_a_meaningful_guide():
    got = verdict()
    assert (got["verdict"], got["reasons"], got["notes"], got["flaws"]) == (MEANINGFUL, [], [], [])


@pytest.mark.parametrize(
    ("measures", "wanted", "flaw", "reason"),
    [
        ({"word_unigram": 0.99}, POOR, "n-grams", "solved by n-grams of words: unigram 99 % right"),
        (
            {"word_unigram": 0.90, "word_5gram": 0.70},
            POOR,
            "n-grams",
            "solved by n-grams of words: unigram 90 %, 5-gram 70 % right",
        ),
        (
            {"word_unigram": 1.0, "word_bigram": 1.0, "word_5gram": 0.995},
            POOR,
            "n-grams",
            "solved by n-grams of words of every order: unigram 100 %, bigram 100 %, 5-gram 99.5 % right",
        ),
        ({"word_bigram": 0.65}, CARE, "n-grams", "partly solved by n-grams of words: bigram 65 % right"),
        (
            {"word_length": 0.87, "word_unequal": 0.8, "word_bigram_equal_length": 0.61},
            CARE,
            "length",
            "partly solved by length: counting words gets 87 % right, as the lengths differ in 80 % of pairs"
            " and the good sentence is the shorter in 96.2 % of these (at equal length a bigram model gets 61 %)",
        ),
        (
            {"word_length": 1.0, "word_unequal": 1.0, "word_bigram_equal_length": None},
            POOR,
            "length",
            "solved by length: counting words gets 100 % right, as the lengths differ in 100 % of pairs"
            " and the good sentence is the shorter in 100 % of these",
        ),
        ({"human": 0.79}, CARE, "human agreement", "people chose the sentence that counts as good in only 79 % of judgements"),
        ({"human": 0.606}, POOR, "human agreement", "people chose the sentence that counts as good in only 60.6 % of judgements"),
        (
            {"critical_unseen": 0.1},
            CARE,
            "unknown words",
            "10 % of pairs are told apart by a word that the training text never has",
        ),
        (
            {"critical_unseen": 0.5},
            POOR,
            "unknown words",
            "50 % of pairs are told apart by a word that the training text never has",
        ),
        (
            {"critical_rare": 0.3},
            CARE,
            "unknown words",
            "30 % of pairs are told apart by a word that occurs fewer than 5 times in the training text",
        ),
        ({"pairs_with_unseen": 0.3}, CARE, "unknown words", "30 % of pairs have a word that the training text never has"),
        (
            {"contrasts": 6, "effective_contrasts": 3.8},
            CARE,
            "few contrasts",
            "only 6 distinct contrasts behind 1,000 pairs, worth 3.8 equally frequent ones",
        ),
        ({"contrasts": 1, "effective_contrasts": 1.0}, CARE, "few contrasts", "only 1 distinct contrast behind 1,000 pairs"),
        (
            {"templates": 17, "effective_templates": 3.5},
            CARE,
            "few templates",
            "only 17 templates behind 1,000 pairs, worth 3.5 equally frequent ones",
        ),
        (
            {"one_sided": 1.0, "mirrored_by": ["q"]},
            CARE,
            "one-sided",
            "one-sided: pairs that turn on the same words agree in 100 % on which of these are good,"
            " so fixed preferences among words would do; q has them the other way round: read them together",
        ),
        ({"pairs": 4}, POOR, "too few pairs", "4 pairs, all right, could not be told from chance: that takes 6"),
    ],
)
def test_one_flaw_alone(measures, wanted, flaw, reason):
    got = verdict(**measures)
    assert (got["verdict"], got["flaws"], got["reasons"]) == (wanted, [flaw], [reason])


@pytest.mark.parametrize(
    ("measures", "note"),
    [
        ({"word_bigram": 0.12}, "misleads n-grams of words (bigram 12 % right): success takes more than they know"),
        ({"identical": 5}, "5 pairs with identical sentences left out"),
        (
            {"word_length": 0.4, "word_unequal": 0.3},
            "counted in words, the lengths differ in 30 % of pairs and the good sentence is the shorter in 16.7 % of these:"
            " compare sums with scores per word",
        ),
        (
            {"capitals": 1.0, "word_unigram": 0.94},
            "the words differ in capitals alone in 100 % of pairs: unigrams (94 % of words) decide no verdict",
        ),
    ],
)
def test_a_note_weighs_nothing(measures, note):
    got = verdict(**measures)
    assert (got["verdict"], got["reasons"], got["notes"]) == (MEANINGFUL, [], [note])


def test_capitals_excuse_unigrams_and_no_others():
    got = verdict(capitals=1.0, word_unigram=0.94, word_bigram=0.92)
    assert (got["verdict"], got["reasons"]) == (POOR, ["solved by n-grams of words: bigram 92 % right"])


def test_the_gravest_reason_comes_first_and_a_shortcut_that_is_misled_excuses_none():
    got = verdict(contrasts=2, effective_contrasts=2.0, word_bigram=0.1, human=0.6, word_unigram=0.7)
    assert got["verdict"] == POOR and got["reasons"][0].startswith("people chose")
    assert got["flaws"] == ["human agreement", "n-grams", "few contrasts"]


def test_unpublished_agreement_is_no_flaw():
    assert verdict(human=None)["verdict"] == MEANINGFUL


def test_every_measure_may_be_asked_more_or_less_of():
    assert verdict(Guides(solved=0.95), word_unigram=0.94)["verdict"] == CARE
    assert verdict(Guides(contrasts=2), effective_contrasts=3.0)["verdict"] == MEANINGFUL
    assert verdict(Guides(human=0.97))["verdict"] == CARE


def test_the_fewest_contrasts_are_what_the_band_needs():
    assert Guides().fewest(67) == 12 and band(12, 67) <= 1 < band(11, 67)
    assert Guides(confidence=0.99).fewest(67) > 12


def test_thresholds_out_of_order_are_refused():
    with pytest.raises(ValidationError, match=r"partly \(0.95\) is above solved \(0.9\)"):
        Guides(partly=0.95)
    with pytest.raises(ValidationError, match="disputed"):
        Guides(human=0.6)
    with pytest.raises(ValidationError, match="Extra inputs"):
        Guides(solvd=0.9)


def test_flaws_and_notes_have_names_of_their_own():
    assert not set(FLAWS) & set(NOTES)
    assert [percent(share) for share in (0.876, 1, 0, 0.0004, 0.5)] == ["87.6 %", "100 %", "0 %", "0 %", "50 %"]
