"""Over bigrams: the network learns what a frozen bigram model leaves to be learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ontogeny.interventions.context import InterventionContext
from ontogeny.interventions.kinds import Objective
from ontogeny.ngrams import KneserNey
from ontogeny.tokens.token_store import TokenStore

if TYPE_CHECKING:
    from ontogeny.architectures.over_bigrams import Bigrams

Counted = Literal["read", "untouched"]


class OverBigramsObjective(Objective):
    """Trains the network as a residual over the bigram model of the training text: logits = log p2 + the network's.

    The bigram model is interpolated modified Kneser-Ney, never changes, and lies in every checkpoint.  At step 0 the two together
    are the bigram model exactly.  The suite `network-alone` reads the network without it.
    """

    kind: Literal["over-bigrams"] = "over-bigrams"
    counted: Counted = "read"
    """The text whose bigrams they are: what training reads (at its beginning, where edits come and go), or the untouched text."""

    def model(self, network: Any, context: InterventionContext) -> Any:
        """Network and bigrams in one module.  Raises OntogenyError for a network without output embeddings."""
        from ontogeny.architectures.over_bigrams import over

        return over(network, sparse(context.bigrams(text_of(self.counted, context))))


def text_of(counted: Counted, context: InterventionContext) -> TokenStore:
    """The stream that bigrams are counted in."""
    return context.text if counted == "read" else context.untouched


def sparse(model: KneserNey) -> Bigrams:
    """A model's bigrams as a table: p2 of what was seen, back-off weights and unigrams for all else, exact but for float32."""
    import torch

    from ontogeny.architectures.over_bigrams import Bigrams

    index, vocabulary, own = model.index, model.vocabulary, model.levels(2)[1]
    unigram = model.distribution(np.array([[-1]]), 2)[0]  # nothing before: what a bigram backs off to
    seen = index.levels[0].key.astype(np.int64)
    row, token = (part.astype(np.int64) for part in np.divmod(index.levels[1].key, np.uint64(vocabulary)))
    weights = own.gamma(np.arange(len(seen)))
    backoff = np.zeros(vocabulary)
    backoff[seen] = np.log(weights)
    starts = np.zeros(vocabulary + 1, dtype=np.int64)
    starts[1:] = np.cumsum(np.bincount(seen[row], minlength=vocabulary))
    table = Bigrams(vocabulary, len(token))
    table.load_state_dict(
        {
            "starts": torch.from_numpy(starts),
            "tokens": torch.from_numpy(token.astype(np.int32)),
            "logp": torch.from_numpy(np.log(own.share(np.arange(len(token))) + weights[row] * unigram[token])),
            "backoff": torch.from_numpy(backoff),
            "unigram": torch.from_numpy(np.log(unigram)),
        }
    )
    return table
