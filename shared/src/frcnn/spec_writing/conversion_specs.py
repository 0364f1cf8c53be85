"""Writes the specs of the conversions that a split needs."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from google.protobuf import text_encoding

from frcnn.console.foreign_text import utf8
from frcnn.data.conversion.coco.fold import CocoFold
from frcnn.data.conversion.kitti.layout import layout
from frcnn.errors import UsageError

_SHARDS = 4


@dataclasses.dataclass(frozen=True)
class Conversion:
    """Call of dataset_convert.

    Attributes:
        spec: Name of its spec.
        text: Content of its spec.
        prefix: Prefix of the record files.
        images: Folder that image names in the records are relative to.
    """

    spec: str
    text: str
    prefix: str
    images: Path


def kitti_conversion(spec: str, prefix: str, root: Path, partition: Sequence[str] = ()) -> Conversion:
    """Converts a data set in KITTI layout.

    Args:
        spec: Name of the spec.
        prefix: Prefix of the record files.
        root: Folder of the data set.
        partition: Lines of `kitti_config` that partition the images; none: all images are one fold.

    Returns:
        The conversion.
    """
    image_dir, label_dir, extension = layout(root)
    fields = [
        f"root_directory_path: {quoted(root.absolute())}",
        f"image_dir_name: {quoted(image_dir)}",
        f"label_dir_name: {quoted(label_dir)}",
        f"image_extension: {quoted(extension)}",
        *partition,
    ]
    return Conversion(spec, _text("kitti_config", fields), prefix, root)


def coco_conversion(spec: str, prefix: str, folds: Sequence[CocoFold]) -> Conversion:
    """Converts COCO annotation files, each of which becomes a fold.

    Args:
        spec: Name of the spec.
        prefix: Prefix of the record files.
        folds: Annotation files, with absolute image folders.

    Returns:
        The conversion.
    """
    files = [Path(fold.annotation_file).resolve() for fold in folds]
    root = Path(os.path.commonpath([*(fold.image_dir for fold in folds), *(file.parent for file in files)]))
    fields = [f"root_directory_path: {quoted(root)}"]
    for fold, file in zip(folds, files, strict=True):
        fields.append(f"img_dir_names: {quoted(os.path.relpath(fold.image_dir, root))}")
        fields.append(f"annotation_files: {quoted(os.path.relpath(file, root))}")
    fields.append(f"num_partitions: {len(folds)}")
    return Conversion(spec, _text("coco_config", fields), prefix, root)


def quoted(text: object) -> str:
    """Returns a text as a string of the protobuf text format.

    Raises:
        UsageError: The text is the name of a file with bytes that are not UTF-8, which a spec cannot hold.
    """
    if utf8(str(text)) != str(text):
        raise UsageError(f"{text}: this name is not UTF-8, which a spec requires; rename the folder or file")
    return f'"{text_encoding.CEscape(str(text).encode(), as_utf8=True)}"'


def _text(config: str, fields: Sequence[str]) -> str:
    body = "".join(f"  {field}\n" for field in (*fields, f"num_shards: {_SHARDS}"))
    return f"# Written by `frcnn spec new`.\n{config} {{\n{body}}}\n"
