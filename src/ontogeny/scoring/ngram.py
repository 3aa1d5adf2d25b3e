"""Sentences under n-gram models of a text."""

from __future__ import annotations

import numpy as np

from ontogeny.ngrams.index import Index, Walk
from ontogeny.ngrams.kneser_ney import Floats, KneserNey
from ontogeny.records import OntogenyError
from ontogeny.scoring.sentences import Sentences


class Walked:
    """Sentences as rows of an index, found once for all orders and all moments of training."""

    def __init__(self, index: Index, sentences: Sentences):
        """Raises OntogenyError if the sentences' tokens are not the index's, or if they begin in another way."""
        _check(index, sentences)
        self.sentences = sentences
        self.closed = index.bos is not None
        end = (index.bos,) if index.bos is not None else ()
        self.whole = [(*ids, *end) for ids in sentences]
        self.walk: Walk = index.walk(self.whole)
        self.lengths = sentences.lengths
        self.starts = (
            np.cumsum(sentences.sizes + self.closed) - self.lengths - self.closed
        )  # of scored tokens among those of `walk`

    def logps(self, model: KneserNey, order: int) -> Floats:
        """log p in nats of every token of every sentence, laid end to end, with the end of the document after each."""
        return np.asarray(np.log(model.probabilities(self.walk, order)))

    def tokens_of(self, logps: Floats) -> list[Floats]:
        """The same, one array of scored tokens a sentence, without the end."""
        return [logps[start : start + length] for start, length in zip(self.starts, self.lengths, strict=True)]

    def sums(self, logps: Floats) -> Floats:
        """log p of every sentence, without the end."""
        bounds = np.stack([self.starts, self.starts + self.lengths], axis=1).ravel()
        return np.asarray(np.add.reduceat(np.append(logps, 0.0), bounds)[::2] * (self.lengths > 0))


def _check(index: Index, sentences: Sentences) -> None:
    largest = max(map(max, sentences))
    if largest >= index.vocabulary:
        raise OntogenyError(
            f"the sentences hold token {largest:,}, the counts are of a vocabulary of {index.vocabulary:,}: "
            "they were made with different tokenizers"
        )
    firsts = {ids[0] for ids in sentences}
    if index.bos is not None and firsts != {index.bos}:
        raise OntogenyError("the counted stream begins its documents with BOS, the sentences do not (or with another one)")
