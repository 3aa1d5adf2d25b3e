"""What keeps a study of cures honest: an exam that is opened once, mirrors together, a washout, and no suite's words in the text.

A study with `guards` splits its paradigms within each phenomenon by a hash of their names, mirrors together.  It is decided on the
development half; the exam half is in no table and on no page until `ontogeny study open` has opened it, once, with date and hash.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from ontogeny.disk import content_key, read_json, write_json
from ontogeny.estimators.means import accuracy
from ontogeny.interventions.counter_evidence import ReadsMore
from ontogeny.interventions.kinds import CorpusEdit, Objective
from ontogeny.records import OntogenyError, Suite
from ontogeny.store import RunFolder
from ontogeny.studies import registration
from ontogeny.studies.gathering import StudyFrames
from ontogeny.studies.measures import Measures
from ontogeny.studies.plan import Arm, Guards, Study
from ontogeny.studies.running import missing
from ontogeny.suites import grams, grams_of
from ontogeny.suites.blimp import AGREEMENT
from ontogeny.trajectories.timeline import ROUNDING

FILE = "exam.json"  # in a study's folder, once the exam was opened
PHENOMENON = {name: phenomenon for (phenomenon, _), names in AGREEMENT.items() for name in names}


def halves(paradigms: Iterable[str], mirrors: Sequence[Sequence[str]]) -> dict[str, str]:
    """Each paradigm's half, development or exam; it does not depend on which others there are.

    BLiMP's 67: in each phenomenon every other one in the order of the hashes of their names, mirrors as one.  Others: by the hash.
    """
    unit = {name: group[0] for group in mirrors for name in group}
    firsts = sorted({unit.get(name, name) for name in PHENOMENON}, key=lambda name: (PHENOMENON.get(name, ""), _hash(name)))
    turn = {name: number for number, name in enumerate(firsts)}
    first = {name: unit.get(name, name) for name in paradigms}
    return {name: ("development", "exam")[turn.get(own, _hash(own)) % 2] for name, own in first.items()}


def _hash(name: str) -> int:
    return int(sha256(name.encode()).hexdigest(), 16)


def check(study: Study) -> None:
    """Raises OntogenyError for a design that looks at its exam, or whose arms do not end plain."""
    if study.file.guards is None:
        return
    asked = {f"predictions.{name}": p.paradigms for name, p in study.file.predictions.items() if not isinstance(p.paradigms, str)}
    asked |= {"paradigms": study.file.paradigms, "controls": study.file.controls or (), "guards.stuck": study.file.guards.stuck}
    asked |= {f"arm {arm.name!r}: alarms": _alarms(arm) for arm in study.arms}
    for where, names in asked.items():
        if held := [name for name, half in halves(names, study.file.guards.mirrors).items() if half == "exam"]:
            raise OntogenyError(
                f"{study.source}: {where}: {held[0]} is held back for the exam, which is opened once and at the end; take one of "
                "the development half, or ask of all of the exam: paradigms: exam"
            )
    for arm in study.arms:
        for part in arm.recipe.interventions:
            _check_washout(study, arm, part, 1 - study.file.guards.washout)
            if study.file.guards.held_out_words and _looks_at_all_words(part):
                raise OntogenyError(
                    f"{study.source}: arm {arm.name!r}: {part.kind} looks at every word, and some are held out; set words: half"
                )


def check_fresh(study: Study, root: Path) -> None:
    """Raises OntogenyError for a confirmation with seeds that the studies under `root` that it confirms have used."""
    for name in (study.file.guards and study.file.guards.confirms) or ():
        if not (root / name / registration.FILE).exists():
            raise OntogenyError(f"{study.source}: guards.confirms: no study {name!r} is registered under {root}")
        if used := sorted(registration.seeds(root / name).intersection(study.file.seeds)):
            raise OntogenyError(
                f"{study.source}: seeds {', '.join(map(str, used))} chose in {name} what is to be confirmed here; take others"
            )


def _alarms(arm: Arm) -> tuple[str, ...]:
    return tuple(name for part in arm.recipe.interventions for name in getattr(part, "alarms", ()))


def _looks_at_all_words(part: Any) -> bool:
    return bool(getattr(part, "alarms", None)) and part.words == "all"


def _check_washout(study: Study, arm: Arm, part: Any, end: float) -> None:
    """Objectives of the context alone leave the optimum where it is; others have to be gone by the end, as edits have."""
    lasting = isinstance(part, CorpusEdit | ReadsMore) and part.when.until > end
    tilted = isinstance(part, Objective) and not part.context_only and getattr(part, "pace", "fixed") == "fixed"
    if end < 1 and (lasting or tilted):
        mend = f"set when.until to {end:g} or less" if lasting else "set pace: linear"
        raise OntogenyError(
            f"{study.source}: arm {arm.name!r}: {part.kind} holds beyond {end:.0%} of training, and what it does would be read "
            f"while it lasts; {mend}, or guards.washout: 0"
        )


def check_texts(study: Study, folder: Path) -> None:
    """Raises OntogenyError for added or changed text that shares 8 words in a row with a suite, with file and line."""
    if study.file.guards is None:
        return
    known: dict[str, str] = {}
    for part in study.base.suites:
        suite = cast(Suite, part)
        known.update({gram: f"{suite.name}, {paradigm}" for gram, paradigm in grams_of(suite.pairs()).items()})
    for arm in study.arms:
        for path in sorted(RunFolder(folder / "arms" / arm.slug).interventions.parent.glob("*.jsonl")):
            for line, text in _added(path):
                if gram := next((gram for gram in grams(text) if gram in known), None):
                    raise OntogenyError(
                        f"{path}:{line}: arm {arm.name!r} adds {gram!r}, which stands in {known[gram]}: a model would be taught "
                        "the exam's own words; leave that text out"
                    )


def _added(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            told = json.loads(line)
            if isinstance(told.get("text"), str) and "removed" not in told:
                yield number, told["text"]


# --- the exam -------------------------------------------------------------------------------------------------------


def opened(folder: Path) -> dict[str, Any] | None:
    """When the exam was opened and of what; None while it is closed."""
    path = folder / FILE
    return cast(dict[str, Any], read_json(path)) if path.exists() else None


def open_exam(study: Study, folder: Path) -> dict[str, Any]:
    """Opens the exam, once.  Raises OntogenyError for a study without guards, one that is not whole, or one that was opened."""
    if study.file.guards is None:
        raise OntogenyError(f"{study.source} has no guards, and so no exam: write guards: {{}} before it is registered")
    if before := opened(folder):
        raise OntogenyError(f"the exam of {folder} was opened on {before['date']}, and is opened once")
    if todo := missing(study, folder):
        raise OntogenyError(
            f"{len(todo)} trainings of {folder} are missing, the first {todo[0].arm.name!r} with seed {todo[0].seed}; the exam is "
            f"opened when all is there: ontogeny study run {study.source}"
        )
    said = registration.read(folder)
    record = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "registered": said.hash, "arms": len(study.arms)}
    record["hash"] = content_key(record)
    write_json(folder / FILE, record)
    return record


def seen(study: Study, folder: Path, frames: StudyFrames) -> StudyFrames:
    """The frames as they may be looked at: without the exam's paradigms until it was opened."""
    if study.file.guards is None or opened(folder):
        return frames
    own = halves(frames.curves["paradigm"].unique().to_list(), study.file.guards.mirrors)
    exam = [name for name, half in own.items() if half == "exam"]
    names = ("curves", "outcomes", "verdicts", "evidence")
    return replace(frames, **{name: getattr(frames, name).filter(~pl.col("paradigm").is_in(exam)) for name in names})


