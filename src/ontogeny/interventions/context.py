"""What an intervention may ask for about the text, the tokenizer and the pairs; each is made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ontogeny import disk, ngrams
from ontogeny.recipe import Recipe
from ontogeny.records import OntogenyError, Pair
from ontogeny.registry import nearest
from ontogeny.scoring import plan as plans
from ontogeny.scoring.ngram_pairs import WalkedPairs
from ontogeny.scoring.options import of_two
from ontogeny.store import RunFolder
from ontogeny.tokens.token_store import TokenStore

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def _silent(text: str) -> None:
    """Says nothing."""


def _deaf(*asked: Any) -> Any:
    raise OntogenyError("alarms are heard of within a run's folder")


@dataclass(frozen=True)
class InterventionContext:
    """The ground an intervention stands on."""

    folder: RunFolder
    recipe: Recipe
    tokenizer: PreTrainedTokenizerBase
    untouched: TokenStore
    text: TokenStore  # the stream before this intervention: after the edits listed before it
    ask: Callable[[], Sequence[Pair]]  # every pair of the recipe's suites
    warn: Callable[[str], None] = _silent
    listen: Callable[..., Callable[[int, int], list[str]]] = _deaf  # seed, finished runs, moments, paradigms, alpha
    seed: int = 0  # of the training that is treated
    _made: dict[Any, Any] = field(default_factory=dict)

    def after(self, text: TokenStore) -> InterventionContext:
        """The ground of the next intervention."""
        return replace(self, text=text)

    @property
    def first(self) -> int | None:
        """The token that begins a document; None where the recipe leaves BOS out."""
        return self.untouched.facts["bos"]  # type: ignore[no-any-return]

    def index(self, text: TokenStore | None = None, order: int = 2) -> ngrams.Index:
        """The n-grams of a stream (left out: `text`), counted once for each stream."""
        text = text or self.text
        key = text.facts["key"]
        found = self._made.get(("index", key))
        if found is None or len(found.levels) < order:
            place = self.folder.ngrams(f"stream-{key}")
            found = ngrams.open_or_build(place, text.ids, len(self.tokenizer), self.first, key, order=order)
            self._made["index", key] = found
        return found  # type: ignore[no-any-return]

    def bigrams(self, text: TokenStore | None = None) -> ngrams.KneserNey:
        """The interpolated Kneser-Ney bigram model of a stream (left out: `text`)."""
        return ngrams.KneserNey(self.index(text))

    def pairs(self, paradigm: str) -> list[Pair]:
        """A paradigm's pairs.  Raises OntogenyError with the nearest name if no suite of the recipe has it."""
        if "pairs" not in self._made:
            found: dict[str, list[Pair]] = {}
            for pair in self.ask():
                found.setdefault(pair.paradigm, []).append(pair)
            self._made["pairs"] = found
        if paradigm not in self._made["pairs"]:
            raise OntogenyError(
                f"no suite of the recipe has a paradigm {paradigm!r}; {nearest(paradigm, list(self._made['pairs']))}"
            )
        return list(self._made["pairs"][paradigm])

    def paradigms(self) -> list[str]:
        """Names of all paradigms of right and wrong sentences, which have n-gram margins, in the order of the suites."""
        return list(dict.fromkeys(pair.paradigm for pair in of_two(self.ask())))

    def plan(self, paradigms: Sequence[str]) -> plans.Plan:
        """The pairs of these paradigms as tokens."""
        chosen = [pair for paradigm in paradigms for pair in self.pairs(paradigm)]
        return plans.make(chosen, self.tokenizer, self.first, 2**31)

    def margin(self, paradigm: str, text: TokenStore | None = None) -> float:
        """Mean bigram margin of a paradigm in a stream (left out: `text`), nats: good minus bad under Kneser-Ney bigrams."""
        return self.margins([paradigm], text)[paradigm]

    def margins(self, paradigms: Sequence[str], text: TokenStore | None = None) -> dict[str, float]:
        """Mean bigram margins by paradigm, as `margin` has them."""
        model, plan = self.bigrams(text), self.plan(paradigms)
        sentences = WalkedPairs(self.index(text), plan)
        own = sentences.margins(sentences.logps(model, 2), 2)
        names = np.array([pair.paradigm for pair in plan.pairs])
        return {paradigm: float(own[names == paradigm].mean()) for paradigm in paradigms}

    def rng(self, seed: int) -> np.random.Generator:
        """A generator of an intervention's own, from its `seed` field."""
        return np.random.default_rng(seed)

    def key(self, *parts: Any) -> str:
        """A content key of the stream before this intervention and of `parts`."""
        return disk.content_key(self.text.facts["key"], *parts)
