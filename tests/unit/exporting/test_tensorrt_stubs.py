"""The stubs that what runs with TensorRT 11 is checked against lack what 11 lacks."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def test_stubs_of_11_are_those_of_10_without_what_is_gone(tmp_path):
    pytest.importorskip("tensorrt_stubs", reason="tensorrt-stubs are not installed")
    script = ROOT / "scripts/tensorrt_11_stubs.py"
    subprocess.run([sys.executable, script, tmp_path], check=True)
    text = (tmp_path / "tensorrt_bindings/tensorrt.pyi").read_text()
    for gone in ("def set_calibration_profile(", "class IInt8EntropyCalibrator2", "def set_output_type("):
        assert gone not in text
    for kept in ("def set_memory_pool_limit(", "class IOptimizationProfile", "def get_output_type("):
        assert kept in text
    names = (tmp_path / "tensorrt/__init__.pyi").read_text()
    assert "IInt8EntropyCalibrator2" not in names and "'ICudaEngine'" in names
