"""The printed loss and its named parts."""

import pytest

from frcnn.training.callbacks.progress import loss_parts

LOGS = {
    "rpn_out_class_loss": 0.25,
    "rpn_out_regress_loss": 0.5,
    "dense_class_td_loss": 1.0,
    "dense_regress_td_loss": 0.125,
}


@pytest.mark.parametrize(("loss", "weights"), [(2.0, 0.125), (1.875, None), (1.8750001, None)])
def test_the_named_parts_add_up_to_the_loss(loss, weights):
    parts = loss_parts({"loss": loss, "gradient_norm": 9.0, **LOGS})
    assert parts.get("weights") == (None if weights is None else pytest.approx(weights))
    assert parts["loss"] == loss == pytest.approx(sum(parts.values()) - loss)
    assert (parts["rpn"], parts["roi"]) == (0.75, 1.125)
