"""What a filter takes out, why, and its control of the same size."""

import json
import re
import sys

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from ontogeny import recipe as recipes
from ontogeny.interventions import streams
from ontogeny.interventions.filter import Filter, sentences
from ontogeny.interventions.random_drop import RandomDrop, alike
from ontogeny.interventions.spool import Spool
from ontogeny.records import Document, Edited, OntogenyError, Removed

TEXT = (
    "There is a dog .",
    "the dog sleeps . There is no cat ! the end",
    "a cat sleeps",
    "is there a cat ?",
)


def apply(part, *texts):
    return list(part.apply(iter(tiny.documents(*texts)), None))


def texts(items):
    return [item.text for item in items if isinstance(item, Document)]


# --- the filter ---------------------------------------------------------------------------------------------------


def test_documents_with_an_ngram_go_whatever_its_capitals_and_the_reason_names_it():
    out = apply(Filter(ngrams=["there is"]), *TEXT)
    assert texts(out) == ["a cat sleeps", "is there a cat ?"]
    first, second = tiny.documents(*TEXT)[:2]
    assert out[:2] == [Removed(first, "n-gram 'there is'"), Removed(second, "n-gram 'there is'")]


def test_an_ngram_is_words_in_a_row_and_not_a_stretch_of_letters():
    found = Filter(ngrams=[["a", "cat"], "don't know ."], ignore_case=False)
    assert texts(apply(found, "a\tcat", "a category", "pa cat", "a , cat", "I don't know.", "A cat")) == [
        "a category",
        "pa cat",
        "a , cat",
        "A cat",
    ]


def test_a_pattern_is_searched_for_and_what_it_found_is_said():
    out = apply(Filter(patterns=r"\bcats?\b"), "two cats", "a Cat", "concat")
    assert out == [
        Removed(Document("two cats", "test", 1), r"pattern '\\bcats?\\b': 'cats'"),
        *tiny.documents("", "a Cat", "concat")[1:],
    ]


def test_of_a_document_only_the_sentences_that_match_go():
    out = apply(Filter(ngrams=["there is"], unit="sentence"), *TEXT)
    documents = tiny.documents(*TEXT)
    assert out[0] == Removed(documents[0], "n-gram 'there is'")
    assert out[1] == Edited(documents[1], Document("the dog sleeps . the end", "test", 2), "n-gram 'there is'")
    assert out[2:] == documents[2:]


def test_no_space_is_left_where_the_last_sentence_went():
    (out,) = apply(Filter(patterns="cat", unit="sentence"), "  A dog.  A cat.")
    assert out.after.text == "  A dog."


def test_sentences_end_at_marks_before_a_space_and_at_lines():
    text = 'He said "no." Then (she left!) and.Bob had 3.5 ... ok\n\nA new line'
    assert sentences(text) == ['He said "no." ', "Then (she left!) ", "and.Bob had 3.5 ... ", "ok\n\n", "A new line"]


@given(st.text(alphabet='ab .!?"\n)…'))
def test_sentences_joined_are_the_text(text):
    assert "".join(sentences(text)) == text
    assert all(sentence.strip() for sentence in sentences(text)) or not text.strip()


@given(st.lists(st.text(alphabet="ab. ", min_size=1).filter(str.strip), min_size=1), st.sampled_from(["document", "sentence"]))
def test_nothing_that_stays_matches_and_nothing_is_lost_from_the_log(lines, unit):
    part, items = Filter(patterns="a", unit=unit), []
    try:
        for item in part.apply(iter(tiny.documents(*lines)), None):
            items.append(item)
    except OntogenyError as error:
        assert re.match("filter: (nothing|everything)", str(error))
    left = [item.after if isinstance(item, Edited) else item for item in items if not isinstance(item, Removed)]
    assert not any("a" in document.text for document in left)
    before = [item if isinstance(item, Document) else getattr(item, "before", None) or item.document for item in items]
    assert before == tiny.documents(*lines)
    if unit == "document":
        assert all("a" in item.document.text for item in items if isinstance(item, Removed))


