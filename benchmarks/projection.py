"""What reading checkpoints adds to a training: a run of one epoch with 25 checkpoints of all pairs, projected from measured rates.

    python -m benchmarks projection --size M

Measures our rate of training and our seconds for a second checkpoint, one turn each a round, and multiplies: nobody waits for the
run.  Scoring is counted as if training stood still meanwhile.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import inputs, turns
from benchmarks.contestants import OURS
from benchmarks.inputs import Inputs
from benchmarks.options import say
from benchmarks.results import Mark, Result
from benchmarks.turns import Job, Turns

CHECKPOINTS = 25
SHARE = 0.60  # of the time of training
SETTLED = 0.40  # of the time of scoring all pairs


@dataclass(frozen=True)
class Projection:
    """A run that nobody ran."""

    tokens: int
    rate: float  # tokens/s after the warm-up
    first_step: float  # seconds from the start
    checkpoint: float  # seconds to score one
    checkpoints: int = CHECKPOINTS

    @property
    def training(self) -> float:
        """Seconds."""
        return self.first_step + self.tokens / self.rate

    @property
    def scoring(self) -> float:
        """Seconds."""
        return self.checkpoints * self.checkpoint

    @property
    def share(self) -> float:
        """Scoring over training."""
        return self.scoring / self.training

    def sentence(self) -> str:
        """What to write down."""
        return (
            f"projected, not run: training {self.tokens:,} tokens at {self.rate:,.0f} a second takes {self.training / 60:.1f} "
            f"minutes, scoring {self.checkpoints} checkpoints at {self.checkpoint:.1f} s takes {self.scoring / 60:.1f}: "
            f"{100 * self.share:.0f} % of the time of training on top of it"
        )


def options(parser: argparse.ArgumentParser) -> None:
    """Those of training are shared."""
    parser.add_argument("--checkpoints", type=int, default=CHECKPOINTS)
    settled = "share of pairs that scoring.until: settled reads, as benchmarks/settled.py finds it on a run like this one"
    parser.add_argument("--settled", type=float, help=settled)
    rounded = "of scoring, as scoring.precision; training chooses its own"
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help=rounded)


def run(asked: argparse.Namespace, work: Path) -> list[tuple[str, Result]]:
    """A result for each size."""
    name = "projection" if asked.precision == "float32" else f"projection-{asked.precision}"
    return [(f"{name}-{size}", measure(asked, inputs.of(asked, size, work), work)) for size in asked.size]


def measure(asked: argparse.Namespace, given: Inputs, work: Path) -> Result:
    """Our two rates, and what follows from them."""

    def take(name: str, number: int) -> turns.Facts:
        folders = tuple(map(str, given.checkpoints if name == "score" else (given.fresh,)))
        files: dict[str, Any] = {"pairs": str(given.pairs), "batches": str(given.batches), "run": str(given.run)}
        how: dict[str, Any] = {"device": asked.device, "precision": asked.precision}
        return turns.apart(Job(OURS, name, asked.threads, str(work), folders, **files, **how))

    found = turns.play(dict.fromkeys(("score", "train"), asked.rounds), take, say, "peak", asked.seed)
    return result(found, "train", "score", given, asked.checkpoints, settled=asked.settled)


def result(
    training: Turns,
    trained: str,
    scored: str,
    given: Inputs,
    checkpoints: int,
    scoring: Turns | None = None,
    settled: float | None = None,
) -> Result:
    """From turns of training and of scoring, which may have been taken in two comparisons; `settled`: the share of pairs read then.

    Raises ValueError without either.
    """
    scoring = scoring or training
    middle = {what: training.of(trained, what) for what in ("tokens/s", "first step")}
    seconds = scoring.of(scored, "seconds again")
    if not seconds or not middle["tokens/s"]:
        raise ValueError("our own turns failed: there is nothing to project from")
    projected = Projection(
        given.facts["stream_tokens"],
        statistics.median(middle["tokens/s"]),
        statistics.median(middle["first step"]),
        statistics.median(seconds),
        checkpoints,
    )
    notes = [
        projected.sentence(),
        f"tokens: ten million words at the tokens a word of the text that was read ({given.facts['measured_text_words']:,} words)",
    ]
    if errors := [facts["bfloat16"] for facts in scoring.rounds.get(scored, {}).values() if "bfloat16" in facts]:
        largest, flipped = (max(error[what] for error in errors) for what in ("largest_error", "flipped"))
        notes.append(
            f"scoring in bfloat16: on {errors[0]['pairs']} pairs a sentence is off by up to {largest:.2g} nats, and {flipped} are "
            "decided otherwise than in float32"
        )
    if given.facts["pairs_of_a_paradigm"] != "all":
        notes.append(f"with {given.facts['pairs']:,} pairs only: not the share of the whole suite")
    marks = [Mark(f"projected: scoring {checkpoints} checkpoints over training", projected.share, SHARE, least=False)]
    if settled is not None:
        marks.append(Mark("until settled: share of pairs read", settled, SETTLED, least=False))
        notes.append(
            f"until settled, with {100 * settled:.0f} % of the pairs: {100 * settled * projected.share:.0f} % of the time of "
            "training, if time goes as pairs do (fewer sentences share less)"
        )
    row = [f"{projected.training / 60:.1f}", f"{projected.scoring / 60:.1f}", f"{100 * projected.share:.0f}"]
    page = turns.table(["projected: minutes of training", f"of scoring {checkpoints} checkpoints", "% on top"], [row])
    data = {"inputs": given.facts, "projection": asdict(projected)}
    return Result(f"A run of size {given.size}, projected", [page], notes, marks, data)
