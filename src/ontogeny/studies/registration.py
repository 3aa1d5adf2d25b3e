"""What a study said before it began: its predictions with a hash and a date, and every later change by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ontogeny.disk import claim, content_key, read_json, write_json
from ontogeny.records import OntogenyError
from ontogeny.studies.arms import changed, comparable
from ontogeny.studies.plan import Study

FILE = "registered.json"
# all names in a study's folder but those that may come before it
NOT_BEFORE = r"(?!(\.lock|\.writer|arms|\.registered\.json\.[\w.-]+\.tmp)$).*"
WHERE_ONLY = ("training.device", "training.threads", "training.save_minutes", "scoring.device", "scoring.batch_tokens")
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Amendment:
    """A change of a study after it began."""

    date: str  # UTC, ISO 8601
    what: tuple[str, ...]  # dotted name: before -> after
    seeds_added: tuple[int, ...]
    hash: str  # of what the study said from then on


@dataclass(frozen=True, slots=True)
class Registration:
    """What a study said when it began, and since."""

    hash: str
    date: str  # UTC, ISO 8601
    changes: tuple[Amendment, ...]

    @property
    def edited(self) -> bool:
        """Whether anything but added seeds was changed."""
        return any(change.what for change in self.changes)

    def says(self) -> list[str]:
        """Sentences for the report."""
        lines = [f"Registered on {self.date} ({self.hash}), before the first arm was run."]
        for change in self.changes:
            if change.seeds_added:
                lines.append(f"Seeds added on {change.date}: {', '.join(map(str, change.seeds_added))}.")
            if change.what:
                lines.append(f"Changed on {change.date}, after it began: {'; '.join(change.what)}.")
        return lines if self.changes else [*lines, "Nothing was changed since."]


def content(study: Study) -> dict[str, Any]:
    """All that a study commits itself to, as plain values.  Where it is computed (device, threads) is no part of it."""
    file = study.file.model_dump(mode="json", exclude_none=True)
    kept = (
        "question",
        "seeds",
        "paradigms",
        "controls",
        "reference",
        "predictions",
        "hypothesis",
        "guards",
        "analysis",
        "expected",
    )
    arms = {arm.name: arm.differences for arm in study.arms}
    return {name: file[name] for name in kept if name in file} | {"recipe": _computed(comparable(study.base)), "arms": arms}


def register(folder: Path, study: Study, clock: Clock = lambda: datetime.now(UTC)) -> Registration:
    """Writes what the study says when it first begins; later, appends what has changed since it was last said.

    Raises OntogenyError if the folder's file is not a registration, or the folder is of no study.
    """
    claim(folder, FILE, f"Choose another name, such as --set name={folder.name}-2, or move it away", NOT_BEFORE)
    path, now, date = folder / FILE, content(study), clock().astimezone(UTC).isoformat(timespec="seconds")
    if not path.exists():
        write_json(path, {"study": study.file.name, "hash": content_key(now), "date": date, "said": now, "changes": []})
    else:
        record = _read(path)
        latest = record["changes"][-1]["said"] if record["changes"] else record["said"]
        if content_key(latest) != content_key(now):
            added, what = _changes(latest, now)
            entry = {"date": date, "hash": content_key(now), "seeds_added": added, "what": what, "said": now}
            write_json(path, record | {"changes": [*record["changes"], entry]})
    return read(folder)


def read(folder: Path) -> Registration:
    """The registration in a study's folder.  Raises OntogenyError if there is none, or its text does not have its hash."""
    path = folder / FILE
    record = _read(path)
    for entry in (record, *record["changes"]):
        if content_key(entry["said"]) != entry["hash"]:
            raise OntogenyError(
                f"{path}: what was said on {entry['date']} does not have the hash {entry['hash']}: the file was edited"
            )
    changes = (Amendment(c["date"], tuple(c["what"]), tuple(c["seeds_added"]), c["hash"]) for c in record["changes"])
    return Registration(record["hash"], record["date"], tuple(changes))


def seeds(folder: Path) -> set[int]:
    """All seeds that a study has said it trains, whenever."""
    record = _read(folder / FILE)
    return {seed for entry in (record, *record["changes"]) for seed in entry["said"]["seeds"]}


def unsaid(folder: Path, study: Study) -> list[str]:
    """What the study says now and did not when it was last registered: for a look before it is run again."""
    record = _read(folder / FILE)
    latest = record["changes"][-1]["said"] if record["changes"] else record["said"]
    added, what = _changes(latest, content(study))
    return [*(f"seed {seed} added" for seed in added), *what]


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[list[int], list[str]]:
    """Seeds that were added, and everything else that differs."""
    added = [seed for seed in after["seeds"] if seed not in before["seeds"]]
    gone = [f"seed {seed} taken out" for seed in before["seeds"] if seed not in after["seeds"]]
    first, second = ({name: value for name, value in said.items() if name != "seeds"} for said in (before, after))
    found = changed(first, second, alike=lambda a, b: len(a) == len(b) > 0 and isinstance(a[0], Mapping))
    return added, gone + [_said(name, *both) for name, both in found.items()]


def _said(name: str, before: Any, after: Any) -> str:
    if before is None or after is None:
        return f"{name} {'added' if before is None else 'taken out'}"
    return f"{name}: {_short(before)} -> {_short(after)}"


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _computed(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe without what decides only where and how fast it is computed."""
    kept = {name: dict(value) if isinstance(value, dict) else value for name, value in recipe.items()}
    for name in WHERE_ONLY:
        part, field = name.split(".")
        kept.get(part, {}).pop(field, None)
    return kept


def _read(path: Path) -> dict[str, Any]:
    record = read_json(path)
    if not isinstance(record, dict) or not {"hash", "date", "said", "changes"} <= set(record):
        raise OntogenyError(f"{path} is no registration of a study")
    return record
