"""Steps as containers: what the daemon is asked, by a client that notes it."""

import gc
import json
import os
from pathlib import Path
from types import SimpleNamespace

import docker.errors
import pytest
from kfp import local
from kfp.local.status import Status

from frcnn.errors import RunError
from pipelines.local import containers
from pipelines.local.containers import Containers, container_handler, docker_client, image_ids


class Container:
    def __init__(self, code, notes):
        self.code, self.notes = code, notes

    def start(self):
        self.notes.append("start")

    def logs(self, **_):
        yield b"half a line "
        yield b"and the rest\n"
        if self.code is None:
            raise KeyboardInterrupt

    def wait(self):
        return {"StatusCode": self.code}

    def stop(self, timeout):
        self.notes.append(f"stop within {timeout}")

    def remove(self, force):
        self.notes.append("remove")


@pytest.fixture(autouse=True)
def nothing_to_pass_on(monkeypatch):
    known = (*containers._PASSED_ON, *containers._FILES)
    for name in [name for name in os.environ if name.startswith(known)]:
        monkeypatch.delenv(name)


@pytest.fixture
def client():
    """A client of a daemon that has the image `frcnn-train:1`."""
    notes, asked = [], {}

    def create(image, **given):
        asked.update(image=image, **given)
        return Container(made.code, notes)

    def get(name):
        if name != "frcnn-train:1":
            raise docker.errors.ImageNotFound(name)
        return SimpleNamespace(id="sha256:aa")

    def pull(name):
        raise docker.errors.APIError("refused", explanation="pull access denied")

    made = SimpleNamespace(
        containers=SimpleNamespace(create=create),
        images=SimpleNamespace(get=get, pull=pull),
        notes=notes,
        asked=asked,
        code=0,
    )
    return made


def run(client, tmp_path, settings=None):
    handler = container_handler(client, settings or Containers())
    runner = local.SubprocessRunner(use_venv=False)
    return handler(
        "frcnn-train:1", ["python", "-m", "step"], str(tmp_path / "root"), runner, {"A": "b"}
    ).run()


def test_the_command_takes_the_place_of_the_images_entry_point(client, tmp_path, capsys):
    assert run(client, tmp_path) == Status.SUCCESS
    assert client.asked["entrypoint"] == ["python"]
    assert client.asked["command"] == ["-m", "step"]
    assert client.asked["user"] == f"{os.getuid()}:{os.getgid()}"
    assert client.notes == ["start", "remove"]
    assert capsys.readouterr().err == "half a line and the rest\n"


def test_folders_are_seen_where_they_are_here_and_only_outputs_can_be_written(client, tmp_path):
    settings = Containers(read=(tmp_path / "data",), written=(tmp_path / "kept",), network="net")
    run(client, tmp_path, settings)
    modes = {place: each["mode"] for place, each in client.asked["volumes"].items()}
    assert modes == {
        str(tmp_path / "data"): "ro",
        str(tmp_path / "kept"): "rw",
        str(tmp_path / "root"): "rw",
    }
    assert all(place == each["bind"] for place, each in client.asked["volumes"].items())
    assert client.asked["network"] == "net"


def test_steps_learn_how_to_reach_s3_and_nothing_else_of_the_environment(client, tmp_path, monkeypatch):
    monkeypatch.setenv("S3_ENDPOINT", "http://s3:8333")
    monkeypatch.setenv("FRCNN_KEY_FILE", "/run/key")
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    run(client, tmp_path)
    assert client.asked["environment"] == {
        "A": "b",
        "S3_ENDPOINT": "http://s3:8333",
        "FRCNN_KEY_FILE": "/run/key",
    }
    assert client.asked["volumes"]["/run/key"] == {"bind": "/run/key", "mode": "ro"}


def test_an_exit_code_other_than_0_is_a_failure(client, tmp_path):
    client.code = 1
    assert run(client, tmp_path) == Status.FAILURE
    assert client.notes == ["start", "remove"]


def test_a_run_that_is_interrupted_ends_its_container(client, tmp_path):
    client.code = None
    with pytest.raises(KeyboardInterrupt):
        run(client, tmp_path)
    assert client.notes == ["start", "stop within 30", "remove"]


def test_the_ids_of_images_stand_for_their_code(client):
    assert image_ids(client, ["frcnn-train:1"]) == {"frcnn-train:1": "sha256:aa"}


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            "frcnn-train:2",
            "step train: image frcnn-train:2: it is not on this machine. Build it with make images",
        ),
        ("my.registry/frcnn-prune:1", "step prune: image .*: it cannot be pulled: pull access denied"),
    ],
)
def test_a_missing_image_is_named_with_its_step_and_the_remedy(client, image, message):
    with pytest.raises(RunError, match=message):
        image_ids(client, [image])


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_daemon_is_an_error_that_names_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(RunError, match=r"the Docker daemon does not respond .* --runner process"):
        docker_client()
    gc.collect()  # the SDK leaves the socket open on which nobody answered


def test_a_command_too_long_for_linux_is_read_from_a_file_that_the_container_sees(
    client, tmp_path, monkeypatch
):
    command = ["python", "-m", "components.train.main", "--spec", "x" * 200_000]
    (tmp_path / "root").mkdir()
    found = []

    def start(container):
        *words, file = client.asked["command"]
        found.append((words, json.loads(Path(file).read_bytes()), Path(file)))

    monkeypatch.setattr(Container, "start", start)
    handler = container_handler(client, Containers())
    assert handler("frcnn-train:1", command, str(tmp_path / "root"), None).run() == Status.SUCCESS
    ((words, given, file),) = found
    assert client.asked["entrypoint"] == ["python"]
    assert words == ["-P", "-m", "frcnn.console.step_process", "components.train.main"]
    assert given == {"command": command, "parent": 0}
    assert file.parent == tmp_path / "root" and not file.exists()
