"""What is checked, tried and said before a training begins."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ontogeny import disk, store
from ontogeny.display import Display
from ontogeny.recipe import Observation, Recipe
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder
from ontogeny.tokens.prepare import TokenisedText
from ontogeny.tokens.rows import some_rows
from ontogeny.training import parallel, session, trial
from ontogeny.training.session import TrainingPlan
from ontogeny.training.treatment import Treatment

DECIDES = ("corpus", "dev", "held_out", "tokenizer", "model", "training", "interventions", "bos")  # fields that change a training
FREE = ("save_minutes", "dev_tokens", "device", "threads", "trial", "health")  # of training: they do not change what comes out


def announce(folder: RunFolder, recipe: Recipe, text: TokenisedText, plan: TrainingPlan, jobs: int, display: Display) -> None:
    """Says what is to be trained, and keeps it in the lineage.  Raises OntogenyError for a new run without room on the
    disk, or whose held-out text has no row."""
    ranks = parallel.here()
    need = plan.disk(len(recipe.seeds))
    known = folder.lineage().get("training")
    if known is None:
        some_rows(text.dev, recipe.training.unit, recipe.training.context)  # each checkpoint's loss is measured on it
    folder.note(
        engine=plan.engine.lineage(),
        training={
            "parameters": plan.parameters,
            "steps": plan.steps,
            "warmup": plan.warmup,
            "checkpoints": len(plan.checkpoints),
            "processes": ranks.size,
        },
    )
    engine, each = plan.engine, f" for each of {jobs} seeds at a time" if jobs > 1 else ""
    each += f", shared by {ranks.size} processes" if ranks.size > 1 else ""
    display.say(
        f"{recipe.name}: {plan.parameters / 1e6:.1f}M parameters, {text.train.facts['words']:,} words in "
        f"{len(text.train):,} tokens, {plan.steps:,} steps of {recipe.training.batch * recipe.training.context:,} tokens, "
        f"seeds {list(recipe.seeds)}\n"
        f"{len(plan.checkpoints)} checkpoints a seed, {disk.human_size(need)} of disk for all seeds "
        f"({disk.human_size(disk.free_space(folder.path))} free)\n"
        f"{engine.device}, {engine.threads} threads{each}, {engine.precision}, {'' if engine.compile else 'not '}compiled"
    )
    for line in text.told:
        display.say(line)
    if text.train.facts["unknown"]:
        display.say(f"{text.train.facts['unknown']:,} tokens of the training text are unknown to the tokenizer (<unk>)")
    if lost := text.train.facts.get("left_out"):
        display.warn(f"{lost:,} characters of the training text have no token and are left out: the tokenizer has no unknown token")
    cut, longest = getattr(recipe.tokenizer, "longest", None), text.train.facts.get("longest_word", 0)
    if cut is not None and longest > cut:
        display.say(
            f"the longest word of the training text has {longest:,} characters; the tokenizer has learned from pieces of {cut:,}"
        )
    if known is None and need > disk.free_space(folder.path):
        raise disk.disk_full(folder.path, need)


def try_ways(
    folder: RunFolder, recipe: Recipe, text: TokenisedText, plan: TrainingPlan, treatment: Treatment, display: Display
) -> None:
    """Which engine is fastest, by a short trial where that pays; kept in the lineage."""
    begin = partial(session.build, recipe, text)
    found = trial.choose(begin, treatment, recipe.training, plan.engine, plan.parameters, plan.steps)
    folder.note(engine=found.engine.lineage(), trial=found.facts())
    if found.tried:
        display.say(str(found))


def warn_of_passed(folder: RunFolder, plan: TrainingPlan, display: Display) -> None:
    """Says which checkpoints a changed schedule asks for too late: training has gone past them."""
    for seed in folder.seeds():
        newest = folder.newest_state(seed)
        at = store.step_of(newest) if newest else 0
        passed = [step for step in plan.checkpoints if step < at and not folder.has_checkpoint(seed, step)]
        if passed:
            display.warn(f"seed {seed} is at step {at:,}: the checkpoints at {passed} can no longer be made")


def same_training(old: Observation, new: Observation, folder: RunFolder, kind: str) -> None:
    """A run's folder keeps to one training and one kind; suites, thresholds and further seeds may change."""
    if folder.lineage().get("kind", "trained") != kind:
        raise OntogenyError(f"{folder.path} holds a run of another kind; use another name")
    fixed = DECIDES if isinstance(old, Recipe) else ("bos",)  # what is known of somebody else's text may change
    if folder.seeds() and (differ := training_differences(old, new, fixed)):
        raise OntogenyError(
            f"{folder.path} was trained with another recipe: {'; '.join(differ)}. "
            "Use --set name=..., or delete the folder to start again"
        )


def training_differences(old: Observation, new: Observation, fields: Sequence[str] = DECIDES) -> list[str]:
    """In which of these fields two recipes differ so that another training comes out, a sentence each."""
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    return [said for name in fields for said in _differences(name, before[name], after[name])]


def _differences(name: str, old: Any, new: Any) -> list[str]:
    if name.removeprefix("training.") in FREE or old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        return [d for key in {**old, **new} for d in _differences(f"{name}.{key}", old.get(key), new.get(key))]
    return [f"{name} was {old!r}, now {new!r}"]
