"""Detectors of dynamic shape: an image is seen the same however much it is padded."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from frcnn.errors import DataError
from frcnn.model.build import build
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.keras_detector import KerasDetector
from frcnn.model.settings import Geometry
from frcnn.settings.model import detection_settings, geometry_of, model_settings, training_settings
from tests.support.graph import compiled
from tests.support.toy_training import toy_spec

SETTINGS = (
    "rpn_pre_nms_top_N: 200 rpn_nms_max_boxes: 30 rpn_nms_overlap_threshold: 0.7 "
    "object_confidence_thres: 0.05 classifier_nms_max_boxes: 20 classifier_nms_overlap_threshold: 0.4"
)
SIZES = np.int32([[128, 192], [144, 100], [97, 176]])
BATCH_SHAPE = 192, 256


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dynamic")
    return toy_spec(folder, images=2, evaluation=SETTINGS, sizes=[(128, 192)])


def patch_model(spec) -> FasterRCNN:
    """A detector whose features look at the pixels of their own cell only: padding has no border effect."""
    keras.utils.set_random_seed(4)
    geometry = geometry_of(spec)
    image = keras.Input((None, None, 3))
    cells = keras.layers.AveragePooling2D(16)(image)
    body = keras.layers.Conv2D(32, 1, activation="tanh", bias_initializer="random_normal")(cells)
    scores = keras.layers.Conv2D(1, 1, activation="sigmoid")(body)
    codes = keras.layers.Conv2D(4, 1, kernel_initializer=keras.initializers.RandomNormal(stddev=0.1))(body)
    crops = keras.Input((geometry.crop_size, geometry.crop_size, 32))
    vector = keras.layers.Flatten()(crops)
    head = [
        keras.layers.Dense(3, activation="softmax")(vector),
        keras.layers.Dense(8, kernel_initializer=keras.initializers.RandomNormal(stddev=0.05))(vector),
    ]
    return FasterRCNN(keras.Model(image, [body, scores, codes]), keras.Model(crops, head), geometry)


def padded_images(seed: int = 0) -> np.ndarray:
    """Images of `SIZES`, each a mosaic, zero beyond."""
    images = mosaic(np.random.default_rng(seed), len(SIZES))
    for image, (height, width) in zip(images, SIZES, strict=True):
        image[height:], image[:, width:] = 0.0, 0.0
    return images


def mosaic(random: np.random.Generator, count: int) -> np.ndarray:
    """Images of `BATCH_SHAPE` of tiles as large as a cell, float32."""
    tiles = random.normal(0.0, 60.0, (count, *(side // 16 for side in BATCH_SHAPE), 3))
    return tiles.repeat(16, axis=1).repeat(16, axis=2).astype(np.float32)


def check_same(one, other, image: int) -> None:
    """Image `image` of `one` is found as the only image of `other`, up to rounding."""
    count = int(other.count[0])
    assert int(one.count[image]) == count > 5
    np.testing.assert_array_equal(one.classes[image, :count], other.classes[0, :count])
    np.testing.assert_allclose(one.boxes[image, :count], other.boxes[0, :count], atol=5e-3)
    np.testing.assert_allclose(one.scores[image, :count], other.scores[0, :count], atol=1e-5)
    np.testing.assert_allclose(one.rois[image], other.rois[0], atol=5e-3)


def test_detections_of_an_image_alone_are_those_in_a_padded_batch(spec):
    detector = KerasDetector(patch_model(spec), detection_settings(spec.evaluation_config))
    images = padded_images()
    together = detector(images, SIZES)
    for image, (height, width) in enumerate(SIZES):
        rows, columns = (-(-side // 16) * 16 for side in (height, width))
        alone = detector(images[image : image + 1, :rows, :columns], SIZES[image : image + 1])
        check_same(together, alone, image)
    whole = detector(images[:1, :128, :192])  # no sizes: no padding
    check_same(together, whole, 0)
    assert detector.traces == 1


def test_what_the_padding_holds_does_not_matter(spec):
    detector = KerasDetector(patch_model(spec), detection_settings(spec.evaluation_config))
    images = padded_images()[:1]
    plain = detector(images, SIZES[:1])
    images[0, 128:], images[0, :, 192:] = 90.0, -90.0
    check_same(detector(images, SIZES[:1]), plain, 0)


def test_nothing_is_found_in_the_padding(spec):
    keras.utils.set_random_seed(1)
    detector = KerasDetector(build(model_settings(spec)), detection_settings(spec.evaluation_config))
    found = detector(padded_images(), SIZES)
    for image, (height, width) in enumerate(SIZES):
        limits = [height - 1, width - 1] * 2
        boxes = found.boxes[image, : found.count[image]]
        assert len(boxes) > 5
        assert (boxes >= 0).all() and (boxes <= limits).all()
        assert (found.rois[image] <= limits).all()
        assert found.rois[image].any()


def test_a_convolutional_body_sees_the_padding_near_the_border_only(spec):
    # Receptive field of the RPN on ResNet-10: 91 + 2 * 16 px, so four cells on either side.
    keras.utils.set_random_seed(1)
    model = build(model_settings(spec))
    for layer in model.features.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.beta.assign(tf.fill(layer.beta.shape, 0.1))  # else padding stays zero throughout
    images = padded_images()[:1, :128]
    alone, padded = model(images[:, :, :192]), model(images)
    for one, other in zip(alone, padded, strict=True):
        np.testing.assert_allclose(one[:, :, :8], other[:, :, :8], rtol=1e-3, atol=1e-3)
        assert np.abs(one[:, :, 11] - other[:, :, 11]).max() > 1e-2


def test_an_image_is_not_seen_by_its_neighbors(spec):
    keras.utils.set_random_seed(1)
    detector = KerasDetector(build(model_settings(spec)), detection_settings(spec.evaluation_config))
    images = padded_images()
    together = detector(images, SIZES)
    for image in range(len(SIZES)):
        check_same(together, detector(images[image : image + 1], SIZES[image : image + 1]), image)


def test_static_and_dynamic_shape_are_the_same_detector(spec, tmp_path):
    keras.utils.set_random_seed(2)
    static = build(model_settings(toy_spec(tmp_path, images=1, validation=1, evaluation=SETTINGS)))
    dynamic = build(model_settings(spec))
    dynamic.set_weights(static.get_weights())
    # Without flat areas, where scores tie but for rounding.
    images = mosaic(np.random.default_rng(3), 3)[:, :128, :160]
    settings = detection_settings(spec.evaluation_config)
    expected, found = KerasDetector(static, settings)(images), KerasDetector(dynamic, settings)(images)
    for image in range(len(images)):
        alone = type(expected)(*(part[image : image + 1] for part in expected))
        check_same(found, alone, image)


def test_losses_are_those_of_the_images_own_sizes(spec):
    """A graph made for any shape and an eager pass for this one agree, so no shape is baked in."""
    model = patch_model(spec)
    model.training_settings = dataclasses.replace(training_settings(spec), gt_as_roi=True)
    model.compile(optimizer="sgd")
    boxes = np.zeros((3, 5, 4), np.float32)
    boxes[:, 0] = [[20, 20, 60, 70], [30, 10, 70, 50], [10, 90, 50, 140]]
    batch = {
        "images": padded_images(),
        "size": SIZES,
        "boxes": boxes,
        "classes": np.int32([[0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]),
        "valid": np.arange(5)[None] < np.ones((3, 1)),
    }
    eager = model.compute_losses({name: tf.constant(value) for name, value in batch.items()})
    names = list(batch)
    graph = compiled(
        lambda *values: model.compute_losses(dict(zip(names, values, strict=True))), *batch.values()
    )
    np.testing.assert_allclose(graph, eager, rtol=1e-4)
    assert min(float(loss) for loss in eager) > 0.0


def test_geometry_of_files_written_before_still_loads():
    static = Geometry(128, 160, 3, (32.0,), (1.0,), 7, ("car",))
    config = static.to_config()
    del config["min_side"], config["max_side"]
    assert Geometry.from_config(config) == static
    assert not static.dynamic


@pytest.mark.parametrize(
    ("shape", "sizes", "message"),
    [
        ((1, 8, 64), None, r"images of 8x64 px .*: expected at least 16 px per side"),
        ((1, 64, 64), [[65, 64]], r"sizes \[\[65, 64\]\] of 1 images padded to 64x64 px"),
        ((1, 64, 64), [[0, 64]], "expected one height and width within that size per image"),
        ((2, 64, 64), [[64, 64]], "expected one height and width within that size per image"),
    ],
)
def test_sizes_that_cannot_be_are_refused(spec, shape, sizes, message):
    detector = KerasDetector(patch_model(spec), detection_settings(spec.evaluation_config))
    with pytest.raises(DataError, match=message):
        detector(np.zeros((*shape, 3), np.float32), sizes)
