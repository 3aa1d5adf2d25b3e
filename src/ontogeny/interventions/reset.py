"""Parts of the network begin anew: its head, its last layers, or parameters by name, once in the course of training."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from pydantic import AfterValidator, Field, model_validator
from torch import nn

from ontogeny.interventions.kinds import Course, Window, around
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.tokens.prepare import TokenisedText
from ontogeny.tokens.rows import rows_of
from ontogeny.training import schedule
from ontogeny.training.session import build
from ontogeny.training.treatment import Change

if TYPE_CHECKING:
    from ontogeny.interventions.context import InterventionContext
    from ontogeny.training.state import TrainingState


def _whole_or_share(amount: float) -> float:
    if amount >= 1 and amount != int(amount):
        raise ValueError(f"is {amount:g}; steps are a whole number, a share of all steps is below 1")
    return amount


Steps = Annotated[int | float, Field(gt=0), AfterValidator(_whole_or_share)]  # as training.warmup: steps, or a share below 1


class Reset(Course):
    """Parameters get new initial values at one moment; what they had learned is gone, the rest of the network stays."""

    kind: Literal["reset"] = "reset"
    at: Steps
    """When: after so many optimiser steps if a whole number, after a share of all steps if below 1."""
    head: bool = False
    """The output layer.  Where the recipe's model ties it to the token embeddings, they are the same numbers and go with it."""
    last_layers: int = Field(0, ge=0)
    """So many layers at the end of the stack; the norm that may follow the last one is not among them."""
    names: tuple[str, ...] = ()
    """Parameters, or modules with all that is in them, by name; `*` stands for anything: `model.decoder.layers.0.*`."""
    values: Literal["fresh", "first"] = "fresh"
    """fresh: drawn anew from the model's own initialisation.  first: those that this seed began training with."""
    moments: bool = True
    """Whether the optimiser forgets what it knows of these parameters: AdamW's two moments, and the step they count from."""

    @model_validator(mode="after")
    def _says_what_and_when(self) -> Reset:
        if not (self.head or self.last_layers or self.names):
            raise ValueError("resets nothing; set head, last_layers or names")
        check_no_window(self)
        return self

    def change(self, context: InterventionContext, seed: int) -> Change:
        """As Course has it.  Raises OntogenyError if training is over by then, or if the model has no such parameters."""
        steps = total_steps(context)
        if step_of(self.at, steps) >= steps:
            raise OntogenyError(f"interventions: reset at step {step_of(self.at, steps)}, but training ends at step {steps}")
        model = begun(context, seed)
        self.parameters(model)
        if self.head and (tied := embeddings(model) & head(model)) and seed == context.recipe.seeds[0]:  # said once
            context.warn(f"reset: the head is tied to the token embeddings, so that {', '.join(tied)} begins anew with it")
        return Resetting(self, context, seed)

    def parameters(self, model: Any) -> set[str]:
        """Names of what is reset; a tied parameter has the name that `named_parameters` gives it.

        Raises OntogenyError for a pattern that fits nothing, and for more layers than there are.
        """
        found = [head(model)] if self.head else []
        found += [of_module(model, layer) for layer in (layers(model, self.last_layers) if self.last_layers else [])]
        found += [matching(model, pattern) for pattern in self.names]
        return set().union(*found)


class Resetting(Change):
    """A reset, for one seed's training."""

    def __init__(self, part: Reset, context: InterventionContext, seed: int):
        self.part, self.context, self.seed = part, context, seed

    def before(self, state: TrainingState, step: int, steps: int) -> None:
        """Resets before the first step that comes after the moment; a checkpoint at that moment holds the weights of before."""
        if step == step_of(self.part.at, steps):
            model = begun(self.context, self.seed, step if self.part.values == "fresh" else None)
            renew(state, model, self.part.parameters(model), self.part.moments)


# --- new values ---------------------------------------------------------------------------------------------------


