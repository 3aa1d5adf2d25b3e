"""What becomes of a cluster's jobs, by a cluster in name alone: lost ones are handed in again, running ones are followed."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny

from ontogeny.work import slurm
from ontogeny.work.piece import Piece, do
from ontogeny.work.slurm import Slurm

utils = pytest.importorskip("submitit.core.utils", reason="submitit is not installed")


class Job:
    """One that ends as it is told: with an answer, without one, or never."""

    def __init__(self, number, ends):
        self.job_id, self.ends, self.state, self._tasks = f"17_{number}", ends, "RUNNING", [0]
        self.paths = SimpleNamespace(stderr=Path("jobs") / f"{number}.err")

    def done(self):
        return self.ends is not None

    def results(self):
        if not self.ends:
            raise utils.UncompletedJobError("it was killed")
        return [{"done": "", "trouble": None}]


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    """Pieces of a run, and how their jobs end in turn; jobs that were handed in are remembered."""
    handed, ends = [], {}

    def map_array(job, messages):
        new = [Job(f"{message['inputs']['seed']}", ends[message["inputs"]["seed"]].pop(0)) for message in messages]
        handed.extend(new)
        return new

    known = lambda folder, job_id, tasks: next(job for job in handed if job.job_id == job_id)  # noqa: E731
    fake = SimpleNamespace(map_array=map_array, _executor=SimpleNamespace(job_class=known))
    monkeypatch.setattr(Slurm, "_executor", lambda self, place, many: fake)
    (tmp_path / "recipe.yaml").touch()
    return SimpleNamespace(
        handed=handed, ends=ends, pieces=[Piece("train", str(tmp_path), {"seed": seed}, label=f"seed {seed}") for seed in (0, 1)]
    )


def test_a_job_that_is_lost_three_times_is_named_with_its_log_and_the_others_go_on(cluster, tmp_path):
    cluster.ends.update({0: [False, False, False], 1: [False, True]})
    heard = tiny.Heard()
    with Slurm().opened([], heard) as submit:
        found = do(cluster.pieces, submit, heard, "pieces")
    first, second = (found[piece] for piece in cluster.pieces)
    assert first["trouble"].endswith("its job ended 3 times; its log: jobs/0.err")
    assert second["trouble"] is None and len(cluster.handed) == 5
    assert list((tmp_path / "jobs").glob("*.json")) == []


def test_who_stops_leaves_the_jobs_and_the_same_command_follows_them(cluster, monkeypatch):
    cluster.ends.update({0: [None], 1: [True]})
    heard = tiny.Heard()

    class Stopping:
        def wait(self, seconds):
            raise KeyboardInterrupt

    monkeypatch.setattr(slurm, "Event", Stopping)
    with pytest.raises(KeyboardInterrupt), Slurm().opened([], heard) as submit:
        do(cluster.pieces, submit, heard, "pieces")
    assert "left to the cluster: 1 job; to look: squeue --jobs 17; to cancel: scancel 17" in heard.said[-1]
    cluster.handed[0].ends = True
    with Slurm().opened([], heard) as submit:
        found = do(cluster.pieces[:1], submit, heard, "pieces")
    assert found[cluster.pieces[0]]["trouble"] is None and len(cluster.handed) == 2  # none was handed in again
