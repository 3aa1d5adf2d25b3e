"""Sentence log-probabilities against numbers known beforehand or computed the long way round."""

import math
import random

import numpy as np
import pytest
import tiny
import torch
from transformers import OPTForCausalLM, OPTModel

from ontogeny import disk, store
from ontogeny.records import OntogenyError
from ontogeny.scoring import distributions, plan, readout, sentences
from ontogeny.scoring import pairs as of_pairs
from ontogeny.scoring.reading import ask, context_of, open_model, score_folder
from ontogeny.store import RunFolder
from ontogeny.suites.micro_english import MicroEnglishPairs
from ontogeny.suites.table import Table
from ontogeny.trajectories import curve

CPU = torch.device("cpu")
PAIRS = tiny.pairs(
    ("the dog runs", "the dog run"),
    ("the dogs that see the cat run", "the dogs that see the cat runs"),
    ("who did the dog see", "who did the dog see the cat"),  # a prefix of the other
    ("the cat runs", "a dog that the cat sees runs"),
    ("the cat the dog sees runs", "the cat runs"),  # inside the other
    ("dogs", "dog"),
)


@pytest.fixture(scope="module")
def tokenizer():
    return tiny.words(*(text for pair in PAIRS for text in (pair.good, pair.bad)))


@pytest.fixture(scope="module")
def model(tokenizer):
    return tiny.opt(len(tokenizer))


def scores(model, tokenizer, pairs=PAIRS, first=2, batch_tokens=2048):
    return of_pairs.score(model, plan.make(pairs, tokenizer, first, 16), CPU, batch_tokens)


def by_hand(model, tokenizer, text, first=2):
    """log p of each scored token, one sentence at a time, by the whole log-softmax."""
    ids = ([] if first is None else [first]) + tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logps = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].double(), -1)
    return [logps[j, ids[j + 1]].item() for j in range(len(ids) - 1)]


def assert_by_hand(frame, model, tokenizer, first=2):
    for pair, row in zip(PAIRS, frame.iter_rows(named=True), strict=True):
        good, bad = by_hand(model, tokenizer, pair.good, first), by_hand(model, tokenizer, pair.bad, first)
        assert (row["paradigm"], row["pair"]) == (pair.paradigm, pair.pair)
        assert row["logp_good"] == pytest.approx(sum(good), abs=1e-5)
        assert row["logp_bad"] == pytest.approx(sum(bad), abs=1e-5)
        assert (row["tokens_good"], row["tokens_bad"]) == (len(good), len(bad))


def test_scores_are_those_of_each_sentence_by_itself(model, tokenizer):
    assert_by_hand(scores(model, tokenizer), model, tokenizer)


def test_bos_is_there_and_not_scored(model, tokenizer):
    frame = scores(model, tokenizer)
    assert frame["tokens_good"].to_list() == [len(pair.good.split()) for pair in PAIRS]
    assert frame["logp_good"][5] == pytest.approx(by_hand(model, tokenizer, "dogs")[0], abs=1e-5)  # given BOS alone


def test_without_bos_the_first_token_is_not_scored(model, tokenizer):
    longer = PAIRS[:5]
    frame = scores(model, tokenizer, longer, first=None)
    assert frame["tokens_good"].to_list() == [len(pair.good.split()) - 1 for pair in longer]
    for pair, row in zip(longer, frame.iter_rows(named=True), strict=True):
        assert row["logp_good"] == pytest.approx(sum(by_hand(model, tokenizer, pair.good, None)), abs=1e-5)


@pytest.mark.parametrize("batch_tokens", [1, 16, 33])
def test_the_batch_changes_no_score(model, tokenizer, batch_tokens):
    small, large = scores(model, tokenizer, batch_tokens=batch_tokens), scores(model, tokenizer, batch_tokens=4096)
    for column in ("logp_good", "logp_bad", "critical_good", "critical_bad"):
        assert small[column].to_numpy() == pytest.approx(large[column].to_numpy(), abs=1e-5)


def test_many_sentences_change_no_score(tokenizer, model):
    """More distinct prefixes in a batch than are read out at a time."""
    random.seed(0)
    vocabulary = [word for word in tokenizer.get_vocab() if not word.startswith("<")]
    texts = [" ".join(random.choices(vocabulary, k=8)) for _ in range(1000)]
    pairs = tiny.pairs(*zip(texts[::2], texts[1::2], strict=True))
    frame = scores(model, tokenizer, pairs, batch_tokens=100_000)
    forest = plan.make(pairs, tokenizer, 2, 16).sentences.forest(readout.TREE)
    assert len(forest.batch(next(forest.groups(100_000, equal=False))).nodes) > 2 * distributions.ROWS
    for i in (0, 17, 50, 499):
        assert frame["logp_good"][i] == pytest.approx(sum(by_hand(model, tokenizer, pairs[i].good)), abs=1e-5)


@pytest.mark.parametrize("most", [1, 5])
def test_sentences_grown_into_trees_in_parts_change_no_score(model, tokenizer, monkeypatch, most):
    monkeypatch.setattr(sentences, "PART", most)
    told: list[int] = []
    todo = plan.make(PAIRS, tokenizer, 2, 16)
    assert_by_hand(of_pairs.score(model, todo, CPU, progress=told.append), model, tokenizer)
    assert sum(told) == len(todo.sentences) > most


