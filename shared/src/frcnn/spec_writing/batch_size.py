"""Chooses the batch size of a training from the memory and the number of images."""

import math

MIN_STEPS = 25
MAX_BATCH_CPU, MAX_BATCH_GPU = 4, 16
# With single images, the statistics of batch normalization would not generalize to other images.
MIN_BATCH = 2
# Share of the memory to plan with. The rest is for the input pipeline, validation and fragmentation.
_USABLE_MEMORY = 0.5
# Memory of the outputs of all layers for one image of 288 x 384 with 64 RoIs, MiB: `frcnn model summary`.
_OUTPUTS_MIB = {
    "resnet:10": 109,
    "resnet:18": 172,
    "resnet:34": 249,
    "resnet:50": 754,
    "mobilenet_v2": 576,
    "vgg:16": 360,
}
_OTHER_OUTPUTS_MIB = 800
_MEASURED_PIXELS, _MEASURED_ROIS = 288 * 384, 64


def power_of_two(value: float) -> int:
    """Returns the largest power of two that does not exceed `value`; at least 1."""
    return 1 << max(0, math.floor(math.log2(max(1.0, value))))


def batch_size(
    images: int, arch: str, pixels: int, rois: int, gpu_bytes: int, main_bytes: int
) -> tuple[int, str]:
    """Chooses the batch size and gives the reason.

    Args:
        images: Number of training images.
        arch: Backbone.
        pixels: Pixels of the network input.
        rois: RoIs per image.
        gpu_bytes: Memory of the GPU, bytes; 0 without a GPU.
        main_bytes: Available main memory, bytes.

    Returns:
        Images per step, and the reason.
    """
    one = image_bytes(arch, pixels, rois)
    memory, name = (gpu_bytes, "GPU memory") if gpu_bytes else (main_bytes, "memory")
    most = MAX_BATCH_GPU if gpu_bytes else MAX_BATCH_CPU
    fits, steps = int(_USABLE_MEMORY * memory / one), images // MIN_STEPS
    wanted = min(most, max(steps, min(MIN_BATCH, images)))
    batch = power_of_two(min(wanted, max(1, fits)))
    why = f"about {one / 2**30:.2g} GiB of {name} each"
    if fits < wanted:  # only then: free memory changes, and the same data should give the same text
        why += f", of {memory / 2**30:.3g} GiB"
    if steps < min(most, fits):
        why += f"; at least {MIN_STEPS} steps per epoch" if steps >= MIN_BATCH else "; few images"
    return batch, why


def image_bytes(arch: str, pixels: int, rois: int) -> int:
    """Estimates the memory that one image takes in a training step, bytes.

    Args:
        arch: Backbone.
        pixels: Pixels of the network input.
        rois: RoIs per image.
    """
    # The backbone's outputs follow the pixels and the head's the RoIs; each is about half.
    factor = (pixels / _MEASURED_PIXELS + rois / _MEASURED_ROIS) / 2
    return int((_OUTPUTS_MIB.get(arch, _OTHER_OUTPUTS_MIB) << 20) * factor)
