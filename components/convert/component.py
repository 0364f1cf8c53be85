"""KFP definition of the step that converts labels and images to records."""

from kfp import dsl

from components.images import image


@dsl.container_component
def convert(
    data: str,
    records: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    page: dsl.Output[dsl.HTML],
    records_uri: dsl.OutputPath(str),  # type: ignore[valid-type]  # form required by kfp
    convert_spec: str = "",
    apply_exif: bool = False,
    data_version: str = "",
):
    """Converts labels and images to records that contain the images.

    The output artifact is the complete data set. An experiment spec that suits it is stored beside the
    records; steps without a spec use it.

    Args:
        data: Data set: a folder on a volume that the step can read, or s3://bucket/prefix. It contains images
            and labels, or is an artifact of `frcnn store push`.
        convert_spec: Conversion and split of the data set: protobuf text, or the name or S3 URI of a file.
            Empty: KITTI (images/ and labels/, or such folders below train/ and val/) or COCO annotation files
            for training and validation. Fold 0 has the validation images, a fifth if there is no such part.
        apply_exif: Whether labels refer to images rotated by their EXIF orientation, as viewers show them.
        data_version: Any text. A new value repeats the conversion of a folder whose name has not changed.

    Returns:
        records: TFRecord files of all folds, including the images.
        metrics: Number of images and boxes written and skipped.
        page: Report of the data set: classes, sizes, anchors, faults, equal files and samples.
        records_uri: URI of `records`, for steps that read them in place instead of copying them.
    """
    return dsl.ContainerSpec(
        image=image("convert"),
        command=["python", "-m", "components.convert.main"],
        args=[
            "--data", data,
            "--convert-spec", convert_spec,
            "--apply-exif", apply_exif,
            # In one word, so that a version such as -rc1 is not taken for a flag.
            f"--data-version={data_version}",
            "--records", records.path,
            "--records-kept-at", records.uri,
            "--records-uri", records_uri,
            "--metrics", metrics.path,
            "--page", page.path,
            "--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
        ],
    )  # fmt: skip
