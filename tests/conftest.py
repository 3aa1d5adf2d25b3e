"""What all tests share: one thread, the real data, and one finished tiny run."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("no times", deadline=None)  # a busy machine is no fault of the code's
hypothesis.settings.load_profile("no times")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: tiny tensors gain nothing from more
DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA}")
    return DATA


def pytest_runtest_setup(item):
    if item.get_closest_marker("real") and not DATA.is_dir():
        pytest.skip(f"no real data at {DATA}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A test on real data may skip only where the data are not there."""
    report = yield
    if report.skipped and item.get_closest_marker("real") and DATA.is_dir() and not hasattr(report, "wasxfail"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped although {DATA} is there: {why}"
    return report


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> Path:
    """The folder of a tiny run from text to report.  Nothing may change it: `own_run` is a copy to change."""
    import tiny

    from ontogeny import laboratory

    return laboratory.run(tiny.recipe(), tmp_path_factory.mktemp("runs")).folder.path


@pytest.fixture
def own_run(finished_run, tmp_path) -> Path:
    folder = tmp_path / "runs" / finished_run.name
    shutil.copytree(finished_run, folder)
    return folder


@pytest.fixture
def in_this_process(monkeypatch):
    """No other process works: tests/work and tests/studies see processes do the same."""
    from ontogeny.work.local import Local
    from ontogeny.work.piece import perform

    @contextmanager
    def opened(engine, places, display):
        yield lambda pieces, hear: ((piece, perform(piece.message())) for piece in pieces)

    monkeypatch.setattr(Local, "opened", opened)
