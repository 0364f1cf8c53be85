"""Pipeline that searches the fields of a spec on the cluster, then makes a detector with the best spec."""

from kfp import dsl

from components.convert.component import convert
from components.notify.component import notify
from components.tune.component import tune
from pipelines.faster_rcnn import train_and_compress
from pipelines.resources import configured

NAME = "faster-rcnn-tune"


@dsl.pipeline(
    name=NAME,
    description="Finds good settings with Katib, then makes a pruned and exported Faster R-CNN detector.",
)
def faster_rcnn_tune(
    data: str,
    checkpoints: str,
    spec: str = "",
    space: str = "",
    trials: int = 20,
    parallel_trials: int = 2,
    trial_epochs: int = 0,
    early_stopping: bool = True,
    convert_spec: str = "",
    apply_exif: bool = False,
    data_version: str = "",
    epochs: int = 0,
    retrain_epochs: int = 0,
    train_precision: str = "fp32",
    prune_threshold: float = 0.1,
    target_params: float = 0.0,
    minimum_map: float = 0.3,
    tolerance: float = 0.02,
    export_precision: str = "fp32",
    publish_to: str = "",
    publish_tolerance: float = 0.0,
    num_workers: int = 1,
    min_workers: int = 0,
    gpus_per_worker: int = 0,
    step_gpus: str = "0",
    webhook: str = "",
):
    """Searches for good settings, then runs all steps to a deployable detector with the best ones.

    Args:
        data: Data set: s3://bucket/prefix.
        checkpoints: S3 URI that outlives pods, for the checkpoints of all trials and of the training. What
            was interrupted resumes from there.
        spec: Experiment spec that the search starts from: the S3 URI or name of a file (`frcnn pipeline
            push-spec` uploads one to S3), or its text. Text pasted into this single-line field must not
            contain comments (`frcnn pipeline paste-spec` prints it in this form). Paths in the spec are
            replaced. Empty: a spec that the conversion step chooses for the data set.
        space: Fields to search, protobuf text. Empty: learning rate and schedule, anchor scales, RoIs and
            augmentation.
        trials: Number of trials. 0: no search.
        parallel_trials: Maximum number of concurrent trials.
        trial_epochs: Number of epochs of a trial. 0: num_epochs of the spec.
        early_stopping: Whether trials below the median of the others are stopped early.
        convert_spec: Conversion and split of the data set: text or file, as for `spec`. Empty: KITTI (images/
            and labels/, or such folders below train/ and val/) or COCO annotation files for training and
            validation. Without a part for validation, a fifth of a KITTI data set is held out.
        apply_exif: Whether labels refer to images rotated by their EXIF orientation, as viewers show them.
        data_version: Any text. Change it if the data set has changed but not its name, because a step with
            unchanged parameters is not run again.
        epochs: Number of epochs of the training. 0: num_epochs of the spec.
        retrain_epochs: Number of epochs of the training after pruning. 0: num_epochs of the spec.
        train_precision: Precision of layer computations in all trainings: fp32, or mixed for 16 bits
            (bfloat16 on CPUs that support it, float16 on GPUs).
        prune_threshold: Filters with a larger normalized norm are kept. A higher threshold prunes more.
        target_params: Largest fraction of the parameters to keep, for example 0.15; replaces the threshold.
            0: use the threshold.
        minimum_map: Minimum mAP, 0 to 1: of the trained model to continue, and of the retrained model to be
            exported.
        tolerance: Amount by which the retrained model's mAP may be lower than the trained model's.
        export_precision: Precision of the exported networks: fp32, fp16 or int8.
        publish_to: Location of the published model: s3://bucket/prefix. The exported model replaces it if its
            mAP is not lower. Empty: no model is published.
        publish_tolerance: Amount by which the exported model's mAP may be lower than the published model's.
        num_workers: Number of pods that train together, in the trials too. 1: train in one pod.
        min_workers: Number of pods that suffice if the cluster has no room for all. 0: all.
        gpus_per_worker: GPUs per pod of a trial, and of the training if there are several workers.
        step_gpus: GPUs of the training step's own pod, 0 or 1, for training with one worker. The step fails
            at once if the GPU is not visible.
        webhook: URL that is notified when the run ends. Empty: the URL in the secret frcnn-webhook, if any.
    """
    with dsl.ExitHandler(configured(notify(webhook=webhook), "notify"), name="whole-way"):
        converted = convert(
            data=data, convert_spec=convert_spec, apply_exif=apply_exif, data_version=data_version
        )
        configured(converted, "convert")
        records_uri = converted.outputs["records_uri"]
        tuned = tune(
            spec=spec,
            records_uri=records_uri,
            checkpoints=checkpoints,
            space=space,
            trials=trials,
            parallel=parallel_trials,
            epochs=trial_epochs,
            early_stopping=early_stopping,
            precision=train_precision,
            num_workers=num_workers,
            gpus_per_worker=gpus_per_worker,
        )
        train_and_compress(
            spec=configured(tuned, "tune").outputs["best_spec"],
            records_uri=records_uri,
            epochs=epochs,
            retrain_epochs=retrain_epochs,
            train_precision=train_precision,
            prune_threshold=prune_threshold,
            target_params=target_params,
            minimum_map=minimum_map,
            tolerance=tolerance,
            export_precision=export_precision,
            publish_to=publish_to,
            publish_tolerance=publish_tolerance,
            checkpoints=checkpoints,
            num_workers=num_workers,
            min_workers=min_workers,
            gpus_per_worker=gpus_per_worker,
            step_gpus=step_gpus,
        )
