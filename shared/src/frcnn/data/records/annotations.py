"""Data classes for one image and its labels, independent of the label format.

Boxes are `x1 y1 x2 y2`, floats, in absolute pixels of the stored image, as in the label files.
"""

import dataclasses

# KITTI's class for unlabeled regions: detections there count neither as correct nor as wrong.
DONT_CARE = "dontcare"


@dataclasses.dataclass(frozen=True, slots=True)
class Label:
    """One object, with the fields of a KITTI label line; other formats leave the optional ones 0.

    Attributes:
        class_name: Class in lower case.
        x1: Left edge, px.
        y1: Top edge, px.
        x2: Right edge, px.
        y2: Bottom edge, px.
        truncation: Fraction outside the image, 0..1.
        occlusion: Level from 0 (visible) to 3 (unknown); evaluation treats 1 and above as difficult.
        observation_angle: KITTI's alpha, radians.
        world_height: Height, m.
        world_width: Width, m.
        world_length: Length, m.
        world_x: Position along x, m.
        world_y: Position along y, m.
        world_z: Position along z, m.
        rotation_y: Rotation about the y axis, radians.
    """

    class_name: str
    x1: float
    y1: float
    x2: float
    y2: float
    truncation: float = 0.0
    occlusion: int = 0
    observation_angle: float = 0.0
    world_height: float = 0.0
    world_width: float = 0.0
    world_length: float = 0.0
    world_x: float = 0.0
    world_y: float = 0.0
    world_z: float = 0.0
    rotation_y: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Calibration:
    """Transforms from lidar to camera (4x4: 16 numbers) and to image (3x4: 12), row-major."""

    lidar_to_camera: tuple[float, ...]
    lidar_to_image: tuple[float, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image with its size and labels.

    Attributes:
        frame_id: Path of the image relative to the dataset root, without extension. Bytes that are not
            UTF-8 become surrogates, as in `os.fsdecode`.
        height: Height in pixels, as stored, or after applying `orientation`.
        width: Width in pixels, as stored, or after applying `orientation`.
        labels: Objects in the image, in coordinates that match height and width.
        encoded: Bytes of the image file if embedded, otherwise `None`.
        image_format: `jpeg` or `png` if embedded, otherwise empty.
        file: `frame_id` with the extension of the file; empty if unknown.
        orientation: EXIF orientation to apply when the image is loaded, 1 (none) to 8.
        point_cloud_id: Path of the point cloud relative to the root; empty if there is none.
        calibration: Lidar transforms, if requested.
    """

    frame_id: str
    height: int
    width: int
    labels: tuple[Label, ...] = ()
    encoded: bytes | None = None
    image_format: str = ""
    file: str = ""
    orientation: int = 1
    point_cloud_id: str = ""
    calibration: Calibration | None = None
