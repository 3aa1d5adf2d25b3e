"""What is read first, what begins anew after it, and that nothing else does."""

import numpy as np
import pytest
import torch

from ontogeny.interventions.pre_pretrain import PrePretrain
from ontogeny.records import OntogenyError

TEXT = [" ".join(f"w{n}" for n in range(40))] * 8  # more words than the language has symbols


def test_as_many_tokens_as_the_stretch_reads_each_a_symbol(context_of):
    context = context_of(TEXT, training={"context": 8})
    part = PrePretrain(when={"until": 0.25})
    edited = part.edit(context)
    wanted = np.ceil(0.25 * len(context.text)) + 8
    assert wanted <= len(edited.ids) < wanted + 14 and edited.facts["tokens"] == len(edited.ids)
    starts = edited.rows["start"].astype(int)
    assert (edited.ids[starts] == context.first).all()
    strings = np.split(edited.ids, starts[1:])
    last = {(string[1], string[-1]) for string in strings[:-1]}
    assert len(last) == 2  # the last symbol answers the first
    assert not set(np.delete(edited.ids, starts)) & set(context.tokenizer.all_special_ids)
    shuffled = PrePretrain(when={"until": 0.25}, shuffled=True).edit(context)
    assert (np.bincount(shuffled.ids) == np.bincount(edited.ids)).all() and (shuffled.ids != edited.ids).any()


def test_at_the_switch_the_embeddings_and_their_moments_are_new_and_all_else_is_as_it_was(short, begun):
    context = short(PrePretrain(when={"until": 0.5}), steps=4)
    state, treated = begun(context)
    state.optimiser_step(0.01)
    for _, parameter in state.model.named_parameters():
        parameter.grad = torch.ones_like(parameter)
    state.clip_and_update(1.0, 1.0)
    before = {name: parameter.detach().clone() for name, parameter in state.model.named_parameters()}
    moments = {name: state.optimiser.state[p]["exp_avg"].clone() for name, p in state.model.named_parameters()}
    treated.before(state, 1, 4)
    assert all(torch.equal(parameter, before[name]) for name, parameter in state.model.named_parameters())
    treated.before(state, 2, 4)
    new = [name for name, parameter in state.model.named_parameters() if not torch.equal(parameter, before[name])]
    assert new == ["model.decoder.embed_tokens.weight"]
    for name, parameter in state.model.named_parameters():
        kept = state.optimiser.state.get(parameter)
        assert (not kept) if name in new else torch.equal(kept["exp_avg"], moments[name])


def test_a_training_that_is_halted_goes_on_the_same(short, goes_on):
    goes_on(short(PrePretrain(when={"until": 0.5}), steps=4), (1, 3))


def test_the_text_begins_within_the_run(short, begun):
    with pytest.raises(OntogenyError, match="pre-pretrain ends at step 4 of 4; the text has to begin within the run"):
        begun(short(PrePretrain(when={"until": 0.99}), steps=4))
    with pytest.raises(ValueError, match="is read first"):
        PrePretrain(when={"from": 0.1, "until": 0.5})


def test_a_tokenizer_with_fewer_tokens_than_symbols_is_refused(context_of):
    with pytest.raises(OntogenyError, match="pre-pretrain: cue has 18 symbols, the tokenizer 3 tokens"):
        PrePretrain().edit(context_of(["x y"]))