def test_the_order_of_pairs_and_sentences_around_one_change_no_score(model, tokenizer):
    frame = scores(model, tokenizer)
    turned = scores(model, tokenizer, PAIRS[::-1])
    alone = scores(model, tokenizer, PAIRS[1:2])
    assert turned["logp_bad"].to_numpy()[::-1] == pytest.approx(frame["logp_bad"].to_numpy(), abs=1e-5)
    assert alone["logp_bad"][0] == pytest.approx(frame["logp_bad"][1], abs=1e-5)


def test_the_same_scores_twice(model, tokenizer):
    assert scores(model, tokenizer).equals(scores(model, tokenizer))


def test_a_uniform_model_knows_nothing_but_length(tokenizer):
    uniform = tiny.opt(len(tokenizer))
    with torch.no_grad():
        uniform.get_output_embeddings().weight.zero_()
    equal = MicroEnglishPairs(pairs_per_paradigm=3)
    pairs = ask(equal, None).pairs
    words = tiny.words(*(text for pair in pairs for text in (pair.good, pair.bad)))
    uniform_words = tiny.opt(len(words))
    with torch.no_grad():
        uniform_words.get_output_embeddings().weight.zero_()
    found = curve(scores(uniform_words, words, pairs))
    assert set(found["accuracy"]) == {0.5}
    assert set(found["margin"]) == {0.0}

    frame = scores(uniform, tokenizer)
    per_token = -math.log(len(tokenizer))
    assert frame["logp_good"].to_numpy() == pytest.approx(frame["tokens_good"].to_numpy() * per_token, abs=1e-5)
    shorter = np.sign(frame["tokens_bad"].to_numpy() - frame["tokens_good"].to_numpy())
    assert np.sign(np.round(frame["logp_good"].to_numpy() - frame["logp_bad"].to_numpy(), 5)).tolist() == shorter.tolist()
    assert curve(frame)["accuracy"][0] == pytest.approx((2 + 3 * 0.5 + 0) / 6)  # two shorter, three equal, one longer


def test_the_critical_region_by_hand(model, tokenizer):
    frame = scores(model, tokenizer)

    def region(text, first, last):
        return pytest.approx(sum(by_hand(model, tokenizer, text)[first:last]), abs=1e-5)

    differ = [((2, 3), (2, 3)), ((6, 7), (6, 7)), ((5, 5), (5, 7)), ((0, 2), (0, 6)), ((2, 5), (2, 2)), ((0, 1), (0, 1))]
    for pair, row, (good, bad) in zip(PAIRS, frame.iter_rows(named=True), differ, strict=True):
        assert row["critical_good"] == region(pair.good, *good), pair
        assert row["critical_bad"] == region(pair.bad, *bad), pair


def test_a_region_that_repeats_is_counted_once(model, tokenizer):
    """dog dog / dog dog dog: a common prefix and suffix that would overlap."""
    row = scores(model, tokenizer, tiny.pairs(("dog dog", "dog dog dog"))).row(0, named=True)
    assert row["critical_good"] == 0
    assert row["critical_bad"] == pytest.approx(by_hand(model, tokenizer, "dog dog dog")[2], abs=1e-5)


def test_scores_are_progressively_told(model, tokenizer):
    told = []
    todo = plan.make(PAIRS, tokenizer, 2, 16)
    of_pairs.score(model, todo, CPU, 16, told.append)
    assert sum(told) == len(todo.sentences)
    assert len(told) > 1


# --- other models


class Halved(OPTForCausalLM):
    """Scales its logits after the head, as some models do."""

    def forward(self, *args, **kwargs):
        out = super().forward(*args, **kwargs)
        out.logits = out.logits * 0.5
        return out


def test_a_model_that_scales_its_logits_gets_its_own_numbers(model, tokenizer):
    halved = Halved(model.config).eval()
    halved.load_state_dict(model.state_dict())
    frame = scores(halved, tokenizer)
    assert_by_hand(frame, halved, tokenizer)
    assert abs(frame["logp_good"][0] - scores(model, tokenizer)["logp_good"][0]) > 0.01


class Foreign(torch.nn.Module):
    """A model that has nothing but logits."""

    def __init__(self, model):
        super().__init__()
        self.inner = model

    def forward(self, input_ids, use_cache):
        return self.inner(input_ids=input_ids, use_cache=use_cache)


def test_a_model_without_parts_is_read_by_its_logits(model, tokenizer):
    assert_by_hand(scores(Foreign(model), tokenizer), model, tokenizer)


