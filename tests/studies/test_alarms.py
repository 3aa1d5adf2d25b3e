"""Hits and false alarms of a loop, on paper."""

from types import SimpleNamespace

import polars as pl
import pytest

from ontogeny import disk
from ontogeny.recipe import Thresholds
from ontogeny.studies.alarms import alarms_of, hits
from ontogeny.trajectories import Timeline

STEPS = (1, 2, 4, 8, 16, 24, 32, 40)
SAID = {0: [{"step": 8, "alarms": ["sunk"]}, {"step": 16, "alarms": ["sunk", "risen"]}], 1: [{"step": 8, "alarms": []}]}


@pytest.fixture
def reference():
    """Of two seeds: sunk ends wrong in both, torn in the second."""
    ends = {("sunk", 0): 0.1, ("sunk", 1): 0.1, ("torn", 0): 0.9, ("torn", 1): 0.1, ("risen", 0): 0.9, ("risen", 1): 0.9}
    rows = [
        {"suite": "toy", "paradigm": name, "seed": seed, "step": step, "n": 200, "accuracy": end}
        for (name, seed), end in ends.items()
        for step in STEPS
    ]
    clock = Timeline(STEPS, STEPS[-1], 1, 1)
    results = SimpleNamespace(curves=pl.DataFrame(rows), timeline=lambda curves: clock, thresholds=Thresholds(min_late=2))
    return SimpleNamespace(arm="untouched", results=results, seeds=(0, 1))


@pytest.fixture
def loop(tmp_path):
    for seed, said in SAID.items():
        disk.write_json(tmp_path / f"{seed}.json", said)
    settings = {"interventions": [{"kind": "closed-loop", "finished": ["F"], "alarms": ["sunk", "torn", "risen"]}]}
    run = SimpleNamespace(loop=lambda seed: tmp_path / f"{seed}.json")
    return SimpleNamespace(results=SimpleNamespace(settings=settings), run=run, seeds=(0, 1))


def test_an_alarm_is_right_where_the_paradigm_ends_wrong_untouched_in_the_same_seed(loop, reference):
    found = alarms_of(loop, reference)
    kept = {(row["paradigm"], row["seed"]): (row["raised"], row["wrong"]) for row in found.to_dicts()}
    assert kept["sunk", 0] == (True, True) and kept["sunk", 1] == (False, True) and kept["risen", 0] == (True, False)
    own = hits(found.with_columns(arm=pl.lit("loop")))
    assert own == [{"arm": "loop", "seeds": 2, "hits": 1, "wrong": 3, "false": 1, "fine": 3}]


def test_without_a_loop_or_a_reference_there_is_nothing_to_count(loop, reference):
    plain = SimpleNamespace(results=SimpleNamespace(settings={"interventions": []}))
    assert alarms_of(plain, reference) is None and alarms_of(loop, None) is None
