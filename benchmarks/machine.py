"""What a measurement was made on, and whether anything else ran beside it."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGES = ("ontogeny", "torch", "transformers", "tokenizers", "accelerate", "minicons", "lm_eval", "numpy", "polars")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")  # what decides the speed of matrix products
BUSY = 0.5  # processes that wanted to run in the minute before; above it seconds are those of a busy machine


def describe() -> dict[str, Any]:
    """Processor, memory, versions, date, commit, and the load (mean processes in the last minute) before anything is measured."""
    cpu = cpuinfo()
    return {
        "processor": cpu.get("model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in cpu.get("flags", "").split()],
        "memory_GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := installed(name))},
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": round(os.getloadavg()[0], 2),
    }


def cpuinfo() -> dict[str, str]:
    """The first processor's lines of /proc/cpuinfo; empty elsewhere than on Linux."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").split("\n\n")[0].splitlines() if path.exists() else []
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def installed(package: str) -> str | None:
    """A package's version, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def commit() -> str:
    """The checkout's commit, with + where files differ from it; empty outside of a checkout."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except OSError:
        return ""


def warning(machine: dict[str, Any]) -> str:
    """What to say of a machine that was busy; empty if it was not."""
    if machine["load"] <= BUSY:
        return ""
    return (
        f"The machine was busy before the start (load {machine['load']}): go by ratios, and rather by those of processor time; "
        "measure again when it is quiet."
    )


def sentence(machine: dict[str, Any]) -> str:
    """The machine in a line."""
    versions = ", ".join(f"{name} {found}" for name, found in machine["versions"].items())
    flags = ", ".join(machine["flags"]) or "none of " + ", ".join(FLAGS)
    return (
        f"{machine['processor']}, {machine['cores']} cores ({flags}), {machine['memory_GiB']} GiB, {machine['system']}, Python "
        f"{machine['python']}; {versions}; commit {machine['commit'] or 'unknown'}; {machine['date']}; "
        f"load before: {machine['load']}"
    )


def own_peak() -> float:
    """This process's largest resident memory in MiB.  What getrusage says of a process includes its parent's at the start."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
