"""Suites that are asked of something else in a model's place: the network inside it, it without a tilt, or as a masked one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, cast

from ontogeny.recipe import Kind, SuitePart
from ontogeny.records import Pair, Suite


class NetworkAlone(Kind):
    """The pairs of another suite, read on a model's `network` without what stands around it (intervention over-bigrams).

    Listed beside that other suite it gives two curves and two verdicts for each paradigm: of the two together, and of the network.
    """

    kind: Literal["network-alone", "untilted", "both-sides"] = "network-alone"
    of: SuitePart
    """The suite, as a recipe says it."""

    part: ClassVar[str] = "network"  # the attribute of a model that is scored in its place

    @property
    def name(self) -> str:
        """The other suite's, with what is read."""
        return f"{self._of.name}-{self.kind}"

    def pairs(self) -> Iterator[Pair]:
        """The other suite's.  Raises OntogenyError as it does."""
        return self._of.pairs()

    def human(self) -> dict[str, float]:
        """The other suite's."""
        return self._of.human()

    @property
    def _of(self) -> Suite:
        return cast(Suite, self.of)


class Untilted(NetworkAlone):
    """The pairs of another suite, read on a model without the tilt of the intervention down-weight: q / weight, renormalised.

    What is right in the other suite and wrong here came right by the tilt alone.
    """

    kind: Literal["untilted"] = "untilted"

    part: ClassVar[str] = "untilted"


class BothSides(NetworkAlone):
    """The pairs of another suite, read on a model as a masked one, by pseudo-log-likelihood (intervention hybrid-rows)."""

    kind: Literal["both-sides"] = "both-sides"

    part: ClassVar[str] = "both-sides"
