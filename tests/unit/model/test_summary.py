"""Counts of a summary, compared with numbers worked by hand and with Keras."""

import keras

from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.settings import Geometry
from frcnn.model.summary import summarize


def tiny() -> FasterRCNN:
    image = keras.Input((32, 48, 3), name="input_image")
    x = keras.layers.Conv2D(4, 3, strides=16, padding="same", name="conv")(image)  # 2 x 3 x 4
    x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    scores = keras.layers.Conv2D(2, 1, name="rpn_out_class")(x)
    codes = keras.layers.Conv2D(8, 1, trainable=False, name="rpn_out_regress")(x)
    crops = keras.Input((7, 7, 4), name="crops")
    vector = keras.layers.Flatten(name="flat")(crops)
    classes = keras.layers.Dense(2, name="dense_class_td")(vector)
    head = keras.Model(crops, [classes, keras.layers.Dense(4, name="dense_regress_td")(vector)])
    geometry = Geometry(32, 48, 3, (16.0, 32.0), (1.0,), 7, ("car",))
    return FasterRCNN(keras.Model(image, [x, scores, codes]), head, geometry)


def test_operations_and_parameters_are_those_worked_by_hand():
    rows = {each.name: each for each in summarize(tiny(), rois=10).layers}
    found = {name: (row.part, row.params, row.flops) for name, row in rows.items() if row.params}
    assert found == {
        "conv": ("backbone", 3 * 3 * 3 * 4 + 4, 2 * (3 * 3 * 3 * 4) * 6),
        "depthwise": ("backbone", 3 * 3 * 4, 2 * (3 * 3 * 4) * 6),
        "rpn_out_class": ("RPN", 4 * 2 + 2, 2 * (4 * 2) * 6),
        "rpn_out_regress": ("RPN", 4 * 8 + 8, 2 * (4 * 8) * 6),
        "dense_class_td": ("head", 196 * 2 + 2, 10 * 2 * 196 * 2),
        "dense_regress_td": ("head", 196 * 4 + 4, 10 * 2 * 196 * 4),
    }
    assert [name for name, row in rows.items() if row.params and not row.trainable] == ["rpn_out_regress"]


def test_totals_are_sums_and_agree_with_keras():
    model = tiny()
    summary = summarize(model, rois=10)
    parts = [summary.total("params", part) for part in ("backbone", "RPN", "head")]
    assert (
        sum(parts)
        == summary.total("params")
        == model.features.count_params() + (model.roi_head.count_params())
    )


def test_memory_grows_with_the_batch_by_its_activations():
    summary = summarize(tiny(), rois=10)
    per_image = 4 * (32 * 48 * 3 + 6 * (4 + 4 + 2 + 8) + 10 * (196 + 196 + 2 + 4))
    weights = 4 * summary.total("params")
    assert summary.training_bytes(3, slots=1) == 3 * per_image + 3 * weights
    assert summary.training_bytes(1, slots=2) == per_image + 4 * weights
    # The image and what the first convolution makes of it is the largest pair of neighbors.
    assert summary.inference_bytes(2) == 2 * 4 * (32 * 48 * 3 + 6 * 4) + weights
