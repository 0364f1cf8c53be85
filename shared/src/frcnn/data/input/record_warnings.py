"""What is said about images that cannot be used, or not wholly."""

import dataclasses
import logging
from pathlib import Path

from frcnn.data.records.example import decode
from frcnn.data.records.index import RecordIndex
from frcnn.errors import StoreError

logger = logging.getLogger(__name__)

# Kinds of messages from the graph.
UNREADABLE, CROWDED = "unreadable", "crowded"


@dataclasses.dataclass(eq=False)
class FaultReports:
    """Warns of the images of a record set, once for each image and fault.

    Attributes:
        index: The records.
        folders: Image folder of each file of the index.
        extensions: The spellings of the image extension that are tried.
        max_objects: max_objects_num_per_image of the spec.
    """

    index: RecordIndex
    folders: tuple[Path, ...]
    extensions: tuple[str, ...]
    max_objects: int
    reported: set[tuple[str, int]] = dataclasses.field(default_factory=set)

    def report(self, kind: str, number: int) -> None:
        """Warns that image `number` is `UNREADABLE` or `CROWDED`, if that was not said before."""
        if (kind, number) in self.reported:
            return
        self.reported.add((kind, number))
        if kind == UNREADABLE:
            logger.warning("%s; it is skipped", self.explain(number))
        else:
            logger.warning(
                "%s: more than max_objects_num_per_image (%d) objects; the smallest are left out",
                self.name_of(number),
                self.max_objects,
            )

    def name_of(self, number: int) -> str:
        """The image's `frame/id`, or where its record is if that cannot be read."""
        try:
            return decode(self.index.read(number)).frame_id
        except (OSError, ValueError, StoreError):
            return f"record {number} of {self.index.files[self.index.file_of[number]]}"

    def explain(self, number: int) -> str:
        """Why record `number` cannot be read, with its file's or image's name."""
        where = f"record {number} of {self.index.files[self.index.file_of[number]]}"
        try:
            record = decode(self.index.read(number))
        except (OSError, ValueError, StoreError) as error:
            return f"{where}: not readable ({error})"
        folder = self.folders[self.index.file_of[number]]
        if record.encoded:
            return f"{where}, image {record.frame_id}: its embedded bytes are not a readable JPEG or PNG"
        paths = [folder / f"{record.frame_id}.{extension}" for extension in self.extensions]
        found = [path for path in paths if path.is_file()]
        return f"{found[0]}: not a readable JPEG or PNG" if found else f"{paths[0]}: no such image"
