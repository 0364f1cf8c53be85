"""Section "agreement": losses, gradients and detections of the GPU beside those of the CPU, same weights.

A process that sees no GPU computes the reference in float32. Further ones compute the same on the GPU: in
float32 with and without TF32 products, and in float16.
"""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu import learning
from benchmarks.gpu.section import Task, run

BATCH = 4
# Detections below this score are not compared: there are many, and they change places in NMS.
MIN_SCORE = 0.3
SAME_IOU, SAME_SCORE = 0.9, 0.1


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to compute, and how far from the reference it may be.

    Attributes:
        name: Name in the table.
        precision: `float32` or `mixed`.
        tf32: Whether products of float32 may round their factors to TF32.
        losses: Largest relative error of a loss.
        gradients: Largest relative error of all gradients together, by their norm.
        detections: Smallest share of detections that have a partner.
    """

    name: str
    precision: str
    tf32: bool
    losses: float
    gradients: float
    detections: float


VARIANTS = (
    Variant("float32 without TF32", "float32", False, 1e-3, 1e-2, 0.98),
    Variant("float32 with TF32", "float32", True, 2e-2, 1e-1, 0.95),
    Variant("float16", "mixed", True, 5e-2, 2e-1, 0.9),
)
# What `--use_amp` means on a CPU, with eight times the rounding of float16.
REHEARSED = (VARIANTS[0], Variant("bfloat16", "mixed", False, 2e-1, 1.0, 0.5))
REFERENCE = Variant("CPU", "float32", False, 0, 0, 0)


def main(task: Task) -> None:
    """Computes the reference and compares each variant with it.

    Args:
        task: Arguments of the section.
    """
    if not (task.folder / "synthetic_resnet10.txt").exists():
        learning.write_data(task.folder, 20)
    reference = _computed(task, REFERENCE, {"CUDA_VISIBLE_DEVICES": "-1"})
    for variant in REHEARSED if task.rehearse else VARIANTS:
        with task.attempt(variant.name):
            compare(task, variant, reference, _computed(task, variant, {}))


def compare(
    task: Task, variant: Variant, reference: dict[str, np.ndarray], found: dict[str, np.ndarray]
) -> None:
    """Notes how far a variant is from the reference.

    Args:
        task: Arguments of the section.
        variant: Variant, with its limits.
        reference: Arrays of the CPU, as `compute` returns them.
        found: Arrays of the variant.
    """
    losses = float(np.max(_relative(found["losses"], reference["losses"])))
    task.notes.checked(
        f"{variant.name}: losses, largest relative error",
        f"{losses:.2g}",
        losses <= variant.losses,
        f"at most {variant.losses:g}",
        losses=found["losses"].tolist(),
        reference=reference["losses"].tolist(),
    )
    names = sorted(name for name in reference if name.startswith("gradient/"))
    whole, other = (np.concatenate([each[name].ravel() for name in names]) for each in (reference, found))
    error = float(np.linalg.norm(other - whole) / np.linalg.norm(whole))
    task.notes.checked(
        f"{variant.name}: gradients, relative error of their norm",
        f"{error:.2g}",
        error <= variant.gradients,
        f"at most {variant.gradients:g}",
        norms=[float(np.linalg.norm(other)), float(np.linalg.norm(whole))],
    )
    count, share = matched(reference, found)
    if not count:
        task.notes.not_run(f"{variant.name}: detections", f"the model detects nothing above {MIN_SCORE}")
        return
    task.notes.checked(
        f"{variant.name}: detections with a partner",
        f"{share:.1%} of {count}",
        share >= variant.detections,
        f"at least {variant.detections:.0%}",
    )


def _relative(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Returns relative errors; values near zero are compared with the largest one."""
    return np.asarray(
        np.abs(values - reference) / np.maximum(np.abs(reference), 1e-3 * np.abs(reference).max())
    )


