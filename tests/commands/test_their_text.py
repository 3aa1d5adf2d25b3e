"""Somebody else's checkpoints with the text that they were trained on: evidence, why, audit and instruments, as of our own."""

import shutil

import polars as pl
import pytest
import tiny

from ontogeny import disk
from ontogeny.commands import adoption, auditing
from ontogeny.commands.overview import describe
from ontogeny.corpora.micro_english import MicroEnglish
from ontogeny.laboratory import Run
from ontogeny.ngrams.infinigram import write_index
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder
from ontogeny.tokens.prepare import open_or_make

SUITE = "micro-english"
FEW = ("suites.0.pairs_per_paradigm=10", "verdicts.resamples=20", "verdicts.swaps=20", "scoring.device=cpu")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """What tiny's runs train on and its held-out text, as files of lines."""
    place = tmp_path_factory.mktemp("text")
    for name, corpus in (("train", MicroEnglish(words=2000)), ("dev", MicroEnglish(words=300, seed=9))):
        (place / f"{name}.txt").write_text("".join(f"{document.text}\n" for document in corpus.documents()))
    return place


def opened(finished_run, root, name, *settings, **text):
    """A run around the checkpoints of one of tiny's seeds."""
    checkpoints = RunFolder(finished_run).seed(1) / "checkpoints"
    named = {key: str(value) for key, value in text.items()}
    return adoption.adopt(checkpoints, SUITE, None, name, (*FEW, *settings), root, tiny.Heard(), **named)


@pytest.fixture(scope="module")
def theirs(finished_run, text, tmp_path_factory):
    """Scored, judged and examined."""
    run = opened(finished_run, tmp_path_factory.mktemp("runs"), "theirs", corpus=text / "train.txt", dev=text / "dev.txt")
    run.score()
    run.judge()
    run.examine()
    run.write_report()
    return run


@pytest.fixture(scope="module")
def ours(finished_run, tmp_path_factory):
    run = Run(shutil.copytree(finished_run, tmp_path_factory.mktemp("ours") / "tiny"))
    run.examine()
    return run


def test_their_evidence_is_that_of_a_training_of_ours_on_the_same_text(theirs, ours):
    for table in ("margins", "ladder"):
        wanted = ours.evidence(table)
        wanted = wanted.filter(seed=1).with_columns(seed=pl.lit(0, pl.Int64)) if "seed" in wanted.columns else wanted
        assert theirs.evidence(table).equals(wanted)
    for name in ("loss", "distance", "reliance"):
        wanted = ours.reading(name).filter(pl.col("seed") == 1).drop("seed").collect()
        found = theirs.reading(name).drop("seed").collect()
        assert found.columns == wanted.columns
        assert len(found) == len(wanted) > 0
    assert theirs.reading("loss").collect()["dev"].to_list() == pytest.approx(
        ours.reading("loss").filter(pl.col("seed") == 1).collect()["dev"].to_list(), rel=0.05
    )  # rows of another length


def test_what_is_not_known_is_said_and_left_out(theirs):
    assert not theirs.folder.evidence("ngram_curves").exists()
    left = "the table ngram_curves is left out: what somebody else's training had read of its text at a checkpoint is not known"
    assert any(left in line for line in theirs.display.warnings)
    assert "the order in which they read it is not known" in describe(theirs.folder)
    assert "in their training too" not in describe(theirs.folder)  # dev was given
    page = theirs.report.read_text()
    assert "n-gram" in page and "the order in which they read it is not known" in page


def test_without_held_out_text_the_part_that_is_set_aside_is_counted_too_and_that_is_said(finished_run, text, tmp_path):
    run = opened(finished_run, tmp_path, "theirs", "held_out=0.2", corpus=text / "train.txt")
    lines = sum(1 for _ in (text / "train.txt").open())
    assert run.text.train.facts["documents"] == lines
    assert 0 < run.text.dev.facts["documents"] < lines
    assert "its held-out part was in their training too" in describe(run.folder)


def test_why_and_audit_work_as_for_a_run_of_ours(theirs, ours, tmp_path):
    paradigm = theirs.verdicts()["paradigm"][0]
    found, wanted = (run.why(paradigm, level="token") for run in (theirs, ours))
    assert found.deciding.equals(wanted.deciding)
    audited = [
        auditing.audit_suite(SUITE, None, None, run.folder.path, tmp_path / run.folder.name, [], run.display)
        for run in (theirs, ours)
    ]
    assert audited[0].table.equals(audited[1].table)


def test_an_index_is_as_good_as_the_text_that_was_indexed(finished_run, ours, tmp_path):
    pytest.importorskip("infini_gram")
    write_index(ours.text.train, tmp_path / "index")
    run = opened(finished_run, tmp_path / "runs", "indexed", infinigram=tmp_path / "index")
    assert run.text.train.ids.tolist() == ours.text.train.ids.tolist()
    run.score()
    run.judge()
    run.examine()
    assert run.evidence("margins").equals(ours.evidence("margins"))
    assert "all of it is read" in describe(run.folder)


def test_the_text_may_come_later_and_stays(finished_run, text, tmp_path):
    run = opened(finished_run, tmp_path, "theirs")
    with pytest.raises(OntogenyError, match=r"is not known.*--corpus FOLDER"):
        run.examine()
    assert opened(finished_run, tmp_path, "theirs", corpus=text / "train.txt").recipe.corpus is not None
    assert opened(finished_run, tmp_path, "theirs").recipe.corpus is not None


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"corpus": "nowhere/text"}, "--corpus: nowhere/text does not exist"),
        ({"dev": "nowhere"}, "say what they were trained on too"),
        ({"corpus": "micro-english", "infinigram": "index"}, "--corpus and --infinigram both name the text"),
        ({"infinigram": "nowhere"}, "nowhere does not exist"),
    ],
)
def test_a_text_that_cannot_be_had_is_said_before_anything_is_made(finished_run, tmp_path, named, said):
    with pytest.raises(OntogenyError, match=said):
        opened(finished_run, tmp_path / "runs", "theirs", **named)
    assert not (tmp_path / "runs").exists()


def test_a_checkpoint_of_another_tokenizer_is_an_error_that_names_it(finished_run, text, tmp_path):
    run = opened(finished_run, tmp_path, "theirs", corpus=text / "train.txt")
    disk.remove(run.folder.tokenizer)
    open_or_make(run.folder.tokenizer, "other", lambda: tiny.words("a b c d"))
    with pytest.raises(OntogenyError, match=r"step-0+ has a tokenizer of .* tokens, the text was cut by another"):
        Run(run.folder.path).read(["loss"])
