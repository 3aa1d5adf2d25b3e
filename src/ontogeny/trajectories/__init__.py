"""Curves, states, verdicts and their statistics."""

from ontogeny.trajectories.bands import band, states
from ontogeny.trajectories.curves import curve, overall, timeline_of
from ontogeny.trajectories.graded import correlations
from ontogeny.trajectories.intervals import intervals
from ontogeny.trajectories.judging import judge, judge_alone, judge_whole
from ontogeny.trajectories.nulls import Null, null
from ontogeny.trajectories.sensitivity import sensitivity
from ontogeny.trajectories.tables import read_accuracy_table, without_common_prefix
from ontogeny.trajectories.timeline import Timeline, calendar
from ontogeny.trajectories.verdicts import VERDICTS

__all__ = [
    "VERDICTS",
    "Null",
    "Timeline",
    "band",
    "calendar",
    "correlations",
    "curve",
    "intervals",
    "judge",
    "judge_alone",
    "judge_whole",
    "null",
    "overall",
    "read_accuracy_table",
    "sensitivity",
    "states",
    "timeline_of",
    "without_common_prefix",
]
