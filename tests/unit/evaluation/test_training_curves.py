"""Curves of a training in the report."""

import pytest

from frcnn.evaluation.training_curves import training_panels

LOG = """\
epoch,seconds,learning_rate,loss,mAP
1,10.5,0.01,2.0,
2,10.1,0.01,1.0,0.5
3,10.2,0.001,0.5,0.75
4,10.2,0.001,0.4,0.7
"""


def test_loss_and_map_are_drawn_over_the_epochs(tmp_path):
    path = tmp_path / "training_log.csv"
    path.write_text(LOG)
    loss, mean_ap = training_panels(path)
    # Epochs 1 to 4 of 4 on a plane of 240 x 150; the axis of the loss ends 5 % above 2.
    assert loss["line"] == "M60.0,7.1 L120.0,78.6 L180.0,114.3 L240.0,121.4"
    assert loss["text"] == "0.400 after epoch 4"
    assert mean_ap["line"] == "M120.0,75.0 L180.0,37.5 L240.0,45.0"
    assert mean_ap["text"] == "0.700 after epoch 4; best 0.750 after epoch 3"


def test_a_log_without_validation_has_only_the_loss(tmp_path):
    path = tmp_path / "training_log.csv"
    path.write_text("epoch,loss\n1,2\n2,1\n")
    assert [panel["title"] for panel in training_panels(path)] == ["training loss"]


@pytest.mark.parametrize(
    "content", [None, b"", b"epoch,loss\n1,2\n", b"\xff\x00", b"a,b\n1,2\n3,4\n", b"epoch\n1\nx\n"]
)
def test_without_a_readable_log_there_are_no_curves(tmp_path, content):
    path = tmp_path / "training_log.csv"
    if content is not None:
        path.write_bytes(content)
    assert training_panels(path) == []
    assert training_panels(None) == []
