"""Building and running engines, against a double of TensorRT that ONNX Runtime drives."""

import dataclasses
import enum
import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import frcnn
from frcnn.cli.main import main
from frcnn.errors import ModelError, RunError, UsageError
from frcnn.exporting.exporter import ExportOptions, export_onnx, write_onnx
from frcnn.exporting.record import ExportRecord
from frcnn.exporting.tensorrt import cuda_driver
from frcnn.exporting.tensorrt.engine import EngineSettings, build_engine
from frcnn.inference.compare import Tolerance, compare_batches
from frcnn.inference.onnx import load_onnx_detector
from frcnn.inference.tensorrt import from_plugin, load_engine_detector
from frcnn.settings.exporting import export_settings
from frcnn.settings.model import expected_model
from tests.support import tensorrt_double
from tests.support.export_models import noise
from tests.support.image_folders import picture, save
from tests.support.tensorrt_double import CudaLibrary
from tests.unit.cli.conftest import process_left_alone  # noqa: F401

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def gpu(monkeypatch):
    """The driver of a machine with a GPU and TensorRT."""
    library = CudaLibrary()
    monkeypatch.setattr(cuda_driver, "_load", lambda: library)
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt_double)
    return library


@pytest.fixture
def tensorrt_11(gpu, monkeypatch):
    """The same machine with TensorRT 11: without all that its bindings lack."""
    gone = json.loads((ROOT / "scripts/tensorrt_11_gone.json").read_text())
    monkeypatch.setattr(tensorrt_double, "__version__", "11.4.double")
    for name in gone["names"]:
        monkeypatch.delattr(tensorrt_double, name, raising=False)
    kept = [
        flag.name for flag in tensorrt_double.BuilderFlag if flag.name not in gone["members"]["BuilderFlag"]
    ]
    monkeypatch.setattr(tensorrt_double, "BuilderFlag", enum.Enum("BuilderFlag", kept))
    lacking = {"IBuilderConfig": tensorrt_double.Config, "ILayer": tensorrt_double.Layer}
    removed = []
    for name, double in lacking.items():
        for member in gone["members"][name]:
            if hasattr(double, member):
                monkeypatch.delattr(double, member)
                removed.append(member)
    assert {"set_calibration_profile", "set_output_type"} <= set(removed)


@pytest.fixture
def work(exported, tmp_path):
    for name in ("model.keras", "model.onnx", "spec.txt"):
        shutil.copy(exported.folder / name, tmp_path / name)
    return tmp_path


def built(work, source="model.onnx", **settings):
    build_engine(work / source, work / "model.engine", EngineSettings(**settings))
    return tensorrt_double.builders[-1]


def test_an_engine_finds_what_its_model_finds(exported, work, gpu):
    built(work, batches=(2, 2, 4))
    engine = load_engine_detector(work / "model.engine", expected_model(exported.spec, "inference"))
    plain = load_onnx_detector(work / "model.onnx", expected_model(exported.spec, "inference"))
    for count in (7, 1):  # 4 and 3; 1 filled up to 2
        images = noise(np.random.default_rng(count), count, exported.spec)
        same = compare_batches(plain(images), engine(images), Tolerance(1e-3, 1e-5))
        assert same.images == count
        assert (same.expected > 10, same.unmatched) == (True, 0.0)
    assert len(gpu.blocks) == 5  # the memory of each tensor, grown and not leaked
    assert gpu.used[-1] == "cuStreamSynchronize"


def test_an_engine_of_tensorrt_11_is_built_and_finds_the_same(exported, work, tensorrt_11):
    built(work, batches=(1, 2, 4))
    engine = load_engine_detector(work / "model.engine", expected_model(exported.spec, "inference"))
    plain = load_onnx_detector(work / "model.onnx", expected_model(exported.spec, "inference"))
    images = noise(np.random.default_rng(1), 3, exported.spec)
    assert compare_batches(plain(images), engine(images), Tolerance(1e-3, 1e-5)).unmatched == 0.0


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_tensorrt_11_takes_its_types_from_the_file_alone(work, tensorrt_11, precision):
    (work / "cal.bin").write_text("TRT-101300-EntropyCalibration2\n")
    with pytest.raises(RunError, match=rf"TensorRT 11\.4.* export the model with data_type {precision}"):
        built(work, precision=precision, calibration_cache=work / "cal.bin")


