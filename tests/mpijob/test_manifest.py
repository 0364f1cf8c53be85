"""The MPIJob that is written: valid for the CRD, for mpi-operator, and its pods for Kubernetes."""

import copy
import dataclasses
import subprocess

import jsonschema
import kubernetes_validate
import pytest

from components.mpijob.environment import ROLE_VARIABLES
from components.mpijob.job import Owner, Resources, S3Access, Toleration, job_name
from components.mpijob.manifest import manifest
from components.mpijob.mpirun import launcher_command, mpirun
from components.mpijob.validate import problems
from tests.support import mpijob_schema

KUBERNETES = ("1.29", "1.33", "1.37")


@pytest.fixture
def gpu_job(job):
    return dataclasses.replace(
        job,
        workers=8,
        slots_per_worker=8,
        worker=Resources(cpu="48", memory="400Gi", gpus=8, shared_memory="32Gi"),
        image_pull_secrets=("registry",),
        service_account="frcnn-training",
        deadline_seconds=86400,
        environment={"NCCL_DEBUG": "WARN"},
        secret_environment={"FRCNN_KEY": ("frcnn-model-key", "key")},
        volumes={"/data": "kitti"},
        s3=S3Access("http://seaweedfs:8333", "frcnn-s3"),
        node_selector={"cloud/accelerator": "h100"},
        tolerations=(Toleration("nvidia.com/gpu", effect="NoSchedule"), Toleration("team", "vision")),
        priority_class="batch",
        labels={"kueue.x-k8s.io/queue-name": "gpus"},
        owner=Owner("step-1", "1234"),
        network_interface="eth0",
    )


def pods_of(document):
    for role, replica in document["spec"]["mpiReplicaSpecs"].items():
        template = replica["template"]
        metadata = {"name": role.lower(), **template["metadata"]}
        # The operator and its Job set it from the replica's restartPolicy.
        spec = {**template["spec"], "restartPolicy": replica["restartPolicy"]}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.fixture(params=["plain", "gpu"])
def document(request, job, gpu_job):
    return manifest(job if request.param == "plain" else gpu_job)


def test_own_schema_and_the_operators_rules_accept_it(document):
    jsonschema.validate(document, mpijob_schema.OWN)
    assert list(problems(document)) == []


@pytest.fixture(scope="module")
def crd():
    if not mpijob_schema.CRD.exists():
        pytest.skip("the MPIJob CRD is not at hand")
    return jsonschema.Draft7Validator(mpijob_schema.from_crd())


def test_crd_accepts_it(document, crd):
    assert [error.message for error in crd.iter_errors(document)] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "runPolicy", "cleanPodPolcy"), "All"),
        (("spec", "slotsPerWorker"), "two"),
        (("spec", "mpiImplementation"), "Open MPI"),
        (("spec", "mpiReplicaSpecs", "Worker", "replica"), 2),
    ],
)
def test_both_schemas_refuse_what_is_wrong(document, crd, path, value):
    *folder, last = path
    place = document
    for key in folder:
        place = place[key]
    place[last] = value
    assert list(crd.iter_errors(document))
    assert list(jsonschema.Draft7Validator(mpijob_schema.OWN).iter_errors(document))


@pytest.mark.parametrize("version", KUBERNETES)
def test_pods_are_valid_for_kubernetes(document, version):
    for pod in pods_of(document):
        kubernetes_validate.validate(pod, version, strict=True)


