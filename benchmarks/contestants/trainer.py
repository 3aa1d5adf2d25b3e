"""transformers' Trainer on a data set of tensors, with nothing asked of it but to train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments

from benchmarks.pace import Enough, Pace
from benchmarks.turns import Job


class Watch(TrainerCallback):  # type: ignore[misc]
    """Counts steps, and stops the trainer when the pace is known."""

    def __init__(self, pace: Pace):
        self.pace = pace

    def on_step_end(self, args: Any, state: Any, control: Any, **told: Any) -> Any:
        """A step has ended."""
        try:
            self.pace.step()
        except Enough:
            control.should_training_stop = True
        return control


class Rows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Rows of token ids; the model makes its own targets of them."""

    def __init__(self, rows: torch.Tensor):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.rows[index], "labels": self.rows[index]}


def train(job: Job, precision: str, pace: Pace) -> None:
    """As many tokens a row as the others; no evaluation, no saving, no logging."""
    batches = torch.from_numpy(np.load(job.batches).astype(np.int64))[:, :, :-1]  # [steps, batch, context]
    pace.tokens = batches.shape[1] * batches.shape[2]
    model: Any = AutoModelForCausalLM.from_pretrained(job.folders[0], dtype=torch.float32, local_files_only=True)
    how = TrainingArguments(
        output_dir=str(Path(job.scratch) / "trainer"),
        per_device_train_batch_size=batches.shape[1],
        max_steps=len(batches),
        learning_rate=1e-3,
        weight_decay=0.1,
        optim="adamw_torch_fused",
        bf16=precision == "bfloat16",
        use_cpu=job.device == "cpu",
        save_strategy="no",
        eval_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    Trainer(model=model, args=how, train_dataset=Rows(batches.flatten(0, 1)), callbacks=[Watch(pace)]).train()
