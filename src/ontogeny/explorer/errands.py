"""What takes longer than a click: made once when it is asked for, one after another, with how far it has come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

from ontogeny.display import Display
from ontogeny.records import OntogenyError

KEPT = 64  # errands whose outcome is remembered
AT_ONCE = 0.12  # seconds that a view waits before it says that it is being made


class Errand(Display):
    """One piece of work.  As a display it hears from the stages how far they have come."""

    def __init__(self, title: str):
        super().__init__(quiet=True)
        self.title = title
        self.stage = ""
        self.done = 0
        self.total: int | None = None
        self.future: Future[Any] = Future()

    @contextmanager
    def bar(self, title: str, total: int | None = None, unit: str = "", begun: int = 0) -> Iterator[Callable[..., None]]:
        """As of any display."""
        self.stage, self.total, self.done = title, total, begun

        def advance(n: int = 1, note: str = "") -> None:
            self.done += n

        yield advance

    @property
    def says(self) -> str:
        """Where it is, in words."""
        part = "" if not self.total else f", {min(self.done / self.total, 1):.0%}"
        return f"{self.title}{f' ({self.stage}{part})' if self.stage else ''}"


class Errands:
    """At most one is at work: models and counts need all cores, and memory."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._kept: OrderedDict[Hashable, Errand] = OrderedDict()
        self._lock = Lock()

    def ask(self, key: Hashable, title: str, make: Callable[[Errand], Any], wait: float | None = AT_ONCE) -> Errand:
        """The errand of that key, begun now if it is new; with its outcome, if that takes no longer than `wait`."""
        with self._lock:
            errand = self._kept.get(key)
            if errand is None:
                errand = self._kept[key] = Errand(title)
                errand.future = self._pool.submit(make, errand)
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
        with suppress(TimeoutError):
            errand.future.exception(wait)
        return errand

    def known(self, key: Hashable) -> bool:
        """True for an errand that was begun."""
        return key in self._kept


def outcome(errand: Errand) -> Any:
    """What it made.  Raises OntogenyError for whatever went wrong."""
    error = errand.future.exception()
    if isinstance(error, OntogenyError) or error is None:
        return errand.future.result()
    raise OntogenyError(f"{errand.title}: {type(error).__name__}: {error}") from error