def exam_of(guards: Guards | None, known: Iterable[str]) -> list[str]:
    """The exam's paradigms among those that were read; none while it is closed."""
    return [name for name, half in halves(known, guards.mirrors if guards else ()).items() if half == "exam"]


def together(guards: Guards | None, paradigms: Sequence[str]) -> list[list[str]]:
    """Paradigms as they are judged: mirrors as one, by their mean."""
    unit = {name: group[0] for group in (guards.mirrors if guards else ()) for name in group}
    found: dict[str, list[str]] = {}
    for name in paradigms:
        found.setdefault(unit.get(name, name), []).append(name)
    return list(found.values())


# --- how far a stuck paradigm came ----------------------------------------------------------------------------------


def reached(study: Study, measures: Measures) -> list[dict[str, Any]]:
    """Each arm and stuck paradigm: right where the late accuracy's interval is above one half, wrong below, else neutral.

    A tilt makes neutral; only a paradigm that crossed is right.
    """
    found = []
    for name in study.file.guards.stuck if study.file.guards else ():
        if name not in measures.paradigms:
            continue
        values = measures.values("late_accuracy", name)
        for arm, sums in zip(values.arms, values.sums, strict=True):
            kept = sums[~np.isnan(sums).any(axis=1)]
            if len(kept):
                own = accuracy(kept, values.sizes)
                low, high = map(float, own.interval(study.file.analysis.confidence))
                state = "right" if low > 0.5 else "wrong" if high < 0.5 else "neutral"
                found.append({"arm": arm, "paradigm": name, "mean": float(own.value), "low": low, "high": high, "state": state})
    return found


