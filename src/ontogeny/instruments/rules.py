"""Rule extrapolation (Mészáros et al. 2024): which rules of a formal language a model's completions keep, and tasks by length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any, Literal

import polars as pl
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from ontogeny.corpora.formal import Formal, Language, Source, Task, chances, drawn, known, source, spaced
from ontogeny.corpora.formal.rules import StringRule
from ontogeny.instruments.completion import completions
from ontogeny.instruments.instrument import Column, Instrument, schema
from ontogeny.instruments.rule_table import rule_table, summary
from ontogeny.instruments.subject import Subject
from ontogeny.instruments.tables import NO_LENGTH
from ontogeny.pages import curves
from ontogeny.pages.panel import Panel, Tabulated
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder
from ontogeny.tokens.token_store import backward

ROWS = 64  # strings in one forward pass
SHARE = (0.0, 1.0)
FOREIGN = "\0"  # stands for any token that is no symbol of the language; a string with one keeps no rule


class Rules(Instrument):
    """What a model makes of prompts within a formal language and outside of it, and its loss on strings not trained on.

    Columns: test_loss; of a language id_rule1, id_rule2, id_finished, ood_rule1, ood_rule2_completion, ood_finished and other
    readings of rule 1 that it names; of a task accuracy and exact by length.
    """

    kind: Literal["rules"] = "rules"
    language: str
    """As in the corpus `formal`."""
    prompt_length: int = Field(8, ge=1, le=10)
    """Symbols in a prompt."""
    prompts: int = Field(256, ge=1)
    """Most prompts of each kind; where a language has more, so many are drawn."""
    longest: int = Field(300, ge=2)
    """Symbols of prompt and completion at which a completion is cut and judged as it stands; the model's context, if that is
    less."""
    strings: int = Field(256, ge=1, le=1_000_000)
    """Strings of the split `test` that the loss is read on."""
    min_length: int = Field(1, ge=1)
    """Fewest symbols of such a string; of a task, of its question."""
    max_length: int = Field(32, ge=1)
    """Most symbols of such a string; of a task, of its question."""
    lengths: tuple[int, ...] = ()
    """Of a task: lengths of questions at which accuracy is read, some longer than those trained on."""
    questions: int = Field(128, ge=1)
    """Of a task: questions of each of these lengths."""
    seed: int = 0
    """Seed of what is drawn."""

    _known = field_validator("language")(staticmethod(known))

    @model_validator(mode="after")
    def _consistent(self) -> Rules:
        Formal(language=self.language, min_length=self.min_length, max_length=self.max_length)
        asked = source(self.language)
        if isinstance(asked, Language):
            if self.lengths:
                raise ValueError(f"lengths are those of a task's questions; {self.language} is a language of two rules")
            if not all(asked.prompts(self.prompt_length)):
                raise ValueError(
                    f"prompt_length is {self.prompt_length}, but {self.language} has no prompts of that length: some within the "
                    "language and some outside of it that can still keep rule 1"
                )
        return self

    @property
    def columns(self) -> Mapping[str, Column]:
        """Those of the language, or of the task, with what a guesser's completions give: exact for a language."""
        asked = source(self.language)
        loss = {"test_loss": Column(says="mean loss on strings that were not trained on, end marks too", unit="nats a symbol")}
        if isinstance(asked, Language):
            chance = chances(asked, self.prompt_length)
            return loss | {name: Column(says=told, span=SHARE, chance=chance.get(name)) for name, told in _told(asked).items()}
        assert isinstance(asked, Task)
        if not self.lengths:
            return loss
        right = Column(says="share of the answer's symbols that are the likeliest", span=SHARE, chance=asked.chance)
        whole = Column(says="share of answers that greedy completion gives whole", span=SHARE)
        length = Column(says="symbols of the question; -1 for what has none", dtype=pl.Int64, index=True)
        return {"length": length, **loss, "accuracy": right, "exact": whole}

    def read(self, subject: Subject) -> pl.DataFrame:
        """Raises OntogenyError if tokenizer, end mark or context do not fit the language."""
        asked, symbols, model = source(self.language), Symbols(source(self.language), subject), subject.model
        tests = drawn(asked, self.min_length, self.max_length, "test", Random(f"{self.seed} strings"))
        loss = {"test_loss": loss_on(model, symbols, list(islice(tests, self.strings)))}
        if isinstance(asked, Language):
            return pl.DataFrame([loss | self._rules(asked, model, symbols)])
        assert isinstance(asked, Task)
        if not self.lengths:
            return pl.DataFrame([loss])
        whole = {"length": NO_LENGTH, **loss, "accuracy": None, "exact": None}
        rows = [{"length": n, "test_loss": None} | self._answers(asked, model, symbols, n) for n in self.lengths]
        return pl.DataFrame([whole, *rows], schema=schema(self))

    def panels(self) -> tuple[Panel, ...]:
        """Every column over training."""
        return curves.panels(self.name, self.columns, len(self.columns))

    def across(self, runs: Sequence[RunFolder]) -> tuple[pl.DataFrame, Tabulated]:
        """Rule extrapolation of finished runs beside what was published, see `rule_table`."""
        table = rule_table(run.path for run in runs)
        return table, summary(table)

    def _rules(self, language: Language, model: Any, symbols: Symbols) -> dict[str, float]:
        chosen = [self._chosen(prompts) for prompts in language.prompts(self.prompt_length)]
        within, without = (completed(model, symbols, prompts, self.longest) for prompts in chosen)
        return extrapolation(language, within, without)

    def _chosen(self, prompts: Sequence[str]) -> list[str]:
        if len(prompts) <= self.prompts:
            return list(prompts)
        return Random(f"{self.seed} prompts").sample(prompts, self.prompts)

    def _answers(self, task: Task, model: Any, symbols: Symbols, length: int) -> dict[str, float]:
        random = Random(f"{self.seed} {length}")
        accuracy, exact = answered(model, symbols, [task.draw(random, length) for _ in range(self.questions)])
        return {"accuracy": accuracy, "exact": exact}


