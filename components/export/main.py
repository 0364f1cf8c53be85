"""Exports a model for deployment."""

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.api.int8 import Int8
    from frcnn.data.records.annotations import ImageRecord
    from frcnn.data.settings import DataSettings
    from frcnn.steps.kfp_output import Metadata

log = logging.getLogger("frcnn.step.export")

ONNX, SEALED, SPEC = "model.onnx", "model.etlt", "spec.txt"
# INT8 is calibrated on this many batches of this many images, or on all images if there are fewer.
BATCHES, BATCH_SIZE = 10, 16


def parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line. `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="export", description=__doc__)
    flags.add_argument(
        "--spec",
        default="",
        help="experiment spec, protobuf text or file; empty: the one that the conversion suggested",
    )
    flags.add_argument("--model", type=Path, required=True, help="folder of the model")
    flags.add_argument(
        "--records", type=Path, help="folder of records whose images calibrate INT8, instead of --records-uri"
    )
    flags.add_argument(
        "--records-uri", default="", help="s3:// URI or folder of the records; images are read only for int8"
    )
    flags.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        default="fp32",
        help="precision of the networks (default: fp32)",
    )
    flags.add_argument("--exported", type=Path, required=True, help="output folder for the exported model")
    flags.add_argument("--executor-input", metavar="JSON", help="value of the KFP placeholder {{$}}")
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns its exit code."""
    args = parser().parse_args(argv)
    from frcnn.steps.run import run

    return run(args, step)


def step(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Exports the model."""
    from frcnn.api.exporting import export
    from frcnn.exporting.tensorrt.deepstream import LABELS, labels_text
    from frcnn.files import write_text
    from frcnn.sealing.keys import masked_spec, resolve_key
    from frcnn.settings.data import data_settings
    from frcnn.steps.places import records_place
    from frcnn.steps.run import model_file
    from frcnn.steps.specs import with_records
    from frcnn.steps.suggested_spec import experiment_or_suggested

    spec = experiment_or_suggested(args.spec, args.records, args.records_uri)
    key = resolve_key(None, spec.enc_key)
    target = args.exported / (SEALED if key else ONNX)
    args.exported.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        int8 = None
        if args.precision == "int8":
            records = records_place(args.records, args.records_uri)
            int8 = _calibration(data_settings(with_records(spec, records)), Path(folder) / "images")
        result = export(
            model_file(args.model), target, spec=spec, data_type=args.precision, int8=int8, key=key
        )
    # nvinfer_config.txt is not written: DeepStream cannot run this graph, which the next steps need.
    write_text(args.exported / LABELS, labels_text(spec.class_names))
    for path in result.files:
        log.info("Saved %s", path)
    write_text(args.exported / SPEC, masked_spec(spec.text))
    return {"exported": {"file": target.name, "precision": args.precision, "bytes": target.stat().st_size}}


def _calibration(data: "DataSettings", folder: Path) -> "Int8":
    """Writes training images to `folder` and returns the calibration settings that use them."""
    from frcnn.api.int8 import Int8
    from frcnn.errors import DataError

    folder.mkdir()
    count = 0
    for count, image in enumerate(_training_images(data), start=1):
        (folder / f"{count}.{image.image_format}").write_bytes(image.encoded or b"")
    if not count:
        raise DataError(
            f"{data.sources[0].image_directory_path}: no training images found; INT8 calibration requires "
            "some. Check the records and validation_fold."
        )
    size = min(BATCH_SIZE, count)
    return Int8(cal_image_dir=folder, batch_size=size, batches=count // size)


def _training_images(data: "DataSettings") -> "Iterator[ImageRecord]":
    """Yields the first training records that contain their image. Of records on S3, only these are read."""
    from frcnn.data.input.sources import training_sources
    from frcnn.data.records.example import decode
    from frcnn.data.records.index import RecordIndex
    from frcnn.errors import DataError

    index = RecordIndex.scan([file for source in training_sources(data) for file in source.files])
    numbers = range(min(len(index), BATCHES * BATCH_SIZE))
    for number, payload in zip(numbers, index.read_each(numbers), strict=True):
        try:
            record = decode(payload)
        except ValueError as error:
            raise DataError(f"{index.files[index.file_of[number]]}: record {number}: {error}") from error
        if record.encoded:
            yield record


if __name__ == "__main__":
    sys.exit(main())
