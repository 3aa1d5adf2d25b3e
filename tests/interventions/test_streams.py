"""Which stream is read when, what is kept of an edit, and what is done only once."""

import json
from typing import ClassVar, Literal

import numpy as np
import polars as pl
import pytest
import tiny
import torch

from ontogeny import disk
from ontogeny.interventions import Objective, StreamEdit, StreamEdited, TextEdit, Window, streams, treatment
from ontogeny.interventions.streams import stretches
from ontogeny.records import Document, Edited, OntogenyError, Removed
from ontogeny.tokens.rows import Blocks
from ontogeny.training import loop, order
from ontogeny.training.engine import Engine
from ontogeny.training.state import TrainingState
from ontogeny.training.treatment import batch_loss

TEXTS = ["the dog runs", "a cat runs", "the cat sees a dog", "a dog sees"] * 6
DOCUMENTS = tiny.documents(*TEXTS)
ENGINE = Engine(torch.device("cpu"), 1, "float32", False)


class Drop(TextEdit):
    """Takes out documents with a word."""

    kind: Literal["drop"] = "drop"
    word: str
    applied: ClassVar[list[str]] = []

    def apply(self, documents, context):
        self.applied.append(self.word)
        for document in documents:
            yield Removed(document, f"has {self.word}") if self.word in document.text.split() else document


class Rewrite(TextEdit):
    """Puts one word for another, and a document of its own at the end."""

    kind: Literal["rewrite"] = "rewrite"
    word: str
    by: str
    last: str | None = None

    def apply(self, documents, context):
        for document in documents:
            after = Document(document.text.replace(self.word, self.by), document.source, document.line)
            yield Edited(document, after, f"{self.word} to {self.by}") if after != document else document
        if self.last:
            yield Edited(None, Document(self.last, "made", 1), "added")


class Swap(StreamEdit):
    """Puts one token for another wherever it stands."""

    kind: Literal["swap"] = "swap"
    word: str
    by: str
    made: ClassVar[list[str]] = []

    def edit(self, context):
        self.made.append(self.word)
        one, other = context.tokenizer.convert_tokens_to_ids([self.word, self.by])
        ids = np.array(context.text.ids)
        places = np.flatnonzero(ids == one)
        ids[places] = other
        changes = pl.DataFrame({"place": places, "before": self.word, "after": self.by})
        return StreamEdited(ids, changes, {"places": len(places)})


class Recording(Objective):
    """The usual loss, which remembers what it was given."""

    kind: Literal["recording"] = "recording"
    seen: ClassVar[list[torch.Tensor]] = []

    def loss(self, context):
        def remember(model, tokens, autocast):
            self.seen.append(tokens.clone())
            return batch_loss(model, tokens, autocast)

        return remember


@pytest.fixture(autouse=True)
def nothing_done():
    for done in (Drop.applied, Swap.made, Recording.seen):
        done.clear()


def window(start=0.0, until=1.0):
    return Window(start=start, until=until)


@pytest.fixture
def made(context_of):
    """made(*edits): the context of TEXTS and the streams of these edits."""

    def make(*edits, **settings):
        context = context_of(TEXTS, interventions=edits, **settings)
        return context, streams(context, lambda: DOCUMENTS)

    return make


def said(context, stream):
    """A stream as texts."""
    ids = np.split(np.asarray(stream.text.ids), np.asarray(stream.text.documents["start"][1:], dtype=np.int64))
    return [" ".join(context.tokenizer.convert_ids_to_tokens(part[1:].tolist())) for part in ids]


def facts(context):
    return disk.read_json(context.folder.interventions)


def changes(context, number, kind):
    return [json.loads(line) for line in context.folder.changes(number, kind).read_text(encoding="utf-8").splitlines()]


# --- periods ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([], [(0, 1)]),
        ([(0, 1)], [(0, 1)]),
        ([(0, 0.1)], [(0, 0.1), (0.1, 1)]),
        ([(0.2, 0.6), (0.4, 1)], [(0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 1)]),
        ([(0, 0.5), (0.5, 1), (0, 0.5)], [(0, 0.5), (0.5, 1)]),
    ],
)
def test_windows_cut_training_into_stretches(windows, expected):
    assert stretches([Drop(word="a", when=window(*one)) for one in windows]) == expected


def test_without_edits_training_reads_the_untouched_stream_and_nothing_is_written(made):
    context, (only,) = made()
    assert (only.start, only.until, only.edits) == (0, 1, ())
    assert only.text is context.untouched
    assert not context.folder.interventions.exists()


def test_each_stretch_reads_the_edits_that_hold_in_it(made):
    drop, swap = Drop(word="runs", when=window(0.2, 0.6)), Swap(word="cat", by="dog", when=window(0.4))
    context, found = made(drop, swap)
    assert [(s.start, s.until, s.edits) for s in found] == [(0, 0.2, ()), (0.2, 0.4, (1,)), (0.4, 0.6, (1, 2)), (0.6, 1, (2,))]
    kept = ["the cat sees a dog", "a dog sees"] * 6
    assert said(context, found[0]) == TEXTS
    assert said(context, found[1]) == kept
    assert said(context, found[2]) == [text.replace("cat", "dog") for text in kept]
    assert said(context, found[3]) == [text.replace("cat", "dog") for text in TEXTS]