def test_the_plugin_graph_is_for_tensorrt_10(exported, converted_once, work, tensorrt_11):
    options = ExportOptions(graph="plugin")
    write_onnx(export_onnx(exported.model, export_settings(exported.spec), options), work / "plugin.onnx")
    with pytest.raises(UsageError, match=r"export it with the standard graph, or build .* with TensorRT 10"):
        built(work, "plugin.onnx")
    assert not (work / "model.engine").exists()


def test_any_thread_may_call_an_engine(exported, work, gpu):
    built(work, batches=(1, 1, 2))
    engine = load_engine_detector(work / "model.engine", expected_model(exported.spec, "inference"))
    images = [noise(np.random.default_rng(seed), 1, exported.spec) for seed in range(4)]
    expected = [engine(each) for each in images]
    gpu.used.clear()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda index: engine(images[index % 4]), range(16)))
    for index, each in enumerate(found):
        np.testing.assert_array_equal(each.boxes, expected[index % 4].boxes)
    assert gpu.used.count("cuCtxSetCurrent") == 16  # the device is the current one of each calling thread


def test_an_engine_is_loaded_without_a_spec_and_gives_its_memory_back(exported, work, gpu):
    built(work)
    with frcnn.load(work / "model.engine") as detector:
        assert (detector.runtime, detector.class_names) == ("tensorrt", ("car", "person"))
        assert detector.predict(picture((32, 40, 64, 100), 128, 160), score=0.0).size == (128, 160)
        assert gpu.blocks
    assert not gpu.blocks
    with pytest.raises(UsageError, match=r"device cpu: .* is a TensorRT engine, which runs on a GPU"):
        frcnn.load(work / "model.engine", device="cpu")


def test_a_batch_that_the_file_fixes_needs_no_profile(exported, converted_once, work, gpu):
    write_onnx(
        export_onnx(exported.model, export_settings(exported.spec), ExportOptions(batch_size=2)),
        work / "two.onnx",
    )
    assert built(work, "two.onnx").config.profiles == []
    engine = load_engine_detector(work / "model.engine", expected_model(exported.spec, "inference"))
    images = noise(np.random.default_rng(0), 3, exported.spec)
    assert len(engine(images).count) == 3
    with pytest.raises(UsageError, match="exported for batches of 2"):
        built(work, "two.onnx", batches=(1, 4, 8))


def test_the_files_types_are_kept_unless_others_are_wanted(work, gpu):
    strong = built(work, workspace_gib=0.5)
    assert strong.network.flags == 2
    assert not strong.config.flags
    assert strong.config.limits == {tensorrt_double.MemoryPoolType.WORKSPACE: 2**29}
    weak = built(work, precision="fp16")
    assert weak.network.flags == 0
    assert {flag.name for flag in weak.config.flags} == {"FP16", "OBEY_PRECISION_CONSTRAINTS"}
    layers = {layer.name: layer for layer in weak.network.layers}
    pinned = {name for name, layer in layers.items() if layer.precision is not None}
    assert {name.partition("/")[0] for name in pinned} == {"proposals", "roi_pool", "detections"}
    assert layers["proposals/NonMaxSuppression"].precision is None  # it answers integers
    assert layers["roi_pool/RoiAlign"].types == {0: tensorrt_double.DataType.FLOAT}


