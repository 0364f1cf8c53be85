"""The train step with several workers: real steps and a real S3 server, against the API double.

The double plays mpi-operator; it runs the launcher's command as one process of this machine.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.train import main as train_step
from components.train.distributed import train_on_workers
from components.train.worker_job import OPTIONS_VARIABLE, Request, described, pod_options
from frcnn.errors import RunError, UsageError
from frcnn.model.build import build
from frcnn.model.files.checkpoint import save_model
from frcnn.model.files.training_record import TrainingRecord
from frcnn.settings.model import model_settings
from frcnn.steps.specs import experiment_given
from frcnn.storage import Store
from frcnn.storage.settings import Settings
from tests.pipeline.tiny import SPEC, write_data
from tests.support import mpi_operator, s3_server
from tests.support.unmeasured import unmeasured

ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join([str(ROOT / "shared" / "src"), str(ROOT)])
SECRET = "a passphrase that nobody may see"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with s3_server.running(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def environment(server, double, tmp_path, monkeypatch):
    """A pod of Kubeflow's, as far as a step can tell."""
    kubeconfig = tmp_path / "config"
    context = {"name": "it", "context": {"cluster": "it", "user": "me", "namespace": "team"}}
    content = {
        "clusters": [{"name": "it", "cluster": {"server": double.url}}],
        "users": [{"name": "me", "user": {"token": "x"}}],
        "contexts": [context],
        "current-context": "it",
    }
    kubeconfig.write_text(yaml.safe_dump(content), encoding="utf-8")
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
    more = {"KUBECONFIG": str(kubeconfig), "KFP_POD_NAME": "step-1", "KFP_POD_UID": "uid-1"}
    for name, value in {**server.environment(), **more, "PYTHONPATH": PATH}.items():
        monkeypatch.setenv(name, value)
    return dict(os.environ)


@pytest.fixture(scope="module")
def records(server, tmp_path_factory):
    """Provides the output of convert: its local folder, and its URI on S3 as in Kubeflow."""
    folder = tmp_path_factory.mktemp("records")
    data = write_data(folder / "data")
    command = [sys.executable, "-m", "components.convert.main", "--data", data, "--records", folder / "out"]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": PATH})
    store, address = (
        Store(Settings.from_environment(server.environment())),
        f"{s3_server.BUCKET}/v2/artifacts/run-1/records",
    )
    for path in (folder / "out").iterdir():
        store.upload_file(path, f"s3://{address}/{path.name}")
    return folder / "out", f"minio://{address}"


def flags(records, place, tmp_path, *more):
    folder, uri = records
    words = {
        "--spec": SPEC,
        "--records": folder,
        "--records-uri": uri,
        "--checkpoints": f"s3://{s3_server.BUCKET}/{place}",
        "--num-workers": 2,
        "--image": "registry.example/frcnn-train:1",
        "--model": tmp_path / "model",
        "--metrics": tmp_path / "metrics.json",
    }
    return [str(word) for pair in words.items() for word in pair] + list(more)


