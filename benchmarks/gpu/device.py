"""Section "device": GPUs, versions, and whether CPU-only code paths are off and cuDNN is on."""

import importlib.metadata
import subprocess
from pathlib import Path

from benchmarks.gpu.section import Task, let_memory_grow, run
from frcnn.gpus import driver_gpus

PACKAGES = (
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "horovod",
)
CUDNN = "libcudnn"
POOL_SIZE, DEPTH = 7, 512


def main(task: Task) -> None:
    """Lists devices and versions and checks the code paths.

    Args:
        task: Arguments of the section.
    """
    _list_devices(task)
    _list_versions(task)
    let_memory_grow()
    for check in (_check_tensorflow, _check_head, _check_precision, _check_convolution, _check_denormals):
        with task.attempt(check.__name__.removeprefix("_check_")):
            check(task)


def _list_devices(task: Task) -> None:
    task.notes.measured("GPUs that the driver shows", str(driver_gpus()))
    query = "--query-gpu=name,driver_version,memory.total,compute_cap,power.limit"
    try:
        answer = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader"], capture_output=True, text=True, check=False
        )
    except OSError:
        task.notes.not_run("names of the GPUs", "there is no nvidia-smi here")
        return
    for number, line in enumerate(answer.stdout.splitlines()):
        task.notes.measured(f"GPU {number}: name, driver, memory, compute capability, power", line)


def _list_versions(task: Task) -> None:
    import tensorflow as tf

    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    build = tf.sysconfig.get_build_info()
    built = {name: str(build[name]) for name in ("cuda_version", "cudnn_version") if name in build}
    task.notes.measured(
        "packages", ", ".join(f"{name} {version}" for name, version in found.items()), **found
    )
    task.notes.measured("TensorFlow was built for", ", ".join(built.values()) or "CPUs only", **built)


def _check_tensorflow(task: Task) -> None:
    import tensorflow as tf

    found = len(tf.config.list_logical_devices("GPU"))
    wanted = 0 if task.rehearse else driver_gpus()
    task.notes.checked(
        "GPUs that TensorFlow uses", str(found), found == wanted, f"{wanted}, as the driver shows"
    )


def _check_head(task: Task) -> None:
    from frcnn.model.layers import Conv2D

    layer = Conv2D(DEPTH, 3, use_bias=False)
    takes = layer.takes_dft((None, POOL_SIZE, POOL_SIZE, DEPTH))
    route = "frequency domain" if takes else "convolution"
    wanted = "frequency domain" if task.rehearse else "convolution"
    task.notes.checked("3x3 convolutions of the head", route, route == wanted, wanted)


def _check_precision(task: Task) -> None:
    from frcnn.training.compile import mixed_policy

    wanted = "mixed_bfloat16" if task.rehearse else "mixed_float16"
    task.notes.checked("policy of --use_amp", mixed_policy(), mixed_policy() == wanted, wanted)


def _check_convolution(task: Task) -> None:
    import numpy as np
    import tensorflow as tf

    device = "CPU:0" if task.rehearse else "GPU:0"
    tf.config.set_soft_device_placement(False)  # a convolution that the device cannot run is an error
    with tf.device(device):
        images = tf.constant(np.random.default_rng(0).normal(size=(1, 32, 32, 16)), tf.float32)
        outputs = tf.nn.conv2d(images, tf.ones([3, 3, 16, 16]), 1, "SAME")
    tf.config.set_soft_device_placement(True)
    place = outputs.device.rpartition("device:")[2]
    task.notes.checked("device of a convolution", place, place == device, device)
    libraries = _loaded(CUDNN)
    if not task.rehearse:
        task.notes.checked(
            "cuDNN libraries in use", str(len(libraries)), bool(libraries), "at least 1", loaded=libraries
        )


def _loaded(name: str) -> list[str]:
    """Returns the file names of loaded libraries that begin with `name`."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return sorted({Path(line.split()[-1]).name for line in lines if f"/{name}" in line})


def _check_denormals(task: Task) -> None:
    import tensorflow as tf

    tiny = tf.constant([1e-40], tf.float32)
    with tf.device("CPU:0" if task.rehearse else "GPU:0"):
        kept = float((tiny * 1.0).numpy()[0]) != 0.0 or float((tiny * 1e30).numpy()[0]) != 0.0
    task.notes.measured("denormal numbers", "kept" if kept else "flushed to zero")


if __name__ == "__main__":
    run(main)
