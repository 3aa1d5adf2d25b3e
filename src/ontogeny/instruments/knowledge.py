"""Knowledge and behaviour: whether states tell which sentence of a pair is good, and whether the model prefers it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from pydantic import Field

from ontogeny.instruments.instrument import Column, Instrument, schema
from ontogeny.instruments.reach import by_paradigm, percent, right
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.curves import means_by_verdict
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel, Tabulated
from ontogeny.pages.words import listed
from ontogeny.records import OntogenyError, Pair
from ontogeny.scoring.plan import Plan
from ontogeny.suites.contrast import contrast
from ontogeny.trajectories.timeline import Floats, Ints

KNOWN = 0.75  # what the lower bound of held-out accuracy has to reach, and
ABOVE = 0.1  # how much more than each control it has to be, for a paradigm to count as known
Z = 1.959963984540054  # of a 95 % interval
FEW = 10  # distinct contrasts, below which folds go by content words instead
COMMON = 0.1  # share of a paradigm's good sentences, above which a word is none of content
PENALTY = 0.1  # of the squared weights, where differences have length 1 on average
STEPS = 8  # of Newton's method: the loss is convex, and no weight moves by 1e-4 after them
INNER = 4
CONTROLS = ("embeddings", "bigrams", "untrained")
BY_VERDICT = ("verdict", ">paradigms", ">know", ">embeddings", ">bigrams", ">untrained", ">says", ">know, do not say")


class Knowledge(Instrument):
    """A linear reading of which sentence is good off the difference of states, on contrasts that it was not fitted on."""

    needs: ClassVar[tuple[str, ...]] = ("pairs",)

    kind: Literal["knowledge"] = "knowledge"
    pairs: int = Field(50, ge=4)
    """Pairs of each paradigm."""
    folds: int = Field(5, ge=2)
    """Parts of a paradigm, by contrast, each held out once; one with fewer contrasts has no value."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By suite and paradigm."""
        share: dict[str, Any] = {"span": (0.0, 1.0), "chance": 0.5}
        index = {"suite": "the suite", "paradigm": "its paradigm"}
        return {name: Column(says=said, dtype=pl.String, index=True) for name, said in index.items()} | {
            "know": Column(says="share of held-out pairs whose good sentence is told by the difference of states", **share),
            "know_low": Column(says="lower end of its 95 % interval (Wilson), pairs taken for independent", **share),
            "embeddings": Column(says="the same by the sums of the sentences' token embeddings", **share),
            "bigrams": Column(says="the same by the bags of the sentences' bigrams", **share),
            "untrained": Column(says="the same by the states of the first checkpoint", **share),
            "says": Column(says="share of the same pairs whose good sentence the model prefers", **share),
            "silent": Column(says="1 if the paradigm is known and the model prefers the bad sentence, else 0", span=(0.0, 1.0)),
            "groups": Column(says="contrasts, or content words, that folds are made of", dtype=pl.Int64),
            "n": Column(says="pairs", dtype=pl.Int64),
        }

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises DoesNotApply for a model without hidden states."""
        rows: list[tuple[Any, ...]] = []
        for suite in subject.suites_of_two():
            plan = subject.plan(suite, self.pairs)
            said = subject.margins(suite, self.pairs)
            first = subject.context.once((self, suite, id(plan), subject.seed), partial(self._first, subject, plan))
            for name, which, known in self._known(subject, plan):
                rows.append((suite, name, *_row(known, first.get(name), said[which])))
        return pl.DataFrame(rows, schema=schema(self), orient="row")

    def _first(self, subject: Subject, plan: Plan) -> dict[str, float | None]:
        reference = subject.reference()
        return {name: known.know for name, _, known in self._known(reference, plan, controls=False)}

    def _known(self, subject: Subject, plan: Plan, controls: bool = True) -> Iterator[tuple[str, Ints, ToldApart]]:
        places = ends_of(plan, subject.limit)
        for name, which in by_paradigm(plan).items():
            kept = [number for number in which.tolist() if places[number] is not None]
            if not name or not kept:
                continue
            groups = grouped([plan.pairs[number] for number in kept])
            fold = folds(groups, self.folds)
            if fold is None:
                yield name, which, ToldApart(len(set(groups)))
                continue
            grams = _grams(differences(subject, plan, kept, [places[number] for number in kept]))
            known = ToldApart(len(set(groups)), held_out_accuracy(grams[1:], groups, fold), n=len(kept))
            if controls:
                known.embeddings = held_out_accuracy(grams[:1], groups, fold)
                known.bigrams = held_out_accuracy(_bag(plan, kept)[None], groups, fold)
            yield name, which, known

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """What states tell, what they tell beyond the best of the controls, and whether a paradigm is known and not said."""
        beyond = table.with_columns(beyond=pl.col("know") - pl.max_horizontal(CONTROLS))
        said = {"known": "know", "known beyond controls": "beyond", "known, not said": "silent"}
        return {name: beyond.select("seed", "step", "suite", "paradigm", value=column) for name, column in said.items()}

    def panels(self) -> tuple[Panel, ...]:
        """What is known and said on average, and what is known of each paradigm."""
        shared: dict[str, Any] = {"needs": ("knowledge",), "per": "suite", "command": "read RUN --with knowledge"}
        there = partial(_there)
        return (
            Panel(
                name="knowledge.mean",
                title="what states tell of the good sentence, and what the model prefers, mean over paradigms",
                draw=_means,
                says=_means_say,
                there=there,
                **shared,
            ),
            Panel(
                name="knowledge.know",
                title="what states tell of the good sentence, paradigm by paradigm",
                takes=("verdicts",),
                draw=_map,
                says=_map_says,
                table=by_verdict,
                there=there,
                shape="map",
                **shared,
            ),
        )


@dataclass(slots=True)
class ToldApart:
    """What states tell of one paradigm; None where it has too few contrasts."""

    groups: int
    know: float | None = None
    embeddings: float | None = None
    bigrams: float | None = None
    n: int = 0


def _row(known: ToldApart, untrained: float | None, said: Floats) -> tuple[Any, ...]:
    says, low = right(said), None if known.know is None else wilson(known.know, known.n)[0]
    silent = None
    if known.know is not None and low is not None:
        controls = [control for control in (known.embeddings, known.bigrams, untrained) if control is not None]
        knows = low >= KNOWN and all(known.know >= control + ABOVE for control in controls)
        silent = float(knows and wilson(says, len(said))[1] < 0.5)
    return known.know, low, known.embeddings, known.bigrams, untrained, says, silent, known.groups, len(said)


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of n (Wilson 1927)."""
    centre, spread = share + Z**2 / 2 / n, Z * np.sqrt(share * (1 - share) / n + Z**2 / 4 / n**2)
    return float(max(0, centre - spread) / (1 + Z**2 / n)), float(min(1, (centre + spread) / (1 + Z**2 / n)))


