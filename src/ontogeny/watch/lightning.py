"""Lightning's side of a Watch: it takes only callbacks of its own class, and is never imported where nobody has imported it."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

NAMES = ("pytorch_lightning", "lightning.pytorch")  # one library under two names, each with classes of its own


def taken_by_lightning(watch: type[Any]) -> type[Any]:
    """The class, as a callback also of each Lightning that is imported already."""
    loaded = (getattr(sys.modules.get(name), "Callback", None) for name in NAMES)
    callbacks = tuple(callback for callback in loaded if callback is not None)
    return watch if not callbacks or issubclass(watch, callbacks) else _both(watch, callbacks)  # type: ignore[arg-type]


@cache  # two Watches of one training are of one class
def _both(watch: type[Any], callbacks: tuple[type[Any], ...]) -> type[Any]:
    return type(watch.__name__, (watch, *callbacks), {"__doc__": watch.__doc__, "__module__": watch.__module__})
