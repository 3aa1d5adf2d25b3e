"""Who reads a checkpoint: each instrument once, again if what it stands on is other, and none takes anything from another."""

import json
import shutil
from typing import ClassVar, Literal

import polars as pl
import pytest
import tiny

from ontogeny import disk, registry, store
from ontogeny import recipe as recipes
from ontogeny.instruments import Column, DoesNotApply, Instrument
from ontogeny.instruments.tables import unread
from ontogeny.laboratory import Run
from ontogeny.pages.panel import Clock
from ontogeny.records import OntogenyError
from ontogeny.report import figure, write_report
from ontogeny.results import Results
from ontogeny.scoring import reading

STEPS = (0, 2, 4)
EVERY = [(0, step) for step in STEPS]
seen = []  # (instrument, step), in the order of reading


class Ruler(Instrument):
    """Reads a number that its settings say, a column a mark."""

    kind: Literal["ruler"] = "ruler"
    value: float = 1.0
    marks: int = 1

    @property
    def columns(self):
        return {f"mark_{number}": Column(says="the number") for number in range(self.marks)}

    def read(self, subject):
        seen.append((self.name, subject.checkpoint.step))
        assert not subject.model.training
        return pl.DataFrame(dict.fromkeys(self.columns, self.value))


class Pebble(Ruler):
    """Another."""

    kind: Literal["pebble"] = "pebble"


class Above(Ruler):
    """Stands on the ruler."""

    needs: ClassVar = ("ruler",)
    kind: Literal["above"] = "above"

    def read(self, subject):
        return super().read(subject) + subject.table("ruler")["mark_0"][0]


class Higher(Ruler):
    """Stands on what stands on the ruler."""

    needs: ClassVar = ("above",)
    kind: Literal["higher"] = "higher"


class Circular(Ruler):
    """Needs what needs it."""

    needs: ClassVar = ("ruler", "circular-too")
    kind: Literal["circular"] = "circular"


class CircularToo(Ruler):
    """Needs what needs it."""

    needs: ClassVar = ("circular",)
    kind: Literal["circular-too"] = "circular-too"


class Empty(Ruler):
    """Has nothing to say of any model."""

    kind: Literal["empty"] = "empty"

    def read(self, subject):
        return super().read(subject).clear()


class Wrong(Ruler):
    """Goes wrong in the way that its settings say."""

    kind: Literal["wrong"] = "wrong"
    how: Literal["error", "trouble", "undeclared", "lacking", "text", "rows", "does not apply"] = "error"

    def read(self, subject):
        found = super().read(subject)
        if self.how == "error":
            raise RuntimeError("it broke")
        if self.how == "trouble":
            raise OntogenyError("no ruler is long enough")
        if self.how == "does not apply":
            raise DoesNotApply("a model without a length")
        return {
            "undeclared": found.with_columns(more=1),
            "lacking": found.drop("mark_0"),
            "text": found.with_columns(mark_0=pl.lit("long")),
            "rows": pl.concat([found, found + 1]),
        }[self.how]


class Doubled(Instrument):
    """Gives one index twice."""

    kind: Literal["doubled"] = "doubled"

    @property
    def columns(self):
        return {"layer": Column(says="layer", dtype=pl.Int64, index=True), "value": Column(says="a number")}

    def read(self, subject):
        return pl.DataFrame({"layer": [3, 4, 3], "value": [0.1, 0.2, 0.3]})


class Timed(Instrument):
    """Declares what every table has anyway."""

    kind: Literal["timed"] = "timed"

    @property
    def columns(self):
        return {"step": Column(says="step", dtype=pl.Int64)}

    def read(self, subject):
        return pl.DataFrame({"step": [1]})


class Speed(Ruler):
    """Folds two checkpoints into one speed."""

    kind: Literal["speed"] = "speed"

    def fold(self, table, clock):
        first, second, *_ = table.sort("step")["mark_0"]
        return {"speed": pl.DataFrame({"speed": [second - first]})}


