import polars as pl
import pytest

from ontogeny.records import OntogenyError
from ontogeny.trajectories import judge, read_accuracy_table, timeline_of, without_common_prefix
from ontogeny.trajectories.curves import MEASURES

ROWS = [(f"blimp_{p}", seed, step, 0.25) for p in ("a_1", "a_2", "b") for seed in (0, 1) for step in (0, 10, 20)]


def frame(rows=ROWS):
    return pl.DataFrame(rows, schema=["paradigm", "seed", "step", "accuracy"], orient="row")


@pytest.fixture
def write(tmp_path):
    def to(table, name="table.csv"):
        path = tmp_path / name
        if name.endswith("parquet"):
            table.write_parquet(path)
        else:
            table.write_csv(path, separator="\t" if name.endswith("tsv") else ",")
        return path

    return to


@pytest.mark.parametrize("name", ["table.csv", "table.tsv", "table.parquet"])
def test_every_kind_of_file_reads_the_same(write, name):
    got = read_accuracy_table(write(frame(), name))
    assert got.columns == ["suite", "seed", "step", "paradigm", "n", *MEASURES]
    assert len(got) == 18 and got["suite"].unique().to_list() == ["table"] and got["n"].unique().to_list() == [1000]
    assert got["accuracy"].unique().to_list() == [0.25] and got["margin"].null_count() == 18
    assert len(judge(got, timeline_of(got))) == 3


def test_scores_with_the_metric_acc_are_accuracies_and_phenomena_are_kept(write):
    table = frame().rename({"accuracy": "score"}).with_columns(metric=pl.lit("acc"), phenomenon=pl.lit("x"))
    table = pl.concat([table, table.with_columns(metric=pl.lit("std"), score=pl.lit(7.0))])
    got = read_accuracy_table(write(table))
    assert len(got) == 18 and got["phenomenon"].unique().to_list() == ["x"]


def test_pairs_come_from_the_file_before_the_argument(write):
    assert read_accuracy_table(write(frame()), n=50)["n"].unique().to_list() == [50]
    assert read_accuracy_table(write(frame().with_columns(n=pl.lit(996))), n=50)["n"].unique().to_list() == [996]


def test_the_common_prefix_is_taken_off_and_told():
    table, prefix = without_common_prefix(frame())
    assert prefix == "blimp_" and sorted(table["paradigm"].unique()) == ["a_1", "a_2", "b"]
    table, prefix = without_common_prefix(table)
    assert prefix == "" and sorted(table["paradigm"].unique()) == ["a_1", "a_2", "b"]
    assert without_common_prefix(frame(ROWS[:6]))[1] == ""


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (frame().rename({"accuracy": "acuracy"}), "table.csv have no column 'accuracy'; did you mean 'acuracy'"),
        (frame().rename({"seed": "sead"}), "no column 'seed'; did you mean 'sead'"),
        (frame().rename({"accuracy": "score"}), "no column 'metric'"),
        (frame().rename({"accuracy": "score"}).with_columns(metric=pl.lit("ppl")), "metrics: ppl"),
        (frame([*ROWS, ROWS[0]]), "2 rows for paradigm blimp_a_1, seed 0, step 0"),
        (frame().with_columns(pl.col("accuracy") * 200), "accuracy 50.0 of blimp_a_1, seed 0, step 0 .*percent"),
        (frame().with_columns(accuracy=pl.lit(-0.1)), "not from 0 to 1$"),
        (frame().filter((pl.col("seed") == 0) | (pl.col("step") != 10)), "seed 1 has no step 10, which seed 0 has"),
        (frame(ROWS[:-1]).with_columns(pl.col("step")), "paradigm blimp_b lacks some"),
        (frame().with_columns(step=pl.lit("ten")), "column 'step' is not all numbers"),
        (frame().with_columns(step=pl.col("step") + 0.5), "column 'step' has numbers that are not whole"),
        (frame().with_columns(seed=pl.lit(None, pl.Int64)), "column 'seed' is empty in 18 rows"),
        (frame().clear(), "table.csv has no rows"),
    ],
)
def test_tables_that_cannot_be_read(write, table, message):
    with pytest.raises(OntogenyError, match=message):
        read_accuracy_table(write(table))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(OntogenyError, match="there is no file"):
        read_accuracy_table(tmp_path / "none.csv")
    with pytest.raises(OntogenyError, match=r"accuracy tables are \.csv, \.tsv, \.parquet files"):
        read_accuracy_table(tmp_path / "table.xlsx")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(OntogenyError, match=r"empty\.csv cannot be read"):
        read_accuracy_table(tmp_path / "empty.csv")


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
@pytest.mark.parametrize("name", ["acc[1]", "acc*", "ac?1"])
def test_a_table_is_the_one_of_just_that_name(write, kind, name):
    write(frame(), f"acc1.{kind}")
    own = write(frame().with_columns(accuracy=pl.lit(0.75)), f"{name}.{kind}")
    assert read_accuracy_table(own)["accuracy"].unique().to_list() == [0.75]
