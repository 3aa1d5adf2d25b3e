"""What holds for every architecture: it learns, goes on after a kill, is saved and opened, and is scored whatever the batch."""

import math

import numpy as np
import pytest
import tiny
import torch
from transformers import AutoModel, AutoModelForCausalLM

from ontogeny import registry
from ontogeny.architectures import auto
from ontogeny.recipe import Training
from ontogeny.scoring import pairs as of_pairs
from ontogeny.scoring import plan
from ontogeny.scoring.reading import SuitePairs, frame, open_model, score_folder
from ontogeny.tokens import token_store
from ontogeny.tokens.rows import rows_of
from ontogeny.training.engine import Engine
from ontogeny.training.loop import train
from ontogeny.training.state import TrainingState
from ontogeny.training.treatment import Period, Treatment, batch_loss

CPU = torch.device("cpu")
ENGINE = Engine(CPU, 1, "float32", False)
CONTEXT = 12
LINES = ("the dog sees the cat", "the cat sees the dog", "a dog runs", "a cat runs and the dog sees the cat") * 20
NARROW = {"hidden_size": 16, "num_hidden_layers": 2}
HEADS = {**NARROW, "num_attention_heads": 2, "intermediate_size": 32}
PARTS = {
    "opt": {
        "size": "opt-1m",
        "options": {**NARROW, "num_attention_heads": 2, "ffn_dim": 32, "word_embed_proj_dim": 16, "dropout": 0.1},
    },
    "gpt2": {"size": "gpt2-1m", "options": {"n_embd": 16, "n_layer": 2, "n_head": 2, "resid_pdrop": 0.1}},
    "gpt-neox": {"size": "gpt-neox-1m", "options": {**HEADS, "hidden_dropout": 0.1}},
    "llama": {"size": "llama-1m", "options": {**HEADS, "num_key_value_heads": 2}},
    "mamba": {"size": "mamba-1m", "options": {**NARROW, "state_size": 4}},
    "xlstm": {"size": "xlstm-1m", "options": {**NARROW, "num_heads": 2, "dropout": 0.1}},
    "lstm": {"size": "lstm-1m", "options": {**NARROW, "dropout": 0.1, "layer_dropout": 0.1}},
    "linear": {"size": "linear-1m", "options": {"hidden_size": 16}},
    "linear-full": {"kind": "linear", "size": "rules", "options": {"hidden_size": 8}},
    "bigram": {},
    "bert": {"size": "bert-1m", "options": {**HEADS, "hidden_dropout_prob": 0.1}},
    "structformer": {"size": "structformer-1m", "options": {**HEADS, "dropout": 0.1}},
    "structformer-causal": {"size": "structformer-1m", "options": {**HEADS, "dropout": 0.1}},
}
MASKED = ("bert", "structformer")
CAUSAL = [name for name in PARTS if name not in MASKED]
IDS = torch.randint(4, 20, (4, CONTEXT + 1), generator=torch.Generator().manual_seed(0))
TREES = {"opt", "gpt2", "gpt-neox", "llama", "bigram"}  # attend by mask and position, or by the last token alone
CARRIED = {"lstm", "mamba"}  # go on from a state


def part_of(name):
    fields = PARTS[name]
    kind = fields.get("kind", name)
    return registry.load("architecture", kind).model_validate({**fields, "kind": kind})


def build(name, vocabulary=20, seed=0):
    torch.manual_seed(seed)
    return part_of(name).build(vocabulary, CONTEXT, 2, 1).eval()


