"""What a run is, typed.  A recipe is a YAML file; an error in it names the line and the nearest valid word."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema
from ruamel.yaml import YAML

from ontogeny import registry, yaml_text
from ontogeny.records import OntogenyError

MOST_STEPS = 99_999_999  # names of checkpoints have eight digits
MOST_TOKENS = 2**28  # of a step: as many ids alone take 2 GB
MOST_TRIES = 1_000_000  # swaps, resamples: hours at most
# fields of parts that say how much is made, and the most in reach: strings are drawn in time with the square of their length
MOST = {
    "words": 10**10,
    "strings": 10**9,
    "max_length": 10_000,
    "lengths": 10_000,
    "pairs_per_paradigm": 1_000_000,
    "questions": 1_000_000,
    "times": 10**9,
}
LONGEST_NAME = 255  # bytes of a folder's name on the usual file systems


def _with_strict_numbers(schema: Any) -> Any:
    if isinstance(schema, dict):
        inner = {name: _with_strict_numbers(part) for name, part in schema.items()}
        return inner | {"strict": True} if schema.get("type") in ("int", "float") else inner
    return type(schema)(map(_with_strict_numbers, schema)) if isinstance(schema, list | tuple) else schema


class Part(BaseModel):
    """A frozen, strict piece of a recipe: an unknown field is an error, never ignored; true, 1.5 and "1" are no whole numbers."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, arbitrary_types_allowed=True, allow_inf_nan=False
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        found: CoreSchema = _with_strict_numbers(handler(source))
        return found


class Kind(Part):
    """A part that the registry builds: `kind` names the class, the other fields are the class's own."""

    kind: str
    """The name in the registry."""


def _from_registry(table: str) -> Any:
    def build(value: Any) -> Any:
        if isinstance(value, Kind) or not isinstance(value, dict | str):
            return value
        fields = {"kind": value} if isinstance(value, str) else dict(value)
        if "kind" not in fields:
            raise ValueError(f"needs a kind, one of: {', '.join(registry.names(table))}")
        try:
            part = registry.load(table, str(fields["kind"]))
        except OntogenyError as error:
            raise ValueError(str(error)) from error
        return _bounded(part.model_validate(fields))

    return BeforeValidator(build)


def _bounded(part: Any) -> Any:
    """The part, if what it is asked to make comes to an end, and its paths are such as there can be."""
    for name, most in MOST.items():
        asked = getattr(part, name, None)
        if max((n for n in (asked if isinstance(asked, tuple) else (asked,)) if isinstance(n, int)), default=0) > most:
            raise ValueError(f"{name} is {asked}; at most {most:,}")
    for name, path in part:
        if isinstance(path, Path) and (longest := max((len(os.fsencode(one)) for one in path.parts), default=0)) > LONGEST_NAME:
            raise ValueError(f"{name} has a name of {longest} bytes in it; no file's is longer than {LONGEST_NAME}")
    return part


def _named_alone(part: Any) -> Any:
    """The instrument, if its tables are not filed under another's name: the dev loss is read in every run."""
    if part.name != part.kind and part.name.casefold() in registry.names("instrument"):
        raise ValueError(f"{part.kind} calls itself {part.name!r}, which is the name of another instrument")
    return part


CorpusPart = Annotated[SerializeAsAny[Kind], _from_registry("corpus")]
TokenizerPart = Annotated[SerializeAsAny[Kind], _from_registry("tokenizer")]
ArchitecturePart = Annotated[SerializeAsAny[Kind], _from_registry("architecture")]
SuitePart = Annotated[SerializeAsAny[Kind], _from_registry("suite")]
InterventionPart = Annotated[SerializeAsAny[Kind], _from_registry("intervention")]
EnginePart = Annotated[SerializeAsAny[Kind], _from_registry("engine")]
InstrumentPart = Annotated[SerializeAsAny[Any], _from_registry("instrument"), AfterValidator(_named_alone)]


