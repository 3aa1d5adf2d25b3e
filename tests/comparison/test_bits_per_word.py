"""Bits per word: known answers on paper, and the same number however a text is cut into tokens."""

from math import log

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from made_runs import TEXT, made

from ontogeny.comparison.bits import bits_per_word, has_next_token_loss, held_out, predicted
from ontogeny.recipe import Recipe, dump, parse
from ontogeny.tokens import token_store
from ontogeny.tokens.rows import rows_of


def recipe_of(run) -> Recipe:
    return parse(run.recipe.read_text(encoding="utf-8"))


def stream(folder, *texts):
    return token_store.write(folder, "dev", tiny.documents(*texts), tiny.words(*texts), bos=True, key="")


def test_a_coin_for_every_word():
    """A bit a token, two tokens a word."""
    assert bits_per_word(log(2), 20, 10) == pytest.approx(2)


@given(st.floats(0.1, 1e3), st.integers(1, 1000), st.integers(1, 1000), st.integers(1, 500))
def test_it_is_the_same_however_the_text_is_cut(nats, tokens, others, words):
    """The text costs so many nats; a tokenizer with more tokens has fewer nats for each."""
    assert bits_per_word(nats / tokens, tokens, words) == pytest.approx(bits_per_word(nats / others, others, words))


def test_documents_on_paper(tmp_path):
    """BOS a b c BOS d e: each document predicts its words and the BOS that ends it, 4 + 3 of 5 words."""
    text = stream(tmp_path, "a b c", "d e")
    assert predicted(rows_of(text, "document", 8)) == (7, 5)


def test_documents_that_are_cut(tmp_path):
    """Of BOS a b c with a context of 2, a and b are predicted; words count by the share of tokens that the row holds, 3 of 4."""
    predictions, words = predicted(rows_of(stream(tmp_path, "a b c", "d"), "document", 2))
    assert predictions == 2 + 2 and words == pytest.approx(3 * 3 / 4 + 1)


def test_blocks_on_paper(tmp_path):
    """7 tokens in blocks of 2: 6 are predicted; of the second document, BOS and d of its 3 tokens lie in the blocks."""
    predictions, words = predicted(rows_of(stream(tmp_path, "a b c", "d e"), "block", 2))
    assert predictions == 6 and words == pytest.approx(3 + 2 * 2 / 3)


def test_many_rows_are_counted_in_parts(tmp_path, monkeypatch):
    text = stream(tmp_path, *["a b c"] * 9)
    whole = predicted(rows_of(text, "document", 8))
    monkeypatch.setattr("ontogeny.comparison.bits.ROWS", 2)
    assert predicted(rows_of(text, "document", 8)) == whole == (36, 27)


def test_what_is_held_out_of_a_run(tmp_path):
    """The text's two documents, cut at a context of 4: 4 + 4 of its 7 + 5 targets."""
    run = made(tmp_path / "run")
    found = held_out(run, recipe_of(run))
    assert found.predictions == 8 and found.unknown == 0 and found.text == (2, 10)
    assert found.words == pytest.approx(6 * 5 / 7 + 4)
    (run.tokens / "dev.json").unlink()
    assert held_out(run, recipe_of(run)) is None


def test_unknown_words_are_counted(tmp_path):
    """The tokenizer knows nothing of `a cat runs .` but the full stop and cat: 2 of 12 tokens are <unk>."""
    run = made(tmp_path / "run", known=TEXT[:1])
    assert held_out(run, recipe_of(run)).unknown == pytest.approx(2 / 12)


def test_a_masked_model_has_no_next_token(tmp_path):
    assert has_next_token_loss(tiny.recipe())
    assert not has_next_token_loss(tiny.recipe("model={kind: bert, size: bert-1m}"))
    assert "bert" in dump(tiny.recipe("model={kind: bert, size: bert-1m}"))
