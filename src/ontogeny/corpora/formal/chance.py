"""What guessing gives: a guesser takes every symbol of the alphabet, and the end of the string, as equally likely each time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ontogeny.corpora.formal.language import Language
from ontogeny.corpora.formal.rules import State, StringRule

TOLERANCE = 1e-7  # probability of strings longer than those summed over


def chance(rule: StringRule, prompts: Sequence[str], alphabet: str) -> float:
    """Probability that a prompt (each as likely) and a guesser's completion keep the rule: a sum over all completions.

    The sum goes over the states of the rule's machine, length by length, and stops where what is left is below TOLERANCE.

    >>> from ontogeny.corpora.formal.rules import Begins
    >>> round(chance(Begins("b"), [""], "ab"), 6)
    0.333333
    """
    weights: dict[State, float] = defaultdict(float)
    for prompt in prompts:
        if (state := rule.read(prompt)) is not None:
            weights[state] += 1 / len(prompts)
    share, total = 1 / (len(alphabet) + 1), 0.0
    while sum(weights.values()) > TOLERANCE:
        total += share * sum(weight for state, weight in weights.items() if rule.holds(state))
        after: dict[State, float] = defaultdict(float)
        for state, weight in weights.items():
            for symbol in alphabet:
                if (following := rule.step(state, symbol)) is not None:
                    after[following] += share * weight
        weights = after
    return total


def chances(language: Language, length: int) -> dict[str, float]:
    """Chance for each reading of the instrument `rules`, with prompts of this many symbols; none for a kind without prompts."""
    within, without = language.prompts(length)
    both = {"rule1": language.rule1, "rule2": language.rule2}
    found = {f"id_{name}": chance(rule, within, language.alphabet) for name, rule in both.items() if within}
    if without:
        asked = {"rule1": language.rule1, **language.variants}
        found |= {f"ood_{name}": chance(rule, without, language.alphabet) for name, rule in asked.items()}
        found["ood_rule2_completion"] = chance(language.rule2, [""], language.alphabet)
    return found
