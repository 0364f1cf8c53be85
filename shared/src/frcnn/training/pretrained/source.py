"""Common result of all readers of weight files: named layers of plain arrays in Keras layout."""

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class SourceLayer:
    """Weights of one layer.

    Attributes:
        weights: Arrays by role: `kernel` (`[h, w, in, out]`, depthwise `[h, w, in, 1]`, dense `[in, out]`),
            `bias`, `gamma`, `beta`, `moving_mean`, `moving_variance`.
        epsilon: Constant that a batch normalization adds to the variance; `None` if the file has none.
    """

    weights: Mapping[str, np.ndarray]
    epsilon: float | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """Layers in a weight file.

    Attributes:
        kind: Kind of file, for the log.
        layers: Layers by name. A layer may have several names.
        notes: Warnings for users of these weights.
    """

    kind: str
    layers: Mapping[str, SourceLayer]
    notes: tuple[str, ...] = ()
