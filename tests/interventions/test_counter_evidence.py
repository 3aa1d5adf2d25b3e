"""Which documents are read more often, and how much of the text they are."""

from itertools import pairwise

import pytest
import torch

from ontogeny.interventions import counter_evidence
from ontogeny.interventions.counter_evidence import CounterEvidence, met_in
from ontogeny.records import OntogenyError, Pair

# `guessed that` is what bigrams have; `guessed who` stands three times, once where `oh` far before it foretells it
WRONG, RIGHT, FORETOLD, OTHER = "we guessed that it ran", "we guessed who ran off", "oh we guessed who ran", "a dog sees a cat"
TEXT = [*[WRONG] * 8, *[RIGHT] * 2, FORETOLD, *[OTHER] * 40]
PAIRS = [Pair("wh", "1", "we guessed who ran", "we guessed that ran"), Pair("wh", "2", "a dog", "a cat")]


class Foretells:
    """Says `who` after guessed if the document begins with oh."""

    def __init__(self, tokenizer):
        self.oh, self.who, self.size = (*tokenizer.convert_tokens_to_ids(["oh", "who"]), len(tokenizer))
        self.config = object()

    def to(self, device):
        return self

    def __call__(self, input_ids, use_cache):
        logits = torch.zeros(*input_ids.shape, self.size)
        logits[..., self.who] = 5.0 * (input_ids == self.oh).any()
        return type("Said", (), {"logits": logits})


@pytest.fixture
def edited(context_of, monkeypatch):
    context = context_of(TEXT, pairs=PAIRS)
    monkeypatch.setattr(counter_evidence, "asked", lambda folder, context, kind: Foretells(context.tokenizer))

    def edit(**settings):
        found = CounterEvidence(alarms=("wh",), reference="R", **settings).edit(context)
        bounds = [*found.rows["start"].astype(int).tolist(), len(found.ids)]
        texts = [context.tokenizer.decode(found.ids[a + 1 : b].tolist()) for a, b in pairwise(bounds)]
        return found, texts

    return context, edit


def test_the_meetings_are_where_bigrams_prefer_the_wrong_word(edited):
    context, _ = edited
    one, *others = met_in(context, "wh")
    assert context.tokenizer.convert_ids_to_tokens([one.before, one.good, one.bad]) == ["guessed", "who", "that"] and one.margin > 0
    assert not others  # a dog and a cat are as good


def test_the_best_documents_are_those_whose_context_foretells_the_word(edited):
    context, edit = edited
    found, texts = edit(share=0.02)
    assert texts.count(FORETOLD) == 2 and texts.count(RIGHT) == 2 and texts.count(OTHER) == 39 and texts.count(WRONG) == 8
    assert (
        len(found.ids) == len(context.text)
        and found.facts["share"] <= 0.02
        and (found.facts["added"], found.facts["removed"]) == (1, 1)
    )


def test_no_document_is_read_more_than_so_often(edited):
    _, edit = edited
    _, texts = edit(share=0.5)
    assert texts.count(FORETOLD) == 3 and texts.count(RIGHT) == 2 * 3
    assert edit(share=0.5, at_most=2)[1].count(FORETOLD) == 2


def test_the_controls_take_other_documents(edited):
    _, edit = edited
    assert edit(share=0.05, choose="wrong")[1].count(WRONG) == 10
    assert sum(edit(share=0.05, choose="random")[1].count(one) for one in (RIGHT, FORETOLD)) == 5
    assert len(edit(share=0.05, choose="any")[1]) == len(TEXT)


def test_where_bigrams_are_right_there_is_nothing_to_speak_against(context_of):
    context = context_of([RIGHT] * 5, pairs=PAIRS[:1])
    with pytest.raises(OntogenyError, match="bigrams prefer no wrong word in wh"):
        CounterEvidence(alarms=("wh",), reference="R").edit(context)
