"""Where tokens stand in a text: every family of tokenizers, characters that several tokens write, and words."""

import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from ontogeny.records import OntogenyError
from ontogeny.tokens.spans import spans, words
from ontogeny.tokens.trained import BPE, Byte, Character, Unigram, WordTokenizer

TEXTS = ("the dog sees the cat", "naïve café 😀 日本 the", "who left the dog and the cat")
TEXT = " the  dog😀 naïve日本 cat"


def own(kind):
    settings = {} if kind is Byte else {"vocab_size": 300} | ({"exact": False} if kind in (BPE, Unigram) else {})
    return kind(**settings).make(tiny.documents(*TEXTS))


def covered(tokenizer, text):
    (found,) = spans(tokenizer, [text])
    return [text[start:end] for start, end in found]


def wrapped(tokenizer):
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


@pytest.mark.parametrize("kind", [BPE, Unigram, Byte])
def test_bytes_have_their_space_and_each_of_a_characters_tokens_has_it_whole(kind):
    tokenizer = own(kind)
    (found,) = spans(tokenizer, [TEXT])
    assert len(found) == len(tokenizer(TEXT, add_special_tokens=False)["input_ids"])
    reached = 0
    for start, end in found:
        assert start <= reached <= end  # nothing is left out
        assert end > start
        reached = end
    assert reached == len(TEXT)
    if kind is Byte:
        assert covered(tokenizer, "é日") == ["é"] * 2 + ["日"] * 3
        assert [TEXT[start:end] for start, end in found].count("😀") == 4


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12))
def test_bytes_of_any_text_give_it_back(text):
    tokenizer = own(Byte)
    (found,) = spans(tokenizer, [text])
    assert [text[start:end] for start, end in found] == [character for character in text for _ in character.encode()]


def test_offsets_are_not_trimmed_and_the_tokenizer_stays_as_it_was():
    tokenizer = own(BPE)
    plain = covered(tokenizer, TEXT)
    backend = tokenizer.backend_tokenizer
    backend.post_processor = processors.ByteLevel(trim_offsets=True)
    backend.enable_truncation(3, stride=1)
    backend.enable_padding(length=40)
    before = backend.to_str()
    assert covered(tokenizer, TEXT) == plain
    assert plain[:3] == [" the", " ", " dog"]
    assert backend.to_str() == before


def test_words_and_characters():
    assert covered(own(WordTokenizer), TEXT) == ["the", "dog", "😀", "naïve日本", "cat"]
    assert covered(own(Character), TEXT) == list(TEXT)


@pytest.mark.parametrize("scheme", ["always", "first", "never"])
def test_unigrams_with_markers(scheme):
    """A marker that the text has no space for stands for nothing."""
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    made.train_from_iterator(TEXTS, trainers.UnigramTrainer(vocab_size=60, special_tokens=["<unk>"], unk_token="<unk>"))
    tokenizer = wrapped(made)
    assert "".join(covered(tokenizer, "the dog zz")) == "the dog zz"
    assert "".join(covered(tokenizer, TEXT)) == TEXT
    assert covered(tokenizer, "the dog")[0] == ("" if scheme != "never" else "t")


def test_bytes_in_place_of_unknown_characters():
    """As Llama's: a space is a marker, and what has no piece is written byte by byte."""
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"thedog", "th", "the", "▁the", "do", "dog", "▁dog"]
    merges = [("t", "h"), ("th", "e"), ("▁", "the"), ("d", "o"), ("do", "g"), ("▁", "dog")]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    assert covered(wrapped(made), "the dog 日") == ["the", " dog", " ", "日", "日", "日"]
    assert covered(wrapped(made), " the") == ["", " the"]
    assert covered(wrapped(made), "日the") == ["", "日", "日", "日", "the"]


def test_pieces_of_words():
    """WordPiece that lowers and strips accents: the characters are those of the text as it stands."""
    pieces = ["<unk>", "the", "d", "##og", "na", "##ive", "cat", "##s", "日"]
    made = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="<unk>"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    assert covered(wrapped(made), "The Dog NAÏVE 日本 zzz cats.") == [
        "The",
        "D",
        "og",
        "NA",
        "ÏVE",
        "日",
        "本",
        "zzz",
        "cat",
        "s",
        ".",
    ]


def test_a_slow_tokenizer_does_not_say():
    with pytest.raises(OntogenyError, match="ByT5Tokenizer is a slow tokenizer, which does not say where"):
        spans(ByT5Tokenizer(), ["a"])


def test_words_have_the_space_before_them():
    text = "  the  dog's cat \n"
    assert text.split() == ["the", "dog's", "cat"]
    for expected, of in ((0, "  the"), (1, "  dog"), (1, "'s"), (2, " cat"), (2, " \n")):
        start = text.index(of)
        assert words(text, [(start, start + len(of))]) == [expected]
    assert words(text, [(0, 1), (5, 6), (5, 5), (0, 0), (len(text), len(text))]) == [0, 1, 1, 0, 2]
    assert words("of the", [(0, 6)]) == [0]
