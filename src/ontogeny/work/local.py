"""Work in processes of this machine, several at a time, which stay for what comes next."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread
from typing import Any

from ontogeny.display import Display
from ontogeny.recipe import Kind
from ontogeny.work.piece import TRIES, Hear, Message, Piece, Place, Submit
from ontogeny.work.process import Ended, Worker


class Local(Kind):
    """Processes of this machine, `--jobs` of them."""

    kind: str = "local"

    @contextmanager
    def opened(self, places: Sequence[Place], display: Display) -> Iterator[Submit]:
        """Yields what does pieces of work, a process a place."""
        answers: SimpleQueue[Any] = SimpleQueue()
        crew = Crew(places, lambda *answer: answers.put(answer))

        def submit(pieces: Sequence[Piece], hear: Hear) -> Iterator[tuple[Piece, Message]]:
            for piece in pieces:
                crew.hand(piece, hear)
            for _ in pieces:
                piece, answer = answers.get()
                if isinstance(answer, BaseException):
                    raise answer
                yield piece, answer

        try:
            yield submit
        except BaseException:
            crew.stop()
            raise
        crew.end()


HERE = Local()


class Crew:
    """Processes that do what they are handed, one at each place: started for its first piece, and anew if it dies.

    `told` hears each piece with its answer, or with the error that ended it.
    """

    def __init__(self, places: Sequence[Place], told: Callable[[Piece, Any], None]):
        self.workers: dict[int, Worker] = {}
        self._told = told
        self._waiting: SimpleQueue[tuple[Piece, Hear] | None] = SimpleQueue()
        self._over = False
        self._threads = [Thread(target=self._work, args=one, daemon=True) for one in enumerate(places)]
        for thread in self._threads:
            thread.start()

    def hand(self, piece: Piece, hear: Hear) -> None:
        """Leaves a piece to whoever is free next."""
        self._waiting.put((piece, hear))

    def end(self) -> None:
        """Waits for what is being done, unless by a process that has done nothing yet; begins nothing more."""
        self._end([worker for worker in self.workers.values() if not worker.answered])

    def stop(self) -> None:
        """Ends what is being done at once."""
        self._end(list(self.workers.values()))

    def _end(self, at_once: Sequence[Worker]) -> None:
        self._over = True
        for worker in at_once:
            worker.stop()
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        for worker in self.workers.values():
            worker.end()

    def _work(self, number: int, place: Place) -> None:
        while (handed := self._waiting.get()) and not self._over:
            try:
                answer: Any = self._done(number, place, *handed)
            except BaseException as error:  # of who hears it
                answer = error
            self._told(handed[0], answer)

    def _done(self, number: int, place: Place, piece: Piece, hear: Hear) -> Message:
        for left in reversed(range(TRIES)):
            worker = self.workers[number] = self.workers.get(number) or Worker(*place)
            if self._over:
                worker.stop()
            try:
                return worker.ask(piece.message(), hear)
            except Ended as why:
                self.workers.pop(number).close()
                if not (why.killed and left) or self._over:
                    return {"done": "", "trouble": died(piece, why), "died": str(why)}
        raise AssertionError


def died(piece: Piece, why: Ended) -> str:
    """What is said of a process that ended while it worked."""
    of = ", ".join([piece.run, piece.what, *(f"{name} {value}" for name, value in piece.inputs.items())])
    times = f" {TRIES} times" if why.killed else ""
    return (
        f"{of}: the process that did it ended{times} ({why}); nothing that was done is lost, and the same command does the rest; "
        "fewer --jobs take less memory"
    )


def shares(jobs: int) -> list[Place]:
    """This machine's cores, for so many at a time."""
    return [(max(1, (os.cpu_count() or 1) // jobs), None)] * jobs
