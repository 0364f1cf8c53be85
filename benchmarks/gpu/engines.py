"""Section "TensorRT": builds engines in fp32, fp16 and int8; their accuracy beside Keras, and their speed."""

import statistics
import time
from pathlib import Path

import numpy as np

import frcnn
from benchmarks.gpu import learning
from benchmarks.gpu.section import Task, run
from frcnn.errors import FrcnnError
from frcnn.exporting.tensorrt.engine import EngineSettings, Precision, build_engine, require_gpu
from frcnn.inference.tensorrt import load_engine_detector

# How far the mAP of an engine may be from that of Keras.
TOLERANCES: dict[Precision, float] = {"fp32": 0.005, "fp16": 0.01, "int8": 0.05}
BATCHES, REPEATS = (1, 4, 16), 20


def main(task: Task) -> None:
    """Exports the trained model, and builds, evaluates and times an engine of each precision.

    Args:
        task: Arguments of the section.
    """
    try:
        require_gpu()
    except FrcnnError as error:
        task.notes.not_run("engines", str(error))
        return
    model = task.folder / learning.MODEL
    if not model.exists():
        task.notes.not_run("engines", "the section training left no model")
        return
    spec = learning.experiment(task.folder)
    keras = frcnn.evaluate(model, spec).mean_ap or 0.0
    task.notes.measured("mAP in Keras", f"{keras:.4f}", mean_ap=keras)
    for precision, tolerance in TOLERANCES.items():
        with task.attempt(precision):
            engine = _built(task, model, spec, precision)
            reached = frcnn.evaluate(engine, spec).mean_ap or 0.0
            right = abs(reached - keras) <= tolerance
            task.notes.checked(
                f"{precision}: mAP", f"{reached:.4f}", right, f"{keras:.4f} +- {tolerance:g}", mean_ap=reached
            )
            _time(task, engine, precision)


def _built(task: Task, model: Path, spec: "frcnn.Spec", precision: Precision) -> Path:
    quantized = precision == "int8"
    file = task.folder / ("int8.onnx" if quantized else "fp32.onnx")
    engine = task.folder / f"{precision}.engine"
    if not file.exists():
        int8 = frcnn.Int8(int8_profile="tensorrt", batches=8) if quantized else None
        frcnn.export(model, file, spec=spec, data_type="int8" if quantized else "fp32", int8=int8)
    start = time.monotonic()
    settings = EngineSettings(
        precision=precision, batches=(1, 4, BATCHES[-1]), timing_cache=task.folder / "timing"
    )
    build_engine(file, engine, settings)
    seconds, mib = time.monotonic() - start, engine.stat().st_size / 2**20
    task.notes.measured(f"{precision}: build", f"{seconds:.0f} s, {mib:.1f} MiB", seconds=seconds, mib=mib)
    return engine


def _time(task: Task, engine: Path, precision: str) -> None:
    detector = load_engine_detector(engine, None)
    try:
        for batch in BATCHES:
            channels, *sides = detector.input_shape
            images = np.zeros((batch, *sides, channels), np.float32)
            seconds = statistics.median(_seconds(detector, images) for _ in range(REPEATS))
            rate = batch / seconds
            task.notes.measured(f"{precision}: batch {batch}", f"{rate:.1f} img/s, with copies", rate=rate)
    finally:
        detector.close()


def _seconds(detector: object, images: np.ndarray) -> float:
    start = time.perf_counter()
    detector(images)  # type: ignore[operator]
    return time.perf_counter() - start


if __name__ == "__main__":
    run(main)
