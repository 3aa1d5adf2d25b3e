"""A recogniser: it finds a derivation of a sentence in the grammar that grows the corpus, or says which feature fails.

It knows the rules and the words and nothing of paradigms.  The parser goes from the top down over the grammar's expanded
rules and remembers what it found at each word (Norvig 1991); an expansion is tried only where the next word can begin it.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from functools import lru_cache

from ontogeny.corpora.micro_english.derivation import Choice, Expansion, Node, Repeat, State, repeated
from ontogeny.corpora.micro_english.grammar import Grammar
from ontogeny.corpora.micro_english.language import ASPECTS, blind_to, micro_english
from ontogeny.corpora.micro_english.lexicon import FormError, Word
from ontogeny.corpora.micro_english.spelling import read
from ontogeny.records import OntogenyError

Found = dict[int, Node]  # where a constituent ends: its first derivation


class Recogniser:
    """Parses sentences with a grammar.

    without: names of rules that it may not use
    """

    def __init__(self, grammar: Grammar, without: Set[str] = frozenset()):
        for name in sorted(without - set(grammar.names)):
            raise OntogenyError(f"grammar: no rule is called {name!r}")
        self.grammar = grammar
        self.without = without
        self.names = frozenset(word.form for words in grammar.lexicon.words.values() for word in words if word.form[0].isupper())
        self._firsts: dict[int, frozenset[str] | None] = {}
        self._demands: dict[int, frozenset[str]] = {}
        self._usable: dict[tuple[int, str], list[Expansion]] = {}

    def parse(self, text: str, category: str = "Sentence") -> Node | None:
        """The first derivation of the text as this category; None if there is none."""
        words = read(text, self.names)
        return _Chart(self, words).spans(self.grammar.state(category), 0).get(len(words))

    def accepts(self, text: str, category: str = "Sentence") -> bool:
        """Whether the grammar has a derivation of the text."""
        return self.parse(text, category) is not None

    def usable(self, state: State, word: str) -> list[Expansion]:
        """The expansions that may begin with this word and whose rule may be used."""
        key = id(state), word
        if key not in self._usable:
            self._usable[key] = [
                expansion
                for expansion in state.expansions
                if expansion.rule not in self.without or not expansion.rule
                if word in self.begins(expansion.parts[0])
            ]
        return self._usable[key]

    def begins(self, part: Word | State | Repeat) -> frozenset[str]:
        """The words that a constituent may begin with.  Raises OntogenyError where a category begins with itself."""
        if isinstance(part, Word):
            return frozenset((part.form,))
        assert isinstance(part, State)
        if id(part) not in self._firsts:
            self._firsts[id(part)] = None  # asked, not answered
            self._firsts[id(part)] = frozenset().union(*(self.begins(expansion.parts[0]) for expansion in part.expansions))
        found = self._firsts[id(part)]
        if found is None:
            raise OntogenyError(f"grammar: {part.category} begins with itself, which a parser from the top cannot read")
        return found

    def demands(self, expansion: Expansion) -> frozenset[str]:
        """The words that are in all that it derives."""
        if id(expansion) not in self._demands:
            self._demands[id(expansion)] = frozenset()  # for a category within itself
            self._demands[id(expansion)] = frozenset().union(*map(self._demanded, expansion.parts))
        return self._demands[id(expansion)]

    def _demanded(self, part: Word | State | Repeat) -> frozenset[str]:
        if isinstance(part, Word):
            return frozenset((part.form,))
        if isinstance(part, Repeat) or part.category in self.grammar.lexicon.words:
            return frozenset()
        return frozenset.intersection(*map(self.demands, part.expansions))


def parse(text: str, category: str = "Sentence") -> Node:
    """The first derivation of a sentence.  Raises OntogenyError if the grammar has none."""
    node = _reader("").parse(text, category)
    if node is None:
        fails = diagnose(text)
        raise OntogenyError(f"micro-english has no derivation of {text!r}{f'; it fails in: {fails[0]}' if fails else ''}")
    return node


def diagnose(text: str) -> list[str]:
    """What a sentence fails in: the ASPECTS each of which, when not looked at, lets the grammar have it.

    Empty both for a sentence of the grammar and for one that no single aspect can mend.
    """
    if _reader("").accepts(text):
        return []
    return [aspect for aspect in ASPECTS if _reader(aspect).accepts(text)]


@lru_cache(maxsize=len(ASPECTS) + 1)
def _reader(aspect: str) -> Recogniser:
    return Recogniser(blind_to(aspect) if aspect else micro_english())


class _Chart:
    """What was found in one text."""

    def __init__(self, recogniser: Recogniser, words: list[str]):
        self.recogniser = recogniser
        self.words = words
        self.vocabulary = frozenset(words)
        self.found: dict[tuple[int, int], Found] = {}
        self.possible: dict[int, bool] = {}

    def spans(self, state: State, start: int) -> Found:
        """Every end of this constituent if it begins at word `start`."""
        key = id(state), start
        if key not in self.found:
            self.found[key] = {}
            usable = self.recogniser.usable(state, self.words[start]) if start < len(self.words) else []
            for expansion in filter(self._within, usable):
                for children, end in self._sequences(expansion, (), start):
                    self.found[key].setdefault(end, self._node(state, expansion, children))
        return self.found[key]

    def _within(self, expansion: Expansion) -> bool:
        """Whether each part could be made of the text's words, were their order free: most cannot, and this is quick to see."""
        if not self.recogniser.demands(expansion) <= self.vocabulary:
            return False
        return all(self._makeable(part) for part in expansion.parts if isinstance(part, State))

    def _makeable(self, state: State) -> bool:
        if id(state) not in self.possible:
            self.possible[id(state)] = True  # while it is asked: a category within itself decides nothing
            if state.category in self.recogniser.grammar.lexicon.words and not isinstance(state, Choice):
                self.possible[id(state)] = not self.recogniser.begins(state).isdisjoint(self.vocabulary)
            else:
                self.possible[id(state)] = any(map(self._within, state.expansions))
        return self.possible[id(state)]

    @staticmethod
    def _node(state: State, expansion: Expansion, children: tuple[Node | Word, ...]) -> Node:
        if isinstance(state, Choice):
            (child,) = children
            assert isinstance(child, Node)
            return child
        return Node(state.category, state.features, children, expansion.rule)

    def _sequences(
        self, expansion: Expansion, done: tuple[Node | Word, ...], start: int
    ) -> Iterator[tuple[tuple[Node | Word, ...], int]]:
        """Every way to go on from the children that are done."""
        if len(done) == len(expansion.parts):
            yield done, start
            return
        for child, end in self._children(expansion.parts[len(done)], done, start):
            yield from self._sequences(expansion, (*done, child), end)

    def _children(
        self, part: Word | State | Repeat, done: tuple[Node | Word, ...], start: int
    ) -> Iterator[tuple[Node | Word, int]]:
        if isinstance(part, State):
            yield from ((node, end) for end, node in self.spans(part, start).items())
            return
        again = part if isinstance(part, Word) else self._again(done[part.place], part)
        forms = [] if again is None else [again.form] if isinstance(again, Word) else again.words()
        if again is not None and self.words[start : start + len(forms)] == forms:
            yield again, start + len(forms)

    def _again(self, child: Node | Word, part: Repeat) -> Node | Word | None:
        try:
            return repeated(child, part.features, self.recogniser.grammar.lexicon)
        except FormError:
            return None
