"""KFP definitions of the step that trains, and of the one that trains again what was pruned.

Two definitions of one script in one image: an input that may be absent needs a placeholder that Kubeflow
Pipelines resolves from 2.17 on, and rightly from 2.17.1 on (docs/adr/0030-no-optional-inputs.md).
"""

from kfp import dsl

from components.images import image


@dsl.container_component
def train(
    spec: str,
    records_uri: str,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    epochs: int = 0,
    precision: str = "fp32",
    checkpoints: str = "",
    num_workers: int = 1,
    min_workers: int = 0,
    gpus_per_worker: int = 0,
    gpus: str = "0",
):
    """Train a detector on records, on this pod or on several.

    Args:
        spec: Experiment spec: the name or S3 URI of a file, or its text.
        records_uri: Where the records are kept that `convert` wrote: its output `records_uri`. They are read
            from there, so that no copy of the data set lands on the step's disk.
        epochs: Number of epochs; 0 leaves the spec's.
        precision: What layers compute in: fp32, or mixed for 16 bits (bfloat16 on CPUs, float16 on GPUs).
        checkpoints: Folder on a volume, or S3 URI, that outlives the step. A step that is started again
            goes on from its newest checkpoint there. Empty: it starts over. Several workers need an S3 URI.
        num_workers: Pods that train together, as an MPIJob; 1 trains in the step's own pod.
        min_workers: With how many of them to go on where the cluster has no room for all; 0: all.
        gpus_per_worker: GPUs of each of several workers; 0 trains on CPUs.
        gpus: GPUs of the step's own pod, 0 or 1, as text; give the task as many with
            `set_accelerator_limit`. The step fails at once if it sees none.

    Returns:
        model: The best model by validation mAP, and the log of its training.
        metrics: Last loss, and mAP after the last epoch.
    """
    return dsl.ContainerSpec(
        image=image("train"),
        command=["python", "-m", "components.train.main"],
        args=[
            "--spec", spec,
            "--records-uri", records_uri,
            "--epochs", epochs,
            "--precision", precision,
            "--checkpoints", checkpoints,
            "--num-workers", num_workers,
            "--min-workers", min_workers,
            "--gpus-per-worker", gpus_per_worker,
            "--gpus", gpus,
            "--image", image("train"),
            "--model", model.path,
            "--metrics", metrics.path,
            "--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
        ],
    )  # fmt: skip


@dsl.container_component
def retrain(
    spec: str,
    records_uri: str,
    start_from: dsl.Input[dsl.Model],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    epochs: int = 0,
    precision: str = "fp32",
    checkpoints: str = "",
    num_workers: int = 1,
    min_workers: int = 0,
    gpus_per_worker: int = 0,
    gpus: str = "0",
):
    """Train a detector again, from a model whose layers and weights are kept, such as a pruned one.

    Args:
        spec: Experiment spec: the name or S3 URI of a file, or its text.
        records_uri: Where the records are kept that `convert` wrote: its output `records_uri`. They are read
            from there, so that no copy of the data set lands on the step's disk.
        start_from: Model whose layers and weights are kept.
        epochs: Number of epochs; 0 leaves the spec's.
        precision: What layers compute in: fp32, or mixed for 16 bits (bfloat16 on CPUs, float16 on GPUs).
        checkpoints: Folder on a volume, or S3 URI, that outlives the step. A step that is started again
            goes on from its newest checkpoint there. Empty: it starts over. Several workers need an S3 URI.
        num_workers: Pods that train together, as an MPIJob; 1 trains in the step's own pod.
        min_workers: With how many of them to go on where the cluster has no room for all; 0: all.
        gpus_per_worker: GPUs of each of several workers; 0 trains on CPUs.
        gpus: GPUs of the step's own pod, 0 or 1, as text; give the task as many with
            `set_accelerator_limit`. The step fails at once if it sees none.

    Returns:
        model: The best model by validation mAP, and the log of its training.
        metrics: Last loss, and mAP after the last epoch.
    """
    return dsl.ContainerSpec(
        image=image("train"),
        command=["python", "-m", "components.train.main"],
        args=[
            "--spec", spec,
            "--records-uri", records_uri,
            "--start-from", start_from.path,
            "--start-from-uri", start_from.uri,
            "--epochs", epochs,
            "--precision", precision,
            "--checkpoints", checkpoints,
            "--num-workers", num_workers,
            "--min-workers", min_workers,
            "--gpus-per-worker", gpus_per_worker,
            "--gpus", gpus,
            "--image", image("train"),
            "--model", model.path,
            "--metrics", metrics.path,
            "--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
        ],
    )  # fmt: skip
