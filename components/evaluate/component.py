"""KFP definitions of the step that evaluates a model and decides whether it passes.

Both definitions use the same script and image (docs/adr/0030-no-optional-inputs.md): one evaluates a model
by itself, the other compares it with the model that it is to replace.
"""

from kfp import dsl

from components.images import image


@dsl.container_component
def evaluate(
    records_uri: str,
    model: dsl.Input[dsl.Model],
    report: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
    confusion: dsl.Output[dsl.ClassificationMetrics],
    metrics: dsl.Output[dsl.Metrics],
    mean_ap: dsl.OutputPath(float),  # type: ignore[valid-type]  # form required by kfp
    passed: dsl.OutputPath(bool),  # type: ignore[valid-type]
    spec: str = "",
    minimum_map: float = 0.0,
):
    """Measures average precision on the validation fold.

    Args:
        spec: Experiment spec: the name or S3 URI of a file, or its text. Empty: the one that `convert`
            suggests for its data set, stored beside the records.
        records_uri: URI of the records: the output `records_uri` of `convert`. They are read from there, so
            that the data set is not copied to the step's disk.
        model: Model to evaluate.
        minimum_map: Minimum mAP to pass, 0 to 1.

    Returns:
        report: metrics.json with all results, report.html, and the precision-recall curves.
        page: Copy of report.html.
        confusion: Confusion matrix of labeled and detected classes.
        metrics: mAP, and AP of each class.
        mean_ap: mAP, 0 to 1.
        passed: Whether the model passes.
    """
    return dsl.ContainerSpec(
        image=image("evaluate"),
        command=["python", "-m", "components.evaluate.main"],
        args=[
            "--spec", spec,
            "--records-uri", records_uri,
            "--model", model.path,
            "--minimum-map", minimum_map,
            "--report", report.path,
            "--page", page.path,
            "--confusion", confusion.path,
            "--mean-ap", mean_ap,
            "--passed", passed,
            "--metrics", metrics.path,
            "--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
        ],
    )  # fmt: skip


@dsl.container_component
def evaluate_retrained(
    records_uri: str,
    model: dsl.Input[dsl.Model],
    former: dsl.Input[dsl.Artifact],
    baseline_map: float,
    report: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
    confusion: dsl.Output[dsl.ClassificationMetrics],
    metrics: dsl.Output[dsl.Metrics],
    mean_ap: dsl.OutputPath(float),  # type: ignore[valid-type]  # form required by kfp
    passed: dsl.OutputPath(bool),  # type: ignore[valid-type]
    spec: str = "",
    minimum_map: float = 0.0,
    tolerance: float = 0.0,
):
    """Measures average precision on the validation fold, compared with the previous model.

    Args:
        spec: Experiment spec: the name or S3 URI of a file, or its text. Empty: the one that `convert`
            suggests for its data set, stored beside the records.
        records_uri: URI of the records: the output `records_uri` of `convert`. They are read from there, so
            that the data set is not copied to the step's disk.
        model: Model to evaluate.
        former: Report of the previous model, for comparison in report.html.
        baseline_map: mAP of the previous model.
        minimum_map: Minimum mAP to pass, 0 to 1.
        tolerance: Amount by which the mAP may be lower than `baseline_map`.

    Returns:
        report: metrics.json with all results, report.html, and the precision-recall curves.
        page: Copy of report.html.
        confusion: Confusion matrix of labeled and detected classes.
        metrics: mAP, and AP of each class.
        mean_ap: mAP, 0 to 1.
        passed: Whether the model passes.
    """
    return dsl.ContainerSpec(
        image=image("evaluate"),
        command=["python", "-m", "components.evaluate.main"],
        args=[
            "--spec", spec,
            "--records-uri", records_uri,
            "--model", model.path,
            "--minimum-map", minimum_map,
            "--baseline-map", baseline_map,
            "--tolerance", tolerance,
            "--former", former.path,
            "--report", report.path,
            "--page", page.path,
            "--confusion", confusion.path,
            "--mean-ap", mean_ap,
            "--passed", passed,
            "--metrics", metrics.path,
            "--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
        ],
    )  # fmt: skip
