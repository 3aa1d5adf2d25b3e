"""Which paradigms bigrams get wrong, and when runs left the wrong side."""

import polars as pl
import pytest
from made_runs import made

from ontogeny.comparison.against import says
from ontogeny.comparison.gathering import gather
from ontogeny.disk import write_table
from ontogeny.store import RunFolder


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for name, wrong in (("grid-one", ("right_1",)), ("grid-two", ())):
        made(root / name, wrong=wrong)
    margins = {"wrong_1": -2.0, "right_1": -0.5, "turns_1": -1.0, "right_2": 1.0, "wrong_2": 0.0}
    rows = [{"suite": "toy", "seed": 0, "paradigm": name, "b": b} for name, b in margins.items()]
    write_table(RunFolder(root / "grid-two").evidence("cases"), pl.DataFrame(rows))
    steps = pl.DataFrame({"step": [0, 40], "r": [0.9, 0.7]}).with_columns(seed=0, suite=pl.lit("toy"), paradigm=pl.lit(""))
    rungs = steps.with_columns(by=pl.lit("pairs"), level=pl.lit("token"), order=2)
    write_table(RunFolder(root / "grid-two").evidence("ladder"), rungs)
    curves = pl.read_parquet(root / "grid-two" / "curves.parquet")
    turned = pl.when((pl.col("paradigm") == "turns_1") & (pl.col("step") == 8)).then(0.2).otherwise("accuracy")
    write_table(RunFolder(root / "grid-two").curves, curves.with_columns(accuracy=turned))
    return gather([root / "grid-one", root / "grid-two"])


def test_those_that_bigrams_get_wrong_the_worst_first_in_every_run(found):
    table = found.against
    assert table["paradigm"].to_list() == ["wrong_1", "wrong_1", "turns_1", "turns_1", "right_1", "right_1"]
    of = {(row["run"], row["paradigm"]): row for row in table.to_dicts()}
    assert of["one", "right_1"]["course"] == of["two", "wrong_1"]["course"] == "ends wrong"
    assert of["two", "right_1"]["course"] == "never wrong" and of["two", "right_1"]["left_step"] is None
    left = of["two", "turns_1"]  # below at step 8 alone, and read next at 16: a dev loss of 2 + 4 (1 - 16 / 40)
    assert (left["course"], left["left_step"], left["left_words"]) == ("left", 16, 192.0)
    assert left["left_loss"] == pytest.approx(4.4)
    assert says(table) == "Of 3 paradigms that bigrams get wrong, 2 in one and 1 in two end wrong."


def test_the_ladder_is_beside_the_curves_where_it_was_made(found):
    rungs = found.curves.drop_nulls("ladder_2").select("run", "step", "ladder_2")
    assert rungs.rows() == [("two", 0, 0.9), ("two", 40, 0.7)]


def test_without_evidence_nothing_is_said_of_bigrams(tmp_path):
    made(tmp_path / "a-one")
    made(tmp_path / "a-two")
    plain = gather([tmp_path / "a-one", tmp_path / "a-two"])
    assert plain.against.is_empty() and says(plain.against) == ""
