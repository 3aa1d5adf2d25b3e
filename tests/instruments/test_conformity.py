"""What every instrument holds to, by its name: a new one is tested here once its line is in the registry."""

import re
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import tiny
import torch
from markupsafe import escape
from polars.testing import assert_frame_equal

from ontogeny import disk, registry
from ontogeny import recipe as recipes
from ontogeny.architectures.lstm import LSTM
from ontogeny.instruments import Column, DoesNotApply, Instrument, Subject, distance, rules, subject, tables
from ontogeny.instruments.instrument import CLOCK, schema
from ontogeny.laboratory import Run
from ontogeny.pages.axes import save
from ontogeny.pages.embed import Charts
from ontogeny.pages.panel import Clock, chart, lacks, shown
from ontogeny.recipe import Observation
from ontogeny.records import OntogenyError
from ontogeny.report import figure, write_report
from ontogeny.report.page import render
from ontogeny.scoring.reading import OpenedCheckpoint
from ontogeny.store import RunFolder
from ontogeny.training import loop

TREEBANK = tiny.treebank(Path(tempfile.mkdtemp()))
NAMES = registry.names("instrument")
# What an instrument must be told, and what makes it small; all others are read as they are.
SETTINGS = {
    "rules": {"language": "L3", "prompts": 12, "longest": 20, "strings": 12},
    "distance": {"order": 3, "blocks": 8, "contexts": 100},
    "loss": {"tokens": 640, "context": 64},
    "knowledge": {"folds": 2},
    "probes": {"treebank": str(TREEBANK), "words": 200},
    "saliency": {"cues": ["L3_rule1", "L3_rule2"]},
    "syntax": {"treebank": str(TREEBANK)},
    "words": {"treebank": str(TREEBANK), "tokens": 400, "words": 5, "decided": 20},
    "dependence": {"treebank": str(TREEBANK), "sentences": 10},
    "priming": {"table": str(tiny.primes(TREEBANK.parent, "a", "b"))},
    "samples": {"samples": 6, "greedy": 3, "tokens": 30},
    "reading": {"table": str(tiny.reading_times(TREEBANK.parent, ("a", "b", "aa", "bb")))},
}
OTHER = {"rules": {"strings": 5}, "distance": {"order": 2}, "loss": {"tokens": 128}}  # changed; of none, its version is raised
# How many rows one forward pass takes, where an instrument says it itself; `states` and `attentions` take those of the subject.
BATCHES = {"rules": (rules, "ROWS", 1, 64), "loss": (loop, "ROWS", 1, 64), "distance": (distance, "CHUNK", 1, 2**24)}
# Relative, where it is not 1e-5.  A probe's fit ends when its loss falls by less than 1e-4 of itself; labels here are told nearly
# whole (a code 35 times shorter), so that little is left of the loss and the last bit of a state moves it by as much.
PRECISION = {"probes": 2e-3}

STEPS, SUITE = (0, 2, 4), "formal-L3"
LANGUAGE = (
    "corpus={kind: formal, language: L3, strings: 200}",
    "dev={kind: formal, language: L3, strings: 60, split: dev, seed: 1}",
    "suites=[{kind: formal, language: L3, pairs_per_paradigm: 6}]",
)
SMALL = ("seeds=[0]", "training.context=64", "training.steps=4", "checkpoints.steps=[2]", *LANGUAGE)

every = pytest.mark.parametrize("name", NAMES)


def made(name, **changed):
    return recipes.instrument({"kind": name} | SETTINGS.get(name, {}) | changed)


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """The folder of a run that every instrument has read.  Nothing may change it: `own` is a copy to change."""
    run = Run.begin(tiny.recipe(*SMALL), tmp_path_factory.mktemp("runs"))
    run.train()
    run.judge()
    run.read([made(name).model_dump(mode="json") for name in NAMES], jobs=1)
    return run.folder.path


@pytest.fixture
def own(read, tmp_path):
    shutil.copytree(read, tmp_path / read.name)
    return Run(tmp_path / read.name, tiny.Heard())


def subject_of(run, step=4, **opened):
    """A checkpoint under a fresh context, as in another process; `opened`: what stands in the checkpoint's place."""
    (checkpoint,) = [one for one in run.folder.checkpoints(0) if one.step == step]
    readings = Run(run.folder.path).readings
    real = OpenedCheckpoint(checkpoint.folder, readings.reader.device)
    instead = SimpleNamespace(tokenizer=real.tokenizer, weights=real.weights, like=lambda folder: instead, **opened)
    return Subject(readings.context, 0, checkpoint, instead if opened else real)


def kept(run, name, step=4):
    return disk.read_table(run.folder.reading(name, 0, step))


# --- its table ----------------------------------------------------------------------------------------------------


