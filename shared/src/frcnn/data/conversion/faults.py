"""What is wrong with a data set, one fault at a time, and what a reader makes of one image."""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Literal

from frcnn.data.records.annotations import ImageRecord


class FaultKind(enum.StrEnum):
    """The kinds that the summary counts; the values are what people read."""

    FIELD_COUNT = "label line without 15 fields"
    NOT_A_NUMBER = "label value that is not a number"
    BAD_BOX = "box that is not four numbers"
    ZERO_AREA = "box without area"
    OUTSIDE = "box outside the image"
    UNKNOWN_CATEGORY = "annotation of an unknown category"
    UNKNOWN_IMAGE = "annotation of an unknown image"
    NO_LABELS = "image without a label file"
    UNREADABLE_LABELS = "label file that cannot be read"
    NO_IMAGE = "image that is missing"
    BROKEN_IMAGE = "image that cannot be read"
    BAD_ENTRY = "image entry that is not usable"
    DUPLICATE = "image listed twice"
    BAD_CALIBRATION = "calibration file that cannot be read"
    OTHER_SIZE = "image of another size than its entry says"

    @property
    def cost(self) -> Literal["image", "box", "nothing"]:
        """What is left out for it."""
        if self in BOX_FAULTS:
            return "box"
        return "nothing" if self is FaultKind.OTHER_SIZE else "image"


BOX_FAULTS = frozenset(
    {
        FaultKind.FIELD_COUNT,
        FaultKind.NOT_A_NUMBER,
        FaultKind.BAD_BOX,
        FaultKind.ZERO_AREA,
        FaultKind.OUTSIDE,
        FaultKind.UNKNOWN_CATEGORY,
        FaultKind.UNKNOWN_IMAGE,
    }
)


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: in which file, on which line (from 1), and what was found there.

    `annotation` is the id of a COCO annotation, which stands on no line worth naming.
    """

    kind: FaultKind
    file: str
    reason: str
    line: int | None = None
    annotation: int | str | None = None

    def __str__(self) -> str:
        """`labels/000012.txt:3: box without area: ...`."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        if self.annotation is not None:
            place = f"{place} annotation {self.annotation}"
        return f"{place}: {self.kind}: {self.reason}"

    def to_json(self) -> Mapping[str, str | int]:
        """The entry of the warning file; keys that mean nothing here are left out."""
        entry: dict[str, str | int | None] = {
            "file": self.file,
            "line": self.line,
            "annotation": self.annotation,
            "kind": str(self.kind),
            "reason": self.reason,
            "skipped": self.kind.cost,
        }
        return {key: value for key, value in entry.items() if value is not None}


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """One image as read: its record, or None where the image is skipped, and all faults met.

    `source_names` are the classes as the label file spells them.
    """

    record: ImageRecord | None
    faults: tuple[Fault, ...] = ()
    source_names: frozenset[str] = frozenset()
