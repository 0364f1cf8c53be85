"""Backbones: one file a family, named like it; the table of all is `frcnn.spec.archs`.

A family's file has a function `create` that makes a `Backbone`: a body that takes the image to a map of
stride 16, and a head that takes pooled RoIs to a vector. Adding a family is adding its file and a row of
the table: docs/backbones.md shows how.
"""

import importlib

from frcnn.errors import ModelError
from frcnn.model.backbones.base import Backbone, BackboneOptions
from frcnn.spec.archs import FAMILIES


def backbone(arch: str, options: BackboneOptions) -> Backbone:
    """The backbone that a spec calls `arch`, such as `resnet:18`.

    Raises:
        ModelError: This version has no such backbone.
    """
    family, _, variant = arch.partition(":")
    if family not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise ModelError(f"model_config.arch: {arch!r} is unknown; expected one of the families {known}")
    return importlib.import_module(f"{__name__}.{family}").create(variant, options)


__all__ = ["Backbone", "BackboneOptions", "backbone"]
