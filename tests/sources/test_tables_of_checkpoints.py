"""Checkpoints in a table: read as they are meant, or refused with file and line."""

import pytest
from checkpoint_folders import folders, found, steps

from ontogeny import sources
from ontogeny.records import OntogenyError


@pytest.fixture
def table(tmp_path):
    """Writes models.csv beside three models' folders, and says where it is."""
    folders(tmp_path, "early", "late", "0100", "deep/last")
    (tmp_path / "bare").mkdir()

    def write(text, name="models.csv"):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return write


def test_a_table_names_folders_steps_words_and_seeds(table, tmp_path):
    models = table(f"folder,step,words,seed\ndeep/last,20,4000,1\n{tmp_path / 'early'},10,2000.5,1\nearly,5,,2\n")
    assert found(models) == {1: [(10, 2000.5), (20, 4000)], 2: [(5, None)]}
    assert sources.find(models).seeds[1][1].folder == tmp_path / "deep" / "last"
    assert found(table("step\tfolder\n7\tearly\n", "models.tsv")) == {0: [(7, None)]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("folder,stp\nearly,5\n", r"models\.csv has no column 'step'; did you mean 'stp'\?"),
        ("folder,step\nearly,soon\n", r"models\.csv:2: step is 'soon', expected a whole number"),
        ("folder,step\nearly,5\nearly,1.5\n", r"models\.csv:\d: step is .*, expected a whole number"),
        ("folder,step\nearly,-5\n", r"models\.csv:2: step is -5"),
        ("folder,step\nearly,5\ngone,6\n", r"models\.csv:3: no folder .*gone"),
        ("folder,step\nearly,5\nearly,5\n", "two checkpoints at step 5"),
        ("folder,step\nbare,5\n", r"bare is not a model's folder: it has no config\.json"),
        ("folder,step\n", r"models\.csv has no rows"),
        ("", r"models\.csv cannot be read as a table"),
        ("folder,step\nearly,5,6,7\n", r"models\.csv:2: 4 fields under 2 columns"),
    ],
)
def test_a_mistake_in_a_table_is_named_with_its_line(table, text, said):
    with pytest.raises(OntogenyError, match=said):
        sources.find(table(text))


