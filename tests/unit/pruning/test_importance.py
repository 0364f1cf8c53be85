import numpy as np
import pytest

from frcnn.errors import ModelError
from frcnn.pruning.importance import filter_scores, merge_scores

# Two filters over one channel at 2 places: norms 5 and 10; a third is 0.
KERNEL = np.float32([[[3.0, 6.0, 0.0]], [[4.0, 8.0, 0.0]]])


def test_max_divides_by_the_largest_norm():
    np.testing.assert_allclose(filter_scores(KERNEL, 3, "max", "conv"), [0.5, 1.0, 0.0])


def test_l2_divides_by_the_norm_of_the_norms_times_their_number():
    expected = np.array([5.0, 10.0, 0.0]) / np.sqrt(125.0) * 3
    np.testing.assert_allclose(filter_scores(KERNEL, 3, "L2", "conv"), expected)


def test_depthwise_kernels_have_one_norm_a_channel_and_multiple():
    kernel = np.zeros((1, 2, 2, 2), "float32")
    kernel[0, :, 1, 0] = 3.0, 4.0
    kernel[0, :, 0, 1] = 0.0, 10.0
    np.testing.assert_allclose(filter_scores(kernel, 4, "max", "dw"), [0.0, 1.0, 0.5, 0.0])


@pytest.mark.parametrize("normalizer", ["max", "L2"])
def test_a_layer_of_zeros_has_scores_of_zero(normalizer):
    np.testing.assert_array_equal(filter_scores(np.zeros((3, 4)), 4, normalizer, "fc"), np.zeros(4))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_name_their_layer(value):
    kernel = np.ones((3, 4))
    kernel[1, 2] = value
    with pytest.raises(ModelError, match="layer fc has weights that are not finite"):
        filter_scores(kernel, 4, "max", "fc")


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        ("union", [0.9, 0.8]),
        ("intersection", [0.1, 0.0]),
        ("arithmetic_mean", [0.5, 0.4]),
        ("geometric_mean", [0.3, 0.0]),
    ],
)
def test_scores_of_tied_filters_become_one(criterion, expected):
    scores, owners = np.array([0.1, 0.8, 0.9, 0.0]), np.array([0, 1, 0, 1])
    merged = merge_scores(scores, owners, 3, criterion)
    np.testing.assert_allclose(merged, [*expected, np.nan])


def test_the_geometric_mean_of_three_is_a_cube_root():
    merged = merge_scores(np.array([1.0, 2.0, 4.0]), np.zeros(3, int), 1, "geometric_mean")
    np.testing.assert_allclose(merged, [2.0])