class Training(Part):
    """How the model is trained.  One optimiser step sees `batch` blocks of `context` tokens."""

    context: int = Field(128, ge=2)
    """Tokens in a block, the model's context in training."""
    batch: int = Field(128, ge=1)
    """Rows in an optimiser step: blocks of the stream, or documents (`unit`)."""
    accumulation: int = Field(1, ge=1)
    """Parts that a step's blocks are split into when they do not fit in memory together; does not change the batch."""
    steps: int | None = Field(None, ge=1, le=MOST_STEPS)
    """Optimiser steps; leave out to train for `epochs`."""
    epochs: float = Field(1.0, gt=0)
    """Passes over the training text, used when `steps` is left out."""
    unit: Literal["block", "document"] = "block"
    """A row of a batch.  block: the next `context` tokens of the stream, wherever documents end.  document: one document, cut
    at `context`; nothing is predicted past its end, which is the BOS of the next."""
    order: Literal["shuffled", "text"] = "shuffled"
    """Rows in a random order, another in each epoch; or as the text has them, so that what it says first is learned first."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak of the schedule."""
    schedule: Literal["constant", "linear", "cosine", "inverse-sqrt"] = "cosine"
    """What follows the warm-up.  linear and cosine end at `final_share` of the peak; inverse-sqrt falls with one over the root of
    the step, from the peak at the warm-up's last step (or the first)."""
    final_share: float = Field(0.0, ge=0, le=1)
    """Where linear and cosine end, as a share of the peak."""
    warmup: int | float = Field(0.05, ge=0)
    """Linear warm-up: steps if a whole number, a share of all steps if below 1."""
    weight_decay: float = Field(0.1, ge=0)
    """AdamW's; not applied to biases and norms unless `decay_all`."""
    decay_all: bool = False
    """Decay every parameter, as plain `AdamW(model.parameters())` does."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    """AdamW's."""
    clip: float = Field(1.0, ge=0)
    """Largest norm of the gradient; 0 turns clipping off."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the forward pass (weights stay float32).  auto: where the processor has bfloat16, what `trial` finds faster, or
    bfloat16 without one; else float32."""
    compile: Literal["auto", "on", "off"] = "auto"
    """torch.compile.  auto: what `trial` finds faster; without one, in a long run on a GPU, or in bfloat16 where a compiler is
    found."""
    in_place: Literal["auto", "on", "off"] = "auto"
    """The loss writes its gradient over the logits, which saves up to three tensors of their size; not for objectives of their own.
    auto: what `trial` finds faster; without one, off."""
    trial: Literal["auto", "on", "off"] = "auto"
    """A few steps of each way that precision, compile and in_place leave open, on copies of the model, before training; the fastest
    is taken and kept.  auto: where that takes about a fiftieth of the training or less."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto takes a GPU where there is one."""
    threads: int | None = Field(None, ge=1)
    """CPU threads; left out: as many as there are cores."""
    save_minutes: float = Field(5.0, ge=0)
    """How often the state for going on after a kill is written between checkpoints."""
    dev_tokens: int = Field(131_072, ge=1)
    """Tokens of held-out text that each checkpoint's dev loss is measured on."""
    health: int = Field(0, ge=0)
    """Every so many steps it is recorded how the optimiser is doing, in `health.parquet`; 50 costs less than 1 % of a training.  0:
    never.  Changes nothing of the training."""

    @model_validator(mode="after")
    def _batch_fits(self) -> Training:
        if (tokens := self.batch * self.context) > MOST_TOKENS:
            raise ValueError(f"asks for {tokens:,} tokens in a step (batch x context); at most {MOST_TOKENS:,}")
        return self

    @field_validator("warmup")
    @classmethod
    def _warmup_is_meant(cls, warmup: int | float) -> int | float:
        if warmup > 1 and warmup % 1:
            raise ValueError(f"is {warmup}: a number of steps is whole, and a share of all steps is below 1")
        return warmup


class Schedule(Part):
    """At which steps a checkpoint is kept.  Step 0 and the last are always kept."""

    kind: Literal["default", "words", "steps", "shares"] = "default"
    """default: powers of two, then every `share` of the steps.  words: every 1M words to 10M, every 10M to 100M, every 100M to
    1B (BabyLM 2025).  steps: those listed.  shares: at those shares of training, whatever its steps are."""
    share: float = Field(0.05, gt=0, le=1)
    """Distance of the default schedule's later checkpoints, as a share of training; less than a step is one step."""
    steps: tuple[int, ...] = ()
    """The steps of kind: steps."""
    shares: tuple[Annotated[float, Field(gt=0, le=1)], ...] = ()
    """The shares of kind: shares."""

    @model_validator(mode="after")
    def _steps_are_meant(self) -> Schedule:
        if self.steps and self.kind != "steps":
            raise ValueError(f"lists steps, but its kind is {self.kind}; set kind: steps, or leave the steps out")
        if bool(self.shares) != (self.kind == "shares"):
            raise ValueError(
                f"has shares {list(self.shares)} and kind {self.kind}; the kind shares has a list of shares, others none"
            )
        return self


