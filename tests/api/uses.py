"""Code of callers, checked by mypy --strict and never run. Each ignored error must be one."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import assert_type

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import frcnn

detector = frcnn.load(Path("results/best"), runtime="openvino", device="cpu", threads=2)
assert_type(detector, frcnn.Detector)
assert_type(detector.input_size, tuple[int, int] | None)
for image in ("a.png", Path("a.png"), b"bytes", Image.new("RGB", (8, 8)), np.zeros((8, 8, 3), np.uint8)):
    detector.predict(image)
found = detector.predict("a.png", score=0.5)
assert_type(found, frcnn.Detections)
assert_type(found[0], frcnn.Detection)
assert_type(found[found.score >= 0.5], frcnn.Detections)
assert_type(found[0:2], frcnn.Detections)
assert_type(found.label, tuple[str, ...])
assert_type(found[0].xyxy, tuple[float, float, float, float])
assert_type(found.draw("a.png"), NDArray[np.uint8])
assert_type(found.to_coco(1), list[frcnn.CocoResult])
assert_type(found.to_dict(), dict[str, object])
assert_type(detector.stream(["a.png", "b.png"]), Iterator[frcnn.Detections])

spec = frcnn.Spec.build(
    arch="resnet:18",
    size_height_width=(384, 1248),
    target_class_mapping={"van": "car"},
    tfrecords_path=Path("records/*"),
)
assert_type(spec, frcnn.Spec)
assert_type(spec.updated({"random_seed": 1}), frcnn.Spec)
assert_type(spec.training_config.num_epochs, int)
result = frcnn.train(spec, "results", on_epoch=lambda epoch: epoch.epoch < 3)
assert_type(result, frcnn.TrainResult)
assert_type(result.mean_ap, float | None)
assert_type(result.history, tuple[frcnn.Epoch, ...])
evaluated = frcnn.evaluate(result.model, on_progress=lambda progress: print(progress.done))
assert_type(evaluated.classes, Mapping[str, frcnn.ClassResult])
assert_type(frcnn.prune(result.model).model, Path | None)
exported = frcnn.export(result.model, data_type="int8", int8=frcnn.Int8(cal_image_dir="shots"))
assert_type(exported, frcnn.ExportResult)
assert_type(frcnn.compare(exported.model, result.model, "shots").ok, bool)
assert_type(frcnn.convert(frcnn.ConvertSpec.load("kitti.txt"), "records/set"), frcnn.ConvertResult)
assert_type(frcnn.data_report(["train", Path("val")], spec=spec).findings, tuple[frcnn.Finding, ...])
assert_type(frcnn.new_spec("kitti", "runs/first", goal="edge").conversions, tuple[tuple[Path, Path], ...])
assert_type(frcnn.convert_labels("kitti", "coco", "coco").losses, tuple[str, ...])

frcnn.load("model.onnx", runtime="torch")  # type: ignore[arg-type]
frcnn.load("model.onnx", None)  # type: ignore[call-arg]
detector.predict(3.0)  # type: ignore[arg-type]
detector.predict(["a.png"])  # type: ignore[arg-type]
frcnn.train(spec, "results", on_epoch=lambda: None)  # type: ignore[arg-type, misc]
frcnn.convert_labels("kitti", "csv", "csv")  # type: ignore[arg-type]
frcnn.export("m.keras", data_type="int4")  # type: ignore[arg-type]
frcnn.Detection(xyxy=(0.0, 0.0, 1.0, 1.0), score=0.5, class_id=0)  # type: ignore[call-arg]
