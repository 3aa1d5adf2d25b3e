"""Syntactic smoothing (Diehl Martinez et al. 2024, arXiv:2410.11462): a target's similar words are right in part.

    target distribution of u:  1 - share on u, share * s(v | u) on the similar words v
    s(v | u) = exp(sim(u, v) / temperature) / sum over the similar words of u

With a treebank, sim(u, v) is the cosine of how often u and v bear each part-of-speech tag, as in the paper.  Without one it is the
mean of two cosines, of the tokens that precede u and v and of those that follow them:

    sim(u, v) = (cos(l_u, l_v) + cos(r_u, r_v)) / 2,   l_u[x] = c(x u),   r_u[x] = c(u x)

The paper shares among all words; here the `similar` most similar ones do.  Among equally similar words, of which a tag has many,
each word has its own random ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ontogeny.corpora.treebank import sentences as parsed
from ontogeny.interventions.context import InterventionContext
from ontogeny.interventions.kinds import Objective
from ontogeny.interventions.place_loss import PlaceLoss, Said
from ontogeny.ngrams import Index
from ontogeny.records import OntogenyError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from ontogeny.training.treatment import Loss

EQUAL = 1e-6  # similarities this close are equal
CHUNK = 256  # words whose similarities with all others are worked out at a time


class SyntacticSmoothing(Objective):
    """Gives a share of each target to the words most like it in their syntax, so that rare words learn with frequent ones."""

    kind: Literal["syntactic-smoothing"] = "syntactic-smoothing"
    share: float = Field(0.5, ge=0, le=1)
    """Share of a target that its similar words have, at the beginning."""
    pace: Literal["linear", "fixed"] = "linear"
    """linear: the share goes down to 0 at the end of training.  fixed: it stays."""
    similar: int = Field(32, ge=1)
    """Similar words that share a target."""
    temperature: float = Field(0.025, gt=0)
    """How much the most similar of them get; 0.025 is what the authors' released code has for the cosine of tags."""
    treebank: Path | None = None
    """A CoNLL-U file whose tags say what is similar; left out: the tokens before and after a word in the training text."""
    tags: Literal["upos", "xpos"] = "upos"
    """The treebank's universal tags, or the language's own."""
    seed: int = 0
    """Seed of the choice among equally similar words."""

    def loss(self, context: InterventionContext) -> Loss:
        """Cross-entropy with the smoothed targets.  Raises OntogenyError for a treebank that cannot be read."""
        return SmoothedCrossEntropy(self.neighbours(context), self.share, self.pace)

    def neighbours(self, context: InterventionContext) -> Neighbours:
        """The similar words of every word; special tokens have none and are none.  Says how much of the text has none."""
        if self.treebank:
            profiles = [tag_counts(self.treebank, context.tokenizer, self.tags)]
        else:
            profiles = list(neighbour_counts(context.index()))
        found = most_similar(profiles, context.tokenizer.all_special_ids, self.similar, self.temperature, context.rng(self.seed))
        without = found.weight.sum(1) == 0
        lacking = float(without[np.asarray(context.text.ids)].mean())
        if self.treebank and lacking > 0:
            context.warn(
                f"syntactic-smoothing: {lacking:.1%} of the text's tokens are special or not in {self.treebank.name}; as targets "
                "they stay as they are"
            )
        return found


class Neighbours(NamedTuple):
    """Each word's similar words and how much of its share each has; rows sum to 1, or to 0 where there is none."""

    token: NDArray[np.int64]  # [vocabulary, similar]
    weight: NDArray[np.float64]  # [vocabulary, similar]


class SmoothedCrossEntropy(PlaceLoss):
    """Cross-entropy with smoothed targets.  Its share of the similar words is that of the step it was last told."""

    def __init__(self, neighbours: Neighbours, share: float, pace: str = "fixed"):
        import torch

        self.begin, self.pace = share, pace
        self.share = torch.tensor(share)
        self.token = torch.from_numpy(neighbours.token)
        self.weight = torch.from_numpy(neighbours.weight).float()

    def at(self, step: int, steps: int) -> None:
        """Sets the share of optimiser step `step` (from 0) of `steps`."""
        self.share.fill_(self.begin * (1 - step / steps) if self.pace == "linear" else self.begin)

    def nats(self, nats: Tensor, said: Said) -> Tensor:
        """Those of the smoothed targets.

        As weights sum to 1, the normaliser cancels in what is added: share (z_u - sum of s(v | u) z_v).
        """
        from ontogeny.tokens.rows import NOT_COUNTED

        targets = said.tokens[:, 1:].flatten()
        if self.token.device != targets.device:  # once a training
            self.share, self.token, self.weight = (t.to(targets.device) for t in (self.share, self.token, self.weight))
        logits, own = said.logits.flatten(0, 1).float(), targets.clamp(min=0)
        weight = self.weight[own] * (targets != NOT_COUNTED)[:, None]  # [N, similar]
        difference = logits.gather(1, own[:, None]) - logits.gather(1, self.token[own])
        added: Tensor = (weight * difference).sum(1)
        return nats + self.share * added


