"""EleutherAI's lm-evaluation-harness: the requests of its task `blimp`, answered by its own model class in batches of 64."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from numpy.typing import NDArray

from benchmarks.turns import Facts, Job

BATCH = 64


def scorer(job: Job) -> Callable[[Path], tuple[NDArray[np.float64], Facts]]:
    """An empty context and the sentence; its task puts a space before it (`target_delimiter`), which is our leading_space.

    There is no way to leave BOS out: an empty context becomes the model's BOS, or EOS.
    """
    if not job.bos:
        raise RuntimeError("lm-eval has no sentences without BOS")
    logging.disable(logging.INFO)
    rows = json.loads(Path(job.pairs).read_text(encoding="utf-8"))
    texts = [f" {text}" if job.leading_space else text for _, _, *both in rows for text in both]

    def score(folder: Path) -> tuple[NDArray[np.float64], Facts]:
        peer: Any = HFLM(pretrained=str(folder), device=job.device, dtype="float32", batch_size=BATCH)
        asked = [Instance("loglikelihood", {}, ("", text), i) for i, text in enumerate(texts)]
        found = [logp for logp, _ in peer.loglikelihood(asked, disable_tqdm=True)]
        return np.array(found).reshape(-1, 2), {}

    return score
