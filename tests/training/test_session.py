"""What a checkpoint's folder holds: the tokenizer with the mask that the model was trained with, or as it was."""

import pytest
import tiny

from ontogeny.architectures.bert import BERT
from ontogeny.records import OntogenyError
from ontogeny.scoring.masked import mask_id
from ontogeny.scoring.reading import open_model
from ontogeny.tokens.pretrained import open_tokenizer
from ontogeny.training.session import save_model, with_mask

TEXT = "the dog sees the cat"
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture
def tokenizer():
    return tiny.words(TEXT)


def saved(model, tokenizer, folder):
    save_model(model, tokenizer, folder)
    return open_tokenizer(folder)


def test_a_masked_checkpoint_has_its_mask_in_the_tokenizer(tokenizer, tmp_path):
    model = BERT(size="bert-1m", options=SMALL).build(len(tokenizer), 16, 2, 1)
    opened = saved(model, tokenizer, tmp_path)
    assert (opened.mask_token, opened.mask_token_id) == ("<mask>", len(tokenizer))
    assert mask_id(open_model(tmp_path), opened) == opened.mask_token_id
    assert opened("the <mask> sees", add_special_tokens=False)["input_ids"][1] == opened.mask_token_id
    assert opened(TEXT)["input_ids"] == tokenizer(TEXT)["input_ids"]
    assert tokenizer.mask_token is None  # the run's own stays as it was
    assert len(opened) == len(tokenizer) + 1 == model.config.vocab_size


def test_a_causal_checkpoint_has_none(tokenizer, tmp_path):
    opened = saved(tiny.opt(len(tokenizer)), tokenizer, tmp_path)
    assert opened.mask_token is None
    assert opened.get_vocab() == tokenizer.get_vocab()


def test_a_tokenizer_that_has_a_mask_keeps_it(tokenizer):
    tokenizer.add_special_tokens({"mask_token": "dog"})
    assert with_mask(tokenizer, 99) is tokenizer


def test_a_mask_that_would_be_another_token_is_refused(tokenizer):
    with pytest.raises(OntogenyError, match=r"the model's mask is token 10, but <mask> is token 8 of the tokenizer, which has 8"):
        with_mask(tokenizer, 10)
