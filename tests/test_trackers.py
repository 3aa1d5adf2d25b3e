"""What trackers are told, and those that run offline where they are installed: tensorboard, mlflow's local store, wandb."""

import importlib.util
import re
import struct
import sys

import polars as pl
import pytest
import tiny

from ontogeny import laboratory, trackers
from ontogeny.commands.adoption import adopt
from ontogeny.laboratory import Run
from ontogeny.recipe import Thresholds
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder
from ontogeny.trackers import Trackers, entrenched_so_far
from ontogeny.trajectories import Timeline

STEPS = tiny.TRAINED


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    for name, value in {"WANDB_MODE": "offline", "WANDB_DIR": tmp_path, "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)


class Kept:
    """A tracker that keeps what it is told."""

    def __init__(self, run_name, **options):
        self.told, self.ended, self.fails = [], False, False

    def start(self):
        pass

    def store_init_configuration(self, values):
        self.settings = values

    def log(self, values, step):
        if self.fails:
            raise ConnectionError("no network")
        self.told.append((step, values))

    def finish(self):
        self.ended = True


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.setattr(trackers, "_classes", lambda: {"kept": Kept, "wandb": Kept})
    monkeypatch.setitem(sys.modules, "kept", sys)


def test_numbers_come_under_their_own_step_however_late_and_once(kept, own_run):
    folder, recipe = RunFolder(own_run), tiny.recipe("trackers=[kept]", "seeds=[0]")
    late = folder.scores(0, "micro-english", 8)
    late.rename(own_run / "late")
    asked = Trackers(folder, recipe, [0], tiny.Heard())
    asked.tell()
    tracker = asked._open["kept"]
    assert [step for step, _ in tracker.told] == [0, 1, 2, 16, 20, 24]
    (own_run / "late").rename(late)
    asked.tell()
    asked.tell()
    assert [step for step, _ in tracker.told] == [0, 1, 2, 16, 20, 24, 8]
    curves, run = pl.read_parquet(folder.curves).filter(seed=0), Run(own_run)
    for step, values in tracker.told:
        now = curves.filter(step=step)
        assert values["ontogeny/accuracy"] == pytest.approx(now["accuracy"].mean())
        assert values["ontogeny/dev_loss"] == pytest.approx(run.results.dev_losses()[0, step])
        binding = now.filter(phenomenon="binding")["accuracy"].mean()
        assert values["ontogeny/phenomena/binding"] == pytest.approx(binding)
        assert 5 <= len(values) <= 17
    assert tracker.settings["training.batch"] == 4 and tracker.settings["name"] == "tiny"
    asked.finish(folder.report)
    assert tracker.ended


def test_a_run_around_anybodys_checkpoints_is_told_of_too(kept, own_run, tmp_path):
    source, few = RunFolder(own_run).seed(0) / "checkpoints", ("suites.0.pairs_per_paradigm=2", "scoring.device=cpu")
    with pytest.raises(OntogenyError, match="no tracker is called 'wandbs'"):
        adopt(source, "micro-english", None, "other", ["trackers=[wandbs]", *few], tmp_path)
    assert not (tmp_path / "other").exists()
    run = adopt(source, "micro-english", None, "theirs", ["trackers=[kept]", *few], tmp_path)
    run.score()
    assert [step for step, _ in run.tracked._open["kept"].told] == list(STEPS)
    again = Run(run.folder.path)
    again.score()
    assert again.tracked is None  # nothing was new


def test_several_seeds_are_told_apart(kept, own_run):
    asked = Trackers(RunFolder(own_run), tiny.recipe("trackers=[kept]"), [0, 1], tiny.Heard())
    asked.tell()
    told = asked._open["kept"].told
    assert len(told) == 2 * len(STEPS)
    assert {re.match("ontogeny/(seed-.)/", name)[1] for _, values in told for name in values} == {"seed-0", "seed-1"}


def test_a_tracker_that_fails_is_let_go_and_said(kept, own_run):
    display = tiny.Heard()
    asked = Trackers(RunFolder(own_run), tiny.recipe("trackers=[kept]"), [0], display)
    asked._open["kept"].fails = True
    asked.tell()
    asked.finish(RunFolder(own_run).report)
    assert len(display.warnings) == 1 and "the tracker kept failed and is told nothing more" in display.warnings[0]


@pytest.mark.parametrize(
    ("accuracy", "wrong", "entrenched"),
    [
        ([0.5, 0.1, 0.1, 0.1, 0.1], 1, 1),
        ([0.5, 0.1, 0.1, 0.5, 0.1], 1, 0),  # it was not wrong all the time
        ([0.5, 0.5, 0.5, 0.1, 0.1], 1, 0),  # it has become wrong
        ([0.5, 0.1, 0.1, 0.1, 0.9], 0, 0),
    ],
)
def test_entrenched_so_far_is_wrong_early_and_ever_since(accuracy, wrong, entrenched):
    steps = [0, 5, 10, 20, 30]
    curves = pl.DataFrame({"paradigm": ["a"] * 5, "step": steps, "accuracy": accuracy, "n": [100] * 5})
    time = Timeline((*steps, 100), 100)
    assert entrenched_so_far(curves, time, Thresholds()) == {"wrong": wrong, "entrenched_so_far": entrenched}


def test_entrenched_so_far_is_not_told_before_the_early_window_has_ended():
    curves = pl.DataFrame({"paradigm": ["a"] * 3, "step": [0, 5, 10], "accuracy": [0.5, 0.1, 0.1], "n": [100] * 3})
    assert entrenched_so_far(curves, Timeline((0, 5, 10, 100), 100), Thresholds()) == {"wrong": 1}


def test_a_tracker_that_is_not_installed_is_named_before_training_begins(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(trackers, "find_spec", lambda name: None if name == "aim" else find(name))
    recipe = tiny.recipe("trackers=[aim]")
    with pytest.raises(OntogenyError, match="the tracker aim is not installed: pip install aim; or take it out of trackers"):
        laboratory.run(recipe, tmp_path)
    assert not (tmp_path / "tiny" / "tokens").exists()
    with pytest.raises(OntogenyError, match="no tracker is called 'wandbs'; did you mean 'wandb'"):
        laboratory.run(tiny.recipe("name=other", "trackers=[wandbs]"), tmp_path)


# --- for real -----------------------------------------------------------------------------------------------------


@pytest.fixture
def tracked(tmp_path, monkeypatch):
    """Trains a tiny run with a tracker; its folder."""
    monkeypatch.setattr("ontogeny.report.page.write_figures", lambda results, folder: [])

    def train(name):
        recipe = tiny.recipe(f"trackers=[{name}]", "seeds=[0]", "verdicts.early=0.5")
        return laboratory.run(recipe, tmp_path / "runs").folder

    return train


def expected(folder):
    curves = pl.read_parquet(folder.curves)
    return dict(curves.group_by("step").agg(pl.col("accuracy").mean()).sort("step").iter_rows())


def test_tensorboard_shows_them(tracked):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tracked("tensorboard")
    events = EventAccumulator(str(folder.path / "trackers" / "tensorboard"))
    events.Reload()
    told = {event.step: event.value for event in events.Scalars("ontogeny/accuracy")}
    assert told == pytest.approx(expected(folder), abs=1e-6)
    assert {"ontogeny/wrong", "ontogeny/dev_loss", "ontogeny/phenomena/binding"} <= set(events.Tags()["scalars"])


def test_mlflows_local_store_has_them_and_the_page(tracked):
    mlflow = pytest.importorskip("mlflow")
    folder = tracked("mlflow")
    client = mlflow.MlflowClient()
    run = client.search_runs([client.get_experiment_by_name("ontogeny").experiment_id])[0]
    told = {point.step: point.value for point in client.get_metric_history(run.info.run_id, "ontogeny/accuracy")}
    assert told == pytest.approx(expected(folder))
    assert run.info.run_name == "tiny" and run.info.status == "FINISHED" and run.data.params["training.steps"] == "24"
    assert [file.path for file in client.list_artifacts(run.info.run_id, "report")] == ["report/index.html"]


def test_a_run_of_somebody_elses_in_mlflow_is_joined_and_left_open(own_run):
    mlflow = pytest.importorskip("mlflow")
    with mlflow.start_run() as theirs:
        asked = Trackers(RunFolder(own_run), tiny.recipe("trackers=[mlflow]"), [0], tiny.Heard())
        asked.finish(RunFolder(own_run).report)
        assert mlflow.active_run().info.run_id == theirs.info.run_id
    assert len(mlflow.MlflowClient().get_metric_history(theirs.info.run_id, "ontogeny/accuracy")) == len(STEPS)


def wandb_records(folder):
    """What an offline run of wandb has written: LevelDB's log format, a protobuf a record."""
    from wandb.proto import wandb_internal_pb2

    data, at, whole = next(folder.glob("wandb/offline-run-*/*.wandb")).read_bytes(), 7, b""
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        size, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        whole, at = whole + data[at + 7 : at + 7 + size], at + 7 + size
        if kind in (1, 4):
            yield wandb_internal_pb2.Record.FromString(whole)
            whole = b""


def test_wandb_offline_has_them_on_an_axis_of_their_own_and_the_page(tracked, tmp_path):
    wandb = pytest.importorskip("wandb")
    folder = tracked("wandb")
    wandb.teardown()  # its process has written everything
    records = list(wandb_records(tmp_path))
    rows = [{item.key or "/".join(item.nested_key): item.value_json for item in record.history.item} for record in records]
    told = {int(row["ontogeny/step"]): float(row["ontogeny/accuracy"]) for row in rows if "ontogeny/accuracy" in row}
    assert told == pytest.approx(expected(folder))
    axes = [(r.metric.glob_name, r.metric.step_metric) for r in records if r.WhichOneof("record_type") == "metric"]
    assert axes == [("ontogeny/*", "ontogeny/step")]
    assert [r.artifact.name for r in records if r.WhichOneof("record_type") == "artifact"] == ["tiny-report"]


def test_a_run_of_somebody_elses_in_wandb_is_joined_and_left_open(own_run, tmp_path):
    wandb = pytest.importorskip("wandb")
    theirs = wandb.init(project="theirs")
    theirs.define_metric("*", step_metric="train/global_step")  # as transformers' callback does
    asked = Trackers(RunFolder(own_run), tiny.recipe("trackers=[wandb]"), [0], tiny.Heard())
    asked.finish(RunFolder(own_run).report)
    assert wandb.run is theirs
    theirs.finish()
    wandb.teardown()
    records = list(wandb_records(tmp_path))
    assert sum(any("ontogeny/accuracy" in (item.key, "/".join(item.nested_key)) for item in r.history.item) for r in records) == 7
    assert [r.run.project for r in records if r.WhichOneof("record_type") == "run"] == ["theirs"]
