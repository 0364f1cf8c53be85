"""The pruned detector: equal outputs, saved and loaded, trained on."""

import keras
import numpy as np
import pytest

from frcnn.errors import ModelError
from frcnn.model.build import build
from frcnn.model.files.checkpoint import load_model, save_model
from frcnn.model.files.training_record import TrainingRecord
from frcnn.model.keras_detector import KerasDetector
from frcnn.pruning.prune import plan_detector, prune
from frcnn.pruning.rewrite import rewrite
from frcnn.pruning.settings import PruneSettings
from frcnn.settings.model import detection_settings, model_settings, training_settings
from frcnn.settings.training import training_run
from frcnn.spec import load_experiment
from frcnn.training.starting_point import choose_start
from tests.support.task_spec import write_spec
from tests.unit.pruning.networks import randomise, silence

EVALUATION = """
rpn_pre_nms_top_N: 100 rpn_nms_max_boxes: 20 rpn_nms_overlap_threshold: 0.7 classifier_nms_max_boxes: 10
classifier_nms_overlap_threshold: 0.5 object_confidence_thres: 0.01
"""
RETRAIN = "training_config {{ retrain_pruned_model: '{path}' regularizer {{ type: NO_REG }} }}"


@pytest.fixture(scope="module")
def spec_of(tmp_path_factory):
    """A spec for an architecture, with more text merged into it."""

    def load(arch="resnet:10", all_projections=False, more=""):
        path = write_spec(tmp_path_factory.mktemp("spec") / "spec.txt", evaluation=EVALUATION)
        text = path.read_text().replace("resnet:10", arch)
        projections = f"model_config {{ all_projections: {str(all_projections).lower()} }}"
        path.write_text("\n".join([text, projections, more]))
        return load_experiment(path)

    return load


@pytest.fixture(scope="module")
def small(spec_of):
    """A pruned resnet:10, its report and its spec."""
    spec = spec_of()
    model = build(model_settings(spec))
    randomise([model.features, model.roi_head])
    return prune(model, PruneSettings(pruning_threshold=0.7)), spec


def images_and_rois():
    random = np.random.default_rng(5)
    images = random.normal(size=(1, 128, 160, 3)).astype("float32")
    return images, np.float32([[[0, 0, 127, 159], [10, 20, 60, 90], [30, 5, 100, 50]]])


def outputs(model):
    """Scores and codes of the RPN, class probabilities and codes of three RoIs."""
    images, rois = images_and_rois()
    rpn = model(images)
    return [rpn.scores, rpn.codes, *model.classify(rpn.features, rois, model.image_size(images, None))]


@pytest.mark.parametrize(
    ("arch", "all_projections"),
    [
        ("resnet:10", False),
        ("resnet:18", False),
        ("resnet:18", True),
        pytest.param("resnet:50", False, marks=pytest.mark.slow),
        pytest.param("resnet:50", True, marks=pytest.mark.slow),
        pytest.param("resnet:101", False, marks=pytest.mark.slow),
    ],
)
def test_the_pruned_detector_answers_as_the_silenced_one_does(spec_of, arch, all_projections):
    model = build(model_settings(spec_of(arch, all_projections)))
    parts = [model.features, model.roi_head]
    randomise(parts)
    before = outputs(model)
    settings = PruneSettings(pruning_threshold=0.7, equalization_criterion="arithmetic_mean")
    result, outcome = prune(model, settings), plan_detector(model, settings)
    np.testing.assert_array_equal(result.plan.keep, outcome.plan.keep)
    silence(outcome)
    expected = outputs(model)
    for got, wanted, old in zip(outputs(result.model), expected, before, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-4)
        assert np.abs(wanted - old).max() > 1e-3
    assert result.report.pruning_ratio < 0.7
    assert result.model.count_params() == result.report.after.params
    assert model.count_params() == result.report.before.params
    lost = {row.name for row in result.report.rows if row.has_filters and row.kept < row.total}
    free = {row.name for row in result.report.rows if row.has_filters} - {
        *("rpn_out_class", "rpn_out_regress", "dense_class_td", "dense_regress_td")
    }
    assert lost == free
    rewritten = rewrite(parts, outcome.graph, outcome.plan)
    assert [[layer.name for layer in part.layers] for part in rewritten] == [
        [layer.name for layer in part.layers] for part in parts
    ]


def test_the_depth_of_the_feature_map_is_that_of_the_head(small):
    result, _ = small
    assert result.model.features.outputs[0].shape[-1] == result.model.roi_head.inputs[0].shape[-1] < 256


@pytest.mark.parametrize("key", ["", "a key"])
def test_saved_and_loaded_it_answers_the_same(small, tmp_path, key):
    result, _ = small
    path = tmp_path / "pruned.tlt"
    save_model(result.model, path, TrainingRecord("resnet:10", ("car", "person")), key)
    loaded, record = load_model(path, key)
    assert record.epoch == 0
    for got, wanted in zip(outputs(loaded), outputs(result.model), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_it_can_be_pruned_again(small):
    result, _ = small
    again = prune(result.model, PruneSettings(pruning_threshold=0.9))
    assert again.model.count_params() < result.model.count_params()


def test_it_detects(small):
    result, spec = small
    detector = KerasDetector(result.model, detection_settings(spec.evaluation_config))
    assert detector(images_and_rois()[0]).boxes.shape == (1, 10, 4)


def test_it_retrains(small, spec_of, tmp_path):
    result, _ = small
    path = tmp_path / "pruned.keras"
    save_model(result.model, path, TrainingRecord("resnet:10", ("car", "person")))
    spec = spec_of(more=RETRAIN.format(path=path))
    run = training_run(spec)
    start = choose_start(run.start)
    model, record = load_model(start.path)
    start.check(model, record, run)
    model.training_settings = training_settings(spec)
    model.compile(optimizer=keras.optimizers.SGD(0.01))
    model.optimizer.build(model.trainable_variables)
    before = [variable.numpy() for variable in model.trainable_variables]
    losses = model.train_step(batch())
    assert start.kind == "retrain"
    assert all(np.isfinite(float(value)) for value in losses.values())
    changed = [(old != new.numpy()).any() for old, new in zip(before, model.trainable_variables, strict=True)]
    assert all(changed)


def batch():
    boxes = np.zeros((1, 5, 4), "float32")
    boxes[0, :2] = [[10, 20, 60, 70], [40, 80, 100, 130]]
    return {
        "images": images_and_rois()[0],
        "boxes": boxes,
        "classes": np.int32([[0, 1, 0, 0, 0]]),
        "valid": np.array([[True, True, False, False, False]]),
    }


def test_weights_that_are_not_finite_are_refused(small):
    result, _ = small
    model = keras.models.clone_model(result.model.roi_head)
    broken = type(result.model)(result.model.features, model, result.model.geometry)
    kernel = model.get_layer("block_4a_conv_1").kernel
    kernel.assign(kernel.numpy() * np.nan)
    with pytest.raises(ModelError, match="layer block_4a_conv_1 has weights that are not finite"):
        prune(broken, PruneSettings())
