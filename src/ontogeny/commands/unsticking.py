"""What might free a run's stuck paradigms, as far as a study here supported it; and what was never shown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import polars as pl
from ruamel.yaml import YAML

from ontogeny.commands.early_warning import warn_of
from ontogeny.display import QUIET, Display, count
from ontogeny.evidence.warning import ends
from ontogeny.laboratory import Run
from ontogeny.records import OntogenyError
from ontogeny.results import Results

SUPPORTED = "supported"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A way that a study here supported, as words and as what changes in the recipe."""

    says: str
    change: tuple[str, ...]  # lines, as a diff has them
    effect: str
    cost: str
    source: str


@dataclass(frozen=True, slots=True)
class Unstuck:
    """What is stuck or warned of, and what is known of freeing it in such a text."""

    world: str
    stuck: tuple[str, ...]
    warned: tuple[str, ...]
    proposals: tuple[Proposal, ...]
    not_shown: tuple[str, ...]

    def says(self) -> list[str]:
        """The whole, in lines."""
        lines = ["ends wrong:", *(f"  {one}" for one in self.stuck)] if self.stuck else ["nothing ends wrong"]
        lines += [f"warned of: {', '.join(self.warned)}"] if self.warned else []
        if not self.stuck and not self.warned:
            return [*lines, "there is nothing to free"]
        for one in self.proposals:
            lines += ["", one.says, *(f"  {line}" for line in one.change), f"  effect: {one.effect}", f"  cost: {one.cost}"]
            lines.append(f"  shown by: {one.source}")
        if not self.proposals:
            lines += ["", f"Nothing is proposed: no registered study of {self.world} supported any way to free a stuck paradigm."]
        return [*lines, "", "not shown:", *(f"  {line}" for line in self.not_shown)]


def unstick(path: Path, sources: tuple[Path, ...] = (), display: Display = QUIET) -> Unstuck:
    """Of a run that has verdicts.  `sources`: finished runs to calibrate warnings on, for one in progress.

    Raises OntogenyError for a run without verdicts and without sources, and as `warn_of` does.
    """
    run = Run(path, display)
    if not run.folder.verdicts.exists() and not sources:
        raise OntogenyError(f"{path} has no verdicts yet; run: ontogeny verdicts {path}, or say --from for a run in progress")
    stuck = stuck_in(run) if run.folder.verdicts.exists() else []
    warned = warn_of(run, sources).filter(pl.col("alarm"))["paradigm"].unique(maintain_order=True).to_list() if sources else []
    world = world_of(run.recipe.corpus)
    found = sorted(findings(), key=lambda one: one["world"] != world)  # its own first
    shown = [one for one in found if one["world"] == world and one["verdict"] == SUPPORTED]
    tried = {one["name"] for one in found if one["world"] == world and one["verdict"] != "not run"}
    rest = [_not_shown(one, world, tried) for one in found if one not in shown]
    return Unstuck(world, tuple(stuck), tuple(warned), tuple(map(_proposal, shown)), tuple(rest))


def stuck_in(run: Run) -> list[str]:
    """Paradigms that end wrong, in the mean of the seeds or in one of them, with what the text's bigrams say of them."""
    rows = run.verdicts().join(wrong_seeds(run), on=["suite", "paradigm"], how="left").with_columns(pl.col("wrong").fill_null(0))
    found = rows.filter((pl.col("late_state") == -1) | (pl.col("wrong") > 0)).sort("late_mean")
    margins = bigram_margins(run)
    return [_stuck(row, margins.get((row["suite"], row["paradigm"]))) for row in found.to_dicts()]


def wrong_seeds(run: Run) -> pl.DataFrame:
    """suite, paradigm, wrong: in how many seeds it ends wrong, each by itself."""
    results = Results(run.folder)
    found = [
        ends(own, results.timeline(own), results.thresholds).with_columns(suite=pl.lit(suite))
        for suite in results.curves["suite"].unique(maintain_order=True)
        if len(own := results.counted(suite))
    ]
    return pl.concat(found).group_by("suite", "paradigm").agg(wrong=pl.col("ends_wrong").sum())


def bigram_margins(run: Run) -> dict[tuple[str, str], float]:
    """Nats by which bigrams prefer the right sentences, by suite and paradigm; none where the evidence was not made."""
    if not run.folder.evidence("cases").exists():
        return {}
    rows = run.evidence("cases").group_by("suite", "paradigm").agg(pl.col("b").mean()).drop_nulls()
    return {(suite, name): margin for suite, name, margin in rows.iter_rows()}


def _stuck(row: dict[str, Any], margin: float | None) -> str:
    seeds = "" if row["wrong"] == row["seeds"] else f", wrong in {row['wrong']} of {row['seeds']} seeds"
    side = "" if margin is None else f"; bigrams are {'for' if margin > 0 else 'against'} it by {abs(margin):.1f} nats"
    return f"{row['paradigm']}: {row['verdict']}{seeds}, late accuracy {row['late_mean']:.2f}{side}"


def world_of(corpus: Any) -> str:
    """What a text is, as findings have it: a formal language's name, micro-english, or text."""
    kind = str(corpus.kind)
    return str(corpus.language) if kind == "formal" else kind if kind == "micro-english" else "text"


def findings() -> list[dict[str, Any]]:
    """All that studies here found."""
    text = (files("ontogeny.studies") / "findings.yaml").read_text(encoding="utf-8")
    return cast(list[dict[str, Any]], YAML(typ="safe").load(text))


def _proposal(one: dict[str, Any]) -> Proposal:
    change = [f"+ --set '{setting}'" for setting in one.get("settings", ())]
    change += [f"+ interventions: {part}" for part in one.get("interventions", ())]
    return Proposal(f"{one['name']}: {one['says']}", tuple(change), f"{one['frees']}: {_effect(one)}", _cost(one), one["source"])


def _effect(one: dict[str, Any]) -> str:
    own = one["effect"]
    kind = "+.2f" if abs(own["estimate"]) < 100 else "+,.0f"  # a share, or tokens
    ends = f" ({own['low']:{kind}} to {own['high']:{kind}})" if "low" in own else ""
    return f"{own['measure']} {own['estimate']:{kind}}{ends}, {count(own['seeds'], 'seed')}"


def _cost(one: dict[str, Any]) -> str:
    loss = one["cost"].get("dev_loss", [])
    ends = f" ({loss[1]:+.3f} to {loss[2]:+.3f})" if len(loss) == 3 else ""
    said = [f"{loss[0]:+.3f} nats of dev loss{ends}"] if loss else []
    return ", ".join([*said, f"more time: {one['cost']['seconds']}"])


def _not_shown(one: dict[str, Any], world: str, tried: Collection[str]) -> str:
    if one["verdict"] == "not run":
        return f"{one['name']}: not run ({one['source']})"
    never = "" if one["name"] in tried else f", never tried in {world}"
    where = "" if one["world"] == world else f" in {one['world']}{never}"
    return f"{one['name']}: {one['verdict']}{where} ({one['frees']}: {_effect(one)}; {one['source']})"
