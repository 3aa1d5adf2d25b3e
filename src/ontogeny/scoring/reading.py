"""Reading one checkpoint: its scores on every suite, and its loss on held-out text.  A function of (weights, suite) alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl

from ontogeny import disk, foreign, store
from ontogeny.ngrams.words import without_words
from ontogeny.recipe import Observation, Scoring, Thresholds
from ontogeny.records import Checkpoint, OntogenyError, Pair, Suite, said
from ontogeny.scoring import masked, options, pairs, plan, settled
from ontogeny.scoring.plan import Tokenised
from ontogeny.scoring.readout import Progress
from ontogeny.scoring.sentences import Encoded
from ontogeny.store import RunFolder
from ontogeny.suites import contrast_of, distinct
from ontogeny.tokens import token_store
from ontogeny.tokens.pretrained import open_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

Bar = Callable[[str, int], AbstractContextManager[Progress]]  # title, sentences in all
Score = Callable[[plan.Plan], pairs.Scored]


@dataclass(frozen=True, slots=True)
class SuitePairs:
    """A suite as a run asks it: the pairs that are scored, and those that are not, with why."""

    name: str
    pairs: list[Pair]
    identical: list[Pair]
    human: dict[str, float]
    key: str  # changes with any pair
    part: str | None = None  # what is scored in a model's place: its attribute of this name
    left_out: tuple[str, ...] = ()  # what of its files is no pair, with counts
    joined: bool = False  # context and option are tokenised as one text, as lm-eval does

    def facts(self) -> dict[str, Any]:
        """Counts for the lineage."""
        identical: dict[str, int] = {}
        for pair in self.identical:
            identical[pair.paradigm] = identical.get(pair.paradigm, 0) + 1
        spaced = {"outer_spaces": self.outer_spaces} if self.outer_spaces else {}
        left = {"left_out": list(self.left_out)} if self.left_out else {}
        return {**self.without_words(), **spaced, **left} | {
            "pairs": len(self.pairs),
            "paradigms": len({pair.paradigm for pair in self.pairs}),
            "identical": len(self.identical),
            "identical_in": identical,
            "human": self.human,
            "key": self.key,
        }

    @property
    def outer_spaces(self) -> int:
        """Pairs with a sentence that begins or ends with a space, which is scored as it stands: often a table's, and not meant."""
        return 0 if self.joined else sum(any(text != text.strip() for text in pair.options) for pair in self.pairs)

    @property
    def told(self) -> list[str]:
        """What a person should hear of the pairs."""
        found = list(self.left_out)
        if self.identical:
            where = sorted({pair.paradigm for pair in self.identical})
            first = f"the first is pair {self.identical[0].pair} of {self.identical[0].paradigm}"
            found.append(f"{len(self.identical)} pairs with identical sentences are left out ({', '.join(where)}); {first}")
        if self.outer_spaces:
            found.append(f"{self.outer_spaces} pairs have sentences that begin or end with a space, which is scored with them")
        return found

    def without_words(self) -> dict[str, str]:
        """Why word-level numbers mean nothing, under that name; empty where they mean something."""
        told = without_words([" ".join(both).strip() for pair in self.pairs for both in pair.asked])
        return {"without_words": f"{self.name}: {told}"} if told else {}


def ask(part: Any, per_paradigm: int | None) -> SuitePairs:
    """A recipe's suite, read, with identical pairs left out.  Raises OntogenyError if no pair is left."""
    suite = cast(Suite, part)
    differ, identical = distinct(suite.pairs())
    chosen = plan.sample(differ, per_paradigm)
    if not chosen:
        raise OntogenyError(f"suite {suite.name} has no pair whose two sentences differ")
    options.check(chosen)
    joined = getattr(suite, "joined", False)
    key = disk.content_key(chosen, "joined") if joined else disk.content_key(chosen)
    left = tuple(suite.left_out()) if hasattr(suite, "left_out") else ()
    return SuitePairs(suite.name, chosen, identical, suite.human(), key, getattr(suite, "part", None), left, joined)


def keep_pairs(folder: RunFolder, asked: SuitePairs) -> None:
    """Writes the pairs that are scored as a table, with the critical contrast of each."""
    used = {name for pair in asked.pairs for name in said(pair)}
    columns = {
        name: pl.Series([_plain(getattr(pair, name)) for pair in asked.pairs], dtype=LISTS.get(name))
        for name in sorted(Pair.__slots__, key=lambda name: name in LISTS)
        if name in used
    }
    columns["contrast"] = pl.Series([contrast_of(pair) for pair in asked.pairs])
    other = {} if disk.file_name(asked.name) == asked.name else {"suite": asked.name}  # the file's name is another
    disk.keep_table(folder.pairs(asked.name), pl.DataFrame(columns), {"key": asked.key} | other)


