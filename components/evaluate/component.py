"""KFP definitions of the step that measures a model and decides whether it is good enough.

Two definitions of one script in one image, as of `train` (docs/adr/0030-no-optional-inputs.md): of a model by
itself, and of one that is to take the place of another.
"""

from kfp import dsl

from components.images import image


@dsl.container_component
def evaluate(
    spec: str,
    records: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    report: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
    confusion: dsl.Output[dsl.ClassificationMetrics],
    metrics: dsl.Output[dsl.Metrics],
    mean_ap: dsl.OutputPath(float),  # type: ignore[valid-type]  # how kfp wants it
    passed: dsl.OutputPath(bool),  # type: ignore[valid-type]
    minimum_map: float = 0.0,
):
    """Measure average precision on the validation fold.

    Args:
        spec: Experiment spec: the name or S3 URI of a file, or its text.
        records: Records written by `convert`.
        model: The model.
        minimum_map: The least mAP, 0 to 1, with which a model passes.

    Returns:
        report: metrics.json with every number, report.html, and the precision-recall curves.
        page: The same report.html.
        confusion: Which class was found where which was labelled.
        metrics: mAP, and AP of each class.
        mean_ap: mAP, 0 to 1.
        passed: Whether it is good enough.
    """
    return dsl.ContainerSpec(
        image=image("evaluate"),
        command=["python", "-m", "components.evaluate.main"],
        args=[
            "--spec", spec,
            "--records", records.path,
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
    spec: str,
    records: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    former: dsl.Input[dsl.Artifact],
    baseline_map: float,
    report: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
    confusion: dsl.Output[dsl.ClassificationMetrics],
    metrics: dsl.Output[dsl.Metrics],
    mean_ap: dsl.OutputPath(float),  # type: ignore[valid-type]  # how kfp wants it
    passed: dsl.OutputPath(bool),  # type: ignore[valid-type]
    minimum_map: float = 0.0,
    tolerance: float = 0.0,
):
    """Measure average precision on the validation fold, and compare the model with the one before it.

    Args:
        spec: Experiment spec: the name or S3 URI of a file, or its text.
        records: Records written by `convert`.
        model: The model.
        former: Report of the model that the page compares this one with.
        baseline_map: mAP of the model it is to take the place of.
        minimum_map: The least mAP, 0 to 1, with which a model passes.
        tolerance: How far below `baseline_map` it may lie and still pass.

    Returns:
        report: metrics.json with every number, report.html, and the precision-recall curves.
        page: The same report.html.
        confusion: Which class was found where which was labelled.
        metrics: mAP, and AP of each class.
        mean_ap: mAP, 0 to 1.
        passed: Whether it is good enough.
    """
    return dsl.ContainerSpec(
        image=image("evaluate"),
        command=["python", "-m", "components.evaluate.main"],
        args=[
            "--spec", spec,
            "--records", records.path,
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