# --- what is similar ------------------------------------------------------------------------------------------------


def most_similar(
    profiles: Sequence[Any], special: Sequence[int], similar: int, temperature: float, rng: np.random.Generator
) -> Neighbours:
    """The most similar words of every word by the mean cosine of their profiles (sparse, [vocabulary, any]), and their weights.

    Words of no positive similarity are never neighbours.
    """
    size = profiles[0].shape[0]
    unit = [_unit(profile) for profile in profiles]
    similar = min(similar, size - 1)
    token, weight = np.zeros((size, similar), dtype=np.int64), np.zeros((size, similar))
    for first in range(0, size, CHUNK):
        rows = np.arange(first, min(first + CHUNK, size))
        cosines = [np.asarray((matrix[rows] @ matrix.T).todense()) for matrix in unit]
        found = np.mean(cosines, axis=0)  # [rows, vocabulary]
        found[np.arange(len(rows)), rows] = 0
        found[:, special] = 0
        found[np.isin(rows, special)] = 0
        order = np.where(found > 0, found + EQUAL * rng.random(found.shape), 0)
        best = np.argpartition(-order, similar - 1, axis=1)[:, :similar]
        token[rows], weight[rows] = best, _softmax(np.take_along_axis(found, best, axis=1), temperature)
    return Neighbours(token, weight)


def _unit(profile: Any) -> Any:
    """The same with rows of length 1, or 0 where nothing is known of a word."""
    from scipy import sparse

    lengths = np.sqrt(np.asarray(profile.multiply(profile).sum(axis=1)).ravel())
    return sparse.diags_array(np.divide(1, lengths, out=np.zeros(len(lengths)), where=lengths > 0)).tocsr() @ profile


def _softmax(similarity: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Weights [rows, words] of similarities above 0; a row without any has none."""
    powers = np.where(similarity > 0, np.exp((similarity - similarity.max(axis=1, keepdims=True)) / temperature), 0)
    total = powers.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(powers, total, out=np.zeros_like(powers), where=total > 0))


def neighbour_counts(index: Index) -> tuple[Any, Any]:
    """How often each token comes before and after each token: two sparse matrices [vocabulary, vocabulary]."""
    from scipy import sparse

    tokens = index.levels[0].key.astype(np.int64)
    row, after = (part.astype(np.int64) for part in np.divmod(index.levels[1].key, np.uint64(index.vocabulary)))
    counts = index.levels[1].count.astype(np.float64)
    shape = (index.vocabulary, index.vocabulary)
    right = sparse.csr_array((counts, (tokens[row], after)), shape=shape)
    return right.T.tocsr(), right


def tag_counts(treebank: Path, tokenizer: PreTrainedTokenizerBase, tag: str) -> Any:
    """How often each token stands in a word of each tag: a sparse matrix [vocabulary, tags].

    Every token of a word has the word's tag; one that spans several has that of the word it ends in.  Raises OntogenyError for a
    file that is missing or no CoNLL-U, or a tokenizer that does not say where its tokens stand.
    """
    from scipy import sparse

    if not tokenizer.is_fast:
        raise OntogenyError("syntactic-smoothing with a treebank needs a fast tokenizer: one that says where its tokens stand")
    numbers: dict[str, int] = {}
    tokens: list[int] = []
    tags: list[int] = []
    for text, tagged in sentences(treebank, tag):
        of = [numbers.setdefault(one, len(numbers)) if one else -1 for one in tagged]  # of each character
        found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        for token, (_, end) in zip(found["input_ids"], found["offset_mapping"], strict=True):
            if end and of[end - 1] >= 0:
                tokens.append(token)
                tags.append(of[end - 1])
    return sparse.csr_array((np.ones(len(tokens)), (tokens, tags)), shape=(len(tokenizer), max(1, len(numbers))))


def sentences(treebank: Path, tag: str) -> Iterator[tuple[str, list[str]]]:
    """Each sentence's text, and the tag of each of its characters ("" for spaces).

    Raises OntogenyError, with file and line, for what is no CoNLL-U.
    """
    for text, words, _ in parsed(treebank, "syntactic-smoothing.treebank"):
        tags = [""] * len(text)
        for word in words:
            tags[word.start : word.end] = [getattr(word, tag)] * (word.end - word.start)
        yield text, tags
