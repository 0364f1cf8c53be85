"""Which images the steps run in: registry and tag, from two environment variables.

They are read when a pipeline is compiled; the compiled YAML holds the full names.
"""

import os

REGISTRY_VARIABLE = "FRCNN_REGISTRY"
TAG_VARIABLE = "FRCNN_TAG"
DEFAULT_TAG = "0.1.0"


def image(step: str) -> str:
    """The image of a step, such as `frcnn-train:0.1.0` or `my.registry/team/frcnn-train:0.1.0`."""
    registry = os.environ.get(REGISTRY_VARIABLE, "").rstrip("/")
    name = f"frcnn-{step}:{os.environ.get(TAG_VARIABLE) or DEFAULT_TAG}"
    return f"{registry}/{name}" if registry else name
