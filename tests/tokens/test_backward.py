"""Backward models: each text from its end, in stream, scores and counts, and only where the tokenizer says so."""

from collections import Counter
from itertools import pairwise

import pytest
import tiny
import torch

from ontogeny import disk
from ontogeny.architectures.bert import BERT
from ontogeny.architectures.bigram import Bigram
from ontogeny.ngrams import build
from ontogeny.ngrams.words import word_stream
from ontogeny.records import OntogenyError
from ontogeny.scoring import masked, plan
from ontogeny.scoring import pairs as of_pairs
from ontogeny.scoring.ngram_pairs import WalkedPairs
from ontogeny.scoring.reading import frame
from ontogeny.store import RunFolder
from ontogeny.tokens import token_store
from ontogeny.tokens.prepare import prepare
from ontogeny.tokens.pretrained import Pretrained, open_tokenizer
from ontogeny.tokens.trained import BPE, Byte, Character, Unigram, WordTokenizer

LINES = ("the dog sees the cat", "a cat runs", "the cat sees a dog", "a dog runs and the cat sees the dog")
CPU = torch.device("cpu")
BOS = 2


@pytest.fixture(scope="module")
def tokenizer():
    return WordTokenizer(direction="backward").make(tiny.documents(*LINES))


@pytest.fixture
def text(tmp_path, tokenizer):
    return token_store.write(tmp_path, "train", tiny.documents(*LINES), tokenizer, bos=True, key="k")


def test_the_stream_has_each_document_from_its_end(tmp_path, tokenizer):
    written = token_store.write(tmp_path, "train", tiny.documents("the dog runs", "a cat"), tokenizer, bos=True, key="k")
    assert tokenizer.convert_ids_to_tokens(written.ids.tolist()) == ["</s>", "runs", "dog", "the", "</s>", "cat", "a"]
    assert written.documents["start"].tolist() == [0, 4]
    assert written.documents["words"].tolist() == [0, 3]


@pytest.mark.parametrize("kind", [BPE, Unigram, WordTokenizer, Character, Byte])
def test_a_saved_tokenizer_is_still_backward(kind, tmp_path):
    options = {"vocab_size": 300, "exact": False} if kind in (BPE, Unigram) else {}
    forward, made = (kind(**options, direction=way).make(tiny.documents(*LINES)) for way in ("forward", "backward"))
    made.save_pretrained(tmp_path)
    opened = open_tokenizer(tmp_path)
    other = Pretrained(name=str(tmp_path)).make([])
    expected = [ids[::-1] for ids in token_store.encode(forward, list(LINES), None)]
    assert all(token_store.encode(one, list(LINES), None) == expected for one in (made, opened, other))
    assert token_store.encode(opened, ["the dog"], BOS)[0][0] == BOS
    assert [token_store.backward(one) for one in (forward, made, opened)] == [False, True, True]
    assert opened.get_vocab() == forward.get_vocab()


def test_forward_goes_unsaid_so_that_runs_from_before_keep_their_keys(tmp_path):
    assert WordTokenizer().model_dump() == {"vocab_size": 8192, "exact": False, "kind": "word", "min_frequency": 1}
    assert (
        disk.content_key(WordTokenizer(direction="forward"))
        == disk.content_key(WordTokenizer())
        != disk.content_key(WordTokenizer(direction="backward"))
    )
    assert WordTokenizer.model_validate(WordTokenizer(direction="backward").model_dump()).direction == "backward"
    WordTokenizer().make(tiny.documents(*LINES)).save_pretrained(tmp_path)
    assert "direction" not in disk.read_json(tmp_path / "tokenizer_config.json")
    with pytest.raises(OntogenyError, match=r"tokenizer\.direction input should be 'forward' or 'backward'"):
        tiny.recipe("tokenizer.direction=back")


def test_a_run_that_turns_around_is_tokenised_anew(tmp_path):
    forward = prepare(RunFolder(tmp_path), tiny.recipe()).train.ids.tolist()
    turned = prepare(RunFolder(tmp_path), tiny.recipe("tokenizer.direction=backward"))
    expected = []
    for token in forward:
        expected = [*expected, [token]] if token == BOS else [*expected[:-1], [*expected[-1], token]]
    assert turned.train.ids.tolist() == [token for own in expected for token in (own[0], *own[:0:-1])]
    assert token_store.backward(turned.tokenizer)


# --- scores -------------------------------------------------------------------------------------------------------


