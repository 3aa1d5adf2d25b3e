"""What models that read from left to right keep of a text: going on from it gives the numbers of reading all of it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_every_kind import CONTEXT, build, sharpen

from ontogeny.architectures.models.state import RecurrentState

OURS = ["lstm", "xlstm", "linear", "linear-full", "structformer-causal"]
MODELS = {name: sharpen(build(name)) for name in [*OURS, "mamba"]}
MEMORY = {"mamba": "cache_params"}
CLOSE = {name: 5e-5 if name == "mamba" else 1e-5 for name in MODELS}  # its own float32 is 2e-5 from float64 with these weights


def some(rows, length, seed=0):
    return torch.randint(4, 20, (rows, length), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def in_pieces(name, ids, cuts, begin=None):
    """Logits [B, T, vocabulary], a piece of the text at a time, and the last memory."""
    memory, found = MEMORY.get(name, "past_key_values"), []
    begin = begin or (RecurrentState() if name == "mamba" else None)  # else it takes transformers' own
    for piece in torch.tensor_split(ids, cuts, dim=1):
        output = MODELS[name](input_ids=piece, use_cache=True, **({memory: begin} if begin is not None else {}))
        begin = getattr(output, memory)
        found.append(output.logits)
    return torch.cat(found, dim=1), begin


@torch.no_grad()
def whole(name, ids):
    return MODELS[name](input_ids=ids, use_cache=False).logits


@pytest.mark.parametrize("name", MODELS)
@given(cuts=st.sets(st.integers(1, CONTEXT - 1)), seed=st.integers(0, 9))
@settings(max_examples=12, deadline=None)
def test_a_text_in_pieces_has_the_logits_of_the_whole(name, cuts, seed):
    ids = some(3, CONTEXT, seed)
    assert torch.allclose(in_pieces(name, ids, sorted(cuts))[0], whole(name, ids), atol=CLOSE[name])


@pytest.mark.parametrize("name", MODELS)
def test_rows_of_a_state_go_on_by_themselves(name):
    """Two texts of three, one of them twice, each with an end of its own."""
    start, ends = some(3, 5), some(3, 4, seed=1)
    state = in_pieces(name, start, [2])[1]
    assert state.get_seq_length() == 5
    rows = torch.tensor([2, 0, 2])
    before = {layer: [part.clone() for part in parts] for layer, parts in state.parts.items()}
    found = in_pieces(name, ends, [1], state.select(rows))[0]
    assert torch.allclose(found, whole(name, torch.cat([start[rows], ends], dim=1))[:, 5:], atol=CLOSE[name])
    for layer, parts in before.items():  # what was kept is not written over
        assert all(torch.equal(one, other) for one, other in zip(parts, state.parts[layer], strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_kept_unless_it_is_asked_for(name):
    with torch.no_grad():
        assert getattr(MODELS[name](input_ids=some(1, 3), use_cache=False), MEMORY.get(name, "past_key_values")) is None


@pytest.mark.parametrize("name", ["lstm", "xlstm"])
@pytest.mark.parametrize("left", [True, False])
def test_prompts_of_several_lengths_have_the_logits_of_each_alone(name, left):
    lengths, ids, end = [5, 2, 5, 4], some(4, 5), some(4, 3, seed=1)
    mask = torch.zeros(4, 5, dtype=torch.long)
    for row, length in enumerate(lengths):
        mask[row, slice(5 - length, None) if left else slice(length)] = 1
    with torch.no_grad():
        output = MODELS[name](input_ids=ids, attention_mask=mask, use_cache=True)
        further = MODELS[name](input_ids=end, past_key_values=output.past_key_values, use_cache=True)
    assert further.past_key_values.seen == 8
    for row in range(4):
        shown = mask[row].bool()
        text = torch.cat([ids[row, shown], end[row]])[None]
        expected = whole(name, text)[0]
        assert torch.allclose(output.logits[row, shown], expected[:-3], atol=1e-5)
        assert torch.allclose(further.logits[row], expected[-3:], atol=1e-5)


def test_a_model_of_positions_refuses_padding_before_a_text_and_after_one_that_goes_on():
    left, right = torch.tensor([[0, 1, 1], [1, 1, 1]]), torch.tensor([[1, 1, 0], [1, 1, 1]])
    for mask, keep in ((left, False), (left, True), (right, True)):
        with pytest.raises(ValueError, match="weights for each position"):
            MODELS["linear"](input_ids=some(2, 3), attention_mask=mask, use_cache=keep)


def test_a_row_without_a_token_is_an_error():
    with pytest.raises(ValueError, match="hides all of a row"):
        MODELS["lstm"](input_ids=some(2, 3), attention_mask=torch.tensor([[0, 0, 0], [1, 1, 1]]))


@torch.no_grad()
def greedy(name, prompt, tokens):
    """The definition: the whole text is read for each token."""
    for _ in range(tokens):
        prompt = torch.cat([prompt, whole(name, prompt)[:, -1:].argmax(-1)], dim=1)
    return prompt[0].tolist()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("cached", [True, False])
def test_generate_goes_on_from_what_is_kept(name, cached):
    prompts = some(3, 4)
    told = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 1, "use_cache": cached}
    found = MODELS[name].generate(prompts, attention_mask=torch.ones_like(prompts), **told)
    assert found.tolist() == [greedy(name, row[None], 6) for row in prompts]
    beams = MODELS[name].generate(prompts, attention_mask=torch.ones_like(prompts), num_beams=3, **told)
    told["use_cache"] = False
    assert beams.tolist() == MODELS[name].generate(prompts, attention_mask=torch.ones_like(prompts), num_beams=3, **told).tolist()


@pytest.mark.parametrize("name", ["lstm", "xlstm"])
def test_generate_takes_prompts_of_several_lengths(name):
    """Padded on the left, as transformers has it."""
    ids, mask = some(2, 4), torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    found = MODELS[name].generate(ids, attention_mask=mask, max_new_tokens=5, do_sample=False, eos_token_id=None, pad_token_id=1)
    assert found[0, 2:].tolist() == greedy(name, ids[:1, 2:], 5)
    assert found[1].tolist() == greedy(name, ids[1:], 5)


def test_generate_reads_each_token_once():
    lengths, model = [], MODELS["lstm"]
    hook = model.model.lstm.register_forward_pre_hook(lambda module, inputs: lengths.append(inputs[0].shape[1]))
    model.generate(
        some(1, 4), attention_mask=torch.ones(1, 4), max_new_tokens=4, do_sample=False, eos_token_id=None, pad_token_id=1
    )
    hook.remove()
    assert lengths == [4, 1, 1, 1]
