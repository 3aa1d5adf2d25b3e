"""Which documents are read more often, and how much of the text they are."""

from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from ontogeny import disk
from ontogeny.interventions import counter_evidence
from ontogeny.interventions.closed_loop import ClosedLoop
from ontogeny.interventions.context_weight import ContextWeight
from ontogeny.interventions.counter_evidence import CounterEvidence, met_in
from ontogeny.records import OntogenyError, Pair
from ontogeny.suites import held_out
from ontogeny.training.treatment import batch_loss

# `guessed that` is what bigrams have; `guessed who` stands three times, once where `oh` far before it foretells it
WRONG, RIGHT, FORETOLD, OTHER = "we guessed that it ran", "we guessed who ran off", "oh we guessed who ran", "a dog sees a cat"
TEXT = [*[WRONG] * 8, *[RIGHT] * 2, FORETOLD, *[OTHER] * 40]
PAIRS = [Pair("wh", "1", "we guessed who ran", "we guessed that ran"), Pair("wh", "2", "a dog", "a cat")]
OTHERS = [Pair("other", "1", "we guessed who ran", "we guessed that ran"), Pair("right", "1", "we guessed", "we dog")]


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
    one, *others = met_in(context, ["wh"], 20, False, "k")
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


def test_a_document_with_eight_words_of_a_suite_is_refused_with_its_line(context_of, monkeypatch):
    monkeypatch.setattr(counter_evidence, "asked", lambda folder, context, kind: Foretells(context.tokenizer))
    suites = "oh we guessed who ran off and then she slept"
    said, pairs = [], [*PAIRS, Pair("long", "1", f"So {suites}.", "no")]
    context = context_of([*TEXT, suites], pairs=pairs, warn=said.append)
    found = CounterEvidence(alarms=("wh",), reference="R", share=0.5).edit(context)
    again = found.changes["text"].to_list()
    assert not any("slept" in text for text in again) and any(text.endswith(FORETOLD) for text in again)
    assert found.facts["refused"] == ["test:52 has 'oh we guessed who ran off and then', which stands in long"]
    assert said == [f"documents with 8 words in a row of a suite are not read again, 1 of them: {found.facts['refused'][0]}"]


def test_where_bigrams_are_right_there_is_nothing_to_speak_against(context_of):
    context = context_of([RIGHT] * 5, pairs=PAIRS[:1])
    with pytest.raises(OntogenyError, match="bigrams prefer no wrong word in wh"):
        CounterEvidence(alarms=("wh",), reference="R").edit(context)


def test_words_that_are_held_out_meet_nobody(context_of):
    pairs = [
        Pair("wh", str(number), f"{verb} who", f"{verb} that")
        for number, verb in enumerate(["guessed", "said", "knew", "saw", "heard", "asked", "told"])
    ]
    context = context_of([pair.bad for pair in pairs] * 4 + [pair.good for pair in pairs], pairs=pairs)
    met = [context.tokenizer.convert_ids_to_tokens(one.before) for one in met_in(context, ["wh"], 20, True, "k")]
    shown = [pair.good.split()[0] for pair in pairs if not held_out(pair.good, pair.bad)]
    assert sorted(met) == sorted(shown) and 0 < len(shown) < len(pairs)


def test_the_twin_on_the_objective_weighs_places_after_those_tokens_alone(edited):
    context, _ = edited
    loss = ContextWeight(strength=2, alarms=("wh",)).loss(context)
    guessed, dog, who = context.tokenizer.convert_tokens_to_ids(["guessed", "dog", "who"])
    assert loss.after.nonzero().flatten().tolist() == [guessed]
    inputs, sure = torch.tensor([[guessed, dog]]), torch.full((1, 2, len(context.tokenizer)), -30.0)
    sure[..., who] = 0  # KL = -log p2(who | before)
    nats = -torch.log(torch.tensor(context.bigrams().distribution(np.array([[guessed]]), 2)[0, who]))
    assert loss.weights(inputs, sure)[0].tolist() == pytest.approx([1 + 2 * min(float(nats), 3), 1])


# --- closed loop ----------------------------------------------------------------------------------------------------


@pytest.fixture
def hearing(context_of, monkeypatch):
    """hearing(stood, said): the ground of a training at whose checkpoints these alarms stand."""

    def make(stood, said):
        training, off = {"unit": "document", "context": 8}, {"beside": "off"}
        context = context_of(TEXT, pairs=[*PAIRS, *OTHERS], warn=said.append, scoring=off, training=training)
        monkeypatch.setattr(type(context.folder), "steps", lambda self, seed: sorted(stood))
        return replace(context, listen=lambda seed, finished, moments, paradigms, alpha: lambda step, steps: stood[step])

    return make


