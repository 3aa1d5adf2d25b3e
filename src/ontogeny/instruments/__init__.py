"""What else is read off a checkpoint.  An instrument is one file: its columns, key, table, figures and sentences."""

from ontogeny.instruments.context import ReadingContext as ReadingContext
from ontogeny.instruments.instrument import Column as Column
from ontogeny.instruments.instrument import DoesNotApply as DoesNotApply
from ontogeny.instruments.instrument import Instrument as Instrument
from ontogeny.instruments.subject import Subject as Subject

WITH_EVIDENCE = ("reliance", "distance")  # those that the n-gram evidence of a run reads
