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


def with_n(**columns):
    return frame().with_columns(n=pl.lit(100)).with_columns(**columns)


@pytest.mark.parametrize("name", ["N", " n", "Suite", "phenomena", "marginn"])
def test_a_column_that_may_be_a_known_one_misspelt_is_an_error(write, name):
    with pytest.raises(OntogenyError, match=rf"table.csv has a column '{name}', which is none that is read; did you mean '\w+'"):
        read_accuracy_table(write(frame().with_columns(pl.lit(5).alias(name))))


def test_a_column_that_is_there_twice_is_an_error(tmp_path):
    (tmp_path / "t.csv").write_text("paradigm,step,seed,accuracy,accuracy\na,1,0,.5,.6\n")
    with pytest.raises(OntogenyError, match="did you mean 'accuracy'"):
        read_accuracy_table(tmp_path / "t.csv")


def test_what_is_not_read_and_what_is_taken_for_granted_is_said(write):
    said = []
    read_accuracy_table(write(frame().with_columns(model=pl.lit("m"), accuracy_sd=pl.lit(0.1))), say=said.append)
    assert said == [
        "table.csv: columns that are not read: model, accuracy_sd",
        "table.csv has no column 'n': each paradigm is taken to have 1,000 pairs",
    ]
    read_accuracy_table(write(with_n()), say=said.append)
    assert len(said) == 2


def test_seeds_that_were_not_read_as_far_are_left_out_as_in_a_run(write):
    said = []
    got = read_accuracy_table(write(with_n().filter((pl.col("seed") == 0) | (pl.col("step") != 10))), say=said.append)
    assert said == ["seeds [1] have other checkpoints than seeds [0] and are left out"]
    assert got["seed"].unique().to_list() == [0] and got["step"].unique().sort().to_list() == [0, 10, 20]


def test_zorros_paradigms_have_two_thousand_pairs(write):
    said, names = (
        [],
        {"blimp_a_1": "zorro_binding-principle_a", "blimp_a_2": "zorro_irregular-verb", "blimp_b": "zorro_ellipsis-n_bar"},
    )
    got = read_accuracy_table(write(frame().with_columns(pl.col("paradigm").replace(names))), say=said.append)
    assert got["n"].unique().to_list() == [2000] and "2,000 pairs" in said[0]
    assert read_accuracy_table(write(frame()), 50, said.append)["n"].unique().to_list() == [50] and len(said) == 1


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        *((name, value, "not whole") for name in ("seed", "step", "n") for value in (1.5, float("nan"), float("inf"))),
        *((name, True, "is not all numbers .Boolean") for name in ("seed", "step", "n", "accuracy")),
        *((name, "ten", "is not all numbers") for name in ("seed", "step", "n", "accuracy", "margin")),
        *((name, 1e300, r"has 1e\+300 in row 1; it is") for name in ("seed", "step", "n")),
        ("seed", -1, "has -1 in row 1; it is 0 to"),
        ("step", -5, "has -5 in row 1; it is 0 to"),
        ("n", 0, "has 0 in row 1; it is 1 to"),
        ("paradigm", None, "'paradigm' is empty in 18 rows"),
        ("paradigm", " ", "'paradigm' is empty in 18 rows"),
        ("accuracy", float("nan"), "not from 0 to 1"),
    ],
)
@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_a_value_that_is_none_is_an_error(write, name, column, value, message):
    with pytest.raises(OntogenyError, match=message):
        read_accuracy_table(write(with_n(**{column: pl.lit(value)}), name))


def test_paradigms_are_read_as_text(write):
    number = pl.col("paradigm").replace_strict({"blimp_a_1": 1, "blimp_a_2": 2, "blimp_b": 3})
    for table, name in ((with_n(paradigm=number), "t.csv"), (with_n(paradigm=number), "t.parquet")):
        assert sorted(read_accuracy_table(write(table, name))["paradigm"].unique()) == ["1", "2", "3"]
    got = read_accuracy_table(write(with_n(paradigm=number.cast(pl.String).str.zfill(2)), "t.CSV"))
    assert without_common_prefix(got)[0]["paradigm"].unique().sort().to_list() == ["01", "02", "03"]
    got = read_accuracy_table(write(with_n(paradigm=pl.col("paradigm").cast(pl.Categorical)), "c.parquet"))
    assert judge(got, timeline_of(got))["paradigm"].to_list() == ["blimp_a_1", "blimp_a_2", "blimp_b"]


def test_two_suites_are_named(write):
    both = pl.concat([with_n(suite=pl.lit(suite)) for suite in ("x", "y")])
    with pytest.raises(OntogenyError, match="holds several suites: x, y; one suite at a time"):
        read_accuracy_table(write(both))
