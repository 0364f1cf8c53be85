"""KFP definition of the step that writes a model for deployment."""

from kfp import dsl

from components.images import image


@dsl.container_component
def export(
    spec: str,
    records: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    exported: dsl.Output[dsl.Model],
    precision: str = "fp32",
):
    """Write a model as ONNX for deployment.

    Args:
        spec: Experiment spec, protobuf text or a file's name; its inference_config is frozen in.
        records: Records written by `convert`; INT8 is calibrated on training images of it.
        model: The model.
        precision: Of the networks: fp32, fp16 or int8. Boxes and NMS are always fp32.

    Returns:
        exported: model.onnx (model.etlt if there is a key), labels.txt and the spec.
    """
    return dsl.ContainerSpec(
        image=image("export"),
        command=["python", "-m", "components.export.main"],
        args=[
            "--spec", spec,
            "--records", records.path,
            "--model", model.path,
            "--precision", precision,
            "--exported", exported.path,
            "--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
        ],
    )  # fmt: skip
