"""What a tokenizer cannot say is counted, also where it has no token to count it by."""

import pytest
import tiny
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ontogeny.records import OntogenyError
from ontogeny.scoring import plan
from ontogeny.tokens import token_store
from ontogeny.tokens.trained import BPE
from ontogeny.tokens.unknown import left_out, unknown_id


def bpe(letters, pre_tokenizer=None, **settings):
    """BPE that knows single letters alone."""
    tokenizer = Tokenizer(
        models.BPE(vocab={letter: number for number, letter in enumerate(["<s>", *letters])}, merges=[], **settings)
    )
    tokenizer.pre_tokenizer = pre_tokenizer or pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<s>"])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")


def test_characters_that_no_token_covers_are_counted():
    found = bpe("dogsrun.")
    assert left_out(found, ["dogs run.", "3 dogs run.", "éé dogs <s>", ""]) == [0, 1, 4, 0]
    assert left_out(found, ["3 dogs <s>"], special=True) == [1]
    assert [len(ids) for ids in token_store.encode(found, ["dogs run.", "3 dogs run."], None)] == [8, 8]


def test_bytes_that_are_not_in_the_vocabulary_are_counted():
    letters = [letter for letter in pre_tokenizers.ByteLevel.alphabet() if letter != "©"]
    lacking = bpe(letters, pre_tokenizers.ByteLevel(add_prefix_space=False))
    assert left_out(lacking, ["a é", "aé é", "a ©"]) == [1, 2, 1]  # é is C3 A9, © is C2 A9, and the letter of A9 is ©
    assert left_out(bpe(pre_tokenizers.ByteLevel.alphabet(), pre_tokenizers.ByteLevel()), ["é"]) == [0]
    assert left_out(BPE(vocab_size=260).make(tiny.documents("the cat")), ["猫 é"]) == [0]


def test_what_bytes_stand_for_is_not_left_out():
    every = [f"<0x{byte:02X}>" for byte in range(256)]
    assert left_out(bpe([*"dogs", *every], byte_fallback=True), ["3 dogs é"]) == [0]
    assert left_out(bpe([*"dogs", *every[:-100]], byte_fallback=True), ["dogs 3", "dogs é"]) == [0, 1]


def test_the_unknown_token_is_the_models_own_where_settings_do_not_name_it():
    found = bpe(["[UNK]", *"dogs"], unk_token="[UNK]")
    assert found.unk_token_id is None
    assert unknown_id(found, 0) == 1 and left_out(found, ["3 dogs"]) == [0]
    assert unknown_id(found, 1) is None


def test_a_suite_says_what_its_sentences_lose_and_which_have_special_tokens():
    pairs = tiny.pairs(("3 dogs run.", "4 dogs run."), ("dogs run.", "dogs <s>"))
    found = plan.make(pairs, bpe("dogsrun."), 0, 100)
    assert found.unknown == 2 and found.unknown_in == (("3 dogs run.", 1), ("4 dogs run.", 1))
    assert found.told == [
        "2 tokens unknown or left out in 2 sentences, most in '3 dogs run.' (1); '4 dogs run.' (1)",
        "1 pairs have the same tokens on both sides and tie, such as '3 dogs run.' and '4 dogs run.' (paradigm toy, pair 0)",
        "special tokens written in 1 sentences are read as such: 'dogs <s>'",
    ]
    assert found.unknown_facts["special_sentences"] == 1


def test_a_sentence_without_a_token_is_named():
    with pytest.raises(
        OntogenyError, match=r"'猫' \(paradigm toy, pair 0\) has no token: the tokenizer leaves out all that is in it"
    ):
        plan.make(tiny.pairs(("猫", "dogs")), bpe("dogs"), 0, 100)


def test_a_text_says_how_much_of_it_has_no_token(tmp_path):
    facts = token_store.write(tmp_path, "train", tiny.documents("3 dogs", "dogs run 45"), bpe("dogsrun"), bos=True, key="k").facts
    assert (facts["unknown"], facts["left_out"]) == (0, 3)


def test_a_tokenizer_that_fails_on_a_text_is_one_error():
    found = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"dogs": 0}, unk_token="[UNK]")), bos_token="dogs")
    with pytest.raises(OntogenyError, match=r"the tokenizer fails on this text .*UNK"):
        token_store.encode(found, ["cats"], None)
