"""Backbones: one file a family, one table that names them all.

A family's file defines a `Backbone`: a body that takes the image to a map of stride 16, and a head that
takes pooled RoIs to a vector. Adding a family is adding its file and a row below.
"""

import importlib

from frcnn.errors import ModelError
from frcnn.model.backbones.base import Backbone, BackboneOptions

# What stands before the colon in `model_config.arch`: module and function that make the backbone.
FAMILIES = {
    "darknet": ("darknet", "create"),
    "efficientnet": ("efficientnet", "create"),
    "googlenet": ("googlenet", "create"),
    "mobilenet_v1": ("mobilenet_v1", "create"),
    "mobilenet_v2": ("mobilenet_v2", "create"),
    "resnet": ("resnet", "create"),
    "resnet101": ("resnet101", "create"),
    "vgg": ("vgg", "create"),
    "vgg16": ("vgg", "create_classic"),
}


def backbone(arch: str, options: BackboneOptions) -> Backbone:
    """The backbone that a spec calls `arch`, such as `resnet:18`.

    Raises:
        ModelError: This version has no such backbone.
    """
    family, _, variant = arch.partition(":")
    if family not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise ModelError(f"model_config.arch: {arch!r} is unknown; expected one of the families {known}")
    module, function = FAMILIES[family]
    return getattr(importlib.import_module(f"{__name__}.{module}"), function)(variant, options)


__all__ = ["FAMILIES", "Backbone", "BackboneOptions", "backbone"]
