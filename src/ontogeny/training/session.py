"""Training one seed of a run in its folder: begins or goes on, saves checkpoints and state, and yields each new checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from ontogeny import disk
from ontogeny.recipe import Recipe
from ontogeny.records import Checkpoint, OntogenyError
from ontogeny.store import RunFolder
from ontogeny.tokens.prepare import TokenisedText
from ontogeny.tokens.rows import some_rows
from ontogeny.training import health, parallel, schedule
from ontogeny.training.engine import Engine, choose, find_device
from ontogeny.training.loop import train
from ontogeny.training.state import COLUMNS, TrainingState
from ontogeny.training.treatment import Treatment

if TYPE_CHECKING:
    import polars as pl
    from transformers import PreTrainedTokenizerBase

NOT_IN_KEY = {
    "save_minutes",
    "dev_tokens",
    "device",
    "threads",
    "compile",
    "in_place",
    "trial",
    "health",
}  # of a training's settings
MASK = "<mask>"  # as a checkpoint's tokenizer writes the token that hides others


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What a training will be, known before it starts."""

    parameters: int
    steps: int
    warmup: int
    checkpoints: list[int]
    words_per_step: float
    checkpoint_bytes: int
    state_bytes: int
    engine: Engine

    def disk(self, seeds: int) -> int:
        """Bytes that all checkpoints and states of `seeds` seeds take."""
        return seeds * (len(self.checkpoints) * self.checkpoint_bytes + 2 * self.state_bytes)


def training_plan(folder: RunFolder, recipe: Recipe, text: TokenisedText, jobs: int = 1, spared: int = 0) -> TrainingPlan:
    """Steps, checkpoints, disk and engine of a run; the engine is the one it began with, if it did.

    `jobs` seeds are trained side by side, each with its share of the cores, of which `spared` are left to who reads checkpoints.
    """
    training = recipe.training
    rows = some_rows(text.train, training.unit, training.context)
    steps = schedule.total_steps(training, len(rows))
    words_per_step = text.train.facts["words"] / max(1, len(rows)) * training.batch
    with torch.device("meta"):
        parameters = sum(p.numel() for p in build(recipe, text).parameters())
    known = folder.lineage().get("engine")
    engine = Engine.from_lineage(known) if known else choose(training, parameters, steps, jobs)
    if spared and not known and training.threads is None:
        engine = replace(engine, threads=max(1, engine.threads - spared))
    return TrainingPlan(
        parameters=parameters,
        steps=steps,
        warmup=schedule.warmup_steps(training, steps),
        checkpoints=schedule.checkpoint_steps(recipe.checkpoints, steps, words_per_step),
        words_per_step=words_per_step,
        checkpoint_bytes=4 * parameters + 4_000_000 // 1000,  # float32, and the small files beside them
        state_bytes=12 * parameters,  # weights and AdamW's two moments
        engine=engine,
    )


def try_out(recipe: Recipe) -> None:
    """Raises OntogenyError for a model that cannot be built, or a device that is not here, before a text is read for it."""
    part: Any = recipe.model
    for device in (recipe.training.device, recipe.scoring.device):
        find_device(device)
    if (options := getattr(part, "options", None)) is not None:  # others are made of the text, or opened
        with torch.device("meta"):
            part.build(options.get("vocab_size") or 64, recipe.training.context, 2, 1)


def build(recipe: Recipe, text: TokenisedText) -> Any:
    """A fresh model for the recipe, from torch's global generator."""
    part: Any = recipe.model
    return part.build(len(text.tokenizer), recipe.training.context, text.first, text.tokenizer.pad_token_id)


