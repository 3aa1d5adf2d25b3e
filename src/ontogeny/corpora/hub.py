"""Text from a data set on the Hugging Face hub, or from a local folder that `datasets` opens, streamed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from ontogeny.corpora.text import Unit, checked, cut, walk
from ontogeny.disk import content_key, missing
from ontogeny.display import visible
from ontogeny.recipe import Kind
from ontogeny.records import Document, OntogenyError
from ontogeny.registry import nearest
from ontogeny.store import file_hash

PROBE = 5.0  # seconds to wait for the hub's first answer; its own client retries for about half a minute
COMMIT = re.compile(r"[0-9a-f]{40}")


class Hub(Kind):
    r"""A corpus that the library `datasets` opens (`pip install "ontogeny[hub]"`).

    Without a network a copy in the cache of `datasets` serves, if there is one; with `revision`, only that commit's.
    """

    kind: Literal["hub"] = "hub"
    name: str
    """A data set on the hub (owner/name), or a local folder of jsonl, parquet, csv or txt."""
    config: str | None = None
    """The data set's configuration; left out: its default."""
    split: str = "train"
    """The split to read."""
    column: str = "text"
    """The column that holds the text."""
    revision: str | None = None
    """A commit, tag or branch; left out: the newest.  Only a commit makes a run repeatable."""
    document: Unit = "line"
    """line: every line of a row that is not blank is a document.  file: every row is."""

    def documents(self) -> Iterator[Document]:
        """Every document, streamed, in the data set's order; `line` is the 1-based row.

        Raises OntogenyError if `datasets` is not installed, the hub cannot be reached, the data set, configuration,
        split or column does not exist, a row holds no text, or there is no document at all.
        """
        empty = True
        for number, row in enumerate(self._rows(), 1):
            place = f"corpus: row {number} of {self.name}"
            if self.column not in row:
                raise OntogenyError(f"{place}: no column {self.column!r}; {nearest(self.column, list(row))}")
            for piece in cut(checked(row[self.column], self.column, place), self.document):
                if piece.strip():
                    empty = False
                    yield Document(piece, self._source(), number)
        if empty:
            raise OntogenyError(f"corpus: {self.name} holds no text in split {self.split!r}: every row is blank")

    def fingerprint(self) -> str:
        """A hash of the settings and of the data: files' bytes if they are local, else the commit.

        Asks the hub which commit is meant unless `revision` is one.  Raises OntogenyError as `documents` does.
        """
        settings = [self.config, self.split, self.column, self.document]
        if folder := self._folder():
            return content_key("hub", settings, sorted([name, file_hash(file)] for name, file in walk(folder)))
        pinned = self.revision is not None and COMMIT.fullmatch(self.revision)
        return content_key("hub", settings, self.name, self.revision if pinned else str(self._builder().hash))

    def _source(self) -> str:
        folder = self._folder()
        return visible(folder.resolve().name if folder else self.name, lines=False)

    def _folder(self) -> Path | None:
        path = Path(self.name).expanduser()
        if path.is_file():
            raise OntogenyError(f"corpus: {path} is a file; read it with --set corpus.kind=text --set corpus.path={path}")
        if not path.is_dir() and (self.name.startswith((".", "/", "~")) or self.name.count("/") > 1):
            raise missing(path, "corpus")
        if path.is_dir() and (wild := sorted(set(str(path.resolve())) & set("*?["))):
            raise OntogenyError(
                f"corpus: `datasets` reads {wild[0]!r} in {path.resolve()} as a pattern and may open other folders; rename it, or "
                f"read it with --set corpus.kind=text --set corpus.path={path}"
            )
        return path if path.is_dir() else None

    def _rows(self) -> Iterator[dict[str, Any]]:
        builder = self._builder()
        with self._explained():
            rows = iter(builder.as_streaming_dataset(split=self.split))
        while True:
            with self._explained():
                row = next(rows, None)
            if row is None:
                return
            yield row

    def _builder(self) -> Any:
        datasets = _datasets()
        if self.name in getattr(datasets.packaged_modules, "_PACKAGED_DATASETS_MODULES", ()) and not self._folder():
            raise OntogenyError(f"corpus: {self.name!r} is a file format of `datasets`, not a data set; name a folder")
        target = str(self._folder() or self.name)
        with self._explained():
            if self._folder():
                with _offline():
                    return datasets.load_dataset_builder(target, self.config)
            if _reachable():
                return self._checked_commit(datasets.load_dataset_builder(target, self.config, revision=self.revision))
            with _offline():
                return self._checked_commit(datasets.load_dataset_builder(target, self.config))

    def _checked_commit(self, builder: Any) -> Any:
        """`datasets` falls back to its cache whenever the hub fails, and then takes whichever revision lies there."""
        cached = ".packaged_modules.cache." in type(builder).__module__
        if cached and self.revision not in (None, builder.hash):
            raise OntogenyError(
                f"corpus: cannot reach the hub, and the cached copy of {self.name!r} is commit {builder.hash}, "
                f"which may not be revision {self.revision!r}; set corpus.revision={builder.hash} to read it"
            )
        return builder

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns whatever `datasets` and the hub's client raise (six families of classes) into our error."""
        try:
            yield
        except OntogenyError:
            raise
        except Exception as error:
            if not self._folder() and (isinstance(error, ConnectionError) or _is_network(error)):
                raise self._unreachable() from error
            where = self.name if self.config is None else f"{self.name}, config {self.config!r}"
            raise OntogenyError(f"corpus: cannot read {where}, split {self.split!r}: {error}") from error

    def _unreachable(self) -> OntogenyError:
        return OntogenyError(
            f"corpus: cannot reach the hub for {self.name!r}, and `datasets` has no copy in its cache. Download it "
            f"where there is a network (hf download {self.name} --repo-type dataset --local-dir FOLDER), then run "
            "again with --set corpus.kind=text --set corpus.path=FOLDER"
        )


def _datasets() -> Any:
    try:
        import datasets
        import datasets.packaged_modules
    except ImportError as error:
        raise OntogenyError(f'corpus: kind hub needs the package `datasets` ({error}); pip install "ontogeny[hub]"') from None
    return datasets


def _reachable() -> bool:
    """Whether the hub answers at all: one request, no retries."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=PROBE)
    except Exception:  # whichever HTTP client the hub's library uses, its errors mean no
        return False
    return True


@contextmanager
def _offline() -> Iterator[None]:
    """No network inside: what HF_HUB_OFFLINE=1 does, which both libraries read only when they are imported."""
    import datasets
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def _is_network(error: BaseException) -> bool:
    from huggingface_hub.errors import LocalEntryNotFoundError

    network = {"TransportError", "ConnectError", "TimeoutException"}  # httpx's, by name: its module's name changes
    return isinstance(error, LocalEntryNotFoundError) or bool(network & {kind.__name__ for kind in type(error).__mro__})
