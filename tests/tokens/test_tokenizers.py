"""Tokenizers: what they lose (bytes: nothing), what they count, and that a saved one is the same."""

import itertools
import json
import math
import re
from functools import cache

import pytest
import tiny
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ontogeny.records import OntogenyError
from ontogeny.tokens import token_store
from ontogeny.tokens.pretrained import Pretrained, open_tokenizer
from ontogeny.tokens.token_store import encode
from ontogeny.tokens.trained import BPE, SPECIAL, Byte, Character, Unigram, WordTokenizer, _cut, letters

TEXTS = ("the cat sat on the mat.", "the cats sit on the mats!", "Ünïcode — 猫 は 座る", "a\ttab and  two spaces")
any_text = given(st.text(st.characters(exclude_categories=("Cs",))))
relaxed = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


KINDS = [BPE(vocab_size=300), Unigram(vocab_size=264), WordTokenizer(), Character(), Byte()]
BYTES = [kind for kind in KINDS if kind.kind in ("bpe", "unigram", "byte")]
each = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
over_bytes = pytest.mark.parametrize("kind", BYTES, ids=lambda kind: kind.kind)


def ids(tokenizer, text):
    return encode(tokenizer, [text], None)[0]


@cache
def made_by(name):
    return next(kind for kind in KINDS if kind.kind == name).make(tiny.documents(*TEXTS))


@each
@relaxed
@given(texts=st.lists(st.text(st.characters(exclude_categories=("Cs",))), max_size=4))
def test_ids_are_those_of_calling_the_tokenizer(kind, texts):
    tokenizer = made_by(kind.kind)
    said = {"add_special_tokens": False, "split_special_tokens": True}  # <unk> that is written in a text is text
    assert encode(tokenizer, texts, None) == (tokenizer(texts, **said)["input_ids"] if texts else [])


def test_a_tokenizer_that_cuts_or_pads_is_called_which_takes_that_off():
    tokenizer = BPE(vocab_size=300).make(tiny.documents(*TEXTS))
    whole = encode(tokenizer, list(TEXTS), 2)
    tokenizer.backend_tokenizer.enable_truncation(3)
    tokenizer.backend_tokenizer.enable_padding(length=50)
    assert encode(tokenizer, list(TEXTS), 2) == whole


@pytest.fixture(scope="module")
def bpe():
    return made_by("bpe")


@over_bytes
@relaxed
@any_text
def test_bytes_write_any_text(kind, text):
    """Nothing is normalised: what is decoded is the text to the last space."""
    made = made_by(kind.kind)
    assert made.decode(ids(made, text), skip_special_tokens=False) == text
    assert made.unk_token_id not in ids(made, text.replace("<unk>", ""))


@relaxed
@given(st.text("".join(sorted({*"".join(TEXTS)}))))
def test_characters_write_any_text_of_their_alphabet(text):
    made = made_by("character")
    assert made.decode(ids(made, text)) == text
    assert len(ids(made, text)) == len(text)


@over_bytes
@relaxed
@given(st.text("ab c", min_size=1), st.text("ab c", min_size=1))
def test_a_first_word_is_cut_as_it_stands_and_a_later_one_with_its_space(kind, before, after):
    """So a sentence of a suite begins with the tokens that a line of the corpus begins with."""
    assume(before[-1] != " " and after[0] != " ")
    made = made_by(kind.kind)
    assert ids(made, f"{before} {after}") == ids(made, before) + ids(made, f" {after}")


@each
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


@each
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
    with pytest.raises(OntogenyError, match=r"the corpus gives only 265 tokens; set it to 265 or less"):
        Unigram().make(tiny.documents(*TEXTS))
    assert len(Unigram(vocab_size=265).make(tiny.documents(*TEXTS))) == 265
    with pytest.raises(OntogenyError, match="the corpus gives only"):
        WordTokenizer(vocab_size=5000, exact=True).make(tiny.documents(*TEXTS))


