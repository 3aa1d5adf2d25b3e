"""The training text as words: every one with an id, as it is written, made once for its key."""

import numpy as np
import pytest
import tiny

from ontogeny.ngrams import build
from ontogeny.ngrams.words import without_words, word_stream
from ontogeny.records import OntogenyError

TEXTS = ("The dog's tail, the dog's.", "a", "the U.S. dog...")


class Text:
    """Documents that can be read again and again, and how often they were."""

    def __init__(self, *texts):
        self.texts, self.read = texts, 0

    def __call__(self):
        self.read += 1
        yield from tiny.documents(*self.texts)


def words_of(tokenizer, stream):
    return tokenizer.convert_ids_to_tokens(stream.ids.tolist())


def test_words_and_punctuation_as_they_are_written(tmp_path):
    tokenizer, stream = word_stream(tmp_path, Text(*TEXTS), "k")
    first = ["</s>", "The", "dog", "'", "s", "tail", ",", "the", "dog", "'", "s", "."]
    assert words_of(tokenizer, stream) == [*first, "</s>", "a", "</s>", "the", "U", ".", "S", ".", "dog", "..."]
    assert stream.documents["line"].tolist() == [1, 2, 3]
    assert (stream.facts["bos"], stream.facts["unknown"]) == (2, 0)


def test_every_word_has_an_id_however_many_there_are(tmp_path):
    texts = [" ".join(f"word{i}" for i in range(start, start + 701)) for start in range(0, 70_000, 700)]
    tokenizer, stream = word_stream(tmp_path, Text(*texts), "k")
    assert len(tokenizer) == 70_001 + 4
    assert stream.ids.dtype == np.uint32
    assert stream.facts["unknown"] == 0
    index = build(tmp_path / "index", stream.ids, len(tokenizer), 2, order=3)
    assert index.count(tokenizer.convert_tokens_to_ids(["</s>", "word69300", "word69301"])) == 1
    assert index.count(tokenizer.convert_tokens_to_ids(["word69299", "word69300"])) == 1


def test_it_is_made_once_for_its_key(tmp_path):
    text = Text(*TEXTS)
    first = word_stream(tmp_path, text, "one")[1].ids.tolist()
    assert text.read == 2  # for the tokenizer, then for the stream
    assert word_stream(tmp_path, text, "one")[1].ids.tolist() == first
    assert text.read == 2
    other = Text("another text")
    tokenizer, stream = word_stream(tmp_path, other, "two")
    assert words_of(tokenizer, stream) == ["</s>", "another", "text"]
    assert other.read == 2


def test_a_stream_that_is_gone_is_made_again_with_the_tokenizer_that_is_there(tmp_path):
    text = Text(*TEXTS)
    first = word_stream(tmp_path, text, "k")[1].ids.tolist()
    (tmp_path / "stream" / "train.bin").unlink()
    assert word_stream(tmp_path, text, "k")[1].ids.tolist() == first
    assert text.read == 3


def test_an_empty_text_is_refused(tmp_path):
    with pytest.raises(OntogenyError, match="the train text is empty"):
        word_stream(tmp_path, Text(), "k")


@pytest.mark.parametrize(
    ("sentences", "told"),
    [
        (["猫看见了猫。", "猫喜欢了猫。"], "5.0 characters each, 1.0 to a sentence"),
        (["他来了，我们也走了。", "今天天气很好，我们去公园吧。"], "5.0 characters each, 2.0 to a sentence"),
        (["ผมรักคุณมาก และเธอก็รักผม"], "12.0 characters each, 2.0 to a sentence"),
        (["onewordalone", "another"], "9.5 characters each, 1.0 to a sentence"),
        (["猫 看见 了 猫 。"], ""),
        (["ผม รัก คุณ มาก"], ""),
        (["나는 학교에 갔다."], ""),
        (["The cat sleeps.", "Donaudampfschifffahrtsgesellschaft ist ein Wort."], ""),
        (["...", "!"], ""),
    ],
)
def test_where_spaces_tell_no_words_it_is_said(sentences, told):
    assert told in without_words(sentences) and bool(told) == bool(without_words(sentences))
