"""How fast steps come, measured from the end of the warm-up."""

from __future__ import annotations

import time
from typing import Any


class Enough(Exception):
    """Raised at the end of the step with which the pace is known."""


class Pace:
    """Told of each finished step.  Measures over `seconds` after `warm_up` steps: one step at least, `most` with these at most."""

    def __init__(self, warm_up: int, seconds: float, most: int):
        self.warm_up, self.seconds, self.most = warm_up, seconds, most
        self.tokens = 0  # in a step; whoever trains says so
        self.told: dict[str, Any] = {}  # what else the trainer wants known
        self.steps: list[tuple[float, float, float]] = []  # at each step's end: time of day, clock, processor seconds

    def step(self) -> None:
        """A step has ended.  Raises Enough when the pace is known."""
        self.steps.append((time.time(), time.perf_counter(), time.process_time()))
        done = len(self.steps)
        if done > self.warm_up and (done >= self.most or self.steps[-1][1] - self.steps[self.warm_up - 1][1] >= self.seconds):
            raise Enough

    def facts(self, spawned: float) -> dict[str, Any]:
        """Tokens a second, of the clock and of the processor's time; seconds to the first step.  ValueError without a step."""
        measured = len(self.steps) - self.warm_up
        if measured < 1:
            raise ValueError(f"{len(self.steps)} steps, of which {self.warm_up} are for warming up: nothing to measure")
        first, last = self.steps[self.warm_up - 1], self.steps[-1]
        tokens = measured * self.tokens
        return {
            "tokens/s": tokens / (last[1] - first[1]),
            "tokens/processor s": tokens / (last[2] - first[2]),
            "first step": self.steps[0][0] - spawned,
            "steps": measured,
        }
