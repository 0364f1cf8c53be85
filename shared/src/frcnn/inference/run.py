"""An inference run: every image of a folder looked at, annotated and labelled."""

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
from frcnn.errors import DataError
from frcnn.files import atomic_path, write_text
from frcnn.inference.kitti_labels import kitti_lines
from frcnn.inference.own_outputs import claim_folder
from frcnn.inference.predictor import Prediction, Unreadable, predict
from frcnn.inference.settings import InferenceSettings
from frcnn.model.batch_detector import Detector

log = logging.getLogger(__name__)

_JPEG_QUALITY = 95  # above it files grow without a visible gain


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes:
        images: Images that were looked at.
        unreadable: Files that could not be read.
        detections: Detections written, by class.
        turned: Images that have an EXIF orientation.
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

    Sub-folders and file names are kept. A file of an earlier run is replaced if it has the same name;
    nothing is deleted, and no file of another origin is replaced.

    Args:
        detector: From network-ready images to detections.
        images: Relative to `settings.images_dir`, as `find_images` gives them.
        settings: Where things go and what is shown.
        image_settings: What the network expects of an image.
        strict: Whether a file that cannot be read ends the run.
        apply_exif: Whether images are turned by their EXIF orientation, on the network's input and in the
        outputs.

    Raises:
        UsageError: An output would take the place of a file that no earlier run wrote.
        DataError: No image could be read; or `strict`, and one could not.
    """
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
        raise DataError(f"{settings.images_dir}: none of the {len(images)} images could be read")
    return Summary(len(images) - len(unreadable), tuple(unreadable), dict(counts), turned)


def _report_unreadable(result: Unreadable, strict: bool) -> None:
    message = f"{printable(result.path, None)}: cannot be read as an image ({result.reason})"
    if strict:
        raise DataError(f"{message}; without --strict it would be skipped")
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
        picture.save(temporary, quality=_JPEG_QUALITY, subsampling=0)
    text = kitti_lines(result.boxes, result.scores, result.classes, names)
    write_text(settings.label_dir / label, text)
