"""Attribution patching: what each part of a transformer is said to change from one sentence of a pair to the other, and does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ontogeny.instruments.parts import ResidualParts, last_state, replaced, written
from ontogeny.instruments.subject import Subject
from ontogeny.scoring.plan import Plan
from ontogeny.trajectories.timeline import Floats, Ints

CHECKED = 20  # pairs whose attributions are held against real patches


@dataclass(frozen=True, slots=True, eq=False)
class Patched:
    """Of two-prefix pairs: what patching each part from the good sentence into the bad one is said to change, and does change."""

    pair: Ints  # its number in the plan
    said: Floats  # (parts, pairs), nats
    checked: Floats  # (parts, the first pairs of them)


def patched(subject: Subject, parts: ResidualParts, plan: Plan) -> Patched:
    """Pairs of equal length that differ in one token with others after it: those are what is scored."""
    before, after = plan.critical
    both = [(plan.sentences[g], plan.sentences[b]) for g, b in zip(plan.good.tolist(), plan.bad.tolist(), strict=True)]
    fits = [
        number
        for number, (good, bad) in enumerate(both)
        if len(good) == len(bad) and before[number] + after[number] + 1 == len(good) and before[number] and after[number]
    ]
    said, checked = [], []
    for done, number in enumerate(spread(fits)):
        good, bad = (torch.tensor([ids[:-1]], device=subject.device) for ids in both[number])
        targets = torch.tensor(both[number][1][1:], device=subject.device)
        one, real = _attributed(parts, good, bad, targets, int(before[number]), check=done < CHECKED)
        said.append(one)
        checked += [real] if done < CHECKED else []
    where = np.array(spread(fits), dtype=np.int64)
    none = np.zeros((len(parts.names), 0))
    return Patched(where, np.stack(said, 1) if said else none, np.stack(checked, 1) if checked else none)


def spread(numbers: Sequence[int]) -> list[int]:
    """The same, in an order in which the first few are from everywhere."""
    order = np.random.default_rng(0).permutation(len(numbers))
    return [numbers[at] for at in order]


def _attributed(parts: ResidualParts, good: Tensor, bad: Tensor, targets: Tensor, at: int, check: bool) -> tuple[Floats, Floats]:
    """(o_c(good) - o_c(bad)) . dm/do_c summed over tokens, and what a real patch adds to m: log p of what follows token `at`."""

    def score() -> Tensor:
        logits = parts.model(input_ids=bad, use_cache=False).logits[0, at:].float()
        return F.log_softmax(logits, -1).gather(-1, targets[at:, None]).sum()

    with torch.inference_mode(), written(parts) as theirs:
        last_state(parts.model, good)
    with torch.enable_grad(), written(parts) as own:
        whole = score()
        gradients = torch.autograd.grad(whole, [own[name] for name in parts.names])
    with torch.inference_mode():
        pairs = zip(parts.names, gradients, strict=True)
        said = [float(((theirs[name] - own[name].detach()) * gradient).sum()) for name, gradient in pairs]
        real = []
        for name in parts.names if check else ():
            with replaced(parts, name, theirs[name]):
                real.append(float(score() - whole.detach()))
    return np.array(said), np.array(real)
