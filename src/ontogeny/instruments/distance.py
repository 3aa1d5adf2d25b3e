"""N-gram distance: the divergence between n-gram models and the network on held-out contexts, both ways.

KL(p_n || p_t) is what it costs to hear n-gram text with the network's ears: large where the network rules out what n-grams expect.
KL(p_t || p_n) is what the network knows that n-grams do not.  Both are in nats a token and averaged over the same contexts at
every checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import altair as alt
import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from ontogeny.instruments.instrument import Column, Instrument, schema
from ontogeny.instruments.subject import Subject
from ontogeny.pages.axes import Width, filled, last_step, need, span_rows
from ontogeny.pages.orders import MODELS, at_token_level, drawn, order_drawing, orders_key, peaks
from ontogeny.pages.panel import Clock, Frames, Panel
from ontogeny.pages.words import enumerated
from ontogeny.records import OntogenyError
from ontogeny.tokens.token_store import TokenStore

if TYPE_CHECKING:
    import torch

Logps = NDArray[np.float32]

HISTORY = 4  # tokens before the one that is predicted: what a 5-gram looks at
ROW = 128  # tokens of a block where it is not known what the model was trained with
NOTHING = -1  # in a history: there is no token here
CHUNK = 2**24  # probabilities in memory at a time, 64 MB as float32
TITLE = "distance of the predictions"
KEPT = 2e8  # n-gram probabilities kept from checkpoint to checkpoint, 800 MB as float32


class Distance(Instrument):
    """Distance to n-gram models: how far the network's predictions of the next token lie from theirs, on held-out contexts."""

    needs: ClassVar[tuple[str, ...]] = ("text", "ngrams")

    kind: Literal["distance"] = "distance"
    order: int = Field(5, ge=1, le=HISTORY + 1)
    """Models of order 1 to this."""
    blocks: int = Field(256, ge=1)
    """Blocks of held-out text that contexts are drawn from."""
    contexts: int = Field(2000, ge=1)
    """Predictions that are compared."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By order of the n-gram model."""
        return {
            "order": Column(says="order of the n-gram model", dtype=pl.Int64, index=True),
            "kl": Column(says="KL(n-gram model || network), mean over contexts", unit="nats a token"),
            "kl_reverse": Column(says="KL(network || n-gram model), mean over contexts", unit="nats a token"),
            "contexts": Column(says="predictions compared", dtype=pl.Int64),
        }

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises OntogenyError where the network's tokens are not the counted ones."""
        compared = subject.context.once(self, lambda: self._models(subject))
        found = divergences(subject.model, compared, subject.device)
        rows = [(order, kl, kl_reverse, len(compared.contexts)) for order, kl, kl_reverse in found]
        return pl.DataFrame(rows, schema=schema(self), orient="row")

    def fold(self, table: pl.DataFrame, clock: Clock) -> dict[str, pl.DataFrame]:
        """`closest`: see there."""
        return {"closest": closest(table)}

    def panels(self) -> tuple[Panel, ...]:
        """One line an order."""
        return (
            Panel(
                name="distance",
                title="the distance of predictions",
                needs=("distance",),
                draw=lambda frames, clock, **options: {TITLE: distance(frames["distance"], clock.spans, **options)},
                says=says,
                key=orders_key("distance"),
                chapter="n-grams",
                page={"legend": False},
                command="evidence RUN",
            ),
        )

    def _models(self, subject: Subject) -> Distributions:
        row = subject.context.limit or min(subject.limit, ROW)
        chosen = held_out(subject.text("dev"), row, self.blocks, 0, self.contexts)
        model = subject.context.ngrams("token", self.order).model
        return Distributions({n: model.of_order(n) for n in range(1, self.order + 1)}, chosen)


