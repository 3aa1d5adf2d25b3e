"""Pseudo-log-likelihoods against one mask at a time by brute force, on paper, and against minicons."""

import math
import random

import numpy as np
import pytest
import tiny
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
)

from ontogeny.records import OntogenyError
from ontogeny.scoring import masked, plan
from ontogeny.scoring import pairs as of_pairs
from ontogeny.scoring.reading import SuitePairs, frame, open_model, score_folder
from ontogeny.tokens import token_store

CPU = torch.device("cpu")
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "initializer_range": 0.3}
FAMILIES = {
    "bert": (BertForMaskedLM, BertConfig, SIZE | {"max_position_embeddings": 64}),
    "roberta": (RobertaForMaskedLM, RobertaConfig, SIZE | {"max_position_embeddings": 64, "pad_token_id": 0}),
    "distilbert": (
        DistilBertForMaskedLM,
        DistilBertConfig,
        {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64, "initializer_range": 0.3},
    ),
    "modernbert": (ModernBertForMaskedLM, ModernBertConfig, SIZE | {"max_position_embeddings": 64, "pad_token_id": 0}),
}


def texts():
    """Sentences of words of one to three letters, which the tokenizer below cuts into letters."""
    draw = random.Random(0)
    words = ["a", "b", "ab", "ba", "abc", "cab", "bca", "c"]
    return [" ".join(draw.choices(words, k=draw.randint(1, 5))) for _ in range(24)]


