"""Resources, retries and secrets of each step on a cluster."""

import dataclasses
from typing import Any

from kfp import dsl, kubernetes

from pipelines import pods

# Secrets by name; each may be missing. The key seals model files; without it, they are plain.
SECRETS = {
    "frcnn-model-key": {"key": "FRCNN_KEY"},
    "frcnn-s3": {
        "accesskey": "AWS_ACCESS_KEY_ID",
        "secretkey": "AWS_SECRET_ACCESS_KEY",
        "endpoint": "S3_ENDPOINT",
        "region": "AWS_REGION",
    },
}
# ConfigMap with pod flags for training on several workers, set by the cluster's owner; may be missing.
TRAINING_OPTIONS = ("frcnn-training", {"options": "FRCNN_MPIJOB_OPTIONS"})
WEBHOOK_SECRET = {"frcnn-webhook": {"url": "FRCNN_WEBHOOK"}}


# Time from the start of the first attempt, after which no retry starts and a running one is stopped. It must
# therefore be longer than any training; it is not the delay between two attempts.
RETRY_WINDOW = "30d"


@dataclasses.dataclass(frozen=True)
class Policy:
    """Resources and retries of a step.

    Attributes:
        cpu: CPU request and limit.
        memory: Memory request and limit.
        retries: Number of retries after an error. A wrong spec fails within seconds, so its retries cost
            little. A step whose pod was deleted (evicted, node drained or lost) is not retried: Argo counts
            that as an Error, and Kubeflow Pipelines requests retries only after failures.
        cached: Whether outputs are reused for equal inputs.
        shared_memory: Size of /dev/shm, through which input pipelines pass batches. Empty: 64 MB, the default
            of a pod.
    """

    cpu: tuple[str, str]
    memory: tuple[str, str]
    retries: int = 2
    cached: bool = True
    shared_memory: str = ""


_TINY = Policy(cpu=("100m", "1"), memory=("128M", "1G"), cached=False)
_LIGHT = Policy(cpu=("1", "4"), memory=("2G", "8G"))
_HEAVY = Policy(cpu=("2", "16"), memory=("4G", "32G"), shared_memory="2Gi")
POLICIES = {
    "convert": _LIGHT,
    # Training resumes from its newest checkpoint, so a retry costs at most one checkpoint interval.
    "train": dataclasses.replace(_HEAVY, retries=5),
    "evaluate": _HEAVY,
    "prune": _LIGHT,
    "retrain": dataclasses.replace(_HEAVY, retries=5),
    "evaluate retrained": _HEAVY,
    "export": _HEAVY,
    # It waits for the trials, which the cluster runs.
    "tune": dataclasses.replace(_TINY, memory=("500M", "2G"), retries=5, cached=True),
    # Not cached, because the published model can change while the inputs stay the same.
    "compare": _TINY,
    "publish": dataclasses.replace(_TINY, retries=5),
    "notify": dataclasses.replace(_TINY, retries=0),
}


def configured(task: dsl.PipelineTask, name: str, *, gpus: Any = None) -> dsl.PipelineTask:
    """Applies name, resources, retries and secrets to a step.

    Args:
        task: Task of the step.
        name: Name of the step in `POLICIES` and in the UI.
        gpus: Pipeline parameter with the number of GPUs. It is text, because backends treat a numeric
            parameter as empty text and then set no limit. `None`: the step uses no GPU.

    Returns:
        `task`.
    """
    policy = POLICIES[name]
    task.set_display_name(name).set_caching_options(policy.cached)
    task.set_cpu_request(policy.cpu[0]).set_cpu_limit(policy.cpu[1])
    task.set_memory_request(policy.memory[0]).set_memory_limit(policy.memory[1])
    if policy.retries:
        task.set_retry(
            num_retries=policy.retries,
            backoff_duration="30s",
            backoff_factor=2,
            backoff_max_duration=RETRY_WINDOW,
        )
    if policy.shared_memory:
        kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit=policy.shared_memory)
    if gpus is not None:
        task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(gpus)
    if gpus is not None or name == "tune":
        kubernetes.use_config_map_as_env(task, *TRAINING_OPTIONS, optional=True)
    pods.apply(task, name, accelerators=gpus is not None)
    for secret, keys in (WEBHOOK_SECRET if name == "notify" else SECRETS).items():
        kubernetes.use_secret_as_env(task, secret, keys, optional=True)
    return task
