"""Backbones, one module per family; `frcnn.spec.archs` lists them all.

The module of a family has a function `create(variant, options)`. It gets a variant of the table and returns
a `Backbone`: a body that maps the image to a feature map of stride 16, and a head that maps pooled RoIs to
vectors. To add a family, add its module and a row of the table; see docs/backbones.md.
"""

import importlib

from frcnn.errors import ModelError
from frcnn.model.backbones.base import Backbone, BackboneOptions
from frcnn.spec.archs import FAMILIES


def backbone(arch: str, options: BackboneOptions) -> Backbone:
    """Creates the backbone of an architecture.

    Args:
        arch: Architecture in the spec, such as `resnet:18`.
        options: Options of the backbone.

    Returns:
        The backbone.

    Raises:
        ModelError: The architecture is unknown; the message lists the known ones.
    """
    family, _, variant = arch.partition(":")
    if family not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise ModelError(f"model_config.arch: {arch!r} is unknown; expected one of the families {known}")
    variants = sorted(FAMILIES[family].variants or [""])
    if variant not in variants:
        names = ", ".join(f"{family}:{one}" if one else family for one in variants)
        raise ModelError(f"model_config.arch: {arch!r} is unknown; expected one of {names}")
    found: Backbone = importlib.import_module(f"{__name__}.{family}").create(variant, options)
    return found


__all__ = ["Backbone", "BackboneOptions", "backbone"]
