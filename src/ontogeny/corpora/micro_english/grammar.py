"""A weighted grammar with features; notation.py says how its rules are written.

Rules are turned, when first needed, into expansions without variables: each category with its features (`State`) then
knows every way to expand it and how likely each is, and growing a sentence is fast.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import product
from math import prod
from random import Random
from types import MappingProxyType

from ontogeny.corpora.micro_english.derivation import Choice, Expansion, Node, Repeat, State, grow, measure
from ontogeny.corpora.micro_english.lexicon import FormError, Ground, Lexicon, Word
from ontogeny.corpora.micro_english.notation import Features, Part, Symbol, Value, ignoring, parse, symbol, weight
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest

BREAK = "|"  # between the sentences of a frame

Bindings = dict[str, str]


Share = Callable[[str, str | None], float]  # (knob, half of the words or None) -> the share of misleading occasions


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to make a category."""

    left: Features
    right: tuple[Part, ...]
    weight: float
    share: str = ""  # "misleading", "revealing" or "": what the weight is multiplied with
    name: str = ""

    def said(self) -> str:
        """The right side without features."""
        return " ".join(part if isinstance(part, str) else part.name for part in self.right)


class Grammar:
    """A lexicon and rules.

    features: weights of the values of a feature where the rules leave it open (else all are alike)
    rules: for each left side a list of `weight name: right side`, the name if there is one
    misleading: the share of misleading occasions (0 to 1) of each knob, or a function of (knob, half); a knob is a
        category with weights such as `10*misleading`, its name begun with a small letter
    without: names of rules that are left out
    blind: features that are not looked at, so that nothing fails for their sake
    often: how many times its weight a rule has that asks for a knob's occasions, by KNOB or KNOB/HALF
    """

    def __init__(
        self,
        lexicon: Lexicon,
        features: Mapping[str, Mapping[str, float]],
        rules: Mapping[str, Sequence[Mapping[str | float, str]]],
        misleading: float | Share,
        without: Set[str] = frozenset(),
        blind: Set[str] = frozenset(),
        often: Mapping[str, float] = MappingProxyType({}),
    ):
        self.lexicon = lexicon
        self.domains: dict[str, Mapping[str, float]] = {name: dict.fromkeys(values, 1.0) for name, values in lexicon.values.items()}
        self.domains.update(features)
        self._misleading: Share = misleading if callable(misleading) else lambda knob, half: misleading
        self.rules: dict[str, list[Rule]] = {}
        for left, alternatives in rules.items():
            self.rules.setdefault(symbol(left).name, []).extend(_rules(left, alternatives, blind))
        self._check_names(without)
        for rule in (rule for alternatives in self.rules.values() for rule in alternatives):
            self._check((Symbol("", rule.left), *rule.right))
        self.rules = {name: [rule for rule in own if rule.name not in without or not rule.name] for name, own in self.rules.items()}
        self._blind, self._often = blind, often
        self._states: dict[tuple[str, Ground], State] = {}
        self._fired: Counter[int] = Counter()

    @property
    def names(self) -> list[str]:
        """The names of the rules that have one."""
        return [rule.name for own in self.rules.values() for rule in own if rule.name]

    @property
    def knobs(self) -> dict[str, tuple[str, ...]]:
        """The knobs, with the halves of the words that each can be set for apart."""
        found: dict[str, tuple[str, ...]] = {}
        for category, own in self.rules.items():
            if any(rule.share for rule in own):
                halved = any(name == "half" for rule in own for name, _ in rule.left)
                found[knob_of(category)] = ("a", "b") if halved else ()
        return found

    def shared(self, knob: str) -> list[tuple[str, str]]:
        """The named rules of a knob, each after "misleading" or "revealing"."""
        return [(rule.share, rule.name) for name, own in self.rules.items() if knob_of(name) == knob for rule in own if rule.share]

    def check(self, start: str) -> None:
        """Raise OntogenyError at a rule that never ends, one that never fires, and a category that `start` never comes to."""
        self.state(start)
        reached = self._reached(start)
        for category, own in self.rules.items():
            if category not in reached:
                raise OntogenyError(f"grammar: {category} never fires; no rule below {start} asks for it")
            asked = any(name == category for name, _ in self._states)
            for rule in own if asked else ():
                if rule.weight > 0 and not rule.share and not self._fired[id(rule)]:
                    raise OntogenyError(
                        f"grammar: a rule of {category} never fires: nothing asks for its features, or no words are there for "
                        f"{rule.said()!r}"
                    )
        measure(self._states.values())

    def _reached(self, start: str) -> set[str]:
        """The categories below `start`, whatever the weights and features."""
        reached, open_ = set[str](), [start]
        while open_:
            category = open_.pop()
            if category not in reached:
                reached.add(category)
                open_ += [part.name for rule in self.rules.get(category, ()) for part in rule.right if isinstance(part, Symbol)]
        return reached

    def grow(self, category: str, random: Random) -> Node:
        """A derivation of `category`."""
        return grow(self.state(category), self.lexicon, random)

    def state(self, category: str) -> State:
        """The category without features.  Raises OntogenyError if nothing can be made of it."""
        state = self._state(category, ())
        if not state.expansions:
            raise OntogenyError(f"grammar: nothing can be made of {category}: a rule of it never ends, or words are lacking")
        return state

    def frame(self, *sentences: str) -> State:
        """Sentences that share labels and variables, for `grow_frame`.  Raises OntogenyError if words are lacking."""
        parts = ignoring(tuple(part for sentence in sentences for part in (*parse(sentence), BREAK)), self._blind)
        self._check(parts)
        state = State("Frame", ())
        state.weigh(self._expansions_of(Rule((), parts, 1.0), {}, 1.0))
        if not state.expansions:
            raise OntogenyError(f"the grammar has no words for {' | '.join(sentences)!r}")
        return state

    def grow_frame(self, frame: State, random: Random) -> list[Node] | None:
        """One derivation of each sentence of the frame; None where a word lacks a form that the frame repeats it in."""
        try:
            children = grow(frame, self.lexicon, random).children
        except FormError:
            return None
        ends = [place for place, child in enumerate(children) if isinstance(child, Word) and child.form == BREAK]
        starts = [0, *(end + 1 for end in ends[:-1])]
        return [Node("Sentence", (), children[start:end]) for start, end in zip(starts, ends, strict=True)]

    def _check_names(self, without: Set[str]) -> None:
        """Raise OntogenyError at a name that two rules have, and at one to be left out that none has."""
        for name, times in Counter(self.names).items():
            if times > 1:
                raise OntogenyError(f"grammar: two rules are called {name}; a name is for one rule")
        for name in sorted(without - set(self.names)):
            raise OntogenyError(f"grammar: no rule is called {name!r}; {nearest(name, self.names)}")

    def _check(self, parts: Sequence[Part]) -> None:
        """Raise OntogenyError at a feature or value that no word has: such a rule would never apply, in silence."""
        for name, wanted in (pair for part in parts if isinstance(part, Symbol) for pair in part.features):
            for value in wanted.among or ():
                if value not in self._domain(name):
                    close = nearest(value, list(self._domain(name)))
                    raise OntogenyError(f"grammar: {name} has no value {value!r}; {close}")

    def _state(self, category: str, features: Ground) -> State:
        key = category, features
        if key not in self._states:
            state = self._states[key] = State(category, features)
            state.weigh(self._expansions(category, features))
        return self._states[key]

    def _expansions(self, category: str, features: Ground) -> list[tuple[float, Expansion]]:
        if category in self.lexicon.words:
            return [(word.weight, Expansion((word,))) for word in self.lexicon.fitting(category, features)]
        if category not in self.rules:
            known = [*self.rules, *self.lexicon.words]
            raise OntogenyError(f"grammar: no category {category!r}; {nearest(category, known)}")
        values = dict(features)
        matches = [(rule, _match(rule.left, values)) for rule in self.rules[category]]
        weighed = [(rule, bound, self._weight(rule, category, values)) for rule, bound in matches if bound is not None]
        return [pair for rule, bound, weight in weighed if weight > 0 for pair in self._expansions_of(rule, bound, weight)]

    def _weight(self, rule: Rule, category: str, features: Mapping[str, str]) -> float:
        if not rule.share:
            return rule.weight * prod(self._often.get(name, 1.0) for part in rule.right for name in occasions(part))
        misleading = self._misleading(knob_of(category), features.get("half"))
        return rule.weight * (misleading if rule.share == "misleading" else 1 - misleading)

    def _expansions_of(self, rule: Rule, bound: Bindings, whole: float) -> list[tuple[float, Expansion]]:
        """The rule for each assignment of values to its open variables, save those that there are no words for."""
        assigned = [(weight, self._expansion(rule, bindings)) for weight, bindings in self._assignments(rule, bound)]
        possible = [(weight, expansion) for weight, expansion in assigned if expansion is not None and weight > 0]
        self._fired[id(rule)] += len(possible)
        total = sum(weight for weight, _ in possible)
        return [(whole * weight / total, expansion) for weight, expansion in possible]

    def _assignments(self, rule: Rule, bound: Bindings) -> Iterator[tuple[float, Bindings]]:
        wanted = [(name, value) for part in rule.right if isinstance(part, Symbol) for name, value in part.features]
        domains = self._open(wanted, bound)
        for row in product(*(domain.items() for domain in domains.values())):
            values = {name: value for name, (value, _) in zip(domains, row, strict=True)}
            bindings = bound | values
            if all(_admits(value, bindings) for _, value in wanted):
                yield prod(weight for _, weight in row), bindings

    def _open(self, wanted: Sequence[tuple[str, Value]], bound: Bindings) -> dict[str, Mapping[str, float]]:
        """The variables still to be chosen, with their values' weights.

        A variable that nothing else depends on is left out, so that the words' own frequencies decide it; but not where
        some value must be asked for by name.
        """
        times = Counter(value.variable for _, value in wanted)
        return {
            value.variable: self._domain(name)
            for name, value in reversed(wanted)  # so that the first use decides which feature's weights count
            if value.variable and value.variable not in bound and not value.other
            if times[value.variable] > 1 or value.among or 0 in self._domain(name).values()
        }

    def _domain(self, feature: str) -> Mapping[str, float]:
        if feature not in self.domains:
            raise OntogenyError(f"grammar: no feature {feature!r}; {nearest(feature, list(self.domains))}")
        return self.domains[feature]

    def _expansion(self, rule: Rule, bindings: Bindings) -> Expansion | None:
        """The right side without variables; None if words are lacking for some constituent of it."""
        parts: list[Word | State | Repeat] = []
        places: dict[str, int] = {}
        for part in rule.right:
            if isinstance(part, str):
                parts.append(Word(part, "", part, 1.0, {}))
            elif part.name in places:
                parts.append(Repeat(places[part.name], self._variants(part, bindings)[0][1]))
            else:
                state = self._constituent(part, bindings)
                if state is None:
                    return None
                if part.label:
                    places[part.label] = len(parts)
                parts.append(state)
        return Expansion(tuple(parts), rule.name)

    def _constituent(self, part: Symbol, bindings: Bindings) -> State | None:
        """The state of a constituent, a choice of states if its features leave one; None if words are lacking."""
        states = [(weight, self._state(part.name, ground)) for weight, ground in self._variants(part, bindings)]
        # A state that is still growing belongs to a rule further up: a recursive rule, which must have another way out.
        possible = [(weight, state) for weight, state in states if weight > 0 and (state.growing or state.expansions)]
        if len(possible) <= 1:
            return possible[0][1] if possible else None
        choice = Choice(part.name, ())
        choice.weigh((weight, Expansion((state,))) for weight, state in possible)
        return choice

    def _variants(self, part: Symbol, bindings: Bindings) -> list[tuple[float, Ground]]:
        """Every set of values that a constituent's features may have, with its weight."""
        columns = [
            [(name, value, self._domain(name)[value] if len(values) > 1 else 1.0) for value in values]
            for name, wanted in part.features
            if (values := self._values(name, wanted, bindings)) is not None
        ]
        return [
            (prod(weight for _, _, weight in row), tuple(sorted((name, value) for name, value, _ in row)))
            for row in product(*columns)
        ]

    def _values(self, feature: str, wanted: Value, bindings: Bindings) -> tuple[str, ...] | None:
        """The values that a feature may have; None where it does not matter."""
        among = wanted.among or tuple(self._domain(feature))
        if wanted.variable is None:
            return among
        if wanted.other:
            return tuple(value for value in among if value != bindings.get(wanted.variable))
        return (bindings[wanted.variable],) if wanted.variable in bindings else None


