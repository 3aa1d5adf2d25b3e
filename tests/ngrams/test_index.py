"""The index against a dictionary of tuples: every n-gram, its count, its places and what follows it."""

import filecmp

import numpy as np
import pytest
from by_definition import counts, occurrences, streams
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.ngrams import index as room
from ontogeny.ngrams import sorting
from ontogeny.records import OntogenyError

settle = settings(max_examples=60, deadline=None)
BOS = 2
IDS = np.array([2, 0, 1, 2, 1, 2, 2, 0, 1, 1, 0], dtype=np.uint16)  # four documents, the third of them empty


def built(folder, ids=IDS, vocabulary=4, bos=BOS, **options):
    return room.build(folder / "index", np.asarray(ids), vocabulary, bos, **options)


@pytest.fixture
def index(tmp_path):
    return built(tmp_path)


def unrolled(index, n, below):
    """The n-grams of a level, given those of the level below."""
    keys = [divmod(int(key), index.vocabulary) for key in index.levels[n - 1].key]
    return [(*below[parent], token) for parent, token in keys]


def check(index, ids, vocabulary, bos, order=5):
    ngrams = [()]
    for n in range(1, order + 1):
        expected, level = occurrences(ids.tolist(), n, bos), index.levels[n - 1]
        below, ngrams = ngrams, unrolled(index, n, ngrams)
        assert ngrams == sorted(expected)
        assert level.count.tolist() == [len(expected[ngram]) for ngram in ngrams]
        for row, ngram in enumerate(ngrams):
            assert index.place(ngram) == row
            assert index.occurrences(ngram).tolist() == expected[ngram]
            assert n == 1 or below[level.suffix[row]] == ngram[1:]


@settle
@given(streams())
def test_every_ngram_is_counted_and_found_again(tmp_path_factory, stream):
    ids, vocabulary, bos = stream
    check(built(tmp_path_factory.mktemp("i"), ids, vocabulary, bos), *stream)


@settle
@given(streams(vocabularies=(3, 70_000)), st.integers(1, 2000), st.integers(1, 3))
def test_memory_and_workers_change_no_byte(tmp_path_factory, stream, memory, workers):
    folders = [tmp_path_factory.mktemp("i") for _ in range(2)]
    built(folders[0], *stream)
    built(folders[1], *stream, memory=memory, workers=workers)
    names = sorted(path.name for path in (folders[0] / "index").iterdir())
    same, other, missing = filecmp.cmpfiles(folders[0] / "index", folders[1] / "index", names, shallow=False)
    assert (same, other, missing) == (names, [], [])
    assert "rows.tmp" not in names


def test_equal_windows_stand_in_the_order_of_the_text_however_many(tmp_path):
    ids = np.random.default_rng(0).integers(0, 3, 5000)
    index = built(tmp_path, ids, 3, None, order=2)
    for ngram, places in occurrences(ids.tolist(), 2, None).items():
        assert index.positions[index.find(ngram)].tolist() == places


@settle
@given(streams())
def test_followers_are_the_children_and_add_up_to_the_history(tmp_path_factory, stream):
    ids, vocabulary, bos = stream
    index = built(tmp_path_factory.mktemp("i"), *stream)
    last = tuple(ids.tolist())
    for n in range(5):
        below = counts(ids.tolist(), n + 1, bos)
        for history in counts(ids.tolist(), n, bos) if n else [()]:
            tokens, many = index.followers(history)
            expected = sorted((ngram[-1], count) for ngram, count in below.items() if ngram[:-1] == history)
            assert list(zip(tokens.tolist(), many.tolist(), strict=True)) == expected
            ends_document = n > 1 and bos is not None and history[-1] == bos
            ends_stream = bos is None and n > 0 and last[-n:] == history  # what follows there is not known
            total = index.count(history) if history else len(ids)
            assert many.sum() == (0 if ends_document else total - ends_stream)
    assert index.followers([vocabulary - 1] * 4)[0].dtype == np.int64


@settle
@given(streams(vocabularies=(2, 8, 70_000)), st.data())
def test_a_walk_finds_what_place_finds(tmp_path_factory, stream, data):
    ids, vocabulary, _ = stream
    index = built(tmp_path_factory.mktemp("i"), *stream, order=3)
    token = st.sampled_from([0, vocabulary - 1, *ids.tolist()])
    sentences = data.draw(st.lists(st.lists(token, max_size=6), min_size=1, max_size=4))
    walk = index.walk(sentences)
    at = 0
    for sentence in sentences:
        for end in range(1, len(sentence) + 1):
            for n in range(1, 4):
                ngram = sentence[end - n : end] if end >= n else None
                row = index.place(ngram) if ngram else None
                history = (index.place(ngram[:-1]) if n > 1 else 0) if ngram else None
                assert walk.rows[n - 1][at] == (-1 if row is None else row)
                assert walk.histories[n - 1][at] == (-1 if history is None else history)
            at += 1
    assert at == len(walk.rows[0])


def test_by_hand(index):
    assert [index.count([token]) for token in range(4)] == [3, 4, 4, 0]
    assert index.count([2, 0, 1]) == 2
    assert index.count([0, 2]) == 1  # the end of the stream ends its last document
    assert index.count([2, 2]) == 1  # the empty document
    assert index.count([1, 2, 1]) == 0  # crosses into the next one
    assert index.occurrences([0, 1]).tolist() == [1, 7]
    assert index.occurrences([3]).tolist() == []
    assert index.find([3, 3]) == slice(0, 0)
    assert [part.tolist() for part in index.followers([2])] == [[0, 1, 2], [2, 1, 1]]
    assert index.size > 0


