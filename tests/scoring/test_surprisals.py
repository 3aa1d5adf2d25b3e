"""Surprisals of sentences and of sentences after contexts: a plain loop's, minicons', and an n-gram model's own; errors by name."""

import math

import numpy as np
import polars as pl
import pytest
import tiny
import torch
from test_masked import build as masked_model
from test_masked import by_hand as masked_by_hand
from test_masked import tokenizer as letters  # noqa: F401
from transformers import AutoConfig, AutoModelForCausalLM, ByT5Tokenizer

import ontogeny as og
from ontogeny.architectures.lstm import LSTM
from ontogeny.cli import main
from ontogeny.ngrams import KneserNey, build
from ontogeny.records import OntogenyError
from ontogeny.scoring import readout
from ontogeny.scoring.sentences import gather, spaced, tokenise
from ontogeny.tokens.trained import BPE

CPU = torch.device("cpu")
TEXTS = [
    "the dog sees the cat",
    "the dog runs",
    "who did the dogs see",
    "dogs",
    "the dog  sees the naïve 日本 cats.",
    "the dog runs",
]
CONTEXTS = ["who sees the cat?", None, "the cat runs.", "a dog and a cat:\n", "who? ", ""]
FAMILIES = {
    "opt": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 32, "word_embed_proj_dim": 16},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64},
    "mamba": {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4},
    "bloom": {"hidden_size": 16, "n_layer": 2, "n_head": 2},
}


@pytest.fixture(scope="module")
def tokenizer():
    return BPE(vocab_size=300).make(tiny.documents(*TEXTS, "who sees? the cat runs. a dog and:"))


@pytest.fixture(scope="module")
def model(tokenizer):
    return tiny.opt(len(tokenizer), context=64)


def made(name, vocabulary):
    torch.manual_seed(0)
    if name == "lstm":
        model = LSTM(options={"hidden_size": 16, "num_hidden_layers": 2}).build(vocabulary, 64, 2, 1)
        with torch.no_grad():
            model.get_input_embeddings().weight.mul_(60)
        return model.eval()
    settings = {"init_std" if name == "opt" else "initializer_range": 0.3}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(name, vocab_size=vocabulary, **settings, **FAMILIES[name])).eval()


@torch.no_grad()
def by_hand(model, tokenizer, text, context="", first=2):
    """Surprisals of a text's tokens one sentence at a time, from the tokens of context and text together."""
    before, own = spaced(context or "", text, False)
    ids = [*([] if first is None else [first]), *tokenizer(before + own, add_special_tokens=False)["input_ids"]]
    many = len(tokenizer(own, add_special_tokens=False)["input_ids"])
    logps = model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)
    values = [None if i == 0 else -logps[i - 1, ids[i]].item() for i in range(len(ids))]
    return values[-many:]


@pytest.mark.parametrize("contexts", [None, CONTEXTS])
@pytest.mark.parametrize("name", [*FAMILIES, "lstm"])
def test_a_plain_loop_gives_the_same(name, contexts, tokenizer):
    model = made(name, len(tokenizer))
    found = og.surprisals(model, TEXTS, contexts=contexts, tokenizer=tokenizer)
    expected = [by_hand(model, tokenizer, text, context) for text, context in zip(TEXTS, contexts or [None] * 6, strict=True)]
    assert found["surprisal"].to_list() == pytest.approx([value for one in expected for value in one], abs=1e-5)
    assert np.ptp(found["surprisal"].to_numpy()) > 1  # a model with opinions
    assert found["bits"].to_list() == pytest.approx((found["surprisal"] / math.log(2)).to_list())
    assert found["sentence"].to_list() == [number for number, one in enumerate(expected) for _ in one]
    assert found["token"].to_list() == [place for one in expected for place in range(len(one))]


def test_every_way_gives_the_same_after_contexts(tokenizer, model):
    """Trees, whose nodes in contexts are not read, and sentences by themselves."""
    long = " ".join(["the dog sees the cat and"] * 8)
    texts = [(context or "", text) for context in [*CONTEXTS, long] for text in TEXTS]
    rows = tokenise(texts, tokenizer, 2)
    asked, which = gather(rows, str)
    ways = list(readout.ways(tiny.opt(len(tokenizer), context=256)))
    assert asked.context > 40
    assert ways[0].tree(asked.context, 4096) == readout.TREE + asked.context
    assert ways[0].tree(0, 4096) == readout.TREE  # as ever without contexts
    assert asked.forest(200).read.sum() < len({row.ids[:n] for row in rows for n in range(1, len(row.ids))})
    with torch.inference_mode():
        first, *others = (readout.token_logps(way, asked, CPU, size)[0] for way in ways for size in (1, 50, 4096))
    assert len(first) == asked.lengths.sum()
    for other in others:
        assert other == pytest.approx(first, abs=1e-5)
    assert len(which) == len(texts)


