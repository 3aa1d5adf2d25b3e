"""History-dropout: some of what a prediction stands on is hidden, so that it has to be made from elsewhere in the context."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ontogeny.interventions.context import InterventionContext
from ontogeny.interventions.kinds import Objective
from ontogeny.interventions.place_loss import PlaceLoss
from ontogeny.records import OntogenyError

if TYPE_CHECKING:
    from torch import Tensor

    from ontogeny.training.treatment import Loss


class HistoryDropout(Objective):
    """Reads <unk> in place of each input token but BOS with a probability that falls to 0 at the end; targets stay.

    What a bigram stands on is hidden as often as anything else.  Of contexts without <unk> the text's own probabilities stay the
    best.
    """

    kind: Literal["history-dropout"] = "history-dropout"
    rate: float = Field(0.15, ge=0, le=1)
    """Probability of being hidden, at the beginning; 0 leaves the objective as it is."""
    pace: Literal["linear", "fixed"] = "linear"
    """linear: the rate goes down to 0 at the end of training.  fixed: it stays."""
    context_only: ClassVar[bool] = True
    draws: ClassVar[bool] = True

    def loss(self, context: InterventionContext) -> Loss:
        """Nats of the targets after hidden inputs; the plain loss for rate 0.  Raises OntogenyError without an unknown token."""
        from ontogeny.training.treatment import batch_loss

        if not self.rate:
            return batch_loss
        unknown = context.tokenizer.unk_token_id
        if unknown is None:
            raise OntogenyError("interventions: history-dropout hides tokens behind <unk>, and this tokenizer has no unknown token")
        return Hidden(int(unknown), context.first, self.rate, self.pace)


class Hidden(PlaceLoss):
    """Cross-entropy of targets whose inputs are hidden at random, by torch's generator, which the loop sets by seed and step."""

    def __init__(self, unknown: int, bos: int | None, rate: float, pace: str = "fixed"):
        import torch

        self.unknown, self.bos, self.begin, self.pace = unknown, -1 if bos is None else bos, rate, pace
        self.rate = torch.tensor(rate)

    def at(self, step: int, steps: int) -> None:
        """Sets the rate of optimiser step `step` (from 0) of `steps`."""
        self.rate.fill_(self.begin * (1 - step / steps) if self.pace == "linear" else self.begin)

    def reads(self, inputs: Tensor) -> Tensor:
        """The inputs, some hidden."""
        import torch

        self.rate = self.rate.to(inputs.device)
        hidden = (torch.rand(inputs.shape, device=inputs.device) < self.rate) & (inputs != self.bos)
        return inputs.masked_fill(hidden, self.unknown)
