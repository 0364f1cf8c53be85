"""`frcnn.load`, `predict` and `stream`, on a trained model and an exported one."""

import concurrent.futures
import dataclasses
import logging
import pickle
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import frcnn
from frcnn.errors import DataError, ModelError, NotFiniteError, RunError, SpecError, UsageError
from frcnn.inference.open_model import RunOptions, open_for_batches
from frcnn.model.files.checkpoint import load_model, save_model
from frcnn.settings.model import expected_model
from frcnn.settings.training import training_run
from frcnn.training.starting_point import Start, begin

RUNTIMES = ["keras", "onnxruntime", "openvino"]


@pytest.fixture(scope="session")
def detectors(models):
    found = {"keras": frcnn.load(models.trained), "onnxruntime": frcnn.load(models.exported)}
    found["openvino"] = frcnn.load(models.exported, runtime="openvino", device="cpu", threads=1)
    return found


@pytest.fixture(params=RUNTIMES)
def detector(request, detectors):
    return detectors[request.param]


def same(one, other, box=0.0, score=0.0):
    np.testing.assert_allclose(one.xyxy, other.xyxy, rtol=0, atol=box)
    np.testing.assert_allclose(one.score, other.score, rtol=0, atol=score)
    np.testing.assert_array_equal(one.class_id, other.class_id)


def test_a_model_needs_no_spec(detector, models):
    found = detector.predict(models.images[0])
    assert len(found) > 3
    assert (detector.class_names, detector.input_size) == (("car", "person"), (128, 160))
    assert found.class_names == detector.class_names and found.size == (144, 200)
    assert found.source == str(models.images[0])
    assert (np.diff(found.score) <= 0).all() and found.score.min() >= 0.3  # bbox_visualize_threshold
    assert found.xyxy.min() >= 0 and (found.xyxy <= [199, 143, 199, 143]).all()


def test_a_path_its_bytes_a_pil_image_and_an_array_are_the_same_image(detector, models):
    path = models.images[1]
    expected = detector.predict(path)
    image = Image.open(path)
    for each in (str(path), path.read_bytes(), image, np.asarray(image)):
        same(detector.predict(each), expected)


def test_all_runtimes_find_the_same(detectors, models):
    expected = detectors["keras"].predict(models.images[2])
    for name in ("onnxruntime", "openvino"):
        assert detectors[name].runtime == name
        same(detectors[name].predict(models.images[2]), expected, box=0.05, score=1e-3)


def test_a_stream_gives_what_predict_gives_in_order(detector, models):
    expected = [detector.predict(path) for path in models.images]
    for size in (1, 2, 3):
        found = list(detector.stream(list(models.images), batch_size=size))
        assert [each.source for each in found] == [str(path) for path in models.images]
        for one, other in zip(found, expected, strict=True):
            same(one, other, box=0.05, score=1e-4)


def test_frames_are_not_read_ahead(detectors, models):
    pixels = np.asarray(Image.open(models.images[0]))
    taken = []

    def frames():
        for number in range(10):
            taken.append(number)
            yield pixels

    stream = detectors["onnxruntime"].stream(frames(), batch_size=1)
    next(stream)
    assert taken == [0]
    next(stream)
    assert taken == [0, 1]


def test_a_sequence_is_read_three_batches_ahead_at_most(detectors, models):
    class Counted(list):
        taken = 0

        def __iter__(self):
            for each in super().__iter__():
                self.taken += 1
                yield each

    paths = Counted(models.images * 10)
    stream = detectors["onnxruntime"].stream(paths, batch_size=2)
    next(stream)
    assert paths.taken <= 6
    stream.close()


def test_a_long_stream_takes_no_more_memory(detectors, models):
    pixels = np.asarray(Image.open(models.images[0]))
    stream = detectors["onnxruntime"].stream(pixels for _ in range(60))
    for _ in range(20):
        next(stream)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        assert sum(1 for _ in stream) == 40
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 200_000  # no image is kept: each is 86 kB
    assert peak - before < 8_000_000


def test_eight_threads_get_their_own_answers(detector, models):
    expected = [detector.predict(path) for path in models.images]
    work = [index % len(models.images) for index in range(40)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda index: detector.predict(models.images[index]), work))
    for index, each in zip(work, found, strict=True):
        same(each, expected[index], box=1e-3, score=1e-5)