class NgramModel(Protocol):
    """Anything that gives the next token's distribution after histories."""

    def distribution(self, histories: NDArray[np.int64]) -> NDArray[np.float64]:
        """Probabilities (contexts, vocabulary), all above 0, rows summing to 1, after histories (contexts, order - 1).

        The last column is the nearest token; -1 on the left: there is nothing there.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Contexts:
    """Held-out contexts, as the network and as n-gram models see them."""

    inputs: NDArray[np.int64]  # (blocks, context): token ids
    rows: NDArray[np.int64]  # (contexts,), ascending: flat indices of the inputs whose next token is predicted
    histories: NDArray[np.int64]  # (contexts, HISTORY): the tokens up to that one, -1 where there is nothing

    def __len__(self) -> int:
        return len(self.rows)


def held_out(store: TokenStore, context: int, blocks: int, seed: int, contexts: int | None = None) -> Contexts:
    """Contexts from `blocks` blocks of a stream drawn without replacement, or all blocks where it has no more.

    Of their blocks x context predictions, BOS and the first of a block among them, `contexts` are drawn, or all where that is
    None or more than there are.  The network sees its block up to the prediction, across documents, as in training.  A history
    is cut at the block's start and at the last BOS: BOS is its first token, and nothing stands before it.

    Raises OntogenyError if the stream is shorter than one block.
    """
    there = store.blocks(context)
    if there < 1 or blocks < 1 or (contexts is not None and contexts < 1):
        raise OntogenyError(
            f"{store.path} holds {there:,} blocks of {context} tokens, and {blocks} were asked for"
            f"{'' if contexts is None else f' with {contexts} contexts in them'}: one of each is the least"
        )
    generator = np.random.default_rng(seed)
    chosen = np.sort(generator.choice(there, size=min(blocks, there), replace=False))
    inputs = store.block(chosen, context)[:, :-1]
    wanted = inputs.size if contexts is None else min(contexts, inputs.size)
    rows = np.sort(generator.choice(inputs.size, size=wanted, replace=False))
    return Contexts(inputs, rows, histories(inputs, store.facts["bos"])[rows])


def histories(inputs: NDArray[np.int64], bos: int | None) -> NDArray[np.int64]:
    """(blocks x context, HISTORY): the tokens up to and with each input, cut at the block's start and at the last BOS."""
    padded = np.pad(inputs, ((0, 0), (HISTORY - 1, 0)), constant_values=NOTHING)
    seen = np.lib.stride_tricks.sliding_window_view(padded, HISTORY, axis=1).reshape(-1, HISTORY).copy()
    if bos is not None:
        begins = seen == bos
        after = np.cumsum(begins[:, ::-1], axis=1)[:, ::-1] - begins  # how many BOS lie to the right
        seen[after > 0] = NOTHING
    return seen


