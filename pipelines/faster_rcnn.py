"""convert -> train -> evaluate -> prune -> retrain -> evaluate -> export -> publish, with three gates.

A gate is a nested pipeline that takes the verdict as a plain parameter: conditions on a step's output
are passed over in silence by KFP's local runner (they are taken for false).
"""

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
# How pruning counts filters: layers keep a multiple of the first, and no fewer than the second.
GRANULARITY, MINIMUM_FILTERS = 8, 16


@dsl.pipeline(name="promote")
def promote(passed: bool, exported: dsl.Input[dsl.Model], report: dsl.Input[dsl.Artifact], published: str):
    """Publishes the exported model if it is not worse than the published one."""
    with dsl.If(passed == True, name="as-good-as-the-published-one"):  # noqa: E712 (builds a condition)
        configured(publish(exported=exported, report=report, published=published), "publish")


@dsl.pipeline(name="deploy")
def deploy(
    passed: bool,
    spec: str,
    records: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    report: dsl.Input[dsl.Artifact],
    mean_ap: float,
    precision: str,
    publish_to: str,
    publish_tolerance: float,
):
    """Exports the retrained model if it is not worse than the one it was pruned from."""
    with dsl.If(passed == True, name="as-good-as-before"):  # noqa: E712 (builds a condition)
        exported = export(spec=spec, records=records, model=model, precision=precision)
        configured(exported, "export")
        compared = compare(mean_ap=mean_ap, published=publish_to, tolerance=publish_tolerance)
        # When everything else is done: another run may publish in the meantime.
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
    records: dsl.Input[dsl.Dataset],
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
    """Prunes, retrains and deploys the trained model if its mAP is high enough."""
    with dsl.If(passed == True, name="good-enough"):  # noqa: E712 (builds a condition)
        pruned = prune(
            model=model,
            threshold=prune_threshold,
            target_params=target_params,
            # A component's own defaults are not seen by every backend: each input is given.
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
            records=records,
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
            records=records,
            model=retrained.outputs["model"],
            report=judged.outputs["report"],
            mean_ap=judged.outputs["mean_ap"],
            precision=precision,
            publish_to=publish_to,
            publish_tolerance=publish_tolerance,
        )


@dsl.pipeline(
    name=NAME, description="Labels and images to a pruned, retrained and exported Faster R-CNN detector."
)
def faster_rcnn(
    data: str,
    spec: str,
    convert_spec: str = "",
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
    """The whole way from labels to a deployable detector.

    Args:
        data: The data set: s3://bucket/prefix, or a folder on a volume that the steps can read.
        spec: Experiment spec: the S3 URI or name of a file (`frcnn pipeline push-spec` puts one on S3), or
            its text. Pasted into the one line of this field, text must have no comments (`frcnn pipeline
            paste-spec` prints it so). Paths in it are replaced.
        convert_spec: How to convert and split the data set: text or file, as `spec`. Empty: KITTI
            layout with images/ and labels/, a fifth of the images held out for evaluation.
        data_version: Change it when the data set has changed and its name has not: a step whose
            parameters are the same is not run again.
        epochs: Epochs of the training; 0 leaves the spec's num_epochs.
        retrain_epochs: Epochs of the training after pruning; 0 leaves the spec's num_epochs.
        train_precision: What layers compute in during both trainings: fp32, or mixed for 16 bits
            (bfloat16 on CPUs that have it, float16 on GPUs).
        prune_threshold: Filters whose normalised norm is above it stay; more prunes more.
        target_params: Instead of the threshold: largest share of the parameters that pruning may leave, such
            as 0.15. 0 leaves it to the threshold.
        minimum_map: Least mAP, 0 to 1, of the trained model to go on, and of the retrained one to be
            exported.
        tolerance: How far the retrained model's mAP may lie below the trained one's.
        export_precision: Of the exported networks: fp32, fp16 or int8.
        publish_to: Where the model in use is published, s3://bucket/prefix or a folder on a volume: the
            exported model takes its place if its mAP is not below. Empty: nothing is published.
        publish_tolerance: How far the exported model's mAP may lie below the published one's.
        checkpoints: Folder on a volume, or S3 URI, that outlives pods: a training that is cut off goes on
            from there. Empty: it starts over.
        num_workers: Pods that train together; 1 trains in the training step's own pod.
        min_workers: With how many of them to go on where the cluster has no room for all; 0: all.
        gpus_per_worker: GPUs of each of several workers.
        step_gpus: GPUs of the training step's own pod, 0 or 1: with one worker. It fails at once if it sees
            none.
        webhook: URL that is told how the run ended. Empty: the one of the secret frcnn-webhook, if any.
    """
    with dsl.ExitHandler(configured(notify(webhook=webhook), "notify"), name="whole-way"):
        converted = convert(data=data, convert_spec=convert_spec, data_version=data_version)
        configured(converted, "convert")
        records, records_uri = converted.outputs["records"], converted.outputs["records_uri"]
        trained = train(
            spec=spec,
            records_uri=records_uri,
            epochs=epochs,
            precision=train_precision,
            checkpoints=checkpoints,
            num_workers=num_workers,
            min_workers=min_workers,
            gpus_per_worker=gpus_per_worker,
            gpus=step_gpus,
        )
        model = configured(trained, "train", gpus=step_gpus).outputs["model"]
        judged = evaluate(spec=spec, records=records, model=model, minimum_map=minimum_map)
        configured(judged, "evaluate")
        compress(
            passed=judged.outputs["passed"],
            spec=spec,
            records=records,
            records_uri=records_uri,
            model=model,
            former=judged.outputs["report"],
            baseline_map=judged.outputs["mean_ap"],
            retrain_epochs=retrain_epochs,
            train_precision=train_precision,
            prune_threshold=prune_threshold,
            target_params=target_params,
            minimum_map=minimum_map,
            tolerance=tolerance,
            checkpoints=checkpoints,
            num_workers=num_workers,
            min_workers=min_workers,
            gpus_per_worker=gpus_per_worker,
            step_gpus=step_gpus,
            precision=export_precision,
            publish_to=publish_to,
            publish_tolerance=publish_tolerance,
        )
