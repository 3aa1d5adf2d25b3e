"""Knowledge and behaviour on states whose answer is known."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import tiny
import torch
from sklearn.linear_model import LogisticRegression

from ontogeny.instruments import DoesNotApply
from ontogeny.instruments.knowledge import (
    PENALTY,
    Knowledge,
    _chosen,
    _unit,
    by_verdict,
    ends_of,
    fitted,
    folds,
    grouped,
    held_out_accuracy,
    wilson,
)
from ontogeny.instruments.subject import Subject
from ontogeny.records import OntogenyError
from ontogeny.scoring import plan as plans

VERBS = [f"verb{number}" for number in range(12)]
PAIRS = [(f"a {verb} it yes", f"a {verb} it no") for verb in VERBS for _ in range(1)]


def differences(n=60, width=10, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width))


def test_the_dual_form_is_logistic_regression_without_intercept():
    d = differences() + 0.5
    unit = d / np.sqrt((d**2).sum(1).mean())
    theirs = LogisticRegression(C=1 / PENALTY / 2, fit_intercept=False, tol=1e-10).fit(
        np.vstack([unit, -unit]), [1] * 60 + [0] * 60
    )
    assert unit @ theirs.coef_[0] == pytest.approx(unit @ unit.T @ fitted(d @ d.T), rel=1e-4)


def test_inner_folds_by_one_inverse_are_those_fitted_one_by_one():
    good, noise = differences() + 1, differences(seed=1)
    groups = [str(number) for number in range(60)]
    grams = np.stack([noise @ noise.T, good @ good.T])
    assert _chosen(grams, groups, np.arange(60)) == 1
    gram = _unit(grams)[0]
    inner, inverse = folds(groups, 4), np.linalg.inv(gram + PENALTY * np.eye(60))
    held = np.flatnonzero(inner == 2)
    rest = np.flatnonzero(inner != 2)
    one_by_one = gram[np.ix_(held, rest)] @ np.linalg.solve(
        gram[np.ix_(rest, rest)] + PENALTY * np.eye(len(rest)), np.ones(len(rest))
    )
    at_once = 1 - np.linalg.solve(inverse[np.ix_(held, held)], inverse.sum(-1)[held])
    assert at_once == pytest.approx(one_by_one)


def test_a_rule_that_all_contrasts_share_is_known_and_one_sided_contrasts_are_not():
    groups = [str(number // 5) for number in range(60)]
    fold = folds(groups, 5)
    rule = differences() + np.eye(10)[0] * 4
    assert held_out_accuracy((rule @ rule.T)[None], groups, fold) > 0.95
    words = np.random.default_rng(3).normal(size=(40, 12, 200))  # each contrast has a word of its own, always on one side
    sided = np.repeat(words, 5, axis=1)
    told = [held_out_accuracy((one @ one.T)[None], groups, fold) for one in sided]
    assert np.mean(told) == pytest.approx(0.5, abs=0.08)
    apart = np.repeat(np.eye(12), 5, axis=0)
    assert held_out_accuracy((apart @ apart.T)[None], groups, fold) == 0.5  # nothing is shared: all are ties


def test_folds_keep_contrasts_whole_and_need_enough_of_them():
    groups = [*"aaabbccddee"]
    found = folds(groups, 5)
    assert {name: len({int(f) for f, g in zip(found, groups, strict=True) if g == name}) for name in groups} == dict.fromkeys(
        groups, 1
    )
    assert folds([*"aabb"], 5) is None


def test_few_contrasts_give_way_to_content_words():
    few = tiny.pairs(*PAIRS)
    assert grouped(few) == VERBS  # yes|no alone would be one group
    many = tiny.pairs(*((f"it is {word}", f"it are {word}s") for word in VERBS))
    assert len(set(grouped(many))) == 12


def test_ends_are_those_of_the_critical_region_and_of_the_sentence():
    sentences = [("a dog sleeps here", "a dog sleep here"), ("a dog sleeps", "a dog sleep")]
    tokenizer = tiny.words(*(text for pair in sentences for text in pair))
    plan = plans.make(tiny.pairs(*sentences), tokenizer, tokenizer.bos_token_id, 16)
    assert ends_of(plan, 16) == [((3, 4), (3, 4)), ((3, 3), (3, 3))]
    assert ends_of(plan, 4) == [None, ((3, 3), (3, 3))]


def test_wilsons_interval_is_that_of_the_literature():
    assert wilson(0.9, 100) == pytest.approx((0.8256, 0.9448), abs=1e-4)
    assert wilson(1.0, 50)[1] == 1.0


# --- a model that has the rule and one that says the opposite ------------------------------------------------------


class Ruled(torch.nn.Module):
    """Its last state tells whether the last word is `yes`, the good one; what it says of the two turns where rows are swapped."""

    def __init__(self, tokenizer, swapped=False, knows=True):
        super().__init__()
        self.yes, self.no = (tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
        self.size, self.swapped, self.knows = len(tokenizer), swapped, knows
        self.config = SimpleNamespace(max_position_embeddings=16)
        self.embed = torch.randn(self.size, 24, generator=torch.Generator().manual_seed(0))
        self.embed[self.yes] = self.embed[self.no]  # the words themselves do not tell

    def forward(self, input_ids, use_cache=False, output_hidden_states=False):
        first = self.embed[input_ids]
        last = first.roll(1, -1).clone()
        if self.knows:
            last[..., 0] += 8.0 * ((input_ids == self.yes).float() - (input_ids == self.no).float())
        logits = torch.zeros(*input_ids.shape, self.size)
        logits[..., self.no if self.swapped else self.yes] = 5.0
        return SimpleNamespace(logits=logits, hidden_states=(first, last))


class Told(Subject):
    """A model and pairs, without a run."""

    def __init__(self, model, plan, untrained=None):
        self.given, self.asked, self.before, self.seed, self.limited = model, plan, untrained, 0, 16
        self.context = SimpleNamespace(
            device=torch.device("cpu"),
            once=lambda key, make: make(),
            recipe=SimpleNamespace(scoring=SimpleNamespace(batch_tokens=64)),
        )

    model = property(lambda self: self.given)
    limit = property(lambda self: self.limited)

    def suites_of_two(self):
        return ["toy"]

    def plan(self, suite, most=None):
        return self.asked

    def reference(self):
        return Told(self.before or self.given, self.asked)


@pytest.fixture(scope="module")
def told():
    pairs = [(f"{verb} {way} yes", f"{verb} {way} no") for verb in VERBS for way in ("it", "him", "her", "them")]
    tokenizer = tiny.words(*(text for pair in pairs for text in pair))
    plan = plans.make(tiny.pairs(*pairs), tokenizer, tokenizer.bos_token_id, 16)
    return lambda **how: Told(Ruled(tokenizer, **how), plan, Ruled(tokenizer, knows=False))


def test_swapping_what_is_said_of_two_words_turns_behaviour_and_not_knowledge(told):
    true, swapped = (Knowledge().read(told(swapped=swapped)).row(0, named=True) for swapped in (False, True))
    assert true["know"] == swapped["know"] == 1.0 and true["untrained"] == swapped["untrained"] < 0.9
    assert true["says"] == 1.0 and swapped["says"] == 0.0
    assert true["embeddings"] == 0.5  # yes and no have one embedding
    assert true["silent"] == 0.0


def test_what_controls_tell_as_well_does_not_count_as_known(told):
    found = Knowledge().read(told(swapped=True)).row(0, named=True)
    assert found["bigrams"] == 0.5 or found["bigrams"] > 0.9  # the last bigram differs from verb to verb, or from way to way
    assert found["silent"] == float(found["know"] >= max(found[name] for name in ("embeddings", "bigrams", "untrained")) + 0.1)


def test_a_paradigm_of_too_few_contrasts_has_no_value(told):
    found = Knowledge(folds=20).read(told()).row(0, named=True)
    assert found["know"] is None and found["silent"] is None and found["groups"] == 12 and found["says"] == 1.0


def test_broken_states_and_models_without_any_are_named(told):
    subject = told()
    subject.given.embed[:] = torch.nan
    with pytest.raises(OntogenyError, match="a state of layer 0 is no finite number, in pair 0 of toy"):
        Knowledge().read(subject)
    subject = told()
    whole = subject.given.forward
    subject.given.forward = lambda input_ids, use_cache=False, **how: SimpleNamespace(logits=whole(input_ids).logits)
    with pytest.raises(DoesNotApply, match="Ruled gives no hidden states"):
        Knowledge().read(subject)


def test_verdicts_stand_beside_what_is_known():
    row = {"seed": 0, "step": 4, "embeddings": 0.5, "bigrams": 0.5, "untrained": 0.5, "groups": 9}
    known = [{"paradigm": "A", "know": 0.9, "says": 0.1, "silent": 1.0}, {"paradigm": "B", "know": 0.8, "says": 0.9, "silent": 0.0}]
    verdicts = pl.DataFrame({"paradigm": ["A", "B"], "verdict": ["entrenched", "learned"]})
    found = by_verdict({"knowledge": pl.DataFrame([row | one for one in known]), "verdicts": verdicts})
    assert found.rows[0] == ("entrenched", "1", "0.90", "0.50", "0.50", "0.50", "0.10", "1.00")
