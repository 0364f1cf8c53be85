"""Runs inference on a folder of images and writes annotated images and labels."""

import contextlib
import dataclasses
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from frcnn.console.foreign_text import printable
from frcnn.console.progress import track
from frcnn.data.conversion.stored_image import UPRIGHT
from frcnn.data.image_files import label_files
from frcnn.data.transforms.preprocess import ImageSettings
from frcnn.drawing.boxes import annotate
from frcnn.drawing.image_output import save_image
from frcnn.errors import DataError
from frcnn.files import atomic_path, write_text
from frcnn.inference.kitti_labels import kitti_lines
from frcnn.inference.output_protection import claim_folder
from frcnn.inference.predictor import Prediction, Unreadable, predict
from frcnn.model.batch_detector import Detector
from frcnn.settings.inference import InferenceSettings
from frcnn.single_writer import only_writer_in

log = logging.getLogger(__name__)

_JPEG_QUALITY = 95  # a higher quality enlarges the files without a visible gain


@dataclasses.dataclass(frozen=True)
class Summary:
    """Summary of an inference run.

    Attributes:
        images: Number of processed images.
        unreadable: Unreadable files.
        detections: Number of written detections by class.
        turned: Number of images with an EXIF orientation.
    """

    images: int
    unreadable: tuple[Unreadable, ...]
    detections: dict[str, int]
    turned: int = 0


def run_inference(
    detector: Detector,
    images: Sequence[Path],
    settings: InferenceSettings,
    image_settings: ImageSettings,
    *,
    strict: bool = False,
    apply_exif: bool = False,
) -> Summary:
    """Writes an annotated image and a label file for each image.

    Subfolders and file names are kept. Files of an earlier run are replaced; other files are neither replaced
    nor deleted.

    Args:
        detector: Function from preprocessed images to detections.
        images: Image files relative to `settings.images_dir`, as returned by `find_images`.
        settings: Output folders and display options.
        image_settings: Preprocessing of the images.
        strict: Whether an unreadable file stops the run.
        apply_exif: Whether to rotate images by their EXIF orientation, for the network and in the outputs.

    Returns:
        Summary of the run.

    Raises:
        UsageError: An output would overwrite a file that no earlier run wrote.
        PlaceBusyError: Another run writes to one of the output folders.
        DataError: No image is readable; or `strict` is set and one is unreadable.
    """
    with contextlib.ExitStack() as held:
        for folder in {settings.label_dir.resolve(), settings.image_output_dir.resolve()}:
            held.enter_context(only_writer_in(folder, "inference"))
        return _run(detector, images, settings, image_settings, strict=strict, apply_exif=apply_exif)


def _run(
    detector: Detector,
    images: Sequence[Path],
    settings: InferenceSettings,
    image_settings: ImageSettings,
    *,
    strict: bool,
    apply_exif: bool,
) -> Summary:
    labels = dict(zip(images, label_files(images), strict=True))
    claim_folder(settings.label_dir, labels.values(), "inference_config.labels_dump_dir")
    claim_folder(settings.image_output_dir, images, "inference_config.detection_image_output_dir")
    results = predict(
        detector,
        [settings.images_dir / image for image in images],
        image_settings,
        batch_size=settings.batch_size,
        score_threshold=settings.score_threshold,
        apply_exif=apply_exif,
    )
    turned = 0
    unreadable: list[Unreadable] = []
    counts = Counter(dict.fromkeys(settings.class_names, 0))
    for result in track(results, "inference", total=len(images)):
        if isinstance(result, Unreadable):
            _report_unreadable(result, strict)
            unreadable.append(result)
            continue
        relative = result.path.relative_to(settings.images_dir)
        turned += result.orientation != UPRIGHT
        _write(result, relative, labels[relative], settings)
        counts.update(settings.class_names[index] for index in result.classes)
    if len(unreadable) == len(images):
        where = settings.images_dir / images[0] if len(images) == 1 else settings.images_dir
        raise DataError(f"{where}: none of the {len(images)} images could be read")
    return Summary(len(images) - len(unreadable), tuple(unreadable), dict(counts), turned)


def _report_unreadable(result: Unreadable, strict: bool) -> None:
    message = f"{printable(result.path, None)}: cannot be read as an image ({result.reason})"
    if strict:
        raise DataError(f"{message}; without strict it is skipped")
    log.warning("%s; skipped", message)


def _write(result: Prediction, image: Path, label: Path, settings: InferenceSettings) -> None:
    names = settings.class_names
    captions = None
    if settings.captions:
        captions = [
            f"{printable(names[index])} {score:.2f}"
            for index, score in zip(result.classes, result.scores, strict=True)
        ]
    picture = annotate(result.pixels(), result.boxes, result.classes, captions)
    with atomic_path(settings.image_output_dir / image) as temporary:
        save_image(picture, temporary, quality=_JPEG_QUALITY, subsampling=0)
    text = kitti_lines(result.boxes, result.scores, result.classes, names)
    write_text(settings.label_dir / label, text)
