"""From a recipe's interventions to the treatment of one seed's training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ontogeny.interventions.context import InterventionContext
from ontogeny.interventions.kinds import CorpusEdit, Course, Objective, Window
from ontogeny.interventions.streams import Stream
from ontogeny.records import OntogenyError
from ontogeny.tokens.rows import some_rows
from ontogeny.training.treatment import Change, Loss, Period, Treatment, batch_loss


def treatment(context: InterventionContext, streams: Sequence[Stream], seed: int) -> Treatment:
    """How one seed is trained.  Raises OntogenyError for two objectives, or one that does not hold all along."""
    recipe = context.recipe
    objective = _objective(recipe.interventions)
    settings = recipe.training
    ground = replace(context, text=streams[0].text, seed=seed)  # an objective counts in what training begins with
    own: Loss = getattr(recipe.model, "loss", batch_loss)  # a masked model's, say
    if objective and own is not batch_loss:
        raise OntogenyError(
            f"interventions: {objective.kind} is for models of the next token; {recipe.model.kind} has an objective of its own"
        )
    loss = objective.loss(ground) if objective else own
    changes = [part.change(context, seed) for part in recipe.interventions if isinstance(part, Course)]
    return Treatment(
        periods=tuple(Period(stream.until, some_rows(stream.text, settings.unit, settings.context)) for stream in streams),
        loss=loss,
        model=(lambda network: objective.model(network, ground)) if objective else (lambda network: network),
        changes=(*changes, loss) if isinstance(loss, Change) else tuple(changes),
    )


def _objective(parts: Sequence[Any]) -> Objective | None:
    found = [part for part in parts if isinstance(part, Objective)]
    if len(found) > 1:
        raise OntogenyError(f"interventions: {found[0].kind} and {found[1].kind} both set the objective; a training has one")
    if found and found[0].when != Window():
        raise OntogenyError(f"interventions: {found[0].kind} holds all along; leave its `when` out")
    if strangers := [part.kind for part in parts if not isinstance(part, CorpusEdit | Objective | Course)]:
        raise OntogenyError(f"interventions: {strangers[0]} is neither an edit of the corpus, an objective, nor a course")
    return found[0] if found else None