@pytest.fixture
def looped(hearing, monkeypatch):
    """looped(stood, **settings): what a training of ten steps reads at each, given which alarms stand at checkpoints."""
    monkeypatch.setattr(counter_evidence, "asked", lambda folder, context, kind: Foretells(context.tokenizer))
    monkeypatch.setattr(counter_evidence, "hashes", lambda folders: [])

    def make(stood, alarms=("wh", "other"), **settings):
        context = hearing(stood, make.said)
        part = ClosedLoop(alarms=alarms, reference="R", finished=("F",), share=0.02, **settings)
        change, plain = part.change(context, 0), object()
        read = [change.rows(plain, step, 10) for step in range(10)]
        return context, [None if rows is plain else rows for rows in read]

    make.said = []
    return make


def texts_of(context, rows):
    return [context.tokenizer.decode([i for i in row[1:] if i >= 0 and i != context.first]) for row in rows.take(range(len(rows)))]


def test_the_loop_reads_counter_evidence_from_the_checkpoint_at_which_an_alarm_stands_until_none_does(looped):
    context, read = looped({0: [], 2: ["wh"], 4: [], 6: ["wh"], 9: ["wh"]})
    assert [rows is not None for rows in read] == [False, False, True, True, False, False, True, True, False, False]
    assert read[2] is read[6] and texts_of(context, read[2]).count(FORETOLD) == 2
    kept = disk.read_json(context.folder.loop(0))
    assert [(row["step"], row["alarms"], row["answered"]) for row in kept] == [
        (2, ["wh"], ["wh"]),
        (4, [], []),
        (6, ["wh"], ["wh"]),
    ]


def test_the_control_reads_for_paradigms_of_which_no_alarm_stands(looped):
    context, read = looped({0: [], 2: ["other"], 4: ["wh", "other"]}, answers="others")
    assert texts_of(context, read[2]).count(FORETOLD) == 2 and read[4] is None
    assert disk.read_json(context.folder.loop(0))[0]["answered"] == ["wh"]


def test_an_alarm_that_the_text_has_nothing_for_is_said_and_training_goes_on(looped):
    _, read = looped({0: [], 2: ["right"]}, alarms=("right",))
    assert read == [None] * 10 and looped.said == [
        "seed 0 reads on as it did: counter-evidence: bigrams prefer no wrong word in right; nothing speaks against them"
    ]


def test_the_twin_weighs_places_while_an_alarm_stands_and_is_plain_before_between_and_after(hearing):
    said = []
    context = hearing({0: [], 2: ["wh"], 4: [], 6: ["right"], 7: ["wh", "right"], 9: ["wh"]}, said)
    loss = ContextWeight(strength=2, alarms=("wh", "right"), finished=("F",)).loss(context)
    guessed = context.tokenizer.convert_tokens_to_ids("guessed")
    counted, tokens = [], torch.tensor([context.tokenizer.encode(FORETOLD)])
    network = Foretells(context.tokenizer)
    for step in range(10):
        loss.at(step, 10)
        counted.append(loss.after.nonzero().flatten().tolist())
        plain = torch.equal(loss(network, tokens, nullcontext), batch_loss(network, tokens, nullcontext))
        assert plain == (not counted[-1])
    assert counted == [[], [], [guessed], [guessed], [], [], [], [guessed], [], []]  # after .8 it is plain
    kept = [(row["step"], row["alarms"]) for row in disk.read_json(context.folder.loop(0))]
    assert kept == [(2, ["wh"]), (4, []), (6, ["right"]), (7, ["wh", "right"])]
    assert said == [
        "seed 0 weighs on as it did: context-weight: bigrams prefer no wrong word in right; nothing speaks against them"
    ]


def test_the_twin_says_what_keeps_it_from_hearing(context_of):
    with pytest.raises(OntogenyError, match=r"context-weight hears of a checkpoint .* set scoring: \{beside: off\}"):
        ContextWeight(alarms=("wh",), finished=("F",)).loss(context_of(TEXT, pairs=PAIRS))
    with pytest.raises(ValueError, match="no paradigm in alarms to be warned of"):
        ContextWeight(finished=("F",))
    with pytest.raises(ValueError, match="has alpha, until, which are about warnings; name the runs to be warned by in finished"):
        ContextWeight(alarms=("wh",), alpha=0.05, until=0.5)


def test_a_loop_says_what_keeps_it_from_hearing(context_of):
    part = ClosedLoop(alarms=("wh",), reference="R", finished=("F",))
    with pytest.raises(OntogenyError, match=r"set scoring: \{beside: off\}"):
        part.change(context_of(TEXT, pairs=PAIRS), 0)
    with pytest.raises(OntogenyError, match="alarms are heard of within a run's folder"):
        part.change(context_of(TEXT, pairs=PAIRS, scoring={"beside": "off"}), 0)
    edit = [{"kind": "random-drop", "like": {"kind": "filter", "ngrams": ["a dog"]}}]
    with pytest.raises(OntogenyError, match="of the untouched text; leave random-drop out"):
        part.change(context_of(TEXT, pairs=PAIRS, interventions=edit, scoring={"beside": "off"}), 0)
    with pytest.raises(ValueError, match=r"has 1\.5; moments are shares of training"):
        ClosedLoop(alarms=("wh",), reference="R", finished=("F",), at=(1.5,))
