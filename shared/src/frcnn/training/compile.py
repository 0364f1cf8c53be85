"""Prepares a model for its next step: precision, losses, optimizer, and state from a checkpoint."""

import dataclasses
import logging
import os

import keras
import numpy as np
import tensorflow as tf

from frcnn.cpu import ONEDNN_LIMIT, bfloat16_ruled_out, has_bfloat16
from frcnn.distributed.world import RankInfo
from frcnn.errors import UsageError
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.files.checkpoint import OptimizerState
from frcnn.model.precision import set_precision
from frcnn.model.weight_averages import WeightAverages
from frcnn.settings.training import TrainingRun
from frcnn.training.model_parallel import build_on_variable_devices
from frcnn.training.optimizers import optimizer

log = logging.getLogger(__name__)


def prepare(model: FasterRCNN, run: TrainingRun, total_steps: int, here: RankInfo, *, amp: bool) -> None:
    """Compiles a model as the settings require.

    Args:
        model: Detector, compiled in place.
        run: Settings of the training.
        total_steps: Number of steps over all epochs.
        here: Rank of this process. Learning rates scale with the world size; the rank offsets the seeds.
        amp: Whether layers compute in 16 bits.

    Raises:
        UsageError: oneDNN's variable rules out 16 bits on this CPU.
    """
    policy = mixed_policy() if amp else "float32"
    if policy == "mixed_bfloat16" and bfloat16_ruled_out():
        raise UsageError(
            f"use_amp: {ONEDNN_LIMIT}={os.environ[ONEDNN_LIMIT]} rules out bfloat16, on which TensorFlow "
            "would crash. Unset the variable, or train without use_amp.",
            argument="use_amp",
        )
    if amp:
        set_precision(model, policy)
        log.info("Layers compute in %s", policy)
        if policy == "mixed_bfloat16" and not has_bfloat16():
            log.warning("use_amp: this CPU has no bfloat16 instructions. float32 is likely faster.")
    seed = run.seed + here.rank
    model.training_settings = dataclasses.replace(run.losses, seed=seed % 2**31)  # seeds are signed
    chosen = optimizer(run.optimizer, total_steps, world=here.size)
    # float16 gradients below 6e-8 underflow to 0 unless the loss is scaled up.
    scaling = policy == "mixed_float16"
    model.compile(keras.optimizers.LossScaleOptimizer(chosen) if scaling else chosen, jit_compile=False)
    if model.spread:
        build_on_variable_devices(chosen, model.trainable_variables)
    model.optimizer.build(model.trainable_variables)
    if run.average_weights:
        model.weight_averages = WeightAverages(chosen, model.trainable_variables)
    _seed_dropout(model, seed, 0)


def restore(
    model: FasterRCNN, state: OptimizerState | None, steps: int, *, recounted: bool, seed: int
) -> None:
    """Restores optimizer slots, step counter and dropout seeds from a checkpoint.

    Args:
        model: Compiled model. Its learning rate follows the step and is not restored.
        state: Saved optimizer state. If class or shapes differ, only `steps` is used.
        steps: Completed steps, in epochs of the current length.
        recounted: Whether `steps` differs from the saved counter.
        seed: Random seed of this rank.
    """
    inner = getattr(model.optimizer, "inner_optimizer", None) or model.optimizer
    if model.weight_averages is not None:
        model.weight_averages.restore([])
    if not _take_over(model, inner, state):
        kind = state.kind if state else "none"
        log.warning(
            "Optimizer state is reset: the state of the checkpoint (%s) does not fit %s",
            kind,
            type(inner).__name__,
        )
        recounted = True
    if recounted:
        inner.iterations.assign(steps)
    _seed_dropout(model, seed, steps)


def mixed_policy() -> str:
    """Returns the 16-bit dtype policy for this machine: float16 with a GPU, else bfloat16."""
    return "mixed_float16" if tf.config.list_logical_devices("GPU") else "mixed_bfloat16"


def _take_over(model: FasterRCNN, inner: keras.optimizers.Optimizer, state: OptimizerState | None) -> bool:
    """Restores the optimizer and its loss scaling; returns `False` if the state does not fit.

    If the saved model holds averaged weights, the file stores the weights after the optimizer's variables.
    """
    if state is None or state.kind != type(inner).__name__:
        return False
    whole, averages = model.optimizer, model.weight_averages
    everything = state.groups.get("optimizer/vars", [])
    arrays = state.groups.get("optimizer/inner_optimizer/vars", everything)
    own = inner.variables[: len(inner.variables) - (len(averages) if averages is not None else 0)]
    weights = arrays[len(own) :]
    expected = [*own, *(model.trainable_variables if weights else [])]
    if [tuple(each.shape) for each in expected] != [each.shape for each in arrays]:
        return False
    _assign(own, arrays[: len(own)])
    if averages is not None:
        averages.restore(weights)
    elif weights:
        _assign(model.trainable_variables, weights)
    if whole is not inner and arrays is not everything:
        scales = whole.variables[: len(whole.variables) - len(inner.variables)]
        _assign(scales, everything[: len(scales)])
    return True


def _assign(variables: list[keras.Variable], arrays: list[np.ndarray]) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        if variable.path.split("/")[-1] != "learning_rate":
            variable.assign(array)


def _seed_dropout(model: FasterRCNN, seed: int, steps: int) -> None:
    """Makes dropout a function of seed, layer and step, like all other random numbers."""
    layers = [*model.features.layers, *model.roi_head.layers]
    for number, layer in enumerate(layer for layer in layers if hasattr(layer, "seed_generator")):
        # A layer draws once per step, and its generator counts the draws.
        layer.seed_generator.state.assign([(seed * 1000 + number) % 2**31, steps])
