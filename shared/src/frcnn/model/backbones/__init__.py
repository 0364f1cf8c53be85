"""Backbones: one file a family, one table that names them all.

A family's file defines a `Backbone`: a body that takes the image to a map of stride 16, and a head that
takes pooled RoIs to a vector. Adding a family is adding its file and a row below.
"""

import importlib

from frcnn.errors import ModelError
from frcnn.model.backbones.base import Backbone, BackboneOptions

FAMILIES = {"resnet": "frcnn.model.backbones.resnet"}


def backbone(arch: str, options: BackboneOptions) -> Backbone:
    """The backbone that a spec calls `arch`, such as `resnet:18`.

    Raises:
        ModelError: This version has no such backbone.
    """
    family, _, variant = arch.partition(":")
    if family not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise ModelError(
            f"model_config.arch: {arch!r} cannot be built by this version; families it has: {known}"
        )
    return importlib.import_module(FAMILIES[family]).create(variant, options)


__all__ = ["FAMILIES", "Backbone", "BackboneOptions", "backbone"]
