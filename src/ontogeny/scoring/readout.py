"""The ways to a causal language model's next-token distributions, and the choice of the fastest that gives its own numbers.

Two things save work.  *Trees* compute each distinct beginning once, which a model can follow if it takes positions and a mask
that shows a token its ancestors alone.  *States* apply the output embeddings to the last hidden states that are read and to no
others, which is right for a model that does nothing more to its logits.  A model of any family is tried on a few of the sentences
against its plain logits, sentence by sentence; recurrent ones, those with ALiBi, or that scale or cap their logits, so get
the way that is right for them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ontogeny.scoring.carried import NODES, by_walking, carrier
from ontogeny.scoring.distributions import Reader, Whole, of_head, rounded
from ontogeny.scoring.forest import Batch
from ontogeny.scoring.sentences import Sentences

TREE = 96  # nodes after what all of a tree shares: attention within a tree costs its square, and less is shared in smaller ones
AGREE = 2e-5  # nats, and relative: float32 keeps seven digits, and some layers cost one or two
TRIAL = 8  # sentences, and as many that share their beginnings
Progress = Callable[[int], None]  # called with the number of sentences that were just scored


@dataclass(frozen=True, slots=True)
class Readout:
    """How a model is run: `states` of all nodes of a batch [B, N, width], and how log-probabilities are `read` off some."""

    trees: bool  # many sentences a row; else one, or such as are beginnings of it
    body: bool  # the last hidden states and the output embeddings; else the model's own logits
    states: Callable[[dict[str, torch.Tensor]], torch.Tensor]  # from the model's inputs
    read: Reader
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    carries: bool = False  # trees by states that are handed on, in place of a mask

    def __str__(self) -> str:
        shared = "carried states" if self.carries else "trees of prefixes" if self.trees else "sentences"
        return f"{shared}, {'hidden states' if self.body else 'logits'}"

    def tree(self, context: int, tokens: int) -> int:
        """The most nodes of a tree, where contexts have as many tokens and a pass is to have no more `tokens` than that."""
        if self.carries:
            return NODES
        return min(TREE + context, tokens) if self.trees else 1

    def logps(self, batch: Batch, device: torch.device) -> NDArray[np.float64]:
        """log p of every edge of a batch, in nats."""
        with self.autocast():
            states = self.states(_inputs(batch, self, device))
        nodes, node, token = (torch.from_numpy(part).to(device) for part in (batch.nodes, batch.edge_node, batch.edge_token))
        return self.read(states.flatten(0, 1)[nodes], node, token).cpu().numpy()


def _inputs(batch: Batch, way: Readout, device: torch.device) -> dict[str, torch.Tensor]:
    tokens = torch.from_numpy(batch.tokens).to(device)
    if not way.trees:
        return {"input_ids": tokens}
    if way.carries:
        return {"input_ids": tokens, "position_ids": torch.from_numpy(batch.depth)}
    depth, end = torch.from_numpy(batch.depth).to(device), torch.from_numpy(batch.end).to(device)
    return {"input_ids": tokens, "position_ids": depth, "attention_mask": ancestors(end)}


def ancestors(end: torch.Tensor) -> torch.Tensor:
    """What is added to attention [B, 1, N, N]: 0 where the row's node descends from the column's or is it, else the least float."""
    place = torch.arange(end.shape[1], device=end.device)
    sees = (place[:, None] >= place) & (place[:, None] < end[:, None, :])
    return torch.zeros(sees.shape, device=end.device).masked_fill_(~sees, torch.finfo(torch.float32).min)[:, None]


def ways(model: Any) -> Iterator[Readout]:
    """Every way a model offers, the fastest first and the plain one last."""

    def logits(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return model(**inputs, use_cache=False).logits  # type: ignore[no-any-return]

    def states(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        body = getattr(model, model.base_model_prefix)
        return body(**inputs, use_cache=False).last_hidden_state.to(model.dtype)  # type: ignore[no-any-return]

    head = getattr(model, "get_output_embeddings", lambda: None)()
    if head is not None and (carry := carrier(model)) is not None:
        yield Readout(True, True, by_walking(carry), of_head(head), carries=True)
    for trees in (True, False):
        if head is not None:
            yield Readout(trees, True, states, of_head(head))
        yield Readout(trees, False, logits, Whole(torch.nn.Identity()))


@torch.inference_mode()
def choose(model: Any, sentences: Sentences, device: torch.device) -> Readout:
    """The first of the ways that gives the plain way's log-probabilities on a few of the sentences and the longest."""
    *faster, plain = ways(model)
    trial = _trial(sentences)
    expected = token_logps(plain, trial, device)[0]
    for way in faster:
        try:
            found = token_logps(way, trial, device)[0]
        except Exception:  # a model of somebody else's that is called in a way it does not know may raise anything
            continue
        if np.allclose(found, expected, rtol=AGREE, atol=AGREE):
            return way
    return plain


def _trial(sentences: Sentences) -> Sentences:
    """Some spread evenly, each with the next, which shares its beginning; and the longest: positions and windows end there."""
    spread = np.linspace(0, len(sentences) - 1, TRIAL, dtype=np.int64)
    return sentences.part(np.unique([*spread, *np.minimum(spread + 1, len(sentences) - 1), sentences.sizes.argmax()]))


def token_logps(
    way: Readout, sentences: Sentences, device: torch.device, batch_tokens: int = 512, progress: Progress = lambda sentences: None
) -> tuple[NDArray[np.float64], int]:
    """log p of every scored token of the sentences, laid end to end, and the most tokens that a pass had.

    Where memory is short passes become smaller.  Raises OntogenyError if a log-probability is no finite number.
    """
    found = np.empty(int(sentences.lengths.sum()))
    for where, part in sentences.parts():
        batch_tokens = _read_part(way, part, device, batch_tokens, progress, found[where])
    return found, batch_tokens


def _read_part(
    way: Readout, sentences: Sentences, device: torch.device, batch_tokens: int, progress: Progress, found: NDArray[np.float64]
) -> int:
    """Fills `found`, and returns the most tokens that a pass may have from here on."""
    forest = sentences.forest(way.tree(sentences.context, batch_tokens))
    groups = deque(forest.groups(batch_tokens, equal=not way.trees))
    while groups:
        trees = groups.popleft()
        batch = forest.batch(trees)
        if batch.tokens.size > batch_tokens and len(trees) > 1:
            groups.extendleft(np.array_split(trees, 2)[::-1])
            continue
        try:
            found[batch.edge_place] = way.logps(batch, device)
        except RuntimeError as error:
            if len(trees) == 1 or not short_of_memory(error):
                raise
            batch_tokens = batch.tokens.size // 2
            groups.appendleft(trees)
            continue
        sentences.check_finite(found, batch.edge_place)
        progress(batch.sentences)
    return batch_tokens


def short_of_memory(error: RuntimeError) -> bool:
    """True for a GPU's memory, and for the processor's, which torch has no error of its own for."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def in_bfloat16(way: Readout, device: torch.device) -> Readout:
    """The same with the body's matrix products in bfloat16, and those of tiles of logits; exponentials and sums stay float32."""
    return replace(way, autocast=lambda: torch.autocast(device.type, dtype=torch.bfloat16), read=rounded(way.read))
