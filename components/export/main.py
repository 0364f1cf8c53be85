"""Exports a model for deployment."""

import argparse
import itertools
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn.api.exporting import Int8
    from frcnn.steps.kfp_output import Metadata

log = logging.getLogger("frcnn.step.export")

ONNX, SEALED, SPEC = "model.onnx", "model.etlt", "spec.txt"
# INT8 is calibrated on this many batches of this many images, or on all images if there are fewer.
BATCHES, BATCH_SIZE = 10, 16


def parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line. `component.py` passes exactly these flags."""
    flags = argparse.ArgumentParser(prog="export", description=__doc__)
    flags.add_argument("--spec", required=True, help="experiment spec, protobuf text or file")
    flags.add_argument("--model", type=Path, required=True, help="folder of the model")
    flags.add_argument("--records", type=Path, help="folder of records whose images calibrate INT8")
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
    """Runs the step.

    Args:
        argv: Command line arguments. `None` uses those of the process.

    Returns:
        Exit code.
    """
    args = parser().parse_args(argv)
    from frcnn.steps.run import run

    return run(args, step)


def step(args: argparse.Namespace) -> "dict[str, Metadata]":
    """Exports the model.

    Args:
        args: Parsed flags.

    Returns:
        Metadata by output artifact.
    """
    from frcnn.api.exporting import export
    from frcnn.errors import UsageError
    from frcnn.exporting.tensorrt.deepstream import LABELS, labels_text
    from frcnn.files import write_text
    from frcnn.sealing.keys import masked_spec, resolve_key
    from frcnn.steps.run import model_file
    from frcnn.steps.specs import experiment_given, with_records

    spec = experiment_given(args.spec)
    key = resolve_key(None, spec.enc_key)
    target = args.exported / (SEALED if key else ONNX)
    args.exported.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        int8 = None
        if args.precision == "int8":
            if args.records is None:
                raise UsageError("--precision int8 requires --records: their images calibrate INT8")
            fold = with_records(spec, args.records).dataset_config.validation_fold or 0
            int8 = _calibration(args.records, fold, Path(folder) / "images")
        result = export(
            model_file(args.model), target, spec=spec, data_type=args.precision, int8=int8, key=key
        )
    # nvinfer_config.txt is not written: DeepStream cannot run this graph, which the next steps need.
    write_text(args.exported / LABELS, labels_text(spec.class_names))
    for path in result.files:
        log.info("Saved %s", path)
    write_text(args.exported / SPEC, masked_spec(spec.text))
    return {"exported": {"file": target.name, "precision": args.precision, "bytes": target.stat().st_size}}


def _calibration(records: Path, fold: int, folder: Path) -> "Int8":
    """Writes images outside a fold to `folder` and returns the calibration settings that use them."""
    from frcnn.api.exporting import Int8
    from frcnn.data.records.tfrecord import read_records
    from frcnn.errors import DataError

    held_out = f"-fold-{fold:03d}-of-"
    files = [path for path in sorted(records.glob("*-fold-*")) if held_out not in path.name]
    found = (record for path in files for record in read_records(path) if record.encoded)
    folder.mkdir()
    count = 0
    for count, record in enumerate(itertools.islice(found, BATCHES * BATCH_SIZE), start=1):
        (folder / f"{count}.{record.image_format}").write_bytes(record.encoded or b"")
    if not count:
        raise DataError(
            f"{records}: no training images found; INT8 calibration requires some. Check the records and "
            "validation_fold."
        )
    size = min(BATCH_SIZE, count)
    return Int8(cal_image_dir=folder, batch_size=size, batches=count // size)


if __name__ == "__main__":
    sys.exit(main())
