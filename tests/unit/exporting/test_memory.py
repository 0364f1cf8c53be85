"""Memory that an export needs beyond the model, measured in a process of its own."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.export_models import export_spec

PROGRAM = """
import json, re, sys
from pathlib import Path

from frcnn.exporting.exporter import ExportOptions, export_onnx
from frcnn.model.build import build
from frcnn.settings.exporting import export_settings
from frcnn.settings.model import model_settings
from frcnn.spec import load_experiment


def mebibytes(field):
    return int(re.search(field + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


spec = load_experiment(Path(sys.argv[1]))
model = build(model_settings(spec))
import tf2onnx  # its own memory does not count

Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
before = mebibytes("VmRSS")
proto = export_onnx(model, export_settings(spec), ExportOptions())
growth = mebibytes("VmHWM") - before
weights = sum(len(each.raw_data) for each in proto.graph.initializer) / 2**20
print(json.dumps({"growth": growth, "weights": weights}))
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux to reset a peak")
def test_a_conversion_does_not_copy_the_kernels_again_and_again(tmp_path):
    export_spec(tmp_path, model='arch: "efficientnet:b0"')
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "spec.txt")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["weights"] > 15
    assert found["growth"] < 300, found  # MiB: 150, and 550 when the converter got the kernels as constants
