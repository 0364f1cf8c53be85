"""Classic VGG 16, without batch normalization."""

from frcnn.model.backbones.base import BackboneOptions
from frcnn.model.backbones.vgg import VARIANTS, Vgg


def create(variant: str, options: BackboneOptions) -> Vgg:
    """Creates `vgg16`."""
    return Vgg(VARIANTS["16"], classic=True, options=options)
