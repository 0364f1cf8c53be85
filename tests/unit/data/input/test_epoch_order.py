"""Order of an epoch: complete, repeatable, shared out among ranks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frcnn.data.input.epoch_order import EpochOrder, positions_of_rank, shares_of, steps_per_epoch


def test_every_epoch_holds_every_image_once_in_another_order():
    order = EpochOrder((10, 7), (10, 7), seed=3)
    epochs = [order.images(epoch).numpy() for epoch in range(4)]
    for images in epochs:
        np.testing.assert_array_equal(np.sort(images), np.arange(17))
    assert len({tuple(images) for images in epochs}) == 4


def test_order_depends_on_seed_and_epoch_only():
    first, second = (EpochOrder((100,), (100,), seed=1) for _ in range(2))
    first.images(0)
    np.testing.assert_array_equal(first.images(5), second.images(5))
    assert not np.array_equal(first.images(5), EpochOrder((100,), (100,), seed=2).images(5))


def test_sources_are_mixed():
    images = EpochOrder((50, 50), (50, 50), seed=0).images(0).numpy()
    assert 10 < (images[:50] < 50).sum() < 40


def test_a_smaller_source_that_gives_half_the_epoch_repeats_evenly():
    order = EpochOrder((4, 20), (12, 12), seed=0)
    for epoch in range(3):
        counts = np.bincount(order.images(epoch).numpy(), minlength=24)
        np.testing.assert_array_equal(counts[:4], 3)
        assert counts[4:].sum() == 12
    # Twelve of twenty an epoch: after five epochs each image of the large source was seen three times.
    seen = sum(np.bincount(order.images(epoch).numpy(), minlength=24) for epoch in range(5))
    np.testing.assert_array_equal(seen[4:], 3)


@pytest.mark.parametrize(
    ("counts", "weights", "expected"),
    [
        ((10, 30), (10, 30), (10, 30)),
        ((10, 30), (1, 1), (20, 20)),
        ((10, 30), (10 * 2.0, 30), (16, 24)),
        ((5, 0), (1, 1), (5, 0)),
        ((1, 1, 1), (1, 1, 2), (1, 1, 1)),
        ((0, 0), (1, 1), (0, 0)),
    ],
)
def test_shares_follow_the_weights(counts, weights, expected):
    assert shares_of(counts, weights) == expected


@given(images=st.integers(1, 60), batch=st.integers(1, 7), world=st.integers(1, 5))
def test_ranks_together_see_every_image_and_get_equally_many(images, batch, world):
    shares = [positions_of_rank(images, batch, rank, world) for rank in range(world)]
    steps = steps_per_epoch(images, batch, world)
    assert {len(share) for share in shares} == {steps * batch}
    positions = np.concatenate(shares)
    assert len(np.unique(positions)) == len(positions) >= images
    assert set(positions % images) == set(range(images))
    assert len(positions) < images + world * batch


def test_ranks_take_neighboring_batches():
    np.testing.assert_array_equal(positions_of_rank(8, 2, 0, 2), [0, 1, 4, 5])
    np.testing.assert_array_equal(positions_of_rank(8, 2, 1, 2), [2, 3, 6, 7])
