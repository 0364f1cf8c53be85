"""Record of an export, stored as JSON in the ONNX metadata."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from frcnn.data.transforms.image_settings import ImageSettings
from frcnn.limits import SMALL_JSON_BYTES, SMALL_JSON_VALUES, parse_json
from frcnn.model.settings import DetectionSettings, Geometry, ProposalSettings
from frcnn.model.typed_fields import check_types

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
        if not isinstance(values["geometry"], dict):
            raise TypeError("geometry is not an object")
        settings = dict(values["settings"])
        settings["proposals"] = ProposalSettings(**settings["proposals"])
        record = cls(
            graph=values["graph"],
            precision=values["precision"],
            geometry=Geometry.from_config(values["geometry"]),
            settings=DetectionSettings(**settings),
            preprocessing=values["preprocessing"],
            visualize_threshold=float(values.get("visualize_threshold", cls.visualize_threshold)),
        )
        _check(record)
        return record

    @property
    def images(self) -> ImageSettings:
        """Preparation of an image, checked.

        Raises:
            KeyError, TypeError or ValueError: It is from another version, or has impossible values.
        """
        values = dict(self.preprocessing)
        images = ImageSettings(**{**values, "mean": tuple(values["mean"])})
        check_types(images)
        fits = len(images.mean) == images.channels == self.geometry.channels and images.scale != 0
        if not fits or images.order not in ("rgb", "bgr", "l"):
            raise ValueError("channels, means and scale do not fit together")
        if (images.height, images.width) != (self.geometry.height or 0, self.geometry.width or 0):
            raise ValueError("preprocessing and network have different input sizes")
        return images


def _check(record: ExportRecord) -> None:
    """Raises TypeError or ValueError for values that no export writes: the file is untrusted."""
    for part in (record.geometry, record.settings):
        check_types(part)
    geometry = record.geometry
    texts = (record.graph, record.precision, *geometry.class_names)
    if not geometry.class_names or not all(isinstance(each, str) for each in texts):
        raise ValueError("graph, precision and classes are not texts")
    sides = [each for each in (geometry.height, geometry.width) if each is not None]
    if len(sides) == 1 or min(*sides, geometry.stride, geometry.crop_size) < 1:
        raise ValueError("the network has no size")
    if not 0 <= record.visualize_threshold <= 1:
        raise ValueError("the lowest score is not from 0 to 1")
    if geometry.channels not in (1, 3):
        raise ValueError("the input of the network is not an image")
    if geometry.dynamic and geometry.min_side < 1:
        raise ValueError("no size of the shorter side")
