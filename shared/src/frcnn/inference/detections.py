"""What a detector found in one image, in the image's own pixels, and the formats that it can be given in."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, overload

import numpy as np
from numpy.typing import NDArray

from frcnn.errors import UsageError
from frcnn.inference.kitti_labels import kitti_lines

if TYPE_CHECKING:
    from frcnn.inference.images import ImageLike
    from frcnn.model.detector import DetectionBatch


class CocoResult(TypedDict):
    """One row of a COCO results file; `bbox` is x, y, width, height in px."""

    image_id: int
    category_id: int
    bbox: list[float]
    score: float


class SupervisionFields(TypedDict):
    """Arguments of `supervision.Detections`."""

    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int64]
    data: dict[str, NDArray[np.str_]]


@dataclasses.dataclass(frozen=True)
class Detection:
    """One object that was found.

    Attributes:
        xyxy: Left, top, right, bottom in px of the image, 0 to its width or height - 1.
        score: 0 to 1.
        class_id: Index into the detector's `class_names`.
        label: The class's name.
    """

    xyxy: tuple[float, float, float, float]
    score: float
    class_id: int
    label: str


@dataclasses.dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one image, best score first; possibly nothing.

    The arrays cannot be written to. An index gives a `Detection`; a slice, a mask (`found.score >= 0.8`) or
    an array of indices gives `Detections`.

    Attributes:
        xyxy: Boxes [N, 4]: left, top, right, bottom in px of the image.
        score: [N], 0 to 1.
        class_id: [N], index into `class_names`.
        class_names: All classes of the detector; background is not among them.
        size: Height and width of the image, px.
        source: Path or URI of the image; None for pixels and bytes.
    """

    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]
    class_id: NDArray[np.int64]
    class_names: tuple[str, ...]
    size: tuple[int, int]
    source: str | None = None

    def __post_init__(self) -> None:
        """Takes the arrays over as read-only ones of the types above.

        Raises:
            UsageError: Their shapes do not fit together.
        """
        count = len(self.score)
        values: dict[str, NDArray[Any]] = {
            "xyxy": np.array(self.xyxy, np.float32).reshape(-1, 4),
            "score": np.array(self.score, np.float32),
            "class_id": np.array(self.class_id, np.int64),
        }
        for name, array in values.items():
            if len(array) != count:
                raise UsageError(f"{name} has {len(array)} rows and score {count}; expected as many")
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def label(self) -> tuple[str, ...]:
        """Names of the classes, [N]."""
        return tuple(self.class_names[index] for index in self.class_id.tolist())

    def __len__(self) -> int:
        """Number of objects found."""
        return len(self.score)

    def __iter__(self) -> Iterator[Detection]:
        """Yields each object, best score first."""
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Detection: ...

    @overload
    def __getitem__(
        self, index: slice | NDArray[np.bool_] | NDArray[np.integer] | Sequence[int]
    ) -> "Detections": ...

    def __getitem__(
        self, index: int | slice | NDArray[np.bool_] | NDArray[np.integer] | Sequence[int]
    ) -> "Detection | Detections":
        """Returns one object, or those that a slice, a mask or an array of indices chooses."""
        if isinstance(index, int | np.integer):
            x1, y1, x2, y2 = self.xyxy[index].tolist()
            class_id = int(self.class_id[index])
            return Detection((x1, y1, x2, y2), float(self.score[index]), class_id, self.class_names[class_id])
        chosen = index if isinstance(index, slice) else np.asarray(index)
        return dataclasses.replace(
            self, xyxy=self.xyxy[chosen], score=self.score[chosen], class_id=self.class_id[chosen]
        )

    def __repr__(self) -> str:
        """Shows how many objects of which classes there are."""
        counts = {name: self.label.count(name) for name in dict.fromkeys(self.label)}
        found = ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing"
        height, width = self.size
        return f"<Detections: {found} in {width}x{height} px{f' of {self.source}' if self.source else ''}>"

    def draw(self, image: "ImageLike", *, captions: bool = True) -> NDArray[np.uint8]:
        """Draws the boxes on a copy of the image.

        Args:
            image: The image that was looked at, or another of its size.
            captions: Write class and score beside each box.

        Returns:
            Pixels [H, W, 3], RGB.

        Raises:
            UsageError: The image has another size.
            DataError: The image cannot be read.
        """
        from frcnn.drawing.boxes import annotate
        from frcnn.inference.images import pixels_of_image

        pixels, _ = pixels_of_image(image, channels=3)
        if pixels.shape[:2] != self.size:
            found, expected = (f"{size[1]}x{size[0]}" for size in (pixels.shape[:2], self.size))
            raise UsageError(
                f"image of {found} px (width x height): the detections are of one of {expected} px",
                argument="image",
            )
        texts = [f"{each.label} {each.score:.2f}" for each in self] if captions else None
        return np.array(annotate(pixels, _yxyx(self.xyxy), self.class_id, texts))

    def to_kitti(self) -> str:
        """Writes a KITTI label file: a line of 16 fields for each object; empty if there is none."""
        return kitti_lines(_yxyx(self.xyxy), self.score, self.class_id, self.class_names)

    def to_coco(self, image_id: int, category_ids: Mapping[str, int] | None = None) -> list[CocoResult]:
        """Makes rows of a COCO results file, as `pycocotools` loads them.

        Args:
            image_id: The image's id in the annotation file.
            category_ids: From class names to category ids; by default the first class is 1, the next 2, ...

        Raises:
            UsageError: `category_ids` does not have a class that was found.
        """
        ids = {name: number for number, name in enumerate(self.class_names, start=1)}
        ids = ids if category_ids is None else dict(category_ids)
        missing = sorted(set(self.label) - set(ids))
        if missing:
            raise UsageError(f"category_ids: no id for {', '.join(missing)}", argument="category_ids")
        rows: list[CocoResult] = []
        for each in self:
            x1, y1, x2, y2 = each.xyxy
            box = [x1, y1, x2 - x1, y2 - y1]
            rows.append(
                {
                    "image_id": image_id,
                    "category_id": ids[each.label],
                    "bbox": box,
                    "score": each.score,
                }
            )
        return rows

    def to_supervision(self) -> SupervisionFields:
        """Returns the arguments of `supervision.Detections`: `sv.Detections(**found.to_supervision())`."""
        return {
            "xyxy": self.xyxy.copy(),
            "confidence": self.score.copy(),
            "class_id": self.class_id.copy(),
            "data": {"class_name": np.asarray(self.label, np.str_)},
        }

    def to_dict(self) -> dict[str, object]:
        """Returns plain values for JSON: `source`, `size` (height, width) and `detections`."""
        return {
            "source": self.source,
            "size": list(self.size),
            "detections": [
                {
                    "label": each.label,
                    "class_id": each.class_id,
                    "score": each.score,
                    "xyxy": list(each.xyxy),
                }
                for each in self
            ],
        }