def knob_of(category: str) -> str:
    """A category named after a paradigm -> the paradigm."""
    return category[0].lower() + category[1:]


def occasions(part: Part) -> tuple[str, ...]:
    """The names under which a constituent's occasions may be known: KNOB, and KNOB/HALF where it asks for one half."""
    if not isinstance(part, Symbol):
        return ()
    halves = [half for name, value in part.features if name == "half" for half in value.among or ()]
    return knob_of(part.name), *(f"{knob_of(part.name)}/{half}" for half in halves)


def _rules(left: str, alternatives: Sequence[Mapping[str | float, str]], blind: Set[str]) -> list[Rule]:
    (head,) = ignoring((symbol(left),), blind)
    assert isinstance(head, Symbol)
    pairs = [pair for alternative in alternatives for pair in alternative.items()]
    return [_rule(head.features, key, ignoring(parse(right), blind)) for key, right in pairs]


def _rule(left: Features, key: str | float, right: tuple[Part, ...]) -> Rule:
    number, share, name = weight(key)
    return Rule(left, right, number, share, name)


def _match(left: Features, features: Mapping[str, str]) -> Bindings | None:
    """The variables' values if a rule's left side can be a constituent with these features, else None."""
    asked = [(value, features[name]) for name, value in left if name in features]
    if any(value.among and found not in value.among for value, found in asked):
        return None
    return {value.variable: found for value, found in asked if value.variable}


def _admits(value: Value, bindings: Bindings) -> bool:
    """Whether the bindings respect `g=?x:m|f`."""
    if value.other or value.variable is None or value.among is None or value.variable not in bindings:
        return True
    return bindings[value.variable] in value.among
