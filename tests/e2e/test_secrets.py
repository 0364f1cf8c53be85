"""No key turns up in a log, a list of processes, YAML, an image or a report, by any task that gets one."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import s3_server
from tests.support.canaries import Canaries
from tests.support.toy_training import toy_spec

ROOT = Path(__file__).parents[2]
FRCNN = [sys.executable, "-m", "frcnn"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with s3_server.running(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def canaries():
    return Canaries("model", "wandb", "unused-aws", "token")


class Tasks:
    """Runs tasks as processes and keeps all that they print."""

    def __init__(self, folder, environment):
        self.folder, self.environment, self.printed = folder, environment, b""

    def run(self, *words, code=0, **variables):
        done = subprocess.run(
            [*FRCNN, *map(str, words)],
            cwd=self.folder,
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        self.printed += done.stdout
        assert done.returncode == code, done.stdout.decode(errors="replace")[-3000:]


@pytest.fixture
def tasks(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    path = os.pathsep.join([str(ROOT / "shared/src"), str(ROOT)])
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FRCNN", "AWS"))}
    # One file of settings and caches per test, which is looked through as well.
    environment |= {
        "PYTHONPATH": path,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "FRCNN_CACHE": str(folder / "cache"),
    }
    return Tasks(folder, environment)


def nothing_in(canaries, tasks, *allowed):
    """Fails if a secret is in what was printed, or in a file but those that the test wrote itself."""
    assert canaries.in_bytes(tasks.printed) == set()
    found = canaries.in_folder(tasks.folder)
    assert {name: secrets for name, secrets in found.items() if name not in allowed} == {}


def with_keys(path, canaries, *, wandb=False):
    extra = f'enc_key: "{canaries["model"]}"\n'
    if wandb:
        extra += f'training_config {{ visualizer {{ wandb_config {{ key: "{canaries["wandb"]}" }} }} }}\n'
    path.write_text(extra + path.read_text())


def test_the_search_itself_finds_a_key_in_every_form(tmp_path, canaries):
    import base64
    import zipfile
    from urllib.parse import quote

    key = canaries["model"]
    forms = {
        "plain": f"x{key}y".encode(),
        "json": json.dumps({"a": key}).encode(),
        "quoted": quote(key, safe="").encode(),
        **{f"base64-{shift}": base64.b64encode(b"_" * shift + key.encode() + b"tail") for shift in range(4)},
    }
    for name, content in forms.items():
        (tmp_path / name).write_bytes(content)
    with zipfile.ZipFile(tmp_path / "archive", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("spec.txt", key * 3)
    found = canaries.in_folder(tmp_path)
    assert found == {name: {"model"} for name in (*forms, "archive")}
    with canaries.watched_processes() as seen:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.5)", key], check=True)
    assert len(seen) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_training_evaluation_pruning_and_export_keep_the_key_of_the_models(canaries, tasks):
    folder = tasks.folder
    toy_spec(
        folder,
        images=2,
        validation=2,
        training="num_epochs: 1",
        evaluation="validation_period_during_training: 1",
    )
    with_keys(folder / "spec.txt", canaries)
    (folder / "key.txt").write_text(canaries["model"])
    with canaries.watched_processes() as seen:
        tasks.run("train", "-e", "spec.txt", "-r", "results", "-v", "--log_file", "train.log")
        tasks.run(
            "evaluate", "-e", "spec.txt", "-m", "results", "-r", "report", "-v", FRCNN_KEY=canaries["model"]
        )
        tasks.run(
            "prune",
            "-m",
            "results/best",
            "-o",
            "pruned.tlt",
            "-pth",
            "0.1",
            "-k",
            "@key.txt",
            "--results_dir",
            "prune",
            "-v",
        )
        tasks.run(
            "export",
            "-m",
            "results/best",
            "-e",
            "spec.txt",
            "-o",
            "m.etlt",
            "-v",
            FRCNN_KEY_FILE=str(folder / "key.txt"),
        )
        tasks.run("evaluate", "-e", "spec.txt", "-m", "m.etlt", "-r", "report2", "-k", "@key.txt", "-v")
        tasks.run("evaluate", "-e", "spec.txt", "-m", "m.etlt", code=1, FRCNN_KEY="another one")
    assert seen == set()
    assert (folder / "results/status.json").exists() and (folder / "report/report.html").exists()
    nothing_in(canaries, tasks, "spec.txt", "key.txt")


def test_specs_that_are_shown_or_wrong_hide_their_keys(canaries, tasks):
    toy_spec(tasks.folder, images=1, validation=1)
    spec = tasks.folder / "spec.txt"
    with_keys(spec, canaries, wandb=True)
    with canaries.watched_processes() as seen:
        tasks.run("spec", "show", "spec.txt", "-v")
        tasks.run("spec", "check", "spec.txt", "-v")
        spec.write_text(spec.read_text() + "nonsense: 1\nenc_key: 7\n")
        tasks.run("spec", "check", "spec.txt", "-v", code=2)
        tasks.run("train", "-e", "spec.txt", "-r", "results", "-v", code=2)
    assert seen == set()
    nothing_in(canaries, tasks, "spec.txt")


def test_pushing_and_pulling_keep_the_keys_of_s3(canaries, tasks, server):
    (tasks.folder / "data").mkdir()
    (tasks.folder / "data/a.txt").write_text("a")
    right = server.environment()
    # A secret that the server does not know, and a token; both go into every request's signature.
    wrong = {**right, "AWS_SECRET_ACCESS_KEY": canaries["unused-aws"], "AWS_SESSION_TOKEN": canaries["token"]}
    with canaries.watched_processes() as seen:
        uri = f"s3://{s3_server.BUCKET}/secrets/{time.time_ns()}"
        tasks.run("store", "push", "data", uri, "-v", **right)
        for words in (("push", "data", uri), ("pull", uri, "copy"), ("ls", uri), ("verify", uri)):
            tasks.run("store", *words, "-v", code=1, **wrong)
    assert seen == set()
    assert right["AWS_SECRET_ACCESS_KEY"].encode() not in tasks.printed
    nothing_in(canaries, tasks)


def test_compiled_yaml_has_no_key_of_who_compiles(canaries, tasks):
    toy_spec(tasks.folder, images=1, validation=1)
    with_keys(tasks.folder / "spec.txt", canaries)
    keys = {
        "FRCNN_KEY": canaries["model"],
        "AWS_SECRET_ACCESS_KEY": canaries["unused-aws"],
        "WANDB_API_KEY": canaries["wandb"],
    }
    tasks.run("pipeline", "-v", "compile", "-o", "pipeline.yaml", **keys)
    assert (tasks.folder / "pipeline.yaml").stat().st_size > 1000
    nothing_in(canaries, tasks, "spec.txt")


SECRET = re.compile(r"key|secret|token|password|credential", re.IGNORECASE)
# What a build may take from outside, by `--build-arg`; anything else would need a line here.
ARGUMENTS = {
    "BASE",
    "BUILD_BASE",
    "BUILD_IMAGE",
    "RUN_IMAGE",
    "EXTRAS",
    "PIP_OPTIONS",
    "FRCNN_WHEELS",
    "HOROVOD_GPU_OPERATIONS",
}


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("components/*/Dockerfile")), ids=lambda path: path.parent.name
)
def test_no_image_takes_a_secret_into_a_layer(path):
    lines = [line.strip() for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    named = {word.partition("=")[0] for line in lines if line.startswith("ARG ") for word in line.split()[1:]}
    assert named <= ARGUMENTS
    assert not [line for line in lines if line.startswith("ENV ") and SECRET.search(line)]
    # Folders are copied by name, and .dockerignore lets in only what is listed there.
    assert not [line for line in lines if line.startswith("COPY . ") or line.startswith("ADD ")]
    assert (ROOT / ".dockerignore").read_text().split("\n")[0].startswith(("*", "#"))
