"""What an inference run reads, where it writes, and what it shows."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.errors import Problem, SpecError, UsageError

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment

# Sub-folders of the results folder, for outputs the spec names no folder for.
IMAGE_FOLDER, LABEL_FOLDER = "images_annotated", "labels"


@dataclasses.dataclass(frozen=True)
class InferenceSettings:
    """Inputs and outputs of an inference run.

    Attributes:
        images_dir: Searched for images, sub-folders included.
        image_output_dir: Gets the annotated images.
        label_dir: Gets the KITTI label files.
        class_names: In the order of the class indices, background not among them.
        score_threshold: Detections below it are neither drawn nor written (`bbox_visualize_threshold`).
        captions: Whether class and score are written beside a box.
        batch_size: Images the detector gets at once.
    """

    images_dir: Path
    image_output_dir: Path
    label_dir: Path
    class_names: tuple[str, ...]
    score_threshold: float
    captions: bool
    batch_size: int

    @classmethod
    def from_spec(
        cls, spec: "Experiment", *, results_dir: Path | None = None, captions: bool | None = None
    ) -> "InferenceSettings":
        """The settings in `inference_config` of a checked spec.

        Args:
            spec: The spec.
            results_dir: Holds the outputs for which the spec names no folder.
            captions: Instead of `bbox_caption_on`, if given.

        Raises:
            SpecError: A folder is neither named nor implied, or `images_dir` does not exist.
            UsageError: An annotated image would take the place of its original.
        """
        config = spec.inference_config
        images_dir = Path(config.images_dir)
        image_output_dir = _output_dir(config.detection_image_output_dir, results_dir, IMAGE_FOLDER)
        label_dir = _output_dir(config.labels_dump_dir, results_dir, LABEL_FOLDER)
        problems = _images_problems(config.images_dir)
        if image_output_dir is None:
            problems.append(_missing_output("detection_image_output_dir"))
        if label_dir is None:
            problems.append(_missing_output("labels_dump_dir"))
        if problems or image_output_dir is None or label_dir is None:
            raise SpecError(spec.source, problems)
        if image_output_dir.resolve() == images_dir.resolve():
            raise UsageError(
                f"inference_config.detection_image_output_dir is images_dir itself ({images_dir}): "
                "annotated images would replace their originals; name another folder"
            )
        return cls(
            images_dir=images_dir,
            image_output_dir=image_output_dir,
            label_dir=label_dir,
            class_names=tuple(spec.class_names),
            score_threshold=config.bbox_visualize_threshold,
            captions=config.bbox_caption_on if captions is None else captions,
            batch_size=config.batch_size,
        )


def _output_dir(named: str, results_dir: Path | None, folder: str) -> Path | None:
    if named:
        return Path(named)
    return results_dir / folder if results_dir is not None else None


def _images_problems(images_dir: str) -> list[Problem]:
    path = "inference_config.images_dir"
    if not images_dir:
        return [Problem(path, "not set; expected the folder of the images to look at")]
    if not Path(images_dir).is_dir():
        found = "is a file" if Path(images_dir).exists() else "does not exist"
        return [Problem(path, f"{images_dir} {found}; expected the folder of the images to look at")]
    return []


def _missing_output(field: str) -> Problem:
    return Problem(f"inference_config.{field}", "not set; name a folder, or give one for all results with -r")
