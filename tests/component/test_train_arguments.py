"""The train step's script: what it refuses before it loads anything that takes long."""

import logging
import time

import pytest

from components.train import main as train
from components.train.places import as_s3
from frcnn import gpus
from tests.pipeline.tiny import SPEC


def run(tmp_path, caplog, *words):
    began = time.monotonic()
    with caplog.at_level(logging.INFO):
        code = train.main(["--spec", SPEC, "--model", str(tmp_path / "model"), *map(str, words)])
    return code, caplog.text, time.monotonic() - began


def test_a_promised_gpu_that_is_not_there_ends_the_step_in_its_first_second(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(gpus, "DRIVER_LIBRARY", "libnosuchdriver.so")
    run(tmp_path, caplog, "--records-uri", tmp_path, "--gpus", "2")  # imports what every run imports
    code, said, seconds = run(tmp_path, caplog, "--records-uri", tmp_path, "--gpus", "1")
    assert (code, seconds < 1) == (1, True)
    assert "this step was promised a GPU, and the driver shows none" in said
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "--records-uri is missing"),
        (("--records-uri", "gs://bucket/records"), 2, "--records-uri gs://bucket/records: is not read here"),
        (("--records-uri", "/nowhere/records"), 1, "--records-uri /nowhere/records: no such folder"),
        (("--records-uri", "s3://b/r", "--gpus", "-1"), 2, "--gpus -1: expected 0 or 1"),
    ],
)
def test_records_that_cannot_be_read_are_named(words, code, message, tmp_path, caplog):
    found, said, _ = run(tmp_path, caplog, *words)
    assert (found, message in said) == (code, True)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("minio://mlpipeline/v2/artifacts/a/records", "s3://mlpipeline/v2/artifacts/a/records"),
        ("s3://bucket/a/?endpoint=seaweedfs:9000", "s3://bucket/a"),
        ("/a/folder", ""),
        ("gs://bucket/a", ""),
    ],
)
def test_artifacts_on_s3_have_one_name(uri, expected):
    assert as_s3(uri) == expected
