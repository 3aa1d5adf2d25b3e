"""A process that does pieces of work; what it is asked and answers is a JSON object a line, through standard input and output.

It is a program of its own, not a copy of the one that starts it, so that it starts from a script or a notebook as from a terminal.

    asked      {"what": "read", "run": PATH, "inputs": {"seed": 0, "step": 64}}, as a Piece has it
    answered   {"note": "blimp at step 64: 40%"} and {"say": ...} while it works, then {"done": "", "trouble": ...},
               or {"failed": ...} before it ends

It ends when its input does, at once, so also with the process that started it: a table is written whole or not at all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Thread

from ontogeny.display import Display
from ontogeny.work.piece import Hear, Message, perform

COMMAND = (sys.executable, "-m", "ontogeny.work")
NOT_OURS = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
)  # it is no rank of torchrun's
EVERY = 0.5  # seconds from one note to the next


class Ended(Exception):
    """A process ended before it had answered; says why.  `killed`: from outside, so that another try may do better."""

    def __init__(self, why: str, killed: bool = True):
        super().__init__(why)
        self.killed = killed


class Worker:
    """A process that does pieces of work, as the process that started it sees it."""

    def __init__(self, threads: int, device: str | None = None, command: Sequence[str] | None = None):
        self._errors = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed with it
        own = {name: value for name, value in os.environ.items() if name not in NOT_OURS}
        self._process = subprocess.Popen(
            [*(command or COMMAND), str(threads), *([device] if device else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            env=own | {"OMP_NUM_THREADS": str(threads)},
            start_new_session=True,  # Ctrl-C is for the process that started it, which stops it
        )
        self.answered = 0  # questions

    def ask(self, question: Message, hear: Hear = lambda message: None) -> Message:
        """The answer to one question; `hear` gets what is said before it.  Raises Ended if the process does not live to give it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        failed = None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            for line in self._process.stdout:
                message: Message = json.loads(line)
                if "done" in message:
                    self.answered += 1
                    return message
                failed = message.get("failed", failed)
                hear(message)
        except (BrokenPipeError, ValueError):
            pass  # it ended while it was asked, or was stopped
        raise Ended(failed or self._why(), killed=not failed)

    def end(self) -> None:
        """Lets it end, and waits until it has."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self.close()

    def stop(self) -> None:
        """Ends it at once; a table is written whole or not at all.  Whoever asks it hears that it has ended."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Lets go of what the process left, once nobody asks any more."""
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            with suppress(OSError):  # what was not sent any more
                pipe.close()  # type: ignore[union-attr]

    def _why(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        last = [line for line in self._errors.read().splitlines() if line.strip()][-1:]
        killed = f"killed by signal {-status}; memory may have been short" if status < 0 else f"exit status {status}"
        return ": ".join([killed, *last])


# --- the process itself -------------------------------------------------------------------------------------------


def serve() -> None:
    """Does what it is asked until nothing more is.  Arguments: threads, device (left out: as the recipe or piece says)."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer

    def tell(message: Message) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    device = sys.argv[2] if len(sys.argv) > 2 else None
    display = Told(tell)
    for line in questions(sys.stdin):
        try:
            tell(perform(json.loads(line), display, device))
        except BaseException as error:
            tell({"failed": f"{type(error).__name__}: {error}"})
            raise


def questions(asked: Iterable[str]) -> Iterator[str]:
    """Lines as they come.  The process ends with the last one, also while one is answered: who asks has ended, or asks no more."""
    coming: SimpleQueue[str] = SimpleQueue()

    def hear() -> None:
        for line in asked:
            coming.put(line)
        os._exit(0)

    Thread(target=hear, daemon=True).start()
    while True:
        yield coming.get()


class Told(Display):
    """A display that tells another process what it would show."""

    def __init__(self, tell: Callable[[Message], None]):
        super().__init__()
        self.tell = tell

    def say(self, text: str, style: str | None = None) -> None:
        """As Display has it."""
        self.tell({"say": text, "style": style})

    @contextmanager
    def bar(self, title: str, total: int | None = None, unit: str = "", begun: int = 0) -> Iterator[Callable[..., None]]:
        """As Display has it: a note now and then."""
        done, told = begun, 0.0

        def advance(n: int, note: str = "") -> None:
            nonlocal done, told
            done += n
            if time.monotonic() - told >= EVERY:
                told = time.monotonic()
                self.tell({"note": f"{title}: {done / total:.0%}" if total else title})

        yield advance
