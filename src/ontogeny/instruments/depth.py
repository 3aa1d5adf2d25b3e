"""Depth: in which part of a transformer a preference arises, which part carries the bigrams, and what it is without that part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from ontogeny.instruments.instrument import Column, Instrument, schema
from ontogeny.instruments.parts import CONSTANT, parts_of
from ontogeny.instruments.patching import Patched, patched
from ontogeny.instruments.reach import TIE, by_paradigm, percent, right
from ontogeny.instruments.subject import Subject
from ontogeny.instruments.turns import Taken, Turns, bigrams_at, mean_writings, taken_apart
from ontogeny.pages import curves
from ontogeny.pages.curves import means_by_verdict
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel, Tabulated
from ontogeny.scoring.plan import Plan
from ontogeny.trajectories.timeline import Floats

SMALL = 1e-2  # nats: of direct shares below it, what repairs them is lost in float32
FEWEST = 8  # pairs of a regression on b and u, and checked patches of a correlation
LARGEST = 0.1  # of attributions, which are compared over time
BY_VERDICT = ("verdict", ">paradigms", ">right", ">without its bigram carrier")


class Depth(Instrument):
    """The margin of the first tokens in which good and bad sentence differ, taken apart by what writes into the residual stream."""

    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("pairs",)
    uses: ClassVar[tuple[str, ...]] = ("text", "ngrams")

    kind: Literal["depth"] = "depth"
    pairs: int = Field(10, ge=1)
    """Pairs of each paradigm."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By suite, paradigm and part."""
        index = {
            "suite": "the suite",
            "paradigm": "its paradigm; empty: all pairs together",
            "part": "embedding, attention or MLP of a layer, or constant: what the biases give",
        }
        share = (0.0, 1.0)
        return {name: Column(says=says, dtype=pl.String, index=True) for name, says in index.items()} | {
            "place": Column(says="which part it is, in the order in which they are added up", dtype=pl.Int64),
            "lens": Column(
                says="share of pairs right by the sum of this part and those before it, under the last norm", span=share
            ),
            "settled": Column(says="share of pairs whose sign is the last one's from this part on", span=share),
            "direct": Column(says="mean direct share D_c of the margin; those of all parts add up to it", unit="nats"),
            "slope": Column(says="slope of D_c on the bigram margin b at that token, u held", unit="nats a nat"),
            "r2": Column(says="partial R² of b in D_c, u held", span=share),
            "effect": Column(says="mean of what the margin loses where the part gives its mean instead", unit="nats"),
            "ablated": Column(says="share of pairs that are right then", span=share, chance=0.5),
            "repair": Column(says="share of that loss's direct part that later parts make up for"),
            "compensation": Column(says="mean of what the direct shares of later parts change by then, all together", unit="nats"),
            "attribution": Column(
                says="mean attribution of the later tokens' margin to this part, of two-prefix pairs", unit="nats"
            ),
            "patching_r": Column(says="correlation of that with real patches, over pairs", span=(-1.0, 1.0)),
            "n": Column(says="pairs", dtype=pl.Int64),
        }

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises DoesNotApply for a model whose parts are not known, or do not add up to its last state."""
        parts, rows = parts_of(subject.model), list[tuple[Any, ...]]()
        means = mean_writings(subject, parts)
        for suite in subject.suites_of_two():
            plan = subject.plan(suite, self.pairs)
            turns = subject.context.once((self, suite, id(plan)), partial(Turns.of, plan))
            taken = taken_apart(subject, parts, turns, means)
            grams = subject.context.once((self, "b", suite, id(plan)), partial(bigrams_at, subject, turns))
            rows += _rows(suite, plan, turns, taken, grams, patched(subject, parts, plan))
        return pl.DataFrame(rows, schema=schema(self), orient="row")

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """How late the sign settles, as a share of the parts, and the accuracy that is gained without the carrier of bigrams."""
        index, parts = ("seed", "step", "suite", "paradigm"), table.drop_nulls("lens")
        found = {"sign settles": parts.group_by(index, maintain_order=True).agg(value=1 - pl.col("settled").mean())}
        if (most := carrier(_ends({"depth": table}))) is None:
            return found
        whole = parts.sort("place").group_by(index, maintain_order=True).agg(whole=pl.col("lens").last())
        without = table.filter(part=most["part"]).join(whole, on=index, maintain_order="left")
        return found | {"without the carrier": without.select(*index, value=pl.col("ablated") - pl.col("whole"))}

    def fold(self, table: pl.DataFrame, clock: Clock) -> dict[str, pl.DataFrame]:
        """`attributions`: how those of parts and paradigms rank at each step as they do at the last, and of the largest tenth
        of both how many are in both, over how many there are (Jaccard)."""
        index = ["seed", "suite", "paradigm", "part"]
        said = table.filter(pl.col("paradigm") != "").drop_nulls("attribution").select("step", *index, "attribution")
        last = said.filter(pl.col("step") == pl.col("step").max().over("seed")).select(*index, last="attribution")
        own, end = (pl.col(name).abs() >= pl.col(name).abs().quantile(1 - LARGEST) for name in ("attribution", "last"))
        alike = (
            pl.corr("attribution", "last", method="spearman").alias("rank"),
            ((own & end).sum() / (own | end).sum()).alias("top"),
        )
        return {"attributions": said.join(last, on=index).group_by("seed", "step").agg(*alike).sort("seed", "step")}

    def panels(self) -> tuple[Panel, ...]:
        """Where the sign settles, the direct shares, and what is right without each part."""
        shared: dict[str, Any] = {"needs": ("depth",), "per": "suite", "shape": "map", "command": "read RUN --with depth"}
        return (
            Panel(
                name="depth.settled",
                title="from which part on the sign of a preference is the last one's",
                draw=lambda frames, clock, **options: _map(frames, "settled", **options),
                says=settled_says,
                **shared,
            ),
            Panel(
                name="depth.direct",
                title="what each part adds to the margin, mean over pairs",
                draw=lambda frames, clock, **options: _map(frames, "direct", Column(says="", unit="nats", chance=0.0), **options),
                says=direct_says,
                **shared,
            ),
            Panel(
                name="depth.ablated",
                title="accuracy where a part gives its mean instead",
                takes=("verdicts",),
                draw=lambda frames, clock, **options: _map(frames, "ablated", **options),
                says=ablated_says,
                table=by_verdict,
                **shared,
            ),
        )


# --- what it comes to ---------------------------------------------------------------------------------------------


def _rows(suite: str, plan: Plan, turns: Turns, taken: Taken, grams: Floats | None, patches: Patched) -> Iterator[tuple[Any, ...]]:
    sign = np.where(np.abs(taken.lens) <= TIE, 0, np.sign(taken.lens))
    settled = np.logical_and.accumulate((sign == sign[-1])[::-1], axis=0)[::-1]
    for paradigm, numbers in by_paradigm(plan).items():
        which = np.flatnonzero(np.isin(turns.pair, numbers))
        if not len(which):
            continue
        two = np.flatnonzero(np.isin(patches.pair, numbers))
        for place, name in enumerate(taken.names):
            b = _partial(taken.direct[place, which], None if grams is None else grams[:, which])
            margin = taken.margin[which] - taken.effect[place, which]
            yield (
                *(suite, paradigm, name, place),
                *(right(taken.lens[place, which]), settled[place, which].mean(), taken.direct[place, which].mean()),
                *b,
                *(
                    taken.effect[place, which].mean(),
                    right(margin),
                    repair(taken.effect[place, which], taken.replaced[place, which]),
                    taken.compensation[place, which].mean(),
                ),
                patches.said[place, two].mean() if len(two) else None,
                _agreement(patches, place) if not paradigm else None,
                len(which),
            )
        yield suite, paradigm, CONSTANT, len(taken.names), None, None, taken.constant[which].mean(), *[None] * 8, len(which)


def repair(effect: Floats, direct: Floats) -> float | None:
    """1 - the slope of a loss on its direct part, through the origin; None where nothing is lost directly."""
    size = float(np.mean(direct**2))
    return 1 - float(np.mean(effect * direct)) / size if size > SMALL**2 else None


def _partial(y: Floats, grams: Floats | None) -> tuple[float | None, float | None]:
    """Slope of y on b and its partial R², u held."""
    if grams is None or len(y) < FEWEST or y.std() <= TIE:
        return None, None
    b, u = (one - one.mean() for one in grams)
    y = y - y.mean()
    held = [one - u * (one @ u) / (u @ u) if u @ u > TIE else one for one in (y, b)]
    if min(one @ one for one in held) <= TIE**2 * len(y):
        return None, None
    rest, own = held
    return float(rest @ own / (own @ own)), float(np.clip((rest @ own) ** 2 / (own @ own) / (rest @ rest), 0, 1))


def _agreement(patches: Patched, place: int) -> float | None:
    real = patches.checked[place]
    said = patches.said[place, : len(real)]
    if len(real) < FEWEST or min(real.std(), said.std()) <= TIE:
        return None
    return float(np.clip(np.corrcoef(said, real)[0, 1], -1, 1))


# --- its figures --------------------------------------------------------------------------------------------------


def _map(frames: Frames, name: str, column: Column | None = None, **options: Any) -> Drawn:
    frame = frames["depth"].filter(paradigm="").drop_nulls(name).with_columns(of="part", value=name)
    return curves.index_map(frame.sort("place", "step", "seed"), name, column or Depth().columns[name], row=18, **options)


def _ends(frames: Frames) -> pl.DataFrame:
    """The parts at the last checkpoint, over all pairs, means over seeds, in their order."""
    last = frames["depth"].filter(pl.col("step") == pl.col("step").max(), paradigm="")
    return (
        last.group_by("part", maintain_order=True).agg(pl.exclude("suite", "paradigm", "seed", "step", "part").mean()).sort("place")
    )


def settled_says(frames: Frames, clock: Clock) -> str:
    """The first part after which the sign is the last one's in most pairs."""
    ends = _ends(frames).drop_nulls("settled")
    half = ends.filter(pl.col("settled") >= 0.75)["part"][0]
    return (
        f"At the last checkpoint the sign of the preference is the last one's in three of four pairs after {half}: the sum of all "
        "parts up to there, read by the last norm and the unembedding as if nothing came after. It is of the first token in which "
        "the two sentences differ, and says nothing of what follows."
    )