# --- groups and folds ---------------------------------------------------------------------------------------------


def grouped(pairs: Sequence[Pair]) -> list[str]:
    """The group of each pair: its critical contrast; where a paradigm has few of these, the good sentence's first content word."""
    contrasts = [contrast(pair.good, pair.bad) for pair in pairs]
    if len(set(contrasts)) >= FEW:
        return contrasts
    split = [pair.good.lower().split() for pair in pairs]
    often = Counter(word for words in split for word in set(words))
    content = [next((word for word in words if often[word] <= max(1, COMMON * len(pairs))), words[0]) for words in split]
    return content if len(set(content)) > len(set(contrasts)) else contrasts


def folds(groups: Sequence[str], many: int) -> Ints | None:
    """The fold of each pair, groups kept whole and folds as even as can be; None where groups are fewer than folds."""
    sizes = Counter(groups)
    if len(sizes) < many:
        return None
    filled, fold = [0] * many, dict[str, int]()
    for name, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        fold[name] = filled.index(min(filled))
        filled[fold[name]] += size
    return np.array([fold[name] for name in groups], dtype=np.int64)


# --- states -------------------------------------------------------------------------------------------------------

Ends = tuple[tuple[int, int], tuple[int, int]]  # of good and bad: the last token of the critical region, and of the sentence


