"""Greedy completion: after every prefix the likeliest token, until the end mark or a largest length."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

MEMORIES = ("past_key_values", "cache_params")  # what transformers' models call what they keep of the tokens so far
CLOSE = 1e-3  # nats: predictions with and without a memory differ by rounding alone, or the memory is not used


@torch.inference_mode()
def completions(model: Any, prompts: Tensor, end: int, longest: int) -> list[tuple[list[int], bool]]:
    """What a causal model adds to each prompt, without the end mark, and whether it came to that.

    prompts: ids [prompts, tokens], all of one length, so that nothing is padded
    longest: tokens of prompt and completion at which it is cut

    Of tokens that are as likely, the one that torch's argmax names is taken.
    """
    text, reader = prompts, NextTokenPredictor(model)
    going = torch.ones(len(prompts), dtype=torch.bool, device=prompts.device)
    while text.shape[1] < longest and going.any():
        token = reader.predict(text, going).argmax(-1)
        token[~going] = end
        text = torch.cat([text, token[:, None]], dim=1)
        going &= token != end
    added = text[:, prompts.shape[1] :].tolist()
    return [(row[: row.index(end)], True) if end in row else (row, False) for row in added]


class NextTokenPredictor:
    """A causal model's prediction of the token after a text that grows by one token at a time."""

    def __init__(self, model: Any):
        self.model = model
        self.memory: tuple[str, Any] | None = None  # name and value of what the model keeps
        self.trusted = True
        self.checked = False

    def predict(self, text: Tensor, going: Tensor) -> Tensor:
        """Logits [rows, vocabulary] after a text [rows, tokens], in float32; of rows that are not `going` nothing is asked.

        What the model keeps of the text is used if, the first time, it gives what reading the whole text anew gives.
        """
        if not self.trusted:
            return self._anew(text, going)
        if self.memory is None:
            return self._begin(text)
        name, kept = self.memory
        try:
            output = self.model(input_ids=text[:, -1:], use_cache=True, **{name: kept})
        except (TypeError, ValueError, RuntimeError):
            return self._distrust(text, going)
        logits: Tensor = output.logits[:, -1].float()
        if not self.checked:
            self.checked = True
            anew = self._anew(text, going)
            if float((logits.log_softmax(-1) - anew.log_softmax(-1))[going].abs().max()) > CLOSE:
                return self._distrust(text, going)
        self.memory = self._memory(output)
        return logits

    def _begin(self, text: Tensor) -> Tensor:
        output = self.model(input_ids=text, use_cache=True)
        self.memory = self._memory(output)
        self.trusted = self.memory is not None
        logits: Tensor = output.logits[:, -1].float()
        return logits

    def _memory(self, output: Any) -> tuple[str, Any] | None:
        return next(((name, kept) for name in MEMORIES if (kept := getattr(output, name, None)) is not None), None)

    def _distrust(self, text: Tensor, going: Tensor) -> Tensor:
        self.trusted, self.memory = False, None
        return self._anew(text, going)

    def _anew(self, text: Tensor, going: Tensor) -> Tensor:
        some: Tensor = self.model(input_ids=text[going], use_cache=False).logits[:, -1].float()
        logits = some.new_zeros(len(text), some.shape[-1])
        logits[going] = some
        return logits
