"""A study from its file, with its arms made and its names checked, and back into a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ontogeny import recipe as recipes
from ontogeny import yaml_text
from ontogeny.recipe import Part
from ontogeny.records import OntogenyError
from ontogeny.registry import nearest
from ontogeny.studies.arms import make_arms
from ontogeny.studies.plan import Arm, ArmTemplate, Prediction, Study, StudyFile


def load(path: Path | str, settings: tuple[str, ...] = ()) -> Study:
    """Reads a study file and makes its arms; `settings` are laid over the recipe of all arms, after the file's own.

    Raises OntogenyError that names file, line and nearest word, also for arms whose recipes cannot be had.
    """
    return parse(recipes.text_of(path, "study"), str(path), Path(path).parent, settings)


def parse(text: str, source: str = "study", beside: Path | str = ".", settings: tuple[str, ...] = ()) -> Study:
    """A study from YAML text; recipes are looked for in the folder `beside`.  Raises OntogenyError as `load` does."""
    raw = yaml_text.values(text, source)
    for name, part in (("arms", ArmTemplate), ("predictions", Prediction)):
        if isinstance(raw.get(name), list | dict):
            _build_entries(raw[name], part, source)
    if settings:
        raw["settings"] = [*(raw.get("settings") or ()), *settings]
    file: StudyFile = recipes.build(StudyFile, raw, source)
    file, base, arms = make_arms(file, raw, source, Path(beside))
    study = Study(source, file, base, arms)
    _check(study)
    return study


def dump(study: Study) -> str:
    """The study as YAML with every default and its recipes written out: what `parse` reads back to the same arms."""
    stream = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 120
    yaml.dump(study.file.model_dump(mode="json", exclude_none=True), stream)
    return stream.getvalue()


def _build_entries(entries: Any, part: type[Part], source: str) -> None:
    """Builds each entry in place, so that its mistakes are told with their own lines."""
    for key, entry in entries.items() if isinstance(entries, dict) else enumerate(entries):
        if isinstance(entry, dict):
            try:
                entries[key] = recipes.build(part, entry, source)
            except OntogenyError as error:
                raise OntogenyError(f"{error} ({entry.get('name', key)})") from None


def _check(study: Study) -> None:
    """Raises OntogenyError for names that a study speaks of and does not have."""
    study.arm(study.file.reference)
    names = [arm.name for arm in study.arms]
    for key, prediction in study.file.predictions.items():
        study.arm(study.base_of(prediction))
        arms = study.arms_of(prediction)
        for pattern in prediction.arms:
            if not study.names_meant(pattern):
                raise OntogenyError(f"{study.source}: {key}.arms: no arm is called {pattern!r}; {nearest(pattern, names)}")
        if len(arms) < 2:
            raise OntogenyError(f"{study.source}: {key}.arms has the reference alone; name an arm to compare it with")
        if prediction.over not in (None, "bigram_margin"):
            _check_factor(study, key, str(prediction.over), arms)


def _check_factor(study: Study, key: str, factor: str, arms: tuple[Arm, ...]) -> None:
    known = sorted({name for arm in study.arms for name in arm.factors})
    if factor not in known:
        hint = nearest(factor, ["bigram_margin", *known])
        raise OntogenyError(f"{study.source}: {key}.over: no factor is called {factor!r}; {hint}")
    for arm in arms:
        if not isinstance(arm.factors.get(factor), float):
            raise OntogenyError(
                f"{study.source}: {key} is a slope over {factor}, and arm {arm.name!r} has no number for it; "
                f"write for: {{{factor}: [0]}} at that arm, or leave it out of {key}.arms"
            )
    if len({arm.factors[factor] for arm in arms}) < 2:
        raise OntogenyError(f"{study.source}: {key} is a slope over {factor}, which is the same in all its arms")
