"""The train step's script: what it refuses before it loads anything that takes long."""

import logging
import time

import pytest

from components.train import main as train
from frcnn import gpus
from frcnn.errors import UsageError
from frcnn.steps.places import as_s3, folder_or_s3
from tests.pipeline.tiny import SPEC


def run(tmp_path, caplog, *words):
    began = time.process_time()
    with caplog.at_level(logging.INFO):
        code = train.main(["--spec", SPEC, "--model", str(tmp_path / "model"), *map(str, words)])
    return code, caplog.text, time.process_time() - began


def test_a_promised_gpu_that_is_not_there_ends_the_step_in_its_first_second(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(gpus, "DRIVER_LIBRARY", "libnosuchdriver.so")
    run(tmp_path, caplog, "--records-uri", tmp_path, "--gpus", "2")  # imports what every run imports
    code, said, seconds = run(tmp_path, caplog, "--records-uri", tmp_path, "--gpus", "1")
    assert (code, seconds < 1) == (1, True)
    assert "This step requested a GPU, but the driver provides none" in said
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "Missing --records-uri"),
        (("--records-uri", "gs://bucket/records"), 2, "--records-uri gs://bucket/records: unsupported URI"),
        (("--records-uri", "/nowhere/records"), 1, "--records-uri /nowhere/records: no such folder"),
        (("--records-uri", "s3://b/r", "--gpus", "-1"), 2, "--gpus -1: expected 0 or 1"),
        (
            ("--records-uri", "s3://b/r", "--gpus-per-worker", "4"),
            2,
            "4: only for several workers. Set num_workers",
        ),
        (
            ("--records-uri", "s3://b/r", "--num-workers", "2", "--gpus", "1"),
            2,
            "--gpus 1: only for one worker",
        ),
        (
            ("--records-uri", "s3://b/r", "--checkpoints", "gs://b/c"),
            2,
            "--checkpoints gs://b/c: unsupported URI",
        ),
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


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (" s3://bucket/a/\n", "s3://bucket/a"),
        ("minio://bucket/a", "s3://bucket/a"),
        (" /volume/a", "/volume/a"),
        ("", ""),
    ],
)
def test_a_place_is_a_folder_or_on_s3(given, expected):
    assert folder_or_s3(given, "--published") == expected


def test_a_place_of_another_kind_is_refused_since_it_would_be_lost_with_the_pod():
    with pytest.raises(UsageError, match="--published gs://b/model: unsupported URI; expected s3://"):
        folder_or_s3("gs://b/model", "--published")


@pytest.mark.parametrize(
    ("gpus", "resource", "told"),
    [(4, "nvidia.com/gpu", ["--gpus", "4"]), (0, "nvidia.com/gpu", []), (4, "amd.com/gpu", [])],
)
def test_workers_that_are_promised_gpus_are_told_so_that_they_need_not_train_on_cpus(gpus, resource, told):
    from components.train.worker import parser
    from components.train.worker_job import Request, described, pod_options

    request = Request(
        spec_text="",
        records="s3://b/records",
        start="",
        epochs=0,
        total_epochs=1,
        precision="fp32",
        checkpoints="s3://b/kept",
        image="i",
        workers=2,
        least=2,
        gpus=gpus,
    )
    job = described(request, pod_options(f"--gpu_resource {resource}"), "team")
    words = [word for word in job.training if isinstance(word, str)]
    at = words.index("--gpus") if "--gpus" in words else len(words)
    assert words[at : at + 2] == told
    assert parser().parse_args(words[3:]).gpus == (gpus if told else 0)


def test_a_worker_that_sees_no_gpu_of_those_promised_ends_at_once(tmp_path, caplog, monkeypatch):
    from components.train import worker

    monkeypatch.setattr(gpus, "DRIVER_LIBRARY", "libnosuchdriver.so")
    flags = ["--spec", "s3://b/spec", "--records", "s3://b/records", "--checkpoints", "s3://b/kept"]
    assert worker.main([*flags, "--gpus", "4"]) == 1
    assert "This step requested a GPU, but the driver provides none" in caplog.text
