"""Probes: codes whose length is known, states that hold a label, and a treebank as a model's tokens."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from sklearn.linear_model import LogisticRegression

from ontogeny.instruments import DoesNotApply
from ontogeny.instruments.parsed import parsed_text, word_states
from ontogeny.instruments.probes import (
    PENALTY,
    LayerStates,
    Probe,
    Probes,
    Turned,
    by_frequency,
    code_of,
    ends_of,
    standardised,
)
from ontogeny.instruments.subject import Subject
from ontogeny.records import OntogenyError


def labelled(n=2000, classes=4, width=12, strength=0.0, seed=0):
    """States and labels; `strength` is how far the states of each label are from the others'."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    states = rng.normal(size=(n, width)) + strength * np.eye(classes, width)[labels]
    return states.astype(np.float32), labels


def coded(states, labels, classes=4):
    return code_of(labels, classes, Probe(LayerStates(states).turned(np.arange(len(labels))), labels, classes).predict)


def test_states_that_hold_the_label_shorten_its_code_and_others_give_the_uniform_one():
    held, free = coded(*labelled(strength=8)), coded(*labelled())
    assert held.compression > 15 and held.accuracy > 0.999
    assert held.bits == pytest.approx(2 / held.compression)
    assert 0.9 < free.compression < 1 and free.accuracy == pytest.approx(0.25, abs=0.05)


def test_labels_of_one_coordinates_sign_are_coded_in_few_bits():
    states, _ = labelled()
    assert coded(states, (states[:, 3] > 0).astype(int), 2).compression > 7


def test_the_code_by_frequencies_is_that_on_paper():
    labels = np.array([0, 0, 1, 0] * 250)
    found = code_of(labels, 2, lambda begin, end: by_frequency(labels, 2, begin, end))
    bits = float(ends_of(1000)[0])  # one bit a word
    for begin, end in pairwise(ends_of(1000)):
        share = (labels[:begin].sum() + 1) / (begin + 2)
        ones = labels[begin:end].sum()
        bits -= ones * np.log2(share) + (end - begin - ones) * np.log2(1 - share)
    assert found.bits == pytest.approx(bits / 1000)
    assert found.accuracy == 0.75 and found.late == pytest.approx(0.8113, abs=1e-3)


def test_the_code_is_that_of_logistic_regressions_fitted_one_by_one():
    states, labels = labelled(n=1500, strength=1.5)
    unit = standardised(states)
    ends = ends_of(len(labels))
    bits = ends[0] * 2.0
    for begin, end in pairwise(ends):
        logps = np.full((end - begin, 4), -np.inf)
        seen = np.unique(labels[:begin])
        if len(seen) < 4:  # theirs knows no label that it has not seen; ours gives it what the penalty leaves
            logps = Probe(Turned(unit), labels, 4).predict(begin, end)
        else:
            theirs = LogisticRegression(C=1 / PENALTY, fit_intercept=False, tol=1e-8, max_iter=2000).fit(
                unit[:begin], labels[:begin]
            )
            logps = theirs.predict_log_proba(unit[begin:end])
        bits -= logps[np.arange(end - begin), labels[begin:end]].sum() / np.log(2)
    assert coded(states, labels).bits == pytest.approx(bits / len(labels), rel=2e-3)


def test_states_that_do_not_vary_have_no_code():
    assert standardised(np.full((50, 3), 2.5, dtype=np.float32)) is None
    one = np.hstack([np.full((50, 3), 2.5), np.arange(50.0)[:, None]]).astype(np.float32)
    assert standardised(one).shape == (50, 2)  # the coordinate that varies, and the constant


# --- a treebank as tokens ------------------------------------------------------------------------------------------


class Told(Subject):
    """A model and its tokenizer, without a run."""

    def __init__(self, model, tokenizer, reference=None):
        self.given, self.coded, self.before, self.seed = model, tokenizer, reference, 0
        kept = {}

        def once(key, make):
            if key not in kept:
                kept[key] = make()
            return kept[key]

        self.context = SimpleNamespace(
            device=torch.device("cpu"),
            limit=None,
            once=once,
            recipe=SimpleNamespace(bos=True, scoring=SimpleNamespace(leading_space=False)),
        )

    model = property(lambda self: self.given)
    tokenizer = property(lambda self: self.coded)

    def parsed(self, path, option, words):
        return self.context.once("parsed", lambda: parsed_text(self, path, option, words))

    def reference(self):
        return Told(self.before or self.given, self.coded)


