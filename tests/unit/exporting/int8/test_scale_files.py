import json

import numpy as np

from frcnn.exporting.int8.scale_files import cache_text, tensor_limits, write_scales
from tests.support.quantized import small_network


def test_a_cache_has_a_head_and_the_bits_of_each_scale():
    # 127 levels: scales 1, 0.5 and 1/127.
    text = cache_text({"input_image": 127.0, "bb/conv1:0": 63.5, "dead": 0.0, "crops": 1.0})
    assert text == (
        "TRT-101300-EntropyCalibration2\n"
        "input_image: 3f800000\n"
        "bb/conv1:0: 3f000000\n"
        f"crops: {np.float32(1 / 127).view(np.uint32):08x}\n"
    )


def test_only_tensors_of_the_graph_are_listed_in_its_order():
    ranges = {"sum": (-3.0, 2.0), "gone": (0.0, 1.0), "first": (0.0, 4.0), "input_image": (-1.0, 2.5)}
    limits = tensor_limits(small_network(), ranges)
    assert list(limits.items()) == [("input_image", 2.5), ("first", 4.0), ("sum", 3.0)]


def test_scales_are_magnitudes_by_tensor(tmp_path):
    write_scales(tmp_path / "scales.json", {"input_image": 2.5, "first": 4.0})
    assert json.loads((tmp_path / "scales.json").read_text()) == {
        "tensor_scales": {"input_image": 2.5, "first": 4.0}
    }
