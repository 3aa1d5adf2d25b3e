"""Probes: how short a code for the words' tags and relations becomes by the states of each layer (Voita & Titov 2020)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import minimize

from ontogeny.corpora.treebank import NONE, ParsedSentence, TaggedWord
from ontogeny.instruments.instrument import Column, Instrument, schema
from ontogeny.instruments.parsed import ParsedText, given, hashes, word_states
from ontogeny.instruments.subject import Subject
from ontogeny.pages import curves
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel, Tabulated
from ontogeny.records import OntogenyError
from ontogeny.trajectories.timeline import Floats, Ints

PORTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)  # of the words: where each probe ends
PENALTY = 0.1  # of the squared weights, where states have length 1 on average
STEPS = 100  # of L-BFGS; most probes take 20
CLOSE = 1e-4  # relative: the loss falls by less in the last step
FLATTER = 8  # times flatter than the steepest that the loss of a probe can be, it is about on average
CONSTANT = 1e-6  # standard deviation of a coordinate, relative to its size, below which it does not vary
HEADS = ("label", ">compression", ">by frequencies", ">of random labels", ">untrained", ">accuracy", ">by the word's commonest")
FEWEST = 100  # words of a task, below which it has no value


def _of_each(label: Callable[[TaggedWord], str]) -> Callable[[ParsedSentence], list[str]]:
    return lambda sentence: [label(word) for word in sentence.words]


def _next(sentence: ParsedSentence) -> list[str]:
    return [word.upos for word in sentence.words[1:]] + [NONE]


TASKS: dict[str, Callable[[ParsedSentence], list[str]]] = {
    "part of speech": _of_each(lambda word: word.upos),
    "next part of speech": _next,
    "relation": _of_each(lambda word: word.relation.partition(":")[0]),
    "number": _of_each(lambda word: word.feature("Number")),
    "tense": _of_each(lambda word: word.feature("Tense")),
}


class Probes(Instrument):
    """Description length, by online coding, of what a treebank says of words, given their states."""

    kind: Literal["probes"] = "probes"
    treebank: Path | None = None
    """A file in CoNLL-U, or a folder of such files (.conllu), in the language of the model."""
    words: int = Field(6_000, ge=FEWEST)
    """Words of it, in whole sentences drawn at random."""
    layers: int = Field(7, ge=2)
    """Layers that are read, the embeddings and the last among them; all of a model that has fewer."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By task and layer."""
        share: dict[str, Any] = {"span": (0.0, 1.0)}
        return {
            "task": Column(says="what the treebank says of a word", dtype=pl.String, index=True),
            "layer": Column(says="the layer, 0: embeddings", dtype=pl.Int64, index=True),
            "compression": Column(says="length of a code that takes all labels for equally likely, over that by the states"),
            "bits": Column(says="length of the code by the states", unit="bits a word"),
            "information": Column(
                says="what the states save of the code by the labels' frequencies, over the second half of the words",
                unit="bits a word",
            ),
            "accuracy": Column(says="share of the second half's words whose label is told by the first half's probe", **share),
            "common": Column(says="the same by the label that the word had most often in the first half", **share),
            "frequencies": Column(says="compression by the labels' frequencies alone"),
            "types": Column(says="compression by the states of random labels, one a word form, that are as frequent"),
            "untrained": Column(says="compression by the states of the first checkpoint"),
            "classes": Column(says="labels", dtype=pl.Int64),
            "n": Column(says="words", dtype=pl.Int64),
        }

    def contents(self) -> list[str]:
        """The treebank's.  Raises OntogenyError where none was given, that says how."""
        return hashes(self.name, self.treebank)

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises DoesNotApply for a model without hidden states, and OntogenyError for a treebank that is none."""
        text = subject.parsed(given(self.name, self.treebank), f"{self.name}.treebank", self.words)
        tasks = subject.context.once((self, "tasks", id(text)), partial(tasks_of, text))
        first = subject.context.once((self, "first", subject.seed, id(text)), partial(self._first, subject, text, tasks))
        rows = []
        for layer, own in word_states(subject, text, self.layers):
            states = LayerStates(own)
            for task in tasks:
                told, random = task.told(states, task.labels), task.told(states, task.random)
                saved = told and task.plain.late - told.late
                found = (told and told.compression, told and told.bits, saved, told and told.accuracy)
                controls = (task.common, task.plain.compression, random and random.compression, first.get((task.name, layer)))
                rows.append((task.name, layer, *found, *controls, task.classes, len(task.labels)))
        return pl.DataFrame(rows, schema=schema(self), orient="row")

    def _first(self, subject: Subject, text: ParsedText, tasks: Sequence[Labelling]) -> dict[tuple[str, int], float]:
        """Compression at the seed's first checkpoint by task and layer."""
        states = ((layer, LayerStates(own)) for layer, own in word_states(subject.reference(), text, self.layers))
        told = {(task.name, layer): task.told(own, task.labels) for layer, own in states for task in tasks}
        return {key: code.compression for key, code in told.items() if code}

    def panels(self) -> tuple[Panel, ...]:
        """Compression of each task at its best layer, and at all of them."""
        shared: dict[str, Any] = {"needs": ("probes",), "there": _there, "command": "read RUN --with probes --set treebank=FILE"}
        return (
            Panel(
                name="probes.best",
                title="how much shorter a code for a treebank's labels becomes by the states of words, at the best layer",
                draw=_best,
                says=_best_says,
                table=_controls,
                **shared,
            ),
            Panel(
                name="probes.layers",
                title="the same layer by layer",
                draw=_layers,
                says=_layers_say,
                shape="map",
                **shared,
            ),
        )


