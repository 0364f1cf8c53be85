"""Requirements of the container tests: a separate Docker daemon, a base image made here, all images.

No registry is needed. The base is a Debian made by debootstrap from the machine's own package source; Python
packages come from a wheelhouse that pip fills as it is set up on this machine. Both, and the daemon's images,
are kept below ~/.cache/frcnn/containers, so that a second run builds only what has changed.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.base.install_packages import locked, required

ROOT = Path(__file__).parents[2]
CACHE = Path.home() / ".cache" / "frcnn" / "containers"
BASE = "frcnn-base:bookworm"
# The same with what an MPIJob's pods run.
TRAIN_BASE = "frcnn-train-base:bookworm"
BUILD_BASE = "frcnn-build-base:bookworm"
PACKAGES = {
    BASE: "python3,python3-pip,python3-venv,ca-certificates",
    TRAIN_BASE: "python3,python3-pip,python3-venv,ca-certificates,openmpi-bin,openssh-client,openssh-server",
}
HOROVOD = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "frcnn" / "wheels"
WHEELS = "/wheels"
TAG = "test"
STEPS = ("convert", "train", "evaluate", "inference", "prune", "export", "publish")
READY_SECONDS = 60
# Where containers and the S3 server of the tests meet, and the keys to it.
NETWORK, BUCKET = "frcnn-test", "frcnn"
KEYS = {"AWS_ACCESS_KEY_ID": "minio", "AWS_SECRET_ACCESS_KEY": "minio123"}


def missing() -> str:
    """Why no container can run here; empty if they can."""
    if os.geteuid() != 0:
        return "a Docker daemon of the tests' own needs root"
    if not list(HOROVOD.glob("horovod-*/horovod-*.whl")):
        return "no wheel of Horovod for the train image: make horovod"
    absent = [name for name in ("dockerd", "docker", "debootstrap", "apt-get") if not shutil.which(name)]
    if absent:
        return f"not installed: {', '.join(absent)} (Debian's docker.io and debootstrap)"
    return ""


@contextlib.contextmanager
def daemon() -> Iterator[dict[str, str]]:
    """A Docker daemon; yields the environment in which `docker` finds it."""
    folder = CACHE / "docker"
    folder.mkdir(parents=True, exist_ok=True)
    socket = f"unix://{folder}/docker.sock"
    command = [
        "dockerd", "-H", socket, "--data-root", folder / "data", "--exec-root", folder / "exec",
        "--pidfile", folder / "docker.pid",
        "--default-ulimit", "nofile=4096:4096", "--default-ulimit", "nproc=4096:4096",
    ]  # fmt: skip
    environment = {**os.environ, "DOCKER_HOST": socket, "DOCKER_BUILDKIT": "0"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)
    try:
        _wait_until_ready(process, environment, folder / "log")
        yield environment
    finally:
        process.terminate()
        process.wait(60)


def _wait_until_ready(process: "subprocess.Popen[bytes]", environment: dict[str, str], log: Path) -> None:
    for _ in range(2 * READY_SECONDS):
        if process.poll() is not None:
            pytest.skip(f"dockerd does not run here: {log.read_text()[-300:]}")
        if docker(environment, "info", check=False).returncode == 0:
            return
        time.sleep(0.5)
    pytest.skip(f"dockerd was not ready after {READY_SECONDS} s")


def docker(environment: dict[str, str], *words: object, check: bool = True) -> subprocess.CompletedProcess:
    """Runs the docker command line."""
    done = subprocess.run(
        ["docker", *map(str, words)], env=environment, capture_output=True, text=True, check=False
    )
    if check and done.returncode:
        raise AssertionError(
            f"docker {' '.join(map(str, words))}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return done


def build_images(environment: dict[str, str]) -> str:
    """Builds all images from the wheelhouse, without a network; returns what `make images` prints."""
    for name in PACKAGES:
        _base(environment, name)
    _build_base(environment)
    former = _ids(environment)
    done = subprocess.run(
        [ROOT / "scripts" / "build_images.sh"],
        env={
            **environment,
            "TAG": TAG,
            "BASE": BASE,
            "TRAIN_BASE": TRAIN_BASE,
            "FRCNN_WHEELS": f"{WHEELS}/horovod",
            "BUILD_BASE": BUILD_BASE,
            "BUILD_OPTIONS": "--network=none",
            "PIP_OPTIONS": f"--no-index --find-links {WHEELS}",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for image in former - _ids(environment):
        docker(environment, "image", "rm", image, check=False)
    # Stages of former builds, 2 GB each; those of the last day are the cache of the next build.
    docker(environment, "image", "prune", "--force", "--filter", "until=24h")
    return done.stdout


def _ids(environment: dict[str, str]) -> set[str]:
    """Returns the ids of the images that have a name."""
    names = [f"frcnn-{step}:{TAG}" for step in STEPS]
    return set(
        docker(environment, "image", "inspect", "--format", "{{.Id}}", *names, check=False).stdout.split()
    )


def _base(environment: dict[str, str], name: str) -> None:
    """Debian with Python 3.11, as the image that the Dockerfiles stand on."""
    if docker(environment, "image", "inspect", name, check=False).returncode == 0:
        return
    archive = CACHE / f"{name.partition(':')[0]}.tar"
    if not archive.exists():
        folder, partial = CACHE / "rootfs", archive.with_suffix(".partial")
        shutil.rmtree(folder, ignore_errors=True)
        _run("debootstrap", "--variant=minbase", f"--include={PACKAGES[name]}", "bookworm", folder, _mirror())
        _run("tar", "-C", folder, "-cf", partial, ".")
        partial.rename(archive)
        shutil.rmtree(folder)
    docker(environment, "import", archive, name)
    archive.unlink()  # the daemon has it now


def _mirror() -> str:
    """The address of the machine's own package source."""
    listed = _run("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages")
    for line in listed.splitlines():
        address, release = line.split()
        if release in ("bookworm", "stable"):
            return address
    pytest.skip("apt knows no source of Debian bookworm")