def test_a_predicate_of_somebody_else_says_why(tmp_path, monkeypatch):
    path = tmp_path / "my_filters.py"
    path.write_text("def long(document):\n    return f'{len(document.text)} letters' if len(document.text) > 5 else None\n")
    monkeypatch.syspath_prepend(tmp_path)
    part = Filter(predicate="my_filters:long")
    out = apply(part, "short", "longer")
    assert out == [Document("short", "test", 1), Removed(Document("longer", "test", 2), "predicate my_filters:long: 6 letters")]
    before = part.contents()
    path.write_text("def long(document):\n    return None\n")
    assert part.contents() != before  # so that a stream made with the old function is not used again
    sys.modules.pop("my_filters")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"patterns": "zebra"}, "nothing in 4 documents matches the pattern 'zebra'"),
        ({"patterns": ".", "ngrams": ["a dog"]}, "everything in 4 documents matches the pattern '.' or the n-gram 'a dog'"),
        ({"patterns": ".", "unit": "sentence"}, "everything in 4 documents"),
        ({"predicate": "no_such_package:f"}, "cannot be imported .* PYTHONPATH"),
        ({"predicate": "json:dump5"}, "json has no function 'dump5'; did you mean 'dump'"),
        ({"predicate": "builtins:id"}, r"builtins:id returned \d+ for test:1; a reason in words, or None"),
    ],
)
def test_what_cannot_be_filtered_is_an_error(settings, said):
    with pytest.raises(OntogenyError, match=said):
        apply(Filter(**settings), *TEXT)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("{}", "nothing to look for"),
        ("{patterns: '(a'}", "no regular expression"),
        ("{ngrams: [' ']}", "without a word"),
        ("{ngrams: [[1, 2]]}", "string"),
        ("{predicate: my_function}", "package.module:function"),
        ("{pattern: a}", "did you mean 'patterns'"),
    ],
)
def test_bad_settings_are_named_with_their_line(settings, said):
    with pytest.raises(OntogenyError, match=said):
        recipes.parse(f"{tiny.RECIPE}\ninterventions:\n  - {{kind: filter{', ' if len(settings) > 2 else ''}{settings[1:]}\n")


def test_settings_go_to_a_file_and_back():
    part = Filter(ngrams=["don't know", ["a", "b"]], patterns=["(?i)x"], unit="sentence")
    recipe = tiny.recipe().model_copy(update={"interventions": (part,)})
    assert recipes.parse(recipes.dump(recipe)).interventions == (part,)


def test_a_run_reads_what_is_left_and_keeps_what_went(context_of):
    settings = {"kind": "filter", "ngrams": ["there is"], "unit": "sentence"}
    context = context_of(TEXT, interventions=[settings])
    (stream,) = streams(context, lambda: tiny.documents(*TEXT))
    assert context.tokenizer.decode(stream.text.ids).count("There is") == 0
    assert stream.text.facts["words"] == context.untouched.facts["words"] - 5 - 5
    log = [json.loads(line) for line in context.folder.changes(1, "filter").read_text().splitlines()]
    assert log[0] == {"text": TEXT[0], "source": "test", "line": 1, "removed": "n-gram 'there is'"}
    assert (log[1]["before"], log[1]["text"]) == (TEXT[1], "the dog sleeps . the end")


# --- its control --------------------------------------------------------------------------------------------------


def lengths_of(items):
    return sorted(len(item.document.text.split()) for item in items if isinstance(item, Removed))


def test_the_control_takes_other_documents_of_the_same_lengths(context_of):
    lines = ["x a", "x a b c", "d e", "f g", "h i j k", "l m n o", "p"]
    warned = []
    context = context_of(lines, warn=warned.append)
    for seed in range(5):
        out = list(RandomDrop(like=Filter(patterns="x"), seed=seed).apply(iter(tiny.documents(*lines)), context))
        assert lengths_of(out) == [2, 4]
        assert {"x a", "x a b c", "p"} <= set(texts(out))
    assert warned == []


