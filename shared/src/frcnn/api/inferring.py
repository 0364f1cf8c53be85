"""Runs inference on a folder of images, for the command and the pipeline step.

Python code uses `frcnn.load` and `Detector.stream` instead.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.api.backend import use_tensorflow
from frcnn.console.quiet_import import quiet_tensorflow_import
from frcnn.inference.open_model import RunOptions, open_for_batches
from frcnn.packages import needed_for
from frcnn.settings.inference import InferenceSettings, PredictionSettings

if TYPE_CHECKING:
    from frcnn.inference.run import Summary


@quiet_tensorflow_import()
def infer(
    model: Path,
    settings: InferenceSettings,
    prediction: PredictionSettings,
    *,
    only: str = "",
    key: str = "",
    options: RunOptions | None = None,
    strict: bool = False,
    apply_exif: bool = False,
) -> "Summary":
    """Writes an annotated image and a label file for each image of a folder.

    Args:
        model: Model file.
        settings: Folders and display options.
        prediction: Settings to run the model with.
        only: Name of the only image to process; empty for all images of the folder.
        key: Key of a sealed model; empty for a plain one.
        options: Runtime of the model; None for the default.
        strict: Whether an unreadable image raises an error; otherwise it is skipped.
        apply_exif: Whether to rotate images by their EXIF orientation.

    Returns:
        Summary of the run.

    Raises:
        UsageError: The runtime cannot run such a model, or an output would overwrite a file of the user.
        DataError: There are no readable images, or `strict` is set and one is unreadable.
        ModelError: The model cannot be loaded.
    """
    from frcnn.data.image_files import find_images

    images = (
        [Path(only)] if only else find_images(settings.images_dir, leave_out=(settings.image_output_dir,))
    )
    use_tensorflow()
    with needed_for("inference"):
        from frcnn.inference.run import run_inference

        detector = open_for_batches(model, prediction.expected, key, options or RunOptions())
        return run_inference(
            detector, images, settings, prediction.image, strict=strict, apply_exif=apply_exif
        )
