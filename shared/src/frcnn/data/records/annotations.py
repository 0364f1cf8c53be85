"""What every reader yields: one image with its labels.

Boxes are `x1 y1 x2 y2`, floats, absolute pixels of the stored image, as in the label files.
"""

import dataclasses

# KITTI's class for regions that nobody labelled: detections there are neither right nor wrong.
DONT_CARE = "dontcare"


@dataclasses.dataclass(frozen=True, slots=True)
class Label:
    """One object. The fields are those of a KITTI label line; other formats leave the rest 0.

    `class_name` is in lower case, `observation_angle` and `rotation_y` are in radians, the `world_*`
    sizes (height, width, length) and places in metres. `truncation` runs from 0 to 1, `occlusion` from
    0 (visible) to 3 (unknown); from 1 up the object counts as difficult in evaluation.
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
    """Lidar to camera (4x4) and lidar to image (3x4), row by row: 16 and 12 numbers."""

    lidar_to_camera: tuple[float, ...]
    lidar_to_image: tuple[float, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image, its size in pixels as stored (an EXIF rotation is not applied), and its labels.

    `frame_id` is the image's path from the data set's root without extension. `encoded` holds the
    image file's own bytes where they are embedded, `image_format` is then `jpeg` or `png`. `file` is the
    same path with the extension as the file has it; bytes of either that are not UTF-8 are surrogates, as in
    `os.fsdecode`. `orientation` is the EXIF orientation (1 to 8) that is to be applied: height, width and
    labels are then those of the turned picture.
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