# --- what is asked of words ---------------------------------------------------------------------------------------


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch's threads and the optimiser's would wait for each other at every step: six times slower on two cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True, slots=True, eq=False)
class Labelling:
    """A task: the words that bear labels of one kind, in the order in which they are coded."""

    name: str
    which: Ints  # (n,) their numbers in the text
    labels: Ints  # (n,)
    classes: int
    random: Ints  # (n,) a label for each word form, drawn by the labels' frequencies (Hewitt & Liang 2019)
    common: float
    plain: Code  # by the labels' frequencies alone

    @one_thread()
    def told(self, layer: LayerStates, labels: Ints) -> Code | None:
        """The code of its labels, or of others, by the states of its words; None where these do not vary."""
        if (turned := layer.turned(self.which)) is None:
            return None
        return code_of(labels, self.classes, Probe(turned, labels, self.classes).predict)


def tasks_of(text: ParsedText) -> list[Labelling]:
    """Those for which the treebank has words enough and two labels."""
    forms = [word.form.lower() for word in text.words]
    found = []
    for name, label in TASKS.items():
        said = np.array([one for sentence in text.sentences for one in label(sentence)])
        which = np.flatnonzero(said != NONE)
        names, labels = np.unique(said[which], return_inverse=True)
        if len(which) < FEWEST or len(names) < 2:
            continue
        _, form = np.unique([forms[number] for number in which], return_inverse=True)
        drawn = np.random.default_rng(0).choice(labels, size=form.max() + 1)
        plain = code_of(labels, len(names), partial(by_frequency, labels, len(names)))
        found.append(Labelling(name, which, labels, len(names), drawn[form], _common(form, labels), plain))
    if not found:
        raise OntogenyError(
            f"the treebank's {len(forms)} words that were read bear no labels: {FEWEST} with two tags are the least"
        )
    return found


def _common(form: Ints, labels: Ints) -> float:
    """Accuracy over the second half by what each form was most often in the first, and any form where it was not."""
    half = ends_of(len(labels))[-2]
    counts = np.zeros((form.max() + 1, labels.max() + 1))
    np.add.at(counts, (form[:half], labels[:half]), 1)
    every = counts.sum(0)
    told = (counts + every / (len(labels) * every.sum())).argmax(1)  # among equals, the one that is more frequent
    return float(np.mean(told[form[half:]] == labels[half:]))


# --- codes --------------------------------------------------------------------------------------------------------


class Code(NamedTuple):
    """A prequential code of n labels: each portion by what all before it tell, the first one as if all were equally likely."""

    compression: float  # n log2(classes) / its length
    bits: float  # a word
    late: float  # bits a word of the last portion
    accuracy: float  # share of the last portion whose likeliest label is its own


