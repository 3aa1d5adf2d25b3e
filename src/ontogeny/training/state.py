"""Everything that training needs to go on after a kill, in one safetensors file that replaces the last one whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ontogeny import disk
from ontogeny.recipe import Training
from ontogeny.records import OntogenyError
from ontogeny.training import health
from ontogeny.training.health import Health
from ontogeny.training.treatment import Change

COLUMNS = ("loss", "learning_rate", "gradient_norm", "tokens", "words", "seconds")


class TrainingState:
    """Model, optimiser, step, and a row for each step done.  No generator state: dropout is a function of (seed, step)."""

    def __init__(self, model: Any, training: Training, changes: Sequence[Change] = ()):
        self.model = model
        self.changes = changes
        self.step = 0
        self.tokens = 0  # predicted so far
        self.words = 0.0  # between spaces, seen so far
        self.history: list[tuple[float, ...]] = []  # one row of COLUMNS for each step done
        self.optimiser = torch.optim.AdamW(_groups(model, training), lr=training.learning_rate, betas=training.betas, fused=True)
        self.health = Health(training.health, training.clip) if training.health else None
        self.watch: Callable[[int, float], None] = lambda step, loss: None  # told of each step done
        self._rate = 0.0
        model.train()

    def optimiser_step(self, rate: float) -> None:
        """Sets the learning rate of the step that begins."""
        self._rate = rate
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def clip_and_update(self, clip: float, loss: float) -> float:
        """Clips the gradient to norm `clip` (0: not), updates the weights, and returns the norm before clipping."""
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), clip or float("inf"))
        before = self.health.before(self) if self.health else None
        self.optimiser.step()
        if self.health and before:
            self.health.after(self, before, float(norm), loss)
        self.optimiser.zero_grad(set_to_none=True)
        return float(norm)

    def record(self, loss: float, norm: float, tokens: int, words: float, seconds: float) -> None:
        """Counts a finished step."""
        self.step += 1
        self.tokens += tokens
        self.words += words
        self.history.append((loss, self._rate, norm, tokens, words, seconds))
        self.watch(self.step, loss)

    def save(self, path: Path, key: str) -> None:
        """Writes the file whole; `key` ties it to the settings it was trained with."""
        from safetensors.torch import save_file

        tensors = {f"model.{name}": value for name, value in _own_tensors(self.model).items()}
        for name, parameter in self.model.named_parameters():
            for part, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{part}.{name}"] = value
        for number, change in enumerate(self.changes):
            tensors |= {f"change.{number}.{name}": value for name, value in change.tensors().items()}
        tensors["history"] = torch.tensor(self.history, dtype=torch.float64).reshape(-1, len(COLUMNS))
        if self.health:
            tensors["health"] = torch.tensor(self.health.rows, dtype=torch.float64).reshape(-1, len(health.COLUMNS))
        tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        numbers = {"step": self.step, "tokens": self.tokens, "words": self.words}
        facts = {name: json.dumps(value) for name, value in numbers.items()} | {"key": key}
        with disk.atomic(path) as temporary:
            save_file(tensors, temporary, facts | {"checksum": _checksum(tensors, facts)})

    def restore(self, path: Path, key: str) -> None:
        """Takes everything from the file.  Raises OntogenyError if it is broken, was changed or belongs to other settings."""
        facts, tensors = _read(path)
        if facts["key"] != key:
            raise OntogenyError(f"{path} belongs to a training with other settings; give this run another name")
        self.model.load_state_dict(_under("model.", tensors), strict=False)
        for number, change in enumerate(self.changes):
            change.restore(_under(f"change.{number}.", tensors))
        for name, parameter in self.model.named_parameters():
            parts = {k.split(".", 2)[1]: v for k, v in tensors.items() if k.startswith("optimiser.") and k.split(".", 2)[2] == name}
            if parts:
                self.optimiser.state[parameter] = {
                    k: v if k == "step" and not parameter.is_cuda else v.to(parameter.device) for k, v in parts.items()
                }
        self.history = [tuple(row) for row in tensors["history"].tolist()]
        if self.health and "health" in tensors:
            self.health.rows = [tuple(row) for row in tensors["health"].tolist()]
        self.step, self.tokens, self.words = (json.loads(facts[name]) for name in ("step", "tokens", "words"))


def _read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """What a file of state says and holds.  One that an older version wrote has no checksum and is taken as it is."""
    from safetensors import SafetensorError, safe_open

    again = f"delete {path.parent.parent} to train this seed from the start"
    try:
        with safe_open(path, "pt") as file:
            facts: dict[str, str] = dict(file.metadata())
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, TypeError) as error:
        raise OntogenyError(f"{path} cannot be read ({error}); {again}") from error
    written = facts.pop("checksum", None)
    if not {"key", "step", "tokens", "words"} <= set(facts) or (written and written != _checksum(tensors, facts)):
        raise OntogenyError(f"{path} is not what was written: bytes of it have changed; copy it from where it is sound, or {again}")
    return facts, tensors


def _checksum(tensors: dict[str, torch.Tensor], facts: dict[str, str]) -> str:
    """SHA-256 of every tensor, by name, and of what is said beside them."""
    found = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        found.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _own_tensors(model: Any) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name, a tied one once."""
    return dict(model.named_parameters()) | dict(model.named_buffers())


def _groups(model: Any, training: Training) -> list[dict[str, Any]]:
    """Matrices decay; biases and norms do not, unless the recipe says all do."""
    matrices = [p for p in model.parameters() if p.ndim >= 2 or training.decay_all]
    vectors = [p for p in model.parameters() if p.ndim < 2 and not training.decay_all]
    return [{"params": matrices, "weight_decay": training.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
