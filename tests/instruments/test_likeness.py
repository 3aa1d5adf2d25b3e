"""Likeness to the end of a training and to other seeds: of a run of two seeds, and of a table that is made by hand."""

import polars as pl
import pytest
import tiny

from ontogeny.instruments.likeness import LAST, Likeness
from ontogeny.laboratory import Run
from ontogeny.pages.panel import Clock
from ontogeny.records import OntogenyError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    settings = ("seeds=[0, 1]", "training.steps=2", "checkpoints.steps=[1]", "scoring.live=false", "training.learning_rate=0.1")
    found = Run.begin(tiny.recipe(*settings), tmp_path_factory.mktemp("runs"))
    found.train()
    return found


def test_the_last_checkpoint_is_like_itself_and_seeds_are_compared_once(run):
    run.read(["likeness"])
    table = run.reading("likeness").collect()
    end = table.filter(pl.col("step") == 2, other=LAST)
    assert end["cka"].to_list() == pytest.approx([1] * len(end)) == end["plain"].to_list()
    assert (table.filter(pl.col("step") == 0, other=LAST)["cka"] < 0.999).all()
    assert table.filter(seed=0)["other"].unique().to_list() == [LAST]
    assert set(table.filter(seed=1)["other"]) == {LAST, "seed 0"}
    assert set(run.fold("likeness")["settled"]["step"]) <= {1, 2}


def test_a_training_that_has_not_come_to_its_end_is_named(run):
    run.folder.checkpoint(0, 2).rename(run.folder.path / "away")
    try:
        with pytest.raises(OntogenyError, match="seed 0 has no checkpoint at step 2, which seed 0 is held against"):
            run.read([Likeness(points=100).model_dump()])
    finally:
        (run.folder.path / "away").rename(run.folder.checkpoint(0, 2))


def test_a_layer_settles_where_it_stays_near_the_end():
    rows = [(0, step, 1, LAST, value, 1.0) for step, value in ((0, 0.95), (1, 0.5), (2, 0.9), (4, 0.97), (8, 1.0))]
    table = pl.DataFrame(rows, schema=["seed", "step", "layer", "other", "cka", "plain"], orient="row")
    assert Likeness().fold(table, Clock())["settled"].rows() == [(0, 1, 2)]