@pytest.fixture(scope="module")
def tokenizer():
    """Letters that know their word: within-word scoring has something to mask."""
    made = Tokenizer(models.WordPiece({}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.train_from_iterator([], trainers.WordPieceTrainer(special_tokens=SPECIAL, initial_alphabet=list("abc"), vocab_size=20))
    pieces = {**{token: i for i, token in enumerate(SPECIAL)}, "a": 5, "b": 6, "c": 7, "##a": 8, "##b": 9, "##c": 10}
    made.model = models.WordPiece(pieces, unk_token="[UNK]")
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=None, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )

    class Batched(PreTrainedTokenizerFast):
        batch_encode_plus = PreTrainedTokenizerFast.__call__  # gone from transformers 5, and what minicons calls

    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    return Batched(tokenizer_object=made, **names)


@pytest.fixture(scope="module")
def pairs():
    found = texts()
    return [pair for pair in tiny.pairs(*zip(found[::2], found[1::2], strict=True)) if pair.good != pair.bad]


def build(family="bert", vocabulary=11):
    torch.manual_seed(0)
    model, config, settings = FAMILIES[family]
    return model(config(vocab_size=vocabulary, **settings)).eval()


def planned(pairs, tokenizer, model, bos=True):
    first, context = frame(model, tokenizer, bos, None)
    return plan.make(pairs, tokenizer, first, context)


@torch.no_grad()
def by_hand(model, tokenizer, text, metric):
    """One mask, one forward pass, one number at a time, from the text itself."""
    coded = tokenizer(text)
    ids, words, total = coded["input_ids"], coded.word_ids(), 0.0
    for j in range(1, len(ids) - 1):
        hidden = [k for k in range(j, len(ids) - 1) if k == j or (metric == "within-word" and words[k] == words[j])]
        row = torch.tensor([[tokenizer.mask_token_id if k in hidden else token for k, token in enumerate(ids)]])
        total += model(input_ids=row).logits[0, j].log_softmax(-1)[ids[j]].item()
    return total


@pytest.mark.parametrize("metric", masked.METRICS)
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_one_mask_at_a_time(family, metric, tokenizer, pairs):
    model = build(family)
    found = of_pairs.read_masked(model, planned(pairs, tokenizer, model), tokenizer, CPU, metric=metric)
    assert found.facts["way"] == f"masked, {metric}, hidden states"
    for side in ("good", "bad"):
        expected = [by_hand(model, tokenizer, getattr(pair, side), metric) for pair in pairs]
        assert np.ptp(expected) > 1  # a model with opinions
        assert found.frame[f"logp_{side}"].to_list() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("metric", masked.METRICS)
def test_the_batch_changes_no_score(metric, tokenizer, pairs):
    model = build()
    todo = planned(pairs, tokenizer, model)
    one, some, many = (of_pairs.read_masked(model, todo, tokenizer, CPU, True, size, metric=metric).frame for size in (1, 37, 4096))
    for column in ("logp_good", "logp_bad", "critical_good", "critical_bad"):
        assert one[column].to_list() == pytest.approx(many[column].to_list(), abs=1e-5)
        assert some[column].to_list() == pytest.approx(many[column].to_list(), abs=1e-5)


def test_the_metrics_differ_where_words_have_parts_and_only_there(tokenizer):
    model, rows = build(), tiny.pairs(("abc b", "b cab"), ("a b", "b a"))
    todo = planned(rows, tokenizer, model)
    original, within = (
        of_pairs.read_masked(model, todo, tokenizer, CPU, metric=metric).frame["logp_good"]
        for metric in ("original", "within-word")
    )
    assert abs(original[0] - within[0]) > 1e-3
    assert original[1] == pytest.approx(within[1], abs=1e-6)


def test_a_uniform_model_scores_on_paper(tokenizer):
    """Every token has 1/11: the score is minus the number of letters times log 11."""
    model = build()
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    scored = of_pairs.read_masked(
        model, planned(tiny.pairs(("abc b", "a b"), ("ab", "ba")), tokenizer, model), tokenizer, CPU
    ).frame
    assert scored["logp_good"].to_list() == pytest.approx([-4 * math.log(11), -2 * math.log(11)], abs=1e-5)
    assert scored["tokens_good"].to_list() == [4, 2]
    assert scored["critical_good"].to_list() == pytest.approx([-2 * math.log(11), -2 * math.log(11)], abs=1e-5)


@pytest.mark.parametrize(("metric", "theirs"), [("original", "original"), ("within-word", "within_word_l2r")])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_minicons_gives_the_same_sums(family, metric, theirs, tokenizer, pairs):
    scorer = pytest.importorskip("minicons.scorer", reason="minicons is not installed: pip install 'ontogeny[peers]'")
    model = build(family)
    peer = scorer.MaskedLMScorer(model, "cpu", tokenizer=tokenizer)
    found = of_pairs.read_masked(model, planned(pairs, tokenizer, model), tokenizer, CPU, metric=metric).frame
    for side in ("good", "bad"):
        sums = peer.sequence_score(
            [getattr(pair, side) for pair in pairs], reduction=lambda scores: scores.sum(0).item(), PLL_metric=theirs
        )
        assert found[f"logp_{side}"].to_list() == pytest.approx(sums, abs=1e-4)


# --- what stands around a sentence, and room for it


def test_without_cls_a_sentence_stands_between_two_bos(pairs):
    """As in the stream that our own masked models are trained on."""
    words = tiny.words(*texts())
    model = build(vocabulary=len(words) + 1)
    model.config.mask_token_id = len(words)
    assert masked.ends(words, True) == (2, 2)
    assert masked.ends(words, False) == (None, None)
    found = of_pairs.read_masked(model, planned(pairs, words, model), words, CPU, metric="original").frame
    with torch.no_grad():
        ids = [2, *token_store.encode(words, [pairs[0].good], None)[0], 2]
        expected = 0.0
        for j in range(1, len(ids) - 1):
            row = torch.tensor([[*ids[:j], len(words), *ids[j + 1 :]]])
            expected += model(input_ids=row).logits[0, j].log_softmax(-1)[ids[j]].item()
    assert found["logp_good"][0] == pytest.approx(expected, abs=1e-4)


def test_without_bos_the_first_token_is_not_scored(pairs):
    words = tiny.words(*texts())
    model = build(vocabulary=len(words) + 1)
    model.config.mask_token_id = len(words)
    todo = planned(tiny.pairs(("ab abc", "abc ab")), words, model, bos=False)
    for metric in masked.METRICS:
        found = of_pairs.read_masked(model, todo, words, CPU, bos=False, metric=metric).frame
        ids = token_store.encode(words, ["ab abc"], None)[0]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[ids[0], len(words)]])).logits[0, 1]
        assert found["logp_good"].to_list() == pytest.approx([logits.log_softmax(-1)[ids[1]].item()], abs=1e-5)


