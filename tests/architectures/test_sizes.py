"""Named sizes of every architecture: their parameters on the meta device, and what they refuse."""

import pytest
import torch

from ontogeny import recipe, registry
from ontogeny.records import OntogenyError

KINDS = [
    kind for kind in registry.TABLES["architecture"] if kind != "bigram" and hasattr(registry.load("architecture", kind), "sizes")
]
OPT = {"1m": 1_462_016, "2m": 1_858_560, "7m": 6_869_504}  # tests/architectures/test_opt.py has them on paper
MATCHED = [(kind, size) for kind in KINDS for size in registry.load("architecture", kind).sizes if size.split("-")[-1] in OPT]


def build(kind, size, vocabulary=8192, context=128, **options):
    with torch.device("meta"):
        return registry.load("architecture", kind)(size=size, options=options).build(vocabulary, context, 2, 1)


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def test_the_table_has_those_that_the_docs_name():
    assert set(KINDS) >= {"opt", "gpt2", "gpt-neox", "llama", "mamba", "xlstm", "lstm", "linear", "bert"}


@pytest.mark.parametrize(("kind", "size"), MATCHED)
def test_sizes_of_one_name_have_as_many_parameters(kind, size):
    assert parameters(build(kind, size)) == pytest.approx(OPT[size.split("-")[-1]], rel=0.04)


@pytest.mark.parametrize(
    ("kind", "size", "vocabulary", "options", "published"),
    [
        ("gpt2", "gpt2-small", 50257, {}, 124_439_808),
        ("gpt-neox", "pythia-14m", 50277, {"vocab_size": 50304}, 14_067_712),
        ("gpt-neox", "pythia-70m", 50277, {"vocab_size": 50304}, 70_426_624),
        ("gpt-neox", "pythia-160m", 50277, {"vocab_size": 50304}, 162_322_944),
    ],
)
def test_published_sizes_have_their_published_parameters(kind, size, vocabulary, options, published):
    assert parameters(build(kind, size, vocabulary, **options)) == published


@pytest.mark.parametrize(
    ("kind", "counted"),
    [
        # embeddings 8 x 16; four LSTM layers 4 (64 x 64 + 64 x 64 + 64 + 64), one from 16; a head with a bias
        ("lstm", 8 * 16 + 4 * (16 * 64 + 64 * 64 + 128) + 4 * 4 * (2 * 64 * 64 + 128) + 64 * 8 + 8),
        # embeddings 8 x 256, a matrix 256 x 8 for each of 256 x 257 / 2 pairs of positions, a bias for each position
        ("linear", 8 * 256 + 256 * 257 // 2 * 256 * 8 + 256 * 8),
        # tied embeddings; layers of: up 32 x 128, conv 64 x 9, x 64 x 34, step 2 x 64 + 64, A 64 x 16, D 64, down 64 x 32, norm 32
        ("mamba", 8 * 32 + 10 * (32 * 128 + 64 * 9 + 64 * 34 + 3 * 64 + 64 * 16 + 64 + 64 * 32 + 32) + 32),
    ],
)
def test_the_settings_of_rule_extrapolation_on_paper(kind, counted):
    assert parameters(build(kind, "rules", 8, 256)) == counted


def test_the_settings_of_rule_extrapolation_can_be_asked_for():
    opt, xlstm, mamba = (build(kind, "rules", 8, 256) for kind in ("opt", "xlstm", "mamba"))
    assert (opt.config.num_hidden_layers, opt.config.hidden_size, opt.config.num_attention_heads) == (7, 10, 5)
    assert (opt.config.ffn_dim, opt.config.dropout) == (1024, 0.1)
    assert [type(block).__name__ for block in xlstm.model.blocks] == ["MatrixBlock", "ScalarBlock", *["MatrixBlock"] * 5]
    assert (mamba.config.state_size, mamba.config.conv_kernel) == (16, 8)
    assert build("lstm", "rules", 8, 256).model.dropout.p == 0.4


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_option_is_named_with_the_nearest(kind):
    size = next(iter(registry.load("architecture", kind).sizes))
    word = {"gpt2": ("n_embdd", "n_embd")}.get(kind, ("hiden_size", "hidden_size"))
    with pytest.raises(OntogenyError, match=rf"model\.options\.{word[0]} is no field of \w+Config; did you mean '{word[1]}'\?"):
        build(kind, size, **{word[0]: 16})


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_size_is_refused_with_those_there_are(kind):
    sizes = registry.load("architecture", kind).sizes
    with pytest.raises(ValueError, match=next(iter(sizes))):
        registry.load("architecture", kind)(size="huge")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if registry.load("architecture", kind).positions])
