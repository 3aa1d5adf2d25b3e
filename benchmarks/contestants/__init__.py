"""Who is compared: a small file each.

One that scores has `scorer(job)`, or a function that the table names, which returns `score(folder) -> (log-probabilities
[pairs, 2], facts)` in nats; what it keeps between two folders is its own business.  One that trains has `train(job, precision,
pace)`, which says how many tokens a step has and calls `pace.step()` after each.  Everything at the top of a file is imported
before the clock starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True)
class Contestant:
    """How one takes part."""

    module: str
    how: str  # for the table
    package: str = "torch"  # without it there is no such contestant
    precision: str = ""
    slow: bool = False  # plays `--peer-rounds` rounds only
    door: str = "scorer"  # the function of its module that makes `score`

    @property
    def here(self) -> bool:
        """Whether its package is installed."""
        return find_spec(self.package) is not None


OURS, PLAIN = "ontogeny", "plain loop"
COMPILED = "compiled loop"

SCORING = {
    OURS: Contestant("benchmarks.contestants.ours", "as a run reads a checkpoint"),
    PLAIN: Contestant("benchmarks.contestants.plain", "sorted by length, batch 64"),
    "minicons": Contestant("benchmarks.contestants.minicons_scorer", "sequence_score, batch 32", "minicons", slow=True),
    "lm-eval": Contestant("benchmarks.contestants.harness", "simple_evaluate, as its command, batch 64", "lm_eval", slow=True),
    "lm-eval's model alone": Contestant(
        "benchmarks.contestants.harness", "HFLM.loglikelihood, batch 64", "lm_eval", slow=True, door="answerer"
    ),
}

TRAINING = {
    OURS: Contestant("benchmarks.contestants.ours", "as a run trains a seed; engine as it chooses"),
    f"{COMPILED}, float32": Contestant("benchmarks.contestants.plain", "torch.compile, fused AdamW", precision="float32"),
    f"{COMPILED}, bfloat16": Contestant("benchmarks.contestants.plain", "the same under autocast", precision="bfloat16"),
    "Trainer, float32": Contestant("benchmarks.contestants.trainer", "transformers', on tensors", "accelerate", "float32"),
    "Trainer, bfloat16": Contestant("benchmarks.contestants.trainer", "the same with bf16=True", "accelerate", "bfloat16"),
}
