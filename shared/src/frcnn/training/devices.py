"""Assigns GPUs or CPU cores to the processes of a machine."""

import logging
import os

import tensorflow as tf

from frcnn.distributed.world import RankInfo

log = logging.getLogger(__name__)


def take_share(place: RankInfo, gpus_each: int = 1) -> None:
    """Makes GPUs visible to this process by its local rank, and divides the cores.

    Call it before TensorFlow computes anything; later it only warns.

    Args:
        place: Rank of this process.
        gpus_each: Number of consecutive GPUs per process, for models spread over several.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # The user's setting takes precedence.
    threads = int(os.environ.get("TF_NUM_INTRAOP_THREADS", 0)) or max(1, cores // place.local_size)
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
        log.info("No GPU found: %d processes with %d of %d threads each", place.local_size, threads, cores)
    elif len(gpus) < place.local_size * gpus_each:
        log.warning("%d processes share %d GPUs on this machine", place.local_size, len(gpus))


def computing_devices() -> list[str]:
    """Returns the names of this process's GPUs, or of its CPUs if there is none."""
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    return [device.name for device in tf.config.list_logical_devices(kind)]
