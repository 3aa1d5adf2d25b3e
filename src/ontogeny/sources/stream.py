"""Checkpoints of the hub while they are read: one is here, the next one comes, and what was read goes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, TimeoutError
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

from ontogeny import disk, store
from ontogeny.display import Display
from ontogeny.records import Checkpoint, OntogenyError
from ontogeny.sources.hub import TRIES, Gone, HubClient, Listing
from ontogeny.sources.revisions import Bringing, files_of
from ontogeny.store import RunFolder

# What hf_xet before 1.2 keeps of all that it brings, up to 10 GB in a cache of its own; later ones keep none.
CHUNKS = "HF_XET_CHUNK_CACHE_SIZE_BYTES"
SHORT = 2.0  # seconds: a wait that needs no bar
LOOK = 0.2  # seconds from one look at what has come to the next


class Arrivals:
    """Brings a run's checkpoints in the order in which they are wanted, one ahead of who reads them.

    On the disk are at most two: that which is read, and that which comes.  They are whole or not there at all, so that a command
    that was killed goes on.  A run that keeps them has links to the hub's cache in their place.
    """

    def __init__(self, folder: RunFolder, wanted: Sequence[Checkpoint], display: Display, code: str | None = None):
        told = disk.read_json(folder.hub)
        self.keep = bool(told["keep"])
        self.broken: OntogenyError | None = None  # why nothing comes any more
        self._listing = Listing(told, display.warn)
        self._client = HubClient(display.warn)
        self._display = display
        self._code = code  # REPO@COMMIT of the code that may be run
        self._wanted = list(wanted)
        self._coming: tuple[Checkpoint, Future[None]] | None = None
        self._lent: list[Path] = []  # brought beside what is read, and gone with it
        if not self.keep:
            os.environ.setdefault(CHUNKS, "0")
            here = {checkpoint.folder for checkpoint in wanted}
            for seed in folder.seeds():
                for checkpoint in folder.checkpoints(seed):
                    if checkpoint.folder not in here:
                        disk.remove(checkpoint.folder)  # read before the command was stopped
            sizes = sorted(sum(one.file.size for one in self._files(checkpoint)) for checkpoint in wanted)
            _check_room(folder.path, sum(sizes[-2:]))

    @contextmanager
    def opened(self, checkpoint: Checkpoint) -> Iterator[None]:
        """Inside it the checkpoint is here and the next one comes.  Raises OntogenyError if it cannot be had."""
        if self.broken:
            raise self.broken
        try:
            self._wait_for(checkpoint)
            self._ask_for_next(checkpoint)
            yield
        finally:
            self._let_go(checkpoint.folder, *self._lent)
            self._lent = []

    def bring(self, checkpoint: Checkpoint) -> None:
        """Brings one more beside what is read now, in place of the one that comes.  It goes with what is read."""
        if checkpoint.folder.exists():
            return
        if self._coming:
            other, future = self._coming
            with suppress(OntogenyError):
                future.result()
            self._let_go(other.folder)
            self._coming = None
        self._lent.append(checkpoint.folder)
        self._bring(checkpoint)

    def _let_go(self, *folders: Path) -> None:
        for folder in folders if not self.keep else ():
            disk.remove(folder)

    def _wait_for(self, checkpoint: Checkpoint) -> None:
        if self._coming is None or self._coming[0] != checkpoint:
            self._coming = checkpoint, self._start(checkpoint)
        future, self._coming = self._coming[1], None
        try:
            self._watch(checkpoint, future)
        except Gone:
            raise
        except OntogenyError as error:
            self.broken = error
            raise

    def _watch(self, checkpoint: Checkpoint, future: Future[None]) -> None:
        """Waits until it is here, with a bar of its bytes."""
        with suppress(TimeoutError):
            future.result(SHORT)
            return
        whole = sum(one.file.size for one in self._files(checkpoint))
        with self._display.bar(f"{checkpoint.revision} comes", whole, "bytes") as advance:
            come = 0
            while True:
                advance(-come + (come := _size(checkpoint.folder.parent, whole)))
                with suppress(TimeoutError):
                    future.result(LOOK)
                    advance(whole - come)
                    return

    def _ask_for_next(self, checkpoint: Checkpoint) -> None:
        after = self._wanted[self._wanted.index(checkpoint) + 1 :] if checkpoint in self._wanted else []
        if after:
            self._coming = after[0], self._start(after[0])

    def _start(self, checkpoint: Checkpoint) -> Future[None]:
        """Brings it in a thread that nobody waits for when the program ends."""
        future: Future[None] = Future()

        def work() -> None:
            try:
                self._bring(checkpoint)
                future.set_result(None)
            except BaseException as error:
                future.set_exception(error)

        Thread(target=work, daemon=True).start()
        return future

    def _files(self, checkpoint: Checkpoint) -> list[Bringing]:
        assert checkpoint.revision
        files = files_of(checkpoint.revision.repo, checkpoint.revision.commit, self._listing)
        return files + (code_of(self._code, self._listing) if self._code else [])

    def _bring(self, checkpoint: Checkpoint) -> None:
        if (checkpoint.folder / store.DONE).exists():
            return
        files = self._files(checkpoint)
        with disk.atomic(checkpoint.folder) as temporary:
            temporary.mkdir()
            for one in files:
                self._client.ask(one.repo, lambda api, one=one: self._take(api, one, temporary), TRIES)  # type: ignore[misc]
            disk.remove(temporary / ".cache")  # the client's notes
            store.seal(temporary, {one.file.path: one.file.id for one in files if one.file.large})

    def _take(self, api: Any, one: Bringing, folder: Path) -> None:
        if self.keep:
            there = Path(api.hf_hub_download(one.repo, one.file.path, revision=one.commit))
            (folder / one.file.path).symlink_to(there.resolve())
        else:
            api.hf_hub_download(one.repo, one.file.path, revision=one.commit, local_dir=folder)


def code_of(place: str, listing: Listing) -> list[Bringing]:
    """The files of Python at the top of one commit, REPO@COMMIT."""
    repo, _, commit = place.partition("@")
    return [Bringing(repo, commit, file) for file in listing.tree(repo, commit) if file.path.endswith(".py")]


def _check_room(path: Path, needed: int) -> None:
    """Raises OntogenyError for a disk on which so many bytes have no room."""
    if needed > (free := disk.free_space(path)):
        raise OntogenyError(
            f"the disk of {path} has {disk.human_size(free)} free, and the checkpoints take {disk.human_size(needed)} at once; "
            "make room, or name a folder on a larger disk: --runs"
        )


def _size(folder: Path, most: int) -> int:
    """Bytes of what is coming into a folder."""
    total = 0
    for place, _, names in os.walk(folder):
        if ".tmp" in place:
            for name in names:
                with suppress(OSError):
                    total += (Path(place) / name).stat().st_size
    return min(total, most)