class Distributions:
    """The n-gram models' log-probabilities at the contexts: the same at every checkpoint, so kept if there is room.

    `models` by order, 1 to 5.  `kept` is how many probabilities may stay in memory; beyond that they are made anew for each
    checkpoint.  Raises OntogenyError for an order that the histories are too short for, for models that differ in their vocabulary
    or do not know a token of the contexts, and for probabilities that are not above 0 or do not sum to 1.
    """

    def __init__(self, models: Mapping[int, NgramModel], contexts: Contexts, kept: float = KEPT):
        if wrong := [order for order in models if not 1 <= order <= HISTORY + 1]:
            raise OntogenyError(f"an n-gram model of order {wrong[0]} has no distribution here: orders go from 1 to {HISTORY + 1}")
        self.models, self.contexts = dict(sorted(models.items())), contexts
        self.vocabulary = self._vocabulary()
        self._whole: dict[int, Logps] = {}
        if len(models) * len(contexts) * self.vocabulary <= kept:
            self._whole = {order: self._all(order) for order in self.models}

    def logps(self, order: int, part: slice) -> Logps:
        """Log-probabilities (contexts of the part, vocabulary), nats."""
        return self._whole[order][part] if order in self._whole else self._made(order, part)

    def _made(self, order: int, part: slice) -> Logps:
        p = self.models[order].distribution(self.contexts.histories[part, HISTORY - (order - 1) :])
        if not (p > 0).all() or np.abs(p.sum(axis=1) - 1).max(initial=0) > 1e-6:
            raise OntogenyError(
                f"the {order}-gram model's probabilities after some context are not all above 0, or do not sum to 1"
            )
        return np.log(p).astype(np.float32)

    def _all(self, order: int) -> Logps:
        size = max(1, CHUNK // self.vocabulary)
        parts = [slice(first, first + size) for first in range(0, len(self.contexts), size)]
        return np.concatenate([self._made(order, part) for part in parts])

    def _vocabulary(self) -> int:
        widths = {order: self._made(order, slice(0, 1)).shape[1] for order in self.models}
        if len(set(widths.values())) != 1:
            told = ", ".join(f"{width:,} at order {order}" for order, width in widths.items()) or "there are none"
            raise OntogenyError(f"n-gram models of one vocabulary are needed: {told}")
        vocabulary, largest = next(iter(widths.values())), int(self.contexts.inputs.max())
        if largest >= vocabulary:
            raise OntogenyError(
                f"the contexts have token {largest:,}, but the n-gram models know {vocabulary:,}: they do not belong together"
            )
        return int(vocabulary)


def divergences(model: Any, distributions: Distributions, device: torch.device) -> list[tuple[int, float, float]]:
    """(order, KL(p_n || p_t), KL(p_t || p_n)) of each n-gram model and the network, means over the contexts, nats a token.

    `model` is a causal language model of transformers in eval mode on `device`.  Where it has more rows than the n-gram models
    have tokens (rows that only pad), the network's probabilities are renormalised over the rows that both have.  Raises
    OntogenyError if it has fewer, or if it gives what is no number.
    """
    sums = {order: np.zeros(2) for order in distributions.models}
    for part, network in _chunks(model, distributions.contexts, device, distributions.vocabulary):
        p_network = np.exp(network)
        for order in sums:
            ngram = distributions.logps(order, part)
            ahead = ngram - network
            sums[order] += _sum(np.exp(ngram) * ahead), -_sum(p_network * ahead)
    n = len(distributions.contexts)
    return [(order, float(kl) / n, float(kl_reverse) / n) for order, (kl, kl_reverse) in sums.items()]


def network_logps(model: Any, contexts: Contexts, device: torch.device, vocabulary: int | None = None) -> Logps:
    """The network's log-probabilities (contexts, vocabulary), nats; `vocabulary` as in `divergences`, None: all its rows.

    All in memory at once: `divergences` goes through them in parts.  Raises as `divergences` does.
    """
    return np.concatenate([logps for _, logps in _chunks(model, contexts, device, vocabulary)])


def _chunks(model: Any, contexts: Contexts, device: torch.device, vocabulary: int | None) -> Iterator[tuple[slice, Logps]]:
    """Parts of the contexts, in order, with the network's log-probabilities there; whole blocks at a time."""
    import torch

    _, width = contexts.inputs.shape
    rows = _rows_of(model, vocabulary)
    blocks = max(1, CHUNK // (width * (rows or 2**16)))
    for first in range(0, len(contexts.inputs), blocks):
        part = slice(*np.searchsorted(contexts.rows, (first * width, (first + blocks) * width)))
        if part.start == part.stop:
            continue
        wanted = torch.from_numpy(contexts.rows[part] - first * width).to(device)
        with torch.inference_mode():
            logits = model(input_ids=torch.from_numpy(contexts.inputs[first : first + blocks]).to(device), use_cache=False).logits
        shared = logits.flatten(0, 1)[wanted][:, :vocabulary].float()
        if shared.shape[1] < (vocabulary or 0):
            raise _too_few(shared.shape[1], vocabulary)
        logps = torch.log_softmax(shared, dim=-1).cpu().numpy()
        if not np.isfinite(logps).all():
            raise OntogenyError("the model gives a log-probability that is not a finite number; its weights may be broken")
        yield part, logps


def _rows_of(model: Any, vocabulary: int | None) -> int | None:
    """Rows of the model's vocabulary where it says so, once they are known to suffice."""
    embeddings = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    rows = getattr(embeddings, "num_embeddings", None)
    if rows is not None and rows < (vocabulary or 0):
        raise _too_few(rows, vocabulary)
    return rows


def _too_few(rows: int, vocabulary: int | None) -> OntogenyError:
    return OntogenyError(
        f"the model's vocabulary has {rows:,} rows, the n-gram models' {vocabulary:,}: they were not fitted on the same tokens"
    )


def _sum(values: Logps) -> float:
    return float(values.sum(dtype=np.float64))


def closest(divergence: pl.DataFrame) -> pl.DataFrame:
    """The step at which each seed's network is nearest to each n-gram model, in either direction; the earliest of several.

    `divergence`: seed, step, order, kl, kl_reverse (nats a token).  Columns: seed, order, step and kl (the least KL(p_n || p_t)),
    step_reverse and kl_reverse (the least KL(p_t || p_n)).  Raises OntogenyError for missing columns.
    """
    need(divergence, ["seed", "step", "order", "kl", "kl_reverse"], "the divergences")
    return (
        divergence.sort("step")
        .group_by("seed", "order")
        .agg(
            pl.col("step", "kl").get(pl.col("kl").arg_min()),
            pl.col("step").get(pl.col("kl_reverse").arg_min()).alias("step_reverse"),
            pl.col("kl_reverse").min(),
        )
        .sort("seed", "order")
    )


# --- its figure ---------------------------------------------------------------------------------------------------


def distance(
    frame: pl.DataFrame,
    spans: pl.DataFrame | None = None,
    *,
    width: Width = 640,
    height: int = 190,
    last: int | None = None,
    legend: bool = True,
) -> alt.Chart:
    """KL(n-gram model || network) over training, nats a token, one line an order; the dot is the step of closest imitation.

    `frame`: step, order, kl (seed, level).  Raises OntogenyError for missing columns or no rows.
    """
    need(frame, ("step", "order", "kl"), "the distance from n-gram models")
    own = at_token_level(frame)
    last = last_step(own) if last is None else last
    nearest = peaks(own.with_columns(kl=-pl.col("kl")), spans, "kl").with_columns(kl=-pl.col("kl"))
    tables = {"orders": drawn(own, "kl"), "marks": drawn(nearest, "kl"), "spans": span_rows(spans, last)}
    return filled(order_drawing("kl", last, width, height, legend), tables)


def says(frames: Frames, clock: Clock) -> str:
    """When the network's predictions come closest to each n-gram model's."""
    own = at_token_level(frames["distance"]).with_columns(kl=-pl.col("kl"))
    said = [f"{MODELS[r['order']]}'s at step {r['step']:,} ({-r['kl']:.2f})" for r in peaks(own, clock.spans, "kl").to_dicts()]
    return (
        f"The network's predictions of the next token come closest to {enumerated(said)}; nats a token, 0 would be the same "
        "predictions. The dot is where each is closest."
    )