def test_pods_keep_to_podsecurity_restricted(document):
    for pod in pods_of(document):
        context = pod["spec"]["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 1000)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}
        kinds = {kind for volume in pod["spec"]["volumes"] for kind in volume}
        assert kinds <= {"name", "emptyDir", "persistentVolumeClaim"}


def test_what_the_operator_needs_is_set(document):
    spec = document["spec"]
    assert spec["sshAuthMountPath"] == "/home/mpiuser/.ssh"
    assert spec["launcherCreationPolicy"] == "WaitForWorkersReady"
    assert spec["runPolicy"]["cleanPodPolicy"] == "Running"
    worker = spec["mpiReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]
    assert worker["command"] + worker["args"] == ["/usr/sbin/sshd", "-De", "-f", "/home/mpiuser/.sshd_config"]
    assert worker["readinessProbe"]["tcpSocket"]["port"] == 2222
    for pod in pods_of(document):
        assert pod["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"


def test_gpus_and_their_nodes_are_for_workers_only(gpu_job):
    launcher, worker = (pod["spec"] for pod in pods_of(manifest(gpu_job)))
    assert worker["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "8"
    assert worker["nodeSelector"] == {"cloud/accelerator": "h100"}
    assert worker["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "team", "operator": "Equal", "value": "vision"},
    ]
    for pod in (launcher, worker):
        assert pod["volumes"][1] == {"name": "volume-0", "persistentVolumeClaim": {"claimName": "kitti"}}
        assert pod["containers"][0]["volumeMounts"][1] == {"name": "volume-0", "mountPath": "/data"}
    assert worker["volumes"][0]["emptyDir"] == {"medium": "Memory", "sizeLimit": "32Gi"}
    assert "nvidia.com/gpu" not in launcher["containers"][0]["resources"]["limits"]
    assert "nodeSelector" not in launcher
    assert launcher["priorityClassName"] == worker["priorityClassName"] == "batch"


def test_a_process_a_slot_gets_every_variable_of_the_pod(gpu_job):
    words = mpirun(gpu_job)
    assert words[:3] == ["mpirun", "-np", "64"]
    given = {words[i + 1] for i, word in enumerate(words) if word == "-x"}
    container = next(pods_of(manifest(gpu_job)))["spec"]["containers"][0]
    certain = {each["name"] for each in container["env"]} - {"FRCNN_KEY"} - set(ROLE_VARIABLES)
    assert certain | {"PATH", "HOME", "LD_LIBRARY_PATH"} == given
    assert words[-4:] == list(gpu_job.training)


@pytest.mark.parametrize(
    "there", [{}, {"FRCNN_KEY": "hush", "AWS_ROLE_ARN": "arn"}, {"FRCNN_KEY": "", "AWS_REGION": "eu-1"}]
)
def test_mpirun_is_told_of_variables_that_may_be_missing_only_if_they_are_there(gpu_job, there, tmp_path):
    """mpirun warns of those that are not; the shell is a real one, mpirun shows what it was given."""
    fake = tmp_path / "mpirun"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", **there}
    command = launcher_command(gpu_job)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    given = done.stdout.splitlines()
    more = given[: len(given) - len(mpirun(gpu_job)) + 1]
    assert set(zip(more[::2], more[1::2], strict=True)) == {("-x", name) for name in there}
    assert given[len(more) :] == mpirun(gpu_job)[1:]
    assert "hush" not in done.stdout


def test_the_launcher_has_nodes_and_taints_of_its_own(gpu_job):
    job = dataclasses.replace(
        gpu_job, launcher_node_selector={"pool": "cpu"}, launcher_tolerations=(Toleration("team", "vision"),)
    )
    launcher, worker = (pod["spec"] for pod in pods_of(manifest(job)))
    assert launcher["nodeSelector"] == {"pool": "cpu"}
    assert [each["key"] for each in launcher["tolerations"]] == ["team"]
    assert worker["nodeSelector"] == {"cloud/accelerator": "h100"}


def test_a_worker_that_crashed_is_started_again_and_the_launcher_by_its_job(document):
    roles = document["spec"]["mpiReplicaSpecs"]
    assert roles["Worker"]["restartPolicy"] == "OnFailure"
    assert roles["Launcher"]["restartPolicy"] == "Never"


def test_secrets_are_referred_to_never_held(gpu_job):
    container = next(pods_of(manifest(gpu_job)))["spec"]["containers"][0]
    references = {
        each["name"]: each["valueFrom"]["secretKeyRef"]
        for each in container["env"][1:]
        if "valueFrom" in each
    }
    assert references == {
        "FRCNN_KEY": {"name": "frcnn-model-key", "key": "key", "optional": True},
        "AWS_ACCESS_KEY_ID": {"name": "frcnn-s3", "key": "accesskey"},
        "AWS_SECRET_ACCESS_KEY": {"name": "frcnn-s3", "key": "secretkey"},
    }


def test_settings_annotation_changes_with_the_work_and_not_with_the_owner(gpu_job):
    def settings(job):
        return manifest(job)["metadata"]["annotations"]["frcnn.io/settings"]

    assert settings(dataclasses.replace(gpu_job, owner=Owner("step-2", "5678"))) == settings(gpu_job)
    assert settings(dataclasses.replace(gpu_job, workers=7)) != settings(gpu_job)


WRONG = {
    ("mpiReplicaSpecs", "Launcher", "replicas"): (2, "Launcher.replicas: got 2; expected 1"),
    ("mpiReplicaSpecs", "Worker", "replicas"): (0, "Worker.replicas: got 0; expected 1 or more"),
    ("mpiReplicaSpecs", "Master"): ({"replicas": 1}, "Master: unknown role; expected Launcher or Worker"),
    ("mpiReplicaSpecs", "Worker", "restartPolicy"): ("ExitCode", "'ExitCode'; expected Never or OnFailure"),
    ("mpiReplicaSpecs", "Worker", "template"): ({"spec": {"containers": []}}, "expected a container"),
    ("mpiReplicaSpecs",): ({}, "Launcher is missing; expected one"),
    ("launcherCreationPolicy",): ("Later", "'Later'; expected one of AtStartup, WaitForWorkersReady"),
    ("runPolicy", "cleanPodPolicy"): ("Some", "expected one of None, Running, All"),
    ("runPolicy", "managedBy"): ("me", "expected one of kubeflow.org/mpi-operator"),
    ("runPolicy", "backoffLimit"): (-1, "spec.runPolicy.backoffLimit: got -1; expected 0 or more"),
    ("mpiImplementation",): ("LAM", "expected one of OpenMPI, Intel, MPICH"),
    ("slotsPerWorker",): (0, "spec.slotsPerWorker: got 0; expected 1 or more"),
}


@pytest.mark.parametrize("path", WRONG)
def test_rules_of_the_operator(document, path):
    value, expected = WRONG[path]
    *folder, last = path
    place = document["spec"]
    for key in folder:
        place = place[key]
    place[last] = value
    assert expected in "\n".join(map(str, problems(document)))


@pytest.mark.parametrize(
    ("name", "workers", "expected"),
    [
        ("Kitti", 1, "expected a-z, 0-9 and -"),
        ("1st", 1, "starting with a letter"),
        ("a" * 54, 2, None),
        ("a" * 55, 2, "expected at most 54"),
        ("a" * 54, 11, "expected at most 53"),
    ],
)
def test_rule_of_the_name(document, name, workers, expected):
    document["metadata"]["name"] = name
    document["spec"]["mpiReplicaSpecs"]["Worker"]["replicas"] = workers
    found = "\n".join(map(str, problems(document)))
    assert expected in found if expected else not found


@pytest.mark.parametrize("workers", [1, 8, 64, 1000])
@pytest.mark.parametrize(
    "parts", [("kitti",), ("Faster_RCNN run 7", "train"), ("9" * 80, "train"), ("a" * 200,), ("-",)]
)
def test_job_names_are_accepted_and_repeat(job, parts, workers):
    name = job_name(*parts, workers=workers)
    assert name == job_name(*parts, workers=workers)
    document = manifest(dataclasses.replace(job, name=name, workers=workers))
    assert list(problems(document)) == []


def test_job_names_that_were_cut_or_cleaned_differ():
    names = {job_name(text, workers=2) for text in ("a" * 100, "a" * 101, "run 1", "run_1", "run-1")}
    assert len(names) == 5
    assert "run-1" in names


def test_manifest_is_a_new_object_each_time(job):
    first = manifest(job)
    untouched = copy.deepcopy(first)
    manifest(job)["spec"]["mpiReplicaSpecs"].clear()
    assert manifest(job) == untouched
