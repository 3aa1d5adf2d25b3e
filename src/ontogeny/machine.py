"""What a run was made on: processors, memory, versions."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "ontogeny",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "polars",
    "numpy",
    "scipy",
    "ruptures",
    "altair",
)


def versions() -> dict[str, str]:
    """Of Python and of the packages that numbers depend on."""
    return {name: found for name in PACKAGES if (found := _version(name))} | {"python": platform.python_version()}


def hardware() -> dict[str, Any]:
    """Processor, cores, GPUs and system."""
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"processor": _processor(), "cores": os.cpu_count(), "gpus": gpus, "system": platform.platform()}


def products_per_second(device: Any = "cpu", seconds: float = 0.2) -> float:
    """Multiplications, each with its addition, that a device gets through in a second now, in products of 512 x 512 float32."""
    import torch

    factor, count, started = torch.ones(512, 512, device=device), 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds or not count:
        float((factor @ factor)[0, 0])  # waits until a GPU is done
        count += 1
    return count * 512.0**3 / spent


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
