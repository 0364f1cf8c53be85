"""A model made ready for its next step: precision, losses, optimizer, and what a checkpoint says of them."""

import logging
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from frcnn.cpu import has_bfloat16
from frcnn.distributed.world import Place
from frcnn.model.build import training_settings
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.files.checkpoint import OptimizerState
from frcnn.model.precision import set_precision
from frcnn.model.weight_averages import WeightAverages
from frcnn.training.model_parallel import build_beside
from frcnn.training.optimizers import optimizer

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment

log = logging.getLogger(__name__)


def prepare(model: FasterRCNN, spec: "Experiment", total_steps: int, here: Place, *, amp: bool) -> None:
    """Compiles `model` as the spec says, for `total_steps` over all epochs."""
    policy = mixed_policy() if amp else "float32"
    if amp:
        set_precision(model, policy)
        log.info("the layers compute in %s", policy)
        if policy == "mixed_bfloat16" and not has_bfloat16():
            log.warning("--use_amp: this CPU has no bfloat16 instructions; training is likely faster without")
    model.training_settings = training_settings(spec, here.rank)
    chosen = optimizer(spec.training_config, total_steps, world=here.size)
    # Gradients of float16 layers vanish below 6e-8 unless the loss is large.
    scaling = policy == "mixed_float16"
    model.compile(keras.optimizers.LossScaleOptimizer(chosen) if scaling else chosen, jit_compile=False)
    if model.spread:
        build_beside(chosen, model.trainable_variables)
    model.optimizer.build(model.trainable_variables)
    if spec.training_config.average_weights:
        model.weight_averages = WeightAverages(chosen, model.trainable_variables)
    _seed_dropout(model, spec.random_seed + here.rank, 0)


def restore(
    model: FasterRCNN, state: OptimizerState | None, steps: int, *, recounted: bool, seed: int
) -> None:
    """Puts a checkpoint's slots and counts into a model that is prepared.

    Args:
        model: Its learning rate is a function of the step and of the spec, and stays so.
        state: From the file. Of another kind of optimizer, or other shapes, only `steps` is taken over.
        steps: Done so far, in epochs as long as they are now.
        recounted: Whether the file counts otherwise.
        seed: Of this rank.
    """
    inner = getattr(model.optimizer, "inner_optimizer", None) or model.optimizer
    if model.weight_averages is not None:
        model.weight_averages.restore([])
    if not _take_over(model, inner, state):
        kind = state.kind if state else "none"
        log.warning("optimizer: was %s, is %s: its state starts anew", kind, type(inner).__name__)
        recounted = True
    if recounted:
        inner.iterations.assign(steps)
    _seed_dropout(model, seed, steps)


def mixed_policy() -> str:
    """What 16 bits mean on this machine."""
    return "mixed_float16" if tf.config.list_logical_devices("GPU") else "mixed_bfloat16"


def _take_over(model: FasterRCNN, inner: keras.optimizers.Optimizer, state: OptimizerState | None) -> bool:
    """Fills the model's optimizer, `inner` and what may wrap it; False if the file does not fit.

    A file whose model holds averages of the weights has the weights behind the optimizer's own variables.
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
    """Makes what dropout drops a function of seed, layer and step, as all other random numbers are."""
    layers = [*model.features.layers, *model.roi_head.layers]
    for number, layer in enumerate(layer for layer in layers if hasattr(layer, "seed_generator")):
        # A layer draws once a step, and its generator counts the draws.
        layer.seed_generator.state.assign([(seed * 1000 + number) % 2**31, steps])
