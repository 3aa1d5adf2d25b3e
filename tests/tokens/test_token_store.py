"""The training stream: BOS doc BOS doc, every token once, words counted exactly, made once for its content."""

import math
import struct

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny import disk
from ontogeny.records import Document, OntogenyError
from ontogeny.store import RunFolder
from ontogeny.tokens import token_store
from ontogeny.tokens.prepare import prepare, splits
from ontogeny.tokens.token_store import TokenStore

TEXTS = ("a b c", "b", "c a a zebra", "b b b b b")
settle = settings(max_examples=30, deadline=None)


@pytest.fixture(scope="module")
def tokenizer():
    return tiny.words("a b c", "a b", "a")


@pytest.fixture
def written(tmp_path, tokenizer):
    return token_store.write(tmp_path, "train", tiny.documents(*TEXTS), tokenizer, bos=True, key="k")


class Wide:
    """A tokenizer that knows as many tokens as it is told to, and writes lengths."""

    bos_token_id = unk_token_id = None
    eos_token_id = 0

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __call__(self, texts, **_):
        return {"input_ids": [[self.size - 1] * len(text.split()) for text in texts]}


def test_the_stream_is_bos_document_bos_document(written, tokenizer):
    a, b, c = tokenizer.convert_tokens_to_ids(["a", "b", "c"])
    assert written.ids.tolist() == [2, a, b, c, 2, b, 2, c, a, a, 3, 2, b, b, b, b, b]
    assert written.documents["start"].tolist() == [0, 4, 6, 11]
    assert written.documents["words"].tolist() == [0, 3, 4, 8]
    assert written.documents["line"].tolist() == [1, 2, 3, 4]
    facts = written.facts
    assert (facts["tokens"], facts["documents"], facts["words"], facts["bos"], facts["unknown"]) == (17, 4, 13, 2, 1)
    assert facts["sources"] == ["test"]


@pytest.mark.parametrize("name", ["train.bin", "train.idx"])
def test_a_changed_byte_is_found_when_it_is_asked_for(tmp_path, written, name):
    ids = np.where(written.ids == 3, 4, written.ids)
    for found in (written, token_store.derive(tmp_path / "other", "train", written, ids, key="o", unknown=3)):
        assert found.checked() is found
        tiny.flip(found.path.with_name(name))
        with pytest.raises(OntogenyError, match=rf"{name} is not what was written: bytes of it have changed; delete it"):
            TokenStore(found.path.parent, "train").checked()


def test_a_store_of_an_older_version_has_no_hashes_and_is_taken(tmp_path, written):
    disk.write_json(tmp_path / "train.json", {name: fact for name, fact in written.facts.items() if name != "hashes"})
    tiny.flip(written.path)
    assert len(TokenStore(tmp_path, "train").checked()) == len(written)


def test_without_bos_documents_follow_one_another(tmp_path, tokenizer):
    written = token_store.write(tmp_path, "train", tiny.documents("a b", "c"), tokenizer, bos=False, key="k")
    assert tokenizer.decode(written.ids.tolist()) == "a b c"
    assert written.facts["bos"] is None


def test_a_tokenizer_with_only_eos_begins_documents_with_it_and_one_with_neither_is_refused(tmp_path):
    assert token_store.bos_id(Wide(10)) == 0
    bare = Wide(10)
    bare.eos_token_id = None
    with pytest.raises(OntogenyError, match="neither a BOS nor an EOS token; give it one, or set bos: false"):
        token_store.write(tmp_path, "train", tiny.documents("a"), bare, bos=True, key="k")
    assert list(tmp_path.iterdir()) == []


@settle
@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.integers(2, 9))
def test_blocks_cover_every_token_once_and_their_words_add_up(tmp_path_factory, lengths, context):
    documents = tiny.documents(*[" ".join("w" * n) for n in lengths])
    written = token_store.write(tmp_path_factory.mktemp("t"), "train", documents, Wide(300), bos=True, key="k")
    assert written.facts["words"] == sum(lengths)
    blocks = written.blocks(context)
    assert blocks == (len(written) - 1) // context
    if not blocks:
        return
    indices = np.arange(blocks)
    taken = written.block(indices, context)
    assert taken.shape == (blocks, context + 1)
    assert taken[:, :-1].flatten().tolist() == written.ids[: blocks * context].tolist()
    assert taken[:, 1:].flatten().tolist() == written.ids[1 : blocks * context + 1].tolist()
    words = [written.words_in(np.array([i]), context) for i in indices]
    assert sum(words) == pytest.approx(written.words_in(indices, context))
    assert sum(words) == pytest.approx(written.words_at(np.array([blocks * context]))[0])
    assert written.words_at(np.array([0, len(written)])).tolist() == [0, sum(lengths)]