def test_the_control_draws_by_its_seed(context_of):
    lines = [f"x{n}" if n < 10 else f"y{n}" for n in range(40)]
    context = context_of(lines)

    def left(seed, **settings):
        part = RandomDrop(like=Filter(patterns="x"), seed=seed, **settings)
        return texts(part.apply(iter(tiny.documents(*lines)), context))

    assert left(0) == left(0) != left(1)
    assert len(left(0)) == 30
    assert all(line[0] == "y" for line in set(lines) - set(left(0)))  # only what the filter leaves
    assert {line[0] for line in set(lines) - set(left(0, among="all"))} == {"x", "y"}


def test_the_control_of_sentences_takes_sentences(context_of):
    lines = ["x y z. a b c. d e.", "f g h. i j k."]
    context = context_of(lines)
    out = list(RandomDrop(like=Filter(patterns="x", unit="sentence")).apply(iter(tiny.documents(*lines)), context))
    (edited,) = [item for item in out if isinstance(item, Edited)]
    assert len(edited.after.text.split()) == len(edited.before.text.split()) - 3
    assert "x y z." in " ".join([*texts(out), edited.after.text])


def test_a_difference_is_said(context_of):
    lines = ["x a b", "c d", "e f g h h"]  # to take 3: 2 or 5, and 2 is nearer
    warned = []
    out = list(RandomDrop(like=Filter(patterns="x")).apply(iter(tiny.documents(*lines)), context_of(lines, warn=warned.append)))
    assert lengths_of(out) == [2]
    assert warned == ["random-drop takes 1 words fewer than the 3 that the filter takes"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [(["x a b", "c d"], "takes 3 words and leaves only 2 to draw from; .*among: all"), (["a", "b"], "filter: nothing")],
)
def test_a_control_that_cannot_be_is_an_error(context_of, lines, said):
    with pytest.raises(OntogenyError, match=said):
        list(RandomDrop(like=Filter(patterns="x")).apply(iter(tiny.documents(*lines)), context_of(lines)))


def test_of_everything_the_control_takes_the_very_lengths(context_of):
    lines = ["x a b", "c d"]
    out = list(RandomDrop(like=Filter(patterns="x"), among="all").apply(iter(tiny.documents(*lines)), context_of(lines)))
    assert lengths_of(out) == [3]


lengths = st.lists(st.integers(1, 9), min_size=1, max_size=30)


@given(lengths, lengths, st.integers(0, 5))
def test_lengths_are_met_where_they_are_there(wanted, pool, seed):
    places = alike(np.array(wanted), np.array(pool), np.random.default_rng(seed))
    assert len(set(places.tolist())) == len(places)
    taken = np.array(pool)[places].tolist()
    for length in set(wanted):
        assert taken.count(length) >= min(wanted.count(length), pool.count(length))
    missing = sum(wanted) - sum(taken)
    left = [pool[place] for place in set(range(len(pool))) - set(places.tolist())]
    assert missing <= 0 or not any(abs(missing - length) < missing for length in left)  # none that is left would come nearer
    assert missing > -9


def test_a_long_one_is_met_by_several_short_ones():
    assert np.array([2, 2, 2, 1])[alike(np.array([7]), np.array([2, 2, 2, 1]), np.random.default_rng(0))].sum() == 7


def test_a_spool_gives_back_what_was_laid_aside_in_any_order(tmp_path):
    documents = [Document("käse\n\u2028 “x”", "a/b.txt", 3), Document("", "c", 0)]
    with Spool(tmp_path / "new") as spool:
        for document in documents:
            spool.add(document)
        assert [spool[1], spool[0]] == documents[::-1]
        assert list(spool) == documents
        assert len(spool) == 2
    assert list((tmp_path / "new").iterdir()) == []
