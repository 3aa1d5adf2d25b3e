"""EleutherAI's lm-evaluation-harness: a whole evaluation, as its command runs one, and its model class by itself."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lm_eval
import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from numpy.typing import NDArray
from ruamel.yaml import YAML

from benchmarks.turns import Facts, Job

BATCH = 64
Rows = list[tuple[str, str, str, str]]  # paradigm, pair, good, bad


def tasks(rows: Rows, place: Path, leading_space: bool = True) -> dict[str, ConfigurableTask]:
    """Its task `blimp` as it is installed, one for each paradigm, with the data set replaced by local files in `place`.

    The task joins an empty context and the sentence with a space; without `leading_space` it does not.
    """
    template = YAML(typ="safe").load(Path(lm_eval.__file__).parent / "tasks/blimp/_template_yaml")
    own: dict[str, list[dict[str, str]]] = defaultdict(list)
    for paradigm, _, good, bad in rows:
        own[paradigm].append({"sentence_good": good, "sentence_bad": bad})
    found = {}
    for paradigm, docs in own.items():
        local = place / f"{paradigm}.jsonl"
        local.write_text("".join(json.dumps(doc) + "\n" for doc in docs), encoding="utf-8")
        data = {"data_files": {"train": str(local)}, "cache_dir": str(place / "cache")}
        about = {"task": f"local_{paradigm}", "dataset_path": "json", "dataset_kwargs": data}
        joined = {} if leading_space else {"target_delimiter": ""}
        found[paradigm] = ConfigurableTask(config={**template, **about, **joined})
    return found


def scorer(job: Job) -> Callable[[Path], tuple[NDArray[np.float64], Facts]]:
    """`simple_evaluate` with what its command sets, and its samples kept: they hold the log-probabilities.

    The data sets are loaded before the clock starts, as everybody's pairs are.
    """
    rows = _rows(job)
    own = tasks(rows, Path(job.scratch), job.leading_space)
    places: dict[str, list[int]] = defaultdict(list)
    for i, (paradigm, *_) in enumerate(rows):
        places[paradigm].append(i)

    def score(folder: Path) -> tuple[NDArray[np.float64], Facts]:
        about = {"pretrained": str(folder), "dtype": "float32"}
        told: Any = lm_eval.simple_evaluate(
            model="hf", model_args=about, tasks=list(own.values()), batch_size=BATCH, device=job.device, log_samples=True
        )
        found = np.full((len(rows), 2), np.nan)
        for paradigm, where in places.items():
            for sample in told["samples"][f"local_{paradigm}"]:
                found[where[sample["doc_id"]]] = [float(logp) for logp, _ in sample["filtered_resps"]]
        return found, {}

    return score


def answerer(job: Job) -> Callable[[Path], tuple[NDArray[np.float64], Facts]]:
    """The same requests, made by us and answered by its model class: nothing of tasks, metrics and samples."""
    texts = [f" {text}" if job.leading_space else text for _, _, *both in _rows(job) for text in both]

    def score(folder: Path) -> tuple[NDArray[np.float64], Facts]:
        peer: Any = HFLM(pretrained=str(folder), device=job.device, dtype="float32", batch_size=BATCH)
        asked = [Instance("loglikelihood", {}, ("", text), i) for i, text in enumerate(texts)]
        found = [logp for logp, _ in peer.loglikelihood(asked, disable_tqdm=True)]
        return np.array(found).reshape(-1, 2), {}

    return score


def _rows(job: Job) -> Rows:
    """There is no way to leave BOS out: an empty context becomes the model's BOS, or EOS.  Raises RuntimeError if it is to be."""
    if not job.bos:
        raise RuntimeError("lm-eval has no sentences without BOS")
    logging.disable(logging.WARNING)
    return [tuple(row) for row in json.loads(Path(job.pairs).read_text(encoding="utf-8"))]