def test_log_softmax_and_sums_of_a_model_in_half_precision_are_not(tokenizer):
    model = tiny.opt(len(tokenizer)).to(torch.bfloat16)
    with torch.no_grad():
        model.get_output_embeddings().weight.zero_()
    frame = scores(model, tokenizer)
    expected = -frame["tokens_bad"].to_numpy() * math.log(len(tokenizer))  # bfloat16 has three digits
    assert frame["logp_bad"].to_numpy() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(tokenizer, tmp_path, value):
    broken = tiny.opt(len(tokenizer))
    with torch.no_grad():
        broken.model.decoder.layers[0].fc2.weight.fill_(value)
    folder = tiny.save(broken, tokenizer, tmp_path / "broken-model")
    with pytest.raises(OntogenyError, match=r"broken-model: the model gives a log-probability that is not a finite number"):
        score_folder(folder, own(tmp_path), CPU, 2048, True, lambda n: None)


def own(folder):
    file = folder / "own.csv"
    file.write_text("paradigm,good,bad\n" + "".join(f"{p.paradigm},{p.good},{p.bad}\n" for p in PAIRS))
    return ask(Table(path=file), None)


def test_a_folder_is_scored_with_the_hash_of_its_weights(model, tokenizer, tmp_path):
    folder = tiny.save(model, tokenizer, tmp_path / "model")
    frame, todo, weights = score_folder(folder, own(tmp_path), CPU, 2048, True, lambda n: None)
    assert weights == store.file_hash(folder / "model.safetensors")
    assert len(frame) == len(todo.pairs) == len(PAIRS)
    assert frame["logp_good"].to_list() == pytest.approx(scores(model, tokenizer)["logp_good"].to_list(), abs=1e-5)


def test_a_runs_scores_name_the_weights_that_were_scored(finished_run):
    run = RunFolder(finished_run)
    hashes = set()
    for seed in run.seeds():
        for step in tiny.TRAINED:
            found = disk.table_metadata(run.scores(seed, "micro-english", step))
            assert found["weights"] == store.file_hash(run.checkpoint(seed, step) / "model.safetensors")
            assert (found["seed"], found["step"]) == (str(seed), str(step))
            assert disk.table_metadata(run.reading("loss", seed, step))["weights"] == found["weights"]
            hashes.add(found["weights"])
    assert len(hashes) == 2 * len(tiny.TRAINED)


def test_a_run_is_scored_as_a_single_folder_is(finished_run):
    run = RunFolder(finished_run)
    asked = ask(MicroEnglishPairs(pairs_per_paradigm=10), None)
    for step in (0, 24):
        single, _, _ = score_folder(run.checkpoint(1, step), asked, CPU, 64, True, lambda n: None)
        ours = disk.read_table(run.scores(1, "micro-english", step))
        assert single.drop("logp_good", "logp_bad", "critical_good", "critical_bad").equals(
            ours.drop("logp_good", "logp_bad", "critical_good", "critical_bad")
        )
        assert single["logp_good"].to_numpy() == pytest.approx(ours["logp_good"].to_numpy(), abs=1e-4)


# --- opening


def test_a_folder_that_is_no_model_is_named(tmp_path):
    with pytest.raises(OntogenyError, match=r"nothing is not a model's folder: it has no config\.json"):
        open_model(tmp_path / "nothing")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(OntogenyError, match="cannot be opened as a causal language model"):
        open_model(tmp_path)


def test_weights_that_were_cut_are_named(model, tokenizer, tmp_path):
    folder = tiny.save(model, tokenizer, tmp_path / "model")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(OntogenyError, match="model cannot be opened as a causal language model"):
        open_model(folder)


def test_a_model_with_weights_missing_is_not_filled_up_with_random_ones(tokenizer, tmp_path):
    untied = tiny.opt(len(tokenizer), tie_word_embeddings=False)
    OPTModel(untied.config).save_pretrained(tmp_path)  # a body without its head
    with pytest.raises(OntogenyError, match=r"no whole causal language model: 1 of its tensors, such as lm_head\.weight"):
        open_model(tmp_path)


def test_a_checkpoint_in_half_precision_is_opened_in_float32(tokenizer, tmp_path):
    folder = tiny.save(tiny.opt(len(tokenizer)).to(torch.bfloat16), tokenizer, tmp_path / "model")
    opened = open_model(folder)
    assert opened.dtype == torch.float32
    assert not opened.training


def test_the_context_is_the_shorter_of_what_was_trained_and_what_the_model_takes(model):
    assert context_of(model, None) == 16
    assert context_of(model, 8) == 8
    assert context_of(model, 99) == 16


def test_a_model_that_looks_ahead_is_refused():
    from transformers import BertConfig, BertLMHeadModel

    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "initializer_range": 0.5}
    model = BertLMHeadModel(BertConfig(vocab_size=64, max_position_embeddings=32, is_decoder=False, **small)).eval()
    tokenizer = tiny.words("a b c d")
    plan_ = plan.make(tiny.pairs(("a b c", "a b d")), tokenizer, 2, 16)
    with pytest.raises(OntogenyError, match="no causal language model"):
        of_pairs.score(model, plan_, torch.device("cpu"))


def test_a_vocabulary_smaller_than_the_tokenizers_is_refused():
    tokenizer = tiny.words("a b c d")
    plan_ = plan.make(tiny.pairs(("a b c", "a b d")), tokenizer, 2, 16)
    with pytest.raises(OntogenyError, match="do not belong together"):
        of_pairs.score(tiny.opt(5), plan_, torch.device("cpu"))
