"""How far two contestants' log-probabilities lie apart, and which pairs they decide otherwise."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLOSE = 1e-4  # nats: what float32 leaves of a sentence's sum where operations come in another order
DECIDED = 2e-4  # a margin above it cannot change its sign by two such errors


@dataclass(frozen=True)
class Agreement:
    """Of one contestant with another, over the same pairs."""

    largest: float  # difference of a sentence's log-probability, nats
    flipped: tuple[int, ...]  # pairs with another sign although the other's margin is beyond DECIDED either way
    near: tuple[int, ...]  # pairs with another sign and a smaller margin

    @property
    def close(self) -> bool:
        """Numbers within CLOSE and no decision that matters changed."""
        return self.largest <= CLOSE and not self.flipped

    def named(self, pairs: list[tuple[str, str, str, str]], one: NDArray[Any], other: NDArray[Any]) -> dict[str, Any]:
        """For the result's file: with the names and margins of the pairs that are decided otherwise."""
        rows = [
            [*pairs[i][:2], float(one[i, 0] - one[i, 1]), float(other[i, 0] - other[i, 1])] for i in (*self.flipped, *self.near)
        ]
        return asdict(self) | {"close": self.close, "decided_otherwise": rows}


def compare(one: NDArray[np.float64], other: NDArray[np.float64]) -> Agreement:
    """Log-probabilities [pairs, 2] of good and bad; `other` is the reference.  Raises ValueError if they cannot be compared."""
    if one.shape != other.shape:
        raise ValueError(f"{one.shape} and {other.shape}: not the same pairs")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise ValueError("a log-probability is no finite number")
    margins, reference = one[:, 0] - one[:, 1], other[:, 0] - other[:, 1]
    otherwise = np.sign(margins) != np.sign(reference)
    decided = np.abs(reference) > DECIDED
    return Agreement(
        largest=float(np.abs(one - other).max(initial=0.0)),
        flipped=tuple(np.flatnonzero(otherwise & decided).tolist()),
        near=tuple(np.flatnonzero(otherwise & ~decided).tolist()),
    )
