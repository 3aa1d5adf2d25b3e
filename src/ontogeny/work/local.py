"""Work in processes of this machine, several at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ontogeny.records import OntogenyError


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
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *piece).result()
