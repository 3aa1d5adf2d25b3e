"""What a paradigm's pairs are made of: words that the training text knows or not, contrasts, and sentence templates."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set

import polars as pl

from ontogeny.evidence.guides import Guides

Sides = tuple[tuple[str, ...], tuple[str, ...]]  # the words that only the good and that only the bad sentence has

LETTERS = re.compile(r"\w+")
WORD = re.compile(r"\w+|[^\w\s]+")  # the word level of the n-gram models: runs of letters, digits and _, or of marks; case kept


def words(sentence: str) -> list[str]:
    """The words of a sentence, without its punctuation, case kept.

    >>> words("Who hasn't left?")
    ['Who', 'hasn', 't', 'left']
    """
    return LETTERS.findall(sentence)


def critical(good: str, bad: str) -> Sides:
    """The words that only the good and that only the bad sentence has, each sorted; a word's second occurrence is another word.

    These and no others decide a unigram model's margin.  Both are empty where the pair differs in order or marks alone.

    >>> critical("Dana knows who saw the cat.", "Dana knows that the cat saw.")
    (('who',), ('that',))
    """
    return _uncommon(words(good), words(bad))


def _uncommon(ours: Iterable[str], theirs: Iterable[str]) -> Sides:
    only, left = [], list(theirs)
    for word in ours:
        if word in left:
            left.remove(word)
        else:
            only.append(word)
    return tuple(sorted(only)), tuple(sorted(left))


def familiarity(good: Sequence[str], bad: Sequence[str], counts: Mapping[str, int], rare: int) -> dict[str, float]:
    """How far the training text knows a paradigm's words, given its word counts; a word with fewer than `rare` is rare.

    `unseen` and `rare` are shares of word occurrences (both sentences, no punctuation); `pairs_with_unseen` is the share
    of pairs with an unseen word; `critical_unseen` and `critical_rare` are the shares of pairs with one among the
    `critical` words; `capitals` is the share of pairs whose words differ in nothing but capitals.
    """
    occurrences, pairs = Counter[str](), Counter[str]()
    for ours, theirs in zip(good, bad, strict=True):
        seen = [counts.get(word, 0) for word in words(ours) + words(theirs)]
        telling = critical(ours, theirs)
        fewest = min((counts.get(word, 0) for side in telling for word in side), default=rare)
        occurrences.update(all=len(seen), unseen=seen.count(0), rare=sum(number < rare for number in seen))
        pairs.update(pairs_with_unseen=0 in seen, critical_unseen=fewest == 0, critical_rare=fewest < rare)
        pairs.update(capitals=_in_capitals_alone(*telling))
    shares = {name: occurrences[name] / max(occurrences["all"], 1) for name in ("unseen", "rare")}
    return shares | {
        name: pairs[name] / len(good) for name in ("pairs_with_unseen", "critical_unseen", "critical_rare", "capitals")
    }


def function_words(counts: Mapping[str, int], share: float) -> frozenset[str]:
    """The most frequent words, case folded, that together make up `share` of the training text's words (no punctuation).

    Words as frequent as the last one needed are all in, so that no order among equals decides.
    """
    folded = Counter[str]()
    for word, number in counts.items():
        if LETTERS.match(word):
            folded[word.casefold()] += number
    left, last = share * folded.total(), 0
    for _, number in folded.most_common():
        if left <= 0:
            break
        left, last = left - number, number
    return frozenset(word for word, number in folded.items() if number >= last > 0)


def template(sentence: str, kept: Set[str]) -> str:
    """The sentence's frame: words in `kept` (case folded) and marks stay, any other word becomes a slot.

    >>> template("The cat saw Dana.", {"the"})
    'the _ _ _ .'
    """
    return " ".join(_slot(word, kept) for word in WORD.findall(sentence))


def variety(good: Sequence[str], contrasts: Sequence[str], kept: Set[str]) -> dict[str, float]:
    """How many different things the pairs of a paradigm are.

    `contrasts` counts distinct ones, `largest_contrast` is the commonest one's share, and `effective_contrasts` is as many
    equally frequent ones as are as varied.  If the contrast alone decided a model's answer, that many observations would be left
    of the pairs; the truth lies between it and the number of pairs.  `templates` and `effective_templates` are the same of the good
    sentence's `template` together with the contrast's, which says what is exchanged for what.
    """
    of_contrasts = Counter(contrasts)
    of_templates = Counter((template(ours, kept), template(turn, kept)) for ours, turn in zip(good, contrasts, strict=True))
    return {
        "contrasts": len(of_contrasts),
        "largest_contrast": max(of_contrasts.values()) / len(good),
        "effective_contrasts": effective(of_contrasts.values()),
        "templates": len(of_templates),
        "effective_templates": effective(of_templates.values()),
    }


def sides(good: Iterable[str], bad: Iterable[str]) -> Counter[Sides]:
    """How many pairs turn on which words: their `critical` words, case folded."""
    return Counter(critical(ours.casefold(), theirs.casefold()) for ours, theirs in zip(good, bad, strict=True))


def effective(sizes: Iterable[int]) -> float:
    """1 / sum of squared shares (Simpson's index inverted): the number of equally large classes that are as varied."""
    sizes = list(sizes)
    return sum(sizes) ** 2 / sum(size * size for size in sizes)


def one_sided(sides: Mapping[Sides, int]) -> float:
    """How often another pair that turns on the same words has the same ones good.

    Each pair asks all others of its kind, and the mean over pairs is given; a pair that asks nobody, or that differs in order
    alone, counts one half.  1: the same words are good in all pairs, so that fixed preferences decide them all; .5: either
    side is good equally often.  No pair is its own witness, so chance alone gives .5 with any number of pairs.
    """
    total = 0.0
    for (ours, theirs), number in sides.items():
        others = number - 1 + sides.get((theirs, ours), 0)
        total += number * ((number - 1) / others if others and ours != theirs else 0.5)
    return total / sum(sides.values())


def mirrors(sides: Mapping[str, Mapping[Sides, int]], share: float) -> dict[str, list[str]]:
    """For each paradigm, the others that turn on the same words the other way round in at least `share` of the pairs.

    Their share is the overlap of the two distributions over words, sum of min(p, p mirrored); the most alike comes first.
    `sides` has the `sides` of each paradigm.
    """
    holders: dict[Sides, dict[str, float]] = {}
    for paradigm, own in sides.items():
        for turn, number in own.items():
            holders.setdefault(turn, {})[paradigm] = number / sum(own.values())
    overlaps = {paradigm: _mirrored(paradigm, own, holders) for paradigm, own in sides.items()}
    return {
        paradigm: sorted((other for other, value in shared.items() if value >= share), key=lambda other: (-shared[other], other))
        for paradigm, shared in overlaps.items()
    }


def _mirrored(paradigm: str, own: Mapping[Sides, int], holders: Mapping[Sides, Mapping[str, float]]) -> dict[str, float]:
    shared: dict[str, float] = {}
    for (ours, theirs), number in own.items():
        for other, theirs_too in holders.get((theirs, ours), {}).items():
            if other != paradigm and ours != theirs:
                shared[other] = shared.get(other, 0.0) + min(number / sum(own.values()), theirs_too)
    return shared


def measured_variety(pairs: pl.DataFrame, counts: Mapping[str, int], thresholds: Guides) -> pl.DataFrame:
    """One row a paradigm: its name, then what `familiarity`, `variety`, `one_sided` and `mirrors` (as mirrored_by) find."""
    kept = function_words(counts, thresholds.function_words)
    rows, turns = [], {}
    for (paradigm,), group in pairs.group_by("paradigm", maintain_order=True):
        good, bad, contrasts = (group[name].to_list() for name in ("good", "bad", "contrast"))
        turns[str(paradigm)] = sides(good, bad)
        measures = familiarity(good, bad, counts, thresholds.rare) | variety(good, contrasts, kept)
        rows.append({"paradigm": paradigm} | measures | {"one_sided": one_sided(turns[str(paradigm)])})
    mirrored = list(mirrors(turns, thresholds.mirrored).values())
    return pl.DataFrame(rows).with_columns(pl.Series("mirrored_by", mirrored, dtype=pl.List(pl.String)))


def _in_capitals_alone(good: Iterable[str], bad: Iterable[str]) -> bool:
    return list(good) != list(bad) and sorted(map(str.casefold, good)) == sorted(map(str.casefold, bad))


def _slot(word: str, kept: Set[str]) -> str:
    folded = word.casefold()
    return folded if folded in kept or not LETTERS.match(word) else "_"
