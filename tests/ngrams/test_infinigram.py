"""An infini-gram index answers what this package's own index answers, whether it was sorted by hand or by infini-gram."""

import json
from importlib.util import find_spec
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_backend import BOS, ByHand, assert_found_again, embedded, write_stream

from ontogeny import disk
from ontogeny.ngrams import infinigram
from ontogeny.ngrams.infinigram import InfiniGram, write_index
from ontogeny.records import OntogenyError

DOCUMENTS = [[0, 1, 3], [1], [3, 0, 0, 1], [0, 1, 0, 1], [], [5, 5, 5], [1, 0, 4, 0, 1], [0, 1]]
VOCABULARY = 6
needs_package = pytest.mark.skipif(
    find_spec("infini_gram") is None, reason="infini-gram is not installed: pip install 'ontogeny[infinigram]'"
)


class EngineByHand:
    """Finds n-grams by looking at every suffix in turn."""

    def __init__(self, folder, numbers, dtype):
        shards = [infinigram.Shard.open(folder, number) for number in numbers]
        self.sorted = [[s.ids[p:].tolist() for p in s.positions(np.arange(len(s.table)))] for s in shards]

    def find(self, ngram):
        segments = []
        for suffixes in self.sorted:
            ranks = [rank for rank, suffix in enumerate(suffixes) if suffix[: len(ngram)] == ngram]
            segments.append((ranks[0], ranks[-1] + 1) if ranks else (0, 0))
        return {"segment_by_shard": segments}


def write_shard(folder, number, documents, first=0, dtype="<u2", metadata=True):
    """One shard in infini-gram's format, its suffixes sorted by Python."""

    def write(name, content):
        (folder / f"{name}.{number}").write_bytes(content)

    dtype = np.dtype(dtype)
    separator = np.iinfo(dtype).max
    ids = np.array([token for document in documents for token in (separator, *document)], dtype=dtype)
    raw = ids.tobytes()
    write("tokenized", raw)
    begins = sorted(range(0, len(raw), dtype.itemsize), key=lambda at: raw[at:])
    pointer = int(np.ceil(np.log2(len(raw)) / 8))
    write("table", b"".join(at.to_bytes(pointer, "little") for at in begins))
    starts = np.cumsum([0, *(len(document) + 1 for document in documents)])[:-1] * dtype.itemsize
    write("offset", starts.astype("<u8").tobytes())
    if metadata:
        lines = [
            json.dumps({"path": ("even.txt", "odd.txt")[i % 2], "linenum": i}) + "\n" for i in range(first, first + len(documents))
        ]
        write("metadata", "".join(lines).encode())
        offsets = np.cumsum([0, *map(len, lines)])[:-1]
        write("metaoff", offsets.astype("<u8").tobytes())


@pytest.fixture
def by_hand(monkeypatch):
    """Indexes can be opened without the package."""
    monkeypatch.setattr(infinigram, "require_package", lambda: None)
    monkeypatch.setattr(infinigram, "open_engine", EngineByHand)


def assert_answers(counts, documents, longest=5):
    reference = ByHand(documents, VOCABULARY)
    seen = {
        tuple(closed[i : i + n])
        for closed in reference.documents
        for n in range(1, longest + 1)
        for i in range(len(closed) - n + 1)
    }
    for ngram in seen | set(product(range(VOCABULARY), repeat=2)) | set(product((1, BOS), repeat=3)):
        assert counts.count(ngram) == reference.count(ngram), ngram
        assert counts.followers(ngram[:-1]) == reference.followers(ngram[:-1]), ngram
    assert counts.followers(()) == reference.followers(())


@pytest.mark.parametrize("dtype", ["<u1", "<u2", "<u4"])
def test_one_shard_answers_what_is_counted_by_hand(tmp_path, by_hand, dtype):
    write_shard(tmp_path, 0, DOCUMENTS, dtype=dtype)
    counts = InfiniGram(tmp_path, VOCABULARY, BOS)
    assert_answers(counts, DOCUMENTS)
    for ngram in [(0, 1), (1, BOS), (BOS, 0), (BOS, BOS), (5, 5), (BOS,), (0, 1, BOS), (3, 3)]:
        assert_found_again(counts, ngram, DOCUMENTS)