@pytest.mark.parametrize(("family", "longest"), [("bert", 62), ("roberta", 61)])
def test_the_longest_sentence_that_fits_is_scored_and_a_longer_one_is_not(family, longest, tokenizer):
    """64 positions, of which [CLS] and [SEP] take two, and RoBERTa's padding (id 0) one more."""
    model = build(family)
    rows = tiny.pairs((" ".join("a" * longest), " ".join("b" * longest)), (" ".join("a" * (longest + 1)), "b"))
    todo = planned(rows, tokenizer, model)
    assert [pair.pair for pair in todo.too_long] == ["1"]
    assert of_pairs.read_masked(model, todo, tokenizer, CPU).frame["logp_good"].is_finite().all()


def test_leading_spaces_do_not_confuse_words():
    """Byte-level tokens of ' dog' and 'dog' differ; their words are found either way."""
    from ontogeny.tokens.trained import BPE

    bpe = BPE(vocab_size=270, exact=False).make(tiny.documents("the dog sees the cat"))
    model = build(vocabulary=len(bpe) + 1)
    model.config.mask_token_id = len(bpe)
    rows = tiny.pairs(("the dog", "dog the"))
    for spaced in (False, True):
        first, context = frame(model, bpe, True, None)
        todo = plan.make(rows, bpe, first, context, spaced)
        words = masked.word_ids(todo.sentences, bpe)
        for sentence, own in zip(todo.sentences, words, strict=True):
            assert own[0] == masked.NO_WORD
            starts = [i for i, token in enumerate(bpe.convert_ids_to_tokens(sentence)) if i == 1 or token.startswith("Ġ")]
            assert np.flatnonzero(np.diff(own)).tolist() == [i - 1 for i in starts]


# --- what is refused, memory, and folders


def test_a_causal_model_has_no_pseudo_log_likelihood(tokenizer, pairs):
    model = tiny.opt(11, context=64)
    todo = plan.make(pairs, tokenizer, 2, 64)
    with pytest.raises(
        OntogenyError, match=r"OPTForCausalLM is no masked language model .*score it with ontogeny\.scoring\.causal"
    ):
        of_pairs.read_masked(model, todo, tokenizer, CPU)


def test_a_masked_model_has_no_causal_score(tokenizer, pairs):
    model = build()
    with pytest.raises(OntogenyError, match=r"BertForMaskedLM is a masked language model: .*ontogeny\.scoring\.masked"):
        of_pairs.read(model, planned(pairs, tokenizer, model), CPU)


def test_a_metric_that_is_not_there_is_named_with_the_nearest(tokenizer, pairs):
    model = build()
    with pytest.raises(OntogenyError, match="no pseudo-log-likelihood is called 'orignal'; did you mean 'original'"):
        of_pairs.read_masked(model, planned(pairs, tokenizer, model), tokenizer, CPU, metric="orignal")


def test_a_model_without_a_mask_is_said(pairs):
    words = tiny.words(*texts())
    model = build(vocabulary=len(words) + 1)
    with pytest.raises(OntogenyError, match="which token is the mask"):
        of_pairs.read_masked(model, planned(pairs, words, model), words, CPU)


def test_the_mask_is_the_one_that_the_model_was_trained_with(tokenizer):
    """A tokenizer of somebody else's has a mask of its own, which ours never saw in training."""
    model = build(vocabulary=12)
    assert masked.mask_id(model, tokenizer) == 4
    model.config.mask_token_id = 11
    assert masked.mask_id(model, tokenizer) == 11


def test_a_tokenizer_of_something_else_is_said(tokenizer, pairs):
    model = build()
    model.config.mask_token_id = 4
    with pytest.raises(OntogenyError, match="do not belong together"):
        of_pairs.read_masked(model, planned(pairs, tokenizer, model), tiny.words(*texts()), CPU)