def sharpen(model):
    """Weights wide enough to have opinions; what are gates and decays stays."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 2:
                weight.mul_(5)
    return model


@pytest.fixture(scope="module")
def tokenizer():
    return tiny.words(*LINES)


@pytest.fixture(scope="module")
def text(tmp_path_factory, tokenizer):
    return token_store.write(tmp_path_factory.mktemp("t"), "train", tiny.documents(*LINES), tokenizer, bos=True, key="k")


def run(name, text, steps, state=None, unit="block"):
    training = Training(context=CONTEXT, batch=8, warmup=2, learning_rate=0.01, schedule="constant", unit=unit)
    state = state or TrainingState(build(name, text.facts["vocabulary"]), training)
    loss = getattr(part_of(name), "loss", batch_loss)
    treatment = Treatment((Period(1, rows_of(text, unit, CONTEXT)),), loss)
    list(train(state, treatment, training, ENGINE, 0, steps, set()))
    return state


def losses(state):
    return [row[0] for row in state.history]


@pytest.mark.parametrize(
    ("unit", "name"), [*(("block", name) for name in PARTS), *(("document", name) for name in ("lstm", "bert"))]
)
def test_it_learns(name, unit, text):
    state = run(name, text, 30, unit=unit)
    assert losses(state)[0] == pytest.approx(math.log(text.facts["vocabulary"]), abs=0.8)
    assert np.mean(losses(state)[-4:]) < losses(state)[0] - 0.3


@pytest.mark.parametrize("name", PARTS)
def test_it_goes_on_after_a_kill_bit_for_bit(name, text, tmp_path):
    whole = run(name, text, 6)
    run(name, text, 3).save(tmp_path / "state", "key")
    training = Training(context=CONTEXT, batch=8, warmup=2, learning_rate=0.01, schedule="constant")
    again = TrainingState(build(name, text.facts["vocabulary"], seed=1), training)  # other weights, all of which are replaced
    again.restore(tmp_path / "state", "key")
    again.model.train()
    again = run(name, text, 6, again)
    assert losses(again) == losses(whole)
    for (key, ours), theirs in zip(again.model.state_dict().items(), whole.model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), key


@pytest.mark.parametrize("name", PARTS)
def test_it_trains_in_bfloat16(name):
    loss, found = getattr(part_of(name), "loss", batch_loss), []
    for precision in ("float32", "bfloat16"):
        model = build(name).train()
        torch.manual_seed(1)
        found.append(loss(model, IDS, Engine(CPU, 1, precision, False).autocast))
    found[1].backward()
    assert found[1].item() == pytest.approx(found[0].item(), rel=0.01)
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in model.parameters())


@pytest.mark.parametrize("name", PARTS)
def test_a_seed_decides_the_weights(name):
    if name == "bigram":
        pytest.skip("begins uniform, whatever the seed")
    one, same, other = (build(name, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", CAUSAL)
def test_nothing_looks_ahead(name):
    model = sharpen(build(name))
    ids = torch.randint(4, 20, (1, CONTEXT), generator=torch.Generator().manual_seed(0))
    changed = ids.clone()
    changed[0, 7] = (changed[0, 7] - 3) % 16 + 4
    with torch.no_grad():
        before, after = (model(input_ids=x, use_cache=False).logits[0] for x in (ids, changed))
        alone = model(input_ids=ids[:, :5], use_cache=False).logits[0]
    assert torch.allclose(before[:7], after[:7], atol=1e-6)
    assert torch.allclose(before[:5], alone, atol=1e-5)
    if name != "bigram":
        assert not torch.allclose(before[7:], after[7:], atol=1e-4)


def pairs():
    texts = [
        "the dog sees the cat",
        "the dog sees cat the",
        "a cat runs",
        "a runs cat",
        "the cat sees a dog",
        "the cat a sees dog and",
    ]
    return tiny.pairs(*zip(texts[::2], texts[1::2], strict=True), ("dog", "cat"), ("the dog runs and the dog runs", "the the the"))


@pytest.mark.parametrize("name", PARTS)
def test_it_is_saved_opened_and_scored_the_same_in_any_batch(name, text, tokenizer, tmp_path):
    model = sharpen(run(name, text, 3).model.eval())
    folder = tiny.save(model, tokenizer, tmp_path / "model")
    opened = open_model(folder)
    assert type(opened).__name__ == type(model).__name__
    first, context = frame(opened, tokenizer, True, CONTEXT)
    todo = plan.make(pairs(), tokenizer, first, context)

    def read(model, batch_tokens):
        if name in MASKED:
            return of_pairs.read_masked(model, todo, tokenizer, CPU, batch_tokens=batch_tokens)
        return of_pairs.read(model, todo, CPU, batch_tokens)

    ours, one, many = read(model, 1024), read(opened, 1), read(opened, 1024)
    for side in ("logp_good", "logp_bad"):
        assert one.frame[side].to_list() == pytest.approx(many.frame[side].to_list(), abs=1e-5)
        assert ours.frame[side].to_list() == pytest.approx(many.frame[side].to_list(), abs=1e-5)
    assert many.frame["logp_good"].n_unique() == len(pairs())


@pytest.mark.parametrize("name", CAUSAL)
def test_only_those_that_follow_a_mask_are_read_by_trees(name, tokenizer):
    """Also before training, when all of them say almost the same of everything."""
    todo = plan.make(pairs(), tokenizer, 2, CONTEXT)
    for model in (build(name, len(tokenizer)), sharpen(build(name, len(tokenizer)))):
        scored = of_pairs.read(model, todo, CPU)
        assert scored.facts["way"].startswith("trees" if name in TREES else "carried" if name in CARRIED else "sentences")
        with torch.no_grad():
            for side in ("good", "bad"):
                for pair, found in zip(todo.pairs, scored.frame[f"logp_{side}"], strict=True):
                    ids = torch.tensor(token_store.encode(tokenizer, [getattr(pair, side)], 2))
                    logps = model(input_ids=ids[:, :-1], use_cache=False).logits[0].log_softmax(-1)
                    assert found == pytest.approx(logps.gather(1, ids[0, 1:, None]).sum().item(), abs=1e-4)


@pytest.mark.parametrize("name", ["lstm", "linear", "xlstm", "structformer-causal"])
def test_what_reads_from_left_to_right_refuses_masks_of_trees(name):
    model, ids = build(name), torch.randint(4, 20, (2, 5))
    right = torch.tensor([[1, 1, 1, 0, 0], [1] * 5])
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids, attention_mask=right).logits, model(input_ids=ids).logits)
    for mask in (torch.tensor([[1, 0, 1, 1, 1], [1] * 5]), torch.tensor([[0, 1, 1, 1, 0], [1] * 5]), torch.zeros(2, 1, 5, 5)):
        with pytest.raises(ValueError, match="hides the beginning or the end of a row, and none of trees"):
            model(input_ids=ids, attention_mask=mask)


def test_a_linear_model_says_what_is_longer_than_it():
    with pytest.raises(ValueError, match=f"{CONTEXT + 1} tokens are more than this model's {CONTEXT} positions"):
        build("linear")(input_ids=torch.zeros(1, CONTEXT + 1, dtype=torch.long))


@pytest.mark.parametrize("name", ["lstm", "linear", "xlstm", "mamba", "structformer-causal"])
def test_a_saved_folder_opens_through_the_auto_classes(name, tmp_path):
    """As anybody opens one, after importing ontogeny.architectures.auto."""
    auto.register()
    model, ids = sharpen(build(name)), torch.randint(4, 20, (1, 6))
    model.save_pretrained(tmp_path)
    whole, body = (kind.from_pretrained(tmp_path).eval() for kind in (AutoModelForCausalLM, AutoModel))
    with torch.no_grad():
        expected = model(input_ids=ids).logits
        assert torch.allclose(whole(input_ids=ids).logits, expected, atol=1e-5)
        assert torch.allclose(model.lm_head(body(input_ids=ids).last_hidden_state), expected, atol=1e-5)


def test_the_loss_of_a_model_is_what_labels_say():
    model, ids = sharpen(build("lstm")), torch.randint(4, 20, (2, 6))
    with torch.no_grad():
        found = model(input_ids=ids, labels=ids).loss
        logps = model(input_ids=ids).logits[:, :-1].log_softmax(-1)
    assert found.item() == pytest.approx(-logps.gather(-1, ids[:, 1:, None]).mean().item(), abs=1e-5)


def test_a_folder_of_somebody_elses_choosing_is_scored(tokenizer, tmp_path):
    folder = tiny.save(sharpen(build("xlstm", len(tokenizer))), tokenizer, tmp_path / "model")
    frame_, todo, _ = score_folder(folder, SuitePairs("s", pairs(), [], {}, "k"), CPU, 64, True, lambda n: None)
    assert len(frame_) == len(todo.pairs) == len(pairs())