def test_shards_answer_together(tmp_path, by_hand):
    for number in range(11):  # shard 10 comes after shard 9, not after shard 1
        write_shard(tmp_path, number, [DOCUMENTS[number % 8]], first=number)
    documents = [DOCUMENTS[number % 8] for number in range(11)]
    counts = InfiniGram(tmp_path, VOCABULARY, BOS)
    assert_answers(counts, documents)
    for ngram in [(0, 1), (1, BOS), (BOS, 0), (BOS, BOS)]:
        assert_found_again(counts, ngram, documents)


settle = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@settle
@given(documents=st.lists(st.lists(st.integers(0, 5).filter(lambda t: t != BOS), max_size=6), min_size=1, max_size=6))
def test_any_corpus_answers_what_is_counted_by_hand(tmp_path_factory, by_hand, documents):
    folder = tmp_path_factory.mktemp("index")
    write_shard(folder, 0, documents)
    assert_answers(InfiniGram(folder, VOCABULARY, BOS), documents, longest=3)


@settle
@given(st.lists(st.integers(-1, 3), min_size=1, max_size=60))
def test_followers_are_tallied_without_reading_them_all(runs):
    tokens = np.sort(np.array(runs))
    ids = np.append(tokens, 9).astype("<u2")  # the sorted order of this made-up shard is that of its positions

    class Sorted(infinigram.Shard):
        def _tokens(self, ranks, depth):
            return tokens[ranks]

    shard = Sorted(ids, np.zeros((len(ids), 1), np.uint8), np.zeros(1, np.uint64), None, np.zeros(0, np.uint64))
    assert shard.followers(0, len(tokens), 1) == {int(t): int((tokens == t).sum()) for t in set(tokens)}
    assert shard.followers(3, 3, 1) == {}


def test_of_many_places_some_are_drawn(tmp_path, by_hand):
    for number in range(3):
        write_shard(tmp_path, number, [[0, 1]] * 20, first=20 * number)
    counts = InfiniGram(tmp_path, VOCABULARY, BOS)
    drawn = [place.document for place in counts.places((1, BOS), 9, seed=1)]
    assert len(set(drawn)) == 9 and drawn == sorted(drawn)
    assert drawn == [place.document for place in counts.places((1, BOS), 9, seed=1)]
    assert drawn != [place.document for place in counts.places((1, BOS), 9, seed=2)]


def test_without_bos_documents_have_no_ends(tmp_path, by_hand):
    write_shard(tmp_path, 0, [[0, 1], [1, 0]], metadata=False)
    counts = InfiniGram(tmp_path, VOCABULARY)
    assert counts.count((1, 1)) == 0
    assert counts.followers((1,)) == {0: 1} and counts.followers(()) == {0: 2, 1: 2}
    [place] = counts.places((1, 0))
    assert (place.tokens, place.start, place.document, place.source, place.line) == ((1, 0), 0, 1, "", 0)


# --- what is refused ----------------------------------------------------------------------------------------------


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(infinigram, "find_spec", lambda name: None)
    with pytest.raises(OntogenyError, match=r"pip install 'ontogeny\[infinigram\]'"):
        InfiniGram(tmp_path, VOCABULARY, BOS)


def test_missing_files_are_named(tmp_path, by_hand):
    with pytest.raises(OntogenyError, match=r"it has no tokenized.0, table.0, offset.0"):
        InfiniGram(tmp_path, VOCABULARY, BOS)
    write_shard(tmp_path, 0, DOCUMENTS)
    write_shard(tmp_path, 1, DOCUMENTS)
    (tmp_path / "offset.1").unlink()
    (tmp_path / "metaoff.0").unlink()
    with pytest.raises(OntogenyError, match=r"it has no offset.1, metaoff.0"):
        InfiniGram(tmp_path, VOCABULARY, BOS)
    with pytest.raises(OntogenyError, match=r"an infini-gram index: .*nowhere does not exist"):
        InfiniGram(tmp_path / "nowhere", VOCABULARY, BOS)


def test_a_cut_table_is_noticed(tmp_path, by_hand):
    write_shard(tmp_path, 0, DOCUMENTS)
    table = (tmp_path / "table.0").read_bytes()
    (tmp_path / "table.0").write_bytes(table[:-1])
    with pytest.raises(OntogenyError, match="which does not go with the"):
        InfiniGram(tmp_path, VOCABULARY, BOS)


@pytest.mark.parametrize(("vocabulary", "message"), [(5, "holds token 5"), (2**16, "at most 65,535"), (None, "give it")])
def test_another_vocabulary_is_refused(tmp_path, by_hand, vocabulary, message):
    write_shard(tmp_path, 0, DOCUMENTS)
    with pytest.raises(OntogenyError, match=message):
        InfiniGram(tmp_path, vocabulary, BOS)


