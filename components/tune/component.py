"""KFP definition of the step that searches the fields of a spec with Katib."""

from kfp import dsl

from components.images import image


@dsl.container_component
def tune(
    records_uri: str,
    checkpoints: str,
    metrics: dsl.Output[dsl.Metrics],
    best_spec: dsl.OutputPath(str),  # type: ignore[valid-type]  # form required by kfp
    spec: str = "",
    space: str = "",
    trials: int = 20,
    parallel: int = 2,
    epochs: int = 0,
    early_stopping: bool = True,
    precision: str = "fp32",
    num_workers: int = 1,
    gpus_per_worker: int = 0,
):
    """Searches the fields of a spec: each trial is a training on the cluster, which Katib starts.

    Args:
        spec: Experiment spec: the name or S3 URI of a file, or its text. Empty: the one that `convert`
            suggests for its data set, stored beside the records.
        records_uri: URI of the records: the output `records_uri` of `convert`.
        checkpoints: S3 URI below which each trial keeps its checkpoints.
        space: Search space, protobuf text. Empty: learning rate and schedule, anchor scales, RoIs and
            augmentation.
        trials: Number of trials. 0: no search; the spec is passed on as it is.
        parallel: Maximum number of concurrent trials.
        epochs: Number of epochs of a trial. 0: as in the spec.
        early_stopping: Whether trials below the median of the others are stopped early.
        precision: Precision of layer computations: fp32, or mixed for 16 bits.
        num_workers: Number of pods of a trial. Above 1, a trial is an MPIJob.
        gpus_per_worker: GPUs per pod of a trial.

    Returns:
        metrics: mAP of the best trial, and the number of trials by outcome.
        best_spec: Spec with the values of the best trial.
    """
    return dsl.ContainerSpec(
        image=image("train"),
        command=["python", "-m", "components.tune.main"],
        args=[
            "--spec", spec,
            "--records-uri", records_uri,
            "--checkpoints", checkpoints,
            "--space", space,
            "--trials", trials,
            "--parallel", parallel,
            "--epochs", epochs,
            "--early-stopping", early_stopping,
            "--precision", precision,
            "--num-workers", num_workers,
            "--gpus-per-worker", gpus_per_worker,
            "--image", image("train"),
            "--best-spec", best_spec,
            "--metrics", metrics.path,
            "--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
        ],
    )  # fmt: skip
