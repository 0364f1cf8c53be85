"""Compares a spec of `frcnn spec new` with the ready spec of BCCD at equal epochs, on the test split.

    python -m benchmarks.new_spec BCCD_DIR --epochs 5
    python -m benchmarks.new_spec BCCD_DIR --epochs 5 --rois 16        a third of the time, for both specs

BCCD_DIR has images, labels and the official split, as examples/bccd/prepare.py takes it. Both trainings see
the same images; each is judged on the test split with its own evaluation settings. Anchor coverage is that of
the training split in the network input of the spec.
"""

import argparse
import dataclasses
import subprocess
import sys
import tempfile
from pathlib import Path

import frcnn

ROOT = Path(__file__).resolve().parents[1]
READY = ROOT / "examples/specs/bccd_resnet18.txt"


@dataclasses.dataclass(frozen=True)
class Row:
    """Result of one spec."""

    name: str
    input: str
    anchors: str
    full_share: float
    mean_iou: float
    mean_ap: float | None
    classes: dict[str, float | None]


def main() -> None:
    """Trains both specs and prints one table."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("bccd_dir", type=Path, help="folder with images, labels and the official split")
    flags.add_argument("--epochs", type=int, default=5, help="epochs of both trainings (default: 5)")
    flags.add_argument("--rois", type=int, help="RoIs per image in training, for both (default: each spec's)")
    flags.add_argument("--only", choices=("ready", "new"), help="train one of the two")
    args = flags.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        data = work / "data"
        prepare = [sys.executable, str(ROOT / "examples/bccd/prepare.py"), str(args.bccd_dir), str(data)]
        subprocess.run(prepare, check=True, stdout=subprocess.DEVNULL)
        new = frcnn.new_spec(data, work / "new")
        for path, prefix in new.conversions:
            frcnn.convert(path, prefix)
        specs = {"ready": _ready(work), "new": frcnn.Spec.load(new.experiment)}
        changes: dict[str, object] = {"training_config.checkpoint_interval": args.epochs}
        if args.rois:
            changes["model_config.roi_mini_batch"] = args.rois
        for name, spec in specs.items():
            if args.only in (None, name):
                _show(_trained(name, spec.updated(changes), work, args.epochs))


def _ready(work: Path) -> frcnn.Spec:
    """Returns the ready spec with the records and images of this run."""
    spec = frcnn.Spec.load(READY)
    sources = {
        part: frcnn.spec.DataSource(
            tfrecords_path=str(work / f"new/records/{part}-*"), image_directory_path=str(work / "data" / part)
        )
        for part in ("train", "val")
    }
    return spec.updated(
        {
            "dataset_config.data_sources": (sources["train"],),
            "dataset_config.validation_data_source": sources["val"],
        }
    )


def _trained(name: str, spec: frcnn.Spec, work: Path, epochs: int) -> Row:
    coverage = frcnn.data_report(work / "data/train", spec=spec, compare=0).content["anchors"]
    result = frcnn.train(spec, work / name, num_epochs=epochs)
    found = frcnn.evaluate(
        result.model, spec, tfrecords=str(work / "new/records/test-*"), images=work / "data/test"
    )
    size, boxes = spec.model_config.input_image_config.size_height_width, spec.model_config.anchor_box_config
    given = coverage["given"]  # type: ignore[index]
    return Row(
        name,
        f"{size.width} x {size.height}" if size is not None else "dynamic",
        "; ".join(", ".join(f"{value:g}" for value in values) for values in (boxes.scale, boxes.ratio)),
        given["full_share"],
        given["mean_iou"],
        found.mean_ap,
        {label: each.ap for label, each in found.classes.items()},
    )


def _show(row: Row) -> None:
    classes = ", ".join(f"{name} {_number(ap)}" for name, ap in row.classes.items())
    sys.stdout.write(
        f"{row.name}: input {row.input}; anchors {row.anchors}; at IoU 0.7 for {row.full_share:.1%} of the "
        f"objects, mean IoU {row.mean_iou:.3f}; test mAP {_number(row.mean_ap)} ({classes})\n"
    )
    sys.stdout.flush()


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    main()