class Scoring(Part):
    """How checkpoints are read on minimal pairs."""

    pairs_per_paradigm: int | None = Field(None, ge=1)
    """Score a fixed random sample of this many pairs of each paradigm; left out: every pair."""
    batch_tokens: int = Field(2048, ge=16)
    """Tokens in one forward pass.  Changes the speed, never a number beyond rounding."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto takes a GPU where there is one."""
    live: bool = True
    """Score each checkpoint as it appears; off: after training."""
    beside: Literal["auto", "on", "off"] = "auto"
    """Whether another process does that while training goes on; else training waits.  auto: with a GPU, or where a training has
    four cores or more, of which it leaves a quarter to the reader; and if there is more than half a minute to read."""
    leading_space: bool = False
    """A space before each sentence's first word, as inside a text and as lm-eval has it.  N-gram models read sentences without."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16: matrix products, on a processor those that give logits too; exponentials and sums stay float32.  Its error on a
    sample is said."""
    until: Literal["all", "settled"] = "all"
    """all: every pair.  settled: pairs in a fixed random order until each paradigm's state is known at `confidence`; the last
    checkpoint is read whole.  Accuracies before it are estimates from the pairs that were read, and what compares pairs over
    checkpoints (n-gram evidence, the null, pairs in studies) needs all.  With all again, `ontogeny score` reads what is missing."""
    confidence: float = Field(0.95, ge=0.5, lt=1)
    """Of `until: settled`: the least probability that states are those that all pairs would give."""
    confident: Literal["run", "state"] = "run"
    """Of `until: settled`, what `confidence` is of.  run: of all states of all seeds together.  state: of each by itself, so that
    at most 1 - confidence of them are false on average; cheaper."""
    tokenizer: str | None = None
    """The tokenizer of checkpoints that come without one, a folder or a name on the hub; read when they are opened, and kept in the
    run.  Left out: each checkpoint's own."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """What weights are opened in.  Anything but float32 is for models that memory has no room for otherwise: it changes numbers."""
    device_map: Literal["auto"] | None = None
    """auto: a model is spread over all GPUs, and what they have no room for over memory; for models larger than one of them."""
    trust_remote_code: str | None = None
    """One commit, OWNER/NAME@COMMIT, whose own code may be run to open checkpoints of the hub that want it.  Left out: none is."""
    masked: Literal["within-word", "original"] = "within-word"
    """What is hidden with a token when a masked model is asked for it.  within-word: the rest of its word too (Kauf & Ivanova
    2023).  original: nothing else (Salazar et al. 2020).  Causal models have no use for it."""


class Thresholds(Part):
    """Every threshold of a verdict, in one place."""

    confidence: float = Field(0.95, gt=0, lt=1)
    """Family-wise confidence of the band of states, and of every interval."""
    hi: float | None = Field(None, gt=0.5, le=1)
    """State +1 at or above; left out: .5 + z sqrt(.25 / N), z Bonferroni-corrected over the paradigms (.553 for 67 of 1,000)."""
    early: Annotated[float, Field(gt=0, lt=1)] | Literal["warmup"] = 0.10
    """End of the early window, a share of the steps, or the end of warm-up."""
    late: float = Field(0.20, gt=0, lt=1)
    """The last share of the steps is late."""
    cover: float = Field(0.80, gt=0, le=1)
    """Share of a window that a state must cover."""
    run_length: int = Field(2, ge=1)
    """Consecutive checkpoints in one state that make a run ..."""
    run_share: float = Field(0.025, ge=0)
    """... if they span at least this share of training."""
    drop: float = Field(0.10, gt=0)
    """forgotten: the late mean is this far below the best mean of three checkpoints."""
    equivalence: float = Field(0.05, gt=0)
    """never separated: the late mean lies within this of .5 (two one-sided tests)."""
    untrained: float = Field(0.005, ge=0)
    """Share of the steps that count as untrained where no dev loss is known."""
    min_early: int = Field(2, ge=1)
    """Fewer early checkpoints: unobserved."""
    min_late: int = Field(3, ge=1)
    """Fewer late checkpoints: unobserved."""
    lasting: int = Field(3, ge=1)
    """Checkpoints that accuracy must stay at or above hi for, to date the age of acquisition."""
    tie: float = Field(1e-5, ge=0)
    """A margin no larger than this is a tie."""
    tie_counts: float = Field(0.5, ge=0, le=1)
    """What a tie counts. 1 gives it to the good sentence, as lm-eval and BabyLM's pipeline do, and so gives their accuracies."""
    swaps: int = Field(200, ge=0, le=MOST_TRIES)
    """Swaps of good and bad for the null."""
    resamples: int = Field(1000, ge=1, le=MOST_TRIES)
    """Bootstrap resamples, for where change points lie."""
    seed: int = 0
    """Seed of the swaps and resamples."""


