import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from frcnn.pruning.channels import ChannelSpace, KeepReason


def test_joined_channels_share_a_class_and_others_do_not():
    space = ChannelSpace()
    a, b, c = space.new(2), space.new(2), space.new(2)
    space.join(a, c)
    classes = space.classes()
    assert classes.of.tolist() == [0, 1, 2, 3, 0, 1]
    assert classes.count == 4
    assert b.tolist() == [2, 3]


def test_a_pin_holds_for_the_whole_class_and_the_first_reason_counts():
    space = ChannelSpace()
    a, b = space.new(1), space.new(1)
    space.pin(b, "b", "excluded")
    space.pin(a, "a", "an output")
    space.join(a, b)
    assert space.classes().pins == {0: KeepReason("b", "excluded")}


def test_a_pin_is_told_from_where_it_is_seen():
    pin = KeepReason("conv1", "excluded")
    assert pin.seen_from("conv1") == "excluded"
    assert pin.seen_from("conv2") == "tied to conv1: excluded"


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_classes_are_the_connected_components(pairs):
    space = ChannelSpace()
    channels = space.new(20)
    for left, right in pairs:
        space.join(channels[[left]], channels[[right]])
    expected = list(range(20))
    for left, right in pairs * 20:
        expected[left] = expected[right] = min(expected[left], expected[right])
    assert space.classes().of.tolist() == np.unique(expected, return_inverse=True)[1].tolist()