def ends_of(plan: Plan, limit: int) -> list[Ends | None]:
    """Of each pair; None where a sentence has more tokens than the model takes, as its last token is no input there."""
    before, after = (one.tolist() for one in plan.critical)
    found: list[Ends | None] = []
    for number, both in enumerate(zip(plan.good.tolist(), plan.bad.tolist(), strict=True)):
        sizes = [len(plan.sentences[one]) for one in both]
        ends = [(max(size - after[number] - 1, before[number] - 1), size - 1) for size in sizes]
        found.append(None if max(sizes) > limit else (ends[0], ends[1]))
    return found


@torch.inference_mode()
def differences(subject: Subject, plan: Plan, which: Sequence[int], places: Sequence[Ends | None]) -> NDArray[np.float32]:
    """h(good) - h(bad), (1 + 2 x layers, pairs, width): of summed embeddings, then of each layer at both ends."""
    asked = [(int(plan.good[n]), *ends[0]) for n, ends in zip(which, places, strict=True) if ends]
    asked += [(int(plan.bad[n]), *ends[1]) for n, ends in zip(which, places, strict=True) if ends]
    order = sorted(range(len(asked)), key=lambda i: len(plan.sentences[asked[i][0]]))
    states: list[Any] = [None] * len(asked)
    for part, ids in subject.padded([plan.sentences[asked[i][0]] for i in order]):
        layers = subject.hidden(ids)
        for row, i in enumerate(order[part]):
            _, *ends = asked[i]
            summed = layers[0][row, : ends[-1] + 1].sum(0)
            states[i] = torch.stack([summed, *(layer[row, end] for layer in layers[1:] for end in ends)]).float().cpu().numpy()
    good, bad = np.split(np.stack(states, 1), 2, axis=1)
    found = good - bad
    if len(wrong := np.argwhere(~np.isfinite(found).all(axis=2))):
        kind, row = wrong[0].tolist()
        pair, layer = plan.pairs[which[row]], (kind + 1) // 2  # embeddings, then two ends of each layer
        raise OntogenyError(
            f"a state of layer {layer} is no finite number, in pair {pair.pair} of {pair.paradigm}; the model's weights may be "
            "broken"
        )
    return np.asarray(found)


def _grams(found: NDArray[np.float32]) -> Floats:
    """Products of the differences with one another, (kinds, pairs, pairs)."""
    wide = found.astype(np.float64)
    return np.asarray(wide @ wide.swapaxes(1, 2))


def _bag(plan: Plan, which: Sequence[int]) -> Floats:
    """The same of the differences of bigram counts, (pairs, pairs)."""
    counts, columns = Counter[tuple[int, tuple[int, int]]](), dict[tuple[int, int], int]()
    for row, number in enumerate(which):
        counts.update((row, bigram) for bigram in pairwise(plan.sentences[int(plan.good[number])]))
        counts.subtract((row, bigram) for bigram in pairwise(plan.sentences[int(plan.bad[number])]))
    places = [(row, columns.setdefault(bigram, len(columns))) for row, bigram in counts]
    bag = np.zeros((len(which), len(columns)))
    bag[tuple(np.array(places).T)] = list(counts.values())
    return bag @ bag.T


# --- reading them -------------------------------------------------------------------------------------------------


def held_out_accuracy(grams: Floats, groups: Sequence[str], fold: Ints) -> float:
    """Share of pairs right when held out; a tie is half.  Of several kinds of differences the best on inner folds is taken.

    `grams`: (kinds, pairs, pairs) products of the differences d.  A logistic regression without intercept on +-d, in its dual form.
    """
    scores = np.zeros(len(fold))
    for held in range(fold.max() + 1):
        train, test = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        best = _chosen(grams, [groups[i] for i in train.tolist()], train) if len(grams) > 1 else 0
        scores[test] = grams[best][np.ix_(test, train)] @ fitted(grams[best][np.ix_(train, train)])
    return right(scores)


def _chosen(grams: Floats, groups: Sequence[str], train: Ints) -> int:
    """The kind that is right most often on inner folds; the first of equals.

    By least squares toward 1 with the same penalty, for which one inverse gives what every fold's own fit says of it.
    """
    inner = folds(groups, min(INNER, len(set(groups))))
    if inner is None or inner.max() < 1:
        return 0
    inverse = np.linalg.inv(_unit(grams[:, train[:, None], train]) + PENALTY * np.eye(len(train)))
    weights = inverse.sum(-1)
    correct = np.zeros(len(grams))
    for held in range(inner.max() + 1):
        (where,) = np.nonzero(inner == held)
        scores = 1 - np.linalg.solve(inverse[:, where[:, None], where], weights[:, where, None])[..., 0]
        correct += (scores > 0).sum(1) + (scores == 0).sum(1) / 2
    return int(correct.argmax())


