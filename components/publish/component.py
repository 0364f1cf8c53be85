"""KFP definition of the step that publishes an exported model."""

from kfp import dsl

from components.images import image


@dsl.container_component
def publish(
    exported: dsl.Input[dsl.Model],
    report: dsl.Input[dsl.Artifact],
    published: str,
    metrics: dsl.Output[dsl.Metrics],
):
    """Replaces the published model atomically.

    Args:
        exported: Output of `export`.
        report: Report of the model. Its metrics are published with the model, for the next comparison.
        published: Location of the published model: s3://bucket/prefix, or a folder on a volume.

    Returns:
        metrics: Location and size of the published model.
    """
    return dsl.ContainerSpec(
        image=image("publish"),
        command=["python", "-m", "components.publish.main"],
        args=[
            "--exported", exported.path,
            "--report", report.path,
            "--published", published,
            "--metrics", metrics.path,
            "--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
        ],
    )  # fmt: skip
