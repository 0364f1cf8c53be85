"""Classic VGG 16, without batch normalization."""

from frcnn.model.backbones.base import BackboneOptions, refuse_unknown
from frcnn.model.backbones.vgg import VARIANTS, Vgg


def create(variant: str, options: BackboneOptions) -> Vgg:
    """Creates `vgg16`.

    Args:
        variant: Must be empty.
        options: Options of the backbone.

    Returns:
        The backbone.

    Raises:
        ModelError: A variant is given.
    """
    refuse_unknown("vgg16", variant, [""])
    return Vgg(VARIANTS["16"], classic=True, options=options)