def test_some_places_are_drawn_by_the_seed(tmp_path):
    index = built(tmp_path, [0, 1] * 50, 2, None)
    drawn = [index.occurrences([0, 1], 10, seed).tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 10
    assert drawn[0] == sorted(drawn[0])
    assert set(drawn[0]) <= set(range(0, 100, 2))


@pytest.mark.parametrize(
    ("ngram", "message"), [([], "this one has 0"), ([1] * 6, "1 to 5 tokens were counted here, this one has 6")]
)
def test_an_ngram_longer_than_counted_is_refused(index, ngram, message):
    for ask in (index.place, index.count, index.find, index.occurrences):
        with pytest.raises(OntogenyError, match=message):
            ask(ngram)
    with pytest.raises(OntogenyError, match="this one has 6"):
        index.followers([1] * 5)


@pytest.mark.parametrize("token", [4, -1])
def test_a_token_outside_the_vocabulary_is_refused(index, token):
    for ask in (index.count, index.followers, lambda ngram: index.walk([ngram])):
        with pytest.raises(OntogenyError, match=f"token {token} is none of this index's 4"):
            ask([0, token])


@pytest.mark.parametrize(
    ("ids", "bos", "message"),
    [([], None, "no token"), ([0, 4], None, "holds token 4, the vocabulary has 4"), ([0, 1], 2, "token 2, which never occurs")],
)
def test_a_stream_that_cannot_be_counted_is_refused_and_leaves_nothing(tmp_path, ids, bos, message):
    with pytest.raises(OntogenyError, match=message):
        built(tmp_path, np.array(ids, dtype=np.uint16), 4, bos)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_cut_is_refused(index):
    for name in ("positions.bin", "1.key", "2.first", "3.count", "4.suffix"):
        file = index.folder / name
        whole = file.read_bytes()
        file.write_bytes(whole[:-1])
        with pytest.raises(OntogenyError, match=f"{name} has {len(whole) - 1} bytes, its description says {len(whole)}"):
            room.Index(index.folder, IDS)
        file.write_bytes(whole)


def test_an_index_is_made_once_for_its_key_and_at_least_its_order(tmp_path):
    made = []

    def opened(key, order, ids=IDS):
        return room.open_or_build(tmp_path / "index", ids, 4, BOS, key, order=order, progress=made.append).order

    assert (opened("one", 3), sum(made)) == (3, 11)
    assert (opened("one", 3), opened("one", 2), sum(made)) == (3, 3, 11)
    assert (opened("one", 4), sum(made)) == (4, 22)
    assert (opened("two", 2, IDS[:4]), sum(made)) == (2, 26)


@pytest.mark.parametrize("vocabulary", [1, 2**17, 2**31])
def test_rows_are_packed_in_the_order_of_their_tokens(vocabulary):
    columns = list(np.random.default_rng(0).choice([0, vocabulary // 2, vocabulary - 1], (6, 400)))
    keys = sorting.lexicographic(columns, sorting.bits_for(vocabulary, bos=0))
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    assert [rows[i] for i in np.argsort(keys, kind="stable")] == sorted(rows)
    assert len(np.unique(keys)) == len(set(rows))


def test_a_stream_too_long_for_four_bytes_is_counted_in_eight(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "NARROW", 0)
    index = built(tmp_path)
    assert index.positions.dtype == index.levels[2].suffix.dtype == np.uint64
    check(index, IDS, 4, BOS)


def test_suffixes_are_the_same_however_many_are_written_at_a_time(index):
    before = [level.suffix.tolist() for level in index.levels]
    for chunk in (1, 3, 7):
        room._write_suffixes(index.folder, index.facts["distinct"], index.vocabulary, np.dtype("<u4"), chunk)
        assert [level.suffix.tolist() for level in room.Index(index.folder, IDS).levels] == before


def test_buckets_begin_at_quantiles_of_pairs_and_no_pair_is_in_two():
    numbers = np.array([5, 1, 3, 3, 3, 3, 9, 1])
    for most, bounds in ((8, []), (4, [3]), (3, [3]), (2, [3, 5]), (1, [1, 3, 5, 9])):
        assert sorting.bounds(8, numbers.__getitem__, most).tolist() == bounds
    sampled = sorting.bounds(10**6, lambda at: at % 100, 10**5, sample=10**4)
    assert np.abs(sampled - np.arange(10, 100, 10)).max() <= 2


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_token_that_is_most_of_the_stream_is_sorted_in_parts(tmp_path, monkeypatch, order):
    monkeypatch.setattr(room, "CHUNK", 7)
    ids = np.where(np.arange(300) % 2, 1, np.random.default_rng(0).integers(0, 50, 300)).astype(np.uint16)
    sizes = []
    parts = built(tmp_path / "parts", ids, 50, None, order=order, memory=room.BYTES * 20, workers=1, progress=sizes.append)
    assert (max(sizes) > 150) == (order == 1)
    whole = built(tmp_path / "whole", ids, 50, None, order=order)
    assert all(filecmp.cmp(file, parts.folder / file.name, shallow=False) for file in whole.folder.iterdir())
    check(parts, ids, 50, None, order)
