"""Words whose cost, age and likeness to nonwords are known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from scipy.special import expit

from ontogeny.instruments.asked import Reads, in_texts
from ontogeny.instruments.nonwords import Decisions, Spelling, nonwords
from ontogeny.instruments.parsed import parsed_text
from ontogeny.instruments.segmentation import f1, without_spaces
from ontogeny.instruments.words import AGES, FALL, FREQUENCY, WORD, Sorted, WordKnowledge, acquired, by_speech, plain
from ontogeny.pages.panel import Clock

STEPS = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024], dtype=float)
FORMS = ["stone", "stain", "train", "brain", "strain", "drone", "crane", "trace", "grace", "brace", "place", "plane", "slate"]


def falling(halfway, lowest=2.0, nothing=8.0, rate=4.0):
    return lowest + (nothing - lowest) * expit(-rate * (np.log10(np.maximum(STEPS, 1)) - math.log10(halfway)))


def test_a_curve_that_falls_as_a_sigmoid_is_acquired_halfway():
    age, lowest, there = acquired(STEPS, falling(40.0), 8.0)
    assert age == pytest.approx(40, rel=0.02) and lowest == pytest.approx(2, abs=0.05) and there
    noisy = falling(40.0) + np.random.default_rng(0).normal(size=len(STEPS)) * 0.1
    assert acquired(STEPS, noisy, 8.0)[0] == pytest.approx(40, rel=0.2)


def test_what_hardly_falls_or_is_halfway_after_the_end_is_not_acquired():
    assert acquired(STEPS, np.full(len(STEPS), 8.0), 8.0)[0] is None
    assert not acquired(STEPS, falling(40.0, lowest=8.0 - FALL / 2), 8.0)[2]
    assert acquired(STEPS, falling(10_000.0), 8.0)[0] is None
    assert acquired(STEPS[:3], falling(1.0)[:3], 8.0)[0] is None  # too few checkpoints


def test_ages_are_folded_over_checkpoints_and_seeds():
    import polars as pl

    rows = [
        (seed, int(step), WORD, label, nats, 8.0, None, None, 12)
        for seed in (0, 1)
        for label, halfway in (("early", 8.0), ("late", 200.0))
        for step, nats in zip(STEPS, falling(halfway), strict=True)
    ]
    table = pl.DataFrame(rows, ["seed", "step", *WordKnowledge().columns], orient="row")
    ages = WordKnowledge().fold(table, Clock())["ages"]
    assert dict(ages.schema) == AGES and ages["label"].to_list() == ["early", "late"] * 2 and ages["acquired"].all()


def test_nonwords_are_as_long_and_as_likely_and_no_words():
    forms = [a + b for a in FORMS for b in ("", "s", "d", "y")]
    found = nonwords(FORMS, set(forms), forms)
    spelling = Spelling(forms)
    assert found and len({nonword for nonword, _ in found.values()}) == len(found)
    for word, (nonword, preferred) in found.items():
        assert len(word) == len(nonword) and nonword not in forms and spelling.of(nonword) > -math.inf
        gap = spelling.of(word) - spelling.of(nonword)
        assert preferred == (0.5 if gap == 0 else float(gap > 0))
    assert np.mean([abs(spelling.of(w) - spelling.of(n)) for w, (n, _) in found.items()]) < 2


def test_trigrams_are_counted_as_on_paper():
    spelling = Spelling(["ab", "ac"])
    assert spelling.of("ab") == pytest.approx(math.log(0.5)) and spelling.of("bb") == -math.inf


def test_a_model_that_knows_letters_of_words_prefers_them():
    tokenizer = tiny.words("stone blorp")
    how = Reads(tokenizer, tokenizer.bos_token_id)
    trial = Decisions.of({"stone": "rare"}, {"stone": ("blorp", 0.0)}, how)
    for better, share in (("stone", 1.0), ("blorp", 0.0)):
        likes = tokenizer.convert_tokens_to_ids(better)
        subject = SimpleNamespace(logps=lambda sentences, t=likes: np.array([0.0 if ids[-1] == t else -1.0 for ids in sentences]))
        assert [row[4] for row in trial.rows(subject)] == [share]


def test_words_are_sorted_by_what_they_are_and_rare_kinds_have_no_value():
    tokenizer = tiny.words("a b c")
    asked = in_texts(["a b"] * 12 + ["c"], Reads(tokenizer, tokenizer.bos_token_id))
    labels = np.array([*["A", "B"] * 12, "C"])
    nats = np.where(labels == "A", 2.0, 3.0)
    rows = list(Sorted(asked, ((FREQUENCY, labels),)).rows(nats, 5.0))
    assert [(row[1], row[2], row[3], row[-1]) for row in rows] == [("A", 2.0, 5.0, 12), ("B", 3.0, 5.0, 12)]


def test_plain_words_have_no_punctuation_around_them():
    assert [plain(word) for word in ("Dog's,", "--", "“Yes!”", "e.g.")] == ["dog's", "", "yes", "e.g"]


def subject_of(tokenizer, limit=64):
    """Nothing but a tokenizer."""
    recipe = SimpleNamespace(scoring=SimpleNamespace(leading_space=False))
    context = SimpleNamespace(once=lambda key, make: make(), recipe=recipe)
    return SimpleNamespace(tokenizer=tokenizer, first=tokenizer.bos_token_id, limit=limit, context=context)


def test_words_of_a_treebank_that_share_a_token_have_no_part_of_speech(tmp_path):
    path = tiny.treebank(tmp_path)
    tokenizer = tiny.words("the", *(a + b for a in tiny.NOUNS for b in tiny.VERBS), *tiny.NOUNS, *tiny.VERBS)
    text = parsed_text(subject_of(tokenizer), path, "words.treebank", 90)
    group = by_speech(text, Reads(tokenizer, tokenizer.bos_token_id))
    ((_, labels),) = group.labels
    joined = sum(sentence.words[1].end == sentence.words[2].start for sentence in text.sentences)
    assert 0 < joined == (labels == "").sum() / 2 and set(labels) == {"", "DET", "NOUN", "VERB"}
    assert np.isnan(group.asked.surprisals(-np.ones(group.asked.sentences.lengths.sum()))).sum() == 2 * joined


def test_only_models_of_characters_without_spaces_are_asked_where_words_begin(tmp_path):
    from ontogeny.tokens.trained import Character

    path = tiny.treebank(tmp_path)
    letters = Character().make(tiny.documents("the" + "".join((*tiny.NOUNS, *tiny.VERBS))))
    how = Reads(letters, letters.bos_token_id)
    text = parsed_text(subject_of(letters), path, "words.treebank", 30)
    cut = without_spaces(text, how)
    assert cut is not None
    at = cut.asked.at
    surprisal = np.zeros(cut.asked.sentences.lengths.sum())
    surprisal[at[cut.begins & cut.inside]] = 1.0
    assert cut.row(surprisal)[4] == 1.0 and cut.row(np.zeros_like(surprisal))[4] == 0.0
    assert 0 < cut.row(surprisal)[5] < 0.5
    spaced = Character().make(tiny.documents("the dog"))
    assert without_spaces(text, Reads(spaced, spaced.bos_token_id)) is None
    assert f1(np.array([True, True, False]), np.array([True, False, False])) == pytest.approx(2 / 3)