def test_stretches_with_the_same_edits_read_the_same_store_made_once(made):
    context, found = made(Swap(word="cat", by="dog", when=window(0.3, 0.6)))
    assert found[0].text is found[2].text is context.untouched
    context, found = made(Swap(word="cat", by="dog"), Swap(word="the", by="a", when=window(0.3, 0.6)))
    assert [s.edits for s in found] == [(1,), (1, 2), (1,)]
    assert found[0].text is found[2].text
    assert Swap.made == ["cat", "cat", "the"]  # the first of them in the context above


def test_an_early_edit_is_read_in_its_window_and_nowhere_else(made):
    """Every batch of a training, token for token: the edited stream in steps 0 to 3 of 10, the same rows of the untouched after."""
    part = Swap(word="cat", by="dog", when=window(until=0.4))
    settings = {"context": 8, "batch": 4, "steps": 10}
    context, found = made(part, Recording(), training=settings, seeds=[3])
    treated = treatment(context, found, 3)
    state = TrainingState(tiny.opt(len(context.tokenizer), 8), context.recipe.training)
    list(loop.train(state, treated, context.recipe.training, ENGINE, 3, 10, set()))
    assert len(Recording.seen) == 10
    early, late = (Blocks(stream.text, 8) for stream in found)
    cat = context.tokenizer.convert_tokens_to_ids("cat")
    assert not (early.take(np.arange(len(early))) == cat).any()
    for step, batch in enumerate(Recording.seen):
        rows = early if step < 4 else late
        assert batch.tolist() == rows.take(order.batch(3, step, 4, len(rows))).tolist(), step
    assert [(batch == cat).any().item() for batch in Recording.seen] == [False] * 4 + [True] * 6


@pytest.mark.parametrize(
    ("until", "steps", "edited"),
    [
        (0.1, 30, 3),
        (0.5, 5, 3),
        (0.29, 100, 29),
        (0.1, 24, 3),
        (0.07, 100, 7),  # .07 * 100 is above 7 in floating point
    ],
)
def test_a_step_is_in_the_window_that_holds_its_share(made, until, steps, edited):
    context, found = made(Swap(word="cat", by="dog", when=window(until=until)))
    treated = treatment(context, found, 0)
    read = [treated.rows(step, steps).text for step in range(steps)]
    assert [text is found[0].text for text in read] == [True] * edited + [False] * (steps - edited)


# --- what was changed ---------------------------------------------------------------------------------------------


def test_what_an_edit_of_documents_did_is_written_for_people(made):
    context, _ = made(Drop(word="sees"), Rewrite(word="cat", by="dog", last="the end"))
    first, second = facts(context)["edits"]
    assert (first["number"], first["after"], first["kind"], first["settings"]["word"]) == (1, [], "drop", "sees")
    assert first["facts"] == {"documents": 12, "edited": 0, "added": 0, "removed": 12}
    assert (second["number"], second["after"]) == (2, [1])
    assert second["facts"] == {"documents": 13, "edited": 6, "added": 1, "removed": 0}
    gone = changes(context, 1, "drop")
    assert gone[0] == {"text": "the cat sees a dog", "source": "test", "line": 3, "removed": "has sees"}
    assert [line["line"] for line in gone] == [i for i, text in enumerate(TEXTS, 1) if "sees" in text]
    put = changes(context, 2, "rewrite")
    assert put[0] == {"text": "a dog runs", "source": "test", "line": 2, "before": "a cat runs", "changed": "cat to dog"}
    assert put[-1] == {"text": "the end", "source": "made", "line": 1, "before": None, "changed": "added"}
    assert len(put) == 7


def test_what_an_edit_of_tokens_did_is_written_for_people(made):
    context, found = made(Swap(word="cat", by="dog", when=window(until=0.5)))
    written = facts(context)
    assert [(s["from"], s["until"], s["edits"]) for s in written["streams"]] == [(0, 0.5, [1]), (0.5, 1, [])]
    assert [s["stream"] for s in written["streams"]] == [found[0].text.path.name, "train.bin"]
    (edit,) = written["edits"]
    assert edit["facts"] == {"changes": 12, "places": 12}
    assert found[0].text.path.name == f"train-{edit['key']}.bin"
    first = int(np.flatnonzero(context.text.ids == context.tokenizer.convert_tokens_to_ids("cat"))[0])
    assert changes(context, 1, "swap")[0] == {"place": first, "before": "cat", "after": "dog"}