OWN = (Ruler, Pebble, Above, Higher, Circular, CircularToo, Empty, Wrong, Doubled, Timed, Speed)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    for one in OWN:
        monkeypatch.setitem(registry.TABLES["instrument"], one.model_fields["kind"].default, f"{__name__}:{one.__name__}")
    seen.clear()


def small(*settings):
    return tiny.recipe("seeds=[0]", "training.steps=4", "checkpoints.steps=[2]", *settings)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of three checkpoints, read with no instrument but its dev loss.  Nothing may change it."""
    run = Run.begin(small(), tmp_path_factory.mktemp("runs"))
    run.train()
    run.judge()
    return run.folder.path


@pytest.fixture
def begin(trained, tmp_path):
    """Sets the run out again, with other settings."""
    shutil.copytree(trained, tmp_path / trained.name)
    return lambda *settings: Run.begin(small(*settings), tmp_path, tiny.Heard())


@pytest.fixture
def opened(monkeypatch):
    """Every opening of a model and every hash of weights from here on."""
    found = []
    for place, name in ((reading, "open_model"), (store, "weights_hash")):
        real = getattr(place, name)
        monkeypatch.setattr(
            place, name, lambda folder, *rest, real=real, name=name: (found.append((name, folder.name)), real(folder, *rest))[1]
        )
    return found


def rows(run, instrument, *columns):
    return run.reading(instrument).select("step", *columns).collect().rows()


def stamps(run, instrument):
    return {path.name: path.stat().st_mtime_ns for path in (run.folder.readings(0) / instrument).iterdir()}


# --- each once ----------------------------------------------------------------------------------------------------


def test_a_dev_loss_that_is_not_there_is_no_number(begin):
    run = begin()
    path = run.folder.reading("loss", 0, 2)
    disk.write_table(path, disk.read_table(path).with_columns(dev=pl.lit(None, pl.Float64)), disk.table_metadata(path))
    with pytest.raises(OntogenyError, match=r"step-00000002.parquet has no loss in it; .*--with loss --again 2 reads"):
        run.results.dev_losses()


def test_an_instrument_reads_each_checkpoint_once_and_again_with_other_settings(begin, opened):
    run = begin("instruments=[{kind: ruler, value: 2}]")
    losses = run.results.dev_losses()
    assert list(losses) == EVERY
    run.score()
    assert rows(run, "ruler", "mark_0") == [(0, 2.0), (2, 2.0), (4, 2.0)]
    assert seen == [("ruler", step) for step in STEPS]
    opened.clear()
    begin("instruments=[{kind: ruler, value: 2}]").score()
    assert len(seen) == 3 and opened == []
    again = begin("instruments=[{kind: ruler, value: 3}]")
    again.score()
    assert rows(again, "ruler", "mark_0") == [(0, 3.0), (2, 3.0), (4, 3.0)]
    assert again.results.dev_losses() == losses


def test_other_settings_leave_no_old_rows_and_only_that_instrument_reads_again(begin):
    run = begin("instruments=[{kind: ruler, marks: 3}, pebble]")
    run.score()
    assert run.reading("ruler").collect_schema().names() == ["seed", "step", "mark_0", "mark_1", "mark_2"]
    before, losses = stamps(run, "pebble"), stamps(run, "loss")
    seen.clear()
    fewer = begin("instruments=[{kind: ruler, marks: 2}, pebble]")
    fewer.score()
    assert seen == [("ruler", step) for step in STEPS]
    assert fewer.reading("ruler").collect_schema().names() == ["seed", "step", "mark_0", "mark_1"]
    assert (stamps(fewer, "pebble"), stamps(fewer, "loss")) == (before, losses)
    assert fewer.results.tables["ruler"].others == ()


def test_an_instrument_that_comes_later_reads_what_is_there_and_no_other_reads_again(begin, opened):
    begin("instruments=[ruler]").score()
    seen.clear()
    opened.clear()
    run = begin("instruments=[ruler, pebble]")
    run.score()
    assert seen == [("pebble", step) for step in STEPS]
    assert sorted(opened) == sorted((what, store.step_name(step)) for what in ("open_model", "weights_hash") for step in STEPS)
    assert rows(run, "pebble", "mark_0") == [(0, 1.0), (2, 1.0), (4, 1.0)]


def test_a_run_reads_with_an_instrument_that_its_recipe_does_not_list(begin):
    run = begin()
    run.read(["ruler"])
    assert seen == [("ruler", step) for step in STEPS]
    run.read()  # all that have read it
    run.score()
    assert len(seen) == 3 and rows(run, "ruler", "mark_0") == [(0, 1.0), (2, 1.0), (4, 1.0)]
    assert begin("instruments=[{kind: ruler, value: 5}]").read(["ruler"]) is None  # as the recipe has it
    assert rows(run, "ruler", "mark_0") == [(0, 5.0), (2, 5.0), (4, 5.0)]
    run.read([{"kind": "ruler", "value": 6}])
    assert rows(run, "ruler", "mark_0") == [(0, 6.0), (2, 6.0), (4, 6.0)]


def test_instruments_at_a_schedule_of_their_own_read_no_other_checkpoint(begin):
    run = begin("instruments={at: {kind: steps, steps: [1]}, read: [ruler]}")  # 0 and 2 are as near to 1: the earlier is taken
    run.train()
    run.score()
    assert rows(run, "ruler", "mark_0") == [(0, 1.0), (4, 1.0)] and list(run.results.dev_losses()) == EVERY
    run.read(["pebble"])
    assert [step for step, _ in rows(run, "pebble", "mark_0")] == [0, 4]
    assert unread(run.folder, run.recipe, 0, STEPS) == {}
    run.score(again=[2])
    assert [step for step, _ in rows(run, "ruler", "mark_0")] == [0, 2, 4]
    closer = begin("instruments={at: {kind: steps, steps: [3]}, read: [pebble, ruler]}")
    assert unread(closer.folder, closer.recipe, 0, STEPS) == {"pebble": [2]}
    assert begin("instruments=[ruler]").recipe.instruments.at is None


def test_again_reads_instruments_too(begin):
    run = begin("instruments=[ruler, pebble]")
    run.score()
    before = stamps(run, "loss")
    seen.clear()
    run.score(again=[2])
    assert sorted(seen) == [("pebble", 2), ("ruler", 2)]
    changed = {name for name, stamp in stamps(run, "loss").items() if before[name] != stamp}
    assert changed == {"step-00000002.parquet"}


def test_a_model_is_opened_and_hashed_once_for_its_suites_and_instruments(begin, opened):
    run = begin("instruments=[ruler, pebble]")
    shutil.rmtree(run.folder.seed(0) / "scores")
    shutil.rmtree(run.folder.readings(0))
    opened.clear()
    run.score()
    assert sorted(opened) == sorted((what, store.step_name(step)) for what in ("open_model", "weights_hash") for step in STEPS)
    for step in STEPS:
        paths = [run.folder.scores(0, "micro-english", step), *(run.folder.reading(name, 0, step) for name in ("loss", "ruler"))]
        assert {disk.table_metadata(path)["weights"] for path in paths} == {store.sealed_weights(run.folder.checkpoint(0, step))}


def test_an_instrument_with_nothing_to_say_is_not_asked_again(begin, opened):
    run = begin("instruments=[empty]")
    run.score()
    assert len(seen) == 3
    opened.clear()
    begin("instruments=[empty]").score()
    assert len(seen) == 3 and opened == []
    assert run.reading("empty").collect().is_empty()


def test_other_weights_are_read_again(begin):
    run = begin("instruments=[ruler]")
    run.score()
    seen.clear()
    folder = run.folder.checkpoint(0, 2)
    shutil.copy(run.folder.checkpoint(0, 4) / store.WEIGHTS, folder / store.WEIGHTS)
    store.seal(folder)
    run.score()
    assert seen == [("ruler", 2)]
    losses = run.results.dev_losses()
    assert losses[0, 2] == losses[0, 4]


# --- names and needs ----------------------------------------------------------------------------------------------


def test_two_instruments_of_one_name_are_an_error():
    with pytest.raises(OntogenyError, match="instruments has ruler twice; each may be there once"):
        small("instruments=[{kind: ruler, value: 1}, {kind: ruler, value: 2}]")


def test_a_misspelt_instrument_is_named():
    with pytest.raises(OntogenyError, match=r"no instrument is called 'rlues'; did you mean 'rules'\?"):
        recipes.parse(tiny.RECIPE, settings=["instruments=[rlues]"])


def test_an_instrument_reads_after_those_it_needs_and_again_when_they_do(begin):
    run = begin("instruments=[higher, above, ruler]")
    run.score()
    assert seen == [(name, step) for step in STEPS for name in ("ruler", "above", "higher")]
    assert rows(run, "above", "mark_0") == [(0, 2.0), (2, 2.0), (4, 2.0)]
    seen.clear()
    other = begin("instruments=[higher, above, {kind: ruler, value: 4}]")
    other.score()
    assert seen == [(name, step) for step in STEPS for name in ("ruler", "above", "higher")]
    assert rows(other, "above", "mark_0") == [(0, 5.0), (2, 5.0), (4, 5.0)]


def test_what_an_instrument_needs_and_is_not_there_is_named(begin):
    with pytest.raises(OntogenyError, match="the instrument above needs 'ruler', which this run does not have: list it under"):
        begin("instruments=[above]").score()
    run = begin("instruments=[above, ruler]")
    with pytest.raises(OntogenyError, match=r"the instrument above needs ruler, which has not read this .* --with ruler"):
        run.read(["above"])
    assert "above" not in run.results.tables
    with pytest.raises(
        OntogenyError, match=r"instruments need one another in a circle: circular(-too)? needs circular(-too)? needs"
    ):
        begin("instruments=[circular, circular-too, ruler]").score()


# --- the dev loss -------------------------------------------------------------------------------------------------


def test_another_sample_of_held_out_text_is_read_anew(begin):
    before = begin().results.dev_losses()
    run = begin("training.dev_tokens=32")
    run.score()
    after = run.results.dev_losses()
    assert list(after) == EVERY and all(after[moment] != before[moment] for moment in EVERY)
    assert run.results.tables["loss"].settings["tokens"] == 32
    back = begin()
    back.score()
    assert back.results.dev_losses() == before


def test_a_curve_never_mixes_two_samples(begin):
    before = begin().results.dev_losses()
    run = begin("training.dev_tokens=32")
    run.readings.read(0, run.folder.checkpoints(0)[1])  # as if it had been killed then
    results = run.results
    assert results.dev_losses() == {moment: before[moment] for moment in ((0, 0), (0, 4))}
    assert results.tables["loss"].others == ((0, 2),)
    (note,) = [note for note in results.notes() if note.startswith("loss")]
    assert "loss read 1 checkpoint with other settings, or of other text, than the rest, and they are left out" in note
    assert f"ontogeny read {run.folder.path} --with loss reads them anew" in note
    run.score()
    assert list(run.results.dev_losses()) == EVERY and run.results.tables["loss"].others == ()


# --- what goes wrong ----------------------------------------------------------------------------------------------

WRONG = {
    "error": r"the instrument wrong failed \(RuntimeError: it broke\)",
    "trouble": "no ruler is long enough",
    "undeclared": "the instrument wrong gave a column 'more' that it does not declare; it declares mark_0",
    "lacking": "the instrument wrong declares a column 'mark_0' and did not give it",
    "text": "the instrument wrong gave values of another type than it declares",
    "rows": "the instrument wrong gave (two rows of one index|2 rows and declares no index column)",
}


@pytest.mark.parametrize("how", WRONG)
def test_one_instruments_error_leaves_the_others_tables_and_is_named_in_the_lineage(begin, how):
    run = begin(f"instruments=[{{kind: wrong, how: {how}}}, ruler]", "training.dev_tokens=32")
    with pytest.raises(OntogenyError, match=WRONG[how]) as caught:
        run.score()
    assert list(run.results.dev_losses()) == EVERY and run.results.tables["loss"].settings["tokens"] == 32
    assert rows(run, "ruler", "mark_0") == [(0, 1.0), (2, 1.0), (4, 1.0)]
    assert "wrong" not in run.results.tables
    said = run.folder.lineage()["warnings"]
    assert said == str(caught.value).splitlines() and len(said) == 1  # what goes wrong at all of them in one way is said once
    assert f"{store.step_name(STEPS[0])} and {len(STEPS) - 1} more: " in said[0]
    run.judge()
    assert said[0] in run.results.notes()
    assert "ruler" in write_report(run.folder).read_text(encoding="utf-8")


def test_an_instruments_error_does_not_stop_training(tmp_path):
    display = tiny.Heard()
    run = Run.begin(small("instruments=[wrong, ruler]"), tmp_path, display)
    run.train()
    assert [checkpoint.step for checkpoint in run.folder.checkpoints(0)] == list(STEPS)
    assert list(run.results.dev_losses()) == EVERY and rows(run, "ruler", "mark_0") == [(0, 1.0), (2, 1.0), (4, 1.0)]
    assert any("the instrument wrong failed" in text for text in display.warnings)


def test_an_index_that_is_given_twice_is_named(begin):
    with pytest.raises(OntogenyError, match=r"the instrument doubled gave two rows of one index: \(3,\)"):
        begin("instruments=[doubled]").score()
    with pytest.raises(OntogenyError, match="the instrument timed declares a column 'step', which every table has anyway"):
        begin("instruments=[timed]").score()


def test_a_model_that_an_instrument_does_not_apply_to_is_recorded_and_said_once(begin, opened):
    run = begin("instruments=[{kind: wrong, how: does not apply}]")
    run.score()
    said = "wrong does not apply: a model without a length"
    assert [text for text in run.display.said if "does not apply" in text] == [said]
    assert run.folder.lineage()["warnings"] == [] and run.reading("wrong").collect().is_empty()
    assert f"{said}." in run.results.notes()
    opened.clear()
    run.score()
    assert len(seen) == 3 and opened == []


def test_a_broken_table_is_left_out_of_the_page_but_not_of_the_verdicts(begin):
    run = begin("instruments=[ruler, pebble]")
    run.score()
    path = run.folder.reading("ruler", 0, 2)
    path.write_bytes(path.read_bytes()[:50])
    run.judge()
    notes = " ".join(run.results.notes())
    assert "ruler is left out" in notes and path.name in notes and "pebble is" not in notes
    page = write_report(run.folder).read_text(encoding="utf-8")
    assert "pebble" in page and "ruler is left out" in page
    with pytest.raises(OntogenyError, match=r"ruler is left out: .*step-00000002\.parquet cannot be read as parquet"):
        run.reading("ruler")
    loss = run.folder.reading("loss", 0, 2)
    loss.write_bytes(loss.read_bytes()[:50])
    write_report(run.folder)
    with pytest.raises(OntogenyError, match=r"readings/loss/step-00000002\.parquet cannot be read"):
        run.judge()  # when *untrained* ends would be a guess


def test_a_fold_over_one_checkpoint_is_named(begin):
    run = begin("instruments=[speed]")
    run.score()
    assert run.fold("speed")["speed"]["speed"].to_list() == [0.0]
    assert Results(run.folder).frame("speed.speed") is not None
    for step in (2, 4):
        run.folder.reading("speed", 0, step).unlink()
    with pytest.raises(OntogenyError, match=r"the instrument speed could not fold its tables of 1 checkpoint \(ValueError"):
        run.fold("speed")
    results = Results(run.folder)
    assert results.frame("speed.speed") is None and "speed.speed is left out" in " ".join(results.notes())


def test_a_figure_whose_instrument_has_not_read_the_run_says_the_command(begin):
    run = begin("instruments=[ruler]")
    with pytest.raises(OntogenyError, match=r"no table ruler, which the figure .*; ontogeny read RUN --with ruler makes it"):
        figure(run.folder, "ruler.mark_0")
    with pytest.raises(OntogenyError, match=f"ruler has not read .*; ontogeny read {run.folder.path} --with ruler"):
        run.reading("ruler")
    run.score()
    assert figure(run.folder, "ruler.mark_0").to_dict(validate=False)


# --- runs of the version before -----------------------------------------------------------------------------------
# There, all instruments of a checkpoint had one table in common.

RULES = "{kind: rules, language: reverse-string, lengths: [4, 8]}"
OLD = {"loss": {"dev": 2.5}, "ruler": {"mark_0": 7.0}, "rules": {"test_loss": 1.5, "accuracy/4": 0.9, "accuracy/8": 0.6}}


def as_before(run, **more):
    """Gives a run's readings the form of the version before."""
    shutil.rmtree(run.folder.readings(0))
    for step in STEPS:
        found = [(name, key, value + step) for name, own in (OLD | more).items() for key, value in own.items()]
        table = pl.DataFrame(found, schema=["instrument", "key", "value"], orient="row")
        weights = store.sealed_weights(run.folder.checkpoint(0, step))
        disk.write_table(run.folder.readings(0) / f"{store.step_name(step)}.parquet", table, {"key": "old", "weights": weights})


