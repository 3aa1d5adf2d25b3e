"""What is changed of a training: the text, its order, the objective or the weights; one small file each."""

from typing import TYPE_CHECKING

from ontogeny.interventions.context import InterventionContext
from ontogeny.interventions.kinds import Course, Intervention, Objective, StreamEdit, StreamEdited, TextEdit, Window
from ontogeny.interventions.streams import Stream, bigram_margins, streams
from ontogeny.interventions.treating import treatment
from ontogeny.registry import former

__all__ = [
    "Course",
    "Intervention",
    "InterventionContext",
    "Objective",
    "Stream",
    "StreamEdit",
    "StreamEdited",
    "TextEdit",
    "Window",
    "bigram_margins",
    "streams",
    "treatment",
]

if not TYPE_CHECKING:  # a type checker would take every name for one of the room's
    __getattr__ = former(__name__)
