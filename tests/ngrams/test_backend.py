"""The index of this package as a store of counts: equal to counting by hand, and every place is where the n-gram stands."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.ngrams import index
from ontogeny.ngrams.backend import Embedded, Place
from ontogeny.records import OntogenyError
from ontogeny.tokens import token_store
from ontogeny.tokens.token_store import ROW, TokenStore

TEXTS = ("a b c", "b", "c a a zebra", "a b a b", "b c")
BOS = 2


class ByHand:
    """Counts of documents, each closed by BOS on both sides: the reference for every store of counts."""

    def __init__(self, documents, vocabulary, bos=BOS):
        self.vocabulary, self.bos = vocabulary, bos
        self.documents = [[bos, *document, bos] for document in documents]

    def count(self, ngram):
        n, ends = len(ngram), 1 if len(ngram) == 1 else 0  # the closing BOS begins no n-gram
        windows = (tuple(d[i : i + n]) for d in self.documents for i in range(len(d) - ends - n + 1))
        return Counter(windows)[tuple(ngram)]

    def followers(self, history):
        found = {token: self.count((*history, token)) for token in range(self.vocabulary)}
        return {token: count for token, count in found.items() if count}


def write_stream(folder, documents, vocabulary):
    """A token stream of these ids as a store; document i is line i + 1 of even.txt or odd.txt, in turn."""
    ids = np.array([token for document in documents for token in (BOS, *document)], dtype="<u2")
    lengths = [len(document) + 1 for document in documents]
    rows = [(sum(lengths[:i]), 0, i % 2, i + 1) for i in range(len(documents))]
    folder.mkdir(parents=True, exist_ok=True)
    ids.tofile(folder / "train.bin")
    np.array(rows, dtype=ROW).tofile(folder / "train.idx")
    facts = {"key": "k", "dtype": "<u2", "tokens": len(ids), "documents": len(documents), "words": 0}
    facts |= {"bos": BOS, "vocabulary": vocabulary, "sources": ["even.txt", "odd.txt"]}
    token_store.disk.write_json(folder / "train.json", facts)
    return TokenStore(folder, "train")


def embedded(folder, documents, vocabulary):
    stream = write_stream(folder, documents, vocabulary)
    return Embedded(index.build(folder / "index", stream.ids, vocabulary, BOS), stream)


def assert_found_again(counts, ngram, documents):
    """The n-gram's places are all of its places, and what is shown of each is what stands there."""
    n, closed = len(ngram), [(BOS, *document, BOS) for document in documents]
    begins = [(d, i) for d, text in enumerate(closed) for i in range(len(text) - 1) if text[i : i + n] == ngram]
    places = counts.places(ngram, 10**6, around=2)
    assert [(place.document, place.position) for place in places] == begins
    for place in places:
        low = max(0, place.position - 2)
        assert place.tokens == closed[place.document][low : place.position + n + 2]
        assert place.start == place.position - low
        assert (place.source, place.line) == (("even.txt", "odd.txt")[place.document % 2], place.document + 1)


settle = settings(max_examples=25, deadline=None)
texts = st.lists(st.lists(st.sampled_from([0, 1, 3]), max_size=5), min_size=1, max_size=5)


@settle
@given(texts)
def test_counts_and_followers_are_those_made_by_hand(tmp_path_factory, documents):
    counts, reference = embedded(tmp_path_factory.mktemp("counts"), documents, 4), ByHand(documents, 4)
    for n in (1, 2, 3):
        for ngram in product(range(4), repeat=n):
            assert counts.count(ngram) == reference.count(ngram)
            assert counts.followers(ngram[:-1]) == reference.followers(ngram[:-1])


@settle
@given(texts)
def test_every_place_is_where_the_ngram_stands(tmp_path_factory, documents):
    counts = embedded(tmp_path_factory.mktemp("places"), documents, 4)
    for ngram in [*product(range(4), repeat=1), *product(range(4), repeat=2), (BOS, 1, 3), (0, 0, BOS)]:
        assert_found_again(counts, ngram, documents)


def test_places_say_file_and_line(tmp_path):
    documents = [[0, 1, 3], [1], [3, 0, 0], [0, 1, 0, 1]]
    counts = embedded(tmp_path, documents, 4)
    [place] = counts.places((3, 0), around=1)
    assert place == Place((BOS, 3, 0, 0), 1, 2, 1, "even.txt", 3)


def test_of_many_places_some_are_drawn_the_same_for_the_same_seed(tmp_path):
    documents = [[0, 1]] * 50
    counts = embedded(tmp_path, documents, 4)
    drawn = [place.document for place in counts.places((0, 1), 5, seed=1)]
    assert len(set(drawn)) == 5 and drawn == sorted(drawn)
    assert drawn == [place.document for place in counts.places((0, 1), 5, seed=1)]
    assert drawn != [place.document for place in counts.places((0, 1), 5, seed=2)]


def test_text_of_a_corpus_is_found(tmp_path):
    tokenizer = tiny.words(*TEXTS)
    stream = token_store.write(tmp_path, "train", tiny.documents(*TEXTS), tokenizer, bos=True, key="k")
    counts = Embedded(index.build(tmp_path / "index", stream.ids, len(tokenizer), stream.facts["bos"]), stream)
    a, b = tokenizer.convert_tokens_to_ids(["a", "b"])
    assert counts.count((a, b)) == 3
    assert [place.line for place in counts.places((a, b))] == [1, 4, 4]
    assert tokenizer.decode(counts.places((a, b))[0].tokens, skip_special_tokens=True) == "a b c"


def test_another_stream_is_refused(tmp_path):
    counts = embedded(tmp_path / "one", [[0, 1]], 4)
    with pytest.raises(OntogenyError, match=r"counts 3 tokens with BOS 2.*holds 4"):
        Embedded(counts.index, write_stream(tmp_path / "other", [[0, 1, 1]], 4))


@pytest.mark.parametrize("ngram", [(), (4,), (-1, 0), (0,) * 6])
def test_what_was_not_counted_is_refused(tmp_path, ngram):
    counts = embedded(tmp_path, [[0, 1]], 4)
    with pytest.raises(OntogenyError):
        counts.count(ngram)
    with pytest.raises(OntogenyError):
        counts.places(ngram)
