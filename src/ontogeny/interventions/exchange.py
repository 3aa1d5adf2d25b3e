"""Exchanges single words of one class between documents, so that chosen bigrams change their counts and hardly anything else does.

The words that decide a paradigm's pairs under bigrams (Kneser-Ney, as everywhere) are moved towards one side or the other:
`dressed himself` becomes `dressed him` here, and `saw him` becomes `saw himself` there.  How often each word occurs, how long
each document is and in which order they come stay as they were, and documents of the target construction are not touched.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, field_validator, model_validator

from ontogeny.interventions import collateral, construction
from ontogeny.interventions.bigram_counts import BigramCounts, Ints, Margins, mean
from ontogeny.interventions.construction import Writing
from ontogeny.interventions.context import InterventionContext
from ontogeny.interventions.kinds import StreamEdit, StreamEdited
from ontogeny.interventions.positions import Positions, find, tokens_of
from ontogeny.interventions.steering import NONE, Board, Reach, Swaps, steer
from ontogeny.records import OntogenyError
from ontogeny.tokens.token_store import TokenStore

Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]


class OfClasses(StreamEdit):
    """An edit of the words of some classes, with a paradigm, a dose and a construction in mind."""

    paradigm: Names = Field(min_length=1)
    """The paradigm whose bigram evidence is meant; several: the mean of their mean margins."""
    dose: float = 0.5
    """How far the evidence is to go from where it is, B0 (nats): to B0 + 2 dose |B0|.  Where B0 misleads, 0.5 is neutral, 1 its
    mirror image, -0.5 twice as misleading; 0 changes nothing."""
    aim: float | None = None
    """Where the evidence is to go, nats, in place of a dose: for paradigms whose B0 is near 0."""
    classes: tuple[tuple[str, ...], ...] = Field(min_length=1)
    """Words that may be exchanged for one another, class by class; each is one token in the middle of a text."""
    construction: str
    """A regular expression over the text of a document, as the tokenizer gives it back.  A document in which it is found is never
    touched.  It must find the same documents whichever words of a class stand there."""
    seed: int = 0
    """Of the choice among places that serve alike, and of the hits and misses that are shown."""
    tolerance: float = Field(0.02, gt=0)
    """How far from its aim the evidence may end, as a share of the way from B0 to the aim."""
    most: int | None = Field(None, ge=1)
    """Largest number of exchanges."""
    at_most: bool = False
    """Where the aim cannot be reached: go as far as is possible and say how far, in place of an error."""

    @field_validator("classes")
    @classmethod
    def _exchangeable(cls, classes: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        for words in classes:
            if len(words) < 2:
                raise ValueError(f"a class needs two words or more that can stand for one another, not {list(words)}")
        often = [word for word, times in Counter(word for words in classes for word in words).items() if times > 1]
        if often:
            raise ValueError(f"{often[0]!r} stands twice; a word belongs to one class")
        return classes

    @field_validator("construction")
    @classmethod
    def _readable(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return pattern

    @model_validator(mode="after")
    def _one_aim(self) -> Self:
        if self.aim is not None and "dose" in self.model_fields_set:
            raise ValueError("has both a dose and an aim; a dose is an aim in multiples of |B0|, give one of them")
        return self

    def protected(self, text: TokenStore, context: InterventionContext) -> NDArray[np.bool_]:
        """Documents of the construction."""
        rows = construction.having(text, chain.from_iterable(tokens_of(self.classes, context.tokenizer)))
        return construction.matches(text, Writing(context.tokenizer, context.first), self.construction, rows)

    def ground(self, context: InterventionContext) -> Ground:
        """Where the edit stands.  Raises OntogenyError for words or a construction that will not do."""
        classes = tokens_of(self.classes, context.tokenizer)
        looked_at = construction.having(context.text, chain.from_iterable(classes))
        inside = self.protected(context.text, context)
        construction.check(inside, looked_at, self.construction)
        positions = find(context.text, classes, ~inside, context.rng(self.seed))
        for group, words in enumerate(self.classes):
            for own, word in enumerate(words):
                if not len(positions.members(group, own)):
                    raise OntogenyError(
                        f"{self.kind}: {word!r} stands nowhere that it could be exchanged: outside the construction, between "
                        "words of no class"
                    )
        return Ground(self, context, looked_at, inside, positions)

    def steered(self, ground: Ground) -> Reach:
        """The exchanges of the dose.  Raises OntogenyError if it cannot be reached and `at_most` is not set."""
        if not ground.way:
            if self.dose and not ground.untouched:
                raise OntogenyError(
                    f"{self.kind}: the evidence on {self.about} is 0, and so is every dose of it; set `aim`, in nats"
                )
            return Reach(NONE, ground.start)
        near, past = steer(ground.board, ground.margins, ground.aim, self.most or len(ground.positions))
        if abs(near.margin - ground.aim) > self.tolerance * ground.way:
            self._missed(ground, near, past)
        return near

    def _missed(self, ground: Ground, near: Reach, past: Reach | None) -> None:
        dose = ground.dose_of(near.margin)
        reached = f"B = {near.margin:.3f}, {'' if dose is None else f'dose {dose:.3g}, '}with {len(near.swaps):,} exchanges"
        if past is None:
            limit = f"{self.most:,} exchanges allow" if self.most and len(near.swaps) >= self.most else "the classes allow"
            way = f"{limit} at most {reached}"
            mend = "at_most: true goes that far"
        else:
            way = f"no number of exchanges comes nearer than {reached}; one more gives {past.margin:.3f}"
            mend = f"tolerance: {abs(near.margin - ground.aim) / ground.way * 1.05:.2g} takes that"
        dose_said = f"dose {self.dose:g} aims at" if self.aim is None else "the aim is"
        said = f"{self.kind} of {self.about}: {dose_said} B = {ground.aim:.3f} nats, from {ground.start:.3f}; {way}"
        if not self.at_most:
            raise OntogenyError(f"{said}; {mend}")
        ground.context.warn(said)

    @property
    def about(self) -> str:
        """The paradigms, by name."""
        return ", ".join(self.paradigm)


@dataclass(frozen=True)
class Ground:
    """What an edit of classes works with; each is made when it is asked for."""

    edit: OfClasses
    context: InterventionContext
    looked_at: Ints  # documents with a word of the classes
    inside: NDArray[np.bool_]  # [documents] of the construction
    positions: Positions

    @cached_property
    def table(self) -> BigramCounts:
        """Bigram counts, with rows for whatever the edit can make."""
        return self.positions.bigrams(self.context.index())

    @cached_property
    def board(self) -> Board:
        """The positions with their bigrams."""
        return Board(self.positions, self.table)

    @cached_property
    def margins(self) -> Margins:
        """The evidence as a function of bigram counts."""
        return Margins(self.table, self.context.plan(self.edit.paradigm))

    @cached_property
    def start(self) -> float:
        """B in the stream before this edit, nats."""
        return self.margins.mean(self.table.counts)

    @cached_property
    def untouched(self) -> float:
        """B0: that of the untouched stream, of which a dose is a multiple, nats."""
        return mean(self.context.margins(self.edit.paradigm, self.context.untouched))

    @property
    def aim(self) -> float:
        """Where B is to go, nats."""
        return self.untouched + 2 * self.edit.dose * abs(self.untouched) if self.edit.aim is None else self.edit.aim

    @property
    def way(self) -> float:
        """How far that is from B0, nats."""
        return abs(self.aim - self.untouched)

    def dose_of(self, margin: float) -> float | None:
        """The dose that a margin is; None where B0 is 0."""
        return (margin - self.untouched) / (2 * abs(self.untouched)) if self.untouched else None

    @cached_property
    def writing(self) -> Writing:
        """Tokens as text."""
        return Writing(self.context.tokenizer, self.context.first)

    def after(self, swaps: Swaps, facts: dict[str, Any]) -> StreamEdited:
        """The stream after exchanges.  Raises as `edited` does."""
        ids = np.array(self.context.text.ids)
        one, other = self.positions.at[swaps.one], self.positions.at[swaps.other]
        ids[one], ids[other] = ids[other], ids[one]
        return self.edited(ids, self.board.counts(swaps), {"": one, "other": other}, facts)

    def words_of(self, swaps: Swaps) -> dict[tuple[int, int, int], int]:
        """How many exchanges there are of each two words: class, word, other word."""
        kinds = np.stack([self.positions.group[swaps.one], self.positions.own[swaps.one], self.positions.own[swaps.other]], axis=1)
        rows, counts = np.unique(kinds, axis=0, return_counts=True)
        return {(int(group), int(a), int(b)): int(n) for (group, a, b), n in zip(rows, counts, strict=True)}

    def edited(self, ids: NDArray[Any], counts: Ints, sides: dict[str, Ints], facts: dict[str, Any]) -> StreamEdited:
        """The edited stream, given its bigram counts, with its facts.

        Raises OntogenyError if the construction tells words of a class apart.
        """
        positions = np.concatenate(list(sides.values()))
        construction.check_kept(self.context.text, self.writing, self.edit.construction, ids, positions)
        text, before = self.context.text, self.margins.by_paradigm(self.table.counts)
        after = collateral.anew(self.context, ids, self.margins.sentences.plan)
        others = [name for name in self.context.paradigms() if name not in self.edit.paradigm]
        told = {
            "margin_untouched": self.untouched,
            "margin_before": mean(before),
            "margin": mean(after),
            **facts,
            "by_paradigm": {name: {"before": before[name], "after": after[name]} for name in before},
            "places": len(self.positions),
            "places_beside_another": self.positions.beside,
            **collateral.counted(text.ids, ids, self.context.first, text.facts["vocabulary"]),
            "construction": construction.shown(text, self.writing, self.inside, self.looked_at, self.edit.seed),
            "other_paradigms": self.beside(others, counts),
        }
        return StreamEdited(ids, collateral.table(text, self.writing, ids, sides), told)

    def beside(self, paradigms: list[str], counts: Ints) -> dict[str, dict[str, float]]:
        """Mean bigram margins of other paradigms before and after, nats."""
        if not paradigms:
            return {}
        margins = Margins(self.table, self.context.plan(paradigms))
        both = [margins.by_paradigm(some) for some in (self.table.counts, counts)]
        return {name: {"before": both[0][name], "after": both[1][name]} for name in paradigms}

    def named(self, words: dict[tuple[int, int, int], int]) -> dict[str, int]:
        """Counts by words."""
        return {f"{self.edit.classes[g][a]} {self.edit.classes[g][b]}": n for (g, a, b), n in words.items()}


class Exchange(OfClasses):
    """Moves a paradigm's bigram evidence by exchanging words of one class between documents outside the target construction."""

    kind: Literal["exchange"] = "exchange"
    keeps: ClassVar[tuple[str, ...]] = ("lengths", "order", "unigrams", "construction")

    def edit(self, context: InterventionContext) -> StreamEdited:
        """The stream with exchanges.  Raises OntogenyError for a dose that cannot be reached, unless `at_most` is set."""
        ground = self.ground(context)
        reach = self.steered(ground)
        facts = {
            "dose": self.dose if self.aim is None else None,
            "aim": ground.aim,
            "dose_achieved": ground.dose_of(reach.margin),
            "exchanges": len(reach.swaps),
            "exchanges_by_words": ground.named(ground.words_of(reach.swaps)),
        }
        return ground.after(reach.swaps, facts)