def test_the_same_tokens_with_another_cut_are_another_sentence(tokenizer, model):
    whole = og.surprisals(model, ["the dog runs"], tokenizer=tokenizer)
    for context, text in (("the", "dog runs"), ("the dog", "runs")):
        part = og.surprisals(model, ["the dog runs", text], contexts=[None, context], tokenizer=tokenizer)
        own = part.filter(sentence=1)["surprisal"].to_list()
        assert own == pytest.approx(whole["surprisal"].to_list()[-len(own) :], abs=1e-6)
        assert part.filter(sentence=0)["surprisal"].to_list() == pytest.approx(whole["surprisal"].to_list(), abs=1e-6)


def test_a_batch_of_one_is_a_batch_of_sixty_four(tokenizer, model):
    texts = [f"{text} {other}" for text in TEXTS for other in TEXTS] * 2
    one, many = (og.surprisals(model, texts, tokenizer=tokenizer, batch_tokens=size) for size in (1, 64 * 20))
    assert one.drop("surprisal", "bits").equals(many.drop("surprisal", "bits"))
    assert one["surprisal"].to_numpy() == pytest.approx(many["surprisal"].to_numpy(), abs=1e-5)
    alone = [og.surprisals(model, [text], tokenizer=tokenizer)["surprisal"] for text in texts[:8]]
    assert pl.concat(alone).to_numpy() == pytest.approx(many.filter(pl.col("sentence") < 8)["surprisal"].to_numpy(), abs=1e-5)


@pytest.mark.parametrize("bos", [True, False])
def test_minicons_gives_the_same(tokenizer, model, bos):
    scorer = pytest.importorskip("minicons.scorer", reason="minicons is not installed: pip install 'ontogeny[peers]'")
    peer = scorer.IncrementalLMScorer(model, "cpu", tokenizer=tokenizer)
    found = og.surprisals(model, TEXTS, tokenizer=tokenizer, bos=bos)
    for number, theirs in enumerate(peer.token_score(TEXTS, surprisal=True, bos_token=bos)):
        values = [value for _, value in theirs][1 if bos else 0 :]  # BOS, or the first token, stands there with 0
        own = found.filter(sentence=number)["surprisal"].to_list()
        assert own[1:] == pytest.approx(values[1:], abs=1e-4)
        assert own[0] is None if not bos else own[0] == pytest.approx(values[0], abs=1e-4)


def test_minicons_gives_the_same_after_a_context(tokenizer, model):
    scorer = pytest.importorskip("minicons.scorer", reason="minicons is not installed: pip install 'ontogeny[peers]'")
    peer = scorer.IncrementalLMScorer(model, "cpu", tokenizer=tokenizer)
    contexts = ["who sees the cat?", "the cat runs."]
    theirs = peer.conditional_score(contexts, TEXTS[:2], reduction=lambda logps: -logps.sum(0).item(), bos_token=True)
    found = og.surprisals(model, TEXTS[:2], contexts=contexts, tokenizer=tokenizer)
    assert found.group_by("sentence", maintain_order=True).agg(pl.col("surprisal").sum())["surprisal"].to_list() == pytest.approx(
        theirs, abs=1e-4
    )


def test_characters_and_words_are_those_of_the_sentence(tokenizer, model):
    found = og.surprisals(model, TEXTS, contexts=CONTEXTS, tokenizer=tokenizer)
    assert found.columns == [
        "sentence", "token", "text", "id", "start", "end", "word", "word_text", "surprisal", "bits", "unknown"
    ]  # fmt: skip
    for number, text in enumerate(TEXTS):
        own = found.filter(sentence=number)
        covered = [text[start:end] for start, end in own.select("start", "end").iter_rows()]
        assert own["text"].to_list() == covered
        assert own["word_text"].unique(maintain_order=True).to_list() == list(dict.fromkeys(text.split()))
        written = "".join(text[start:end] for start, end in dict.fromkeys(own.select("start", "end").iter_rows()))
        assert written.replace(" ", "") == text.replace(" ", "")
    assert not found["unknown"].any()
    sees = found.filter((pl.col("sentence") == 4) & (pl.col("word") == 2))
    assert sees["text"].to_list()[0] == " "  # the second of two spaces is before its word, and its own
    assert sees["word_text"].unique().to_list() == ["sees"]


def test_a_leading_space_is_no_character_of_the_sentence(tokenizer, model):
    plain, led = (og.surprisals(model, ["dog runs"], tokenizer=tokenizer, leading_space=space) for space in (False, True))
    assert plain["id"][0] != led["id"][0]
    assert led["start"][0] == 0
    assert "".join(led["text"]) == "dog runs"