def test_int8_takes_its_scales_from_a_cache(work, gpu):
    with pytest.raises(UsageError, match=r"is not quantized; export it with data_type int8"):
        built(work, precision="int8")
    (work / "cal.bin").write_text("TRT-101300-EntropyCalibration2\n")
    config = built(work, precision="int8", calibration_cache=work / "cal.bin").config
    assert config.calibration_profile is config.profiles[0]
    calibrator = config.int8_calibrator
    assert calibrator.read_calibration_cache() == b"TRT-101300-EntropyCalibration2\n"
    assert (calibrator.get_batch_size(), calibrator.get_batch(["input_image"])) == (1, None)


def test_a_tensorrt_that_narrows_nothing_says_what_to_do(work, gpu, monkeypatch):
    monkeypatch.setattr(tensorrt_double, "BuilderFlag", object)
    with pytest.raises(RunError, match="export the model with data_type fp16 instead"):
        built(work, precision="fp16")


def test_a_narrow_file_cannot_become_another(exported, converted_once, work, gpu):
    write_onnx(
        export_onnx(exported.model, export_settings(exported.spec), ExportOptions(precision="fp16")),
        work / "half.onnx",
    )
    assert built(work, "half.onnx").network.flags == 2
    with pytest.raises(UsageError, match="exported as fp16; export it again with data_type fp32"):
        built(work, "half.onnx", precision="fp32")


def test_the_timing_cache_grows_from_build_to_build(work, gpu):
    for _ in range(2):
        built(work, timing_cache=work / "cache/timing.bin")
    assert (work / "cache/timing.bin").read_bytes() == b"tactic;tactic;"


def test_the_engine_carries_its_record(exported, work, gpu):
    builder = built(work)
    record = ExportRecord.from_json(builder.network.name)
    assert record.geometry.class_names == ("car", "person")
    data = dataclasses.replace(exported.spec.dataset_config, target_class_mapping={"cat": "cat"})
    with pytest.raises(ModelError, match="exported for classes car, person; the spec maps to cat"):
        load_engine_detector(
            work / "model.engine", expected_model(dataclasses.replace(exported.spec, dataset_config=data))
        )


def test_what_tensorrt_refuses_leaves_nothing_behind(exported, work, gpu, monkeypatch):
    refused = {"errors": ["no importer for RoiAlign", "and another"]}
    parse = tensorrt_double.OnnxParser.parse_from_file
    monkeypatch.setattr(
        tensorrt_double.OnnxParser,
        "parse_from_file",
        lambda self, path: parse(self, path) and self.__dict__.update(refused),
    )
    with pytest.raises(ModelError, match="TensorRT cannot parse it: no importer for RoiAlign; and another"):
        built(work)
    assert not (work / "model.engine").exists()


def test_another_tensorrts_engine_is_refused(exported, work, gpu):
    (work / "old.engine").write_bytes(b"ptrt\0of long ago")
    with pytest.raises(ModelError, match=r"old\.engine: not an engine of TensorRT 10\.13"):
        load_engine_detector(work / "old.engine", expected_model(exported.spec))