def matched(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> tuple[int, float]:
    """Compares detections in both directions.

    A partner is in the same image, of the same class, at nearly the same place and of nearly the same score.

    Args:
        one: `boxes` `[B, K, 4]` `yxyx`, `scores` `[B, K]` and `classes` `[B, K]`.
        other: The same of the other side.

    Returns:
        Tuple of the number of detections of both sides and the share of them with a partner; 0.0 for none.
    """
    pairs = [(one, other), (other, one)]
    hits = [hit for left, right in pairs for hit in _partners(left, right)]
    return len(hits), float(np.mean(hits)) if hits else 0.0


def _partners(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> list[bool]:
    hits = []
    for image, row in zip(*np.nonzero(left["scores"] >= MIN_SCORE), strict=True):
        near = np.abs(right["scores"][image] - left["scores"][image, row]) <= SAME_SCORE
        near &= right["classes"][image] == left["classes"][image, row]
        near &= iou(left["boxes"][image, row], right["boxes"][image]) >= SAME_IOU
        hits.append(bool(near.any()))
    return hits


def iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Returns the IoU of a box with others, `[K]`; that of empty boxes is 0.

    Args:
        box: Box, `yxyx`, `[4]`.
        boxes: Boxes, `yxyx`, `[K, 4]`.
    """
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    common = np.prod(np.maximum(sides, 0.0), axis=-1)
    areas = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1) - common
    return np.asarray(np.divide(common, areas, out=np.zeros_like(common), where=areas > 0))


def _computed(task: Task, variant: Variant, environment: dict[str, str]) -> dict[str, np.ndarray]:
    """Computes a variant in a process of its own."""
    output = task.folder / f"agreement-{variant.name.replace(' ', '-')}.npz"
    words = [str(task.folder), str(output), variant.precision, str(int(variant.tf32))]
    program = f"from benchmarks.gpu.agreement import compute; compute(*{words!r})"
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, **environment})
    with np.load(output) as arrays:
        return dict(arrays)


def compute(folder: str, output: str, precision: str, tf32: str) -> None:
    """Computes losses, gradients and detections on validation images and writes them as `.npz`.

    Args:
        folder: Folder of the section, with specs, records and, if training succeeded, the model.
        output: File to write.
        precision: `float32` or `mixed`, which is what `--use_amp` means here.
        tf32: `1` to allow TF32.
    """
    import tensorflow as tf

    from benchmarks.gpu.section import let_memory_grow
    from frcnn.data.input.dataset import training_dataset, validation_dataset
    from frcnn.distributed.world import RankInfo
    from frcnn.model.keras_detector import KerasDetector
    from frcnn.settings.data import data_settings
    from frcnn.settings.model import detection_settings
    from frcnn.settings.training import training_run
    from frcnn.training.compile import prepare
    from frcnn.training.trainer import set_up

    let_memory_grow()
    set_up(42)
    tf.config.experimental.enable_tensor_float_32_execution(tf32 == "1")
    spec = learning.experiment(Path(folder))
    model = _model(Path(folder), spec)
    settings = detection_settings(spec.evaluation_config)
    images = next(iter(validation_dataset(data_settings(spec), batch_size=BATCH).batches))["images"]
    batch = next(iter(training_dataset(data_settings(spec)).batches))
    prepare(model, training_run(spec), 1000, RankInfo(), amp=precision == "mixed")
    found = KerasDetector(model, settings)(images)
    losses, gradients = _gradients(model, batch)
    names = [f"gradient/{number:03d}/{each.path}" for number, each in enumerate(model.trainable_variables)]
    arrays: dict[str, Any] = dict(zip(names, gradients, strict=True))
    arrays |= {"losses": losses, "boxes": found.boxes, "scores": found.scores, "classes": found.classes}
    np.savez(output, **arrays)


def _model(folder, spec):  # type: ignore[no-untyped-def]  # imports TensorFlow's types late
    """Returns the trained model; without one, random weights that the reference's process has written."""
    from frcnn.model.build import build
    from frcnn.model.files.checkpoint import load_model
    from frcnn.settings.model import model_settings

    trained, weights = folder / learning.MODEL, folder / "random_weights.npz"
    if trained.exists():
        return load_model(trained, "")[0]
    model = build(model_settings(spec))
    if weights.exists():
        with np.load(weights) as arrays:
            model.set_weights([arrays[name] for name in sorted(arrays)])
    else:
        np.savez(weights, **{f"{number:05d}": each for number, each in enumerate(model.get_weights())})
    return model


def _gradients(model, batch):  # type: ignore[no-untyped-def]  # imports TensorFlow's types late
    """Returns the four losses and the gradients of their sum, float32 arrays."""
    import tensorflow as tf

    # float16 gradients below 6e-8 would underflow; the product scales the loss for the same reason.
    scale = 1024.0

    @tf.function
    def step(batch):  # type: ignore[no-untyped-def]
        variables = [each.value for each in model.trainable_variables]
        with tf.GradientTape() as tape:
            parts = model.compute_losses(batch)
            total = tf.add_n(parts) * scale
        gradients = tape.gradient(total, variables)
        return parts, [
            tf.zeros_like(each) if got is None else got / scale
            for each, got in zip(variables, gradients, strict=True)
        ]

    parts, gradients = step(batch)
    return np.array([part.numpy() for part in parts]), [each.numpy() for each in gradients]


if __name__ == "__main__":
    run(main)
