"""Assigns GPUs or CPU cores to the processes of a machine."""

import contextlib
import logging
import os

import tensorflow as tf

from frcnn.cpu import usable_cores
from frcnn.distributed.world import RankInfo

log = logging.getLogger(__name__)

# TensorFlow's variable with the number of operations that may run side by side.
SIDE_BY_SIDE = "TF_NUM_INTEROP_THREADS"
FEW_THREADS = 4


def take_share(place: RankInfo, gpus_each: int = 1) -> None:
    """Makes GPUs visible to this process by its local rank, and divides the cores.

    Call it before TensorFlow computes anything; later it only warns.

    Args:
        place: Rank of this process.
        gpus_each: Number of consecutive GPUs per process, for models spread over several.
    """
    threads = _threads_of(place)
    gpus = tf.config.list_physical_devices("GPU")
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        if gpus:
            first = place.local_rank * gpus_each
            tf.config.set_visible_devices(
                [gpus[number % len(gpus)] for number in range(first, first + gpus_each)], "GPU"
            )
    except RuntimeError as error:
        log.warning("TensorFlow has already started, so each process uses the whole machine: %s", error)
        return
    if not gpus:
        log.info(
            "No GPU found: %d processes with %d of %d threads each", place.local_size, threads, usable_cores()
        )
    elif len(gpus) < place.local_size * gpus_each:
        log.warning("%d processes share %d GPUs on this machine", place.local_size, len(gpus))


def _threads_of(place: RankInfo) -> int:
    """Returns the threads per operation: the user's setting, or this process's share of the cores."""
    return int(os.environ.get("TF_NUM_INTRAOP_THREADS", 0)) or max(1, usable_cores() // place.local_size)


def run_operations_in_turn(place: RankInfo) -> None:
    """Makes TensorFlow run one operation after the other if there are few threads and no GPU.

    Each operation uses all threads. Operations side by side need memory for the results of all of them, and
    with few threads they are not faster. A setting of the user takes precedence. Call it before TensorFlow
    computes anything; later it has no effect. See docs/adr/0086-operations-in-turn.md for what it gains.

    Args:
        place: Rank of this process.
    """
    chosen = os.environ.get(SIDE_BY_SIDE) or tf.config.threading.get_inter_op_parallelism_threads()
    if _threads_of(place) > FEW_THREADS or chosen or tf.config.list_physical_devices("GPU"):
        return
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_inter_op_parallelism_threads(1)


def computing_devices() -> list[str]:
    """Returns the names of this process's GPUs, or of its CPUs if there is none."""
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    return [device.name for device in tf.config.list_logical_devices(kind)]