def kept_pairs(table: pl.DataFrame) -> Iterator[Pair]:
    """The pairs of such a table."""
    names = [name for name in table.columns if name in Pair.__slots__]
    for row in table.select(names).iter_rows(named=True):
        yield Pair(**{name: _frozen(value) for name, value in row.items()})


LISTS = {"more": pl.List(pl.String), "contexts": pl.List(pl.String), "predictions": pl.List(pl.List(pl.Int64))}


def _plain(value: Any) -> Any:
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


class OpenedCheckpoint:
    """A checkpoint that is being read: each part is opened when it is first asked for, once for all that ask.

    Raises OntogenyError that names the folder for what cannot be opened.
    """

    def __init__(
        self,
        folder: Path,
        device: torch.device,
        say: Callable[[str], None] = lambda text: None,
        tokenizer: Path | None = None,
        how: foreign.Opening = foreign.PLAIN,
    ):
        self.folder = folder
        self.device = device
        self.say = say  # what a person should know of it
        self.tokenizer_in = tokenizer or folder
        self.how = how

    def like(self, folder: Path) -> OpenedCheckpoint:
        """Another checkpoint, opened in the same way."""
        tokenizer = None if self.tokenizer_in == self.folder else self.tokenizer_in
        return OpenedCheckpoint(folder, self.device, self.say, tokenizer, self.how)

    @cached_property
    def weights(self) -> str:
        """The hash of its weights, known to be those that were written where that can be known."""
        return store.sound(self.folder)

    @cached_property
    def model(self) -> Any:
        """The model on the device, in float32 unless it is opened otherwise."""
        assert self.weights  # held against what was written, before it is opened
        model = open_model(self.folder, self.say, self.how)
        return model if self.how.device_map else model.to(self.device)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer."""
        return open_tokenizer(self.tokenizer_in, own_code=self.how.own_code and self.tokenizer_in == self.folder)


class CheckpointReader:
    """Reads checkpoints for one run.  Suites are tokenised once for each tokenizer that is met, and kept in the run's folder."""

    def __init__(
        self,
        folder: RunFolder,
        observation: Observation,
        asked: list[SuitePairs],
        device: torch.device,
        context: int | None,
        say: Callable[[str], None] = lambda text: None,
    ):
        self.folder = folder
        self.observation = observation
        self.asked = asked
        self.device = device
        self.context = context  # of our own training; None: as the model's config says
        self.say = say  # what a person should know
        self._plans: dict[tuple[str, int], plan.Plan] = {}

    def missing(self, seed: int, checkpoint: Checkpoint, again: bool = False) -> list[SuitePairs]:
        """Suites that this checkpoint has no scores on, or scores of other pairs."""
        return [asked for asked in self.asked if again or not self._scored(seed, checkpoint, asked)]

    def _scored(self, seed: int, checkpoint: Checkpoint, asked: SuitePairs) -> bool:
        path, whole = self.folder.scores(seed, asked.name, checkpoint.step), self._key(asked)
        if not path.exists():
            return False
        known = disk.table_metadata(path).get("key")
        return known == whole or (self._until_settled(seed, checkpoint, asked) and known == settled.key(whole, self.observation))

    def _key(self, asked: SuitePairs) -> str:
        return store.score_key(asked.key, self.observation.bos, *self.folder.scored_how(self.observation.scoring))

    def _until_settled(self, seed: int, checkpoint: Checkpoint, asked: SuitePairs) -> bool:
        """Graded items, and such as have no chance level, have no state that could be settled."""
        wanted = self.observation.scoring.until == "settled" and not options.unsettled(asked.pairs)
        return wanted and checkpoint.step < settled.last_step(self.folder, seed)

    def read(self, seed: int, checkpoint: Checkpoint, opened: OpenedCheckpoint, suites: list[SuitePairs], bar: Bar) -> None:
        """Scores a checkpoint on the suites and writes the tables.

        Raises OntogenyError that names the checkpoint if it cannot be opened.
        """
        weights, model, tokenizer = opened.weights, opened.model, opened.tokenizer
        how, bos = self.observation.scoring, self.observation.bos
        for asked in suites:
            asked_of = part_of(model, asked, checkpoint.folder)
            with _named(checkpoint.folder):
                todo = self.plan(asked, tokenizer, opened.tokenizer_in, asked_of)
            with bar(f"{asked.name} at step {checkpoint.step:,}", len(todo.sentences)) as progress:
                score = _scorer(asked_of, todo, tokenizer, self.device, how, bos, progress, checkpoint.folder)
                scored, about = self._read_suite(seed, checkpoint, asked, todo, score, weights)
            facts = {**about, "weights": weights, "step": str(checkpoint.step), "seed": str(seed)}
            disk.write_table(self.folder.scores(seed, asked.name, checkpoint.step), scored.frame, facts)
            told = {"too_long": len(todo.too_long), "unknown_tokens": todo.unknown, **todo.unknown_facts}
            self.folder.note(suites={asked.name: {**asked.facts(), **told, **scored.facts}})
            self._say(asked, checkpoint, scored)

    def _read_suite(
        self, seed: int, checkpoint: Checkpoint, asked: SuitePairs, todo: plan.Plan, score: Score, weights: str
    ) -> tuple[pairs.Scored, dict[str, str]]:
        """The scores of all pairs, or of so many as settle every paradigm, and what their table says of itself.

        Pairs that an unfinished reading of the same weights has scored are not scored again.
        """
        whole = self._key(asked)
        known = self._kept(seed, checkpoint, asked, weights)
        if not self._until_settled(seed, checkpoint, asked):
            return _complete(todo, known, score), {"key": whole}
        reading = settled.order(todo.pairs)
        share = settled.level(self.folder, self.observation, seed, len(reading))
        scored = _settle(todo, known, score, reading, self.observation.verdicts, share, options.chances(asked.pairs))
        if len(scored.frame) == len(todo.pairs):
            return scored, {"key": whole}
        return scored, settled.facts(whole, self.observation, share, reading)

    def _kept(self, seed: int, checkpoint: Checkpoint, asked: SuitePairs, weights: str) -> pl.DataFrame | None:
        """What was read of this checkpoint until settled, if more is wanted now; None where it is to be read from the beginning."""
        path = self.folder.scores(seed, asked.name, checkpoint.step)
        if not path.exists() or self._scored(seed, checkpoint, asked):  # then it is to be read again
            return None
        about = disk.table_metadata(path)
        return disk.read_table(path) if (about.get("whole"), about.get("weights")) == (self._key(asked), weights) else None

    def _say(self, asked: SuitePairs, checkpoint: Checkpoint, scored: pairs.Scored) -> None:
        where = f"{asked.name} at step {checkpoint.step:,}"
        if most := scored.facts.get("batch_tokens"):
            self.say(f"{where}: memory was short, so one forward pass has {most:,} tokens")
        if error := scored.facts.get("bfloat16"):
            self.say(
                f"{where}: in bfloat16 a sentence's log-probability is off by up to {error['largest_error']:.2g} nats and "
                f"{error['flipped']} of {error['pairs']} pairs are decided otherwise"
            )

    def plan(self, asked: SuitePairs, tokenizer: PreTrainedTokenizerBase, folder: Path, model: Any) -> plan.Plan:
        """The suite's plan for this tokenizer, made once."""
        first, context = frame(model, tokenizer, self.observation.bos, self.context)
        spaced = self.observation.scoring.leading_space
        key = disk.content_key(asked.key, tokenizer_key(folder, tokenizer), first, spaced)
        if (key, context) not in self._plans:
            path = self.folder.tokenised(asked.name, key)
            if not path.exists():
                _keep_tokens(path, asked, _tokenise(asked, tokenizer, first, spaced), key)
            tokens, heard = _kept_tokens(path, asked, first), plan.noted(tokenizer, first)
            tokens = self._fitting(asked, tokens, context)
            self._plans[key, context] = plan.of(asked.pairs, tokens, heard, context)
            for line in self._plans[key, context].told:
                self.say(f"{asked.name}: {line}")
            if masked.is_masked(model) and self.observation.scoring.masked == "within-word":
                for line in asked.without_words().values():
                    self.say(f"{line}; scoring.masked: original hides no words")
        return self._plans[key, context]

    def _fitting(self, asked: SuitePairs, tokens: Tokenised, context: int) -> Tokenised:
        found, cut = plan.shortened(tokens, context) if asked.joined else (tokens, 0)
        if cut:
            self.say(f"{asked.name}: {cut:,} texts are longer than the context and lose their beginning, as with lm-eval")
        return found


