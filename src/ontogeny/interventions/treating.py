"""From a recipe's interventions to the treatment of one seed's training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ontogeny.interventions.context import InterventionContext
from ontogeny.interventions.kinds import CorpusEdit, Course, Objective, Window, around
from ontogeny.interventions.place_loss import InTurn, PlaceLoss
from ontogeny.interventions.streams import Stream
from ontogeny.records import OntogenyError
from ontogeny.tokens.rows import some_rows
from ontogeny.training.treatment import Change, Loss, Period, Treatment, batch_loss


def treatment(context: InterventionContext, streams: Sequence[Stream], seed: int) -> Treatment:
    """How one seed is trained.  Raises OntogenyError for objectives that do not go together or do not hold all along."""
    recipe = context.recipe
    objectives = _objectives(recipe.interventions)
    settings = recipe.training
    ground = replace(context, text=streams[0].text, seed=seed)  # an objective counts in what training begins with
    own: Loss = getattr(recipe.model, "loss", batch_loss)  # a masked model's, say
    if objectives and own is not batch_loss:
        raise OntogenyError(
            f"interventions: {objectives[0].kind} is for models of the next token; {recipe.model.kind} has an objective of its own"
        )
    loss = _loss(objectives, ground) if objectives else own
    changes = [part.change(context, seed) for part in recipe.interventions if isinstance(part, Course)]
    return Treatment(
        periods=tuple(Period(stream.until, some_rows(stream.text, settings.unit, settings.context)) for stream in streams),
        loss=loss,
        model=lambda network: around(network, objectives, ground),
        changes=(*changes, loss) if isinstance(loss, Change) else tuple(changes),
    )


def _objectives(parts: Sequence[Any]) -> list[Objective]:
    found = [part for part in parts if isinstance(part, Objective)]
    if late := [part.kind for part in found if part.when != Window()]:
        raise OntogenyError(f"interventions: {late[0]} holds all along; leave its `when` out")
    if strangers := [part.kind for part in parts if not isinstance(part, CorpusEdit | Objective | Course)]:
        raise OntogenyError(f"interventions: {strangers[0]} is neither an edit of the corpus, an objective, nor a course")
    kinds = [part.kind for part in found]
    if twice := [kind for place, kind in enumerate(kinds) if kind in kinds[:place]]:
        raise OntogenyError(f"interventions: {twice[0]} is there twice; a training has it once")
    if len(found) > 1 and (single := [part.kind for part in found if part.alone]):
        others = ", ".join(kind for kind in kinds if kind != single[0])
        raise OntogenyError(
            f"interventions: {single[0]} sets the objective of whole rows, and goes with no other: leave {others} out"
        )
    if len(drawing := [part.kind for part in found if part.draws]) > 1:
        raise OntogenyError(
            f"interventions: {drawing[0]} and {drawing[1]} each draw something of a batch, and neither knows what the other drew; "
            "leave one out"
        )
    return found


def _loss(objectives: Sequence[Objective], context: InterventionContext) -> Loss:
    """Theirs, in the order of the recipe; those that leave the loss as it is left out."""
    own = {part.kind: loss for part in objectives if (loss := part.loss(context)) is not batch_loss}
    if len(own) < 2:
        return next(iter(own.values()), batch_loss)
    if whole := [kind for kind, loss in own.items() if not isinstance(loss, PlaceLoss)]:
        raise OntogenyError(f"interventions: the loss of {whole[0]} is no PlaceLoss, so that it goes with no other objective")
    return InTurn([loss for loss in own.values() if isinstance(loss, PlaceLoss)])