def direct_says(frames: Frames, clock: Clock) -> str:
    """Which part follows the bigrams most."""
    said = "What each part adds to the margin of the first differing token; all of them add up to it."
    if (found := carrier(_ends(frames))) is None:
        return said
    return (
        f"{said} At the last checkpoint {found['part']} follows the text's bigrams most: they account for {percent(found['r2'])} "
        f"of the differences in what it adds, single words held, at {found['slope']:.2f} nats a nat."
    )


def ablated_says(frames: Frames, clock: Clock) -> str:
    """What is right without the carrier of bigrams."""
    ends = _ends(frames)
    whole = ends.drop_nulls("lens")["lens"][-1]
    said = f"At the last checkpoint the good token is preferred in {percent(whole)} of the pairs."
    if (found := carrier(ends)) is None:
        return said
    return (
        f"{said} Where {found['part']}, which follows the bigrams most, gives its mean over the text instead, in "
        f"{percent(found['ablated'])}. A part does more than carry bigrams: what changes without it is not theirs alone."
    )


def carrier(ends: pl.DataFrame) -> dict[str, Any] | None:
    """The row of the part whose direct share bigrams account for most; None where they are not known."""
    known = ends.drop_nulls("r2").sort("r2", descending=True)
    return known.row(0, named=True) if len(known) else None


def by_verdict(frames: Frames) -> Tabulated | None:
    """Paradigms of each verdict, with the carrier of bigrams and without."""
    found = carrier(_ends(frames))
    if found is None:
        return None
    last = frames["depth"].filter(pl.col("step") == pl.col("step").max(), pl.col("paradigm") != "")
    whole = (
        last.drop_nulls("lens")
        .filter(pl.col("place") == pl.col("place").max())
        .group_by("paradigm")
        .agg(whole=pl.col("lens").mean())
    )
    without = last.filter(part=found["part"]).group_by("paradigm").agg(without=pl.col("ablated").mean())
    return means_by_verdict(whole.join(without, on="paradigm"), frames, BY_VERDICT)
