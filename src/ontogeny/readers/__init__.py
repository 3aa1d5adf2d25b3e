"""Who reads each checkpoint: this process in turn, another beside training, or as many as the machine has cores or GPUs."""

from typing import TYPE_CHECKING

from ontogeny.readers.beside import ReadingMode as ReadingMode
from ontogeny.readers.beside import live as live
from ontogeny.readers.beside import plan as plan
from ontogeny.readers.folders import score_folders as score_folders
from ontogeny.readers.folders import score_one as score_one
from ontogeny.readers.pool import read_all as read_all
from ontogeny.readers.readings import Readings as Readings
from ontogeny.readers.readings import recipe_of as recipe_of
from ontogeny.registry import former

if not TYPE_CHECKING:  # a type checker would take every name for one of the room's
    __getattr__ = former(__name__)
