"""The transformer built by hand: the known answer for everything that measures imitation."""

import numpy as np
import pytest
import tiny
import torch

from ontogeny.architectures.bigram import Bigram, from_ngrams
from ontogeny.architectures.models.bigram import from_table
from ontogeny.ngrams.index import build as build_index
from ontogeny.ngrams.kneser_ney import KneserNey
from ontogeny.records import OntogenyError
from ontogeny.scoring import pairs as of_pairs
from ontogeny.scoring import plan
from ontogeny.scoring.ngram_pairs import WalkedPairs
from ontogeny.tokens import token_store

LINES = ("the dog sees the cat", "the cat sees the dog", "a dog runs", "a cat runs and the dog sees the cat") * 3
PAIRS = (("the dog sees the cat", "the dog sees cat the"), ("a cat runs", "a runs cat"), ("runs a", "dog dog dog"))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tokenizer():
    return tiny.words(*LINES)


@pytest.fixture(scope="module")
def counted(tmp_path_factory, tokenizer):
    """Kneser-Ney over the lines, with BOS between them."""
    folder = tmp_path_factory.mktemp("text")
    text = token_store.write(folder, "train", tiny.documents(*LINES), tokenizer, bos=True, key="k")
    return KneserNey(build_index(folder / "index", text.ids, len(tokenizer), 2, order=2))


def test_every_prediction_is_the_row_of_the_last_token():
    table = np.log(np.random.default_rng(0).dirichlet(np.ones(9), 9))
    model, ids = from_table(table, context=8), torch.randint(0, 9, (3, 8))
    found = model(input_ids=ids).logits.log_softmax(-1).detach().numpy()
    assert found == pytest.approx(table[ids.numpy()], abs=1e-6)
    assert model(input_ids=ids, output_hidden_states=True).hidden_states[-1][0, 0].tolist() == torch.eye(9)[ids[0, 0]].tolist()


def test_it_gives_the_probabilities_of_kneser_ney(counted):
    model = from_ngrams(counted, context=16, bos=2, pad=1)
    ids = torch.arange(counted.vocabulary)[:, None]
    found = model(input_ids=ids).logits[:, 0].softmax(-1).detach().numpy()
    assert found == pytest.approx(counted.distribution(ids.numpy(), 2), abs=1e-6)


def test_it_has_the_bigrams_margins(counted, tokenizer):
    """A network's scores and a count model's, by code that shares nothing."""
    todo = plan.make(tiny.pairs(*PAIRS), tokenizer, 2, 16)
    scored = of_pairs.read(from_ngrams(counted, 16, 2, 1), todo, CPU)
    sentences = WalkedPairs(counted.index, todo)
    logps = sentences.tokens_of(sentences.logps(counted, 2))
    for side, index in (("good", todo.good), ("bad", todo.bad)):
        assert scored.frame[f"logp_{side}"].to_list() == pytest.approx([logps[i].sum() for i in index], abs=1e-5)


def test_what_never_follows_has_probability_zero():
    table = np.log(np.array([[0.5, 0.5], [1.0, 1e-300]]))
    table[1, 1] = -np.inf
    model = from_table(table, context=4)
    assert model(input_ids=torch.tensor([[1]])).logits.softmax(-1)[0, 0].tolist() == [1.0, 0.0]


def test_rows_that_are_no_distributions_are_refused():
    with pytest.raises(OntogenyError, match=r"row 1 of the bigram table is no distribution: its probabilities sum to 0\.8"):
        from_table(np.log(np.array([[0.5, 0.5], [0.4, 0.4]])))
    with pytest.raises(OntogenyError, match=r"one row and one column for each token; this one has the shape \(2, 3\)"):
        from_table(np.zeros((2, 3)))


def steps(model, count, decay=0.1):
    """A few steps of AdamW with decay, on the bigram 3 -> 4."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.5, weight_decay=decay)
    for _ in range(count):
        logits = model(input_ids=torch.tensor([[3]])).logits[:, 0]
        torch.nn.functional.cross_entropy(logits, torch.tensor([4])).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


def test_a_table_that_is_given_is_not_changed_by_training(tmp_path):
    given = from_table(np.log(np.random.default_rng(0).dirichlet(np.ones(6), 6)), context=4, bos=2, pad=1)
    given.save_pretrained(tmp_path)
    model = Bigram(folder=tmp_path).build(6, 4, 2, 1)
    steps(model, 3)
    for (name, ours), theirs in zip(model.named_parameters(), given.parameters(), strict=True):
        if "layers" not in name:  # their matrices feed nothing
            assert torch.equal(ours, theirs), name


def test_left_to_training_it_stays_a_bigram_model():
    model = Bigram().build(6, 4, 2, 1)
    ids = torch.tensor([[5, 3]])
    assert torch.allclose(model(input_ids=ids).logits.softmax(-1), torch.full((1, 2, 6), 1 / 6))
    steps(model, 5, decay=0.0)
    found = model(input_ids=ids).logits.softmax(-1)[0]
    assert torch.allclose(found[0], torch.full((6,), 1 / 6))  # nothing was seen after 5
    assert found[1].argmax() == 4
    assert torch.equal(model(input_ids=torch.tensor([[0, 1, 2, 3]])).logits[0, 3], model(input_ids=ids).logits[0, 1])


def test_a_folder_without_the_table_is_said(tmp_path):
    with pytest.raises(OntogenyError, match=r"holds no bigram model .*write one with from_ngrams"):
        Bigram(folder=tmp_path).build(6, 4, 2, 1)
    from_table(np.log(np.full((4, 4), 0.25)), context=4).save_pretrained(tmp_path)
    with pytest.raises(OntogenyError, match=r"holds a table of 4 by 4, but the tokenizer has 6 tokens"):
        Bigram(folder=tmp_path).build(6, 4, 2, 1)


def test_a_vocabulary_whose_table_is_too_large_is_refused():
    with pytest.raises(OntogenyError, match=r"a bigram table of 50,257 tokens does not fit; give the tokenizer 16,384 or fewer"):
        Bigram().build(50_257, 4, 2, 1)
