"""Record of an export, stored as JSON in the ONNX metadata."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from frcnn.limits import SMALL_JSON_BYTES, SMALL_JSON_VALUES, parse_json
from frcnn.model.settings import DetectionSettings, Geometry, ProposalSettings

PROPERTY = "frcnn"


@dataclasses.dataclass(frozen=True)
class ExportRecord:
    """Settings with which a detector was exported.

    Attributes:
        graph: `standard` or `plugin`.
        precision: `fp32`, `fp16` or `int8`.
        geometry: Geometry of the model.
        settings: Settings of proposals and final NMS, which are fixed in the graph.
        preprocessing: Preparation of an image; the fields of
            `frcnn.data.transforms.image_settings.ImageSettings`.
        visualize_threshold: Lowest score to show, `bbox_visualize_threshold` of the spec.
    """

    graph: str
    precision: str
    geometry: Geometry
    settings: DetectionSettings
    preprocessing: Mapping[str, Any]
    visualize_threshold: float = 0.6

    def to_json(self) -> str:
        """Returns the record as JSON for `from_json`."""
        return json.dumps(dataclasses.asdict(self) | {"preprocessing": dict(self.preprocessing)})

    @classmethod
    def from_json(cls, text: str) -> "ExportRecord":
        """Parses a record.

        Raises:
            ValueError, KeyError or TypeError: The text is not a record of this program.
        """
        values = parse_json(text, SMALL_JSON_BYTES, SMALL_JSON_VALUES)
        settings = dict(values["settings"])
        settings["proposals"] = ProposalSettings(**settings["proposals"])
        return cls(
            graph=values["graph"],
            precision=values["precision"],
            geometry=Geometry.from_config(values["geometry"]),
            settings=DetectionSettings(**settings),
            preprocessing=values["preprocessing"],
            visualize_threshold=float(values.get("visualize_threshold", cls.visualize_threshold)),
        )
