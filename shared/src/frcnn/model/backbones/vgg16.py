"""The classic VGG 16, as it was before batch normalisation."""

from frcnn.model.backbones.base import BackboneOptions, refuse_unknown
from frcnn.model.backbones.vgg import VARIANTS, Vgg


def create(variant: str, options: BackboneOptions) -> Vgg:
    """`vgg16`.

    Raises:
        ModelError: Any other variant.
    """
    refuse_unknown("vgg16", variant, [""])
    return Vgg(VARIANTS["16"], classic=True, options=options)
