"""Trains a few steps on one device and spread over two; prints what a test compares. A process of its own.

Logical devices must be made before TensorFlow computes anything.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from frcnn.model.build import build
from frcnn.settings.model import model_settings, training_settings
from frcnn.settings.optimizer import optimizer_settings
from frcnn.training.model_parallel import build_on_variable_devices, plan_placement, spread
from frcnn.training.optimizers import optimizer
from frcnn.training.trainer import set_up
from tests.support.toy_training import object_batch, toy_spec

STEPS = 3


def run(spec, fractions):
    set_up(7)
    model = build(model_settings(spec))
    if fractions:
        devices = [device.name for device in tf.config.list_logical_devices("CPU")]
        placement = plan_placement(model, fractions, devices)
        model = spread(model, placement)
    model.training_settings = training_settings(spec)
    model.compile(optimizer=optimizer(optimizer_settings(spec.training_config), 10), jit_compile=False)
    if fractions:
        build_on_variable_devices(model.optimizer, model.trainable_variables)
    else:
        model.optimizer.build(model.trainable_variables)
    step = tf.function(model.train_step)
    batch = {name: tf.constant(value) for name, value in object_batch().items()}
    losses = []
    for _ in range(STEPS):
        logs = step(batch)
        losses.append({name: float(value) for name, value in logs.items()})
    found = {"losses": losses, "weights": float(sum(np.abs(w).sum() for w in model.get_weights()))}
    if fractions:
        graph = step.get_concrete_function(batch).graph
        kinds = (
            "Conv2D",
            "Conv2DBackpropFilter",
            "Conv2DBackpropInput",
            "FusedBatchNormV3",
            "FusedBatchNormGradV3",
        )
        found["ops"] = [(op.type, op.device, op.name) for op in graph.get_operations() if op.type in kinds]
        found["placement"] = [placement.features, placement.roi_head]
        found["variables"] = {
            variable.path: variable.value.device
            for variable in (*model.trainable_variables, *model.optimizer.variables)
        }
        found["layers"] = {
            variable.path: layer.name
            for network in (model.features, model.roi_head)
            for layer in network.layers
            for variable in layer.trainable_variables
        }
    return found


def main() -> None:
    """Prints one JSON line."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    spec = toy_spec(Path(sys.argv[1]), images=1)
    one, two = run(spec, ()), run(spec, (0.3, 0.7))
    sys.stdout.write(json.dumps({"one": one, "two": two}) + "\n")


if __name__ == "__main__":
    main()
