"""The parts of a transformer that write into its residual stream, by the names that each architecture has for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ontogeny.instruments.instrument import DoesNotApply


class Names(NamedTuple):
    """Where an architecture keeps its parts; those of a block are named within it."""

    blocks: str
    attention: str  # the projection that attention writes with
    mlp: str  # the layer that the MLP writes with
    norm: str


NAMES = {
    "opt": Names("model.decoder.layers", "self_attn.out_proj", "fc2", "model.decoder.final_layer_norm"),
    "gpt2": Names("transformer.h", "attn.c_proj", "mlp.c_proj", "transformer.ln_f"),
    "gpt_neox": Names("gpt_neox.layers", "attention.dense", "mlp.dense_4h_to_h", "gpt_neox.final_layer_norm"),
    "llama": Names("model.layers", "self_attn.o_proj", "mlp.down_proj", "model.norm"),
}
EMBEDDING, CONSTANT = "embedding", "constant"


@dataclass(frozen=True, slots=True, eq=False)
class ResidualParts:
    """The modules of one model."""

    model: Any
    writers: Mapping[str, nn.Module]  # "L1 attention", "L1 MLP", "L2 attention" ..., in their order; what each gives is added up
    first: nn.Module  # block, whose input is the embeddings
    last: nn.Module  # block, whose output is the last state
    norm: nn.Module | None  # before the unembedding
    unembed: Any

    @property
    def names(self) -> tuple[str, ...]:
        """Those that add up to the last state."""
        return (EMBEDDING, *self.writers)


def parts_of(model: Any) -> ResidualParts:
    """Raises DoesNotApply for a model whose parts have no names here."""
    kind = getattr(getattr(model, "config", None), "model_type", None)
    if (names := NAMES.get(str(kind))) is None:
        raise DoesNotApply(f"the parts of a {type(model).__name__} are not known; those of {', '.join(NAMES)} are")
    blocks = _at(model, names.blocks)
    writers = {
        f"L{number} {what}": _at(block, path)
        for number, block in enumerate(blocks, 1)
        for what, path in (("attention", names.attention), ("MLP", names.mlp))
    }
    if not writers:
        raise DoesNotApply(f"this {type(model).__name__} has no layers")
    return ResidualParts(model, writers, blocks[0], blocks[-1], _at(model, names.norm), model.get_output_embeddings())


def head_weights(model: Any) -> Iterator[tuple[str, Tensor, Tensor, Tensor, Tensor]]:
    """Of each head, L1H1 ..., its query, key and value weights (head's width, width), and those it writes by (width, head's width).

    Rows that several heads share are each head's own here.  Raises DoesNotApply as `parts_of` does.
    """
    parts_of(model)
    names, heads = NAMES[model.config.model_type], int(model.config.num_attention_heads)
    for number, block in enumerate(_at(model, names.blocks), 1):
        attention, out = _at(block, names.attention.rpartition(".")[0]), _at(block, names.attention)
        written_by = (out.weight if isinstance(out, nn.Linear) else out.weight.T).detach()  # GPT-2's are (in, out)
        if hasattr(attention, "q_proj"):
            projected = [getattr(attention, f"{one}_proj").weight.detach() for one in "qkv"]
        elif hasattr(attention, "c_attn"):
            projected = list(attention.c_attn.weight.detach().T.chunk(3))
        else:  # GPT-NeoX: query, key and value of one head, then of the next
            both = attention.query_key_value.weight.detach()
            projected = [one.flatten(0, 1) for one in both.view(heads, 3, -1, both.shape[1]).unbind(1)]
        size = len(projected[0]) // heads
        query, key, value = (one.view(-1, size, one.shape[1]) for one in projected)
        for head in range(heads):
            shared = head * len(key) // heads
            yield f"L{number}H{head + 1}", query[head], key[shared], value[shared], written_by[:, head * size : (head + 1) * size]


def _at(module: Any, path: str) -> Any:
    return reduce(getattr, path.split("."), module)


@contextmanager
def written(parts: ResidualParts, keep: Callable[[Tensor], Tensor] = lambda state: state) -> Iterator[dict[str, Tensor]]:
    """Fills a mapping with what each part writes in the passes within, and `last`, their sum: (rows, tokens, width).

    `keep` is applied to each.  Nothing is detached, so that gradients can be asked for.
    """
    found: dict[str, Tensor] = {}
    shape = torch.Size()

    def embedded(module: Any, arguments: Any, named: Any) -> None:
        nonlocal shape
        state = arguments[0] if arguments else named["hidden_states"]
        shape, found[EMBEDDING] = state.shape, keep(state)

    def wrote(name: str) -> Any:
        def keeps(module: Any, arguments: Any, output: Tensor) -> Tensor:
            rows = output.view(shape)  # OPT's MLP knows no rows
            found[name] = keep(rows)
            return rows.view(output.shape)  # what is kept is what goes on, so that it has a gradient

        return keeps

    def last(module: Any, arguments: Any, output: Any) -> None:
        found["last"] = keep(output[0] if isinstance(output, tuple) else output)

    hooks = [parts.first.register_forward_pre_hook(embedded, with_kwargs=True), parts.last.register_forward_hook(last)]
    hooks += [module.register_forward_hook(wrote(name)) for name, module in parts.writers.items()]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def replaced(parts: ResidualParts, name: str, by: Tensor) -> Iterator[None]:
    """Within, a part writes this instead: (width) everywhere, or (rows, tokens, width)."""
    if name == EMBEDDING:
        hook: Any = parts.first.register_forward_pre_hook(lambda module, *given: _embed(by, *given), with_kwargs=True)
    else:
        hook = parts.writers[name].register_forward_hook(lambda module, arguments, output: _like(by, output))
    try:
        yield
    finally:
        hook.remove()


def _embed(by: Tensor, arguments: Any, named: Any) -> tuple[Any, Any]:
    if arguments:
        return (_like(by, arguments[0]), *arguments[1:]), named
    return arguments, {**named, "hidden_states": _like(by, named["hidden_states"])}


def _like(by: Tensor, output: Tensor) -> Tensor:
    return by.reshape(output.shape) if by.ndim == 3 else by.expand_as(output)


def last_state(model: Any, ids: Tensor) -> Tensor:
    """What is unembedded, (rows, tokens, width)."""
    return getattr(model, model.base_model_prefix)(input_ids=ids, use_cache=False).last_hidden_state  # type: ignore[no-any-return]


def scaled(norm: nn.Module | None, part: Tensor, whole: Tensor) -> Tensor:
    """What a part of a state (..., width) becomes under the last norm where the whole is what sets the scale; without its bias."""
    return directed(norm, part) * scale_of(norm, whole)


def directed(norm: nn.Module | None, part: Tensor) -> Tensor:
    """What the last norm makes of a part of a state (..., width) but for its scale and bias."""
    part = part - part.mean(-1, keepdim=True) if isinstance(norm, nn.LayerNorm) else part
    weight = getattr(norm, "weight", None)
    return part if weight is None else part * weight.to(part.dtype)


def scale_of(norm: nn.Module | None, whole: Tensor) -> Tensor:
    """What the last norm multiplies states (..., width) by, (..., 1)."""
    if norm is None:
        return torch.ones_like(whole[..., :1])
    if isinstance(norm, nn.LayerNorm):
        whole, epsilon = whole - whole.mean(-1, keepdim=True), norm.eps
    else:  # of root mean square
        epsilon = float(getattr(norm, "variance_epsilon", getattr(norm, "eps", 0.0)))
    return (whole.pow(2).mean(-1, keepdim=True) + epsilon).rsqrt()


def bias_of(module: nn.Module | None) -> Tensor | None:
    """A layer's or a norm's, if it has one."""
    return getattr(module, "bias", None)
