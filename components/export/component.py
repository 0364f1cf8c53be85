"""KFP definition of the step that exports a model for deployment."""

from kfp import dsl

from components.images import image


@dsl.container_component
def export(
    records_uri: str,
    model: dsl.Input[dsl.Model],
    exported: dsl.Output[dsl.Model],
    spec: str = "",
    precision: str = "fp32",
):
    """Exports a model as ONNX for deployment.

    Args:
        spec: Experiment spec: the name or S3 URI of a file, or its text. Empty: the one that `convert`
            suggests for its data set, stored beside the records. Its inference_config becomes part of the
            exported graph.
        records_uri: URI of the records: the output `records_uri` of `convert`. INT8 is calibrated on some of
            their training images; for other precisions, no image is read.
        model: Model to export.
        precision: Precision of the networks: fp32, fp16 or int8. Boxes and NMS are always fp32.

    Returns:
        exported: model.onnx (model.etlt with a key), labels.txt and the spec.
    """
    return dsl.ContainerSpec(
        image=image("export"),
        command=["python", "-m", "components.export.main"],
        args=[
            "--spec", spec,
            "--records-uri", records_uri,
            "--model", model.path,
            "--precision", precision,
            "--exported", exported.path,
            "--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
        ],
    )  # fmt: skip
