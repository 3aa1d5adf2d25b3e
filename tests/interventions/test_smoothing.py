"""Smoothed targets on paper and against dense ones; what is similar, from tags and from neighbours."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cosine
from torch.nn import functional as F

from ontogeny import recipe as recipes
from ontogeny.interventions.smoothing import (
    Neighbours,
    SmoothedCrossEntropy,
    SyntacticSmoothing,
    most_similar,
    neighbour_counts,
    sentences,
    tag_counts,
)
from ontogeny.records import OntogenyError
from ontogeny.training.treatment import Period, Treatment, batch_loss

TREEBANK = """\
# text = The dogs don't run.
1\tThe\tthe\tDET\tDT\t_\t2\tdet\t_\t_
2\tdogs\tdog\tNOUN\tNNS\t_\t5\tnsubj\t_\t_
3-4\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
3\tdo\tdo\tAUX\tVBP\t_\t5\taux\t_\t_
4\tn't\tnot\tPART\tRB\t_\t5\tadvmod\t_\t_
5\trun\trun\tVERB\tVB\t_\t0\troot\t_\tSpaceAfter=No
5.1\tfast\tfast\tADV\tRB\t_\t_\t_\t5:advmod\t_
6\t.\t.\tPUNCT\t.\t_\t5\tpunct\t_\t_