def test_a_score_chooses_what_is_shown(detectors, models):
    detector = detectors["onnxruntime"]
    everything = detector.predict(models.images[0], score=0.0)
    middle = everything[len(everything) // 2].score
    best = detector.predict(models.images[0], score=middle)
    assert 0 < len(best) < len(everything)
    same(best, everything[everything.score >= middle])


def test_a_spec_overrides_what_the_file_says(models):
    def scores(limit):
        spec = models.spec.updated({"inference_config.bbox_visualize_threshold": limit})
        with frcnn.load(models.exported, spec=spec) as detector:
            return detector.predict(models.images[0]).score

    found = scores(0.05)
    limit = round(float(np.median(found)), 3)
    np.testing.assert_array_equal(scores(limit), found[found >= limit])
    other = models.spec.updated({'dataset_config.target_class_mapping["van"]': "van"})
    with pytest.raises(
        ModelError, match="exported for classes car, person; the spec maps to car, person, van"
    ):
        frcnn.load(models.exported, spec=other)


def test_a_results_folder_means_its_best_checkpoint(models, tmp_path):
    (tmp_path / "frcnn_resnet_10.epoch_1.keras").write_bytes(models.trained.read_bytes())
    for name in (tmp_path, tmp_path / "best", tmp_path / "latest"):
        with frcnn.load(name) as detector:
            assert detector.runtime == "keras"


def test_a_closed_detector_says_so(models):
    detector = frcnn.load(models.exported)
    detector.close()
    detector.close()
    with pytest.raises(RunError, match="the detector is closed"):
        detector.predict(models.images[0])


def test_a_detector_is_not_pickled(detectors):
    with pytest.raises(TypeError, match="load it in each process"):
        pickle.dumps(detectors["onnxruntime"])


def test_unreadable_images_are_errors_or_skipped(detectors, models, tmp_path, caplog):
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    images = [models.images[0], bad, models.images[1]]
    detector = detectors["onnxruntime"]
    with pytest.raises(DataError, match=r"bad\.png: cannot be read as an image \(not a JPEG or PNG file\)"):
        list(detector.stream(images))
    with caplog.at_level(logging.WARNING, logger="frcnn"):
        found = list(detector.stream(images, unreadable="skip"))
    assert [each.source for each in found] == [str(models.images[0]), str(models.images[1])]
    assert "bad.png: cannot be read as an image (not a JPEG or PNG file); skipped" in caplog.text


@pytest.mark.parametrize("as_list", [True, False], ids=["list", "generator"])
def test_the_images_before_an_unreadable_one_keep_their_results(detectors, models, tmp_path, as_list):
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    images = [models.images[0], models.images[1], bad, models.images[2]]
    stream = detectors["onnxruntime"].stream(images if as_list else iter(images), batch_size=4)
    assert [next(stream).source, next(stream).source] == [str(path) for path in models.images[:2]]
    with pytest.raises(DataError, match=r"bad\.png"):
        next(stream)


def test_an_error_of_a_camera_comes_after_the_frames_before_it(detectors, models):
    def frames():
        yield from models.images[:3]
        raise ConnectionError("camera lost")

    for skipping in ("raise", "skip"):
        stream = detectors["onnxruntime"].stream(frames(), batch_size=2, unreadable=skipping)
        assert len([next(stream) for _ in range(3)]) == 3
        with pytest.raises(ConnectionError, match="camera lost"):
            next(stream)
        assert list(stream) == []


def test_a_stream_that_is_closed_early_reads_no_further_image(detectors, models):
    read = []

    class Reading(list):
        def __iter__(self):
            for each in super().__iter__():
                read.append(each)
                yield each

    stream = detectors["onnxruntime"].stream(Reading(models.images * 10), batch_size=1)
    next(stream)
    stream.close()
    before = len(read)
    assert before <= 3
    deadline = time.monotonic() + 20
    while any(each.name.startswith("frcnn-images") for each in threading.enumerate()):
        assert time.monotonic() < deadline, "threads of a closed stream go on"
        time.sleep(0.01)
    assert len(read) == before


def test_a_pil_image_whose_file_is_truncated_is_unreadable(detectors, models, tmp_path, caplog):
    path = tmp_path / "cut.png"
    path.write_bytes(models.images[0].read_bytes()[:-400])
    detector = detectors["onnxruntime"]
    with (
        Image.open(path) as image,
        pytest.raises(DataError, match=r"cut\.png: cannot be read as an image"),
    ):
        detector.predict(image)
    with Image.open(path) as image, caplog.at_level(logging.WARNING, logger="frcnn"):
        assert len(list(detector.stream([image, models.images[0]], unreadable="skip"))) == 1
    assert "cut.png" in caplog.text
    closed = Image.open(models.images[0])
    closed.close()
    with pytest.raises(DataError, match="cannot be read as an image"):
        detector.predict(closed)


def test_a_name_with_a_null_character_is_unreadable(detectors):
    with pytest.raises(DataError, match="cannot be read as an image"):
        detectors["onnxruntime"].predict("a\0b.png")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8, 3), np.float32), r"image of float32 \[8, 8, 3\]: expected uint8 \[H, W, 3\] in RGB"),
        (np.zeros((8, 8, 3), np.int64), r"image of int64 \[8, 8, 3\]: expected uint8"),
        (np.zeros((8, 8, 4), np.uint8), r"image of uint8 \[8, 8, 4\]: .*image\[\.\.\., :3\]"),
        (
            np.zeros((2, 8, 8, 3), np.uint8),
            r"image of uint8 \[2, 8, 8, 3\]: .*use stream\(\) for several images",
        ),
        (np.zeros((3, 8, 8), np.uint8), r"image of uint8 \[3, 8, 8\]: .*transpose\(1, 2, 0\)"),
        (np.zeros((0, 8, 3), np.uint8), r"image of uint8 \[0, 8, 3\]: expected"),
        (np.zeros(8, np.uint8), r"image of uint8 \[8\]: expected"),
        (
            Image.new("I", (8, 8)),
            "PIL image of mode I: the range of its values is unknown; expected mode RGB or L",
        ),
        (Image.new("F", (8, 8)), "PIL image of mode F: the range of its values is unknown"),
        (None, "image of type NoneType: expected a path, the bytes of a JPEG or PNG file, a PIL image"),
        ([1, 2], "image of type list: expected a path"),
    ],
)
def test_what_is_no_image_is_said_in_one_sentence(detectors, image, message):
    with pytest.raises(UsageError, match=message) as caught:
        detectors["onnxruntime"].predict(image)
    assert "\n" not in str(caught.value) and caught.value.argument == "image"
    assert isinstance(caught.value, ValueError)


