"""Work as jobs of a SLURM cluster, through submitit: an array of jobs that outlive whoever handed them in."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any, Literal

from pydantic import Field

from ontogeny import disk, registry
from ontogeny.display import Display, count
from ontogeny.recipe import Kind
from ontogeny.records import OntogenyError
from ontogeny.work.piece import TRIES, Hear, Message, Piece, Place, Submit, perform

LOOKS = {"slurm": 5.0, "local": 0.2}  # seconds from one look at the jobs to the next
Job = Any  # submitit's


class Slurm(Kind):
    """Jobs of a SLURM cluster, from a machine where `sbatch` is."""

    kind: str = "slurm"
    partition: str | None = None
    """Of the cluster; left out: its own choice."""
    account: str | None = None
    """Who is charged."""
    minutes: int = Field(240, ge=1)
    """Time of a job; one that is stopped after it, or for others', goes on from its last state."""
    cores: int = Field(4, ge=1)
    """Of each process."""
    memory: int = Field(16, ge=1)
    """GB of each machine."""
    gpus: int = Field(0, ge=0)
    """Of each machine."""
    at_once: int = Field(64, ge=1)
    """Jobs that run at a time."""
    nodes: int = Field(1, ge=1)
    """Machines that train one seed together."""
    processes: int = Field(1, ge=1)
    """On each of them, to train one seed together: one a GPU."""
    options: dict[str, Any] = Field(default_factory=dict)
    """More of sbatch's, as `{constraint: a100}`."""
    executor: Literal["slurm", "local"] = "slurm"
    """local: submitit's own executor, processes of this machine, to try it."""

    @contextmanager
    def opened(self, places: Sequence[Place], display: Display) -> Iterator[Submit]:
        """Yields what hands pieces to the cluster; jobs that somebody handed in before are followed and not handed in again."""
        running: dict[Piece, Job] = {}

        def submit(pieces: Sequence[Piece], hear: Hear) -> Iterator[tuple[Piece, Message]]:
            return self._submitted(pieces, running, display)

        try:
            yield submit
        except KeyboardInterrupt:
            numbers = ",".join(sorted({str(job.job_id).split("_")[0] for job in running.values()}))
            if numbers:
                display.say(
                    f"left to the cluster: {count(len(running), 'job')}; to look: squeue --jobs {numbers}; to cancel: scancel "
                    f"{numbers}; the same command follows and goes on"
                )
            raise

    def _submitted(self, pieces: Sequence[Piece], running: dict[Piece, Job], display: Display) -> Iterator[tuple[Piece, Message]]:
        if not pieces:
            return
        place = folder_of(pieces)
        tries = dict.fromkeys(pieces, 0)
        running.update((piece, job) for piece in pieces if (job := self._known(place, piece)) is not None)
        waiting = [piece for piece in pieces if piece not in running]
        while waiting or running:
            room = len(waiting) if self.executor == "slurm" else max(0, self.at_once - len(running))
            handed, waiting = waiting[:room], waiting[room:]
            running.update(self._handed(place, handed))
            ended = [piece for piece, job in running.items() if job.done()]
            for piece in ended:
                job = running.pop(piece)
                _record(place, piece).unlink(missing_ok=True)
                tries[piece] += 1
                if (answer := _answer(job)) is not None:
                    yield piece, answer
                elif tries[piece] < TRIES:
                    waiting.append(piece)
                else:
                    yield piece, {"done": "", "trouble": f"{piece}: its job ended {TRIES} times; its log: {job.paths.stderr}"}
            if not ended:
                Event().wait(LOOKS[self.executor])

    def _executor(self, place: Path, many: bool) -> Any:
        try:
            import submitit
        except ImportError:
            raise OntogenyError("SLURM needs submitit, which is not installed: pip install 'ontogeny[slurm]'") from None
        found = submitit.AutoExecutor(folder=place / "%j", cluster=self.executor)
        nodes, processes = (self.nodes, self.processes) if many else (1, 1)
        named = {"partition": self.partition, "account": self.account, "array_parallelism": self.at_once} | self.options
        found.update_parameters(
            name="ontogeny",
            timeout_min=self.minutes,
            cpus_per_task=self.cores,
            mem_gb=self.memory,
            gpus_per_node=self.gpus,
            nodes=nodes,
            tasks_per_node=processes,
            **{f"slurm_{name}": value for name, value in named.items() if value is not None},
        )
        return found

    def _handed(self, place: Path, pieces: Sequence[Piece]) -> dict[Piece, Job]:
        """Hands pieces in, those that several processes train in an array of their own; keeps their jobs' numbers."""
        jobs: dict[Piece, Job] = {}
        for many in (False, True):
            some = [piece for piece in pieces if (piece.what == "train" and self.nodes * self.processes > 1) == many]
            before = set(_submissions(place))
            try:
                found = self._executor(place, many).map_array(_Job(), [piece.message() for piece in some]) if some else []
            except (RuntimeError, ValueError, OSError) as error:
                for path in set(_submissions(place)) - before:
                    path.unlink()
                with suppress(OSError):  # what is there, or that there is nothing
                    place.rmdir()
                raise OntogenyError(f"SLURM refuses these jobs: {' '.join(str(error).split())}") from error
            for piece, job in zip(some, found, strict=True):
                jobs[piece] = job
                disk.write_json(_record(place, piece), {"job": job.job_id, "tasks": len(job._tasks), "piece": piece.command})
        return jobs

    def _known(self, place: Path, piece: Piece) -> Job | None:
        """The job that was handed in for a piece before, if the cluster has it still."""
        record = _record(place, piece)
        if self.executor == "local" or not record.exists():
            return None
        kept, executor = disk.read_json(record), self._executor(place, False)
        job = executor._executor.job_class(folder=place / "%j", job_id=kept["job"], tasks=range(kept["tasks"]))
        return None if job.state in ("UNKNOWN", "FAILED", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY") else job


class _Job:
    """What a job does.  One that is stopped by the cluster is handed in again, and goes on from the last state."""

    def __call__(self, message: Message) -> Message:
        import submitit

        environment = submitit.JobEnvironment()
        if environment.num_tasks == 1:
            return perform(message)
        from ontogeny.training.parallel import together

        submitit.helpers.TorchDistributedEnvironment().export(set_cuda_visible_devices=False)
        with together() as ranks:
            if not ranks.rank:
                return perform(message)
            registry.load("rank", "others")(ranks)
        return {}

    def checkpoint(self, message: Message) -> Any:
        import submitit

        return submitit.helpers.DelayedSubmission(self, message)


def _answer(job: Job) -> Message | None:
    """What a job answers; None if it ended before it could."""
    from submitit.core.utils import UncompletedJobError

    try:
        answer: Message = job.results()[0]
    except UncompletedJobError:
        return None
    return answer


def folder_of(pieces: Sequence[Piece]) -> Path:
    """Where the jobs of pieces leave their logs: `jobs` in the one run's folder, or beside the runs' or the arms'."""
    common = Path(os.path.commonpath([piece.run for piece in pieces]))
    return (common if (common / "recipe.yaml").exists() else common.parent) / "jobs"


def _submissions(place: Path) -> list[Path]:
    """What submitit writes before it asks the cluster."""
    return [*place.glob(".submission_file_*.sh"), *place.glob(f"{'?' * 32}.pkl")]


def _record(place: Path, piece: Piece) -> Path:
    return place / f"{piece.key}.json"
