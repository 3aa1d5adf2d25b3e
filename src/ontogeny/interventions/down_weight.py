"""Down-weight: what bigrams already predict counts less."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from ontogeny import disk
from ontogeny.interventions.context import InterventionContext
from ontogeny.interventions.kinds import Objective
from ontogeny.interventions.over_bigrams import Counted, sparse, text_of
from ontogeny.interventions.place_loss import PlaceLoss, Said
from ontogeny.ngrams import KneserNey
from ontogeny.records import OntogenyError

if TYPE_CHECKING:
    from torch import Tensor

    from ontogeny.training.treatment import Loss


class DownWeight(Objective):
    """Weighs each target's nats by (1 - p2(target | token before))^gamma / Z, p2 interpolated modified Kneser-Ney bigrams.

    Z is the mean of the numerator over all bigrams of the text, so that the mean weight is 1.  Lin et al. 2017 weigh by the
    learner's own probability in this way (focal loss); here it is a bigram's, and it never changes.
    """

    kind: Literal["down-weight"] = "down-weight"
    gamma: float = Field(1.0, ge=0)
    """How steeply; 0 leaves the objective as it is."""
    pace: Literal["fixed", "linear"] = "fixed"
    """fixed: the weights stay.  linear: they go to 1 evenly until the end of training, so that the last steps are plain."""
    counted: Counted = "read"
    """The text whose bigrams they are: what training reads (at its beginning, where edits come and go), or the untouched text."""

    def loss(self, context: InterventionContext) -> Loss:
        """Weighted nats, summed; the plain loss for gamma 0.  Raises OntogenyError for untilted and weights that change, and for
        untilted and another objective that moves the optimum."""
        from ontogeny.training.treatment import batch_loss

        bigrams = context.bigrams(text_of(self.counted, context))
        if any(suite.kind == "untilted" for suite in context.recipe.suites):
            self._keep(bigrams, context)
        return Weighted(bigrams, self.gamma, self.pace) if self.gamma else batch_loss

    def _keep(self, bigrams: KneserNey, context: InterventionContext) -> None:
        from ontogeny.architectures.over_bigrams import keep_tilt

        if self.pace != "fixed":
            raise OntogenyError(
                "interventions: down-weight: with pace: linear nothing is tilted in the end; leave the suite untilted out"
            )
        objectives = [part for part in context.recipe.interventions if isinstance(part, Objective) and part is not self]
        if others := [part.kind for part in objectives if not part.context_only]:
            raise OntogenyError(
                f"interventions: the suite untilted takes back what down-weight does, and {others[0]} moves what a model says best "
                "too; leave it out, or the suite"
            )
        with disk.atomic(context.folder.tilt) as temporary:
            keep_tilt(temporary, sparse(bigrams), self.gamma)


class Weighted(PlaceLoss):
    """Cross-entropy with a weight for each bigram of token and target."""

    def __init__(self, model: KneserNey, gamma: float, pace: str = "fixed"):
        import torch

        table = sparse(model)
        nats = table.logp.double().numpy()
        own = (-np.expm1(nats)) ** gamma
        self.gamma, self.pace, self.share = gamma, pace, torch.tensor(1.0)
        self.mean = float(np.average(own, weights=model.index.levels[1].count))  # over the text's bigrams
        self.keys = table.histories() * model.vocabulary + table.tokens  # int64 [bigrams seen], ascending
        self.seen = torch.from_numpy(own / self.mean).float()  # their weights
        self.backoff, self.unigram = table.backoff, table.unigram

    def at(self, step: int, steps: int) -> None:
        """Sets how much of the weights is left at optimiser step `step` (from 0) of `steps`."""
        self.share.fill_(1 - step / steps if self.pace == "linear" else 1.0)

    def nats(self, nats: Tensor, said: Said) -> Tensor:
        """Each times its weight."""
        from ontogeny.training.treatment import inputs_of

        own = self.weights(inputs_of(said.tokens).flatten(), said.tokens[:, 1:].flatten().clamp(min=0))
        return nats * (1 + self.share * (own - 1))

    def weights(self, history: Tensor, target: Tensor) -> Tensor:
        """The weight of each target [N] after its history [N]."""
        import torch

        if self.keys.device != target.device:  # once a training
            names = ("keys", "seen", "backoff", "unigram", "share")
            self.__dict__.update({name: getattr(self, name).to(target.device) for name in names})
        wanted = history * len(self.unigram) + target
        place = torch.searchsorted(self.keys, wanted).clamp(max=len(self.keys) - 1)
        unseen = (-torch.expm1(self.backoff[history] + self.unigram[target])) ** self.gamma / self.mean
        return torch.where(self.keys[place] == wanted, self.seen[place], unseen)
