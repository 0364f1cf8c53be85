"""What each step may use on a cluster, how often it is tried again, and where its secrets come from."""

import dataclasses
from typing import Any

from kfp import dsl, kubernetes

from pipelines import pods

# Secrets by name, all of which may be missing. The key seals model files; without it they are plain.
SECRETS = {
    "frcnn-model-key": {"key": "FRCNN_KEY"},
    "frcnn-s3": {
        "accesskey": "AWS_ACCESS_KEY_ID",
        "secretkey": "AWS_SECRET_ACCESS_KEY",
        "endpoint": "S3_ENDPOINT",
        "region": "AWS_REGION",
    },
}
# What the pods of a training on several workers are like, as the cluster's owner says; may be missing.
TRAINING_OPTIONS = ("frcnn-training", {"options": "FRCNN_MPIJOB_OPTIONS"})
WEBHOOK_SECRET = {"frcnn-webhook": {"url": "FRCNN_WEBHOOK"}}


# Counted from the beginning of a step's first attempt, and not between two attempts: after it none begins,
# and one under way is ended. Longer than any training.
RETRY_WINDOW = "30d"


@dataclasses.dataclass(frozen=True)
class Policy:
    """How a step is run.

    Attributes:
        cpu, memory: What it asks for, and the most it may use.
        retries: A step that ends with an error is tried again so often; a wrong spec fails in seconds, so
            that trying again costs little. Not tried again is a step whose pod was deleted under it (an
            evicted pod, a drained or lost node): Argo counts that as an Error, and Kubeflow Pipelines asks
            it for retries after failures only.
        cached: Whether its outputs are reused where its inputs are the same.
        shared_memory: Size of /dev/shm: input pipelines hand batches over in it, and a pod has 64 MB.
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
    # It goes on from its newest checkpoint, so that a retry costs one interval.
    "train": dataclasses.replace(_HEAVY, retries=5),
    "evaluate": _HEAVY,
    "prune": _LIGHT,
    "retrain": dataclasses.replace(_HEAVY, retries=5),
    "evaluate retrained": _HEAVY,
    "export": _HEAVY,
    # What is published changes without any input of these changing.
    "compare": _TINY,
    "publish": dataclasses.replace(_TINY, retries=5),
    "notify": dataclasses.replace(_TINY, retries=0),
}


def configured(task: dsl.PipelineTask, name: str, *, gpus: Any = None) -> dsl.PipelineTask:
    """Gives a step its name in the UI and what `POLICIES` says; `gpus` is a parameter of the pipeline.

    It is text: backends take a number for an empty text, and then set no limit at all.
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
        kubernetes.use_config_map_as_env(task, *TRAINING_OPTIONS, optional=True)
    pods.apply(task, name, accelerators=gpus is not None)
    for secret, keys in (WEBHOOK_SECRET if name == "notify" else SECRETS).items():
        kubernetes.use_secret_as_env(task, secret, keys, optional=True)
    return task
