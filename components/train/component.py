"""KFP definition of the step that trains, and retrains what was pruned."""

from kfp import dsl

from components.images import image


@dsl.container_component
def train(
    spec: str,
    records: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    start_from: dsl.Input[dsl.Model] = None,
    epochs: int = 0,
    precision: str = "fp32",
    checkpoints: str = "",
    num_workers: int = 1,
    min_workers: int = 0,
    gpus_per_worker: int = 0,
    gpus: int = 0,
):
    """Train a detector; with `start_from`, go on from that model, pruned or not.

    Args:
        spec: Experiment spec: protobuf text, or the name or S3 URI of a file.
        records: Records written by `convert`.
        start_from: Model whose layers and weights are kept.
        epochs: Number of epochs; 0 leaves the spec's.
        precision: What layers compute in: fp32, or mixed for 16 bits (bfloat16 on CPUs, float16 on GPUs).
        checkpoints: Folder on a volume, or S3 URI, that outlives the step. A step that is started again
            goes on from its newest checkpoint there. Empty: it starts over. Several workers need an S3 URI.
        num_workers: Pods that train together, as an MPIJob; 1 trains in the step's own pod.
        min_workers: With how many of them to go on where the cluster has no room for all; 0: all.
        gpus_per_worker: GPUs of each of several workers; 0 trains on CPUs.
        gpus: GPUs of the step's own pod.
        model: The best model by validation mAP, and the log of its training.
        metrics: Last loss, and mAP after the last epoch.
    """
    return dsl.ContainerSpec(
        image=image("train"),
        command=["python", "-m", "components.train.main"],
        args=[
            "--spec", spec,
            "--records", records.path,
            "--records-uri", records.uri,
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
            dsl.IfPresentPlaceholder("start_from", then=[
                "--start-from", start_from.path, "--start-from-uri", start_from.uri,
            ]),
        ],
    )  # fmt: skip
