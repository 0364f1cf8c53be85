import numpy as np

from benchmarks.ours_spec import spec_text
from benchmarks.settings import SETTINGS, random_scene
from frcnn.spec import load_experiment


def test_the_settings_make_a_valid_spec(tmp_path):
    path = tmp_path / "spec.txt"
    path.write_text(spec_text(batch=2))
    spec = load_experiment(path)
    assert spec.training_config.batch_size_per_gpu == 2
    assert tuple(spec.class_names) == SETTINGS.class_names
    assert spec.training_config.rpn_nms_max_boxes == SETTINGS.train_post_nms
    assert spec.inference_config.rpn_nms_max_boxes == SETTINGS.infer_post_nms


def test_both_sides_get_the_same_scene_with_boxes_inside_the_image():
    scene, again = random_scene(2), random_scene(2)
    np.testing.assert_array_equal(scene.images, again.images)
    top, left, bottom, right = np.moveaxis(scene.boxes, -1, 0)
    assert top.min() >= 0 and left.min() >= 0
    assert bottom.max() <= SETTINGS.height - 1 and right.max() <= SETTINGS.width - 1
    assert (bottom - top).min() >= 30 and (right - left).min() >= 30
    assert scene.classes.max() < len(SETTINGS.class_names)
