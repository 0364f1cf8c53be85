"""KFP definition of the step that prunes a model."""

from kfp import dsl

from components.images import image


@dsl.container_component
def prune(
    model: dsl.Input[dsl.Model],
    pruned: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    threshold: float = 0.1,
    target_params: float = 0.0,
    granularity: int = 8,
    minimum_filters: int = 16,
):
    """Removes the least important filters of a model, which has to be retrained afterwards.

    Args:
        model: Model to prune.
        threshold: Filters with a larger normalized norm are kept. A higher threshold prunes more.
        target_params: Largest fraction of the parameters to keep, for example 0.15; replaces the threshold.
            0: use the threshold.
        granularity: Layers keep a multiple of this many filters.
        minimum_filters: Minimum number of filters that a layer keeps.

    Returns:
        pruned: The pruned model, and pruning.json with the number of filters per layer.
        metrics: Fractions of parameters and operations that are left.
    """
    return dsl.ContainerSpec(
        image=image("prune"),
        command=["python", "-m", "components.prune.main"],
        args=[
            "--model", model.path,
            "--threshold", threshold,
            "--target-params", target_params,
            "--granularity", granularity,
            "--minimum-filters", minimum_filters,
            "--pruned", pruned.path,
            "--metrics", metrics.path,
            "--executor-input", dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
        ],
    )  # fmt: skip