def test_unknown_tokens_are_flagged_with_the_characters_they_stand_for():
    words = tiny.words("the dog runs")
    found = og.surprisals(tiny.opt(len(words)), ["the zebra runs"], tokenizer=words)
    assert found.select("text", "unknown").rows() == [("the", False), ("zebra", True), ("runs", False)]


def test_a_backward_model_reads_from_the_end_and_its_table_does_not():
    words = tiny.words("the dog runs")
    words.init_kwargs["direction"] = "backward"
    model = tiny.opt(len(words))
    found = og.surprisals(model, ["the dog runs"], tokenizer=words)
    ids = words.convert_tokens_to_ids(["runs", "dog", "the"])
    with torch.no_grad():
        logps = model(input_ids=torch.tensor([[2, *ids]])).logits[0].log_softmax(-1)
    expected = [-logps[place, ident].item() for place, ident in enumerate(ids)][::-1]
    assert found["text"].to_list() == ["the", "dog", "runs"]
    assert found["surprisal"].to_list() == pytest.approx(expected, abs=1e-5)
    with pytest.raises(OntogenyError, match="a backward model reads a sentence before what stands left of it"):
        og.surprisals(model, ["dog runs"], contexts=["the"], tokenizer=words)


# --- other models


@pytest.mark.parametrize("metric", ["within-word", "original"])
def test_masked_models_have_their_pseudo_surprisals(metric, letters):  # noqa: F811
    model, texts = masked_model(), ["ab cab", "abc b", "c"]
    found = og.surprisals(model, texts, tokenizer=letters, metric=metric)
    sums = found.group_by("sentence", maintain_order=True).agg(pl.col("surprisal").sum())["surprisal"].to_list()
    assert sums == pytest.approx([-masked_by_hand(model, letters, text, metric) for text in texts], abs=1e-4)
    assert found["text"].to_list()[:5] == ["a", "b", "c", "a", "b"]
    assert found["word"].to_list()[:5] == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("metric", ["within-word", "original"])
def test_masked_models_see_a_context_that_is_not_masked(metric, letters):  # noqa: F811
    model = masked_model()
    found = og.surprisals(model, ["cab"], contexts=["ab"], tokenizer=letters, metric=metric)
    ids = letters("ab cab")["input_ids"]  # [CLS] a ##b c ##a ##b [SEP]
    expected = []
    for j in (3, 4, 5):
        hidden = range(j, 6) if metric == "within-word" else [j]
        row = torch.tensor([[letters.mask_token_id if k in hidden else token for k, token in enumerate(ids)]])
        with torch.no_grad():
            expected.append(-model(input_ids=row).logits[0, j].log_softmax(-1)[ids[j]].item())
    assert found["surprisal"].to_list() == pytest.approx(expected, abs=1e-5)


def test_n_gram_models_of_any_order(tmp_path):
    words = tiny.words("the dog runs and the cat runs")
    lines = ["the dog runs", "the cat runs", "the dog"]
    ids = np.array([i for line in lines for i in [2, *words(line, add_special_tokens=False)["input_ids"]]], dtype=np.uint16)
    model = KneserNey(build(tmp_path / "index", ids, len(words), 2, order=3))
    for order, asked in ((3, model), (2, model.of_order(2))):
        found = og.surprisals(asked, ["the cat", "runs"], contexts=[None, "the dog"], tokenizer=words)
        the, dog, cat, runs = words.convert_tokens_to_ids(["the", "dog", "cat", "runs"])
        rows = [([2], the), ([2, the], cat), ([2, the, dog], runs)]
        expected = [-math.log(model.distribution(np.array([([-1] * 2 + seen)[-2:]]), order)[0, token]) for seen, token in rows]
        assert found["surprisal"].to_list() == pytest.approx(expected)


def test_a_slow_tokenizer_has_its_surprisals_and_says_what_it_has_not():
    tokenizer = ByT5Tokenizer()
    model = tiny.opt(len(tokenizer), context=32)
    with pytest.warns(
        UserWarning, match="ByT5Tokenizer does not say where its tokens stand: start, end, word and word_text are empty"
    ):
        found = og.surprisals(model, ["a dog"], tokenizer=tokenizer)
    assert len(found) == 5
    assert found["start"].null_count() == found["word"].null_count() == 5
    assert found["text"].to_list() == list("a dog")


def test_a_loaded_model_is_left_as_it_was(tokenizer):
    model = tiny.opt(len(tokenizer), context=64, dropout=0.5).train()
    one, two = (og.surprisals(model, TEXTS, tokenizer=tokenizer) for _ in range(2))
    assert one.equals(two)
    assert model.training


def test_half_precision_is_summed_in_single(tokenizer, model):
    half = tiny.opt(len(tokenizer), context=64).to(torch.bfloat16)
    with torch.no_grad():
        half.get_output_embeddings().weight.zero_()
    found = og.surprisals(half, TEXTS, tokenizer=tokenizer)
    assert found["surprisal"].to_numpy() == pytest.approx(math.log(len(tokenizer)), abs=1e-5)


