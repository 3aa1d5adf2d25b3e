"""What runs are called beside one another: the parts in which their names differ."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ontogeny.records import OntogenyError

JOINTS = re.compile(r"(?<=[-_.])")  # a name may be cut after each of these


def parted(names: Sequence[str]) -> tuple[str, list[str]]:
    """What all names begin with, up to a joint (`architectures`), and what is left of each (`opt`, `lstm`), never nothing."""
    words = [[part for part in JOINTS.split(name) if part] for name in names]
    most = min(len(own) for own in words) - 1
    shared = next((n for n in range(most, 0, -1) if len({tuple(own[:n]) for own in words}) == 1), 0)
    while shared and not all(any(c.isalpha() for c in "".join(own[shared:])) for own in words):
        shared -= 1  # `seed-0` says more than `0`
    return "".join(words[0][:shared]).rstrip("-_."), ["".join(own[shared:]) for own in words]


def check_differ(paths: Sequence[Path]) -> None:
    """Raises OntogenyError for fewer than two runs, a run that is named twice, and two runs of one name."""
    if len(paths) < 2:
        said = f"{len(paths)} {'was' if len(paths) == 1 else 'were'} named"
        raise OntogenyError(f"comparing takes two runs or more, and {said}: ontogeny compare RUN RUN")
    seen: dict[str, Path] = {}
    for path in paths:
        name = path.resolve().name
        if name in seen and seen[name].resolve() == path.resolve():
            raise OntogenyError(f"{path} is named twice; each run may be there once")
        if name in seen:
            raise OntogenyError(f"two runs are called {name}: {seen[name]} and {path}; copy one to a folder of another name")
        seen[name] = path