def test_a_gray_array_is_an_image_too(detectors):
    gray = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    detector = detectors["onnxruntime"]
    same(detector.predict(gray), detector.predict(gray[..., None].repeat(3, axis=-1)))


@pytest.mark.parametrize("score", [-0.1, 1.1, "0.5", True])
def test_a_score_outside_0_to_1_is_named(detectors, score):
    with pytest.raises(UsageError, match="expected a number from 0 to 1"):
        detectors["onnxruntime"].predict(np.zeros((64, 64, 3), np.uint8), score=score)


def test_faults_of_a_stream_are_named_before_it_begins(detectors, models):
    detector = detectors["onnxruntime"]
    for arguments, message in (
        ({"batch_size": 0}, "batch_size 0: expected 1 or more"),
        ({"unreadable": "drop"}, "unreadable 'drop': expected 'raise' or 'skip'"),
    ):
        with pytest.raises(UsageError, match=message):
            detector.stream(models.images, **arguments)
    with pytest.raises(UsageError, match="images of type str: expected a list or another iterable"):
        detector.stream(str(models.images[0]))


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"\x89PNG\r\n", "photo.png", "photo.png: not a model; expected a trained one"),
        (b"some text", "model.onnx", "model.onnx: not an ONNX file"),
        (b"PK\x03\x04 broken", "model.keras", "model.keras: "),
        (b"some text", "notes", "notes: not a model; expected a trained one"),
    ],
)
def test_what_is_no_model_is_named(tmp_path, content, name, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        frcnn.load(tmp_path / name)


def test_a_missing_model_and_an_empty_folder_are_named(tmp_path):
    with pytest.raises(ModelError, match=r"gone\.keras: no such model file"):
        frcnn.load(tmp_path / "gone.keras")
    with pytest.raises(ModelError, match="no checkpoint in this folder"):
        frcnn.load(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": 5}, "model of type int: expected a path or an s3:// URI"),
        ({"model": ""}, "model is empty"),
        ({"model": "x.keras", "runtime": "torch"}, "runtime 'torch': expected one of auto, keras"),
        ({"model": "x.keras", "device": "tpu"}, "device 'tpu': expected 'auto', 'cpu', 'gpu'"),
        ({"model": "x.keras", "threads": -1}, "threads -1: expected 0 or more"),
        ({"model": "x.keras", "precision_hint": "int4"}, "precision_hint 'int4': expected one of"),
        ({"model": "x.keras", "key": 5}, "key of type int: expected text"),
    ],
)
def test_arguments_that_cannot_be_are_named(arguments, message):
    with pytest.raises(UsageError, match=message):
        frcnn.load(**arguments)