WHOLE = "expected a whole number"
EMPTY = "leave it empty where it is not known"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # steps and seeds are whole numbers
        ("folder,step\nearly,1.0\nlate,2.0\n", rf":2: step is 1\.0, {WHOLE}: 1$"),
        ("folder,step\nearly,10k\n", rf":2: step is '10k', {WHOLE}: 10000$"),
        ("folder,step\nearly,\n", rf":2: step is empty, {WHOLE}"),
        ("folder,step\nearly,1_000\n", rf":2: step is '1_000', {WHOLE}"),
        ("folder,step\nearly,１０\n", rf":2: step is '１０', {WHOLE}"),
        ("folder,step\nearly,5\nlate,99999999999999999999\n", rf":3: step is 9+, {WHOLE}"),
        ("folder,step,seed\nearly,1,1.7\n", rf":2: seed is 1\.7, {WHOLE}$"),
        ("folder,step,seed\nearly,1,a\n", rf":2: seed is 'a', {WHOLE}$"),
        ("folder,step,seed\nearly,1,-1\n", rf":2: seed is -1, {WHOLE}$"),
        ("folder,step,seed\nearly,1,\n", rf":2: seed is empty, {WHOLE}$"),
        # tokens and words are numbers, or unknown
        ("folder,step,tokens\nearly,1,-5\n", rf":2: tokens is -5, {WHOLE}$"),
        ("folder,step,tokens\nearly,1,abc\n", rf":2: tokens is 'abc', {WHOLE}$"),
        ("folder,step,tokens\nearly,1,4e9\n", rf":2: tokens is '4e9', {WHOLE}"),
        ("folder,step,words\nearly,1,10M\nlate,2,20M\n", r":2: words is '10M', expected a number: 10000000$"),
        ("folder,step,words\nearly,1,NaN\n", rf":2: words is 'NaN', expected a number; {EMPTY}"),
        ("folder,step,words\nearly,1,inf\n", r":2: words is 'inf', expected a number"),
        ("folder,step,words\nearly,1,-2.5\n", r":2: words is -2\.5, expected a number"),
        ("folder,step,words\nearly,1,1e999\n", r":2: words is '1e999', expected a number"),
        # a step has one checkpoint and a checkpoint one step
        ("folder,step\nearly,5\nlate,6\n0100,5\n", r":4: two checkpoints at step 5: .*early \(line 2\) and .*0100 \(line 4\)"),
        ("folder,step\nearly,5\nearly,6\n", r":3: .*early is listed at step 6, and on line 2 at step 5; a checkpoint has one"),
        ("folder,step,words\nearly,5,20\nlate,6,10\n", r":3: steps and words must grow together: .*early \(line 2\) is at step 5"),
        ("folder,step,tokens\nlate,6,10\nearly,5,20\n", r":2: steps and tokens must grow together: .*early \(line 3\)"),
        # columns
        ("folder,step,token\nearly,5,9\n", r":1: no column is called 'token'; did you mean 'tokens'\?"),
        ("folder,step,Step\nearly,5,9\n", r":1: two columns are called 'step'; only one may be"),
        ("folder;step\nearly;5\n", r"models\.csv has no column 'folder'; did you mean 'folder;step'\?"),
        # folders
        ("folder,step\n,5\n", ":2: folder is empty, expected a model's folder"),
        ("folder,step\n~nobody-of-that-name/x,5\n", r":2: no folder .*~nobody-of-that-name/x"),
        ("folder,step\nea\0rly,5\n", r":2: byte 14 is a null character, which no text has; write the file without it$"),
        (f"folder,step\n{'x' * 5000},5\n", r":2: no folder .*xxx"),
        # text
        ('folder,step\n"early,5\n', r"models\.csv:2: .*double quote"),
        ("folder,step\nfrüh,5\n".encode("latin-1"), r"models\.csv:2: byte 14 is not UTF-8"),
        ("folder,step\nearly,5\n".encode("utf-16"), r"models\.csv:1: byte 0 is not UTF-8; it begins as UTF-16 does"),
    ],
)
def test_nothing_in_a_table_is_taken_for_something_else(table, text, said):
    with pytest.raises(OntogenyError, match=said) as error:
        sources.find(table(text))
    assert "models.csv" in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "folder, step, tokens\nearly, 1, 10\nlate, 2, 20\n",
        "folder ,Step,TOKENS \nearly ,1,10 \nlate,2 , 20\n",
        b"\xef\xbb\xbffolder,step,tokens\r\nearly,1,10\r\n\r\nlate,2,20\r\n",
        '"folder","step","tokens"\n"late","2","20"\n"early","1","10"',
        'folder, "step", tokens\n"early", "1", "10"\n late, 2, 20\n',
    ],
)
def test_spaces_capitals_marks_and_quotes_do_no_harm(table, text):
    assert steps(table(text)) == [(1, 10), (2, 20)]


def test_names_of_folders_stay_text(table, tmp_path):
    models = table("folder,step\n0100,100\n")
    assert sources.find(models).seeds[0][0].folder == tmp_path / "0100"


def test_a_path_is_no_pattern_and_the_ending_may_have_capitals(table):
    table("folder,step\nlate,6\n", "acc1.csv")
    assert steps(table("folder,step\nearly,5\n", "acc[1].csv")) == [(5, None)]
    assert steps(table("folder\tstep\nearly\t5\n", "ACC.TSV")) == [(5, None)]


def test_columns_that_are_not_read_are_said(table):
    models = sources.find(table("folder,step,loss,note\nearly,5,2.1,first\n"))
    assert models.warnings() == ["columns of models.csv that are not read: loss, note"]


def test_a_table_and_a_choice_of_names_exclude_one_another(table):
    with pytest.raises(OntogenyError, match="--names is for names of folders"):
        sources.find(table("folder,step\nearly,5\n"), ["step"])