def _tokenise(asked: SuitePairs, tokenizer: PreTrainedTokenizerBase, first: int | None, spaced: bool) -> plan.Tokenised:
    return plan.tokenise_joined(asked.pairs, tokenizer) if asked.joined else plan.tokenise(asked.pairs, tokenizer, first, spaced)


def _complete(todo: plan.Plan, known: pl.DataFrame | None, score: Score) -> pairs.Scored:
    """Every pair of the plan; those in `known` are not scored again."""
    if known is None:
        return score(todo)
    have = set(known.select("paradigm", "pair").iter_rows())
    wanted = [i for i, pair in enumerate(todo.pairs) if (pair.paradigm, pair.pair) not in have]
    return _joined(todo, known, [score(todo.part(np.array(wanted)))] if wanted else [])


def _settle(
    todo: plan.Plan,
    known: pl.DataFrame | None,
    score: Score,
    reading: Mapping[str, list[int]],
    thresholds: Thresholds,
    level: float,
    chances: Mapping[str, float],
) -> pairs.Scored:
    """Pairs in rounds until every paradigm's state is known.  `known` has the pairs of rounds that were read before."""
    rounds: list[pairs.Scored] = []
    while True:
        frames = ([] if known is None else [known]) + [scored.frame for scored in rounds]
        found = settled.counts(pl.concat(frames), thresholds.tie) if frames else {}
        if not (wanted := settled.next_round(reading, found, thresholds, level, chances)):
            return _joined(todo, known, rounds)
        rounds.append(score(todo.part(np.array(wanted))))