def detections_in(
    batch: "DetectionBatch",
    index: int,
    *,
    network: tuple[int, int],
    size: tuple[int, int],
    class_names: tuple[str, ...],
    score: float,
    source: str | None,
) -> Detections:
    """Returns what a batch holds of one image, in the image's pixels, best first.

    Args:
        batch: What a detector answered.
        index: Of the image in the batch.
        network: Height and width at which the network saw the image, px.
        size: Height and width of the image, px.
        class_names: Of the detector.
        score: Detections below it are left out.
        source: The image's path or URI.
    """
    scores = batch.scores[index, : batch.count[index]]
    order = np.argsort(-scores, kind="stable")
    chosen = order[scores[order] >= score]
    boxes = to_original(batch.boxes[index, chosen], network, size)
    return Detections(
        boxes[:, [1, 0, 3, 2]], scores[chosen], batch.classes[index, chosen], class_names, size, source
    )


def to_original(
    boxes: NDArray[np.float32], network: tuple[int, int], original: tuple[int, int]
) -> NDArray[np.float32]:
    """Converts boxes to the pixels of the original image, clipped to it.

    Args:
        boxes: [N, 4] yxyx, in pixels of the network input.
        network: Height and width of the network input.
        original: Height and width of the original image.

    Returns:
        Boxes [N, 4] yxyx.
    """
    scale = np.asarray([original[0] / network[0], original[1] / network[1]] * 2, np.float32)
    limits = np.asarray([original[0] - 1, original[1] - 1] * 2, np.float32)
    return np.asarray(np.clip(boxes * scale, np.float32(0.0), limits), np.float32)


def _yxyx(xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    return xyxy[:, [1, 0, 3, 2]]