# text = A run
1\tA\ta\tDET\tDT\t_\t2\tdet\t_\t_
2\trun\trun\tNOUN\tNN\t_\t0\troot\t_\t_
"""


@pytest.fixture
def treebank(tmp_path):
    path = tmp_path / "tiny.conllu"
    path.write_text(TREEBANK, encoding="utf-8")
    return path


def saying(logits):
    """A model that gives these logits [T, vocabulary] to whatever it reads."""
    return lambda input_ids, use_cache: SimpleNamespace(logits=logits[None])


def similar(found, word, ids=lambda word: word):
    row = ids(word)
    return {int(t): float(w) for t, w in zip(found.token[row], found.weight[row], strict=True) if w > 0}


# --- the loss -------------------------------------------------------------------------------------------------------


def test_two_targets_on_paper():
    """p = (1/2, 1/4, 1/8, 1/8) twice.  Target 1 shares .4 with 0 (3/4) and 2 (1/4); target 3 is like no other word.

    -(.6 log 1/4 + .4 (3/4 log 1/2 + 1/4 log 1/8)) = (1.2 + .3 + .3) log 2; and -log 1/8 = 3 log 2.
    """
    neighbours = Neighbours(np.array([[0, 0], [0, 2], [0, 0], [0, 0]]), np.array([[0, 0], [0.75, 0.25], [0, 0], [0, 0]]))
    logits = torch.log(torch.tensor([[1 / 2, 1 / 4, 1 / 8, 1 / 8]])).repeat(3, 1) + 7  # a constant changes nothing
    loss = SmoothedCrossEntropy(neighbours, 0.4)(saying(logits), torch.tensor([[0, 1, 3, -100]]), nullcontext)
    assert float(loss) == pytest.approx(4.8 * np.log(2), abs=1e-5)


@given(st.integers(0, 10_000), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_it_is_cross_entropy_with_dense_targets(seed, share):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(5, 7, generator=generator)
    token = torch.stack([torch.randperm(7, generator=generator)[:3] for _ in range(7)])
    token = torch.where(token == torch.arange(7)[:, None], 0, token)
    weight = torch.rand(7, 3, generator=generator).softmax(-1) * (torch.arange(7) > 1)[:, None]  # words 0 and 1 have none
    tokens = torch.randint(0, 7, (1, 6), generator=generator)
    targets = tokens[0, 1:]
    dense = torch.zeros(5, 7).scatter_add_(1, token[targets], share * weight[targets])
    dense.scatter_add_(1, targets[:, None], 1 - share * weight[targets].sum(1, keepdim=True))
    found = SmoothedCrossEntropy(Neighbours(token.numpy(), weight.double().numpy()), share)(saying(logits), tokens, nullcontext)
    assert float(found) == pytest.approx(float(F.cross_entropy(logits, dense, reduction="sum")), rel=1e-4, abs=1e-4)


def test_no_share_is_the_plain_loss():
    logits, tokens = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([[0, 1, 2, -100, -100]])
    neighbours = Neighbours(np.array([[1], [2], [3], [4], [0]]), np.ones((5, 1)))
    plain = batch_loss(saying(logits), tokens, nullcontext)
    assert torch.equal(SmoothedCrossEntropy(neighbours, 0.0)(saying(logits), tokens, nullcontext), plain)
    assert not torch.equal(SmoothedCrossEntropy(neighbours, 0.5)(saying(logits), tokens, nullcontext), plain)


@pytest.mark.parametrize(("pace", "shares"), [("linear", [0.5, 0.375, 0.125]), ("fixed", [0.5, 0.5, 0.5])])
def test_the_share_is_paced(pace, shares):
    loss = SmoothedCrossEntropy(Neighbours(np.zeros((2, 1), dtype=np.int64), np.ones((2, 1))), 0.5, pace)
    found = []
    for step in (0, 2, 6):
        loss.at(step, 8)
        found.append(float(loss.share))
    assert found == shares


def test_training_paces_the_share(context_of):
    loss = SyntacticSmoothing(share=0.4).loss(context_of(["a dog runs", "a cat runs"]))
    Treatment((Period(1.0, []),), loss).before(SimpleNamespace(), 5, 10)
    assert float(loss.share) == pytest.approx(0.2)


def test_what_is_learned_with_it(context_of):
    """dog is only seen after "a", cat only after "the", both before the same: after "the" cat keeps .7, dog gets .3."""
    context = context_of(["a dog runs", "the cat runs", "a dog sleeps", "the cat sleeps"] * 4)
    ids = context.tokenizer.convert_tokens_to_ids
    rows = torch.tensor([[2, *ids(text.split())] for text in ("a dog runs", "the cat runs")])
    loss, size = SyntacticSmoothing(share=0.3, pace="fixed").loss(context), len(context.tokenizer)
    table = torch.nn.Embedding(size, size)
    for _ in range(200):
        loss(lambda input_ids, use_cache: SimpleNamespace(logits=table(input_ids)), rows, nullcontext).backward()
        with torch.no_grad():
            table.weight -= 0.5 * table.weight.grad
            table.weight.grad = None
    after = table.weight.detach().softmax(-1)[ids("the")]
    assert after[ids(["cat", "dog"])].tolist() == pytest.approx([0.7, 0.3], abs=0.01)


# --- what is similar ------------------------------------------------------------------------------------------------


def test_neighbours_by_hand(context_of):
    """Before and after dog: a, runs (1 each); a, sleeps.  cat: the, runs.  cow: a, runs.

    sim(dog, cat) = (cos((2, 0), (0, 1)) + cos((1, 1), (1, 0))) / 2 = (0 + 1/sqrt 2) / 2,  sim(dog, cow) = (1 + 1/sqrt 2) / 2,
    sim(cat, cow) = (0 + 1) / 2.
    """
    context = context_of(["a dog runs", "a dog sleeps", "the cat runs", "a cow runs"])
    ids = context.tokenizer.convert_tokens_to_ids
    found = SyntacticSmoothing(similar=2, temperature=0.5).neighbours(context)
    half = 1 / np.sqrt(2)
    powers = {ids("cat"): np.exp(half), ids("cow"): np.exp(1 + half)}
    assert similar(found, "dog", ids) == pytest.approx({word: p / sum(powers.values()) for word, p in powers.items()})
    powers = {ids("dog"): np.exp(half), ids("cow"): np.exp(1)}
    assert similar(found, "cat", ids) == pytest.approx({word: p / sum(powers.values()) for word, p in powers.items()})


def test_special_tokens_neither_have_nor_are_neighbours(context_of):
    context = context_of(["dog", "cat"])  # both between BOS and BOS; BOS is before and after both
    found, special = SyntacticSmoothing().neighbours(context), context.tokenizer.all_special_ids
    ids = context.tokenizer.convert_tokens_to_ids
    assert found.weight[special].sum() == 0
    assert similar(found, "dog", ids) == {ids("cat"): 1.0}


def test_all_similarities_against_another_package(context_of):
    context = context_of(["a dog runs and a cat runs", "the dog sees a cat", "a cat and the dog", "the cat sees the dog"])
    left, right = (matrix.toarray() for matrix in neighbour_counts(context.index()))
    size, special = len(context.tokenizer), context.tokenizer.all_special_ids
    found = SyntacticSmoothing(similar=size, temperature=1.0).neighbours(context)
    words = [word for word in range(size) if word not in special and left[word].any()]
    for word in words:
        sims = {
            other: 1 - (cosine(left[word], left[other]) + cosine(right[word], right[other])) / 2 for other in words if other != word
        }
        powers = {other: np.exp(sim) for other, sim in sims.items() if sim > 1e-12}
        assert similar(found, word) == pytest.approx({other: p / sum(powers.values()) for other, p in powers.items()})


def test_equally_similar_words_are_shared_out_at_random():
    """100 nouns, 5 neighbours each: no noun is everybody's neighbour, and the seed says whose it is."""
    from scipy import sparse

    profile = sparse.csr_array(np.ones((100, 1)))
    first, again, other = (most_similar([profile], [], 5, 0.025, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first.token, again.token) and not np.array_equal(first.token, other.token)
    assert first.weight == pytest.approx(np.full((100, 5), 0.2))
    assert all(len(set(row)) == 5 and word not in row for word, row in enumerate(first.token.tolist()))
    assert np.bincount(first.token.ravel(), minlength=100).max() < 20  # 5 on average


def test_the_best_come_first_when_there_are_more_than_are_asked_for():
    from scipy import sparse

    angles = np.linspace(0, 1.5, 300)  # more than a chunk of words, each most like those beside it
    profile = sparse.csr_array(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    found = most_similar([profile], [], 2, 0.025, np.random.default_rng(0))
    assert all(set(found.token[word]) == {word - 1, word + 1} for word in range(1, 299))


# --- treebanks ------------------------------------------------------------------------------------------------------


def test_a_treebank_is_read_as_it_was_written(treebank):
    (first, tags), (second, others) = sentences(treebank, "upos")
    assert (first, second) == ("The dogs don't run.", "A run")
    assert "".join((tag or "_")[0] for tag in tags) == "DDD_NNNN_AAPPP_VVVP"
    assert others == ["DET", "", "NOUN", "NOUN", "NOUN"]


def test_tags_of_tokens_by_hand(treebank):
    tokenizer = tiny.words("The dogs don't run.", "A run sleeps")
    ids = tokenizer.convert_tokens_to_ids
    counts = tag_counts(treebank, tokenizer, "upos").toarray()  # tags in order of appearance: DET NOUN AUX PART VERB PUNCT
    assert counts[ids("The")].tolist() == [1, 0, 0, 0, 0, 0]
    assert counts[ids("run")].tolist() == [0, 1, 0, 0, 1, 0]
    assert counts[ids("don")].tolist() == [0, 0, 0, 1, 0, 0]  # the token don ends in the word n't
    assert not counts[ids("sleeps")].any()


def test_words_of_the_same_tag_share_and_the_text_that_is_left_out_is_said(treebank, context_of):
    said = []
    context = context_of(["The dogs run", "A dogs sleeps"], warn=said.append)
    ids = context.tokenizer.convert_tokens_to_ids
    found = SyntacticSmoothing(treebank=treebank, similar=3).neighbours(context)
    assert similar(found, "The", ids) == {ids("A"): 1.0}
    assert similar(found, "dogs", ids) == pytest.approx({ids("run"): 1.0})  # cos = 1/sqrt 2; nothing else has NOUN
    assert similar(found, "sleeps", ids) == {}
    assert said == [
        "syntactic-smoothing: 37.5% of the text's tokens are special or not in tiny.conllu; as targets they stay as they are"
    ]  # BOS twice and sleeps, of 8


@pytest.mark.parametrize(
    ("text", "message"),
    [("1\tThe\tthe\n", r":1: a word of CoNLL-U has 10 columns between tabs, this line has 3"), (None, r"does not exist")],
)
def test_what_is_no_treebank(tmp_path, context_of, text, message):
    path = tmp_path / "x.conllu"
    if text:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(OntogenyError, match=message):
        SyntacticSmoothing(treebank=path).loss(context_of(["a dog"]))


def test_a_slow_tokenizer_is_refused(treebank):
    with pytest.raises(OntogenyError, match=r"needs a fast tokenizer"):
        tag_counts(treebank, SimpleNamespace(is_fast=False), "upos")


@pytest.mark.real
def test_ewt_is_read_as_it_was_written(real_data):
    """Sentences put together from words are those that the treebank quotes."""
    path = real_data / "treebanks" / "UD_English-EWT" / "en_ewt-ud-dev.conllu"
    quoted = [line[9:-1] for line in path.open(encoding="utf-8") if line.startswith("# text = ")]
    assert len(quoted) == 2001
    assert [text for text, _ in sentences(path, "upos")] == quoted


def test_a_recipe_says_it():
    part = recipes.parse(tiny.RECIPE + "interventions: [{kind: syntactic-smoothing, share: 0.3, pace: fixed}]").interventions[0]
    assert part == SyntacticSmoothing(share=0.3, pace="fixed")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\tfrüh\tfrüh\n".encode("latin-1"), r":1: byte 4 is not UTF-8"),
        (b"one\ta\ta\tDET\t_\t_\t_\t_\t_\t_\n", r":1: a word of CoNLL-U begins with its number \(3, or 3-4\), not 'one'"),
    ],
)
def test_a_treebank_of_another_encoding_or_without_numbers_is_named(tmp_path, content, message):
    (tmp_path / "a.conllu").write_bytes(content)
    with pytest.raises(OntogenyError, match=rf"a\.conllu{message}"):
        list(sentences(tmp_path / "a.conllu", "upos"))
