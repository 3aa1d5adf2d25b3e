"""Neurons of the last MLP: which of them speak through the last norm's scale, and which along the tokens' frequencies.

Entropy neurons and token-frequency neurons after Stolfo et al. (2024, arXiv:2406.16254).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import torch
from pydantic import Field
from torch import Tensor, nn

from ontogeny.instruments.instrument import Column, DoesNotApply, Instrument, schema
from ontogeny.instruments.parts import ResidualParts, bias_of, directed, last_state, parts_of, scale_of, scaled, written
from ontogeny.instruments.reach import percent
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel
from ontogeny.records import OntogenyError

CLOSE = 1e-3  # of the logits: what the parts make of them is the model's own, rounding aside
SMALL = 1e-5  # nats: changes of the loss below it are rounding
HALF = 0.5  # of a neuron's effect, from which on it goes that way
SHARES = {"scale": "through the last norm's scale", "frequency": "along the tokens' frequencies"}


class Neurons(Instrument):
    """What the loss is where one neuron of the last MLP gives its mean instead, and how much of that goes which way."""

    uses: ClassVar[tuple[str, ...]] = ("text",)

    kind: Literal["neurons"] = "neurons"
    tokens: int = Field(128, ge=16)
    """Tokens of held-out text at which every neuron is taken away."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By neuron."""
        return {
            "neuron": Column(says="the neuron of the last MLP, from 1", dtype=pl.Int64, index=True),
            "norm": Column(says="length of what it writes at an activation of 1"),
            "variance": Column(says="variance over tokens of the cosine of what it writes and their unembeddings (LogitVar)"),
            "loss": Column(says="change of the loss where it gives its mean instead", unit="nats a token"),
            "effect": Column(says="mean absolute change of a token's loss then", unit="nats"),
            "scale": Column(says="share of the effect that is gone where the last norm's scale stays as it was: entropy neurons"),
            "frequency": Column(says="the same where the logits along log frequency stay as they were: frequency neurons"),
            "to_unigram": Column(says="change of KL(token frequencies || prediction) where it gives its mean", unit="nats"),
        }

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises DoesNotApply for a model whose parts are not known, or do not add up to its logits."""
        parts = parts_of(subject.model)
        head = LastMLP.of(parts)
        states, active, targets = seen(subject, parts, head, self.tokens)
        unigram = torch.from_numpy(subject.unigram()).float() if subject.context.knows_text else None
        found = ablated(head, states, active, targets, unigram)
        return pl.DataFrame({"neuron": np.arange(len(head.writes)) + 1, **found}, schema_overrides=schema(self))

    def panels(self) -> tuple[Panel, ...]:
        """How much of what neurons do goes either way."""
        return (
            Panel(
                name="neurons.ways",
                title="what single neurons of the last MLP change, and the share of it that goes either way",
                needs=("neurons",),
                draw=_lines,
                says=_says,
                there=_there,
                command="read RUN --with neurons",
            ),
        )


@dataclass(frozen=True, slots=True, eq=False)
class LastMLP:
    """What the last MLP's neurons write, and what becomes of it."""

    module: nn.Module  # whose input is the activations
    norm: nn.Module | None
    unembed: Tensor  # (vocabulary, width)
    bias: Tensor  # (vocabulary,): of the logits, the norm's own among them
    writes: Tensor  # (neurons, width)

    @classmethod
    def of(cls, parts: ResidualParts) -> LastMLP:
        """Raises DoesNotApply for a model whose states are not unembedded as they are."""
        module = parts.writers[parts.names[-1]]
        weight: Any = module.weight
        writes = weight.detach() if type(module).__name__ == "Conv1D" else weight.detach().T  # GPT-2 has the transpose
        unembed: Tensor = parts.unembed.weight.detach()
        if unembed.shape[1] != writes.shape[1]:
            raise DoesNotApply(f"the last states of this {type(parts.model).__name__} are projected before they are unembedded")
        zero = torch.zeros(len(unembed), device=unembed.device)
        bias, norm_bias = bias_of(parts.unembed), bias_of(parts.norm)
        whole = (zero if bias is None else bias.detach()) + (zero if norm_bias is None else unembed @ norm_bias.detach())
        return cls(module, parts.norm, unembed, whole, writes)

    def logits(self, states: Tensor) -> Tensor:
        """Of last states (..., width)."""
        return scaled(self.norm, states, states) @ self.unembed.T + self.bias

    @contextmanager
    def activations(self) -> Iterator[list[Tensor]]:
        """Of the passes within, (rows, tokens, neurons) each."""
        found: list[Tensor] = []
        hook = self.module.register_forward_pre_hook(lambda module, given: found.append(given[0]))
        try:
            yield found
        finally:
            hook.remove()


