"""Rows of a batch: blocks as they always were, documents by hand, and what is a target by brute force."""

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.records import OntogenyError
from ontogeny.tokens import token_store
from ontogeny.tokens.rows import NOT_COUNTED, Blocks, Documents, rows_of, some_rows, targets

TEXTS = ("a b c", "b", "c a a b b", "a b")  # tokens with BOS: 4, 2, 6, 3
settle = settings(max_examples=40, deadline=None)
lengths = st.lists(st.integers(1, 9), min_size=1, max_size=12)
N = NOT_COUNTED


@pytest.fixture
def text(tmp_path):
    return written(tmp_path, *TEXTS)


def written(folder, *texts, bos=True):
    return token_store.write(folder, "train", tiny.documents(*texts), tiny.words("a b c", "a b", "a"), bos=bos, key="k")


def every(rows):
    return np.arange(len(rows))


def test_blocks_are_the_streams_own(text):
    blocks = rows_of(text, "block", 4)
    indices = np.array([2, 0])
    assert len(blocks) == text.blocks(4) == 3
    assert blocks.take(indices).tolist() == text.block(indices, 4).tolist()
    assert blocks.words(indices) == text.words_in(indices, 4)
    assert blocks.cut() == 0
    assert targets(blocks.take(indices)) == 8


def test_a_row_is_one_document_to_its_end_mark(text):
    """</s> is both BOS and end mark, id 2; a, b, c are 4, 5, 6 by frequency."""
    documents = rows_of(text, "document", 5)
    a, b, c = (int(text.ids[i]) for i in (1, 2, 3))
    assert documents.take(every(documents)).tolist() == [
        [2, a, b, c, 2, N],
        [2, b, 2, N, N, N],
        [2, c, a, a, b, b],  # cut: its end mark would be the seventh
        [2, a, b, 2, N, N],  # the stream ends here, and yet the document has its end mark
    ]
    assert [targets(documents.take(np.array([i]))) for i in range(4)] == [4, 2, 5, 3]
    assert documents.cut() == 1


def test_a_document_as_long_as_the_context_keeps_its_end_mark(text):
    documents = Documents(text, 6)
    assert documents.take(np.array([2]))[0, -1] == 2
    assert documents.cut() == 0


@pytest.mark.parametrize(("context", "last"), [(2, [2, 4, 5]), (3, [2, 4, 5, 2]), (4, [2, 4, 5, 2, N])])
def test_the_last_document_ends_as_any_other(tmp_path, context, last):
    text = written(tmp_path, "a a", "a b")
    assert Documents(text, context).take(np.array([1])).tolist() == [last]


def test_words_of_documents_are_whole_but_for_those_that_are_cut(text):
    documents = Documents(text, 4)
    assert [documents.words(np.array([i])) for i in range(4)] == pytest.approx([3, 1, 5 * 5 / 6, 2])  # 5 of 6 tokens are read
    assert documents.words(every(documents)) == pytest.approx(6 + 25 / 6)
    assert Documents(text, 6).words(np.array([2, 2, 0])) == pytest.approx(13)


def test_documents_need_an_end_mark(tmp_path):
    with pytest.raises(OntogenyError, match=r"needs an end mark, which is the next BOS; set bos: true"):
        rows_of(written(tmp_path, *TEXTS, bos=False), "document", 4)


@settle
@given(lengths, st.integers(1, 8), st.sampled_from(["block", "document"]), st.data())
def test_what_is_a_target_is_what_the_rows_say(tmp_path_factory, lengths, context, unit, data):
    """By brute force: a stream whose tokens are all different says where each target of a row stands in it."""
    text = written(tmp_path_factory.mktemp("t"), *(" ".join("a" * n) for n in lengths))
    rows = rows_of(text, unit, context)
    if not len(rows):
        return
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    text.ids = np.arange(len(text))
    text.facts = text.facts | {"bos": len(text)}  # the mark that closes the last document stands nowhere in the stream
    taken = rows.take(np.flatnonzero(chosen))[:, 1:] if chosen.any() else np.empty((0, context), dtype=int)
    expected = sorted(int(token) for token in taken.flatten() if token not in (NOT_COUNTED, len(text)))
    assert np.flatnonzero(rows.predicted(chosen)).tolist() == expected
    assert len(rows.predicted(chosen)) == len(text)


@settle
@given(lengths, st.integers(1, 12))
def test_every_document_is_a_row_and_every_word_is_counted_once(tmp_path_factory, lengths, context):
    text = written(tmp_path_factory.mktemp("t"), *(" ".join("a" * n) for n in lengths))
    rows = Documents(text, context)
    taken = rows.take(every(rows))
    assert taken.shape == (len(lengths), context + 1)
    assert [targets(row[None]) for row in taken] == [min(n + 1, context) for n in lengths]
    assert rows.cut() == sum(n + 1 > context for n in lengths)
    read = [n if n + 1 <= context + 1 else n * (context + 1) / (n + 1) for n in lengths]
    assert rows.words(every(rows)) == pytest.approx(sum(read))
    assert sum(rows.words(np.array([i])) for i in every(rows)) == pytest.approx(sum(read))
    for row, n in zip(taken, lengths, strict=True):
        assert row[: n + 1].tolist() == [2, *[4] * n][: context + 1]
        assert set(row[n + 2 :].tolist()) <= {NOT_COUNTED}


def test_blocks_and_documents_have_the_same_targets_where_nothing_is_cut(text):
    """All tokens but the first; the documents predict one more, the end of the last, which is no token of the stream."""
    blocks, documents = Blocks(text, 14), Documents(text, 6)
    assert len(blocks) == 1
    assert blocks.predicted(np.array([True])).tolist() == documents.predicted(np.full(4, True)).tolist() == [False] + [True] * 14
    assert targets(documents.take(every(documents))) == 15


def test_a_text_shorter_than_a_block_has_no_row_to_train_on(text):
    assert len(some_rows(text, "block", 14)) == 1 and len(some_rows(text, "document", 15)) == 4
    with pytest.raises(OntogenyError, match=r"train.bin has 15 tokens, and a block of 15 takes 16"):
        some_rows(text, "block", 15)
