"""KFP definition of the step that compares a model with the one that is published."""

from kfp import dsl

from components.images import image


@dsl.container_component
def compare(
    mean_ap: float,
    metrics: dsl.Output[dsl.Metrics],
    passed: dsl.OutputPath(bool),  # type: ignore[valid-type]  # how kfp wants it
    published: str = "",
    tolerance: float = 0.0,
):
    """Decide whether a model takes the place of the published one.

    Args:
        mean_ap: The model's mAP, 0 to 1.
        published: Where the model in use is published: s3://bucket/prefix, or a folder on a volume. Empty:
            no model is to be published.
        tolerance: How far below the published model's mAP it may lie.

    Returns:
        metrics: Both mAPs.
        passed: Whether it is to be published.
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
