"""Who writes here: this process's name among those of many machines on one disk, and claims that are held while somebody lives.

Nothing here relies on clocks that agree, nor on flock: a claim is a file that can be made only once (O_EXCL), its holder keeps
writing a number into it, and whoever waits watches by a clock of its own whether that goes on.  A claim that stands still is
renamed away, which can be done only once as well.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from socket import gethostname
from threading import Event, Thread
from typing import Any

BEAT = 10.0  # seconds from one sign of life to the next
PATIENCE = 60.0  # seconds without one after which a claim is free
LOOK = 1.0  # seconds from one look at somebody else's claim to the next


class Held(Exception):
    """Somebody else holds a claim; says who."""


def host() -> str:
    """This machine as names of files have it: its name's beginning, and a hash of what tells its processes from others'."""
    with suppress(OSError):
        return _host(gethostname(), str(Path("/proc/self/ns/pid").readlink()))
    return _host(gethostname(), "")


def _host(name: str, processes: str) -> str:
    told = blake2b(f"{name} {processes}".encode(), digest_size=3).hexdigest()
    return f"{re.sub('[^A-Za-z0-9]', '-', name)[:8]}-{told}"


def is_alive(process: int) -> bool:
    """True if a process has this number that may write files, whoever's it is: none of the kernel's, and none that has ended."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes() != b""  # empty: the kernel's own, or ended and not waited for
    except OSError:
        return True  # a system without /proc


@contextmanager
def lease(path: Path, wait: bool = True, alone: bool = False, said: Callable[[str], None] = lambda text: None) -> Iterator[None]:
    """Holds a claim, a file, and gives a sign of life in it.  `said` hears whom it waits for.

    `alone`: no other process of this machine has it, as whoever asks knows.  Raises Held if somebody has it and `wait` is off.
    """
    who = {"host": host(), "name": gethostname(), "process": os.getpid()}
    file, over = _taken(path, who, wait, alone, said), Event()
    beating = Thread(target=_beat, args=(file, who, over), daemon=True)
    beating.start()
    try:
        yield
    finally:
        over.set()
        beating.join()
        with suppress(OSError):
            if os.fstat(file).st_ino == path.stat().st_ino:  # else it was taken, as this process stood still for long
                path.unlink()
        os.close(file)


def _taken(path: Path, own: Mapping[str, Any], wait: bool, alone: bool, said: Callable[[str], None]) -> int:
    """The claim's file, open, once it is ours."""
    seen, since, told = b"", time.monotonic(), False
    while True:
        with suppress(FileExistsError):
            return _made(path, own)
        try:
            now = path.read_bytes()
        except FileNotFoundError:
            continue
        who = _holder(now)
        here = who.get("host") == own["host"]
        if (here and (alone or not is_alive(who["process"]))) or (now == seen and time.monotonic() - since > PATIENCE):
            _put_aside(path, now)
            seen = b""
            continue
        name = _named(who)
        moved = now != seen
        if not wait and (here or (seen and moved)):
            raise Held(name)
        if not told:
            said(f"waiting for {name}, which does this or has stopped to: {path}")
            told = True
        if moved:
            seen, since = now, time.monotonic()
        Event().wait(LOOK)


def _made(path: Path, own: Mapping[str, Any]) -> int:
    """A claim that nobody has, signed; where it can't be (the disk is full) none is left, which others would wait for."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        _sign(file, own, 0)
    except OSError:
        os.close(file)
        path.unlink()
        raise
    return file


def holder(path: Path) -> str:
    """Who holds a claim, in words; empty for nobody and for a process of this machine that has ended."""
    with suppress(OSError):
        who = _holder(path.read_bytes())
        return _named(who) if who and (who.get("host") != host() or is_alive(who["process"])) else ""
    return ""


def _named(who: Mapping[str, Any]) -> str:
    return f"process {who.get('process', 'unknown')} of {who.get('name', 'a machine without a name')}"


def _holder(content: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        found = json.loads(content)
        if isinstance(found, dict) and isinstance(found.get("process"), int):
            return found
    return {}


def _put_aside(path: Path, seen: bytes) -> None:
    """Frees a claim that stands as it was seen: if its holder has moved meanwhile it is given back."""
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    with suppress(FileNotFoundError):  # somebody else was faster
        path.rename(aside)
        if aside.read_bytes() != seen:
            with suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink()


def _beat(file: int, who: Mapping[str, Any], over: Event) -> None:
    beat = 0
    while not over.wait(BEAT):
        beat += 1
        with suppress(OSError):  # it was taken, and the file is gone; or the disk is full for now
            _sign(file, who, beat)


def _sign(file: int, who: Mapping[str, Any], beat: int) -> None:
    """Writes into the file that is open, wherever it is by now: a claim that was taken is not taken back."""
    os.pwrite(file, f"{json.dumps({**who, 'beat': beat}):<200}\n".encode(), 0)
    os.fsync(file)
