"""Checks that TensorFlow can use the GPUs that a training step requested."""

from frcnn.errors import RunError
from frcnn.gpus import counted


def require_tensorflow_gpus(requested: int) -> None:
    """Checks that TensorFlow can use as many GPUs as the step requested. Loads TensorFlow.

    Args:
        requested: Number of GPUs; nothing is checked if it is 0.

    Raises:
        RunError: TensorFlow finds fewer GPUs; the message lists likely causes.
    """
    if requested <= 0:
        return
    import tensorflow as tf

    found = len(tf.config.list_physical_devices("GPU"))
    if found < requested:
        raise RunError(
            f"This step requested {counted(requested)}. The driver provides them, but TensorFlow finds "
            f"{found or 'none'}, and the step does not fall back to the CPU. The image has a CPU build of "
            "TensorFlow, or its CUDA libraries are missing. Build it with EXTRAS=train,cluster,gpu."
        )