@every
def test_its_table_has_the_declared_columns_and_one_row_an_index(name, read):
    run, instrument = Run(read), made(name)
    frame = run.reading(name).collect()
    assert dict(frame.schema) == dict.fromkeys(CLOCK, pl.Int64) | schema(instrument)
    assert set(frame.select("seed", "step").iter_rows()) == {(0, step) for step in STEPS}
    assert all(column.says for column in instrument.columns.values())
    indexes = [column for column, declared in instrument.columns.items() if declared.index]
    assert not frame.select(*CLOCK, *indexes).is_duplicated().any()
    for column, declared in instrument.columns.items():
        if declared.span is not None:
            assert frame[column].drop_nulls().is_between(*declared.span).all(), column
    assert run.results.tables[name].instrument == instrument


@every
def test_it_reads_the_same_twice(name, read):
    again, reason = made(name).table_of(subject_of(Run(read)))
    assert reason == "" and again.equals(kept(Run(read), name), null_equal=True)


@every
def test_one_row_at_a_time_or_many_are_read_alike(name, read, monkeypatch):
    place, attribute, few, many = BATCHES.get(name, (subject, "ROWS", 1, 64))
    found = []
    for rows in (few, many):
        monkeypatch.setattr(place, attribute, rows)
        monkeypatch.setattr(subject, "ROWS", few if rows == few else many)
        found.append(made(name).table_of(subject_of(Run(read)))[0])
    assert_frame_equal(*found, rel_tol=PRECISION.get(name, 1e-5), abs_tol=1e-5)


@every
def test_stale_settings_leave_nothing(name, own, monkeypatch):
    before, instrument = kept(own, name), made(name, **OTHER.get(name, {}))
    if name not in OTHER:
        monkeypatch.setattr(type(instrument), "version", type(instrument).version + 1)
    stamps = {other: own.folder.reading(other, 0, 4).stat().st_mtime_ns for other in NAMES if other != name}
    own.read([instrument.model_dump(mode="json")], jobs=1)
    facts = [disk.table_metadata(own.folder.reading(name, 0, step)) for step in STEPS]
    assert {fact["key"] for fact in facts} == {instrument.key(own.readings.context)}
    found = own.results.tables[name]
    assert found.others == () and found.instrument == instrument
    assert not any(
        one.name == name for step in own.folder.checkpoints(0) for one in own.readings.unread(0, step, instruments=[instrument])
    )
    assert kept(own, name).equals(before, null_equal=True) == (name not in OTHER)
    assert stamps == {other: own.folder.reading(other, 0, 4).stat().st_mtime_ns for other in stamps}  # no other was read


# --- its figures --------------------------------------------------------------------------------------------------


@every
def test_every_panel_draws_wide_and_narrow_on_the_page_and_as_a_file(name, read, tmp_path):
    results, charts = Run(read).results, Charts()
    for panel in made(name).panels():
        frames = results.frames(panel, SUITE)
        assert lacks(panel, frames) is None and panel.there(frames), panel.name
        found = shown(panel, frames, results.clock, charts, SUITE)
        assert found["failed"] is None and found["charts"]
        assert all((one["narrow"] is not None) == panel.narrow for one in found["charts"])
        assert found["says"] == panel.says(frames, results.clock)
        for ending in panel.files:
            assert save(chart(panel, frames, results.clock), tmp_path / f"{panel.name}.{ending}").stat().st_size > 1000
        for width in (200, 900):
            assert panel.draw(frames, results.clock, width=width) is not None
        assert figure(results.folder, panel.name).to_dict(validate=False)


def test_the_page_has_every_panel_and_none_that_failed(own):
    page = write_report(own.folder).read_text(encoding="utf-8").split("<script")[0]
    assert "could not be drawn" not in page and "is left out" not in page
    written = {path.name for path in (own.folder.report.parent / "figures").iterdir()}
    for panel in (panel for name in NAMES for panel in made(name).panels()):
        assert re.search(rf'aria-label="{re.escape(panel.name)}[ :]', page), panel.name
        assert f"{panel.name}.svg" in written


@every
def test_a_panel_whose_table_is_missing_says_the_command(name):
    for panel in made(name).panels():
        assert panel.needs
        command = rf"ontogeny (read RUN --with {name}( --set \w+=FILE)?|evidence RUN) makes it"
        with pytest.raises(OntogenyError, match=f"no table .*, which the figure {panel.name!r} is drawn from; {command}"):
            chart(panel, {}, Clock())


@every
def test_it_folds_one_checkpoint_or_says_by_name_that_it_cannot(name, own):
    for step in STEPS[1:]:
        own.folder.reading(name, 0, step).unlink()
    try:
        found = own.fold(name)
    except OntogenyError as said:
        assert name in str(said)
    else:
        assert all(isinstance(frame, pl.DataFrame) for frame in found.values())


# --- models and runs that it is not for ---------------------------------------------------------------------------


OF_TREES = {  # masked models that induce them
    "dependence": "dependence does not apply: a masked model's words have no surprisal after those before them, "
    "and it induces no trees of its own"
}


