"""Detectors of trained models, from the outside: what they compile, and what that prints."""

import logging

import numpy as np
import tensorflow as tf

from frcnn.model.build import build
from frcnn.model.keras_detector import KerasDetector
from frcnn.settings.model import detection_settings, model_settings
from tests.support.toy_training import HEIGHT, WIDTH, toy_spec


def test_tensorflow_does_not_warn_about_one_compilation_per_batch_size(tmp_path, caplog):
    spec = toy_spec(tmp_path, images=1, validation=0)
    detector = KerasDetector(build(model_settings(spec)), detection_settings(spec.evaluation_config))
    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    try:
        for count in (1, 2, 3, 4, 5, 5):
            detector(np.zeros((count, HEIGHT, WIDTH, 3), np.float32))
    finally:
        logger.removeHandler(caplog.handler)
    assert detector.traces == 5
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []
