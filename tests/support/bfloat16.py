"""Mark of tests that compute in bfloat16."""

import pytest

from frcnn.cpu import ONEDNN_LIMIT, bfloat16_ruled_out

needs_bfloat16 = pytest.mark.skipif(
    bfloat16_ruled_out(), reason=f"{ONEDNN_LIMIT} rules out bfloat16, on which TensorFlow crashes then"
)
