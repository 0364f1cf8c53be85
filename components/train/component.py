"""KFP definitions of the steps that train a detector and retrain a pruned one.

Both definitions use the same script and image. An optional input would need a placeholder that Kubeflow
Pipelines resolves only since 2.17, and correctly since 2.17.1 (docs/adr/0030-no-optional-inputs.md).
"""

from kfp import dsl

from components.images import image


@dsl.container_component
def train(
    records_uri: str,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    spec: str = "",
    epochs: int = 0,
    precision: str = "fp32",
    checkpoints: str = "",
    num_workers: int = 1,
    min_workers: int = 0,
    gpus_per_worker: int = 0,
    gpus: str = "0",
):
    """Trains a detector on records, in this pod or in several.

    Args:
        spec: Experiment spec: the name or S3 URI of a file, or its text. Empty: the one that `convert`
            suggests for its data set, stored beside the records.
        records_uri: URI of the records: the output `records_uri` of `convert`. They are read from there, so
            that the data set is not copied to the step's disk.
        epochs: Number of epochs. 0: as in the spec.
        precision: Precision of layer computations: fp32, or mixed for 16 bits (bfloat16 on CPUs, float16 on
            GPUs).
        checkpoints: Folder on a volume, or S3 URI, that outlives the step. A restarted step resumes from its
            newest checkpoint there. Empty: it starts over. Several workers need an S3 URI.
        num_workers: Number of pods that train together, as an MPIJob. 1: train in the step's own pod.
        min_workers: Number of pods that suffice if the cluster has no room for all. 0: all.
        gpus_per_worker: GPUs per pod if there are several workers. 0: train on CPUs.
        gpus: GPUs of the step's own pod, 0 or 1, as text. Set the same number on the task with
            `set_accelerator_limit`. The step fails at once if the GPU is not visible.

    Returns:
        model: Best model by validation mAP, and the log of its training.
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
    records_uri: str,
    start_from: dsl.Input[dsl.Model],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    spec: str = "",
    epochs: int = 0,
    precision: str = "fp32",
    checkpoints: str = "",
    num_workers: int = 1,
    min_workers: int = 0,
    gpus_per_worker: int = 0,
    gpus: str = "0",
):
    """Retrains a detector, keeping the layers and weights of a model, for example a pruned one.

    Args:
        spec: Experiment spec: the name or S3 URI of a file, or its text. Empty: the one that `convert`
            suggests for its data set, stored beside the records.
        records_uri: URI of the records: the output `records_uri` of `convert`. They are read from there, so
            that the data set is not copied to the step's disk.
        start_from: Model to start from. Its layers and weights are kept.
        epochs: Number of epochs. 0: as in the spec.
        precision: Precision of layer computations: fp32, or mixed for 16 bits (bfloat16 on CPUs, float16 on
            GPUs).
        checkpoints: Folder on a volume, or S3 URI, that outlives the step. A restarted step resumes from its
            newest checkpoint there. Empty: it starts over. Several workers need an S3 URI.
        num_workers: Number of pods that train together, as an MPIJob. 1: train in the step's own pod.
        min_workers: Number of pods that suffice if the cluster has no room for all. 0: all.
        gpus_per_worker: GPUs per pod if there are several workers. 0: train on CPUs.
        gpus: GPUs of the step's own pod, 0 or 1, as text. Set the same number on the task with
            `set_accelerator_limit`. The step fails at once if the GPU is not visible.

    Returns:
        model: Best model by validation mAP, and the log of its training.
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
