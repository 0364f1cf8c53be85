"""What every reader of weight files yields: named layers of plain arrays in Keras' layout."""

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class SourceLayer:
    """Weights of one layer.

    Attributes:
        weights: By role: `kernel` ([h, w, in, out], depthwise [h, w, in, 1], dense [in, out]), `bias`,
            `gamma`, `beta`, `moving_mean`, `moving_variance`.
        epsilon: What a batch normalisation adds to the variance; None where the file does not say.
    """

    weights: Mapping[str, np.ndarray]
    epsilon: float | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """What a file holds.

    Attributes:
        kind: What sort of file it is, for the log.
        layers: By name. A layer may be there under more than one name.
        notes: What the user should know about weights of this origin.
    """

    kind: str
    layers: Mapping[str, SourceLayer]
    notes: tuple[str, ...] = ()
