"""Work as tasks of a Ray cluster, kept by an actor of the cluster's own that outlives whoever handed them in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import Field

from ontogeny import disk
from ontogeny.display import Display
from ontogeny.recipe import Kind
from ontogeny.records import OntogenyError
from ontogeny.work.piece import TRIES, Message, Piece, Place, Submit, perform

NAMESPACE = "ontogeny"
KEPT: dict[str, Any] = {"namespace": NAMESPACE, "lifetime": "detached", "get_if_exists": True, "num_cpus": 0}
LOOK = 1.0  # seconds that one look at the tasks takes at most


class RayCluster(Kind):
    """Tasks of a Ray cluster: `pip install 'ontogeny[ray]'`."""

    kind: str = "ray"
    address: str | None = None
    """`ray://HOST:10001`, or auto: the one at hand; left out: RAY_ADDRESS, or the one at hand, or one of this machine alone."""
    cores: float = Field(1, gt=0)
    """Of each piece of work."""
    gpus: float = Field(0, ge=0)
    """Of each; 0.25 shares one among four."""
    resources: dict[str, float] = Field(default_factory=dict)
    """What else a machine must have, as `{a100: 1}`: where pieces are placed."""

    @contextmanager
    def opened(self, places: Sequence[Place], display: Display) -> Iterator[Submit]:
        """Yields what hands pieces to the cluster."""
        try:
            import ray
        except ImportError:
            raise OntogenyError("Ray is not installed: pip install 'ontogeny[ray]'") from None
        ours = not ray.is_initialized()
        if ours:
            try:
                ray.init(address=self.address, namespace=NAMESPACE, log_to_driver=False, logging_level="error")
            except Exception as error:  # ConnectionError, RuntimeError, ValueError ...
                raise OntogenyError(f"no Ray cluster at {self.address or 'hand'} ({type(error).__name__}: {error})") from error
        names: list[str] = []
        try:
            yield lambda pieces, hear: self._submitted(pieces, names)
        except KeyboardInterrupt:
            for name in names:
                display.say(
                    "a cluster that this command did not start goes on with what it was handed; the same command follows it; "
                    f"to cancel: python -c \"import ray; ray.init(); ray.kill(ray.get_actor('{name}', '{NAMESPACE}'))\""
                )
            raise
        finally:
            if ours:
                ray.shutdown()

    def _submitted(self, pieces: Sequence[Piece], names: list[str]) -> Iterator[tuple[Piece, Message]]:
        import ray

        if not pieces:
            return
        known = {piece.key: piece for piece in pieces}
        name = f"ontogeny-{disk.content_key(min(piece.run for piece in pieces))}"
        names.append(name)
        needs = {"num_cpus": self.cores, "num_gpus": self.gpus, "resources": self.resources, "max_retries": TRIES - 1}
        keeper: Any = None
        while known:
            try:
                if keeper is None:
                    keeper = ray.remote(_Keeper).options(**KEPT, name=name).remote()
                    ray.get(keeper.hand.remote({key: piece.message() for key, piece in known.items()}, needs))
                for key, answer in ray.get(keeper.answers.remote(list(known), LOOK)).items():
                    yield known.pop(key), answer
            except (ray.exceptions.ActorDiedError, ray.exceptions.ActorUnavailableError):  # its machine was lost, and what it kept
                keeper = None
        ray.kill(keeper)
        names.remove(name)


class _Keeper:
    """Hands tasks to the cluster and keeps what they answer until it is asked for."""

    def __init__(self) -> None:
        self.tasks: dict[str, Any] = {}

    def hand(self, messages: Mapping[str, Message], needs: Mapping[str, Any]) -> None:
        import ray

        task = ray.remote(perform).options(**needs)
        self.tasks |= {key: task.remote(message) for key, message in messages.items() if key not in self.tasks}

    def answers(self, asked: Sequence[str], seconds: float) -> dict[str, Message]:
        """Of those that are asked for the ones that have ended, once there is one or this time is over."""
        import ray

        names = {self.tasks[key]: key for key in asked}
        ready, _ = ray.wait(list(names), timeout=seconds)
        more, _ = ray.wait(list(names), num_returns=len(names), timeout=0) if ready else ([], None)
        return {names[task]: self._answer(names[task]) for task in more}

    def _answer(self, key: str) -> Message:
        import ray

        try:
            answer: Message = ray.get(self.tasks[key])
        except ray.exceptions.RayError as error:
            said = f"{type(error).__name__}: {' '.join(str(error).split())[-300:]}"
            answer = {"done": "", "trouble": f"its task ended ({said}); logs: /tmp/ray/session_latest/logs of its machine"}
        return answer
