"""KFP definition of the step that compares a model with the published one."""

from kfp import dsl

from components.images import image


@dsl.container_component
def compare(
    mean_ap: float,
    metrics: dsl.Output[dsl.Metrics],
    passed: dsl.OutputPath(bool),  # type: ignore[valid-type]  # form required by kfp
    published: str = "",
    tolerance: float = 0.0,
):
    """Decides whether a model replaces the published one.

    Args:
        mean_ap: mAP of the model, 0 to 1.
        published: Location of the published model: s3://bucket/prefix, or a folder on a volume. Empty: no
            model is published.
        tolerance: Amount by which the mAP may be lower than that of the published model.

    Returns:
        metrics: mAP of both models.
        passed: Whether to publish the model.
    """
    return dsl.ContainerSpec(
        image=image("publish"),
        command=["python", "-m", "components.compare.main"],
        args=[
            "--mean-ap", mean_ap,
            "--published", published,
            "--tolerance", tolerance,
            "--passed", passed,
            "--metrics", metrics.path,
            "--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
        ],
    )  # fmt: skip
