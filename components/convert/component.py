"""KFP definition of the step that makes records from labels and images."""

from kfp import dsl

from components.images import image


@dsl.container_component
def convert(
    data: str,
    records: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    records_uri: dsl.OutputPath(str),  # type: ignore[valid-type]  # how kfp wants it
    convert_spec: str = "",
    data_version: str = "",
):
    """Convert labels and images to records that hold the images, so that one artifact is the data set.

    Args:
        data: Folder with the data set on a volume that the step can read, or s3://bucket/prefix: images and
            labels, or an artifact of `frcnn store push`.
        convert_spec: How to convert and split it (protobuf text, or the name or S3 URI of a file). Empty:
            KITTI layout with images/ and labels/, a fifth of the images held out as fold 0.
        data_version: Any text; another one converts again although the folder's name is the same.

    Returns:
        records: TFRecord files of all folds, images included.
        metrics: Images and boxes written and skipped.
        records_uri: Where `records` is kept, for steps that read from there in place of a copy.
    """
    return dsl.ContainerSpec(
        image=image("convert"),
        command=["python", "-m", "components.convert.main"],
        args=[
            "--data", data,
            "--convert-spec", convert_spec,
            "--data-version", data_version,
            "--records", records.path,
            "--records-kept-at", records.uri,
            "--records-uri", records_uri,
            "--metrics", metrics.path,
            "--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
        ],
    )  # fmt: skip
