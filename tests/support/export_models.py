"""Small detectors for tests of the export: random weights that behave like trained ones."""

from pathlib import Path
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from frcnn.model.build import build
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.layers import BatchNormalization
from frcnn.settings.model import model_settings
from frcnn.spec import Experiment, load_experiment
from tests.support.task_spec import make_dynamic, write_spec

# Kernels of the RPN and the last layers are larger than a fresh detector's, whose outputs are nearly equal
# for all boxes. The others are evenly distributed, which 8 bits resolve best: rounding must not hide faults.
LARGE = "glorot_uniform"
EVEN = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_out", "distribution": "uniform"},
}
SETTINGS = (
    "rpn_pre_nms_top_N: 300 rpn_nms_max_boxes: 40 rpn_nms_overlap_threshold: 0.7 "
    "object_confidence_thres: 0.05 bbox_visualize_threshold: 0.3 "
    "classifier_nms_max_boxes: 30 classifier_nms_overlap_threshold: 0.3 "
)


def export_spec(folder: Path, *, inference: str = "", model: str = "", dynamic: bool = False) -> Experiment:
    """A spec of two classes, nine anchors and a biased ResNet-10; the texts end the two messages."""
    path = write_spec(folder / "spec.txt", inference=f"{SETTINGS} {inference}", evaluation=_evaluation())
    anchors = "anchor_box_config { scale: 16.0 scale: 64.0 ratio: 0.5 ratio: 2.0 }"
    more = f"model_config {{ use_bias: true use_pooling: true all_projections: true {anchors} {model} }}\n"
    path.write_text(path.read_text() + more, encoding="utf-8")
    if dynamic:
        make_dynamic(path)
    return load_experiment(path)


def calibrated_model(
    spec: Experiment,
    seed: int = 0,
    images: np.ndarray | None = None,
    gamma: tuple[float, float] = (0.7, 1.3),
) -> FasterRCNN:
    """A model whose biases are not zero and whose moving statistics fit the activations.

    Fresh weights would hide faults: with zero biases and unit statistics much of a graph folds away. Those
    of some families saturate on other images than it was calibrated on; so give the network-ready `images`
    that it is to see. They are noise by default. The larger `gamma`, the more do deep residual
    networks of random weights amplify the rounding of their first layers.
    """
    keras.utils.set_random_seed(seed)
    with (
        mock.patch("frcnn.model.backbones.base.INITIALIZER", EVEN),
        mock.patch.multiple("frcnn.model.build", RPN_INITIALIZER=LARGE, DENSE_INITIALIZER=LARGE),
    ):
        model = build(model_settings(spec))
    random = np.random.default_rng(seed)
    for network in (model.features, model.roi_head):
        for weight in network.weights:
            if weight.name in ("bias", "beta"):
                weight.assign(random.normal(0.0, 0.2, weight.shape))
            elif weight.name == "gamma":
                weight.assign(random.uniform(*gamma, weight.shape))
    _calibrate(model.features, noise(random, 4, spec) if images is None else images, 3)
    crops = np.abs(random.normal(0.0, 1.0, (16, *model.roi_head.inputs[0].shape[1:]))).astype(np.float32)
    _calibrate(model.roi_head, crops if images is None else _crops(model, images, random), 3)
    return model


def _crops(model: FasterRCNN, images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Boxes at random places of the images' feature maps, eight an image."""
    maps = model.features(images, training=False)[0]
    owners = np.arange(len(images)).repeat(8)
    starts = random.uniform(0.0, 0.5, (len(owners), 2))
    boxes = np.concatenate([starts, starts + random.uniform(0.1, 0.5, starts.shape)], axis=1)
    size = model.roi_head.inputs[0].shape[1:3]
    return tf.image.crop_and_resize(maps, boxes, owners, size).numpy()


def noise(random: np.random.Generator, images: int, spec: Experiment) -> np.ndarray:
    """Smooth random images, network-ready float32 [B, H, W, 3]: blobs, not a gray haze."""
    size = spec.model_config.input_image_config.size_height_width
    height, width = (128, 160) if size is None else (size.height, size.width)
    coarse = random.normal(0.0, 60.0, (images, height // 16, width // 16, 3))
    return coarse.repeat(16, axis=1).repeat(16, axis=2).astype(np.float32)


def _calibrate(network: keras.Model, inputs: np.ndarray, passes: int) -> None:
    layers = [each for each in network.layers if isinstance(each, BatchNormalization)]
    momenta = [each.momentum for each in layers]
    for layer in layers:
        layer.momentum = 0.0
    for _ in range(passes):
        network(inputs, training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def _evaluation() -> str:
    return SETTINGS.replace("bbox_visualize_threshold: 0.3", "gt_matching_iou_threshold: 0.5")
