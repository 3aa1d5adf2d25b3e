"""Counts at a moment of training: of what has been predicted, by hand and at both ends."""

import numpy as np
from by_definition import counts, streams
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.ngrams import growth
from ontogeny.ngrams import index as indices
from ontogeny.ngrams.growth import counts_among

settle = settings(max_examples=40, deadline=None)
small = streams(vocabularies=(1, 3, 8))


def masks(size):
    return st.lists(st.booleans(), min_size=size, max_size=size).map(np.array)


def by_ngram(index, found):
    """Counts above zero of each level, by n-gram."""
    ngrams, tables = [()], []
    for level, many in zip(index.levels, found, strict=True):
        keys = [divmod(int(key), index.vocabulary) for key in level.key]
        ngrams = [(*ngrams[parent], token) for parent, token in keys]
        tables.append({ngram: count for ngram, count in zip(ngrams, many.tolist(), strict=True) if count})
    return tables


@settle
@given(small, st.data())
def test_an_ngram_counts_where_its_last_token_was_predicted(tmp_path_factory, stream, data):
    ids, _, bos = stream
    seen = data.draw(masks(len(ids)))
    index = indices.build(tmp_path_factory.mktemp("g") / "index", *stream)
    found = counts_among(index, seen)
    assert by_ngram(index, found) == [counts(ids.tolist(), n, bos, seen.tolist()) for n in range(1, 6)]
    assert [many.dtype for many in found] == [np.uint32] * 5


@settle
@given(small)
def test_after_an_epoch_only_the_end_of_the_last_document_is_missing(tmp_path_factory, stream):
    ids, _, bos = stream
    index = indices.build(tmp_path_factory.mktemp("g") / "index", *stream)
    for n, (level, many) in enumerate(zip(index.levels, counts_among(index, np.ones(len(ids), dtype=bool)), strict=True), start=1):
        missing = level.count - many
        closing = [*ids.tolist(), bos][len(ids) + 1 - n :]  # the n-gram that ends with the virtual BOS, if it crosses no other
        crosses = bos is None or n == 1 or len(closing) < n or bos in closing[1:-1]
        assert missing.sum() == (0 if crosses else 1)
        if not crosses:
            assert missing[index.place(closing)] == 1


@settle
@given(small, st.data())
def test_counts_only_grow(tmp_path_factory, stream, data):
    earlier, more = data.draw(masks(len(stream[0]))), data.draw(masks(len(stream[0])))
    index = indices.build(tmp_path_factory.mktemp("g") / "index", *stream)
    for before, after in zip(counts_among(index, earlier), counts_among(index, earlier | more), strict=True):
        assert (before <= after).all()


def test_by_hand_whatever_is_looked_up_at_a_time(tmp_path, monkeypatch):
    ids = np.array([0, 1, 2, 0, 1, 2, 1])
    index = indices.build(tmp_path / "index", ids, 3, 0, order=2)
    seen = np.array([False, True, True, False, True, False, False])
    for chunk in (1, 3, 100):
        monkeypatch.setattr(growth, "CHUNK", chunk)
        assert by_ngram(index, counts_among(index, seen)) == [{(1,): 2, (2,): 1}, {(0, 1): 2, (1, 2): 1}]
