"""KFP definition of the step that detects objects in a folder of images."""

from kfp import dsl

from components.images import image


@dsl.container_component
def inference(
    spec: str,
    model: dsl.Input[dsl.Model],
    images: str,
    detections: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    apply_exif: bool = False,
):
    """Detects objects in a folder of images.

    Args:
        spec: Experiment spec, protobuf text or the name of a file.
        model: Model to run.
        images: Folder of images, including subfolders: on a volume that the step can read, or s3://bucket/prefix.
        apply_exif: Whether to rotate images by their EXIF orientation; as in the conversion of the training
            images.

    Returns:
        detections: Images with boxes drawn in, and KITTI label files.
        metrics: Number of images, and of detections per class.
    """
    return dsl.ContainerSpec(
        image=image("inference"),
        command=["python", "-m", "components.inference.main"],
        args=[
            "--spec", spec,
            "--model", model.path,
            "--images", images,
            "--apply-exif", apply_exif,
            "--detections", detections.path,
            "--metrics", metrics.path,
            "--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
        ],
    )  # fmt: skip
