"""Bigram-contrast: minimal pairs that bigrams cannot tell, made of the text itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import Field

from ontogeny.interventions.context import InterventionContext
from ontogeny.interventions.kinds import Objective
from ontogeny.interventions.over_bigrams import Counted, sparse, text_of
from ontogeny.interventions.place_loss import PlaceLoss, Said

if TYPE_CHECKING:
    from torch import Tensor

    from ontogeny.architectures.over_bigrams import Bigrams
    from ontogeny.training.treatment import Loss


class BigramContrast(Objective):
    """Adds strength times the mean of -log sigmoid(z) over rows x in which a token x_t is held against v, per target.

    v is drawn from G(v) ~ p2(v | x[t-1]) p2(x[t+1] | v), and z = LL(x) - LL(x with v) - log G(x_t) + log G(v): what bigrams say of
    the two is taken out, so that they leave z = 0.  A pair of which v = x_t is dropped.  Conditional noise contrast (Ceylan &
    Gutmann 2018) is best where the text's own probabilities are.
    """

    kind: Literal["bigram-contrast"] = "bigram-contrast"
    strength: float = Field(0.1, ge=0)
    """Nats a target for each nat of the contrast; 0 leaves the objective as it is."""
    share: float = Field(0.125, gt=0, le=1)
    """Of the rows of a batch, how many have a pair."""
    counted: Counted = "read"
    """The text whose bigrams they are: what training reads (at its beginning, where edits come and go), or the untouched text."""
    context_only: ClassVar[bool] = True
    draws: ClassVar[bool] = True

    def loss(self, context: InterventionContext) -> Loss:
        """Cross-entropy with the contrast, summed; the plain loss for strength 0."""
        from ontogeny.training.treatment import batch_loss

        if not self.strength:
            return batch_loss
        bigrams = sparse(context.bigrams(text_of(self.counted, context)))
        return Contrasted(bigrams, context.tokenizer.all_special_ids, self.strength, self.share)


class Pairs(NamedTuple):
    """Rows in which one token is held against another."""

    row: Tensor  # [pairs] of the batch
    other: Tensor  # [pairs, context + 1]: the row with v
    prior: Tensor  # [pairs] log G(v) - log G(x_t), nats


class Contrasted(PlaceLoss):
    """Cross-entropy, and beside it how well the network tells real tokens from those that bigrams would have there."""

    def __init__(self, bigrams: Bigrams, special: Sequence[int], strength: float, share: float):
        import torch

        self.bigrams, self.strength, self.share = bigrams, strength, share
        self.special = torch.tensor(sorted(special), dtype=torch.int64)

    def nats(self, nats: Tensor, said: Said) -> Tensor:
        """Those of the contrast beside, as their mean at every target that counts."""
        from torch.nn import functional as F

        from ontogeny.training.treatment import logits_of, nats_of

        pairs = self.drawn(said.tokens)
        if not len(pairs.row):
            return nats
        other = nats_of(logits_of(said.model, pairs.other, said.autocast), pairs.other).view(len(pairs.row), -1)
        z = other.sum(1) - said.plain.view(len(said.tokens), -1)[pairs.row].sum(1) + pairs.prior
        return nats + self.strength * F.softplus(-z).mean() * (said.tokens[:, 1:] >= 0).flatten()

    def drawn(self, tokens: Tensor) -> Pairs:
        """A pair in some rows, by torch's generator, which the loop sets by seed and step; rows without a place have none."""
        import torch

        with torch.no_grad():
            self.bigrams, self.special = self.bigrams.to(tokens.device), self.special.to(tokens.device)
            row = torch.randperm(len(tokens), device=tokens.device)[: max(1, round(self.share * len(tokens)))]
            places = self._places(tokens[row])
            row, places = row[places.any(1)], places[places.any(1)]
            if not len(row):
                return Pairs(row, tokens[row], row.float())
            at = torch.multinomial(places.float(), 1)[:, 0] + 1
            own, log_g = tokens[row, at], self._log_g(tokens[row, at - 1], tokens[row, at + 1])
            v = torch.multinomial(log_g.softmax(-1), 1)[:, 0]
            kept = v != own
            row, at, own, v, log_g = row[kept], at[kept], own[kept], v[kept], log_g[kept]
            other = tokens[row].clone()
            other[torch.arange(len(row), device=row.device), at] = v
            prior = (log_g.gather(1, v[:, None]) - log_g.gather(1, own[:, None]))[:, 0]
            return Pairs(row, other, prior)

    def _places(self, rows: Tensor) -> Tensor:
        """[rows, context - 1]: whether the token at 1 ... context - 1 may be held against another."""
        import torch

        middle = ~torch.isin(rows[:, 1:-1], self.special)
        return middle & (rows[:, :-2] >= 0) & (rows[:, 1:-1] >= 0) & (rows[:, 2:] >= 0)

    def _log_g(self, before: Tensor, after: Tensor) -> Tensor:
        """log G up to a constant [pairs, vocabulary]: of every token between two; special tokens never."""
        import torch

        vocabulary = torch.arange(len(self.bigrams.unigram), device=before.device)
        into = torch.stack([self.bigrams.of(vocabulary, one.expand(len(vocabulary))) for one in after])
        log_g: Tensor = (self.bigrams(before) + into).index_fill(1, self.special, -torch.inf)
        return log_g
