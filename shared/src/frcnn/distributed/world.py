"""Communication between the processes of a training: one process, or several joined by Horovod.

Both implementations offer the same calls, so the trainer does not distinguish them. Rank 0 writes files
and logs. All ranks must make every call except `guard` in the same order; each call waits for all ranks.
"""

import dataclasses
import importlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from frcnn.errors import RunError, UsageError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Value = TypeVar("Value")

# Environment variables of Horovod's launcher and of Open MPI's mpirun.
_PREFIXES = ("HOROVOD_", "OMPI_COMM_WORLD_")
MISSING = (
    "several processes need Horovod, which is not installed here: run `make horovod` "
    "(docs/distributed.md), or train with one process"
)


class PeerLostError(RunError):
    """Another process ended or is unreachable. Its own message gives the reason."""


@dataclasses.dataclass(frozen=True)
class RankInfo:
    """Rank and world size of a process, in total and on its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def rank_info() -> RankInfo:
    """Returns the rank and world size of this process.

    Returns:
        Values from Horovod's or Open MPI's environment variables; rank 0 of 1 without them.
    """
    for prefix in _PREFIXES:
        names = [prefix + name for name in ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE")]
        if all(name in os.environ for name in names):
            return RankInfo(*(int(os.environ[name]) for name in names))
    return RankInfo()


class World(Protocol):
    """Operations across ranks. Variables are Keras variables; tensors have the same shapes on every rank."""

    place: RankInfo

    def average(self, tensors: "Sequence[tf.Tensor | None]", name: str) -> "list[tf.Tensor | None]":
        """Averages tensors over all ranks in one exchange; usable in a compiled step.

        Args:
            tensors: Tensors, same shapes on every rank. `None` entries stay `None`.
            name: Name that identifies this exchange among concurrent ones.

        Returns:
            Mean tensors, in the order of `tensors`.
        """

    def broadcast(self, variables: "Sequence[keras.Variable]") -> None:
        """Sets the variables to their values on rank 0."""

    def gather(self, value: Value) -> list[Value]:
        """Gathers the values of all ranks on every rank.

        Args:
            value: Any picklable value.

        Returns:
            Values by rank.
        """

    def barrier(self) -> None:
        """Waits for all ranks."""

    def guard(self) -> "Any":
        """Returns a context that turns the loss of another process into `PeerLostError`."""


class OneProcess:
    """World with a single process; every operation is trivial."""

    def __init__(self) -> None:
        """Creates rank 0 of 1."""
        self.place = RankInfo()

    def average(self, tensors: "Sequence[tf.Tensor | None]", name: str) -> "list[tf.Tensor | None]":
        """Returns the tensors unchanged."""
        return list(tensors)

    def broadcast(self, variables: "Sequence[keras.Variable]") -> None:
        """Does nothing."""

    def gather(self, value: Value) -> list[Value]:
        """Returns the value as the only one."""
        return [value]

    def barrier(self) -> None:
        """Does nothing."""

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Does nothing: no process can be lost."""
        yield


def _set_cpu_cycle_time(tensorflow: Any) -> None:
    """Lets Horovod's thread poll every 10 ms instead of every 1 ms if there is no GPU.

    `benchmarks.scaling` shows the effect.
    """
    if not tensorflow.config.list_physical_devices("GPU"):
        os.environ.setdefault("HOROVOD_CYCLE_TIME", "10")


class HorovodWorld:
    """Ranks joined by Horovod over Gloo, MPI or NCCL, depending on build and launcher."""

    def __init__(self, *, half: bool = False) -> None:
        """Joins the other ranks.

        Args:
            half: Whether to send averages as float16: half the traffic, less precision.

        Raises:
            RunError: Horovod is missing, or was built for another kind of launcher.
            PeerLostError: The other ranks are unreachable.
        """
        if importlib.util.find_spec("horovod") is None:
            raise RunError(MISSING)
        self._horovod: Any = importlib.import_module("horovod.tensorflow")
        _set_cpu_cycle_time(importlib.import_module("tensorflow"))
        with self.guard():
            self._horovod.init()
        wanted, found = rank_info(), self._horovod.size()
        if wanted.size != found:
            raise RunError(
                f"the launcher started {wanted.size} processes, but Horovod joined {found}: it was built "
                "without support for this launcher (see `horovodrun --check-build`). Run `make horovod`."
            )
        self.place = RankInfo(
            self._horovod.rank(), found, self._horovod.local_rank(), self._horovod.local_size()
        )
        compression = self._horovod.Compression
        self._compression = compression.fp16 if half else compression.none

    def average(self, tensors: "Sequence[tf.Tensor | None]", name: str) -> "list[tf.Tensor | None]":
        """Averages tensors by one grouped allreduce; see `World.average`."""
        present = [tensor for tensor in tensors if tensor is not None]
        means = iter(
            self._horovod.grouped_allreduce(
                present, op=self._horovod.Average, compression=self._compression, name=name
            )
            if present
            else ()
        )
        return [None if tensor is None else next(means) for tensor in tensors]

    def broadcast(self, variables: "Sequence[keras.Variable]") -> None:
        """Broadcasts with Horovod, which needs the TensorFlow variables behind Keras variables."""
        self._horovod.broadcast_variables([variable.value for variable in variables], root_rank=0)

    def gather(self, value: Value) -> list[Value]:
        """Gathers pickled values, which is safe between processes of one run only."""
        found: list[Value] = self._horovod.allgather_object(value)
        return found

    def barrier(self) -> None:
        """Waits for all ranks by an empty exchange."""
        self.gather(None)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turns TensorFlow errors that mention Horovod into `PeerLostError`."""
        try:
            yield
        except RunError:
            raise
        except Exception as error:
            if "horovod" not in f"{type(error).__name__} {error}".lower():
                raise
            raise PeerLostError(
                f"process {rank_info().rank} of {rank_info().size} lost the others: one of them ended or is "
                f"unreachable ({_last_line(error)}). See the message of the rank that ended first."
            ) from error


def join(*, half: bool = False) -> World:
    """Joins the other ranks of this training, if a launcher started several.

    Args:
        half: Whether to send averages as float16.

    Returns:
        World of this process.

    Raises:
        RunError: See `HorovodWorld`.
        UsageError: The launcher's environment contradicts itself.
    """
    here = rank_info()
    if not 0 <= here.rank < here.size:
        raise UsageError(f"rank {here.rank} of {here.size} processes: the launcher's environment is wrong")
    return HorovodWorld(half=half) if here.size > 1 else OneProcess()


def _last_line(error: Exception) -> str:
    """Returns the reason of an error. TensorFlow puts the model's stack first and the reason last."""
    lines = [line.strip() for line in str(error).splitlines() if "horovod" in line.lower()]
    return (lines or [type(error).__name__])[-1][:300]
