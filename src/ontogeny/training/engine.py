"""What the machine does best: device, threads, precision and compilation, chosen once and written into the lineage."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ontogeny.recipe import Training
from ontogeny.records import OntogenyError
from ontogeny.training.treatment import batch_loss, in_place_loss, logits_of

# Compiling takes up to half a minute.  In bfloat16 it saves a good part of the time after that; in float32 on a processor matrix
# products take most of it and next to nothing is saved (docs/speed.md).
COMPILE_PAYS_AFTER = 2e13  # floating-point operations of training: minutes on a laptop's processor


@dataclass(frozen=True, slots=True)
class Engine:
    """How the arithmetic is done.  A run that goes on takes the engine it began with, so that its losses stay the same."""

    device: torch.device
    threads: int
    precision: str  # float32 or bfloat16, of the forward pass under autocast
    compile: bool
    in_place: bool = False  # the plain loss writes its gradient over the logits

    def autocast(self) -> AbstractContextManager[Any]:
        """The forward pass's precision."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, compiled if that pays; the plain loss in place if that pays, of which the model alone is compiled."""
        if self.in_place and function is batch_loss:
            return in_place_loss(torch.compile(logits_of) if self.compile else logits_of)
        return torch.compile(function) if self.compile else function

    def lineage(self) -> dict[str, Any]:
        """Plain values for the lineage; `from_lineage` takes them back."""
        known = asdict(self) | {"device": str(self.device)}
        if not self.in_place:  # as runs have it that are older than the choice: the key of their states is made of this
            del known["in_place"]
        return known

    def __str__(self) -> str:
        return self.precision + (", compiled" if self.compile else "") + (", in place" if self.in_place else "")

    @classmethod
    def from_lineage(cls, entry: dict[str, Any]) -> Engine:
        """The engine that a run began with.  Raises OntogenyError if this machine does not have its device."""
        return cls(
            find_device(entry["device"]), entry["threads"], entry["precision"], entry["compile"], entry.get("in_place", False)
        )

    def start(self) -> None:
        """Sets the number of threads, and keeps memory between steps."""
        torch.set_num_threads(self.threads)
        keep_memory()


def choose(training: Training, parameters: int, steps: int, jobs: int = 1) -> Engine:
    """The engine a recipe asks for, with `auto` decided by what this machine has, shared by `jobs` trainings at a time."""
    device = find_device(training.device)
    precision = training.precision
    if precision == "auto":
        precision = "bfloat16" if bfloat16_pays(device) else "float32"
    compiles = training.compile == "on"
    if training.compile == "auto" and (precision == "bfloat16" or device.type == "cuda") and can_compile(device):
        compiles = operations(training, parameters, steps) > COMPILE_PAYS_AFTER
    threads = training.threads or max(1, (os.cpu_count() or 1) // jobs)
    return Engine(device, threads, precision, compiles, training.in_place == "on")


def operations(training: Training, parameters: int, steps: int) -> float:
    """Floating-point operations of a training (Kaplan et al. 2020, section 2.1)."""
    return 6.0 * parameters * steps * training.batch * training.context


def can_compile(device: torch.device) -> bool:
    """True where torch.compile finds what it needs: on a processor, a compiler of C++."""
    return device.type == "cuda" or shutil.which(os.environ.get("CXX", "g++")) is not None


def find_device(name: str) -> torch.device:
    """A torch device by name; auto is a GPU where there is one.  Raises OntogenyError if the machine does not have it."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise OntogenyError(f"device {name!r} is not one that torch knows; try cpu, cuda or cuda:1") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise OntogenyError(f"device {name!r}: this machine has {torch.cuda.device_count()} GPUs; set device to cpu or auto")
    if device.type not in ("cpu", "cuda"):
        try:
            torch.zeros(1, device=device).tolist()
        except Exception as error:  # whatever torch was built without
            raise OntogenyError(f"device {name!r} computes nothing on this machine; try cpu, cuda or cuda:1") from error
    return device


def keep_memory() -> None:
    """Tells glibc to keep freed memory.  Elsewhere than on Linux with glibc: nothing.

    By default each tensor above 32 MB goes back to the kernel when it is freed, and every page is zeroed when it is fetched anew:
    a fifth of the processor's time at a batch of 32 x 128 tokens and a vocabulary of 4,096 on an idle machine, more on a busy
    one (benchmarks/engine.py).
    """
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # glibc's malloc.h
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(top_pad, 2**28)


def peak_memory(device: torch.device) -> int:
    """The most memory so far, in bytes: of a GPU what torch had in use, else what this process had resident (0 on Windows)."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most  # macOS counts bytes, Linux kilobytes


def bfloat16_pays(device: torch.device) -> bool:
    """True where bfloat16 has instructions of its own; elsewhere it is a tenth as fast as float32 (benchmarks/engine.py)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