def _build_base(environment: dict[str, str]) -> None:
    """The base with a wheelhouse in it, which images are built from and none is based on."""
    house = _wheelhouse()
    name = house.name
    label = docker(
        environment, "image", "inspect", "--format", "{{.Config.Labels.wheels}}", BUILD_BASE, check=False
    )
    if label.stdout.strip() == name:
        return
    dockerfile = house.parent / f"{name}.Dockerfile"
    dockerfile.write_text(f"FROM {TRAIN_BASE}\nLABEL wheels={name}\nCOPY . {WHEELS}\n")
    docker(environment, "build", "--network=none", "-f", dockerfile, "-t", BUILD_BASE, house)


def _wheelhouse() -> Path:
    """Wheels of all that the images install."""
    locks = [ROOT / "locks" / name for name in ("cpu.txt", "build.txt")]
    pinned_by = (*locks, ROOT / "constraints.txt", ROOT / "shared" / "pyproject.toml")
    facts = b"".join(path.read_bytes() for path in pinned_by)
    house = CACHE / f"wheels-{hashlib.sha256(facts).hexdigest()[:12]}"
    if not house.exists():
        for former in CACHE.glob("wheels-*"):
            shutil.rmtree(former) if former.is_dir() else former.unlink()
        partial = house.with_suffix(".partial")
        extras = ["convert", "train", "evaluate", "inference", "export", "cluster", "cpu", "s3"]
        project = tomllib.loads((ROOT / "shared/pyproject.toml").read_text())["project"]
        partial.mkdir(parents=True)
        versions = partial / "versions.txt"
        lines = [line for path in locks for line in locked(path.read_text()).values()]
        versions.write_text("".join(f"{line.partition(' --hash')[0]}\n" for line in lines))
        pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check")
        pinned = ("--constraint", versions, "--wheel-dir", partial)
        _run(*pip, *pinned, *required(project, extras), "setuptools", "wheel")
        horovods = ("--constraint", ROOT / "constraints.txt", "cloudpickle", "psutil", "pyyaml", "packaging")
        _run(*pip, *pinned, *horovods)
        for folder in HOROVOD.glob("horovod-*-cpu-*"):
            shutil.copytree(folder, partial / "horovod" / folder.name)
        partial.rename(house)
    return house


def _run(*words: object) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
