"""COCO data sets: folders of images, and one JSON file with all labels of a folder."""

import dataclasses
from pathlib import Path

from frcnn.data.conversion.box_checks import box_fault
from frcnn.data.conversion.faults import Fault, FaultKind, Reading
from frcnn.data.conversion.stored_image import read_image
from frcnn.data.records.annotations import ImageRecord, Label


@dataclasses.dataclass(frozen=True, slots=True)
class CocoBox:
    """One annotation: its id, its category's name as stored, and x, y, width, height in pixels."""

    annotation: int
    class_name: str
    x: float
    y: float
    width: float
    height: float


@dataclasses.dataclass(frozen=True, slots=True)
class CocoImage:
    """One image of a fold with its boxes; height and width as the JSON file has them, 0 if it has none."""

    image_dir: str
    file_name: str
    annotation_file: str
    height: int
    width: int
    boxes: tuple[CocoBox, ...]


@dataclasses.dataclass(frozen=True)
class CocoReader:
    """Turns an image and its annotations into a record.

    With `embed_images` a record carries the image file's bytes.
    """

    root: Path
    embed_images: bool = False

    def read(self, job: CocoImage) -> Reading:
        """The image of `job`, a path below its folder; never raises for what stands in the files."""
        relative = Path(job.image_dir) / job.file_name
        image = read_image(self.root / relative, embed=self.embed_images)
        if isinstance(image, Fault):
            return Reading(None, (image,))
        faults, labels = [], []
        if (job.height, job.width) not in ((0, 0), (image.height, image.width)):
            reason = f"{image.width}x{image.height}, but {job.width}x{job.height} in {job.annotation_file}"
            faults.append(Fault(FaultKind.OTHER_SIZE, str(self.root / relative), reason))
        for box in job.boxes:
            x2, y2 = box.x + box.width, box.y + box.height
            found = box_fault(box.x, box.y, x2, y2, image.height, image.width)
            if found is None:
                labels.append(Label(box.class_name, box.x, box.y, x2, y2))
            else:
                kind, reason = found
                faults.append(Fault(kind, job.annotation_file, reason, annotation=box.annotation))
        record = ImageRecord(
            frame_id=relative.with_suffix("").as_posix(),
            height=image.height,
            width=image.width,
            labels=tuple(labels),
            encoded=image.encoded,
            image_format=image.image_format,
        )
        return Reading(record, tuple(faults))