def _joined(todo: plan.Plan, known: pl.DataFrame | None, rounds: list[pairs.Scored]) -> pairs.Scored:
    """One table of what was read at several times, in the plan's order."""
    place = {"paradigm": [pair.paradigm for pair in todo.pairs], "pair": [pair.pair for pair in todo.pairs]}
    frame = pl.concat(([] if known is None else [known]) + [scored.frame for scored in rounds])
    ordered = pl.DataFrame(place).join(frame, on=["paradigm", "pair"], how="inner", maintain_order="left")
    return pairs.Scored(ordered, {name: fact for scored in reversed(rounds) for name, fact in scored.facts.items()})


def _keep_tokens(path: Path, asked: SuitePairs, tokens: plan.Tokenised, key: str) -> None:
    columns: dict[str, Any] = {name: [getattr(pair, name) for pair in asked.pairs] for name in ("paradigm", "pair")}
    for place, side in enumerate(options.sides(max(map(len, tokens)))):
        ids = [own[place].ids if place < len(own) else None for own in tokens]
        columns[side] = pl.Series(ids, dtype=pl.List(pl.UInt32))
    if asked.joined or any(pair.contexts for pair in asked.pairs):
        columns["before"] = [[row.before for row in own] for own in tokens]
    elif any(pair.context for pair in asked.pairs):
        columns["before"] = [own[0].before for own in tokens]
    if any(row.lost for own in tokens for row in own):
        columns["lost"] = [[row.lost for row in own] for own in tokens]
    disk.write_table(path, pl.DataFrame(columns), {"key": key})


def _kept_tokens(path: Path, asked: SuitePairs, first: int | None) -> plan.Tokenised:
    """Raises OntogenyError if the table is broken or not of these pairs."""
    table = disk.read_table(path)
    if table.select("paradigm", "pair").rows() != [(pair.paradigm, pair.pair) for pair in asked.pairs]:
        raise OntogenyError(f"{path} does not hold the pairs of {asked.name}; delete it and it is made again")
    before = table["before"].to_list() if "before" in table.columns else [0 if first is None else 1] * len(table)
    each = (
        given if isinstance(given, list) else [given] * len(pair.options) for given, pair in zip(before, asked.pairs, strict=True)
    )
    lost = table["lost"].to_list() if "lost" in table.columns else [[0] * len(pair.options) for pair in asked.pairs]
    ids = table.select(name for name in table.columns if name not in ("paradigm", "pair", "before", "lost")).iter_rows()
    return [
        tuple(Encoded(tuple(own), *about) for own, *about in zip(row, given, pair.options, gone, strict=False))
        for pair, row, given, gone in zip(asked.pairs, ids, each, lost, strict=True)
    ]


