"""Small record sets and specs for tests of the input pipeline."""

import enum
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from frcnn.data.records.annotations import ImageRecord, Label
from frcnn.data.records.example import encode
from frcnn.data.records.tfrecord import frame

ImageType = enum.Enum("ImageType", ["RGB", "GRAY_SCALE"])
SamplingMode = enum.Enum("SamplingMode", ["USER_DEFINED", "PROPORTIONAL", "UNIFORM"])

MEAN = {"r": 123.68, "g": 116.779, "b": 103.939, "l": 117.0}


def noise_image(seed: int, height: int = 40, width: int = 60) -> np.ndarray:
    """A smooth random RGB picture, uint8: what JPEG keeps almost as it is."""
    small = np.random.default_rng(seed).integers(0, 255, (5, 6, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR))


def image_bytes(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    """The picture as the bytes of a file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return stream.getvalue()


def write_records(path: Path, records: list[ImageRecord]) -> Path:
    """A record file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(frame(encode(record)) for record in records))
    return path


def image_record(number: int, labels: tuple[Label, ...] = (), **changes: Any) -> ImageRecord:
    """A record with an embedded 40x60 PNG and one car, unless told otherwise."""
    pixels = changes.pop("pixels", None)
    pixels = noise_image(number) if pixels is None else pixels
    fields = {
        "frame_id": f"images/{number:06d}",
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "labels": labels or (Label("car", 10.0, 8.0, 30.0, 20.0),),
        "encoded": image_bytes(pixels),
        "image_format": "png",
    }
    return ImageRecord(**{**fields, **changes})


def source(pattern: Path | str, images: Path | str = "", weight: float = 0.0) -> SimpleNamespace:
    """A DataSource of a spec."""
    return SimpleNamespace(
        tfrecords_path=str(pattern), image_directory_path=str(images), source_weight=weight
    )


def loading_spec(*sources: SimpleNamespace, height: int = 40, width: int = 60, **changes: Any) -> Any:
    """The parts of an experiment spec that loading reads.

    `changes` replace fields wherever their name occurs, such as `batch_size_per_gpu` or `hflip_probability`.
    """
    mapping = changes.get("target_class_mapping", {"car": "vehicle", "van": "vehicle", "person": "person"})
    spec = SimpleNamespace(
        random_seed=42,
        class_names=tuple(sorted(set(mapping.values()))),
        dataset_config=SimpleNamespace(
            data_sources=sources,
            image_extension="png",
            target_class_mapping=mapping,
            validation_fold=None,
            validation_data_source=None,
            sampling_mode=SamplingMode.USER_DEFINED,
        ),
        augmentation_config=SimpleNamespace(
            preprocessing=SimpleNamespace(
                output_image_width=width,
                output_image_height=height,
                output_image_channel=3,
                output_image_min=0,
                output_image_max=0,
                crop_left=0,
                crop_top=0,
                crop_right=0,
                crop_bottom=0,
                min_bbox_width=0.0,
                min_bbox_height=0.0,
                scale_width=0.0,
                scale_height=0.0,
                enable_auto_resize=True,
            ),
            spatial_augmentation=SimpleNamespace(
                hflip_probability=0.0,
                vflip_probability=0.0,
                zoom_min=1.0,
                zoom_max=1.0,
                translate_max_x=0.0,
                translate_max_y=0.0,
                rotate_rad_max=0.0,
                rotate_probability=0.0,
            ),
            color_augmentation=SimpleNamespace(
                color_shift_stddev=0.0,
                hue_rotation_max=0.0,
                saturation_shift_max=0.0,
                contrast_scale_max=0.0,
                contrast_center=0.5,
            ),
        ),
        model_config=SimpleNamespace(
            input_image_config=SimpleNamespace(
                size_height_width=SimpleNamespace(height=height, width=width),
                size_min=None,
                image_type=ImageType.RGB,
                image_channel_order="rgb",
                image_channel_mean=dict(MEAN),
                image_scaling_factor=1.0,
                max_objects_num_per_image=5,
            )
        ),
        training_config=SimpleNamespace(batch_size_per_gpu=2, enable_augmentation=False),
    )
    for name, value in changes.items():
        if not _replace(spec, name, value):
            raise KeyError(name)
    return spec


def _replace(place: SimpleNamespace, name: str, value: Any) -> bool:
    if hasattr(place, name):
        setattr(place, name, value)
        return True
    return any(
        _replace(child, name, value) for child in vars(place).values() if isinstance(child, SimpleNamespace)
    )