class Instruments(Part):
    """What else is read off checkpoints, and at which of them.  A plain list of instruments reads them at every one."""

    at: Schedule | None = Schedule(share=0.1)
    """Which checkpoints: of those that are kept, the nearest to each step of this schedule, the first and the last among them; left
    empty, every one.  The dev loss, which tells the time, is read at all."""
    read: tuple[InstrumentPart, ...] = ()
    """The instruments."""

    @model_validator(mode="before")
    @classmethod
    def _of_list(cls, raw: Any) -> Any:
        return {"at": None, "read": raw} if isinstance(raw, list | tuple) else raw

    @model_serializer(mode="wrap")
    def _as_list(self, handler: SerializerFunctionWrapHandler) -> Any:
        found = handler(self)
        return found["read"] if self.at is None else found

    @field_validator("read")
    @classmethod
    def _names_differ(cls, parts: tuple[Any, ...]) -> tuple[Any, ...]:
        return _named_apart(parts)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        return iter(self.read)

    def __getitem__(self, index: int) -> Any:
        return self.read[index]

    def __len__(self) -> int:
        return len(self.read)


class Observation(Part):
    """What is read off checkpoints and how it is judged: all that a run around somebody else's checkpoints needs."""

    name: str = Field(pattern=r"^\w[\w.~-]*$")
    """The run's folder under `runs`."""
    suites: tuple[SuitePart, ...] = Field(min_length=1)
    """The minimal pairs that checkpoints are read on."""
    scoring: Scoring = Scoring()
    """How they are read."""
    instruments: Instruments = Instruments(at=None)
    """What else is read off checkpoints: a list, or `read`, the list, with `at`, a schedule of its own."""
    verdicts: Thresholds = Thresholds()
    """What counts as learned, entrenched, forgotten ..."""
    bos: bool = True
    """Training stream and sentences begin with BOS: BOS doc BOS doc ...; off: documents follow one another without a mark."""
    trackers: tuple[str, ...] = ()
    """Where else a training's numbers go as it is read: wandb, mlflow, tensorboard and the others that accelerate knows."""
    corpus: CorpusPart | None = None
    """The training text.  Of somebody else's checkpoints, where it is known: what they were trained on, in whatever order."""
    dev: CorpusPart | None = None
    """Held-out text; left out: `held_out` of the corpus's documents are set aside (which somebody else's model was trained on)."""
    held_out: float = Field(0.01, gt=0, lt=1)
    """Share of documents set aside for the dev loss when there is no `dev`."""
    engine: EnginePart | None = None
    """Who does the work: local, slurm or ray, as a name or with its fields; left out: processes of this machine."""

    @field_validator("name")
    @classmethod
    def _fits(cls, name: str) -> str:
        if (size := len(name.encode())) > LONGEST_NAME:
            raise ValueError(f"takes {size} bytes; a folder's name has at most {LONGEST_NAME}")
        return name

    @field_validator("suites")
    @classmethod
    def _names_differ(cls, parts: tuple[Any, ...]) -> tuple[Any, ...]:
        return _named_apart(parts)


class Recipe(Observation):
    """A run, from text to verdicts."""

    seeds: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = Field((0,), min_length=1)
    """One model is trained for each; a seed decides initialisation, dropout and data order."""
    corpus: CorpusPart
    """The training text."""
    tokenizer: TokenizerPart
    """What cuts text into tokens."""
    model: ArchitecturePart
    """What is trained."""
    training: Training = Training()
    """How."""
    interventions: tuple[InterventionPart, ...] = ()
    """What is changed of the text, of its order, of the objective or of the weights, in this order."""
    checkpoints: Schedule = Schedule()
    """When it is read."""

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        return _no_doubles(seeds, [str(seed) for seed in seeds])