def shown(run):
    """What is shown of each instrument, of its known values."""
    results = run.results
    known = {name: results.table(name).collect() for name in OLD}
    return {
        name: sorted(
            (row["step"], row.get("length"), key, value)
            for row in frame.iter_rows(named=True)
            for key, value in row.items()
            if key not in ("seed", "step", "length") and value is not None
        )
        for name, frame in known.items()
    }


def test_old_readings_are_moved_once_and_shown_before_and_after_alike(begin, opened):
    run = begin(f"instruments=[ruler, {RULES}]")
    as_before(run)
    before = shown(run)
    assert before["loss"] == [(step, None, "dev", 2.5 + step) for step in STEPS]
    assert (4, 8, "accuracy", 4.6) in before["rules"] and (4, -1, "test_loss", 5.5) in before["rules"]
    assert run.results.dev_losses() == {(0, step): 2.5 + step for step in STEPS}
    write_report(run.folder)
    run.judge()
    assert shown(run) == before
    assert [path.name for path in run.folder.readings(0).iterdir() if path.is_file()] == []
    assert run.display.warnings == []
    opened.clear()
    run.score()
    assert seen == [] and opened == []  # they were read with the settings that the recipe has
    assert run.results.tables["rules"].instrument.lengths == (4, 8)


def test_what_is_read_after_the_move_joins_what_was_moved(begin):
    run = begin("instruments=[ruler]")
    as_before(run)
    run.score(again=[2])
    assert rows(run, "ruler", "mark_0") == [(0, 7.0), (2, 1.0), (4, 11.0)]
    assert run.results.tables["ruler"].others == () and not any("ruler" in note for note in run.results.notes())
    assert set(run.results.dev_losses()) == set(EVERY)
    other = begin("instruments=[{kind: ruler, value: 2}]")
    other.score()
    assert rows(other, "ruler", "mark_0") == [(0, 2.0), (2, 2.0), (4, 2.0)]


