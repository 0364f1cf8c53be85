"""Reads COCO datasets: image folders, each with one JSON file of annotations."""

import dataclasses
from pathlib import Path

from frcnn.data.conversion.box_checks import any_outside, box_fault
from frcnn.data.conversion.faults import DataIssue, IssueCollector, IssueKind, Reading
from frcnn.data.conversion.stored_image import UPRIGHT, StoredImage, read_image, remarks_on
from frcnn.data.records.annotations import ImageRecord, Label
from frcnn.data.spellings import other_spellings


@dataclasses.dataclass(frozen=True, slots=True)
class CocoBox:
    """One annotation: id, stored class name, and x, y, width, height in pixels."""

    annotation: int
    class_name: str
    x: float
    y: float
    width: float
    height: float


@dataclasses.dataclass(frozen=True, slots=True)
class CocoImage:
    """One image of a fold with its boxes.

    Attributes:
        image_dir: Image folder below the root.
        file_name: Path of the image below `image_dir`.
        annotation_file: Path of the annotation file.
        height: Height in the annotation file, px; 0 if missing.
        width: Width in the annotation file, px; 0 if missing.
        boxes: Boxes of the image.
        frame: `file_name` without extension, or with it if another image has that name.
    """

    image_dir: str
    file_name: str
    annotation_file: str
    height: int
    width: int
    boxes: tuple[CocoBox, ...]
    frame: str


@dataclasses.dataclass(frozen=True)
class CocoReader:
    """Reader of images with COCO annotations.

    Attributes:
        root: Dataset root.
        embed_images: Whether records contain the image files.
        apply_exif: Whether labels refer to images with the EXIF orientation applied.
    """

    root: Path
    embed_images: bool = False
    apply_exif: bool = False

    def path(self, job: CocoImage) -> Path:
        """Returns the path of an image file, whose name may have another spelling than in the annotations.

        Args:
            job: Image.
        """
        folder = self.root / job.image_dir
        paths = (folder / name for name in (job.file_name, *other_spellings(job.file_name)))
        return next((path for path in paths if path.exists()), folder / job.file_name)

    def read(self, job: CocoImage) -> Reading:
        """Reads an image and its annotations; issues in the files are returned instead of raised.

        Args:
            job: Image with its boxes.
        """
        relative, image = self._image(job)
        if isinstance(image, DataIssue):
            return Reading(None, (image,))
        others, labels = [], []
        faults = IssueCollector(job.annotation_file)
        height, width = image.upright_size if self.apply_exif else (image.height, image.width)
        if job.height not in (0, height) or job.width not in (0, width):
            reason = f"{width}x{height}, but {job.width}x{job.height} in {job.annotation_file}"
            others.append(DataIssue(IssueKind.OTHER_SIZE, str(self.root / relative), reason))
        for box in job.boxes:
            x2, y2 = box.x + box.width, box.y + box.height
            found = box_fault(box.x, box.y, x2, y2, height, width)
            if found is None:
                labels.append(Label(box.class_name, box.x, box.y, x2, y2))
            else:
                kind, reason = found
                faults.add(kind, reason, annotation=box.annotation)
        record = ImageRecord(
            frame_id=(Path(job.image_dir) / job.frame).as_posix(),
            height=height,
            width=width,
            labels=tuple(labels),
            encoded=image.encoded,
            image_format=image.embedded_format,
            file=relative.as_posix(),
            orientation=image.orientation if self.apply_exif else UPRIGHT,
        )
        remarks = remarks_on(image, outside=any_outside(labels, height, width))
        return Reading(record, (*others, *faults.all()), remarks=remarks, image=image)

    def _image(self, job: CocoImage) -> tuple[Path, StoredImage | DataIssue]:
        """Reads an image; also returns its path below the root, whose name may have another spelling."""
        relative = Path(job.image_dir) / job.file_name
        image = read_image(self.root / relative, embed=self.embed_images)
        if isinstance(image, DataIssue) and image.kind is IssueKind.NO_IMAGE:
            for name in other_spellings(job.file_name):
                other = Path(job.image_dir) / name
                found = read_image(self.root / other, embed=self.embed_images)
                if not isinstance(found, DataIssue):
                    return other, found
        return relative, image
