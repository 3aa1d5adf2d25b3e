"""Files and folders on the disk: names, whole writes or none, what is ours to delete, JSON and tables.

Whatever is written here appears whole or not at all: into a temporary name beside the target, then renamed over it.
Whatever is deleted is known to be ours: by its name, by where it lies, and because the process that wrote it has ended; of what
another machine wrote, because it is a day old by the disk's own clock, and this user's.
Tables are opened here alone, by their names as they stand: polars would take `[1]`, `*` and `?` in a path for a pattern.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from ontogeny import leases, shapes
from ontogeny.records import OntogenyError, said
from ontogeny.registry import nearest

if TYPE_CHECKING:
    import polars as pl

MADE_BY = "made by"  # in the metadata of every table
TABLES = (".parquet", ".csv")  # endings of tables for others
TEMPORARY = re.compile(  # where `atomic` writes: host, process and a random part; a version before told the process alone
    r"\.(?P<target>.+?)\.(?:(?P<host>[\w-]+-[0-9a-f]{6})\.)?(?P<process>\d+)(?:\.[0-9a-f]{6})?\.tmp"
)
FEW = 2**20  # bytes free, with which what the writer of tables calls a broken stream is a full disk
OLD = 86_400.0  # seconds after which what another machine left half written is of no writer any more
PLAIN = re.compile(r"[A-Za-z0-9_-](?:[A-Za-z0-9._-]{0,118}[A-Za-z0-9_-])?")
DEVICES = re.compile(r"(?:con|prn|aux|nul|(?:com|lpt)[0-9])(?:\..*)?", re.IGNORECASE)  # on Windows, whatever the ending
KEPT = 48  # characters of any other name, at most four bytes each
NO_FILES: dict[str, Callable[[Path], bool]] = {
    "a folder": Path.is_dir,
    "a named pipe": Path.is_fifo,
    "a socket": Path.is_socket,
    "a device": lambda path: path.is_char_device() or path.is_block_device(),
}


def file_name(name: str, apart: Any = None) -> str:
    """A file's name made of anybody's name: safe on every file system, readable, and another one for every name.

    A name of at most 120 ASCII letters, digits, dots, `_` and `-` stays as it is.  Of any other as many letters stay as fit, then
    come `~`, which no other name has, and its hash.  `apart`: what tells it from others that would have this name, or this name
    but for its capitals, which some file systems take for the same; then the hash is of that.

    >>> file_name("wh_island"), file_name("../wh island")
    ('wh_island', 'wh-island~c40467d28e48')
    """
    if apart is None and PLAIN.fullmatch(name) and not DEVICES.fullmatch(name):
        return name
    kept = re.sub(r"[^\w-]+", "-", unicodedata.normalize("NFC", name)).strip("-")[:KEPT]
    return f"{kept or 'name'}~{content_key(name if apart is None else apart)[:12]}"


def content_key(*parts: Any) -> str:
    """16 hex digits that change when any part does: settings, fingerprints, records (anything JSON can say)."""
    text = json.dumps(parts, sort_keys=True, default=plain)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def plain(value: Any) -> Any:
    """What JSON has no name for, as what it has: models and records by their fields, paths by their names."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return said(value)
    return str(value)


def missing(path: Path, what: str) -> OntogenyError:
    """The error for a path that is not there: names what is there, at the nearest folder that exists."""
    absent = path.absolute()
    while not absent.parent.is_dir():
        absent = absent.parent
    beside = sorted(item.name for item in absent.parent.iterdir() if not item.name.startswith("."))
    likely = get_close_matches(absent.name, beside, n=12, cutoff=0.0)
    hint = nearest(absent.name, likely) if beside else "that folder is empty"
    return OntogenyError(f"{what}: {path} does not exist (looked in {absent.parent}); {hint}")


def no_file(path: Path) -> OntogenyError:
    """The error for what has a file's name and is none: a named pipe or a device may have no end."""
    kind = next((name for name, known in NO_FILES.items() if known(path)), "a link to nothing")
    return OntogenyError(f"{path} is {kind} and no file; move it away, or name a file")