@pytest.mark.parametrize("kind", [BPE, Unigram])
def test_a_vocabulary_without_room_for_the_bytes_is_refused(kind):
    with pytest.raises(ValueError, match="greater than or equal to 260"):
        kind(vocab_size=259)
    assert len(kind(vocab_size=260).make(tiny.documents("a b", "b"))) == 260


# --- bytes alone


def test_ids_of_bytes_are_the_bytes_of_utf_8():
    made = made_by("byte")
    assert len(made) == 260
    assert ids(made, "a é\n猫") == [byte + 4 for byte in "a é\n猫".encode()] == [101, 36, 199, 173, 14, 235, 144, 175]


def test_letters_of_bytes_are_those_of_the_library():
    from tokenizers.pre_tokenizers import ByteLevel

    assert sorted(letters()) == sorted(ByteLevel.alphabet())
    assert "".join(letters()[32:127]) == "Ġ" + "".join(map(chr, range(33, 127)))


def test_bytes_need_no_corpus_and_have_no_size():
    def unread():
        raise AssertionError("the corpus was read")
        yield

    assert Byte().make(unread()).get_vocab() == made_by("byte").get_vocab()
    with pytest.raises(OntogenyError, match=r"tokenizer\.vocab_size"):
        tiny.recipe("tokenizer={kind: byte, vocab_size: 300}")


# --- unigram


def scores(tokenizer):
    """Each piece's log-probability."""
    return dict(json.loads(tokenizer.backend_tokenizer.to_str())["model"]["vocab"])


@relaxed
@given(st.lists(st.sampled_from(["ab", "abab", "b", "ba", "cab", "abc", "caba"]), min_size=1, max_size=3))
def test_a_word_is_cut_in_its_likeliest_way(words):
    """Kudo 2018, equation 4, by trying every way."""
    made = unigram_of_syllables()
    logp = scores(made)
    for word in words:
        found = made.convert_ids_to_tokens(ids(made, word))
        ways = [
            [word[a:b] for a, b in itertools.pairwise([0, *cuts, len(word)])]
            for count in range(len(word))
            for cuts in itertools.combinations(range(1, len(word)), count)
        ]
        best = max(sum(logp.get(piece, -math.inf) for piece in way) for way in ways)
        assert "".join(found) == word
        assert sum(logp[piece] for piece in found) == pytest.approx(best)


@cache
def unigram_of_syllables():
    made = Unigram(vocab_size=300, exact=False).make(tiny.documents(*["abab cab ab ba", "abc caba abab b"] * 5, "cabab abba"))
    assert any(len(piece) > 1 and piece[0] != "Ġ" for piece in set(made.get_vocab()) - {*SPECIAL})
    return made


def test_the_same_text_gives_the_same_pieces_whatever_the_trainer_sums_first():
    """The trainer's hash tables are seeded anew each time: two of its own tokenizers order their pieces differently."""
    documents = [document for seed in range(40) for document in tiny.documents(f"the {seed} cats sat on mat {seed * 7}", *TEXTS)]
    kind = Unigram(vocab_size=330, exact=False)

    def untouched():
        tokenizer, trainer = kind.pieces()
        tokenizer.train_from_iterator([document.text for document in documents], trainer)
        return tokenizer.to_str()

    assert len({untouched() for _ in range(3)}) == 3
    made = {kind.make(iter(documents)).backend_tokenizer.to_str() for _ in range(4)}
    assert len(made) == 1
    pieces = json.loads(made.pop())["model"]["vocab"]
    assert [piece for piece, _ in pieces[:4]] == SPECIAL
    assert pieces[4:] == sorted(pieces[4:], key=lambda pair: (-pair[1], pair[0]))
    unseen = {letter for letter, byte in zip(letters(), range(256), strict=True) if byte not in "".join(TEXTS).encode()}
    rarest = {piece for piece, score in pieces if score == pieces[-1][1]}
    assert {*"zqXY~"} <= unseen & rarest


def test_a_unigram_model_of_no_text_is_refused():
    with pytest.raises(OntogenyError, match="no text for a unigram tokenizer"):
        Unigram().make([])


