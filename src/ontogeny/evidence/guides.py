"""The thresholds of the audit, in one place."""

from __future__ import annotations

from itertools import count

from pydantic import Field, model_validator

from ontogeny.recipe import Part, Thresholds
from ontogeny.trajectories.bands import enough_pairs


class Guides(Part):
    """What makes a paradigm a poor guide, or a guide to use with care.  Shares and accuracies are from 0 to 1."""

    solved: float = Field(0.90, gt=0.5, le=1)
    """A shortcut (an n-gram model, or length) that gets this much right solves the paradigm: poor guide.  People themselves agree
    in .886 of BLiMP, so nothing is left that only grammar could add."""
    partly: float = Field(0.65, gt=0.5, le=1)
    """A shortcut that gets this much right solves it partly: with care.  5-grams get .61 of all BLiMP: more is this paradigm's
    own, and outside the band of chance."""
    misled: float = Field(0.35, ge=0, lt=0.5)
    """A shortcut that gets no more than this right prefers the bad sentence.  That is noted, and is no flaw: success then
    takes more than the shortcut."""
    human: float = Field(0.80, ge=0, le=1)
    """Lower human agreement: with care.  The sentences that people dispute then set a ceiling that no model should be above."""
    disputed: float = Field(0.65, ge=0, le=1)
    """Lower human agreement: poor guide.  Of 100 judgements of a forced choice, .60 is still chance at p = .05."""
    rare: int = Field(5, ge=1)
    """A word is rare with fewer occurrences in the training text, unseen ones included: met in four contexts at most."""
    critical_rare: float = Field(0.25, gt=0, le=1)
    """Share of pairs told apart by a rare word, from which on: with care."""
    critical_unseen: float = Field(0.10, gt=0, le=1)
    """Share of pairs told apart by a word that the training text never has, from which on: with care.  Accuracy on them is
    spelling or luck."""
    unknown: float = Field(0.50, gt=0, le=1)
    """The same share, from which on: poor guide."""
    unseen: float = Field(0.25, gt=0, le=1)
    """Share of pairs with any unseen word, from which on: with care."""
    contrasts: int | None = Field(None, ge=1)
    """Fewer effective contrasts: with care.  Left out: the fewest observations that, all right, would be told from chance (12
    for 67 paradigms), since no more than the contrasts are left of the pairs where the contrast decides everything."""
    one_sided: float = Field(0.90, gt=0.5, le=1)
    """Where pairs that turn on the same words agree this often on which of them are good: with care, since a fixed
    preference for these words gets nearly everything right, and the opposite preference nearly nothing."""
    mirrored: float = Field(0.50, gt=0, le=1)
    """Share of its pairs, from which on another paradigm that turns on the same words the other way round is named beside a
    one-sided one: a fixed preference gets one half of the two together."""
    capitals: float = Field(0.50, gt=0, le=1)
    """Share of pairs whose words differ in capitals alone, from which on unigrams decide no verdict: they then know only which
    word has the capital of the sentence's beginning, which any model that sees the beginning knows to expect."""
    templates: float = Field(5.0, ge=1)
    """Fewer effective sentence templates: with care, as accuracy may be about these few frames."""
    function_words: float = Field(0.50, gt=0, lt=1)
    """A template keeps the most frequent words that make up this share of the training text (67 words of 10M words of
    child-directed English and easy prose) and has a slot for any other."""
    unequal: float = Field(0.25, gt=0, le=1)
    """Share of pairs of unequal length, from which on the lengths are noted even where counting decides nothing."""
    confidence: float = Field(0.95, gt=0, lt=1)
    """Family-wise confidence with which a paradigm's pairs must be told from chance."""

    @model_validator(mode="after")
    def _in_order(self) -> Guides:
        for low, high in (("partly", "solved"), ("disputed", "human"), ("critical_unseen", "unknown")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} ({getattr(self, low)}) is above {high} ({getattr(self, high)}): it must not be")
        return self

    def fewest(self, paradigms: int) -> int:
        """The fewest observations that, all right, would be told from chance in one of so many paradigms."""
        verdicts = Thresholds(confidence=self.confidence)
        return next(n for n in count(1) if enough_pairs(n, paradigms, verdicts))
