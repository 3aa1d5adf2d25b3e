"""Tasks of lm-evaluation-harness, asked of every checkpoint as its command would: the same texts, tokens and choices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from ontogeny.disk import content_key
from ontogeny.recipe import Kind
from ontogeny.records import OntogenyError, Pair
from ontogeny.registry import nearest

FEWSHOT_SEED = 1234  # simple_evaluate's own
NOT_TAKEN = {
    "generate_until": "has the model generate text",
    "loglikelihood_rolling": "is the perplexity of whole texts, and has no right answer",
}


class Harness(Kind):
    """A task of lm-evaluation-harness of several choices or of log-likelihoods, or a group of them; each task is a paradigm.

    Context and choice are tokenised as one text, without a BOS but the tokenizer's own, as its command does; accuracies are its
    `acc` with `verdicts.tie_counts: 1`, and without ties in any case.  Chance is 1 / choices.  A task that asks for `acc_norm` has
    a second paradigm, TASK-acc_norm, of the same choices by log-probability a character.  One of log-likelihoods (lambada_openai)
    is right where greedy decoding would write its text: it has no chance level and no verdict, and its perplexity is
    exp(-`logp_good`) of the curves.  Extra: harness.
    """

    kind: Literal["harness"] = "harness"
    task: str
    """A task or group by its name, such as arc_easy or blimp."""
    include: Path | None = None
    """A folder with .yaml files of further tasks, as its --include_path takes them; data they name may be local."""
    fewshot: int | None = Field(None, ge=0)
    """Examples before each question; left out: as the task says."""
    limit: int | None = Field(None, ge=1)
    """Only so many questions of each task, its first."""

    joined: ClassVar[bool] = True  # context and option are one text for the tokenizer

    @property
    def name(self) -> str:
        """The suite's folder under a run's scores."""
        return f"harness-{self.task}"

    def pairs(self) -> Iterator[Pair]:
        """Every question.  Raises OntogenyError for a task that is not known, cannot be loaded, or needs generation."""
        yield from self._asked[0]

    def human(self) -> dict[str, float]:
        """Empty: a task of the harness has no human agreement."""
        return {}

    def left_out(self) -> list[str]:
        """How many questions have several right choices, or none."""
        return [
            f"{many:,} questions of {task} have several right choices or none, and are left out" for task, many in self._asked[1]
        ]

    def fingerprint(self) -> str:
        """A hash of what is asked."""
        return content_key(self.kind, self._asked[0])

    @property
    def _asked(self) -> tuple[list[Pair], list[tuple[str, int]]]:
        return _questions(self.task, self.include, self.fewshot, self.limit)


@lru_cache(maxsize=4)
def _questions(name: str, include: Path | None, fewshot: int | None, limit: int | None) -> tuple[list[Pair], list[tuple[str, int]]]:
    """The questions of all tasks under a name, and how many of each are left out."""
    pairs: list[Pair] = []
    left: list[tuple[str, int]] = []
    for task_name, task in sorted(_loaded(name, include).items()):
        task.set_fewshot_seed(FEWSHOT_SEED)
        if fewshot is not None:
            task.set_config(key="num_fewshot", value=fewshot)
        elif task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        try:
            task.build_all_requests(limit=limit)
        except Exception as error:  # data sets and templates raise whatever they do
            raise OntogenyError(f"the task {task_name} of lm-eval cannot be asked ({type(error).__name__}: {error})") from error
        ordered = sorted(task.instances, key=lambda one: (one.doc_id, one.idx))
        found = [_pair(task, task_name, number, list(own)) for number, own in groupby(ordered, key=lambda one: one.doc_id)]
        pairs += [pair for pair in found if pair]
        if "acc_norm" in task.aggregation():
            pairs += [_normalised(pair) for pair in found if pair]
        left += [(task_name, many)] if (many := found.count(None)) else []
    return pairs, left


def _loaded(name: str, include: Path | None) -> dict[str, Any]:
    """Tasks by name, all of them of choices or of log-likelihoods."""
    try:
        from lm_eval.tasks import TaskManager
    except ImportError:
        raise OntogenyError("the suite harness needs lm-evaluation-harness: pip install 'ontogeny[harness]'") from None
    manager = TaskManager(include_path=str(include.expanduser()) if include else None, include_defaults=not include)
    if include and name not in manager.all_tasks:  # its own thousands of tasks take long to index
        manager = TaskManager(include_path=str(include.expanduser()))
    if name not in manager.all_tasks:
        raise OntogenyError(f"lm-eval has no task {name!r}; {nearest(name, list(manager.all_tasks))[:300]}")
    try:
        found: dict[str, Any] = manager.load(name)["tasks"]
    except Exception as error:  # data sets that cannot be fetched, templates that are none
        raise OntogenyError(f"the task {name} of lm-eval cannot be loaded ({type(error).__name__}: {error})") from error
    for task_name, task in found.items():
        if task.OUTPUT_TYPE not in ("multiple_choice", "loglikelihood"):
            raise OntogenyError(
                f"the task {task_name} of lm-eval {NOT_TAKEN.get(task.OUTPUT_TYPE, f'is of {task.OUTPUT_TYPE}')}; tasks of several "
                "choices and of log-likelihoods are taken"
            )
    return found


def _pair(task: Any, name: str, number: int, asked: list[Any]) -> Pair | None:
    """A question, the right choice first, or the text that is to be written; None where not exactly one choice is right."""
    if task.OUTPUT_TYPE == "loglikelihood":
        context, text = asked[0].args[:2]
        return Pair(name, str(number), text, "", context=context, written=True)
    doc = asked[0].doc
    choices = task.doc_to_choice(doc)
    right = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    if isinstance(right, str):
        right = choices.index(right) if right in choices else -1
    if not isinstance(right, int) or not 0 <= right < len(choices) or len(choices) < 2:
        return None
    options = [one.args[:2] for one in asked[: len(choices)]]  # unconditional ones come after them
    contexts, texts = zip(options[right], *options[:right], *options[right + 1 :], strict=True)
    same = len(set(contexts)) == 1
    return Pair(
        name,
        str(number),
        texts[0],
        texts[1],
        more=texts[2:],
        context=contexts[0] if same else "",
        contexts=() if same else contexts,
    )


def _normalised(pair: Pair) -> Pair:
    """The same question, answered by log-probability a character: a > b of lengths m and n if n a - m b > 0."""
    lengths = [len(text.removeprefix(" ")) for text in pair.options]  # of the choice; the space before it is the delimiter
    rows = [[0] * len(lengths) for _ in lengths[1:]]
    for number, row in enumerate(rows, 1):
        row[0], row[number] = lengths[number], -lengths[0]
    return replace(pair, paradigm=f"{pair.paradigm}-acc_norm", predictions=tuple(map(tuple, rows)))
