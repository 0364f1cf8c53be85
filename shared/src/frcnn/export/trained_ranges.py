"""Ranges that quantisation-aware training has learnt, and where they belong in an exported graph."""

import dataclasses
from collections.abc import Mapping

from frcnn.export.parts import FEATURE_TENSORS, HEAD_TENSORS, Part
from frcnn.export.standard_graph import INPUT


@dataclasses.dataclass(frozen=True)
class TrainedRanges:
    """Largest magnitude of activations, by the name of the Keras layer whose result it is.

    The networks' inputs are the layers `input_image` and `crops`.
    """

    activations: Mapping[str, float]

    def of_tensors(self, features: Part, head: Part) -> dict[str, tuple[float, float]]:
        """The ranges by tensor of the joined graph.

        Args:
            features: Converted with the names of `activations` as marks.
            head: Likewise.
        """
        joined: dict[str, tuple[float, float]] = {}
        for part, prefix, source, outputs in (
            (features, "bb/", INPUT, FEATURE_TENSORS),
            (head, "hd/", "crops", HEAD_TENSORS),
        ):
            outer = dict(zip((*part.inputs, *part.outputs), (source, *outputs), strict=True))
            for layer, tensor in part.marks.items():
                limit = float(self.activations[layer])
                joined[outer.get(tensor, prefix + tensor)] = (-limit, limit)
        return joined
