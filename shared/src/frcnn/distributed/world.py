"""The processes that train together: one, which needs nothing, or several that Horovod joins.

Both sides answer the same calls, so that the trainer reads the same. Rank 0 writes and speaks.
Every call but `guard` is made by all ranks, in the same order; they wait for each other there.
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

# Horovod's own launcher, mpirun of Open MPI.
_PREFIXES = ("HOROVOD_", "OMPI_COMM_WORLD_")
MISSING = (
    "several processes need Horovod, which is not installed here: run `make horovod` "
    "(docs/distributed.md), or train with one process"
)


class PeerLostError(RunError):
    """Another of the processes ended or cannot be reached; its own message says why."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Which process this is: `rank` of `size` in all, `local_rank` of `local_size` on this machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def place() -> Place:
    """What the launcher said in the environment; the only process if there was none."""
    for prefix in _PREFIXES:
        names = [prefix + name for name in ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE")]
        if all(name in os.environ for name in names):
            return Place(*(int(os.environ[name]) for name in names))
    return Place()


class World(Protocol):
    """What ranks do together. Variables are Keras'; tensors have the same shapes on every rank."""

    place: Place

    def average(self, tensors: "Sequence[tf.Tensor | None]", name: str) -> "list[tf.Tensor | None]":
        """The mean of each tensor over the ranks, in one exchange; works within a compiled step.

        None stays None. `name` tells this exchange from others that may be under way.
        """

    def broadcast(self, variables: "Sequence[keras.Variable]") -> None:
        """Gives the variables the values they have on rank 0."""

    def gather(self, value: Value) -> list[Value]:
        """The values of all ranks, by rank, on every rank. Anything that can be pickled."""

    def barrier(self) -> None:
        """Returns when all ranks are here."""

    def guard(self) -> "Any":
        """A context within which the loss of another process is a `PeerLostError`."""


class OneProcess:
    """No others: what is asked for is what is there."""

    def __init__(self) -> None:
        """Rank 0 of 1."""
        self.place = Place()

    def average(self, tensors: "Sequence[tf.Tensor | None]", name: str) -> "list[tf.Tensor | None]":
        """The tensors."""
        return list(tensors)

    def broadcast(self, variables: "Sequence[keras.Variable]") -> None:
        """Nothing to do."""

    def gather(self, value: Value) -> list[Value]:
        """The value alone."""
        return [value]

    def barrier(self) -> None:
        """Nothing to wait for."""

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Nobody can be lost."""
        yield


def _be_calm_on_cpus(tensorflow: Any) -> None:
    """Without a GPU Horovod's thread looks for work every 10 ms, not every one: see benchmarks.scaling."""
    if not tensorflow.config.list_physical_devices("GPU"):
        os.environ.setdefault("HOROVOD_CYCLE_TIME", "10")


class HorovodWorld:
    """Ranks joined by Horovod, over gloo, MPI or NCCL as it was built and launched."""

    def __init__(self, *, half: bool = False) -> None:
        """Joins the others. With `half`, averages travel as float16: half the traffic, less precision.

        Raises:
            RunError: Horovod is missing, or was built for another kind of launcher.
            PeerLostError: The others cannot be reached.
        """
        if importlib.util.find_spec("horovod") is None:
            raise RunError(MISSING)
        self._horovod: Any = importlib.import_module("horovod.tensorflow")
        _be_calm_on_cpus(importlib.import_module("tensorflow"))
        with self.guard():
            self._horovod.init()
        wanted, found = place(), self._horovod.size()
        if wanted.size != found:
            raise RunError(
                f"the launcher started {wanted.size} processes, but Horovod joined {found}: it was built "
                "without what this launcher needs (`horovodrun --check-build` tells); run `make horovod`"
            )
        self.place = Place(
            self._horovod.rank(), found, self._horovod.local_rank(), self._horovod.local_size()
        )
        compression = self._horovod.Compression
        self._compression = compression.fp16 if half else compression.none

    def average(self, tensors: "Sequence[tf.Tensor | None]", name: str) -> "list[tf.Tensor | None]":
        """One grouped allreduce."""
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
        """By Horovod; what it knows are TensorFlow's variables."""
        self._horovod.broadcast_variables([variable.value for variable in variables], root_rank=0)

    def gather(self, value: Value) -> list[Value]:
        """Pickled, so only between processes of one run."""
        found: list[Value] = self._horovod.allgather_object(value)
        return found

    def barrier(self) -> None:
        """An exchange of nothing."""
        self.gather(None)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Horovod tells of a lost peer by TensorFlow's errors, known by their text."""
        try:
            yield
        except RunError:
            raise
        except Exception as error:
            if "horovod" not in f"{type(error).__name__} {error}".lower():
                raise
            raise PeerLostError(
                f"process {place().rank} of {place().size} lost the others: one of them ended or cannot be "
                f"reached ({_last_line(error)})"
            ) from error


def join(*, half: bool = False) -> World:
    """The world of this process: one process, unless a launcher started several.

    Raises:
        RunError: As `HorovodWorld`.
        UsageError: The launcher's environment contradicts itself.
    """
    here = place()
    if not 0 <= here.rank < here.size:
        raise UsageError(f"rank {here.rank} of {here.size} processes: the launcher's environment is wrong")
    return HorovodWorld(half=half) if here.size > 1 else OneProcess()


def _last_line(error: Exception) -> str:
    """TensorFlow puts the stack of the model first and the reason last."""
    lines = [line.strip() for line in str(error).splitlines() if "horovod" in line.lower()]
    return (lines or [type(error).__name__])[-1][:300]
