"""Samples: text that a model writes, beside text of the same length that it was not trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import torch
from pydantic import Field

from ontogeny.corpora.micro_english import MicroEnglish, Recogniser
from ontogeny.corpora.micro_english.language import micro_english
from ontogeny.corpora.micro_english.lexicon import FormError
from ontogeny.instruments.completion import NextTokenPredictor
from ontogeny.instruments.instrument import Column, DoesNotApply, Instrument, schema
from ontogeny.instruments.subject import Subject
from ontogeny.instruments.words import plain
from ontogeny.ngrams.index import Index
from ontogeny.pages import curves
from ontogeny.pages.panel import Clock, Drawn, Frames, Panel, Tabulated
from ontogeny.trajectories.timeline import Floats, Ints

ORDERS = (2, 3, 4, 5)  # n-grams that are looked up in the training text
PERIOD, TIMES = 20, 3  # a loop: what a greedy text ends in has so many tokens at most, so often
PROMPT = 10  # tokens of held-out text that a greedy text begins with
DOCUMENTS = 300  # that the recogniser reads
GENERATED, NATURAL, GREEDY = "generated", "natural", "greedy"
CHECKPOINTS = 8  # whose texts stand on the page
LETTERS = 300  # of each that stand there


class GeneratedText(Instrument):
    """What a model writes: how common its words are, how new its n-grams, whether it goes round in circles."""

    needs: ClassVar[tuple[str, ...]] = ("text", "ngrams")

    kind: Literal["samples"] = "samples"
    samples: int = Field(200, ge=2)
    """Texts drawn token by token from the model's own probabilities."""
    greedy: int = Field(50, ge=1)
    """Texts that go on from held-out text, always with the likeliest token."""
    tokens: int = Field(120, ge=PERIOD)
    """Tokens of each; as many as the model takes, if that is fewer."""
    kept: int = Field(3, ge=0)
    """Texts of each kind that are kept, for people."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """Of the generated texts, of natural text as long, of greedy ones; and the texts that are kept."""
        share: dict[str, Any] = {"span": (0.0, 1.0)}
        return {
            "of": Column(says="generated, natural (held-out text) or greedy", dtype=pl.String, index=True),
            "number": Column(says="0: all of them; else one text that is kept", dtype=pl.Int64, index=True),
            "ranks": Column(says="largest difference of the words' cumulative frequency by rank from natural text's", **share),
            "types": Column(says="largest difference of the growth of word types from natural text's, as a share of them"),
            "zipf": Column(says="slope of log frequency on log rank"),
            "heaps": Column(says="slope of log types on log words"),
            "distinct": Column(says="of two words in a row, the share that is different ones", **share),
            **{f"novel_{n}": Column(says=f"of {n} tokens in a row, the share not in the training text", **share) for n in ORDERS},
            "surplus": Column(says="mean of -log p of a token less the entropy that it was drawn from", unit="nats"),
            "spread": Column(says="standard deviation of that", unit="nats"),
            "loops": Column(says="share of texts that end in a piece of at most 20 tokens, three times", **share),
            "accepted": Column(says="of micro-English, the share of documents that the grammar derives", **share),
            "text": Column(says="the text", dtype=pl.String),
        }

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises DoesNotApply for a model without a token that begins texts, which has nothing to begin with."""
        if subject.first is None:
            raise DoesNotApply("its texts have no token that they begin with")
        length = min(self.tokens, subject.limit - 1)
        natural = subject.sample(self.samples * (length + 1), length + 1)
        begins = natural[: self.greedy, : min(PROMPT, length // 2) + 1]
        uniform = np.random.default_rng(0).random((len(natural), length))
        ids, logp, entropy = written(subject, natural[:, :1], length, uniform)
        greedy, _, _ = written(subject, begins, length + 1 - begins.shape[1], None)
        held = texts_of(subject, natural)
        rows = [
            self._row(subject, GENERATED, ids, held, entropy, logp),
            self._row(subject, NATURAL, natural, held, *told(subject, natural)),
            self._row(subject, GREEDY, greedy, held),
        ]
        for of, every in ((GENERATED, ids), (NATURAL, natural), (GREEDY, greedy)):
            kept = texts_of(subject, every[: self.kept])
            rows += [{"of": of, "number": number, "text": text} for number, text in enumerate(kept, 1)]
        return pl.DataFrame(rows, schema=schema(self))

    def _row(
        self,
        subject: Subject,
        of: str,
        ids: Ints,
        natural: Sequence[str],
        entropy: Floats | None = None,
        logp: Floats | None = None,
    ) -> dict[str, Any]:
        texts = texts_of(subject, ids)
        index = subject.context.ngrams("token").index
        row: dict[str, Any] = {"of": of, "number": 0, "loops": float(np.mean([loops(list(own)) for own in ids[:, 1:].tolist()]))}
        row |= {f"novel_{n}": share for n, share in novelty(index, ids).items() if n in ORDERS}
        row |= counted(words_of(texts), words_of(natural) if of != NATURAL else None)
        if entropy is not None and logp is not None:
            row |= {"surplus": float((-logp - entropy).mean()), "spread": float((-logp - entropy).std())}
        if isinstance(subject.context.recipe.corpus, MicroEnglish):
            row["accepted"] = accepted(texts)
        return row

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """How new generated texts are, and how often greedy ones loop."""
        all_ = table.filter(number=0)
        return {
            "novel 4-grams": all_.filter(of=GENERATED).select("seed", "step", value="novel_4"),
            "loops": all_.filter(of=GREEDY).select("seed", "step", value="loops"),
        }

    def panels(self) -> tuple[Panel, ...]:
        """The texts, their words, their novelty, their loops."""
        shared: dict[str, Any] = {"needs": ("samples",), "command": "read RUN --with samples"}
        return (
            Panel(
                name="samples.loops",
                title="what a model writes: texts that end in a loop; beneath, a text drawn at each of several checkpoints",
                draw=partial(
                    _drawn,
                    {
                        (GREEDY, "loops"): "greedy texts in a loop",
                        **{(of, "accepted"): f"{of} documents that the grammar derives" for of in (GENERATED, NATURAL)},
                    },
                    "share",
                ),
                says=_loops_say,
                table=_texts,
                **shared,
            ),
            Panel(
                name="samples.novelty",
                title="n-grams that a model writes and the training text has not",
                draw=partial(
                    _drawn,
                    {(of, f"novel_{n}"): f"{n}-grams, {of}" for of in (GENERATED, NATURAL) for n in (2, 3, 5)},
                    "share that is new",
                ),
                says=_novelty_says,
                **shared,
            ),
            Panel(
                name="samples.words",
                title="how far the words of generated text are from natural text's",
                draw=partial(_drawn, {(GENERATED, "ranks"): "by rank", (GENERATED, "types"): "by types"}, "largest difference"),
                says=_words_say,
                **shared,
            ),
        )


# --- writing ------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def written(subject: Subject, begins: Ints, length: int, uniform: Floats | None) -> tuple[Ints, Floats, Floats]:
    """Texts that go on from `begins` (rows, tokens), BOS among them, by `length` tokens; and of these log p and the entropy that
    each was drawn from, nats.

    uniform: (rows, length) numbers in [0, 1), each of which draws a token; None: the likeliest is taken.
    """
    text = torch.tensor(begins, device=subject.device)
    going, reader = torch.ones(len(text), dtype=torch.bool, device=subject.device), NextTokenPredictor(subject.model)
    told = []
    for at in range(length):
        logps = reader.predict(text, going).double().log_softmax(-1)
        p = logps.exp()
        if uniform is None:
            token = logps.argmax(-1)
        else:
            sums = p.cumsum(-1)
            u = torch.tensor(uniform[:, at], device=subject.device)[:, None] * sums[:, -1:]
            token = torch.searchsorted(sums, u, right=True)[:, 0].clamp(max=logps.shape[1] - 1)
        told.append((logps.gather(1, token[:, None])[:, 0], -(p * logps.clamp(min=-1e3)).sum(-1)))
        text = torch.cat([text, token[:, None]], 1)
    logp, entropy = (torch.stack(own, 1).cpu().numpy() for own in zip(*told, strict=True))
    return text.cpu().numpy(), logp, entropy


@torch.inference_mode()
def told(subject: Subject, rows: Ints) -> tuple[Floats, Floats]:
    """Of given texts the entropy before each token and its log p, nats, (rows, tokens)."""
    found = []
    for _, ids in subject.padded(rows.tolist()):
        logps = subject.model(input_ids=ids[:, :-1]).logits.float().log_softmax(-1)
        entropy = -(logps.exp() * logps.clamp(min=-1e3)).sum(-1)
        found.append((entropy.cpu().numpy(), logps.gather(2, ids[:, 1:, None])[:, :, 0].cpu().numpy()))
    entropies, own = (np.concatenate(one) for one in zip(*found, strict=True))
    return entropies, own


def texts_of(subject: Subject, ids: Ints) -> list[str]:
    """As people read them; where one document ends and the next begins, a line ends."""
    read: Callable[..., str] = partial(subject.tokenizer.decode, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return ["\n".join(read(part).strip() for part in _documents(row, subject.first) if part) for row in ids.tolist()]


def _documents(row: Sequence[int], first: int | None) -> list[list[int]]:
    parts: list[list[int]] = [[]]
    for token in row:
        if token == first:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


# --- what is counted ----------------------------------------------------------------------------------------------


def words_of(texts: Sequence[str]) -> list[str]:
    """Without punctuation and in small letters."""
    return [word for text in texts for written in text.split() if (word := plain(written))]


def counted(words: Sequence[str], natural: Sequence[str] | None) -> dict[str, float | None]:
    """ranks, types, zipf, heaps and distinct of some words, the first two beside as many natural ones."""
    if len(words) < 2:
        return {}
    n = min(len(words), len(natural)) if natural else len(words)
    own, growth = by_rank(words[:n]), types_after(words[:n])
    found: dict[str, float | None] = {
        "zipf": slope(np.arange(1, len(own) + 1), own),
        "heaps": slope(np.arange(1, n + 1), growth),
        "distinct": len(set(pairwise(words))) / (len(words) - 1),
    }
    if natural:
        others, theirs = by_rank(natural[:n]), types_after(natural[:n])
        size = max(len(own), len(others))
        sums = [np.cumsum(np.pad(one, (0, size - len(one)))) / one.sum() for one in (own, others)]
        found |= {"ranks": float(np.abs(sums[0] - sums[1]).max()), "types": float(np.abs(growth - theirs).max() / theirs[-1])}
    return found


def by_rank(words: Sequence[str]) -> Floats:
    """How often each type is there, the commonest first."""
    return np.array(sorted(Counter(words).values(), reverse=True), dtype=np.float64)


def types_after(words: Sequence[str]) -> Floats:
    """Types among the first 1, 2 ... words."""
    seen: set[str] = set()
    return np.array([len(seen) for word in words if seen.add(word) is None], dtype=np.float64)  # type: ignore[func-returns-value]


def slope(x: Ints, y: Floats) -> float | None:
    """Of log y on log x; None where x does not vary."""
    if len(x) < 2:
        return None
    log_x, log_y = np.log(x) - np.log(x).mean(), np.log(y)
    return float(log_x @ log_y / (log_x @ log_x))


def novelty(index: Index, ids: Ints) -> dict[int, float]:
    """By n, the share of texts' n-grams within documents that the training text has nowhere."""
    walk, at = index.walk(ids.tolist()), np.arange(ids.shape[1])
    since = (at - np.maximum.accumulate(np.where(ids == index.bos, at, -1), axis=1)).ravel()  # tokens of the document so far
    return {n: float((row[since >= n] < 0).mean()) for n, row in enumerate(walk.rows, 1) if (since >= n).any()}


def loops(ids: Sequence[int]) -> bool:
    """True if a text ends in a piece of at most PERIOD tokens, TIMES times in a row."""
    return any(
        len(ids) >= TIMES * period and all(ids[-i] == ids[-i - period] for i in range(1, (TIMES - 1) * period + 1))
        for period in range(1, PERIOD + 1)
    )


def accepted(texts: Sequence[str]) -> float | None:
    """Of documents of micro-English that are whole, the share that its grammar derives; of DOCUMENTS of them."""
    whole = [line for text in texts for line in text.split("\n")[1:-1] if line]  # the first one of a text and its last are cut
    recogniser = Recogniser(micro_english())
    return float(np.mean([_derives(recogniser, line) for line in whole[:DOCUMENTS]])) if whole else None


def _derives(recogniser: Recogniser, text: str) -> bool:
    try:
        return recogniser.accepts(text, "Scene")
    except FormError:
        return False


# --- its figures --------------------------------------------------------------------------------------------------


def _drawn(shown: Mapping[tuple[str, str], str], title: str, frames: Frames, clock: Clock, **options: Any) -> Drawn:
    table = frames["samples"].filter(number=0)
    parts = [
        table.filter(of=of).select("seed", "step", pl.lit(said).alias("of"), pl.col(column).alias("value"))
        for (of, column), said in shown.items()
    ]
    return curves.lines(pl.concat(parts).drop_nulls("value"), title, Column(says="", span=(0.0, 1.0)), clock, **options)


def _end(frames: Frames, of: str) -> dict[str, Any]:
    last = frames["samples"].filter(pl.col("step") == pl.col("step").max(), number=0, of=of)
    return last.select(pl.exclude("of", "number", "text", "seed").mean()).row(0, named=True)


def _loops_say(frames: Frames, clock: Clock) -> str:
    """At the end."""
    greedy, drawn, natural = (_end(frames, of)["loops"] for of in (GREEDY, GENERATED, NATURAL))
    return (
        f"At the last checkpoint {greedy:.0%} of the texts that take the likeliest token each time end in a loop, of those that "
        f"are drawn {drawn:.0%}, of natural ones {natural:.0%}.{_accepted_says(frames)}"
    )


def _accepted_says(frames: Frames) -> str:
    shares = {of: _end(frames, of)["accepted"] for of in (GENERATED, GREEDY, NATURAL)}
    said = [f"{of} {share:.2f}" for of, share in shares.items() if share is not None]
    return f" The grammar derives a share of documents: {', '.join(said)}." if said else ""


def _novelty_says(frames: Frames, clock: Clock) -> str:
    """At the end, beside natural text."""
    own, natural = _end(frames, GENERATED), _end(frames, NATURAL)
    said = [f"{own[f'novel_{n}']:.2f} of its {n}-grams (natural text {natural[f'novel_{n}']:.2f})" for n in ORDERS]
    every = ", ".join(said)
    return f"At the last checkpoint the training text has not {every}. Where it is less than natural text's, a model repeats."


def _words_say(frames: Frames, clock: Clock) -> str:
    """At the end."""
    own, natural = _end(frames, GENERATED), _end(frames, NATURAL)
    return (
        f"At the last checkpoint frequencies by rank differ by {own['ranks']:.3f} at most, and types by {own['types']:.2f} of "
        f"natural text's; Zipf's slope is {own['zipf']:.2f} (natural text {natural['zipf']:.2f}), Heaps' {own['heaps']:.2f} "
        f"({natural['heaps']:.2f})."
    )


def _texts(frames: Frames) -> Tabulated:
    """A text drawn at each of a few checkpoints, of the first seed."""
    kept = (
        frames["samples"].filter(pl.col("seed") == pl.col("seed").min(), pl.col("number") > 0, of=GENERATED).sort("step", "number")
    )
    steps = kept["step"].unique().sort().to_list()
    chosen = [steps[i] for i in np.unique(np.linspace(0, len(steps) - 1, CHECKPOINTS).round().astype(int))] if steps else []
    first = kept.filter(pl.col("step").is_in(chosen)).select("step", "text")
    return Tabulated(("step", "it writes"), tuple((f"{step:,}", shown(text)) for step, text in first.iter_rows()))


def shown(text: str) -> str:
    """The beginning of a text on one line; a stroke is where a document ends."""
    return text[:LETTERS].replace("\n", " / ") + ("…" if len(text) > LETTERS else "")
