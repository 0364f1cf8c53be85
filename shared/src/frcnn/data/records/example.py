"""Encodes image records as `Example` messages and decodes them; docs/data.md lists the features."""

from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from frcnn.data.records.annotations import Calibration, ImageRecord, Label
from frcnn.data.records.example_pb2 import Example, Feature

POINT_CLOUD_CHANNELS = 4
# File names are bytes; bytes that are not UTF-8 survive a round trip.
_NAMES = ("utf-8", "surrogateescape")

# Feature name of each float attribute of a label; `object_class` and `occlusion` have other types.
FLOAT_FEATURES = {
    "truncation": "target/truncation",
    "observation_angle": "target/observation_angle",
    "x1": "target/coordinates_x1",
    "y1": "target/coordinates_y1",
    "x2": "target/coordinates_x2",
    "y2": "target/coordinates_y2",
    "world_height": "target/world_bbox_h",
    "world_width": "target/world_bbox_w",
    "world_length": "target/world_bbox_l",
    "world_x": "target/world_bbox_x",
    "world_y": "target/world_bbox_y",
    "world_z": "target/world_bbox_z",
    "rotation_y": "target/world_bbox_rot_y",
}


def encode(record: ImageRecord) -> bytes:
    """Serializes a record as an `Example`; equal records give equal bytes.

    Args:
        record: Image with its labels.

    Returns:
        Bytes of the message.
    """
    example = Example()
    feature, labels = example.features.feature, record.labels
    _put_bytes(feature["frame/id"], [record.frame_id.encode(*_NAMES)])
    if record.file:
        _put_bytes(feature["frame/file"], [record.file.encode(*_NAMES)])
    if record.orientation != 1:
        feature["frame/orientation"].int64_list.value.append(record.orientation)
    feature["frame/height"].int64_list.value.append(record.height)
    feature["frame/width"].int64_list.value.append(record.width)
    if record.encoded is not None:
        _put_bytes(feature["frame/encoded"], [record.encoded])
        _put_bytes(feature["frame/format"], [record.image_format.encode()])
    _put_bytes(feature["target/object_class"], [label.class_name.encode() for label in labels])
    occlusion = feature["target/occlusion"].int64_list
    occlusion.SetInParent()
    occlusion.value.extend([label.occlusion for label in labels])
    for attribute, name in FLOAT_FEATURES.items():
        _put_floats(feature[name], [getattr(label, attribute) for label in labels])
    if record.point_cloud_id:
        _put_bytes(feature["point_cloud/id"], [record.point_cloud_id.encode(*_NAMES)])
        feature["point_cloud/num_input_channels"].int64_list.value.append(POINT_CLOUD_CHANNELS)
    if record.calibration:
        _put_floats(feature["calibration/T_lidar_to_camera"], record.calibration.lidar_to_camera)
        _put_floats(feature["calibration/P_lidar_to_image"], record.calibration.lidar_to_image)
    return example.SerializeToString(deterministic=True)


def decode(payload: bytes) -> ImageRecord:
    """Parses a serialized `Example`. Floats come back rounded to float32.

    Args:
        payload: Bytes of the message.

    Returns:
        The record.

    Raises:
        ValueError: The bytes are not an `Example`, lack a required feature, or have columns of
            different lengths.
    """
    example = Example()
    try:
        example.ParseFromString(payload)
    except DecodeError as error:
        raise ValueError(f"not an Example: {error}") from error
    feature = dict(example.features.feature)
    sizes = {name: _integers(feature, name) for name in ("frame/height", "frame/width")}
    identifiers = _bytes(feature, "frame/id")
    missing = [name for name, values in {"frame/id": identifiers, **sizes}.items() if not values]
    if missing:
        raise ValueError(f"no {', '.join(missing)}")
    formats = _bytes(feature, "frame/format")
    point_clouds = _bytes(feature, "point_cloud/id")
    encoded = _bytes(feature, "frame/encoded")
    files = _bytes(feature, "frame/file")
    orientations = _integers(feature, "frame/orientation")
    return ImageRecord(
        frame_id=identifiers[0].decode(*_NAMES),
        height=sizes["frame/height"][0],
        width=sizes["frame/width"][0],
        labels=_labels(feature),
        encoded=encoded[0] if encoded else None,
        image_format=formats[0].decode() if formats else "",
        file=files[0].decode(*_NAMES) if files else "",
        orientation=orientations[0] if orientations else 1,
        point_cloud_id=point_clouds[0].decode(*_NAMES) if point_clouds else "",
        calibration=_calibration(feature),
    )


def _labels(feature: dict[str, Feature]) -> tuple[Label, ...]:
    names = [name.decode() for name in _bytes(feature, "target/object_class")]
    columns: dict[str, Sequence[Any]] = {
        attribute: feature[name].float_list.value
        for attribute, name in FLOAT_FEATURES.items()
        if name in feature
    }
    if "target/occlusion" in feature:
        columns["occlusion"] = _integers(feature, "target/occlusion")
    wrong = [name for name, column in columns.items() if len(column) != len(names)]
    if wrong:
        raise ValueError(f"{len(names)} object classes, but another number of {', '.join(wrong)}")
    return tuple(
        Label(name, **{attribute: column[row] for attribute, column in columns.items()})
        for row, name in enumerate(names)
    )


def _calibration(feature: dict[str, Feature]) -> Calibration | None:
    if "calibration/T_lidar_to_camera" not in feature:
        return None
    return Calibration(
        tuple(feature["calibration/T_lidar_to_camera"].float_list.value),
        tuple(feature["calibration/P_lidar_to_image"].float_list.value),
    )


def _bytes(feature: dict[str, Feature], name: str) -> Sequence[bytes]:
    return feature[name].bytes_list.value if name in feature else ()


def _integers(feature: dict[str, Feature], name: str) -> Sequence[int]:
    return feature[name].int64_list.value if name in feature else ()


def _put_bytes(feature: Feature, values: Iterable[bytes]) -> None:
    feature.bytes_list.SetInParent()
    feature.bytes_list.value.extend(values)


def _put_floats(feature: Feature, values: Iterable[float]) -> None:
    feature.float_list.SetInParent()
    feature.float_list.value.extend(values)
