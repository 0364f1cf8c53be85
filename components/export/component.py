"""KFP definition of the step that writes a model for deployment."""

from kfp import dsl

from components.images import image


@dsl.container_component
def export(
    spec: str,
    model: dsl.Input[dsl.Model],
    exported: dsl.Output[dsl.Model],
):
    """Write a model as ONNX for deployment.

    Args:
        spec: Experiment spec, protobuf text or a file's name; its inference_config is frozen in.
        model: The model.
        exported: model.onnx and what belongs to it, and the spec.
    """
    return dsl.ContainerSpec(
        image=image("export"),
        command=["python", "-m", "components.export.main"],
        args=[
            "--spec", spec,
            "--model", model.path,
            "--exported", exported.path,
            "--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
        ],
    )  # fmt: skip