def test_where_memory_is_short_passes_are_smaller_and_it_is_said(tokenizer, pairs, monkeypatch):
    model = build()
    todo, plain = planned(pairs, tokenizer, model), masked.logps
    expected = of_pairs.read_masked(model, todo, tokenizer, CPU).frame

    def small(model, tokens, *rest):
        if tokens.size > 120:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(model, tokens, *rest)

    monkeypatch.setattr(masked, "logps", small)
    monkeypatch.setattr(masked, "choose", lambda *given: "body")
    told = []
    found = of_pairs.read_masked(model, todo, tokenizer, CPU, progress=told.append)
    assert found.facts["batch_tokens"] <= 120
    assert sum(told) == len(todo.sentences)
    assert found.frame["logp_good"].to_list() == pytest.approx(expected["logp_good"].to_list(), abs=1e-5)


def test_a_number_that_is_none_is_said(tokenizer):
    model = build()
    with torch.no_grad():
        model.get_input_embeddings().weight[7] = float("nan")
    with pytest.raises(OntogenyError, match=r"not a finite number, in .a c. \(paradigm toy, pair 0\)"):
        of_pairs.read_masked(model, planned(tiny.pairs(("a c", "b c")), tokenizer, model), tokenizer, CPU)


class Whole(BertForMaskedLM):
    """A head that looks at every state."""

    def forward(self, input_ids, attention_mask=None, **told):
        out = super().forward(input_ids=input_ids, attention_mask=attention_mask, **told)
        out.logits = out.logits + out.logits.mean(1, keepdim=True)
        return out


Whole.__name__ = "WholeForMaskedLM"


def test_a_head_that_needs_every_state_gets_them(tokenizer, pairs):
    torch.manual_seed(0)
    model = Whole(BertConfig(vocab_size=11, **FAMILIES["bert"][2])).eval()
    found = of_pairs.read_masked(model, planned(pairs, tokenizer, model), tokenizer, CPU, metric="original")
    assert found.facts["way"] == "masked, original, logits"
    assert found.frame["logp_good"][0] == pytest.approx(by_hand(model, tokenizer, pairs[0].good, "original"), abs=1e-4)


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_a_folder_of_a_masked_model_is_opened_and_scored_as_one(family, tokenizer, pairs, tmp_path):
    model = build(family)
    folder = tiny.save(model, tokenizer, tmp_path / "model")
    assert masked.is_masked(open_model(folder))
    scores, _, _ = score_folder(folder, SuitePairs("s", pairs, [], {}, "k"), CPU, 256, True, lambda n: None)
    expected = [by_hand(model, tokenizer, pair.good, "within-word") for pair in pairs]
    assert scores["logp_good"].to_list() == pytest.approx(expected, abs=1e-4)


# --- tokenizers that make no cut into words -----------------------------------------------------------------------


def marked(kind):
    """The same tokens by three tokenizers of SentencePiece's kind; only the one that splits tells words."""
    from tokenizers import normalizers

    pieces = ["<unk>", "<mask>", "▁", *"abc.", "▁a", "▁b", "ab", "▁ab"]
    merges = [("▁", "a"), ("▁", "b"), ("a", "b"), ("▁", "ab")]
    made = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, merges, unk_token="<unk>"))
    if kind == "llama":
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace(split=kind == "split")
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", mask_token="<mask>")


@pytest.mark.parametrize("kind", ["metaspace", "llama"])
def test_words_are_told_by_white_space_where_the_tokenizer_makes_no_cut(kind):
    todo = plan.make(tiny.pairs(("abc ba.", "ab c"), ("a", "cab acb")), marked(kind), None, 60)
    told, untold = (masked.word_ids(todo.sentences, own) for own in (marked("split"), marked(kind)))
    for one, other in zip(told, untold, strict=True):
        assert np.diff(one).astype(bool).tolist() == np.diff(other).astype(bool).tolist()
    assert sorted(len(set(own.tolist())) for own in untold) == [1, 2, 2, 2]
