"""minicons (Misra 2022), as its documentation uses it: sentences in the suite's order, batches of 32, sums after BOS."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from minicons.scorer import IncrementalLMScorer
from numpy.typing import NDArray

from benchmarks.turns import Facts, Job

BATCH = 32


def scorer(job: Job) -> Callable[[Path], tuple[NDArray[np.float64], Facts]]:
    """`bos_token=True` puts the tokenizer's BOS in front as text; without it the first token is not scored."""
    rows = json.loads(Path(job.pairs).read_text(encoding="utf-8"))
    texts = [f" {text}" if job.leading_space else text for _, _, *both in rows for text in both]

    def score(folder: Path) -> tuple[NDArray[np.float64], Facts]:
        peer: Any = IncrementalLMScorer(str(folder), job.device)
        found: list[float] = []
        for start in range(0, len(texts), BATCH):
            part = texts[start : start + BATCH]
            found += peer.sequence_score(part, reduction=lambda logps: logps.sum(0).item(), bos_token=job.bos)
        return np.array(found).reshape(-1, 2), {}

    return score