@torch.inference_mode()
def seen(subject: Subject, parts: ResidualParts, head: LastMLP, many: int) -> tuple[Tensor, Tensor, Tensor]:
    """At tokens spread over the sampled text: last states (many, width), activations less their mean (many, neurons), what follows.

    Raises DoesNotApply where the logits are not what the last MLP's parts make of them, and OntogenyError for what is no number.
    """
    states, active, logits = [], [], None
    rows = subject.sample()
    for _, ids in subject.padded(rows.tolist()):
        with written(parts) as found, head.activations() as fired:
            last_state(parts.model, ids)
        states.append(found["last"][:, :-1].flatten(0, 1))
        active.append(fired[0].view(*ids.shape, -1)[:, :-1].flatten(0, 1))
        if logits is None:
            logits = parts.model(input_ids=ids[:1], use_cache=False).logits[0, :-1].float()
            own = head.logits(found["last"][0, :-1])
            if not torch.allclose(own, logits, atol=CLOSE * max(1.0, float(logits.abs().max()))):
                if not logits.isfinite().all():
                    raise OntogenyError(
                        "a logit of the first row of the text is no finite number; the model's weights may be broken"
                    )
                raise DoesNotApply(f"the logits of this {type(parts.model).__name__} are not its last norm's states, unembedded")
    state, activation = torch.cat(states), torch.cat(active)
    targets = torch.from_numpy(rows[:, 1:].ravel()).to(state.device)
    which = torch.from_numpy(np.random.default_rng(0).permutation(len(state))[:many]).to(state.device)
    return state[which], (activation - activation.mean(0))[which], targets[which]


@torch.inference_mode()
def ablated(head: LastMLP, states: Tensor, active: Tensor, targets: Tensor, unigram: Tensor | None) -> dict[str, Any]:
    """The table's columns but the first.  `active` is what each neuron has above its mean, and loses; `unigram`: log p.

    A neuron that is taken away changes the logits by one direction and the scale of all: nothing is unembedded a second time.
    """
    raw, scale = directed(head.norm, states) @ head.unembed.T, scale_of(head.norm, states)
    shift = head.bias - (raw * scale + head.bias).logsumexp(1, keepdim=True)
    plain = raw * scale + shift  # log-probabilities (tokens, vocabulary)
    unit = head.unembed / head.unembed.norm(dim=1, keepdim=True).clamp(min=1e-12)
    p, along = (None, None) if unigram is None else (unigram.exp(), nn.functional.normalize(unigram - unigram.mean(), dim=0))

    def changed(logps: Tensor) -> Tensor:  # of the loss, (tokens,); they may no longer sum to 1
        return logps.exp().sum(1).log() - (logps - plain).gather(1, targets[:, None])[:, 0]

    found: list[tuple[float | None, ...]] = []
    for write, lost in zip(head.writes, active.T, strict=True):
        gone = -lost[:, None]  # (tokens, 1)
        direction = directed(head.norm, write) @ head.unembed.T  # (vocabulary,)
        frozen = plain + gone * scale * direction
        full = (raw + gone * direction) * scale_of(head.norm, states + gone * write) + shift
        change = changed(full)
        effect, norm = float(change.abs().mean()), float(write.norm())
        cosine = unit @ write / max(norm, 1e-12)
        rest = moved = None
        if p is not None and along is not None:
            rest = _share(changed(full - ((full - plain) @ along)[:, None] * along), effect)
            moved = float((full.exp().sum(1).log() - (full - plain) @ p).mean())
        found.append((norm, float(cosine.var()), float(change.mean()), effect, _share(changed(frozen), effect), rest, moved))
    names = ("norm", "variance", "loss", "effect", "scale", "frequency", "to_unigram")
    return dict(zip(names, zip(*found, strict=True), strict=True))


def _share(kept: Tensor, effect: float) -> float | None:
    """Of an effect, what is not there where something was kept; None where the effect is rounding."""
    return 1 - float(kept.abs().mean()) / effect if effect > SMALL else None


# --- its figures --------------------------------------------------------------------------------------------------


def _lines(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    known = frames["neurons"].drop_nulls("scale")
    weighed = [((pl.col(name) * pl.col("effect")).sum() / pl.col("effect").sum()).alias(name) for name in SHARES]
    means = known.group_by("seed", "step").agg(weighed).unpivot(list(SHARES), index=["seed", "step"], variable_name="of")
    values = means.with_columns(pl.col("of").replace(SHARES)).drop_nulls("value").sort("of", "step", "seed")
    return curves.lines(values, "share of the effect", Column(says=""), clock, **options)


def _there(frames: Frames) -> bool:
    return not frames["neurons"]["scale"].is_null().all()


def _says(frames: Frames, clock: Clock) -> str:
    """The neuron that changes most, and those that do so through the scale, or along frequency."""
    last = frames["neurons"].filter(pl.col("step") == pl.col("step").max()).drop_nulls("scale")
    most = last.sort("effect", descending=True).row(0, named=True)
    often = [f"{percent(float((last[name] >= HALF).mean()))} {way}" for name, way in SHARES.items() if len(last[name].drop_nulls())]  # type: ignore[arg-type]
    return (
        f"At the last checkpoint the neuron that changes the loss most is {most['neuron']}, by {most['effect']:.4f} nats a token "
        f"where it gives its mean. Of the neurons with any effect, at least half of it goes {' and '.join(often)}. Lines: the same "
        "shares of all effects together. One neuron at a time: what several do together is not in it."
    )
