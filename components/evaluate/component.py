"""KFP definition of the step that measures a model and decides whether it is good enough."""

from typing import Optional

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
    baseline_map: Optional[float] = None,  # noqa: UP045 (kfp reads no other spelling)
    tolerance: float = 0.0,
    former: dsl.Input[dsl.Artifact] = None,
):
    """Measure average precision on the validation fold.

    Args:
        spec: Experiment spec, protobuf text or a file's name.
        records: Records written by `convert`.
        model: The model.
        minimum_map: The least mAP, 0 to 1, with which a model passes.
        baseline_map: mAP of the model it is to take the place of.
        tolerance: How far below `baseline_map` it may lie and still pass.
        former: Report of the model that the page compares this one with.
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
            "--tolerance", tolerance,
            "--report", report.path,
            "--page", page.path,
            "--confusion", confusion.path,
            "--mean-ap", mean_ap,
            "--passed", passed,
            "--metrics", metrics.path,
            "--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
            dsl.IfPresentPlaceholder("baseline_map", then=["--baseline-map", baseline_map]),
            dsl.IfPresentPlaceholder("former", then=["--former", former.path]),
        ],
    )  # fmt: skip