def _named_apart(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """What is read is filed under their names, on file systems too that take names which differ in their capitals for the same."""
    return _no_doubles(parts, [str(part.name).casefold() for part in parts])


def _no_doubles(values: tuple[Any, ...], names: list[str]) -> tuple[Any, ...]:
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"has {twice} twice; each may be there once")
    return values


# --- reading and writing ------------------------------------------------------------------------------------------


def load(path: Path | str, settings: Sequence[str] = ()) -> Recipe:
    """Reads a recipe file; each of `settings` is `a.b=value`, the value as YAML, laid over the file.

    Raises OntogenyError that names the file, the line and the nearest valid word.
    """
    path = recipe_file(path)
    return parse(text_of(path), str(path), settings)


PACKAGED = (Path(__file__).parent / "recipes", Path(__file__).parents[2] / "recipes")  # of a wheel, and of a checkout


def packaged() -> dict[str, Path]:
    """The recipes that come with ontogeny, by name."""
    return {path.stem: path for folder in PACKAGED for path in sorted(folder.glob("*.yaml"))}


def recipe_file(path: Path | str) -> Path:
    """The file that a recipe's path or name means.

    `quickstart` is the file recipes/quickstart.yaml, and where there is none here, the one that comes with ontogeny.
    """
    path = Path(path)
    if path.exists() or path.parent not in (Path(), Path("recipes")) or path.suffix not in ("", ".yaml"):
        return path
    here = Path("recipes") / f"{path.stem}.yaml"
    return here if here.exists() else packaged().get(path.stem, path)


def text_of(path: Path | str, what: str = "recipe") -> str:
    """A recipe's or study's file as text.  Raises OntogenyError that names it if it is missing, unreadable or not UTF-8."""
    path = Path(path)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = sorted(str(p) for p in path.parent.glob("*.yaml")) if path.parent.exists() else []
        near += sorted(packaged()) if what == "recipe" and not path.suffix else []
        raise OntogenyError(f"no {what} at {path}" + (f"; {registry.nearest(str(path), near)}" if near else "")) from None
    except UnicodeDecodeError as error:
        raise OntogenyError(f"{path} is not UTF-8 at byte {error.start}") from None
    except (OSError, ValueError) as error:
        raise OntogenyError(f"{path} cannot be read as a {what}: {getattr(error, 'strerror', None) or error}") from None


def parse(text: str, source: str = "recipe", settings: Sequence[str] = ()) -> Recipe:
    """Reads a recipe from YAML text; `source` is what errors call it.  Raises OntogenyError as `load` does."""
    found: Recipe = build(Recipe, yaml_text.values(text, source, settings), source)
    return found


def build(part: type[Any], raw: dict[str, Any], source: str) -> Any:
    """`part` made from plain values.  Raises OntogenyError with the line of every mistake where `raw` knows its lines."""
    try:
        return part.model_validate(raw)
    except ValidationError as error:
        raise OntogenyError("\n".join(_mistakes(error, raw, source, part))) from None


class _One(Part):
    instruments: Instruments


def listed(settings: Mapping[str, Any]) -> Sequence[Any]:
    """The instruments in a recipe's plain values, whichever way it lists them."""
    found = settings.get("instruments") or ()
    return (found.get("read") or ()) if isinstance(found, Mapping) else found


class _Done(Part):
    engine: EnginePart


SITE = "ONTOGENY_ENGINES"  # the environment's name for the file of a site's engines


def engine(asked: Any = None, on: str | None = None) -> Any:
    """Who does the work: `on`, else what a recipe asks for, else this machine; over what the site's file says of its kind.

    The site's file, ~/.config/ontogeny/engines.yaml or where ONTOGENY_ENGINES says, has fields by kind: `slurm: {account: x}`.
    Raises OntogenyError as `build` does.
    """
    path = Path(os.environ.get(SITE) or Path.home() / ".config" / "ontogeny" / "engines.yaml")
    site = yaml_text.values(text_of(path, "file of engines"), str(path)) if path.exists() else {}
    if on:
        registry.load("engine", on)  # says so, as it is no place in a file
    kind = on or (asked.kind if asked is not None else "local")
    own = asked.model_dump(mode="json", exclude_unset=True) if asked is not None and asked.kind == kind else {}
    return build(_Done, {"engine": {**(site.get(kind) or {}), **own, "kind": kind}}, "--on" if on else str(path)).engine


def instrument(raw: str | dict[str, Any], source: str = "--with") -> Any:
    """An instrument by its kind, or with settings, as a recipe lists it.  Raises OntogenyError as `build` does."""
    return build(_One, {"instruments": [raw]}, source).instruments[0]


