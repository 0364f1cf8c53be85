"""Refuses a batch that cannot fit into memory, before the first step."""

import dataclasses
import logging
import math
from pathlib import Path

import keras
import tensorflow as tf

from frcnn.distributed.world import RankInfo
from frcnn.errors import RunError
from frcnn.memory import gpu_memory, main_memory
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import Conv2D, dft_layers
from frcnn.ops.dft_matrices import dft_matrices

log = logging.getLogger(__name__)

GIB = 1 << 30
_STATM = Path("/proc/self/statm")
_PAGE = 4096
# Layers whose input the backward pass needs, so that it stays in memory during the step.
_KEEP_INPUT = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.Dense,
    keras.layers.BatchNormalization,
)
# Growth of the process relative to the tensors that `memory_need` and `spectra_bytes` count: 1,537 MiB to
# 957 MiB for ResNet-18 at 384x1248 and batch 1.
_GROWTH = 1.6


@dataclasses.dataclass(frozen=True)
class MemoryNeed:
    """Lower bound of the memory of a training step, beyond what the process already uses.

    Attributes:
        fixed: Bytes that do not depend on the batch: gradients and the optimizer's state.
        per_image: Bytes per image: the tensors that the backward pass reads.
    """

    fixed: int
    per_image: int

    def of(self, batch: int) -> int:
        """Returns the bytes of a batch.

        Args:
            batch: Number of images.
        """
        return self.fixed + batch * self.per_image

    def most(self, available: int) -> int:
        """Returns the largest batch that can fit.

        Args:
            available: Memory, bytes.
        """
        return max(0, (available - self.fixed) // self.per_image)


def memory_need(model: FasterRCNN, rois: int) -> MemoryNeed | None:
    """Computes a lower bound of the memory of a training step.

    It counts each tensor that a convolution, dense layer or batch normalization keeps for its gradient, once.
    Work space of the kernels is not included: the real peak is several times as high.

    Args:
        model: Compiled detector.
        rois: RoIs per image.

    Returns:
        The lower bound; `None` for a network input of free size.
    """
    features, head = _kept(model.features), _kept(model.roi_head)
    if features is None or head is None:
        return None
    trained = sum(math.prod(each.shape) for each in model.trainable_variables)
    # Keras makes the optimizer's state in the first step: one or two values per weight.
    slots = 2 if isinstance(model.optimizer, keras.optimizers.Adam) else 1
    return MemoryNeed(fixed=4 * trained * (1 + slots), per_image=features + rois * head)


def _kept(network: keras.Model) -> int | None:
    """Returns the bytes per example that a network keeps for its backward pass; `None` for free shapes."""
    tensors = {}
    for layer in network.layers:
        if isinstance(layer, _KEEP_INPUT) and layer.trainable and not getattr(layer, "frozen", False):
            tensors[id(layer.input)] = (layer.input.shape[1:], layer.compute_dtype)
    total = 0
    for shape, dtype in tensors.values():
        if None in shape:
            return None
        total += math.prod(shape) * tf.as_dtype(dtype).size
    return total


def require_memory(model: FasterRCNN, batch: int, rois: int, here: RankInfo) -> None:
    """Checks that a batch can fit into the memory of this machine, its container or its GPU.

    Args:
        model: Compiled detector.
        batch: Images per step and process.
        rois: RoIs per image.
        here: Rank of this process; processes on the same machine share its memory.

    Raises:
        RunError: The batch cannot fit. The message states the largest one that can.
    """
    need = None if model.spread else memory_need(model, rois)
    if need is None:
        return
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    available = gpu_memory() if on_gpu else _main_memory() // here.local_size
    if not available:
        return
    log.debug("A step needs at least %.1f GiB of %.1f GiB", need.of(batch) / GIB, available / GIB)
    if need.of(batch) <= available:
        return
    most = need.most(available)
    advice = (
        f"At most {most} can fit: set batch_size_per_gpu to {most} or less."
        if most
        else "Not even one can fit: use a smaller input or backbone, or fewer RoIs (roi_mini_batch)."
    )
    memory = "GPU memory" if on_gpu else "memory"
    raise RunError(
        f"training_config.batch_size_per_gpu: {batch} images need more than {need.of(batch) / GIB:.1f} GiB "
        f"of {memory}; {available / GIB:.1f} GiB are available. {advice}"
    )


def choose_convolutions(model: FasterRCNN, batch: int, rois: int, here: RankInfo) -> None:
    """Chooses what the head's DFT convolutions keep for the backward pass; call it before compilation.

    Keeping the transformed maps and kernels is faster. Where they would probably not fit into the memory of
    this machine or its container, the backward pass computes them again.

    Args:
        model: Compiled detector.
        batch: Images per step and process.
        rois: RoIs per image.
        here: Rank of this process; processes on the same machine share its memory.
    """
    layers, need = dft_layers(model.roi_head), memory_need(model, rois)
    if not layers or model.spread:
        log.debug(
            "No 3x3 convolution of the head uses the DFT" if not layers else "The head is spread over devices"
        )
        return
    kept = sum(spectra_bytes(layer, batch * rois) for layer in layers)
    expected = _GROWTH * (kept + (need.of(batch) if need is not None else 0))
    available = _main_memory() // here.local_size
    short = expected > available
    for layer in layers:
        layer.saves_memory = short
    log.debug(
        "%d 3x3 convolutions of the head use the DFT; the backward pass %s (%.1f GiB; a step takes about "
        "%.1f GiB of %.1f GiB)",
        len(layers),
        "repeats the transforms, to save memory" if short else "keeps the transforms of the forward pass",
        kept / GIB,
        expected / GIB,
        available / GIB,
    )


def spectra_bytes(layer: Conv2D, maps: int) -> int:
    """Returns the bytes that a DFT convolution keeps in transformed maps and transformed kernel.

    Args:
        layer: Built convolution on the DFT route.
        maps: Number of maps.
    """
    _, side, _, depth = layer.input.shape
    values = len(dft_matrices(side)[0]) * depth * (maps + layer.filters)
    return int(values * tf.as_dtype(layer.compute_dtype).size)


def _main_memory() -> int:
    """Returns the main memory that this process can still take, bytes."""
    available, limit = main_memory(limits=()), main_memory()
    if limit < available:  # a container's limit, which counts what this process has already
        used = int(_STATM.read_text().split()[1]) * _PAGE if _STATM.is_file() else 0
        return max(0, limit - used)
    return available
