"""Runs steps as containers on this machine, each in its own image.

KFP's local Docker runner does not override an image's entry point. It can also report success for a step that
fails at once, because the container is removed before its exit code is read. This runner creates, starts,
waits, reads the exit code, and then removes.
"""

import contextlib
import dataclasses
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kfp.local.status import Status

from frcnn.console import step_process
from frcnn.errors import RunError
from frcnn.sealing.keys import KEY_FILE_VARIABLE, KEY_VARIABLE
from pipelines.local.processes import ProcessTaskHandler

log = logging.getLogger("frcnn.pipeline")

# Seconds for a step to clean up before it is killed.
_GRACE_SECONDS = 30
_SHARED_MEMORY = "2g"
# Linux limits a single argument to 128 KiB.
_MAX_ARGUMENT_BYTES = 128 << 10
# Prefixes of environment variables passed to steps: access to S3, the key of model files, the webhook.
_PASSED_ON = ("S3_", "AWS_", "MINIO_", KEY_VARIABLE, "FRCNN_WEBHOOK")
_FILES = ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "AWS_SHARED_CREDENTIALS_FILE", KEY_FILE_VARIABLE)


@dataclasses.dataclass(frozen=True)
class Containers:
    """Settings of the steps' containers.

    Attributes:
        read: Folders that steps read, mounted read-only at the same path.
        written: Folders that steps write, mounted at the same path.
        network: Docker network of the containers; empty for Docker's default.
    """

    read: tuple[Path, ...] = ()
    written: tuple[Path, ...] = ()
    network: str = ""


def docker_client() -> Any:
    """Connects to the Docker daemon (or Podman's service) that DOCKER_HOST selects.

    Raises:
        RunError: The daemon does not respond.
    """
    import docker
    import docker.errors

    try:
        client = docker.from_env()
        client.ping()
    except (docker.errors.DockerException, OSError) as error:
        raise RunError(
            f"--runner docker: the Docker daemon does not respond ({error}). Start it, set DOCKER_HOST, "
            "or use --runner process."
        ) from error
    return client


def image_ids(client: Any, images: list[str]) -> dict[str, str]:
    """Returns the id of each image, which changes with its content. Pulls missing images.

    Args:
        client: Docker client.
        images: Names of the images.

    Returns:
        Ids by name.

    Raises:
        RunError: An image is missing and cannot be pulled.
    """
    return {image: _image(client, image).id for image in images}


def container_handler(client: Any, settings: Containers) -> type[ProcessTaskHandler]:
    """Creates a handler class that runs each step in a container.

    Args:
        client: Docker client.
        settings: Settings of the containers.

    Returns:
        Handler class.
    """

    class ContainerTaskHandler(ProcessTaskHandler):
        """Handler that runs the command of a step in its image."""

        started = 0

        def run(self) -> Status:
            """Runs the container. Its output goes to the table, or else to stderr."""
            type(self).started += 1
            volumes = _volumes(settings, Path(self.pipeline_root))
            with _short(self.full_command, Path(self.pipeline_root)) as command:
                return self._run(command, volumes)

        def _run(self, command: list[str], volumes: dict[str, dict[str, str]]) -> Status:
            container = client.containers.create(
                self.image,
                entrypoint=command[:1],
                command=command[1:],
                environment={**_environment(), **self.env_vars, **self.secrets},
                volumes=volumes,
                network=settings.network or None,
                shm_size=_SHARED_MEMORY,
                # Output files belong to the user who runs the pipeline.
                user=f"{os.getuid()}:{os.getgid()}",
            )
            try:
                container.start()
                for chunk in container.logs(stream=True, follow=True):
                    _pass_on(chunk.decode("utf-8", "replace"), self.say)
                code = container.wait()["StatusCode"]
            except BaseException:
                container.stop(timeout=_GRACE_SECONDS)
                raise
            finally:
                container.remove(force=True)
            return Status.SUCCESS if code == 0 else Status.FAILURE

    return ContainerTaskHandler


@contextlib.contextmanager
def _short(command: list[str], folder: Path) -> Iterator[list[str]]:
    """Replaces a command with an argument that is too long for Linux by one that reads a file.

    Args:
        command: Command of a step.
        folder: Folder that the container sees at the same path.

    Yields:
        Command to run.
    """
    if max(len(os.fsencode(word)) for word in command) < _MAX_ARGUMENT_BYTES:
        yield command
        return
    with tempfile.NamedTemporaryFile(prefix=".command-", dir=folder) as file:
        file.write(step_process.encode(command, 0))
        file.flush()
        name = step_process.name_of(command)
        yield [step_process.PYTHON, "-P", "-m", step_process.MODULE, name, file.name]


def _pass_on(text: str, say: Callable[[str], None] | None) -> None:
    if say is None:
        sys.stderr.write(text)
        sys.stderr.flush()
        return
    for line in text.splitlines():
        say(line)


def _image(client: Any, name: str) -> Any:
    import docker.errors

    try:
        return client.images.get(name)
    except docker.errors.ImageNotFound:
        pass
    if "/" in name:
        log.info("Pulling %s", name)
        try:
            return client.images.pull(name)
        except docker.errors.APIError as error:
            raise RunError(_absent(name, f"it cannot be pulled: {error.explanation}")) from error
    raise RunError(_absent(name, "it is not on this machine"))


def _absent(image: str, why: str) -> str:
    step = image.rpartition("/")[2].partition(":")[0].removeprefix("frcnn-")
    return (
        f"step {step}: image {image}: {why}. Build it with make images, select another with --registry and "
        "--tag, or use --runner process."
    )


def _volumes(settings: Containers, root: Path) -> dict[str, dict[str, str]]:
    volumes = {str(path): {"bind": str(path), "mode": "ro"} for path in settings.read}
    for name in _FILES:
        if given := os.environ.get(name):
            absolute = str(Path(given).absolute())
            volumes[absolute] = {"bind": absolute, "mode": "ro"}
    for path in (*settings.written, root):
        path.mkdir(parents=True, exist_ok=True)
        volumes[str(path)] = {"bind": str(path), "mode": "rw"}
    return volumes


def _environment() -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    files = {name: str(Path(os.environ[name]).absolute()) for name in _FILES if os.environ.get(name)}
    return {**given, **files}