@pytest.fixture(scope="module")
def masked(read, tmp_path_factory):
    """The same run, read again by all of them when its model has become a masked one; and its page."""
    folder = tmp_path_factory.mktemp("masked") / read.name
    shutil.copytree(read, folder)
    run = Run(folder, tiny.Heard())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "class_named", lambda folder: "BertForMaskedLM")
        run.read([made(name).model_dump(mode="json") for name in NAMES], again=STEPS, jobs=1)
    return run, render(run.results)


@every
def test_a_masked_model_is_read_or_recorded_as_one_that_it_does_not_apply_to(name, read, masked):
    run, page = masked
    assert run.folder.lineage()["warnings"] == []
    if "masked" in made(name).reads and name not in OF_TREES:
        assert kept(run, name).equals(kept(Run(read), name), null_equal=True)
        return
    said = OF_TREES.get(name, f"{name} reads causal language models, and this is a masked one")
    assert disk.table_metadata(run.folder.reading(name, 0, 4))["not"] == said == run.results.tables[name].reason
    assert kept(run, name).is_empty() and dict(kept(run, name).schema) == schema(made(name))
    assert run.display.said.count(said) == 1 and f"{said}." in run.results.notes()
    assert not run.readings.waits(0, run.folder.checkpoints(0)[0], instruments=[made(name)])  # not asked again
    assert str(escape(said)) in page


def recurrent(run):
    """An untrained LSTM over the run's tokens."""
    tokenizer = OpenedCheckpoint(run.folder.checkpoint(0, 4), None).tokenizer
    lstm = LSTM(size="lstm-1m", options={"hidden_size": 8, "num_hidden_layers": 1})
    return lstm.build(len(tokenizer), 64, tokenizer.bos_token_id, tokenizer.pad_token_id).eval()


@every
def test_a_recurrent_model_is_read_or_recorded_as_one_that_it_does_not_apply_to(name, own):
    instrument = made(name)
    said = tables.write(instrument, subject_of(own, model=recurrent(own)))
    assert said == "" or name in said
    assert kept(own, name).is_empty() == bool(said) == bool(own.results.tables[name].reason)


@every
def test_weights_that_are_no_numbers_are_named_and_give_none(name, own):
    (checkpoint,) = [one for one in own.folder.checkpoints(0) if one.step == 4]
    model = OpenedCheckpoint(checkpoint.folder, own.readings.reader.device).model
    for parameter in model.parameters():
        parameter.data.fill_(torch.nan)
    broken = subject_of(own, model=model)
    if name == "loss":
        assert made(name).table_of(broken)[0]["dev"].is_nan().all()  # it says what it is
        return
    with pytest.raises(OntogenyError, match=r"no finite number|not a finite number|no number"):
        made(name).table_of(broken)


class Attending(Instrument):
    """Reads attention, which a recurrent model has none of."""

    kind: str = "attending"

    @property
    def columns(self):
        return {"diagonal": Column(says="mean attention to the token itself", span=(0.0, 1.0))}

    def read(self, subject):
        (layers,) = subject.attentions(["a a b b"])
        return pl.DataFrame({"diagonal": [float(layers[0].diagonal(axis1=1, axis2=2).mean())]})


def test_attention_is_read_of_a_transformer_and_a_recurrent_model_has_none(own):
    assert tables.write(Attending(), subject_of(own)) == ""
    assert 0 < kept(own, "attending")["diagonal"][0] < 1
    said = tables.write(Attending(), subject_of(own, model=recurrent(own)))
    assert said == "attending does not apply: LSTMForCausalLM gives no attentions"
    assert kept(own, "attending").is_empty()
    with pytest.raises(DoesNotApply, match="gives no hidden states"):
        next(subject_of(own, model=recurrent(own)).states(["a a b b"]))


@every
def test_what_needs_text_says_so_by_name_on_a_run_without_one(name, own, tmp_path):
    folder = RunFolder(tmp_path / "theirs")
    theirs = recipes.build(Observation, {"name": "theirs", "suites": own.recipe.model_dump(mode="json")["suites"]}, "here")
    Run.begin(theirs, tmp_path)
    folder.adopt(0, own.folder.checkpoints(0))
    run, instrument = Run(folder.path), made(name)
    if not {"text", "ngrams"} & set(instrument.needs):
        run.read([instrument.model_dump(mode="json")], jobs=1)
        if instrument.uses:  # there, it reads the suites' sentences in place of the text, and has no n-grams
            indexes = [column for column, declared in instrument.columns.items() if declared.index]
            assert kept(run, name).select(indexes).equals(kept(own, name).select(indexes)) and len(kept(run, name))
            return
        assert kept(run, name).equals(kept(own, name), null_equal=True)
        return
    with pytest.raises(
        OntogenyError, match=f"the instrument {name} needs the text that a model was trained on, and .*theirs is a run"
    ):
        run.read([instrument.model_dump(mode="json")], jobs=1)
    assert name not in run.results.tables
