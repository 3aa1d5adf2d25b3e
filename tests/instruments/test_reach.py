"""Reach on models whose answer is known: one that is exactly a bigram model, and one that knows what an earlier cue licenses."""

import math
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import tiny
import torch
from scipy.stats import linregress

from ontogeny.architectures.models.bigram import from_table
from ontogeny.instruments.reach import (
    ALL,
    by_paradigm,
    by_verdict,
    line,
    margins_by_reach,
    right,
    seen,
    transitions,
    turned_share,
)
from ontogeny.records import Pair
from ontogeny.scoring import plan as plans
from ontogeny.scoring.pairs import score
from ontogeny.scoring.sentences import Encoded

SENTENCES = [("the cat sees a dog", "the cat see a dog"), ("a dog sleeps", "a dog sleep"), ("the cats see", "the cats sees it")]
TOKENS, CPU = (0, 1, 2, 4), torch.device("cpu")


def asked(tokenizer, pairs, tokens=TOKENS, first=0, context=32):
    return transitions(plans.make(pairs, tokenizer, first, context), (*tokens, None), first)


def margins(model, asked):
    subject = SimpleNamespace(model=model.eval(), device=CPU, context=SimpleNamespace(recipe=SimpleNamespace(scoring=SCORING)))
    return margins_by_reach(subject, asked)


SCORING = SimpleNamespace(batch_tokens=256)


@pytest.fixture
def words():
    tokenizer = tiny.words(*(text for pair in SENTENCES for text in pair))
    return tokenizer, tiny.pairs(*SENTENCES), tokenizer.bos_token_id


def test_a_bigram_model_has_one_margin_however_far_it_sees(words):
    tokenizer, pairs, bos = words
    table = np.log(np.random.default_rng(0).dirichlet(np.ones(len(tokenizer)), size=len(tokenizer)))
    found = margins(from_table(table, 32, bos), asked(tokenizer, pairs, first=bos))
    assert found[1:] == pytest.approx(np.tile(found[-1], (len(TOKENS), 1)), abs=1e-4)
    unigram = [sum(table[bos, t] * n for sign, text in ((1, good), (-1, bad)) for t, n in counts(tokenizer, text, sign))
               for good, bad in SENTENCES]  # fmt: skip
    assert found[0] == pytest.approx(unigram, abs=1e-4)  # of k = 0, every token is predicted after BOS


def counts(tokenizer, text, sign):
    return [(token, sign) for token in tokenizer(text, add_special_tokens=False)["input_ids"]]


def test_all_that_stands_before_gives_the_margins_of_scoring(words):
    tokenizer, pairs, bos = words
    model, plan = tiny.opt(len(tokenizer), 32), plans.make(pairs, tokenizer, bos, 32)
    scores = score(model, plan, CPU)
    found = margins(model, transitions(plan, (*TOKENS, None), bos))
    assert found[-1] == pytest.approx((scores["logp_good"] - scores["logp_bad"]).to_numpy(), abs=1e-4)
    assert found[-2] != pytest.approx(found[1], abs=1e-3)  # a transformer of random weights does look back


class Cued(torch.nn.Module):
    """Where it sees `that`, the last word is `a`, where it sees `this`, `b`; where neither, `a` in the share rho."""

    def __init__(self, tokenizer, rho):
        super().__init__()
        self.rho, self.ids, self.config = (
            rho,
            {word: tokenizer.convert_tokens_to_ids(word) for word in ["that", "this", "a", "b"]},
            None,
        )
        self.size = len(tokenizer)

    def forward(self, input_ids, use_cache=False):
        said = (input_ids == self.ids["that"]).cumsum(1) > 0, (input_ids == self.ids["this"]).cumsum(1) > 0
        p = torch.where(said[0], 0.99, torch.where(said[1], 0.01, self.rho)).double()
        logits = torch.full((*input_ids.shape, self.size), -50.0, dtype=torch.float64)
        logits[..., self.ids["a"]], logits[..., self.ids["b"]] = p.log(), (1 - p).log()
        return SimpleNamespace(logits=logits.float())


def test_without_the_cue_the_margin_is_the_log_odds_of_the_prior():
    rho, sentences = 0.8, [("that is not a", "that is not b"), ("this is not b", "this is not a")]
    tokenizer = tiny.words(*(text for pair in sentences for text in pair))
    found = margins(Cued(tokenizer, rho), asked(tokenizer, tiny.pairs(*sentences), (1, 2, 4), tokenizer.bos_token_id))
    prior, sure = math.log(rho / (1 - rho)), math.log(99)
    assert found == pytest.approx(np.array([[prior, -prior], [prior, -prior], [sure, sure], [sure, sure]]), abs=1e-3)
    assert turned_share(found[0], found[-1]) == 1.0 and turned_share(-found[0], -found[-1]) == 0.0  # rescued, none spoiled


def test_transitions_that_both_sentences_have_are_not_asked_for(words):
    tokenizer, pairs, bos = words
    found = asked(tokenizer, pairs[:1], (1,), bos)
    # k = 1: cat -> sees, cat -> see, sees -> a, see -> a; all: those after "the cat" to the end
    assert found.spans == ("1", ALL) and (found.row == 0).sum() == 4 and (found.row == 1).sum() == 6


def test_what_is_seen_keeps_the_first_token_and_counts_back():
    sentence = Encoded((9, 1, 2, 3), 1, "")
    assert list(seen(sentence, 1, 1)) == [(9, 1), (9, 1, 2), (9, 2, 3)]
    assert list(seen(sentence, 1, 0)) == [(9, 1), (9, 2), (9, 3)]
    assert list(seen(Encoded((1, 2, 3), 0, ""), 0, 1)) == [(1, 2), (2, 3)]


def test_without_a_first_token_nothing_is_asked_of_no_context(words):
    tokenizer, pairs, _ = words
    assert asked(tokenizer, pairs, (0, 1), None).spans == ("1", ALL)


def test_shares_count_a_tie_as_half_and_have_no_value_of_nothing():
    assert right(np.array([1.0, -1.0, 0.0, 2.0])) == 0.625
    assert turned_share(np.array([-1.0, -1.0, 1.0]), np.array([1.0, -1.0, -1.0])) == 0.5
    assert turned_share(np.array([1.0]), np.array([-1.0])) is None


def test_the_line_on_bigrams_is_least_squares():
    x, y = np.random.default_rng(1).normal(size=(2, 20))
    expected = linregress(x, y)
    assert line(x, y) == pytest.approx((expected.slope, expected.rvalue))
    assert line(np.ones(20), y) == (None, None)


def test_paradigms_are_told_apart():
    plan = SimpleNamespace(pairs=[Pair(name, str(i), "g", "b") for i, name in enumerate("ABA")])
    assert {name: which.tolist() for name, which in by_paradigm(plan).items()} == {"": [0, 1, 2], "A": [0, 2], "B": [1]}


def test_verdicts_stand_beside_what_context_turns():
    row = {"seed": 0, "step": 4, "context": 1.0, "rescue": 0.5, "spoiled": None}
    frame = pl.DataFrame(
        [row | {"paradigm": name, "k": k, "accuracy": value} for name, value in (("A", 0.25), ("B", 0.75)) for k in ("1", ALL)]
    )
    verdicts = pl.DataFrame({"paradigm": ["A", "B"], "verdict": ["entrenched", "learned"]})
    found = by_verdict({"reach": frame, "verdicts": verdicts})
    assert found.rows == (("entrenched", "1", "0.25", "0.25", "0.50", ""), ("learned", "1", "0.75", "0.75", "0.50", ""))
    assert by_verdict({"reach": frame}) is None