@pytest.fixture
def told(tmp_path):
    tokenizer = tiny.words("the", *tiny.NOUNS, *tiny.VERBS)
    return Told(tiny.opt(len(tokenizer), 16), tokenizer), tiny.treebank(tmp_path)


def test_words_are_found_in_the_tokens_that_hold_them(told):
    subject, path = told
    text = subject.parsed(path, "treebank", 100)
    assert 100 <= len(text.words) <= 102 and len(text.tokens) == len(text.places)
    for sentence, ids, places in zip(text.sentences, text.tokens, text.places, strict=True):
        assert ids[0] == subject.first
        words = subject.tokenizer.convert_ids_to_tokens(ids)
        if " " in sentence.text[4:]:
            assert [words[last] for _, last in places] == [word.form for word in sentence.words]
        else:  # the word tokenizer has one token for both
            assert places.tolist() == [[1, 1], [2, 2], [2, 2]]
    (zero, embedded), (one, last) = word_states(subject, text, 7)
    assert (zero, one) == (0, 1) and embedded.shape == last.shape == (len(text.words), 16)
    ids = torch.tensor([text.tokens[0]])
    assert last[:3] == pytest.approx(subject.hidden(ids)[-1][0, text.places[0][:, 1]].detach().numpy(), abs=1e-5)


def test_tags_are_told_by_the_states_and_the_table_is_the_same_twice(told):
    subject, path = told
    instrument = Probes(treebank=path, words=300)
    found = instrument.read(subject)
    assert found["task"].unique(maintain_order=True).to_list() == ["part of speech", "next part of speech", "relation"]
    tag = found.row(0, named=True)
    assert tag["compression"] > tag["frequencies"] + 0.5 and tag["compression"] == tag["untrained"]
    assert tag["common"] > 0.7 and tag["classes"] == 3 and tag["n"] == 300
    assert found.equals(instrument.read(subject))


def test_no_treebank_says_how_to_give_one():
    with pytest.raises(OntogenyError, match=r"the instrument probes reads a treebank and was given none: .*--set treebank=FILE"):
        Probes().contents()


def test_a_treebank_that_bears_no_labels_is_named(told, tmp_path):
    subject, _ = told
    path = tmp_path / "bare.conllu"
    path.write_text("1\tthe\t_\t_\t_\t_\t_\t_\t_\t_\n", encoding="utf-8")
    with pytest.raises(OntogenyError, match="1 words that were read bear no labels"):
        Probes(treebank=path).read(subject)


def test_a_state_that_is_no_number_is_named_with_layer_and_sentence(told):
    subject, path = told
    with torch.no_grad():
        subject.model.model.decoder.layers[0].fc2.bias.fill_(torch.nan)
    with pytest.raises(OntogenyError, match=r"a state of layer 1 is no finite number, in the sentence at .*tiny\.conllu:\d+"):
        Probes(treebank=path).read(subject)


def test_sentences_that_the_context_cannot_hold_are_left_out(told):
    subject, path = told
    subject.context.limit = 3
    subject.given.config.max_position_embeddings = 3
    text = parsed_text(subject, path, "treebank", 10_000)
    assert {len(ids) for ids in text.tokens} == {3}
    subject.context.limit = subject.given.config.max_position_embeddings = 2
    with pytest.raises(OntogenyError, match="has no sentence of 2 tokens or fewer"):
        parsed_text(subject, path, "treebank", 10_000)


def test_a_constant_layer_has_no_value(told):
    subject, path = told
    with torch.no_grad():
        for parameter in subject.model.parameters():
            parameter.zero_()
    found = Probes(treebank=path, words=300).read(subject)
    assert found["compression"].is_null().all() and found["frequencies"].is_not_null().all()


def test_a_model_without_hidden_states_is_named(told):
    subject, path = told
    subject.given.hidden = None
    subject.hidden = lambda ids: (_ for _ in ()).throw(DoesNotApply("it gives no hidden states"))
    with pytest.raises(DoesNotApply):
        Probes(treebank=path).read(subject)
