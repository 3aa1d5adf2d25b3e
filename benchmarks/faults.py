"""Inputs with one thing wrong, by the thousand: each must end in a word for people, or be taken; never in a traceback, never not.

    python -m benchmarks faults --count 5000 --minutes 60

Each mutant (`benchmarks/mutants.py`) is drawn from its kind, the seed and its number, and met by one command in a process of its
own, with limits on time, memory and the size of files.  A row a kind: tried; named (an error for people); taken; bare (a traceback,
or a process that died); hang (past `--limit` seconds of a core, or five times as many by the clock).  Every bare one is named, and
`--only KIND/NUMBER` repeats it with its traceback.  Ends with 1 if there is a bare one or a hang.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from benchmarks import mutants
from benchmarks.options import say
from ontogeny.records import OntogenyError

FULL, THEN = "full disks", "once there is room: "
OUTCOMES = ("named", "taken", "bare", "hang")
MEMORY, FILES = 8 * 2**30, 2**28  # bytes that a mutant may have, and that one file may have
Found = tuple[str, str, str]  # outcome, where it was raised or what was said, all of it


def options(parser: argparse.ArgumentParser) -> None:
    """How many, of what, for how long."""
    parser.add_argument("--count", type=int, default=5000, help="mutants, over all kinds")
    parser.add_argument("--minutes", type=float, default=60.0, help="no mutant begins after these")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds of a core for one mutant; more is a hang")
    kinds = list(mutants.KINDS_OF_MUTANTS)
    parser.add_argument(
        "--kind", nargs="+", choices=kinds, default=[kind for kind in kinds if kind != FULL], help=f"{FULL}: as root"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant of each kind")
    parser.add_argument(
        "--every", action="store_true", help="say what becomes of every mutant, and not of bare ones and hangs alone"
    )
    parser.add_argument("--only", help="KIND/NUMBER: one mutant, with what it says")


def run(asked: argparse.Namespace) -> int:
    """The campaign; 1 if anything ended in a traceback, or did not end."""
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary) / "base"
        began = apart(lambda: made(base), 600)
        if began[0] != "taken":
            raise SystemExit(f"what mutants are made from could not be made: {began[2]}")
        imported(began[2].split())
        kinds = asked.kind
        chosen = [(kind, asked.first + number) for number in range(-(-asked.count // len(kinds))) for kind in kinds][: asked.count]
        if asked.only:
            kind, _, number = asked.only.rpartition("/")
            chosen = [(kind, int(number))]
        end, rows, bare = time.monotonic() + 60 * asked.minutes, Counter[tuple[str, str]](), Counter[str]()
        for kind, number in chosen:
            if time.monotonic() > end:
                say(f"{asked.minutes:g} minutes are over")
                break
            outcome, where, all_of_it = one(kind, number, asked.seed, base, Path(temporary) / "here", asked.limit)
            rows[kind, outcome] += 1
            if outcome in ("bare", "hang"):
                bare[f"{kind}: {where}"] += 1
            if asked.every or outcome in ("bare", "hang"):
                say(f"{outcome}: {kind}/{number}: {where}")
            if asked.only:
                print(all_of_it)
    print("\n".join(table(rows, kinds)))
    for where, times in bare.most_common():
        print(f"{times} x {where}")
    return int(bool(bare))


def table(rows: Counter[tuple[str, str]], kinds: list[str]) -> list[str]:
    """Lines of a table in Markdown: a row a kind, and all of them together."""
    lines = ["| what | tried | named error | taken | bare traceback | hang |", "|---|---|---|---|---|---|"]
    for name, over in [*((kind, [kind]) for kind in kinds), ("all", kinds)]:
        counts = [sum(rows[kind, outcome] for kind in over) for outcome in OUTCOMES]
        lines.append(f"| {name} | {sum(counts):,} | {' | '.join(f'{count:,}' for count in counts)} |")
    return lines


def one(kind: str, number: int, seed: int, base: Path, here: Path, limit: float) -> Found:
    """What becomes of one mutant.

    What ended in an error on a full disk must, once there is room, end as where there always was.
    """

    def begun(room: bool) -> Found:
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir()
        return apart(lambda: met(kind, number, seed, base, here, room), limit)

    outcome, where, said = begun(room=False)
    if kind != FULL or outcome != "named":
        return outcome, where, said
    always, then = begun(room=True), said.rpartition(THEN)[2]
    if then != f"{always[0]}: {always[1]}":
        return "bare", f"{where}; {THEN}{then}; had there always been: {always[1] or always[0]}", said
    return outcome, where, said


def met(kind: str, number: int, seed: int, base: Path, here: Path, room: bool = False) -> Found:
    """Makes a mutant and runs its command in this process, and once more if the disk was full; `room`: it never was."""
    os.chdir(here)
    try:
        words = mutants.KINDS_OF_MUTANTS[kind](random.Random(f"{seed} {kind} {number}"), base, here)
    except Exception as error:
        return "bare", f"no mutant: {origin(error)}", "".join(traceback.format_exception(error))
    if room:
        mutants.with_room(here)
    outcome, where, said = called(words)
    said = f"{' '.join(words)}\n{said}"
    if kind == FULL and not room and outcome == "named":
        mutants.with_room(here)
        again, place, _ = called(words)
        said += f"\n{THEN}{again}: {place}"
    return outcome, where, said


def called(words: list[str]) -> Found:
    """What becomes of a command."""
    import click

    from ontogeny.cli import app

    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = app(words, standalone_mode=False)
    except (OntogenyError, click.ClickException) as error:
        return "named", str(error), str(error)
    except SystemExit as end:
        code = end.code
    except BaseException as error:
        return "bare", origin(error), "".join(traceback.format_exception(error))
    return "named" if code else "taken", "", out.getvalue()


def origin(error: BaseException) -> str:
    """An error in a line, with the last line of the package that it came through."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "ontogeny/" in frame.filename]
    place = f"{own[-1].filename.rpartition('ontogeny/')[2]}:{own[-1].lineno}" if own else "elsewhere"
    return f"{place}: {type(error).__name__}: {' '.join(str(error).split())[:150]}"


