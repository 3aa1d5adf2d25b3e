"""Hybrid rows: one network learns the next token in some rows of a batch, and to fill in masked tokens in the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from ontogeny.architectures.models.masking import NOT_COUNTED, hide, sees_both_sides, shifted
from ontogeny.interventions.kinds import Objective
from ontogeny.records import OntogenyError
from ontogeny.training.treatment import Autocast, Change, Loss, batch_loss, inputs_of, nats_of

if TYPE_CHECKING:
    from ontogeny.interventions.context import InterventionContext
    from ontogeny.training.state import TrainingState


class HybridRows(Objective):
    """A share of rows sees both sides and fills in what is hidden; the others are causal (GPT-BERT, Charpentier & Samuel 2024).

    Both are said by the same weights and the same head: a hidden token at place i is said at i - 1, as the next token is.  The mean
    over the hidden tokens counts as many times as masked rows have targets, so that a row of either kind weighs the same.
    """

    kind: Literal["hybrid-rows"] = "hybrid-rows"
    share: float = Field(0.5, ge=0, le=1)
    """Of the rows of a batch, how many are masked, to the nearest row on average; 0 leaves the objective as it is.  The released
    recipes of GPT-BERT have 15 of 16, .9375."""
    hidden: float = Field(0.3, gt=0, lt=1)
    """Share of a masked row's tokens that is hidden at the beginning."""
    hidden_end: float = Field(0.15, gt=0, lt=1)
    """The same at the end of training, after an even change."""
    mask: float = Field(0.8, ge=0, le=1)
    """Share of hidden tokens that become the mask; half of the others become another token, and half stay as they are."""
    span: int = Field(3, ge=1)
    """Most tokens that are hidden together, in spans of 1 to so many; 1: each token on its own."""

    weigh: Literal["rows", "tokens"] = "rows"
    """rows: a masked row counts as a causal one does.  tokens: each token that has a loss counts the same."""

    draws: ClassVar[bool] = True
    alone: ClassVar[bool] = True

    def loss(self, context: InterventionContext) -> Loss:
        """Nats of both kinds of rows; the plain loss for share 0."""
        if not self.share:
            return batch_loss
        return BothWays(self.share, (self.hidden, self.hidden_end), self.mask, self.span, self.weigh)

    def model(self, network: Any, context: InterventionContext) -> Any:
        """The network with a row for the mask, the token after the tokenizer's last.

        Raises OntogenyError for a network that cannot be shown both sides of a row.
        """
        if not self.share:
            return network
        network.config.mask_token_id = len(context.tokenizer)
        if network.config.vocab_size <= len(context.tokenizer):
            network.resize_token_embeddings(len(context.tokenizer) + 1, mean_resizing=False)
        if not sees_both_sides(network):
            raise OntogenyError(
                f"interventions: hybrid-rows shows some rows of a batch both sides of a token, and {context.recipe.model.kind} "
                "cannot look ahead in these alone; take opt, gpt2, gpt-neox or llama"
            )
        return network


class BothWays(Change):
    """Cross-entropy of the next token in some rows and of hidden tokens in others, drawn by torch's generator, which the loop sets
    by seed and step; and how many tokens had a loss of either kind."""

    def __init__(self, share: float, hidden: tuple[float, float], mask: float = 0.8, span: int = 3, weigh: str = "rows"):
        self.share, self.hidden, self.mask, self.span, self.weigh = share, hidden, mask, span, weigh
        self.chance = torch.tensor(hidden[0])
        self.now, self.told = torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)  # tokens: causal, masked

    def __call__(self, model: Any, tokens: Tensor, autocast: Autocast) -> Tensor:
        """Nats summed over the targets tokens[:, 1:] that count; for those of masked rows as many times the mean of the hidden."""
        masked, seen, wanted = self.drawn(tokens, model.config)
        with autocast():
            logits = shifted(model, seen, tokens[:, :-1] != NOT_COUNTED, masked)
        nats = nats_of(logits, wanted).view(len(tokens), -1).sum(1)
        asked, counted = ((one[:, 1:] != NOT_COUNTED).sum(1) for one in (wanted, tokens))  # [rows]
        either = (torch.stack([~masked, masked]) * asked).sum(1)
        self.now = self.now.to(tokens.device) + either
        if self.weigh == "tokens":
            return nats.sum() * counted.sum() / either.sum().clamp(min=1)
        many = (counted * masked).sum() / either[1].clamp(min=1)
        return (nats * torch.where(masked, many, 1.0)).sum()

    def drawn(self, tokens: Tensor, config: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Which rows [rows] are masked, the inputs [rows, context], and what is asked for [rows, context + 1], in place of tokens.

        A row's first token is never hidden, as nothing comes before it, nor its last target, which is no input.
        """
        device, rows = tokens.device, len(tokens)
        self.chance = self.chance.to(device)
        order, part = torch.rand(rows, device=device).argsort(), torch.rand((), device=device)
        masked = order < self.share * rows - part  # so many, and one more as often as the fraction says
        seen, hidden = hide(tokens[:, 1:-1], self.chance, config, mask=self.mask, span=self.span)
        seen = torch.where(masked[:, None], torch.cat([inputs_of(tokens)[:, :1], seen], 1), inputs_of(tokens))
        wanted = F.pad(hidden, (1, 1), value=NOT_COUNTED)
        return masked, seen, torch.where(masked[:, None], wanted, tokens)

    def before(self, state: TrainingState, step: int, steps: int) -> None:
        """Sets the share that is hidden, and counts the step's tokens anew."""
        self.chance.fill_(self.hidden[0] + (self.hidden[1] - self.hidden[0]) * step / steps)
        self.now.zero_()

    def after(self, state: TrainingState, step: int, steps: int) -> None:
        """Adds the step's tokens up."""
        self.told += self.now.cpu()

    def tensors(self) -> dict[str, Tensor]:
        """The tokens so far."""
        return {"told": self.told}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Takes them back."""
        self.told = tensors["told"]

    def facts(self) -> dict[str, int]:
        """Tokens so far that had a loss as the next one, and as a hidden one."""
        return dict(zip(("causal_tokens", "masked_tokens"), self.told.tolist(), strict=True))
