"""Reading many checkpoints with what the machine has: a process a core, or a GPU, where that pays."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from ontogeny import disk
from ontogeny.display import Display
from ontogeny.instruments import Instrument
from ontogeny.readers.readings import Readings, read
from ontogeny.records import Checkpoint
from ontogeny.sources.hub import Gone
from ontogeny.sources.stream import Arrivals
from ontogeny.work.local import HERE, Local, shares
from ontogeny.work.piece import Message, Piece, Place, WorkEngine, answered, do

# Starting a process takes about ten seconds of a laptop's core, most of it to load torch and transformers.
PAYS_AFTER = 30.0  # seconds of reading that are left


def read_all(
    readings: Readings,
    again: Sequence[int] = (),
    jobs: int | None = None,
    seeds: Sequence[int] = (),
    instruments: Sequence[Instrument] | None = None,
    engine: WorkEngine = HERE,
) -> list[str]:
    """Reads what is missing of a run's checkpoints, those at the steps in `again` once more; returns what went wrong.

    `seeds`: only these.  `instruments`: read with these and nothing else.  `jobs` processes share the work; None: as many as pay.
    `engine`: whose.
    """
    folder, troubles = readings.folder, []
    every = [(seed, checkpoint) for seed in seeds or folder.seeds() for checkpoint in folder.checkpoints(seed)]
    todo = [unit for unit in every if readings.waits(*unit, unit[1].step in again, instruments)]
    for unit in every:
        if unit not in todo and instruments is None:
            readings.read(*unit)  # all is there: warns if the checkpoint is damaged by now
    first = todo if again else originals(every, todo)
    troubles += _read(readings, first, again, jobs, instruments, engine)
    for unit in (unit for unit in todo if unit not in first):
        readings.copy(*unit, instruments)
    left = [unit for unit in todo if unit not in first and readings.waits(*unit, False, instruments)]
    return troubles + _read(readings, left, again, jobs, instruments, engine)


Unit = tuple[int, Checkpoint]  # seed and checkpoint


def originals(every: Sequence[Unit], todo: Sequence[Unit]) -> list[Unit]:
    """Of those that are to be read, the ones of which none before is the same in every byte: the others get their tables."""
    first: dict[str, Unit] = {}
    for unit in every:
        if revision := unit[1].revision:
            first.setdefault(revision.content, unit)
    return [unit for unit in todo if unit[1].revision is None or first[unit[1].revision.content] == unit]


def _read(
    readings: Readings,
    todo: Sequence[Unit],
    again: Sequence[int],
    jobs: int | None,
    instruments: Sequence[Instrument] | None,
    engine: WorkEngine,
) -> list[str]:
    """Reads checkpoints, and returns what went wrong.  Those of the hub come one after another, and this process reads them."""
    known = {(seed, checkpoint.step): checkpoint for seed, checkpoint in todo}
    streams = [checkpoint for checkpoint in known.values() if checkpoint.revision]
    pieces = [reading(readings.folder.path, seed, step, again, instruments) for seed, step in known]
    with _arriving(readings, streams, (jobs or 1) > 1 or not isinstance(engine, Local)) as opened:

        def here(piece: Piece) -> Message:
            seed, step = piece.inputs["seed"], piece.inputs["step"]
            with opened(known[seed, step]) as trouble:
                return trouble or answered(lambda: read(readings, seed, known[seed, step], piece.inputs))

        found = spread(pieces, here, readings.display, readings.device, *((1, HERE) if streams else (jobs, engine)))
    troubles = together([one["trouble"] for one in found if one["trouble"]])
    for trouble in troubles:
        readings.display.warn(trouble)
    return troubles


def together(troubles: Sequence[str]) -> list[str]:
    """What went wrong in the same way at many checkpoints, such as with a file that all of them are asked about, is said once.

    >>> together(["step-0: no table", "step-2: no table", "step-1: damaged"])
    ['step-0 and 1 more: no table', 'step-1: damaged']
    """
    alike: dict[str, list[str]] = {}
    for line in "\n".join(troubles).splitlines():
        alike.setdefault(line.partition(": ")[2] or line, []).append(line)
    more = {what: f"{lines[0].partition(': ')[0]} and {len(lines) - 1} more: {what}" for what, lines in alike.items()}
    return [lines[0] if len(lines) == 1 else more[what] for what, lines in alike.items()]


@contextmanager
def _arriving(readings: Readings, streams: Sequence[Checkpoint], shared: bool) -> Iterator[Opened]:
    """Yields what makes a checkpoint be there while it is read; its trouble, if that checkpoint alone cannot be had."""
    if not streams:
        yield lambda checkpoint: nullcontext()
        return
    if shared:
        readings.display.warn(
            "--jobs and --on are for checkpoints that lie here: those of the hub come one by one, to this process"
        )
    arrivals = Arrivals(readings.folder, streams, readings.display, readings.recipe.scoring.trust_remote_code)
    readings.context.bring = arrivals.bring
    with readings.display.bar("checkpoints of the hub", len(streams), "checkpoints") as advance:

        @contextmanager
        def opened(checkpoint: Checkpoint) -> Iterator[Message | None]:
            try:
                with arrivals.opened(checkpoint):
                    yield None
            except Gone as gone:
                yield {"done": "", "trouble": str(gone)}
            advance(1)

        yield opened


Opened = Callable[[Checkpoint], AbstractContextManager[Message | None]]


def reading(run: Path, seed: int, step: int, again: Sequence[int] = (), instruments: Sequence[Instrument] | None = None) -> Piece:
    """The piece of work that is reading a checkpoint of a run."""
    chosen = None if instruments is None else [instrument.model_dump(mode="json") for instrument in instruments]
    left = {"again": True if step in again else None, "with": chosen}
    inputs = {"seed": seed, "step": step} | {name: value for name, value in left.items() if value is not None}
    return Piece("read", str(run.absolute()), inputs)


def spread(
    pieces: Sequence[Piece],
    here: Callable[[Piece], Message],
    display: Display,
    device: str,
    jobs: int | None,
    engine: WorkEngine = HERE,
) -> list[Message]:
    """What became of each piece, in order: done by `here`, in this process, or by `jobs` others, if so many are asked for or pay.

    The first one is always done here, and leaves the suites' tokens in the run's folder for all others.  The second, if no number
    was asked for, says how long they will take.  An engine of other machines gets them all.
    """
    if pieces and not isinstance(engine, Local):
        return with_others(pieces, display, shares(1), engine)
    answers, seconds = [], 0.0
    for piece in pieces[: 1 if jobs else 2]:
        started = time.monotonic()
        answers.append(here(piece))
        seconds = time.monotonic() - started
    rest = pieces[len(answers) :]
    jobs = min(len(rest), jobs or how_many(device, len(rest), seconds))
    if jobs < 2:
        return answers + [here(piece) for piece in rest]
    return answers + with_others(rest, display, places(device, jobs))


def how_many(device: str, left: int, seconds: float) -> int:
    """Processes that should read `left` checkpoints of so many seconds each.

    On a GPU one each.  Else one a core, as many as memory has room for: what is read takes as much in each as it took in this one.
    """
    from ontogeny.training.engine import find_device, peak_memory

    if left * seconds < PAYS_AFTER:
        return 1
    found = find_device(device)
    if found.type == "cuda":
        return len(gpus(device))
    room = free_memory() // max(1, peak_memory(found))
    return int(max(1, min(os.cpu_count() or 1, room)))


def gpus(device: str) -> list[str]:
    """GPUs that may read: all, or the one that is named."""
    import torch

    return [f"cuda:{i}" for i in range(torch.cuda.device_count())] if device in ("auto", "cuda") else [device]


def places(device: str, jobs: int) -> list[Place]:
    """Threads and device of each of `jobs` processes."""
    from ontogeny.training.engine import find_device

    names = gpus(device) if find_device(device).type == "cuda" else ["cpu"]
    return [(max(1, (os.cpu_count() or 1) // jobs), names[i % len(names)]) for i in range(jobs)]


def free_memory() -> int:
    """Bytes that a further process can have; on systems that do not say, all."""
    about = Path("/proc/meminfo")
    lines = about.read_text(encoding="ascii").splitlines() if about.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")), 2**62)


def with_others(pieces: Sequence[Piece], display: Display, places: Sequence[Place], engine: WorkEngine = HERE) -> list[Message]:
    """What became of each piece, by processes of these threads and devices, or by another engine."""
    if isinstance(engine, Local):
        display.say(f"reading {len(pieces)} checkpoints with {len(places)} processes of {_threads(places)}{_memory()}")
    with engine.opened(places, display) as submit:
        found = do(pieces, submit, display, "checkpoints", "checkpoints", lines=display)
    return [found[piece] for piece in pieces]


def _threads(places: Sequence[Place]) -> str:
    if places[0][1] != "cpu":
        return f"a GPU each ({', '.join(sorted({str(device) for _, device in places}))})"
    return f"{places[0][0]} {'thread' if places[0][0] == 1 else 'threads'}"


def _memory() -> str:
    """What each of them needs of the machine's memory, as far as this process knows from having read one."""
    import torch

    from ontogeny.training.engine import peak_memory

    most = peak_memory(torch.device("cpu"))
    return f", about {disk.human_size(most)} of memory each" if most else ""
