"""The band around chance, and the states +1, 0 and -1 outside and inside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ontogeny.recipe import Thresholds
from ontogeny.scoring.options import CHANCE
from ontogeny.scoring.settled import band as band
from ontogeny.scoring.settled import edge_at as edge_at
from ontogeny.scoring.settled import upper_edge as upper_edge
from ontogeny.trajectories.timeline import ROUNDING, Floats

States = NDArray[np.int8]


def enough_pairs(n: int, paradigms: int, thresholds: Thresholds, chance: float = CHANCE) -> bool:
    """Whether n pairs, all right, would be told from chance at this confidence, by the band and by the exact test; never where
    there is no chance level (0)."""
    exact = chance > 0 and 2 * chance**n <= (1 - thresholds.confidence) / paradigms
    return exact and band(n, paradigms, thresholds.confidence, chance) <= 1


def states(accuracy: Floats, hi: float, chance: float = CHANCE) -> States:
    """+1 where accuracy >= hi, -1 where it is as far below chance or further, else 0; any shape.  Without a chance level (0), 0."""
    if not chance:
        return np.zeros(np.shape(accuracy), dtype=np.int8)
    lo = 2 * chance - hi
    return ((accuracy >= hi - ROUNDING).astype(np.int8) - (accuracy <= lo + ROUNDING).astype(np.int8)).astype(np.int8)