def test_a_pair_is_scored_from_its_end(tokenizer):
    """By hand: one forward pass of </s> runs dog the; the sentences differ in `dog` and `cat`, the second token from the end."""
    model = tiny.opt(len(tokenizer))
    todo = plan.make(tiny.pairs(("the dog runs", "the cat runs")), tokenizer, BOS, 16)
    (the, dog, cat, runs) = tokenizer.convert_tokens_to_ids(["the", "dog", "cat", "runs"])
    assert [todo.sentences[todo.good[0]], todo.sentences[todo.bad[0]]] == [(BOS, runs, dog, the), (BOS, runs, cat, the)]
    row = of_pairs.read(model, todo, CPU).frame.row(0, named=True)
    for side, noun in (("good", dog), ("bad", cat)):
        with torch.no_grad():
            logps = model(input_ids=torch.tensor([[BOS, runs, noun]])).logits[0].log_softmax(-1)
        own = [logps[place, token].item() for place, token in enumerate((runs, noun, the))]
        assert row[f"logp_{side}"] == pytest.approx(sum(own), abs=1e-5)
        assert row[f"critical_{side}"] == pytest.approx(own[1], abs=1e-5)


@pytest.mark.parametrize("spaced", [False, True])
def test_words_of_a_masked_model_are_reversed_with_their_tokens(spaced):
    bpe = BPE(vocab_size=262, exact=False, direction="backward").make(tiny.documents("aa"))
    model = BERT(size="bert-1m", options={"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}).build(
        len(bpe), 16, BOS, 1
    )
    first, context = frame(model, bpe, True, None)
    todo = plan.make(tiny.pairs(("xy z", "z xy")), bpe, first, context, spaced)
    words = masked.word_ids(todo.sentences, bpe)
    of = {"".join(bpe.convert_ids_to_tokens(ids[1:])): own.tolist() for ids, own in zip(todo.sentences, words, strict=True)}
    extra = "Ġ" * spaced
    assert of[f"zĠyx{extra}"] == [masked.NO_WORD, 1, 1, 0, 0, *[0] * spaced]
    assert of[f"yxĠz{extra}"] == [masked.NO_WORD, 1, 1, 1, 0, *[0] * spaced]
    assert of_pairs.read_masked(model.eval(), todo, bpe, CPU).frame["tokens_good"].to_list() == [4 + spaced]


# --- counts -------------------------------------------------------------------------------------------------------


def reversed_bigrams():
    """Counts of (word, the word to its left), with the mark where a line begins and ends."""
    rows = [["</s>", *reversed(line.split()), "</s>"] for line in LINES]
    return Counter(pair for row in rows for pair in pairwise(row))


def test_bigrams_are_those_of_reversed_text(tmp_path, text, tokenizer):
    index = build(tmp_path / "index", text.ids, len(tokenizer), BOS, order=2)
    names = [*tokenizer.get_vocab()]
    found = {pair: index.count(tokenizer.convert_tokens_to_ids(list(pair))) for pair in ((a, b) for a in names for b in names)}
    assert {pair: count for pair, count in found.items() if count} == dict(reversed_bigrams())
    sentences = WalkedPairs(index, plan.make(tiny.pairs(("the dog", "dog the")), tokenizer, BOS, 9))
    assert [tokenizer.convert_ids_to_tokens(list(ids)) for ids in sentences.plan.sentences] == [
        ["</s>", *reversed(words)] for words in (("dog", "the"), ("the", "dog"))
    ]


def test_a_bigram_model_that_is_trained_backward_finds_them(text, tokenizer):
    """Gradient descent on the stream, which ends as every document does: with the next one's mark."""
    counts = reversed_bigrams()
    torch.manual_seed(0)
    model = Bigram().build(len(tokenizer), 64, BOS, 1)
    ids = torch.tensor([[*text.ids.tolist(), BOS]])
    descent = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=0.3)
    for _ in range(150):
        loss = torch.nn.functional.cross_entropy(model(input_ids=ids[:, :-1]).logits[0], ids[0, 1:])
        descent.zero_grad()
        loss.backward()
        descent.step()
    of = {word: sum(count for (first, _), count in counts.items() if first == word) for word, _ in counts}
    words = sorted(of)
    with torch.no_grad():
        p = model(input_ids=torch.tensor([tokenizer.convert_tokens_to_ids(words)]).T).logits[:, 0].softmax(-1)
    for row, word in enumerate(words):
        for other in words:
            expected = counts[word, other] / of[word]
            assert p[row, tokenizer.convert_tokens_to_ids(other)].item() == pytest.approx(expected, abs=0.01)


def test_words_stay_forward(tmp_path, tokenizer):
    own, stream = word_stream(tmp_path, lambda: iter(tiny.documents(*LINES)), "k")
    assert own.convert_ids_to_tokens(stream.ids[:6].tolist()) == ["</s>", *LINES[0].split()]