def test_a_runtime_that_does_not_run_the_file_is_an_error(models):
    with pytest.raises(
        UsageError, match=r"runtime openvino: .*model\.keras is a trained model, which Keras runs"
    ):
        frcnn.load(models.trained, runtime="openvino")
    with pytest.raises(UsageError, match=r"runtime keras: .*model\.onnx is an exported model"):
        frcnn.load(models.exported, runtime="keras")
    with pytest.raises(UsageError, match="precision_hint bf16: only the runtime openvino takes one"):
        frcnn.load(models.exported, precision_hint="bf16")
    with pytest.raises(UsageError, match="threads 2: only exported models support it"):
        frcnn.load(models.trained, threads=2)


def test_a_gpu_that_is_not_there_is_named(models):
    for path in (models.trained, models.exported):
        with pytest.raises(RunError, match="device gpu:7: "):
            frcnn.load(path, device="gpu:7")
    with pytest.raises(RunError, match="device gpu:7: OpenVINO finds CPU"):
        frcnn.load(models.exported, runtime="openvino", device="gpu:7")


def test_a_spec_of_a_wrong_type_is_named(models):
    with pytest.raises(SpecError, match="found an object of type dict; expected a Spec or a file name"):
        frcnn.load(models.trained, spec={})


def test_a_sealed_model_takes_its_key_as_text_file_or_variable(models, tmp_path, monkeypatch):
    from frcnn.sealing.key_derivation import KeyCost
    from frcnn.sealing.sealed_file import seal

    sealed = tmp_path / "model.etlt"
    seal(models.exported, sealed, "secret", "onnx", KeyCost(log2_n=10, r=1))
    (tmp_path / "key").write_text("secret\n")
    for key in ("secret", Path(tmp_path / "key")):
        frcnn.load(sealed, key=key).close()
    monkeypatch.setenv("FRCNN_KEY", "secret")
    frcnn.load(sealed).close()
    with pytest.raises(ModelError, match="key"):
        frcnn.load(sealed, key="other")


@pytest.mark.parametrize("kind", ["trained", "exported"])
def test_a_spec_that_prepares_images_in_another_way_is_named(models, kind, caplog):
    image = dataclasses.replace(
        models.spec.model_config.input_image_config, image_scaling_factor=2.5, image_channel_order="bgr"
    )
    config = dataclasses.replace(models.spec.model_config, input_image_config=image)
    with caplog.at_level(logging.WARNING):
        frcnn.load(getattr(models, kind), spec=models.spec)
        assert "other images" not in caplog.text
        frcnn.load(getattr(models, kind), spec=dataclasses.replace(models.spec, model_config=config))
    assert "image_channel_order is bgr, not rgb; " in caplog.text
    assert "image_scaling_factor is 2.5, not " in caplog.text


def test_a_model_with_weights_that_are_not_finite_is_refused_by_every_task(models, tmp_path):
    model, record = load_model(models.trained)
    kernel = model.features.get_layer("conv1").kernel
    kernel.assign(np.full(kernel.shape, np.nan, np.float32))
    save_model(model, tmp_path / "nan.keras", record)
    run = training_run(models.spec)
    for use in (
        lambda: frcnn.load(tmp_path / "nan.keras"),
        lambda: frcnn.export(tmp_path / "nan.keras", tmp_path / "nan.onnx", spec=models.spec),
        lambda: open_for_batches(tmp_path / "nan.keras", expected_model(models.spec), "", RunOptions()),
        lambda: begin(run, Start("retrain", tmp_path / "nan.keras"), ""),
    ):
        with pytest.raises(NotFiniteError, match=r"nan\.keras: the weights of conv1/kernel are not finite"):
            use()
    assert not (tmp_path / "nan.onnx").exists()
