"""GPUs that a step was promised are there, or it ends at once."""

import ctypes
import time

import pytest

from frcnn.errors import RunError
from frcnn.gpus import driver_gpus, require_driver_gpus
from frcnn.training.tensorflow_gpus import require_tensorflow_gpus


class Driver:
    """NVIDIA's library as far as it is called; `fault` is the status that cuInit returns."""

    def __init__(self, count, fault=0):
        self.count, self.fault = count, fault

    def cuInit(self, flags):  # noqa: N802 (the driver's name)
        return self.fault

    def cuDeviceGetCount(self, place):  # noqa: N802
        ctypes.cast(place, ctypes.POINTER(ctypes.c_int))[0] = self.count
        return 0


@pytest.mark.parametrize(("library", "expected"), [(Driver(2), 2), (Driver(0), 0), (Driver(1, fault=100), 0)])
def test_the_drivers_gpus_are_counted(library, expected):
    assert driver_gpus(library) == expected


def test_a_promise_that_is_kept_or_was_not_made_is_no_error():
    require_driver_gpus(1, Driver(1))
    require_driver_gpus(0, Driver(0))
    require_tensorflow_gpus(0)


def test_a_broken_promise_is_told_at_once_with_what_to_look_at():
    began = time.process_time()
    with pytest.raises(RunError, match="requested a GPU, but the driver provides none"):
        require_driver_gpus(1, Driver(0))
    with pytest.raises(RunError, match="requested 2 GPUs, but the driver provides 1"):
        require_driver_gpus(2, Driver(1))
    assert time.process_time() - began < 1


def test_a_tensorflow_that_uses_no_gpu_is_told_apart_from_a_missing_one(monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    with pytest.raises(RunError, match=r"TensorFlow finds none.* EXTRAS=train,cluster,gpu"):
        require_tensorflow_gpus(1)
