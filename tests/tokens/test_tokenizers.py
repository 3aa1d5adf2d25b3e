"""Tokenizers: what they lose (bytes: nothing), what they count, and that a saved one is the same."""

import pytest
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ontogeny.records import OntogenyError
from ontogeny.tokens.pretrained import Pretrained, open_tokenizer
from ontogeny.tokens.token_store import encode
from ontogeny.tokens.trained import BPE, SPECIAL, Character, Word

TEXTS = ("the cat sat on the mat.", "the cats sit on the mats!", "Ünïcode — 猫 は 座る", "a\ttab and  two spaces")
any_text = given(st.text(st.characters(exclude_categories=("Cs",))))
relaxed = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def ids(tokenizer, text):
    return encode(tokenizer, [text], None)[0]


@pytest.fixture(scope="module")
def bpe():
    return BPE(vocab_size=300).make(tiny.documents(*TEXTS))


@relaxed
@any_text
def test_bytes_write_any_text(bpe, text):
    assert bpe.decode(ids(bpe, text), skip_special_tokens=False) == text
    assert bpe.unk_token_id not in ids(bpe, text.replace("<unk>", ""))


@pytest.mark.parametrize("kind", [BPE(vocab_size=300), Word(), Character()])
def test_a_saved_tokenizer_gives_the_same_ids(kind, tmp_path):
    made = kind.make(tiny.documents(*TEXTS))
    made.save_pretrained(tmp_path)
    opened = open_tokenizer(tmp_path)
    texts = [*TEXTS, "unseen wörds\n"]
    assert encode(opened, texts, None) == encode(made, texts, None)
    assert len(opened) == len(made)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id"):
        assert getattr(opened, name) == getattr(made, name)
    assert Pretrained(name=str(tmp_path)).make([]).get_vocab() == made.get_vocab()


@pytest.mark.parametrize("kind", [BPE(vocab_size=300), Word(), Character()])
def test_special_tokens_are_opts(kind):
    made = kind.make(tiny.documents(*TEXTS))
    assert made.convert_ids_to_tokens([0, 1, 2, 3]) == SPECIAL
    assert (made.bos_token_id, made.eos_token_id, made.pad_token_id, made.unk_token_id) == (2, 2, 1, 3)
    assert ids(made, TEXTS[0])[0] > 3  # nothing is put in front


def test_bytes_are_merged_to_the_size_that_was_asked_for(bpe):
    assert len(bpe) == 300
    assert len(ids(bpe, "the the")) == 2
    assert len(ids(bpe, "猫")) > 1


def test_a_vocabulary_larger_than_the_corpus_gives_is_an_error():
    with pytest.raises(OntogenyError, match=r"vocab_size is 5,000, but the corpus gives only \d+ tokens; set it to \d+ or less"):
        BPE(vocab_size=5000).make(tiny.documents(*TEXTS))
    assert len(BPE(vocab_size=5000, exact=False).make(tiny.documents(*TEXTS))) < 400
    with pytest.raises(OntogenyError, match="the corpus gives only"):
        Word(vocab_size=5000, exact=True).make(tiny.documents(*TEXTS))


def test_a_vocabulary_without_room_for_the_bytes_is_refused():
    with pytest.raises(ValueError, match="260"):
        BPE(vocab_size=259)


def test_words_and_marks_are_tokens():
    made = Word().make(tiny.documents("the cat sat .", "the cat sat."))
    assert made.convert_ids_to_tokens(ids(made, "the cat sat.")) == ["the", "cat", "sat", "."]
    assert ids(made, "the cat sat.") == ids(made, "the  cat sat .")
    assert ids(made, "the dog")[1] == made.unk_token_id


def test_rare_words_are_unknown():
    documents = tiny.documents("a a a b b c", "a b d")
    assert set(Word(vocab_size=6).make(documents).get_vocab()) == {*SPECIAL, "a", "b"}
    assert set(Word(min_frequency=2).make(documents).get_vocab()) == {*SPECIAL, "a", "b"}


def test_characters_are_tokens_spaces_and_line_ends_included():
    made = Character().make(tiny.documents("ab é\n", "a猫"))
    assert set(made.get_vocab()) == {*SPECIAL, "a", "b", " ", "é", "\n", "猫"}
    assert made.convert_ids_to_tokens(ids(made, "a \né")) == ["a", " ", "\n", "é"]
    assert made.decode(ids(made, "ba é猫\n")) == "ba é猫\n"
    assert ids(made, "z") == [made.unk_token_id]


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(OntogenyError, match=r"holds no tokenizer that transformers can open"):
        open_tokenizer(tmp_path)
