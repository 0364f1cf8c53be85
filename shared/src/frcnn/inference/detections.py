"""Detections of one image in its own pixels, and their output formats."""

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
    """Row of a COCO results file; `bbox` is x, y, width, height in px."""

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
    """One detected object.

    Attributes:
        xyxy: Left, top, right, bottom in px of the image, 0 to its width or height - 1.
        score: Score, 0 to 1.
        class_id: Index into the detector's `class_names`.
        label: Name of the class.
    """

    xyxy: tuple[float, float, float, float]
    score: float
    class_id: int
    label: str


@dataclasses.dataclass(frozen=True, eq=False)
class Detections:
    """Detections of one image, best score first; possibly empty.

    The arrays are read-only. An integer index returns a `Detection`; a slice, a mask (`found.score >= 0.8`)
    or an array of indices returns `Detections`.

    Attributes:
        xyxy: Boxes, left, top, right, bottom in px of the image, `[N, 4]`.
        score: Scores, 0 to 1, `[N]`.
        class_id: Indices into `class_names`, `[N]`.
        class_names: All classes of the detector, without background.
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
        """Copies the arrays to read-only arrays of the types above.

        Raises:
            UsageError: The arrays differ in length.
        """
        count = len(self.score)
        values: dict[str, NDArray[Any]] = {
            "xyxy": np.array(self.xyxy, np.float32).reshape(-1, 4),
            "score": np.array(self.score, np.float32),
            "class_id": np.array(self.class_id, np.int64),
        }
        for name, array in values.items():
            if len(array) != count:
                raise UsageError(f"{name} has {len(array)} rows and score {count}; expected equal numbers")
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def label(self) -> tuple[str, ...]:
        """Class names, `[N]`."""
        return tuple(self.class_names[index] for index in self.class_id.tolist())

    def __len__(self) -> int:
        """Returns the number of detections."""
        return len(self.score)

    def __iter__(self) -> Iterator[Detection]:
        """Yields each detection, best score first."""
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
        """Returns one detection, or those selected by a slice, a mask or an array of indices."""
        if isinstance(index, int | np.integer):
            x1, y1, x2, y2 = self.xyxy[index].tolist()
            class_id = int(self.class_id[index])
            return Detection((x1, y1, x2, y2), float(self.score[index]), class_id, self.class_names[class_id])
        chosen = index if isinstance(index, slice) else np.asarray(index)
        return dataclasses.replace(
            self, xyxy=self.xyxy[chosen], score=self.score[chosen], class_id=self.class_id[chosen]
        )

    def __repr__(self) -> str:
        """Shows the number of detections of each class."""
        counts = {name: self.label.count(name) for name in dict.fromkeys(self.label)}
        found = ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing"
        height, width = self.size
        return f"<Detections: {found} in {width}x{height} px{f' of {self.source}' if self.source else ''}>"

    def draw(self, image: "ImageLike", *, captions: bool = True) -> NDArray[np.uint8]:
        """Draws the boxes on a copy of the image.

        Args:
            image: Image that the detections belong to, or another of the same size.
            captions: Whether to write class and score next to each box.

        Returns:
            Image, uint8 `[H, W, 3]`, RGB.

        Raises:
            UsageError: The image has another size.
            DataError: The image is unreadable.
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
        """Formats the detections as a KITTI label file, one line of 16 fields per object.

        Returns:
            Text of the file; empty without detections.
        """
        return kitti_lines(_yxyx(self.xyxy), self.score, self.class_id, self.class_names)

    def to_coco(self, image_id: int, category_ids: Mapping[str, int] | None = None) -> list[CocoResult]:
        """Converts the detections to rows of a COCO results file, as `pycocotools` loads them.

        Args:
            image_id: ID of the image in the annotation file.
            category_ids: Category ids by class name; by default the first class is 1, the next 2, ...

        Returns:
            One row per detection.

        Raises:
            UsageError: `category_ids` lacks a detected class.
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
                {"image_id": image_id, "category_id": ids[each.label], "bbox": box, "score": each.score}
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
                {"label": each.label, "class_id": each.class_id, "score": each.score, "xyxy": list(each.xyxy)}
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
    """Returns the detections of one image of a batch, in the image's pixels, best first.

    Args:
        batch: Detections of the batch.
        index: Index of the image in the batch.
        network: Height and width of the image in the network input, px.
        size: Height and width of the image, px.
        class_names: Class names of the detector.
        score: Lowest score to keep, 0 to 1.
        source: Path or URI of the image; None if it has none.

    Returns:
        The detections.
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
    """Converts boxes to pixels of the original image and clips them to it.

    Args:
        boxes: Boxes, `yxyx` in pixels of the network input, `[N, 4]`.
        network: Height and width of the network input, px.
        original: Height and width of the original image, px.

    Returns:
        Boxes, `yxyx` in pixels of the original image, float32 `[N, 4]`.
    """
    scale = np.asarray([original[0] / network[0], original[1] / network[1]] * 2, np.float32)
    limits = np.asarray([original[0] - 1, original[1] - 1] * 2, np.float32)
    return np.asarray(np.clip(boxes * scale, np.float32(0.0), limits), np.float32)


def _yxyx(xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    return xyxy[:, [1, 0, 3, 2]]
