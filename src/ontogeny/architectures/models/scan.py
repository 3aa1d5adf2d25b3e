"""The selective scan (Gu & Dao 2023, algorithm 2), a few steps at a time, with a gradient of its own.

What has the size of states, inner x N numbers a token, is made for so few steps that it stays in the processor's cache; only the
states themselves are kept for the gradient, and decays are made again there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

CACHE = 2**17  # numbers: half a megabyte in float32


class _Scan(torch.autograd.Function):
    """Time first, channels last: x and step [T, B, inner], a [N, inner], into and out [T, B, N], before [B, N, inner]."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, x: Tensor, step: Tensor, a: Tensor, into: Tensor, out: Tensor, before: Tensor
    ) -> tuple[Tensor, Tensor]:
        u, y, h = step * x, torch.empty_like(x), before
        kept = x.new_empty(*x.shape[:2], *a.shape) if any(ctx.needs_input_grad) else None
        for some in _pieces(x, a):
            decay = torch.mul(step[some].unsqueeze(-2), a).exp_()
            states = torch.mul(u[some].unsqueeze(-2), into[some].unsqueeze(-1), out=None if kept is None else kept[some])
            for t in range(len(states)):
                h = states[t].addcmul_(decay[t], h)
            torch.matmul(out[some].unsqueeze(-2), states, out=y[some].unsqueeze(-2))
        if kept is not None:
            ctx.save_for_backward(x, step, a, into, out, before, kept)
        return y, h.clone()

    @staticmethod
    def backward(ctx: Any, dy: Tensor, dlast: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        # with g[t] the gradient of h[t] itself: g[t] = dy[t] out[t] + decay[t + 1] g[t + 1]
        x, step, a, into, out, before, kept = ctx.saved_tensors
        dx, dstep, da, dinto, dout = (torch.empty_like(part) for part in (x, step, a, into, out))
        da.zero_()
        u, carried, dy = step * x, dlast, dy.contiguous()
        for some in reversed(list(_pieces(x, a))):
            decay = torch.mul(step[some].unsqueeze(-2), a).exp_()
            g = dy[some].unsqueeze(-2) * out[some].unsqueeze(-1)
            g[-1] += carried
            for t in range(len(g) - 2, -1, -1):
                g[t].addcmul_(decay[t + 1], g[t + 1])
            torch.matmul(kept[some], dy[some].unsqueeze(-1), out=dout[some].unsqueeze(-1))
            torch.matmul(g, u[some].unsqueeze(-1), out=dinto[some].unsqueeze(-1))
            du = (into[some].unsqueeze(-2) @ g).squeeze(-2)
            torch.mul(du, step[some], out=dx[some])
            dlog = g.mul_(decay)
            carried = dlog[0].clone()  # the gradient of the state before these steps
            dlog[0] *= kept[some.start - 1] if some.start else before
            dlog[1:] *= kept[some.start : some.stop - 1]
            torch.addcmul((dlog * a).sum(-2), du, x[some], out=dstep[some])
            da += dlog.mul_(step[some].unsqueeze(-2)).sum((0, 1))
        return dx, dstep, da, dinto, dout, carried


def _pieces(x: Tensor, a: Tensor) -> Iterator[slice]:
    steps = max(1, CACHE // (x[0].numel() * len(a)))
    return (slice(first, min(first + steps, len(x))) for first in range(0, len(x), steps))


@torch.compiler.disable  # type: ignore[untyped-decorator]  # it would be unrolled, a step at a time
def selective_scan(
    x: Tensor, step: Tensor, a: Tensor, into: Tensor, out: Tensor, before: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """y [B, T, inner] of h[t] = exp(step[t] a) h[t-1] + step[t] into[t] x[t], y[t] = out[t] . h[t], and the last h [B, N, inner].

    x and step are [B, T, inner], a is [inner, N], into and out are [B, T, N]; `before` is h[-1], without it zeros.
    """
    if before is None:
        before = x.new_zeros(x.shape[0], *reversed(a.shape))
    x, step, into, out = (tensor.transpose(0, 1).contiguous() for tensor in (x, step, into, out))
    y, after = _Scan.apply(x, step, a.T.contiguous(), into, out, before)  # type: ignore[no-untyped-call]
    return y.transpose(0, 1), after
