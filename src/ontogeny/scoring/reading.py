"""Reading one checkpoint: its scores on every suite, and its loss on held-out text.  A function of (weights, suite) alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from ontogeny import store
from ontogeny.recipe import Observation
from ontogeny.records import Checkpoint, OntogenyError, Pair, Suite
from ontogeny.scoring import causal, plan
from ontogeny.store import RunFolder
from ontogeny.suites import contrast, distinct
from ontogeny.tokens import token_store
from ontogeny.tokens.pretrained import open_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

Bar = Callable[[str, int], AbstractContextManager[causal.Progress]]  # title, sentences in all


@dataclass(frozen=True, slots=True)
class Asked:
    """A suite as a run asks it: the pairs that are scored, and those that are not, with why."""

    name: str
    pairs: list[Pair]
    identical: list[Pair]
    human: dict[str, float]
    key: str  # changes with any pair

    def facts(self) -> dict[str, Any]:
        """Counts for the lineage."""
        identical: dict[str, int] = {}
        for pair in self.identical:
            identical[pair.paradigm] = identical.get(pair.paradigm, 0) + 1
        return {
            "pairs": len(self.pairs),
            "paradigms": len({pair.paradigm for pair in self.pairs}),
            "identical": len(self.identical),
            "identical_in": identical,
            "human": self.human,
            "key": self.key,
        }


def ask(part: Any, per_paradigm: int | None) -> Asked:
    """A recipe's suite, read, with identical pairs left out.  Raises OntogenyError if no pair is left."""
    suite = cast(Suite, part)
    pairs, identical = distinct(suite.pairs())
    chosen = plan.sample(pairs, per_paradigm)
    if not chosen:
        raise OntogenyError(f"suite {suite.name} has no pair whose two sentences differ")
    return Asked(suite.name, chosen, identical, suite.human(), store.content_key(chosen))


def keep_pairs(folder: RunFolder, asked: Asked) -> None:
    """Writes the pairs that are scored as a table, with the critical contrast of each."""
    rows = [
        {name: getattr(pair, name) for name in Pair.__slots__} | {"contrast": contrast(pair.good, pair.bad)} for pair in asked.pairs
    ]
    store.write_table(folder.pairs(asked.name), pl.DataFrame(rows), {"key": asked.key})


class Reader:
    """Reads checkpoints for one run.  Suites are tokenised once for each tokenizer that is met."""

    def __init__(self, folder: RunFolder, observation: Observation, asked: list[Asked], device: torch.device, context: int | None):
        self.folder = folder
        self.observation = observation
        self.asked = asked
        self.device = device
        self.context = context  # of our own training; None: as the model's config says
        self._plans: dict[tuple[str, str, int], plan.Plan] = {}

    def missing(self, seed: int, checkpoint: Checkpoint, again: bool = False) -> list[Asked]:
        """Suites that this checkpoint has no scores on, or scores of other pairs."""
        return [asked for asked in self.asked if again or not self._scored(seed, checkpoint, asked)]

    def _scored(self, seed: int, checkpoint: Checkpoint, asked: Asked) -> bool:
        path = self.folder.scores(seed, asked.name, checkpoint.step)
        return path.exists() and store.table_metadata(path).get("key") == store.score_key(asked.key, self.observation.bos)

    def read(self, seed: int, checkpoint: Checkpoint, suites: list[Asked], bar: Bar) -> str:
        """Scores a checkpoint on the suites and writes the tables.  Returns the hash of the weights that were scored.

        Raises OntogenyError that names the checkpoint if it is damaged or cannot be opened.
        """
        if checkpoint.folder.parent.parent == self.folder.seed(seed) and (wrong := store.fault(checkpoint.folder)):
            raise OntogenyError(f"{wrong}; it is not scored")
        weights = store.weights_hash(checkpoint.folder)
        model = open_model(checkpoint.folder).to(self.device)
        tokenizer = open_tokenizer(checkpoint.folder)
        for asked in suites:
            todo = self.plan(asked, tokenizer, checkpoint.folder, model)
            with bar(f"{asked.name} at step {checkpoint.step:,}", len(todo.sentences)) as progress:
                frame = _score(model, todo, self.device, self.observation.scoring.batch_tokens, progress, checkpoint.folder)
            facts = {
                "key": store.score_key(asked.key, self.observation.bos),
                "weights": weights,
                "step": str(checkpoint.step),
                "seed": str(seed),
            }
            store.write_table(self.folder.scores(seed, asked.name, checkpoint.step), frame, facts)
            told = {"too_long": len(todo.too_long), "unknown_tokens": todo.unknown}
            self.folder.note(suites={asked.name: {**asked.facts(), **told}})
        return weights

    def plan(self, asked: Asked, tokenizer: PreTrainedTokenizerBase, folder: Path, model: Any) -> plan.Plan:
        """The suite's plan for this tokenizer, made once."""
        context = context_of(model, self.context)
        key = (asked.key, _tokenizer_key(folder, tokenizer), context)
        if key not in self._plans:
            first = token_store.bos_id(tokenizer) if self.observation.bos else None
            self._plans[key] = plan.make(asked.pairs, tokenizer, first, context)
        return self._plans[key]


def score_folder(
    folder: Path, asked: Asked, device: torch.device, batch_tokens: int, bos: bool, progress: causal.Progress
) -> tuple[pl.DataFrame, plan.Plan, str]:
    """Scores of any folder that `from_pretrained` opens, the plan that made them, and the hash of its weights."""
    weights = store.weights_hash(folder)
    model, tokenizer = open_model(folder).to(device), open_tokenizer(folder)
    first = token_store.bos_id(tokenizer) if bos else None
    todo = plan.make(asked.pairs, tokenizer, first, context_of(model, None))
    return _score(model, todo, device, batch_tokens, progress, folder), todo, weights


def open_model(folder: Path) -> Any:
    """A causal language model from a local folder, in float32, never from the hub.  Raises OntogenyError naming the folder."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # one bar a run, ours
    if not (folder / "config.json").exists():
        raise OntogenyError(f"{folder} is not a model's folder: it has no config.json")
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().split("\n")[0]
        raise OntogenyError(f"{folder} cannot be opened as a causal language model ({first})") from error
    if lacking := sorted(found["missing_keys"]):
        raise OntogenyError(
            f"{folder} is no whole causal language model: {len(lacking)} of its tensors, such as {lacking[0]}, are not in "
            "its files and would be random numbers"
        )
    return model.eval()


def context_of(model: Any, trained: int | None) -> int:
    """Most input tokens a model takes: what it was trained with where that is known, else what its config says."""
    config = model.config
    most = next((int(v) for n in ("max_position_embeddings", "n_positions", "n_ctx") if (v := getattr(config, n, None))), 2**31)
    return min(most, trained) if trained else most


def _score(model: Any, todo: plan.Plan, device: Any, batch_tokens: int, progress: causal.Progress, folder: Path) -> pl.DataFrame:
    try:
        return causal.score(model, todo, device, batch_tokens, progress)
    except OntogenyError as error:
        raise OntogenyError(f"{folder}: {error}") from error


def _tokenizer_key(folder: Path, tokenizer: PreTrainedTokenizerBase) -> str:
    file = folder / "tokenizer.json"
    return store.file_hash(file) if file.exists() else store.content_key(tokenizer.get_vocab())