def begun(context: InterventionContext, seed: int, step: int | None = None) -> Any:
    """The recipe's model as it is before training, on the CPU.

    Without `step`: bit for bit as this seed began (where it began on the CPU's generator, as every training does).  With it:
    another draw from the same initialisation, a function of (seed, step).  The process's own generator stays where it is.
    """
    own = seed if step is None else int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0])
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(own)
        network = build(context.recipe, TokenisedText(context.tokenizer, context.untouched, context.untouched))
        return around(network, context.recipe.interventions, context)


def renew(state: TrainingState, model: Any, names: Iterable[str], moments: bool) -> None:
    """Gives parameters of `state.model` the values that `model` has, in place; with `moments` AdamW forgets them."""
    ours, theirs = dict(state.model.named_parameters()), dict(model.named_parameters())
    with torch.no_grad():
        for name in sorted(names):
            ours[name].copy_(theirs[name])
            if moments:
                state.optimiser.state.pop(ours[name], None)  # AdamW makes them anew at its next step, and counts from there


# --- parts of a model: names as `named_parameters` gives them, a tied parameter's first one -------------------------


def of_module(model: Any, module: nn.Module) -> set[str]:
    """A module's parameters."""
    own = {id(parameter) for parameter in module.parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) in own}


def embeddings(model: Any) -> set[str]:
    """The token embeddings.  Raises OntogenyError if there are none."""
    return of_module(model, _said_by(model, "get_input_embeddings"))


def head(model: Any) -> set[str]:
    """The output layer.  Raises OntogenyError if there is none."""
    return of_module(model, _said_by(model, "get_output_embeddings"))


def _said_by(model: Any, method: str) -> nn.Module:
    """What the model answers, or where it has no answer the network inside it, which an objective may have built it around."""
    for module in model.modules():
        with suppress(AttributeError, NotImplementedError):
            if (found := getattr(module, method)()) is not None:
                part: nn.Module = found
                return part
    raise OntogenyError(f"interventions: this model has no {method.removeprefix('get_').replace('_', ' ')} to reset; give names")


def layers(model: Any, last: int) -> list[nn.Module]:
    """The last layers of the stack, the list of modules with the most parameters.  Raises OntogenyError if there are fewer."""
    stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    stack = max(stacks, key=lambda one: sum(p.numel() for p in one.parameters()), default=nn.ModuleList())
    if last > len(stack):
        raise OntogenyError(
            f"interventions: reset asks for the last {last} layers, but the model has {len(stack)} in a list; "
            "what is not in a list can be named in `names`"
        )
    return list(stack)[-last:]


def matching(model: Any, pattern: str) -> set[str]:
    """Parameters that a pattern fits, or whose module it fits.  Raises OntogenyError with the nearest name if there is none."""
    every = dict(model.named_parameters(remove_duplicate=False))  # a tied one under each of its names
    fit = {id(p) for name, p in every.items() if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")}
    if not fit:
        known = [*every, *(name for name, _ in model.named_modules() if name)]
        raise OntogenyError(
            f"interventions: reset: no parameter or module of the model fits {pattern!r}; {nearest(pattern, known)}"
        )
    return {name for name, parameter in model.named_parameters() if id(parameter) in fit}


# --- moments of training ------------------------------------------------------------------------------------------


def step_of(amount: float, steps: int) -> int:
    """A moment as optimiser steps done: a whole number as it is, a share of all steps if below 1."""
    return int(amount) if amount >= 1 else step_at(amount, steps)


def step_at(share: float, steps: int) -> int:
    """The first optimiser step (from 0) that comes at or after a share of training, as windows of the text have it."""
    step = math.floor(share * steps)
    while step / steps < share:  # .29 * 100 is below 29, and .07 * 100 above 7; the quotient is neither
        step += 1
    return step


def total_steps(context: InterventionContext) -> int:
    """Optimiser steps of the recipe's training."""
    training = context.recipe.training
    return schedule.total_steps(training, len(rows_of(context.untouched, training.unit, training.context)))


def check_no_window(part: Course) -> None:
    """Raises ValueError if a part that happens at moments has a window."""
    if part.when != Window():
        raise ValueError("happens at moments; leave `when` out and set `at`")
