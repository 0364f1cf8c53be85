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
    """Replace the published model by this one, as a whole.

    Args:
        exported: What `export` wrote.
        report: The model's report: its metrics are published with it, for the next comparison.
        published: Where: s3://bucket/prefix, or a folder on a volume.

    Returns:
        metrics: Where it is, and its size.
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
