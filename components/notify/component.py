"""KFP definition of the exit handler that tells how a run ended."""

from kfp import dsl

from components.images import image


@dsl.container_component
def notify(status: dsl.PipelineTaskFinalStatus, webhook: str = ""):
    """Post how the run ended to a webhook, if there is one.

    Args:
        status: What KFP tells of the run's end.
        webhook: URL that gets JSON; empty: the one of the secret frcnn-webhook, or nobody is told.
    """
    return dsl.ContainerSpec(
        image=image("publish"),
        command=["python", "-m", "components.notify.main"],
        args=["--status", status, "--webhook", webhook],
    )
