"""A piece of work: a small record that any engine can have done, and that is a command line as well."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from socket import gethostname
from threading import Event
from typing import Any, Protocol

from ontogeny import disk, registry
from ontogeny.display import QUIET, Display
from ontogeny.records import OntogenyError

TRIES = 3  # of a piece whose process is ended from outside
# What our pieces are told: each input with its type.  Any may be told a `device`, and what is OPTIONAL may be left out.
TOLD: dict[str, dict[str, type]] = {
    "prepare": {"jobs": int, "margins": bool},
    "train": {"seed": int, "read": bool},
    "judge": {},
    "report": {},
    "run": {"share": int},
    "read": {"seed": int, "step": int, "again": bool, "with": list},
    "score": {"out": str, "suite": str, "suite_path": object, "bos": object, "tokenizer": object},
    "nap": {"out": str, "seconds": object},
}
OPTIONAL = ("jobs", "margins", "read", "share", "again", "with", "device")
Message = dict[str, Any]  # plain values, as JSON has them
Hear = Callable[[Message], None]
Submit = Callable[[Sequence["Piece"], Hear], Iterator[tuple["Piece", Message]]]  # answers in the order in which they come


@dataclass(frozen=True, slots=True)
class Piece:
    """What is to be done about one folder.  It is done when its output is there: to do it again does what is missing."""

    what: str  # its name in the registry
    run: str  # the folder, absolute
    inputs: Mapping[str, Any] = field(default_factory=dict, hash=False)  # which part of it
    after: tuple[Piece, ...] = ()  # what has to be there before
    label: str = field(default="", compare=False)  # for people

    @property
    def command(self) -> str:
        """The command line that does it."""
        settings = (f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in self.inputs.items())
        return shlex.join(["ontogeny", "piece", self.run, self.what, *settings])

    @property
    def name(self) -> str:
        """Its own among those of its folder, as a file is called."""
        settings = (f"-{name}-{value}" for name, value in self.inputs.items() if name in ("seed", "step"))
        return "".join([self.what, *settings])

    @property
    def key(self) -> str:
        """Its own among all pieces."""
        return disk.content_key(self.run, self.what, dict(self.inputs))

    def message(self) -> Message:
        """What a process is told that does it."""
        return {"what": self.what, "run": self.run, "inputs": dict(self.inputs), "version": version("ontogeny")}

    def __str__(self) -> str:
        return self.label or " ".join([self.run, self.what, *(f"{name} {value}" for name, value in self.inputs.items())])


class WorkEngine(Protocol):
    """Who does pieces of work: processes of this machine, SLURM, Ray."""

    def opened(self, places: Sequence[Place], display: Display) -> AbstractContextManager[Submit]:
        """While it is open pieces can be handed to it; `places`: what this machine has for each that is done at a time."""
        ...


Place = tuple[int, str | None]  # threads, and device (None: as the recipe says)


def perform(message: Message, display: Display = QUIET, device: str | None = None) -> Message:
    """Does a piece of work in this process, and answers as `answered`."""
    piece = Piece(message["what"], message["run"], message["inputs"] | ({"device": device} if device else {}))

    def done() -> str | None:
        if (theirs := message.get("version")) not in (None, ours := version("ontogeny")):
            raise OntogenyError(f"{gethostname()} has ontogeny {ours}, and this work comes from ontogeny {theirs}: take one")
        if not Path(piece.run).is_dir():
            raise OntogenyError(
                f"{gethostname()} sees no folder {piece.run}: machines that fill a run share a disk, under one path"
            )
        work = registry.load("piece", piece.what)
        check_inputs(piece)
        found: str | None = work(piece, display)
        return found

    return answered(done)


def check_inputs(piece: Piece) -> None:
    """Raises OntogenyError for an input that one of our pieces lacks, does not take, or has of another type."""
    if (told := TOLD.get(piece.what)) is None:
        return
    for name in [*(name for name in told if name not in OPTIONAL), *piece.inputs]:
        if name != "device" and name not in told:
            raise OntogenyError(f"the piece {piece.what} takes no {name!r}; it takes {', '.join(told) or 'nothing'}")
        if name not in piece.inputs:
            raise OntogenyError(f"the piece {piece.what} needs {name}=..., as run --pieces prints it")
        if not isinstance(found := piece.inputs[name], told.get(name, object)) or (told.get(name) is int and found is True):
            raise OntogenyError(f"the piece {piece.what}: {name} is {found!r}; {told[name].__name__} is expected")


def answered(work: Callable[[], str | None]) -> Message:
    """What is answered: what a person can mend is a trouble; everything else is raised."""
    try:
        return {"done": work() or "", "trouble": None}
    except OntogenyError as error:
        return {"done": "", "trouble": str(error)}


def nap(piece: Piece, display: Display) -> None:
    """Takes `seconds` and leaves a line in a file `out`, once: what an engine is tried and measured with."""
    out = Path(piece.run) / piece.inputs["out"]
    if not out.exists():
        Event().wait(piece.inputs["seconds"])
        with out.open("a", encoding="utf-8") as file:
            file.write(f"{gethostname()} {os.getpid()}\n")


def waves(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """The pieces in turns: each with all those that stand on nothing but earlier ones, or on what is not among them."""
    left = list(pieces)
    while left:
        waiting = set(left)
        ready = [piece for piece in left if waiting.isdisjoint(piece.after)]
        yield ready
        left = [piece for piece in left if not waiting.isdisjoint(piece.after)]


def heard(lines: Display, advance: Callable[..., None]) -> Hear:
    """What hears a piece while it is done: what it says goes to a display, its notes to a bar."""

    def hear(message: Message) -> None:
        if "say" in message:
            lines.say(message["say"], message["style"])
        elif "note" in message:
            advance(0, message["note"])

    return hear


def do(
    pieces: Sequence[Piece],
    submit: Submit,
    display: Display,
    title: str,
    unit: str = "",
    begun: int = 0,
    *,
    lines: Display = QUIET,
    done: Callable[[], None] = lambda: None,
) -> dict[Piece, Message]:
    """Has all pieces done, each after those that it stands on, and returns every answer; troubles are said as they come.

    `lines`: where what pieces say goes; `done` is called after each.  Raises OntogenyError under torchrun, whose processes train
    one seed together.
    """
    parallel = sys.modules.get("ontogeny.training.parallel")  # through which torchrun's processes join; it takes seconds to load
    if parallel and parallel.here().size > 1:
        raise OntogenyError("torchrun's processes train one seed after the other together: leave --jobs and grids out")
    found: dict[Piece, Message] = {}
    with display.bar(title, begun + len(pieces), unit, begun) as advance:
        hear = heard(lines, advance)

        def answered(piece: Piece, answer: Message) -> None:
            found[piece] = answer
            if answer["trouble"]:
                display.warn(f"{piece.label}: {answer['trouble']}" if piece.label else answer["trouble"])
            advance(1, str(piece))
            done()

        for wave in waves(pieces):
            lacking = {piece: [one for one in piece.after if found.get(one, {}).get("trouble")] for piece in wave}
            for piece in (piece for piece in wave if lacking[piece]):
                answered(piece, {"done": "", "trouble": f"not begun, as it needs what failed: {lacking[piece][0]}"})
            for piece, answer in submit([piece for piece in wave if not lacking[piece]], hear):
                answered(piece, answer)
    return found


def do_all(pieces: Sequence[Piece], submit: Submit, display: Display, title: str, **options: Any) -> None:
    """As `do`.  Raises OntogenyError that names each piece that failed, after the others have ended."""
    found = do(pieces, submit, display, title, **options)
    if failed := [f"{piece}: {answer['trouble']}" for piece, answer in found.items() if answer["trouble"]]:
        raise OntogenyError("\n".join(failed))
