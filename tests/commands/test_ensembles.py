"""What seeds prefer together, by hand."""

from types import SimpleNamespace

import polars as pl
import pytest

from ontogeny.commands import ensembles

# log-likelihoods of good and bad: seed 0 is sure of the first pair, both are wrong of the second, seeds tie on the third together
TABLES = {
    0: [(-1.0, -9.0), (-3.0, -2.0), (-2.0, -3.0)],
    1: [(-5.0, -4.0), (-3.0, -2.0), (-3.0, -2.0)],
}


@pytest.fixture
def run(monkeypatch):
    frames = {
        seed: pl.DataFrame(
            [("p", str(at), *row) for at, row in enumerate(rows)], ["paradigm", "pair", *ensembles.SENTENCES], orient="row"
        )
        for seed, rows in TABLES.items()
    }
    monkeypatch.setattr(ensembles, "read_table", lambda seed: frames[seed])
    return SimpleNamespace(folder=SimpleNamespace(scores=lambda seed, suite, step: seed))


def test_logs_and_likelihoods_are_averaged_of_each_sentence(run):
    found = ensembles._preferences(run, [0, 1], "s", 8).sort("pair")
    assert found["seed0"].to_list() == [1, 0, 1] and found["seed1"].to_list() == [0, 0, 0]
    assert found["logs"].to_list() == [1, 0, 0.5]  # 8 - 1 over 2; both wrong; + 1 - 1
    # e^-1 + e^-5 against e^-9 + e^-4; ...; e^-2 + e^-3 on either side
    assert found["probabilities"].to_list() == [1, 0, 0.5]


def test_what_is_wrong_in_every_seed_is_stuck_and_freed_where_an_ensemble_is_right(run):
    pairs = pl.DataFrame({"seed0": [0.0] * 9 + [1.0], "seed1": [0.0] * 9 + [1.0], "logs": [1.0] * 10, "probabilities": [0.0] * 10})
    pairs = pairs.with_columns(contrast=pl.int_range(10).cast(pl.String))
    row = ensembles._row("s", "p", [0, 1], pairs)
    assert (row["alone"], row["stuck"], row["freed"], row["logs"], row["probabilities"]) == (0.1, True, True, 1.0, 0.0)
    still = ensembles._row("s", "p", [0, 1], pairs.with_columns(logs=pl.lit(0.5)))
    assert still["stuck"] and not still["freed"]
    said = ensembles.told(pl.DataFrame([row, still], ensembles.ENSEMBLES, orient="row"))
    assert said[1] == "Of 2 paradigms that are below one half in every seed, 1 is freed: p."
