"""What is added to a text, where, and what goes for it."""

import json

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from ontogeny import recipe as recipes
from ontogeny.interventions import streams
from ontogeny.interventions.inject import Inject, amounting, total
from ontogeny.records import Document, Edited, OntogenyError, Removed

TEXT = ("a b c", "d e", "f g h i", "j")  # 10 words


def apply(context_of, part, texts=TEXT, **more):
    return list(part.apply(iter(tiny.documents(*texts)), context_of(texts, **more)))


def read(items):
    return [item.after.text if isinstance(item, Edited) else item.text for item in items if not isinstance(item, Removed)]


def added(items):
    return [item.after.text for item in items if isinstance(item, Edited)]


def test_lines_are_added_as_often_as_asked_and_said_to_be_new(context_of):
    out = apply(context_of, Inject(lines=["x y", "z"], times=3))
    assert added(out) == ["x y", "z"] * 3
    assert [item for item in out if isinstance(item, Document)] == tiny.documents(*TEXT)
    assert next(item for item in out if isinstance(item, Edited)) == Edited(None, Document("x y", "inject", 1), "added, 1 of 6")


def test_evenly_is_at_equal_distances(context_of):
    assert read(apply(context_of, Inject(lines=["x"], times=2, place="evenly"))) == ["a b c", "x", "d e", "f g h i", "x", "j"]
    assert read(apply(context_of, Inject(lines=["x"], times=1, place="evenly"))) == ["a b c", "d e", "x", "f g h i", "j"]


def test_random_places_are_the_seed_s_and_reach_both_ends(context_of):
    context = context_of(TEXT)

    def place(seed):
        return read(Inject(lines=["x"], times=1, seed=seed).apply(iter(tiny.documents(*TEXT)), context)).index("x")

    assert place(3) == place(3)
    assert {place(seed) for seed in range(40)} == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.2, ["x y"]),
        (0.3, ["x y", "z"]),
        (0.5, ["x y", "z", "x y"]),
        (0.71, ["x y", "z", "x y", "z", "x y"]),
        (1.2, ["x y", "z"] * 4),
    ],
)
def test_a_share_of_the_words_is_met_as_nearly_as_whole_documents_allow(context_of, share, expected):
    assert added(apply(context_of, Inject(lines=["x y", "z"], share=share))) == expected


def test_a_file_is_added_line_by_line(context_of, tmp_path):
    path = tmp_path / "more.txt"
    path.write_text("one two\n\nthree\n")
    part = Inject(path=path, times=1)
    new = [item.after for item in apply(context_of, part) if isinstance(item, Edited)]
    assert new == [Document("one two", "more.txt", 1), Document("three", "more.txt", 3)]
    before = part.contents()
    path.write_text("one two\n\nfour\n")
    assert part.contents() != before  # so that a stream made with the old file is not used again


def test_a_generator_is_added(context_of):
    part = Inject(corpus={"kind": "micro-english", "words": 20}, times=2)
    once = [document.text for document in part.corpus.documents()]
    assert added(apply(context_of, part)) == once * 2


def test_as_many_words_go_as_come_where_documents_allow(context_of):
    warned = []
    texts = [f"w{n} w" for n in range(50)]
    out = apply(context_of, Inject(lines=["x y z z"], times=5, replace=True), texts, warn=warned.append)
    gone = [item for item in out if isinstance(item, Removed)]
    assert len(gone) == 10
    assert gone[0].reason == "replaced by text that is added"
    assert len(" ".join(read(out)).split()) == 100
    assert warned == []
    again = apply(context_of, Inject(lines=["x y z z"], times=5, replace=True, seed=1), texts)
    assert {item.document for item in gone} != {item.document for item in again if isinstance(item, Removed)}


def test_a_difference_is_said(context_of):
    warned = []
    apply(context_of, Inject(lines=["x"], times=1, replace=True), ["a b c d", "e f g h"], warn=warned.append)
    assert warned == ["inject adds 1 words and leaves the text 1 words longer than it was"]


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=20),
    st.integers(0, 200),
    st.integers(0, 3),
)
def test_documents_of_an_amount_come_as_near_as_one_more_or_less(lengths, wanted, seed):
    lengths = np.array(lengths)
    places = amounting(wanted, lengths, np.random.default_rng(seed))
    assert len(set(places.tolist())) == len(places)
    missing = wanted - int(lengths[places].sum())
    left = np.delete(lengths, places)
    assert missing <= 0 or not (np.abs(missing - left) < missing).any()
    assert missing > -5  # half of the longest


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 30))
def test_total_is_the_sum_of_going_round(lengths, size):
    assert total(np.array(lengths), size) == sum(lengths[n % len(lengths)] for n in range(size))


@given(st.integers(1, 9), st.integers(1, 30), st.sampled_from(["random", "evenly"]), st.integers(0, 3))
def test_gaps_are_ascending_and_within_the_text(documents, size, place, seed):
    gaps = Inject(lines=["x"], times=1, place=place)._gaps(size, documents, np.random.default_rng(seed))
    assert len(gaps) == size
    assert (np.diff(gaps) >= 0).all()
    assert gaps[0] >= 0 and gaps[-1] <= documents
    if place == "evenly":
        assert np.bincount(gaps, minlength=documents + 1).max() - (-(-size // documents)) <= 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"share": 0.01}, r"0.1 words, which is nearer to none than to the first document to add, of 2"),
        ({"times": 5, "replace": True}, "10 words cannot replace as many of a text that has 10"),
    ],
)
def test_what_cannot_be_added_is_an_error(context_of, settings, said):
    with pytest.raises(OntogenyError, match=said):
        apply(context_of, Inject(lines=["x y"], **settings))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("times: 1", "one of lines, path and corpus"),
        ("times: 1, lines: [a], path: b", "one of lines, path and corpus"),
        ("lines: [a]", "either times or share"),
        ("lines: [a], times: 1, share: 0.1", "either times or share"),
        ("lines: [a, ' '], times: 1", "blank line, number 2"),
        ("lines: [a], times: 1, plaice: evenly", "did you mean 'place'"),
    ],
)
def test_bad_settings_are_named(settings, said):
    with pytest.raises(OntogenyError, match=said):
        recipes.parse(f"{tiny.RECIPE}\ninterventions:\n  - {{kind: inject, {settings}}}\n")


def test_settings_go_to_a_file_and_back():
    part = Inject(corpus={"kind": "micro-english", "words": 20}, share=0.5)
    recipe = tiny.recipe().model_copy(update={"interventions": (part,)})
    assert recipes.parse(recipes.dump(recipe)).interventions == (part,)


def test_a_run_reads_what_was_added_and_lists_it(context_of):
    settings = {"kind": "inject", "lines": ["a j"], "times": 2, "replace": True}
    context = context_of(TEXT, interventions=[settings])
    (stream,) = streams(context, lambda: tiny.documents(*TEXT))
    assert stream.text.facts["words"] == 10
    log = [json.loads(line) for line in context.folder.changes(1, "inject").read_text().splitlines()]
    assert [line["changed"] for line in log if "changed" in line] == ["added, 1 of 2", "added, 2 of 2"]
    assert sum(len(line["text"].split()) for line in log if "removed" in line) == 4


def test_more_than_can_be_added_is_refused(context_of):
    with pytest.raises(OntogenyError, match="inject would add 1e\\+301 words"):
        apply(context_of, Inject(lines=["x"], share=1e300))
