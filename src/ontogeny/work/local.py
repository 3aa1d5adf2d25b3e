"""Work in processes of this machine, several at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any

from ontogeny.records import OntogenyError


def workers(jobs: int) -> ProcessPoolExecutor:
    """Processes of this machine that end with this one, also if it is killed: what nobody waits for is not worked on."""
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """In a new process: ends it at once, whatever it is doing, when the process that started it has ended."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def side_by_side(
    function: Callable[..., Any], work: list[tuple[Any, ...]], jobs: int, done: Callable[[], None] = lambda: None
) -> list[Any]:
    """What `function` returns for each piece of work, each in a process of its own, `jobs` at a time; `done` is called after each.

    Raises the first error, after the others have ended; and OntogenyError under torchrun, whose processes train one seed together.
    """
    from ontogeny.training import parallel

    if parallel.here().size > 1:
        raise OntogenyError("torchrun's processes train one seed after the other together: leave --jobs and grids out")
    from concurrent.futures import ThreadPoolExecutor, as_completed

    with ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(_apart, function, *piece) for piece in work]
        try:
            for _ in as_completed(running):
                done()
        except BaseException:  # Ctrl-C: what runs ends, as it hears of it too, and nothing else begins
            pool.shutdown(cancel_futures=True)
            raise
        errors = [error for future in running if (error := future.exception())]
    if errors:
        raise errors[0]
    return [future.result() for future in running]


def _apart(function: Callable[..., Any], *piece: Any) -> Any:
    """In a new process, so that memory and torch's state are those of one piece of work."""
    with workers(1) as process:
        return process.submit(function, *piece).result()
