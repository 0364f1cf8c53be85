"""Names of the steps' images, with registry and tag from two environment variables.

The variables are read when a pipeline is compiled. The compiled YAML contains the full names.
"""

import os

REGISTRY_VARIABLE = "FRCNN_REGISTRY"
TAG_VARIABLE = "FRCNN_TAG"
DEFAULT_TAG = "0.1.0"


def image(step: str) -> str:
    """Returns the image of a step.

    Args:
        step: Name of the image without its prefix, for example `train`.

    Returns:
        Image such as `frcnn-train:0.1.0` or `my.registry/team/frcnn-train:0.1.0`.
    """
    registry = os.environ.get(REGISTRY_VARIABLE, "").strip().rstrip("/")
    name = f"frcnn-{step}:{os.environ.get(TAG_VARIABLE, '').strip() or DEFAULT_TAG}"
    return f"{registry}/{name}" if registry else name