def launches(double, job):
    """The operator; its pods are one process here, in which the launcher's command runs."""
    name = job["metadata"]["name"]
    launcher = mpi_operator.runs(double, job)
    (container,) = job["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]["containers"]
    words = container["command"][container["command"].index("python") :]
    given = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    done = subprocess.run(
        [sys.executable, *words[1:]], capture_output=True, text=True, env={**os.environ, **given}
    )
    double.write_log(launcher, *(done.stdout + done.stderr).splitlines())
    double.pod(name, "launcher", status=mpi_operator.ended(done.returncode))
    if done.returncode:
        double.condition(name, "Failed", reason="BackoffLimitExceeded", message="backoff limit")
    else:
        double.condition(name, "Succeeded", message=f"MPIJob {name} successfully completed.")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_step_trains_on_workers_and_brings_their_model(double, environment, records, tmp_path, capsys):
    double.on_create = launches
    assert train_step.main(flags(records, "kept", tmp_path)) == 0
    assert (tmp_path / "model" / "model.keras").stat().st_size > 10_000
    assert json.loads((tmp_path / "metrics.json").read_text())["epochs"] == 1
    assert "epoch 1/1" in capsys.readouterr().out
    created = double.calls.count(("create", "kubeflow.org", "mpijobs"))
    assert created == 1

    # The pod was lost after that: the step that takes its place finds the training finished.
    again = flags(records, "kept", tmp_path / "again")
    assert train_step.main(again) == 0
    assert double.calls.count(("create", "kubeflow.org", "mpijobs")) == created
    models = [(tmp_path / place / "model.keras").read_bytes() for place in ("model", "again/model")]
    assert models[0] == models[1]

    # And a retraining starts from a model that workers find on S3.
    uri = f"s3://{s3_server.BUCKET}/v2/artifacts/run-1/pruned"
    Store.from_environment().upload_file(tmp_path / "model" / "model.keras", f"{uri}/model.keras")
    start = ("--start-from", str(tmp_path / "model"), "--start-from-uri", uri)
    assert train_step.main(flags(records, "kept", tmp_path / "retrained", *start)) == 0
    assert (tmp_path / "retrained" / "model" / "model.keras").is_file()
    assert double.calls.count(("create", "kubeflow.org", "mpijobs")) == created + 1


@pytest.mark.slow
def test_cancelling_the_step_deletes_the_job(double, environment, records, tmp_path):
    double.on_create = mpi_operator.runs
    command = [sys.executable, "-m", "components.train.main", *flags(records, "cancelled", tmp_path)]
    step = subprocess.Popen(command, env=unmeasured(environment), stderr=subprocess.PIPE)
    assert double.wait_for(("watch", "kubeflow.org", "mpijobs"), 600)
    step.send_signal(signal.SIGTERM)
    _, errors = step.communicate()
    assert step.returncode == 143
    assert b"Deleted mpijob/" in errors
    assert not [key for key in double.objects if key[0] == "mpijobs"]
    assert not (tmp_path / "model" / "model.keras").exists()


@pytest.fixture
def request_of(environment, records, tmp_path):
    """The request that the step's flags make."""

    def make(*more, spec=SPEC):
        args = train_step.parser().parse_args(flags(records, "place", tmp_path, *more))
        known = experiment_given(spec)
        epochs = known.training_config.num_epochs
        return Request.of(
            args, args.checkpoints, spec_text=known.text, spec_key=known.enc_key, total_epochs=epochs
        )

    return make


def test_a_job_that_fails_ends_the_step_with_its_reason(double, cluster, quick, request_of, tmp_path):
    double.on_create = mpi_operator.fails
    with pytest.raises(RunError, match=r"mpijob/frcnn-train-.* failed: BackoffLimitExceeded.*OOMKilled"):
        train_on_workers(request_of(), tmp_path, "", connected=lambda: cluster, patience=quick)


def test_pods_that_cannot_start_end_the_step_and_the_job(double, cluster, quick, request_of, tmp_path):
    def broken(double, job):
        name = job["metadata"]["name"]
        double.condition(name, "Created")
        double.pod(name, "worker", status=mpi_operator.waiting("ImagePullBackOff", "no such image"))

    double.on_create = broken
    with pytest.raises(RunError, match=r"cannot run: pod/frcnn-train-.*-worker-0.*ImagePullBackOff"):
        train_on_workers(request_of(), tmp_path, "", connected=lambda: cluster, patience=quick)
    assert not [key for key in double.objects if key[0] == "mpijobs"]


def test_a_job_that_got_on_before_it_failed_is_started_again(
    double, cluster, quick, request_of, tmp_path, caplog
):
    """A worker is lost after an epoch; the second job fails without any, so that there is no third."""
    spec = experiment_given(SPEC.replace("num_epochs: 1", "num_epochs: 3"))
    request = dataclasses.replace(
        request_of(), spec_text=spec.text, total_epochs=3, checkpoints=f"s3://{s3_server.BUCKET}/lost"
    )
    checkpoint = tmp_path / "frcnn_resnet_10.epoch_1.keras"
    record = TrainingRecord(spec.model_config.arch, ("circle", "square", "triangle"), epoch=1)
    save_model(build(model_settings(spec)), checkpoint, record)

    def loses_a_worker(double, job):
        double.condition(job["metadata"]["name"], "Created")
        if checkpoint.exists():
            Store.from_environment().upload_file(checkpoint, f"{request.checkpoints}/{checkpoint.name}")
            checkpoint.unlink()
        mpi_operator.fails(double, job)

    double.on_create = loses_a_worker
    with pytest.raises(RunError, match="BackoffLimitExceeded"):
        train_on_workers(request, tmp_path / "folder", "", connected=lambda: cluster, patience=quick)
    assert caplog.text.count("Restarting from epoch 1, because the job made progress") == 1
    assert caplog.text.count("Created mpijob/") == 2


def crowded(room):
    """The operator of a cluster whose nodes take `room` workers."""

    def operator(double, job):
        name, wanted = job["metadata"]["name"], mpi_operator.workers_of(job)
        if wanted <= room:
            return mpi_operator.succeeds(double, job)
        double.condition(name, "Created")
        for index in range(wanted):
            status = mpi_operator.RUNNING
            if index >= room:
                status = mpi_operator.unschedulable("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
            double.pod(name, "worker", index, status=status)

    return operator


def test_where_there_is_no_room_for_all_the_workers_that_fit_train(
    double, cluster, quick, request_of, tmp_path, caplog
):
    double.on_create = crowded(3)
    request = request_of("--num-workers", "5", "--min-workers", "2")
    with pytest.raises(RunError, match="there is no checkpoint"):  # the operator here computes nothing
        train_on_workers(request, tmp_path, "", connected=lambda: cluster, patience=quick)
    ((_, job),) = [(key, each) for key, each in double.objects.items() if key[0] == "mpijobs"]
    assert mpi_operator.workers_of(job) == 3
    assert "Continuing with 3 workers, which fit into the cluster" in caplog.text


@pytest.mark.parametrize("least", ["0", "4"])
def test_with_less_room_than_was_asked_for_the_step_ends(least, double, cluster, quick, request_of, tmp_path):
    double.on_create = crowded(3)
    request = request_of("--num-workers", "5", "--min-workers", least)
    with pytest.raises(RunError, match=r"cannot run: pod/.*: no node can take it: .*Insufficient nvidia"):
        train_on_workers(request, tmp_path, "", connected=lambda: cluster, patience=quick)
    assert not [key for key in double.objects if key[0] == "mpijobs"]


def test_success_without_a_checkpoint_is_a_failure(double, cluster, quick, request_of, tmp_path):
    double.on_create = mpi_operator.succeeds
    with pytest.raises(RunError, match="Check that this step and the workers use"):
        train_on_workers(request_of(), tmp_path, "", connected=lambda: cluster, patience=quick)


def test_equal_requests_are_the_same_job_and_others_are_not(request_of):
    names = [
        described(request_of(*more), pod_options(options), "team").name
        for more, options in (
            ((), ""),
            ((), ""),
            (("--num-workers", "3"), ""),
            (("--epochs", "7"), ""),
            ((), "--memory 8Gi"),
        )
    ]
    assert names[0] == names[1]
    assert len(set(names)) == len(names) - 1


def test_no_secret_is_in_the_job_or_in_the_spec_on_s3(
    double, cluster, quick, request_of, monkeypatch, tmp_path
):
    monkeypatch.setenv("FRCNN_KEY", SECRET)
    request = request_of(spec=f'enc_key: "{SECRET}"\n{SPEC}')
    double.on_create = mpi_operator.succeeds
    with pytest.raises(RunError, match="there is no checkpoint"):
        train_on_workers(request, tmp_path, SECRET, connected=lambda: cluster, patience=quick)
    ((_, job),) = [(key, each) for key, each in double.objects.items() if key[0] == "mpijobs"]
    text = json.dumps(job)
    assert SECRET not in text
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in text
    (container,) = job["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]["containers"]
    by_name = {each["name"]: each for each in container["env"]}
    wanted = {"name": "frcnn-model-key", "key": "key", "optional": True}
    assert by_name["FRCNN_KEY"]["valueFrom"]["secretKeyRef"] == wanted
    assert SECRET not in Store.from_environment().read(f"{request.checkpoints}.spec.txt").decode()


def test_options_of_the_clusters_owner_reach_the_pods(request_of):
    options = '--cpu 8 --memory 64Gi --toleration gpu:NoSchedule --label "queue=a b" --env NCCL_DEBUG=INFO'
    job = described(request_of("--gpus-per-worker", "4"), pod_options(options), "team")
    assert (job.worker.cpu, job.worker.memory, job.worker.gpus) == ("8", "64Gi", 4)
    assert job.slots_per_worker == 4
    assert job.processes == 8
    assert job.labels == {"queue": "a b"}
    assert job.environment["NCCL_DEBUG"] == "INFO"
    assert job.owner is not None and job.owner.uid == "uid-1"


def test_workers_reach_s3_through_the_proxy_of_the_step_unless_its_url_holds_a_password(
    request_of, monkeypatch
):
    proxies = {
        "HTTPS_PROXY": "http://proxy:3128",
        "no_proxy": ".svc",
        "http_proxy": f"http://me:{SECRET}@proxy:1",
    }
    for name, value in proxies.items():
        monkeypatch.setenv(name, value)
    job = described(request_of(), pod_options(""), "team")
    given = {name: value for name, value in job.environment.items() if name in proxies}
    assert given == {name: proxies[name] for name in ("HTTPS_PROXY", "no_proxy")}


def test_the_launcher_can_be_given_nodes_and_taints_of_its_own(request_of):
    options = "--launcher_node_selector pool=cpu --launcher_toleration team=vision:NoSchedule"
    job = described(request_of(), pod_options(options), "team")
    assert job.launcher_node_selector == {"pool": "cpu"}
    (toleration,) = job.launcher_tolerations
    assert (toleration.key, toleration.value, toleration.effect) == ("team", "vision", "NoSchedule")
    assert not job.node_selector and not job.tolerations


@pytest.mark.parametrize(
    ("more", "spec", "message"),
    [
        (("--checkpoints", "/volume"), SPEC, " requires --checkpoints on S3"),
        (("--records-uri", "/volume/records"), SPEC, ": --records /volume/records is not on S3"),
        (("--start-from-uri", "gs://a/b"), SPEC, ": --start-from gs://a/b is not on S3"),
        (
            (),
            f'enc_key: "x"\n{SPEC}',
            ": the spec's enc_key is not passed to workers. Store it in the secret",
        ),
    ],
)
def test_what_workers_could_not_reach_is_refused(more, spec, message, environment, records, tmp_path, capsys):
    words = flags(records, "place", tmp_path, *more)
    words[words.index(SPEC)] = spec
    assert train_step.main(words) == 2
    assert f"--num-workers 2{message}" in " ".join(capsys.readouterr().err.split())


def test_more_workers_at_least_than_at_most_are_refused(environment, records, tmp_path, capsys):
    assert train_step.main(flags(records, "place", tmp_path, "--min-workers", "3")) == 2
    assert "--min-workers 3: expected 1 to 2, or 0 for all" in capsys.readouterr().err


def test_options_that_are_not_known_are_refused():
    with pytest.raises(UsageError, match=f"{OPTIONS_VARIABLE}: unrecognized arguments: --memroy 8Gi"):
        pod_options("--memroy 8Gi")


def test_workers_without_a_cluster_are_told_apart_from_other_troubles(
    environment, request_of, monkeypatch, tmp_path
):
    missing = str(tmp_path / "none")
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", missing)
    with pytest.raises(RunError, match="no access to a cluster"):
        train_on_workers(request_of(), tmp_path, "")
    assert OPTIONS_VARIABLE not in os.environ
