"""What is wrong with a data set, one fault at a time, and what a reader makes of one image."""

import dataclasses
import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from frcnn.console.foreign_text import printable, utf8
from frcnn.data.records.annotations import ImageRecord

# Characters of a fault's reason; the fields that it quotes may be as long as the file.
LONGEST_REASON = 300
# So many lines of one file are named; the rest are counted.
MOST_NAMED = 100


class FaultKind(enum.StrEnum):
    """The kinds that the summary counts; the values are what people read."""

    FIELD_COUNT = "label line without 15 fields"
    CLASS_NAME = "class name with a space, or too long"
    NOT_A_NUMBER = "label value that is not a number"
    BAD_BOX = "box that is not four numbers"
    ZERO_AREA = "box without area"
    OUTSIDE = "box outside the image"
    UNKNOWN_CATEGORY = "annotation of an unknown category"
    UNKNOWN_IMAGE = "annotation of an unknown image"
    NO_LABELS = "image without a label file"
    UNREADABLE_LABELS = "label file that cannot be read"
    NO_IMAGE = "image that is missing"
    NOT_REGULAR = "image that is no regular file"
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
        FaultKind.CLASS_NAME,
        FaultKind.NOT_A_NUMBER,
        FaultKind.BAD_BOX,
        FaultKind.ZERO_AREA,
        FaultKind.OUTSIDE,
        FaultKind.UNKNOWN_CATEGORY,
        FaultKind.UNKNOWN_IMAGE,
    }
)


class Remark(enum.Enum):
    """Properties of an image that are no fault, but change what a network sees of it."""

    TURNED = enum.auto()
    UNUSED_BITS = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: in which file, on which line (from 1), and what was found there.

    `annotation` is the id of a COCO annotation, which stands on no line worth naming. `count` is more than 1
    where one entry stands for several of a kind. Reasons quote what was found, which may be of any length:
    they are cut.
    """

    kind: FaultKind
    file: str
    reason: str
    line: int | None = None
    annotation: int | str | None = None
    count: int = 1

    def __post_init__(self) -> None:
        """Cuts the reason."""
        if len(self.reason) > LONGEST_REASON:
            object.__setattr__(self, "reason", f"{self.reason[:LONGEST_REASON]}...")

    def __str__(self) -> str:
        """`labels/000012.txt:3: box without area: ...`."""
        place = printable(self.file, limit=None)
        if self.line is not None:
            place = f"{place}:{self.line}"
        if self.annotation is not None:
            place = f"{place} annotation {self.annotation}"
        return f"{place}: {self.kind}: {printable(self.reason)}"

    def to_json(self) -> Mapping[str, str | int]:
        """The entry of the warning file; keys that mean nothing here are left out."""
        entry: dict[str, str | int | None] = {
            "file": utf8(self.file),
            "line": self.line,
            "annotation": self.annotation,
            "kind": str(self.kind),
            "reason": utf8(self.reason),
            "count": self.count if self.count > 1 else None,
            "skipped": self.kind.cost,
        }
        return {key: value for key, value in entry.items() if value is not None}


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """One image as read: its record, or None where the image is skipped, and all faults met.

    `source_names` are the classes as the label file spells them. `remarks` are properties of the image worth
    a word.
    """

    record: ImageRecord | None
    faults: tuple[Fault, ...] = ()
    source_names: frozenset[str] = frozenset()
    remarks: frozenset[Remark] = frozenset()


def named_or_counted(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """Keeps the first `MOST_NAMED` faults of one file; those after them become one entry for each kind.

    A label file may have as many faulty lines as it has bytes.
    """
    named, rest = faults[:MOST_NAMED], Counter(fault.kind for fault in faults[MOST_NAMED:])
    file = faults[0].file if faults else ""
    return (
        *named,
        *(Fault(kind, file, f"{count} more of this kind", count=count) for kind, count in rest.items()),
    )
