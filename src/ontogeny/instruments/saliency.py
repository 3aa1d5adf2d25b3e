"""Saliency: whether a preference hangs on the word that decides it, by the gradient of the margin at each word before it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import torch
from pydantic import Field
from ruamel.yaml import YAML
from torch import Tensor

from ontogeny.instruments.instrument import Column, DoesNotApply, Instrument, schema
from ontogeny.instruments.subject import Subject
from ontogeny.instruments.turns import Turns
from ontogeny.pages import curves
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel
from ontogeny.pages.words import listed
from ontogeny.records import OntogenyError
from ontogeny.scoring.plan import Plan
from ontogeny.tokens.spans import spans, words
from ontogeny.tokens.token_store import backward
from ontogeny.trajectories.timeline import Floats

DEMONSTRATIVES = ("this", "that", "these", "those")
DETERMINERS = frozenset(
    [*DEMONSTRATIVES, "a", "an", "the", "some", "many", "most", "all", "every", "each", "few", "no", "lot", "of", "lots"]
)


class Saliency(Instrument):
    """Gradient times input of the margin of the first tokens in which two sentences differ, at each word before them."""

    needs: ClassVar[tuple[str, ...]] = ("pairs",)

    kind: Literal["saliency"] = "saliency"
    pairs: int = Field(20, ge=1)
    """Pairs of each paradigm."""
    cues: tuple[str, ...] = ()
    """Of paradigms besides those of BLiMP that are known, PARADIGM: WORD WORD: the last of these words before the difference is the
    cue; without any, the first word."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By suite and paradigm."""
        index = {"suite": "the suite", "paradigm": "its paradigm"}
        share = (0.0, 1.0)
        return {name: Column(says=says, dtype=pl.String, index=True) for name, says in index.items()} | {
            "share": Column(says="share of the cue word in the sizes of all words' saliencies, mean over pairs", span=share),
            "alike": Column(says="that share if all words had the same", span=share),
            "rank": Column(says="mean of 1 over the cue word's rank by size", span=share),
            "rank_alike": Column(says="the same if ranks were drawn", span=share),
            "push": Column(says="mean saliency of the cue word; above 0: toward the good token", unit="nats"),
            "n": Column(says="pairs", dtype=pl.Int64),
        }

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises DoesNotApply where no paradigm has a known cue word, and OntogenyError for a saliency that is no number."""
        if backward(subject.tokenizer):
            raise DoesNotApply("its model reads a text from its end, and cues stand before what they decide")
        rows: list[tuple[Any, ...]] = []
        for suite in subject.suites_of_two():
            plan, known = subject.plan(suite, self.pairs), self._told.keys() | known_cues()
            which = [number for number, pair in enumerate(plan.pairs) if pair.paradigm in known]
            found = defaultdict[str, list[tuple[float, ...]]](list)
            for paradigm, one in self._of_pairs(subject, plan.part(np.array(which))) if which else ():
                found[paradigm].append(one)
            rows += [(suite, name, *np.mean(every, axis=0).tolist(), len(every)) for name, every in sorted(found.items())]
        if not rows:
            raise DoesNotApply(
                f"none of this run's paradigms has a cue word that is known; those of {', '.join(known_cues())} are, and the "
                "setting cues tells others"
            )
        return pl.DataFrame(rows, schema=schema(self), orient="row")

    def _of_pairs(self, subject: Subject, plan: Plan) -> Iterator[tuple[str, tuple[float, ...]]]:
        """Paradigm, and share, alike, rank, rank_alike and push, of each pair in which the cue stands before the difference."""
        turns = Turns.of(plan)
        space = " " if subject.context.recipe.scoring.leading_space else ""
        for prefix, pair, own in zip(turns.prefixes, turns.pair.tolist(), saliencies(subject, turns), strict=True):
            row = plan.sentences.rows[int(plan.good[pair])]
            (of,) = spans(subject.tokenizer, [space + row.text])
            owner = words(space + row.text, of[: len(prefix) - row.before])
            paradigm = plan.pairs[pair].paradigm
            cue = self._cue(paradigm, row.text.split()[: max(owner, default=-1) + 1])
            if cue is not None:
                yield paradigm, of_cue(np.bincount(owner, weights=own[row.before :]).astype(np.float64), cue)

    @property
    def _told(self) -> dict[str, list[str]]:
        return {name.strip(): listed.split() for name, _, listed in (told.partition(":") for told in self.cues)}

    def _cue(self, paradigm: str, before: Sequence[str]) -> int | None:
        """Which of the words before the difference is the cue."""
        lower, told = [word.lower() for word in before], self._told
        listed = told.get(paradigm, DEMONSTRATIVES if known_cues().get(paradigm) == "determiner" else ())
        if listed:
            return next((at for at in reversed(range(len(lower))) if lower[at] in listed), None)
        leave = frozenset[str]() if paradigm in told else DETERMINERS
        return next((at for at, word in enumerate(lower) if word not in leave), None)

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """How much more than its share the cue has."""
        more = pl.col("share") - pl.col("alike")
        return {"cue, more than others": table.select("seed", "step", "suite", "paradigm", value=more)}

    def panels(self) -> tuple[Panel, ...]:
        """How much more than its share the cue has, paradigm by paradigm."""
        return (
            Panel(
                name="saliency.cue",
                title="how much more of the margin's gradient is at the word that decides than if all words were alike",
                needs=("saliency",),
                draw=_map,
                says=_says,
                there=lambda frames: not frames["saliency"].is_empty(),
                per="suite",
                shape="map",
                command="read RUN --with saliency",
            ),
        )


@cache
def known_cues() -> dict[str, str]:
    """subject or determiner, by paradigm."""
    table = YAML(typ="safe").load(files("ontogeny.instruments").joinpath("cues.yaml").read_text(encoding="utf-8"))
    return {paradigm: what for what, paradigms in table.items() for paradigm in paradigms}


def of_cue(saliency: Floats, cue: int) -> tuple[float, ...]:
    """share, alike, rank, rank_alike and push of one of the words [words]; of equals the first is nearer to 1."""
    size, n = np.abs(saliency), len(saliency)
    rank = 1 + int((size > size[cue]).sum())
    total = float(size.sum())
    return float(size[cue]) / total if total > 0 else 1 / n, 1 / n, 1 / rank, float((1 / np.arange(1, n + 1)).mean()), saliency[cue]


def saliencies(subject: Subject, turns: Turns) -> Iterator[Floats]:
    """Of each turn, gradient of its margin times input at each token before it, summed over the width, nats.

    Input is an embedding less the mean of all: of the embedding itself little is left, as a norm hides how long what it norms is.
    Raises OntogenyError where one is no finite number.
    """
    for part, ids in subject.padded(turns.prefixes):
        sizes = [len(prefix) for prefix in turns.prefixes[part]]
        every, at = torch.arange(len(sizes), device=ids.device), torch.tensor(sizes, device=ids.device) - 1
        good, bad = (torch.from_numpy(one[part]).to(ids.device) for one in (turns.good, turns.bad))
        kept: list[Tensor] = []

        def embedded(module: Any, given: Any, output: Tensor, kept: list[Tensor] = kept) -> Tensor:
            kept.append(output.detach().requires_grad_())
            return kept[-1]

        embedding = subject.model.get_input_embeddings()
        hook = embedding.register_forward_hook(embedded)
        try:
            with torch.enable_grad():
                logits = subject.model(input_ids=ids).logits[every, at].float()
                (gradient,) = torch.autograd.grad((logits[every, good] - logits[every, bad]).sum(), kept[0])
        finally:
            hook.remove()
        found = (gradient * (kept[0].detach() - embedding.weight.detach().mean(0))).sum(-1).double().cpu().numpy()
        if not np.isfinite(found).all():
            raise OntogenyError("a gradient at an embedding is no finite number; the model's weights may be broken")
        yield from (row[:size] for row, size in zip(found, sizes, strict=True))


# --- its figure ---------------------------------------------------------------------------------------------------


def _map(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    more = frames["saliency"].with_columns(pl.col("paradigm").alias("of"), (pl.col("share") - pl.col("alike")).alias("value"))
    return curves.index_map(more.sort("paradigm", "step", "seed"), "share above alike", Column(says="", chance=0.0), **options)


def _says(frames: Frames, clock: Clock) -> str:
    """In which paradigms the cue has more than its share and pushes toward the good token, at the end."""
    last = frames["saliency"].filter(pl.col("step") == pl.col("step").max())
    ends = last.group_by("paradigm").agg(pl.exclude("suite", "seed", "step").mean()).sort("paradigm")
    used = ends.filter((pl.col("share") > pl.col("alike")) & (pl.col("push") > 0))["paradigm"].to_list()
    return (
        f"At the last checkpoint the word that decides has more than its share, and pushes toward the good token, in {len(used)} "
        f"of {len(ends)} paradigms{': ' + listed(used) if used else ''}. It is of a gradient: of what small changes of the word do."
    )
