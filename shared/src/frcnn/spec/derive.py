"""Spec values that are derived from others."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from frcnn.spec.schema.data import Preprocessing
from frcnn.spec.schema.experiment import Experiment
from frcnn.spec.schema.frozen_map import FrozenMap
from frcnn.spec.show import HIDDEN


def derive(spec: Experiment) -> Experiment:
    """Fills in the input size from the model and converts class keys to lower case.

    Args:
        spec: Experiment spec.

    Returns:
        Changed copy.
    """
    augmentation = dataclasses.replace(spec.augmentation_config, preprocessing=_preprocessing(spec))
    mapping = _lower_keys(spec.dataset_config.target_class_mapping)
    dataset = dataclasses.replace(spec.dataset_config, target_class_mapping=mapping)
    return dataclasses.replace(spec, augmentation_config=augmentation, dataset_config=dataset)


def without_derived(spec: Experiment) -> Experiment:
    """Resets derived sizes and channels, so that the values they are derived from can be changed.

    Args:
        spec: Experiment spec with derived values.

    Returns:
        Changed copy.
    """
    config, derived = spec.augmentation_config.preprocessing, _preprocessing(spec)
    names = ("output_image_width", "output_image_height", "output_image_min", "output_image_channel")
    zeros: dict[str, Any] = {name: 0 for name in names if getattr(config, name) == getattr(derived, name)}
    augmentation = dataclasses.replace(
        spec.augmentation_config, preprocessing=dataclasses.replace(config, **zeros)
    )
    return dataclasses.replace(spec, augmentation_config=augmentation)


def without_masks(spec: Experiment) -> Experiment:
    """Clears keys that are masked with asterisks, as in a masked copy of a spec.

    Everybody knows the mask, so it must not be used as a key.

    Args:
        spec: Experiment spec.

    Returns:
        Changed copy.
    """
    training = spec.training_config
    visualizer = training.visualizer
    if visualizer.wandb_config is not None and visualizer.wandb_config.key == HIDDEN:
        wandb = dataclasses.replace(visualizer.wandb_config, key="")
        visualizer = dataclasses.replace(visualizer, wandb_config=wandb)
        spec = dataclasses.replace(spec, training_config=dataclasses.replace(training, visualizer=visualizer))
    return dataclasses.replace(spec, enc_key="") if spec.enc_key == HIDDEN else spec


def _lower_keys(mapping: Mapping[str, str]) -> FrozenMap[str]:
    """Converts keys to lower case. If two keys become equal, the one already in lower case is used."""
    ordered = sorted(mapping.items(), key=lambda item: item[0] == item[0].lower())
    return FrozenMap((key.lower(), value) for key, value in ordered)


def _preprocessing(spec: Experiment) -> Preprocessing:
    model = spec.model_config.input_image_config
    config = dataclasses.replace(spec.augmentation_config.preprocessing, output_image_channel=model.channels)
    if model.size_height_width is not None:
        size = model.size_height_width
        return dataclasses.replace(config, output_image_width=size.width, output_image_height=size.height)
    if model.size_min is not None and not config.output_image_min:
        return dataclasses.replace(config, output_image_min=model.size_min.min)
    return config
