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


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (pl.Categorical, ["a", "b"]),
        (pl.Enum(["a", "b"]), ["a", "b"]),
        (pl.Int64, ["0", "1"]),
        (pl.Float64, ["0.0", "1.0"]),
        (pl.Boolean, ["false", "true"]),
    ],
)
def test_paradigms_may_be_categories_numbers_or_truth_values(write, kind, shown):
    texts = kind in (pl.Categorical, pl.Enum(["a", "b"]))
    rows = [(name, 0, step, 0.25) for name in (("a", "b") if texts else (0, 1)) for step in (0, 10)]
    table = frame(rows).with_columns(pl.col("paradigm").cast(kind))
    got = read_accuracy_table(write(table, "table.parquet"))
    assert got["paradigm"].unique().sort().to_list() == shown and len(judge(got, timeline_of(got))) == 2


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("paradigm", pl.concat_list("paradigm"), r"column 'paradigm' is not all text \(List\(String\)\)"),
        ("paradigm", pl.lit(b"\xff"), r"column 'paradigm' is not all text \(Binary\)"),
        ("paradigm", pl.lit(None), "column 'paradigm' is empty in 18 rows, the first of them row 1"),
        ("suite", pl.when(step=10).then(pl.lit("x")), "column 'suite' is empty in 12 rows, the first of them row 1"),
        ("field", pl.concat_list("step"), r"column 'field' is not all text"),
        ("step", pl.col("step").cast(pl.String) + "k", "column 'step' is not all numbers: '0k' in row 1"),
        ("step", pl.when(step=10).then(float("nan")).otherwise("step"), "not whole: nan in row 2"),
        ("step", pl.when(step=10).then(None).otherwise("step"), "column 'step' is empty in 6 rows, the first of them row 2"),
        ("seed", pl.lit(1.5), "not whole: 1.5 in row 1"),
        ("n", pl.lit(0), "column 'n' has 0 in row 1; it is 1 to"),
        ("accuracy", pl.lit("50%"), "column 'accuracy' is not all numbers: '50%' in row 1"),
    ],
)
def test_a_value_that_is_none_is_named_with_its_row(write, column, value, said):
    with pytest.raises(OntogenyError, match=rf"^table\.parquet: .*{said}"):
        read_accuracy_table(write(frame().with_columns(value.alias(column)), "table.parquet"))


def test_margins_that_are_no_numbers_are_not_said(write):
    got = read_accuracy_table(write(frame().with_columns(margin=pl.lit(float("nan"))), "table.parquet"))
    assert got["margin"].null_count() == 18


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0f\nsize 1\n", "pointer of Git LFS"),
        ("paradigm,step\n".encode("utf-16-le"), "may be UTF-16 without a mark"),
        ("paradigm,step,seed,accuracy\né,0,0,.5\n".encode("latin-1"), r":2: byte 28 is not UTF-8"),
        (b"paradigm,step,seed,accuracy\ra,0,0,.5\r", "carriage returns alone"),
    ],
)
def test_a_table_that_is_no_text_in_utf8_is_named(tmp_path, content, said):
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(OntogenyError, match=rf"table\.csv.*{said}"):
        read_accuracy_table(tmp_path / "table.csv")


def test_parquet_that_is_broken_inside_is_one_error(write):
    path = write(frame(ROWS * 50), "table.parquet")
    whole = path.read_bytes()
    for broken in (whole[:60] + b"\0" * 40 + whole[100:], whole[:-60] + b"\xff" * 20 + whole[-40:], whole[:100]):
        path.write_bytes(broken)
        with pytest.raises(OntogenyError, match=r"table\.parquet"):
            read_accuracy_table(path)
