"""What all tests share: one thread, the real data, and one finished tiny run."""

import hashlib
import json
import os
import pickle
import shutil
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

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
def of_all(tmp_path_factory) -> Path:
    """A folder that all processes of this session of tests share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session", autouse=True)
def pictures_drawn_once(of_all):
    """The renderer gives the same picture of the same specification, so it is asked once for each by all these processes."""
    import vl_convert

    from ontogeny import disk

    def once(render):
        def drawn(spec, **options):
            said = json.dumps([render.__name__, spec, options], sort_keys=True)
            kept = of_all / f"{hashlib.sha256(said.encode()).hexdigest()}.drawn"
            if not kept.exists():
                with disk.atomic(kept) as temporary:
                    temporary.write_bytes(pickle.dumps(render(spec, **options)))
            return pickle.loads(kept.read_bytes())

        return drawn

    with pytest.MonkeyPatch.context() as patch:
        for name in ("vegalite_to_svg", "vegalite_to_png"):
            patch.setattr(vl_convert, name, once(getattr(vl_convert, name)))
        yield


@pytest.fixture(scope="session")
def finished_run(of_all) -> Path:
    """The folder of a tiny run from text to report.  Nothing may change it: `own_run` is a copy to change."""
    import tiny

    from ontogeny import laboratory

    folder = of_all / "finished" / "tiny"
    with FileLock(of_all / "finished.lock"):
        if not (folder / "report" / "index.html").exists():
            laboratory.run(tiny.recipe(), folder.parent)
    return folder


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
