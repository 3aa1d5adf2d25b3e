"""In which order a sorted text is read."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from ontogeny import recipe as recipes
from ontogeny.interventions import streams
from ontogeny.interventions.curriculum import Curriculum, _surprisal
from ontogeny.recipe import Recipe
from ontogeny.records import Document, OntogenyError

TEXT = ("a b c d", "a a", "d", "b a c", "a b", "e")
IN_ORDER = {"training": {"order": "text"}}
SOURCES = [Document(f"a {n}", source, n) for n, source in enumerate(["wiki.txt", "x/CHILDES.train", "wiki.txt", "books.txt"], 1)]


def read(context_of, part, documents=TEXT):
    documents = [d if isinstance(d, Document) else Document(d, "test", n) for n, d in enumerate(documents, 1)]
    context = context_of(documents, **IN_ORDER)
    return [document.text for document in part.apply(iter(documents), context)]


def test_by_length_short_documents_come_first_and_ties_keep_their_order(context_of):
    assert read(context_of, Curriculum(by="length")) == ["d", "e", "a a", "a b", "b a c", "a b c d"]


def test_descending_keeps_the_order_of_ties_and_reverse_turns_it(context_of):
    assert read(context_of, Curriculum(by="length", descending=True)) == ["a b c d", "b a c", "a a", "a b", "d", "e"]
    assert read(context_of, Curriculum(by="length", reverse=True)) == ["a b c d", "b a c", "a b", "a a", "e", "d"]


def test_by_frequency_the_mean_log_frequency_of_the_words_decides(context_of):
    # a occurs 5 times, b 3, c and d 2, e once; in text order log 60 / 4 = 1.024, log 5 = 1.609, .693, log 30 / 3 = 1.134, 1.354, 0
    ascending = ["e", "d", "a b c d", "b a c", "a b", "a a"]
    assert read(context_of, Curriculum(by="frequency")) == ascending
    assert read(context_of, Curriculum(by="frequency", descending=True)) == ascending[::-1]
    assert read(context_of, Curriculum(by="frequency", descending=True), ["B", "b", "a"]) == ["B", "b", "a"]  # B is b


def test_by_source_the_first_glob_that_matches_decides(context_of):
    assert read(context_of, Curriculum(by="source", sources=["*childes*", "book*", "*"]), SOURCES) == ["a 2", "a 4", "a 1", "a 3"]


def test_child_directed_speech_comes_first_and_the_rest_stays(context_of):
    assert read(context_of, Curriculum(by="child-directed"), SOURCES) == ["a 2", "a 1", "a 3", "a 4"]
    assert read(context_of, Curriculum(by="child-directed", child_directed="w*"), SOURCES) == ["a 1", "a 3", "a 2", "a 4"]


@pytest.mark.parametrize("bos", [True, False])
def test_surprisal_is_the_mean_of_what_the_bigram_model_gives_each_token(context_of, bos):
    context = context_of(TEXT, bos=bos, **IN_ORDER)
    model = context.bigrams()
    expected = []
    for text in TEXT:
        ids = ([context.first] if bos else []) + context.tokenizer(text, add_special_tokens=False)["input_ids"]
        p = [model.distribution(np.array([[ids[n - 1] if n else -1]]), 2)[0, ids[n]] for n in range(bos, len(ids))]
        expected.append(-np.log2(p).mean())
    for chunk in (2, 100):
        found = _surprisal(Curriculum(by="surprisal"), TEXT, context, chunk)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_by_surprisal_what_the_bigrams_expect_comes_first(context_of):
    documents = ["z y x", *["a b"] * 5, "b a"]
    out = read(context_of, Curriculum(by="surprisal"), documents)
    assert out[:5] == ["a b"] * 5
    assert out == read(context_of, Curriculum(by="surprisal", reverse=True), documents)[::-1]


def test_noise_is_the_seed_s_and_from_none_to_a_shuffle(context_of):
    keys = np.arange(1000.0)

    def order(noise, seed=0):
        return Curriculum(by="length", noise=noise, seed=seed).order(keys, np.random.default_rng(seed))

    assert (order(0.5) == order(0.5)).all()
    assert (order(0.5) != order(0.5, seed=1)).any()
    moved = [np.abs(np.argsort(order(noise)) - keys).mean() for noise in (0, 0.01, 0.5, 1)]
    assert moved[0] == 0
    assert moved[1] < 10  # at most noise / (1 - noise) of the way either side
    assert moved == sorted(moved)
    assert abs(moved[3] - 1000 / 3) < 20  # two uniform numbers lie a third apart in the mean


@given(
    st.lists(st.integers(0, 3), max_size=20),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 0.3, 1]),
)
def test_an_order_is_a_permutation_and_reverse_its_mirror(keys, descending, reverse, noise):
    part = Curriculum(by="length", descending=descending, reverse=reverse, noise=noise)
    order = part.order(np.array(keys, dtype=float), np.random.default_rng(0)).tolist()
    assert sorted(order) == list(range(len(keys)))
    if not noise:
        sign = -1 if descending else 1
        expected = sorted(range(len(keys)), key=lambda n: sign * keys[n])  # Python's sort is stable
        assert order == (expected[::-1] if reverse else expected)


@pytest.mark.parametrize("settings", [{"by": "length"}, {"by": "frequency", "noise": 0.5}, {"by": "surprisal", "reverse": True}])
def test_a_run_reads_every_document_in_the_new_order(context_of, settings):
    context = context_of(TEXT, interventions=[{"kind": "curriculum", **settings}], **IN_ORDER)
    (stream,) = streams(context, lambda: tiny.documents(*TEXT))
    text = context.tokenizer.decode(stream.text.ids).split("</s>")[1:]
    assert Counter(map(str.strip, text)) == Counter(TEXT)
    assert text != list(TEXT)
    assert sorted(stream.text.documents["line"].tolist()) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("settings", "documents", "said"),
    [
        ({"by": "source", "sources": ["wiki*", "*childes*"]}, SOURCES, "source 'books.txt' matches none of sources; .*'[*]'"),
        ({"by": "child-directed"}, TEXT, r"none of the sources matches \*childes\*, .* the text has test"),
        ({"by": "child-directed", "child_directed": "*"}, SOURCES, "every one of the sources matches"),
    ],
)
def test_sources_and_globs_must_fit(context_of, settings, documents, said):
    with pytest.raises(OntogenyError, match=said):
        read(context_of, Curriculum(**settings), documents)


def test_a_training_that_shuffles_is_refused(context_of):
    with pytest.raises(OntogenyError, match=r"training.order is shuffled, which would undo it; set training.order: text"):
        list(Curriculum(by="length").apply(iter(tiny.documents(*TEXT)), context_of(TEXT)))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("by: source", "needs sources"),
        ("by: length, sources: [a]", "set by: source"),
        ("by: lenght", "'length', 'frequency'"),
        ("by: length, noise: 2", "less than or equal to 1"),
    ],
)
def test_bad_settings_are_named(settings, said):
    with pytest.raises(OntogenyError, match=said):
        recipes.parse(f"{tiny.RECIPE}\ninterventions:\n  - {{kind: curriculum, {settings}}}\n")


PAGE = Path(__file__).parents[2] / "docs" / "interventions" / "text.md"


def test_the_recipes_of_the_page_are_valid():
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    plain = YAML(typ="safe")
    parts = [part for block in blocks for part in Recipe.model_validate(plain.load(tiny.RECIPE) | plain.load(block)).interventions]
    assert {part.kind for part in parts} == {
        *("filter", "random-drop", "inject", "curriculum", "bigram-surrogate", "counter-evidence", "pre-pretrain", "closed-loop")
    }
