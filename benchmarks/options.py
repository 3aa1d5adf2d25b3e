"""Options that commands share, and where progress is said."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

SIZES = "OPT: 2 layers of 128, 6 of 256, opt-125m"


def common(parser: argparse.ArgumentParser, sizes: tuple[str, ...] = ("S",)) -> None:
    """What is compared, on what, how often."""
    parser.add_argument(
        "--size", nargs="+", choices=("S", "M", "L"), default=list(sizes), help="OPT: 2 layers of 128, 6 of 256, opt-125m"
    )
    parser.add_argument("--suite", type=Path, default=Path("data/blimp/data"), help="BLiMP's folder")
    parser.add_argument("--text", type=Path, default=Path("data/babylm/train_1M"), help="a folder of text: tokenizer and batches")
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument(
        "--pairs", type=int, help="of each paradigm; left out: all, and only then are ratios those of the whole suite"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-rounds", type=int, default=1, help="rounds that minicons and lm-eval take part in")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0, help="of the order within rounds")
    parser.add_argument(
        "--out", type=Path, help="folder for NAME.md and NAME.json, such as benchmarks/results; left out: only print"
    )
    parser.add_argument("--work", type=Path, help="folder for what is made on the way; left out: a temporary one")


def say(line: str) -> None:
    """Progress, beside the results."""
    print(line, file=sys.stderr, flush=True)
