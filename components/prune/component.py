"""KFP definition of the step that makes a model narrower."""

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
    """Remove the filters of a model that matter least; it has to be trained again afterwards.

    Args:
        model: The model.
        threshold: Filters whose normalised norm is above it stay; more prunes more.
        target_params: Instead of the threshold: largest share of the parameters that may be left, such as
            0.15; 0 leaves it to the threshold.
        granularity: Layers keep a multiple of so many filters.
        minimum_filters: No layer keeps fewer.

    Returns:
        pruned: The narrower model, and pruning.json with the filters left in each layer.
        metrics: Share of the parameters and of the operations that is left.
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
