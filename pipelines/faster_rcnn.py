"""Pipeline from labels to a published detector, with three gates.

Its steps are convert, train, evaluate, prune, retrain, evaluate, export and publish. A gate is a nested
pipeline that receives the decision as a plain parameter. KFP's local runner treats conditions on a step's
output as false without any warning.
"""

from typing import Any

from kfp import dsl

from components.compare.component import compare
from components.convert.component import convert
from components.evaluate.component import evaluate, evaluate_retrained
from components.export.component import export
from components.notify.component import notify
from components.prune.component import prune
from components.publish.component import publish
from components.train.component import retrain, train
from pipelines.resources import configured

NAME = "faster-rcnn"
# Pruning keeps a multiple of GRANULARITY filters per layer, at least MINIMUM_FILTERS.
GRANULARITY, MINIMUM_FILTERS = 8, 16


@dsl.pipeline(name="promote")
def promote(passed: bool, exported: dsl.Input[dsl.Model], report: dsl.Input[dsl.Artifact], published: str):
    """Publishes the exported model if it is not worse than the published one.

    Args:
        passed: Whether to publish the model.
        exported: Exported model.
        report: Report of the model.
        published: Location to publish to.
    """
    with dsl.If(passed == True, name="as-good-as-the-published-one"):  # noqa: E712 (builds a condition)
        configured(publish(exported=exported, report=report, published=published), "publish")


@dsl.pipeline(name="deploy")
def deploy(
    passed: bool,
    spec: str,
    records_uri: str,
    model: dsl.Input[dsl.Model],
    report: dsl.Input[dsl.Artifact],
    mean_ap: float,
    precision: str,
    publish_to: str,
    publish_tolerance: float,
):
    """Exports the retrained model if it is not worse than before pruning.

    Args:
        passed: Whether to export the model.
        spec: Experiment spec.
        records_uri: URI of the records.
        model: Retrained model.
        report: Report of the retrained model.
        mean_ap: mAP of the retrained model, 0 to 1.
        precision: Precision of the exported networks: fp32, fp16 or int8.
        publish_to: Location of the published model. Empty: no model is published.
        publish_tolerance: Amount by which the mAP may be lower than that of the published model.
    """
    with dsl.If(passed == True, name="as-good-as-before"):  # noqa: E712 (builds a condition)
        exported = export(spec=spec, records_uri=records_uri, model=model, precision=precision)
        configured(exported, "export")
        compared = compare(mean_ap=mean_ap, published=publish_to, tolerance=publish_tolerance)
        # Compare last, because another run may publish in the meantime.
        configured(compared, "compare").after(exported)
        promote(
            passed=compared.outputs["passed"],
            exported=exported.outputs["exported"],
            report=report,
            published=publish_to,
        )


@dsl.pipeline(name="compress")
def compress(
    passed: bool,
    spec: str,
    records_uri: str,
    model: dsl.Input[dsl.Model],
    former: dsl.Input[dsl.Artifact],
    baseline_map: float,
    retrain_epochs: int,
    train_precision: str,
    prune_threshold: float,
    target_params: float,
    minimum_map: float,
    tolerance: float,
    checkpoints: str,
    num_workers: int,
    min_workers: int,
    gpus_per_worker: int,
    step_gpus: str,
    precision: str,
    publish_to: str,
    publish_tolerance: float,
):
    """Prunes, retrains and deploys the trained model if its mAP is high enough.

    Args:
        passed: Whether the trained model passes.
        spec: Experiment spec.
        records_uri: URI of the records.
        model: Trained model.
        former: Report of the trained model.
        baseline_map: mAP of the trained model, 0 to 1.
        retrain_epochs: Number of epochs after pruning. 0: as in the spec.
        train_precision: Precision of layer computations: fp32 or mixed.
        prune_threshold: Filters with a larger normalized norm are kept.
        target_params: Largest fraction of the parameters to keep; replaces the threshold. 0: not used.
        minimum_map: Minimum mAP of the retrained model, 0 to 1.
        tolerance: Amount by which the retrained model's mAP may be lower than `baseline_map`.
        checkpoints: Folder on a volume, or S3 URI, for checkpoints of the training.
        num_workers: Number of pods that train together.
        min_workers: Number of pods that suffice if the cluster has no room for all. 0: all.
        gpus_per_worker: GPUs per pod if there are several workers.
        step_gpus: GPUs of the training step's own pod, 0 or 1.
        precision: Precision of the exported networks: fp32, fp16 or int8.
        publish_to: Location of the published model. Empty: no model is published.
        publish_tolerance: Amount by which the mAP may be lower than that of the published model.
    """
    with dsl.If(passed == True, name="good-enough"):  # noqa: E712 (builds a condition)
        pruned = prune(
            model=model,
            threshold=prune_threshold,
            target_params=target_params,
            # Some backends ignore a component's defaults, so every input is set.
            granularity=GRANULARITY,
            minimum_filters=MINIMUM_FILTERS,
        )
        configured(pruned, "prune")
        retrained = retrain(
            spec=spec,
            records_uri=records_uri,
            start_from=pruned.outputs["pruned"],
            epochs=retrain_epochs,
            precision=train_precision,
            checkpoints=checkpoints,
            num_workers=num_workers,
            min_workers=min_workers,
            gpus_per_worker=gpus_per_worker,
            gpus=step_gpus,
        )
        configured(retrained, "retrain", gpus=step_gpus)
        judged = evaluate_retrained(
            spec=spec,
            records_uri=records_uri,
            model=retrained.outputs["model"],
            minimum_map=minimum_map,
            baseline_map=baseline_map,
            tolerance=tolerance,
            former=former,
        )
        configured(judged, "evaluate retrained")
        deploy(
            passed=judged.outputs["passed"],
            spec=spec,
            records_uri=records_uri,
            model=retrained.outputs["model"],
            report=judged.outputs["report"],
            mean_ap=judged.outputs["mean_ap"],
            precision=precision,
            publish_to=publish_to,
            publish_tolerance=publish_tolerance,
        )


