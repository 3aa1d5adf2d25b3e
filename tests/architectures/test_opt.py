"""OPT in named sizes, and what it refuses."""

import pytest
import tiny
import torch

from ontogeny.architectures.opt import OPT, SIZES
from ontogeny.records import OntogenyError


def build(size="opt-1m", vocabulary=8192, context=128, **options):
    with torch.device("meta"):
        return OPT(size=size, options=options).build(vocabulary, context, 2, 1)


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def counted(width, layers, vocabulary, positions):
    """OPT's parameters on paper: attention 4 (w² + w), feed-forward 8 w² + 5 w, two norms of 2 w; embeddings are tied."""
    layer = 4 * (width**2 + width) + (8 * width**2 + 5 * width) + 4 * width
    return vocabulary * width + (positions + 2) * width + layers * layer + 2 * width


@pytest.mark.parametrize(
    ("size", "width", "layers"), [("opt-1m", 128, 2), ("opt-2m", 128, 4), ("opt-7m", 256, 6), ("opt-20m", 384, 8)]
)
def test_named_sizes_have_the_parameters_on_paper(size, width, layers):
    model = build(size)
    assert parameters(model) == counted(width, layers, 8192, 128)
    assert round(parameters(model) / 1e6, 1) == {"opt-1m": 1.5, "opt-2m": 1.9, "opt-7m": 6.9, "opt-20m": 17.4}[size]
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight


def test_opt_125m_is_facebooks():
    model = build("opt-125m", vocabulary=50265, vocab_size=50272)
    assert parameters(model) == 125_239_296 == counted(768, 12, 50272, 2048)
    config = model.config
    assert (config.dropout, config.activation_function, config.do_layer_norm_before) == (0.1, "relu", True)
    assert (config.max_position_embeddings, config.ffn_dim, config.num_attention_heads) == (2048, 3072, 12)


def test_every_size_in_the_table_can_be_asked_for():
    assert {OPT(size=size).size for size in SIZES} == set(SIZES)
    with pytest.raises(ValueError, match="opt-1m"):
        OPT(size="opt-3m")


def test_the_model_is_made_for_its_tokenizer_and_context():
    config = build(vocabulary=100, context=32, dropout=0.25).config
    assert (config.vocab_size, config.max_position_embeddings, config.dropout) == (100, 32, 0.25)
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (2, 2, 1)


def test_a_seed_decides_the_weights():
    made = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        made.append(OPT(size="opt-1m", options={"num_hidden_layers": 1}).build(64, 8, 2, 1).get_input_embeddings().weight)
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_an_unknown_option_is_named_with_the_nearest():
    with pytest.raises(OntogenyError, match=r"model\.options\.hiden_size is no field of OPTConfig; did you mean 'hidden_size'\?"):
        build(hiden_size=16)


@pytest.mark.parametrize("rows", [99, 129, 50272])
def test_a_vocabulary_that_does_not_fit_the_tokenizer_is_refused_with_what_would(rows):
    with pytest.raises(OntogenyError, match=r"the tokenizer has 100 tokens.*must lie between 100 and 128 \(or be left out\)"):
        build(vocabulary=100, vocab_size=rows)


@pytest.mark.parametrize("rows", [100, 128])
def test_a_vocabulary_rounded_to_64_is_taken(rows):
    assert build(vocabulary=100, vocab_size=rows).config.vocab_size == rows


def test_a_context_longer_than_the_positions_is_refused():
    with pytest.raises(OntogenyError, match=r"max_position_embeddings is 64, but training\.context is 128"):
        build(max_position_embeddings=64)
    with pytest.raises(OntogenyError, match=r"max_position_embeddings is 2048, but training\.context is 4096"):
        build("opt-125m", context=4096)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hidden_size": 100, "num_attention_heads": 3}, "divisible"),
        ({"activation_function": "rleu"}, "rleu"),
    ],
)
def test_settings_that_cannot_be_built_are_said(options, said):
    with pytest.raises(OntogenyError, match=f"model.options cannot be built .*{said}"):
        build(**options)


def test_an_option_that_is_text_where_a_number_belongs_is_said_when_the_recipe_is_read():
    with pytest.raises(OntogenyError, match="dropout: much; it is a number"):
        tiny.recipe("model.options.dropout=much")