def train_seed(
    folder: RunFolder,
    recipe: Recipe,
    text: TokenisedText,
    treatment: Treatment,
    plan: TrainingPlan,
    seed: int,
    progress: Callable[[int, float], None] = lambda step, loss: None,
) -> Iterator[Checkpoint]:
    """Trains one seed to its end from wherever it was left, yielding each checkpoint that it writes.

    Under torchrun every process calls this; the first one alone writes and yields.  Raises OntogenyError if the newest state
    belongs to other settings, or the disk is full.
    """
    ranks = parallel.here()
    engine, key = ranks.engine(plan.engine), training_key(recipe, text, plan.engine)
    torch.manual_seed(seed)
    model = treatment.model(build(recipe, text)).to(engine.device)
    state = TrainingState(model, recipe.training, treatment.changes)
    if newest := folder.newest_state(seed):
        state.restore(newest, key)
    elif folder.has_checkpoint(seed, 0) and plan.steps:
        first = [c.step for c in folder.checkpoints(seed)]
        raise OntogenyError(
            f"{folder.seed(seed)} has checkpoints (the last at step {first[-1]}) but no state to go on from; "
            "give this run another name, or delete that folder to train the seed again"
        )
    state.watch = progress
    engine.start()
    ranks.agree(model, state.step)
    for moment in train(state, treatment, recipe.training, engine, seed, plan.steps, set(plan.checkpoints), ranks):
        if ranks.rank:
            continue
        save_state(folder, state, seed, key)
        if moment.checkpoint and not folder.has_checkpoint(seed, moment.step):
            with treatment.kept(state):
                facts = {"tokens": moment.tokens, "words": moment.words}
                facts |= {name: fact for change in treatment.changes for name, fact in change.facts().items()}
                folder.write_checkpoint(seed, moment.step, lambda place: save_model(model, text.tokenizer, place), **facts)
            yield Checkpoint(moment.step, folder.checkpoint(seed, moment.step), moment.tokens, moment.words)


def save_state(folder: RunFolder, state: TrainingState, seed: int, key: str) -> None:
    """Writes losses and state, then deletes the state before: at any moment one whole state is there."""
    import polars as pl

    rows = pl.DataFrame(state.history, schema=dict.fromkeys(COLUMNS, pl.Float64), orient="row").with_row_index("step", 1)
    so_far = {"tokens": pl.col("tokens").cum_sum().cast(pl.Int64), "words": pl.col("words").cum_sum()}
    frame = rows.select(pl.col("step").cast(pl.Int64), *COLUMNS[:3], **so_far, seconds="seconds")
    disk.write_table(folder.losses(seed), frame)
    if state.health and state.health.rows:
        disk.write_table(folder.health(seed), health_of(state))
    path = folder.state(seed, state.step)
    if not path.exists():
        state.save(path, key)
        folder.keep_only_state(seed, state.step)


def health_of(state: TrainingState) -> pl.DataFrame:
    """step, tensor (empty: all of them), and what was recorded of each."""
    import polars as pl

    assert state.health
    names = dict(enumerate(name for name, _ in state.model.named_parameters())) | {health.WHOLE: ""}
    rows = pl.DataFrame(state.health.rows, schema=dict.fromkeys(health.COLUMNS, pl.Float64), orient="row")
    tensor = pl.col("tensor").cast(pl.Int64).replace_strict(names, return_dtype=pl.String)
    return rows.with_columns(pl.col("step").cast(pl.Int64), tensor).with_columns(pl.col("clipped", "spikes").fill_nan(None))


def save_model(model: Any, tokenizer: PreTrainedTokenizerBase, place: Any) -> None:
    """A checkpoint that `from_pretrained` opens, tokenizer and all.  Raises OntogenyError as `with_mask` does."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # one bar a run, ours
    model.save_pretrained(place)
    with_mask(tokenizer, getattr(model.config, "mask_token_id", None)).save_pretrained(place)


def with_mask(tokenizer: PreTrainedTokenizerBase, mask: int | None) -> PreTrainedTokenizerBase:
    """The tokenizer, or for a model whose mask is the token `mask` and a tokenizer that has none, a copy in which it is <mask>.

    Raises OntogenyError if <mask> gets another id in it.
    """
    if mask is None or tokenizer.mask_token is not None:
        return tokenizer
    own = deepcopy(tokenizer)
    own.add_special_tokens({"mask_token": MASK})
    if own.mask_token_id != mask:
        raise OntogenyError(
            f"the model's mask is token {mask:,}, but {MASK} is token {own.mask_token_id:,} of the tokenizer, which has "
            f"{len(tokenizer):,}: they do not belong together, and no checkpoint is written"
        )
    return own


def finished(folder: RunFolder, seed: int, plan: TrainingPlan) -> bool:
    """True if the last checkpoint of a seed is there."""
    return folder.has_checkpoint(seed, plan.steps)


def training_key(recipe: Recipe, text: TokenisedText, engine: Engine) -> str:
    """Changes with what changes the losses: text, model, training, interventions, engine; not with when checkpoints are kept."""
    training = recipe.training.model_dump(mode="json", exclude=NOT_IN_KEY)
    changes = [[part, part.contents() if hasattr(part, "contents") else []] for part in recipe.interventions]
    return disk.content_key(text.train.facts["key"], recipe.model, training, changes, engine.lineage())
