"""The train image as an MPIJob's pods: a launcher and two workers, with mpi-operator's keys and hostfile.

Names, commands and variables are those of the manifest that the train step would send to a cluster.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.mpijob.manifest import manifest
from components.train.main import parser
from components.train.worker_job import Request, described, pod_options
from frcnn.steps.specs import experiment_given
from frcnn.storage import Store
from frcnn.storage.settings import Settings
from frcnn.training.run_folder import epoch_of
from tests.pipeline.tiny import SPEC, write_data
from tests.support.containers import BUCKET, KEYS, NETWORK, TAG, docker

pytestmark = [pytest.mark.container, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
WORKERS = 2
KILL_AFTER_EPOCH, EPOCHS = 2, 8
PATIENCE_SECONDS = 600


@pytest.fixture(scope="module")
def store(s3):
    return Store(Settings.from_environment({"S3_ENDPOINT": s3, **KEYS, "S3_PATIENCE_SECONDS": "60"}))


@pytest.fixture(scope="module")
def records(store, tmp_path_factory):
    """Returns the S3 location of convert's records."""
    folder = tmp_path_factory.mktemp("records")
    data = write_data(folder / "data")
    command = [sys.executable, "-m", "components.convert.main", "--data", data, "--records", folder / "out"]
    path = os.pathsep.join([str(ROOT / "shared" / "src"), str(ROOT)])
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path})
    uri = f"s3://{BUCKET}/mpi/records"
    for path in (folder / "out").iterdir():
        store.upload_file(path, f"{uri}/{path.name}")
    return uri


@pytest.fixture(scope="module")
def mounts(tmp_path_factory):
    """Keys and hostfile, and the options that mount them."""
    folder = tmp_path_factory.mktemp("mpi")
    keys, config = folder / "ssh", folder / "mpi"
    keys.mkdir()
    config.mkdir()
    # The kinds and modes of mpi-operator's secret: owned by root, readable by all.
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ecdsa", "-b", "521", "-N", "", "-f", keys / "id_rsa"], check=True
    )
    (keys / "authorized_keys").write_text((keys / "id_rsa.pub").read_text())
    for path in keys.iterdir():
        path.chmod(0o644)
    (config / "hostfile").touch()
    for each in (folder, keys, config):
        each.chmod(0o755)
    options = ("-v", f"{keys}:/home/mpiuser/.ssh:ro", "-v", f"{config}:/etc/mpi:ro")
    return config / "hostfile", options


