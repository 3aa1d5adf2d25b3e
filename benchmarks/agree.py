"""Which of our settings give other tools' numbers: each is asked in its own way, and its sums are held against ours to 1e-4 nats.

    python -m benchmarks agree

- minicons and lm-evaluation-harness answer for themselves; of the latter it is the task `blimp` as it is installed, with its data
  set replaced by local files.
- BabyLM's pipeline of 2025 (github.com/babylm/evaluation-pipeline-2025, sentence_zero_shot) cannot be installed as a package: what
  stands here is a loop that follows its rules, one sentence at a time, and shares no code with it or with our scoring.
- Twice: with the tokenizer as this package makes it, which adds nothing to a text, and with one that puts BOS before it.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import inputs, turns
from benchmarks.agreement import CLOSE, compare
from benchmarks.contestants import SCORING
from benchmarks.inputs import Inputs
from benchmarks.options import say
from benchmarks.results import Mark, Result

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Ours:
    """Our settings: a recipe's `bos` and `scoring.leading_space`, and LL or LL per token."""

    bos: bool = True
    leading_space: bool = False
    per_token: bool = False

    def __str__(self) -> str:
        space = "true" if self.leading_space else "false"
        return f"bos: {'true' if self.bos else 'false'}, leading_space: {space}{', per token' if self.per_token else ''}"


@dataclass(frozen=True)
class Convention:
    """A tool as it is called, and the settings of ours that give its numbers."""

    tool: str
    call: str
    ask: Callable[[Path, Inputs], Scores]
    plain: Ours  # with a tokenizer that adds nothing
    adding: Ours | None  # with one that adds BOS; None: not so
    package: str = "torch"


# --- the tools ----------------------------------------------------------------------------------------------------


def minicons(bos: bool, mean: bool = False) -> Callable[[Path, Inputs], Scores]:
    """`sequence_score`, with its BOS or as it is by default; sums, or means over tokens as by default."""

    def ask(folder: Path, given: Inputs) -> Scores:
        from minicons.scorer import IncrementalLMScorer

        peer: Any = IncrementalLMScorer(str(folder), "cpu")
        found: list[float] = []
        reduction: dict[str, Any] = {} if mean else {"reduction": lambda logps: logps.sum(0).item()}
        for _, _, *both in given.load_pairs():
            found += peer.sequence_score(both, bos_token=bos, **reduction)
        return np.array(found).reshape(-1, 2)

    return ask


def harness(folder: Path, given: Inputs) -> Scores:
    """The installed task's own requests over our pairs, answered by its model class."""
    from lm_eval.models.huggingface import HFLM

    from benchmarks.contestants.harness import tasks

    logging.disable(logging.WARNING)
    rows = [("blimp", pair, good, bad) for _, pair, good, bad in given.load_pairs()]  # one task, in the order of the pairs
    task = tasks(rows, given.pairs.parent)["blimp"]
    task.build_all_requests(rank=0, world_size=1)
    peer: Any = HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=64)
    found = [logp for logp, _ in peer.loglikelihood(task.instances, disable_tqdm=True)]
    return np.array(found).reshape(-1, 2)


