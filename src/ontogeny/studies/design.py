"""What is wrong with a design though each arm is right: arms that are one, tokenizers that differ, outcomes without room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from ontogeny.disk import content_key
from ontogeny.interventions.kinds import CorpusEdit
from ontogeny.laboratory import Run
from ontogeny.pages.words import count, listed
from ontogeny.records import OntogenyError
from ontogeny.results import Results
from ontogeny.store import RunFolder, file_hash
from ontogeny.studies.arms import comparable
from ontogeny.studies.comparing import tokenizer
from ontogeny.studies.plan import Arm, Study
from ontogeny.trajectories.timeline import windows

FLOOR, CEILING = 0.05, 0.95  # accuracies of the reference beyond which a change in one direction cannot be seen
ACCURACIES = ("early_accuracy", "late_accuracy")


def check_made(study: Study, folder: Path | None = None) -> None:
    """Raises OntogenyError for arms that would be trained alike, and for arms whose tokenizers differ though none says so.

    What decides is what the arms' texts came out as, not what was asked for: an edit may run out of words.  They are looked at in
    `folder`, where each arm was made ready; without one they are made in a folder that is then deleted.
    """
    if folder is not None:
        _check({arm.name: Run(folder / "arms" / arm.slug) for arm in study.arms}, study)
        return
    with TemporaryDirectory() as temporary:
        _check({arm.name: Run.begin(arm.recipe, temporary) for arm in study.arms}, study)


def doubts(study: Study, earlier: Sequence[RunFolder] = ()) -> list[str]:
    """What keeps a study from deciding whatever comes out, a sentence each.  `earlier`: runs as the reference will be."""
    return [*_few_seeds(study), *_no_room(study, earlier)]


# --- from texts -----------------------------------------------------------------------------------------------------


def _check(runs: Mapping[str, Run], study: Study) -> None:
    base = study.arm(study.file.reference)
    words = {arm.name: _tokenizer(runs[arm.name]) for arm in study.arms}
    if other := [arm.name for arm in study.arms if words[arm.name] != words[base.name] and not _says_so(arm)]:
        raise OntogenyError(
            f"{study.source}: {count(len(other), 'arm')} ({listed(other, 4)}) with another tokenizer than {base.name!r}, each "
            "learned from its own text, so that a seed's first weights are not the same; give the recipe one that is learned from "
            "a text of its own: tokenizer: {kind: word, text: {kind: ..., ...}}"
        )
    known: dict[str, str] = {}
    for arm in study.arms:
        first = known.setdefault(_training(arm, runs[arm.name]), arm.name)
        if first != arm.name:
            raise OntogenyError(
                f"{study.source}: arms {first!r} and {arm.name!r} cannot be told apart: their texts came out the same, token for "
                "token, as an edit that runs out of words does; leave one of them out"
            )


def _says_so(arm: Arm) -> bool:
    return any(name.split(".")[0] == "tokenizer" for name in arm.differences)


def _tokenizer(run: Run) -> str | None:
    run.text  # makes it, if it is not there  # noqa: B018
    return tokenizer(run.folder)


def _training(arm: Arm, run: Run) -> str:
    """A hash of all that decides an arm's training: its text as it came out, and its recipe without what made the text."""
    plain = comparable(arm.recipe)
    others = [part.model_dump(mode="json") for part in arm.recipe.interventions if not isinstance(part, CorpusEdit)]
    texts: list[list[object]] = []
    for stream in run.streams:
        path = stream.text.path
        own = stream.text.facts.get("hashes", {}).get(path.name) or file_hash(path)
        if texts and texts[-1][1] == own:
            texts.pop()
        texts.append([stream.until, own])
    return content_key({key: value for key, value in plain.items() if key not in ("corpus", "interventions")}, others, texts)


# --- from numbers ---------------------------------------------------------------------------------------------------


def _few_seeds(study: Study) -> list[str]:
    names = list(study.file.predictions)
    if len(study.file.seeds) > 1 or not names:
        return []
    return [
        f"one seed: {listed(names, 6)} {'asks' if len(names) == 1 else 'ask'} for a decision over seeds, and one has no interval"
    ]


def _no_room(study: Study, earlier: Sequence[RunFolder]) -> list[str]:
    """Accuracies that predictions are about and that the reference leaves no room to move in, or that nobody has looked at."""
    asked = {p.measure: name for name, p in reversed(study.file.predictions.items()) if p.measure in ACCURACIES}
    if not asked:
        return []
    means = pl.concat([frame for run in earlier for frame in _accuracies(run, study.file.paradigms)] or [pl.DataFrame()])
    if means.is_empty():
        return [f"whether the reference leaves {listed(list(asked), 2)} room to move is not known; give earlier runs (--from)"]
    found = means.group_by("paradigm", maintain_order=True).agg(pl.col(*ACCURACIES).mean()).to_dicts()
    return [line for row in found for measure, name in asked.items() for line in _bound(name, measure, row)]


def _bound(prediction: str, measure: str, row: Mapping[str, float | str | None]) -> Iterable[str]:
    value = row[measure]
    if isinstance(value, float) and not FLOOR < value < CEILING:
        where, what = ("floor", "fall") if value <= FLOOR else ("ceiling", "rise")
        yield (
            f"{prediction}: {measure} of {row['paradigm']} is {value:.2f} in the reference, at its {where}, where no {what} can be "
            f"seen and arms that are different are alike; predict {measure.replace('accuracy', 'margin')}"
        )


def _accuracies(run: RunFolder, paradigms: Sequence[str]) -> Iterable[pl.DataFrame]:
    """A run's mean early and late accuracy by paradigm, as the verdicts weigh checkpoints; nothing of a run without curves."""
    if not run.curves.exists():
        return
    results = Results(run)
    for _, own in results.curves.filter(pl.col("paradigm").is_in(list(paradigms))).group_by("suite", maintain_order=True):
        view = windows(results.timeline(own), results.thresholds)
        weights = pl.DataFrame({"step": view.steps, "early": view.early_weights, "late": view.late_weights})
        means = [(pl.col("accuracy") * pl.col(w)).sum().alias(f"{w}_accuracy") for w in ("early", "late")]
        yield own.join(weights, on="step").group_by("paradigm", "seed").agg(*means)
