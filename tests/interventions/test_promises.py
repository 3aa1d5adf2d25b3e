"""Each promise, kept and broken: what is found is what counting by hand finds, and a broken one is named."""

from collections import Counter
from typing import ClassVar, Literal

import numpy as np
import polars as pl
import pytest
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field

from ontogeny import disk
from ontogeny.interventions import StreamEdit, StreamEdited, TextEdit, streams
from ontogeny.interventions.promises import CHECKS, check, lengths, where
from ontogeny.records import Document, Edited, OntogenyError, Removed
from ontogeny.tokens import token_store

TEXTS = ["a b c", "b a", "c c a", "a b"]
DOCUMENTS = tiny.documents(*TEXTS)


class Rewrite(TextEdit):
    """Documents by number that become others; an empty one is removed."""

    kind: Literal["rewrite"] = "rewrite"
    into: dict[int, str] = Field(default_factory=dict)
    source: str = "test"
    promised: tuple[str, ...] = ()

    keeps = property(lambda self: self.promised)  # what a class says of itself elsewhere

    def apply(self, documents, context):
        for number, document in enumerate(documents):
            text = self.into.get(number, document.text)
            after = Document(text, self.source, document.line)
            if not text:
                yield Removed(document, "empty")
            else:
                yield document if after == document else Edited(document, after, "other")


class Put(StreamEdit):
    """Other tokens in the same places; those of documents with a c are of the construction."""

    kind: Literal["put"] = "put"
    ids: tuple[int, ...]
    protects: ClassVar[str] = "c"
    promised: tuple[str, ...] = ()

    keeps = property(lambda self: self.promised)

    def edit(self, context):
        return StreamEdited(np.array(self.ids), pl.DataFrame({"changed": ["some"]}), {})

    def protected(self, text, context):
        wanted = context.tokenizer.convert_tokens_to_ids(self.protects)
        starts = np.asarray(text.documents["start"], dtype=np.int64)
        return np.add.reduceat(np.asarray(text.ids) == wanted, starts) > 0


def broken(context_of, edit, texts=TEXTS):
    """What a run says of an edit."""
    context = context_of(texts, interventions=[edit])
    with pytest.raises(OntogenyError) as raised:
        streams(context, lambda: tiny.documents(*texts))
    assert not context.folder.interventions.exists()  # nothing counts as done
    with pytest.raises(OntogenyError):
        streams(context, lambda: tiny.documents(*texts))
    return str(raised.value)


def put(context, *texts, promised=()):
    """The edit that makes these texts of a stream."""
    ids = token_store.encode(context.tokenizer, list(texts), context.first)
    return Put(ids=[token for text in ids for token in text], promised=promised)


@pytest.mark.parametrize(
    ("into", "promise", "said"),
    [
        ({1: ""}, "documents", "documents alone, but 4 documents became 3"),
        ({1: ""}, "lengths", "lengths alone, but 4 documents became 3"),
        ({1: ""}, "order", "order alone, but 4 documents became 3"),
        ({1: "b a a"}, "lengths", "lengths alone, but document 2 is the first that begins at another token"),
        ({3: "a b a"}, "offsets", "offsets alone, but 14 tokens became 15"),
        ({0: "a b a"}, "unigrams", r"unigrams alone, but 2 tokens are more or less frequent: 'a' occurs 5 times, before 4"),
        ({0: "c b a"}, "bigrams", "bigrams alone, but 8 bigrams are more or less frequent"),
    ],
)
def test_a_broken_promise_of_an_edit_of_documents_is_named(context_of, into, promise, said):
    assert said in broken(context_of, Rewrite(into=into, promised=(promise,)))


def test_a_document_from_elsewhere_breaks_the_order(context_of):
    said = broken(context_of, Rewrite(source="elsewhere", promised=("lengths", "unigrams", "bigrams", "order")))
    assert "leave order alone, but document 0 comes from another line" in said


def test_the_first_broken_promise_is_the_one_that_is_said(context_of):
    assert "leave unigrams alone" in broken(context_of, Rewrite(into={0: "a b a"}, promised=("lengths", "unigrams", "bigrams")))


def test_promises_that_were_kept_are_told(context_of):
    context = context_of(TEXTS)
    edit = put(context, "a b c", "a b", "c c a", "b a", promised=("documents", "lengths", "offsets", "order", "unigrams"))
    context = context_of(TEXTS, interventions=[edit])
    streams(context, lambda: DOCUMENTS)
    (told,) = disk.read_json(context.folder.interventions)["edits"]
    assert told["promises"] == [{"promise": promise, "kept": True} for promise in edit.promised]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("a b c", "a b", "c c a", "a b"), None),  # a and b change places where there is no c
        (("b a c", "b a", "c c a", "a b"), "test:1, which is of the construction, was changed"),
        (("a b c", "b a", "a c c", "a b"), "test:3, which is of the construction, was changed"),
        (("a b c", "b c", "c c a", "a b"), "1 documents changed sides: test:2 is one now, and was not"),
        (("a b c", "b a", "b b a", "c b"), "2 documents changed sides: test:3 is no longer one"),
    ],
)
def test_the_construction_is_left_alone_token_for_token(context_of, texts, said):
    context = context_of(TEXTS)
    edit = put(context, *texts, promised=("construction",))
    if said:
        assert f"leave construction alone, but {said}" in broken(context_of, edit)
    else:
        streams(context_of(TEXTS, interventions=[edit]), lambda: DOCUMENTS)


words = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(" ".join)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(words, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_counting_by_hand_finds_the_same(context_of, texts, random):
    """Words are shuffled over the whole text, which keeps unigrams, and sometimes bigrams; one may become another."""
    context = context_of([*texts, "a b c"])
    before = context.text
    inner = [i for i, token in enumerate(before.ids) if token != context.first]
    ids = np.array(before.ids)
    shuffled = random.sample(inner, len(inner))
    ids[inner] = ids[shuffled]
    if random.random() < 0.3:
        ids[inner[0]] = ids[inner[-1]]
    after = token_store.derive(context.folder.tokens, "after", before, ids, key="after", unknown=None)
    counts = {
        "unigrams": [Counter(map(int, text.ids)) for text in (before, after)],
        "bigrams": [Counter(zip(map(int, text.ids), map(int, text.ids[1:]), strict=False)) for text in (before, after)],
    }
    for promise, (one, other) in counts.items():
        found = CHECKS[promise](before, after, context, Rewrite())
        different = sum(one[key] != other[key] for key in one | other)
        assert found is None if not different else found.startswith(f"{different:,} ")
    assert check(Rewrite(promised=("documents", "lengths", "order")), before, after, context)


def test_lengths_and_places_of_documents(context_of):
    text = context_of(TEXTS).text
    assert lengths(text).tolist() == [4, 3, 4, 3]
    assert [where(text, row) for row in (0, 3)] == [("test", 1), ("test", 4)]