def equal(study: Study, frames: StudyFrames) -> list[dict[str, Any]]:
    """Each arm beside the reference at equal tokens and at equal seconds, by the stuck set's accuracy and the dev loss.

    An arm that trains longer by the clock is read at the newest checkpoint at which it had trained for as long as the reference
    did in all, its seconds spread evenly over its steps.
    """
    spent = {row["arm"]: row for row in frames.costs.group_by("arm").agg(pl.col("tokens", "seconds").mean()).to_dicts()}
    if (base := spent.get(study.file.reference)) is None:
        return []
    found: list[dict[str, Any]] = []
    for arm in (one.name for one in study.arms if one.name in spent):
        times = {name: spent[arm][name] / base[name] for name in ("tokens", "seconds") if base[name]}
        ends = {"whole": 1.0, "same": min(1.0, 1 / times.get("seconds", 1.0))}
        read = {name: (_stuck_at(study, frames, arm, share), _loss_at(frames, arm, share)) for name, share in ends.items()}
        found.append({"arm": arm, "times": times} | read)
    return found


def _until(frame: pl.DataFrame, arm: str, share: float) -> pl.DataFrame:
    """The rows of an arm's newest checkpoints in the first share of its training."""
    own = frame.filter(arm=arm).filter(pl.col("step") <= pl.col("step").max().over("seed") * share + ROUNDING)
    return own.filter(pl.col("step") == pl.col("step").max().over("seed"))


def _stuck_at(study: Study, frames: StudyFrames, arm: str, share: float) -> float | None:
    stuck = study.file.guards.stuck if study.file.guards else ()
    means = dict(_until(frames.curves, arm, share).group_by("paradigm").agg(pl.col("accuracy").mean()).iter_rows())
    units = [[means[name] for name in unit if name in means] for unit in together(study.file.guards, stuck)]
    return float(np.mean([np.mean(own) for own in units if own])) if any(units) else None


def _loss_at(frames: StudyFrames, arm: str, share: float) -> float | None:
    return cast(float | None, _until(frames.losses.drop_nulls("dev_loss"), arm, share)["dev_loss"].mean())


def told(study: Study, folder: Path, measures: Measures) -> dict[str, Any]:
    """What the page says of them: the exam's state, how far stuck paradigms came, and at what cost; empty without guards."""
    if study.file.guards is None:
        return {}
    record = opened(folder)
    exam = (
        f"The exam was opened on {record['date']} (hash {record['hash']}), on what was registered as {record['registered']}."
        if record
        else "The exam half is closed: its paradigms are in no figure and no table until ontogeny study open."
    )
    fresh = f"Seeds are other than those of {', '.join(names)}, which it confirms." if (names := study.file.guards.confirms) else ""
    words = "Pairs are judged at words that no intervention looked at." if study.file.guards.held_out_words else ""
    return {
        "says": [line for line in (exam, fresh, words) if line],
        "rows": reached(study, measures),
        "equal": equal(study, measures.frames),
        "washout": f"{study.file.guards.washout:.0%}",
    }