def test_a_context_longer_than_the_positions_is_refused(kind):
    part = registry.load("architecture", kind)
    with pytest.raises(OntogenyError, match=rf"model\.options\.{part.positions} is 64, but training\.context is 128"):
        build(kind, next(iter(part.sizes)), **{part.positions: 64})


@pytest.mark.parametrize("kind", KINDS)
def test_a_vocabulary_that_does_not_fit_is_refused(kind):
    with pytest.raises(OntogenyError, match="the tokenizer has"):
        build(kind, next(iter(registry.load("architecture", kind).sizes)), vocabulary=100, vocab_size=99)


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("linear", {"mixing": "some"}, "channels, full"),
        ("lstm", {"embedding_size": 16}, "tie_word_embeddings: false"),
        ("xlstm", {"slstm_at": [9]}, "slstm_at has 9, but blocks are 0 to 3"),
        ("xlstm", {"num_heads": 3}, "128 is not divisible into num_heads 3"),
        ("llama", {"num_attention_heads": 3}, "divisible|multiple"),
    ],
)
def test_settings_that_cannot_be_built_are_said(kind, options, said):
    with pytest.raises(OntogenyError, match=f"model.options cannot be built .*({said})"):
        build(kind, f"{kind}-1m", **options)


def test_a_recipe_names_each(tmp_path):
    import tiny

    for kind in (*KINDS, "bigram"):
        found = recipe.parse(tiny.RECIPE, settings=[f"model.kind={kind}"])
        assert (found.model.kind, recipe.parse(recipe.dump(found)).model) == (kind, found.model)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("num_hidden_layers", -1, "it is a size, 1 or more"),
        ("num_hidden_layers", 0, "it is a size, 1 or more"),
        ("num_hidden_layers", True, "it is a whole number"),
        ("num_hidden_layers", 2.5, "it is a whole number"),
        ("num_hidden_layers", "2", "it is a whole number"),
        ("num_hidden_layers", 2**31, "it is a size, 1 or more, and at most 10,000"),
        ("dropout", True, "it is a number"),
        ("dropout", 2, "it is a probability, from 0 to 1"),
    ],
)
@pytest.mark.parametrize("kind", ["opt", "lstm"])
def test_an_option_of_another_kind_is_refused_when_the_recipe_is_read(kind, name, value, told):
    with pytest.raises(ValueError, match=rf"has {name}: {value}; {told}"):
        registry.load("architecture", kind)(size=f"{kind}-1m", options={name: value})


def test_an_option_that_no_size_sets_is_held_against_the_config_s_own():
    with pytest.raises(OntogenyError, match=r"model\.options\.layerdrop is True; it is a number"):
        build("opt", "opt-1m", layerdrop=True)
    with pytest.raises(OntogenyError, match=r"model\.options\.vocab_size is 0; it is a size, 1 or more"):
        build("opt", "opt-1m", vocab_size=0)
    with pytest.raises(OntogenyError, match=r"max_position_embeddings is None, but training\.context is"):
        build("opt", "opt-1m", max_position_embeddings=None)
    assert build("opt", "opt-1m", pad_token_id=0).config.pad_token_id == 0