def _told(language: Language) -> dict[str, str]:
    """What each share is of, by its name, in the order of the table."""
    within, without = "completions of prompts within the language", "completions of prompts outside it"
    return {
        "id_rule1": f"share of {within} that keep rule 1",
        "id_rule2": f"share of {within} that keep rule 2",
        "id_finished": f"share of {within} that come to an end mark",
        "ood_rule1": f"share of {without} that keep rule 1",
        **{f"ood_{name}": f"share of {without} that keep rule 1 read as {name}" for name in language.variants},
        "ood_rule2_completion": f"share of {without} whose added part alone keeps rule 2",
        "ood_finished": f"share of {without} that come to an end mark",
    }


class Symbols:
    """A language's symbols as a model's tokens.  Raises OntogenyError unless each is one token and strings have an end mark."""

    def __init__(self, asked: Source, context: Subject):
        if backward(context.tokenizer):
            raise OntogenyError("rules: strings are judged from their beginning; set tokenizer.direction to forward")
        if context.first is None:
            raise OntogenyError("rules: a string ends at the token that begins the next one; set bos: true in the recipe")
        self.end, self.device, self.limit = context.first, context.device, context.limit
        found = context.tokenizer(spaced(asked.alphabet), add_special_tokens=False)["input_ids"]
        ids = context.tokenizer.convert_tokens_to_ids(list(asked.alphabet))
        if found != ids or context.tokenizer.unk_token_id in ids:
            raise OntogenyError(
                f"rules: the tokenizer does not give each symbol of {asked.name} ({spaced(asked.alphabet)}) a token of its own; "
                "train it on the language, with tokenizer: word"
            )
        self.ids = dict(zip(asked.alphabet, ids, strict=True))
        self.symbols = {token: symbol for symbol, token in self.ids.items()}

    def tokens(self, string: str) -> list[int]:
        """The beginning and the string, as input; its targets are one later, the end mark the last."""
        return [self.end, *(self.ids[symbol] for symbol in string)]

    def string(self, tokens: Iterable[int]) -> str:
        """Tokens as symbols."""
        return "".join(self.symbols.get(token, FOREIGN) for token in tokens)