def train_and_compress(
    *, spec: Any, records_uri: Any, epochs: Any, export_precision: Any, step_gpus: Any, **settings: Any
) -> None:
    """Adds the steps that follow the conversion: training, evaluation, and all behind the gates.

    Args:
        spec: Experiment spec, a parameter or the output of a step.
        records_uri: URI of the records.
        epochs: See `faster_rcnn`.
        export_precision: See `faster_rcnn`.
        step_gpus: See `faster_rcnn`.
        settings: All other parameters of `compress` that are also parameters of `faster_rcnn`.
    """
    pods = ("checkpoints", "num_workers", "min_workers", "gpus_per_worker")
    trained = train(
        spec=spec,
        records_uri=records_uri,
        epochs=epochs,
        precision=settings["train_precision"],
        gpus=step_gpus,
        **{name: settings[name] for name in pods},
    )
    model = configured(trained, "train", gpus=step_gpus).outputs["model"]
    judged = evaluate(spec=spec, records_uri=records_uri, model=model, minimum_map=settings["minimum_map"])
    configured(judged, "evaluate")
    compress(
        passed=judged.outputs["passed"],
        spec=spec,
        records_uri=records_uri,
        model=model,
        former=judged.outputs["report"],
        baseline_map=judged.outputs["mean_ap"],
        precision=export_precision,
        step_gpus=step_gpus,
        **settings,
    )


@dsl.pipeline(
    name=NAME,
    description="Turns labels and images into a pruned, retrained and exported Faster R-CNN detector.",
)
def faster_rcnn(
    data: str,
    spec: str = "",
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
    checkpoints: str = "",
    num_workers: int = 1,
    min_workers: int = 0,
    gpus_per_worker: int = 0,
    step_gpus: str = "0",
    webhook: str = "",
):
    """Runs all steps from labels to a deployable detector.

    Args:
        data: Data set: s3://bucket/prefix, or a folder on a volume that the steps can read.
        spec: Experiment spec: the S3 URI or name of a file (`frcnn pipeline push-spec` uploads one to S3), or
            its text. Text pasted into this single-line field must not contain comments (`frcnn pipeline
            paste-spec` prints it in this form). Paths in the spec are replaced. Empty: a spec that the
            conversion step chooses for the data set.
        convert_spec: Conversion and split of the data set: text or file, as for `spec`. Empty: KITTI (images/
            and labels/, or such folders below train/ and val/) or COCO annotation files for training and
            validation. Without a part for validation, a fifth of a KITTI data set is held out.
        apply_exif: Whether labels refer to images rotated by their EXIF orientation, as viewers show them.
        data_version: Any text. Change it if the data set has changed but not its name, because a step with
            unchanged parameters is not run again.
        epochs: Number of epochs of the training. 0: num_epochs of the spec.
        retrain_epochs: Number of epochs of the training after pruning. 0: num_epochs of the spec.
        train_precision: Precision of layer computations in both trainings: fp32, or mixed for 16 bits
            (bfloat16 on CPUs that support it, float16 on GPUs).
        prune_threshold: Filters with a larger normalized norm are kept. A higher threshold prunes more.
        target_params: Largest fraction of the parameters to keep, for example 0.15; replaces the threshold.
            0: use the threshold.
        minimum_map: Minimum mAP, 0 to 1: of the trained model to continue, and of the retrained model to be
            exported.
        tolerance: Amount by which the retrained model's mAP may be lower than the trained model's.
        export_precision: Precision of the exported networks: fp32, fp16 or int8.
        publish_to: Location of the published model: s3://bucket/prefix, or a folder on a volume. The exported
            model replaces it if its mAP is not lower. Empty: no model is published.
        publish_tolerance: Amount by which the exported model's mAP may be lower than the published model's.
        checkpoints: Folder on a volume, or S3 URI, that outlives pods. An interrupted training resumes from
            there. Empty: it starts over.
        num_workers: Number of pods that train together. 1: train in the training step's own pod.
        min_workers: Number of pods that suffice if the cluster has no room for all. 0: all.
        gpus_per_worker: GPUs per pod if there are several workers.
        step_gpus: GPUs of the training step's own pod, 0 or 1, for training with one worker. The step fails
            at once if the GPU is not visible.
        webhook: URL that is notified when the run ends. Empty: the URL in the secret frcnn-webhook, if any.
    """
    with dsl.ExitHandler(configured(notify(webhook=webhook), "notify"), name="whole-way"):
        converted = convert(
            data=data, convert_spec=convert_spec, apply_exif=apply_exif, data_version=data_version
        )
        configured(converted, "convert")
        train_and_compress(
            spec=spec,
            records_uri=converted.outputs["records_uri"],
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
