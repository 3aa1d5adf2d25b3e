"""What sets stuck paradigms apart: known from how the numbers are made."""

import numpy as np
import polars as pl
import pytest

from ontogeny.evidence.apart import FEWEST, apart

VERDICTS = {"entrenched": 8, "learned": 12, "late recovery": 2, "undecided": 5}


def made(effect, seeds=8):
    """A number that is `effect` lower in entrenched paradigms, another that is noise; seeds and paradigms differ."""
    generator = np.random.default_rng(0)
    names = [(f"{verdict} {k}", verdict) for verdict, n in VERDICTS.items() for k in range(n)]
    rows = []
    for reading, size in (("context", effect), ("noise", 0.0)):
        for name, verdict in names:
            own = generator.normal(0, 0.2) - size * (verdict == "entrenched")
            rows += [(reading, "toy", name, s, 8, own + generator.normal(0, 0.1)) for s in range(seeds)]
            rows += [(reading, "toy", name, s, 4, 99.0) for s in range(seeds)]  # an earlier checkpoint is not looked at
    verdicts = pl.DataFrame([("toy", *one) for one in names], schema=["suite", "paradigm", "verdict"], orient="row")
    return pl.DataFrame(rows, schema=["reading", "suite", "paradigm", "seed", "step", "value"], orient="row"), verdicts


def test_the_number_that_differs_by_construction_is_found_and_the_other_is_not():
    found = apart(*made(1.0))
    assert set(found["group"]) == {"stuck", "learned"}  # two recovered ones are fewer than FEWEST
    assert VERDICTS["late recovery"] < FEWEST
    stuck = {row["reading"]: row for row in found.filter(group="stuck").to_dicts()}
    assert stuck["context"]["paradigms"] == 8
    assert stuck["context"]["difference_low"] < -1 < stuck["context"]["difference_high"] < 0
    assert stuck["context"]["p_adjusted"] < 0.01 < 0.05 < stuck["noise"]["p_adjusted"]
    assert stuck["context"]["p_adjusted"] == pytest.approx(2 * stuck["context"]["p"])  # two numbers are tested
    assert stuck["noise"]["difference_low"] < 0 < stuck["noise"]["difference_high"]


def test_without_stuck_paradigms_nothing_is_compared():
    numbers, verdicts = made(1.0)
    found = apart(numbers, verdicts.filter(pl.col("verdict") != "entrenched"))
    assert set(found["group"]) == {"learned"} and found["p"].null_count() == len(found)
    assert apart(numbers.clear(), verdicts).is_empty()


def test_of_one_seed_the_interval_is_over_paradigms_alone():
    numbers, verdicts = made(1.0, seeds=1)
    row = apart(numbers, verdicts).filter(group="stuck", reading="context").row(0, named=True)
    assert row["difference_low"] < row["difference"] < row["difference_high"] < 0 and row["p"] < 0.01