# --- folders and the command line


def test_a_folder_and_the_command_line_give_the_same(tokenizer, model, tmp_path, monkeypatch, capsys):
    folder = tiny.save(model, tokenizer, tmp_path / "model")
    found = og.surprisals(folder, TEXTS[:3], contexts=["", "the cat runs.", ""], device="cpu")
    assert found.equals(og.surprisals(str(folder), TEXTS[:3], contexts=[None, "the cat runs.", None], device="cpu"))
    (tmp_path / "text.txt").write_text("\n".join(TEXTS[:3]) + "\n")
    (tmp_path / "before.txt").write_text("\nthe cat runs.\n\n")
    for kind, read in (("parquet", pl.read_parquet), ("csv", pl.read_csv)):
        out = tmp_path / f"table.{kind}"
        told = ["--text", tmp_path / "text.txt", "--contexts", tmp_path / "before.txt", "--out", out, "--device", "cpu"]
        monkeypatch.setattr("sys.argv", ["ontogeny", "surprisals", *map(str, (folder, *told))])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
        assert read(out).drop("surprisal", "bits").equals(found.drop("surprisal", "bits"))
        assert read(out)["surprisal"].to_numpy() == pytest.approx(found["surprisal"].to_numpy(), abs=1e-6)
    assert f"{len(found)} tokens of 3 sentences" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["ontogeny", "surprisals", *map(str, (folder, *told[:-4], "--out", "table.txt"))])
    with pytest.raises(SystemExit):
        main()
    assert "table.txt: it is written as .parquet or .csv, and not as .txt" in capsys.readouterr().err


# --- what is refused


@pytest.mark.parametrize(
    ("sentences", "contexts", "told"),
    [
        (["the dog", ""], None, r"sentences\[1\] is empty \(''\)"),
        (["the dog", " \n"], None, r"sentences\[1\] is empty"),
        (["the dog", 7], None, r"sentences\[1\] is 7, int and no text"),
        (["the dog", None], None, r"sentences\[1\] is None, NoneType and no text"),
        (["the dog"], [3], r"contexts\[0\] is 3, int and no text"),
        ("the dog", None, r"sentences is one text, and a list of them is wanted: \['the dog'\]"),
        (["the dog"], "who", r"contexts is one text, and a list"),
        (["the dog"], ["a", "b"], "1 sentences and 2 contexts: as many are wanted"),
        ([], None, "0 sentences .* one at least"),
        (["dog", "a \ud800"], None, r"sentences\[1\] holds half a surrogate pair"),
        (["dog", "the dog runs " * 40], None, r"sentences\[1\] \('the dog .* with what stands before it, and the model takes 65"),
        (["dog", "dogs"], [None, "the dog runs " * 40], r"sentences\[1\] \('dogs'\) is .* shorten it, or its context"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(sentences, contexts, told, tokenizer, model):
    with pytest.raises(OntogenyError, match=told):
        og.surprisals(model, sentences, contexts=contexts, tokenizer=tokenizer)


def test_sentences_of_nothing_that_is_known_are_named():
    words = tiny.words("the dog runs")
    with pytest.raises(OntogenyError, match=r"sentences\[1\] \('zebra gnu'\) is wholly unknown to the tokenizer"):
        og.surprisals(tiny.opt(len(words)), ["the dog", "zebra gnu"], tokenizer=words)


def test_the_longest_that_fits_is_read(tokenizer, model):
    """64 tokens of input: BOS and 64 own ones, of which the last is only predicted."""
    assert len(og.surprisals(model, ["!" * 64], tokenizer=tokenizer)) == 64
    with pytest.raises(OntogenyError, match=r"sentences\[0\] .* is 66 tokens long"):
        og.surprisals(model, ["!" * 65], tokenizer=tokenizer)


def test_models_without_a_tokenizer_or_numbers_are_named(tokenizer, model, tmp_path):
    with pytest.raises(OntogenyError, match="OPTForCausalLM that is loaded needs the tokenizer it was made with"):
        og.surprisals(model, ["a"])
    with pytest.raises(OntogenyError, match="dict is no model"):
        og.surprisals({}, ["a"], tokenizer=tokenizer)
    with pytest.raises(OntogenyError, match=r"is not a model's folder: it has no config\.json"):
        og.surprisals(tmp_path, ["a"])
    broken = tiny.opt(len(tokenizer), context=64)
    with torch.no_grad():
        broken.model.decoder.layers[0].fc2.weight.fill_(float("nan"))
    with pytest.raises(OntogenyError, match=r"not a finite number, in sentences\[0\] \('the dog'\)"):
        og.surprisals(broken, ["the dog"], tokenizer=tokenizer)
