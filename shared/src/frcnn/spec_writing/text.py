"""Writes the text of an experiment spec, with the reason for each choice in a comment."""

import dataclasses
import string
from collections.abc import Sequence
from pathlib import Path

from frcnn.console.foreign_text import printable
from frcnn.spec_writing.choices import RPN_MAX_OVERLAP, RPN_MIN_OVERLAP, Choices
from frcnn.spec_writing.conversion_specs import quoted
from frcnn.survey.wording import counted

TEMPLATE = "experiment_template.txt"
_ORDER = {"rgb": (0, 1, 2), "bgr": (2, 1, 0)}
# Preprocessing of torchvision's weights, and of Keras Applications' ResNets and VGGs (docs/pretrained.md).
_TORCH_MEAN, _TORCH_DEVIATION = (123.675, 116.28, 103.53), 57.63
_KERAS_MEAN, _KERAS_DEVIATION = (123.68, 116.779, 103.939), 1.0
_TORCH_FILES, _KERAS_FILES = (".safetensors", ".pt", ".pth"), (".h5", ".hdf5")
# Luminance of a gray image from red, green and blue.
_LUMINANCE = (0.299, 0.587, 0.114)


@dataclasses.dataclass(frozen=True)
class Places:
    """Paths in an experiment spec.

    Attributes:
        command: Command that writes it, for the first comment.
        data: Data set as the user names it.
        records: Pattern of the training records.
        image_root: Folder that image names in the records are relative to.
        extension: Extension of the images, without the dot.
        validation: Lines of `dataset_config` that select the validation images.
        validation_why: Description of the validation images.
        model: Model to evaluate and to detect with.
        inference_images: Folder of images to detect objects in.
        annotated: Output folder for annotated images.
        labels: Output folder for detections as labels.
    """

    command: str
    data: str
    records: str
    image_root: Path
    extension: str
    validation: Sequence[str]
    validation_why: str
    model: Path
    inference_images: Path
    annotated: Path
    labels: Path


def experiment_text(choices: Choices, places: Places) -> str:
    """Returns the text of an experiment spec.

    Args:
        choices: Settings of the training.
        places: Paths.

    Returns:
        Protobuf text.
    """
    facts = choices.facts
    interval = max(1, round(choices.epochs / 10))
    template = string.Template(Path(__file__).with_name(TEMPLATE).read_text(encoding="utf-8"))
    validation = [f"  # Validation: {_comment(places.validation_why)}."]
    return template.substitute(
        **_pixels(choices),
        **_reasons(choices),
        command=places.command,
        data=_comment(places.data),
        images=choices.images_text(),
        objects=sum(facts.classes.values()),
        goal=choices.goal,
        rows=choices.rows,
        columns=choices.columns,
        max_objects=choices.max_objects,
        most_objects=facts.most_objects,
        many_objects=facts.many_objects,
        arch=quoted(choices.arch),
        scales=", ".join(f"{value:.1f}" for value in choices.anchors.scales),
        ratios=", ".join(f"{value:.2f}" for value in choices.anchors.ratios),
        rois=choices.rois,
        use_pooling=_word(_pools(choices)),
        all_projections=_word(not choices.pretrained and choices.arch == "resnet:10"),
        records=quoted(places.records),
        image_root=quoted(places.image_root),
        extension=quoted(places.extension),
        mapping=_mapping(choices),
        validation="\n".join([*validation, *(f"  {line}" for line in places.validation)]),
        batch=choices.batch,
        epochs=choices.epochs,
        interval=interval,
        pretrained=quoted(choices.pretrained),
        rpn_min=RPN_MIN_OVERLAP,
        rpn_max=RPN_MAX_OVERLAP,
        pre_nms=3000,
        train_boxes=600,
        start_lr=f"{choices.base_lr / 10:.1e}",
        base_lr=f"{choices.base_lr:.1e}",
        proposals=choices.proposals,
        detections=choices.detections,
        model=quoted(places.model),
        inference_images=quoted(places.inference_images),
        annotated=quoted(places.annotated),
        labels=quoted(places.labels),
    )


