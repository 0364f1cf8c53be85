"""Issues found in a dataset, and the result of reading one image."""

import dataclasses
import enum
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from frcnn.console.foreign_text import printable, utf8
from frcnn.data.records.annotations import ImageRecord

if TYPE_CHECKING:
    from frcnn.data.conversion.stored_image import StoredImage

# Maximum characters of a reason; the fields that it quotes may be as long as the file.
LONGEST_REASON = 300
# Number of issues of a label file, or of one image in an annotation file, that are listed individually.
MAX_NAMED = 100
# The same for a file with the entries of a whole dataset.
MAX_NAMED_OF_DATASET = 10_000


class IssueKind(enum.StrEnum):
    """Kinds of issues; the values are the texts for users."""

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
    NOT_REGULAR = "image that is not a regular file"
    BROKEN_IMAGE = "image that cannot be read"
    BAD_ENTRY = "image entry that is not usable"
    DUPLICATE = "image listed twice"
    BAD_CALIBRATION = "calibration file that cannot be read"
    OTHER_SIZE = "image whose size differs from its entry"

    @property
    def cost(self) -> Literal["image", "box", "nothing"]:
        """Unit that is skipped because of the issue."""
        if self in BOX_FAULTS:
            return "box"
        return "nothing" if self is IssueKind.OTHER_SIZE else "image"


BOX_FAULTS = frozenset(
    {
        IssueKind.FIELD_COUNT,
        IssueKind.CLASS_NAME,
        IssueKind.NOT_A_NUMBER,
        IssueKind.BAD_BOX,
        IssueKind.ZERO_AREA,
        IssueKind.OUTSIDE,
        IssueKind.UNKNOWN_CATEGORY,
        IssueKind.UNKNOWN_IMAGE,
    }
)


class Remark(enum.Enum):
    """Properties of an image that affect the network's input, or are probably not meant."""

    TURNED = enum.auto()
    UNUSED_BITS = enum.auto()
    BOXES_OUTSIDE = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class DataIssue:
    """One issue in a dataset.

    Attributes:
        kind: Kind of issue.
        file: File with the issue.
        reason: Reason, which may quote the file; truncated to `LONGEST_REASON` characters.
        line: Line number, from 1; `None` if not applicable.
        annotation: Id of a COCO annotation, used instead of a line.
        count: Number of issues that this entry represents.
    """

    kind: IssueKind
    file: str
    reason: str
    line: int | None = None
    annotation: int | str | None = None
    count: int = 1

    def __post_init__(self) -> None:
        """Truncates the reason."""
        if len(self.reason) > LONGEST_REASON:
            object.__setattr__(self, "reason", f"{self.reason[:LONGEST_REASON]}...")

    def __str__(self) -> str:
        """Returns a line such as `labels/000012.txt:3: box without area: ...`."""
        place = printable(self.file, limit=None)
        if self.line is not None:
            place = f"{place}:{self.line}"
        if self.annotation is not None:
            place = f"{place} annotation {self.annotation}"
        return f"{place}: {self.kind}: {printable(self.reason)}"

    def to_json(self) -> Mapping[str, str | int]:
        """Returns the entry of the warning file, without keys that do not apply."""
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
    """Result of reading one image.

    Attributes:
        record: Record of the image; `None` if the image is skipped.
        faults: Issues found.
        source_names: Class names as spelled in the label file.
        remarks: Properties of the image worth reporting.
        image: Properties of the image file; `None` if it was not read.
    """

    record: ImageRecord | None
    faults: tuple[DataIssue, ...] = ()
    source_names: frozenset[str] = frozenset()
    remarks: frozenset[Remark] = frozenset()
    image: "StoredImage | None" = None


class IssueCollector:
    """Issues of one file; keeps the first ones, and only counts the others by kind.

    A file may have as many invalid lines or entries as bytes, so that a list of all would take a hundred
    times its size in memory.
    """

    def __init__(self, file: str, most: int = MAX_NAMED) -> None:
        """Creates a collector without issues.

        Args:
            file: File that the issues are in.
            most: Number of issues to keep.
        """
        self._file, self._most = file, most
        self._named: list[DataIssue] = []
        self._more: Counter[IssueKind] = Counter()

    def add(
        self, kind: IssueKind, reason: str, *, line: int | None = None, annotation: int | str | None = None
    ) -> None:
        """Adds an issue of the file; arguments as in `DataIssue`."""
        if len(self._named) < self._most:
            self._named.append(DataIssue(kind, self._file, reason, line=line, annotation=annotation))
        else:
            self._more[kind] += 1

    def all(self) -> tuple[DataIssue, ...]:
        """Returns the first issues, and one entry per kind that counts the others."""
        counted = (
            DataIssue(kind, self._file, f"{count} more of this kind", count=count)
            for kind, count in self._more.items()
        )
        return (*self._named, *counted)
