"""What an instrument is: one file that owns its columns, its key, its table, its figures and its sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from ontogeny import disk
from ontogeny.pages import curves
from ontogeny.pages.panel import Clock, Panel, Tabulated
from ontogeny.recipe import Kind
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder

if TYPE_CHECKING:
    from ontogeny.instruments.context import ReadingContext
    from ontogeny.instruments.subject import Subject

CLOCK = ("seed", "step")  # columns that a table gets from the checkpoint that it was read off


class DoesNotApply(OntogenyError):
    """A model is none that an instrument can read.  It is recorded with the reason, and is no trouble."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an instrument's table."""

    says: str
    """What it means; the page and the documentation take it from here."""
    dtype: Any = pl.Float64
    unit: str = ""
    """Such as nats; empty for a share or a count."""
    index: bool = False
    """It tells a checkpoint's rows apart: layer, head, paradigm ..."""
    span: tuple[float, float] | None = None
    """Where a figure's axis begins and ends; left out, where the values do."""
    chance: float | None = None
    """What a guesser gets, drawn as a dashed line."""


class Instrument(Kind):
    """Reads a table off each checkpoint.  A class of this kind, and one line in the registry, are all that it takes.

    Its fields are its settings.  What it reads depends on the weights, its version and settings, the files in `contents`, and what
    it `needs`; if any of these changes, its tables are read again, and no other instrument's.
    """

    version: ClassVar[int] = 1
    """Raised when it reads something else than before."""
    needs: ClassVar[tuple[str, ...]] = ()
    """What it asks of the run: text, pairs, scores, ngrams (see `ReadingContext`), or another instrument by name."""
    uses: ClassVar[tuple[str, ...]] = ()
    """What it asks of the run where the run has it: text, ngrams.  On a run without, the columns that come from it are null, or it
    reads sentences of the suites instead."""
    reads: ClassVar[tuple[str, ...]] = ("causal",)
    """The models that it reads: causal, masked."""
    of_broken_weights: ClassVar[bool] = False
    """Whether what it reads off weights that are no finite numbers says so itself, as a loss that is nan; else that is an error."""

    @property
    def name(self) -> str:
        """What its tables are filed under, and figures are called by."""
        return self.kind

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns of its table."""
        raise NotImplementedError

    def contents(self) -> list[str]:
        """Hashes of the data files that it reads."""
        return []

    def read(self, subject: Subject) -> pl.DataFrame:
        """The table of one checkpoint, exactly `columns`.  Raises DoesNotApply for a model that it cannot read."""
        raise NotImplementedError

    def fold(self, table: pl.DataFrame, clock: Clock) -> dict[str, pl.DataFrame]:
        """Tables over all checkpoints and seeds by name: ages, onsets, speeds.  `table`: seed, step and `columns`."""
        return {}

    def numbers(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """What it reads, as one number a checkpoint, or a paradigm and checkpoint, by name: seed, step (suite, paradigm), value.

        Why paradigms are stuck, and what comes first, is asked of these.  Left out: the columns that no index but suite and
        paradigm tells apart, without counts.  `table` as in `fold`.
        """
        index = [name for name, column in self.columns.items() if column.index]
        if set(index) - {"suite", "paradigm"}:
            return {}
        return {
            name: table.select(*CLOCK, *index, value=pl.col(name).cast(pl.Float64))
            for name, column in self.columns.items()
            if not column.index and column.dtype.is_float()
        }

    def panels(self) -> tuple[Panel, ...]:
        """Its figures; left out: its columns over training."""
        return curves.panels(self.name, self.columns)

    def across(self, runs: Sequence[RunFolder]) -> tuple[pl.DataFrame, Tabulated] | None:
        """A table that speaks of all runs of a grid at once, and what of it a terminal shows; None: it has none."""
        return None

    # --- its tables on disk ---------------------------------------------------------------------------------------

    def key(self, context: ReadingContext) -> str:
        """Changes with everything that decides what it reads, but for the weights.

        Raises OntogenyError for what it needs and this run does not have.
        """
        asked = (*self.needs, *(use for use in self.uses if context.knows_text))
        needed = [context.key_of(need, self.name) for need in asked]
        return disk.content_key(self.name, self.version, self.model_dump(mode="json"), self.contents(), needed)

    def table_of(self, subject: Subject) -> tuple[pl.DataFrame, str]:
        """What it reads of a checkpoint, and why it does not apply where it does not (then without rows).

        Raises OntogenyError for a table that has not exactly the declared columns, or two rows of one index, and for one
        that was read off weights that are no finite numbers.
        """
        try:
            if subject.kind not in self.reads:
                raise DoesNotApply(
                    f"{self.name} reads {' and '.join(self.reads)} language models, and this is a {subject.kind} one"
                )
            table = checked(self, self.read(subject))
            if not self.of_broken_weights:
                subject.check_weights()
            return table, ""
        except DoesNotApply as reason:
            said = str(reason) if self.name in str(reason) else f"{self.name} does not apply: {reason}"
            return pl.DataFrame(schema=schema(self)), said


def schema(instrument: Instrument) -> dict[str, Any]:
    """Name to polars type of the columns that an instrument declares.  Raises OntogenyError for names that tables have already."""
    if taken := [name for name in instrument.columns if name in CLOCK]:
        raise OntogenyError(f"the instrument {instrument.name} declares a column {taken[0]!r}, which every table has anyway")
    return {name: column.dtype for name, column in instrument.columns.items()}


def checked(instrument: Instrument, frame: pl.DataFrame) -> pl.DataFrame:
    """A table that was read, in the declared order and types.  Raises OntogenyError that names the column that is wrong."""
    declared, who = schema(instrument), f"the instrument {instrument.name}"
    if undeclared := [name for name in frame.columns if name not in declared]:
        raise OntogenyError(f"{who} gave a column {undeclared[0]!r} that it does not declare; it declares {', '.join(declared)}")
    if lacking := [name for name in declared if name not in frame.columns]:
        raise OntogenyError(f"{who} declares a column {lacking[0]!r} and did not give it; it gave {', '.join(frame.columns)}")
    try:
        table = frame.select(pl.col(name).cast(dtype) for name, dtype in declared.items())
    except pl.exceptions.PolarsError as error:
        raise OntogenyError(f"{who} gave values of another type than it declares ({str(error).splitlines()[0]})") from None
    indexes = [name for name, column in instrument.columns.items() if column.index]
    if (doubled := table.is_duplicated() if not indexes else table.select(indexes).is_duplicated()).any() and len(table) > 1:
        where = table.filter(doubled).select(indexes).row(0) if indexes else "which no index column tells apart"
        raise OntogenyError(f"{who} gave two rows of one index: {where}")
    if len(table) > 1 and not indexes:
        raise OntogenyError(f"{who} gave {len(table)} rows and declares no index column that tells them apart")
    return table
