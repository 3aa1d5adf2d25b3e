"""What a careful person writes in half an hour: one loop to score, one to train."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.pace import Pace
from benchmarks.turns import Facts, Job

BATCH = 64


def scorer(job: Job) -> Callable[[Path], tuple[NDArray[np.float64], Facts]]:
    """Every sentence after BOS, batches of 64 of about one length, padded on the right: a causal model never sees padding."""
    rows = json.loads(Path(job.pairs).read_text(encoding="utf-8"))
    texts = [text for _, _, *both in rows for text in both]

    @torch.inference_mode()
    def score(folder: Path) -> tuple[NDArray[np.float64], Facts]:
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval().to(job.device)
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        spaced = [f" {text}" for text in texts] if job.leading_space else texts
        first = [tokenizer.bos_token_id] if job.bos else []
        ids = [first + row for row in tokenizer(spaced, add_special_tokens=False)["input_ids"]]
        by_length = sorted(range(len(ids)), key=lambda i: len(ids[i]), reverse=True)
        found = np.zeros(len(ids))
        for start in range(0, len(ids), BATCH):
            part = by_length[start : start + BATCH]
            tokens = torch.zeros(len(part), len(ids[part[0]]), dtype=torch.long)
            real = torch.zeros(tokens.shape, dtype=torch.bool)
            for row, i in enumerate(part):
                tokens[row, : len(ids[i])] = torch.tensor(ids[i])
                real[row, : len(ids[i])] = True
            tokens, real = tokens.to(job.device), real.to(job.device)
            logits = model(input_ids=tokens[:, :-1]).logits.float()  # [64, length - 1, vocabulary]
            logps = logits.log_softmax(-1).gather(2, tokens[:, 1:, None])[..., 0]
            found[part] = (logps.double() * real[:, 1:]).sum(1).cpu().numpy()
        return found.reshape(-1, 2), {}

    return score


def train(job: Job, precision: str, pace: Pace) -> None:
    """torch.compile, fused AdamW, gradients clipped at 1, batches from memory."""
    batches = torch.from_numpy(np.load(job.batches).astype(np.int64))  # [steps, batch, context + 1]
    pace.tokens = batches.shape[1] * (batches.shape[2] - 1)
    model: Any = AutoModelForCausalLM.from_pretrained(job.folders[0], dtype=torch.float32, local_files_only=True).to(job.device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, fused=True)
    device = torch.device(job.device)
    model.train()

    def loss_of(tokens: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bfloat16" else nullcontext():
            logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
        return F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())

    compiled = torch.compile(loss_of)
    for batch in batches:
        loss: Any = compiled(batch.to(device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        loss.item()
        pace.step()
