"""Distil: the network learns what finished models say of each place, beside what the text has there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ontogeny.interventions.context import InterventionContext
from ontogeny.interventions.kinds import Objective
from ontogeny.interventions.place_loss import PlaceLoss, Said
from ontogeny.interventions.reference import asked, hashes, said

if TYPE_CHECKING:
    from torch import Tensor

    from ontogeny.training.treatment import Loss


class Distil(Objective):
    """(1 - share) cross-entropy + share temperature^2 KL(mean of the teachers || network), as Hinton et al. (2015) have it.

    The best a model can say is a mixture of the text's and the teachers' probabilities: no objective of the context alone.
    """

    kind: Literal["distil"] = "distil"
    teachers: tuple[Path, ...] = Field(min_length=1)
    """Folders with finished models of the same tokenizer, such as the last checkpoints of several seeds."""
    share: float = Field(0.5, ge=0, le=1)
    """How much the teachers count; 0 leaves the objective as it is."""
    temperature: float = Field(1.0, gt=0)
    """What logits are divided by on either side."""

    def contents(self) -> list[str]:
        """The teachers' weights."""
        return hashes(self.teachers)

    def loss(self, context: InterventionContext) -> Loss:
        """The mixture, summed; the plain loss for share 0.  Raises OntogenyError for a teacher that does not fit."""
        from ontogeny.training.treatment import batch_loss

        if not self.share:
            return batch_loss
        models = [asked(folder, context, self.kind) for folder in self.teachers]
        return Distilled([partial(said, model) for model in models], self.share, self.temperature)


class Distilled(PlaceLoss):
    """Cross-entropy mixed with how far the network is from the teachers' mean."""

    def __init__(self, teachers: Sequence[Callable[[Tensor], Tensor]], share: float, temperature: float = 1.0):
        self.teachers, self.share, self.temperature = teachers, share, temperature  # each: inputs to logits

    def nats(self, nats: Tensor, said: Said) -> Tensor:
        """Each mixed with how far the network is from the teachers there."""
        import torch

        from ontogeny.training.treatment import inputs_of

        inputs, own = (
            inputs_of(said.tokens),
            (said.logits.float() / self.temperature).log_softmax(-1),
        )  # [rows, context, vocabulary]
        theirs = torch.stack([(teacher(inputs) / self.temperature).softmax(-1) for teacher in self.teachers]).mean(0)
        apart = torch.xlogy(theirs, theirs) - theirs * own
        kl = (apart.sum(-1) * (said.tokens[:, 1:] >= 0)).flatten()
        return (1 - self.share) * nats + self.share * self.temperature**2 * kl
