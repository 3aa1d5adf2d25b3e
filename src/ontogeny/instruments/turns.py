"""The token at which a pair turns, and its margin taken apart by what writes into a transformer's residual stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ontogeny.instruments.instrument import DoesNotApply
from ontogeny.instruments.parts import ResidualParts, bias_of, last_state, replaced, scaled, written
from ontogeny.instruments.subject import Subject
from ontogeny.records import OntogenyError
from ontogeny.scoring.plan import Plan
from ontogeny.trajectories.timeline import Floats, Ints

CLOSE = 1e-3  # nats: parts that add up to the model's own margin, rounding aside


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """Where pairs turn: what both sentences begin with, and the token after it in each."""

    prefixes: list[tuple[int, ...]]  # by length, so that batches are even
    good: Ints  # (turns,) token ids
    bad: Ints
    pair: Ints  # its number in the plan

    @classmethod
    def of(cls, plan: Plan) -> Turns:
        """Those of a plan's pairs; one without (a sentence that begins the other, or no common beginning) is left out."""
        found = []
        shared = plan.critical[0].tolist()
        for number, (good, bad) in enumerate(zip(plan.good.tolist(), plan.bad.tolist(), strict=True)):
            one, other, at = plan.sentences[good], plan.sentences[bad], shared[number]
            if 0 < at < min(len(one), len(other)):
                found.append((one[:at], one[at], other[at], number))
        if not found:
            raise DoesNotApply("no pair begins with tokens that both sentences share")
        found.sort(key=lambda turn: (len(turn[0]), turn[3]))
        prefixes, good, bad, pair = zip(*found, strict=True)
        return cls(list(prefixes), *(np.array(one, dtype=np.int64) for one in (good, bad, pair)))


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """The margins of turns, taken apart; (parts, turns) where nothing else is said."""

    names: tuple[str, ...]
    direct: Floats
    constant: Floats  # (turns,)
    lens: Floats
    replaced: Floats  # direct shares of what is taken away where a part gives its mean
    effect: Floats
    compensation: Floats  # what the direct shares of later parts change by then, all together
    margin: Floats  # (turns,)


@torch.inference_mode()
def mean_writings(subject: Subject, parts: ResidualParts) -> dict[str, Tensor]:
    """What each part writes on average over the sampled text, (width).  Raises OntogenyError that names one that is no number."""
    sums: dict[str, Tensor] = {}
    rows = subject.sample()
    for _, ids in subject.padded(rows.tolist()):
        with written(parts, lambda state: state.double().sum((0, 1))) as found:
            last_state(parts.model, ids)
        sums = {name: sums.get(name, 0) + found[name] for name in parts.names}
    if wrong := next((name for name, one in sums.items() if not one.isfinite().all()), None):
        raise OntogenyError(f"what {wrong} writes is no finite number; the model's weights may be broken")
    return {name: (one / rows.size).float() for name, one in sums.items()}


@torch.inference_mode()
def taken_apart(subject: Subject, parts: ResidualParts, turns: Turns, means: Mapping[str, Tensor]) -> Taken:
    """Raises DoesNotApply where the parts do not add up to the margin, and OntogenyError for what is no number."""
    pieces = [_batch(parts, turns, part, ids, means) for part, ids in subject.padded(turns.prefixes)]
    joined = {name: np.concatenate([piece[name] for piece in pieces], axis=-1) for name in pieces[0]}
    taken = Taken(parts.names, **joined)
    off = np.abs(taken.direct.sum(0) + taken.constant - taken.margin)
    if not off.max() < CLOSE * max(1.0, float(np.abs(taken.margin).max())):  # nan is not
        raise DoesNotApply(
            f"the parts of this {type(parts.model).__name__} do not add up to its margins (off by {off.max():.2g} nats)"
        )
    return taken


def _batch(parts: ResidualParts, turns: Turns, part: slice, ids: Tensor, means: Mapping[str, Tensor]) -> dict[str, Floats]:
    at = torch.tensor([len(prefix) - 1 for prefix in turns.prefixes[part]], device=ids.device)
    every = torch.arange(len(at), device=ids.device)
    good, bad = (torch.from_numpy(one[part]).to(ids.device) for one in (turns.good, turns.bad))
    weight: Tensor = parts.unembed.weight
    w = (weight[good] - weight[bad]).double()  # (turns, width)

    def margin() -> Tensor:
        return (w * last_state(parts.model, ids)[every, at].double()).sum(-1)

    def share(state: Tensor, by: Tensor) -> Tensor:
        return (scaled(parts.norm, state, by) * w).sum(-1)

    there = partial(written, parts, lambda state: state[every, at].double())
    with there() as found:
        whole = margin()
    last = found["last"]
    wrote = torch.stack([found[name] for name in parts.names])  # (parts, turns, width)
    gone = wrote - torch.stack([means[name].double() for name in parts.names])[:, None]
    sums = wrote.cumsum(0)
    constant, bias = torch.zeros_like(whole), bias_of(parts.unembed)
    if (norm_bias := bias_of(parts.norm)) is not None:
        constant = constant + w @ norm_bias.double()
    offset = 0.0 if bias is None else (bias[good] - bias[bad]).double()
    without, made_up = [], []
    for place, name in enumerate(parts.names):
        with replaced(parts, name, means[name]), there() as changed:
            without.append(margin())
        later = (changed[other] - found[other] for other in parts.names[place + 1 :])
        made_up.append(share(sum(later, torch.zeros_like(last)), last))
    found_here = {
        "direct": share(wrote, last),
        "constant": constant + offset,
        "lens": share(sums, sums) + constant + offset,
        "replaced": share(gone, last),
        "effect": whole - torch.stack(without),
        "compensation": torch.stack(made_up),
        "margin": whole + offset,
    }
    return {name: value.cpu().numpy() for name, value in found_here.items()}


def bigrams_at(subject: Subject, turns: Turns) -> Floats | None:
    """The text's bigram and unigram margins of those tokens, (2, turns); None where the text is not known."""
    if not subject.context.knows_text:
        return None
    model = subject.context.ngrams("token", 2).model
    last = np.array([[prefix[-1]] for prefix in turns.prefixes], dtype=np.int64)
    found, which = [], np.arange(len(last))
    for order, histories in ((2, last), (1, last[:, :0])):
        logps = np.log(model.of_order(order).distribution(histories))
        found.append(logps[which, turns.good] - logps[which, turns.bad])
    return np.stack(found)
