"""Resolves the settings of an export."""

from dataclasses import dataclass

from frcnn.data.settings import DataSettings
from frcnn.data.transforms.image_settings import ImageSettings
from frcnn.model.settings import DetectionSettings, Geometry
from frcnn.settings.data import data_settings, image_settings
from frcnn.settings.model import detection_settings, geometry_of
from frcnn.spec.schema.experiment import Experiment


@dataclass(frozen=True)
class ExportSettings:
    """Settings that are stored in an exported file.

    Attributes:
        detection: Settings of proposals and final NMS.
        image: Input format of the network.
        score_bits: Number of bits of the scores in the NMS plugin; 0 for full precision.
        visualize_threshold: Lowest score of shown detections, 0 to 1.
    """

    detection: DetectionSettings
    image: ImageSettings
    score_bits: int = 0
    visualize_threshold: float = 0.6


@dataclass(frozen=True)
class ExportRun:
    """Everything that an export takes from the spec.

    Attributes:
        geometry: Expected classes and input size of the model.
        data: Training set, whose images calibrate INT8.
        file: Settings that are stored in the file.
    """

    geometry: Geometry
    data: DataSettings
    file: ExportSettings


def export_run(spec: Experiment) -> ExportRun:
    """Resolves everything that an export takes from the spec.

    Args:
        spec: Checked spec.

    Returns:
        Settings of the export.
    """
    return ExportRun(geometry_of(spec), data_settings(spec), export_settings(spec))


def export_settings(spec: Experiment) -> ExportSettings:
    """Resolves the settings that are stored in an exported file.

    Args:
        spec: Checked spec; its `inference_config` defines proposals and NMS.

    Returns:
        Settings of the file.
    """
    config = spec.inference_config
    return ExportSettings(
        detection=detection_settings(config),
        image=image_settings(spec),
        score_bits=config.nms_score_bits,
        visualize_threshold=config.bbox_visualize_threshold,
    )
