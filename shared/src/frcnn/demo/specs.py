"""Specs for a data set nobody has written one for: `frcnn demo` looks at the data and fills a form in.

The form trains from random weights on a CPU; docs/spec.md says what each field means.
"""

import dataclasses
import glob
import statistics
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from google.protobuf import text_encoding

from frcnn.data.records.annotations import DONT_CARE, ImageRecord
from frcnn.errors import DataError

ARCH = "resnet:10"
# Network inputs keep the images' shape and stay below so many pixels, since a CPU has to do it.
MAX_INPUT_PIXELS = 384 * 288
# RoIs of an image that the head is trained on: most of a step's cost, so not more than objects call for.
LEAST_ROIS, MOST_ROIS = 16, 32
STRIDE = 16
MIN_SIDE = 128


@dataclasses.dataclass(frozen=True)
class Survey:
    """What a spec has to know about a data set.

    `height` and `width` are the median image's, in pixels; `classes` are named as in the records;
    `box_sides` are the square roots of the boxes' areas, in pixels of the network input, sorted;
    `max_objects` is the largest number of objects in an image.
    """

    images: int
    height: int
    width: int
    classes: tuple[str, ...]
    box_sides: tuple[float, ...]
    max_objects: int

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network input: the median image's shape, in whole strides."""
        return input_size(self.height, self.width)


def survey(records: Iterable[ImageRecord]) -> Survey:
    """Looks at every record of a data set, images excepted.

    Raises:
        DataError: There is no record, or no object in any of them.
    """
    heights, widths, counts = [], [], []
    classes: Counter[str] = Counter()
    relative_sides = []  # sides of boxes of images of size 1 x 1
    for record in records:
        labels = [label for label in record.labels if label.class_name != DONT_CARE]
        heights.append(record.height)
        widths.append(record.width)
        counts.append(len(labels))
        classes.update(label.class_name for label in labels)
        area = record.height * record.width
        relative_sides += [((label.x2 - label.x1) * (label.y2 - label.y1) / area) ** 0.5 for label in labels]
    if not classes:
        raise DataError("the data set holds no labelled object, so there is nothing to train on")
    height, width = round(statistics.median(heights)), round(statistics.median(widths))
    rows, columns = input_size(height, width)
    sides = tuple(sorted(side * (rows * columns) ** 0.5 for side in relative_sides))
    return Survey(len(heights), height, width, tuple(sorted(classes)), sides, max(counts))


def input_size(height: int, width: int) -> tuple[int, int]:
    """Height and width for images of this size: same shape, whole strides, few enough pixels."""
    factor = min(1.0, (MAX_INPUT_PIXELS / (height * width)) ** 0.5)
    rows, columns = (max(MIN_SIDE, round(side * factor / STRIDE) * STRIDE) for side in (height, width))
    return rows, columns


def anchor_scales(sides: Sequence[float]) -> tuple[int, ...]:
    """Three anchor sizes, in pixels, that small, middling and large boxes of these sizes come close to."""
    places = [sides[round((len(sides) - 1) * part)] for part in (0.1, 0.5, 0.9)]
    scales = sorted({max(STRIDE, round(side / 8) * 8) for side in places})
    while len(scales) < 3:  # boxes of one size: half and double that size as well
        scales = sorted({max(8, scales[0] // 2), *scales, scales[-1] * 2})
    return tuple(scales[:3])


def convert_spec(folder: Path, image_dir: str, label_dir: str, extension: str, val_split: int = 20) -> str:
    """A dataset export spec for a KITTI folder; fold 0 is the validation set of `val_split` percent."""
    return f"""\
# Made by `frcnn demo`.
kitti_config {{
  root_directory_path: {_quoted(folder)}
  image_dir_name: {_quoted(image_dir)}
  label_dir_name: {_quoted(label_dir)}
  image_extension: {_quoted(extension)}
  partition_mode: "random"
  num_partitions: 2
  num_shards: 4
  val_split: {val_split}
}}
"""


def experiment_spec(found: Survey, paths: "Paths", extension: str, epochs: int) -> str:
    """An experiment spec for the surveyed data set; `extension` is that of its images, with dot."""
    rows, columns = found.input_size
    mapping = "\n".join(
        f"  target_class_mapping {{ key: {_quoted(name)} value: {_quoted(name)} }}" for name in found.classes
    )
    scales = " ".join(f"scale: {scale}" for scale in anchor_scales(found.box_sides))
    form = string.Template(Path(__file__).with_name("experiment_template.txt").read_text(encoding="utf-8"))
    return form.substitute(
        arch=_quoted(ARCH),
        columns=columns,
        rows=rows,
        max_objects=max(20, found.max_objects),
        rois=min(MOST_ROIS, max(LEAST_ROIS, 2 * found.max_objects)),
        scales=scales,
        records=_quoted(f"{glob.escape(str(paths.records))}-fold-*"),
        data=_quoted(paths.data),
        extension=_quoted(extension.lstrip(".").lower()),
        mapping=mapping,
        epochs=epochs,
        interval=min(5, epochs),
        model=_quoted(paths.model),
        samples=_quoted(paths.samples),
        annotated=_quoted(paths.annotated),
        labels=_quoted(paths.labels),
    )


@dataclasses.dataclass(frozen=True)
class Paths:
    """Where the demo's files lie: all below `out`, but for the data set's own folder `data`."""

    out: Path
    data: Path

    @property
    def specs(self) -> Path:
        """Folder of the two specs."""
        return self.out / "specs"

    @property
    def run(self) -> Path:
        """Folder of the pipeline's run."""
        return self.out / "run"

    @property
    def latest(self) -> Path:
        """Links to the artifacts of the pipeline's last run, `<step>/<artifact>`."""
        return self.run / "latest"

    @property
    def records(self) -> Path:
        """Prefix of the record files."""
        return self.latest / "convert" / "records" / "set"

    @property
    def model(self) -> Path:
        """The model that was pruned and trained again, if it is not sealed."""
        return self.latest / "retrain" / "model" / "model.keras"

    @property
    def samples(self) -> Path:
        """A few validation images for inference."""
        return self.out / "samples"

    @property
    def annotated(self) -> Path:
        """The same images with boxes drawn in."""
        return self.out / "annotated"

    @property
    def labels(self) -> Path:
        """Detections in those images, as KITTI labels."""
        return self.out / "labels"


def _quoted(text: object) -> str:
    return f'"{text_encoding.CEscape(str(text).encode(), as_utf8=True)}"'