def test_the_plugins_answer_becomes_boxes_in_pixels():
    rows = np.zeros((2, 1, 3, 7), np.float32)
    rows[0, 0, 0] = 0, 1, 0.9, 0.25, 0.5, 0.75, 1.0
    rows[1, 0, 0] = 1, 0, 0.8, 0.0, 0.125, 0.5, 0.25
    rows[1, 0, 2] = 1, 2, 0.7, 0.1, 0.1, 0.2, 0.2  # beyond the count
    boxes, scores, classes, count = from_plugin(rows, np.array([1, 1]).reshape(2, 1, 1, 1), 128, 160)
    np.testing.assert_array_equal(boxes[0, 0], [64, 40, 128, 120])
    np.testing.assert_array_equal(boxes[1, 0], [16, 0, 32, 80])
    np.testing.assert_array_equal(scores, np.float32([[0.9, 0, 0], [0.8, 0, 0]]))
    np.testing.assert_array_equal(classes, [[1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(count, [1, 1])
    assert not boxes[:, 1:].any()


def test_the_commands_build_verify_and_use_an_engine(work, gpu, capsys, caplog):
    model, spec = str(work / "model.onnx"), str(work / "spec.txt")
    assert main(["engine", "build", "-m", model, "--max_batch_size", "3"]) == 0
    assert f"engine: {work}/model.engine" in capsys.readouterr().out
    assert tensorrt_double.builders[-1].config.profiles[0].shapes[2] == (3, 3, 128, 160)
    assert main(["engine", "build", "-m", model]) == 2
    assert "model.engine: exists" in caplog.text
    save(work / "images/0.png", picture((32, 40, 64, 100), 128, 160))
    words = ("--against", model, "-e", spec, "--images", str(work / "images"))
    assert main(["onnx", "verify", str(work / "model.engine"), *words]) == 0
    assert "0.000 %" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "size"), [([], 2**31), (["--max_workspace_size", str(2**30)], 2**30)])
def test_export_builds_the_engine_too(exported, converted_once, work, gpu, words, size):
    flags = ["-e", work / "spec.txt", "-m", work / "model.keras", "-o", work / "new.onnx", *words]
    flags += ["--engine_file", work / "new.engine", "--max_batch_size", "4"]
    assert main(["export", *map(str, flags)]) == 0
    assert tensorrt_double.builders[-1].config.limits == {tensorrt_double.MemoryPoolType.WORKSPACE: size}
    images = noise(np.random.default_rng(0), 3, exported.spec)
    plain = load_onnx_detector(work / "new.onnx", expected_model(exported.spec, "inference"))
    engine = load_engine_detector(work / "new.engine", expected_model(exported.spec, "inference"))
    assert compare_batches(plain(images), engine(images), Tolerance(1e-3, 1e-5)).unmatched == 0.0
    assert main(["export", *map(str, flags), "--force"]) == 0


def test_an_engine_of_a_folder_is_refused_with_what_to_do(tmp_path, caplog):
    assert main(["engine", "build", "-m", str(tmp_path)]) == 2
    assert f"{tmp_path}: a folder; expected an exported file" in caplog.text


def test_export_without_a_gpu_says_so_before_it_writes(work, monkeypatch, caplog):
    monkeypatch.setattr(cuda_driver, "_LIBRARY", "libcuda-of-nobody.so.1")
    flags = ["-e", work / "spec.txt", "-m", work / "model.keras", "-o", work / "new.onnx"]
    assert main(["export", *map(str, flags), "--engine_file", str(work / "new.engine")]) == 1
    assert "GPU" in caplog.text
    assert not (work / "new.onnx").exists()


@pytest.mark.parametrize(
    ("batches", "workspace", "told"),
    [
        ((0, 1, 1), 1.0, "expected 1 <= min <= opt <= max"),
        ((1, 4, 2), 1.0, "opt"),
        ((1, 1, 1), 0.0, "more than 0 GiB"),
    ],
)
def test_settings_that_cannot_be_are_refused(batches, workspace, told):
    with pytest.raises(UsageError, match=told):
        EngineSettings(batches=batches, workspace_gib=workspace)


def test_without_a_driver_the_gpu_is_missed(work, monkeypatch):
    monkeypatch.setattr(cuda_driver, "_LIBRARY", "libcuda-of-nobody.so.1")
    with pytest.raises(RunError, match=r"needs an NVIDIA GPU, and this machine has no driver"):
        built(work)


def test_a_driver_without_a_gpu_is_quoted(work, gpu):
    gpu.failing = ("cuInit", 100)
    with pytest.raises(RunError, match=r"the driver says CUDA_ERROR_NO_DEVICE \(cuInit: 100\)"):
        built(work)


@pytest.mark.parametrize("module", [None, type(sys)("tensorrt")])  # missing; only its stubs installed
def test_without_tensorrt_it_is_said_what_to_install(work, gpu, monkeypatch, module):
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    with pytest.raises(RunError, match=r"TensorRT is not installed here; .*pip install 'tensorrt"):
        built(work)