def dump(recipe: Observation) -> str:
    """The recipe as YAML with every default written out: what `load` reads back to an equal recipe."""
    stream = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(recipe.model_dump(mode="json"), stream)
    return stream.getvalue()


TABLE_OF = {
    "corpus": "corpus",
    "dev": "corpus",
    "tokenizer": "tokenizer",
    "model": "architecture",
    "suites": "suite",
    "interventions": "intervention",
    "instruments": "instrument",
    "read": "instrument",
    "engine": "engine",
}


def _mistakes(error: ValidationError, raw: Any, source: str, part: type[Any]) -> list[str]:
    details = error.errors()
    return [_say(detail, raw, source, part) for detail in details if not _follows(detail["loc"], detail["type"], details)]


def _follows(place: tuple[Any, ...], kind: str, details: Sequence[Any]) -> bool:
    """True for a list that is called too short only because its entries were refused."""
    return kind == "too_short" and any(len(d["loc"]) > len(place) and d["loc"][: len(place)] == place for d in details)


def _say(detail: Any, raw: Any, source: str, part: type[Any]) -> str:
    place, kind = _as_written(detail["loc"], raw), detail["type"]
    names = place if kind == "missing" else _there(raw, place)
    where = _line(raw, names)
    message = detail["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        message = f"is not known here; {registry.nearest(str(names[-1]), _fields(part, place[:-1], raw))}"
    elif kind == "missing":
        message = f"is missing{_where_files(raw, names)}"
    elif kind != "value_error":
        message = f"{message[0].lower()}{message[1:]} (got {yaml_text.shown(detail['input'])})"
    return f"{source}{f':{where}' if where else ''}: {'.'.join(map(str, names))} {message}"


def _where_files(raw: Any, names: tuple[Any, ...]) -> str:
    """What to do about a suite that does not say where its files are."""
    if len(names) != 3 or names[0] != "suites" or names[2] != "path":
        return ""
    suite = raw["suites"][names[1]]
    kind = suite if isinstance(suite, str) else suite["kind"]
    return f": the suite {kind} is a folder or file of yours: name it with --suite-path, in a recipe as its path"


def _as_written(place: tuple[Any, ...], raw: Any) -> tuple[Any, ...]:
    """Where a recipe has it that lists its instruments without `read`."""
    listed = place[:2] == ("instruments", "read") and not isinstance(raw.get("instruments"), dict)
    return (*place[:1], *place[2:]) if listed else place


def _there(raw: Any, place: tuple[Any, ...]) -> tuple[Any, ...]:
    """The names in `place` that the values have: pydantic adds others, for the alternatives of a type."""
    for count, name in enumerate(place):
        if not (isinstance(raw, dict) and name in raw) and not (isinstance(raw, list) and isinstance(name, int)):
            return place[:count]
        raw = raw[name]
    return place


def _fields(part: type[Any], place: tuple[Any, ...], raw: Any) -> list[str]:
    """Valid names at `place`."""
    if place[:1] == ("instruments",) and isinstance(raw["instruments"], dict):
        part, place, raw = Instruments, place[1:], raw["instruments"]
    if place and place[0] in TABLE_OF:
        kind = place[:2] if isinstance(place[-1], int) or (len(place) > 1 and isinstance(place[1], int)) else place[:1]
        for name in kind:
            raw = raw[name]
        part, place = registry.load(TABLE_OF[place[0]], raw if isinstance(raw, str) else raw["kind"]), place[len(kind) :]
    for name in place:
        raw = raw.get(name) if isinstance(raw, dict) else None
        if name in TABLE_OF and isinstance(raw, dict):  # a part within a part, such as the corpus that is injected
            part = registry.load(TABLE_OF[name], raw["kind"])
            continue
        annotation = part.model_fields[name].annotation
        options = [annotation, *get_args(annotation)]
        part = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return [field.alias or name for name, field in part.model_fields.items()]


def _line(raw: Any, place: Sequence[Any]) -> int | None:
    """1-based line of the last name in `place` that the file has; None for values that came from --set or Python."""
    line = None
    for name in place:
        if (isinstance(raw, dict) and name in raw) or (isinstance(raw, list) and isinstance(name, int) and name < len(raw)):
            data = getattr(getattr(raw, "lc", None), "data", None) or {}
            line = data[name][0] + 1 if name in data else line
            raw = raw[name]
        else:
            break
    return line