Predict = Callable[[int, int], Floats]  # from the first so many words, log-probabilities (nats) of those up to another


def ends_of(n: int) -> list[int]:
    """Where portions of n words end."""
    return sorted({max(1, round(portion * n)) for portion in PORTIONS})


def code_of(labels: Ints, classes: int, predict: Predict) -> Code:
    """Of labels (n,) in their order."""
    ends = ends_of(len(labels))
    total, late, accuracy = ends[0] * np.log2(classes), 0.0, 0.0
    for begin, end in pairwise(ends):
        logps, own = predict(begin, end), labels[begin:end]
        bits = -logps[np.arange(end - begin), own] / np.log(2)
        total, late, accuracy = total + bits.sum(), float(bits.mean()), float(np.mean(logps.argmax(1) == own))
    return Code(float(len(labels) * np.log2(classes) / total), float(total / len(labels)), late, accuracy)


def by_frequency(labels: Ints, classes: int, begin: int, end: int) -> Floats:
    """Counts of labels, one added to each."""
    counts = np.bincount(labels[:begin], minlength=classes) + 1
    return np.tile(np.log(counts / counts.sum()), (end - begin, 1))


def standardised(states: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Each coordinate with mean 0 and the same variance, so that states have length 1 on average, and a 1; None: none varies."""
    wide = states.astype(np.float64)
    mean, spread = wide.mean(0), wide.std(0)
    varies = spread > CONSTANT * np.sqrt((wide**2).mean())
    if not varies.any():
        return None
    unit = (wide - mean)[:, varies] / spread[varies] / np.sqrt(varies.sum())
    return np.hstack([unit, np.ones((len(unit), 1))]).astype(np.float32)


class LayerStates:
    """The states of all words after one layer; what several tasks ask of them is made once."""

    def __init__(self, states: NDArray[np.float32]):
        self.states = states
        self._kept: dict[bytes, Turned | None] = {}

    def turned(self, which: Ints) -> Turned | None:
        """Those of some words; None where they do not vary."""
        if (key := which.tobytes()) not in self._kept:
            varied = standardised(self.states[which])
            self._kept[key] = None if varied is None else Turned(varied)
        return self._kept[key]


class Turned:
    """Standardised states in coordinates in which a probe's loss is about as steep in all directions, portion by portion.

    They are those of a bound of the Hessian (Böhning 1992), and the same for labels of any kind.
    """

    def __init__(self, states: NDArray[np.float32]):
        self.states = torch.from_numpy(states)
        self._kept: dict[int, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}

    def __call__(self, begin: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of the first so many: the basis (weights = basis @ coordinates), their coordinates, and the penalty's matrix."""
        if begin not in self._kept:
            some = self.states[:begin]
            bound = (some.T @ some).double() / FLATTER + PENALTY * torch.eye(some.shape[1], dtype=torch.float64)
            basis = torch.linalg.inv(torch.linalg.cholesky(bound).T)
            self._kept[begin] = basis, some @ basis.float(), (PENALTY * basis.T @ basis).float()
        return self._kept[begin]


class Probe:
    """Multinomial logistic regressions on more and more words, each begun where the one before ended."""

    def __init__(self, turned: Turned, labels: Ints, classes: int):
        self.turned, self.labels = turned, torch.from_numpy(labels)
        self.weights = torch.zeros(turned.states.shape[1], classes, dtype=torch.float64)

    def predict(self, begin: int, end: int) -> Floats:
        """Log-probabilities (nats) of the words from `begin` to `end`, by those before."""
        basis, states, penalty = self.turned(begin)
        coordinates = fitted(states, penalty, self.labels[:begin], torch.linalg.solve(basis, self.weights))
        self.weights = basis @ coordinates
        return (self.turned.states[begin:end].double() @ self.weights).log_softmax(1).numpy()


def fitted(states: torch.Tensor, penalty: torch.Tensor, labels: torch.Tensor, begin: torch.Tensor) -> torch.Tensor:
    """The coordinates c (width, classes) that minimise the loss, summed over words, + tr(c' penalty c) / 2."""
    shape = begin.shape

    def loss(flat: Floats) -> tuple[float, Floats]:
        here = torch.from_numpy(flat.astype(np.float32)).view(shape)
        logps, pulled = (states @ here).log_softmax(1), penalty @ here
        own = logps.gather(1, labels[:, None])
        value = (here * pulled).sum(dtype=torch.float64) / 2 - own.sum(dtype=torch.float64)
        wrong = logps.exp_().scatter_add_(1, labels[:, None], torch.full_like(own, -1.0))
        return float(value), (states.T @ wrong).add_(pulled).double().numpy().ravel()

    options = {"maxiter": STEPS, "ftol": CLOSE, "gtol": 0}
    found = minimize(loss, begin.numpy().ravel(), jac=True, method="L-BFGS-B", options=options)
    return torch.from_numpy(found.x).view(shape)


# --- its figures --------------------------------------------------------------------------------------------------


def _there(frames: Frames) -> bool:
    return not frames["probes"]["compression"].is_null().all()


def _ends(frames: Frames) -> pl.DataFrame:
    """Tasks and layers at the last checkpoint, means over seeds."""
    last = frames["probes"].filter(pl.col("step") == pl.col("step").max()).drop_nulls("compression")
    return last.group_by("task", "layer", maintain_order=True).agg(pl.exclude("seed", "step").mean())


def best_layers(ends: pl.DataFrame) -> list[dict[str, Any]]:
    """Of each task the row of the layer that tells most at the end."""
    best = ends.sort("compression", descending=True).unique("task", keep="first", maintain_order=True)
    order = {name: place for place, name in enumerate(TASKS)}
    return sorted(best.iter_rows(named=True), key=lambda row: order.get(row["task"], len(order)))


def _best(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    best = pl.DataFrame([{"task": row["task"], "layer": row["layer"]} for row in best_layers(_ends(frames))])
    rows = best.join(frames["probes"], on=["task", "layer"], maintain_order="left").drop_nulls("compression")
    values = rows.with_columns(of=pl.format("{}, layer {}", "task", "layer"), value="compression")
    return curves.lines(values, "compression", Probes().columns["compression"], clock, **options)


def _best_says(frames: Frames, clock: Clock) -> str:
    """Bits a word at the end, and what that number is not."""
    best = best_layers(_ends(frames))
    said = ", ".join(
        f"{row['task']} in {row['bits']:.2f} (layer {row['layer']:.0f}, {row['compression']:.1f} times shorter)" for row in best
    )
    return (
        f"At the last checkpoint a word's label is coded, in bits: {said}. A "
        "linear reading of the state at the word's last token learns the code as it goes. It shows that states tell the "
        "label, not that the model uses it; the table has what tells it without the model's training."
    )


def _controls(frames: Frames) -> Tabulated | None:
    names = ("compression", "frequencies", "types", "untrained", "accuracy", "common")
    rows = [
        (row["task"], *("" if row[name] is None else f"{row[name]:.2f}" for name in names)) for row in best_layers(_ends(frames))
    ]
    return Tabulated(HEADS, tuple(rows))


def _layers(frames: Frames, clock: Clock, **options: Any) -> Drawn:
    rows = frames["probes"].drop_nulls("compression").sort("layer", "step", "seed")
    order = pl.DataFrame({"task": list(TASKS)}).join(rows, on="task", maintain_order="left_right").drop_nulls("compression")
    values = order.with_columns(of=pl.format("{}, layer {}", "task", "layer"), value="compression")
    return curves.index_map(values, "compression", Probes().columns["compression"], **options)


def _layers_say(frames: Frames, clock: Clock) -> str:
    """Which layer tells most, beside what embeddings tell."""
    ends = _ends(frames)
    lowest = {row["task"]: row["compression"] for row in ends.filter(layer=0).iter_rows(named=True)}
    said = [
        f"{row['task']} layer {row['layer']:.0f} ({row['compression']:.2f}, embeddings {lowest[row['task']]:.2f})"
        for row in best_layers(ends)
        if row["task"] in lowest
    ]
    return f"At the last checkpoint the code is shortest by the states of, for {', '.join(said)}. Embeddings know the word alone."
