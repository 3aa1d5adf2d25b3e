"""What the files of a run hold, a shape each: who reads one that holds something else is told which, and what makes it anew."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from ontogeny.records import OntogenyError

if TYPE_CHECKING:
    import polars as pl

# --- tables -------------------------------------------------------------------------------------------------------

# of a run: the path in it, the columns without which it is of no use, and the command that makes it
TABLES = (
    (r"curves\.parquet", "suite paradigm step accuracy", "verdicts"),
    (r"verdicts\.parquet", "suite paradigm verdict", "verdicts"),
    (r"sensitivity\.parquet", "suite paradigm", "verdicts"),  # no verdict: these thresholds could not be judged
    (r"correlations\.parquet", "paradigm step rho", "verdicts"),
    (r"suites/[^/]+\.parquet", "paradigm pair good", "score"),
    (r"suites/tokens/[^/]+\.parquet", "paradigm pair", "score"),
    (r"seed-\d+/losses\.parquet", "step loss", "train"),
    (r"seed-\d+/health\.parquet", "step tensor update agreement saturated", "train"),
    (r"seed-\d+/scores/[^/]+/step-\d+\.parquet", "paradigm pair logp_good logp_bad tokens_good tokens_bad", "score"),
    (r"seed-\d+/readings/loss/step-\d+\.parquet", "dev", "read"),
    (r"seed-\d+/readings/[^/]+/step-\d+\.parquet", "", "read"),
    (r"interventions/margins\.parquet", "paradigm start until bigram_margin", "train"),
    (r"evidence/margins\.parquet", "suite level paradigm pair order margin", "evidence"),
    (r"evidence/ladder\.parquet", "suite seed step paradigm by level order r", "evidence"),
    (r"evidence/rungs\.parquet", "suite seed paradigm closest_order", "evidence"),
    (r"evidence/ngram_curves\.parquet", "suite seed step level order paradigm accuracy margin", "evidence"),
    (r"evidence/cases\.parquet", "suite seed paradigm", "evidence"),
    (r"evidence/foretold\.parquet", "suite question predictors auc low high positives negatives", "evidence"),
    (r"evidence/contests\.parquet", "suite question measure first second difference low high verdict", "evidence"),
    (r"evidence/matched\.parquet", "suite paradigm difference low high p_adjusted", "evidence"),
    (r"evidence/[^/]+\.parquet", "suite", "evidence"),
    (r"report/why/entrenched\.parquet", "suite paradigm page says", "evidence"),
)
TEXTS = {
    "suite",
    "paradigm",
    "pair",
    "good",
    "verdict",
    "level",
    "by",
    "question",
    "predictors",
    "measure",
    "first",
    "second",
    "stream",
    "tensor",
    "page",
    "says",
}
WHOLE = {"step", "seed", "order", "tokens_good", "tokens_bad"}


def check_table(path: Path, schema: pl.Schema) -> None:
    """Raises OntogenyError for a table of a run that lacks a column, or has one of another kind, than tables of its place have."""
    for columns, anew in _of(path, TABLES):
        for name in columns.split():
            if (wrong := _wrong(name, schema)) is not None:
                raise OntogenyError(f"{path}: {wrong}; {anew}")


def _wrong(name: str, schema: pl.Schema) -> str | None:
    import polars as pl

    if name not in schema:
        return f"the column {name} is missing"
    kind = schema[name]
    fits = kind == pl.String if name in TEXTS else kind.is_integer() if name in WHOLE else kind.is_numeric()
    if name == "good" and isinstance(kind, pl.List):
        return None  # as tokens
    return None if fits or kind == pl.Null else f"the column {name} is of another kind ({kind})"


def check_values(path: Path, frame: pl.DataFrame) -> None:
    """Raises OntogenyError for a table of a run that has a row without a name, step or seed."""
    for columns, anew in _of(path, TABLES):
        for name in columns.split():
            if name in {*TEXTS, "step", "seed"} and name in frame.columns and frame[name].null_count():
                raise OntogenyError(f"{path}: a row has no {name}; {anew}")


# --- JSON ---------------------------------------------------------------------------------------------------------

STRICT = with_config(ConfigDict(strict=True))  # 1 is no text, and "1" no number
Whole = Annotated[int, Field(ge=0)]
NumberKind = Annotated[str, Field(pattern=r"^[<>|]?[ui][1248]$")]  # of numbers, as numpy names it


@STRICT
class TokenizerKey(TypedDict):
    """key.json of a tokenizer."""

    key: str
    hashes: NotRequired[dict[str, str]]


@STRICT
class TokenFacts(TypedDict):
    """What is said of a token stream."""

    key: str
    dtype: NumberKind
    tokens: Whole
    documents: Whole
    words: float
    unknown: Whole
    left_out: NotRequired[Whole]
    longest_word: NotRequired[Whole]
    unigram_entropy: NotRequired[float | None]
    bos: NotRequired[int | None]
    vocabulary: NotRequired[Whole]
    sources: NotRequired[list[str]]
    hashes: NotRequired[dict[str, str]]


@STRICT
class IndexFacts(TypedDict):
    """index.json of counted n-grams."""

    key: str
    order: Annotated[int, Field(ge=1)]
    vocabulary: Whole
    bos: int | None
    tokens: Whole
    dtype: NumberKind
    distinct: list[Whole]


@STRICT
class EditFacts(TypedDict):
    """One edit of the text."""

    key: str


@STRICT
class EditsFacts(TypedDict):
    """facts.json of interventions."""

    edits: list[EditFacts]


@STRICT
class CheckpointFacts(TypedDict):
    """ontogeny.json of a checkpoint, and a row of checkpoints.json."""

    step: Whole
    tokens: NotRequired[int | None]
    words: NotRequired[float | None]


@STRICT
class RevisionFacts(TypedDict):
    """Which commit of the hub a checkpoint is."""

    repo: str
    name: str
    commit: str
    content: str


@STRICT
class HubFileFacts(TypedDict):
    """A file of a commit."""

    path: str
    size: Whole
    id: str
    large: bool


@with_config(ConfigDict(strict=True, extra="forbid"))
class CheckpointElsewhere(CheckpointFacts):
    """A row of checkpoints.json: a checkpoint that somebody else trained."""

    folder: str
    dev_loss: NotRequired[float | None]
    revision: NotRequired[RevisionFacts]


@STRICT
class HubFacts(TypedDict):
    """hub.json: what the hub said of repositories."""

    refs: dict[str, dict[str, str]]
    titles: dict[str, dict[str, str]]
    trees: dict[str, list[HubFileFacts]]
    keep: bool


JSONS = (
    (r"(?:ngrams/[^/]+/)?tokenizer/key\.json", TokenizerKey, "train"),
    (r"tokens/[^/]+\.json", TokenFacts, "train"),
    (r"ngrams/[^/]+/stream/[^/]+\.json", TokenFacts, "ngrams"),
    (r"ngrams/[^/]+/index/index\.json", IndexFacts, "ngrams"),
    (r"interventions/facts\.json", EditsFacts, "train"),
    (r"hub\.json", HubFacts, ""),
    (r"seed-\d+/checkpoints\.json", list[CheckpointElsewhere], ""),
    (r"seed-\d+/checkpoints/[^/]+/ontogeny\.json", CheckpointFacts, ""),
)


def check_json(path: Path, found: Any) -> None:
    """Raises OntogenyError for a file of a run that holds other JSON than files of its place do."""
    for shape, anew in _of(path, JSONS):
        try:
            _adapter(shape).validate_python(found)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "all of it"
            said = "is missing" if first["type"] == "missing" else f"is {first['input']!r:.80}: {first['msg'].lower()}"
            raise OntogenyError(f"{path}: {where} {said}; {anew}") from None


@lru_cache(maxsize=16)
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


# --- which file is which ------------------------------------------------------------------------------------------


def _of(path: Path, shapes: Sequence[tuple[str, Any, str]]) -> list[tuple[Any, str]]:
    """The shape of a file of a run, and what to do where it has another; nothing for any other file."""
    whole = run = os.fspath(path if path.is_absolute() else path.absolute())  # text, as a run may have many thousands of files
    for up in range(min(4, len(path.parents))):
        run = run.rpartition(os.sep)[0]
        if os.access(f"{run}{os.sep}lineage.json", os.F_OK):
            inside = whole[len(run) + 1 :].replace(os.sep, "/")
            found = next((one for one in shapes if re.fullmatch(one[0], inside)), None)
            return [(found[1], anew(found[2], path.parents[up]))] if found else []
    return []


def anew(command: str, run: Path) -> str:
    """What to do with a file that is broken."""
    if not command:
        return "put back a copy of it from where it is sound"
    return f"delete it and it is made again by: ontogeny {command} {run}"


def remedy(path: Path) -> str:
    """The same of a table, after what is wrong with it; nothing for a table of somebody else's."""
    return "".join(f"; {anew}" for _, anew in _of(path, TABLES))