def caches() -> Path:
    """Where this program keeps what it can make again at any time and is about no run: XDG_CACHE_HOME, or ~/.cache."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ontogeny"
    except RuntimeError:  # who has no home, as in some containers, keeps nothing
        return Path(os.devnull) / "ontogeny"


@contextmanager
def atomic(target: Path, mark: str | None = None) -> Iterator[Path]:
    """A temporary path beside `target` to write a file or folder at; renamed over `target` if the block ends well.

    `mark`: a file in the folder that is written; an older folder without it is not ours, and is not replaced.
    Raises OntogenyError if the disk is full or nothing can be written there, the latter before the block; what was there stays.
    """
    if mark:
        claim(target, mark, "Move it away, or name another folder")
    temporary = _place_beside(target)
    try:
        yield temporary
        with access(target, "written"):
            _put(temporary, target)
    except Exception as error:
        if says_full(error) or (type(error).__module__.startswith("polars") and free_space(target) < FEW):
            raise disk_full(target) from error
        raise
    finally:
        remove(temporary)


def _place_beside(target: Path) -> Path:
    """A temporary name beside `target`, where a file can be made.  Raises OntogenyError where none can."""
    temporary = target.absolute().with_name(_temporary(target.name))  # absolute: polars reads `~` and `s3:` in front
    with access(target, "written"):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        temporary.unlink()
    return temporary


def _temporary(name: str) -> str:
    """A name that no other process on any machine has, nor this one twice."""
    return f".{name}.{leases.host()}.{os.getpid()}.{secrets.token_hex(3)}.tmp"


def check_output(path: Path, overwrite: bool = False, endings: Sequence[str] = (), mend: str = "say --overwrite") -> None:
    """Before long work for a file: raises OntogenyError if that cannot be written, or is there and not of this program's making.

    `endings`: those that the file may have.  `overwrite`: whatever is there may go; `mend`: how that is said.
    """
    if path.is_dir():
        raise OntogenyError(f"{path} is a folder; name a file in it, such as {path / ('table' + next(iter(endings), ''))}")
    if endings and path.suffix.lower() not in endings:
        kind = path.suffix or "a name without an ending"
        raise OntogenyError(f"{path}: it is written as {' or '.join(endings)}, and not as {kind}")
    if path.exists() and not overwrite and not _made_here(path):
        raise OntogenyError(f"{path} is there already, and nothing in it says that ontogeny made it; name another file, or {mend}")
    _place_beside(path)


def _made_here(path: Path) -> bool:
    """True for a table that `write_table` wrote: only parquet has room to say so."""
    import polars as pl

    try:
        return MADE_BY in pl.read_parquet_metadata(path.absolute())
    except (OSError, pl.exceptions.PolarsError):
        return False


def _put(temporary: Path, target: Path) -> None:
    """Renames over what is there.  A folder cannot be renamed over a full one, which is first put aside."""
    if not (temporary.is_dir() and target.is_dir()):
        temporary.replace(target)
        return
    aside = temporary.with_name(_temporary(f"{target.name}.old"))
    target.rename(aside)
    temporary.replace(target)
    remove(aside)


@contextmanager
def access(path: Path, how: Literal["read", "written"]) -> Iterator[None]:
    """What the system says when it refuses a path, or what is no text in UTF-8, as one error for people."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise OntogenyError(f"{path} is not UTF-8 (byte {error.object[error.start]:#04x}: {error.reason})") from None
    except OSError as error:
        if says_full(error):
            raise disk_full(path) from error
        what_to_do = "; have the permissions there changed, or work in another place or on a copy" if how == "written" else ""
        raise OntogenyError(f"{path} cannot be {how} ({(error.strerror or str(error)).lower()}){what_to_do}") from error


def says_full(error: BaseException) -> bool:
    """True for a full disk, of which safetensors and polars speak in errors of their own."""
    return getattr(error, "errno", None) == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(error)


def claim(folder: Path, mark: str, advice: str, matters: str = ".*") -> None:
    """Raises OntogenyError for a folder of somebody else's: it holds a name that matters (a pattern) but not our file `mark`."""
    if any(re.fullmatch(matters, name, re.DOTALL) for name in names_in(folder)) and not (folder / mark).exists():
        raise not_ours(folder, f"no {mark}", advice)


def not_ours(folder: Path, lacks: str, advice: str) -> OntogenyError:
    """The error for a folder that is somebody else's."""
    return OntogenyError(
        f"{folder} is there already and was not made by ontogeny ({lacks} in it); nothing in it was touched. {advice}"
    )


def names_in(folder: Path) -> list[str]:
    """Names in a folder; none where there is no folder yet.  Raises OntogenyError if something else is there."""
    with access(folder, "written"), suppress(FileNotFoundError):
        return sorted(path.name for path in folder.iterdir())
    return []


def remove(path: Path) -> None:
    """Deletes a temporary file or folder of ours with all in it, if it is there; of a link, the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def stands_for(name: str) -> str:
    """The name that a temporary one stands for; any other as it is."""
    found = TEMPORARY.fullmatch(name)
    return found["target"].removesuffix(".old") if found else name


def without_left_overs(place: Path, names: list[str]) -> list[str]:
    """Deletes temporary files and folders that no process writes any more; returns the names that are not temporary."""
    for found in filter(None, map(TEMPORARY.fullmatch, names)):
        if _is_left_over(place / found[0], found["host"], int(found["process"])):
            with suppress(OSError):  # somebody else's, or gone
                remove(place / found[0])
    return [name for name in names if not TEMPORARY.fullmatch(name)]


def _is_left_over(path: Path, host: str | None, process: int) -> bool:
    """True if nobody writes there any more: the process has ended, or of another machine's, it is old, and this user's."""
    if host in (None, leases.host()):
        return not leases.is_alive(process)
    try:
        about = path.lstat()
        return about.st_uid == os.getuid() and _disk_time(path.parent) - about.st_mtime > OLD
    except (OSError, AttributeError):  # gone, or a system without owners
        return False


def _disk_time(folder: Path) -> float:
    """Now, as the disk has it: machines that share one may not agree."""
    probe = folder / _temporary("now")
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()


def disk_full(target: Path, needed: int | None = None) -> OntogenyError:
    """The error for a disk with no room: where, how much is free, how much would be needed."""
    free = shutil.disk_usage(_existing(target)).free
    need = f", {human_size(needed)} needed" if needed is not None else ""
    return OntogenyError(
        f"the disk is full: writing {target} ({human_size(free)} free{need}); make room and run again, nothing is lost"
    )


def free_space(path: Path) -> int:
    """Bytes free on the disk that `path` is, or will be, on."""
    return shutil.disk_usage(_existing(path)).free


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def human_size(size: float) -> str:
    """Bytes as people say them: 1.5 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if size < 100 else f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def write_json(path: Path, value: Any) -> None:
    """Writes JSON that people can read, atomically; half a surrogate pair, as in names of files that are not UTF-8, is escaped."""
    text = json.dumps(value, indent=2, default=plain, ensure_ascii=False) + "\n"
    with atomic(path) as temporary:
        temporary.write_bytes(text.encode(errors="backslashreplace"))


def read_json(path: Path) -> Any:
    """Reads JSON.  Raises OntogenyError that names the file if it is missing, broken or not what its place in a run holds."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OntogenyError(f"{path} does not exist") from None
    except json.JSONDecodeError as error:
        raise OntogenyError(f"{path}:{error.lineno}: not valid JSON ({error.msg})") from None
    except (OSError, ValueError, RecursionError) as error:
        raise OntogenyError(f"{path} cannot be read as JSON ({getattr(error, 'strerror', None) or error})") from None
    shapes.check_json(path, found)
    return found


def write_table(path: Path, frame: pl.DataFrame, metadata: dict[str, str] | None = None) -> None:
    """Writes a parquet file atomically, with string metadata (such as the hash of the weights that were scored)."""
    with atomic(path) as temporary:
        frame.write_parquet(temporary, metadata=(metadata or {}) | {MADE_BY: "ontogeny"})


def keep_table(path: Path, frame: pl.DataFrame, metadata: dict[str, str]) -> None:
    """As `write_table`, unless the same table is there: what only reads a run changes nothing in it."""
    try:
        same = path.exists() and table_metadata(path) == metadata and read_table(path).equals(frame)
    except OntogenyError:
        same = False  # broken: it is made anew
    if not same:
        write_table(path, frame, metadata)


def read_csv(path: Path, separator: str = ",", texts: Sequence[str] = ()) -> pl.DataFrame:
    """A CSV file by its name as it stands; `texts`: columns that are no numbers, whatever they look like.

    Raises what polars raises: such tables are somebody else's.
    """
    import polars as pl

    kinds = dict.fromkeys(texts, pl.String)
    return pl.read_csv(path.absolute(), separator=separator, schema_overrides=kinds, infer_schema_length=None, glob=False)


def export_table(path: Path, frame: pl.DataFrame) -> None:
    """Writes a table for others, atomically: parquet or CSV, by the name's end.

    In CSV a list or a record is JSON in its field, as a field holds one value.
    """
    if path.suffix.lower() == ".csv":
        flat = frame.with_columns(_as_json(column) for column in frame if column.dtype.is_nested())
        with atomic(path) as temporary:
            flat.write_csv(temporary)
    else:
        write_table(path, frame)


def _as_json(column: pl.Series) -> pl.Series:
    import polars as pl

    plain = (value.to_list() if isinstance(value, pl.Series) else value for value in column)
    return pl.Series(column.name, [None if value is None else json.dumps(value) for value in plain], dtype=pl.String)


def read_table(path: Path) -> pl.DataFrame:
    """Reads a parquet file.  Raises OntogenyError that names it if it is missing, broken or not what its place in a run holds."""
    import polars as pl

    with _parquet(path):
        found = pl.read_parquet(_absolute(path), glob=False)
    shapes.check_table(path, found.schema)
    shapes.check_values(path, found)
    return found


def scan_table(path: Path) -> pl.LazyFrame:
    """A parquet file, lazily.  Raises as `read_table` does, but of rows knows nothing yet."""
    import polars as pl

    if not path.exists():
        raise OntogenyError(f"{path} does not exist")
    with _parquet(path):
        found = pl.scan_parquet(_absolute(path), glob=False)
        schema = found.collect_schema()
    shapes.check_table(path, schema)
    return found


def scan_tables(places: Mapping[tuple[int, int], Path]) -> pl.LazyFrame:
    """Tables of one shape by seed and step, lazily, as one with these columns at its end.  Raises as `scan_table` of the first.

    One scan of many files, as a union of as many scans takes a hundred times as long; `collected` says which of them is broken.
    """
    import polars as pl

    for path in list(places.values())[:1]:
        scan_table(path)
    files = list(map(_absolute, places.values()))
    moments = pl.LazyFrame([files, *zip(*places, strict=True)], {"of file": pl.String, "seed": pl.Int64, "step": pl.Int64})
    found = pl.scan_parquet(files, glob=False, include_file_paths="of file")
    return found.join(moments, on="of file", how="left", maintain_order="left").drop("of file")


class LaidDown:
    """Tables by name, of which parts come one after the other: in memory while they are few, else in a temporary file."""

    def __init__(self, most: int):
        """`most`: bytes in memory."""
        self._file = tempfile.SpooledTemporaryFile(max_size=most)  # noqa: SIM115 - closed as this is
        self._places: dict[str, list[tuple[int, int]]] = {}  # of each part, where it begins and how long it is, in bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    @property
    def names(self) -> list[str]:
        """In order."""
        return sorted(self._places)

    def add(self, name: str, part: pl.DataFrame) -> None:
        """Further rows of one table."""
        data = part.write_ipc_stream(None, compression="lz4").getbuffer()
        with access(Path(tempfile.gettempdir()), "written"):
            self._places.setdefault(name, []).append((self._file.seek(0, os.SEEK_END), len(data)))
            self._file.write(data)

    def table(self, name: str) -> pl.DataFrame:
        """All rows, in the order in which they came."""
        import polars as pl

        parts = []
        for begin, length in self._places[name]:
            self._file.seek(begin)
            parts.append(pl.read_ipc_stream(self._file.read(length)))
        return pl.concat(parts, how="diagonal", rechunk=True)


def collected(frame: pl.LazyFrame) -> pl.DataFrame:
    """Reads what stands for tables that were scanned.  Raises as `read_table` does, for the file that is broken inside."""
    import polars as pl

    try:
        return frame.collect()
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        scanned = map(Path, map(os.fsdecode, re.findall(rb"/[^\0]*?\.parquet", frame.serialize())))  # polars names none of many
        for path in filter(Path.exists, scanned):
            read_table(path)
        raise OntogenyError(f"a table cannot be read ({' '.join(str(error).split())[:200]})") from None


def table_metadata(path: Path) -> dict[str, str]:
    """The metadata that `write_table` stored."""
    import polars as pl

    with _parquet(path):
        found = pl.read_parquet_metadata(_absolute(path))
    return {key: value for key, value in found.items() if key != MADE_BY and not key.startswith("ARROW")}


def _absolute(path: Path) -> str:
    """Polars reads `~` and `s3:` in front."""
    return str(path if path.is_absolute() else path.absolute())


@contextmanager
def _parquet(path: Path) -> Iterator[None]:
    """What polars says of a file that is no parquet, or may not be read, as one error; what is no file may never end."""
    import polars as pl

    if not path.is_file() and path.exists():
        raise OntogenyError(f"{path} cannot be read as parquet (it is no file){shapes.remedy(path)}")
    try:
        yield
    except FileNotFoundError:
        raise OntogenyError(f"{path} does not exist") from None
    except (OSError, ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        said = " ".join(str(error).split())[:200]
        raise OntogenyError(f"{path} cannot be read as parquet ({said}){shapes.remedy(path)}") from None