def babylm(folder: Path, given: Inputs) -> Scores:
    """The tokenizer's own special tokens and no others; a token is scored if it is one of the sentence's and not the first."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)

    def logp(text: str) -> float:
        told = tokenizer(text, return_offsets_mapping=True)
        ids = torch.tensor([told["input_ids"]])
        logps = model(input_ids=ids[:, :-1]).logits.float().log_softmax(-1)[0]
        ends = [end for _, end in told["offset_mapping"]]
        return sum(float(logps[i - 1, ids[0, i]]) for i in range(1, len(ends)) if ends[i] > 0)

    with torch.inference_mode():
        return np.array([[logp(good), logp(bad)] for _, _, good, bad in given.load_pairs()])


BOS, NONE, SPACE = Ours(), Ours(bos=False), Ours(leading_space=True)
BOS_MEAN, NONE_MEAN = Ours(per_token=True), Ours(bos=False, per_token=True)
CONVENTIONS = (
    Convention("minicons", "sequence_score(texts, sum, bos_token=True)", minicons(True), BOS, None, "minicons"),
    Convention("minicons", "sequence_score(texts, sum)", minicons(False), NONE, BOS, "minicons"),
    Convention("minicons", "sequence_score(texts)", minicons(False, True), NONE_MEAN, BOS_MEAN, "minicons"),
    Convention("lm-eval", "task blimp", harness, SPACE, SPACE, "lm_eval"),
    Convention("BabyLM 2025", "sentence_zero_shot, causal (its rules)", babylm, NONE, BOS),
)


# --- ours ---------------------------------------------------------------------------------------------------------


def ours(folder: Path, given: Inputs, how: Ours) -> Scores:
    """Through the code that a run scores with."""
    import torch

    from ontogeny.scoring import pairs, plan
    from ontogeny.scoring.reading import context_of, open_model
    from ontogeny.tokens.pretrained import open_tokenizer
    from ontogeny.tokens.token_store import bos_id

    model, tokenizer = open_model(folder), open_tokenizer(folder)
    first = bos_id(tokenizer) if how.bos else None
    todo = plan.make(inputs.as_pairs(given.load_pairs()), tokenizer, first, context_of(model, None), how.leading_space)
    frame = pairs.score(model, todo, torch.device("cpu"))
    sums = frame.select("logp_good", "logp_bad").to_numpy()
    return sums / frame.select("tokens_good", "tokens_bad").to_numpy() if how.per_token else sums


def with_bos(folder: Path, place: Path) -> Path:
    """The same model with a tokenizer that puts BOS before every text by itself, as Llama's does."""
    import shutil

    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    shutil.copytree(folder, place, dirs_exist_ok=True)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    name, number = tokenizer.bos_token, tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"{name} $A", special_tokens=[(name, number)])
    tokenizer.save_pretrained(place)
    if AutoTokenizer.from_pretrained(place, local_files_only=True)("a")["input_ids"][0] != number:
        raise RuntimeError(f"{place}: the tokenizer that was to add {name} does not")
    return place


# --- the comparison -----------------------------------------------------------------------------------------------


def options(parser: argparse.ArgumentParser) -> None:
    """Of this command alone."""
    parser.add_argument("--model", type=Path, help="a folder to ask instead of the untrained model of the size")
    parser.add_argument("--agree-pairs", type=int, default=20, help="of each paradigm, by which settings are held against others")


def run(asked: argparse.Namespace, work: Path) -> list[tuple[str, Result]]:
    """A result for each size."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TQDM_DISABLE": "1"}  # nothing here is to be fetched
    given = {size: some(inputs.of(asked, size, work), asked.agree_pairs) for size in asked.size}
    return [(f"agree-{size}", measure(given[size], asked.model, work)) for size in asked.size]


def some(given: Inputs, pairs: int) -> Inputs:
    """The same with fewer pairs of each paradigm."""
    from ontogeny import disk
    from ontogeny.scoring import plan

    chosen = plan.sample(inputs.as_pairs(given.load_pairs()), pairs)
    path = given.pairs.with_name("agree-pairs.json")
    disk.write_json(path, [[pair.paradigm, pair.pair, pair.good, pair.bad] for pair in chosen])
    return replace(given, pairs=path, facts=given.facts | {"pairs": len(chosen), "pairs_of_a_paradigm": pairs})


def measure(given: Inputs, model: Path | None, work: Path) -> Result:
    """Every convention with both tokenizers."""
    folder = model or given.checkpoints[0]
    adding = with_bos(folder, work / given.size / "adding-bos")
    rows, marks, notes, data = [], [], [], []
    for convention in CONVENTIONS:
        for place, said, how in ((folder, "adds nothing", convention.plain), (adding, "adds BOS", convention.adding)):
            if how is None or not SCORING_PACKAGES.get(convention.package, True):
                continue
            say(f"{convention.tool}: {convention.call}, a tokenizer that {said}")
            own, theirs = ours(place, given, how), convention.ask(place, given)
            agreed = compare(own, theirs)
            tool, call = convention.tool, convention.call
            rows.append([tool, f"`{call}`", said, f"`{how}`", f"{agreed.largest:.1e}", str(len(agreed.flipped))])
            marks.append(Mark(f"{tool}, {call}, tokenizer {said}: nats off", agreed.largest, CLOSE, least=False))
            data.append({"tool": tool, "call": call, "tokenizer": said, "ours": str(how), "nats_off": agreed.largest})
    notes += [f"not installed: {name}" for name, there in SCORING_PACKAGES.items() if not there]
    notes.append("lm-eval and BabyLM's pipeline give ties to the good sentence; here a tie counts one half")
    header = ["tool", "its call", "its tokenizer", "our settings", "nats off", "decided otherwise"]
    title = f"The same numbers as others, {given.facts['pairs']:,} pairs" + (f", {model}" if model else f", size {given.size}")
    return Result(title, [turns.table(header, rows)], notes, marks, {"inputs": given.facts, "agreement": data})


SCORING_PACKAGES = {contestant.package: contestant.here for contestant in SCORING.values()}