@dataclass(frozen=True, slots=True)
class Completion:
    """A prompt and what a model added to it."""

    prompt: str
    added: str
    ended: bool  # whether it came to its end mark


def completed(model: Any, symbols: Symbols, prompts: Sequence[str], longest: int) -> list[Completion]:
    """Greedy completions of prompts of one length; at most `longest` symbols, and as many as the model's context has."""
    text = torch.tensor([symbols.tokens(prompt) for prompt in prompts], device=symbols.device)
    found = completions(model, text, symbols.end, min(longest + 1, symbols.limit))
    return [Completion(prompt, symbols.string(added), ended) for prompt, (added, ended) in zip(prompts, found, strict=True)]


def extrapolation(language: Language, within: Sequence[Completion], without: Sequence[Completion]) -> dict[str, float]:
    """Shares of the completions that keep the rules.

    Of prompts within the language (id) and outside (ood), the whole string is judged; in ood_rule2_completion, where the prompt has
    broken rule 2 already, what the model added is judged alone.
    """
    readings = {"rule1": language.rule1, **language.variants}
    return {
        "id_rule1": _share(_keeps(language.rule1, one.prompt + one.added) for one in within),
        "id_rule2": _share(_keeps(language.rule2, one.prompt + one.added) for one in within),
        "id_finished": _share(one.ended for one in within),
        **{f"ood_{name}": _share(_keeps(rule, one.prompt + one.added) for one in without) for name, rule in readings.items()},
        "ood_rule2_completion": _share(_keeps(language.rule2, one.added) for one in without),
        "ood_finished": _share(one.ended for one in without),
    }


def _keeps(rule: StringRule, string: str) -> bool:
    return FOREIGN not in string and rule(string)


def _share(values: Iterable[bool]) -> float:
    those = list(values)
    return sum(those) / len(those)


def loss_on(model: Any, symbols: Symbols, strings: Sequence[str]) -> float:
    """Mean nats a symbol, each string's end mark among them."""
    total = sum(float(nats.sum()) for nats, _ in _predicted(model, symbols, strings))
    return total / sum(len(string) + 1 for string in strings)


def answered(model: Any, symbols: Symbols, strings: Sequence[str]) -> tuple[float, float]:
    """Of `question=answer`: the share of the answers' symbols that are the likeliest after what is before them, and the share of
    answers that greedy completion gives whole, with their end."""
    right = total = whole = 0
    for string, (_, likeliest) in zip(strings, _predicted(model, symbols, strings), strict=True):
        start = string.index("=") + 1
        hits = likeliest[start:]  # the answer's symbols and the end mark
        right += int(hits[:-1].sum())
        total += len(string) - start
        whole += bool(hits.all())
    return right / total if total else float("nan"), whole / len(strings)


@torch.inference_mode()
def _predicted(model: Any, symbols: Symbols, strings: Sequence[str]) -> Iterator[tuple[Tensor, Tensor]]:
    """Of each string: nats [symbols + 1] of its symbols and end mark, and whether each was the likeliest token."""
    most = max(map(len, strings)) + 1
    if most > symbols.limit:
        raise OntogenyError(
            f"rules: strings of {most - 1} symbols and their beginning need a context of {most}, not {symbols.limit}"
        )
    for begin in range(0, len(strings), ROWS):
        rows = [symbols.tokens(string) for string in strings[begin : begin + ROWS]]
        width = max(map(len, rows))
        # After its end a row is filled with end marks: a causal model's predictions before them do not change.
        inputs = torch.tensor([row + [symbols.end] * (width - len(row)) for row in rows], device=symbols.device)
        targets = torch.cat([inputs[:, 1:], torch.full_like(inputs[:, :1], symbols.end)], dim=1)
        logits = model(input_ids=inputs, use_cache=False).logits.float()
        nats = -logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
        likeliest = logits.argmax(-1) == targets
        for row, row_nats, row_likeliest in zip(rows, nats, likeliest, strict=True):
            yield row_nats[: len(row)].cpu(), row_likeliest[: len(row)].cpu()
