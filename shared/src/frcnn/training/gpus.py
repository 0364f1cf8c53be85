"""GPUs that a training was promised, counted by what computes on them."""

from frcnn.errors import RunError
from frcnn.gpus import counted


def require_tensorflow_gpus(promised: int) -> None:
    """Checks that TensorFlow can use as many GPUs as a step was promised; loads TensorFlow.

    Raises:
        RunError: It cannot; says what to look at.
    """
    if promised <= 0:
        return
    import tensorflow as tf

    found = len(tf.config.list_physical_devices("GPU"))
    if found < promised:
        raise RunError(
            f"this step was promised {counted(promised)}, which the driver shows, but TensorFlow uses "
            f"{found or 'none'}: it does not train on the CPU instead. The image's TensorFlow is one for "
            "CPUs, or does not find its CUDA libraries; build the image with EXTRAS=train,cluster,gpu"
        )
