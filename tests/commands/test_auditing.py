"""Audits of a suite against a folder of text and against a run's text."""

import polars as pl
import pytest

from ontogeny import disk
from ontogeny.commands.auditing import audit_suite, corpus_named, guides
from ontogeny.display import QUIET
from ontogeny.evidence.guides import Guides
from ontogeny.laboratory import Run
from ontogeny.records import OntogenyError

ROWS = [("agreement", "dog", "the dog runs", "the dog run"), ("agreement", "dogs", "dogs see the cat", "dogs sees the cat")]
SAME = ("identical", "cat", "the cat", "the cat")


@pytest.fixture
def text(tmp_path):
    folder = tmp_path / "text"
    folder.mkdir()
    (folder / "one.txt").write_text("the dog sees the cat\nthe cat runs\n\ndogs see the cat\n")
    (folder / "two.txt").write_text("the dog runs\nthe dog runs\n")
    return folder


@pytest.fixture
def suite(tmp_path):
    return written(tmp_path, *ROWS)


def written(folder, *rows):
    file = folder / "own.csv"
    pl.DataFrame(list(rows), ["paradigm", "pair", "good", "bad"], orient="row").write_csv(file)
    return file


def audited(tmp_path, path, corpus=None, *settings, run=None, name="table"):
    return audit_suite(name, path, corpus and str(corpus), run, tmp_path / "out", settings, QUIET)


def test_against_a_folder_of_text_by_hand(tmp_path, suite, text):
    """Both good continuations are in the text and neither bad one: the bigrams solve it, the lengths say nothing."""
    found = audited(tmp_path, suite, text)
    row = found.table.row(0, named=True)
    assert (row["suite"], row["paradigm"], row["pairs"], row["identical"]) == ("own", "agreement", 2, 0)
    assert (row["word_bigram"], row["word_length"], row["word_unequal"]) == (1.0, 0.5, 0.0)
    assert row["verdict"] == "poor guide"
    assert not [column for column in found.table.columns if column.startswith("token_")]
    assert (found.facts["suite"], found.facts["words"], found.facts["documents"]) == ("own", 18, 5)
    assert found.facts["thresholds"] == Guides().model_dump(mode="json")
    assert disk.read_table(tmp_path / "out" / "audit.parquet").equals(found.table)


def test_the_second_time_the_counts_are_there(tmp_path, suite, text):
    def stamps():
        files = [file for file in (tmp_path / "out" / "words").rglob("*") if file.is_file()]
        return {file.as_posix(): (file.stat().st_mtime_ns, file.stat().st_ino) for file in files}

    first = audited(tmp_path, suite, text).table
    before = stamps()
    assert before
    assert audited(tmp_path, suite, text).table.equals(first)
    assert stamps() == before
    (text / "one.txt").write_text("another text with other words\nanother text with other words\n")
    assert audited(tmp_path, suite, text).facts["documents"] == 4
    assert stamps() != before


def test_a_threshold_decides_and_is_told(tmp_path, suite, text):
    assert audited(tmp_path, suite, text, "confidence=0.9", "rare=1").facts["thresholds"]["rare"] == 1


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("solvd=0.9", "solvd is not known here; did you mean 'solved'"),
        ("solved=2", "less than or equal to 1"),
        ("solved=0.6", r"partly \(0.65\) is above solved \(0.6\)"),
        ("solved", "NAME=VALUE|="),
    ],
)
def test_thresholds_that_make_no_sense_are_named(setting, said):
    with pytest.raises(OntogenyError, match=said):
        guides([setting])


@pytest.mark.parametrize(
    ("corpus", "said"),
    [
        ("micro-englsh", "neither a folder or file of text nor a kind of corpus; did you mean 'micro-english'"),
        ("zzz", "nor a kind of corpus; known: text, hub, micro-english"),
        ("{here}/txt", "--corpus: .*txt does not exist .*did you mean 'text'"),
        ("hub", "--corpus: name is missing"),
    ],
)
def test_a_corpus_that_is_not_there_is_named(text, corpus, said):
    with pytest.raises(OntogenyError, match=said):
        corpus_named(corpus.format(here=text.parent))


def test_a_corpus_may_be_a_file_or_a_kind(text):
    assert [d.text for d in corpus_named(str(text / "two.txt")).documents()] == ["the dog runs"] * 2
    assert corpus_named("micro-english").kind == "micro-english"


def test_one_text_and_no_more(tmp_path, suite, text, finished_run):
    for corpus, run in ((None, None), (text, finished_run)):
        with pytest.raises(OntogenyError, match="say --corpus FOLDER, or --run RUN"):
            audited(tmp_path, suite, corpus, run=run)
    with pytest.raises(OntogenyError, match="--suite-path is for --corpus"):
        audited(tmp_path, suite, run=finished_run)


def test_a_suite_that_is_not_there_is_named(tmp_path, suite, text, finished_run):
    with pytest.raises(OntogenyError, match="no suite is called 'tabel'; did you mean 'table'"):
        audited(tmp_path, suite, text, name="tabel")
    with pytest.raises(OntogenyError, match="was not read on 'micro-englsh'; did you mean 'micro-english'"):
        audited(tmp_path, None, run=finished_run, name="micro-englsh")
    with pytest.raises(OntogenyError, match="is not a run's folder"):
        audited(tmp_path, None, run=tmp_path / "nowhere", name="micro-english")


def test_a_paradigm_of_identical_pairs_alone_is_told_and_left_out(tmp_path, text):
    found = audited(tmp_path, written(tmp_path, *ROWS, SAME), text)
    assert found.table["paradigm"].to_list() == ["agreement"]
    assert found.facts["left out, all pairs identical"] == "identical"


def test_identical_pairs_beside_others_are_counted(tmp_path, text):
    found = audited(tmp_path, written(tmp_path, *ROWS, ("agreement", "same", "the cat", "the cat")), text)
    assert found.table.select("pairs", "identical").row(0) == (2, 1)


def test_against_a_run_in_its_tokens_and_in_words(own_run, tmp_path):
    found = audited(tmp_path, None, run=own_run, name="micro-english")
    run = Run(own_run)
    assert found.table["paradigm"].to_list() == sorted(run.verdicts()["paradigm"])
    assert {"word_bigram", "token_bigram", "word_5gram", "token_5gram"} <= set(found.table.columns)
    assert (found.facts["text"], found.facts["words"]) == ("tiny", Run(own_run).text.train.facts["words"])
    # micro-English's tokens here are its words
    assert found.table["word_bigram"].to_list() == pytest.approx(found.table["token_bigram"].to_list(), abs=0.1)
    run.count(6)
    again = audited(tmp_path, None, run=own_run, name="micro-english")
    assert again.table.equals(found.table)


def test_a_run_around_checkpoints_of_somebody_else_has_no_text(finished_run, tmp_path):
    from ontogeny.commands import adoption

    run = adoption.adopt(finished_run / "seed-0" / "checkpoints", "micro-english", None, "theirs", [], tmp_path / "runs", QUIET)
    with pytest.raises(OntogenyError, match="ontogeny audit SUITE --corpus FOLDER"):
        audited(tmp_path, None, run=run.folder.path, name="micro-english")


def test_a_text_of_a_few_words_is_refused_by_name(tmp_path, suite):
    (tmp_path / "few.txt").write_text("no bigram twice here\n")
    with pytest.raises(OntogenyError, match="no bigram of this text occurs twice"):
        audited(tmp_path, suite, tmp_path / "few.txt")