def fitted(gram: Floats) -> Floats:
    """Dual weights (pairs,) of a logistic regression without intercept on differences, all of which are on the good side."""
    scaled, unit = _unit(gram[None])[0], np.eye(len(gram))
    weights = np.zeros(len(gram))
    for _ in range(STEPS):
        reached = scaled @ weights
        wrong = 1 / (1 + np.exp(np.clip(reached, -50, 50)))
        slope = wrong * (1 - wrong)
        weights = np.linalg.solve(PENALTY * unit + slope[:, None] * scaled, wrong + slope * reached)
    return weights


def _unit(grams: Floats) -> Floats:
    """As if the differences had length 1 on average."""
    size = np.einsum("kii->ki", grams).mean(1)
    return np.asarray(grams / np.where(size > 0, size, 1)[:, None, None])


# --- its figures --------------------------------------------------------------------------------------------------


def _there(frames: Frames) -> bool:
    return not frames["knowledge"]["know"].is_null().all()


def _means(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    frame = frames["knowledge"].drop_nulls("know")
    means = frame.group_by("seed", "step").agg(pl.col("know", *CONTROLS, "says").mean())
    values = means.unpivot(index=["seed", "step"], variable_name="of").drop_nulls("value").sort("of", "step", "seed")
    column = Column(says="", span=(0.0, 1.0), chance=0.5)
    return curves.lines(values, "share of pairs", column, clock, **options)


def _ends(frames: Frames) -> pl.DataFrame:
    """The last checkpoint, means over seeds; `silent`: in more than half of them."""
    last = frames["knowledge"].filter(pl.col("step") == pl.col("step").max())
    return (
        last.group_by("paradigm").agg(pl.col("know", *CONTROLS, "says", "silent").mean(), pl.col("groups").min()).sort("paradigm")
    )


def _means_say(frames: Frames, clock: Clock) -> str:
    """Means at the end."""
    ends = _ends(frames).drop_nulls("know")
    know, says, *controls = (float(ends[name].mean()) for name in ("know", "says", *CONTROLS))  # type: ignore[arg-type]
    return (
        f"At the last checkpoint the difference of states tells the good sentence in {percent(know)} of pairs with contrasts that "
        f"the reading was not fitted on; the model prefers it in {percent(says)}. Sums of embeddings tell it in "
        f"{percent(controls[0])}, bags of bigrams in {percent(controls[1])}, the states of the first checkpoint in "
        f"{percent(controls[2])}: what these tell needs no grammar."
    )


def _map(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    frame = frames["knowledge"].drop_nulls("know").with_columns(of="paradigm", value="know").sort("paradigm", "step", "seed")
    return curves.index_map(frame, "know", Knowledge().columns["know"], **options)


def _map_says(frames: Frames, clock: Clock) -> str:
    """Which paradigms are known and not said, and which have no value."""
    ends = _ends(frames)
    known = ends.drop_nulls("silent")
    silent = known.filter(pl.col("silent") > 0.5)["paradigm"].to_list()
    said = (
        f"At the last checkpoint {len(silent)} of {len(known)} paradigms are known and not said"
        f"{': ' + listed(silent) if silent else ''}. Known: what states tell is {ABOVE} above every control, its lower end at "
        f"{KNOWN} or more; not said: the model prefers the bad sentence."
    )
    few = ends.filter(pl.col("know").is_null())["paradigm"].to_list()
    return f"{said} Of too few contrasts to hold any out, and so without a value: {listed(few)}." if few else said


def by_verdict(frames: Frames) -> Tabulated | None:
    """What is known at the last checkpoint, by verdict: means over paradigms."""
    ends = _ends(frames).drop_nulls("know")
    return means_by_verdict(ends.select("paradigm", "know", *CONTROLS, "says", "silent"), frames, BY_VERDICT)
