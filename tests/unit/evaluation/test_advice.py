"""What is said when mAP is low."""

import pytest

from frcnn.evaluation.advice import next_steps


def metrics(mean_ap, recall, **classes):
    counted = {
        name: {"objects": objects, "difficult": 0, "rpn_recall": recall} for name, objects in classes.items()
    }
    return {"mAP": mean_ap, "iou": {"0.50": {"classes": counted}}}


@pytest.mark.parametrize("mean_ap", [0.3, 0.95])
def test_nothing_is_said_of_a_good_map(mean_ap):
    assert next_steps(metrics(mean_ap, 0.1, car=9)) == ""


def test_proposals_that_miss_objects_point_to_the_anchors():
    said = next_steps(metrics(0.1, 0.42, car=30, van=10))
    assert said.startswith("mAP is only 0.10. What to try next:\n")
    assert "The proposals reach 42% of the objects: choose anchor_box_config.scale" in said
    assert "more epochs" not in said
    assert "Too few" not in said


@pytest.mark.parametrize(
    ("epochs", "trained"),
    [(0, "has not been trained yet"), (1, "was trained for only 1 epoch."), (9, "for only 9 epochs.")],
)
@pytest.mark.parametrize("recall", [0.62, 0.97, None])
def test_after_few_epochs_a_longer_training_comes_first(epochs, trained, recall):
    said = next_steps(metrics(0.05, recall, car=30), epochs)
    first = said.splitlines()[1]
    assert first.startswith("  - Train for longer first (--epochs): the model ")
    assert trained in first
    assert said.count("--epochs") == 1
    if recall == 0.62:
        assert "reach 62% of the objects: if it stays so after a longer training, choose anchor_box" in said


@pytest.mark.parametrize("epochs", [10, None])
def test_after_more_epochs_or_an_unknown_number_the_results_are_judged(epochs):
    assert next_steps(metrics(0.05, 0.62, car=30), epochs) == next_steps(metrics(0.05, 0.62, car=30))
    assert "longer" not in next_steps(metrics(0.05, 0.62, car=30), epochs)


def test_proposals_that_reach_the_objects_point_to_a_longer_training():
    said = next_steps(metrics(0.1, 0.97, car=30))
    assert "reach 97% of the objects, so the anchors fit: train for more epochs (--epochs)" in said
    assert "anchor_box_config" not in said


def test_an_engine_without_proposals_gets_no_word_about_anchors():
    said = next_steps(metrics(0.1, None, car=30))
    assert "Train for more epochs" in said
    assert "proposals" not in said


def test_classes_without_objects_are_named():
    assert "Too few labeled objects to judge: van." in next_steps(metrics(0.0, 0.9, car=30, van=2))
    assert "mAP is unknown, because no object was labeled" in next_steps(metrics(None, None, van=0))
