"""Places of a stream where a word of a class stands, with the bigrams that stand or would stand there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ontogeny.interventions.bigram_counts import BigramCounts, Ints
from ontogeny.ngrams import Index
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.tokens.token_store import TokenStore, encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Classes = tuple[tuple[int, ...], ...]  # each class as its words' tokens


def tokens_of(classes: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase) -> Classes:
    """The token of each word as it stands within a text, after another word.

    Raises OntogenyError for a word that the tokenizer does not know or that is not one token, or two words of one token.
    """
    words = [word for some in classes for word in some]
    lead = encode(tokenizer, ["a"], None)[0]
    ids = [whole[len(lead) :] for whole in encode(tokenizer, [f"a {word}" for word in words], None)]
    known: dict[str, int] = {}
    for word, own in zip(words, ids, strict=True):
        if len(own) != 1:
            parts = ", ".join(map(repr, tokenizer.convert_ids_to_tokens(own)))
            raise OntogenyError(f"classes: {word!r} is {len(own)} tokens ({parts}); only single tokens can be exchanged")
        if own[0] == tokenizer.unk_token_id and tokenizer.unk_token_id not in (tokenizer.bos_token_id, None):
            raise OntogenyError(f"classes: the tokenizer does not know {word!r}; {nearest(word, sorted(tokenizer.get_vocab()))}")
        if own[0] in known.values():
            raise OntogenyError(f"classes: {word!r} is the same token as another word of the classes")
        known[word] = own[0]
    return tuple(tuple(known[word] for word in some) for some in classes)


@dataclass(frozen=True, eq=False)
class Positions:
    """S places in random order; W is the number of words of the largest class."""

    classes: Classes
    at: Ints  # [S] in the stream
    group: Ints  # [S] number of the class
    own: Ints  # [S] which word of its class
    left: Ints  # [S] the token before
    right: Ints  # [S] the token after
    beside: int  # places left out because another word of the classes stands beside

    def __len__(self) -> int:
        return len(self.at)

    @cached_property
    def words(self) -> Ints:
        """Tokens of each place's class [S, W]; a smaller class repeats its last."""
        width = max(map(len, self.classes))
        table = np.array([(*tokens, *[tokens[-1]] * (width - len(tokens))) for tokens in self.classes], dtype=np.int64)
        return np.asarray(table[self.group])

    def members(self, group: int, word: int) -> Ints:
        """The places of one word, in order."""
        return np.flatnonzero((self.group == group) & (self.own == word))

    def bigrams(self, index: Index) -> BigramCounts:
        """The stream's bigram counts, with rows for all that could stand at these places."""
        width = self.words.shape[1]
        left, right = (np.repeat(side, width) for side in (self.left, self.right))
        words = self.words.ravel()
        return BigramCounts(index, np.concatenate([left, words]), np.concatenate([words, right]))


def find(text: TokenStore, classes: Classes, open_: NDArray[np.bool_], rng: np.random.Generator) -> Positions:
    """Every place of a word of the classes, in documents that are open, that has a neighbour on both sides and beside which no
    other such word stands, so that no exchange changes another one's neighbours.
    """
    bos: int | None = text.facts["bos"]
    number = np.full(text.facts["vocabulary"], -1, dtype=np.int16)
    place = np.zeros(text.facts["vocabulary"], dtype=np.int16)
    for group, tokens in enumerate(classes):
        number[list(tokens)], place[list(tokens)] = group, np.arange(len(tokens))
    ids = np.asarray(text.ids)
    ids = ids if bos is None else np.append(ids, np.array([bos], dtype=ids.dtype))  # what ends the last document
    found = np.flatnonzero(number[ids] >= 0)
    found = found[(found > 0) & (found < len(ids) - 1)]
    documents = np.searchsorted(text.documents["start"], found.astype(np.uint64), side="right") - 1
    found = found[open_[documents]]
    alone = (number[ids[found - 1]] < 0) & (number[ids[found + 1]] < 0)
    at = rng.permutation(found[alone])
    own = ids[at]
    return Positions(
        classes=classes,
        at=at,
        group=number[own].astype(np.int64),
        own=place[own].astype(np.int64),
        left=ids[at - 1].astype(np.int64),
        right=ids[at + 1].astype(np.int64),
        beside=int((~alone).sum()),
    )
