"""Keyword in context: every row stands in the text, in the file and line that it names."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.evidence.concordance import LINES, START, Concordance
from ontogeny.ngrams import build
from ontogeny.records import Document
from ontogeny.tokens import token_store
from ontogeny.tokens.trained import BPE, WordTokenizer

BOS = 2
TEXT = [
    Document("the dog sees the cat .", "one.txt", 1),
    Document("dogs see the cat", "one.txt", 3),
    Document("the cat runs", "two.txt", 1),
    Document("the dog runs", "two.txt", 2),
    Document("the dog sees dogs", "two.txt", 9),
]


def made(folder, tokenizer, documents=TEXT, width=12, bos=True):
    text = token_store.write(folder, "train", documents, tokenizer, bos=bos, key="text")
    index = build(folder / "index", text.ids, len(tokenizer), BOS if bos else None, order=3)
    return Concordance(index, text, tokenizer, width)


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return made(tmp_path_factory.mktemp("words"), WordTokenizer().make(TEXT))


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    return made(tmp_path_factory.mktemp("narrow"), WordTokenizer().make(TEXT), width=2)


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    return made(tmp_path_factory.mktemp("pieces"), BPE(vocab_size=266).make(TEXT))


def ids(concordance, text):
    return [
        BOS if part == START else token
        for part in text.split(" ")
        for token in ([BOS] if part == START else concordance.tokenizer(part, add_special_tokens=False)["input_ids"])
    ]


def found(concordance, text, lines=100):
    return concordance.behind(ids(concordance, text), lines)


def places(frame):
    return frame.select("left", "key", "right", "source", "line").rows()


def test_every_occurrence_with_its_file_and_line(words):
    rows = found(words, "the dog").filter("exact")
    assert dict(rows.schema) == LINES
    assert places(rows) == [
        ("", "the dog", "sees the cat .", "one.txt", 1),
        ("", "the dog", "runs", "two.txt", 2),
        ("", "the dog", "sees dogs", "two.txt", 9),
    ]
    assert rows.select("what", "total").unique().rows() == [("the dog", 3)]


def test_an_ngram_that_never_occurs_shows_its_parts(words):
    rows = found(words, "dogs runs")
    assert rows.select("what", "exact", "total").unique(maintain_order=True).rows() == [("dogs", False, 2), ("runs", False, 2)]
    assert places(rows.filter(what="runs")) == [("the cat", "runs", "", "two.txt", 1), ("the dog", "runs", "", "two.txt", 2)]


def test_a_word_that_never_occurs_has_no_line(words):
    assert found(words, "zebra").is_empty()
    assert dict(found(words, "zebra").schema) == LINES
    assert found(words, "the zebra")["what"].unique().to_list() == ["the"]


def test_a_single_word_is_not_shown_a_second_time_as_a_part_of_itself(words):
    rows = found(words, "dogs")
    assert rows.select("what", "exact").rows() == [("dogs", True)] * 2
    assert len(set(places(rows))) == 2


@pytest.mark.parametrize("lines", [0, 1, 2, 3, 4, 7])
def test_no_more_lines_than_wanted_and_the_same_ones_each_time(words, lines):
    rows = words.behind(ids(words, "the dog sees"), lines) if lines else None
    if rows is not None:
        assert len(rows) == lines
        assert rows["exact"].sum() == min(lines, 2)
        assert rows.equals(words.behind(ids(words, "the dog sees"), lines))


def test_the_start_of_a_document_is_named_and_no_text(words):
    rows = found(words, f"{START} the")
    assert rows["what"].to_list()[:4] == [f"{START} the"] * 4
    assert places(rows.filter("exact"))[0] == ("", "the", "dog sees the cat .", "one.txt", 1)
    before = rows.filter(~pl.col("exact"), what=START)
    assert (before["total"][0], set(before["left"]), set(before["key"])) == (5, {""}, {""})


def test_context_is_cut_at_its_width_and_at_the_document(narrow):
    assert places(found(narrow, "the cat").filter("exact")) == [
        ("dog sees", "the cat", ".", "one.txt", 1),
        ("dogs see", "the cat", "", "one.txt", 3),
        ("", "the cat", "runs", "two.txt", 1),
    ]


def test_words_are_parted_by_spaces(words):
    assert words.shown(ids(words, f"{START} the dog .")) == f"{START} the dog ."
    assert words.shown([]) == ""


def test_pieces_of_one_word_are_joined(pieces):
    assert pieces.tokenizer.tokenize("the dogs sees") == ["the", "Ġdog", "s", "Ġ", "s", "e", "e", "s"]
    tokens = pieces.tokenizer("the dogs sees", add_special_tokens=False)["input_ids"]
    assert pieces.shown([BOS, *tokens]) == f"{START} the dog·s ␣·s·e·e·s"
    assert pieces.shown(tokens[1:3]) == "dog·s"


def test_a_piece_that_is_a_space_alone_is_visible(pieces):
    space = pieces.tokenizer.convert_tokens_to_ids("Ġ")
    assert pieces.shown([space]) == "␣"


def squeezed(row):
    return "".join(f"{row['left']}{row['key']}{row['right']}".split())


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_each_line_is_in_the_document_that_it_names(words, narrow, pieces, data):
    """Any n-gram of the text or made up; tokens without spaces between them are the document's own letters."""
    concordance = data.draw(st.sampled_from([words, narrow, pieces]))
    stream = concordance.text.ids
    start, length = data.draw(st.integers(0, len(stream) - 1)), data.draw(st.integers(1, 3))
    ngram = data.draw(st.one_of(st.just(stream[start : start + length].tolist()), st.permutations(stream.tolist()[:3])))
    texts = {(document.source, document.line): document.text for document in TEXT}
    rows = concordance.behind(ngram, data.draw(st.integers(1, 9)))
    for row in rows.iter_rows(named=True):
        document = "".join(texts[row["source"], row["line"]].split())
        assert squeezed(row) in document
        if concordance is not narrow and len(document) < 12:
            assert squeezed(row) == document
        if row["exact"] and BOS not in ngram:
            assert row["key"] == (
                " ".join(concordance.tokenizer.convert_ids_to_tokens(ngram))
                if concordance is not pieces
                else concordance.tokenizer.decode(ngram).strip()
            )


def test_a_stream_without_bos_keeps_to_the_document_that_an_ngram_begins_in(tmp_path):
    bare = made(tmp_path, WordTokenizer().make(TEXT), bos=False)
    first, second = ids(bare, ". dogs")
    rows = bare.behind([first, second], 1)
    assert places(rows) == [("the dog sees the cat", ".", "", "one.txt", 1)]
    assert np.array_equal(bare.index.occurrences([first, second]), [5])