def _pixels(choices: Choices) -> dict[str, object]:
    """Returns image type, channel order and normalization."""
    facts, suffix = choices.facts, Path(choices.pretrained).suffix.lower()
    order, mean, deviation = "rgb", facts.mean, facts.deviation
    why = "mean and deviation of a sample of the images"
    if suffix in _TORCH_FILES:
        mean, deviation, why = _TORCH_MEAN, _TORCH_DEVIATION, "as in the training of torchvision's weights"
    elif suffix in _KERAS_FILES:
        order, mean, deviation = "bgr", _KERAS_MEAN, _KERAS_DEVIATION
        why = "as in the training of Keras Applications' ResNets and VGGs"
    elif choices.pretrained:
        why += "; if the weights were trained with other values, write those"
    if facts.gray and not choices.pretrained:
        level = sum(weight * value for weight, value in zip(_LUMINANCE, mean, strict=True))
        means = f'    image_channel_mean {{ key: "l" value: {level:.1f} }}'
        return {"image_type": "GRAY_SCALE", "order": "l", "channels": 1, "means": means,
                "deviation": deviation, "mean_why": why}  # fmt: skip
    lines = [
        f'    image_channel_mean {{ key: "{letter}" value: {mean[at]} }}'
        for letter, at in zip(order, _ORDER[order], strict=True)
    ]
    return {"image_type": "RGB", "order": order, "channels": 3, "means": "\n".join(lines),
            "deviation": deviation, "mean_why": why}  # fmt: skip


def _reasons(choices: Choices) -> dict[str, str]:
    facts, coverage = choices.facts, choices.coverage.to_dict()
    factor = (choices.rows * choices.columns / (facts.height * facts.width)) ** 0.5
    small = facts.small_side * factor
    start = "pretrained weights" if choices.pretrained else "random weights"
    shortest = " (square root of the batch size)" if choices.batch != 4 else ""
    return {
        "size_why": (
            f"images are about {facts.width} x {facts.height} px (width x height); 5 % of objects are below "
            f"{small:.0f} px here"
        ),
        "arch_why": f"for the goal {choices.goal}, from {start}; see docs/backbones.md",
        "coverage_why": (
            f"best anchor at IoU {RPN_MAX_OVERLAP} or more: {coverage['full_share']:.0%} of the objects; "
            f"below {RPN_MIN_OVERLAP}: {coverage['missed_share']:.1%}; mean IoU {coverage['mean_iou']:.2f}"
        ),
        "pooling_why": "as in torchvision and Keras Applications"
        if _pools(choices)
        else "strides are in the convolutions",
        "batch_why": choices.batch_why,
        "epochs_why": f"{choices.epochs * (facts.images - choices.held_out):,} images seen, from {start}",
        "rate_why": f"for Adam at batch size {choices.batch}{shortest}",
    }


def _pools(choices: Choices) -> bool:
    """Checks whether max pooling replaces strides: in ResNet always, in VGG with pretrained weights."""
    return choices.arch.startswith(("resnet:", "vgg:") if choices.pretrained else "resnet:")


def _mapping(choices: Choices) -> str:
    lines = []
    for name, count in choices.facts.classes.items():
        few = ": few to learn from" if count < FEW_OBJECTS else ""
        objects = counted(count, "object")
        lines.append(
            f"  target_class_mapping {{ key: {quoted(name)} value: {quoted(name)} }}  # {objects}{few}"
        )
    return "\n".join(lines)


# Fewer objects of a class are too few to learn from.
FEW_OBJECTS = 50


def _word(value: object) -> str:
    return "true" if value else "false"


def _comment(text: str) -> str:
    """Returns a text for a comment, which ends with the line."""
    return printable(text, None)
