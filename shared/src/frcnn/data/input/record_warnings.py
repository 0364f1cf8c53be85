"""Warnings about images that cannot be used or only in part."""

import dataclasses
import logging
from pathlib import Path

from frcnn.console.foreign_text import printable
from frcnn.data.image_suffixes import image_paths
from frcnn.data.records.example import decode
from frcnn.data.records.index import RecordIndex
from frcnn.errors import StoreError

logger = logging.getLogger(__name__)

# Kinds of messages from the graph.
UNREADABLE, CROWDED = "unreadable", "crowded"


@dataclasses.dataclass(eq=False)
class FaultReports:
    """Warns of problems with images of a record set, once per image and problem.

    Attributes:
        index: Records.
        folders: Image folder of each file of the index.
        extensions: Spellings of the image extension to try.
        max_objects: `max_objects_num_per_image` of the spec.
        reported: Problems already reported: kind and image number.
    """

    index: RecordIndex
    folders: tuple[Path, ...]
    extensions: tuple[str, ...]
    max_objects: int
    reported: set[tuple[str, int]] = dataclasses.field(default_factory=set)

    def report(self, kind: str, number: int) -> None:
        """Logs a warning, unless it was logged before.

        Args:
            kind: `UNREADABLE` or `CROWDED`.
            number: Number of the image.
        """
        if (kind, number) in self.reported:
            return
        self.reported.add((kind, number))
        if kind == UNREADABLE:
            logger.warning("Skipping %s", self.explain(number))
        else:
            logger.warning(
                "%s: more than max_objects_num_per_image (%d) objects; ignoring the smallest",
                self.name_of(number),
                self.max_objects,
            )

    def name_of(self, number: int) -> str:
        """Returns the image's `frame/id`, or its record's position if that is unreadable."""
        try:
            return printable(decode(self.index.read(number)).frame_id, None)
        except (OSError, ValueError, StoreError):
            return f"record {number} of {self.index.files[self.index.file_of[number]]}"

    def explain(self, number: int) -> str:
        """Explains why record `number` or its image cannot be read, including the name."""
        where = f"record {number} of {self.index.files[self.index.file_of[number]]}"
        try:
            record = decode(self.index.read(number))
        except (OSError, ValueError, StoreError) as error:
            return f"{where}: cannot read it ({error})"
        folder = self.folders[self.index.file_of[number]]
        if record.encoded:
            name = printable(record.frame_id)
            return f"{where}, image {name}: its embedded bytes are not a readable JPEG or PNG"
        paths = image_paths(folder, record.frame_id, record.file, self.extensions)
        if not paths:
            name = printable(record.file or record.frame_id)
            return f"{where}: its image {name} is not below the image folder"
        found = next((path for path in paths if path.exists()), None)
        if found is None:
            return f"{printable(paths[0], None)}: no such image"
        state = "not a readable JPEG or PNG" if found.is_file() else "not a regular file"
        return f"{printable(found, None)}: {state}"