def test_a_document_without_end_is_refused_with_its_line(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(token_store, "LONGEST", 20)
    documents = [Document("a b", "a.txt", 1), Document("a " * 11, "a.txt", 2)]
    with pytest.raises(OntogenyError, match=r"a\.txt:2 has 22 characters in one line.*the longest that is taken has 20: break it"):
        token_store.write(tmp_path, "train", documents, tokenizer, bos=True, key="k")


def test_words_of_whole_documents_are_exact(written):
    assert written.words_at(np.array([0, 4, 6, 11, 17])).tolist() == [0, 3, 4, 8, 13]
    assert written.words_at(np.array([2])).tolist() == [1.5]  # half of the first document's tokens, BOS among them
    assert written.words_in(np.array([0, 1, 2, 3]), 4) == pytest.approx(13 - 5 / 6)  # 16 of 17 tokens


@pytest.mark.parametrize(("size", "dtype"), [(2**16, "<u2"), (2**16 + 1, "<u4")])
def test_ids_take_two_bytes_where_they_fit(tmp_path, size, dtype):
    written = token_store.write(tmp_path, "train", tiny.documents("a b"), Wide(size), bos=True, key="k")
    assert written.facts["dtype"] == dtype
    assert written.ids.tolist() == [0, size - 1, size - 1]
    assert written.path.read_bytes() == struct.pack("<3H" if dtype == "<u2" else "<3I", *written.ids.tolist())


def test_entropy_by_hand(written):
    assert token_store.entropy(np.array([5, 0, 5])) == pytest.approx(math.log(2))
    assert token_store.entropy(np.array([0, 9])) == 0
    counts = [4, 3, 7, 2, 1]  # </s>, a, b, c, <unk>
    assert written.facts["unigram_entropy"] == pytest.approx(-sum(n / 17 * math.log(n / 17) for n in counts))


def test_an_empty_text_is_refused_and_leaves_nothing(tmp_path, tokenizer):
    with pytest.raises(OntogenyError, match="the dev text is empty"):
        token_store.write(tmp_path, "dev", [], tokenizer, bos=True, key="k")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".bin", ".idx"])
@pytest.mark.parametrize("left", [0, 1, 10, 16])
def test_a_store_that_was_cut_is_refused(written, suffix, left):
    file = written.path.with_suffix(suffix)
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(OntogenyError, match=f"train\\{suffix} has {left} bytes, its description says"):
        TokenStore(file.parent, "train")


def test_a_store_is_made_once_for_its_key_and_again_when_a_part_is_gone(tmp_path, tokenizer):
    made = []

    def open_(key, text="a b c"):
        def make():
            made.append(key)
            return token_store.write(tmp_path, "train", tiny.documents(text), tokenizer, bos=True, key=key)

        return token_store.open_or_write(tmp_path, "train", key, make)

    first, second = open_("one"), open_("one")
    assert made == ["one"]
    assert first.ids.tolist() == second.ids.tolist()
    assert len(open_("two", "a")) == 2
    assert made == ["one", "two"]
    (tmp_path / "train.bin").unlink()
    assert len(open_("two", "a")) == 2
    assert made == ["one", "two", "two"]


def test_a_store_that_failed_to_be_rewritten_is_not_taken_for_the_old_one(tmp_path, written):
    def fail():
        raise OntogenyError("no")

    with pytest.raises(OntogenyError, match="no"):
        token_store.open_or_write(tmp_path, "train", "other", fail)
    assert not (tmp_path / "train.json").exists()


# --- from a recipe


def test_a_key_that_stays_rewrites_nothing_and_one_that_changes_makes_all_anew(tmp_path):
    folder = RunFolder(tmp_path)

    def stamps():
        files = [p for p in tmp_path.rglob("*") if p.is_file() and "lineage" not in p.name]
        return {p.relative_to(tmp_path): (p.stat().st_mtime_ns, p.stat().st_ino) for p in files}

    first = prepare(folder, tiny.recipe())
    before = stamps()
    again = prepare(folder, tiny.recipe("training.batch=2", "suites.0.seed=7"))
    assert stamps() == before
    assert again.train.ids.tolist() == first.train.ids.tolist()
    other = prepare(folder, tiny.recipe("tokenizer.vocab_size=20"))
    after = stamps()
    assert {path for path in before if before[path] == after.get(path)} == set()
    assert len(other.tokenizer) == 20
    assert other.train.facts["unknown"] > 0
    assert folder.lineage()["tokens"]["train"]["unknown"] == other.train.facts["unknown"]


def test_a_tokenizer_in_a_folder_is_known_by_its_content(tmp_path):
    given_ = tmp_path / "given"
    recipe = tiny.recipe("tokenizer.kind=pretrained", f"tokenizer.name={given_}")
    tiny.words("the dog").save_pretrained(given_)
    few = len(prepare(RunFolder(tmp_path / "run"), recipe).tokenizer)
    tiny.words("the dog and the cat").save_pretrained(given_)
    assert len(prepare(RunFolder(tmp_path / "run"), recipe).tokenizer) == few + 2


def test_without_bos_nothing_is_put_before_documents(tmp_path):
    text = prepare(RunFolder(tmp_path), tiny.recipe("bos=false"))
    assert text.first is None
    assert 2 not in text.train.ids


@settle
@given(st.floats(0.05, 0.95))
def test_held_out_documents_are_a_partition(share):
    recipe = tiny.recipe("dev=", f"held_out={share}")
    everything = list(recipe.corpus.documents())
    train, dev = (list(part()) for part in splits(recipe))
    assert sorted([*train, *dev], key=lambda d: (d.line, d.text)) == sorted(everything, key=lambda d: (d.line, d.text))
    assert abs(len(dev) / len(everything) - share) < 0.1
    assert [d for d in everything if d in set(dev)] == dev or len(set(everything)) < len(everything)


def test_a_larger_share_holds_out_the_same_documents_and_more():
    fewer, more = (set(splits(tiny.recipe("dev=", f"held_out={share}"))[1]()) for share in (0.1, 0.3))
    assert fewer < more


def test_tokens_are_written_in_whole_batches(tmp_path, tokenizer):
    seen = []
    documents = tiny.documents(*["a b"] * 4001)
    written = token_store.write(tmp_path, "train", documents, tokenizer, bos=True, key="k", progress=seen.append)
    assert seen == [2000, 2000, 1]
    assert len(written) == 3 * 4001
    assert disk.read_json(tmp_path / "train.json")["documents"] == 4001