def test_words_and_marks_are_tokens():
    made = WordTokenizer().make(tiny.documents("the cat sat .", "the cat sat."))
    assert made.convert_ids_to_tokens(ids(made, "the cat sat.")) == ["the", "cat", "sat", "."]
    assert ids(made, "the cat sat.") == ids(made, "the  cat sat .")
    assert ids(made, "the dog")[1] == made.unk_token_id


def test_two_recipes_with_different_texts_may_have_one_tokenizer():
    """Ids are by frequency, so a text that says `cat` more often has another id for it: another model at step 0."""
    shared = WordTokenizer(text={"kind": "micro-english", "words": 500})
    texts = tiny.documents("a a b"), tiny.documents("b b a")
    assert len({tuple(sorted(WordTokenizer().make(text).get_vocab().items())) for text in texts}) == 2
    assert len({tuple(sorted(shared.make(text).get_vocab().items())) for text in texts}) == 1
    assert shared.contents() and not WordTokenizer().contents()
    assert "text" not in WordTokenizer().model_dump()  # keys of older runs hold


def test_rare_words_are_unknown():
    documents = tiny.documents("a a a b b c", "a b d")
    assert set(WordTokenizer(vocab_size=6).make(documents).get_vocab()) == {*SPECIAL, "a", "b"}
    assert set(WordTokenizer(min_frequency=2).make(documents).get_vocab()) == {*SPECIAL, "a", "b"}


def test_characters_are_tokens_spaces_and_line_ends_included():
    made = Character().make(tiny.documents("ab é\n", "a猫"))
    assert set(made.get_vocab()) == {*SPECIAL, "a", "b", " ", "é", "\n", "猫"}
    assert made.convert_ids_to_tokens(ids(made, "a \né")) == ["a", " ", "\n", "é"]
    assert made.decode(ids(made, "ba é猫\n")) == "ba é猫\n"
    assert ids(made, "z") == [made.unk_token_id]


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(OntogenyError, match=r"holds no tokenizer that transformers can open"):
        open_tokenizer(tmp_path)


@given(st.text(st.sampled_from("ab \n"), max_size=60), st.integers(1, 9))
def test_a_text_that_is_cut_is_whole_and_has_no_long_word(text, longest):
    pieces = _cut(text, longest)
    assert "".join(pieces) == text and all(pieces)
    assert all(len(word) <= longest for piece in pieces for word in piece.split())
    if all(len(run) < longest for run in re.findall(r"\S+|\s+", text)):
        assert len(pieces) <= 1


@pytest.mark.parametrize("kind", [BPE, Unigram])
def test_pieces_are_learned_of_long_words_cut(kind, monkeypatch):
    """The trainers take time with the square of a word's length: an hour for a million characters."""
    word = "".join("abcd"[i * i % 7 % 4] for i in range(3000))
    monkeypatch.setattr(kind, "longest", 100)
    whole = kind(vocab_size=300, exact=False).make(tiny.documents("a b", word))
    cut = kind(vocab_size=300, exact=False).make(tiny.documents("a b", *(word[at : at + 100] for at in range(0, 3000, 100))))
    assert whole.get_vocab() == cut.get_vocab()
    assert whole.decode(ids(whole, word)) == word


def test_a_word_of_a_million_characters_is_learned_from(tmp_path):
    word = "".join(chr(97 + i * i % 26) for i in range(1_000_000))
    tokenizer = BPE(vocab_size=300, exact=False).make(tiny.documents("a b c", word))
    written = token_store.write(tmp_path, "train", tiny.documents("a b", word), tokenizer, bos=True, key="k")
    assert written.facts["longest_word"] == 1_000_000


@each
def test_special_tokens_that_are_written_in_a_text_are_text(kind):
    texts = ["<s> the cats sit. </s>", "a cat in <pad> mats", "the <unk> sat"]
    made = made_by(kind.kind)
    assert not {0, 1, 2} & {number for own in encode(made, texts, None) for number in own}
    assert encode(made, ["<s>a</s>"], None, special=True)[0][::2] == [0, 2]
    if kind in BYTES:
        assert [made.decode(own) for own in encode(made, texts, None)] == texts