def score_folder(
    folder: Path,
    asked: SuitePairs,
    device: torch.device,
    batch_tokens: int,
    bos: bool,
    progress: Progress,
    say: Callable[[str], None] = lambda text: None,
    tokenizer_of: str | None = None,
) -> tuple[pl.DataFrame, plan.Plan, str]:
    """Scores of any folder that `from_pretrained` opens, the plan that made them, and the hash of its weights.

    `tokenizer_of`: a folder, or a name on the hub, whose tokenizer is taken in place of its own.
    """
    weights = hash_of(folder, say)
    model, tokenizer = part_of(open_model(folder, say).to(device), asked, folder), open_tokenizer(tokenizer_of or folder)
    first, context = frame(model, tokenizer, bos, None)
    with _named(folder):
        tokens = _tokenise(asked, tokenizer, first, False)
        tokens = plan.shortened(tokens, context)[0] if asked.joined else tokens
        todo = plan.of(asked.pairs, tokens, plan.noted(tokenizer, first), context)
    how = Scoring(batch_tokens=batch_tokens)
    return _scorer(model, todo, tokenizer, device, how, bos, progress, folder)(todo).frame, todo, weights


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """What is wrong inside it names the folder."""
    try:
        yield
    except OntogenyError as error:
        raise OntogenyError(f"{folder}: {error}") from error


def hash_of(folder: Path, say: Callable[[str], None]) -> str:
    """The hash of the weights of a folder that belongs to no run; `say` is told if it was a run's and has been changed since."""
    weights = store.weights_hash(folder)
    if told := store.changed(folder, weights):
        say(told)
    return weights


def frame(model: Any, tokenizer: PreTrainedTokenizerBase, bos: bool, trained: int | None) -> tuple[int | None, int]:
    """The token that every sentence begins with, None for none, and the most tokens before a sentence's last."""
    if masked.is_masked(model):
        return masked.ends(tokenizer, bos)[0], max(0, masked.room(model, context_of(model, trained)))
    return (token_store.bos_id(tokenizer) if bos else None), context_of(model, trained)


def open_model(folder: Path, say: Callable[[str], None] = lambda text: None, how: foreign.Opening = foreign.PLAIN) -> Any:
    """A causal or masked language model from a local folder, ours made fast.  Raises OntogenyError as the door does."""
    from ontogeny.architectures import auto
    from ontogeny.architectures.models.mamba import quicken

    auto.register()
    return quicken(foreign.open_model(folder, masked.named_masked(foreign.class_named(folder)), say, how))


def context_of(model: Any, trained: int | None) -> int:
    """Most input tokens a model takes: what it was trained with where that is known, else what its config says."""
    said = [getattr(model.config, name, None) for name in ("max_position_embeddings", "n_positions", "n_ctx")]
    most = next((int(longest) for longest in said if longest and longest > 0), 2**31) - masked.passed_over(model)
    return min(most, trained) if trained else most


def part_of(model: Any, asked: SuitePairs, folder: Path) -> Any:
    """What a suite scores of a model: all of it, or a part.  Raises OntogenyError if the model has no such part."""
    if asked.part is None:
        return model
    if asked.part == "untilted":
        from ontogeny.architectures.over_bigrams import untilted

        return untilted(model, RunFolder(folder.parents[2]).tilt)
    if asked.part == "both-sides":
        from ontogeny.architectures.models.masking import ShiftedForMaskedLM

        if masked.is_masked(model) or getattr(model.config, "mask_token_id", None) is None:
            raise OntogenyError(
                f"{folder}: {asked.name} reads from both sides what the intervention hybrid-rows has trained, and "
                f"{type(model).__name__} was not; leave the suite out"
            )
        return ShiftedForMaskedLM(model)
    if (part := getattr(model, asked.part, None)) is None:
        raise OntogenyError(
            f"{folder}: {asked.name} scores a model's {asked.part}, and {type(model).__name__} has none inside; leave the suite out"
        )
    return part


def _scorer(
    model: Any, todo: plan.Plan, tokenizer: Any, device: Any, how: Scoring, bos: bool, progress: Progress, folder: Path
) -> Score:
    """Scores a plan or parts of it; how a causal model is read is found out once, when there is something to score."""
    chosen = cache(lambda: pairs.choose_way(model, todo, device, how.precision))

    def score(part: plan.Plan) -> pairs.Scored:
        try:
            foreign.check_tokens(model, part.sentences)
            if masked.is_masked(model):
                return pairs.read_masked(model, part, tokenizer, device, bos, how.batch_tokens, progress, how.masked)
            return pairs.read_by(chosen(), part, device, how.batch_tokens, progress)
        except OntogenyError as error:
            raise OntogenyError(f"{folder}: {error}") from error
        except Exception as error:  # a model of somebody else's may raise anything
            raise OntogenyError(f"{folder}: the model fails on these sentences ({foreign.cause(error)})") from error

    return score


def tokenizer_key(folder: Path, tokenizer: PreTrainedTokenizerBase) -> str:
    """Changes with anything that decides which tokens a text becomes."""
    files = {file.name: store.file_hash(file) for file in foreign.tokenizer_files(folder)}
    return disk.content_key(files or tokenizer.get_vocab())