def made(base: Path) -> Found:
    """What mutants are made from, and what was imported for it."""
    try:
        mutants.make(base)
    except BaseException as error:
        return "bare", origin(error), "".join(traceback.format_exception(error))
    return "taken", "", " ".join(sorted(sys.modules))


def apart(work: Callable[[], Found], limit: float) -> Found:
    """What `work` finds in a process of its own: a copy of this one, which has imported everything and computed nothing."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.setsid()
        os.close(reading)
        with contextlib.suppress(BaseException):
            for stream in range(3):  # libraries write there past Python
                os.dup2(os.open(os.devnull, os.O_RDWR), stream)
            sys.stderr = sys.stdout = io.StringIO()
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_FSIZE, (FILES, FILES))
            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit), math.ceil(limit) + 1))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            with os.fdopen(writing, "w", encoding="utf-8", errors="backslashreplace") as file:
                json.dump(work(), file)
        os._exit(0)
    os.close(writing)
    return heard(child, reading, limit)


def heard(child: int, reading: int, limit: float) -> Found:
    """What a process tells before it ends; it is ended at the limit."""
    import select

    end, said = time.monotonic() + 5 * limit, b""
    with os.fdopen(reading, "rb", buffering=0) as file:
        while select.select([file], [], [], max(0.0, end - time.monotonic()))[0]:
            if not (part := file.read(2**16)):
                break
            said += part
        else:
            os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if said:
        outcome, where, everything = json.loads(said)
        return outcome, where, everything
    if time.monotonic() >= end or status == signal.SIGXCPU:
        return "hang", f"did not end in {limit:g} s", ""
    return "bare", f"the process ended with status {status}", ""


def imported(names: list[str]) -> None:
    """Imports what commands need, once for all copies; what compiles would start processes."""
    for name in names:
        if not name.startswith(("torch._inductor", "__")):
            with contextlib.suppress(Exception):
                import_module(name)
