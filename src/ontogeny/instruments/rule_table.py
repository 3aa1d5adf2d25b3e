"""Rule extrapolation of finished runs in one table, beside what was published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import polars as pl
from ruamel.yaml import YAML

from ontogeny import recipe as recipes
from ontogeny.disk import collected
from ontogeny.instruments.dev_loss import DevLoss
from ontogeny.instruments.instrument import Instrument
from ontogeny.instruments.tables import NO_LENGTH, tables_of
from ontogeny.pages.panel import Tabulated
from ontogeny.recipe import Recipe
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder

TRANSFORMERS = ("opt", "gpt2", "gpt-neox", "llama")
COMPARED = ("id_rule1", "id_rule2", "ood_rule1", "ood_rule2_completion")  # their loss counts padding, so it is not
COUNTED_AS = {"L2": {"ood_rule1": "ood_rule1_after_b"}}  # their code counts the a after the last b alone
SCHEMA: dict[str, Any] = {
    "run": pl.String,
    "language": pl.String,
    "model": pl.String,
    "moment": pl.String,
    "reading": pl.String,
    "mean": pl.Float64,
    "sd": pl.Float64,
    "seeds": pl.Int64,
    "step": pl.Float64,
    "published": pl.Float64,
    "published_sd": pl.Float64,
    "published_runs": pl.Int64,
    "chance": pl.Float64,
}
Values = Mapping[tuple[int, int], float]  # (seed, step) -> a reading


def rule_table(runs: Iterable[Path | str]) -> pl.DataFrame:
    """Each reading of the instrument `rules`, at the lowest dev loss of each seed and at its end, mean over seeds (SCHEMA).

    sd: over seeds, n - 1; null for one seed
    step: mean over seeds of the checkpoint's step
    published, published_sd, published_runs: the figures of published.yaml for this language and kind of architecture
    chance: what a guesser's completions give

    Raises OntogenyError, with the run's name, if a run has no such instrument or has not been read with it.
    """
    rows = [row for run in runs for row in _rows(RunFolder.existing(run))]
    return pl.DataFrame(rows, SCHEMA, orient="row")


def _rows(folder: RunFolder) -> list[dict[str, Any]]:
    recipe = recipes.load(folder.recipe)
    part = next((part for part in recipe.instruments if part.kind == "rules"), None)
    if part is None:
        raise OntogenyError(f"{folder.path} has no instrument of kind rules in its recipe")
    losses, found = _values(folder, DevLoss.NAME).get("dev", {}), _values(folder, part.name)
    moments = {name: chosen for name, chosen in (("lowest dev loss", lowest(losses)), ("end", last(losses))) if chosen}
    if not moments or not found:
        raise OntogenyError(f"{folder.path} has not been read with the instrument rules; run: ontogeny score {folder.path}")
    beside = _beside(recipe, part)
    rows = []
    for key, values in found.items():
        for moment, steps in moments.items():
            there = {seed: (step, values[seed, step]) for seed, step in steps.items() if (seed, step) in values}
            if there:
                rows.append(
                    {"run": folder.name, "language": part.language, "model": recipe.model.kind, "moment": moment, "reading": key}
                    | _summary(there)
                    | beside.get(key.split("/")[0], {})
                )
    return rows


def _values(folder: RunFolder, name: str) -> dict[str, Values]:
    """What an instrument read, by column; with a slash and the length where it is of one."""
    tables = tables_of(folder, name)
    found: dict[str, dict[tuple[int, int], float]] = {}
    for row in [] if tables is None else collected(tables.frame).iter_rows(named=True):
        seed, step, length = row.pop("seed"), row.pop("step"), row.pop("length", NO_LENGTH)
        suffix = "" if length == NO_LENGTH else f"/{length}"
        for column, value in row.items():
            if value is not None:
                found.setdefault(column + suffix, {})[seed, step] = value
    return found  # type: ignore[return-value]


def lowest(losses: Values) -> dict[int, int]:
    """Of each seed the step with the lowest loss, the earliest of equals."""
    found: dict[int, int] = {}
    for seed, step in sorted(losses):
        if seed not in found or losses[seed, step] < losses[seed, found[seed]]:
            found[seed] = step
    return found


def last(losses: Values) -> dict[int, int]:
    """Of each seed the last step."""
    return dict(sorted(losses))


def _summary(there: Mapping[int, tuple[int, float]]) -> dict[str, Any]:
    values = [value for _, value in there.values()]
    spread = stdev(values) if len(values) > 1 else None
    return {"mean": mean(values), "sd": spread, "seeds": len(values), "step": mean(step for step, _ in there.values())}


def _beside(recipe: Recipe, part: Instrument) -> dict[str, dict[str, Any]]:
    """Published figures and chance, by reading."""
    language = str(part.language)  # type: ignore[attr-defined]
    own = published().get((language, "transformer" if recipe.model.kind in TRANSFORMERS else recipe.model.kind), {})
    found: dict[str, dict[str, Any]] = {}
    for theirs in set(own) & set(COMPARED):
        ours = COUNTED_AS.get(language, {}).get(theirs, theirs)
        found[ours] = {"published": own[theirs], "published_sd": own.get(f"{theirs}_sd"), "published_runs": own["runs"]}
    for name, column in part.columns.items():
        if column.chance is not None:
            found.setdefault(name, {})["chance"] = column.chance
    return found


@lru_cache(maxsize=1)
def published() -> dict[tuple[str, str], dict[str, float | None]]:
    """(language, architecture) -> reading -> figure."""
    text = files("ontogeny.instruments").joinpath("published.yaml").read_text(encoding="utf-8")
    data = YAML(typ="safe").load(text)
    return {
        (language, architecture): dict(zip(data["columns"], row, strict=True))
        for language, rows in data["figures"].items()
        for architecture, row in rows.items()
    }


SHOWN = ("test_loss", "id_rule1", "id_rule2", "ood_rule1", "ood_rule2_completion")


def summary(table: pl.DataFrame) -> Tabulated:
    """A row a language and model at the lowest dev loss: each reading as mean, SD over seeds, and in brackets as published."""
    own = table.filter(pl.col("moment") == "lowest dev loss")
    rows = []
    for (language, model), part in own.group_by("language", "model", maintain_order=True):
        found = {row["reading"]: row for row in part.iter_rows(named=True)}
        rows.append((str(language), str(model), *(_told(found.get(name)) for name in SHOWN)))
    return Tabulated(("language", "model", *(f">{name}" for name in SHOWN)), tuple(rows))


def _told(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    spread = "" if row["sd"] is None else f" ±{row['sd']:.2f}"
    beside = "" if row["published"] is None else f" ({row['published']:.2f})"
    return f"{row['mean']:.2f}{spread}{beside}"
