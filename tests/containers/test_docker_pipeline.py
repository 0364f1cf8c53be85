"""The real images run the pipeline as containers, with data and the published model on a real S3 server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from frcnn.steps.publishing import published_map
from frcnn.storage import Store
from frcnn.storage.settings import Settings
from tests.pipeline.tiny import write_data, write_spec
from tests.support.containers import BUCKET, KEYS, NETWORK, STEPS, TAG, docker

pytestmark = [pytest.mark.container, pytest.mark.timeout(7200)]

ROOT = Path(__file__).parents[2]
COMMAND = """
import sys
from frcnn.cli import task_runner
from frcnn.cli.tasks import Task
from pipelines import command
task = Task("pipeline", "pipelines.command", "", prints_status=False)
sys.exit(task_runner.run(task, command, sys.argv[1:]))
"""


def pipeline_run(engine, folder, *flags, **environment):
    path = os.pathsep.join([str(ROOT / "shared" / "src"), str(ROOT)])
    words = ["run", "--runner", "docker", "--tag", TAG, "-o", folder / "out", *flags]
    return subprocess.run(
        [sys.executable, "-P", "-c", COMMAND, *map(str, words)],
        capture_output=True,
        text=True,
        env={**engine, "PYTHONPATH": path, **environment},
    )


@pytest.fixture(scope="module")
def finished(engine, images, s3, tmp_path_factory):
    """A run through all steps, its data and the published model on S3."""
    folder = tmp_path_factory.mktemp("docker")
    write_spec(folder / "spec.txt")
    here = Store(Settings.from_environment({"S3_ENDPOINT": s3, **KEYS, "S3_PATIENCE_SECONDS": "60"}))
    here.publish(write_data(folder / "data"), f"s3://{BUCKET}/data")
    flags = (
        *("--spec", folder / "spec.txt", "--data", f"s3://{BUCKET}/data", "--network", NETWORK),
        *("--minimum_map", "0", "--tolerance", "1", "--target_params", "0.8"),
        *("--publish_to", f"s3://{BUCKET}/in_use"),
    )
    done = pipeline_run(engine, folder, *flags, S3_ENDPOINT=s3, **KEYS)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done, s3


def test_every_artifact_is_there_and_belongs_to_who_ran_it(finished):
    folder, done, _ = finished
    latest = folder / "out" / "latest"
    for name in ("train/model/model.keras", "evaluate/page", "export/exported/model.onnx"):
        assert (latest / name).is_file(), name
        assert (latest / name).stat().st_uid == os.getuid()
    table = [line.split()[:2] for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    names = ("convert", "train", "prune", "retrain", "export", "compare", "publish", "notify")
    assert dict.fromkeys(names, "done").items() <= dict(row for row in table if len(row) == 2).items()


def test_the_model_is_published_on_s3(finished, monkeypatch):
    _, _, endpoint = finished
    for name, value in {"S3_ENDPOINT": endpoint, **KEYS}.items():
        monkeypatch.setenv(name, value)
    names = {file.path for file in Store.from_environment().contents(f"s3://{BUCKET}/in_use").files}
    assert {"model.onnx", "labels.txt", "metrics.json", "report.html"} <= names
    assert published_map(f"s3://{BUCKET}/in_use") is not None


def test_data_that_is_not_there_is_named(engine, finished):
    folder, _, endpoint = finished
    words = ("--spec", folder / "spec.txt", "--data", f"s3://{BUCKET}/nowhere", "--network", NETWORK)
    done = pipeline_run(engine, folder, *words, S3_ENDPOINT=endpoint, **KEYS)
    assert done.returncode == 1
    place = f"s3://{BUCKET}/nowhere"
    assert f"step convert: --data {place}: nothing is there; check the URI" in done.stderr


@pytest.mark.parametrize("step", STEPS)
def test_images_have_no_entry_point_and_do_not_run_as_root(engine, images, step):
    form = "{{json .Config.Entrypoint}} {{.Config.User}}"
    shown = docker(engine, "image", "inspect", "--format", form, f"frcnn-{step}:{TAG}").stdout.split()
    assert shown == ["null", "1000:1000"]


@pytest.mark.parametrize("step", STEPS)
def test_images_answer_with_their_flags(engine, images, step):
    done = docker(engine, "run", "--rm", "--network=none", f"frcnn-{step}:{TAG}")
    assert "usage:" in done.stdout


@pytest.mark.parametrize("step", ["convert", "publish"])
def test_images_that_need_no_tensorflow_hold_none(engine, images, step):
    code = "import importlib.util as u; print(u.find_spec('tensorflow'), u.find_spec('keras'))"
    done = docker(engine, "run", "--rm", "--network=none", f"frcnn-{step}:{TAG}", "python", "-c", code)
    assert done.stdout == "None None\n"


def test_a_missing_image_is_named_before_anything_runs(engine, images, tmp_path):
    write_spec(tmp_path / "spec.txt")
    words = ("--spec", tmp_path / "spec.txt", "--data", write_data(tmp_path / "data", images=2))
    done = pipeline_run(engine, tmp_path, *words, "--tag", "nowhere")
    assert done.returncode == 1
    assert (
        "step convert: image frcnn-convert:nowhere: it is not on this machine. Build it with make images"
        in done.stderr
    )


def test_a_step_that_fails_at_once_is_never_taken_for_a_success(engine, images, tmp_path):
    import docker as sdk
    from kfp import local
    from kfp.local.status import Status

    from pipelines.local.containers import Containers, container_handler

    client = sdk.DockerClient(base_url=engine["DOCKER_HOST"])
    handler = container_handler(client, Containers())
    runner = local.SubprocessRunner(use_venv=False)
    image = f"frcnn-publish:{TAG}"
    states = {handler(image, ["false"], str(tmp_path), runner, {}).run() for _ in range(10)}
    assert states == {Status.FAILURE}
    assert handler(image, ["true"], str(tmp_path), runner, {}).run() == Status.SUCCESS
    assert client.containers.list(all=True, filters={"ancestor": image}) == []
    client.close()


def test_without_a_daemon_the_run_says_what_to_do(tmp_path):
    write_spec(tmp_path / "spec.txt")
    words = ("--spec", tmp_path / "spec.txt", "--data", write_data(tmp_path / "data", images=2))
    done = pipeline_run(dict(os.environ), tmp_path, *words, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 1
    assert "--runner docker: the Docker daemon does not respond" in done.stderr
    assert "--runner process" in done.stderr
