"""Describes the information that a label format cannot represent."""

from collections import Counter

from frcnn.data.conversion.faults import Reading
from frcnn.data.conversion.stored_image import UPRIGHT
from frcnn.data.records.annotations import Label

WORLD = ("world_height", "world_width", "world_length", "world_x", "world_y", "world_z", "rotation_y")
# Information that the readers ignore, for every target.
NOT_READ = {
    "coco": "outlines, iscrowd, keypoints and rotation of COCO are not read",
    "voc": "pose, parts, outlines, rotation and the mark occluded of Pascal VOC are not read",
}


def losses_of(label: Label, target: str) -> Counter[str]:
    """Returns the information of a label that a format other than KITTI loses.

    Args:
        label: Label.
        target: Format of the target.
    """
    lost: Counter[str] = Counter()
    if target == "kitti":
        return lost
    if target == "voc":
        lost["objects: the share of truncation becomes yes or no"] += label.truncation not in (0.0, 1.0)
        lost["objects: the level of occlusion becomes difficult or not"] += label.occlusion not in (0, 1)
    else:
        lost["objects: truncation"] += label.truncation != 0
        lost["objects: occlusion"] += label.occlusion != 0
    lost["objects: observation angle"] += label.observation_angle != 0
    lost["objects: 3D box"] += any(getattr(label, name) for name in WORLD)
    return +lost


def loss_of_orientation(reading: Reading, target: str) -> Counter[str]:
    """Returns what is lost because image files are copied with their EXIF orientation.

    Args:
        reading: Image and its labels.
        target: Format of the target.
    """
    record, image = reading.record, reading.image
    if record is not None and record.orientation != UPRIGHT:
        # YOLO's tools apply the orientation, so that labels from and for them fit.
        text = "images: that labels refer to the images rotated by EXIF; convert with --apply_exif"
        return Counter() if target == "yolo" else Counter({text: 1})
    if image is not None and image.orientation != UPRIGHT and target == "yolo":
        return Counter({"images: their EXIF orientation, which YOLO's tools apply to images and labels": 1})
    return Counter()