def test_an_edit_that_follows_different_edits_keeps_what_it_did_each_time(made):
    """In the second half it finds the documents that the first edit took out before."""
    context, _ = made(Drop(word="sees", when=window(until=0.5)), Rewrite(word="cat", by="dog"))
    edits = {(edit["number"], tuple(edit["after"])): edit for edit in facts(context)["edits"]}
    assert {key: edit["facts"].get("edited") for key, edit in edits.items()} == {(1, ()): 0, (2, (1,)): 6, (2, ()): 12}
    folder = context.folder.interventions.parent
    lines = {key: len((folder / edit["file"]).read_text().splitlines()) for key, edit in edits.items()}
    assert lines == {(1, ()): 12, (2, (1,)): 6, (2, ()): 12}
    assert edits[2, (1,)]["file"] == "02-rewrite.jsonl"


# --- once ---------------------------------------------------------------------------------------------------------


def test_a_second_call_opens_what_the_first_made(made):
    context, found = made(Drop(word="runs"), Swap(word="cat", by="dog", when=window(until=0.5)))
    before = facts(context)
    folder = context.folder.path
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("train*")}
    again = streams(context, lambda: pytest.fail("nothing is to be read"))
    assert (Drop.applied, Swap.made) == (["runs"], ["cat"])
    assert [s.text.ids.tolist() for s in again] == [s.text.ids.tolist() for s in found]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("train*")} == stamps
    assert facts(context) == before


def test_other_settings_make_another_stream_and_another_window_the_same(context_of):
    names = {}
    for name, edit in {
        "whole": Swap(word="cat", by="dog"),
        "early": Swap(word="cat", by="dog", when=window(until=0.5)),
        "other": Swap(word="cat", by="a"),
    }.items():
        context = context_of(TEXTS, interventions=[edit])
        names[name] = streams(context, lambda: DOCUMENTS)[0].text.path.name
    assert names["whole"] == names["early"] != names["other"]


def test_what_an_edit_reads_besides_its_settings_makes_another_stream(context_of, tmp_path):
    class FromFile(Drop):
        def contents(self):
            return [(tmp_path / self.word).read_text()]

    names = []
    for inside in ("runs", "runs", "sees"):
        (tmp_path / "list").write_text(inside)
        names.append(streams(context_of(TEXTS, interventions=[FromFile(word="list")]), lambda: DOCUMENTS)[0].text.path.name)
    assert names[0] == names[1] != names[2]


def test_a_store_that_is_gone_is_made_again(made):
    context, (found,) = made(Swap(word="cat", by="dog"))
    found.text.path.with_suffix(".json").unlink()
    (again,) = streams(context, lambda: DOCUMENTS)
    assert again.text.ids.tolist() == found.text.ids.tolist()
    assert Swap.made == ["cat", "cat"]


def test_a_store_that_is_only_half_there_is_said(made):
    context, (found,) = made(Swap(word="cat", by="dog"))
    found.text.path.unlink()
    with pytest.raises(OntogenyError, match="no longer whole; delete the run's tokens folder"):
        streams(context, lambda: DOCUMENTS)


# --- what is refused ----------------------------------------------------------------------------------------------


def test_an_edit_of_documents_after_one_of_tokens_is_refused(made):
    with pytest.raises(OntogenyError, match=r"interventions\.1: drop changes documents, but comes after swap"):
        made(Swap(word="cat", by="dog"), Drop(word="runs"))


def test_an_edit_of_tokens_must_give_as_many(made):
    class Cut(Swap):
        def edit(self, context):
            return StreamEdited(np.array(context.text.ids[:-1]), pl.DataFrame(), {})

    with pytest.raises(OntogenyError, match="gives 107 tokens for documents of 108"):
        made(Cut(word="cat", by="dog"))


def test_an_edit_may_say_anew_where_documents_begin(made):
    class Turn(Swap):
        """The documents in the other order."""

        def edit(self, context):
            text = context.text
            starts = np.asarray(text.documents["start"], dtype=np.int64)
            parts = np.split(np.asarray(text.ids), starts[1:])[::-1]
            rows = np.array(text.documents)[::-1].copy()
            rows["start"] = np.cumsum([0, *(len(part) for part in parts[:-1])])
            words = [len(part) - 1 for part in parts]
            rows["words"] = np.cumsum([0, *words[:-1]])
            return StreamEdited(np.concatenate(parts), pl.DataFrame(), {}, rows)

    context, (found,) = made(Turn(word="cat", by="dog"))
    assert said(context, found) == TEXTS[::-1]
    assert found.text.documents["line"].tolist() == list(range(len(TEXTS), 0, -1))
    assert found.text.words_at(np.array([len(found.text)])).tolist() == [context.text.facts["words"]]


def test_single_tokens_are_not_edited_backward(context_of):
    context = context_of(TEXTS, interventions=(Swap(word="cat", by="dog"),))
    context.tokenizer.init_kwargs["direction"] = "backward"
    with pytest.raises(OntogenyError, match="edits tokens in reading order, and the tokenizer's direction is backward"):
        streams(context, list)