def test_old_readings_are_moved_before_the_recipe_changes(begin):
    run = begin("instruments=[ruler]")
    as_before(run)
    other = begin("instruments=[{kind: ruler, value: 3}]")
    assert rows(other, "ruler", "mark_0") == [(0, 7.0), (2, 9.0), (4, 11.0)]
    other.score()
    assert rows(other, "ruler", "mark_0") == [(0, 3.0), (2, 3.0), (4, 3.0)]


def test_what_cannot_be_moved_is_named_and_left_as_it_is(begin):
    run = begin(f"instruments=[ruler, {RULES}]")
    as_before(run, gone={"x": 1.0})
    run.judge()
    assert run.display.warnings == [
        "! readings of gone are of a version before and this run's recipe has no such instrument: left as they are"
    ]
    assert rows(run, "ruler", "mark_0") == [(0, 7.0), (2, 9.0), (4, 11.0)]
    old = disk.read_table(run.folder.readings(0) / f"{store.step_name(2)}.parquet")
    assert old.filter(instrument="gone")["value"].to_list() == [3.0]
    page = write_report(run.folder).read_text(encoding="utf-8")
    assert "gone" in json.dumps(run.results.notes()) and "gone" in page


def test_the_clock_of_a_run_that_has_curves_of_no_instrument_is_there(begin):
    assert isinstance(begin().results.clock, Clock) and begin().results.clock.last == 4