class Job:
    """An MPIJob's pods as containers. Its launcher is started as often as a Job controller would."""

    def __init__(self, engine, s3, mounts, document):
        self.engine, self.spec = engine, document["spec"]["mpiReplicaSpecs"]
        self.name = document["metadata"]["name"]
        self.hosts = [f"{self.name}-worker-{i}" for i in range(self.spec["Worker"]["replicas"])]
        hostfile, options = mounts
        hostfile.write_text("".join(f"{host}.{self.name}.team.svc slots=1\n" for host in self.hosts))
        # As the manifest's securityContext and its volume for /tmp ask for.
        self.options = ["--network", NETWORK, "--read-only", "--tmpfs", "/tmp:rw,exec,mode=1777", *options]
        self.secrets = {"S3_ENDPOINT": s3, **KEYS}
        for host in self.hosts:
            self.start_worker(host)

    def container(self, role):
        return self.spec[role]["template"]["spec"]["containers"][0]

    def variables(self, role):
        """As the kubelet would set them; secrets that are not there are left out."""
        words = []
        for each in self.container(role)["env"]:
            value = each.get("value", self.secrets.get(each["name"]))
            words += ["-e", f"{each['name']}={value}"] if value is not None else []
        return words

    def start_worker(self, host):
        container = self.container("Worker")
        self.forget(host)
        docker(
            self.engine, "run", "-d", "--name", host, "--hostname", host,
            "--network-alias", f"{host}.{self.name}.team.svc", *self.options, *self.variables("Worker"),
            f"frcnn-train:{TAG}", *container["command"], *container["args"],
        )  # fmt: skip

    def launch(self):
        """Starts the launcher as mpi-operator does; a process whose output is the launcher's log."""
        self.forget(f"{self.name}-launcher")
        settings = {
            "OMPI_MCA_orte_default_hostfile": "/etc/mpi/hostfile",
            "OMPI_MCA_orte_keep_fqdn_hostnames": "true",
            "OMPI_MCA_plm_rsh_args": "-o ConnectionAttempts=10",
            "OMPI_MCA_orte_set_default_slots": "1",
            "K_MPI_JOB_ROLE": "launcher",
        }
        words = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
        command = [
            "docker", "run", "--name", f"{self.name}-launcher", *self.options, *words,
            *self.variables("Launcher"), f"frcnn-train:{TAG}", *self.container("Launcher")["command"],
        ]  # fmt: skip
        return subprocess.Popen(
            command, env=self.engine, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def forget(self, *names):
        docker(self.engine, "rm", "-f", *names, check=False)

    def end(self):
        self.forget(*self.hosts, f"{self.name}-launcher")


@pytest.fixture
def job(engine, images, s3, mounts, records, store, request, monkeypatch):
    """Makes the pods of a training of so many epochs; gives the URI of its checkpoints too."""
    made = []
    for name in ("S3_ENDPOINT", *KEYS):
        monkeypatch.delenv(name, raising=False)

    def make(epochs):
        checkpoints = f"s3://{BUCKET}/mpi/{request.node.name}"
        flags = ["--spec", SPEC, "--records", "/nowhere", "--records-uri", records, "--epochs", str(epochs)]
        flags += ["--num-workers", str(WORKERS), "--image", f"frcnn-train:{TAG}", "--model", "/nowhere"]
        spec = experiment_given(SPEC.replace("num_epochs: 1", f"num_epochs: {epochs} checkpoint_interval: 1"))
        wanted = Request.of(
            parser().parse_args(flags), checkpoints, spec_text=spec.text, spec_key="", total_epochs=epochs
        )
        store.write(f"{checkpoints}.spec.txt", spec.text.encode())
        made.append(Job(engine, s3, mounts, manifest(described(wanted, pod_options(""), "team"))))
        return made[-1], checkpoints

    yield make
    for each in made:
        each.end()


def newest(store, uri):
    return max((epoch_of(entry.name) for entry in store.list(uri)), default=0)


def test_two_workers_train_by_mpirun_from_records_to_checkpoints_on_s3(job, store):
    training, checkpoints = job(2)
    launcher = training.launch()
    log, _ = launcher.communicate(timeout=PATIENCE_SECONDS)
    assert launcher.returncode == 0, log
    assert "epoch 2/2" in log
    # 4 batches of 2, which two processes share.
    assert "8 training images, 2 steps per epoch" in log
    assert newest(store, checkpoints) == 2
    assert {"status.json", "training_log.csv"} <= {entry.name for entry in store.list(checkpoints)}


def test_a_training_goes_on_from_s3_after_a_worker_was_killed(job, store, engine):
    training, checkpoints = job(EPOCHS)
    launcher = training.launch()
    until = time.monotonic() + PATIENCE_SECONDS
    while newest(store, checkpoints) < KILL_AFTER_EPOCH and time.monotonic() < until:
        assert launcher.poll() is None, launcher.communicate()[0]
        time.sleep(0.5)
    docker(engine, "kill", training.hosts[1])
    log, _ = launcher.communicate(timeout=PATIENCE_SECONDS)
    assert launcher.returncode != 0
    reached = newest(store, checkpoints)
    assert KILL_AFTER_EPOCH <= reached < EPOCHS, log

    training.start_worker(training.hosts[1])
    launcher = training.launch()
    log, _ = launcher.communicate(timeout=PATIENCE_SECONDS)
    assert launcher.returncode == 0, log
    assert f"epoch_{reached}.keras, {reached} of {EPOCHS} epochs" in log
    assert newest(store, checkpoints) == EPOCHS