def test_a_described_index_knows_its_vocabulary_and_bos(tmp_path, by_hand):
    write_shard(tmp_path, 0, DOCUMENTS)
    disk.write_json(tmp_path / "ontogeny.json", {"key": "k", "vocabulary": VOCABULARY, "bos": BOS})
    counts = InfiniGram(tmp_path)
    assert (counts.vocabulary, counts.bos) == (VOCABULARY, BOS)
    with pytest.raises(OntogenyError, match="made with vocabulary 6, not 7"):
        InfiniGram(tmp_path, 7)
    with pytest.raises(OntogenyError, match="made with bos 2, not 0"):
        InfiniGram(tmp_path, VOCABULARY, 0)


@pytest.mark.parametrize("ngram", [(), (VOCABULARY,), (-1, 0)])
def test_what_is_no_ngram_is_refused(tmp_path, by_hand, ngram):
    write_shard(tmp_path, 0, DOCUMENTS)
    counts = InfiniGram(tmp_path, VOCABULARY, BOS)
    with pytest.raises(OntogenyError):
        counts.count(ngram)
    with pytest.raises(OntogenyError):
        counts.places(ngram)


def test_a_stream_without_bos_is_not_written(tmp_path, by_hand):
    stream = write_stream(tmp_path, DOCUMENTS, VOCABULARY)
    stream.facts["bos"] = None
    with pytest.raises(OntogenyError, match="no BOS between documents"):
        write_index(stream, tmp_path / "index")


@pytest.mark.parametrize("dtype", ["<u2", "<u4"])
def test_bos_is_written_as_the_separator(tmp_path, dtype):
    stream = write_stream(tmp_path, [[0, 1], [5]], VOCABULARY)
    infinigram._write_tokens(stream, tmp_path / "tokenized.0", np.dtype(dtype))
    separator = np.iinfo(dtype).max
    assert np.fromfile(tmp_path / "tokenized.0", dtype=dtype).tolist() == [separator, 0, 1, separator, 5]


def test_a_failing_indexer_is_reported_and_leaves_nothing(tmp_path, by_hand, monkeypatch):
    monkeypatch.setattr(infinigram.sys, "executable", "/bin/false")
    stream = write_stream(tmp_path, DOCUMENTS, VOCABULARY)
    with pytest.raises(OntogenyError, match="indexer failed"):
        write_index(stream, tmp_path / "index")
    assert not (tmp_path / "index").exists()


# --- with the package ---------------------------------------------------------------------------------------------


@needs_package
def test_a_written_index_answers_as_our_own(tmp_path):
    ours = embedded(tmp_path / "table of tokenized text", DOCUMENTS, VOCABULARY)
    theirs = write_index(ours.stream, tmp_path / "table of tokenized text" / "infini-gram")
    assert_answers(theirs, DOCUMENTS)
    for ngram in product(range(VOCABULARY), repeat=2):
        assert theirs.count(ngram) == ours.count(ngram)
        assert theirs.places(ngram, 100) == ours.places(ngram, 100)
    names = {path.name for path in theirs.folder.iterdir()}
    assert names == {"tokenized.0", "table.0", "offset.0", "metadata.0", "metaoff.0", "ontogeny.json"}


@needs_package
def test_the_engine_agrees_with_our_own_index_on_a_larger_text(tmp_path):
    rng = np.random.default_rng(0)
    documents = [np.minimum(rng.zipf(1.5, size), 40).tolist() for size in rng.integers(0, 30, 400)]
    documents = [[token + 2 for token in document] for document in documents]  # 2 is BOS; tokens are 3 to 42
    ours = embedded(tmp_path, documents, 43)
    theirs = write_index(ours.stream, tmp_path / "infini-gram", processes=2)
    for n in range(1, 6):
        level = {tuple(ours.stream.ids[i : i + n].tolist()) for i in range(0, len(ours.stream) - n, 7)}
        for ngram in level:
            assert theirs.count(ngram) == ours.count(ngram)
            assert theirs.followers(ngram[:-1]) == ours.followers(ngram[:-1])


@needs_package
def test_shards_keep_their_order_in_the_engine(tmp_path):
    for number in range(11):
        write_shard(tmp_path, number, [DOCUMENTS[number % 8]], first=number)
    documents = [DOCUMENTS[number % 8] for number in range(11)]
    counts = InfiniGram(tmp_path, VOCABULARY, BOS)
    assert_answers(counts, documents)
    assert_found_again(counts, (0, 1), documents)
